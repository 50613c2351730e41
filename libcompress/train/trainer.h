/* The state of a run. Private to the files of the trainer. */
#ifndef PARE_TRAINER_H
#define PARE_TRAINER_H

#include "pare/train.h"
#include "train/checkpoint.h"
#include "train/data/loader.h"
#include "train/quant_aware/quant_aware.h"
#include "train/tape/tape_run.h"
#include "train/teacher.h"

#define TRAINER_LOSSES 16

typedef struct trainer_loss {
    const double *value; /* after a step */
    double weight;
} trainer_loss;

typedef struct trainer {
    pare_graph *graph;
    pare_dataset *data, *validation;
    const pare_train_options *options;
    pare_tape *tape;
    pare_loader *loader;
    pare_teacher *teacher;         /* NULL: none */
    pare_quant_aware *quant_aware; /* likewise */
    pare_schedule schedule;
    pare_optimizer optimizer;
    pare_parameter_group *groups;
    size_t group_count;
    size_t batch;         /* of this rank */
    uint64_t epoch_steps; /* batches an epoch */
    /* flat vectors, besides the tape's own */
    float *average;             /* EMA, or NULL */
    float *best, *best_running; /* where there is a validation set */
    pare_checkpoint_progress progress;
    /* inputs of the tape */
    uint32_t input, targets, importance, labels;
    size_t rows, classes; /* of the targets: rows of `classes` numbers (or of one sample's values) */
    size_t label_classes; /* that a label may name: 2 where each output has one of its own */
    pare_loss_kind kind;
    double importance_scale; /* cross-entropy's divisor of this rank, over the mean of all ranks' */
    double labelled_scale;   /* likewise of decoupled distillation: rows with a label */
    double task_share;       /* weight of the task's loss, before the teacher's fade */
    double task_scale, teacher_scale, decoupled_scale; /* of the step: what the losses are multiplied with */
    float *exchange;                                   /* for ranks_average */
    trainer_loss losses[TRAINER_LOSSES];
    size_t loss_count;
    double seconds; /* in steps, of this process */
    uint64_t samples, first_step, epoch_samples;
    double epoch_seconds;
    bool stopped_early;
    bool saved; /* there is a checkpoint of this run at options->checkpoint, of step saved_step */
    uint64_t saved_step;
    pare_checkpoint_identity identity;
    char *options_text; /* of the identity; malloc */
} trainer;

/* trainer_options.c: PARE_USAGE for options out of range, PARE_UNSUPPORTED for a network that does not train. */
pare_status trainer_check_options(const trainer *t, pare_error *error);
/* trainer_losses.c: records the losses on the tape; finds what they read. */
pare_status trainer_add_losses(trainer *t, pare_error *error);
/* trainer_targets.c: a batch into the tape's inputs. */
pare_status trainer_feed(trainer *t, const pare_batch *batch, pare_error *error);
/* trainer_state.c: checkpoints. The identity is made once, before the first. */
pare_status trainer_identify(trainer *t, pare_error *error);
pare_status trainer_save(trainer *t, pare_error *error);
pare_status trainer_load(trainer *t, const char *path, pare_error *error);
/* trainer_data.c: labels outside the classes, classes without samples, a validation set that does not fit; after
 * trainer_add_losses. */
pare_status trainer_check_data(const trainer *t, pare_error *error);
/* trainer_finite.c: why `what` ("a finite loss") is not: PARE_BAD_INPUT where a target is not finite, else PARE_USAGE
 * (the options make training diverge), with the step and the node where it began. */
pare_status trainer_fail_not_finite(trainer *t, const pare_batch *batch, const char *what, pare_error *error);
/* PARE_USAGE where the last updates left weights that are not finite: nothing may keep those. */
pare_status trainer_check_weights(const trainer *t, pare_error *error);
/* PARE_BAD_INPUT where the file's weights are not finite. */
pare_status trainer_check_start(const trainer *t, pare_error *error);
/* What a checkpoint keeps, at most TRAINER_ARRAYS; returns their number. */
#define TRAINER_ARRAYS 8
size_t trainer_arrays(trainer *t, pare_checkpoint_array *arrays);
/* trainer_ranks.c; all ranks call each of them. PARE_USAGE names a rank that trains something else than rank 0, and
 * in what it differs. */
pare_status trainer_compare(trainer *t, pare_error *error);
/* Weights, statistics, moments and progress of rank 0 become those of all. */
pare_status trainer_share_state(trainer *t, pare_error *error);
/* Begins a step, after feeding it: agrees on `status`, and weighs this rank's part of cross-entropy. */
pare_status trainer_balance(trainer *t, pare_status status, pare_error *error);
/* After it: sets what the losses of the step are multiplied with. */
void trainer_weigh(trainer *t);
/* From the loss of this rank's part to that of the batch. */
pare_status trainer_mean_loss(double *loss, pare_error *error);
/* True on all ranks where it is on one. */
pare_status trainer_any(bool *flag, pare_error *error);
/* trainer_sparsity.c: makes weights zeros where the step that comes is one to do so. */
pare_status trainer_prune(trainer *t, pare_error *error);
/* True while weights will still become zeros: until then no epoch's weights are the best. */
bool trainer_is_pruning(const trainer *t);
/* Share of zeros among `values` of the weights that pruning is about. */
double trainer_sparsity(const trainer *t, const float *values);
/* trainer_validate.c: measures the weights (their average, where there is one) and keeps them where they are the
 * best so far. Rank 0 measures for all: elsewhere `metrics` stays as it is. */
pare_status trainer_validate(trainer *t, pare_metrics *metrics, bool *improved, pare_error *error);
/* Writes the weights of the result into the graph, and measures them where there is a validation set. */
pare_status trainer_finish(trainer *t, pare_metrics *metrics, pare_error *error);

#endif
