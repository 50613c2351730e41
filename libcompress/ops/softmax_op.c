/* Softmax and LogSoftmax along one axis, as since opset 13. */
#include "op_helpers.h"

#include "train/tape/tape.h"

static pare_status softmax_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    int32_t axis = 0;
    const pare_shape *x = &node->inputs[0]->shape;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", -1), x->rank, &axis, error));
    if (x->dims[axis] < 0) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected an axis other than the batch, found %d",
                              (int)axis);
    }
    return op_infer_same(graph, node, error);
}

static pare_status lower_as(pare_lowering *lowering, const pare_node *node, int32_t logarithm, pare_error *error) {
    uint32_t in = PARE_NONE, out = PARE_NONE;
    pare_softmax_attrs attrs = {.logarithm = logarithm};
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", -1), node->inputs[0]->shape.rank, &attrs.axis, error));
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return pare_lower_emit(lowering, node, PARE_OP_SOFTMAX, &attrs, &in, 1, &out, 1, error);
}

static pare_status softmax_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    return lower_as(lowering, node, 0, error);
}

static pare_status log_softmax_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    return lower_as(lowering, node, 1, error);
}

static pare_status record_as(pare_tape *tape, const pare_node *node, bool logarithm, pare_error *error) {
    int32_t axis = 0;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", -1), node->inputs[0]->shape.rank, &axis, error));
    return tape_softmax(tape, node, axis, logarithm, tape_input(tape, node, 0), tape_output(tape, node, 0), error);
}

static pare_status softmax_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    return record_as(tape, node, false, error);
}

static pare_status log_softmax_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    return record_as(tape, node, true, error);
}

static void softmax_channels(pare_channels *channels, const pare_node *node) {
    int32_t axis = 0;
    op_channels_same(channels, node);
    (void)op_axis(node, pare_node_int(node, "axis", -1), node->inputs[0]->shape.rank, &axis, NULL);
    pare_channels_hold(channels, node->inputs[0], axis);
}

#define SOFTMAX(op_name, lower_rule, slope)                                                                            \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = 1, .min_inputs = 1, .max_inputs = 1, .min_outputs = 1,                 \
        .max_outputs = 1, .quant = PARE_QUANT_FLOAT, .weight_input = -1, .bias_input = -1, .infer = softmax_infer,     \
        .lower = lower_rule, .gradient = slope, .channels = softmax_channels                                           \
    }

PARE_DEFINE_OP(Softmax) = SOFTMAX("Softmax", softmax_lower, softmax_gradient);
PARE_DEFINE_OP(LogSoftmax) = SOFTMAX("LogSoftmax", log_softmax_lower, log_softmax_gradient);
