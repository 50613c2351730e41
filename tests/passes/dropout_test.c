/* Dropout: an identity that goes, unless the graph is to be trained. */
#include "test.h"

#include <string.h>

#include "graph_case.h"
#include "onnx_builder.h"
#include "pare/lower.h"
#include "pare/onnx_graph.h"
#include "pare/op.h"
#include "pare/passes.h"

#define ELEMENTS 8
#define KEEP (&(pare_import_options){.for_training = true})

/* x -> Conv -> Dropout of 0.25 -> Relu -> Dropout of 0 -> Dropout by default -> Identity -> y, as exporters of that
 * opset write it. */
static pare_graph *import(int64_t opset, const pare_import_options *options) {
    static const float weights[4] = {1, -2, 3, 0.5F}, quarter = 0.25F, nothing = 0;
    static const uint8_t no = 0;
    bool by_input = opset >= 12;
    pare_error error = {0};
    pare_onnx_file file = {0};
    pare_graph *graph = NULL;
    test_onnx *m = test_onnx_begin(8, opset);
    test_onnx_input(m, "x", PARE_F32, 4, (int64_t[]){-1, 2, 2, 2});
    test_onnx_initializer_f32(m, "w", 4, (int64_t[]){2, 2, 1, 1}, weights);
    if (by_input) {
        test_onnx_initializer_f32(m, "quarter", 0, NULL, &quarter);
        test_onnx_initializer_f32(m, "nothing", 0, NULL, &nothing);
        test_onnx_initializer(m, "no", PARE_BOOL, 0, NULL, &no);
    }
    test_onnx_node(m, "Conv", "conv", 2, (const char *[]){"x", "w"}, 1, (const char *[]){"a"});
    Onnx__NodeProto *first = test_onnx_node(m, "Dropout", "first", by_input ? 3 : 1,
                                            (const char *[]){"a", "quarter", "no"}, 1, (const char *[]){"b"});
    test_onnx_node(m, "Relu", "relu", 1, (const char *[]){"b"}, 1, (const char *[]){"c"});
    Onnx__NodeProto *idle = test_onnx_node(m, "Dropout", "idle", by_input ? 2 : 1, (const char *[]){"c", "nothing"}, 1,
                                           (const char *[]){"d"});
    test_onnx_node(m, "Dropout", "usual", 1, (const char *[]){"d"}, 1, (const char *[]){"e"});
    test_onnx_node(m, "Identity", "same", 1, (const char *[]){"e"}, 1, (const char *[]){"y"});
    if (!by_input) {
        test_onnx_attr_float(m, first, "ratio", quarter);
        test_onnx_attr_float(m, idle, "ratio", nothing);
    }
    test_onnx_output(m, "y", PARE_F32, 4, (int64_t[]){-1, 2, 2, 2});
    assert_ok(test_onnx_open(m, &file, &error), &error);
    assert_ok(pare_graph_from_onnx(&file, options, &graph, &error), &error);
    pare_onnx_close(&file);
    test_onnx_free(m);
    return graph;
}

static pare_graph *saved_and_loaded(pare_graph *graph, const pare_import_options *options) {
    pare_error error = {0};
    pare_graph *again = NULL;
    assert_ok(pare_graph_save(graph, test_path("again.onnx"), &error), &error);
    assert_ok(pare_graph_load(test_path("again.onnx"), options, &again, &error), &error);
    pare_graph_free(graph);
    return again;
}

static size_t count(const pare_graph *graph, const char *op) {
    size_t found = 0;
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        found += strcmp(node->op->name, op) == 0;
    }
    return found;
}

static const pare_node *named(const pare_graph *graph, const char *name) {
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        if (strcmp(node->name, name) == 0) {
            return node;
        }
    }
    fail_msg("no node %s", name);
    return NULL;
}

/* The two that drop something are there, spelled as from opset 12 on, and only they. */
static void check_kept(const pare_graph *graph) {
    pare_error error = {0};
    assert_ok(pare_graph_check(graph, &error), &error);
    assert_int_equal(count(graph, "Dropout"), 2);
    assert_int_equal(count(graph, "Identity"), 0);
    const pare_node *first = named(graph, "first"), *usual = named(graph, "usual");
    assert_int_equal(first->input_count, 2);
    assert_null(pare_node_attr(first, "ratio"));
    assert_int_equal(first->inputs[1]->dtype, PARE_F32);
    assert_true(*(const float *)first->inputs[1]->data == 0.25F);
    assert_int_equal(usual->input_count, 1);
}

static void run(const pare_graph *graph, bool keep_values, float *y, size_t *nodes) {
    static const float x[ELEMENTS] = {1, 2, -3, 4, 0.5F, -6, 7, 8};
    pare_error error = {0};
    pare_session_options options = {.struct_size = sizeof options, .batch = 1, .threads = 1, .reference = 1};
    pare_model *model = NULL;
    pare_session *session = NULL;
    pare_input in = {x, sizeof x};
    pare_output_buffer out = {y, sizeof x};
    assert_ok(pare_graph_lower_with(graph, &(pare_lower_options){.keep_values = keep_values}, &model, &error), &error);
    assert_ok(pare_session_create(model, &options, &session, &error), &error);
    assert_ok(pare_session_run(session, &in, 1, &out, 1, &error), &error);
    *nodes = model->node_count;
    pare_session_free(session);
    pare_model_release(model);
}

static void goes_by_default(void **state) {
    (void)state;
    for (int64_t opset = 7; opset <= 22; opset += 5) {
        pare_graph *graph = import(opset, NULL);
        assert_false(graph->for_training);
        assert_int_equal(count(graph, "Dropout"), 0);
        assert_int_equal(graph->node_count, 2);
        pare_graph_free(graph);
    }
}

static void stays_for_training(void **state) {
    (void)state;
    for (int64_t opset = 7; opset <= 22; opset += 5) {
        pare_graph *graph = import(opset, KEEP), *copy = NULL;
        pare_error error = {0};
        assert_true(graph->for_training);
        check_kept(graph);
        assert_ok(pare_graph_clone(graph, &copy, &error), &error);
        assert_ok(pare_simplify(copy, &error), &error);
        check_kept(copy);
        pare_graph_free(copy);
        pare_graph_free(graph);
    }
}

static void is_written_for_inference(void **state) {
    (void)state;
    for (int64_t opset = 7; opset <= 22; opset += 5) {
        pare_graph *graph = saved_and_loaded(import(opset, KEEP), KEEP);
        check_kept(graph);
        graph = saved_and_loaded(graph, NULL);
        assert_int_equal(count(graph, "Dropout"), 0);
        pare_graph_free(graph);
    }
}

static void runs_as_an_identity(void **state) {
    (void)state;
    float expected[ELEMENTS], y[ELEMENTS];
    size_t nodes = 0;
    pare_graph *plain = import(13, NULL), *kept = import(13, KEEP);
    run(plain, false, expected, &nodes);
    assert_int_equal(nodes, 1);
    run(kept, false, y, &nodes);
    assert_int_equal(nodes, 1); /* as if they were not there: Relu fused into Conv */
    assert_memory_equal(y, expected, sizeof y);
    run(kept, true, y, &nodes);
    assert_int_equal(nodes, 4);
    assert_memory_equal(y, expected, sizeof y);
    assert_true(kept->for_training);
    check_kept(kept);
    pare_graph_free(plain);
    pare_graph_free(kept);
}

static void works_without_simplification(void **state) {
    (void)state;
    const pare_import_options as_is = {.no_simplify = true}, as_is_kept = {.no_simplify = true, .for_training = true};
    float expected[ELEMENTS], y[ELEMENTS];
    size_t nodes = 0;
    pare_graph *plain = import(13, NULL);
    run(plain, false, expected, &nodes);
    pare_graph_free(plain);
    for (int64_t opset = 7; opset <= 22; opset += 5) {
        for (int keep = 0; keep < 2; keep++) {
            const pare_import_options *options = keep == 1 ? &as_is_kept : &as_is;
            pare_graph *graph = import(opset, options);
            assert_int_equal(count(graph, "Dropout"), 3);
            run(graph, false, y, &nodes);
            assert_memory_equal(y, expected, sizeof y);
            graph = saved_and_loaded(graph, options);
            assert_int_equal(count(graph, "Dropout"), 3);
            run(graph, true, y, &nodes);
            assert_memory_equal(y, expected, sizeof y);
            graph = saved_and_loaded(graph, KEEP); /* the ratio of old opsets is still there */
            check_kept(graph);
            pare_graph_free(graph);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_by_default),
        cmocka_unit_test(stays_for_training),
        cmocka_unit_test(is_written_for_inference),
        cmocka_unit_test(runs_as_an_identity),
        cmocka_unit_test(works_without_simplification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
