/* Batches for training: a deterministic shuffle of a data set, preprocessed and
 * augmented by another thread while the network trains on the batch before. */
#ifndef PARE_LOADER_H
#define PARE_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pare/augment.h"
#include "pare/dataset.h"
#include "pare/preprocess.h"

typedef struct pare_loader_options {
    const pare_preprocess *preprocess;
    pare_shape input; /* the model's input without its batch dimension */
    pare_dtype dtype; /* F32, or S64 for tokens (no augmentation) */
    pare_augment augment;
    size_t batch;
    uint64_t seed;
    bool shuffle;
    const size_t *indices; /* the samples to draw from (copied); NULL: all */
    size_t index_count;
    size_t rank, ranks; /* of several machines: this one takes positions rank × batch .. of each ranks × batch (1
                           machine: 0, 1) */
} pare_loader_options;

/* One batch; buffers belong to the loader and are valid until the next call. */
typedef struct pare_batch {
    const void *inputs;           /* [batch, input] */
    const int64_t *classes;       /* [batch × targets] of class targets after label_offset (negative: none), or NULL */
    const int64_t *mixed_classes; /* mixup: as `classes`, of the sample mixed in; else NULL */
    const float *values;          /* [batch × targets] of value targets (mixed already), or NULL */
    size_t targets;
    float lambda;          /* mixup: share of `classes`; 1 without */
    const size_t *samples; /* [batch] data-set indices, for caches of teachers' outputs */
    uint64_t epoch, batch_in_epoch;
} pare_batch;

typedef struct pare_loader pare_loader;

/* Starts the thread, which begins with batch 0 of epoch 0. PARE_USAGE when the batch (times ranks) is larger than the
 * number of samples (both are named), or when an augmentation does not apply to the samples (it is named, and why).
 * Does not own `dataset`, which nobody else may read while the loader lives. */
pare_status pare_loader_create(pare_dataset *dataset, const pare_loader_options *options, pare_loader **loader,
                               pare_error *error);
/* Stops the thread. Accepts NULL. */
void pare_loader_free(pare_loader *loader);
/* Whole batches an epoch; a last, partial one is left out (other samples each epoch when shuffled). */
size_t pare_loader_batches(const pare_loader *loader);
/* The next batch; rolls over to the next epoch with a new permutation. A sample that cannot be read or preprocessed
 * fails the batch that it belongs to, and each further call until a seek. */
pare_status pare_loader_next(pare_loader *loader, pare_batch *batch, pare_error *error);
/* Makes batch `batch_in_epoch` of `epoch` the next one: resuming needs no other state. Ends the validity of the batch
 * that was returned last. PARE_USAGE when an epoch has not so many batches. */
pare_status pare_loader_seek(pare_loader *loader, uint64_t epoch, uint64_t batch_in_epoch, pare_error *error);

#endif
