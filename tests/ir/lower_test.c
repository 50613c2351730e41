/* Lowering: integers or reals, ports and names, the tables between grids. The
 * oracle of an integer node is the float one between grids: inputs on their
 * grid, the result rounded to its own, at most one step apart (a tie). */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph_case.h"
#include "pare/lower.h"
#include "pare/op.h"
#include "pare/random.h"

#define MOST 4096

typedef struct grid {
    float scale; /* 0: stays real */
    int32_t zero;
} grid;

typedef struct operand {
    const char *shape; /* as in text values; NULL: absent */
    grid at;           /* of an activation */
    int weight_axis;   /* -2: an activation; -1: s8 with one scale; else s8 by this axis; -3: a float constant */
} operand;

typedef struct integer_case {
    const char *op, *attributes;
    operand inputs[4];
    grid output;
    pare_opcode opcode; /* that must run on u8 */
} integer_case;

#define X(text, scale, zero)                                                                                           \
    { text, {scale, zero}, -2 }
#define W(text, axis)                                                                                                  \
    { text, {0, 0}, axis }
#define BIAS(text)                                                                                                     \
    { text, {0, 0}, -3 }

static const integer_case cases[] = {
    {"Conv", "pads:I=1,1,1,1", {X("1x3x5x5", 0.05F, 120), W("4x3x3x3", 0), BIAS("4")}, {0.11F, 128}, PARE_OP_CONV},
    {"Conv", "group:i=3 strides:I=2,2", {X("1x3x5x5", 0.05F, 0), W("3x1x3x3", -1)}, {0.07F, 100}, PARE_OP_CONV},
    {"Conv", "pads:I=1,1", {X("2x3x7", 0.05F, 120), W("4x3x3", 0), BIAS("4")}, {0.11F, 128}, PARE_OP_CONV},
    {"Gemm", "transB:i=1", {X("3x8", 0.05F, 128), W("5x8", 0), BIAS("5")}, {0.13F, 90}, PARE_OP_FULLY_CONNECTED},
    {"Gemm", "", {X("3x8", 0.05F, 128), W("8x5", 1), BIAS("5")}, {0.13F, 90}, PARE_OP_FULLY_CONNECTED},
    {"MatMul", "", {X("2x3x8", 0.05F, 128), W("8x5", 1)}, {0.13F, 90}, PARE_OP_FULLY_CONNECTED},
    {"Add", "", {X("1x3x4x4", 0.05F, 128), X("1x3x4x4", 0.03F, 90)}, {0.08F, 110}, PARE_OP_BINARY},
    {"Sub", "", {X("1x3x4x4", 0.05F, 128), X("3x1x1", 0.03F, 90)}, {0.083F, 110}, PARE_OP_BINARY},
    {"Mul", "", {X("1x3x4x4", 0.05F, 128), X("1x3x4x4", 0.03F, 90)}, {0.2F, 110}, PARE_OP_BINARY},
    {"AveragePool", "kernel_shape:I=2,2 strides:I=2,2", {X("1x3x4x4", 0.05F, 128)}, {0.04F, 120}, PARE_OP_POOL},
    {"AveragePool", "kernel_shape:I=3", {X("1x3x8", 0.05F, 128)}, {0.04F, 120}, PARE_OP_POOL},
    {"GlobalAveragePool", "", {X("2x3x4x4", 0.05F, 128)}, {0.01F, 128}, PARE_OP_POOL},
    {"MaxPool", "kernel_shape:I=2,2", {X("1x3x4x4", 0.05F, 128)}, {0.05F, 128}, PARE_OP_POOL},
    {"MaxPool", "kernel_shape:I=2,2", {X("1x3x4x4", 0.05F, 128)}, {0.03F, 60}, PARE_OP_POOL},
    {"Concat", "axis:i=1", {X("1x2x3x3", 0.05F, 128), X("1x1x3x3", 0.02F, 20)}, {0.05F, 128}, PARE_OP_CONCAT},
    {"Sigmoid", "", {X("2x7", 0.05F, 128)}, {1.0F / 255, 0}, PARE_OP_UNARY},
    {"HardSwish", "", {X("2x7", 0.05F, 128)}, {0.03F, 10}, PARE_OP_UNARY},
    {"Relu", "", {X("2x7", 0.05F, 128)}, {0.03F, 0}, PARE_OP_UNARY},
    {"Reshape", "shape:I=3,-1", {X("2x6", 0.05F, 128)}, {0.05F, 128}, PARE_OP_RESHAPE},
    {"Transpose", "perm:I=1,0", {X("2x6", 0.05F, 128)}, {0.04F, 100}, PARE_OP_TRANSPOSE},
    {"Pad", "pads:I=0,0,0,0,1,1,1,2", {X("1x2x3x3", 0.05F, 128)}, {0.05F, 128}, PARE_OP_PAD},
    {"DepthToSpace", "blocksize:i=2", {X("1x4x2x2", 0.05F, 128)}, {0.05F, 128}, PARE_OP_TRANSPOSE},
};

static double uniform(pare_random *random, double low, double high) {
    return low + (high - low) * pare_random_unit(random);
}

static pare_shape shape_of(const char *text) {
    char value[128];
    pare_shape shape = {0};
    for (const char *at = text; *at != '\0'; at = *at == 'x' ? at + 1 : at) {
        int used = 0, extent = 0;
        snprintf(value, sizeof value, "%s", at);
        if (sscanf(value, "%d%n", &extent, &used) != 1) {
            fail_msg("malformed shape %s", text);
        }
        shape.dims[shape.rank++] = extent;
        at += used;
    }
    return shape;
}

static pare_quant *one_grid(pare_graph *graph, grid at) {
    pare_quant *quant = pare_graph_add_quant(graph, PARE_U8, -1, 1, &at.scale, &at.zero);
    assert_non_null(quant);
    return quant;
}

/* An s8 constant with its grid, or the floats that it stands for. */
static pare_value *add_weight(pare_graph *graph, const char *name, const operand *from, bool quantized,
                              pare_random *random) {
    pare_shape shape = shape_of(from->shape);
    size_t count = 0, inner = 1;
    assert_true(pare_shape_elements(&shape, &count) && count <= MOST);
    int8_t integers[MOST];
    float reals[MOST], scales[64] = {0};
    int32_t zeros[64] = {0};
    size_t channels = from->weight_axis >= 0 ? (size_t)shape.dims[from->weight_axis] : 1;
    for (int32_t a = from->weight_axis + 1; from->weight_axis >= 0 && a < shape.rank; a++) {
        inner *= (size_t)shape.dims[a];
    }
    for (size_t c = 0; c < channels; c++) {
        scales[c] = (float)uniform(random, 0.002, 0.01);
    }
    for (size_t i = 0; i < count; i++) {
        size_t channel = from->weight_axis >= 0 ? i / inner % channels : 0;
        integers[i] = (int8_t)((int)pare_random_below(random, 255) - 127);
        reals[i] = (float)integers[i] * scales[channel];
    }
    if (!quantized) {
        return pare_graph_add_constant(graph, name, PARE_F32, &shape, reals, count * sizeof *reals);
    }
    pare_value *value = pare_graph_add_constant(graph, name, PARE_F32, &shape, integers, count);
    assert_non_null(value);
    value->quant = pare_graph_add_quant(graph, PARE_S8, from->weight_axis, channels, scales, zeros);
    return value;
}

static pare_value *add_bias(pare_graph *graph, const char *name, const operand *from, pare_random *random) {
    pare_shape shape = shape_of(from->shape);
    float reals[64];
    for (int64_t i = 0; i < shape.dims[0]; i++) {
        reals[i] = (float)uniform(random, -1, 1);
    }
    return pare_graph_add_constant(graph, name, PARE_F32, &shape, reals, (size_t)shape.dims[0] * sizeof *reals);
}

static pare_graph *build(const integer_case *test, bool quantized) {
    pare_graph *graph = NULL;
    pare_error error = {0};
    pare_random random;
    pare_value *inputs[4] = {NULL};
    size_t count = 0;
    pare_random_seed(&random, 42);
    assert_ok(pare_graph_create(0, &graph, &error), &error);
    for (; count < 4 && test->inputs[count].shape != NULL; count++) {
        const operand *from = &test->inputs[count];
        char name[16];
        snprintf(name, sizeof name, "x%zu", count);
        if (from->weight_axis == -2) {
            pare_shape shape = shape_of(from->shape);
            inputs[count] = pare_graph_add_input(graph, name, PARE_F32, &shape);
            inputs[count]->quant = quantized ? one_grid(graph, from->at) : NULL;
        } else if (from->weight_axis == -3) {
            inputs[count] = add_bias(graph, name, from, &random);
        } else {
            inputs[count] = add_weight(graph, name, from, quantized, &random);
        }
        assert_non_null(inputs[count]);
    }
    pare_value *y = pare_graph_add_value(graph, "y", PARE_F32, NULL);
    graph->opset = 14;
    char attributes[256];
    snprintf(attributes, sizeof attributes, "%s", test->attributes);
    graph_add(graph, test->op, attributes, inputs, count, &y, 1);
    assert_true(pare_graph_add_output(graph, y));
    assert_ok(pare_graph_infer(graph, &error), &error);
    y->quant = quantized ? one_grid(graph, test->output) : NULL;
    return graph;
}

static float on_grid(grid at, double real) {
    double q = fmin(fmax(rint(real / (double)at.scale) + at.zero, 0), 255);
    return (float)(q - at.zero) * at.scale;
}

static bool runs_on_bytes(const pare_model *model, pare_opcode opcode) {
    for (uint32_t i = 0; i < model->node_count; i++) {
        const pare_model_node *node = &model->nodes[i];
        if (node->opcode == (uint32_t)opcode && model->tensors[node->inputs[0]].dtype == PARE_U8 &&
            model->tensors[node->outputs[0]].dtype == PARE_U8) {
            return true;
        }
    }
    return false;
}

static void integer_node_agrees_with_reals(void **state) {
    const integer_case *test = *state;
    static float data[4][MOST], want[MOST], have[MOST];
    pare_error error = {0};
    pare_random random;
    pare_input in[4];
    size_t given = 0, count = 0, off = 0;
    pare_model *model = NULL;
    pare_graph *real = build(test, false), *quantized = build(test, true);
    pare_random_seed(&random, 7);
    for (size_t i = 0; i < real->input_count; i++) {
        count = pare_value_elements(real->inputs[i]);
        for (size_t k = 0; k < count; k++) {
            data[i][k] = on_grid(test->inputs[i].at, uniform(&random, -5, 5));
        }
        in[given++] = (pare_input){data[i], count * sizeof(float)};
    }
    count = pare_value_elements(real->outputs[0]);
    pare_output_buffer out = {want, count * sizeof(float)};
    assert_ok(graph_run(real, 1, in, given, &out, 1, &error), &error);
    out.data = have;
    assert_ok(graph_run(quantized, 1, in, given, &out, 1, &error), &error);
    for (size_t k = 0; k < count; k++) {
        float expected = on_grid(test->output, (double)want[k]);
        assert_true(fabsf(expected - have[k]) < 1.01F * test->output.scale);
        off += fabsf(expected - have[k]) > 0.01F * test->output.scale;
    }
    assert_true(off <= 1 + count / 50);
    assert_ok(pare_graph_lower(quantized, &model, &error), &error);
    assert_true(runs_on_bytes(model, test->opcode));
    pare_model_release(model);
    pare_graph_free(real);
    pare_graph_free(quantized);
}

/* --- ports, names ------------------------------------------------------------- */

static const pare_model_tensor *tensor_named(const pare_model *model, const char *name) {
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        if (strcmp(model->tensors[i].name, name) == 0) {
            return &model->tensors[i];
        }
    }
    return NULL;
}

static void quantized_ports_are_floats_outside(void **state) {
    (void)state;
    pare_error error = {0};
    pare_model *model = NULL;
    pare_graph *graph = build(&cases[0], true);
    assert_true(pare_graph_set_metadata(graph, "task", "test"));
    assert_ok(pare_graph_lower(graph, &model, &error), &error);
    assert_string_equal(model->tensors[model->inputs[0]].name, "x0");
    assert_int_equal(model->tensors[model->inputs[0]].dtype, PARE_F32);
    assert_string_equal(model->tensors[model->outputs[0]].name, "y");
    assert_int_equal(model->tensors[model->outputs[0]].dtype, PARE_F32);
    assert_int_equal(tensor_named(model, "x0:q")->dtype, PARE_U8);
    assert_int_equal(tensor_named(model, "y:q")->dtype, PARE_U8);
    assert_int_equal(tensor_named(model, "x1")->dtype, PARE_S8);
    assert_string_equal(pare_model_metadata_find(model, "task"), "test");
    assert_int_equal(model->node_count, 3);
    pare_model_release(model);
    pare_graph_free(graph);
}

static void weights_alone_stay_integers_in_the_file(void **state) {
    (void)state;
    pare_error error = {0};
    pare_model *model = NULL;
    pare_graph *graph = build(&cases[0], true), *real = build(&cases[0], false);
    static float data[75], want[100], have[100];
    graph->inputs[0]->quant = NULL;
    graph->outputs[0]->quant = NULL;
    for (size_t i = 0; i < 75; i++) {
        data[i] = (float)(i % 11) - 5;
    }
    pare_input in = {data, sizeof data};
    pare_output_buffer out = {want, sizeof want};
    assert_ok(graph_run(real, 1, &in, 1, &out, 1, &error), &error);
    out.data = have;
    assert_ok(graph_run(graph, 1, &in, 1, &out, 1, &error), &error);
    for (size_t i = 0; i < 100; i++) {
        assert_true(fabsf(want[i] - have[i]) < 1e-4F);
    }
    assert_ok(pare_graph_lower(graph, &model, &error), &error);
    assert_int_equal(tensor_named(model, "x1")->dtype, PARE_S8);
    assert_false(runs_on_bytes(model, PARE_OP_CONV));
    pare_model_release(model);
    pare_graph_free(graph);
    pare_graph_free(real);
}

static void a_weight_zero_point_means_reals(void **state) {
    (void)state;
    pare_error error = {0};
    pare_model *model = NULL;
    pare_graph *graph = build(&cases[0], true);
    pare_graph_find_value(graph, "x1")->quant->zero_points[1] = 3;
    assert_false(pare_node_is_integer(graph->first));
    assert_ok(pare_graph_lower(graph, &model, &error), &error);
    assert_false(runs_on_bytes(model, PARE_OP_CONV));
    pare_model_release(model);
    pare_graph_free(graph);
}

static void an_input_may_be_an_output(void **state) {
    (void)state;
    pare_error error = {0};
    pare_graph *graph = NULL;
    pare_shape shape = {.rank = 1, .dims = {3}};
    float data[3] = {1, 2, 3}, first[3] = {0}, second[3] = {0}, fixed[3] = {0};
    assert_ok(pare_graph_create(0, &graph, &error), &error);
    pare_value *x = pare_graph_add_input(graph, "x", PARE_F32, &shape);
    pare_value *c = pare_graph_add_constant(graph, "c", PARE_F32, &shape, data, sizeof data);
    pare_value *y = pare_graph_add_value(graph, "y", PARE_F32, NULL);
    graph_add(graph, "Relu", "", &x, 1, &y, 1);
    assert_ok(pare_graph_infer(graph, &error), &error);
    assert_true(pare_graph_add_output(graph, x) && pare_graph_add_output(graph, y) && pare_graph_add_output(graph, c));
    pare_input in = {data, sizeof data};
    pare_output_buffer out[3] = {{first, sizeof first}, {second, sizeof second}, {fixed, sizeof fixed}};
    assert_ok(graph_run(graph, 1, &in, 1, out, 3, &error), &error);
    assert_memory_equal(first, data, sizeof data);
    assert_memory_equal(second, data, sizeof data);
    assert_memory_equal(fixed, data, sizeof data);
    pare_graph_free(graph);
}

static void lowering_survives_each_failed_allocation(void **state) {
    (void)state;
    pare_graph *graph = build(&cases[0], true);
    pare_status status = PARE_LIMIT;
    size_t n = 0;
    for (n = 1; n < 400 && status != PARE_OK; n++) {
        pare_error error = {0};
        pare_model *model = NULL;
        pare_memory_fail_at(n, false);
        status = pare_graph_lower(graph, &model, &error);
        pare_memory_fail_at(0, false);
        assert_true(status == PARE_OK || status == PARE_LIMIT);
        assert_true((model != NULL) == (status == PARE_OK));
        pare_model_release(model);
    }
    assert_int_equal(status, PARE_OK);
    assert_true(n > 10);
    pare_graph_free(graph);
}

int main(void) {
    enum { CASES = sizeof cases / sizeof cases[0] };
    static char names[CASES][96];
    static struct CMUnitTest tests[CASES + 5] = {
        cmocka_unit_test(quantized_ports_are_floats_outside),
        cmocka_unit_test(weights_alone_stay_integers_in_the_file),
        cmocka_unit_test(a_weight_zero_point_means_reals),
        cmocka_unit_test(an_input_may_be_an_output),
        cmocka_unit_test(lowering_survives_each_failed_allocation),
    };
    for (size_t i = 0; i < CASES; i++) {
        snprintf(names[i], sizeof names[i], "integer %zu %s", i, cases[i].op);
        tests[i + 5] =
            (struct CMUnitTest){names[i], integer_node_agrees_with_reals, NULL, NULL, (void *)(uintptr_t)&cases[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
