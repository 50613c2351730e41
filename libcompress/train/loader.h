/* Batches for training: a deterministic shuffle of a data set, preprocessed and
 * augmented by another thread while the network trains on the batch before. */
#ifndef PARE_LOADER_H
#define PARE_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pare/dataset.h"
#include "pare/preprocess.h"

/* What may happen to a sample, in the order in which it happens but for
 * brightness and contrast, which come first: what a border brings in stays 0.
 * Zero-initialised: nothing. All sizes are in pixels of the model's input. The
 * sample at position i of epoch e is always changed the same way: the random
 * numbers are those of seed(options.seed, e, i), never of a thread. Only noise
 * and mixup apply to samples that are not pictures (pare_sample_info.image). */
typedef struct pare_augment {
    bool flip_horizontal, flip_vertical; /* each with probability 1/2 */
    int32_t crop_padding;                /* pad by so much (zeros of the normalised input), crop back at random */
    int32_t shift;                       /* moves by up to ± so many pixels along each axis, zeros come in */
    double rotation;                     /* up to ± so many degrees (at most 180), bilinear, zeros outside */
    double brightness;                   /* adds up to ± brightness × the sample's deviation */
    double contrast;                     /* multiplies around the sample's mean by 1 ± contrast (at most 1) */
    int32_t cutout;                      /* zeroes a square of this side (DeVries and Taylor 2017) */
    double noise;                        /* adds N(0, noise²) */
    double mixup;                        /* alpha of Beta(alpha, alpha) (Zhang et al. 2018), one lambda a batch */
} pare_augment;
/* PARE_USAGE names a field out of range; pare_loader_create checks more, against the samples. */
pare_status pare_augment_check(const pare_augment *augment, pare_error *error);

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
    const int64_t *classes;       /* [batch × targets] of class targets after label_offset, or NULL */
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

/* Splits sample indices [0, count) into training and validation parts, seeded; the latter gets `fraction` (between 0
 * and 1) of the samples, rounded. Where `classes` is not NULL ([count], negative: unknown) each class is split in the
 * same proportion within one sample (stratified). Ascending order; *train and *validation are freed by the caller with
 * pare_free, and NULL on failure. PARE_USAGE when a part would be empty. */
pare_status pare_split_fraction(size_t count, const int64_t *classes, double fraction, uint64_t seed, size_t **train,
                                size_t *train_count, size_t **validation, size_t *validation_count, pare_error *error);
/* Fold `fold` of `folds` (stratified likewise): its samples are the validation part. Over all folds of one seed each
 * sample validates once; sizes differ by one at most. */
pare_status pare_split_fold(size_t count, const int64_t *classes, size_t folds, size_t fold, uint64_t seed,
                            size_t **train, size_t *train_count, size_t **validation, size_t *validation_count,
                            pare_error *error);
/* First class target of each sample of a data set, before any label_offset; pictures are not decoded. The caller frees
 * *classes with pare_free. NULL where the set has no class targets. */
pare_status pare_dataset_classes(pare_dataset *dataset, int64_t **classes, pare_error *error);

#endif
