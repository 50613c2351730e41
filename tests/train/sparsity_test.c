/* Weights that become zeros while a network trains: as many as asked for, for good, and those that mattered least. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader_files.h"
#include "net_builder.h"
#include "pare/op.h"
#include "pare/train.h"
#include "test.h"

enum { SAMPLES = 60, FEATURES = 20, HIDDEN = 16, LAYERS = 3 };

static pare_graph *network(void) {
    net n;
    net_start(&n, 5);
    pare_value *x = net_input(&n, 2, (int64_t[]){-1, FEATURES});
    x = NET(&n, "Relu", "", net_gemm(&n, x, HIDDEN));
    x = NET(&n, "Relu", "", net_gemm(&n, x, HIDDEN));
    return net_finish(&n, net_gemm(&n, x, 1));
}

/* y is the sum of two of the features. */
static pare_dataset *open_set(void) {
    float x[SAMPLES * FEATURES], y[SAMPLES];
    pare_random random;
    pare_random_seed(&random, 6);
    for (size_t i = 0; i < SAMPLES; i++) {
        for (size_t f = 0; f < FEATURES; f++) {
            x[i * FEATURES + f] = (float)pare_random_normal(&random);
        }
        y[i] = x[i * FEATURES] + x[i * FEATURES + 1];
    }
    return open_numbers(x, SAMPLES, FEATURES, y);
}

static pare_value *weights_of_layer(const pare_graph *graph, int layer) {
    for (pare_node *node = graph->first; node != NULL; node = node->next) {
        if (strcmp(node->op->name, "Gemm") == 0 && layer-- == 0) {
            return node->inputs[1];
        }
    }
    return NULL;
}

static size_t count_of(const pare_value *weights) {
    return weights->data_bytes / sizeof(float);
}

static size_t zeros_of(const pare_value *weights) {
    size_t zeros = 0;
    for (size_t i = 0; i < count_of(weights); i++) {
        zeros += ((const float *)weights->data)[i] == 0;
    }
    return zeros;
}

static pare_status train(pare_graph *graph, const pare_sparsity_options *sparsity, bool validates, double ema,
                         pare_train_result *result, pare_error *error) {
    static const pare_preprocess plain = {.layout = PARE_ORDER_FLAT, .scale = 1, .task = PARE_TASK_REGRESSION};
    pare_train_options options = {.preprocess = &plain,
                                  .optimizer = {.kind = PARE_OPTIMIZER_SGD, .momentum = 0.9, .weight_decay = 1e-4},
                                  .schedule = {.lr = 0.02},
                                  .epochs = 40,
                                  .batch = 20,
                                  .threads = 1,
                                  .ema = ema,
                                  .sparsity = *sparsity};
    pare_dataset *set = open_set(), *validation = validates ? open_set() : NULL;
    pare_status status = pare_train(graph, set, validation, &options, result, error);
    pare_dataset_close(set);
    pare_dataset_close(validation);
    return status;
}

static void as_many_as_asked_for(void **state) {
    (void)state;
    for (int scope = PARE_SPARSITY_LAMP; scope <= PARE_SPARSITY_LAYER; scope++) {
        for (int way = 0; way < 3; way++) { /* plain, with a validation set, with an average */
            pare_error error = {0};
            pare_train_result result = {0};
            pare_graph *graph = network();
            pare_sparsity_options sparsity = {.target = 0.8, .scope = (pare_sparsity_scope)scope};
            assert_ok(train(graph, &sparsity, way == 1, way == 2 ? 0.9 : 0, &result, &error), &error);
            size_t zeros = 0, count = 0;
            for (int layer = 0; layer < LAYERS; layer++) {
                const pare_value *weights = weights_of_layer(graph, layer);
                zeros += zeros_of(weights);
                count += count_of(weights);
                if (scope == PARE_SPARSITY_LAYER) {
                    assert_int_equal(zeros_of(weights), (size_t)(0.8 * (double)count_of(weights) + 0.5));
                }
            }
            assert_true(fabs((double)zeros - 0.8 * (double)count) <= (scope == PARE_SPARSITY_LAYER ? 1.5 : 0.5));
            assert_true(fabs(result.sparsity - 0.8) < 0.005);
            pare_metrics_free(&result.metrics);
            pare_graph_free(graph);
        }
    }
}

/* Two features of twenty are needed: theirs are the weights that stay, and the network still knows the answer. */
static void what_is_needed_stays(void **state) {
    (void)state;
    pare_error error = {0};
    pare_train_result result = {0};
    pare_graph *graph = network();
    pare_sparsity_options sparsity = {.target = 0.8};
    assert_ok(train(graph, &sparsity, true, 0, &result, &error), &error);
    assert_true(result.metrics.r2 > 0.9);
    const float *first = weights_of_layer(graph, 0)->data;
    size_t needed = 0, others = 0;
    for (size_t i = 0; i < HIDDEN * FEATURES; i++) {
        *(i % FEATURES < 2 ? &needed : &others) += first[i] != 0;
    }
    assert_true(needed * (FEATURES - 2) > 2 * others * 2); /* per feature, more than twice as many */
    pare_metrics_free(&result.metrics);
    pare_graph_free(graph);
}

static void zeros_of_before_stay(void **state) {
    (void)state;
    for (int keep = 0; keep < 2; keep++) {
        pare_error error = {0};
        pare_graph *graph = network();
        pare_sparsity_options sparsity = {.keep = keep != 0};
        float *weights = weights_of_layer(graph, 1)->data;
        for (size_t i = 0; i < HIDDEN * HIDDEN; i += 2) {
            weights[i] = 0;
        }
        assert_ok(train(graph, &sparsity, false, 0, NULL, &error), &error);
        assert_int_equal(zeros_of(weights_of_layer(graph, 1)) == HIDDEN * HIDDEN / 2, keep);
        assert_int_equal(zeros_of(weights_of_layer(graph, 0)), 0);
        pare_graph_free(graph);
    }
}

static void row_87_a_sparsity_out_of_range(void **state) {
    (void)state;
    static const pare_sparsity_options cases[] = {
        {.target = 1}, {.target = -0.1}, {.target = (double)NAN}, {.target = 0.5, .until = 1.5}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pare_error error = {0};
        pare_graph *graph = network();
        assert_fails(train(graph, &cases[i], false, 0, NULL, &error), PARE_USAGE, &error, "expected a sparsity");
        pare_graph_free(graph);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_asked_for),
        cmocka_unit_test(what_is_needed_stays),
        cmocka_unit_test(zeros_of_before_stay),
        cmocka_unit_test(row_87_a_sparsity_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
