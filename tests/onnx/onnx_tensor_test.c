/* Shapes and elements of tensors; tests are named after their rows of bad inputs. */
#include "test.h"

#include <string.h>

#include "onnx/onnx_internal.h"
#include "onnx_builder.h"

static Onnx__TensorProto make(int32_t type, size_t rank, int64_t *dims) {
    Onnx__TensorProto tensor = ONNX__TENSOR_PROTO__INIT;
    tensor.name = "t";
    tensor.has_data_type = 1;
    tensor.data_type = type;
    tensor.n_dims = rank;
    tensor.dims = dims;
    return tensor;
}

static void set_raw(Onnx__TensorProto *tensor, const void *data, size_t bytes) {
    tensor->has_raw_data = 1;
    tensor->raw_data.len = bytes;
    tensor->raw_data.data = (uint8_t *)(uintptr_t)data;
}

static void expect_data(const Onnx__TensorProto *tensor, const void *wanted, size_t bytes) {
    pare_arena arena;
    pare_error error = {0};
    void *data = NULL;
    size_t found = 0;
    pare_arena_init(&arena, 1 << 20);
    assert_ok(pare_onnx_tensor_data(NULL, tensor, &arena, &data, &found, &error), &error);
    assert_int_equal(found, bytes);
    if (bytes != 0) {
        assert_memory_equal(data, wanted, bytes);
    }
    pare_arena_free(&arena);
}

static void expect_refused(const Onnx__TensorProto *tensor, pare_status expected, const char *text) {
    pare_arena arena;
    pare_error error = {0};
    void *data = NULL;
    size_t bytes = 0;
    pare_arena_init(&arena, 1 << 20);
    assert_fails(pare_onnx_tensor_data(NULL, tensor, &arena, &data, &bytes, &error), expected, &error, text);
    assert_fails(expected, expected, &error, "tensor \"t\"");
    pare_arena_free(&arena);
}

static void every_type_reads_from_raw_data(void **state) {
    (void)state;
    static const int types[] = {PARE_F32, PARE_U8,  PARE_S8,  PARE_U16, PARE_S16, PARE_S32,
                                PARE_S64, PARE_F16, PARE_F64, PARE_U32, PARE_U64, PARE_BF16};
    uint8_t bytes[48];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(7 * i + 1);
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        Onnx__TensorProto tensor = make(types[i], 2, (int64_t[]){2, 3});
        const size_t size = 6 * pare_dtype_bytes((pare_dtype)types[i]);
        set_raw(&tensor, bytes, size);
        expect_data(&tensor, bytes, size);
        pare_shape shape;
        pare_dtype dtype;
        assert_ok(pare_onnx_tensor_shape(&tensor, &shape, &dtype, NULL), NULL);
        assert_int_equal(dtype, types[i]);
        assert_int_equal(shape.rank, 2);
        assert_int_equal(shape.dims[1], 3);
    }
}

static void every_type_reads_from_its_field(void **state) {
    (void)state;
    Onnx__TensorProto tensor = make(PARE_F32, 1, (int64_t[]){2});
    tensor.n_float_data = 2;
    tensor.float_data = (float[]){1.5f, -2};
    expect_data(&tensor, tensor.float_data, 8);
    tensor = make(PARE_F64, 1, (int64_t[]){2});
    tensor.n_double_data = 2;
    tensor.double_data = (double[]){1.5, -2};
    expect_data(&tensor, tensor.double_data, 16);
    tensor = make(PARE_S64, 1, (int64_t[]){2});
    tensor.n_int64_data = 2;
    tensor.int64_data = (int64_t[]){INT64_MIN, 5};
    expect_data(&tensor, tensor.int64_data, 16);
    tensor = make(PARE_U64, 1, (int64_t[]){2});
    tensor.n_uint64_data = 2;
    tensor.uint64_data = (uint64_t[]){UINT64_MAX, 5};
    expect_data(&tensor, tensor.uint64_data, 16);
    tensor = make(PARE_U32, 1, (int64_t[]){2});
    tensor.n_uint64_data = 2;
    tensor.uint64_data = (uint64_t[]){UINT32_MAX, 5};
    expect_data(&tensor, (uint32_t[]){UINT32_MAX, 5}, 8);
}

static void every_small_type_reads_from_int32_data(void **state) {
    (void)state;
    const struct {
        int32_t type, low, high;
        size_t width;
        const void *wanted;
    } cases[] = {
        {PARE_U8, 0, 255, 1, (uint8_t[]){0, 255}},
        {PARE_S8, -128, 127, 1, (int8_t[]){-128, 127}},
        {PARE_U16, 0, 65535, 2, (uint16_t[]){0, 65535}},
        {PARE_S16, -32768, 32767, 2, (int16_t[]){-32768, 32767}},
        {PARE_S32, INT32_MIN, INT32_MAX, 4, (int32_t[]){INT32_MIN, INT32_MAX}},
        {PARE_BOOL, 0, 1, 1, (uint8_t[]){0, 1}},
        {PARE_F16, 0x3c00, 0xc000, 2, (uint16_t[]){0x3c00, 0xc000}},
        {PARE_BF16, 0x3f80, 0xff80, 2, (uint16_t[]){0x3f80, 0xff80}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Onnx__TensorProto tensor = make(cases[i].type, 1, (int64_t[]){2});
        tensor.n_int32_data = 2;
        tensor.int32_data = (int32_t[]){cases[i].low, cases[i].high};
        expect_data(&tensor, cases[i].wanted, 2 * cases[i].width);
    }
}

static void row_33_dimensions(void **state) {
    (void)state;
    Onnx__TensorProto tensor = make(PARE_F32, 2, (int64_t[]){2, -1});
    expect_refused(&tensor, PARE_BAD_INPUT, "expected dimension 1 from 0, found -1");
    tensor = make(PARE_F32, 1, (int64_t[]){(int64_t)1 << 31});
    expect_refused(&tensor, PARE_LIMIT, "found 2147483648");
    tensor = make(PARE_F32, 3, (int64_t[]){INT32_MAX, INT32_MAX, INT32_MAX});
    expect_refused(&tensor, PARE_BAD_INPUT, "overflow");
    tensor = make(PARE_F32, 9, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1});
    expect_refused(&tensor, PARE_LIMIT, "at most 8 dimensions, found 9");
    tensor = make(PARE_F32, 2, (int64_t[]){0, 5});
    expect_data(&tensor, "", 0);
    tensor = make(PARE_F32, 0, NULL);
    set_raw(&tensor, "\0\0\x80\x3f", 4);
    expect_data(&tensor, (float[]){1}, 4);
}

static void row_36_raw_data_short_or_long(void **state) {
    (void)state;
    Onnx__TensorProto tensor = make(PARE_F32, 1, (int64_t[]){2});
    set_raw(&tensor, "1234567", 7);
    expect_refused(&tensor, PARE_BAD_INPUT, "expected 8 bytes of raw_data, found 7");
    set_raw(&tensor, "123456789", 9);
    expect_refused(&tensor, PARE_BAD_INPUT, "expected 8 bytes of raw_data, found 9");
    tensor = make(PARE_F32, 1, (int64_t[]){0});
    set_raw(&tensor, "1234", 4);
    expect_refused(&tensor, PARE_BAD_INPUT, "expected 0 bytes of raw_data, found 4");
    tensor = make(PARE_F32, 1, (int64_t[]){2});
    tensor.n_float_data = 1;
    tensor.float_data = (float[]){1, 2, 3};
    expect_refused(&tensor, PARE_BAD_INPUT, "expected 2 numbers in float_data, found 1");
    tensor.n_float_data = 3;
    expect_refused(&tensor, PARE_BAD_INPUT, "expected 2 numbers in float_data, found 3");
    /* Refused before memory is taken: this would be 8 GiB. */
    tensor.dims = (int64_t[]){INT32_MAX};
    const size_t calls = pare_memory_calls();
    expect_refused(&tensor, PARE_BAD_INPUT, "expected 2147483647 numbers in float_data, found 3");
    assert_int_equal(pare_memory_calls(), calls);
}

static void row_37_raw_and_typed_data(void **state) {
    (void)state;
    Onnx__TensorProto tensor = make(PARE_F32, 1, (int64_t[]){1});
    set_raw(&tensor, "1234", 4);
    tensor.n_float_data = 1;
    tensor.float_data = (float[]){1};
    expect_refused(&tensor, PARE_BAD_INPUT, "one place for the elements, found raw_data and float_data");
    tensor = make(PARE_F32, 1, (int64_t[]){1});
    tensor.n_float_data = tensor.n_int32_data = 1;
    tensor.float_data = (float[]){1};
    tensor.int32_data = (int32_t[]){1};
    expect_refused(&tensor, PARE_BAD_INPUT, "found float_data and int32_data");
}

static void row_38_no_data(void **state) {
    (void)state;
    Onnx__TensorProto tensor = make(PARE_F32, 1, (int64_t[]){1});
    expect_refused(&tensor, PARE_BAD_INPUT, "expected 1 elements, found neither raw_data nor float_data");
    set_raw(&tensor, "", 0);
    expect_refused(&tensor, PARE_BAD_INPUT, "neither raw_data nor float_data");
}

static void row_39_wrong_field(void **state) {
    (void)state;
    Onnx__TensorProto tensor = make(PARE_F32, 1, (int64_t[]){1});
    tensor.n_int32_data = 1;
    tensor.int32_data = (int32_t[]){1};
    expect_refused(&tensor, PARE_BAD_INPUT, "expected float32 elements in float_data, found int32_data");
    tensor.data_type = PARE_S64;
    expect_refused(&tensor, PARE_BAD_INPUT, "expected int64 elements in int64_data, found int32_data");
    tensor = make(PARE_S8, 1, (int64_t[]){1});
    tensor.n_int32_data = 1;
    tensor.int32_data = (int32_t[]){128};
    expect_refused(&tensor, PARE_BAD_INPUT, "expected a value from -128 to 127, found 128");
    tensor.data_type = PARE_BOOL;
    tensor.int32_data = (int32_t[]){2};
    expect_refused(&tensor, PARE_BAD_INPUT, "bool of 0 or 1, found 2");
    tensor = make(PARE_U32, 1, (int64_t[]){1});
    tensor.n_uint64_data = 1;
    tensor.uint64_data = (uint64_t[]){(uint64_t)1 << 32};
    expect_refused(&tensor, PARE_BAD_INPUT, "up to 4294967295, found 4294967296");
}

static void row_40_four_bit_elements(void **state) {
    (void)state;
    Onnx__TensorProto tensor = make(PARE_ONNX_INT4, 1, (int64_t[]){5});
    set_raw(&tensor, "\x71\xf8\x02", 3); /* low half first; the last high half is padding */
    expect_data(&tensor, (int8_t[]){1, 7, -8, -1, 2}, 5);
    tensor.data_type = PARE_ONNX_UINT4;
    expect_data(&tensor, (uint8_t[]){1, 7, 8, 15, 2}, 5);
    set_raw(&tensor, "\x71\xf8", 2);
    expect_refused(&tensor, PARE_BAD_INPUT, "expected 3 bytes of raw_data, found 2");
    set_raw(&tensor, "\x71\xf8\x02\x03\x04", 5);
    expect_refused(&tensor, PARE_BAD_INPUT, "expected 3 bytes of raw_data, found 5");
    tensor = make(PARE_ONNX_INT4, 1, (int64_t[]){3});
    tensor.n_int32_data = 2;
    tensor.int32_data = (int32_t[]){0x9f, 0x04};
    expect_data(&tensor, (int8_t[]){-1, -7, 4}, 3);
    tensor.int32_data = (int32_t[]){0x9f, 0x104};
    expect_refused(&tensor, PARE_BAD_INPUT, "int32_data[1]: expected a value from 0 to 255");
}

static void row_41_strings(void **state) {
    (void)state;
    Onnx__TensorProto tensor = make(8, 1, (int64_t[]){1});
    expect_refused(&tensor, PARE_UNSUPPORTED, "expected numbers, found strings");
    ProtobufCBinaryData text = {1, (uint8_t[]){'a'}};
    tensor = make(PARE_F32, 1, (int64_t[]){1});
    tensor.n_string_data = 1;
    tensor.string_data = &text;
    expect_refused(&tensor, PARE_BAD_INPUT, "expected float32 elements in float_data, found string_data");
}

static void row_42_unknown_type(void **state) {
    (void)state;
    static const int32_t types[] = {0, -1, 24, 1000, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        Onnx__TensorProto tensor = make(types[i], 1, (int64_t[]){1});
        expect_refused(&tensor, PARE_BAD_INPUT, "expected a data_type from 1 to 23");
    }
    Onnx__TensorProto tensor = make(1, 1, (int64_t[]){1});
    tensor.has_data_type = 0;
    expect_refused(&tensor, PARE_BAD_INPUT, "found 0");
}

static void row_43_float8_and_complex(void **state) {
    (void)state;
    static const int32_t types[] = {14, 15, 17, 18, 19, 20, 23};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        Onnx__TensorProto tensor = make(types[i], 1, (int64_t[]){1});
        expect_refused(&tensor, PARE_UNSUPPORTED, "found");
    }
}

static void segments_are_refused(void **state) {
    (void)state;
    Onnx__TensorProto__Segment segment = ONNX__TENSOR_PROTO__SEGMENT__INIT;
    Onnx__TensorProto tensor = make(PARE_F32, 1, (int64_t[]){1});
    set_raw(&tensor, "1234", 4);
    tensor.segment = &segment;
    expect_refused(&tensor, PARE_UNSUPPORTED, "segment");
}

static void an_arena_that_is_full_is_reported(void **state) {
    (void)state;
    pare_arena arena;
    pare_error error = {0};
    void *data;
    size_t bytes;
    Onnx__TensorProto tensor = make(PARE_U8, 1, (int64_t[]){100});
    uint8_t zeros[100] = {0};
    set_raw(&tensor, zeros, sizeof zeros);
    pare_arena_init(&arena, 64);
    assert_fails(pare_onnx_tensor_data(NULL, &tensor, &arena, &data, &bytes, &error), PARE_LIMIT, &error, "100");
    pare_arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_reads_from_raw_data),
        cmocka_unit_test(every_type_reads_from_its_field),
        cmocka_unit_test(every_small_type_reads_from_int32_data),
        cmocka_unit_test(row_33_dimensions),
        cmocka_unit_test(row_36_raw_data_short_or_long),
        cmocka_unit_test(row_37_raw_and_typed_data),
        cmocka_unit_test(row_38_no_data),
        cmocka_unit_test(row_39_wrong_field),
        cmocka_unit_test(row_40_four_bit_elements),
        cmocka_unit_test(row_41_strings),
        cmocka_unit_test(row_42_unknown_type),
        cmocka_unit_test(row_43_float8_and_complex),
        cmocka_unit_test(segments_are_refused),
        cmocka_unit_test(an_arena_that_is_full_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
