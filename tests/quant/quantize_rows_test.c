/* Rows 44, 76, 77 and 78 of the bad inputs where data meet a network: weights
 * and data that are no ordinary numbers, sets that do not fit the model. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph_case.h"
#include "pare/lower.h"
#include "pare/npy.h"
#include "pare/quantize.h"
#include "test.h"

#define FEATURES 4
#define CLASSES 3
#define MOST 8

/* x [N, 4] -> Gemm -> h -> Relu -> Gemm -> y [N, 3] */
static pare_graph *network(const float *first, pare_error *error) {
    static const float second[CLASSES * FEATURES] = {1, -1, 0.5F, 0.25F, -1, 1, 0.5F, -0.25F, 0.1F, 0.2F, 0.3F, 0.4F};
    pare_graph *graph = NULL;
    assert_ok(pare_graph_create(0, &graph, error), error);
    graph->opset = 13;
    pare_shape x_shape = {2, {-1, FEATURES}}, w_shape = {2, {FEATURES, FEATURES}}, v_shape = {2, {CLASSES, FEATURES}};
    pare_value *x = pare_graph_add_input(graph, "x", PARE_F32, &x_shape);
    pare_value *w = pare_graph_add_constant(graph, "w", PARE_F32, &w_shape, first, sizeof(float[FEATURES * FEATURES]));
    pare_value *v = pare_graph_add_constant(graph, "v", PARE_F32, &v_shape, second, sizeof second);
    pare_value *h = pare_graph_add_value(graph, "h", PARE_F32, NULL),
               *r = pare_graph_add_value(graph, "r", PARE_F32, NULL);
    pare_value *y = pare_graph_add_value(graph, "y", PARE_F32, NULL);
    graph_add(graph, "Gemm", "transB:i=1", (pare_value *[]){x, w}, 2, &h, 1);
    graph_add(graph, "Relu", "", &h, 1, &r, 1);
    graph_add(graph, "Gemm", "transB:i=1", (pare_value *[]){r, v}, 2, &y, 1);
    assert_true(pare_graph_add_output(graph, y));
    assert_ok(pare_graph_infer(graph, error), error);
    return graph;
}

static void ordinary(float *weights) {
    for (int i = 0; i < FEATURES * FEATURES; i++) {
        weights[i] = (float)(i % 5) * 0.25F - 0.5F;
    }
}

/* A set of `count` samples of one value each, but for `odd` in the middle. */
static pare_dataset *set_of(size_t count, float value, float odd, const int64_t *labels) {
    float samples[MOST * FEATURES];
    char spec[16500];
    pare_dataset *dataset = NULL;
    pare_error error = {0};
    for (size_t i = 0; i < MOST * FEATURES; i++) {
        samples[i] = value;
    }
    samples[count / 2 * FEATURES + 1] = odd;
    pare_shape shape = {2, {(int64_t)count, FEATURES}}, label_shape = {1, {(int64_t)count}};
    assert_ok(pare_npy_write(test_path("x.npy"), PARE_F32, &shape, samples, &error), &error);
    snprintf(spec, sizeof spec, "npy:%s", test_path("x.npy"));
    if (labels != NULL) {
        assert_ok(pare_npy_write(test_path("y.npy"), PARE_S64, &label_shape, labels, &error), &error);
        snprintf(spec, sizeof spec, "npy:%s,%s", test_path("x.npy"), test_path("y.npy"));
    }
    assert_ok(pare_dataset_open(spec, &dataset, &error), &error);
    return dataset;
}

static const pare_preprocess plain = {.layout = PARE_ORDER_FLAT, .scale = 1, .task = PARE_TASK_CLASSIFICATION};

/* Quantizes and lowers. */
static pare_status quantize(const float *weights, float value, float odd, pare_calibration_method method,
                            bool weights_only, pare_error *error) {
    size_t used = pare_memory_used();
    pare_graph *graph = network(weights, error);
    pare_dataset *dataset = set_of(MOST, value, odd, NULL);
    pare_model *model = NULL;
    pare_quantize_options options = {.method = method, .activations_float = weights_only};
    pare_run_options run = {.threads = 1};
    pare_status status = pare_quantize(graph, dataset, &plain, &options, &run, NULL, error);
    if (status == PARE_OK) {
        status = pare_graph_lower(graph, &model, error);
    }
    pare_model_release(model);
    pare_dataset_close(dataset);
    pare_graph_free(graph);
    assert_int_equal(pare_memory_used(), used);
    return status;
}

static void row_44_weights_that_are_quantized(void **state) {
    (void)state;
    float weights[FEATURES * FEATURES];
    pare_error error = {0};
    for (int weights_only = 0; weights_only < 2; weights_only++) {
        static const float wrong[] = {NAN, INFINITY, -INFINITY};
        for (size_t i = 0; i < 3; i++) {
            ordinary(weights);
            weights[6] = wrong[i];
            pare_status status = quantize(weights, 0.5F, 1, PARE_CALIBRATE_MINMAX, weights_only, &error);
            assert_fails(status, PARE_BAD_INPUT, &error, "expected finite elements in \"w\", found ");
        }
        memset(weights, 0, sizeof weights); /* all zero */
        assert_ok(quantize(weights, 0.5F, 1, PARE_CALIBRATE_MINMAX, weights_only, &error), &error);
        for (int i = 0; i < FEATURES * FEATURES; i++) {
            weights[i] = i % 2 != 0 ? 1e-42F : -1e-45F; /* denormals */
        }
        assert_ok(quantize(weights, 0.5F, 1, PARE_CALIBRATE_MINMAX, weights_only, &error), &error);
        ordinary(weights);
        weights[3] = 3e38F;
        assert_ok(quantize(weights, 1e-3F, 1e-3F, PARE_CALIBRATE_MINMAX, weights_only, &error), &error);
    }
}

static void row_78_calibration_set_of_one_value(void **state) {
    (void)state;
    float weights[FEATURES * FEATURES];
    pare_error error = {0};
    ordinary(weights);
    static const float values[] = {0.0F, -0.0F, 1.0F, -2.5F, 1e-30F, 1e-42F, 1e30F};
    for (int method = PARE_CALIBRATE_MINMAX; method <= PARE_CALIBRATE_MSE; method++) {
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            pare_status status =
                quantize(weights, values[i], values[i], (pare_calibration_method)method, false, &error);
            if (status != PARE_OK) {
                print_error("method %d, value %g: %s\n", method, (double)values[i], error.message);
            }
            assert_int_equal(status, PARE_OK);
        }
    }
}

static void row_77_values_that_are_not_finite(void **state) {
    (void)state;
    float weights[FEATURES * FEATURES];
    pare_error error = {0};
    ordinary(weights);
    assert_fails(quantize(weights, 1, NAN, PARE_CALIBRATE_MSE, false, &error), PARE_BAD_INPUT, &error, "at element 1");
    assert_fails(quantize(weights, 1, INFINITY, PARE_CALIBRATE_MSE, false, &error), PARE_BAD_INPUT, &error, "finite");
}

static pare_status evaluate(size_t count, const int64_t *labels, int64_t batch, pare_metrics *metrics,
                            pare_error *error) {
    float weights[FEATURES * FEATURES];
    ordinary(weights);
    pare_graph *graph = network(weights, error);
    pare_dataset *dataset = set_of(count, 0.5F, 1, labels);
    pare_model *model = NULL;
    pare_run_options run = {.threads = 1, .batch = batch};
    assert_ok(pare_graph_lower(graph, &model, error), error);
    pare_status status = pare_evaluate(model, dataset, &plain, &run, metrics, error);
    pare_model_release(model);
    pare_dataset_close(dataset);
    pare_graph_free(graph);
    return status;
}

static void row_76_labels_outside_the_classes(void **state) {
    (void)state;
    pare_error error = {0};
    pare_metrics metrics;
    static const int64_t wrong[] = {CLASSES, 255, INT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        int64_t labels[4] = {0, 1, wrong[i], 2};
        assert_fails(evaluate(4, labels, 2, &metrics, &error), PARE_BAD_INPUT, &error, "label");
    }
}

static void row_76_few_samples_and_missing_classes(void **state) {
    (void)state;
    pare_error error = {0};
    for (int64_t batch = 0; batch <= 64; batch += 32) {
        pare_metrics metrics;
        static const int64_t one[] = {1}, same[] = {2, 2, 2, 2, 2};
        assert_ok(evaluate(1, one, batch, &metrics, &error), &error); /* one sample */
        assert_int_equal(metrics.samples, 1);
        assert_int_equal(metrics.classes, CLASSES);
        assert_true(isfinite(metrics.macro_f1) && isfinite(metrics.log_loss));
        pare_metrics_free(&metrics);
        assert_ok(evaluate(5, same, batch, &metrics, &error), &error); /* fewer than a batch, two classes missing */
        assert_int_equal(metrics.samples, 5);
        assert_int_equal(metrics.per_class[0].support, 0);
        assert_true(isfinite(metrics.macro_f1) && isfinite(metrics.weighted_f1));
        assert_true(metrics.per_class[0].recall == 0.0);
        pare_metrics_free(&metrics);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_44_weights_that_are_quantized),      cmocka_unit_test(row_76_labels_outside_the_classes),
        cmocka_unit_test(row_76_few_samples_and_missing_classes), cmocka_unit_test(row_77_values_that_are_not_finite),
        cmocka_unit_test(row_78_calibration_set_of_one_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
