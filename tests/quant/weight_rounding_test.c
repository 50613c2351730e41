/* Weights round to what the kernels need: small error, safe pairs. */
#include <math.h>
#include <stdlib.h>

#include "pare/random.h"
#include "quant/weight_rounding.h"
#include "test.h"

#define O 8
#define K 16
#define TAPS 9

static const weight_view view = {O, K, TAPS, K *TAPS, TAPS, 1};

static void fill(float *weights, uint64_t seed) {
    pare_random random;
    pare_random_seed(&random, seed);
    for (int i = 0; i < O * K * TAPS; i++) {
        weights[i] = (float)(pare_random_normal(&random) * 0.1);
    }
}

static int worst_pair(const int8_t *rounded) {
    int worst = 0;
    for (int o = 0; o < O; o++) {
        for (int t = 0; t < TAPS; t++) {
            for (int k = 0; k < K; k += 2) {
                int sum = abs(rounded[(o * K + k) * TAPS + t]) + abs(rounded[(o * K + k + 1) * TAPS + t]);
                worst = sum > worst ? sum : worst;
            }
        }
    }
    return worst;
}

static double error_of(const float *weights, const int8_t *rounded, const float *scales) {
    double sum = 0.0;
    for (int i = 0; i < O * K * TAPS; i++) {
        double d = (double)weights[i] - (double)rounded[i] * (double)scales[i / (K * TAPS)];
        sum += d * d;
    }
    return sum;
}

static void nudged_pairs_cannot_saturate_and_beat_seven_bits(void **state) {
    (void)state;
    static float weights[O * K * TAPS];
    static int8_t nudged[O * K * TAPS], seven[O * K * TAPS], full[O * K * TAPS];
    float nudged_scales[O], seven_scales[O], full_scales[O];
    rounding_result result, other;
    for (uint64_t seed = 0; seed < 20; seed++) {
        fill(weights, seed);
        round_weights(weights, &view, false, PARE_PAIRS_NUDGE, NULL, nudged, nudged_scales, &result);
        round_weights(weights, &view, false, PARE_PAIRS_SEVEN_BITS, NULL, seven, seven_scales, &other);
        assert_true(worst_pair(nudged) <= 128);
        assert_true(worst_pair(seven) <= 128);
        double nudged_error = error_of(weights, nudged, nudged_scales);
        assert_true(fabs(nudged_error - result.noise) < 1e-6);
        assert_true(nudged_error < error_of(weights, seven, seven_scales));
        round_weights(weights, &view, false, PARE_PAIRS_FREE, NULL, full, full_scales, &other);
        assert_true(nudged_error < 2.5 * error_of(weights, full, full_scales));
    }
}

static void extreme_pairs_are_lowered(void **state) {
    (void)state;
    /* All weights of one size: every pair offends at full scale. */
    static float weights[O * K * TAPS];
    static int8_t rounded[O * K * TAPS];
    float scales[O];
    rounding_result result;
    for (int i = 0; i < O * K * TAPS; i++) {
        weights[i] = i % 2 != 0 ? 0.5F : -0.5F;
    }
    round_weights(weights, &view, false, PARE_PAIRS_NUDGE, NULL, rounded, scales, &result);
    assert_true(worst_pair(rounded) <= 128);
    assert_true(error_of(weights, rounded, scales) < 1e-4 * result.signal);
}

static void row_88_empty_range_and_outlier(void **state) {
    (void)state;
    static float weights[O * K * TAPS];
    static int8_t rounded[O * K * TAPS];
    float scales[O];
    rounding_result result;
    round_weights(weights, &view, false, PARE_PAIRS_NUDGE, NULL, rounded, scales, &result);
    for (int o = 0; o < O; o++) {
        assert_true(scales[o] > 0.0F && isfinite(scales[o]));
    }
    weights[5] = 1e30F;
    round_weights(weights, &view, true, PARE_PAIRS_NUDGE, NULL, rounded, scales, &result);
    assert_true(isfinite(scales[0]));
    assert_true(rounded[5] > 60);
}

static void channels_round_alone_as_together(void **state) {
    (void)state;
    static float weights[O * K * TAPS];
    static int8_t together[O * K * TAPS], alone[O * K * TAPS];
    float scales[O];
    rounding_result result;
    fill(weights, 3);
    for (int rule = PARE_PAIRS_NUDGE; rule <= PARE_PAIRS_FREE; rule++) {
        round_weights(weights, &view, false, (pare_pair_rule)rule, NULL, together, scales, &result);
        for (size_t o = 0; o < O; o++) {
            round_weights_channel(weights, &view, o, scales[o], 8, (pare_pair_rule)rule, alone);
        }
        assert_memory_equal(alone, together, sizeof alone);
    }
}

static void few_bits_fit_the_mass_and_not_the_largest(void **state) {
    (void)state;
    static float weights[O * K * TAPS];
    static int8_t rounded[O * K * TAPS];
    fill(weights, 4);
    for (int bits = 2; bits < 8; bits++) {
        int limit = (1 << (bits - 1)) - 1;
        float fitted[O], widest[O];
        for (size_t o = 0; o < O; o++) {
            widest[o] = 0;
            for (size_t i = 0; i < K * TAPS; i++) {
                widest[o] = fmaxf(widest[o], fabsf(weights[o * K * TAPS + i]) / (float)limit);
            }
            fitted[o] = fit_weights_channel(weights, &view, o, bits, PARE_PAIRS_NUDGE);
            round_weights_channel(weights, &view, o, fitted[o], bits, PARE_PAIRS_NUDGE, rounded);
        }
        double found = error_of(weights, rounded, fitted);
        for (size_t o = 0; o < O; o++) {
            round_weights_channel(weights, &view, o, widest[o], bits, PARE_PAIRS_NUDGE, rounded);
        }
        assert_true(found < error_of(weights, rounded, widest) * (bits < 5 ? 0.9 : 1.0001));
        for (size_t i = 0; i < O * K * TAPS; i++) {
            assert_true(abs(rounded[i]) <= limit);
        }
    }
    for (size_t i = 0; i < K * TAPS; i++) {
        weights[i] = 0;
        weights[K * TAPS + i] = 1e-42F;
    }
    assert_true(fit_weights_channel(weights, &view, 0, 4, PARE_PAIRS_NUDGE) == 1.0F);
    assert_true(fit_weights_channel(weights, &view, 1, 4, PARE_PAIRS_NUDGE) == 1.0F);
}

static void bias_bound_raises_the_scale(void **state) {
    (void)state;
    static float weights[O * K * TAPS];
    static int8_t rounded[O * K * TAPS];
    float scales[O], least[O] = {0};
    rounding_result result;
    fill(weights, 1);
    least[3] = 10.0F;
    round_weights(weights, &view, false, PARE_PAIRS_NUDGE, least, rounded, scales, &result);
    assert_true(scales[3] >= 10.0F);
    assert_true(scales[2] < 1.0F);
}

static void matmul_pairs_run_down_columns(void **state) {
    (void)state;
    pare_shape shape = {2, {K, O}};
    weight_view v = weight_view_of(&shape, 1);
    assert_int_equal(v.channels, O);
    assert_int_equal(v.reduction, K);
    assert_int_equal(v.channel_stride, 1);
    assert_int_equal(v.k_stride, O);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nudged_pairs_cannot_saturate_and_beat_seven_bits),
        cmocka_unit_test(extreme_pairs_are_lowered),
        cmocka_unit_test(row_88_empty_range_and_outlier),
        cmocka_unit_test(channels_round_alone_as_together),
        cmocka_unit_test(few_bits_fit_the_mass_and_not_the_largest),
        cmocka_unit_test(bias_bound_raises_the_scale),
        cmocka_unit_test(matmul_pairs_run_down_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
