/* Training and validation parts. Both kinds of split walk one list, in which
 * the samples of a class stand together in seeded random order, and take
 * positions at an even distance: so each class gets its share within one sample,
 * and so does the whole. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pare/checked.h"
#include "pare/memory.h"
#include "pare/random.h"
#include "pare/split.h"

typedef struct entry {
    int64_t class;
    size_t place; /* in the shuffled order: what keeps the sort stable */
    size_t index;
} entry;

static int by_class(const void *a, const void *b) {
    const entry *one = a, *other = b;
    if (one->class != other->class) {
        return one->class < other->class ? -1 : 1;
    }
    return one->place < other->place ? -1 : one->place > other->place;
}

/* Classes in ascending order, each shuffled; the unknown (negative) are one
 * class. The caller frees *list. */
static pare_status list_by_class(size_t count, const int64_t *classes, uint64_t seed, entry **list, pare_error *error) {
    pare_random random;
    size_t bytes;
    size_t *order = pare_mul_size(count, sizeof *order, &bytes) ? pare_alloc(bytes) : NULL;
    *list = order == NULL ? NULL : pare_alloc_zero(count, sizeof **list);
    if (*list == NULL) {
        pare_free(order);
        return pare_fail_memory(error, count);
    }
    for (size_t i = 0; i < count; i++) {
        order[i] = i;
    }
    pare_random_seed(&random, seed);
    pare_random_shuffle(&random, order, count);
    for (size_t i = 0; i < count; i++) {
        int64_t class = classes == NULL ? 0 : classes[order[i]];
        (*list)[i] = (entry){class < 0 ? -1 : class, i, order[i]};
    }
    qsort(*list, count, sizeof **list, by_class);
    pare_free(order);
    return PARE_OK;
}

/* The two parts, in ascending order. */
static pare_status deliver(const bool *validates, size_t count, size_t **train, size_t *train_count,
                           size_t **validation, size_t *validation_count, pare_error *error) {
    size_t chosen = 0;
    for (size_t i = 0; i < count; i++) {
        chosen += validates[i];
    }
    if (chosen == 0 || chosen == count) {
        return pare_fail(error, PARE_USAGE,
                         "expected samples in both parts, found %zu for training and %zu for validation",
                         count - chosen, chosen);
    }
    *train = pare_alloc_zero(count - chosen, sizeof **train);
    *validation = pare_alloc_zero(chosen, sizeof **validation);
    if (*train == NULL || *validation == NULL) {
        pare_free(*train);
        pare_free(*validation);
        *train = *validation = NULL;
        return pare_fail_memory(error, count * sizeof **train);
    }
    *train_count = *validation_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (validates[i]) {
            (*validation)[(*validation_count)++] = i;
        } else {
            (*train)[(*train_count)++] = i;
        }
    }
    return PARE_OK;
}

/* Position p of the list validates when p + 1 samples hold more of the share than p. */
static bool takes_fraction(size_t position, double fraction) {
    return floor(((double)position + 1) * fraction + 0.5) > floor((double)position * fraction + 0.5);
}

/* With `folds` 0 by the fraction, else position p belongs to fold p mod folds. */
static pare_status split(size_t count, const int64_t *classes, double fraction, size_t folds, size_t fold,
                         uint64_t seed, size_t **train, size_t *train_count, size_t **validation,
                         size_t *validation_count, pare_error *error) {
    entry *list = NULL;
    bool *validates = pare_alloc_zero(count, sizeof *validates);
    pare_status status =
        validates == NULL ? pare_fail_memory(error, count) : list_by_class(count, classes, seed, &list, error);
    for (size_t i = 0; status == PARE_OK && i < count; i++) {
        validates[list[i].index] = folds == 0 ? takes_fraction(i, fraction) : i % folds == fold;
    }
    if (status == PARE_OK) {
        status = deliver(validates, count, train, train_count, validation, validation_count, error);
    }
    pare_free(list);
    pare_free(validates);
    return status;
}

pare_status pare_split_fraction(size_t count, const int64_t *classes, double fraction, uint64_t seed, size_t **train,
                                size_t *train_count, size_t **validation, size_t *validation_count, pare_error *error) {
    *train = *validation = NULL;
    if (!(fraction > 0 && fraction < 1)) {
        return pare_fail(error, PARE_USAGE, "expected a validation fraction between 0 and 1, found %g", fraction);
    }
    pare_status status =
        split(count, classes, fraction, 0, 0, seed, train, train_count, validation, validation_count, error);
    if (status == PARE_USAGE) {
        pare_error_prefix(error, "validation fraction %g of %zu samples: ", fraction, count);
    }
    return status;
}

pare_status pare_split_fold(size_t count, const int64_t *classes, size_t folds, size_t fold, uint64_t seed,
                            size_t **train, size_t *train_count, size_t **validation, size_t *validation_count,
                            pare_error *error) {
    *train = *validation = NULL;
    if (folds < 2 || folds > count) {
        return pare_fail(error, PARE_USAGE, "expected 2 to %zu folds, one sample each at least, found %zu", count,
                         folds);
    }
    if (fold >= folds) {
        return pare_fail(error, PARE_USAGE, "expected a fold below %zu, found %zu", folds, fold);
    }
    return split(count, classes, 0, folds, fold, seed, train, train_count, validation, validation_count, error);
}

pare_status pare_dataset_classes(pare_dataset *dataset, int64_t **classes, pare_error *error) {
    pare_sample_info info = pare_dataset_info(dataset);
    size_t count = pare_dataset_count(dataset);
    *classes = NULL;
    if (info.target != PARE_TARGET_CLASS || info.target_count == 0) {
        return PARE_OK;
    }
    int64_t *found = pare_alloc_zero(count, sizeof *found);
    if (found == NULL) {
        return pare_fail_memory(error, count * sizeof *found);
    }
    pare_sample sample = {0};
    pare_status status = PARE_OK;
    for (size_t i = 0; status == PARE_OK && i < count; i++) {
        status = pare_dataset_read_targets(dataset, i, &sample, error);
        found[i] = status == PARE_OK ? sample.classes[0] : 0;
    }
    pare_sample_free(&sample);
    if (status != PARE_OK) {
        pare_free(found);
        return status;
    }
    *classes = found;
    return PARE_OK;
}
