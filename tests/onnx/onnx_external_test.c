/* Row 46 of the bad inputs: external data, one test for each way to get it wrong. */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "onnx/onnx_internal.h"
#include "onnx_builder.h"

enum { MOST_ENTRIES = 4 };

/* A float32 tensor of four elements with up to four keys, and its model. */
typedef struct subject {
    test_onnx *m;
    Onnx__TensorProto *tensor;
    Onnx__StringStringEntryProto entries[MOST_ENTRIES], *list[MOST_ENTRIES];
} subject;

static void begin(subject *s) {
    *s = (subject){.m = test_onnx_begin(8, 17)};
    s->tensor = test_onnx_initializer(s->m, "w", PARE_F32, 1, (int64_t[]){4}, (float[4]){0});
    s->tensor->has_raw_data = 0;
    s->tensor->has_data_location = 1;
    s->tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    s->tensor->external_data = s->list;
}

static void add(subject *s, const char *key, const char *value) {
    Onnx__StringStringEntryProto *entry = &s->entries[s->tensor->n_external_data];
    onnx__string_string_entry_proto__init(entry);
    entry->key = test_onnx_string(s->m, key);
    entry->value = test_onnx_string(s->m, value);
    s->list[s->tensor->n_external_data++] = entry;
}

static void write_file(const char *name, const void *data, size_t bytes) {
    FILE *file = fopen(test_path(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static const float weights[8] = {0.5f, 1, 2, 3, 4, 5, 6, 7};

static pare_status read_weights(subject *s, float out[4], pare_error *error) {
    pare_onnx_file file = {.folder = (char *)(uintptr_t)test_folder()};
    pare_arena arena;
    void *data = NULL;
    size_t bytes = 0;
    pare_arena_init(&arena, 1 << 20);
    const pare_status status = pare_onnx_tensor_data(&file, s->tensor, &arena, &data, &bytes, error);
    if (status == PARE_OK) {
        assert_int_equal(bytes, 16);
        memcpy(out, data, 16);
    }
    pare_arena_free(&arena);
    return status;
}

static void expect_refused(subject *s, pare_status expected, const char *text) {
    pare_error error = {0};
    float out[4];
    assert_fails(read_weights(s, out, &error), expected, &error, text);
    assert_fails(expected, expected, &error, "tensor \"w\"");
    test_onnx_free(s->m);
}

static void expect_location_refused(const char *location, pare_status expected, const char *text) {
    subject s;
    begin(&s);
    add(&s, "location", location);
    expect_refused(&s, expected, text);
}

static int set_up(void **state) {
    (void)state;
    write_file("w.bin", weights, sizeof weights);
    return mkdir(test_path("sub"), 0700) == 0 ? 0 : -1;
}

static void good_external_data_are_read(void **state) {
    (void)state;
    subject s;
    float out[4];
    pare_error error = {0};
    begin(&s);
    add(&s, "location", "./w.bin");
    add(&s, "offset", "8");
    add(&s, "length", "16");
    add(&s, "checksum", "0123");
    assert_ok(read_weights(&s, out, &error), &error);
    assert_memory_equal(out, weights + 2, 16);
    test_onnx_free(s.m);

    write_file("sub/v.bin", weights + 4, 16);
    begin(&s);
    add(&s, "location", "sub//v.bin");
    assert_ok(read_weights(&s, out, &error), &error);
    assert_memory_equal(out, weights + 4, 16);
    test_onnx_free(s.m);
}

static void good_external_data_are_read_through_a_model_file(void **state) {
    (void)state;
    subject s;
    pare_error error = {0};
    pare_onnx_file file;
    pare_arena arena;
    void *data;
    size_t bytes;
    begin(&s);
    add(&s, "location", "w.bin");
    test_onnx_save(s.m, test_path("external.onnx"));
    assert_ok(pare_onnx_open(test_path("external.onnx"), NULL, &file, &error), &error);
    pare_arena_init(&arena, 1 << 20);
    assert_ok(pare_onnx_tensor_data(&file, file.proto->graph->initializer[0], &arena, &data, &bytes, &error), &error);
    assert_memory_equal(data, weights, 16);
    pare_arena_free(&arena);
    pare_onnx_close(&file);
    /* Without a folder there is nothing below which it could lie. */
    assert_ok(test_onnx_open(s.m, &file, &error), &error);
    pare_arena_init(&arena, 1 << 20);
    assert_fails(pare_onnx_tensor_data(&file, file.proto->graph->initializer[0], &arena, &data, &bytes, &error),
                 PARE_UNSUPPORTED, &error, "without a folder");
    pare_arena_free(&arena);
    pare_onnx_close(&file);
    test_onnx_free(s.m);
}

static void row_46_locations_that_leave_the_folder(void **state) {
    (void)state;
    expect_location_refused("/etc/passwd", PARE_BAD_INPUT, "an absolute path");
    expect_location_refused(test_path("w.bin"), PARE_BAD_INPUT, "an absolute path");
    expect_location_refused("..", PARE_BAD_INPUT, "a \"..\"");
    expect_location_refused("../w.bin", PARE_BAD_INPUT, "a \"..\"");
    expect_location_refused("a/../../b", PARE_BAD_INPUT, "a \"..\"");
    expect_location_refused("sub/../w.bin", PARE_BAD_INPUT, "a \"..\"");
    expect_location_refused("sub/..", PARE_BAD_INPUT, "a \"..\"");
    expect_location_refused("..\\w.bin", PARE_BAD_INPUT, "a backslash");
    expect_location_refused("sub\\w.bin", PARE_BAD_INPUT, "a backslash");
    expect_location_refused("", PARE_BAD_INPUT, "expected a location, found none");
    expect_location_refused(NULL, PARE_BAD_INPUT, "expected a location, found none");
    expect_location_refused("sub/", PARE_BAD_INPUT, "a folder");
    expect_location_refused("*/_ORT_MEM_ADDR_/*", PARE_BAD_INPUT, "another program's memory");
    subject s;
    begin(&s);
    expect_refused(&s, PARE_BAD_INPUT, "expected a location, found none");
}

static void row_46_symbolic_links(void **state) {
    (void)state;
    assert_int_equal(symlink("w.bin", test_path("link")), 0);
    assert_int_equal(symlink("sub", test_path("link_folder")), 0);
    assert_int_equal(symlink("/etc", test_path("outside")), 0);
    write_file("sub/inner.bin", weights, 16);
    expect_location_refused("link", PARE_BAD_INPUT, "without symbolic links");
    expect_location_refused("link_folder/inner.bin", PARE_BAD_INPUT, "without symbolic links");
    expect_location_refused("outside/passwd", PARE_BAD_INPUT, "without symbolic links");
    /* A component that starts with two dots is only a name. */
    subject s;
    float out[4];
    pare_error error = {0};
    write_file("..w.bin", weights, 16);
    begin(&s);
    add(&s, "location", "..w.bin");
    assert_ok(read_weights(&s, out, &error), &error);
    test_onnx_free(s.m);
}

static void row_46_hard_link(void **state) {
    (void)state;
    write_file("one.bin", weights, 16);
    assert_int_equal(link(test_path("one.bin"), test_path("two.bin")), 0);
    expect_location_refused("two.bin", PARE_BAD_INPUT, "expected no hard links, found 2 names");
}

static void row_46_no_regular_file(void **state) {
    (void)state;
    assert_int_equal(mkfifo(test_path("pipe"), 0600), 0);
    expect_location_refused("pipe", PARE_BAD_INPUT, "expected a regular file");
    expect_location_refused("sub", PARE_BAD_INPUT, "expected a regular file, found a folder");
    expect_location_refused("none.bin", PARE_IO, "\"none.bin\": cannot open");
    expect_location_refused("w.bin/x", PARE_BAD_INPUT, "expected a file below");
}

/* The same rules on kernels without openat2. */
static void row_46_the_walk_of_old_kernels(void **state) {
    (void)state;
    const struct {
        const char *location;
        pare_status expected;
    } cases[] = {
        {"w.bin", PARE_OK},
        {"./w.bin", PARE_OK},
        {"sub/inner.bin", PARE_OK},
        {"link", PARE_BAD_INPUT},
        {"link_folder/inner.bin", PARE_BAD_INPUT},
        {"outside/passwd", PARE_BAD_INPUT},
        {"two.bin", PARE_BAD_INPUT},
        {"pipe", PARE_BAD_INPUT},
        {"sub", PARE_BAD_INPUT},
        {"none.bin", PARE_IO},
        {"none/none.bin", PARE_IO},
        {"w.bin/x", PARE_BAD_INPUT},
    };
    char longest[400];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (int walk = 0; walk < 2; walk++) {
        pare_error error = {0};
        int descriptor = -1;
        uint64_t size = 0;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const pare_status status =
                pare_onnx_external_open(test_folder(), cases[i].location, walk, &descriptor, &size, &error);
            if (status != cases[i].expected) {
                fail_msg("%s (walk %d): expected %d, found %d: %s", cases[i].location, walk, (int)cases[i].expected,
                         (int)status, error.message);
            }
            if (status == PARE_OK) {
                assert_true(size == sizeof weights || size == 16);
                close(descriptor);
            }
        }
        assert_fails(pare_onnx_external_open(test_folder(), longest, walk, &descriptor, &size, &error), PARE_BAD_INPUT,
                     &error, "regular file");
        assert_fails(pare_onnx_external_open(test_path("no"), "w.bin", walk, &descriptor, &size, &error), PARE_IO,
                     &error, "folder");
    }
}

static void expect_keys_refused(const char *key, const char *value, const char *text) {
    subject s;
    begin(&s);
    add(&s, "location", "w.bin");
    add(&s, key, value);
    expect_refused(&s, PARE_BAD_INPUT, text);
}

static void row_46_keys(void **state) {
    (void)state;
    expect_keys_refused("basepath", "/etc", "found \"basepath\"");
    expect_keys_refused("colour", "red", "found \"colour\"");
    expect_keys_refused(NULL, "red", "found \"\"");
    expect_keys_refused("location", "w.bin", "the key location once");
}

static void row_46_offsets_and_lengths(void **state) {
    (void)state;
    expect_keys_refused("offset", "-1", "offset as a number");
    expect_keys_refused("offset", "", "offset as a number");
    expect_keys_refused("offset", NULL, "offset as a number");
    expect_keys_refused("offset", "0x10", "offset as a number");
    expect_keys_refused("offset", " 8", "offset as a number");
    expect_keys_refused("offset", "9223372036854775808", "offset as a number");
    expect_keys_refused("offset", "99999999999999999999999", "offset as a number");
    expect_keys_refused("offset", "9223372036854775807", "found a file of 32 bytes");
    expect_keys_refused("offset", "17", "expected 16 bytes at offset 17, found a file of 32 bytes");
    expect_keys_refused("length", "-16", "length as a number");
    expect_keys_refused("length", "15", "expected a length of 16 bytes, found 15");
    expect_keys_refused("length", "17", "expected a length of 16 bytes, found 17");
    expect_keys_refused("length", "9223372036854775807", "expected a length of 16 bytes");
    write_file("short.bin", weights, 15);
    expect_location_refused("short.bin", PARE_BAD_INPUT, "found a file of 15 bytes");
    write_file("empty.bin", weights, 0);
    expect_location_refused("empty.bin", PARE_BAD_INPUT, "found a file of 0 bytes");
}

/* A tensor that claims gigabytes is refused before memory is taken. */
static void row_46_size_is_checked_before_memory_is_taken(void **state) {
    (void)state;
    subject s;
    begin(&s);
    add(&s, "location", "w.bin");
    s.tensor->dims = (int64_t[]){INT32_MAX};
    const size_t calls = pare_memory_calls();
    expect_refused(&s, PARE_BAD_INPUT, "found a file of 32 bytes");
    assert_int_equal(pare_memory_calls(), calls);
}

static void row_46_external_and_other_places(void **state) {
    (void)state;
    subject s;
    begin(&s);
    add(&s, "location", "w.bin");
    s.tensor->has_raw_data = 1;
    expect_refused(&s, PARE_BAD_INPUT, "found external data and raw_data");
    begin(&s);
    add(&s, "location", "w.bin");
    s.tensor->n_float_data = 4;
    s.tensor->float_data = (float[4]){0};
    expect_refused(&s, PARE_BAD_INPUT, "found external data and float_data");
    begin(&s);
    add(&s, "location", "w.bin");
    s.tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    expect_refused(&s, PARE_BAD_INPUT, "expected data_location EXTERNAL");
}

/* Two tensors at two offsets of one file. */
static pare_status open_pair(const char *first, const char *second, const char *other, pare_error *error) {
    subject a, b;
    pare_onnx_file file;
    begin(&a);
    begin(&b);
    add(&a, "location", "w.bin");
    add(&a, "offset", first);
    add(&b, "location", other);
    add(&b, "offset", second);
    Onnx__TensorProto *both[] = {a.tensor, b.tensor};
    Onnx__GraphProto *graph = test_onnx_proto(a.m)->graph;
    graph->n_initializer = 2;
    graph->initializer = both;
    const pare_status status = test_onnx_open(a.m, &file, error);
    pare_onnx_close(&file);
    test_onnx_free(a.m);
    test_onnx_free(b.m);
    return status;
}

static void row_46_overlapping_tensors(void **state) {
    (void)state;
    pare_error error = {0};
    assert_ok(open_pair("0", "16", "w.bin", &error), &error);
    assert_ok(open_pair("4", "4", "w.bin", &error), &error); /* tied weights */
    assert_ok(open_pair("0", "8", "v.bin", &error), &error);
    assert_fails(open_pair("0", "8", "w.bin", &error), PARE_BAD_INPUT, &error, "do not overlap, found bytes 8 to 16");
    assert_fails(open_pair("16", "15", "w.bin", &error), PARE_BAD_INPUT, &error, "do not overlap");
    assert_fails(open_pair("9223372036854775807", "9223372036854775806", "w.bin", &error), PARE_BAD_INPUT, &error,
                 "do not overlap");
    assert_fails(open_pair("0", "x", "w.bin", &error), PARE_BAD_INPUT, &error, "tensor \"w\": external data");
}

/* The file under the tensor grows, shrinks and is replaced while it is read. */
static void *change_weights(void *context) {
    atomic_bool *stop = context;
    for (unsigned turn = 0; !atomic_load(stop); turn++) {
        if (truncate(test_path("moving.bin"), (off_t)(turn % 5) * 8) != 0 || turn % 5 == 4) {
            write_file("other.bin", weights, sizeof weights);
            rename(test_path("other.bin"), test_path("moving.bin"));
        }
    }
    return NULL;
}

static void row_46_file_that_changes_while_it_is_read(void **state) {
    (void)state;
    pthread_t thread;
    atomic_bool stop = false;
    size_t read = 0;
    write_file("moving.bin", weights, sizeof weights);
    assert_int_equal(pthread_create(&thread, NULL, change_weights, &stop), 0);
    for (int i = 0; i < 1000; i++) {
        subject s;
        float out[4];
        pare_error error = {0};
        begin(&s);
        add(&s, "location", "moving.bin");
        add(&s, "offset", "8");
        const pare_status status = read_weights(&s, out, &error);
        if (status == PARE_OK) {
            read++;
        } else if (status != PARE_BAD_INPUT || error.message[0] == '\0') {
            print_error("status %d: %s\n", (int)status, error.message);
            fail();
        }
        test_onnx_free(s.m);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    print_message("%zu of 1000 reads met a whole file\n", read);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_external_data_are_read),
        cmocka_unit_test(good_external_data_are_read_through_a_model_file),
        cmocka_unit_test(row_46_locations_that_leave_the_folder),
        cmocka_unit_test(row_46_symbolic_links),
        cmocka_unit_test(row_46_hard_link),
        cmocka_unit_test(row_46_no_regular_file),
        cmocka_unit_test(row_46_the_walk_of_old_kernels),
        cmocka_unit_test(row_46_keys),
        cmocka_unit_test(row_46_offsets_and_lengths),
        cmocka_unit_test(row_46_size_is_checked_before_memory_is_taken),
        cmocka_unit_test(row_46_external_and_other_places),
        cmocka_unit_test(row_46_overlapping_tensors),
        cmocka_unit_test(row_46_file_that_changes_while_it_is_read),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
