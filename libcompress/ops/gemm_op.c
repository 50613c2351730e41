/* Gemm: Y = alpha A' B' + beta C; A' [M, K], B' [K, O], C broadcasts to [M, O].
 * Constant B: FULLY_CONNECTED. weight_channel_axis is that of transB = 1, the
 * canonical spelling. */
#include "op_helpers.h"

#include "train/tape/tape.h"

static bool flag(const pare_node *node, const char *name) {
    return pare_node_int(node, name, 0) != 0;
}

static pare_status gemm_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    PARE_TRY(op_check_rank(node, 0, 2, 2, error));
    PARE_TRY(op_check_rank(node, 1, 2, 2, error));
    const pare_shape *a = &node->inputs[0]->shape, *b = &node->inputs[1]->shape;
    bool turn_a = flag(node, "transA"), turn_b = flag(node, "transB");
    if (a->dims[turn_a ? 0 : 1] != b->dims[turn_b ? 1 : 0]) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected inner dimensions that agree, found %lld and %lld",
                              (long long)a->dims[turn_a ? 0 : 1], (long long)b->dims[turn_b ? 1 : 0]);
    }
    pare_shape y = {.rank = 2, .dims = {a->dims[turn_a ? 1 : 0], b->dims[turn_b ? 0 : 1]}};
    pare_shape wide;
    const pare_value *c = op_input(node, 2);
    if (c != NULL && (!pare_shape_broadcast(&y, &c->shape, &wide) || !pare_shape_equal(&wide, &y))) {
        char text[160];
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected C to broadcast to the output, found %s",
                              pare_shape_text(&c->shape, text, sizeof text));
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

/* C is one value or one for each output: the bias of FULLY_CONNECTED. */
static bool is_row(const pare_value *c, int64_t outputs) {
    if (!op_is_constant(c)) {
        return false;
    }
    const pare_shape *shape = &c->shape;
    return op_count(c) == 1 ||
           (shape->rank >= 1 && shape->dims[shape->rank - 1] == outputs && op_count(c) == (size_t)outputs);
}

static pare_status scaled(pare_lowering *lowering, const pare_node *node, uint32_t in, float factor, uint32_t *out,
                          pare_error *error) {
    uint32_t scalar = PARE_NONE;
    if (factor == 1.0F) {
        *out = in;
        return PARE_OK;
    }
    PARE_TRY(op_float_scalar(lowering, node, factor, &scalar, error));
    PARE_TRY(op_temporary(lowering, node, in, NULL, out, error));
    return op_emit_binary(lowering, node, PARE_BINARY_MUL, in, scalar, op_identity, *out, error);
}

/* A' B' into `out`, through FULLY_CONNECTED where B is constant. */
static pare_status product(pare_lowering *lowering, const pare_node *node, uint32_t a, uint32_t bias,
                           pare_activation activation, uint32_t out, pare_error *error) {
    const pare_value *b = node->inputs[1];
    bool turn_b = flag(node, "transB");
    uint32_t inputs[3] = {a, PARE_NONE, bias};
    if (op_is_constant(b)) {
        pare_shape shape = op_shape(2, (const int64_t[]){b->shape.dims[turn_b ? 0 : 1], b->shape.dims[turn_b ? 1 : 0]});
        pare_fully_connected_attrs attrs = {activation};
        PARE_TRY(op_weight(lowering, node, 1, &shape, !turn_b, &inputs[1], error));
        PARE_TRY(scaled(lowering, node, inputs[1], pare_node_float(node, "alpha", 1.0F), &inputs[1], error));
        return pare_lower_emit(lowering, node, PARE_OP_FULLY_CONNECTED, &attrs, inputs, bias != PARE_NONE ? 3 : 2, &out,
                               1, error);
    }
    pare_no_attrs none = {0};
    PARE_TRY(pare_lower_input(lowering, node, 1, &inputs[1], error));
    if (turn_b) {
        PARE_TRY(op_transposed(lowering, node, inputs[1], (const int32_t[]){1, 0}, &inputs[1], error));
    }
    PARE_TRY(scaled(lowering, node, inputs[1], pare_node_float(node, "alpha", 1.0F), &inputs[1], error));
    return pare_lower_emit(lowering, node, PARE_OP_MATMUL, &none, inputs, 2, &out, 1, error);
}

static pare_status gemm_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    const pare_value *c = op_input(node, 2);
    int64_t outputs = node->outputs[0]->shape.dims[1];
    float beta = pare_node_float(node, "beta", 1.0F);
    uint32_t a = PARE_NONE, bias = PARE_NONE, out = PARE_NONE, sum = PARE_NONE;
    PARE_TRY(pare_lower_input(lowering, node, 0, &a, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    if (flag(node, "transA")) {
        PARE_TRY(op_transposed(lowering, node, a, (const int32_t[]){1, 0}, &a, error));
    }
    bool connected = op_is_constant(node->inputs[1]);
    bool fused = c == NULL || (connected && is_row(c, outputs));
    if (fused && c != NULL) {
        PARE_TRY(op_bias(lowering, node, 2, (size_t)outputs, beta, node->inputs[0], node->inputs[1], &bias, error));
    }
    pare_activation activation = op_activation(node);
    if (fused && (connected || activation.function == PARE_FN_IDENTITY)) {
        return product(lowering, node, a, bias, activation, out, error);
    }
    PARE_TRY(op_temporary(lowering, node, out, NULL, &sum, error));
    PARE_TRY(product(lowering, node, a, PARE_NONE, op_identity, sum, error));
    if (c == NULL) {
        return op_emit_unary(lowering, node, activation, sum, out, error);
    }
    PARE_TRY(pare_lower_input(lowering, node, 2, &bias, error));
    PARE_TRY(scaled(lowering, node, bias, beta, &bias, error));
    return op_emit_binary(lowering, node, PARE_BINARY_ADD, sum, bias, activation, out, error);
}

/* factor × in, in a new tensor; itself for a factor of 1. */
static pare_status scaled_on_tape(pare_tape *tape, const pare_node *node, float factor, uint32_t *in,
                                  pare_error *error) {
    if (factor == 1.0F) {
        return PARE_OK;
    }
    pare_shape scalar = {.rank = 0};
    uint32_t by = tape_constant(tape, &scalar, &factor);
    uint32_t out = tape_temporary(tape, node, &tape_tensor_at(tape, *in)->shape), from = *in;
    *in = out;
    return tape_binary(tape, node, PARE_BINARY_MUL, from, by, out, error);
}

static pare_status gemm_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    float alpha = pare_node_float(node, "alpha", 1.0F), beta = pare_node_float(node, "beta", 1.0F);
    uint32_t a = tape_input(tape, node, 0), b = tape_weight(tape, node, 1, true), c = tape_weight(tape, node, 2, false);
    uint32_t y = tape_output(tape, node, 0);
    if (flag(node, "transA")) {
        PARE_TRY(tape_transposed(tape, node, (const int32_t[]){1, 0}, &a, error));
    }
    const tape_tensor *added = c != TAPE_NONE ? tape_tensor_at(tape, c) : NULL;
    bool row = added == NULL ||
               (added->shape.rank == 1 && added->shape.dims[0] == node->outputs[0]->shape.dims[1] && beta == 1.0F);
    PARE_TRY(scaled_on_tape(tape, node, alpha, &a, error));
    if (row) {
        return tape_inner_product(tape, node, !flag(node, "transB"), a, b, c, y, error);
    }
    uint32_t product = tape_temporary(tape, node, &node->outputs[0]->shape);
    PARE_TRY(tape_inner_product(tape, node, !flag(node, "transB"), a, b, TAPE_NONE, product, error));
    PARE_TRY(scaled_on_tape(tape, node, beta, &c, error));
    return tape_binary(tape, node, PARE_BINARY_ADD, product, c, y, error);
}

static bool gemm_integer(const pare_node *node) {
    const pare_value *c = op_input(node, 2);
    int32_t function = op_activation(node).function;
    return op_is_integer_weight(node->inputs[1], flag(node, "transB") ? 0 : 1) && !flag(node, "transA") &&
           pare_node_float(node, "alpha", 1.0F) == 1.0F && (c == NULL || is_row(c, node->outputs[0]->shape.dims[1])) &&
           (function == PARE_FN_IDENTITY || function == PARE_FN_RELU || function == PARE_FN_CLIP);
}

static uint64_t gemm_macs(const pare_node *node) {
    const pare_shape *y = &node->outputs[0]->shape, *b = &node->inputs[1]->shape;
    uint64_t rows = y->dims[0] < 0 ? (uint64_t)-y->dims[0] : (uint64_t)y->dims[0];
    return b->dims[0] > 0 && b->dims[1] > 0 ? rows * (uint64_t)b->dims[0] * (uint64_t)b->dims[1] : 0;
}

static void gemm_channels(pare_channels *channels, const pare_node *node) {
    const pare_value *a = node->inputs[0], *b = node->inputs[1], *c = op_input(node, 2), *y = op_output(node, 0);
    int32_t a_rows = flag(node, "transA") ? 1 : 0, b_columns = flag(node, "transB") ? 0 : 1;
    pare_channels_join_axes(channels, a, 1 - a_rows, b, 1 - b_columns);
    pare_channels_join_axes(channels, a, a_rows, y, 0);
    pare_channels_join_axes(channels, b, b_columns, y, 1);
    if (c != NULL && c->shape.rank >= 1) {
        pare_channels_join_axes(channels, c, c->shape.rank - 1, y, 1);
        pare_channels_join_axes(channels, c, c->shape.rank - 2, y, 0);
    }
    pare_channels_adjusted_by(channels, c, 0.0F);
    pare_channels_made_by(channels, b, b_columns);
    pare_channels_made_by(channels, a, a_rows);
}

PARE_DEFINE_OP(Gemm) = {.name = "Gemm",
                        .domain = "",
                        .since = 7,
                        .min_inputs = 2,
                        .max_inputs = 3,
                        .min_outputs = 1,
                        .max_outputs = 1,
                        .quant = PARE_QUANT_WEIGHTED,
                        .weight_input = 1,
                        .bias_input = 2,
                        .weight_channel_axis = 0,
                        .flags = PARE_OP_ACTIVATES,
                        .infer = gemm_infer,
                        .lower = gemm_lower,
                        .integer = gemm_integer,
                        .gradient = gemm_gradient,
                        .macs = gemm_macs,
                        .channels = gemm_channels};
