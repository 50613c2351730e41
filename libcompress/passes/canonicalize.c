/* One spelling for each meaning. */
#include <float.h>
#include <string.h>

#include "pare/passes.h"
#include "passes/pass_helpers.h"

/* Clip(x, 0, infinity) is Relu(x). */
static pare_status canonicalize_clip(pare_graph *graph, pare_node *node, bool *changed, pare_error *error) {
    const pare_value *low = pass_input(node, 1), *high = pass_input(node, 2);
    const pare_op *relu = pass_op(graph, "Relu");
    (void)error;
    if (relu == NULL || !pass_is_float_constant(low) || low->data_bytes != sizeof(float) ||
        *(const float *)low->data != 0.0F) {
        return PARE_OK;
    }
    if (high != NULL && (!pass_is_float_constant(high) || high->data_bytes != sizeof(float) ||
                         !(*(const float *)high->data >= FLT_MAX))) {
        return PARE_OK;
    }
    for (size_t i = 1; i < node->input_count; i++) {
        pare_graph_set_input(graph, node, i, NULL);
    }
    node->input_count = 1;
    node->op = relu;
    *changed = true;
    return PARE_OK;
}

/* A target shape with one open dimension says -1 there, which any batch can take. */
static pare_status canonicalize_reshape(pare_graph *graph, pare_node *node, bool *changed, pare_error *error) {
    const pare_value *shape = pass_input(node, 1);
    const pare_value *y = node->outputs[0];
    int64_t dims[PARE_MAX_RANK], k = 0;
    bool marked = false;
    int32_t open = 0;
    if (shape == NULL || shape->data == NULL || shape->dtype != PARE_S64 || y == NULL || !y->has_shape ||
        shape->data_bytes != (size_t)y->shape.rank * sizeof *dims) {
        return PARE_OK;
    }
    for (int32_t d = 0; d < y->shape.rank; d++) {
        marked = marked || pare_is_batch_mark(((const int64_t *)shape->data)[d], &k);
        dims[d] = y->shape.dims[d] < 0 ? -1 : y->shape.dims[d];
        open += dims[d] < 0;
    }
    if (!marked || open != 1) {
        return PARE_OK;
    }
    pare_value *plain = pare_graph_add_constant(graph, shape->name, PARE_S64, &shape->shape, dims, shape->data_bytes);
    if (plain == NULL) {
        return pare_graph_fail_memory(graph, error);
    }
    pare_node_remove_attr(node, "allowzero");
    pare_graph_set_input(graph, node, 1, plain);
    *changed = true;
    return PARE_OK;
}

/* The axes of a reduction, from input or attribute, are exactly 2 and 3. */
static bool reduces_image(const pare_node *node) {
    const int64_t *axes = NULL;
    size_t count = pare_node_ints(node, "axes", &axes);
    const pare_value *operand = pass_input(node, 1);
    if (operand != NULL) {
        axes = operand->data;
        count = operand->data != NULL && operand->dtype == PARE_S64 ? operand->data_bytes / sizeof *axes : 0;
    }
    if (count != 2) {
        return false;
    }
    int64_t a = axes[0] < 0 ? axes[0] + 4 : axes[0], b = axes[1] < 0 ? axes[1] + 4 : axes[1];
    return (a == 2 && b == 3) || (a == 3 && b == 2);
}

/* ReduceMean over height and width is GlobalAveragePool. */
static pare_status canonicalize_mean(pare_graph *graph, pare_node *node, bool *changed, pare_error *error) {
    const pare_value *x = node->inputs[0];
    const pare_op *pool = pass_op(graph, "GlobalAveragePool");
    (void)error;
    if (pool == NULL || x->dtype != PARE_F32 || !x->has_shape || x->shape.rank != 4 ||
        pare_node_int(node, "keepdims", 1) != 1 || !reduces_image(node)) {
        return PARE_OK;
    }
    for (size_t i = 1; i < node->input_count; i++) {
        pare_graph_set_input(graph, node, i, NULL);
    }
    node->input_count = 1;
    node->attrs = NULL;
    node->op = pool;
    *changed = true;
    return PARE_OK;
}

/* training_mode = false is what an absent one means. */
static pare_status canonicalize_dropout(pare_graph *graph, pare_node *node, bool *changed, pare_error *error) {
    const pare_value *mode = pass_input(node, 2);
    (void)error;
    if (mode == NULL || mode->data == NULL || mode->data_bytes != 1 || *(const uint8_t *)mode->data != 0) {
        return PARE_OK;
    }
    pare_graph_set_input(graph, node, 2, NULL);
    node->input_count = 2;
    *changed = true;
    return PARE_OK;
}

typedef struct canonical_rule {
    const char *op;
    pare_status (*apply)(pare_graph *graph, pare_node *node, bool *changed, pare_error *error);
} canonical_rule;

static const canonical_rule rules[] = {
    {"Clip", canonicalize_clip},          {"Reshape", canonicalize_reshape}, {"ReduceMean", canonicalize_mean},
    {"MatMul", pass_canonicalize_matmul}, {"Gemm", pass_canonicalize_gemm},  {"Dropout", canonicalize_dropout},
};

pare_status pare_canonicalize(pare_graph *graph, bool *changed, pare_error *error) {
    for (pare_node *node = graph->first; node != NULL; node = node->next) { /* a rule keeps its own node */
        for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
            if (pass_is(node, rules[i].op)) {
                PARE_TRY(rules[i].apply(graph, node, changed, error));
                break;
            }
        }
    }
    return PARE_OK;
}
