/* Training a network: fine-tuning, from scratch, and with a teacher. */
#ifndef PARE_TRAIN_H
#define PARE_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pare/augment.h"
#include "pare/dataset.h"
#include "pare/evaluate.h"
#include "pare/graph.h"
#include "pare/metrics.h"
#include "pare/model.h"
#include "pare/optimizer.h"
#include "pare/preprocess.h"
#include "pare/prune.h"
#include "pare/quant_aware.h"

typedef enum pare_loss_kind {
    PARE_LOSS_BY_TASK = 0, /* cross-entropy for classification (binary where the network has one output), else the mean
                              squared error */
    PARE_LOSS_CROSS_ENTROPY,
    PARE_LOSS_MSE,
    PARE_LOSS_L1,
    PARE_LOSS_HUBER,
    PARE_LOSS_BINARY_CROSS_ENTROPY /* of several independent labels, or one */
} pare_loss_kind;

/* Zero-initialised: the task's own loss. A Softmax (Sigmoid) that ends the network is left to the loss. */
typedef struct pare_loss_options {
    pare_loss_kind kind;
    double label_smoothing;     /* [0, 1): so much of each target is spread over all classes (Szegedy 2016) */
    const float *class_weights; /* one a class, or NULL */
    size_t class_weight_count;
    double huber_delta; /* > 0; 0 means 1 */
} pare_loss_options;

/* What is carried from an inner value of the teacher to one of the student. */
typedef struct pare_hint {
    const char *student, *teacher; /* names of values, or of the nodes whose first outputs they are */
    bool attention;                /* attention transfer; else FitNets: mean squared error, behind a learned 1×1
                                      projection where the channels differ */
    double weight;
} pare_hint;

/* loss = (1 - alpha) × the task's + alpha × the teacher's + the hints'. Without labels alpha is 1. */
typedef struct pare_distill_options {
    const pare_graph *teacher; /* NULL where the teacher is a container */
    pare_model *teacher_model; /* else NULL */
    uint64_t teacher_hash;     /* of the file, for checkpoints and caches */
    /* What the teacher was trained on, NULL where nobody knows. It is given the student's samples: PARE_USAGE where
     * they are made in another way. */
    const pare_preprocess *teacher_preprocess;
    double temperature;         /* > 0 */
    double alpha;               /* [0, 1] */
    double until;               /* [0, 1]: the teacher's losses fade, linearly, to nothing at this share of the run, and
                                   the task's has all the weight then (as Cho and Hariharan 2019 stop them early, section
                                   5.2); 0: they do not */
    bool decoupled;             /* DKD (Zhao 2022) in place of Hinton's loss */
    double dkd_alpha, dkd_beta; /* its two weights */
    const pare_hint *hints;
    size_t hint_count;
    /* A file that keeps the teacher's outputs; NULL: computed as needed. PARE_USAGE with augmentation. */
    const char *cache;
} pare_distill_options;

/* Gradual magnitude pruning (Zhu and Gupta 2017, eq. 1): from the run's start to its share `until` the share of zeros
 * rises from 0 to `target`, as 1 - (what is left of the time)³; zeros stay zeros, those of before too. Of weights, not
 * of biases and normalization. */
typedef struct pare_sparsity_options {
    double target; /* [0, 1); 0: none, but `keep` may be set */
    pare_sparsity_scope scope;
    double until; /* (0, 1]; 0 means 0.6 */
    bool keep;    /* what is 0 at the start stays 0 */
} pare_sparsity_options;

/* How training goes on; also what a log keeps of an epoch. */
typedef struct pare_train_progress {
    uint64_t epoch, epochs; /* counted from 0 */
    uint64_t step, steps;   /* of the whole run, those made */
    double loss;            /* this step's */
    double epoch_loss;      /* mean of the epoch so far */
    double lr, gradient_norm;
    double samples_per_second, epoch_samples_per_second;
    double seconds_left;         /* of the run */
    double seconds;              /* of the epoch */
    const pare_metrics *metrics; /* of the validation set, where the epoch has just ended; else NULL */
    bool improved;               /* ... and they are the best so far */
    bool epoch_ends;
} pare_train_progress;

typedef struct pare_train_options {
    const pare_preprocess *preprocess;
    pare_loss_options loss;
    const pare_distill_options *distill; /* NULL: no teacher */
    /* Learns with the roundings of a quantized network, is validated as one and becomes one. NULL: none. */
    const pare_quant_aware_options *quant_aware;
    pare_sparsity_options sparsity;
    pare_dataset *calibration; /* for its first scales: some hundred samples; with quant_aware only */
    pare_optimizer_options optimizer;
    pare_schedule schedule; /* total_steps is filled in; warmup_steps counts steps */
    double warmup_epochs;   /* in place of warmup_steps */
    double ema;             /* decay of the average of the weights that is validated and kept; 0: none */
    pare_augment augment;
    uint64_t epochs;
    uint64_t max_steps; /* ends earlier; 0: no */
    size_t batch;
    uint64_t seed;
    int32_t threads;           /* 0: those of the runtime */
    uint64_t patience;         /* epochs without improvement before training stops; 0: never */
    bool keep_last;            /* the validation set measures, but chooses no epoch: a fold that is left out */
    const char *const *freeze; /* patterns of node names whose weights stay (fnmatch) */
    size_t freeze_count;
    bool allow_empty_classes;  /* trains although some class of the network is no sample's; else PARE_USAGE */
    bool freeze_batch_norm;    /* BatchNormalization keeps its running statistics and trains with them */
    const char *checkpoint;    /* a file to save to; NULL: none */
    uint64_t checkpoint_steps; /* saved every so many steps, and after each epoch; 0: after each epoch */
    const char *resume;        /* a checkpoint to go on from; NULL: from the start */
    uint64_t model_hash;       /* of the student's file, for checkpoints */
    /* After each step, and once more where that ended an epoch (`epoch_ends`); false stops. May be NULL. */
    bool (*report)(void *context, const pare_train_progress *progress);
    void *report_context;
    /* During what takes long beside the steps; the context names it, a text. False stops. May be NULL. */
    pare_progress progress;
} pare_train_options;

typedef struct pare_train_result {
    uint64_t steps, epochs; /* made */
    uint64_t best_epoch;    /* counted from 0; the last without validation */
    bool validated, stopped_early;
    pare_metrics metrics;                     /* of the best epoch; free with pare_metrics_free */
    double loss;                              /* mean of the last epoch; NaN where a finished run was resumed */
    size_t parameters;                        /* trained */
    size_t quantized_layers, weighted_layers; /* of the result: with weights that are integers; with weights */
    size_t memory_bytes;                      /* activations, gradients, scratch of a step */
    double sparsity;                          /* share of zeros among the weights */
    double seconds;                           /* in steps, without validation */
    uint64_t samples;                         /* in those */
} pare_train_result;

/* Trains `graph` on `data`, and leaves the best weights by `validation` (NULL: the last ones) in it. Deterministic:
 * the same bytes for the same options, threads and machine, also when interrupted and resumed.
 *
 * PARE_USAGE names an option out of range, a set that does not fit, or the classes of the network that no label is of;
 * PARE_UNSUPPORTED the node without a gradient; PARE_BAD_INPUT the sample whose label is outside the network's
 * classes, or numbers of the files that are not finite. All that is found before the first step.
 *
 * A loss, gradient or weight that is NaN or infinite later is PARE_USAGE, since the files are in order and it is
 * the options (a learning rate) that have to change: step and layer are named, the checkpoint before it is kept.
 * PARE_INTERRUPTED after `report` or `progress` returned false, with the checkpoint saved (before the first step
 * there is nothing to save). On failure the graph's weights are
 * undefined. `result` may be NULL. */
pare_status pare_train(pare_graph *graph, pare_dataset *data, pare_dataset *validation,
                       const pare_train_options *options, pare_train_result *result, pare_error *error);

#endif
