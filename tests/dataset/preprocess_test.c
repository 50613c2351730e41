#include "pare/preprocess.h"

#include <math.h>
#include <string.h>

#include "test.h"

/* The picture of the tables below: (37x + 91y + 53c + 7xy) mod 256. */
static void fill(uint8_t *out, int width, int height, int channels) {
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            for (int c = 0; c < channels; c++) {
                *out++ = (uint8_t)(x * 37 + y * 91 + c * 53 + x * y * 7);
            }
        }
    }
}

static void expect_resize(int width, int height, int channels, int out_width, int out_height, const uint8_t *expected) {
    uint8_t in[50 * 40], out[50 * 40];
    pare_error error = {0};
    fill(in, width, height, channels);
    assert_ok(pare_resize_bilinear(in, height, width, channels, out, out_height, out_width, &error), &error);
    assert_memory_equal(out, expected, (size_t)(out_width * out_height * channels));
}

/* Expected by Pillow 9.4: Image.fromarray(picture).resize((w, h), BILINEAR). */
static void resize_equals_pillow(void **state) {
    (void)state;
    static const uint8_t smaller[] = {106, 131, 143, 120, 135, 146, 126, 124, 134, 115, 130, 137, 119, 144, 118,
                                      123, 134, 130, 140, 141, 132, 141, 128, 126, 127, 129, 127, 135, 144, 144,
                                      115, 147, 122, 128, 130, 113, 144, 134, 127, 124, 132, 109, 138, 106, 128,
                                      131, 105, 146, 132, 117, 138, 122, 121, 128, 128, 124, 132, 129, 100, 153};
    static const uint8_t larger[] = {0,   13,  34,  56,  77,  98,  111, 36,  51,  73,  96,  119,
                                     142, 156, 91,  107, 132, 157, 182, 207, 223, 146, 163, 190,
                                     141, 92,  119, 137, 182, 200, 229, 131, 32,  61,  79};
    static const uint8_t tiny[] = {126, 126, 127, 131, 138, 127};
    expect_resize(13, 9, 3, 5, 4, smaller);
    expect_resize(4, 3, 1, 7, 5, larger);
    expect_resize(50, 40, 1, 3, 2, tiny);
}

static void resize_to_the_same_size_changes_nothing(void **state) {
    (void)state;
    uint8_t in[11 * 7 * 3];
    fill(in, 11, 7, 3);
    expect_resize(11, 7, 3, 11, 7, in);
    pare_error error = {0};
    assert_fails(pare_resize_bilinear(in, 0, 7, 3, in, 1, 1, &error), PARE_USAGE, &error, "sizes");
}

static const pare_sample_info PICTURE = {.image = true, .dtype = PARE_U8};

typedef struct applied {
    float out[4096];
    pare_status status;
    pare_error error;
} applied;

static void apply(const pare_preprocess *p, int width, int height, int channels, pare_shape shape, applied *result) {
    uint8_t pixels[50 * 40];
    fill(pixels, width, height, channels);
    pare_sample sample = {.data = pixels, .shape = {3, {height, width, channels}}};
    pare_preprocess_scratch scratch = {0};
    memset(result, 0, sizeof *result);
    result->status =
        pare_preprocess_apply(p, &PICTURE, &sample, &shape, PARE_F32, result->out, &scratch, &result->error);
    pare_preprocess_scratch_free(&scratch);
}

/* The picture's own formula at (x, y, c). */
static float at(int x, int y, int c) {
    return (float)((x * 37 + y * 91 + c * 53 + x * y * 7) & 255);
}

static void layouts_and_colour_orders(void **state) {
    (void)state;
    static applied r;
    pare_preprocess p = {0};
    apply(&p, 5, 4, 3, (pare_shape){3, {3, 4, 5}}, &r);
    assert_ok(r.status, &r.error);
    assert_true(r.out[2 * 20 + 3 * 5 + 1] == at(1, 3, 2));
    p.color = PARE_COLOR_BGR;
    apply(&p, 5, 4, 3, (pare_shape){3, {3, 4, 5}}, &r);
    assert_true(r.out[2 * 20 + 3 * 5 + 1] == at(1, 3, 0));
    p.layout = PARE_ORDER_NHWC;
    apply(&p, 5, 4, 3, (pare_shape){3, {4, 5, 3}}, &r);
    assert_true(r.out[(3 * 5 + 1) * 3] == at(1, 3, 2));
    p.layout = PARE_ORDER_FLAT;
    p.color = PARE_COLOR_RGB;
    apply(&p, 5, 4, 1, (pare_shape){1, {60}}, &r); /* gray is repeated */
    assert_ok(r.status, &r.error);
    assert_true(r.out[(3 * 5 + 1) * 3 + 2] == at(1, 3, 0));
}

/* Pillow's convert("L") of the picture's first row. */
static void gray_is_pillows_luma(void **state) {
    (void)state;
    static applied r;
    static const float expected[6] = {43, 80, 117, 154, 191, 199};
    pare_preprocess p = {.color = PARE_COLOR_GRAY};
    apply(&p, 6, 1, 3, (pare_shape){3, {1, 1, 6}}, &r);
    assert_ok(r.status, &r.error);
    assert_memory_equal(r.out, expected, sizeof expected);
}

static void row_77_scale_mean_and_std(void **state) {
    (void)state;
    static applied r;
    pare_preprocess p = {.scale = 0.5f, .mean = {1, 2, 3}, .std = {4}, .mean_count = 3, .std_count = 1};
    apply(&p, 5, 4, 3, (pare_shape){3, {3, 4, 5}}, &r);
    assert_ok(r.status, &r.error);
    assert_true(r.out[1 * 20 + 7] == (at(2, 1, 1) * 0.5f - 2) / 4);
    assert_true(r.out[2 * 20 + 7] == (at(2, 1, 2) * 0.5f - 3) / 4);
    p.std[0] = 0;
    apply(&p, 5, 4, 3, (pare_shape){3, {3, 4, 5}}, &r);
    assert_fails(r.status, PARE_BAD_INPUT, &r.error, "std above 0");
    p.std[0] = 1;
    p.mean[1] = NAN;
    apply(&p, 5, 4, 3, (pare_shape){3, {3, 4, 5}}, &r);
    assert_fails(r.status, PARE_BAD_INPUT, &r.error, "finite");
    p.mean_count = 2;
    apply(&p, 5, 4, 3, (pare_shape){3, {3, 4, 5}}, &r);
    assert_fails(r.status, PARE_BAD_INPUT, &r.error, "each of 3 channels, found 2");
    p.mean_count = 1000;
    apply(&p, 5, 4, 3, (pare_shape){3, {3, 4, 5}}, &r);
    assert_fails(r.status, PARE_BAD_INPUT, &r.error, "found 1000");
}

/* Margins of 1, 3 and 5 pixels start at 0, 2 and 2: halves go to the even number. */
static void centre_crop_rounds_half_to_even(void **state) {
    (void)state;
    static applied r;
    static const int starts[6] = {0, 0, 1, 2, 2, 2};
    for (int margin = 1; margin <= 5; margin++) {
        pare_preprocess p = {.crop = 4};
        apply(&p, 4 + margin, 4, 1, (pare_shape){3, {1, 4, 4}}, &r);
        assert_ok(r.status, &r.error);
        assert_true(r.out[0] == at(starts[margin], 0, 0));
        assert_true(r.out[5] == at(starts[margin] + 1, 1, 0));
    }
    pare_preprocess p = {.crop = 5};
    apply(&p, 6, 4, 1, (pare_shape){3, {1, 5, 5}}, &r);
    assert_fails(r.status, PARE_BAD_INPUT, &r.error, "at least 5 x 5 to crop, found 6 x 4");
}

static void the_short_side_is_resized(void **state) {
    (void)state;
    static applied r;
    pare_preprocess p = {.resize = 4};
    apply(&p, 13, 9, 3, (pare_shape){3, {3, 4, 5}}, &r); /* floor(4 × 13 / 9) = 5 */
    assert_ok(r.status, &r.error);
    assert_true(r.out[0] == 106 && r.out[20] == 131); /* resize_equals_pillow's first pixel */
    apply(&p, 9, 13, 1, (pare_shape){3, {1, 5, 4}}, &r);
    assert_ok(r.status, &r.error);
    p.resize = 100000;
    apply(&p, 9, 13, 1, (pare_shape){3, {1, 5, 4}}, &r);
    assert_fails(r.status, PARE_LIMIT, &r.error, "100000");
    p.resize = -3;
    apply(&p, 9, 13, 1, (pare_shape){3, {1, 5, 4}}, &r);
    assert_fails(r.status, PARE_LIMIT, &r.error, "-3");
}

static void row_77_image_shape_or_layout_differs(void **state) {
    (void)state;
    static applied r;
    pare_preprocess p = {0};
    apply(&p, 6, 4, 3, (pare_shape){3, {3, 4, 5}}, &r);
    assert_fails(r.status, PARE_BAD_INPUT, &r.error, "3x4x5 (channels, height, width), found a picture of 6 x 4");
    apply(&p, 5, 4, 3, (pare_shape){3, {4, 5, 3}}, &r);
    assert_fails(r.status, PARE_BAD_INPUT, &r.error, "4x5x3");
    apply(&p, 5, 4, 1, (pare_shape){3, {3, 4, 5}}, &r);
    assert_fails(r.status, PARE_BAD_INPUT, &r.error, "1 channel(s)");
    p.layout = PARE_ORDER_FLAT;
    apply(&p, 5, 4, 3, (pare_shape){1, {61}}, &r);
    assert_fails(r.status, PARE_BAD_INPUT, &r.error, "61 (flat)");
}

static pare_status apply_numbers(const pare_preprocess *p, pare_dtype from, const void *data, pare_shape shape,
                                 pare_dtype to, pare_shape wanted, void *out, pare_error *error) {
    pare_sample_info info = {.dtype = from, .shape = shape};
    pare_sample sample = {.data = (void *)(uintptr_t)data, .shape = shape};
    pare_preprocess_scratch scratch = {0};
    return pare_preprocess_apply(p, &info, &sample, &wanted, to, out, &scratch, error);
}

static void row_77_numbers_are_scaled_and_nan_is_refused(void **state) {
    (void)state;
    pare_preprocess p = {.scale = 2, .mean = {1, 3}, .mean_count = 2};
    float in[4] = {1, 2, 3, 4}, out[4];
    pare_error error = {0};
    pare_shape shape = {2, {2, 2}}, flat = {1, {4}};
    static const float planes[4] = {1, 3, 3, 5}, columns[4] = {1, 1, 5, 5};
    assert_ok(apply_numbers(&p, PARE_F32, in, shape, PARE_F32, shape, out, &error), &error);
    assert_memory_equal(out, planes, sizeof out);
    assert_fails(apply_numbers(&p, PARE_F32, in, shape, PARE_F32, flat, out, &error), PARE_BAD_INPUT, &error,
                 "expects an input of 4, found a sample of 2x2");
    p.layout = PARE_ORDER_FLAT;
    assert_ok(apply_numbers(&p, PARE_F32, in, shape, PARE_F32, flat, out, &error), &error);
    assert_memory_equal(out, columns, sizeof out);
    in[2] = NAN;
    assert_fails(apply_numbers(&p, PARE_F32, in, shape, PARE_F32, flat, out, &error), PARE_BAD_INPUT, &error,
                 "nan at element 2");
    in[2] = 3e38f; /* finite, but twice as much is not */
    assert_fails(apply_numbers(&p, PARE_F32, in, shape, PARE_F32, flat, out, &error), PARE_BAD_INPUT, &error, "finite");
    p.crop = 2;
    assert_fails(apply_numbers(&p, PARE_F32, in, shape, PARE_F32, flat, out, &error), PARE_BAD_INPUT, &error, "crop");
}

static void integers_pass_unchanged(void **state) {
    (void)state;
    pare_preprocess p = {.scale = 2};
    int64_t in[3] = {5, 511, INT64_C(1) << 60}, out[3];
    float half[3] = {1, 2, 2.5f}, real[3];
    uint8_t bytes[3];
    pare_error error = {0};
    pare_shape shape = {1, {3}};
    assert_ok(apply_numbers(&p, PARE_S64, in, shape, PARE_S64, shape, out, &error), &error);
    assert_memory_equal(in, out, sizeof in);
    assert_ok(apply_numbers(&p, PARE_S64, in, shape, PARE_F32, shape, real, &error), &error);
    assert_true(real[1] == 1022);
    assert_fails(apply_numbers(&p, PARE_F32, half, shape, PARE_S64, shape, out, &error), PARE_BAD_INPUT, &error,
                 "2.5 at element 2");
    assert_fails(apply_numbers(&p, PARE_S64, in, shape, PARE_U8, shape, bytes, &error), PARE_BAD_INPUT, &error,
                 "511 at element 1");
    assert_fails(apply_numbers(&p, PARE_F32, half, shape, PARE_S32, shape, out, &error), PARE_UNSUPPORTED, &error,
                 "int32");
}

static void u8_models_take_bytes_without_scaling(void **state) {
    (void)state;
    uint8_t in[2 * 2 * 3], out[12];
    fill(in, 2, 2, 3);
    pare_sample sample = {.data = in, .shape = {3, {2, 2, 3}}};
    pare_preprocess p = {.layout = PARE_ORDER_NHWC, .scale = 0.5f};
    pare_preprocess_scratch scratch = {0};
    pare_error error = {0};
    pare_shape shape = {3, {2, 2, 3}};
    assert_ok(pare_preprocess_apply(&p, &PICTURE, &sample, &shape, PARE_U8, out, &scratch, &error), &error);
    assert_memory_equal(in, out, sizeof in);
    assert_fails(pare_preprocess_apply(&p, &PICTURE, &sample, &shape, PARE_S64, out, &scratch, &error),
                 PARE_UNSUPPORTED, &error, "int64");
    pare_preprocess_scratch_free(&scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resize_equals_pillow),
        cmocka_unit_test(resize_to_the_same_size_changes_nothing),
        cmocka_unit_test(layouts_and_colour_orders),
        cmocka_unit_test(gray_is_pillows_luma),
        cmocka_unit_test(row_77_scale_mean_and_std),
        cmocka_unit_test(centre_crop_rounds_half_to_even),
        cmocka_unit_test(the_short_side_is_resized),
        cmocka_unit_test(row_77_image_shape_or_layout_differs),
        cmocka_unit_test(row_77_numbers_are_scaled_and_nan_is_refused),
        cmocka_unit_test(integers_pass_unchanged),
        cmocka_unit_test(u8_models_take_bytes_without_scaling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
