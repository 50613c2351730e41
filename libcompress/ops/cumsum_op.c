/* CumSum along a constant axis: a product with a triangle of ones, after a
 * transposition that makes the axis the last one. */
#include "op_helpers.h"

#include "train/tape/tape.h"

#define LONGEST 4096

static pare_status cumsum_axis(const pare_node *node, int32_t *axis, pare_error *error) {
    int64_t named = 0;
    const pare_shape *x = &node->inputs[0]->shape;
    if (!op_int_at(node->inputs[1], 0, &named)) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected a constant axis, found one that is computed");
    }
    PARE_TRY(op_axis(node, named, x->rank, axis, error));
    if (x->dims[*axis] < 1 || x->dims[*axis] > LONGEST) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected an axis of 1 to %d elements, found %lld",
                              LONGEST, (long long)x->dims[*axis]);
    }
    return PARE_OK;
}

static pare_status cumsum_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    int32_t axis = 0;
    PARE_TRY(cumsum_axis(node, &axis, error));
    return op_infer_same(graph, node, error);
}

/* w[o][k] = 1 where element k is part of sum o: the weights of FULLY_CONNECTED. */
static pare_status triangle(pare_lowering *lowering, const pare_node *node, int64_t count, uint32_t *tensor,
                            pare_error *error) {
    bool exclusive = pare_node_int(node, "exclusive", 0) != 0, reverse = pare_node_int(node, "reverse", 0) != 0;
    size_t bytes = (size_t)(count * count) * sizeof(float);
    float *ones = pare_alloc_zero((size_t)(count * count), sizeof *ones);
    pare_shape shape = op_shape(2, (const int64_t[]){count, count});
    if (ones == NULL) {
        return pare_fail_memory(error, bytes);
    }
    for (int64_t o = 0; o < count; o++) {
        for (int64_t k = 0; k < count; k++) {
            bool part = reverse ? k >= o : k <= o;
            ones[o * count + k] = part && !(exclusive && k == o) ? 1.0F : 0.0F;
        }
    }
    pare_status status = pare_lower_constant(lowering, node, PARE_F32, &shape, NULL, ones, bytes, tensor, error);
    pare_free(ones);
    return status;
}

static pare_status cumsum_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    int32_t axis = 0, permutation[PARE_MAX_RANK] = {0};
    uint32_t inputs[2], out = PARE_NONE, sums = PARE_NONE;
    const pare_shape *x = &node->inputs[0]->shape;
    pare_fully_connected_attrs attrs = {op_identity};
    PARE_TRY(cumsum_axis(node, &axis, error));
    for (int32_t a = 0; a < x->rank; a++) {
        permutation[a] = a == axis ? x->rank - 1 : a == x->rank - 1 ? axis : a; /* its own inverse */
    }
    PARE_TRY(pare_lower_input(lowering, node, 0, &inputs[0], error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    PARE_TRY(op_cast_to(lowering, node, PARE_F32, &inputs[0], error));
    PARE_TRY(op_transposed(lowering, node, inputs[0], permutation, &inputs[0], error));
    PARE_TRY(triangle(lowering, node, x->dims[axis], &inputs[1], error));
    PARE_TRY(op_temporary(lowering, node, inputs[0], NULL, &sums, error));
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_FULLY_CONNECTED, &attrs, inputs, 2, &sums, 1, error));
    if (node->outputs[0]->dtype == PARE_F32) {
        return op_emit_transpose(lowering, node, sums, permutation, out, error);
    }
    PARE_TRY(op_transposed(lowering, node, sums, permutation, &sums, error));
    return op_emit_cast(lowering, node, sums, node->outputs[0]->dtype, out, error);
}

static pare_status cumsum_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    int32_t axis = 0;
    PARE_TRY(cumsum_axis(node, &axis, error));
    return tape_cumsum(tape, node, axis, pare_node_int(node, "exclusive", 0) != 0,
                       pare_node_int(node, "reverse", 0) != 0, tape_input(tape, node, 0), tape_output(tape, node, 0),
                       error);
}

PARE_DEFINE_OP(CumSum) = {.name = "CumSum",
                          .domain = "",
                          .since = 11,
                          .min_inputs = 2,
                          .max_inputs = 2,
                          .min_outputs = 1,
                          .max_outputs = 1,
                          .weight_input = -1,
                          .bias_input = -1,
                          .infer = cumsum_infer,
                          .lower = cumsum_lower,
                          .gradient = cumsum_gradient};
