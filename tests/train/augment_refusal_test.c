#include "train/data/augment.h"

#include <math.h>
#include <stdio.h>

#include "pare/memory.h"
#include "test.h"

static const pare_sample_info PICTURE = {.image = true, .dtype = PARE_U8, .shape = {3, {5, 7, 3}}};
static const pare_shape PLANAR = {3, {3, 5, 7}};

static void fields_out_of_range_are_named(void **state) {
    (void)state;
    static const struct {
        pare_augment options;
        const char *text;
    } cases[] = {
        {{.crop_padding = -1}, "crop_padding from 0 to 16384, found -1"},
        {{.shift = 20000}, "shift from 0 to 16384, found 20000"},
        {{.cutout = -3}, "cutout"},
        {{.rotation = 181}, "rotation from 0 to 180, found 181"},
        {{.brightness = NAN}, "brightness"},
        {{.contrast = 1.5}, "contrast from 0 to 1, found 1.5"},
        {{.noise = -0.1}, "noise"},
        {{.noise = INFINITY}, "noise"},
        {{.mixup = -1}, "mixup"},
    };
    pare_error error = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_fails(pare_augment_check(&cases[i].options, &error), PARE_USAGE, &error, cases[i].text);
    }
    pare_augment limits = {true, true, 16384, 16384, 180, 0.5, 1, 16384, 1, 1};
    assert_ok(pare_augment_check(&limits, &error), &error);
}

static void init_refuses(pare_augment options, const pare_preprocess *preprocess, const pare_sample_info *info,
                         pare_shape input, pare_dtype dtype, const char *text) {
    size_t before = pare_memory_used();
    pare_augmenter a;
    pare_error error = {0};
    assert_fails(pare_augmenter_init(&a, &options, preprocess, info, &input, dtype, &error), PARE_USAGE, &error, text);
    pare_augmenter_free(&a);
    assert_int_equal(pare_memory_used(), before);
}

static void what_needs_pixels_is_refused_for_numbers(void **state) {
    (void)state;
    static const struct {
        pare_augment options;
        const char *name;
    } cases[] = {
        {{.flip_horizontal = true}, "flip_horizontal"},
        {{.flip_vertical = true}, "flip_vertical"},
        {{.crop_padding = 1}, "crop_padding"},
        {{.shift = 1}, "shift"},
        {{.rotation = 1}, "rotation"},
        {{.cutout = 1}, "cutout"},
        {{.brightness = 1}, "brightness"},
        {{.contrast = 1}, "contrast"},
    };
    pare_sample_info numbers = {.dtype = PARE_F32, .shape = {3, {1, 49, 10}}};
    pare_preprocess preprocess = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        snprintf(text, sizeof text, "%s needs pictures, found samples of 1x49x10 numbers; only noise and mixup apply",
                 cases[i].name);
        init_refuses(cases[i].options, &preprocess, &numbers, numbers.shape, PARE_F32, text);
    }
}

static void tokens_are_never_changed(void **state) {
    (void)state;
    pare_sample_info tokens = {.dtype = PARE_S64, .shape = {1, {8}}};
    pare_preprocess preprocess = {0};
    init_refuses((pare_augment){.noise = 1}, &preprocess, &tokens, tokens.shape, PARE_S64,
                 "noise needs a model input of float32, found int64");
    init_refuses((pare_augment){.mixup = 1}, &preprocess, &tokens, tokens.shape, PARE_S64, "mixup");
    init_refuses((pare_augment){.shift = 1}, &preprocess, &tokens, tokens.shape, PARE_S64, "shift");
}

static void pictures_of_unfit_sizes_are_refused(void **state) {
    (void)state;
    pare_preprocess flat = {.layout = PARE_ORDER_FLAT, .resize = 6}, planar = {0};
    init_refuses((pare_augment){.shift = 1}, &flat, &PICTURE, (pare_shape){1, {105}}, PARE_F32,
                 "shift needs a known height and width, found a model input of 105 without a crop");
    init_refuses((pare_augment){.crop_padding = 5}, &planar, &PICTURE, PLANAR, PARE_F32,
                 "crop_padding of at most 4 for pictures of 7 x 5, found 5");
    init_refuses((pare_augment){.shift = 5}, &planar, &PICTURE, PLANAR, PARE_F32, "shift of at most 4");
    init_refuses((pare_augment){.cutout = 6}, &planar, &PICTURE, PLANAR, PARE_F32, "cutout of at most 5");
    init_refuses((pare_augment){.cutout = 1}, &planar, &PICTURE, (pare_shape){3, {3, -1, 7}}, PARE_F32,
                 "fixed dimensions above 0");
    /* A crop gives a flat input its sides. */
    flat.crop = 5;
    pare_augment options = {.shift = 1};
    pare_shape shape = {1, {75}};
    pare_augmenter a;
    pare_error error = {0};
    assert_ok(pare_augmenter_init(&a, &options, &flat, &PICTURE, &shape, PARE_F32, &error), &error);
    assert_true(a.height == 5 && a.width == 5 && a.run == 3);
    pare_augmenter_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_out_of_range_are_named),
        cmocka_unit_test(what_needs_pixels_is_refused_for_numbers),
        cmocka_unit_test(tokens_are_never_changed),
        cmocka_unit_test(pictures_of_unfit_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
