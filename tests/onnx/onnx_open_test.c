/* Opening a model as a file; tests are named after their rows of bad inputs. */
#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "onnx_builder.h"

static test_onnx *small_model(int64_t ir, int64_t opset) {
    test_onnx *m = test_onnx_begin(ir, opset);
    test_onnx_input(m, "x", PARE_F32, 2, (int64_t[]){-1, 3});
    test_onnx_initializer_f32(m, "w", 2, (int64_t[]){3, 2}, (float[]){1, 2, 3, 4, 5, 6});
    test_onnx_initializer_i64(m, "axes", 1, (int64_t[]){1}, (int64_t[]){1});
    Onnx__NodeProto *node = test_onnx_node(m, "MatMul", "mm", 2, (const char *[]){"x", "w"}, 1, (const char *[]){"h"});
    test_onnx_attr_string(m, node, "note", "text");
    test_onnx_node(m, "Relu", "relu", 1, (const char *[]){"h"}, 1, (const char *[]){"y"});
    test_onnx_output(m, "y", PARE_F32, 2, (int64_t[]){-1, 2});
    return m;
}

/* From an exact-size copy, so that a read past the end is seen. */
static pare_status open_exact(const uint8_t *data, size_t size, pare_onnx_file *file, pare_error *error) {
    uint8_t *copy = malloc(size + (size == 0));
    assert_non_null(copy);
    if (size != 0) {
        memcpy(copy, data, size);
    }
    const pare_status status = pare_onnx_from_bytes(copy, size, NULL, NULL, file, error);
    free(copy);
    return status;
}

static void expect_refused(test_onnx *m, pare_status expected, const char *text) {
    pare_error error = {0};
    pare_onnx_file file;
    assert_fails(test_onnx_open(m, &file, &error), expected, &error, text);
    assert_null(file.proto);
    pare_onnx_close(&file);
    test_onnx_free(m);
}

static void expect_text_refused(const void *data, size_t size, const char *text) {
    pare_error error = {0};
    pare_onnx_file file;
    assert_fails(open_exact(data, size, &file, &error), PARE_BAD_INPUT, &error, "expected an ONNX model, found");
    if (strstr(error.message, text) == NULL) {
        fail_msg("expected \"%s\", found: %s", text, error.message);
    }
}

static void a_model_opens_from_a_path(void **state) {
    (void)state;
    test_onnx *m = small_model(8, 17);
    test_onnx_save(m, test_path("small.onnx"));
    test_onnx_free(m);
    pare_error error = {0};
    pare_onnx_file file = {0};
    pare_onnx_close(&file); /* a zeroed file */
    assert_ok(pare_onnx_open(test_path("small.onnx"), NULL, &file, &error), &error);
    assert_string_equal(file.folder, test_folder());
    assert_int_equal(file.proto->ir_version, 8);
    assert_int_equal(file.proto->graph->n_node, 2);
    assert_string_equal(file.proto->graph->node[0]->op_type, "MatMul");
    assert_true(file.file_bytes > 100);
    pare_onnx_close(&file);
    assert_null(file.proto);
}

static void row_01_empty_file(void **state) {
    (void)state;
    expect_text_refused("", 0, "an empty file");
    FILE *made = fopen(test_path("empty.onnx"), "wb");
    assert_non_null(made);
    fclose(made);
    pare_error error = {0};
    pare_onnx_file file;
    assert_fails(pare_onnx_open(test_path("empty.onnx"), NULL, &file, &error), PARE_BAD_INPUT, &error,
                 "empty.onnx: expected an ONNX model, found an empty file");
}

static void row_02_one_byte(void **state) {
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        pare_error error = {0};
        pare_onnx_file file;
        const uint8_t data = (uint8_t)byte;
        assert_fails(open_exact(&data, 1, &file, &error), PARE_BAD_INPUT, &error, "expected");
    }
}

static void row_03_no_regular_file(void **state) {
    (void)state;
    pare_error error = {0};
    pare_onnx_file file;
    assert_int_equal(mkfifo(test_path("fifo"), 0600), 0);
    const int made = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", test_path("socket"));
    assert_int_equal(bind(made, (struct sockaddr *)&address, sizeof address), 0);
    const char *paths[] = {test_folder(), test_path("fifo"), test_path("socket"), "/dev/zero", "/dev/null"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_fails(pare_onnx_open(paths[i], NULL, &file, &error), PARE_BAD_INPUT, &error, "regular file");
    }
    close(made);
    assert_fails(pare_onnx_open(test_path("none.onnx"), NULL, &file, &error), PARE_IO, &error, "none.onnx");
    assert_fails(pare_onnx_open(NULL, NULL, &file, &error), PARE_USAGE, &error, "NULL");
}

static void row_04_over_two_gib(void **state) {
    (void)state;
    pare_error error = {0};
    pare_onnx_file file;
    FILE *made = fopen(test_path("big.onnx"), "wb");
    assert_non_null(made);
    const int grown = ftruncate(fileno(made), (off_t)1 << 31);
    fclose(made);
    if (grown != 0) {
        skip(); /* no sparse files here */
    }
    assert_fails(pare_onnx_open(test_path("big.onnx"), NULL, &file, &error), PARE_LIMIT, &error, "at most 2147483647");
    const pare_onnx_limits limits = {.file_bytes = 100};
    assert_fails(pare_onnx_open(test_path("big.onnx"), &limits, &file, &error), PARE_LIMIT, &error, "at most 100");
}

static void row_06_other_kinds_of_file(void **state) {
    (void)state;
    expect_text_refused("{\"model\": \"text\"}\n", 18, "text");
    expect_text_refused("readme: this is a longer piece of text", 38, "text");
    expect_text_refused("gr\xc3\xbc\xc3\x9f", 6, "text");
    expect_text_refused("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16, "a PNG image");
    expect_text_refused("\x1f\x8b\x08\0\0\0\0\0\0\x03", 10, "gzip");
    expect_text_refused("PARE\x01\0\0\0\0\0\0\0", 12, "a Pare container");
    expect_text_refused("PK\x03\x04\x14\0", 6, "ZIP");
    expect_text_refused("\x1c\0\0\0TFL3\0\0", 10, "TensorFlow Lite");
    expect_text_refused("\xff\xfe\xfd\xfc", 4, "unknown kind");
}

static void row_07_truncated_at_every_offset(void **state) {
    (void)state;
    test_onnx *m = small_model(8, 17);
    size_t size;
    const uint8_t *data = test_onnx_pack(m, &size);
    for (size_t cut = 0; cut < size; cut++) {
        pare_error error = {0};
        pare_onnx_file file;
        /* The opset imports are what protobuf writes last but metadata. */
        assert_fails(open_exact(data, cut, &file, &error), PARE_BAD_INPUT, &error, "expected");
    }
    test_onnx_free(m);
}

/* What is accepted must also survive being written and read again. */
static void expect_round_trip(const pare_onnx_file *file) {
    pare_error error = {0};
    pare_onnx_file again;
    const size_t bytes = onnx__model_proto__get_packed_size(file->proto);
    uint8_t *packed = malloc(bytes + 1);
    assert_non_null(packed);
    assert_int_equal(onnx__model_proto__pack(file->proto, packed), bytes);
    assert_ok(pare_onnx_from_bytes(packed, bytes, NULL, NULL, &again, &error), &error);
    assert_int_equal(onnx__model_proto__get_packed_size(again.proto), bytes);
    pare_onnx_close(&again);
    free(packed);
}

static void row_08_one_bit_flipped_everywhere(void **state) {
    (void)state;
    test_onnx *m = small_model(8, 17);
    size_t size, accepted = 0;
    const uint8_t *packed = test_onnx_pack(m, &size);
    uint8_t *data = malloc(size);
    assert_non_null(data);
    memcpy(data, packed, size);
    const size_t used = pare_memory_used();
    for (size_t bit = 0; bit < 8 * size; bit++) {
        pare_error error = {0};
        pare_onnx_file file;
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        const pare_status status = pare_onnx_from_bytes(data, size, NULL, NULL, &file, &error);
        if (status == PARE_OK) {
            accepted++;
            expect_round_trip(&file);
        } else {
            assert_true(status == PARE_BAD_INPUT || status == PARE_UNSUPPORTED || status == PARE_LIMIT);
            assert_true(error.message[0] != '\0');
        }
        pare_onnx_close(&file);
        assert_int_equal(pare_memory_used(), used);
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_true(accepted > 0 && accepted < 8 * size);
    free(data);
    test_onnx_free(m);
}

static void row_20_missing_parts(void **state) {
    (void)state;
    test_onnx *m = small_model(8, 17);
    test_onnx_proto(m)->has_ir_version = 0;
    expect_refused(m, PARE_BAD_INPUT, "expected an ir_version, found none");
    m = small_model(8, 17);
    test_onnx_proto(m)->n_opset_import = 0;
    expect_refused(m, PARE_BAD_INPUT, "expected an opset_import, found none");
    m = small_model(8, 17);
    test_onnx_proto(m)->graph = NULL;
    expect_refused(m, PARE_BAD_INPUT, "expected a graph, found none");
}

static void row_21_versions(void **state) {
    (void)state;
    for (int64_t ir = 3; ir <= 10; ir++) {
        pare_error error = {0};
        pare_onnx_file file;
        test_onnx *m = small_model(ir, 17);
        assert_ok(test_onnx_open(m, &file, &error), &error);
        pare_onnx_close(&file);
        test_onnx_free(m);
    }
    expect_refused(small_model(2, 17), PARE_UNSUPPORTED, "ir_version from 3 to 10, found 2");
    expect_refused(small_model(11, 17), PARE_UNSUPPORTED, "ir_version from 3 to 10, found 11");
    expect_refused(small_model(0, 17), PARE_BAD_INPUT, "ir_version from 3 to 10, found 0");
    expect_refused(small_model(-1, 17), PARE_BAD_INPUT, "found -1");
    expect_refused(small_model(8, 0), PARE_BAD_INPUT, "expected a version from 1, found 0");
    expect_refused(small_model(8, -3), PARE_BAD_INPUT, "expected a version from 1, found -3");
    expect_refused(small_model(8, INT64_MAX), PARE_BAD_INPUT, "expected a version from 1");
    test_onnx *m = small_model(8, 17);
    test_onnx_proto(m)->opset_import[0]->has_version = 0;
    expect_refused(m, PARE_BAD_INPUT, "expected a version from 1");
    m = small_model(8, 17);
    test_onnx_opset(m, "ai.onnx", 13); /* another name of the default domain */
    expect_refused(m, PARE_BAD_INPUT, "expected one version, found both 17 and 13");
    m = small_model(8, 17);
    test_onnx_opset(m, "com.example", 1);
    test_onnx_opset(m, "com.example", 1);
    expect_refused(m, PARE_BAD_INPUT, "opset_import \"com.example\": expected one version");
}

static void row_32_functions_and_training(void **state) {
    (void)state;
    test_onnx *m = small_model(8, 17);
    Onnx__FunctionProto function = ONNX__FUNCTION_PROTO__INIT, *functions[] = {&function};
    test_onnx_proto(m)->n_functions = 1;
    test_onnx_proto(m)->functions = functions;
    expect_refused(m, PARE_UNSUPPORTED, "functions");
    m = small_model(8, 17);
    Onnx__TrainingInfoProto training = ONNX__TRAINING_INFO_PROTO__INIT, *trainings[] = {&training};
    test_onnx_proto(m)->n_training_info = 1;
    test_onnx_proto(m)->training_info = trainings;
    expect_refused(m, PARE_UNSUPPORTED, "training_info");
}

static void row_45_sparse_initializer(void **state) {
    (void)state;
    test_onnx *m = small_model(8, 17);
    Onnx__SparseTensorProto sparse = ONNX__SPARSE_TENSOR_PROTO__INIT, *sparses[] = {&sparse};
    test_onnx_proto(m)->graph->n_sparse_initializer = 1;
    test_onnx_proto(m)->graph->sparse_initializer = sparses;
    expect_refused(m, PARE_UNSUPPORTED, "sparse");
}

static void a_small_budget_is_kept(void **state) {
    (void)state;
    test_onnx *m = small_model(8, 17);
    size_t size;
    const uint8_t *data = test_onnx_pack(m, &size);
    const pare_onnx_limits limits = {.unpack_bytes = 512};
    pare_error error = {0};
    pare_onnx_file file;
    assert_fails(pare_onnx_from_bytes(data, size, NULL, &limits, &file, &error), PARE_LIMIT, &error,
                 "unpack the model within 512 bytes");
    test_onnx_free(m);
}

/* Each allocation fails in turn, once and for ever. */
static void allocations_that_fail_are_reported(void **state) {
    (void)state;
    test_onnx *m = small_model(8, 17);
    test_onnx_save(m, test_path("fault.onnx"));
    test_onnx_free(m);
    for (int forever = 0; forever < 2; forever++) {
        pare_status status = PARE_LIMIT;
        size_t n = 1;
        for (; status != PARE_OK && n < 1000; n++) {
            const size_t used = pare_memory_used();
            pare_error error = {0};
            pare_onnx_file file;
            pare_memory_fail_at(n, forever);
            status = pare_onnx_open(test_path("fault.onnx"), NULL, &file, &error);
            pare_memory_fail_at(0, false);
            if (status != PARE_OK) {
                assert_int_equal(status, PARE_LIMIT);
                assert_true(error.message[0] != '\0');
                assert_null(file.proto);
            }
            pare_onnx_close(&file);
            assert_int_equal(pare_memory_used(), used);
        }
        assert_int_equal(status, PARE_OK);
        assert_true(n > 4);
    }
}

static void every_shared_model_opens(void **state) {
    (void)state;
    const char *folder = test_shared_path("models");
    if (folder == NULL) {
        skip();
    }
    char models[4096];
    snprintf(models, sizeof models, "%s", folder);
    DIR *list = opendir(models);
    assert_non_null(list);
    size_t opened = 0;
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ".onnx") != 0) {
            continue;
        }
        char path[8192];
        snprintf(path, sizeof path, "%s/%s", models, entry->d_name);
        pare_error error = {0};
        pare_onnx_file file;
        assert_ok(pare_onnx_open(path, NULL, &file, &error), &error);
        pare_arena arena;
        pare_arena_init(&arena, SIZE_MAX);
        for (size_t i = 0; i < file.proto->graph->n_initializer; i++) {
            void *data;
            size_t bytes;
            assert_ok(pare_onnx_tensor_data(&file, file.proto->graph->initializer[i], &arena, &data, &bytes, &error),
                      &error);
        }
        pare_arena_free(&arena);
        pare_onnx_close(&file);
        opened++;
    }
    closedir(list);
    assert_true(opened > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_opens_from_a_path),
        cmocka_unit_test(row_01_empty_file),
        cmocka_unit_test(row_02_one_byte),
        cmocka_unit_test(row_03_no_regular_file),
        cmocka_unit_test(row_04_over_two_gib),
        cmocka_unit_test(row_06_other_kinds_of_file),
        cmocka_unit_test(row_07_truncated_at_every_offset),
        cmocka_unit_test(row_08_one_bit_flipped_everywhere),
        cmocka_unit_test(row_20_missing_parts),
        cmocka_unit_test(row_21_versions),
        cmocka_unit_test(row_32_functions_and_training),
        cmocka_unit_test(row_45_sparse_initializer),
        cmocka_unit_test(a_small_budget_is_kept),
        cmocka_unit_test(allocations_that_fail_are_reported),
        cmocka_unit_test(every_shared_model_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
