/* Metrics against values worked out independently. */
#include <math.h>
#include <string.h>

#include "pare/metrics.h"
#include "test.h"

static void assert_near(double found, double expected, double tolerance) {
    if (!(fabs(found - expected) <= tolerance)) {
        fail_msg("expected %.10g, found %.10g", expected, found);
    }
}

static void wilson_interval_matches_published_values(void **state) {
    (void)state;
    /* statsmodels proportion_confint(15, 20, method="wilson"), and the ends. */
    pare_interval interval = pare_wilson_interval(15, 20);
    assert_near(interval.low, 0.5312990, 1e-6);
    assert_near(interval.high, 0.8881376, 1e-6);
    assert_near(pare_wilson_interval(0, 10).low, 0.0, 0.0);
    assert_near(pare_wilson_interval(0, 10).high, 0.2775328, 1e-6);
    assert_near(pare_wilson_interval(10, 10).high, 1.0, 0.0);
}

static void mcnemar_is_the_exact_binomial_tail(void **state) {
    (void)state;
    assert_near(pare_mcnemar_exact(0, 0), 1.0, 0.0);
    assert_near(pare_mcnemar_exact(5, 5), 1.0, 0.0);
    assert_near(pare_mcnemar_exact(1, 9), 0.021484375, 1e-12); /* 2 (1 + 10) / 1024 */
    assert_near(pare_mcnemar_exact(9, 1), 0.021484375, 1e-12);
}

static const pare_preprocess classify = {.task = PARE_TASK_CLASSIFICATION};

static void evaluate(const pare_preprocess *task, const float *inputs, const float *outputs, size_t width,
                     const int64_t *classes, const float *values, size_t targets, size_t count, pare_metrics *metrics) {
    pare_error error = {0};
    pare_metrics_collector *collector = NULL;
    assert_ok(pare_metrics_begin(task, &collector, &error), &error);
    assert_ok(pare_metrics_add(collector, inputs, width, outputs, width, classes, values, targets, count, &error),
              &error);
    assert_ok(pare_metrics_end(collector, metrics, &error), &error);
}

static void classification_counts_by_hand(void **state) {
    (void)state;
    /* truth 0 0 0 1 1 2, predicted 0 0 1 1 2 2 */
    static const float outputs[] = {3, 0, 0, 3, 0, 0, 0, 3, 0, 0, 3, 0, 0, 0, 3, 0, 0, 3};
    static const int64_t truth[] = {0, 0, 0, 1, 1, 2};
    pare_metrics m;
    evaluate(&classify, NULL, outputs, 3, truth, NULL, 1, 6, &m);
    assert_int_equal(m.samples, 6);
    assert_near(m.top1, 4.0 / 6.0, 1e-12);
    assert_near(m.top5, 1.0, 0.0);
    assert_int_equal(m.confusion[0 * 3 + 1], 1);
    assert_int_equal(m.confusion[1 * 3 + 2], 1);
    assert_near(m.per_class[0].precision, 1.0, 0.0);
    assert_near(m.per_class[0].recall, 2.0 / 3.0, 1e-12);
    assert_near(m.per_class[2].f1, 2.0 / 3.0, 1e-12);
    assert_near(m.macro_f1, (0.8 + 0.5 + 2.0 / 3.0) / 3.0, 1e-12);
    assert_near(m.weighted_f1, (3 * 0.8 + 2 * 0.5 + 2.0 / 3.0) / 6.0, 1e-12);
    double right = -log(exp(3.0) / (exp(3.0) + 2.0));
    assert_near(m.log_loss, (4 * right + 2 * (right + 3.0)) / 6.0, 1e-6);
    assert_true(m.macro_f1_ci95.low <= m.macro_f1 && m.macro_f1 <= m.macro_f1_ci95.high);
    pare_metrics_free(&m);
}

static void probabilities_are_not_softmaxed_again(void **state) {
    (void)state;
    static const float outputs[] = {0.25F, 0.75F};
    static const int64_t truth[] = {1};
    pare_metrics m;
    evaluate(&classify, NULL, outputs, 2, truth, NULL, 1, 1, &m);
    assert_near(m.log_loss, -log(0.75), 1e-6);
    pare_metrics_free(&m);
}

static void negative_targets_are_not_scored(void **state) {
    (void)state;
    static const float outputs[] = {1, 0, 0, 1, 1, 0};
    static const int64_t truth[] = {0, 1, -1};
    pare_metrics m;
    pare_error error;
    pare_metrics_collector *collector;
    assert_ok(pare_metrics_begin(&classify, &collector, &error), &error);
    assert_ok(pare_metrics_add(collector, NULL, 0, outputs, 6, truth, NULL, 3, 1, &error), &error);
    assert_ok(pare_metrics_end(collector, &m, &error), &error);
    assert_int_equal(m.samples, 2);
    assert_near(m.top1, 1.0, 0.0);
    pare_metrics_free(&m);
}

static void row_76_label_outside_classes_and_empty_set(void **state) {
    (void)state;
    static const float outputs[] = {1, 0};
    static const int64_t truth[] = {2};
    pare_error error;
    pare_metrics m;
    pare_metrics_collector *collector;
    assert_ok(pare_metrics_begin(&classify, &collector, &error), &error);
    assert_fails(pare_metrics_add(collector, NULL, 0, outputs, 2, truth, NULL, 1, 1, &error), PARE_BAD_INPUT, &error,
                 "label 2");
    assert_fails(pare_metrics_end(collector, &m, &error), PARE_BAD_INPUT, &error, "no sample");
}

static void regression_by_hand(void **state) {
    (void)state;
    static const pare_preprocess regress = {.task = PARE_TASK_REGRESSION};
    static const float outputs[] = {1, 2, 4}, targets[] = {1, 3, 5};
    pare_metrics m;
    evaluate(&regress, NULL, outputs, 1, NULL, targets, 1, 3, &m);
    assert_near(m.mse, 2.0 / 3.0, 1e-12);
    assert_near(m.rmse, sqrt(2.0 / 3.0), 1e-12);
    assert_near(m.mae, 2.0 / 3.0, 1e-12);
    assert_near(m.r2, 1.0 - 2.0 / 8.0, 1e-12);
    pare_metrics_free(&m);
}

static void autoencoder_auc_counts_ties_as_half(void **state) {
    (void)state;
    static const pare_preprocess reconstruct = {.task = PARE_TASK_AUTOENCODER};
    static const float inputs[] = {0, 0, 0, 0}, outputs[] = {1, 2, 2, 3};
    static const int64_t anomaly[] = {0, 0, 1, 1};
    pare_metrics m;
    evaluate(&reconstruct, inputs, outputs, 1, anomaly, NULL, 1, 4, &m);
    assert_true(m.has_auc);
    assert_near(m.auc, 3.5 / 4.0, 1e-12);
    assert_near(m.mse, 18.0 / 4.0, 1e-12);
    pare_metrics_free(&m);
}

static void comparison_is_paired(void **state) {
    (void)state;
    static const int64_t truth[] = {0, 0, 1, 1};
    static const float first[] = {1, 0, 1, 0, 0, 1, 1, 0}, second[] = {1, 0, 0, 1, 0, 1, 0, 1};
    pare_metrics a, b;
    pare_comparison c;
    pare_error error;
    evaluate(&classify, NULL, first, 2, truth, NULL, 1, 4, &a);
    evaluate(&classify, NULL, second, 2, truth, NULL, 1, 4, &b);
    assert_ok(pare_metrics_compare(&a, &b, &c, &error), &error);
    assert_near(c.agreement, 0.5, 0.0);
    assert_int_equal(c.fixed, 1);
    assert_int_equal(c.broken, 1);
    assert_near(c.difference, 0.0, 0.0);
    pare_metrics_free(&a);
    pare_metrics_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wilson_interval_matches_published_values),
        cmocka_unit_test(mcnemar_is_the_exact_binomial_tail),
        cmocka_unit_test(classification_counts_by_hand),
        cmocka_unit_test(probabilities_are_not_softmaxed_again),
        cmocka_unit_test(negative_targets_are_not_scored),
        cmocka_unit_test(row_76_label_outside_classes_and_empty_set),
        cmocka_unit_test(regression_by_hand),
        cmocka_unit_test(autoencoder_auc_counts_ties_as_half),
        cmocka_unit_test(comparison_is_paired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
