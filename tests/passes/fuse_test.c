/* Fusion: what moves into the node before, what must stay, and that the
 * numbers are those of the graph without it. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "graph_case.h"
#include "pare/lower.h"
#include "pare/op.h"
#include "pare/passes.h"
#include "pare/random.h"

typedef struct net {
    pare_graph *graph;
    pare_random random;
    pare_shape shape; /* of every activation */
    bool quantized;
    uint64_t next;
} net;

static void start(net *n, bool quantized) {
    pare_error error = {0};
    *n = (net){.shape = {4, {1, 2, 4, 4}}, .quantized = quantized};
    assert_ok(pare_graph_create(0, &n->graph, &error), &error);
    n->graph->opset = 14;
    pare_random_seed(&n->random, 3);
}

/* Each value has a grid of its own, unless `like` lends its. */
static pare_value *on_grid(net *n, pare_value *value, const pare_value *like) {
    float scale = 0.05F + 0.01F * (float)n->next++;
    int32_t zero = 128;
    if (n->quantized) {
        value->quant = like != NULL ? like->quant : pare_graph_add_quant(n->graph, PARE_U8, -1, 1, &scale, &zero);
    }
    return value;
}

static pare_value *input(net *n, const char *name) {
    return on_grid(n, pare_graph_add_input(n->graph, name, PARE_F32, &n->shape), NULL);
}

static pare_value *apply(net *n, const char *op, const char *attributes, pare_value *a, pare_value *b,
                         const pare_value *like) {
    pare_value *y = pare_graph_add_value(n->graph, "v", PARE_F32, NULL), *inputs[2] = {a, b};
    graph_add(n->graph, op, attributes, inputs, b != NULL ? 2 : 1, &y, 1);
    return on_grid(n, y, like);
}

static pare_value *conv(net *n, pare_value *x) {
    pare_shape shape = {4, {2, 2, 3, 3}};
    float reals[36], scale = 0.004F;
    int8_t integers[36];
    int32_t zero = 0;
    for (size_t i = 0; i < 36; i++) {
        integers[i] = (int8_t)((int)pare_random_below(&n->random, 201) - 100);
        reals[i] = (float)integers[i] * scale;
    }
    pare_value *w = n->quantized ? pare_graph_add_constant(n->graph, "w", PARE_F32, &shape, integers, sizeof integers)
                                 : pare_graph_add_constant(n->graph, "w", PARE_F32, &shape, reals, sizeof reals);
    if (n->quantized) {
        w->quant = pare_graph_add_quant(n->graph, PARE_S8, -1, 1, &scale, &zero);
    }
    return apply(n, "Conv", "pads:I=1,1,1,1", x, w, NULL);
}

/* Infers, runs with and without fusion, compares, and counts the fused nodes. */
static size_t finish(net *n, pare_value *y, double tolerance) {
    pare_error error = {0};
    pare_session_options options = {.struct_size = sizeof options, .batch = 1, .threads = 1, .reference = 1};
    pare_lower_options plain = {.keep_values = true};
    float data[2][32], results[2][2][32];
    size_t nodes = 0, outputs = 0;
    assert_true(y == NULL || pare_graph_add_output(n->graph, y));
    assert_ok(pare_graph_infer(n->graph, &error), &error);
    assert_ok(pare_graph_check(n->graph, &error), &error);
    for (size_t i = 0; i < 64; i++) {
        data[i / 32][i % 32] = (float)(pare_random_unit(&n->random) * 6 - 3);
    }
    for (int pass = 0; pass < 2; pass++) {
        pare_model *model = NULL;
        pare_session *session = NULL;
        assert_ok(pare_graph_lower_with(n->graph, pass == 0 ? &plain : NULL, &model, &error), &error);
        assert_ok(pare_session_create(model, &options, &session, &error), &error);
        pare_input in[2] = {{data[0], sizeof data[0]}, {data[1], sizeof data[1]}};
        pare_output_buffer out[2] = {{results[pass][0], sizeof results[0][0]},
                                     {results[pass][1], sizeof results[0][0]}};
        outputs = model->output_count;
        assert_ok(pare_session_run(session, in, model->input_count, out, outputs, &error), &error);
        nodes = 0;
        for (uint32_t i = 0; i < model->node_count; i++) {
            nodes += model->nodes[i].opcode != PARE_OP_QUANTIZE && model->nodes[i].opcode != PARE_OP_DEQUANTIZE;
        }
        pare_session_free(session);
        pare_model_release(model);
    }
    for (size_t i = 0; i < 32 * outputs; i++) {
        assert_true(fabs((double)results[0][i / 32][i % 32] - (double)results[1][i / 32][i % 32]) <= tolerance);
    }
    pare_graph_free(n->graph);
    return nodes;
}

static void activations_move_into_the_convolution(void **state) {
    (void)state;
    static const char *const functions[] = {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "Elu", "Clip"};
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        net n;
        start(&n, false);
        pare_value *y = apply(&n, functions[i], "", conv(&n, input(&n, "x")), NULL, NULL);
        assert_int_equal(finish(&n, y, 1e-5), 1);
    }
}

static void silu_moves_into_the_convolution(void **state) {
    (void)state;
    net n;
    start(&n, false);
    pare_value *x = conv(&n, input(&n, "x"));
    pare_value *gate = apply(&n, "Sigmoid", "", x, NULL, NULL);
    assert_int_equal(finish(&n, apply(&n, "Mul", "", gate, x, NULL), 1e-5), 1);
}

static void a_residual_sum_and_its_activation_move(void **state) {
    (void)state;
    net n;
    start(&n, false);
    pare_value *x = apply(&n, "Relu", "", conv(&n, input(&n, "x")), NULL, NULL);
    pare_value *y = apply(&n, "Add", "", x, conv(&n, x), NULL);
    assert_int_equal(finish(&n, apply(&n, "Relu", "", y, NULL, NULL), 1e-5), 2);
}

static void of_two_branches_the_later_takes_the_sum(void **state) {
    (void)state;
    net n;
    start(&n, false);
    pare_value *x = input(&n, "x");
    pare_value *a = apply(&n, "Relu", "", conv(&n, x), NULL, NULL), *b = conv(&n, x);
    assert_int_equal(finish(&n, apply(&n, "Add", "", a, b, NULL), 1e-5), 2);
}

static void an_inner_activation_stays_before_the_sum(void **state) {
    (void)state;
    net n;
    start(&n, false);
    pare_value *x = input(&n, "x");
    pare_value *a = apply(&n, "Relu", "", conv(&n, x), NULL, NULL);
    assert_int_equal(finish(&n, apply(&n, "Add", "", a, x, NULL), 1e-5), 1);
}

static void other_readers_and_outputs_stay(void **state) {
    (void)state;
    net n;
    start(&n, false);
    pare_value *x = conv(&n, input(&n, "x"));
    assert_true(pare_graph_add_output(n.graph, x));
    assert_int_equal(finish(&n, apply(&n, "Relu", "", x, NULL, NULL), 1e-5), 2);
    start(&n, false);
    x = conv(&n, input(&n, "x"));
    pare_value *a = apply(&n, "Relu", "", x, NULL, NULL), *b = apply(&n, "Tanh", "", x, NULL, NULL);
    assert_int_equal(finish(&n, apply(&n, "Add", "", a, b, NULL), 1e-5), 4);
}

static void a_clamp_on_the_same_grid_is_exact(void **state) {
    (void)state;
    net n;
    start(&n, true);
    pare_value *x = conv(&n, input(&n, "x"));
    assert_int_equal(finish(&n, apply(&n, "Relu", "", x, NULL, x), 0), 1);
}

static void a_clamp_on_another_grid_stays(void **state) {
    (void)state;
    net n;
    start(&n, true);
    pare_value *x = conv(&n, input(&n, "x"));
    assert_int_equal(finish(&n, apply(&n, "Relu", "", x, NULL, NULL), 0), 2);
}

static void a_function_on_integers_stays_a_table(void **state) {
    (void)state;
    net n;
    start(&n, true);
    pare_value *x = conv(&n, input(&n, "x"));
    assert_int_equal(finish(&n, apply(&n, "Sigmoid", "", x, NULL, NULL), 0), 2);
}

static void an_integer_residual_keeps_the_inner_grid(void **state) {
    (void)state;
    net n;
    start(&n, true);
    pare_value *x = input(&n, "x");
    pare_value *inner = conv(&n, x);
    pare_value *sum = apply(&n, "Add", "", apply(&n, "Relu", "", inner, NULL, inner), x, NULL);
    assert_int_equal(finish(&n, apply(&n, "Relu", "", sum, NULL, sum), 0), 1);
}

static void long_chains_fuse_throughout(void **state) {
    (void)state;
    net n;
    start(&n, true);
    pare_value *x = input(&n, "x");
    for (int i = 0; i < 6; i++) {
        pare_value *a = conv(&n, x);
        pare_value *b = conv(&n, apply(&n, "Relu", "", a, NULL, a));
        pare_value *sum = apply(&n, "Add", "", b, x, NULL);
        x = apply(&n, "Relu", "", sum, NULL, sum);
    }
    assert_int_equal(finish(&n, x, 0), 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_move_into_the_convolution),
        cmocka_unit_test(silu_moves_into_the_convolution),
        cmocka_unit_test(a_residual_sum_and_its_activation_move),
        cmocka_unit_test(of_two_branches_the_later_takes_the_sum),
        cmocka_unit_test(an_inner_activation_stays_before_the_sum),
        cmocka_unit_test(other_readers_and_outputs_stay),
        cmocka_unit_test(a_clamp_on_the_same_grid_is_exact),
        cmocka_unit_test(a_clamp_on_another_grid_stays),
        cmocka_unit_test(a_function_on_integers_stays_a_table),
        cmocka_unit_test(an_integer_residual_keeps_the_inner_grid),
        cmocka_unit_test(long_chains_fuse_throughout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
