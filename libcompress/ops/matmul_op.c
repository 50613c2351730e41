/* MatMul as numpy: A [.., M, K], B [.., K, N]; an operand of rank 1 gets a
 * dimension of 1 that the result loses. A constant 2-D B: FULLY_CONNECTED. */
#include "op_helpers.h"

#include "train/tape/tape.h"

/* Shapes with rank-1 operands widened. */
static void widened(const pare_node *node, pare_shape *a, pare_shape *b) {
    *a = node->inputs[0]->shape;
    *b = node->inputs[1]->shape;
    if (a->rank == 1) {
        *a = op_shape(2, (const int64_t[]){1, a->dims[0]});
    }
    if (b->rank == 1) {
        *b = op_shape(2, (const int64_t[]){b->dims[0], 1});
    }
}

static pare_status wide_result(const pare_node *node, pare_shape *y, pare_error *error) {
    pare_shape a, b;
    widened(node, &a, &b);
    if (a.rank < 2 || b.rank < 2 || a.dims[a.rank - 1] != b.dims[b.rank - 2]) {
        char left[160], right[160];
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected inner dimensions that agree, found %s and %s",
                              pare_shape_text(&node->inputs[0]->shape, left, sizeof left),
                              pare_shape_text(&node->inputs[1]->shape, right, sizeof right));
    }
    pare_shape outer_a = op_shape(a.rank - 2, a.dims), outer_b = op_shape(b.rank - 2, b.dims);
    if (!pare_shape_broadcast(&outer_a, &outer_b, y) || y->rank + 2 > PARE_MAX_RANK) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected outer dimensions that broadcast, found others");
    }
    y->dims[y->rank] = a.dims[a.rank - 2];
    y->dims[y->rank + 1] = b.dims[b.rank - 1];
    y->rank += 2;
    return PARE_OK;
}

static pare_status matmul_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    pare_shape y;
    PARE_TRY(wide_result(node, &y, error));
    if (node->inputs[1]->shape.rank == 1) {
        y.rank--;
    }
    if (node->inputs[0]->shape.rank == 1) {
        if (node->inputs[1]->shape.rank != 1) {
            y.dims[y.rank - 2] = y.dims[y.rank - 1];
        }
        y.rank--;
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static bool is_connected(const pare_node *node) {
    return op_is_constant(node->inputs[1]) && node->inputs[1]->shape.rank == 2 && node->inputs[0]->shape.rank >= 2;
}

static pare_status matmul_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    uint32_t inputs[2] = {PARE_NONE, PARE_NONE}, out = PARE_NONE, wide = PARE_NONE;
    pare_shape a, b, y;
    widened(node, &a, &b);
    PARE_TRY(wide_result(node, &y, error));
    PARE_TRY(pare_lower_input(lowering, node, 0, &inputs[0], error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    if (is_connected(node)) {
        pare_fully_connected_attrs attrs = {op_activation(node)};
        pare_shape turned = op_shape(2, (const int64_t[]){b.dims[1], b.dims[0]});
        PARE_TRY(op_weight(lowering, node, 1, &turned, true, &inputs[1], error));
        return pare_lower_emit(lowering, node, PARE_OP_FULLY_CONNECTED, &attrs, inputs, 2, &out, 1, error);
    }
    pare_no_attrs none = {0};
    pare_activation activation = op_activation(node);
    PARE_TRY(pare_lower_input(lowering, node, 1, &inputs[1], error));
    PARE_TRY(op_reshaped(lowering, node, inputs[0], &a, &inputs[0], error));
    PARE_TRY(op_reshaped(lowering, node, inputs[1], &b, &inputs[1], error));
    bool squeezed = !pare_shape_equal(&y, &node->outputs[0]->shape);
    bool activated = activation.function != PARE_FN_IDENTITY;
    wide = out;
    if (squeezed || activated) {
        PARE_TRY(op_temporary(lowering, node, out, &y, &wide, error));
    }
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_MATMUL, &none, inputs, 2, &wide, 1, error));
    if (activated) {
        PARE_TRY(op_reshaped(lowering, node, wide, &node->outputs[0]->shape, &wide, error));
        return op_emit_unary(lowering, node, activation, wide, out, error);
    }
    return squeezed ? op_emit_reshape(lowering, node, wide, out, error) : PARE_OK;
}

/* [rows, K] × [K, N] of a's rows of all outer axes. */
static pare_status record_connected(pare_tape *tape, const pare_node *node, uint32_t a, uint32_t b, pare_error *error) {
    uint32_t y = tape_output(tape, node, 0);
    pare_shape left = tape_tensor_at(tape, a)->shape;
    int64_t inner = left.dims[left.rank - 1], columns = tape_tensor_at(tape, b)->shape.dims[1];
    int64_t rows = (int64_t)tape_tensor_at(tape, y)->elements / columns;
    pare_shape flat = op_shape(2, (const int64_t[]){rows, inner}),
               product = op_shape(2, (const int64_t[]){rows, columns});
    PARE_TRY(tape_reshaped(tape, node, &flat, &a, error));
    if (pare_shape_equal(&product, &tape_tensor_at(tape, y)->shape)) {
        return tape_inner_product(tape, node, true, a, b, TAPE_NONE, y, error);
    }
    uint32_t sums = tape_temporary(tape, node, &product);
    PARE_TRY(tape_inner_product(tape, node, true, a, b, TAPE_NONE, sums, error));
    return tape_reshape(tape, node, sums, y, error);
}

/* An operand with axes of 1 in front until it has `rank`. */
static pare_status with_rank(pare_tape *tape, const pare_node *node, const pare_shape *shape, int32_t rank,
                             uint32_t *tensor, pare_error *error) {
    pare_shape wide = {.rank = rank};
    for (int32_t a = 0; a < rank; a++) {
        wide.dims[a] = a < rank - shape->rank ? 1 : shape->dims[a - (rank - shape->rank)];
    }
    return tape_reshaped(tape, node, &wide, tensor, error);
}

static pare_status matmul_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    pare_shape a, b, y;
    widened(node, &a, &b);
    PARE_TRY(wide_result(node, &y, error));
    uint32_t left = tape_weight(tape, node, 0, true), right = tape_weight(tape, node, 1, true);
    uint32_t out = tape_output(tape, node, 0);
    PARE_TRY(with_rank(tape, node, &a, b.rank == 2 ? a.rank : y.rank, &left, error));
    PARE_TRY(with_rank(tape, node, &b, b.rank == 2 ? 2 : y.rank, &right, error));
    if (b.rank == 2) {
        return record_connected(tape, node, left, right, error);
    }
    if (pare_shape_equal(&y, &node->outputs[0]->shape)) {
        return tape_matmul(tape, node, left, right, out, error);
    }
    uint32_t product = tape_temporary(tape, node, &y);
    PARE_TRY(tape_matmul(tape, node, left, right, product, error));
    return tape_reshape(tape, node, product, out, error);
}

static bool matmul_integer(const pare_node *node) {
    int32_t function = op_activation(node).function;
    return is_connected(node) && op_is_integer_weight(node->inputs[1], 1) &&
           (function == PARE_FN_IDENTITY || function == PARE_FN_RELU || function == PARE_FN_CLIP);
}

static uint64_t matmul_macs(const pare_node *node) {
    const pare_shape *a = &node->inputs[0]->shape, *y = &node->outputs[0]->shape;
    uint64_t macs = 1;
    for (int32_t i = 0; i < y->rank; i++) {
        macs *= (uint64_t)(y->dims[i] < 0 ? -y->dims[i] : y->dims[i]);
    }
    int64_t inner = a->rank > 0 ? a->dims[a->rank - 1] : 1;
    return macs * (uint64_t)(inner < 0 ? -inner : inner);
}

/* y [batch.., M, N], less M or N where an operand has rank 1. */
static void matmul_channels(pare_channels *channels, const pare_node *node) {
    const pare_value *a = node->inputs[0], *b = node->inputs[1], *y = op_output(node, 0);
    int32_t a_rank = a->shape.rank, b_rank = b->shape.rank, y_rank = y != NULL ? y->shape.rank : 0;
    int32_t columns = b_rank > 1 ? 1 : 0, rows = a_rank > 1 ? 1 : 0, outer = y_rank - columns - rows;
    pare_channels_join_axes(channels, a, a_rank - 1, b, b_rank > 1 ? b_rank - 2 : 0);
    if (columns == 1) {
        pare_channels_join_axes(channels, b, b_rank - 1, y, y_rank - 1);
        pare_channels_made_by(channels, b, b_rank - 1);
    }
    if (rows == 1) {
        pare_channels_join_axes(channels, a, a_rank - 2, y, outer);
        pare_channels_made_by(channels, a, a_rank - 2);
    }
    for (int32_t i = 1; i <= outer; i++) {
        pare_channels_join_axes(channels, a, a_rank - 2 - i, y, outer - i);
        pare_channels_join_axes(channels, b, b_rank - 2 - i, y, outer - i);
    }
}

PARE_DEFINE_OP(MatMul) = {.name = "MatMul",
                          .domain = "",
                          .since = 1,
                          .min_inputs = 2,
                          .max_inputs = 2,
                          .min_outputs = 1,
                          .max_outputs = 1,
                          .quant = PARE_QUANT_WEIGHTED,
                          .weight_input = 1,
                          .bias_input = -1,
                          .weight_channel_axis = 1,
                          .flags = PARE_OP_ACTIVATES,
                          .infer = matmul_infer,
                          .lower = matmul_lower,
                          .integer = matmul_integer,
                          .gradient = matmul_gradient,
                          .macs = matmul_macs,
                          .channels = matmul_channels};
