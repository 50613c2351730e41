#include "net_builder.h"

#include <stdio.h>
#include <stdlib.h>

#include "graph_case.h"
#include "pare/op.h"
#include "test.h"

void net_start(net *n, uint64_t seed) {
    pare_error error = {0};
    assert_ok(pare_graph_create(0, &n->graph, &error), &error);
    n->graph->opset = 18;
    pare_random_seed(&n->random, seed);
}

static pare_shape shape_of(int32_t rank, const int64_t *dims) {
    pare_shape shape = {.rank = rank};
    for (int32_t a = 0; a < rank; a++) {
        shape.dims[a] = dims[a];
    }
    return shape;
}

pare_value *net_input(net *n, int32_t rank, const int64_t *dims) {
    pare_shape shape = shape_of(rank, dims);
    return pare_graph_add_input(n->graph, "x", PARE_F32, &shape);
}

pare_value *net_random(net *n, int32_t rank, const int64_t *dims, double low, double high) {
    pare_shape shape = shape_of(rank, dims);
    size_t count = 0;
    assert_true(pare_shape_elements(&shape, &count));
    float *data = malloc(count * sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < count; i++) {
        data[i] = (float)(low + (high - low) * pare_random_unit(&n->random));
    }
    pare_value *value = pare_graph_add_constant(n->graph, "w", PARE_F32, &shape, data, count * sizeof *data);
    free(data);
    assert_non_null(value);
    return value;
}

pare_value *net_ints(net *n, size_t count, const int64_t *ints) {
    pare_shape shape = {.rank = 1, .dims = {(int64_t)count}};
    return pare_graph_add_constant(n->graph, "i", PARE_S64, &shape, ints, count * sizeof *ints);
}

pare_value *net_apply(net *n, const char *op, const char *attributes, pare_value *const *inputs, size_t count) {
    pare_error error = {0};
    pare_value *y = pare_graph_add_value(n->graph, "y", PARE_F32, NULL);
    graph_add(n->graph, op, attributes, inputs, count, &y, 1);
    /* what nothing reads yet is inferred, too */
    assert_ok(pare_graph_infer(n->graph, &error), &error);
    return y;
}

pare_value *net_conv(net *n, pare_value *x, int64_t outputs, int64_t kernel, int64_t stride, int64_t groups) {
    char attributes[128];
    int64_t inputs = x->shape.dims[1] / groups;
    double bound = 1.7 / (double)(inputs * kernel);
    snprintf(attributes, sizeof attributes, "group:i=%d strides:I=%d,%d pads:I=%d,%d,%d,%d", (int)groups, (int)stride,
             (int)stride, (int)kernel / 2, (int)kernel / 2, (int)kernel / 2, (int)kernel / 2);
    pare_value *w = net_random(n, 4, (int64_t[]){outputs, inputs, kernel, kernel}, -bound, bound);
    return NET(n, "Conv", attributes, x, w, net_random(n, 1, &outputs, -0.5, 0.5));
}

pare_value *net_batchnorm(net *n, pare_value *x) {
    int64_t channels = x->shape.dims[1];
    return NET(n, "BatchNormalization", "", x, net_random(n, 1, &channels, 0.5, 1.5),
               net_random(n, 1, &channels, -0.5, 0.5), net_random(n, 1, &channels, -0.5, 0.5),
               net_random(n, 1, &channels, 0.5, 1.5));
}

pare_value *net_gemm(net *n, pare_value *x, int64_t outputs) {
    int64_t inputs = x->shape.dims[1];
    double bound = 1.7 / (double)inputs;
    pare_value *w = net_random(n, 2, (int64_t[]){outputs, inputs}, -bound, bound);
    return NET(n, "Gemm", "transB:i=1", x, w, net_random(n, 1, &outputs, -0.5, 0.5));
}

pare_graph *net_finish(net *n, pare_value *y) {
    pare_error error = {0};
    assert_true(pare_graph_add_output(n->graph, y));
    assert_ok(pare_graph_infer(n->graph, &error), &error);
    assert_ok(pare_graph_check(n->graph, &error), &error);
    return n->graph;
}

void net_run(const pare_graph *graph, int64_t batch, uint64_t seed, float *output, size_t count) {
    pare_error error = {0};
    pare_input inputs[4];
    pare_random random;
    pare_random_seed(&random, seed);
    assert_true(graph->input_count <= 4 && graph->output_count == 1);
    for (size_t i = 0; i < graph->input_count; i++) {
        pare_shape shape;
        size_t elements = 0;
        assert_true(pare_shape_bind(&graph->inputs[i]->shape, batch, &shape) && pare_shape_elements(&shape, &elements));
        float *data = malloc(elements * sizeof *data);
        assert_non_null(data);
        for (size_t e = 0; e < elements; e++) {
            data[e] = (float)(pare_random_unit(&random) * 2 - 1);
        }
        inputs[i] = (pare_input){data, elements * sizeof *data};
    }
    pare_output_buffer buffer = {output, count * sizeof *output};
    assert_ok(graph_run(graph, batch, inputs, graph->input_count, &buffer, 1, &error), &error);
    for (size_t i = 0; i < graph->input_count; i++) {
        free((void *)(uintptr_t)inputs[i].data);
    }
}
