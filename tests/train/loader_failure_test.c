#include <math.h>
#include <time.h>

#include "loader_files.h"
#include "pare/memory.h"

static void create_refuses(pare_dataset *dataset, const pare_loader_options *options, const char *text) {
    size_t before = pare_memory_used();
    pare_loader *loader = NULL;
    pare_error error = {0};
    assert_fails(pare_loader_create(dataset, options, &loader, &error), PARE_USAGE, &error, text);
    assert_null(loader);
    assert_int_equal(pare_memory_used(), before);
}

static void a_batch_larger_than_the_set(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(51);
    static const size_t few[3] = {0, 1, 2};
    create_refuses(d, &options, "expected a batch of at most the 50 samples there are, found 51 on 1 machine");
    options.batch = 26;
    options.ranks = 2;
    create_refuses(d, &options, "the 50 samples there are, found 26 on 2 machines");
    options.batch = SIZE_MAX / 2;
    options.ranks = 4; /* overflows */
    create_refuses(d, &options, "50 samples");
    options = picture_options(4);
    options.indices = few;
    options.index_count = 3;
    create_refuses(d, &options, "the 3 samples there are, found 4");
    options.index_count = 0;
    create_refuses(d, &options, "the 0 samples there are, found 4");
    pare_dataset_close(d);
}

static void options_that_make_no_sense(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    static const size_t beyond[4] = {0, 1, COUNT, 2};
    pare_loader_options options = picture_options(0);
    create_refuses(d, &options, "at least 1");
    options = picture_options(4);
    options.rank = 2;
    options.ranks = 2;
    create_refuses(d, &options, "a rank below 2, found 4 and rank 2");
    options.ranks = 0;
    create_refuses(d, &options, "a rank below 0");
    options = picture_options(4);
    options.dtype = PARE_U8;
    create_refuses(d, &options, "float32 or int64 to train, found uint8");
    options = picture_options(4);
    options.indices = beyond;
    options.index_count = 4;
    create_refuses(d, &options, "indices below 50, found 50");
    options = picture_options(4);
    options.augment.rotation = -1;
    create_refuses(d, &options, "rotation from 0 to 180, found -1");
    options = picture_options(4);
    options.augment.crop_padding = 32;
    create_refuses(d, &options, "crop_padding of at most 31 for pictures of 32 x 32, found 32");
    options.preprocess = NULL;
    create_refuses(d, &options, "found NULL");
    pare_dataset_close(d);
}

#define ROWS 12

/* Sample `broken` holds a NaN; an order of the set, batches of 3. */
static pare_loader *open_broken(size_t broken, pare_dataset **dataset) {
    static const pare_preprocess identity = {0};
    float numbers[ROWS * 2] = {0};
    numbers[broken * 2 + 1] = NAN;
    *dataset = open_numbers(numbers, ROWS, 2, NULL);
    pare_loader_options options = {
        .preprocess = &identity, .input = {1, {2}}, .dtype = PARE_F32, .batch = 3, .ranks = 1};
    return must_create(*dataset, &options);
}

static void a_broken_sample_fails_its_batch(void **state) {
    (void)state;
    pare_dataset *d;
    pare_loader *loader = open_broken(7, &d);
    pare_batch batch;
    pare_error error = {0};
    must_next(loader);
    must_next(loader);
    for (int i = 0; i < 3; i++) { /* and it stays so */
        error = (pare_error){0};
        assert_fails(pare_loader_next(loader, &batch, &error), PARE_BAD_INPUT, &error,
                     "sample 7: expected finite numbers, found nan at element 1");
    }
    assert_int_equal(pare_loader_next(loader, &batch, NULL), PARE_BAD_INPUT);
    /* What lies elsewhere can still be had, until the sample's turn comes again. */
    assert_ok(pare_loader_seek(loader, 0, 3, &error), &error);
    assert_int_equal(must_next(loader).samples[0], 9);
    assert_int_equal(must_next(loader).epoch, 1);
    must_next(loader);
    assert_fails(pare_loader_next(loader, &batch, &error), PARE_BAD_INPUT, &error, "sample 7");
    pare_loader_free(loader);
    pare_dataset_close(d);
}

static void a_failed_loader_can_be_freed_at_once(void **state) {
    (void)state;
    for (long microseconds = 0; microseconds < 400; microseconds += 50) {
        pare_dataset *d;
        pare_loader *loader = open_broken(0, &d);
        struct timespec time = {0, microseconds * 1000};
        nanosleep(&time, NULL);
        pare_loader_free(loader);
        pare_dataset_close(d);
    }
    pare_loader_free(NULL);
}

static void a_label_outside_the_classes_is_delivered_with_its_file(void **state) {
    (void)state;
    static uint8_t file[6 * RECORD];
    file[4 * RECORD] = 12;
    put_file("label.bin", file, sizeof file);
    pare_dataset *d = must_open(make_spec("cifar10", "label.bin", NULL, ""));
    pare_loader_options options = picture_options(3);
    options.shuffle = false;
    pare_loader *loader = must_create(d, &options);
    pare_batch batch;
    pare_error error = {0};
    must_next(loader);
    assert_fails(pare_loader_next(loader, &batch, &error), PARE_BAD_INPUT, &error,
                 "label.bin: expected a label below 10, found 12");
    assert_int_equal(error.offset, 4 * RECORD);
    pare_loader_free(loader);
    pare_dataset_close(d);
}

static void pictures_of_another_size_are_named(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(3);
    options.input.dims[2] = 28;
    options.shuffle = false;
    pare_loader *loader = must_create(d, &options);
    pare_batch batch;
    pare_error error = {0};
    assert_fails(pare_loader_next(loader, &batch, &error), PARE_BAD_INPUT, &error,
                 "sample 0: model expects an input of 3x32x28");
    pare_loader_free(loader);
    pare_dataset_close(d);
}

/* int64 [4, 3] tokens with an int64 [4] target each. */
static pare_dataset *open_tokens(int64_t last_target) {
    int64_t tokens[12], targets[4] = {5, 6, 7, last_target};
    uint8_t file[128 + sizeof tokens];
    for (size_t i = 0; i < 12; i++) {
        tokens[i] = (int64_t)(i * 1000000007);
    }
    for (int kind = 0; kind < 2; kind++) {
        memset(file, ' ', 128);
        memcpy(file, "\x93NUMPY\x01\x00\x76\x00", 10);
        const char *dict = kind == 0 ? "{'descr':'<i8','fortran_order':False,'shape':(4,3)}"
                                     : "{'descr':'<i8','fortran_order':False,'shape':(4,)}";
        memcpy(file + 10, dict, strlen(dict));
        file[127] = '\n';
        size_t bytes = kind == 0 ? sizeof tokens : sizeof targets;
        memcpy(file + 128, kind == 0 ? tokens : targets, bytes);
        put_file(kind == 0 ? "t.npy" : "n.npy", file, 128 + bytes);
    }
    return must_open(make_spec("npy", "t.npy", "n.npy", ""));
}

static void tokens_pass_and_labels_are_offset(void **state) {
    (void)state;
    pare_preprocess preprocess = {.label_offset = -5};
    pare_loader_options options = {
        .preprocess = &preprocess, .input = {1, {3}}, .dtype = PARE_S64, .batch = 2, .ranks = 1};
    pare_dataset *d = open_tokens(-1);
    pare_loader *loader = must_create(d, &options);
    pare_batch batch = must_next(loader);
    assert_true(batch.classes[0] == 0 && batch.classes[1] == 1);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(((const int64_t *)batch.inputs)[i], i * 1000000007);
    }
    batch = must_next(loader);
    assert_true(batch.classes[0] == 2 && batch.classes[1] < 0); /* no label, whatever the offset */
    pare_loader_free(loader);
    pare_dataset_close(d);
    d = open_tokens(INT64_MAX);
    preprocess.label_offset = 5;
    loader = must_create(d, &options);
    pare_error error = {0};
    (void)must_next(loader);
    assert_fails(pare_loader_next(loader, &batch, &error), PARE_BAD_INPUT, &error, "overflows with its offset");
    pare_loader_free(loader);
    options.augment.noise = 1;
    create_refuses(d, &options, "noise needs a model input of float32, found int64");
    pare_dataset_close(d);
}

static void a_step_allocates_nothing(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(8);
    options.augment = (pare_augment){.flip_horizontal = true, .crop_padding = 4, .rotation = 10, .mixup = 0.2};
    pare_loader *loader = must_create(d, &options);
    must_next(loader);
    size_t calls = pare_memory_calls();
    for (int i = 0; i < 20; i++) {
        must_next(loader);
    }
    assert_int_equal(pare_memory_calls(), calls);
    pare_loader_free(loader);
    pare_dataset_close(d);
}

/* Allocation n fails, be it here or in the thread: a clean error, nothing left behind. */
static void without_memory_nothing_is_left(void **state) {
    (void)state;
    pare_dataset *d = open_pictures();
    pare_loader_options options = picture_options(4);
    options.augment = (pare_augment){.shift = 1, .mixup = 0.2};
    size_t before = pare_memory_used(), n = 1;
    pare_status status = PARE_LIMIT;
    for (; status != PARE_OK; n++) {
        pare_loader *loader = NULL;
        pare_batch batch;
        pare_error error = {0};
        pare_memory_fail_at(n, false);
        status = pare_loader_create(d, &options, &loader, &error);
        if (status == PARE_OK) {
            status = pare_loader_next(loader, &batch, &error);
        }
        pare_loader_free(loader);
        pare_memory_fail_at(0, false);
        assert_true(status == PARE_OK || status == PARE_LIMIT);
        assert_int_equal(pare_memory_used(), before);
    }
    assert_true(n > 10);
    pare_dataset_close(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_larger_than_the_set),
        cmocka_unit_test(options_that_make_no_sense),
        cmocka_unit_test(a_broken_sample_fails_its_batch),
        cmocka_unit_test(a_failed_loader_can_be_freed_at_once),
        cmocka_unit_test(a_label_outside_the_classes_is_delivered_with_its_file),
        cmocka_unit_test(pictures_of_another_size_are_named),
        cmocka_unit_test(tokens_pass_and_labels_are_offset),
        cmocka_unit_test(a_step_allocates_nothing),
        cmocka_unit_test(without_memory_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
