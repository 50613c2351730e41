/* Fake quantization and its gradients (LSQ, Esser et al. 2020, eq. 1 to 3) against
 * the formulas in double precision. */
#include <math.h>
#include <stdlib.h>

#include "pare/random.h"
#include "pare/runtime.h"
#include "tape_probe.h"
#include "test.h"
#include "train/quant_aware/fake_quant.h"
#include "train/tape/tape_internal.h"
#include "train/tape/tape_record.h"
#include "train/tape/tape_run.h"

#define SAMPLES 6
#define FEATURES 5003
#define COUNT (SAMPLES * FEATURES)

static float x[COUNT], dy[COUNT], y[COUNT];

static void draw(float *values, size_t count, double spread, uint64_t seed) {
    pare_random random;
    pare_random_seed(&random, seed);
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)(pare_random_normal(&random) * spread);
    }
}

static double clamped(double v, double low, double high) {
    return fmin(fmax(v, low), high);
}

/* One step of the network's kind: parameters of shape `shape` and `steps_shape` between which the step stands. */
typedef struct lone {
    pare_graph *graph;
    pare_tape *tape;
    uint32_t x, step;
    tape_probe probe;
} lone;

static void start(lone *l, const pare_shape *shape, const float *values, const pare_shape *steps, const float *step) {
    pare_error error = {0};
    *l = (lone){.probe = {.seen = y, .gradient = dy}};
    assert_ok(pare_graph_create(0, &l->graph, &error), &error);
    assert_ok(tape_create(l->graph, 1, 0, &l->tape, &error), &error);
    l->x = tape_parameter_like(l->tape, "x", shape, values, true);
    l->step = tape_parameter_like(l->tape, "step", steps, step, false);
}

static void run(lone *l, uint32_t out) {
    pare_error error = {0};
    assert_ok(tape_record_probe(l->tape, out, &l->probe, &error), &error);
    assert_ok(tape_allocate(l->tape, &error), &error);
    assert_ok(tape_plan(l->tape, &error), &error);
    assert_ok(tape_forward(l->tape, 0, &error), &error);
    assert_ok(tape_backward(l->tape, &error), &error);
}

static void finish(lone *l) {
    tape_free(l->tape);
    pare_graph_free(l->graph);
}

static const float *gradient_of(const lone *l, uint32_t tensor) {
    return l->tape->gradients + tape_tensor_at(l->tape, tensor)->offset;
}

static void activations_follow_the_formulas(void **state) {
    (void)state;
    static const struct {
        int bits, zero;
        float step;
    } cases[] = {{8, 0, 0.01F}, {8, 117, 0.013F}, {4, 0, 0.11F}, {4, 6, 0.2F}, {2, 0, 0.5F}, {3, 7, 0.3F}};
    size_t used = pare_memory_used();
    draw(dy, COUNT, 1e-3, 2);
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        pare_error error = {0};
        pare_shape shape = {4, {SAMPLES, FEATURES, 1, 1}}, one = {1, {1}};
        lone l;
        double low = -cases[k].zero, high = low + (1 << cases[k].bits) - 1, step = (double)cases[k].step, sum = 0;
        draw(x, COUNT, 1.0, k);
        for (size_t i = 0; i < 64; i++) { /* halves, which go to the even neighbour, and numbers far outside */
            x[i] = ((float)i - 32.0F + 0.5F) * cases[k].step;
        }
        x[64] = 1e30F, x[65] = -1e30F, x[66] = 0.0F;
        start(&l, &shape, x, &one, &cases[k].step);
        fake_quant_attrs attrs = {(float)low, (float)high, cases[k].step * FAKE_QUANT_LEAST};
        uint32_t out = tape_temporary(l.tape, NULL, &shape);
        assert_ok(tape_fake_quant(l.tape, NULL, &attrs, l.x, l.step, out, &error), &error);
        run(&l, out);
        const float *dx = gradient_of(&l, l.x);
        double magnitude = 0;
        for (size_t i = 0; i < COUNT; i++) {
            double v = (double)(x[i] / cases[k].step), level = rint(clamped(v, low, high));
            bool inside = v > low && v < high;
            assert_true(y[i] == (float)level * cases[k].step);
            assert_true(dx[i] == (inside ? dy[i] : 0.0F));
            double slope = inside ? level - v : v <= low ? low : high;
            sum += (double)dy[i] * slope;
            magnitude += fabs((double)dy[i] * slope);
        }
        assert_true(y[66] == 0.0F); /* 0 is on every grid */
        double wanted = sum / sqrt(FEATURES * fmax(-low, high));
        double found = (double)gradient_of(&l, l.step)[0];
        assert_true(fabs(found - wanted) <= 1e-6 * magnitude / sqrt(FEATURES * fmax(-low, high)) + 1e-12);
        assert_true(step > 0);
        finish(&l);
    }
    assert_int_equal(pare_memory_used(), used);
}

#define O 12
#define I 10
#define TAPS 9

static void weights_follow_the_formulas(void **state) {
    (void)state;
    size_t used = pare_memory_used();
    for (int bits = 2; bits <= 8; bits++) {
        pare_error error = {0};
        pare_shape shape = {4, {O, I, 3, 3}}, row = {1, {O}};
        float steps[O], least[O];
        double limit = (1 << (bits - 1)) - 1;
        lone l;
        draw(x, O * I * TAPS, 0.3, (uint64_t)bits);
        draw(dy, O * I * TAPS, 1e-2, 77);
        for (size_t o = 0; o < O; o++) {
            steps[o] = (float)(0.7 / limit * (1.0 + (double)o / O));
            least[o] = steps[o] * FAKE_QUANT_LEAST;
        }
        start(&l, &shape, x, &row, steps);
        fake_quant_weight_attrs attrs = {weight_view_of(&shape, 0), bits, PARE_PAIRS_FREE, least};
        uint32_t out = tape_temporary(l.tape, NULL, &shape);
        assert_ok(tape_fake_quant_weights(l.tape, NULL, &attrs, l.x, l.step, out, &error), &error);
        run(&l, out);
        const float *dx = gradient_of(&l, l.x), *ds = gradient_of(&l, l.step);
        for (size_t o = 0; o < O; o++) {
            double sum = 0;
            for (size_t i = o * I * TAPS; i < (o + 1) * I * TAPS; i++) {
                double v = (double)x[i] / (double)steps[o], level = rint(clamped(v, -limit, limit));
                bool inside = v > -limit && v < limit;
                assert_true(fabs((double)y[i] - level * (double)steps[o]) < 1e-6);
                assert_true(dx[i] == (inside ? dy[i] : 0.0F));
                sum += (double)dy[i] * (inside ? level - v : level);
            }
            assert_true(fabs((double)ds[o] - sum / sqrt(I * TAPS * limit)) < 1e-6);
        }
        finish(&l);
    }
    assert_int_equal(pare_memory_used(), used);
}

static void only_weights_of_8_bits_are_nudged(void **state) {
    (void)state;
    for (int bits = 7; bits <= 8; bits++) {
        pare_error error = {0};
        pare_shape shape = {2, {1, 4}}, row = {1, {1}};
        float limit = (float)((1 << (bits - 1)) - 1), step = 1.0F, least = 0.1F;
        lone l;
        for (int i = 0; i < 4; i++) {
            x[i] = i % 2 != 0 ? -limit : limit - 1.0F;
            dy[i] = (float)(i + 1);
        }
        start(&l, &shape, x, &row, &step);
        fake_quant_weight_attrs attrs = {weight_view_of(&shape, 0), bits, PARE_PAIRS_NUDGE, &least};
        uint32_t out = tape_temporary(l.tape, NULL, &shape);
        assert_ok(tape_fake_quant_weights(l.tape, NULL, &attrs, l.x, l.step, out, &error), &error);
        run(&l, out);
        assert_true(fabsf(y[0]) + fabsf(y[1]) == (bits == 8 ? 128.0F : 125.0F));
        assert_true(gradient_of(&l, l.x)[0] == 1.0F && gradient_of(&l, l.x)[1] == 0.0F);
        finish(&l);
    }
}

/* Training pushed the step through 0: the grid is narrow, and everything stays finite. */
static void steps_below_the_least_are_not_used(void **state) {
    (void)state;
    static const float wrong[] = {0.0F, -1.0F, NAN, -INFINITY, 1e-44F};
    draw(dy, COUNT, 1.0, 3);
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; k++) {
        pare_error error = {0};
        pare_shape shape = {2, {SAMPLES, FEATURES}}, one = {1, {1}};
        lone l;
        draw(x, COUNT, 1.0, k);
        start(&l, &shape, x, &one, &wrong[k]);
        fake_quant_attrs attrs = {0.0F, 15.0F, 0.001F};
        uint32_t out = tape_temporary(l.tape, NULL, &shape);
        assert_ok(tape_fake_quant(l.tape, NULL, &attrs, l.x, l.step, out, &error), &error);
        run(&l, out);
        for (size_t i = 0; i < COUNT; i++) {
            assert_true(y[i] >= 0.0F && y[i] <= 15.0F * 0.001F);
        }
        assert_true(isfinite(gradient_of(&l, l.step)[0]));
        finish(&l);
    }
}

int main(void) {
    if (strcmp(pare_backend(), "none") == 0) {
        print_message("skipped: nothing trains without oneDNN\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_follow_the_formulas),
        cmocka_unit_test(weights_follow_the_formulas),
        cmocka_unit_test(only_weights_of_8_bits_are_nudged),
        cmocka_unit_test(steps_below_the_least_are_not_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
