/* Optimizers against a simulation in double of the published algorithms. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pare/memory.h"
#include "pare/optimizer.h"
#include "pare/random.h"
#include "test.h"

enum { COUNT = 103, STEPS = 25 };

static const pare_optimizer_options adam = {.kind = PARE_OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};

/* Elements 0..59 decay, 60..89 do not and learn at half the rate, the rest is in no group. */
static const pare_parameter_group groups[] = {{60, 30, false, 0.5, false}, {0, 60, true, 1.0, false}};

typedef struct simulation {
    double w[COUNT], v[COUNT], m[COUNT];
} simulation;

static void simulate_sgd(const pare_optimizer_options *o, simulation *s, size_t i, double g, double lr, int step) {
    s->v[i] = step == 1 ? g : o->momentum * s->v[i] + g;
    s->w[i] -= lr * (o->nesterov ? g + o->momentum * s->v[i] : s->v[i]);
}

/* Kingma and Ba, algorithm 1; Loshchilov and Hutter, algorithm 2, line 12 */
static void simulate_adam(const pare_optimizer_options *o, simulation *s, size_t i, double g, double lr, int step,
                          double decoupled) {
    s->m[i] = o->beta1 * s->m[i] + (1 - o->beta1) * g;
    s->v[i] = o->beta2 * s->v[i] + (1 - o->beta2) * g * g;
    double m_hat = s->m[i] / (1 - pow(o->beta1, step)), v_hat = s->v[i] / (1 - pow(o->beta2, step));
    s->w[i] -= lr * (m_hat / (sqrt(v_hat) + o->epsilon) + decoupled * s->w[i]);
}

static double simulate(const pare_optimizer_options *o, simulation *s, const float *g, double lr, int step) {
    double norm = 0;
    for (size_t i = 0; i < COUNT; i++) {
        norm += (double)g[i] * (double)g[i];
    }
    norm = sqrt(norm);
    double cut = o->clip_norm > 0 ? fmin(1.0, o->clip_norm / norm) : 1.0;
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = groups[k].first; i < groups[k].first + groups[k].count; i++) {
            double decay = groups[k].decays ? o->weight_decay : 0, rate = lr * groups[k].lr_scale,
                   whole = cut * (double)g[i];
            if (groups[k].decays) {
                whole += o->l1 * ((s->w[i] > 0) - (s->w[i] < 0));
            }
            if (o->kind != PARE_OPTIMIZER_ADAMW) {
                whole += decay * s->w[i];
            }
            if (o->kind == PARE_OPTIMIZER_SGD) {
                simulate_sgd(o, s, i, whole, rate, step);
            } else {
                simulate_adam(o, s, i, whole, rate, step, o->kind == PARE_OPTIMIZER_ADAMW ? decay : 0);
            }
        }
    }
    return norm;
}

static void check_against_simulation(const pare_optimizer_options *options) {
    pare_error error = {0};
    pare_optimizer optimizer;
    pare_random random;
    simulation expected = {0};
    float w[COUNT], g[COUNT], kept[COUNT];
    assert_ok(pare_optimizer_create(options, COUNT, &optimizer, &error), &error);
    assert_int_equal(optimizer.moments_count, options->kind == PARE_OPTIMIZER_SGD ? COUNT : 2 * COUNT);
    pare_random_seed(&random, (uint64_t)options->kind + 1);
    for (size_t i = 0; i < COUNT; i++) {
        w[i] = i % 10 == 7 ? 0.0F : (float)(pare_random_normal(&random) + (i % 2 ? 2 : -2)); /* signs stay */
        expected.w[i] = (double)w[i];
    }
    for (int step = 1; step <= STEPS; step++) {
        double lr = 0.02 / step;
        for (size_t i = 0; i < COUNT; i++) {
            g[i] = (float)(pare_random_normal(&random) * (i % 3 ? 1.0 : 1e-3));
            g[i] = i % 10 == 7 ? 0.0F : g[i]; /* exact zeros: sign(0) is 0 */
        }
        memcpy(kept, g, sizeof g);
        double norm = pare_optimizer_update(&optimizer, w, g, groups, 2, lr);
        double wanted = simulate(options, &expected, g, lr, step);
        assert_memory_equal(kept, g, sizeof g);
        assert_true(fabs(norm - wanted) <= 1e-12 * wanted);
        assert_int_equal(optimizer.step, step);
        for (size_t i = 0; i < COUNT; i++) {
            if (!(fabs((double)w[i] - expected.w[i]) <= 3e-6 * fabs(expected.w[i]))) {
                fail_msg("step %d, element %zu: expected %.9g, found %.9g", step, i, expected.w[i], (double)w[i]);
            }
        }
    }
    pare_optimizer_free(&optimizer);
}

static void sgd_follows_the_simulation(void **state) {
    (void)state;
    for (int bits = 0; bits < 32; bits++) {
        pare_optimizer_options o = {.momentum = bits & 1 ? 0.9 : 0, .nesterov = (bits & 1) && (bits & 2)};
        o.weight_decay = bits & 4 ? 0.1 : 0;
        o.l1 = bits & 8 ? 0.05 : 0;
        o.clip_norm = bits & 16 ? 1.5 : 0;
        check_against_simulation(&o);
    }
}

static void adam_and_adamw_follow_the_simulation(void **state) {
    (void)state;
    for (int bits = 0; bits < 32; bits++) {
        pare_optimizer_options o = adam;
        o.kind = bits & 1 ? PARE_OPTIMIZER_ADAM : PARE_OPTIMIZER_ADAMW;
        o.beta1 = bits & 2 ? 0.9 : 0.0;
        o.beta2 = bits & 2 ? 0.999 : 0.5;
        o.weight_decay = bits & 4 ? 0.1 : 0;
        o.l1 = bits & 8 ? 0.05 : 0;
        o.clip_norm = bits & 16 ? 1.5 : 0;
        check_against_simulation(&o);
    }
}

/* One parameter of 1 with gradients of 0.5, worked out by hand. */
static void first_steps_by_hand(void **state) {
    (void)state;
    static const struct {
        pare_optimizer_options options;
        double lr, expected[2];
    } cases[] = {
        /* v = 0.5, 0.95 */
        {{.momentum = 0.9}, 0.1, {0.95, 0.855}},
        /* g + 0.9 v = 0.95, 1.355 */
        {{.momentum = 0.9, .nesterov = true}, 0.1, {0.905, 0.7695}},
        /* g + 0.2 w = 0.7, 0.686 */
        {{.weight_decay = 0.2}, 0.1, {0.93, 0.8614}},
        /* g + 0.1 sign w = 0.6 */
        {{.l1 = 0.1}, 0.1, {0.94, 0.88}},
        /* m̂ / √v̂ = 1 whatever a constant gradient's size */
        {{.kind = PARE_OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8}, 0.1, {0.9, 0.8}},
        /* w (1 - 0.1 × 0.2) - 0.1 */
        {{.kind = PARE_OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.2},
         0.1,
         {0.88, 0.7624}},
    };
    static const pare_parameter_group all = {0, 1, true, 1.0, false};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        pare_error error = {0};
        pare_optimizer optimizer;
        float w = 1, g = 0.5F;
        assert_ok(pare_optimizer_create(&cases[k].options, 1, &optimizer, &error), &error);
        for (int step = 0; step < 2; step++) {
            assert_true(pare_optimizer_update(&optimizer, &w, &g, &all, 1, cases[k].lr) == 0.5);
            if (fabs((double)w - cases[k].expected[step]) > 1e-6) {
                fail_msg("case %zu: expected %.7g, found %.7g", k, cases[k].expected[step], (double)w);
            }
        }
        pare_optimizer_free(&optimizer);
    }
}

/* Of three weights the second is 0: it stays, whatever pulls at it, where its group keeps zeros. */
static void zeros_stay_zeros(void **state) {
    (void)state;
    static const pare_optimizer_options kinds[] = {
        {.momentum = 0.9, .weight_decay = 0.1, .l1 = 0.1},
        {.momentum = 0.9, .nesterov = true, .weight_decay = 0.1},
        {.kind = PARE_OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.1},
        {.kind = PARE_OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.1},
    };
    static const float g[3] = {1, 1, -1};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        float free_weights[3] = {0.5F, 0, -0.5F}, kept[3] = {0.5F, 0, -0.5F};
        for (int keeps = 0; keeps < 2; keeps++) {
            pare_parameter_group all = {0, 3, true, 1.0, keeps != 0};
            pare_error error = {0};
            pare_optimizer optimizer;
            assert_ok(pare_optimizer_create(&kinds[k], 3, &optimizer, &error), &error);
            for (int step = 0; step < 4; step++) {
                (void)pare_optimizer_update(&optimizer, keeps ? kept : free_weights, g, &all, 1, 0.01);
            }
            pare_optimizer_free(&optimizer);
        }
        assert_true(kept[1] == 0 && free_weights[1] < 0);
        assert_true(kept[0] == free_weights[0] && kept[2] == free_weights[2] && kept[0] < 0.5F);
    }
}

static void clipping_cuts_the_whole_norm(void **state) {
    (void)state;
    static const pare_optimizer_options o = {.clip_norm = 1};
    static const pare_parameter_group halves[] = {{0, 1, true, 1.0, false}, {1, 1, false, 1.0, false}};
    static const float large[] = {3, 4}, small[] = {0.3F, 0.4F}, huge[] = {3e30F, -4e30F};
    pare_error error = {0};
    pare_optimizer optimizer;
    float w[2] = {0};
    assert_ok(pare_optimizer_create(&o, 2, &optimizer, &error), &error);
    assert_true(pare_optimizer_update(&optimizer, w, large, halves, 2, 1.0) == 5.0);
    assert_true(fabsf(w[0] + 0.6F) < 1e-6F && fabsf(w[1] + 0.8F) < 1e-6F);
    memset(w, 0, sizeof w);
    pare_optimizer_update(&optimizer, w, small, halves, 2, 1.0);
    assert_true(w[0] == -small[0] && w[1] == -small[1]); /* within the norm: untouched */
    memset(w, 0, sizeof w);
    assert_true(fabs(pare_optimizer_update(&optimizer, w, huge, halves, 2, 1.0) / 5e30 - 1) < 1e-6);
    assert_true(fabsf(w[0] + 0.6F) < 1e-6F && fabsf(w[1] - 0.8F) < 1e-6F);
    pare_optimizer_free(&optimizer);
}

static void gradients_that_are_not_finite_change_nothing(void **state) {
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int kind = 0; kind < 3; kind++) {
        pare_error error = {0};
        pare_optimizer optimizer;
        pare_optimizer_options o = adam;
        o.kind = (pare_optimizer_kind)kind;
        o.momentum = 0.9;
        o.weight_decay = 0.1;
        o.clip_norm = 1;
        float w[COUNT], g[COUNT], before[COUNT], moments[2 * COUNT];
        for (size_t i = 0; i < COUNT; i++) {
            w[i] = g[i] = (float)i / 7.0F;
        }
        assert_ok(pare_optimizer_create(&o, COUNT, &optimizer, &error), &error);
        pare_optimizer_update(&optimizer, w, g, groups, 2, 0.1);
        memcpy(before, w, sizeof w);
        memcpy(moments, optimizer.moments, optimizer.moments_count * sizeof(float));
        for (size_t i = 0; i < COUNT; i += 17) { /* the last one is in no group */
            for (size_t k = 0; k < 3; k++) {
                float good = g[i];
                g[i] = bad[k];
                assert_true(!isfinite(pare_optimizer_update(&optimizer, w, g, groups, 2, 0.1)));
                g[i] = good;
            }
        }
        assert_memory_equal(w, before, sizeof w);
        assert_memory_equal(optimizer.moments, moments, optimizer.moments_count * sizeof(float));
        assert_int_equal(optimizer.step, 1);
        pare_optimizer_update(&optimizer, w, g, groups, 2, 0.1);
        assert_memory_not_equal(w, before, sizeof w);
        pare_optimizer_free(&optimizer);
    }
}

static void the_norm_is_that_of_all_lengths(void **state) {
    (void)state;
    static const pare_optimizer_options o = {0};
    float w[40] = {0}, g[40];
    for (size_t i = 0; i < 40; i++) {
        g[i] = (float)(i + 1);
    }
    for (size_t count = 0; count <= 40; count++) {
        pare_error error = {0};
        pare_optimizer optimizer;
        assert_ok(pare_optimizer_create(&o, count, &optimizer, &error), &error);
        double n = (double)count, squares = n * (n + 1) * (2 * n + 1) / 6;
        assert_true(pare_optimizer_update(&optimizer, w, g, NULL, 0, 1.0) == sqrt(squares));
        pare_optimizer_free(&optimizer);
    }
}

typedef struct refused {
    const char *text; /* in the message */
    pare_optimizer_options options;
} refused;

static void options_out_of_range_are_named(void **state) {
    (void)state;
#define ADAM(b1, b2, e) .kind = PARE_OPTIMIZER_ADAM, .beta1 = (b1), .beta2 = (b2), .epsilon = (e)
    static const refused cases[] = {
        {"optimizer: ", {.kind = (pare_optimizer_kind)3}},
        {"momentum: ", {.momentum = -0.1}},
        {"momentum: ", {.momentum = 1}},
        {"momentum: ", {.momentum = (double)NAN}},
        {"nesterov: expected a momentum", {.nesterov = true}},
        {"nesterov: expected SGD, found Adam", {ADAM(0.9, 0.999, 1e-8), .nesterov = true}},
        {"weight decay: ", {.weight_decay = -1e-9}},
        {"weight decay: ", {.weight_decay = (double)INFINITY}},
        {"weight decay: ", {ADAM(0.9, 0.999, 1e-8), .weight_decay = (double)NAN}},
        {"l1: ", {.l1 = -1}},
        {"l1: ", {.l1 = 1e39}},
        {"clip norm: ", {.clip_norm = -1}},
        {"clip norm: ", {.clip_norm = (double)NAN}},
        {"beta1: ", {ADAM(1, 0.999, 1e-8)}},
        {"beta1: ", {ADAM(-0.1, 0.999, 1e-8)}},
        {"beta2: ", {ADAM(0.9, 1, 1e-8)}},
        {"beta2: ", {ADAM(0.9, (double)NAN, 1e-8)}},
        {"epsilon: ", {ADAM(0.9, 0.999, 0)}},
        {"epsilon: ", {ADAM(0.9, 0.999, (double)INFINITY)}},
    };
#undef ADAM
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        pare_error error = {0};
        pare_optimizer optimizer;
        assert_fails(pare_optimizer_create(&cases[k].options, 4, &optimizer, &error), PARE_USAGE, &error,
                     cases[k].text);
        pare_optimizer_free(&optimizer);
    }
}

static void without_memory_the_optimizer_is_empty(void **state) {
    (void)state;
    pare_error error = {0};
    pare_optimizer optimizer;
    size_t used = pare_memory_used();
    pare_memory_fail_at(1, false);
    assert_fails(pare_optimizer_create(&adam, 4, &optimizer, &error), PARE_LIMIT, &error, "memory");
    assert_null(optimizer.moments);
    pare_optimizer_free(&optimizer);
    assert_fails(pare_optimizer_create(&adam, SIZE_MAX / 4, &optimizer, &error), PARE_LIMIT, &error, "memory");
    assert_int_equal(pare_memory_used(), used);
}

static void the_average_follows_and_rests_at_the_values(void **state) {
    (void)state;
    float average[COUNT], values[COUNT];
    double expected[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        average[i] = (float)i;
        values[i] = 10.0F - (float)i;
        expected[i] = (double)i;
    }
    for (int step = 0; step < 10; step++) {
        pare_ema_update(average, values, COUNT, 0.99);
        for (size_t i = 0; i < COUNT; i++) {
            expected[i] = 0.99 * expected[i] + 0.01 * (double)values[i];
            assert_true(fabs((double)average[i] - expected[i]) <= 1e-5 * (fabs(expected[i]) + 1));
        }
    }
    memcpy(average, values, sizeof values);
    for (int step = 0; step < 1000; step++) {
        pare_ema_update(average, values, COUNT, 0.9999);
    }
    assert_memory_equal(average, values, sizeof values);
    average[0] = 5;
    pare_ema_update(average, values, 1, 1.0);
    assert_true(average[0] == 5);
    pare_ema_update(average, values, 1, 0.0);
    assert_true(average[0] == values[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_follows_the_simulation),
        cmocka_unit_test(adam_and_adamw_follow_the_simulation),
        cmocka_unit_test(first_steps_by_hand),
        cmocka_unit_test(zeros_stay_zeros),
        cmocka_unit_test(clipping_cuts_the_whole_norm),
        cmocka_unit_test(gradients_that_are_not_finite_change_nothing),
        cmocka_unit_test(the_norm_is_that_of_all_lengths),
        cmocka_unit_test(options_out_of_range_are_named),
        cmocka_unit_test(without_memory_the_optimizer_is_empty),
        cmocka_unit_test(the_average_follows_and_rests_at_the_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
