#include "dataset_files.h"

#include "pare/npy.h"

/* Magic, version, padded dict, data. `length` < 0 states the dict's true length. */
static size_t make_npy(uint8_t *out, int major, const char *dict, long length, const void *data, size_t bytes) {
    size_t dict_bytes = strlen(dict), at = 0;
    uint32_t stated = length < 0 ? (uint32_t)dict_bytes : (uint32_t)length;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (uint8_t)major;
    out[7] = 0;
    for (at = 8; at < (major == 1 ? 10u : 12u); at++) {
        out[at] = (uint8_t)(stated >> (8 * (at - 8)));
    }
    memcpy(out + at, dict, dict_bytes);
    memcpy(out + at + dict_bytes, data, bytes);
    return at + dict_bytes + bytes;
}

static void parse_refuses(int major, const char *dict, long length, size_t bytes, pare_status expected,
                          const char *text) {
    uint8_t file[1024] = {0};
    static const uint8_t zeros[128];
    size_t size = make_npy(file, major, dict, length, zeros, bytes);
    uint8_t *exact = malloc(size); /* so that ASan sees a read past the end */
    assert_non_null(exact);
    memcpy(exact, file, size);
    pare_npy_header header;
    pare_error error = {0};
    assert_fails(pare_npy_parse(exact, size, size, &header, &error), expected, &error, text);
    free(exact);
}

static void npy_headers_of_versions_1_2_3(void **state) {
    (void)state;
    for (int major = 1; major <= 3; major++) {
        uint8_t file[256];
        float data[6] = {0};
        size_t size =
            make_npy(file, major, "{\"shape\": (2,3 ) , 'fortran_order':False,'descr': '<f4'}\n", -1, data, 24);
        pare_npy_header header;
        pare_error error = {0};
        assert_ok(pare_npy_parse(file, size, size, &header, &error), &error);
        assert_int_equal(header.dtype, PARE_F32);
        assert_int_equal(header.shape.rank, 2);
        assert_int_equal(header.shape.dims[1], 3);
        assert_int_equal(header.data_offset, size - 24);
    }
}

#define GOOD "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"

static void row_74_npy_header_length_lies(void **state) {
    (void)state;
    parse_refuses(1, GOOD, 60000, 8, PARE_BAD_INPUT, "past the end");
    parse_refuses(2, GOOD, 0x7fffffff, 8, PARE_LIMIT, "at most 65536");
    parse_refuses(1, GOOD, 20, 8, PARE_BAD_INPUT, "npy header");
    parse_refuses(1, GOOD, -1, 7, PARE_BAD_INPUT, "expected 8 bytes of data for float32 2, found 7");
    parse_refuses(1, GOOD, -1, 9, PARE_BAD_INPUT, "found 9");
    parse_refuses(1, "", -1, 0, PARE_BAD_INPUT, "'{'");
    parse_refuses(4, GOOD, -1, 8, PARE_UNSUPPORTED, "version 1, 2 or 3, found 4");
}

static void row_74_npy_object_types_are_never_unpickled(void **state) {
    (void)state;
    parse_refuses(1, "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", -1, 8, PARE_UNSUPPORTED, "unpickled");
    parse_refuses(1, "{'descr': [('a','<f4')], 'fortran_order': False, 'shape': (2,), }", -1, 8, PARE_BAD_INPUT,
                  "structured");
    parse_refuses(1, "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", -1, 8, PARE_UNSUPPORTED, "<c8");
    parse_refuses(1, "{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }", -1, 16, PARE_UNSUPPORTED, "<U4");
}

static void row_74_npy_fortran_order_and_bad_shapes(void **state) {
    (void)state;
    parse_refuses(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", -1, 8, PARE_UNSUPPORTED,
                  "fortran_order");
    parse_refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 8), }", -1, 8,
                  PARE_BAD_INPUT, "overflows");
    parse_refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", -1, 8,
                  PARE_BAD_INPUT, "below 2^63");
    parse_refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", -1, 8, PARE_BAD_INPUT,
                  "a dimension of 0 or more");
    parse_refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2), }", -1, 8, PARE_LIMIT,
                  "rank 8");
    parse_refuses(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2 2), }", -1, 16, PARE_BAD_INPUT, "','");
    parse_refuses(1, "{'descr': '<f4', 'fortran_order': False}", -1, 8, PARE_BAD_INPUT, "fortran_order and shape");
    parse_refuses(1, "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", -1, 8, PARE_BAD_INPUT,
                  "once");
    parse_refuses(1, GOOD "import os", -1, 8, PARE_BAD_INPUT, "nothing after");
}

/* Whatever the header is cut to or grows by, nothing behind the file is read. */
static void row_74_npy_truncated_anywhere(void **state) {
    (void)state;
    uint8_t file[256];
    static const uint8_t zeros[8];
    for (int major = 1; major <= 3; major++) {
        size_t size = make_npy(file, major, GOOD, -1, zeros, 8);
        for (size_t cut = 0; cut < size; cut++) {
            uint8_t *exact = malloc(cut + (cut == 0));
            assert_non_null(exact);
            memcpy(exact, file, cut);
            pare_npy_header header;
            pare_error error = {0};
            assert_fails(pare_npy_parse(exact, cut, cut, &header, &error), PARE_BAD_INPUT, &error, "npy");
            free(exact);
        }
    }
    pare_npy_header header;
    pare_error error = {0};
    assert_fails(pare_npy_parse((const uint8_t *)"\x80\x04\x95pickle....", 12, 12, &header, &error), PARE_BAD_INPUT,
                 &error, "npy");
}

static void row_74_npy_non_ascii_headers(void **state) {
    (void)state;
    parse_refuses(3, "{'descr': '<f\xc3\xa9', 'fortran_order': False, 'shape': (2,)}", -1, 8, PARE_BAD_INPUT, "ASCII");
}

static void npy_write_then_read_gives_the_same(void **state) {
    (void)state;
    static const pare_dtype types[] = {PARE_F16, PARE_F32, PARE_F64, PARE_S8,  PARE_S16, PARE_S32,
                                       PARE_S64, PARE_U8,  PARE_U16, PARE_U32, PARE_U64, PARE_BOOL};
    static const pare_shape shapes[] = {{0, {0}}, {1, {5}}, {3, {2, 3, 4}}, {2, {0, 7}}};
    uint8_t data[24 * 8];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7);
    }
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            const char *path = test_path("round.npy");
            pare_npy_header header;
            pare_error error = {0};
            void *back;
            size_t bytes, expected;
            assert_true(pare_shape_bytes(&shapes[s], types[t], &expected));
            assert_ok(pare_npy_write(path, types[t], &shapes[s], data, &error), &error);
            assert_ok(pare_npy_read(path, 1 << 20, &header, &back, &bytes, &error), &error);
            assert_int_equal(header.dtype, types[t]);
            assert_true(pare_shape_equal(&header.shape, &shapes[s]));
            assert_int_equal(header.data_offset % 64, 0);
            assert_int_equal(bytes, expected);
            assert_memory_equal(back, data, bytes);
            pare_free(back);
        }
    }
    pare_error error = {0};
    assert_fails(pare_npy_write(test_path("x"), PARE_BF16, &shapes[1], data, &error), PARE_UNSUPPORTED, &error,
                 "bfloat16");
}

static void row_74_npy_big_endian_is_swapped(void **state) {
    (void)state;
    uint8_t file[256];
    static const uint8_t data[16] = {0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0};
    size_t size = make_npy(file, 1, "{'descr': '>f8', 'fortran_order': False, 'shape': (2, 1)}", -1, data, 16);
    const char *path = put_file("big.npy", file, size);
    pare_npy_header header;
    void *read;
    size_t bytes;
    assert_ok(pare_npy_read(path, 1024, &header, &read, &bytes, NULL), NULL);
    assert_false(header.big_endian);
    assert_true(((double *)read)[0] == 1.5 && ((double *)read)[1] == -2);
    pare_free(read);
    pare_dataset *d = must_open(make_spec("npy", "big.npy", "big.npy", ""));
    pare_sample sample = {0};
    assert_int_equal(pare_dataset_info(d).target, PARE_TARGET_VALUES);
    assert_ok(pare_dataset_read(d, 1, &sample, NULL), NULL);
    assert_true(((float *)sample.data)[0] == -2 && sample.values[0] == -2);
    pare_sample_free(&sample);
    pare_dataset_close(d);
}

static void expect_kind(pare_dtype stored, pare_dtype read, pare_target_kind target) {
    uint8_t data[6 * 8] = {0};
    data[3 * pare_dtype_bytes(stored)] = 1; /* second sample's first element: 1 when an integer */
    pare_shape shape = {3, {2, 3, 1}};
    assert_ok(pare_npy_write(test_path("kind.npy"), stored, &shape, data, NULL), NULL);
    pare_dataset *d = must_open(make_spec("npy", "kind.npy", "kind.npy", ""));
    pare_sample_info info = pare_dataset_info(d);
    pare_sample sample = {0};
    assert_false(info.image);
    assert_int_equal(info.dtype, read);
    assert_int_equal(info.target, target);
    assert_int_equal(info.target_count, 3);
    assert_int_equal(info.shape.rank, 2);
    assert_ok(pare_dataset_read(d, 1, &sample, NULL), NULL);
    if (target == PARE_TARGET_CLASS) {
        assert_int_equal(sample.classes[0], 1);
        assert_true(read == PARE_S64 ? ((int64_t *)sample.data)[0] == 1 : ((float *)sample.data)[0] == 1);
        assert_int_equal(sample.classes[2], 0);
    }
    pare_sample_free(&sample);
    pare_dataset_close(d);
}

static void npy_types_become_floats_or_indices(void **state) {
    (void)state;
    expect_kind(PARE_F32, PARE_F32, PARE_TARGET_VALUES);
    expect_kind(PARE_F16, PARE_F32, PARE_TARGET_VALUES);
    expect_kind(PARE_F64, PARE_F32, PARE_TARGET_VALUES);
    expect_kind(PARE_U8, PARE_F32, PARE_TARGET_CLASS);
    expect_kind(PARE_S8, PARE_F32, PARE_TARGET_CLASS);
    expect_kind(PARE_BOOL, PARE_F32, PARE_TARGET_CLASS);
    expect_kind(PARE_S16, PARE_S64, PARE_TARGET_CLASS);
    expect_kind(PARE_U16, PARE_S64, PARE_TARGET_CLASS);
    expect_kind(PARE_S32, PARE_S64, PARE_TARGET_CLASS);
    expect_kind(PARE_U32, PARE_S64, PARE_TARGET_CLASS);
    expect_kind(PARE_S64, PARE_S64, PARE_TARGET_CLASS);
    expect_kind(PARE_U64, PARE_S64, PARE_TARGET_CLASS);
}

static void npy_sets_that_do_not_fit(void **state) {
    (void)state;
    static const float data[4];
    static const uint64_t huge[1] = {UINT64_MAX};
    pare_shape shape = {2, {2, 2}}, other = {1, {4}}, none = {2, {0, 4}}, hollow = {2, {4, 0}}, scalar = {0, {0}};
    pare_shape one = {1, {1}};
    assert_ok(pare_npy_write(test_path("x.npy"), PARE_F32, &shape, data, NULL), NULL);
    assert_ok(pare_npy_write(test_path("y.npy"), PARE_F32, &other, data, NULL), NULL);
    assert_ok(pare_npy_write(test_path("none.npy"), PARE_F32, &none, data, NULL), NULL);
    assert_ok(pare_npy_write(test_path("hollow.npy"), PARE_F32, &hollow, data, NULL), NULL);
    assert_ok(pare_npy_write(test_path("scalar.npy"), PARE_F32, &scalar, data, NULL), NULL);
    assert_ok(pare_npy_write(test_path("huge.npy"), PARE_U64, &one, huge, NULL), NULL);
    refuses(make_spec("npy", "x.npy", "y.npy", ""), PARE_BAD_INPUT, "4 targets and 2 samples");
    refuses(make_spec("npy", "none.npy", NULL, ""), PARE_BAD_INPUT, "empty set");
    refuses(make_spec("npy", "hollow.npy", NULL, ""), PARE_BAD_INPUT, "dimension 0");
    refuses(make_spec("npy", "scalar.npy", NULL, ""), PARE_BAD_INPUT, "scalar");
    pare_dataset *d = must_open(make_spec("npy", "huge.npy", NULL, ""));
    pare_sample sample = {0};
    pare_error error = {0};
    assert_int_equal(pare_dataset_info(d).target, PARE_TARGET_NONE);
    assert_fails(pare_dataset_read(d, 0, &sample, &error), PARE_BAD_INPUT, &error, "below 2^63");
    pare_sample_free(&sample);
    pare_dataset_close(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_headers_of_versions_1_2_3),
        cmocka_unit_test(row_74_npy_header_length_lies),
        cmocka_unit_test(row_74_npy_object_types_are_never_unpickled),
        cmocka_unit_test(row_74_npy_fortran_order_and_bad_shapes),
        cmocka_unit_test(row_74_npy_truncated_anywhere),
        cmocka_unit_test(row_74_npy_non_ascii_headers),
        cmocka_unit_test(npy_write_then_read_gives_the_same),
        cmocka_unit_test(row_74_npy_big_endian_is_swapped),
        cmocka_unit_test(npy_types_become_floats_or_indices),
        cmocka_unit_test(npy_sets_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
