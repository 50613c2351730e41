/* Clip: y = min(max(x, low), high); either bound may be absent. */
#include "op_helpers.h"

#include <math.h>

#include "train/tape/tape.h"

/* False where a bound is computed, or given for other than floats. */
static bool clip_function(const pare_node *node, pare_activation *function) {
    *function = (pare_activation){PARE_FN_CLIP, -INFINITY, INFINITY};
    const pare_value *low = op_input(node, 1), *high = op_input(node, 2);
    return node->inputs[0]->dtype == PARE_F32 && (low == NULL || op_float_at(low, 0, &function->alpha)) &&
           (high == NULL || op_float_at(high, 0, &function->beta)) && !isnan(function->alpha) && !isnan(function->beta);
}

static pare_status clip_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    for (size_t i = 1; i < node->input_count; i++) {
        const pare_value *bound = node->inputs[i];
        size_t elements = 0;
        if (bound != NULL && (!pare_shape_elements(&bound->shape, &elements) || elements != 1)) {
            char text[160];
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected bounds of one element, found %s",
                                  pare_shape_text(&bound->shape, text, sizeof text));
        }
    }
    return op_infer_same(graph, node, error);
}

/* One bound after the other, where they are computed or integers. */
static pare_status lower_bounds(pare_lowering *lowering, const pare_node *node, uint32_t in, uint32_t last,
                                pare_error *error) {
    pare_dtype dtype = node->inputs[0]->dtype, wide = op_working_dtype(dtype);
    uint32_t out = last;
    bool low = op_input(node, 1) != NULL, high = op_input(node, 2) != NULL;
    pare_shape scalar = {.rank = 0};
    uint32_t bound = PARE_NONE, between = out;
    if (!low && !high) {
        return op_emit_reshape(lowering, node, in, out, error);
    }
    PARE_TRY(op_cast_to(lowering, node, wide, &in, error));
    if (wide != dtype) {
        PARE_TRY(op_temporary(lowering, node, in, NULL, &out, error));
        between = out;
    }
    if (low) {
        if (high) {
            PARE_TRY(op_temporary(lowering, node, out, NULL, &between, error));
        }
        PARE_TRY(pare_lower_input(lowering, node, 1, &bound, error));
        PARE_TRY(op_reshaped(lowering, node, bound, &scalar, &bound, error));
        PARE_TRY(op_cast_to(lowering, node, wide, &bound, error));
        PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_MAX, in, bound, op_identity, between, error));
        in = between;
    }
    if (high) {
        PARE_TRY(pare_lower_input(lowering, node, 2, &bound, error));
        PARE_TRY(op_reshaped(lowering, node, bound, &scalar, &bound, error));
        PARE_TRY(op_cast_to(lowering, node, wide, &bound, error));
        PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_MIN, in, bound, op_identity, out, error));
    }
    return out == last ? PARE_OK : op_emit_cast(lowering, node, out, dtype, last, error);
}

static pare_status clip_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    pare_activation function;
    uint32_t in = PARE_NONE, out = PARE_NONE;
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    if (!clip_function(node, &function)) {
        return lower_bounds(lowering, node, in, out, error);
    }
    if (lowering->integer) {
        return op_emit_table(lowering, node, function, in, out, error);
    }
    return op_emit_unary(lowering, node, function, in, out, error);
}

/* A bound of one element, which may have any rank, as a scalar. */
static pare_status record_bound(pare_tape *tape, const pare_node *node, size_t index, pare_binary_kind kind, uint32_t x,
                                uint32_t y, pare_error *error) {
    pare_shape scalar = {.rank = 0};
    uint32_t bound = tape_input(tape, node, index);
    PARE_TRY(tape_reshaped(tape, node, &scalar, &bound, error));
    return tape_binary(tape, node, kind, x, bound, y, error);
}

static pare_status clip_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    pare_activation function;
    uint32_t x = tape_input(tape, node, 0), y = tape_output(tape, node, 0), between = y;
    if (clip_function(node, &function)) {
        return tape_unary(tape, node, function, x, y, error);
    }
    if (op_input(node, 1) != NULL) {
        between = op_input(node, 2) != NULL ? tape_temporary(tape, node, &node->outputs[0]->shape) : y;
        PARE_TRY(record_bound(tape, node, 1, PARE_BINARY_MAX, x, between, error));
        x = between;
    }
    return op_input(node, 2) != NULL ? record_bound(tape, node, 2, PARE_BINARY_MIN, x, y, error) : PARE_OK;
}

PARE_DEFINE_OP(Clip) = {.name = "Clip",
                        .domain = "",
                        .since = 1,
                        .min_inputs = 1,
                        .max_inputs = 3,
                        .min_outputs = 1,
                        .max_outputs = 1,
                        .quant = PARE_QUANT_TABLE,
                        .weight_input = -1,
                        .bias_input = -1,
                        .clamp = true,
                        .infer = clip_infer,
                        .lower = clip_lower,
                        .function = clip_function,
                        .gradient = clip_gradient,
                        .channels = op_channels_same};
