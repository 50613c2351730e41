/* Transpose: y.dims[i] = x.dims[perm[i]]; without perm, axes are reversed. */
#include "op_helpers.h"

#include "train/tape/tape.h"

static pare_status read_permutation(const pare_node *node, int32_t *permutation, pare_error *error) {
    int32_t rank = node->inputs[0]->shape.rank;
    const int64_t *listed = NULL;
    size_t count = pare_node_ints(node, "perm", &listed);
    uint32_t seen = 0;
    if (count != 0 && count != (size_t)rank) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected perm of %d elements, found %zu", (int)rank, count);
    }
    for (int32_t a = 0; a < rank; a++) {
        int64_t from = count == 0 ? rank - 1 - a : listed[a];
        if (from < 0 || from >= rank || (seen >> from & 1U) != 0) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected a permutation of %d axes, found %lld again",
                                  (int)rank, (long long)from);
        }
        seen |= 1U << from;
        permutation[a] = (int32_t)from;
    }
    return PARE_OK;
}

static pare_status transpose_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    int32_t permutation[PARE_MAX_RANK] = {0};
    PARE_TRY(read_permutation(node, permutation, error));
    pare_shape y = node->inputs[0]->shape;
    for (int32_t a = 0; a < y.rank; a++) {
        y.dims[a] = node->inputs[0]->shape.dims[permutation[a]];
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status transpose_fold(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *x = node->inputs[0], *y = op_output(node, 0);
    if (!op_may_fold(x) || y == NULL) {
        return PARE_OK;
    }
    int32_t permutation[PARE_MAX_RANK] = {0};
    int64_t from[PARE_MAX_RANK], to[PARE_MAX_RANK], strides[PARE_MAX_RANK];
    PARE_TRY(read_permutation(node, permutation, error));
    op_strides(&x->shape, strides);
    op_strides(&y->shape, to);
    for (int32_t a = 0; a < x->shape.rank; a++) {
        from[a] = strides[permutation[a]];
    }
    void *data = pare_alloc(x->data_bytes);
    if (data == NULL) {
        return pare_fail_memory(error, x->data_bytes);
    }
    op_copy_strided(data, to, x->data, from, y->shape.dims, y->shape.rank, pare_dtype_bytes(x->dtype));
    pare_status status = op_make_constant(graph, node, 0, data, x->data_bytes, error);
    pare_free(data);
    return status;
}

static pare_status transpose_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    int32_t permutation[PARE_MAX_RANK] = {0};
    uint32_t in = PARE_NONE, out = PARE_NONE;
    PARE_TRY(read_permutation(node, permutation, error));
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    if (node->inputs[0]->shape.rank == 0) {
        return op_emit_reshape(lowering, node, in, out, error);
    }
    return op_emit_transpose(lowering, node, in, permutation, out, error);
}

static pare_status transpose_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    int32_t permutation[PARE_MAX_RANK] = {0};
    PARE_TRY(read_permutation(node, permutation, error));
    return tape_transpose(tape, node, permutation, tape_input(tape, node, 0), tape_output(tape, node, 0), error);
}

static void transpose_channels(pare_channels *channels, const pare_node *node) {
    int32_t permutation[PARE_MAX_RANK] = {0};
    (void)read_permutation(node, permutation, NULL);
    for (int32_t a = 0; a < node->inputs[0]->shape.rank; a++) {
        pare_channels_join_axes(channels, node->inputs[0], permutation[a], op_output(node, 0), a);
    }
}

PARE_DEFINE_OP(Transpose) = {.name = "Transpose",
                             .domain = "",
                             .since = 1,
                             .min_inputs = 1,
                             .max_inputs = 1,
                             .min_outputs = 1,
                             .max_outputs = 1,
                             .quant = PARE_QUANT_MOVE,
                             .weight_input = -1,
                             .bias_input = -1,
                             .infer = transpose_infer,
                             .fold = transpose_fold,
                             .lower = transpose_lower,
                             .gradient = transpose_gradient,
                             .channels = transpose_channels};
