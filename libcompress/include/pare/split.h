/* Training and validation parts of a data set. */
#ifndef PARE_SPLIT_H
#define PARE_SPLIT_H

#include "pare/dataset.h"

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
