/* A loss under test beside its formula, written down plainly in long double:
 * there exp(10,000) does not overflow, so the formulas need no care of their own.
 * The harness compares values, and gradients with central differences. */
#ifndef LOSS_CASE_H
#define LOSS_CASE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pare/random.h"
#include "test.h"
#include "train/loss.h"

typedef long double real;

typedef struct loss_case {
    size_t samples, width;               /* width: classes, or channels × positions */
    size_t channels, teacher, positions; /* attention */
    const float *targets;                /* or the teacher's outputs */
    const float *importance;             /* [samples] or NULL */
    const int *labels;                   /* [samples] */
    float delta, temperature, alpha, beta;
} loss_case;

typedef double (*loss_function)(const loss_case *c, const float *x, float weight, float *gradient);
typedef real (*loss_formula)(const loss_case *c, const real *x);

#define LOSS_CASE_MAX 8192

/* Uniform in ± spread, seeded by what is filled. */
static inline void fill_uniform(pare_random *random, float *to, size_t count, double spread) {
    for (size_t i = 0; i < count; i++) {
        to[i] = (float)((2.0 * pare_random_unit(random) - 1.0) * spread);
    }
}

/* One of `choices` each. */
static inline void fill_choices(pare_random *random, float *to, size_t count, const float *choices, size_t of) {
    for (size_t i = 0; i < count; i++) {
        to[i] = choices[pare_random_below(random, of)];
    }
}

/* Rows that add up to 1 (random, or with `sharp` a single 1). */
static inline void fill_distributions(pare_random *random, float *to, size_t samples, size_t classes, int sharp) {
    for (size_t n = 0; n < samples; n++) {
        double sum = 0;
        for (size_t c = 0; c < classes; c++) {
            to[n * classes + c] = sharp ? 0.0F : (float)(pare_random_unit(random) + 1e-3);
            sum += (double)to[n * classes + c];
        }
        for (size_t c = 0; c < classes && !sharp; c++) {
            to[n * classes + c] = (float)((double)to[n * classes + c] / sum);
        }
        if (sharp) {
            to[n * classes + pare_random_below(random, classes)] = 1.0F;
        }
    }
}

static inline void assert_close(const char *what, size_t at, double found, real expected, double relative,
                                double absolute) {
    if (!(fabsl((real)found - expected) <= (real)relative * fabsl(expected) + (real)absolute)) {
        fail_msg("%s %zu: expected %.12Lg, found %.12g", what, at, expected, found);
    }
}

/* Value without a gradient, with one, and with another weight; gradients times
 * the weight against central differences; and that a gradient adds to what was there. */
static inline void check_loss(loss_function function, loss_formula formula, const loss_case *c, const float *x) {
    static real exact[LOSS_CASE_MAX];
    static float gradient[LOSS_CASE_MAX], added[LOSS_CASE_MAX], before[LOSS_CASE_MAX];
    const float weight = 0.375F;
    const real h = 1e-5L;
    size_t count = c->samples * c->width;
    pare_random random;
    assert_true(count <= LOSS_CASE_MAX);
    pare_random_seed(&random, count);
    fill_uniform(&random, before, count, 1.0);
    memcpy(added, before, sizeof added);
    memset(gradient, 0, sizeof gradient);
    for (size_t i = 0; i < count; i++) {
        exact[i] = (real)x[i];
    }
    double value = function(c, x, 1.0F, NULL);
    assert_close("value of case with width", c->width, value, formula(c, exact), 1e-9, 1e-12);
    assert_true(function(c, x, weight, gradient) == value);
    assert_true(function(c, x, weight, added) == value);
    /* all elements of small cases; of others 60 and the last */
    for (size_t k = 0; k < (count < 60 ? count : 60); k++) {
        size_t i = count <= 60 ? k : k == 0 ? count - 1 : (size_t)pare_random_below(&random, count);
        exact[i] = (real)x[i] + h;
        real above = formula(c, exact);
        exact[i] = (real)x[i] - h;
        real slope = (above - formula(c, exact)) / (2 * h);
        exact[i] = (real)x[i];
        assert_close("derivative", i, (double)gradient[i], (real)weight * slope, 1e-6, 1e-9);
    }
    for (size_t i = 0; i < count; i++) {
        assert_true(added[i] == before[i] + gradient[i]);
    }
}

/* NaN and infinities anywhere among the outputs, and NaN among the targets, show as NaN; `targets` is writable. */
static inline void check_not_finite(loss_function function, const loss_case *c, float *x, float *targets,
                                    size_t target_count) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static float gradient[LOSS_CASE_MAX];
    size_t count = c->samples * c->width;
    for (size_t i = 0; i < count; i++) {
        float good = x[i];
        for (size_t k = 0; k < 3; k++) {
            x[i] = bad[k];
            if (!isnan(function(c, x, 1.0F, gradient)) || !isnan(function(c, x, 1.0F, NULL))) {
                fail_msg("expected NaN for %g at %zu", (double)bad[k], i);
            }
        }
        x[i] = good;
    }
    for (size_t i = 0; i < target_count; i++) {
        float good = targets[i];
        targets[i] = NAN;
        assert_true(isnan(function(c, x, 1.0F, gradient)));
        targets[i] = good;
    }
    assert_true(isfinite(function(c, x, 1.0F, NULL)));
}

#endif
