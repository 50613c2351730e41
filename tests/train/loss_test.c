/* Losses against targets: values, gradients, weights, extremes. */
#include "loss_case.h"
#include "train/loss_terms.h"

static double cross_entropy(const loss_case *c, const float *x, float weight, float *gradient) {
    return pare_loss_cross_entropy(x, c->targets, c->importance, c->samples, c->width, weight, gradient);
}

static real cross_entropy_formula(const loss_case *c, const real *x) {
    real loss = 0, divisor = 0;
    for (size_t n = 0; n < c->samples; n++) {
        real total = 0, importance = c->importance != NULL ? (real)c->importance[n] : 1;
        for (size_t k = 0; k < c->width; k++) {
            total += expl(x[n * c->width + k]);
        }
        for (size_t k = 0; k < c->width; k++) {
            loss -= importance * (real)c->targets[n * c->width + k] * (x[n * c->width + k] - logl(total));
        }
        divisor += importance;
    }
    return loss / divisor;
}

static double mse(const loss_case *c, const float *x, float weight, float *gradient) {
    return pare_loss_mse(x, c->targets, c->samples, c->width, weight, gradient);
}

static double l1(const loss_case *c, const float *x, float weight, float *gradient) {
    return pare_loss_l1(x, c->targets, c->samples, c->width, weight, gradient);
}

static double huber(const loss_case *c, const float *x, float weight, float *gradient) {
    return pare_loss_huber(x, c->targets, c->samples, c->width, c->delta, weight, gradient);
}

static double binary(const loss_case *c, const float *x, float weight, float *gradient) {
    return pare_loss_binary_cross_entropy(x, c->targets, c->samples, c->width, weight, gradient);
}

static real mse_term(const loss_case *c, real x, real t) {
    (void)c;
    return (x - t) * (x - t);
}

static real l1_term(const loss_case *c, real x, real t) {
    (void)c;
    return fabsl(x - t);
}

static real huber_term(const loss_case *c, real x, real t) {
    real d = fabsl(x - t), delta = (real)c->delta;
    return d <= delta ? d * d / 2 : delta * (d - delta / 2);
}

static real binary_term(const loss_case *c, real x, real t) {
    (void)c;
    return t * logl(1 + expl(-x)) + (1 - t) * logl(1 + expl(x));
}

static real mean_of_terms(const loss_case *c, const real *x, real (*term)(const loss_case *, real, real)) {
    real sum = 0;
    for (size_t i = 0; i < c->samples * c->width; i++) {
        sum += term(c, x[i], (real)c->targets[i]);
    }
    return sum / (real)(c->samples * c->width);
}

static real mse_formula(const loss_case *c, const real *x) {
    return mean_of_terms(c, x, mse_term);
}

static real l1_formula(const loss_case *c, const real *x) {
    return mean_of_terms(c, x, l1_term);
}

static real huber_formula(const loss_case *c, const real *x) {
    return mean_of_terms(c, x, huber_term);
}

static real binary_formula(const loss_case *c, const real *x) {
    return mean_of_terms(c, x, binary_term);
}

/* 1,024 elements are a chunk, 8 are a group of lanes: below, at and above. */
static const size_t shapes[][2] = {{1, 1},  {1, 2},  {3, 1},    {5, 3},    {4, 8},
                                   {7, 10}, {2, 33}, {1, 1023}, {2, 1024}, {3, 1500}};
#define SHAPES (sizeof shapes / sizeof *shapes)

static float x[LOSS_CASE_MAX], targets[LOSS_CASE_MAX], importance[64];

static void cross_entropy_matches_its_formula(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 1);
    for (size_t k = 0; k < 4 * SHAPES; k++) {
        loss_case c = {.samples = shapes[k / 4][0], .width = shapes[k / 4][1], .targets = targets};
        fill_uniform(&random, x, c.samples * c.width, 5.0);
        fill_distributions(&random, targets, c.samples, c.width, k % 2 == 0);
        for (size_t n = 0; n < c.samples; n++) {
            importance[n] = (float)(pare_random_unit(&random) + 0.1);
        }
        c.importance = k % 4 < 2 ? NULL : importance;
        check_loss(cross_entropy, cross_entropy_formula, &c, x);
    }
}

static void element_losses_match_their_formulas(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 2);
    for (size_t k = 0; k < SHAPES; k++) {
        loss_case c = {.samples = shapes[k][0], .width = shapes[k][1], .targets = targets, .delta = 0.75F};
        size_t count = c.samples * c.width;
        fill_uniform(&random, x, count, 2.0);
        fill_uniform(&random, targets, count, 1.0);
        check_loss(mse, mse_formula, &c, x);
        check_loss(l1, l1_formula, &c, x);
        check_loss(huber, huber_formula, &c, x);
        for (size_t i = 0; i < count; i++) {
            targets[i] = fabsf(targets[i]); /* in [0, 1] */
        }
        check_loss(binary, binary_formula, &c, x);
    }
}

static void logits_far_out_keep_value_and_gradient(void **state) {
    (void)state;
    static const float far[] = {80, -80, 1e4F, -1e4F, 0, 30, -30}, flags[] = {0, 1, 0.5F};
    pare_random random;
    pare_random_seed(&random, 3);
    for (size_t k = 0; k < 2 * SHAPES; k++) {
        loss_case c = {.samples = shapes[k / 2][0], .width = shapes[k / 2][1], .targets = targets};
        fill_choices(&random, x, c.samples * c.width, far, k % 2 == 0 ? 7 : 4);
        fill_distributions(&random, targets, c.samples, c.width, k % 2 == 0);
        check_loss(cross_entropy, cross_entropy_formula, &c, x);
        fill_choices(&random, targets, c.samples * c.width, flags, 3);
        check_loss(binary, binary_formula, &c, x);
    }
}

static void gradients_of_confident_logits_do_not_cancel(void **state) {
    (void)state;
    /* softmax(0, -30, -31) minus its target 1: minus the others' sum */
    static const float logits[] = {0, -30, -31}, one_hot[] = {1, 0, 0};
    float gradient[3] = {0};
    double loss = pare_loss_cross_entropy(logits, one_hot, NULL, 1, 3, 1.0F, gradient);
    real others = expl(-30) + expl(-31);
    assert_close("loss", 0, loss, others, 1e-3, 0); /* log(1 + 1.3e-13) in double */
    assert_close("derivative", 0, (double)gradient[0], -others, 1e-3, 0);
    assert_close("derivative", 1, (double)gradient[1], expl(-30), 1e-6, 0);
    assert_close("derivative", 2, (double)gradient[2], expl(-31), 1e-6, 0);
    for (float logit = 1; logit <= 80; logit += 0.5F) {
        float right = 0, wrong = 0, one = 1, zero = 0, minus = -logit;
        pare_loss_binary_cross_entropy(&logit, &one, 1, 1, 1.0F, &right);
        pare_loss_binary_cross_entropy(&minus, &zero, 1, 1, 1.0F, &wrong);
        real e = expl(-(real)logit);
        assert_close("derivative, target 1", (size_t)logit, (double)right, -e / (1 + e), 1e-6, 0);
        assert_close("derivative, target 0", (size_t)logit, (double)wrong, e / (1 + e), 1e-6, 0);
    }
}

static void class_weights_divide_by_their_sum(void **state) {
    (void)state;
    /* equal logits: each sample's loss is log 2; uneven ones: log(1 + e^-1) + 1 */
    static const float logits[] = {0, 0, 1, 0, 5, 5}, one_hot[] = {1, 0, 0, 1, 1, 0}, weights[] = {1, 3, 0};
    float gradient[6] = {0};
    double loss = pare_loss_cross_entropy(logits, one_hot, weights, 3, 2, 1.0F, gradient);
    real second = logl(1 + expl(-1)) + 1, p = 1 / (1 + expl(-1));
    assert_close("loss", 0, loss, (logl(2) + 3 * second) / 4, 1e-12, 0);
    assert_close("derivative", 0, (double)gradient[0], -0.125L, 1e-6, 0);
    assert_close("derivative", 2, (double)gradient[2], 0.75L * p, 1e-6, 0);
    assert_true(gradient[4] == 0 && gradient[5] == 0);
}

static void without_any_importance_nothing_happens(void **state) {
    (void)state;
    static const float logits[] = {1, 2, 3, 4}, one_hot[] = {1, 0, 0, 1}, weights[] = {0, 0};
    float gradient[] = {1, 2, 3, 4};
    assert_true(pare_loss_cross_entropy(logits, one_hot, weights, 2, 2, 1.0F, gradient) == 0);
    assert_memory_equal(gradient, logits, sizeof logits);
}

static void targets_need_not_add_up_to_one(void **state) {
    (void)state;
    static const float logits[] = {0.5F, -1, 2, 0, 0.25F, 1}, masses[] = {0.2F, 0.1F, 0.3F, 0, 0, 0};
    loss_case c = {.samples = 2, .width = 3, .targets = masses};
    check_loss(cross_entropy, cross_entropy_formula, &c, logits);
}

static void kinks_have_the_gradient_of_the_middle(void **state) {
    (void)state;
    static const float outputs[] = {1, 3, -3, 1.5F}, wanted[] = {1, 1, 1, 1};
    float gradient[4] = {0};
    assert_close("l1", 0, pare_loss_l1(outputs, wanted, 1, 4, 4.0F, gradient), 6.5L / 4, 1e-12, 0);
    static const float signs[] = {0, 1, -1, 1};
    assert_memory_equal(gradient, signs, sizeof signs);
    memset(gradient, 0, sizeof gradient);
    /* delta 0.5: 0, 0.5 × 1.75, 0.5 × 3.75, and at the kink 0.5 × 0.5² */
    assert_close("huber", 0, pare_loss_huber(outputs, wanted, 1, 4, 0.5F, 4.0F, gradient),
                 (0.875L + 1.875L + 0.125L) / 4, 1e-12, 0);
    static const float cut[] = {0, 0.5F, -0.5F, 0.5F};
    assert_memory_equal(gradient, cut, sizeof cut);
}

static void large_outputs_do_not_overflow(void **state) {
    (void)state;
    static const float outputs[] = {3e38F}, wanted[] = {-3e38F};
    assert_close("mse", 0, pare_loss_mse(outputs, wanted, 1, 1, 0.0F, NULL), 3.6e77L, 1e-6, 0);
    assert_close("l1", 0, pare_loss_l1(outputs, wanted, 1, 1, 0.0F, NULL), 6e38L, 1e-6, 0);
    assert_close("bce", 0, pare_loss_binary_cross_entropy(outputs, (const float[]){0}, 1, 1, 0.0F, NULL), 3e38L, 1e-6,
                 0);
}

static void what_is_not_finite_makes_the_loss_nan(void **state) {
    (void)state;
    static const loss_function functions[] = {cross_entropy, mse, l1, huber, binary};
    pare_random random;
    pare_random_seed(&random, 4);
    for (size_t k = 0; k < 5; k++) {
        loss_case c = {.samples = 3, .width = 11, .targets = targets, .delta = 1.0F};
        fill_uniform(&random, x, 33, 3.0);
        fill_distributions(&random, targets, 3, 11, 1);
        check_not_finite(functions[k], &c, x, targets, 33);
    }
}

static void the_exponential_is_within_two_units(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 5);
    for (size_t i = 0; i < 200000; i++) {
        double at = -pare_random_unit(&random) * (i % 2 == 0 ? 708.0 : 2.0);
        double found = exp_below(at);
        real expected = expl((real)at);
        if (fabsl((real)found - expected) > 2 * (real)(nextafter(found, INFINITY) - found)) {
            fail_msg("exp(%.17g): expected %.20Lg, found %.17g", at, expected, found);
        }
    }
    assert_true(exp_below(0.0) == 1.0 && exp_below(-0.0) == 1.0);
    assert_true(exp_below(-708.0) > 0 && exp_below(-709.0) == 0 && exp_below(-1e300) == 0);
    assert_true(isnan(exp_below((double)NAN)) && isnan(exp_below(-INFINITY)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy_matches_its_formula),
        cmocka_unit_test(element_losses_match_their_formulas),
        cmocka_unit_test(logits_far_out_keep_value_and_gradient),
        cmocka_unit_test(gradients_of_confident_logits_do_not_cancel),
        cmocka_unit_test(class_weights_divide_by_their_sum),
        cmocka_unit_test(without_any_importance_nothing_happens),
        cmocka_unit_test(targets_need_not_add_up_to_one),
        cmocka_unit_test(kinks_have_the_gradient_of_the_middle),
        cmocka_unit_test(large_outputs_do_not_overflow),
        cmocka_unit_test(what_is_not_finite_makes_the_loss_nan),
        cmocka_unit_test(the_exponential_is_within_two_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
