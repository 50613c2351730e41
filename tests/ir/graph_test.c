/* The graph core: links, names, uses, copies. */
#include <string.h>

#include "ir/graph_internal.h"
#include "pare/op.h"
#include "test.h"

typedef struct chain {
    pare_graph *graph;
    pare_value *x, *a, *y;
    pare_node *first, *second;
} chain;

/* x -> Relu -> a -> Sigmoid -> y */
static chain build_chain(void) {
    pare_error error = {0};
    pare_shape shape = {.rank = 2, .dims = {-1, 4}};
    chain c = {0};
    assert_ok(pare_graph_create(0, &c.graph, &error), &error);
    c.x = pare_graph_add_input(c.graph, "x", PARE_F32, &shape);
    c.a = pare_graph_add_value(c.graph, "a", PARE_F32, &shape);
    c.y = pare_graph_add_value(c.graph, "y", PARE_F32, &shape);
    c.first = pare_graph_insert_node(c.graph, NULL, pare_op_find("", "Relu", 13), "relu", &c.x, 1, &c.a, 1);
    c.second = pare_graph_insert_node(c.graph, NULL, pare_op_find("", "Sigmoid", 13), NULL, &c.a, 1, &c.y, 1);
    assert_non_null(c.second);
    assert_true(pare_graph_add_output(c.graph, c.y));
    assert_ok(pare_graph_check(c.graph, &error), &error);
    return c;
}

static void names_are_unique(void **state) {
    chain c = build_chain();
    (void)state;
    pare_value *again = pare_graph_add_value(c.graph, "a", PARE_F32, NULL);
    assert_string_not_equal(again->name, "a");
    assert_ptr_equal(pare_graph_find_value(c.graph, "a"), c.a);
    assert_ptr_equal(pare_graph_find_value(c.graph, again->name), again);
    assert_string_equal(c.second->name, "Sigmoid_1");
    assert_false(again->has_shape);
    assert_true(pare_graph_drop_unused_values(c.graph));
    assert_int_equal(c.graph->value_count, 3);
    pare_graph_free(c.graph);
}

static void many_names_are_found(void **state) {
    pare_error error = {0};
    pare_graph *graph = NULL;
    (void)state;
    assert_ok(pare_graph_create(0, &graph, &error), &error);
    for (int i = 0; i < 3000; i++) {
        assert_non_null(pare_graph_add_value(graph, "v", PARE_F32, NULL));
    }
    for (size_t i = 0; i < graph->value_count; i++) {
        assert_ptr_equal(pare_graph_find_value(graph, graph->values[i]->name), graph->values[i]);
    }
    pare_graph_drop_unused_values(graph);
    assert_int_equal(graph->value_count, 0);
    assert_null(pare_graph_find_value(graph, "v"));
    pare_graph_free(graph);
}

static void output_name_moves_with_replacement(void **state) {
    pare_error error = {0};
    chain c = build_chain();
    (void)state;
    assert_ptr_equal(pare_graph_only_user(c.graph, c.a), c.second);
    assert_null(pare_graph_only_user(c.graph, c.y));
    pare_graph_replace_uses(c.graph, c.y, c.a);
    assert_string_equal(c.a->name, "y");
    assert_true(c.a->is_output);
    assert_false(c.y->is_output);
    assert_ptr_equal(c.graph->outputs[0], c.a);
    pare_graph_remove_node(c.graph, c.second);
    pare_graph_drop_unused_values(c.graph);
    assert_ok(pare_graph_check(c.graph, &error), &error);
    assert_int_equal(c.graph->node_count, 1);
    assert_int_equal(c.a->use_count, 1);
    pare_graph_free(c.graph);
}

static void output_stays_where_an_input_would_replace_it(void **state) {
    pare_error error = {0};
    chain c = build_chain();
    (void)state;
    pare_graph_replace_uses(c.graph, c.y, c.x);
    assert_ptr_equal(c.graph->outputs[0], c.y);
    assert_string_equal(c.y->name, "y");
    assert_ok(pare_graph_check(c.graph, &error), &error);
    pare_graph_free(c.graph);
}

static void clone_is_deep(void **state) {
    pare_error error = {0};
    chain c = build_chain();
    pare_graph *copy = NULL;
    float scale = 0.5F;
    (void)state;
    c.a->quant = pare_graph_add_quant(c.graph, PARE_U8, -1, 1, &scale, NULL);
    assert_true(pare_node_set_ints(c.graph, c.first, "axes", (const int64_t[]){3, 4}, 2));
    assert_true(pare_graph_set_metadata(c.graph, "k", "v"));
    assert_ok(pare_graph_clone(c.graph, &copy, &error), &error);
    pare_graph_remove_node(c.graph, c.second);
    c.a->quant->scales[0] = 2.0F;
    pare_graph_free(c.graph);
    assert_ok(pare_graph_check(copy, &error), &error);
    const int64_t *axes = NULL;
    assert_int_equal(pare_node_ints(copy->first, "axes", &axes), 2);
    assert_int_equal(axes[1], 4);
    assert_float_equal(pare_graph_find_value(copy, "a")->quant->scales[0], 0.5F, 0.0F);
    assert_string_equal(pare_graph_metadata_find(copy, "k"), "v");
    assert_int_equal(copy->node_count, 2);
    pare_graph_free(copy);
}

static void check_names_what_is_broken(void **state) {
    pare_error error = {0};
    chain c = build_chain();
    (void)state;
    c.a->use_count++;
    assert_fails(pare_graph_check(c.graph, &error), PARE_INTERNAL, &error, "\"a\"");
    c.a->use_count--;
    pare_graph_move_node(c.graph, c.second, c.first);
    assert_fails(pare_graph_check(c.graph, &error), PARE_INTERNAL, &error, "before it is produced");
    pare_graph_move_node(c.graph, c.second, NULL);
    assert_ok(pare_graph_check(c.graph, &error), &error);
    c.y->producer = c.first;
    assert_fails(pare_graph_check(c.graph, &error), PARE_INTERNAL, &error, "producer");
    c.y->producer = c.second;
    float zero = 0.0F;
    c.a->quant = pare_graph_add_quant(c.graph, PARE_U8, -1, 1, &zero, NULL);
    assert_fails(pare_graph_check(c.graph, &error), PARE_INTERNAL, &error, "scale");
    pare_graph_free(c.graph);
}

static void constants_are_dequantized(void **state) {
    pare_error error = {0};
    pare_graph *graph = NULL;
    pare_shape shape = {.rank = 2, .dims = {2, 2}};
    size_t count = 0;
    (void)state;
    assert_ok(pare_graph_create(0, &graph, &error), &error);
    pare_value *w = pare_graph_add_constant(graph, "w", PARE_F32, &shape, (const int8_t[]){10, -20, 30, 40}, 4);
    w->quant = pare_graph_add_quant(graph, PARE_S8, 0, 2, (const float[]){0.5F, 2.0F}, (const int32_t[]){0, 10});
    const float *floats = pare_value_floats(graph, w, &count);
    assert_int_equal(count, 4);
    assert_float_equal(floats[1], -10.0F, 0.0F);
    assert_float_equal(floats[2], 40.0F, 0.0F);
    assert_ok(pare_graph_check(graph, &error), &error);
    int64_t k = 0;
    assert_true(pare_is_batch_mark(PARE_BATCH_MARK + 3, &k));
    assert_int_equal(k, 3);
    assert_false(pare_is_batch_mark(PARE_BATCH_MARK, &k));
    assert_false(pare_is_batch_mark(-1, &k));
    assert_false(pare_is_batch_mark(INT64_MIN, &k));
    pare_graph_free(graph);
}

static void memory_runs_out_cleanly(void **state) {
    (void)state;
    chain c = build_chain();
    for (size_t n = 1; n < 200; n++) {
        pare_error error = {0};
        pare_graph *copy = NULL;
        pare_memory_fail_at(n, true);
        pare_status status = pare_graph_clone(c.graph, &copy, &error);
        pare_memory_fail_at(0, false);
        pare_graph_free(copy);
        if (status == PARE_OK) {
            assert_true(n > 1);
            break;
        }
        assert_int_equal(status, PARE_LIMIT);
        assert_string_not_equal(error.message, "");
    }
    pare_graph_free(c.graph);
    assert_int_equal(pare_memory_used(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(many_names_are_found),
        cmocka_unit_test(output_name_moves_with_replacement),
        cmocka_unit_test(output_stays_where_an_input_would_replace_it),
        cmocka_unit_test(clone_is_deep),
        cmocka_unit_test(check_names_what_is_broken),
        cmocka_unit_test(constants_are_dequantized),
        cmocka_unit_test(memory_runs_out_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
