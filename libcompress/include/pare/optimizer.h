/* Optimizers on one flat vector of parameters, and learning-rate schedules. */
#ifndef PARE_OPTIMIZER_H
#define PARE_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pare/status.h"

typedef enum pare_optimizer_kind {
    PARE_OPTIMIZER_SGD =
        0, /* momentum, optionally Nesterov's, as PyTorch: v = momentum v + g; w -= lr v (or lr (g + momentum v)) */
    PARE_OPTIMIZER_ADAM = 1, /* Kingma and Ba 2015, algorithm 1; L2 decay added to the gradient */
    PARE_OPTIMIZER_ADAMW = 2 /* Loshchilov and Hutter 2019, algorithm 2: decoupled decay */
} pare_optimizer_kind;

typedef struct pare_optimizer_options {
    pare_optimizer_kind kind;
    double momentum;              /* SGD; [0, 1) */
    bool nesterov;                /* SGD with a momentum */
    double beta1, beta2, epsilon; /* Adam, AdamW; [0, 1), [0, 1), (0, 1] */
    double weight_decay; /* SGD, Adam: adds weight_decay × w to the gradient; AdamW: w -= lr × weight_decay × w */
    double l1;           /* adds l1 × sign(w) to the gradient */
    double clip_norm;    /* the whole gradient's L2 norm is cut to this; 0: off */
} pare_optimizer_options;

/* A run of the flat vector that is treated alike. */
typedef struct pare_parameter_group {
    size_t first, count; /* elements of the flat vector */
    bool decays;         /* weight decay and L1 apply (not to biases, BatchNorm, step sizes) */
    double lr_scale;     /* times the schedule's learning rate */
    bool keeps_zeros;    /* a value of exactly 0 whose moments are 0 stays 0: pruned weights */
} pare_parameter_group;

typedef struct pare_optimizer {
    pare_optimizer_options options;
    size_t count;   /* of the flat vector */
    float *moments; /* [count] momentum, or [2 × count]: first and second moment; owned */
    size_t moments_count;
    uint64_t step; /* updates made */
} pare_optimizer;

/* PARE_USAGE names an option out of range (NaN and infinity included); options that the kind does not read are not
 * looked at, but for Nesterov's. Free with pare_optimizer_free. On failure *optimizer is zeroed. */
pare_status pare_optimizer_create(const pare_optimizer_options *options, size_t count, pare_optimizer *optimizer,
                                  pare_error *error);
/* Accepts a zeroed one. */
void pare_optimizer_free(pare_optimizer *optimizer);
/* One update of values [count] from gradients [count]; clipping comes before decay. Groups are disjoint and within
 * the vector; what no group covers is left alone. Returns the L2 norm of all gradients before clipping; NaN or
 * infinity there means that nothing was updated. The same bytes for any number of threads. */
double pare_optimizer_update(pare_optimizer *optimizer, float *values, const float *gradients,
                             const pare_parameter_group *groups, size_t group_count, double lr);

/* average = decay × average + (1 - decay) × values, decay in [0, 1]. */
void pare_ema_update(float *average, const float *values, size_t count, double decay);

typedef enum pare_schedule_kind {
    PARE_SCHEDULE_CONSTANT = 0,
    PARE_SCHEDULE_STEP = 1,   /* × gamma at each of the milestones (fractions of the run) */
    PARE_SCHEDULE_COSINE = 2, /* Loshchilov and Hutter 2017, eq. 5, without restarts: at the end of the last step it
                                 would be lr × final_fraction, so no step is made with a rate of 0 */
    PARE_SCHEDULE_ONE_CYCLE =
        3 /* Smith and Topin 2018: cosine up from lr/25 over 30 % of the run, cosine down to lr/1e4, its last step's */
} pare_schedule_kind;

#define PARE_MILESTONES_MAX 16
typedef struct pare_schedule {
    pare_schedule_kind kind;
    double lr;                              /* highest */
    double final_fraction;                  /* cosine; [0, 1] */
    double gamma;                           /* step; (0, 1] */
    double milestones[PARE_MILESTONES_MAX]; /* step: ascending fractions of total_steps in (0, 1) */
    size_t milestone_count;
    uint64_t warmup_steps; /* linear from lr / warmup_steps, in front of the kind's course; of one-cycle its rise */
    uint64_t total_steps;  /* warm-up included */
} pare_schedule;

/* PARE_USAGE names what is out of range (a learning rate of 0, NaN or infinity too), among what the kind reads. */
pare_status pare_schedule_check(const pare_schedule *schedule, pare_error *error);
/* Learning rate of update `step`, counted from 0; beyond the end, that of the last. A pure
 * function of a schedule that passes the check. */
double pare_schedule_lr(const pare_schedule *schedule, uint64_t step);

#endif
