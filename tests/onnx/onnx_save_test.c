/* Writing models, and reading back what was written. */
#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "onnx_builder.h"

enum { LARGE = 50000 };

static float large[LARGE];

/* One initializer above the buffer of the writer, some below. */
static test_onnx *make_model(void) {
    test_onnx *m = test_onnx_begin(8, 17);
    for (size_t i = 0; i < LARGE; i++) {
        large[i] = (float)i * 0.25f;
    }
    test_onnx_input(m, "x", PARE_F32, 2, (int64_t[]){-1, 500});
    test_onnx_initializer_f32(m, "w", 2, (int64_t[]){500, 100}, large);
    test_onnx_initializer_f32(m, "b", 1, (int64_t[]){100}, large + 7);
    test_onnx_initializer_f32(m, "v", 1, (int64_t[]){300}, large + 11);
    Onnx__TensorProto *typed = test_onnx_initializer(m, "typed", PARE_S64, 1, (int64_t[]){0}, NULL);
    typed->has_raw_data = 0;
    typed->dims[0] = 200;
    typed->n_int64_data = 200;
    typed->int64_data = test_onnx_bytes(m, 200 * sizeof(int64_t));
    for (int i = 0; i < 200; i++) {
        typed->int64_data[i] = i - 100;
    }
    Onnx__NodeProto *node =
        test_onnx_node(m, "Gemm", "fc", 3, (const char *[]){"x", "w", "b"}, 1, (const char *[]){"y"});
    test_onnx_attr_float(m, node, "alpha", 0.5f);
    test_onnx_attr_floats(m, node, "list", 2, (float[]){1, 2});
    test_onnx_attr_tensor(m, node, "value", PARE_U8, 1, (int64_t[]){2}, "\1\2");
    test_onnx_output(m, "y", PARE_F32, 2, (int64_t[]){-1, 100});
    return m;
}

static uint8_t *read_all(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(*size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

static void expect_tensor(const pare_onnx_file *file, size_t index, const void *wanted, size_t bytes) {
    pare_error error = {0};
    pare_arena arena;
    void *data;
    size_t found;
    pare_arena_init(&arena, SIZE_MAX);
    assert_ok(pare_onnx_tensor_data(file, file->proto->graph->initializer[index], &arena, &data, &found, &error),
              &error);
    assert_int_equal(found, bytes);
    assert_memory_equal(data, wanted, bytes);
    pare_arena_free(&arena);
}

static void a_saved_model_equals_what_protobuf_packs(void **state) {
    (void)state;
    test_onnx *m = make_model();
    size_t wanted_size, found_size;
    const uint8_t *wanted = test_onnx_pack(m, &wanted_size);
    pare_error error = {0};
    assert_ok(pare_onnx_save(test_onnx_proto(m), test_path("a.onnx"), 0, &error), &error);
    uint8_t *found = read_all(test_path("a.onnx"), &found_size);
    assert_int_equal(found_size, wanted_size);
    assert_memory_equal(found, wanted, wanted_size);
    free(found);
    assert_int_not_equal(access(test_path("a.onnx.data"), F_OK), 0);
    test_onnx_free(m);
}

static void open_save_open_gives_the_same_bytes(void **state) {
    (void)state;
    pare_error error = {0};
    pare_onnx_file file;
    size_t first_size, second_size;
    test_onnx *m = make_model();
    test_onnx_save(m, test_path("first.onnx"));
    test_onnx_free(m);
    assert_ok(pare_onnx_open(test_path("first.onnx"), NULL, &file, &error), &error);
    assert_ok(pare_onnx_save(file.proto, test_path("second.onnx"), 0, &error), &error);
    pare_onnx_close(&file);
    uint8_t *first = read_all(test_path("first.onnx"), &first_size);
    uint8_t *second = read_all(test_path("second.onnx"), &second_size);
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    free(first);
    free(second);
}

static void saving_takes_no_copy_of_the_weights(void **state) {
    (void)state;
    test_onnx *m = test_onnx_begin(8, 17);
    const size_t count = (size_t)4 << 20;
    float *data = calloc(count, sizeof *data);
    assert_non_null(data);
    test_onnx_initializer_f32(m, "w", 1, (int64_t[]){(int64_t)count}, data);
    free(data);
    pare_error error = {0};
    const size_t before = pare_memory_peak();
    assert_ok(pare_onnx_save(test_onnx_proto(m), test_path("wide.onnx"), 0, &error), &error);
    assert_ok(pare_onnx_save(test_onnx_proto(m), test_path("wide.onnx"), 1, &error), &error);
    assert_true(pare_memory_peak() <= before + ((size_t)1 << 20));
    test_onnx_free(m);
}

static void large_initializers_move_beside_the_model(void **state) {
    (void)state;
    test_onnx *m = make_model();
    pare_error error = {0};
    pare_onnx_file file;
    assert_ok(pare_onnx_save(test_onnx_proto(m), test_path("ext.onnx"), 10000, &error), &error);
    /* The model itself is as it was. */
    assert_true(test_onnx_proto(m)->graph->initializer[0]->has_raw_data);
    struct stat model, data;
    assert_int_equal(stat(test_path("ext.onnx"), &model), 0);
    assert_int_equal(stat(test_path("ext.onnx.data"), &data), 0);
    assert_true(model.st_size < 3000);
    assert_true(data.st_size >= LARGE * 4 + 1200 + 1600);
    assert_ok(pare_onnx_open(test_path("ext.onnx"), NULL, &file, &error), &error);
    Onnx__TensorProto **tensors = file.proto->graph->initializer;
    assert_int_equal(tensors[0]->data_location, ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL);
    assert_string_equal(tensors[0]->external_data[0]->value, "ext.onnx.data");
    assert_true(tensors[1]->has_raw_data); /* 400 bytes stay */
    assert_int_equal(tensors[3]->data_location, ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL);
    expect_tensor(&file, 0, large, LARGE * sizeof *large);
    expect_tensor(&file, 1, large + 7, 400);
    expect_tensor(&file, 2, large + 11, 1200);
    expect_tensor(&file, 3, test_onnx_proto(m)->graph->initializer[3]->int64_data, 1600);
    /* Written elsewhere, the references would point at nothing. */
    assert_fails(pare_onnx_save(file.proto, test_path("other.onnx"), 0, &error), PARE_USAGE, &error,
                 "tensor \"w\": expected data within the model");
    pare_onnx_close(&file);
    test_onnx_free(m);
}

static size_t count_files(void) {
    size_t count = 0;
    DIR *list = opendir(test_folder());
    assert_non_null(list);
    while (readdir(list) != NULL) {
        count++;
    }
    closedir(list);
    return count;
}

static void a_failed_save_leaves_nothing(void **state) {
    (void)state;
    test_onnx *m = make_model();
    pare_error error = {0};
    assert_fails(pare_onnx_save(test_onnx_proto(m), test_path("no/such/a.onnx"), 0, &error), PARE_IO, &error,
                 "no/such");
    assert_fails(pare_onnx_save(test_onnx_proto(m), test_path("no/such/a.onnx"), 1, &error), PARE_IO, &error,
                 "no/such");
    assert_fails(pare_onnx_save(NULL, test_path("a.onnx"), 1, &error), PARE_USAGE, &error, "NULL");
    /* A tensor that cannot be converted stops the writing of both files. */
    test_onnx_proto(m)->graph->initializer[3]->n_int64_data = 199;
    const size_t files = count_files(), used = pare_memory_used();
    assert_fails(pare_onnx_save(test_onnx_proto(m), test_path("half.onnx"), 1, &error), PARE_BAD_INPUT, &error,
                 "expected 200 numbers in int64_data, found 199");
    assert_int_equal(count_files(), files);
    assert_int_equal(pare_memory_used(), used);
    test_onnx_free(m);
}

static void allocations_that_fail_are_reported(void **state) {
    (void)state;
    test_onnx *m = make_model();
    const size_t files = count_files();
    for (size_t external = 0; external < 2; external++) {
        pare_status status = PARE_LIMIT;
        for (size_t n = 1; status != PARE_OK && n < 1000; n++) {
            const size_t used = pare_memory_used();
            pare_error error = {0};
            pare_memory_fail_at(n, false);
            status = pare_onnx_save(test_onnx_proto(m), test_path("fault.onnx"), external, &error);
            pare_memory_fail_at(0, false);
            if (status != PARE_OK) {
                assert_int_equal(status, PARE_LIMIT);
                assert_true(error.message[0] != '\0');
            }
            assert_int_equal(pare_memory_used(), used);
        }
        assert_int_equal(status, PARE_OK);
        assert_int_equal(count_files(), files + 1 + external);
    }
    test_onnx_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_saved_model_equals_what_protobuf_packs),
        cmocka_unit_test(open_save_open_gives_the_same_bytes),
        cmocka_unit_test(saving_takes_no_copy_of_the_weights),
        cmocka_unit_test(large_initializers_move_beside_the_model),
        cmocka_unit_test(a_failed_save_leaves_nothing),
        cmocka_unit_test(allocations_that_fail_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
