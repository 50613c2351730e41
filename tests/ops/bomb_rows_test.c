/* Row 57 of the bad inputs: a few bytes of model that ask for gigabytes, by
 * their shapes or by what folding would make of them. */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "graph_case.h"
#include "onnx_samples.h"
#include "pare/lower.h"
#include "pare/onnx_graph.h"
#include "pare/op.h"
#include "pare/passes.h"

#define MIB ((size_t)1 << 20)

/* Infers, folds, lowers and plans; at no time more than `most` bytes. */
static pare_status take(pare_graph *graph, size_t most, pare_error *error) {
    pare_model *model = NULL;
    pare_session *session = NULL;
    size_t used = pare_memory_used();
    pare_memory_set_budget(used + most);
    pare_status status = pare_simplify(graph, error);
    if (status == PARE_OK) {
        status = pare_graph_lower(graph, &model, error);
    }
    pare_session_options options = {
        .struct_size = sizeof options, .threads = 1, .reference = 1, .arena_limit = 64 * MIB};
    if (status == PARE_OK) {
        status = pare_session_create(model, &options, &session, error);
    }
    pare_memory_set_budget(SIZE_MAX);
    pare_session_free(session);
    pare_model_release(model);
    return status;
}

static void refuse_as(pare_status expected, const char *op, const char *attributes, const char *a, const char *b,
                      const char *c, const char *text) {
    pare_error error = {0};
    pare_graph *graph = NULL;
    graph_case node = {op, 18, attributes, {a, b, c}, {"f32 scalar"}, 0};
    pare_memory_set_budget(pare_memory_used() + 200 * MIB);
    pare_status status = graph_case_build(&node, &graph, &error);
    pare_memory_set_budget(SIZE_MAX);
    if (status == PARE_OK) {
        status = take(graph, 200 * MIB, &error);
    }
    if (strstr(error.message, "out of memory") != NULL) {
        print_error("%s %s: met the test's own limit: %s\n", op, attributes, error.message);
        fail();
    }
    assert_fails(status, expected, &error, text);
    pare_graph_free(graph);
    assert_int_equal(pare_memory_used(), 0);
}

static void refuse(const char *op, const char *attributes, const char *a, const char *b, const char *c,
                   const char *text) {
    refuse_as(PARE_LIMIT, op, attributes, a, b, c, text);
}

static void row_57_shape_bombs(void **state) {
    (void)state;
    refuse("ConstantOfShape", "", "const i64 1 = 2147483648", NULL, NULL, "extents below 2^31");
    refuse("ConstantOfShape", "", "const i64 1 = 2147483647", NULL, NULL, "at most 67108864 bytes");
    refuse("ConstantOfShape", "", "const i64 3 = 65536 65536 65536", NULL, NULL, "fewer than 2^48 elements");
    refuse("ConstantOfShape", "", "const i64 4 = 2147483647 2147483647 2147483647 2147483647", NULL, NULL,
           "below 2^31");
    refuse("Expand", "", "const f32 1 = 1", "const i64 2 = 2147483647 4", NULL, "at most 67108864 bytes");
    refuse("Expand", "", "const f32 1 = 1", "const i64 4 = 2147483647 2147483647 2147483647 9", NULL, "below 2^31");
    refuse("Expand", "", "const i64 1 = 1", "const i64 1 = 2147483647", NULL, "at most 67108864 bytes");
    refuse("Tile", "", "const f32 2 = 1 2", "const i64 1 = 2147483647", NULL, "below 2^31");
    refuse("Tile", "", "const f32 2 = 1 2", "const i64 1 = 1000000000", NULL, "at most 67108864 bytes");
    refuse("OneHot", "", "const i64 1 = 0", "const i64 scalar = 2147483647", "const f32 2 = 0 1", "at most 8388608");
    refuse("Trilu", "", "f32 65536x65536", NULL, NULL, "at most 67108864 elements");
    refuse("Pad", "", "f32 1", "const i64 2 = 2000000000 0", NULL, "at most 67108864 bytes");
}

static void row_57_range_bombs(void **state) {
    (void)state;
    refuse("Range", "", "const i64 scalar = 0", "const i64 scalar = 9223372036854775807", "const i64 scalar = 1",
           "fewer than 8388608 elements");
    refuse("Range", "", "const f32 scalar = 0", "const f32 scalar = 1", "const f32 scalar = 1e-30",
           "fewer than 8388608 elements");
    refuse_as(PARE_BAD_INPUT, "Range", "", "const f32 scalar = 0", "const f32 scalar = 1", "const f32 scalar = 0",
              "delta other than 0");
    refuse("Range", "", "const f32 scalar = 0", "const f32 scalar = nan", "const f32 scalar = 1", "found ");
    refuse_as(PARE_BAD_INPUT, "Range", "", "const i64 scalar = 5", "const i64 scalar = 0", "const i64 scalar = 0",
              "delta other than 0");
    refuse_as(PARE_BAD_INPUT, "Range", "", "const i64 scalar = 0", "const i64 scalar = 5", "const f32 scalar = 1",
              "inputs of one type");
}

/* Elements at the ends of int64 stay integers: they do not pass through doubles. */
static void row_57_range_at_the_ends_of_int64(void **state) {
    (void)state;
    pare_error error = {0};
    pare_graph *graph = NULL;
    graph_case node = {
        "Range",
        18,
        "",
        {"const i64 scalar = 9007199254740992", "const i64 scalar = 9007199254740996", "const i64 scalar = 1"},
        {"i64 scalar"},
        0};
    assert_ok(graph_case_build(&node, &graph, &error), &error);
    const pare_value *y = pare_graph_find_value(graph, "y0");
    assert_int_equal(y->data_bytes, 4 * sizeof(int64_t));
    for (int64_t i = 0; i < 4; i++) {
        assert_true(((const int64_t *)y->data)[i] == INT64_C(9007199254740992) + i);
    }
    pare_graph_free(graph);
}

/* Each of many constants of 60 MiB is allowed; all of them together are not.
 * What is not folded stays a node and is computed when the model runs. */
static void row_57_constant_folding_bomb(void **state) {
    (void)state;
    enum { NODES = 100, ELEMENTS = 15 << 20 };
    pare_error error = {0};
    pare_graph *graph = NULL;
    assert_ok(pare_graph_create(0, &graph, &error), &error);
    graph->opset = 18;
    const int64_t extent = ELEMENTS;
    pare_shape one = {1, {1}};
    pare_value *size = pare_graph_add_constant(graph, "size", PARE_S64, &one, &extent, sizeof extent);
    pare_value *all[NODES];
    for (int i = 0; i < NODES; i++) {
        char name[16];
        snprintf(name, sizeof name, "v%d", i);
        all[i] = pare_graph_add_value(graph, name, PARE_F32, NULL);
        graph_add(graph, "ConstantOfShape", "", &size, 1, &all[i], 1);
        assert_true(pare_graph_add_output(graph, all[i]));
    }
    size_t used = pare_memory_used();
    pare_memory_set_budget(used + 500 * MIB);
    assert_ok(pare_simplify(graph, &error), &error);
    pare_memory_set_budget(SIZE_MAX);
    assert_true(pare_memory_used() - used < 400 * MIB);
    assert_true(graph->folded_bytes >= 60 * MIB);
    size_t left = 0;
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        left++;
    }
    assert_true(left > NODES / 2);
    pare_graph_free(graph);
}

/* Doubling by Concat: 2^40 elements after forty nodes. */
static void row_57_doubling_bomb(void **state) {
    (void)state;
    pare_error error = {0};
    pare_graph *graph = NULL;
    test_onnx *m = test_onnx_begin(8, 17);
    test_onnx_initializer_i64(m, "c0", 1, (int64_t[]){64}, (int64_t[64]){0});
    for (int i = 0; i < 40; i++) {
        char from[16], to[16];
        snprintf(from, sizeof from, "c%d", i);
        snprintf(to, sizeof to, "c%d", i + 1);
        Onnx__NodeProto *node =
            test_onnx_node(m, "Concat", to, 2, (const char *[]){from, from}, 1, (const char *[]){to});
        test_onnx_attr_int(m, node, "axis", 0);
    }
    test_onnx_output(m, "c40", PARE_S64, 1, (int64_t[]){-1});
    pare_memory_set_budget(pare_memory_used() + 600 * MIB);
    pare_status status = onnx_sample_import(m, &graph, &error);
    pare_memory_set_budget(SIZE_MAX);
    assert_fails(status, PARE_LIMIT, &error, "extents below 2^31");
    assert_null(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_57_shape_bombs),
        cmocka_unit_test(row_57_range_bombs),
        cmocka_unit_test(row_57_range_at_the_ends_of_int64),
        cmocka_unit_test(row_57_constant_folding_bomb),
        cmocka_unit_test(row_57_doubling_bomb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
