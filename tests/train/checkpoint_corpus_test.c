/* The seeds of fuzz_checkpoint and what each is refused for. The files in the tree are
 * these; with PARE_WRITE_CORPUS set it writes them. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint_sample.h"
#include "pare/file.h"
#include "pare/memory.h"
#include "pare/runtime.h"

typedef struct seed {
    const char *name;
    void (*change)(uint8_t *data, size_t *size); /* of the sample; checksums follow. NULL: as it is */
    pare_status expected;
    const char *text; /* of the message */
} seed;

static void put32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint8_t *section(uint8_t *data, size_t size, uint32_t type) {
    size_t offset, bytes;
    find_checkpoint_section(data, size, type, &offset, &bytes);
    assert_true(bytes > 0);
    return data + offset;
}

static void cut(uint8_t *data, size_t *size) {
    (void)data;
    *size -= 5;
}

static void other_magic(uint8_t *data, size_t *size) {
    (void)size;
    memcpy(data, "PARE", 4);
}

static void later_version(uint8_t *data, size_t *size) {
    (void)size;
    put32(data + 4, 2);
}

static void version_zero(uint8_t *data, size_t *size) {
    (void)size;
    put32(data + 4, 0);
}

static void overlap(uint8_t *data, size_t *size) {
    (void)size;
    put32(data + 32 + 24 + 8, 128); /* the second section at the first */
}

static void huge_section(uint8_t *data, size_t *size) {
    (void)size;
    put32(data + 32 + 3 * 24 + 20, UINT32_MAX); /* 2^64 bytes of data, nearly */
}

static void long_text(uint8_t *data, size_t *size) {
    put32(section(data, *size, 1) + 52, UINT32_MAX);
}

static void nul_in_text(uint8_t *data, size_t *size) {
    section(data, *size, 1)[52 + 4 + strlen(pare_version()) + 4 + 2] = 0;
}

static void not_utf8(uint8_t *data, size_t *size) {
    section(data, *size, 1)[52 + 4 + strlen(pare_version()) + 4 + 2] = 0xff;
}

static void other_threads(uint8_t *data, size_t *size) {
    put32(section(data, *size, 1) + 40, 4);
}

static void beyond_end(uint8_t *data, size_t *size) {
    put32(section(data, *size, 2), 101);
}

static void many_arrays(uint8_t *data, size_t *size) {
    put32(section(data, *size, 3), UINT32_MAX);
}

static void huge_array(uint8_t *data, size_t *size) {
    put32(section(data, *size, 3) + 4 + 4, UINT32_MAX);
}

static void other_name(uint8_t *data, size_t *size) {
    section(data, *size, 3)[4 + 12] = 'W';
}

static void other_count(uint8_t *data, size_t *size) {
    uint8_t *arrays = section(data, *size, 3);
    put32(arrays + 4, 4); /* one element moves to the second array */
    put32(arrays + 4 + 12 + strlen("weights"), 1);
}

/* The options become as many brackets: parsed only to name a difference. */
static void deep_options(uint8_t *data, size_t *size) {
    uint8_t *identity = section(data, *size, 1);
    size_t offset, bytes, options = strlen("{\"lr\":0.1,\"epochs\":10,\"augment\":{\"flip\":true,\"crop\":4}}");
    find_checkpoint_section(data, *size, 1, &offset, &bytes);
    memset(identity + bytes - options, '[', options);
}

static const seed seeds[] = {
    {"whole", NULL, PARE_OK, ""},
    {"cut", cut, PARE_BAD_INPUT, "cut off: expected a file of"},
    {"other_magic", other_magic, PARE_BAD_INPUT, "found \"PARE\""},
    {"later_version", later_version, PARE_UNSUPPORTED, "expected version 1 to 1 of the checkpoint format, found 2"},
    {"version_zero", version_zero, PARE_BAD_INPUT, "found 0"},
    {"overlap", overlap, PARE_BAD_INPUT, "expected section progress"},
    {"huge_section", huge_section, PARE_BAD_INPUT, "expected section data"},
    {"long_text", long_text, PARE_BAD_INPUT, "section identity: expected a text"},
    {"nul_in_text", nul_in_text, PARE_BAD_INPUT, "section identity: expected a text"},
    {"not_utf8", not_utf8, PARE_BAD_INPUT, "section identity: expected a text"},
    {"other_threads", other_threads, PARE_USAGE, "found 1 difference: threads: saved 4, this run has 2"},
    {"beyond_end", beyond_end, PARE_BAD_INPUT, "expected a step within the run's 100"},
    {"many_arrays", many_arrays, PARE_BAD_INPUT, "section arrays: expected a number of arrays"},
    {"huge_array", huge_array, PARE_BAD_INPUT, "section arrays: expected elements that section data holds"},
    {"other_name", other_name, PARE_USAGE, "saved \"Weights\" of 5 elements, this run has \"weights\" of 5"},
    {"other_count", other_count, PARE_USAGE, "saved \"weights\" of 4 elements, this run has \"weights\" of 5"},
    {"deep_options", deep_options, PARE_USAGE, "options: saved [[["},
};

/* The caller frees the bytes. */
static uint8_t *make(const seed *wanted, size_t *size) {
    checkpoint_sample sample;
    pare_error error = {0};
    uint8_t *data = NULL;
    make_checkpoint_sample(&sample);
    assert_ok(pare_checkpoint_save(test_path("made"), &sample.identity, &sample.progress, sample.arrays, SAMPLE_ARRAYS,
                                   &error),
              &error);
    assert_ok(pare_file_read(test_path("made"), SIZE_MAX, &data, size, &error), &error);
    if (wanted->change != NULL) {
        wanted->change(data, size);
        fix_checkpoint(data, *size);
    }
    return data;
}

static void every_seed_is_what_its_name_says(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        checkpoint_sample sample;
        pare_error error = {0};
        size_t size;
        uint8_t *data = make(&seeds[i], &size);
        make_checkpoint_sample(&sample);
        assert_ok(pare_file_replace(test_path("seed"), data, size, &error), &error);
        pare_status status = pare_checkpoint_load(test_path("seed"), &sample.identity, &sample.progress, sample.arrays,
                                                  SAMPLE_ARRAYS, &error);
        assert_fails(status, seeds[i].expected, &error, seeds[i].text);
        pare_free(data);
    }
}

static void the_seeds_in_the_tree_are_these(void **state) {
    (void)state;
    const char *tests = getenv("PARE_TESTS");
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        char path[4096];
        pare_error error = {0};
        size_t size, found_size = 0;
        uint8_t *data = make(&seeds[i], &size), *found = NULL;
        snprintf(path, sizeof path, "%s/fuzz/corpus/checkpoint/%s", tests != NULL ? tests : "tests", seeds[i].name);
        if (getenv("PARE_WRITE_CORPUS") != NULL) {
            assert_ok(pare_file_replace(path, data, size, &error), &error);
        }
        assert_ok(pare_file_read(path, SIZE_MAX, &found, &found_size, &error), &error);
        /* Those in the tree may name an older version of Pare. */
        fix_checkpoint(found, found_size);
        assert_int_equal(found_size, size);
        assert_memory_equal(found, data, size);
        pare_free(found);
        pare_free(data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_seed_is_what_its_name_says),
        cmocka_unit_test(the_seeds_in_the_tree_are_these),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
