/* BatchNormalization comes back behind convolutions, and nothing else changes. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph_case.h"
#include "net_builder.h"
#include "onnx_samples.h"
#include "pare/npy.h"
#include "pare/onnx_graph.h"
#include "pare/op.h"
#include "pare/passes.h"
#include "pare/rebuild.h"

#define CHANNELS 3
#define HEIGHT 6
#define WIDTH 5
#define PLANE (HEIGHT * WIDTH)
#define SAMPLES 7 /* no multiple of the batches below */

static const pare_preprocess plain;

/* Random samples of this shape; channel c is offsets[c] + noise (NULL: uniform in 0 to `high`). */
static pare_dataset *make_data(int64_t count, const int64_t *dims, float high, const float *offsets, float **kept) {
    pare_shape shape = {4, {count, dims[1], dims[2], dims[3]}};
    size_t elements = 0, plane = (size_t)(dims[2] * dims[3]);
    pare_random random;
    pare_error error = {0};
    pare_dataset *data = NULL;
    char spec[4200];
    pare_random_seed(&random, 11);
    assert_true(pare_shape_elements(&shape, &elements));
    float *x = malloc(elements * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < elements; i++) {
        x[i] = offsets != NULL ? offsets[i / plane % (size_t)dims[1]] + 0.1F * (float)pare_random_normal(&random)
                               : high * (float)pare_random_unit(&random);
    }
    assert_ok(pare_npy_write(test_path("x.npy"), PARE_F32, &shape, x, &error), &error);
    snprintf(spec, sizeof spec, "npy:%s", test_path("x.npy"));
    assert_ok(pare_dataset_open(spec, &data, &error), &error);
    if (kept != NULL) {
        *kept = x;
    } else {
        free(x);
    }
    return data;
}

static pare_dataset *small_data(float **kept) {
    static const float offsets[CHANNELS] = {0, 1000, -3};
    return make_data(SAMPLES, (const int64_t[]){0, CHANNELS, HEIGHT, WIDTH}, 0, offsets, kept);
}

static void rebuild(pare_graph *graph, pare_dataset *data, int64_t batch, size_t expected) {
    pare_error error = {0};
    pare_run_options run = {.batch = batch, .threads = 1};
    size_t inserted = SIZE_MAX;
    assert_ok(pare_rebuild_batchnorm(graph, data, &plain, &run, &inserted, &error), &error);
    assert_int_equal(inserted, expected);
    assert_ok(pare_graph_check(graph, &error), &error);
    assert_ok(pare_graph_infer(graph, &error), &error);
}

static pare_graph *clone(const pare_graph *graph) {
    pare_error error = {0};
    pare_graph *copy = NULL;
    assert_ok(pare_graph_clone(graph, &copy, &error), &error);
    return copy;
}

static pare_node *find(const pare_graph *graph, const char *op, size_t index) {
    for (pare_node *node = graph->first; node != NULL; node = node->next) {
        if (strcmp(node->op->name, op) == 0 && index-- == 0) {
            return node;
        }
    }
    return NULL;
}

static const float *numbers(const pare_node *node, size_t input) {
    assert_true(input < node->input_count && node->inputs[input] != NULL && node->inputs[input]->data != NULL);
    return node->inputs[input]->data;
}

/* The first layer hands the input on, plus 2; its last channel is always 0.75. */
static pare_value *passing_layer(net *n, pare_value *x) {
    static const float weights[4 * CHANNELS] = {1, 0, 0, 0, 1, 0, 0, 0, 1}, biases[4] = {2, 2, 2, 0.75F};
    pare_shape w = {4, {4, CHANNELS, 1, 1}}, b = {1, {4}};
    return NET(n, "Conv", "", x, pare_graph_add_constant(n->graph, "w", PARE_F32, &w, weights, sizeof weights),
               pare_graph_add_constant(n->graph, "b", PARE_F32, &b, biases, sizeof biases));
}

/* Conv, depthwise Conv with a residual around it, ConvTranspose in groups, a Conv without bias that is normalized
 * already, a Conv whose sum is read twice, classifier. */
static pare_graph *small_network(void) {
    net n;
    net_start(&n, 5);
    pare_value *x = passing_layer(&n, net_input(&n, 4, (const int64_t[]){-1, CHANNELS, HEIGHT, WIDTH}));
    pare_value *y = NET(&n, "Relu", "", net_conv(&n, x, 4, 3, 1, 4));
    y = NET(&n, "Add", "", y, x);
    int64_t six = 6;
    y = NET(&n, "ConvTranspose", "group:i=2 strides:I=2,2", y,
            net_random(&n, 4, (const int64_t[]){4, 3, 2, 2}, -0.5, 0.5), net_random(&n, 1, &six, -0.5, 0.5));
    y = NET(&n, "Conv", "", NET(&n, "Relu", "", y), net_random(&n, 4, (const int64_t[]){5, 6, 1, 1}, -0.5, 0.5));
    y = net_conv(&n, NET(&n, "Relu", "", net_batchnorm(&n, y)), 8, 3, 2, 1);
    y = NET(&n, "Flatten", "", NET(&n, "GlobalAveragePool", "", NET(&n, "Mul", "", y, NET(&n, "Sigmoid", "", y))));
    return net_finish(&n, net_gemm(&n, y, 10));
}

static void check_close(const float *expected, const float *found, size_t count, double tolerance) {
    double largest = 0, worst = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(isfinite(found[i]));
        largest = fmax(largest, fabs((double)expected[i]));
        worst = fmax(worst, fabs((double)expected[i] - (double)found[i]));
    }
    if (!(worst <= tolerance * largest)) {
        fail_msg("expected a relative difference of at most %g, found %g", tolerance, worst / largest);
    }
}

static void check_same_function(const pare_graph *a, const pare_graph *b, int64_t batch, size_t outputs) {
    size_t count = (size_t)batch * outputs;
    float *expected = malloc(count * sizeof(float)), *found = malloc(count * sizeof(float));
    assert_true(expected != NULL && found != NULL);
    net_run(a, batch, 3, expected, count);
    net_run(b, batch, 3, found, count);
    check_close(expected, found, count, 1e-4);
    free(expected);
    free(found);
}

/* Each convolution's weights are the same but for two roundings. */
static void check_same_weights(const pare_graph *a, const pare_graph *b) {
    const pare_node *left = a->first, *right = b->first;
    for (; left != NULL && right != NULL; left = left->next, right = right->next) {
        assert_string_equal(left->name, right->name);
        if (strncmp(left->op->name, "Conv", 4) == 0) {
            size_t count = left->inputs[1]->data_bytes / sizeof(float);
            const float *x = numbers(left, 1), *y = numbers(right, 1);
            for (size_t i = 0; i < count; i++) {
                assert_true(fabs((double)x[i] - (double)y[i]) <= 3e-7 * fabs((double)x[i]));
            }
        }
    }
    assert_true(left == NULL && right == NULL);
}

static void the_network_computes_the_same(void **state) {
    (void)state;
    pare_dataset *data = small_data(NULL);
    pare_graph *graph = small_network(), *before = clone(graph);
    pare_value *y = find(graph, "Conv", 3)->outputs[0];
    rebuild(graph, data, 4, 4);
    for (size_t i = 0; i < 4; i++) {
        static const char *const layers[4] = {"Conv", "Conv", "ConvTranspose", "Conv"};
        static const size_t indices[4] = {0, 1, 0, 3};
        const pare_node *layer = find(graph, layers[i], indices[i]);
        assert_int_equal(layer->input_count, 2);
        assert_string_equal(layer->next->op->name, "BatchNormalization");
        assert_ptr_equal(layer->next->inputs[0], layer->outputs[0]);
        assert_int_equal(layer->outputs[0]->use_count, 1);
    }
    assert_string_equal(y->producer->op->name, "BatchNormalization"); /* its readers and its name stay */
    assert_string_equal(find(before, "Conv", 3)->outputs[0]->name, y->name);
    assert_null(find(graph, "BatchNormalization", 5));
    assert_int_equal(find(graph, "Gemm", 0)->input_count, 3);
    check_same_function(before, graph, 3, 10);
    rebuild(graph, data, 4, 0); /* all are there now */
    pare_graph_free(graph);
    pare_graph_free(before);
    pare_dataset_close(data);
}

static void the_moments_are_those_of_the_data(void **state) {
    (void)state;
    float *x = NULL;
    pare_dataset *data = small_data(&x);
    pare_graph *graph = small_network();
    rebuild(graph, data, 4, 4);
    const pare_node *norm = find(graph, "BatchNormalization", 0);
    const float *scale = numbers(norm, 1), *shift = numbers(norm, 2), *mean = numbers(norm, 3), *var = numbers(norm, 4);
    for (size_t c = 0; c < CHANNELS; c++) {
        double sum = 0, square = 0;
        for (size_t i = 0; i < (size_t)SAMPLES * PLANE; i++) {
            sum += (double)x[(i / PLANE * CHANNELS + c) * PLANE + i % PLANE];
        }
        sum /= SAMPLES * PLANE;
        for (size_t i = 0; i < (size_t)SAMPLES * PLANE; i++) {
            square += pow((double)x[(i / PLANE * CHANNELS + c) * PLANE + i % PLANE] - sum, 2);
        }
        square /= SAMPLES * PLANE;
        assert_true(fabs((double)mean[c] - sum) <= 1e-6 * (1 + fabs(sum)));
        assert_true(fabs((double)shift[c] - sum - 2) <= 1e-6 * (1 + fabs(sum)));
        assert_true(fabs((double)var[c] - square) <= 1e-3 * square); /* x + 2 was rounded: 1000 to 6e-5 */
        assert_true(fabs((double)scale[c] - sqrt(square + 1e-5)) <= 1e-3 * sqrt(square));
    }
    assert_true(mean[3] == 0.0F && var[3] == 0.0F && shift[3] == 0.75F);
    assert_true(fabs((double)scale[3] - sqrt(1e-5)) < 1e-9);
    free(x);
    pare_graph_free(graph);
    pare_dataset_close(data);
}

/* Seven samples in batches of one, and of four with a padded one at the end. */
static void padding_is_not_measured(void **state) {
    (void)state;
    pare_dataset *data = small_data(NULL);
    pare_graph *graphs[2] = {small_network(), small_network()};
    for (int i = 0; i < 2; i++) {
        pare_run_options run = {.batch = i == 0 ? 1 : 4, .threads = 1, .reference = 1};
        pare_error error = {0};
        assert_ok(pare_rebuild_batchnorm(graphs[i], data, &plain, &run, NULL, &error), &error);
    }
    assert_null(graph_difference(graphs[0], graphs[1]));
    pare_graph_free(graphs[0]);
    pare_graph_free(graphs[1]);
    pare_dataset_close(data);
}

static void folding_gives_the_weights_back(void **state) {
    (void)state;
    bool changed = false;
    pare_error error = {0};
    pare_dataset *data = small_data(NULL);
    pare_graph *graph = small_network();
    assert_ok(pare_fold_batchnorm(graph, &changed, &error), &error);
    pare_graph *before = clone(graph);
    rebuild(graph, data, 0, 5);
    assert_ok(pare_fold_batchnorm(graph, &changed, &error), &error);
    check_same_weights(before, graph);
    for (size_t i = 0; i < 4; i++) {
        const pare_node *then = find(before, "Conv", i), *now = find(graph, "Conv", i);
        for (int64_t c = 0; c < then->outputs[0]->shape.dims[1]; c++) { /* what cancels is as large as the mean */
            double margin = i == 0 && c == 1 ? 3e-4 : 1e-4;
            assert_true(fabs((double)numbers(then, 2)[c] - (double)numbers(now, 2)[c]) <= margin);
        }
    }
    check_same_function(before, graph, 3, 10);
    pare_graph_free(graph);
    pare_graph_free(before);
    pare_dataset_close(data);
}

static pare_graph *load(const char *name) {
    char relative[128];
    pare_error error = {0};
    pare_graph *graph = NULL;
    snprintf(relative, sizeof relative, "models/%s.onnx", name);
    assert_ok(pare_graph_load(test_shared_path(relative), NULL, &graph, &error), &error);
    return graph;
}

static void shared_networks_compute_the_same(void **state) {
    static const struct {
        const char *name;
        float high;
        size_t layers, outputs;
        int64_t samples;
    } models[] = {
        {"tiny_ic_resnet8", 255, 9, 10, 24},
        {"tiny_vww_mobilenetv1", 1, 27, 2, 6},
        {"mobilenetv1_0.25_128", 1, 27, 1001, 6}, /* the 28th gives the logits */
    };
    (void)state;
    if (test_shared() == NULL) {
        skip();
    }
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        bool changed = false;
        pare_error error = {0};
        pare_graph *graph = load(models[i].name);
        assert_ok(pare_fold_batchnorm(graph, &changed, &error), &error);
        pare_graph *before = clone(graph);
        pare_dataset *data = make_data(models[i].samples, graph->inputs[0]->shape.dims, models[i].high, NULL, NULL);
        rebuild(graph, data, 0, models[i].layers);
        check_same_function(before, graph, 2, models[i].outputs);
        assert_ok(pare_fold_batchnorm(graph, &changed, &error), &error);
        check_same_weights(before, graph);
        check_same_function(before, graph, 2, models[i].outputs);
        pare_graph_free(graph);
        pare_graph_free(before);
        pare_dataset_close(data);
    }
}

static void nothing_comes_where_it_is(void **state) {
    (void)state;
    if (test_shared() == NULL) {
        skip();
    }
    pare_graph *graph = load("tiny_vww_mobilenetv1"), *before = clone(graph);
    pare_dataset *data = small_data(NULL); /* of another shape: it is not read */
    rebuild(graph, data, 0, 0);
    assert_null(graph_difference(graph, before));
    pare_graph_free(graph);
    pare_graph_free(before);
    pare_dataset_close(data);
}

static void the_last_layer_stays(void **state) {
    (void)state;
    net n;
    net_start(&n, 5);
    pare_value *x = net_input(&n, 4, (const int64_t[]){-1, CHANNELS, HEIGHT, WIDTH});
    pare_value *y = NET(&n, "Relu", "", net_conv(&n, x, 4, 3, 1, 1));
    pare_graph *graph = net_finish(&n, NET(&n, "Flatten", "", NET(&n, "Relu", "", net_conv(&n, y, 4, 1, 1, 1))));
    pare_dataset *data = small_data(NULL);
    rebuild(graph, data, 0, 1);
    assert_string_equal(find(graph, "Conv", 0)->next->op->name, "BatchNormalization");
    assert_string_equal(find(graph, "Conv", 1)->next->op->name, "Relu");
    assert_int_equal(find(graph, "Conv", 1)->input_count, 3);
    pare_graph_free(graph);
    pare_dataset_close(data);
}

static void an_output_that_is_not_finite_is_named(void **state) {
    (void)state;
    static const float offsets[CHANNELS] = {3e38F, 3e38F, 3e38F};
    pare_error error = {0};
    pare_run_options run = {.threads = 1};
    size_t inserted = 1;
    net n;
    net_start(&n, 5);
    pare_value *x = net_input(&n, 4, (const int64_t[]){-1, CHANNELS, HEIGHT, WIDTH});
    pare_value *w = net_random(&n, 4, (const int64_t[]){2, CHANNELS, 1, 1}, 1, 2);
    pare_value *y = NET(&n, "GlobalAveragePool", "", NET(&n, "Conv", "", x, w));
    pare_graph *graph = net_finish(&n, net_gemm(&n, NET(&n, "Flatten", "", y), 2)), *before = clone(graph);
    pare_dataset *data = make_data(2, graph->inputs[0]->shape.dims, 0, offsets, NULL);
    assert_fails(pare_rebuild_batchnorm(graph, data, &plain, &run, &inserted, &error), PARE_BAD_INPUT, &error,
                 "(Conv, opset 18): expected a finite output");
    assert_int_equal(inserted, 0);
    assert_null(graph_difference(graph, before));
    pare_graph_free(graph);
    pare_graph_free(before);
    pare_dataset_close(data);
}

static void failed_allocations_leave_a_graph_that_computes_the_same(void **state) {
    (void)state;
    pare_dataset *data = small_data(NULL);
    pare_graph *before = small_network();
    pare_run_options run = {.batch = 4, .threads = 1, .reference = 1};
    pare_status status = PARE_LIMIT;
    float expected[10], found[10];
    net_run(before, 1, 3, expected, 10);
    for (size_t n = 1; status != PARE_OK; n++) {
        pare_error error = {0};
        size_t used = pare_memory_used();
        pare_graph *graph = clone(before);
        pare_memory_fail_at(n, true);
        status = pare_rebuild_batchnorm(graph, data, &plain, &run, NULL, &error);
        pare_memory_fail_at(0, false);
        assert_true(status == PARE_OK || status == PARE_LIMIT);
        assert_true(n < 1000);
        assert_ok(pare_graph_check(graph, &error), &error);
        net_run(graph, 1, 3, found, 10);
        check_close(expected, found, 10, 1e-4);
        pare_graph_free(graph);
        assert_int_equal(pare_memory_used(), used);
    }
    pare_graph_free(before);
    pare_dataset_close(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_network_computes_the_same),
        cmocka_unit_test(the_moments_are_those_of_the_data),
        cmocka_unit_test(padding_is_not_measured),
        cmocka_unit_test(folding_gives_the_weights_back),
        cmocka_unit_test(shared_networks_compute_the_same),
        cmocka_unit_test(nothing_comes_where_it_is),
        cmocka_unit_test(the_last_layer_stays),
        cmocka_unit_test(an_output_that_is_not_finite_is_named),
        cmocka_unit_test(failed_allocations_leave_a_graph_that_computes_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
