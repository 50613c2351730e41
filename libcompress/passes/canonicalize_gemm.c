/* y = x W' + b, written Gemm with transB = 1 and alpha = beta = 1. */
#include <string.h>

#include "passes/pass_helpers.h"

static bool is_matrix(const pare_value *value) {
    return value != NULL && value->has_shape && value->shape.rank == 2;
}

/* The weights, stored transposed; per-axis quantization turns with them. */
static pare_status transpose_weight(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *w = node->inputs[1];
    size_t rows = (size_t)w->shape.dims[0], columns = (size_t)w->shape.dims[1];
    size_t width = pare_dtype_bytes(w->quant != NULL ? w->quant->dtype : w->dtype);
    uint8_t *data = pare_arena_alloc(&graph->arena, w->data_bytes + 1, 1);
    pare_quant *quant = w->quant != NULL ? pare_graph_copy_quant(graph, w->quant) : NULL;
    if (data == NULL || (w->quant != NULL && quant == NULL)) {
        return pare_graph_fail_memory(graph, error);
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++) {
            memcpy(data + (c * rows + r) * width, (const uint8_t *)w->data + (r * columns + c) * width, width);
        }
    }
    if (quant != NULL && quant->axis >= 0) {
        quant->axis = 1 - quant->axis;
    }
    pare_shape turned = {.rank = 2, .dims = {w->shape.dims[1], w->shape.dims[0]}};
    pare_value *made = pass_replace_constant(graph, node, 1, &turned, data, w->data_bytes);
    if (made == NULL) {
        return pare_graph_fail_memory(graph, error);
    }
    made->quant = quant;
    return PARE_OK;
}

/* Input `index` times `factor`, as a constant of its own. */
static pare_status scale_constant(pare_graph *graph, pare_node *node, size_t index, float factor, pare_error *error) {
    const pare_value *value = node->inputs[index];
    size_t count = value->data_bytes / sizeof(float);
    float *scaled = pare_arena_alloc(&graph->arena, count + 1, sizeof *scaled);
    if (scaled == NULL) {
        return pare_graph_fail_memory(graph, error);
    }
    for (size_t i = 0; i < count; i++) {
        scaled[i] = ((const float *)value->data)[i] * factor;
    }
    pare_shape shape = value->shape;
    return pass_replace_constant(graph, node, index, &shape, scaled, value->data_bytes) != NULL
               ? PARE_OK
               : pare_graph_fail_memory(graph, error);
}

/* A bias that one row of outputs takes: [n], [1, n], or one number for all. */
static bool is_row_bias(const pare_value *bias, int64_t n) {
    if (bias == NULL || bias->data == NULL || bias->dtype != PARE_F32 || bias->shape.rank > 2) {
        return false;
    }
    int32_t rank = bias->shape.rank;
    int64_t last = rank > 0 ? bias->shape.dims[rank - 1] : 1;
    return (rank < 2 || bias->shape.dims[0] == 1) && (last == n || (last == 1 && bias->quant == NULL));
}

/* Brings a row bias to the shape [n]. */
static pare_status flatten_bias(pare_graph *graph, pare_node *node, int64_t n, bool *changed, pare_error *error) {
    const pare_value *bias = pass_input(node, 2);
    if (bias == NULL || !is_row_bias(bias, n) || (bias->shape.rank == 1 && bias->shape.dims[0] == n)) {
        return PARE_OK;
    }
    pare_shape row = {.rank = 1, .dims = {n}};
    size_t width = pare_dtype_bytes(bias->quant != NULL ? bias->quant->dtype : bias->dtype);
    size_t bytes = (size_t)n * width;
    uint8_t *data = pare_arena_alloc(&graph->arena, bytes + 1, 1);
    pare_quant *quant = bias->quant != NULL ? pare_graph_copy_quant(graph, bias->quant) : NULL;
    if (data == NULL || (bias->quant != NULL && quant == NULL)) {
        return pare_graph_fail_memory(graph, error);
    }
    for (size_t i = 0; i < (size_t)n; i++) {
        memcpy(data + i * width, (const uint8_t *)bias->data + (bias->data_bytes == width ? 0 : i * width), width);
    }
    if (quant != NULL && quant->axis > 0) {
        quant->axis = 0;
    }
    pare_value *made = pass_replace_constant(graph, node, 2, &row, data, bytes);
    if (made == NULL) {
        return pare_graph_fail_memory(graph, error);
    }
    made->quant = quant;
    *changed = true;
    return PARE_OK;
}

/* alpha and beta go into the constants they multiply. */
static pare_status fold_factors(pare_graph *graph, pare_node *node, bool *changed, pare_error *error) {
    float alpha = pare_node_float(node, "alpha", 1.0F), beta = pare_node_float(node, "beta", 1.0F);
    if (alpha != 1.0F && pass_is_float_constant(node->inputs[1])) {
        PARE_TRY(scale_constant(graph, node, 1, alpha, error));
        pare_node_remove_attr(node, "alpha");
        *changed = true;
    }
    if (beta != 1.0F && (pass_input(node, 2) == NULL || pass_is_float_constant(node->inputs[2]))) {
        if (pass_input(node, 2) != NULL) {
            PARE_TRY(scale_constant(graph, node, 2, beta, error));
        }
        pare_node_remove_attr(node, "beta");
        *changed = true;
    }
    return PARE_OK;
}

pare_status pass_canonicalize_gemm(pare_graph *graph, pare_node *node, bool *changed, pare_error *error) {
    const pare_value *w = node->inputs[1];
    if (w == NULL || w->data == NULL || !is_matrix(w)) {
        return PARE_OK;
    }
    PARE_TRY(fold_factors(graph, node, changed, error));
    if (pare_node_int(node, "transB", 0) == 0) {
        PARE_TRY(transpose_weight(graph, node, error));
        if (!pare_node_set_int(graph, node, "transB", 1)) {
            return pare_graph_fail_memory(graph, error);
        }
        *changed = true;
    }
    return flatten_bias(graph, node, node->inputs[1]->shape.dims[0], changed, error);
}

/* The Add behind a MatMul, and which of its inputs is the bias. */
static pare_node *bias_add(const pare_graph *graph, const pare_node *matmul, int64_t n, pare_value **bias) {
    const pare_value *product = matmul->outputs[0];
    pare_node *add = product->quant == NULL ? pare_graph_only_user(graph, product) : NULL;
    if (add == NULL || !pass_is(add, "Add") || add->outputs[0] == NULL) {
        return NULL;
    }
    *bias = add->inputs[add->inputs[0] == product];
    return is_row_bias(*bias, n) ? add : NULL;
}

/* MatMul of a matrix by constant weights, and the Add of a bias behind it. */
pare_status pass_canonicalize_matmul(pare_graph *graph, pare_node *node, bool *changed, pare_error *error) {
    const pare_value *x = node->inputs[0], *w = node->inputs[1];
    const pare_op *gemm = pass_op(graph, "Gemm");
    pare_value *bias = NULL;
    if (gemm == NULL || !is_matrix(x) || x->data != NULL || x->dtype != PARE_F32 || !is_matrix(w) || w->data == NULL ||
        w->dtype != PARE_F32 || node->outputs[0] == NULL) {
        return PARE_OK;
    }
    pare_node *add = bias_add(graph, node, w->shape.dims[1], &bias);
    if (add != NULL) {
        if (!pare_graph_grow_inputs(graph, node, 3)) {
            return pare_graph_fail_memory(graph, error);
        }
        pare_graph_set_input(graph, node, 2, bias);
        pass_take_over(graph, node, add);
    }
    node->op = gemm;
    node->attrs = NULL;
    *changed = true;
    return pass_canonicalize_gemm(graph, node, changed, error);
}
