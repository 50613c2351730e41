#include "pare/split.h"

#include <math.h>

#include "../dataset/dataset_files.h"

typedef struct parts {
    size_t *train, *validation;
    size_t train_count, validation_count;
    pare_error error;
    pare_status status;
} parts;

static parts by_fraction(size_t count, const int64_t *classes, double fraction, uint64_t seed) {
    parts p = {0};
    p.status = pare_split_fraction(count, classes, fraction, seed, &p.train, &p.train_count, &p.validation,
                                   &p.validation_count, &p.error);
    return p;
}

static parts by_fold(size_t count, const int64_t *classes, size_t folds, size_t fold, uint64_t seed) {
    parts p = {0};
    p.status = pare_split_fold(count, classes, folds, fold, seed, &p.train, &p.train_count, &p.validation,
                               &p.validation_count, &p.error);
    return p;
}

static void parts_free(parts *p) {
    pare_free(p->train);
    pare_free(p->validation);
}

/* Both ascending, and together each sample once. */
static void assert_partition(const parts *p, size_t count) {
    assert_ok(p->status, &p->error);
    assert_int_equal(p->train_count + p->validation_count, count);
    size_t t = 0, v = 0;
    for (size_t i = 0; i < count; i++) {
        if (t < p->train_count && p->train[t] == i) {
            t++;
        } else {
            assert_true(v < p->validation_count && p->validation[v] == i);
            v++;
        }
    }
}

static size_t of_class(const size_t *indices, size_t count, const int64_t *classes, int64_t class) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        found += classes[indices[i]] == class;
    }
    return found;
}

#define COUNT 1003

/* 700, 200, 90, 10, 2 and 1 samples of classes 0, 1, 2, 7, the largest number and unknown; 3 to 6 are empty. */
static const int64_t CLASSES[6] = {0, 1, 2, 7, INT64_MAX, -5};
static const size_t SIZES[6] = {700, 200, 90, 10, 2, 1};

static void make_classes(int64_t *classes) {
    size_t at = 0;
    for (size_t c = 0; c < 6; c++) {
        for (size_t i = 0; i < SIZES[c]; i++, at++) {
            classes[at * 619 % COUNT] = CLASSES[c]; /* scattered: 619 and 1003 have no common factor */
        }
    }
}

static void each_class_keeps_its_proportion(void **state) {
    (void)state;
    static int64_t classes[COUNT];
    static const double fractions[4] = {0.1, 0.25, 1.0 / 3, 0.9};
    make_classes(classes);
    for (size_t f = 0; f < 4; f++) {
        for (uint64_t seed = 0; seed < 5; seed++) {
            parts p = by_fraction(COUNT, classes, fractions[f], seed);
            assert_partition(&p, COUNT);
            assert_int_equal(p.validation_count, lround(COUNT * fractions[f]));
            for (size_t c = 0; c < 6; c++) {
                size_t found = of_class(p.validation, p.validation_count, classes, CLASSES[c]);
                assert_true(fabs((double)found - (double)SIZES[c] * fractions[f]) < 1);
            }
            parts_free(&p);
        }
    }
}

static bool same_parts(const parts *a, const parts *b) {
    return a->validation_count == b->validation_count &&
           memcmp(a->validation, b->validation, a->validation_count * sizeof *a->validation) == 0;
}

static void the_seed_decides(void **state) {
    (void)state;
    static int64_t classes[COUNT];
    make_classes(classes);
    for (int labelled = 0; labelled < 2; labelled++) {
        const int64_t *known = labelled ? classes : NULL;
        parts a = by_fraction(COUNT, known, 0.2, 11), b = by_fraction(COUNT, known, 0.2, 11);
        parts c = by_fraction(COUNT, known, 0.2, 12);
        assert_partition(&a, COUNT);
        assert_int_equal(a.validation_count, 201);
        assert_true(same_parts(&a, &b));
        assert_false(same_parts(&a, &c));
        parts_free(&a);
        parts_free(&b);
        parts_free(&c);
    }
}

static void a_part_that_would_be_empty_is_refused(void **state) {
    (void)state;
    static const double outside[5] = {0, 1, -0.5, 1.5, NAN};
    size_t before = pare_memory_used();
    parts p = by_fraction(3, NULL, 0.1, 1);
    assert_fails(p.status, PARE_USAGE, &p.error,
                 "validation fraction 0.1 of 3 samples: expected samples in both parts, found 3 for training and 0");
    assert_true(p.train == NULL && p.validation == NULL);
    p = by_fraction(3, NULL, 0.95, 1);
    assert_fails(p.status, PARE_USAGE, &p.error, "found 0 for training and 3 for validation");
    p = by_fraction(1, NULL, 0.5, 1);
    assert_fails(p.status, PARE_USAGE, &p.error, "found 0 for training and 1");
    p = by_fraction(0, NULL, 0.5, 1);
    assert_fails(p.status, PARE_USAGE, &p.error, "0 samples");
    for (size_t i = 0; i < 5; i++) {
        p = by_fraction(10, NULL, outside[i], 1);
        assert_fails(p.status, PARE_USAGE, &p.error, "between 0 and 1");
    }
    assert_int_equal(pare_memory_used(), before);
}

static void over_all_folds_each_sample_validates_once(void **state) {
    (void)state;
    static int64_t classes[COUNT];
    static const size_t folds[3] = {2, 5, 10};
    make_classes(classes);
    for (size_t k = 0; k < 3; k++) {
        static int seen[COUNT];
        memset(seen, 0, sizeof seen);
        for (size_t fold = 0; fold < folds[k]; fold++) {
            parts p = by_fold(COUNT, classes, folds[k], fold, 3);
            assert_partition(&p, COUNT);
            assert_in_range(p.validation_count, COUNT / folds[k], COUNT / folds[k] + 1);
            for (size_t i = 0; i < p.validation_count; i++) {
                seen[p.validation[i]]++;
            }
            for (size_t c = 0; c < 6; c++) {
                size_t found = of_class(p.validation, p.validation_count, classes, CLASSES[c]);
                assert_in_range(found, SIZES[c] / folds[k], SIZES[c] / folds[k] + 1);
            }
            parts_free(&p);
        }
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(seen[i], 1);
        }
    }
}

static void folds_that_cannot_be_are_refused(void **state) {
    (void)state;
    parts p = by_fold(10, NULL, 10, 9, 1);
    assert_partition(&p, 10);
    assert_int_equal(p.validation_count, 1);
    parts_free(&p);
    p = by_fold(10, NULL, 11, 0, 1);
    assert_fails(p.status, PARE_USAGE, &p.error, "2 to 10 folds, one sample each at least, found 11");
    p = by_fold(10, NULL, 1, 0, 1);
    assert_fails(p.status, PARE_USAGE, &p.error, "found 1");
    p = by_fold(10, NULL, 5, 5, 1);
    assert_fails(p.status, PARE_USAGE, &p.error, "below 5, found 5");
}

static void without_memory_nothing_is_left(void **state) {
    (void)state;
    size_t before = pare_memory_used();
    parts p = {.status = PARE_LIMIT};
    size_t n = 1;
    for (; p.status != PARE_OK; n++) {
        pare_memory_fail_at(n, false);
        p = by_fraction(100, NULL, 0.5, 1);
        pare_memory_fail_at(0, false);
        assert_true(p.status == PARE_OK || p.status == PARE_LIMIT);
        assert_true(p.status == PARE_OK || pare_memory_used() == before);
    }
    assert_true(n > 4);
    parts_free(&p);
}

static int64_t *must_read_classes(const char *spec, size_t count) {
    pare_dataset *d = must_open(spec);
    pare_error error = {0};
    int64_t *classes = NULL;
    assert_int_equal(pare_dataset_count(d), count);
    assert_ok(pare_dataset_classes(d, &classes, &error), &error);
    pare_dataset_close(d);
    return classes;
}

#define RECORD 3073

static void classes_of_cifar_and_of_a_part(void **state) {
    (void)state;
    static uint8_t file[20 * RECORD];
    for (size_t i = 0; i < 20; i++) {
        file[i * RECORD] = (uint8_t)(i * 7 % 10);
    }
    put_file("c.bin", file, sizeof file);
    int64_t *classes = must_read_classes(make_spec("cifar10", "c.bin", NULL, "#5:15"), 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(classes[i], (i + 5) * 7 % 10);
    }
    pare_free(classes);

    file[17 * RECORD] = 10;
    put_file("bad.bin", file, sizeof file);
    size_t before = pare_memory_used();
    pare_dataset *d = must_open(make_spec("cifar10", "bad.bin", NULL, ""));
    pare_error error = {0};
    assert_fails(pare_dataset_classes(d, &classes, &error), PARE_BAD_INPUT, &error,
                 "expected a label below 10, found 10");
    assert_null(classes);
    pare_dataset_close(d);
    assert_int_equal(pare_memory_used(), before);
}

static void classes_of_idx_with_and_without_labels(void **state) {
    (void)state;
    static const uint8_t images[16 + 3 * 4] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2};
    static const uint8_t labels[8 + 3] = {0, 0, 8, 1, 0, 0, 0, 3, 4, 250, 0};
    put_file("i.idx", images, sizeof images);
    put_file("l.idx", labels, sizeof labels);
    int64_t *classes = must_read_classes(make_spec("idx", "i.idx", "l.idx", ""), 3);
    assert_true(classes[0] == 4 && classes[1] == 250 && classes[2] == 0);
    pare_free(classes);
    assert_null(must_read_classes(make_spec("idx", "i.idx", NULL, ""), 3));
}

static void classes_of_tables(void **state) {
    (void)state;
    put_text("t.csv", "a,b\n1,3\n2,0\n");
    int64_t *classes = must_read_classes(make_spec("csv", "t.csv", NULL, "?class=b"), 2);
    assert_true(classes[0] == 3 && classes[1] == 0);
    pare_free(classes);
    assert_null(must_read_classes(make_spec("csv", "t.csv", NULL, "?target=b"), 2));
}

/* Labels come from the table alone: these "pictures" cannot be decoded. */
static void classes_of_pictures_that_are_not_opened(void **state) {
    (void)state;
    put_text("a.png", "not a picture");
    put_text("labels.csv", "file,label\na.png,7\nmissing.png,2\n");
    const char *folder = test_folder();
    char spec[5000];
    snprintf(spec, sizeof spec, "images:%s?labels=labels.csv", folder);
    int64_t *classes = must_read_classes(spec, 2);
    assert_true(classes[0] == 7 && classes[1] == 2);
    pare_free(classes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_class_keeps_its_proportion),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(a_part_that_would_be_empty_is_refused),
        cmocka_unit_test(over_all_folds_each_sample_validates_once),
        cmocka_unit_test(folds_that_cannot_be_are_refused),
        cmocka_unit_test(without_memory_nothing_is_left),
        cmocka_unit_test(classes_of_cifar_and_of_a_part),
        cmocka_unit_test(classes_of_idx_with_and_without_labels),
        cmocka_unit_test(classes_of_tables),
        cmocka_unit_test(classes_of_pictures_that_are_not_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
