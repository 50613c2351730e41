/* Checkpoints: what is saved is read again; what is damaged or another run's is refused
 * and changes nothing (row 91 of the bad inputs). */
#include "test.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint_sample.h"
#include "pare/file.h"
#include "pare/memory.h"

static void assert_blank(const checkpoint_sample *sample) {
    checkpoint_sample blank;
    make_blank_sample(&blank);
    assert_memory_equal(sample->elements, blank.elements, sizeof blank.elements);
    assert_memory_equal(&sample->progress, &blank.progress, sizeof blank.progress);
}

static uint8_t *read_file(const char *path, size_t *size) {
    pare_error error = {0};
    uint8_t *data = NULL;
    assert_ok(pare_file_read(path, SIZE_MAX, &data, size, &error), &error);
    return data;
}

static void assert_same_bytes(const char *path, const uint8_t *data, size_t size) {
    size_t found_size;
    uint8_t *found = read_file(path, &found_size);
    assert_int_equal(found_size, size);
    assert_memory_equal(found, data, size);
    pare_free(found);
}

static const char *new_folder(const char *name) {
    const char *folder = test_path(name);
    assert_int_equal(mkdir(folder, 0700), 0);
    return folder;
}

/* --- what is saved is read again ------------------------------------------------------ */

static void what_is_saved_is_read_bit_by_bit(void **state) {
    (void)state;
    checkpoint_sample saved, read;
    pare_error error = {0};
    make_checkpoint_sample(&saved);
    make_blank_sample(&read);
    const char *path = test_path("round");
    assert_ok(save_sample(path, &saved, &error), &error);
    assert_ok(load_sample(path, &read, &error), &error);
    assert_memory_equal(read.elements, saved.elements, sizeof saved.elements);
    assert_memory_equal(&read.progress, &saved.progress, sizeof saved.progress);
    size_t size;
    uint8_t *first = read_file(path, &size);
    assert_ok(save_sample(path, &read, &error), &error);
    assert_same_bytes(path, first, size);
    pare_free(first);
}

static void no_metric_yet_and_no_arrays(void **state) {
    (void)state;
    checkpoint_sample saved, read;
    pare_error error = {0};
    make_checkpoint_sample(&saved);
    make_blank_sample(&read);
    saved.progress = (pare_checkpoint_progress){.best_metric = NAN};
    saved.identity.isa = NULL;
    read.identity.isa = "";
    const char *path = test_path("bare");
    assert_ok(pare_checkpoint_save(path, &saved.identity, &saved.progress, NULL, 0, &error), &error);
    assert_ok(pare_checkpoint_load(path, &read.identity, &read.progress, NULL, 0, &error), &error);
    assert_true(isnan(read.progress.best_metric));
    assert_int_equal(read.progress.step, 0);
}

/* More than one piece of the writer's. */
static void long_arrays(void **state) {
    (void)state;
    enum { LONG = 10001 };
    checkpoint_sample sample;
    pare_error error = {0};
    float *saved = pare_alloc(LONG * sizeof *saved), *read = pare_alloc_zero(LONG, sizeof *read);
    for (size_t i = 0; i < LONG; i++) {
        saved[i] = (float)i * 0.7f;
    }
    make_checkpoint_sample(&sample);
    pare_checkpoint_array array = {"long", saved, LONG};
    assert_ok(pare_checkpoint_save(test_path("long"), &sample.identity, &sample.progress, &array, 1, &error), &error);
    array.data = read;
    assert_ok(pare_checkpoint_load(test_path("long"), &sample.identity, &sample.progress, &array, 1, &error), &error);
    assert_memory_equal(saved, read, LONG * sizeof *saved);
    pare_free(saved);
    pare_free(read);
}

/* --- damage --------------------------------------------------------------------------- */

static void put_file(const char *path, const uint8_t *data, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void row_91_truncated_at_every_byte(void **state) {
    (void)state;
    checkpoint_sample sample;
    pare_error error = {0};
    size_t size;
    make_checkpoint_sample(&sample);
    assert_ok(save_sample(test_path("whole"), &sample, &error), &error);
    uint8_t *data = read_file(test_path("whole"), &size);
    put_file(test_path("cut"), data, size);
    for (size_t cut = size; cut-- > 0;) {
        make_blank_sample(&sample);
        assert_int_equal(truncate(test_path("cut"), (off_t)cut), 0);
        size_t used = pare_memory_used();
        assert_fails(load_sample(test_path("cut"), &sample, &error), PARE_BAD_INPUT, &error, test_path("cut"));
        assert_true(cut < 4 || strstr(error.message, "cut off") != NULL);
        assert_non_null(strstr(error.message, "there is no "));
        assert_blank(&sample);
        assert_int_equal(pare_memory_used(), used);
    }
    uint8_t *longer = pare_alloc_zero(size + 1, 1);
    memcpy(longer, data, size);
    put_file(test_path("cut"), longer, size + 1);
    assert_fails(load_sample(test_path("cut"), &sample, &error), PARE_BAD_INPUT, &error, "expected a file of");
    pare_free(longer);
    pare_free(data);
}

static void row_91_every_bit_flipped(void **state) {
    (void)state;
    checkpoint_sample sample;
    pare_error error = {0};
    size_t size;
    make_checkpoint_sample(&sample);
    assert_ok(save_sample(test_path("whole"), &sample, &error), &error);
    uint8_t *data = read_file(test_path("whole"), &size);
    make_blank_sample(&sample);
    int file = open(test_path("whole"), O_WRONLY | O_CLOEXEC);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        uint8_t flipped = (uint8_t)(data[bit / 8] ^ 1u << bit % 8);
        assert_int_equal(pwrite(file, &flipped, 1, (off_t)(bit / 8)), 1);
        assert_fails(load_sample(test_path("whole"), &sample, &error), PARE_BAD_INPUT, &error,
                     bit < 32 ? "expected a checkpoint" : "damaged: ");
        assert_blank(&sample);
        assert_int_equal(pwrite(file, &data[bit / 8], 1, (off_t)(bit / 8)), 1);
    }
    close(file);
    assert_ok(load_sample(test_path("whole"), &sample, &error), &error);
    pare_free(data);
}

static void nothing_larger_than_the_file_is_allocated(void **state) {
    (void)state;
    checkpoint_sample sample;
    pare_error error = {0};
    size_t size, offset, bytes;
    make_checkpoint_sample(&sample);
    assert_ok(save_sample(test_path("whole"), &sample, &error), &error);
    uint8_t *data = read_file(test_path("whole"), &size);
    find_checkpoint_section(data, size, 3, &offset, &bytes);
    for (size_t at = 0; at + 4 <= bytes; at++) {
        uint8_t kept[4];
        memcpy(kept, data + offset + at, 4);
        memset(data + offset + at, 0xff, 4);
        fix_checkpoint(data, size);
        put_file(test_path("huge"), data, size);
        pare_memory_set_budget(pare_memory_used() + 2 * size);
        pare_status status = load_sample(test_path("huge"), &sample, &error);
        pare_memory_set_budget(SIZE_MAX);
        assert_true(status == PARE_BAD_INPUT || status == PARE_USAGE);
        memcpy(data + offset + at, kept, 4);
    }
    pare_free(data);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    checkpoint_sample sample, blank;
    pare_error error = {0};
    make_checkpoint_sample(&sample);
    make_blank_sample(&blank);
    const char *folder = new_folder("memory");
    char path[4200];
    snprintf(path, sizeof path, "%s/run", folder);
    size_t used = pare_memory_used(), failures = 0;
    for (int saving = 1; saving >= 0; saving--) {
        pare_status status = PARE_LIMIT;
        for (size_t n = 1; status != PARE_OK; n++) {
            pare_memory_fail_at(n, false);
            status = saving ? save_sample(path, &sample, &error) : load_sample(path, &blank, &error);
            pare_memory_fail_at(0, false);
            assert_true(status == PARE_OK || status == PARE_LIMIT);
            assert_int_equal(pare_memory_used(), used);
            assert_int_equal(count_folder(folder), status == PARE_OK || !saving ? 1 : 0);
            failures += status != PARE_OK;
        }
    }
    assert_true(failures >= 8);
}

/* --- another run's -------------------------------------------------------------------- */

static void change_model(checkpoint_sample *s) {
    s->identity.model_hash++;
}
static void change_teacher(checkpoint_sample *s) {
    s->identity.teacher_hash = 0xabc;
}
static void change_dataset(checkpoint_sample *s) {
    s->identity.dataset_crc = 1;
}
static void change_validation(checkpoint_sample *s) {
    s->identity.validation_crc = 2;
}
static void change_samples(checkpoint_sample *s) {
    s->identity.samples = 49999;
}
static void change_seed(checkpoint_sample *s) {
    s->identity.seed = UINT64_MAX;
}
static void change_threads(checkpoint_sample *s) {
    s->identity.threads = 1;
}
static void change_ranks(checkpoint_sample *s) {
    s->identity.ranks = -2;
}
static void change_optimizer(checkpoint_sample *s) {
    s->identity.optimizer = 0;
}
static void change_backend(checkpoint_sample *s) {
    s->identity.backend = "none";
}
static void change_isa(checkpoint_sample *s) {
    s->identity.isa = NULL;
}
static void change_options(checkpoint_sample *s) {
    s->identity.options = "{\"lr\":0.05,\"epochs\":10,\"augment\":{\"flip\":true,\"crop\":2},\"ema\":0.999}";
}
static void drop_option(checkpoint_sample *s) {
    s->identity.options = "{\"lr\":0.1,\"epochs\":10}";
}
static void space_options(checkpoint_sample *s) {
    s->identity.options = "{ \"lr\":0.1,\"epochs\":10,\"augment\":{\"flip\":true,\"crop\":4}}";
}

static void row_91_each_difference_is_named(void **state) {
    (void)state;
    static const struct {
        void (*change)(checkpoint_sample *sample); /* of the run */
        const char *text;
    } rows[] = {
        {change_model, "found 1 difference: model: saved 0123456789abcdef, this run has 0123456789abcdf0"},
        {change_teacher, "found 1 difference: teacher: saved none, this run has 0000000000000abc"},
        {change_dataset, "found 1 difference: data set: saved deadbeef, this run has 00000001"},
        {change_validation, "found 1 difference: validation set: saved none, this run has 00000002"},
        {change_samples, "found 1 difference: samples: saved 50000, this run has 49999"},
        {change_seed, "found 1 difference: seed: saved 42, this run has 18446744073709551615"},
        {change_threads, "found 1 difference: threads: saved 2, this run has 1"},
        {change_ranks, "found 1 difference: ranks: saved 1, this run has -2"},
        {change_optimizer, "found 1 difference: optimizer: saved 1, this run has 0"},
        {change_backend, "found 1 difference: backend: saved oneDNN 2.6.3, this run has none"},
        {change_isa, "found 1 difference: instruction set: saved AVX2, this run has nothing"},
        {change_options, "found 3 differences: options.lr: saved 0.1, this run has 0.05; options.augment.crop: saved "
                         "4, this run has 2; options.ema: saved nothing, this run has 0.999"},
        {drop_option, "options.augment: saved {\"crop\":4,\"flip\":true}, this run has nothing"},
        {space_options, "options: saved {\"lr\""},
    };
    checkpoint_sample sample;
    pare_error error = {0};
    make_checkpoint_sample(&sample);
    assert_ok(save_sample(test_path("run"), &sample, &error), &error);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        make_blank_sample(&sample);
        rows[i].change(&sample);
        assert_fails(load_sample(test_path("run"), &sample, &error), PARE_USAGE, &error, rows[i].text);
        assert_blank(&sample);
    }
    make_blank_sample(&sample);
    for (size_t i = 0; i < 12; i++) {
        rows[i].change(&sample);
    }
    assert_fails(load_sample(test_path("run"), &sample, &error), PARE_USAGE, &error,
                 "found 14 differences: model: saved ");
    assert_non_null(strstr(error.message, "threads: saved 2, this run has 1"));
}

static void row_91_saved_by_another_version(void **state) {
    (void)state;
    checkpoint_sample sample;
    pare_error error = {0};
    size_t size, offset, bytes;
    make_checkpoint_sample(&sample);
    assert_ok(save_sample(test_path("old"), &sample, &error), &error);
    uint8_t *data = read_file(test_path("old"), &size);
    find_checkpoint_section(data, size, 1, &offset, &bytes);
    /* One letter less: fix_checkpoint then leaves it. */
    data[offset + 52]--;
    memmove(data + offset + 57, data + offset + 58, size - offset - 58);
    data[32 + 16]--;
    for (size_t i = 1; i < 4; i++) {
        data[32 + 24 * i + 8]--;
    }
    data[8]--;
    fix_checkpoint(data, size - 1);
    put_file(test_path("old"), data, size - 1);
    assert_fails(load_sample(test_path("old"), &sample, &error), PARE_USAGE, &error, "version of Pare: saved ");
    pare_free(data);
}

static void other_arrays_are_named(void **state) {
    (void)state;
    checkpoint_sample sample;
    pare_error error = {0};
    make_checkpoint_sample(&sample);
    assert_ok(save_sample(test_path("arrays"), &sample, &error), &error);
    make_blank_sample(&sample);
    sample.arrays[2].count--;
    assert_fails(load_sample(test_path("arrays"), &sample, &error), PARE_USAGE, &error,
                 "array 2: saved \"moments\" of 3 elements, this run has \"moments\" of 2");
    sample.arrays[0].name = "biases";
    assert_fails(load_sample(test_path("arrays"), &sample, &error), PARE_USAGE, &error,
                 "array 0: saved \"weights\" of 5 elements, this run has \"biases\" of 5");
    make_blank_sample(&sample);
    for (size_t count = 0; count < SAMPLE_ARRAYS; count++) {
        assert_fails(
            pare_checkpoint_load(test_path("arrays"), &sample.identity, &sample.progress, sample.arrays, count, &error),
            PARE_USAGE, &error, "saved 3 arrays, this run has ");
    }
    pare_checkpoint_array more[SAMPLE_ARRAYS + 1] = {[SAMPLE_ARRAYS] = {"average", NULL, 0}};
    memcpy(more, sample.arrays, sizeof sample.arrays);
    assert_fails(
        pare_checkpoint_load(test_path("arrays"), &sample.identity, &sample.progress, more, SAMPLE_ARRAYS + 1, &error),
        PARE_USAGE, &error, "saved 3 arrays, this run has 4");
    assert_blank(&sample);
}

static void what_a_checkpoint_cannot_hold(void **state) {
    (void)state;
    enum { LONG = (1 << 16) + 1 };
    static char text[LONG + 1];
    checkpoint_sample sample;
    pare_error error = {0};
    const char *folder = new_folder("refused");
    char path[4200];
    snprintf(path, sizeof path, "%s/run", folder);
    memset(text, 'a', LONG);
    make_checkpoint_sample(&sample);
    sample.identity.options = text;
    assert_fails(save_sample(path, &sample, &error), PARE_USAGE, &error, "expected options of at most 65536 bytes");
    sample.identity.options = "\xff";
    assert_fails(save_sample(path, &sample, &error), PARE_USAGE, &error, "of UTF-8, found 1 bytes that are not");
    make_checkpoint_sample(&sample);
    sample.arrays[1].name = "";
    assert_fails(save_sample(path, &sample, &error), PARE_USAGE, &error, "for array 1, found 0 bytes");
    make_checkpoint_sample(&sample);
    sample.arrays[0].data = NULL;
    assert_fails(save_sample(path, &sample, &error), PARE_USAGE, &error,
                 "expected elements of array \"weights\", found NULL");
    make_checkpoint_sample(&sample);
    sample.progress.step = 101;
    assert_fails(save_sample(path, &sample, &error), PARE_USAGE, &error, "expected the step within the run's 100");
    assert_int_equal(count_folder(folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_is_read_bit_by_bit),
        cmocka_unit_test(no_metric_yet_and_no_arrays),
        cmocka_unit_test(long_arrays),
        cmocka_unit_test(row_91_truncated_at_every_byte),
        cmocka_unit_test(row_91_every_bit_flipped),
        cmocka_unit_test(nothing_larger_than_the_file_is_allocated),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(row_91_each_difference_is_named),
        cmocka_unit_test(row_91_saved_by_another_version),
        cmocka_unit_test(other_arrays_are_named),
        cmocka_unit_test(what_a_checkpoint_cannot_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
