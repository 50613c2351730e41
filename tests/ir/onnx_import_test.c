/* Rows 20 to 35 of the bad inputs: what import refuses, and what it says. */
#include <string.h>

#include "onnx_samples.h"
#include "pare/onnx_graph.h"
#include "test.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__})
#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

/* x [N, 4] */
static test_onnx *begin(void) {
    test_onnx *m = test_onnx_begin(8, 13);
    test_onnx_input(m, "x", PARE_F32, 2, DIMS(-1, 4));
    return m;
}

static Onnx__NodeProto *relu(test_onnx *m, const char *name, const char *in, const char *out) {
    return test_onnx_node(m, "Relu", name, 1, NAMES(in), 1, NAMES(out));
}

static void output(test_onnx *m, const char *name) {
    test_onnx_output(m, name, PARE_F32, 2, DIMS(-1, 4));
}

static void refuse(test_onnx *m, pare_status expected, const char *text) {
    pare_error error = {0};
    pare_graph *graph = NULL;
    assert_fails(onnx_sample_import(m, &graph, &error), expected, &error, text);
    assert_null(graph);
    assert_int_equal(pare_memory_used(), 0);
}

static pare_graph *accept(test_onnx *m) {
    pare_error error = {0};
    pare_graph *graph = NULL;
    assert_ok(onnx_sample_import(m, &graph, &error), &error);
    return graph;
}

static void row_21_opset_out_of_range(void **state) {
    (void)state;
    test_onnx *m = test_onnx_begin(8, 23);
    relu(m, "r", "x", "y");
    refuse(m, PARE_UNSUPPORTED, "opset 7 to 22, found 23");
    m = test_onnx_begin(8, 6);
    relu(m, "r", "x", "y");
    refuse(m, PARE_UNSUPPORTED, "opset 7 to 22, found 6");
}

static void row_21_unknown_domain(void **state) {
    (void)state;
    test_onnx *m = begin();
    test_onnx_domain(m, relu(m, "r", "x", "y"), "com.example");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "found \"com.example\"");
}

static void row_22_unsupported_operators_are_named_together(void **state) {
    (void)state;
    test_onnx *m = begin();
    test_onnx_node(m, "NonMaxSuppression", "nms", 1, NAMES("x"), 1, NAMES("a"));
    test_onnx_node(m, "Imaginary", "im", 1, NAMES("a"), 1, NAMES("y"));
    output(m, "y");
    refuse(m, PARE_UNSUPPORTED, "node \"nms\" (NonMaxSuppression, opset 13), node \"im\" (Imaginary, opset 13)");
}

static void row_23_arity(void **state) {
    (void)state;
    test_onnx *m = begin();
    test_onnx_node(m, "Relu", "two", 2, NAMES("x", "x"), 1, NAMES("y"));
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "node \"two\" (Relu, opset 13): expected 1 to 1 inputs, found 2");
    m = begin();
    test_onnx_node(m, "Add", "gap", 2, NAMES("", "x"), 1, NAMES("y"));
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "expected input 0, found an empty name");
    m = begin();
    test_onnx_node(m, "Relu", "trailing", 3, NAMES("x", "", ""), 1, NAMES("y"));
    output(m, "y");
    pare_graph *graph = accept(m);
    assert_int_equal(graph->first->input_count, 1);
    pare_graph_free(graph);
    m = begin();
    test_onnx_node(m, "Relu", "none", 0, NULL, 1, NAMES("y"));
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "expected 1 to 1 inputs, found 0");
    m = begin();
    test_onnx_node(m, "Relu", "empty", 1, NAMES(""), 1, NAMES("y"));
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "expected 1 to 1 inputs, found 0");
    m = begin();
    test_onnx_node(m, "Relu", "outputs", 1, NAMES("x"), 2, NAMES("y", "z"));
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "expected 1 to 1 outputs, found 2");
    m = begin();
    test_onnx_node(m, "Relu", "mute", 1, NAMES("x"), 1, NAMES(""));
    output(m, "x");
    refuse(m, PARE_BAD_INPUT, "expected 1 to 1 outputs, found 0");
}

/* Clip without a minimum: an optional input that is missing in the middle. */
static void row_23_missing_optional_in_the_middle(void **state) {
    (void)state;
    test_onnx *m = begin();
    test_onnx_initializer_f32(m, "most", 0, NULL, (const float[]){6.0F});
    test_onnx_node(m, "Clip", "clip", 3, NAMES("x", "", "most"), 1, NAMES("y"));
    output(m, "y");
    pare_graph *graph = accept(m);
    assert_int_equal(graph->first->input_count, 3);
    assert_null(graph->first->inputs[1]);
    assert_non_null(graph->first->inputs[2]);
    pare_graph_free(graph);
}

static void row_24_duplicate_names(void **state) {
    (void)state;
    test_onnx *m = begin();
    relu(m, "a", "x", "y");
    relu(m, "b", "x", "y");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "found output \"y\" twice");
    m = begin();
    test_onnx_initializer_f32(m, "y", 1, DIMS(1), (const float[]){1.0F});
    relu(m, "a", "x", "y");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "initializer \"y\" defined twice");
    m = begin();
    test_onnx_input(m, "x", PARE_F32, 1, DIMS(4));
    relu(m, "a", "x", "y");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "found \"x\" defined twice");
    m = begin();
    test_onnx_initializer_f32(m, "k", 1, DIMS(1), (const float[]){1.0F});
    test_onnx_initializer_f32(m, "k", 1, DIMS(1), (const float[]){2.0F});
    relu(m, "a", "x", "y");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "initializer \"k\" defined twice");
    m = begin();
    relu(m, "a", "x", "x");
    output(m, "x");
    refuse(m, PARE_BAD_INPUT, "\"x\" defined twice");
    m = begin();
    relu(m, "a", "x", "y");
    output(m, "y");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "found \"y\" twice");
}

static void row_25_use_before_definition(void **state) {
    (void)state;
    test_onnx *m = begin();
    relu(m, "early", "a", "y");
    relu(m, "late", "x", "a");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "node \"early\" (Relu, opset 13): expected nodes in topological order");
}

static void row_26_cycle(void **state) {
    (void)state;
    test_onnx *m = begin();
    test_onnx_node(m, "Add", "loop", 2, NAMES("x", "y"), 1, NAMES("y"));
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "(or a cycle)");
}

static void row_27_output_that_nothing_produces(void **state) {
    (void)state;
    test_onnx *m = begin();
    relu(m, "r", "x", "y");
    output(m, "z");
    refuse(m, PARE_BAD_INPUT, "output \"z\": expected a node that produces it");
    m = begin();
    relu(m, "r", "nothing", "y");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "expected input \"nothing\" to be produced");
    m = begin();
    relu(m, "r", "x", "y");
    refuse(m, PARE_BAD_INPUT, "expected a graph with outputs");
}

static void row_28_unused_input_stays(void **state) {
    (void)state;
    test_onnx *m = begin();
    test_onnx_input(m, "unused", PARE_F32, 2, DIMS(-1, 3));
    relu(m, "r", "x", "y");
    output(m, "y");
    pare_graph *graph = accept(m);
    assert_int_equal(graph->input_count, 2);
    pare_graph_free(graph);
}

static void row_29_output_equal_to_input(void **state) {
    (void)state;
    test_onnx *m = begin();
    relu(m, "r", "x", "y");
    output(m, "x");
    refuse(m, PARE_UNSUPPORTED, "found an input of the graph");
}

static void row_30_zero_nodes(void **state) {
    (void)state;
    test_onnx *m = begin();
    output(m, "x");
    refuse(m, PARE_BAD_INPUT, "expected a graph with nodes");
}

static void row_31_attributes(void **state) {
    (void)state;
    test_onnx *m = begin();
    Onnx__NodeProto *node = relu(m, "r", "x", "y");
    test_onnx_attr_int(m, node, "axis", 1);
    test_onnx_attr_int(m, node, "axis", 1);
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "found \"axis\" twice");
    m = begin();
    test_onnx_attr_float(m, relu(m, "r", "x", "y"), "axis", 1.0F);
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "another type of attribute \"axis\"");
    m = begin();
    test_onnx_attr_int(m, relu(m, "r", "x", "y"), "pare_activation", 1);
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "found \"pare_activation\"");
    m = begin();
    node = relu(m, "r", "x", "y");
    test_onnx_attr_int(m, node, "axis", 1);
    node->attribute[0]->ref_attr_name = test_onnx_string(m, "outer");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "ref_attr_name");
    m = begin();
    test_onnx_node(m, "Concat", "join", 2, NAMES("x", "x"), 1, NAMES("y"));
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "node \"join\" (Concat, opset 13): expected attribute axis, found none");
    m = begin();
    node = test_onnx_node(m, "Constant", "c", 0, NULL, 1, NAMES("k"));
    test_onnx_attr_tensor(m, node, "value", PARE_F32, 1, DIMS(1), (const float[]){1.0F});
    node->attribute[0]->t = NULL;
    test_onnx_node(m, "Add", "a", 2, NAMES("x", "k"), 1, NAMES("y"));
    output(m, "y");
    refuse(m, PARE_UNSUPPORTED, "(Constant, opset 13): expected numbers");
    m = begin();
    node = test_onnx_node(m, "Constant", "c", 0, NULL, 1, NAMES("k"));
    test_onnx_attr_string(m, node, "value_string", "text");
    test_onnx_node(m, "Add", "a", 2, NAMES("x", "k"), 1, NAMES("y"));
    output(m, "y");
    refuse(m, PARE_UNSUPPORTED, "value_string");
    m = begin();
    test_onnx_node(m, "Constant", "c", 0, NULL, 1, NAMES("k"));
    relu(m, "r", "x", "y");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "one output, no input and one attribute");
}

static void row_32_training_info(void **state) {
    (void)state;
    test_onnx *m = begin();
    relu(m, "r", "x", "y");
    output(m, "y");
    Onnx__ModelProto *proto = test_onnx_proto(m);
    Onnx__TrainingInfoProto *info = test_onnx_bytes(m, sizeof *info);
    onnx__training_info_proto__init(info);
    proto->training_info = test_onnx_bytes(m, sizeof(*proto->training_info));
    proto->training_info[0] = info;
    proto->n_training_info = 1;
    refuse(m, PARE_UNSUPPORTED, "training_info");
}

static void row_32_functions(void **state) {
    (void)state;
    test_onnx *m = begin();
    relu(m, "r", "x", "y");
    output(m, "y");
    Onnx__ModelProto *proto = test_onnx_proto(m);
    Onnx__FunctionProto *function = test_onnx_bytes(m, sizeof *function);
    onnx__function_proto__init(function);
    function->name = test_onnx_string(m, "f");
    proto->functions = test_onnx_bytes(m, sizeof(*proto->functions));
    proto->functions[0] = function;
    proto->n_functions = 1;
    refuse(m, PARE_UNSUPPORTED, "model-local functions");
}

static void row_33_dimensions(void **state) {
    (void)state;
    static const int64_t bad[][3] = {{1, 0, 4}, {1, (int64_t)1 << 31, 4}, {1 << 20, 1 << 20, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        test_onnx *m = test_onnx_begin(8, 13);
        test_onnx_input(m, "x", PARE_F32, 3, bad[i]);
        relu(m, "r", "x", "y");
        output(m, "y");
        refuse(m, PARE_BAD_INPUT, "input \"x\": expected");
    }
    test_onnx *m = test_onnx_begin(8, 13);
    test_onnx_input(m, "x", PARE_F32, 9, DIMS(1, 1, 1, 1, 1, 1, 1, 1, 1));
    relu(m, "r", "x", "y");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "rank 0 to 8, found 9");
    m = begin();
    Onnx__TensorShapeProto__Dimension *dim = test_onnx_proto(m)->graph->input[0]->type->tensor_type->shape->dim[1];
    dim->dim_value = -4;
    relu(m, "r", "x", "y");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "input \"x\": expected dimension 1 between 1 and 2147483647, found -4");
    m = begin();
    test_onnx_initializer(m, "k", PARE_F32, 1, DIMS(1), (const float[]){1.0F})->dims[0] = -1;
    relu(m, "r", "x", "y");
    output(m, "y");
    refuse(m, PARE_BAD_INPUT, "\"k\"");
}

/* x [N, 3, D2, D3] */
static test_onnx *symbolic_image(void) {
    test_onnx *m = test_onnx_begin(8, 13);
    test_onnx_input(m, "x", PARE_F32, 4, DIMS(-1, 3, -2, -3));
    relu(m, "r", "x", "y");
    test_onnx_output(m, "y", PARE_F32, 4, DIMS(-1, 3, -2, -3));
    return m;
}

static pare_status bind(test_onnx *m, const pare_shape_binding *bindings, size_t count, pare_graph **graph,
                        pare_error *error) {
    pare_onnx_file file = {0};
    pare_import_options options = {.bindings = bindings, .binding_count = count};
    *graph = NULL;
    assert_ok(test_onnx_open(m, &file, error), error);
    pare_status status = pare_graph_from_onnx(&file, &options, graph, error);
    pare_onnx_close(&file);
    test_onnx_free(m);
    return status;
}

/* x [1, 4] and z, whose first dimension is symbolic: y = x + z */
static test_onnx *batch_in_second(const char *param) {
    test_onnx *m = test_onnx_begin(8, 13);
    test_onnx_input(m, "x", PARE_F32, 2, DIMS(1, 4));
    test_onnx_input(m, "z", PARE_F32, 2, DIMS(-1, 4));
    test_onnx_proto(m)->graph->input[1]->type->tensor_type->shape->dim[0]->dim_param = test_onnx_string(m, param);
    test_onnx_node(m, "Add", "", 2, NAMES("x", "z"), 1, NAMES("y"));
    output(m, "y");
    return m;
}

static void row_34_batch_heads_the_first_symbolic_input(void **state) {
    (void)state;
    static const char *const params[] = {"N", "rows", ""};
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
        pare_graph *graph = accept(batch_in_second(params[i]));
        assert_int_equal(graph->inputs[1]->shape.dims[0], -1);
        assert_int_equal(graph->outputs[0]->shape.dims[0], -1);
        pare_graph_free(graph);
    }
}

/* The graph spells multiples of the batch as int64 numbers that no file needs. */
static void row_44_numbers_that_mean_the_batch(void **state) {
    (void)state;
    const int64_t mark = INT64_MIN / 2 + 3;
    test_onnx *m = begin();
    test_onnx_initializer_i64(m, "k", 1, DIMS(1), &mark);
    test_onnx_node(m, "Gather", "", 2, NAMES("x", "k"), 1, NAMES("y"));
    output(m, "y");
    refuse(m, PARE_UNSUPPORTED, "tensor \"k\": expected int64 elements outside");
    m = begin();
    test_onnx_attr_ints(m, test_onnx_node(m, "Constant", "", 0, NULL, 1, NAMES("k")), "value_ints", 1, &mark);
    test_onnx_node(m, "Gather", "", 2, NAMES("x", "k"), 1, NAMES("y"));
    output(m, "y");
    refuse(m, PARE_UNSUPPORTED, "tensor \"k\": expected int64 elements outside");
}

static void row_49_negative_extents(void **state) {
    (void)state;
    static const char *const ops[] = {"Expand", "ConstantOfShape"};
    for (size_t i = 0; i < 2; i++) {
        test_onnx *m = test_onnx_begin(8, 13);
        test_onnx_input(m, "x", PARE_F32, 2, DIMS(1, 4));
        test_onnx_initializer_i64(m, "s", 1, DIMS(2), DIMS(-1, 4));
        test_onnx_node(m, ops[i], "", i == 0 ? 2 : 1, i == 0 ? NAMES("x", "s") : NAMES("s"), 1, NAMES("c"));
        test_onnx_node(m, "Add", "", 2, NAMES("x", "c"), 1, NAMES("y"));
        output(m, "y");
        refuse(m, PARE_BAD_INPUT, "expected extents of at least 0, found -1");
    }
}

static void row_34_symbolic_dimensions(void **state) {
    (void)state;
    refuse(symbolic_image(), PARE_UNSUPPORTED, "the symbol \"D2\"; bind it with --shape x=");
    pare_error error = {0};
    pare_graph *graph = NULL;
    pare_shape_binding binding = {"x", {.rank = 4, .dims = {-1, 3, 8, 6}}};
    assert_ok(bind(symbolic_image(), &binding, 1, &graph, &error), &error);
    assert_int_equal(graph->outputs[0]->shape.dims[0], -1);
    assert_int_equal(graph->outputs[0]->shape.dims[2], 8);
    pare_graph_free(graph);
    binding.shape.dims[1] = 4;
    assert_fails(bind(symbolic_image(), &binding, 1, &graph, &error), PARE_USAGE, &error, "keep dimension 1 = 3");
    binding.shape.rank = 3;
    assert_fails(bind(symbolic_image(), &binding, 1, &graph, &error), PARE_USAGE, &error, "4 dimensions, found 3");
    binding.name = "z";
    assert_int_not_equal(bind(symbolic_image(), &binding, 1, &graph, &error), PARE_OK);
}

static void row_35_one_symbol_bound_to_two_values(void **state) {
    (void)state;
    pare_error error = {0};
    pare_graph *graph = NULL;
    test_onnx *m = test_onnx_begin(8, 13);
    test_onnx_input(m, "x", PARE_F32, 2, DIMS(-1, -2));
    test_onnx_input(m, "z", PARE_F32, 2, DIMS(-1, -2));
    test_onnx_node(m, "Add", "add", 2, NAMES("x", "z"), 1, NAMES("y"));
    test_onnx_output(m, "y", PARE_F32, 2, DIMS(-1, -2));
    pare_shape_binding bindings[2] = {{"x", {.rank = 2, .dims = {-1, 4}}}, {"z", {.rank = 2, .dims = {-1, 5}}}};
    assert_fails(bind(m, bindings, 2, &graph, &error), PARE_USAGE, &error, "one value for the dimension \"D2\"");
    m = test_onnx_begin(8, 13); /* within one input, too */
    test_onnx_input(m, "x", PARE_F32, 2, DIMS(-2, -2));
    relu(m, "r", "x", "y");
    test_onnx_output(m, "y", PARE_F32, 2, DIMS(-2, -2));
    assert_fails(bind(m, bindings, 1, &graph, &error), PARE_USAGE, &error, "one value for the dimension");
    m = test_onnx_begin(8, 13); /* and where a declared output says otherwise than what is computed */
    test_onnx_input(m, "x", PARE_F32, 2, DIMS(-1, 4));
    relu(m, "r", "x", "y");
    test_onnx_output(m, "y", PARE_F32, 2, DIMS(-1, 5));
    graph = accept(m); /* declarations of outputs are not trusted, hence not read */
    assert_int_equal(graph->outputs[0]->shape.dims[1], 4);
    pare_graph_free(graph);
}

static void batch_may_head_any_input(void **state) {
    (void)state;
    test_onnx *m = begin();
    test_onnx_input(m, "h", PARE_F32, 3, DIMS(1, -1, 4));
    test_onnx_node(m, "Add", "add", 2, NAMES("x", "h"), 1, NAMES("y"));
    test_onnx_output(m, "y", PARE_F32, 3, DIMS(1, -1, 4));
    pare_graph *graph = accept(m);
    assert_int_equal(graph->inputs[1]->shape.dims[1], -1);
    assert_int_equal(graph->outputs[0]->shape.dims[1], -1);
    pare_graph_free(graph);
}

static void initializers_listed_as_inputs_are_constants(void **state) {
    (void)state;
    test_onnx *m = begin();
    test_onnx_input(m, "k", PARE_F32, 1, DIMS(4));
    test_onnx_initializer_f32(m, "k", 1, DIMS(4), (const float[]){1.0F, 2.0F, 3.0F, 4.0F});
    test_onnx_node(m, "Add", "add", 2, NAMES("x", "k"), 1, NAMES("y"));
    output(m, "y");
    pare_graph *graph = accept(m);
    assert_int_equal(graph->input_count, 1);
    assert_non_null(pare_graph_find_value(graph, "k")->data);
    pare_graph_free(graph);
}

static void half_and_double_weights_become_float(void **state) {
    (void)state;
    test_onnx *m = begin();
    test_onnx_initializer(m, "h", PARE_F16, 1, DIMS(1), (const uint16_t[]){0x3E00});
    test_onnx_initializer(m, "d", PARE_F64, 1, DIMS(1), (const double[]){0.25});
    test_onnx_node(m, "Add", "a1", 2, NAMES("x", "h"), 1, NAMES("a"));
    test_onnx_node(m, "Mul", "a2", 2, NAMES("a", "d"), 1, NAMES("y"));
    output(m, "y");
    pare_graph *graph = accept(m);
    const pare_value *half = pare_graph_find_value(graph, "h"), *wide = pare_graph_find_value(graph, "d");
    assert_int_equal(half->dtype, PARE_F32);
    assert_float_equal(*(const float *)half->data, 1.5F, 0.0F);
    assert_float_equal(*(const float *)wide->data, 0.25F, 0.0F);
    pare_graph_free(graph);
}

static void fault_at_every_allocation(void **state) {
    (void)state;
    for (const onnx_sample *sample = onnx_samples; sample->name != NULL; sample++) {
        pare_error error = {0};
        pare_onnx_file file = {0};
        test_onnx *m = sample->build();
        assert_ok(test_onnx_open(m, &file, &error), &error);
        pare_status status = PARE_LIMIT;
        for (size_t n = 1; status != PARE_OK && n < 2000; n++) {
            pare_graph *graph = NULL;
            pare_memory_fail_at(n, false);
            status = pare_graph_from_onnx(&file, NULL, &graph, &error);
            pare_memory_fail_at(0, false);
            assert_true(status == PARE_OK || status == PARE_LIMIT);
            pare_graph_free(graph);
        }
        assert_int_equal(status, PARE_OK);
        pare_onnx_close(&file);
        test_onnx_free(m);
        assert_int_equal(pare_memory_used(), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_21_opset_out_of_range),
        cmocka_unit_test(row_21_unknown_domain),
        cmocka_unit_test(row_22_unsupported_operators_are_named_together),
        cmocka_unit_test(row_23_arity),
        cmocka_unit_test(row_23_missing_optional_in_the_middle),
        cmocka_unit_test(row_24_duplicate_names),
        cmocka_unit_test(row_25_use_before_definition),
        cmocka_unit_test(row_26_cycle),
        cmocka_unit_test(row_27_output_that_nothing_produces),
        cmocka_unit_test(row_28_unused_input_stays),
        cmocka_unit_test(row_29_output_equal_to_input),
        cmocka_unit_test(row_30_zero_nodes),
        cmocka_unit_test(row_31_attributes),
        cmocka_unit_test(row_32_training_info),
        cmocka_unit_test(row_32_functions),
        cmocka_unit_test(row_33_dimensions),
        cmocka_unit_test(row_34_batch_heads_the_first_symbolic_input),
        cmocka_unit_test(row_34_symbolic_dimensions),
        cmocka_unit_test(row_44_numbers_that_mean_the_batch),
        cmocka_unit_test(row_49_negative_extents),
        cmocka_unit_test(row_35_one_symbol_bound_to_two_values),
        cmocka_unit_test(batch_may_head_any_input),
        cmocka_unit_test(initializers_listed_as_inputs_are_constants),
        cmocka_unit_test(half_and_double_weights_become_float),
        cmocka_unit_test(fault_at_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
