/* The ranges that calibration chooses. */
#include <math.h>

#include "calib/histogram.h"
#include "pare/random.h"
#include "test.h"

#define SAMPLES 200000

static float values[SAMPLES];
static uint64_t bins[HISTOGRAM_BINS];

static histogram collect(void) {
    histogram h = {.minimum = INFINITY, .maximum = -INFINITY, .finite = true};
    histogram_extend(&h, values, SAMPLES / 2);
    histogram_extend(&h, values + SAMPLES / 2, SAMPLES / 2);
    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        bins[i] = 0;
    }
    h.bins = bins;
    histogram_fill(&h, values, SAMPLES);
    return h;
}

static void normal_values(double outlier) {
    pare_random random;
    pare_random_seed(&random, 5);
    for (int i = 0; i < SAMPLES; i++) {
        values[i] = (float)pare_random_normal(&random);
    }
    values[7] = (float)outlier;
}

static void every_method_contains_zero_and_stays_inside(void **state) {
    (void)state;
    for (int shift = -1; shift <= 1; shift++) {
        normal_values(30.0);
        for (int i = 0; i < SAMPLES; i++) {
            values[i] = shift == 0 ? values[i] : (float)shift * fabsf(values[i]);
        }
        histogram h = collect();
        for (int method = 0; method < 4; method++) {
            float low, high;
            histogram_range(&h, (pare_calibration_method)method, 99.999, &low, &high);
            assert_true(low <= 0.0F && high >= 0.0F && low < high);
            assert_true(low >= fminf(h.minimum, 0.0F) && high <= fmaxf(h.maximum, 0.0F) * 1.0001F);
        }
    }
}

static void minmax_keeps_the_outlier_others_cut_it(void **state) {
    (void)state;
    float low, high;
    normal_values(30.0);
    histogram h = collect();
    histogram_range(&h, PARE_CALIBRATE_MINMAX, 0, &low, &high);
    assert_true(high == 30.0F);
    histogram_range(&h, PARE_CALIBRATE_PERCENTILE, 99.99, &low, &high);
    assert_true(high < 6.0F && low < -3.0F);
    histogram_range(&h, PARE_CALIBRATE_MSE, 0, &low, &high);
    assert_true(high < 29.0F && high > 3.0F);
    histogram_range(&h, PARE_CALIBRATE_ENTROPY, 0, &low, &high);
    assert_true(high < 10.0F && high > 2.0F);
}

/* Mean squared error of rounding the values to the range's grid. */
static double coarse_error(float low, float high, unsigned steps) {
    double step = ((double)high - (double)low) / steps, lowest = -rint(-(double)low / step), sum = 0.0;
    for (int i = 0; i < SAMPLES; i++) {
        double level = fmax(lowest, fmin(lowest + steps, rint((double)values[i] / step)));
        double d = (double)values[i] - level * step;
        sum += d * d;
    }
    return sum / SAMPLES;
}

static void coarse_ranges_have_less_error_than_others(void **state) {
    (void)state;
    for (unsigned bits = 2; bits < 8; bits++) {
        for (int rectified = 0; rectified < 2; rectified++) {
            unsigned steps = (1U << bits) - 1;
            float low, high, fine_low, fine_high;
            normal_values(6.0);
            for (int i = 0; i < SAMPLES; i++) {
                values[i] = rectified != 0 ? fmaxf(values[i], 0.0F) : values[i];
            }
            histogram h = collect();
            histogram_coarse_range(&h, steps, &low, &high);
            histogram_range(&h, PARE_CALIBRATE_MSE, 0, &fine_low, &fine_high);
            assert_true(low <= 0.0F && high > 0.0F && (rectified == 0 || low == 0.0F));
            double found = coarse_error(low, high, steps);
            assert_true(found <= coarse_error(fine_low, fine_high, steps) * 1.0001);
            assert_true(found < coarse_error(h.minimum, h.maximum, steps));
            /* Lloyd's uniform quantizers of a normal variable, Max 1960, table II: 0.1188 at 4 levels, 0.01154 at 16 */
            assert_true(rectified != 0 || bits != 4 || (found > 0.0110 && found < 0.0135));
        }
    }
}

static void row_78_constant_values(void **state) {
    (void)state;
    float low, high;
    for (int i = 0; i < SAMPLES; i++) {
        values[i] = 2.5F;
    }
    histogram h = collect();
    for (int method = 0; method < 4; method++) {
        histogram_range(&h, (pare_calibration_method)method, 99.0, &low, &high);
        assert_true(low == 0.0F && high == 2.5F);
    }
    histogram_coarse_range(&h, 15, &low, &high);
    assert_true(low == 0.0F && high == 2.5F);
}

static void nan_and_infinity_are_seen(void **state) {
    (void)state;
    normal_values(1.0);
    values[100] = NAN;
    assert_false(collect().finite);
    values[100] = INFINITY;
    assert_false(collect().finite);
    values[100] = 0.0F;
    assert_true(collect().finite);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_contains_zero_and_stays_inside),
        cmocka_unit_test(minmax_keeps_the_outlier_others_cut_it),
        cmocka_unit_test(coarse_ranges_have_less_error_than_others),
        cmocka_unit_test(row_78_constant_values),
        cmocka_unit_test(nan_and_infinity_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
