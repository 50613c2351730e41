#include <math.h>
#include <time.h>

#include "loader_files.h"

static const pare_augment EVERYTHING = {.flip_horizontal = true,
                                        .flip_vertical = true,
                                        .crop_padding = 4,
                                        .shift = 2,
                                        .rotation = 15,
                                        .brightness = 0.2,
                                        .contrast = 0.2,
                                        .cutout = 8,
                                        .noise = 0.05,
                                        .mixup = 0.3};

static void pause_microseconds(long microseconds) {
    struct timespec time = {0, microseconds * 1000};
    nanosleep(&time, NULL);
}

static void each_sample_comes_once_an_epoch(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(10);
    pare_loader *loader = must_create(d, &options);
    assert_int_equal(pare_loader_batches(loader), 5);
    size_t orders[3][COUNT];
    for (uint64_t epoch = 0; epoch < 3; epoch++) {
        int seen[COUNT] = {0};
        for (uint64_t b = 0; b < 5; b++) {
            pare_batch batch = must_next(loader);
            assert_true(batch.epoch == epoch && batch.batch_in_epoch == b);
            assert_true(batch.targets == 1 && batch.mixed_classes == NULL && batch.values == NULL && batch.lambda == 1);
            for (size_t i = 0; i < 10; i++) {
                seen[batch.samples[i]]++;
                assert_int_equal(batch.classes[i], batch.samples[i] % 10);
                orders[epoch][b * 10 + i] = batch.samples[i];
            }
        }
        for (size_t i = 0; i < COUNT; i++) {
            assert_int_equal(seen[i], 1);
        }
    }
    assert_memory_not_equal(orders[0], orders[1], sizeof orders[0]);
    assert_memory_not_equal(orders[1], orders[2], sizeof orders[0]);
    pare_loader_free(loader);
    pare_dataset_close(d);
}

static void without_shuffling_the_order_is_that_of_the_set(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(8);
    options.shuffle = false;
    pare_loader *loader = must_create(d, &options);
    assert_int_equal(pare_loader_batches(loader), 6); /* samples 48 and 49 are left out */
    for (size_t b = 0; b < 12; b++) {
        pare_batch batch = must_next(loader);
        assert_int_equal(batch.epoch, b / 6);
        for (size_t i = 0; i < 8; i++) {
            assert_int_equal(batch.samples[i], b % 6 * 8 + i);
        }
    }
    pare_loader_free(loader);
    pare_dataset_close(d);
}

static void the_partial_batch_left_out_differs(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(30);
    pare_loader *loader = must_create(d, &options);
    assert_int_equal(pare_loader_batches(loader), 1);
    bool seen[COUNT] = {false};
    for (int epoch = 0; epoch < 20; epoch++) {
        pare_batch batch = must_next(loader);
        for (size_t i = 0; i < 30; i++) {
            seen[batch.samples[i]] = true;
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(seen[i]);
    }
    pare_loader_free(loader);
    pare_dataset_close(d);
}

/* The preprocessed sample, from the data set itself. */
static void expected_input(pare_dataset *d, size_t index, float *out) {
    pare_sample sample = {0};
    pare_preprocess_scratch scratch = {0};
    pare_sample_info info = pare_dataset_info(d);
    pare_error error = {0};
    assert_ok(pare_dataset_read(d, index, &sample, &error), &error);
    assert_ok(pare_preprocess_apply(&NORMALISED, &info, &sample, &PICTURE, PARE_F32, out, &scratch, &error), &error);
    pare_sample_free(&sample);
    pare_preprocess_scratch_free(&scratch);
}

static void inputs_are_the_preprocessed_samples(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(7);
    pare_loader *loader = must_create(d, &options);
    static float inputs[7 * ELEMENTS], expected[ELEMENTS];
    size_t samples[7];
    pare_batch batch = must_next(loader);
    memcpy(inputs, batch.inputs, sizeof inputs);
    memcpy(samples, batch.samples, sizeof samples);
    pare_loader_free(loader); /* the set is ours again */
    for (size_t i = 0; i < 7; i++) {
        expected_input(d, samples[i], expected);
        assert_memory_equal(inputs + i * ELEMENTS, expected, sizeof expected);
    }
    pare_dataset_close(d);
}

/* All that a batch holds, in a row. */
typedef struct kept_batch {
    float inputs[12 * ELEMENTS];
    int64_t classes[12], mixed_classes[12];
    size_t samples[12];
    float lambda;
} kept_batch;

#define KEPT 8 /* two epochs of 4 × 12 */

static void keep(const pare_batch *batch, size_t count, size_t first, kept_batch *kept) {
    memcpy(kept->inputs + first * ELEMENTS, batch->inputs, count * ELEMENTS * sizeof(float));
    memcpy(kept->classes + first, batch->classes, count * sizeof(int64_t));
    memcpy(kept->mixed_classes + first, batch->mixed_classes, count * sizeof(int64_t));
    memcpy(kept->samples + first, batch->samples, count * sizeof(size_t));
    kept->lambda = batch->lambda;
}

static kept_batch *run_all(pare_dataset *d, const pare_loader_options *options, bool slow) {
    kept_batch *kept = calloc(KEPT, sizeof *kept);
    assert_non_null(kept);
    pare_loader *loader = must_create(d, options);
    for (size_t b = 0; b < KEPT; b++) {
        pare_batch batch = must_next(loader);
        if (slow) {
            pause_microseconds((long)(b * 7 % 4) * 2000);
        }
        keep(&batch, 12, 0, &kept[b]);
    }
    pare_loader_free(loader);
    return kept;
}

static void one_seed_gives_the_same_bytes_at_any_pace(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(12);
    options.augment = EVERYTHING;
    kept_batch *quick = run_all(d, &options, false), *slow = run_all(d, &options, true);
    assert_memory_equal(quick, slow, KEPT * sizeof *quick);
    options.seed++;
    kept_batch *other = run_all(d, &options, false);
    assert_memory_not_equal(quick->samples, other->samples, sizeof quick->samples);
    free(quick);
    free(slow);
    free(other);
    pare_dataset_close(d);
}

/* The same picture is changed otherwise in another epoch, and at another place. */
static void no_two_changes_are_alike(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(4);
    static const size_t same[8] = {3, 3, 3, 3, 3, 3, 3, 3};
    options.indices = same;
    options.index_count = 8;
    options.augment.noise = 0.1;
    pare_loader *loader = must_create(d, &options);
    static float first[16];
    for (size_t b = 0; b < 4; b++) { /* two epochs */
        pare_batch batch = must_next(loader);
        for (size_t i = 0; i < 4; i++) {
            first[b * 4 + i] = ((const float *)batch.inputs)[i * ELEMENTS];
        }
    }
    for (size_t i = 0; i < 16; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_true(first[i] != first[k]);
        }
    }
    pare_loader_free(loader);
    pare_dataset_close(d);
}

static void seeking_continues_as_if_it_had_run(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(12);
    options.augment = EVERYTHING;
    kept_batch *whole = run_all(d, &options, false);
    static kept_batch one;
    static const size_t targets[10] = {6, 1, 0, 7, 3, 4, 4, 2, 5, 1};
    pare_loader *loader = must_create(d, &options);
    pare_error error = {0};
    for (size_t t = 0; t < 10; t++) {
        /* A seek that the next one overtakes, at different moments. */
        assert_ok(pare_loader_seek(loader, 9, 3, &error), &error);
        pause_microseconds((long)t * 300);
        assert_ok(pare_loader_seek(loader, targets[t] / 4, targets[t] % 4, &error), &error);
        for (size_t b = targets[t]; b < KEPT && b < targets[t] + 3; b++) {
            pare_batch batch = must_next(loader);
            assert_true(batch.epoch == b / 4 && batch.batch_in_epoch == b % 4);
            memset(&one, 0, sizeof one);
            keep(&batch, 12, 0, &one);
            assert_memory_equal(&one, &whole[b], sizeof one);
        }
    }
    assert_fails(pare_loader_seek(loader, 0, 4, &error), PARE_USAGE, &error, "below the 4 of an epoch, found 4");
    pare_loader_free(loader);
    free(whole);
    pare_dataset_close(d);
}

/* Batches of 3 machines together are the batch of one. */
static void ranks_share_the_batch(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(12);
    options.augment = EVERYTHING;
    kept_batch *whole = run_all(d, &options, false);
    kept_batch *joined = calloc(KEPT, sizeof *joined);
    assert_non_null(joined);
    options.batch = 4;
    options.ranks = 3;
    for (size_t rank = 0; rank < 3; rank++) {
        options.rank = rank;
        pare_loader *loader = must_create(d, &options);
        assert_int_equal(pare_loader_batches(loader), 4);
        for (size_t b = 0; b < KEPT; b++) {
            pare_batch batch = must_next(loader);
            keep(&batch, 4, rank * 4, &joined[b]);
        }
        pare_loader_free(loader);
    }
    assert_memory_equal(whole, joined, KEPT * sizeof *whole);
    free(whole);
    free(joined);
    pare_dataset_close(d);
}

static void mixup_mixes_neighbours_and_names_both_classes(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(5);
    options.augment.mixup = 1;
    pare_loader *loader = must_create(d, &options);
    static float inputs[4][5 * ELEMENTS], plain[6 * ELEMENTS];
    size_t samples[4][5];
    float lambdas[4];
    for (size_t b = 0; b < 4; b++) {
        pare_batch batch = must_next(loader);
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(batch.classes[i], batch.samples[i] % 10);
            assert_int_equal(batch.mixed_classes[i], batch.samples[(i + 1) % 5] % 10);
        }
        memcpy(inputs[b], batch.inputs, sizeof inputs[b]);
        memcpy(samples[b], batch.samples, sizeof samples[b]);
        lambdas[b] = batch.lambda;
        assert_true(batch.lambda >= 0 && batch.lambda <= 1);
    }
    pare_loader_free(loader);
    assert_true(lambdas[0] != lambdas[1] && lambdas[1] != lambdas[2] && lambdas[2] != lambdas[3]);
    for (size_t b = 0; b < 4; b++) {
        for (size_t i = 0; i < 6; i++) {
            expected_input(d, samples[b][i % 5], plain + i * ELEMENTS);
        }
        for (size_t i = 0; i < 5 * ELEMENTS; i++) {
            double expected =
                (double)lambdas[b] * (double)plain[i] + (1 - (double)lambdas[b]) * (double)plain[i + ELEMENTS];
            assert_true(fabs((double)inputs[b][i] - expected) < 1e-6);
        }
    }
    pare_dataset_close(d);
}

static void mixup_mixes_values_too(void **state) {
    (void)state;
    static const float numbers[8] = {0, 1, 10, 11, 20, 21, 30, 31}, targets[4] = {100, 200, 300, 400};
    pare_dataset *d = open_numbers(numbers, 4, 2, targets);
    pare_preprocess identity = {0};
    pare_loader_options options = {.preprocess = &identity,
                                   .input = {1, {2}},
                                   .dtype = PARE_F32,
                                   .batch = 4,
                                   .seed = 3,
                                   .augment = {.mixup = 1},
                                   .ranks = 1};
    pare_loader *loader = must_create(d, &options);
    pare_batch batch = must_next(loader);
    assert_true(batch.classes == NULL && batch.mixed_classes == NULL && batch.targets == 1);
    for (size_t i = 0; i < 4; i++) {
        double other = 1 - (double)batch.lambda,
               mixed = (double)batch.lambda * (double)targets[i] + other * (double)targets[(i + 1) % 4];
        assert_true(fabs((double)batch.values[i] - mixed) < 1e-4);
        mixed = (double)batch.lambda * (double)numbers[2 * i] + other * (double)numbers[(2 * i + 2) % 8];
        assert_true(fabs((double)((const float *)batch.inputs)[2 * i] - mixed) < 1e-5);
    }
    pare_loader_free(loader);
    pare_dataset_close(d);
}

static void only_the_indices_given_are_drawn(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    size_t indices[9] = {1, 4, 9, 16, 25, 36, 49, 2, 3};
    pare_loader_options options = picture_options(3);
    options.indices = indices;
    options.index_count = 9;
    pare_loader *loader = must_create(d, &options);
    static const size_t copied[9] = {1, 4, 9, 16, 25, 36, 49, 2, 3};
    memset(indices, 0, sizeof indices); /* the loader has its own */
    int seen[COUNT] = {0};
    for (size_t b = 0; b < 3; b++) {
        pare_batch batch = must_next(loader);
        for (size_t i = 0; i < 3; i++) {
            seen[batch.samples[i]]++;
        }
    }
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(seen[copied[i]], 1);
    }
    pare_loader_free(loader);
    pare_dataset_close(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sample_comes_once_an_epoch),
        cmocka_unit_test(without_shuffling_the_order_is_that_of_the_set),
        cmocka_unit_test(the_partial_batch_left_out_differs),
        cmocka_unit_test(inputs_are_the_preprocessed_samples),
        cmocka_unit_test(one_seed_gives_the_same_bytes_at_any_pace),
        cmocka_unit_test(no_two_changes_are_alike),
        cmocka_unit_test(seeking_continues_as_if_it_had_run),
        cmocka_unit_test(ranks_share_the_batch),
        cmocka_unit_test(mixup_mixes_neighbours_and_names_both_classes),
        cmocka_unit_test(mixup_mixes_values_too),
        cmocka_unit_test(only_the_indices_given_are_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
