#include "pare/split.h"

#include <string.h>

#include "pare/memory.h"
#include "pare/random.h"

pare_status pare_dataset_classes(pare_dataset *dataset, int64_t **classes, pare_error *error) {
    size_t count = pare_dataset_count(dataset);
    pare_sample sample = {0};
    pare_status status = PARE_OK;
    *classes = NULL;
    if (pare_dataset_info(dataset).target != PARE_TARGET_CLASS) {
        return PARE_OK;
    }
    if ((*classes = pare_alloc_zero(count + 1, sizeof **classes)) == NULL) {
        return pare_fail_memory(error, count * sizeof **classes);
    }
    for (size_t i = 0; status == PARE_OK && i < count; i++) {
        status = pare_dataset_read(dataset, i, &sample, error);
        if (status == PARE_OK) {
            (*classes)[i] = sample.classes[0];
        }
    }
    pare_sample_free(&sample);
    if (status != PARE_OK) {
        pare_free(*classes);
        *classes = NULL;
    }
    return status;
}

static int compare_class(const int64_t *classes, size_t a, size_t b) {
    int64_t left = classes != NULL ? classes[a] : 0, right = classes != NULL ? classes[b] : 0;
    return (left > right) - (left < right);
}

/* A stable merge sort by class keeps the shuffled order within each. */
static void sort_by_class(const int64_t *classes, size_t *order, size_t *spare, size_t count) {
    if (count < 2 || classes == NULL) {
        return;
    }
    size_t half = count / 2, i = 0, j = half, k = 0;
    sort_by_class(classes, order, spare, half);
    sort_by_class(classes, order + half, spare, count - half);
    while (i < half || j < count) {
        bool left = j == count || (i < half && compare_class(classes, order[i], order[j]) <= 0);
        spare[k++] = left ? order[i++] : order[j++];
    }
    memcpy(order, spare, count * sizeof *order);
}

/* order: samples, by class, shuffled within each. */
static pare_status shuffled_by_class(size_t count, const int64_t *classes, uint64_t seed, size_t **order,
                                     pare_error *error) {
    size_t *spare = pare_alloc(count * sizeof *spare + 1);
    pare_random random;
    *order = pare_alloc(count * sizeof **order + 1);
    if (*order == NULL || spare == NULL) {
        pare_free(spare);
        pare_free(*order);
        return pare_fail_memory(error, count * sizeof **order);
    }
    for (size_t i = 0; i < count; i++) {
        (*order)[i] = i;
    }
    pare_random_seed(&random, seed);
    pare_random_shuffle(&random, *order, count);
    sort_by_class(classes, *order, spare, count);
    pare_free(spare);
    return PARE_OK;
}

/* Splits in file order by the marks. */
static pare_status deal(size_t count, const bool *marks, size_t **train, size_t *train_count, size_t **validation,
                        size_t *validation_count, pare_error *error) {
    *train_count = *validation_count = 0;
    *train = pare_alloc(count * sizeof **train + 1);
    *validation = pare_alloc(count * sizeof **validation + 1);
    if (*train == NULL || *validation == NULL) {
        pare_free(*train);
        pare_free(*validation);
        *train = *validation = NULL;
        return pare_fail_memory(error, count * sizeof **train);
    }
    for (size_t i = 0; i < count; i++) {
        if (marks[i]) {
            (*validation)[(*validation_count)++] = i;
        } else {
            (*train)[(*train_count)++] = i;
        }
    }
    if (*train_count == 0 || *validation_count == 0) {
        pare_free(*train);
        pare_free(*validation);
        *train = *validation = NULL;
        return pare_fail(error, PARE_USAGE,
                         "expected samples for training and for validation, found %zu and %zu of %zu", *train_count,
                         *validation_count, count);
    }
    return PARE_OK;
}

/* Position p, counted over all classes one after another, is of the validation part where `belongs` says so. */
static pare_status split(size_t count, const int64_t *classes, uint64_t seed,
                         bool (*belongs)(const double *share, size_t position), const double *share, size_t **train,
                         size_t *train_count, size_t **validation, size_t *validation_count, pare_error *error) {
    size_t *order = NULL;
    bool *marks = pare_alloc_zero(count + 1, sizeof *marks);
    pare_status status =
        marks != NULL ? shuffled_by_class(count, classes, seed, &order, error) : pare_fail_memory(error, count);
    for (size_t p = 0; status == PARE_OK && p < count; p++) {
        marks[order[p]] = belongs(share, p);
    }
    if (status == PARE_OK) {
        status = deal(count, marks, train, train_count, validation, validation_count, error);
    }
    pare_free(order);
    pare_free(marks);
    return status;
}

static bool in_fraction(const double *share, size_t position) {
    /* Half a step further, so that the sizes of parts are rounded, not cut. */
    return (uint64_t)((double)(position + 1) * *share + 0.5) > (uint64_t)((double)position * *share + 0.5);
}

static bool in_fold(const double *share, size_t position) {
    return position % (size_t)share[0] == (size_t)share[1];
}

pare_status pare_split_fraction(size_t count, const int64_t *classes, double fraction, uint64_t seed, size_t **train,
                                size_t *train_count, size_t **validation, size_t *validation_count, pare_error *error) {
    if (!(fraction > 0 && fraction < 1)) {
        return pare_fail(error, PARE_USAGE, "expected a fraction between 0 and 1, found %g", fraction);
    }
    return split(count, classes, seed, in_fraction, &fraction, train, train_count, validation, validation_count, error);
}

pare_status pare_split_fold(size_t count, const int64_t *classes, size_t folds, size_t fold, uint64_t seed,
                            size_t **train, size_t *train_count, size_t **validation, size_t *validation_count,
                            pare_error *error) {
    if (folds < 2 || fold >= folds || folds > count) {
        return pare_fail(error, PARE_USAGE, "expected 2 to %zu folds, found %zu", count, folds);
    }
    double share[2] = {(double)folds, (double)fold};
    return split(count, classes, seed, in_fold, share, train, train_count, validation, validation_count, error);
}
