#include "train/data/augment.h"

#include <math.h>
#include <string.h>

#include "test.h"

#define CHANNELS 3
#define HEIGHT 5
#define WIDTH 7
#define PIXELS (HEIGHT * WIDTH)
#define ELEMENTS (CHANNELS * PIXELS)

static const pare_sample_info PICTURE = {.image = true, .dtype = PARE_U8, .shape = {3, {HEIGHT, WIDTH, CHANNELS}}};

static pare_augmenter must_init(pare_augment options, pare_layout_order layout) {
    static const pare_shape shapes[3] = {
        {3, {CHANNELS, HEIGHT, WIDTH}}, {3, {HEIGHT, WIDTH, CHANNELS}}, {1, {ELEMENTS}}};
    pare_preprocess preprocess = {.layout = layout};
    pare_augmenter a;
    pare_error error = {0};
    assert_ok(pare_augmenter_init(&a, &options, &preprocess, &PICTURE, &shapes[layout], PARE_F32, &error), &error);
    return a;
}

/* Different numbers, none 0: 1, 2, 3, … in [C, H, W] order. */
static void fill(float *sample) {
    for (size_t i = 0; i < ELEMENTS; i++) {
        sample[i] = (float)(i + 1);
    }
}

static float value_at(const float *sample, int c, int y, int x) {
    return y < 0 || y >= HEIGHT || x < 0 || x >= WIDTH ? 0 : sample[(c * HEIGHT + y) * WIDTH + x];
}

/* out(y, x) = in(y - down, x - across), pixel by pixel. */
static void translate(float *sample, int down, int across) {
    float before[ELEMENTS];
    memcpy(before, sample, sizeof before);
    for (int i = 0; i < ELEMENTS; i++) {
        sample[i] = value_at(before, i / PIXELS, i % PIXELS / WIDTH - down, i % WIDTH - across);
    }
}

static void mirror(float *sample, bool across, bool down) {
    float before[ELEMENTS];
    memcpy(before, sample, sizeof before);
    for (int i = 0; i < ELEMENTS; i++) {
        int y = i % PIXELS / WIDTH, x = i % WIDTH;
        sample[i] = value_at(before, i / PIXELS, down ? HEIGHT - 1 - y : y, across ? WIDTH - 1 - x : x);
    }
}

/* Candidate `number` of each way to flip, crop (padding) and shift; the count of
 * ways is returned. */
static int candidate(const pare_augment *o, int number, float *sample) {
    int crop = 2 * o->crop_padding + 1, shift = 2 * o->shift + 1, rest = number;
    fill(sample);
    mirror(sample, o->flip_horizontal && rest % 2, o->flip_vertical && rest / 2 % 2);
    rest /= 4;
    translate(sample, rest % crop - o->crop_padding, rest / crop % crop - o->crop_padding);
    rest /= crop * crop;
    translate(sample, rest % shift - o->shift, rest / shift % shift - o->shift);
    return 4 * crop * crop * shift * shift;
}

/* Each draw is one of the candidates, and each candidate is drawn. */
static void expect_moves(pare_augment options, int draws) {
    static float candidates[2000][ELEMENTS];
    static bool seen[2000];
    float sample[ELEMENTS];
    int count = candidate(&options, 0, candidates[0]);
    assert_true(count <= 2000);
    for (int i = 0; i < count; i++) {
        candidate(&options, i, candidates[i]);
    }
    memset(seen, 0, sizeof seen);
    pare_augmenter a = must_init(options, PARE_ORDER_NCHW);
    pare_random random;
    pare_random_seed(&random, 5);
    for (int draw = 0; draw < draws; draw++) {
        bool known = false;
        fill(sample);
        pare_augmenter_apply(&a, sample, &random);
        for (int i = 0; i < count; i++) {
            bool same = memcmp(sample, candidates[i], sizeof sample) == 0;
            seen[i] |= same;
            known |= same;
        }
        assert_true(known);
    }
    for (int i = 0; i < count; i++) {
        assert_true(seen[i]);
    }
    pare_augmenter_free(&a);
}

static void flips(void **state) {
    (void)state;
    expect_moves((pare_augment){.flip_horizontal = true}, 50);
    expect_moves((pare_augment){.flip_vertical = true}, 50);
    expect_moves((pare_augment){.flip_horizontal = true, .flip_vertical = true}, 100);
}

static void crops_and_shifts(void **state) {
    (void)state;
    expect_moves((pare_augment){.crop_padding = 1}, 200);
    expect_moves((pare_augment){.crop_padding = 4}, 1500); /* a picture's side less one */
    expect_moves((pare_augment){.shift = 2}, 400);
}

static void flips_crops_and_shifts_in_this_order(void **state) {
    (void)state;
    expect_moves((pare_augment){.flip_horizontal = true, .flip_vertical = true, .crop_padding = 1, .shift = 1}, 5000);
}

static void half_of_the_pictures_are_flipped(void **state) {
    (void)state;
    pare_augmenter a = must_init((pare_augment){.flip_horizontal = true}, PARE_ORDER_NCHW);
    pare_random random;
    pare_random_seed(&random, 1);
    int flipped = 0;
    for (int i = 0; i < 4000; i++) {
        float sample[ELEMENTS];
        fill(sample);
        pare_augmenter_apply(&a, sample, &random);
        flipped += sample[0] != 1;
    }
    assert_in_range(flipped, 1874, 2126); /* four deviations */
    pare_augmenter_free(&a);
}

static const pare_augment EVERYTHING = {.flip_horizontal = true,
                                        .flip_vertical = true,
                                        .crop_padding = 2,
                                        .shift = 1,
                                        .rotation = 20,
                                        .brightness = 0.3,
                                        .contrast = 0.4,
                                        .cutout = 3};

/* Interleaved and flat pictures change as planar ones do. */
static void layouts_agree(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        float results[3][ELEMENTS];
        for (int layout = PARE_ORDER_NCHW; layout <= PARE_ORDER_FLAT; layout++) {
            float *sample = results[layout], planar[ELEMENTS];
            pare_augmenter a = must_init(EVERYTHING, (pare_layout_order)layout);
            pare_random random;
            pare_random_seed(&random, seed);
            fill(planar);
            for (size_t i = 0; i < ELEMENTS; i++) {
                sample[layout == PARE_ORDER_NCHW ? i : i % PIXELS * CHANNELS + i / PIXELS] = planar[i];
            }
            pare_augmenter_apply(&a, sample, &random);
            pare_augmenter_free(&a);
        }
        for (size_t i = 0; i < ELEMENTS; i++) { /* the mean's sum has another order */
            size_t interleaved = i % PIXELS * CHANNELS + i / PIXELS;
            assert_true(fabs((double)(results[0][i] - results[1][interleaved])) < 1e-4);
        }
        assert_memory_equal(results[1], results[2], sizeof results[1]);
    }
}

#define SIDE 9

/* Two planes hold x and y: bilinear interpolation reproduces them exactly, so
 * the result shows the map itself, which must be a rotation about the centre. */
static void rotation_turns_about_the_centre(void **state) {
    (void)state;
    pare_augment options = {.rotation = 30};
    pare_preprocess preprocess = {0};
    pare_shape shape = {3, {2, SIDE, SIDE}};
    pare_augmenter a;
    pare_error error = {0};
    assert_ok(pare_augmenter_init(&a, &options, &preprocess, &PICTURE, &shape, PARE_F32, &error), &error);
    pare_random random;
    pare_random_seed(&random, 2);
    double least = 0, most = 0;
    for (int draw = 0; draw < 200; draw++) {
        float sample[2 * SIDE * SIDE], *xs = sample, *ys = sample + SIDE * SIDE;
        for (int i = 0; i < SIDE * SIDE; i++) {
            xs[i] = (float)(i % SIDE);
            ys[i] = (float)(i / SIDE);
        }
        pare_augmenter_apply(&a, sample, &random);
        int centre = 4 * SIDE + 4;
        assert_true(fabs((double)xs[centre] - 4) < 1e-5 && fabs((double)ys[centre] - 4) < 1e-5);
        double cosine = (double)xs[centre + 1] - 4, sine = (double)ys[centre + 1] - 4;
        assert_true(fabs(cosine * cosine + sine * sine - 1) < 1e-5);
        for (int y = -2; y <= 2; y++) { /* far enough from the border at any angle */
            for (int x = -2; x <= 2; x++) {
                int at = centre + y * SIDE + x;
                assert_true(fabs((double)xs[at] - (4 + cosine * x - sine * y)) < 1e-5);
                assert_true(fabs((double)ys[at] - (4 + sine * x + cosine * y)) < 1e-5);
            }
        }
        double degrees = atan2(sine, cosine) * 57.29577951308232;
        least = degrees < least ? degrees : least;
        most = degrees > most ? degrees : most;
    }
    assert_true(least >= -30.001 && least < -28 && most > 28 && most <= 30.001);
    pare_augmenter_free(&a);
}

/* A white picture turned: white within, 0 outside, between on the edges only. */
static void rotation_brings_in_zeros(void **state) {
    (void)state;
    pare_augmenter a = must_init((pare_augment){.rotation = 180}, PARE_ORDER_NCHW);
    pare_random random;
    pare_random_seed(&random, 2);
    int dark = 0;
    for (int draw = 0; draw < 100; draw++) {
        float sample[ELEMENTS];
        for (int i = 0; i < ELEMENTS; i++) {
            sample[i] = 1;
        }
        pare_augmenter_apply(&a, sample, &random);
        for (int i = 0; i < ELEMENTS; i++) {
            assert_true(sample[i] >= 0 && sample[i] < 1.00001f);
        }
        dark += sample[0] == 0;
        assert_true(fabsf(sample[HEIGHT / 2 * WIDTH + WIDTH / 2] - 1) < 1e-5f);
    }
    /* The corner, sqrt(13) from the centre, is black where it comes from 3 rows away or more: at 37 % of the angles. */
    assert_in_range(dark, 23, 52);
    pare_augmenter_free(&a);
}

static void moments(const float *values, size_t count, double *mean, double *deviation) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)values[i];
    }
    *mean = sum / (double)count;
    for (size_t i = 0; i < count; i++) {
        squares += ((double)values[i] - *mean) * ((double)values[i] - *mean);
    }
    *deviation = sqrt(squares / (double)count);
}

static void brightness_adds_one_number_to_all(void **state) {
    (void)state;
    pare_augmenter a = must_init((pare_augment){.brightness = 0.5}, PARE_ORDER_NCHW);
    pare_random random;
    pare_random_seed(&random, 3);
    float before[ELEMENTS], least = 0, most = 0;
    double mean, deviation;
    fill(before);
    moments(before, ELEMENTS, &mean, &deviation);
    for (int draw = 0; draw < 200; draw++) {
        float sample[ELEMENTS];
        fill(sample);
        pare_augmenter_apply(&a, sample, &random);
        float added = sample[0] - before[0];
        for (int i = 0; i < ELEMENTS; i++) {
            assert_true(fabsf(sample[i] - before[i] - added) < 1e-3f);
        }
        least = added < least ? added : least;
        most = added > most ? added : most;
    }
    assert_true((double)least >= -0.5 * deviation && (double)least < -0.45 * deviation);
    assert_true((double)most <= 0.5 * deviation && (double)most > 0.45 * deviation);
    pare_augmenter_free(&a);
}

static void contrast_scales_about_the_mean(void **state) {
    (void)state;
    pare_augmenter a = must_init((pare_augment){.contrast = 0.25}, PARE_ORDER_NCHW);
    pare_random random;
    pare_random_seed(&random, 4);
    double mean, deviation, least = 1, most = 1;
    float before[ELEMENTS];
    fill(before);
    moments(before, ELEMENTS, &mean, &deviation);
    for (int draw = 0; draw < 200; draw++) {
        float sample[ELEMENTS];
        double mean_after, deviation_after;
        fill(sample);
        pare_augmenter_apply(&a, sample, &random);
        moments(sample, ELEMENTS, &mean_after, &deviation_after);
        double factor = deviation_after / deviation;
        assert_true(fabs(mean_after - mean) < 1e-3);
        for (int i = 0; i < ELEMENTS; i++) {
            assert_true(fabs((double)sample[i] - mean - ((double)before[i] - mean) * factor) < 1e-3);
        }
        least = factor < least ? factor : least;
        most = factor > most ? factor : most;
    }
    assert_true(least > 0.7499 && least < 0.77 && most > 1.23 && most < 1.2501);
    pare_augmenter_free(&a);
}

static void a_constant_picture_stays_finite(void **state) {
    (void)state;
    pare_augmenter a = must_init((pare_augment){.brightness = 1, .contrast = 1}, PARE_ORDER_NCHW);
    pare_random random;
    pare_random_seed(&random, 4);
    float sample[ELEMENTS];
    for (int i = 0; i < ELEMENTS; i++) {
        sample[i] = 0.3f;
    }
    pare_augmenter_apply(&a, sample, &random);
    for (int i = 0; i < ELEMENTS; i++) {
        assert_true(fabsf(sample[i] - 0.3f) < 1e-5f);
    }
    pare_augmenter_free(&a);
}

static void borders_stay_zero_whatever_the_brightness(void **state) {
    (void)state;
    pare_augmenter a = must_init((pare_augment){.brightness = 5, .shift = 4}, PARE_ORDER_NCHW);
    pare_random random;
    pare_random_seed(&random, 4);
    int zeros = 0;
    for (int draw = 0; draw < 100; draw++) {
        float sample[ELEMENTS];
        fill(sample);
        pare_augmenter_apply(&a, sample, &random);
        zeros += sample[0] == 0 || sample[WIDTH - 1] == 0;
    }
    assert_in_range(zeros, 50, 100);
    pare_augmenter_free(&a);
}

/* A rectangle of zeros in each plane, of the whole side but at the borders. */
static void check_hole(const float *sample, int side) {
    int top = HEIGHT, left = WIDTH, bottom = -1, right = -1, zeros = 0;
    for (int i = 0; i < ELEMENTS; i++) {
        int y = i % PIXELS / WIDTH, x = i % WIDTH;
        assert_true((sample[i] == 0) == (sample[i % PIXELS] == 0));
        assert_true(sample[i] == 0 || sample[i] == (float)(i + 1));
        if (sample[i] == 0) {
            zeros++;
            top = y < top ? y : top;
            left = x < left ? x : left;
            bottom = y > bottom ? y : bottom;
            right = x > right ? x : right;
        }
    }
    int height = bottom - top + 1, width = right - left + 1;
    assert_int_equal(zeros, height * width * CHANNELS);
    assert_true(height >= 1 && width >= 1);
    assert_true(height == side || (height < side && (top == 0 || bottom == HEIGHT - 1)));
    assert_true(width == side || (width < side && (left == 0 || right == WIDTH - 1)));
}

static void cutout_zeroes_a_square(void **state) {
    (void)state;
    for (int side = 1; side <= 5; side++) {
        pare_augmenter a = must_init((pare_augment){.cutout = side}, PARE_ORDER_NCHW);
        pare_random random;
        pare_random_seed(&random, 6);
        int cut[PIXELS] = {0}, whole = 0;
        for (int draw = 0; draw < 1000; draw++) {
            float sample[ELEMENTS];
            int zeros = 0;
            fill(sample);
            pare_augmenter_apply(&a, sample, &random);
            check_hole(sample, side);
            for (int i = 0; i < PIXELS; i++) {
                cut[i] += sample[i] == 0;
                zeros += sample[i] == 0;
            }
            whole += zeros == side * side;
        }
        for (int i = 0; i < PIXELS; i++) {
            assert_true(cut[i] > 0);
        }
        assert_true(whole > 0);
        pare_augmenter_free(&a);
    }
}

#define MANY 200001 /* odd: the last number has no pair */

static void noise_is_normal(void **state) {
    (void)state;
    static float sample[MANY];
    pare_augment options = {.noise = 0.5};
    pare_preprocess preprocess = {0};
    pare_sample_info numbers = {.dtype = PARE_F32, .shape = {1, {MANY}}};
    pare_augmenter a;
    pare_error error = {0};
    assert_ok(pare_augmenter_init(&a, &options, &preprocess, &numbers, &numbers.shape, PARE_F32, &error), &error);
    pare_random random;
    pare_random_seed(&random, 8);
    memset(sample, 0, sizeof sample);
    pare_augmenter_apply(&a, sample, &random);
    double mean, deviation, product = 0;
    size_t within[3] = {0}, far = 0;
    float farthest = 0;
    moments(sample, MANY, &mean, &deviation);
    for (size_t i = 0; i < MANY; i++) {
        for (int k = 0; k < 3; k++) {
            within[k] += fabs((double)sample[i]) < 0.5 * (k + 1);
        }
        far += fabs((double)sample[i]) > 0.5 * 3.442619855899; /* beyond the ziggurat's layers */
        farthest = fabsf(sample[i]) > farthest ? fabsf(sample[i]) : farthest;
        product += i > 0 ? (double)sample[i] * (double)sample[i - 1] : 0;
    }
    assert_true(fabs(mean) < 0.005 && fabs(deviation - 0.5) < 0.004);
    assert_true(fabs(product / MANY) < 0.003); /* neighbours are independent */
    assert_true(fabs((double)within[0] / MANY - 0.682689) < 0.005);
    assert_true(fabs((double)within[1] / MANY - 0.954500) < 0.003);
    assert_true(fabs((double)within[2] / MANY - 0.997300) < 0.001);
    assert_in_range(far, 72, 158); /* 115, four deviations */
    assert_true(farthest > 0.5f * 4 && farthest < 0.5f * 6);
    pare_augmenter_free(&a);
}

/* Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)); Beta(1, 1) is uniform. */
static void lambda_is_beta_distributed(void **state) {
    (void)state;
    static const double alphas[5] = {0.1, 0.4, 1, 2, 30};
    static float lambdas[20000];
    pare_random random;
    pare_random_seed(&random, 9);
    for (size_t k = 0; k < 5; k++) {
        double mean, deviation, expected = sqrt(1 / (4 * (2 * alphas[k] + 1)));
        int tenths[10] = {0};
        for (size_t i = 0; i < 20000; i++) {
            double lambda = pare_mixup_lambda(alphas[k], &random);
            assert_true(lambda >= 0 && lambda <= 1);
            lambdas[i] = (float)lambda;
            tenths[lambda < 1 ? (int)(lambda * 10) : 9]++;
        }
        moments(lambdas, 20000, &mean, &deviation);
        assert_true(fabs(mean - 0.5) < 0.015);
        assert_true(fabs(deviation / expected - 1) < 0.03);
        for (int i = 0; alphas[k] == 1 && i < 10; i++) {
            assert_in_range(tenths[i], 1800, 2200);
        }
        assert_true(alphas[k] != 0.1 || tenths[0] + tenths[9] > 15000);
    }
}

static void lambda_of_a_tiny_alpha_is_a_number(void **state) {
    (void)state;
    static const double alphas[4] = {1e-3, 1e-300, 5e-324, 1e6};
    pare_random random;
    pare_random_seed(&random, 9);
    for (size_t k = 0; k < 4; k++) {
        for (int i = 0; i < 500; i++) {
            double lambda = pare_mixup_lambda(alphas[k], &random);
            assert_true(lambda >= 0 && lambda <= 1);
        }
    }
}

static void nothing_asked_is_nothing_done(void **state) {
    (void)state;
    pare_augmenter a = must_init((pare_augment){.mixup = 1}, PARE_ORDER_NCHW);
    float before[ELEMENTS], sample[ELEMENTS];
    pare_random random, untouched;
    pare_random_seed(&random, 1);
    untouched = random;
    fill(before);
    fill(sample);
    pare_augmenter_apply(&a, sample, &random);
    assert_memory_equal(before, sample, sizeof sample);
    assert_memory_equal(&random, &untouched, sizeof random);
    pare_augmenter_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flips),
        cmocka_unit_test(crops_and_shifts),
        cmocka_unit_test(flips_crops_and_shifts_in_this_order),
        cmocka_unit_test(half_of_the_pictures_are_flipped),
        cmocka_unit_test(layouts_agree),
        cmocka_unit_test(rotation_turns_about_the_centre),
        cmocka_unit_test(rotation_brings_in_zeros),
        cmocka_unit_test(brightness_adds_one_number_to_all),
        cmocka_unit_test(contrast_scales_about_the_mean),
        cmocka_unit_test(a_constant_picture_stays_finite),
        cmocka_unit_test(borders_stay_zero_whatever_the_brightness),
        cmocka_unit_test(cutout_zeroes_a_square),
        cmocka_unit_test(noise_is_normal),
        cmocka_unit_test(lambda_is_beta_distributed),
        cmocka_unit_test(lambda_of_a_tiny_alpha_is_a_number),
        cmocka_unit_test(nothing_asked_is_nothing_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
