/* Pad: `pads` (begins, then ends, of `axes` or of all), constant; negative pads crop. */
#include "op_helpers.h"

#include <string.h>

static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};

static pare_status read_pads(const pare_node *node, pare_pad_attrs *attrs, pare_error *error) {
    int32_t rank = node->inputs[0]->shape.rank;
    int64_t pads[2 * PARE_MAX_RANK], axes[PARE_MAX_RANK];
    size_t count = 0, axis_count = 0;
    uint32_t mask = 0;
    *attrs = (pare_pad_attrs){.mode = -1};
    PARE_TRY(op_ints_or_attr(node, 1, "pads", pads, 2 * PARE_MAX_RANK, &count, error));
    PARE_TRY(op_ints(node, 3, axes, PARE_MAX_RANK, &axis_count, error));
    PARE_TRY(op_axis_mask(node, axes, axis_count, rank, &mask, error));
    size_t named = op_input(node, 3) != NULL ? axis_count : (size_t)rank;
    if (count != 2 * named) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected %zu pads, found %zu", 2 * named, count);
    }
    for (size_t i = 0; i < named; i++) {
        int64_t axis = axis_count == 0 ? (int64_t)i : axes[i] < 0 ? axes[i] + rank : axes[i];
        int64_t before = pads[i], after = pads[named + i];
        if (before > INT32_MAX || before < -INT32_MAX || after > INT32_MAX || after < -INT32_MAX) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected pads below 2^31, found %lld and %lld",
                                  (long long)before, (long long)after);
        }
        attrs->before[axis] = (int32_t)before;
        attrs->after[axis] = (int32_t)after;
    }
    const char *mode = pare_node_string(node, "mode", "constant");
    for (int32_t i = 0; i < PARE_PAD_END; i++) {
        attrs->mode = strcmp(mode, modes[i]) == 0 ? i : attrs->mode;
    }
    return attrs->mode >= 0 ? PARE_OK
                            : pare_node_fail(node, error, PARE_UNSUPPORTED,
                                             "expected mode constant, reflect, edge or wrap, found %s", mode);
}

static pare_status pad_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    pare_pad_attrs attrs;
    PARE_TRY(read_pads(node, &attrs, error));
    pare_shape y = node->inputs[0]->shape;
    for (int32_t a = 0; a < y.rank; a++) {
        int64_t added = (int64_t)attrs.before[a] + attrs.after[a];
        if (y.dims[a] < 0 && (attrs.before[a] != 0 || attrs.after[a] != 0)) {
            return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected the batch without pads, found some");
        }
        if (y.dims[a] >= 0 && y.dims[a] + added < 0) {
            return pare_node_fail(node, error, PARE_BAD_INPUT,
                                  "expected pads that leave elements of axis %d, found %lld", (int)a, (long long)added);
        }
        y.dims[a] = y.dims[a] < 0 ? y.dims[a] : y.dims[a] + added;
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status pad_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    pare_pad_attrs attrs;
    uint32_t in = PARE_NONE, out = PARE_NONE;
    const pare_value *value = op_input(node, 2);
    PARE_TRY(read_pads(node, &attrs, error));
    attrs.value = pare_node_float(node, "value", 0.0F);
    if (value != NULL && !op_float_at(value, 0, &attrs.value) && (!op_is_constant(value) || op_count(value) != 0)) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED,
                              "expected a constant value to pad with, found one that is computed");
    }
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return pare_lower_emit(lowering, node, PARE_OP_PAD, &attrs, &in, 1, &out, 1, error);
}

/* Negative pads crop. Padded channels are joined with nothing: what reads them says what they are. */
static void pad_channels(pare_channels *channels, const pare_node *node) {
    const pare_value *x = node->inputs[0], *y = op_output(node, 0);
    pare_pad_attrs attrs;
    if (read_pads(node, &attrs, NULL) != PARE_OK || y == NULL) {
        return;
    }
    for (int32_t a = 0; a < x->shape.rank; a++) {
        int64_t first = attrs.before[a] < 0 ? -attrs.before[a] : 0;
        int64_t last = x->shape.dims[a] + (attrs.after[a] < 0 ? attrs.after[a] : 0);
        pare_channels_join_range(channels, x, a, first, y, a, first + attrs.before[a], last - first);
        if (attrs.mode != PARE_PAD_CONSTANT &&
            (attrs.before[a] != 0 || attrs.after[a] != 0)) { /* mirrors channels into others */
            pare_channels_hold(channels, x, a);
            pare_channels_hold(channels, y, a);
        }
    }
}

static int64_t pad_left(const pare_channels *channels, const pare_node *node, int32_t axis, int64_t pad, bool after) {
    const pare_value *x = node->inputs[0], *y = node->outputs[0];
    const pare_value *side = pad < 0 ? x : y;
    int64_t extent = side->shape.dims[axis], size = pad < 0 ? -pad : pad;
    int64_t left = after ? pare_channels_left(channels, side, axis, extent - size, extent)
                         : pare_channels_left(channels, side, axis, 0, size);
    return pad < 0 ? -left : left;
}

static pare_status pad_resized(const pare_channels *channels, pare_graph *graph, pare_node *node, pare_error *error) {
    pare_pad_attrs attrs;
    int64_t pads[2 * PARE_MAX_RANK], axes[PARE_MAX_RANK];
    size_t count = 0, axis_count = 0;
    bool changed = false;
    PARE_TRY(read_pads(node, &attrs, error));
    PARE_TRY(op_ints_or_attr(node, 1, "pads", pads, 2 * PARE_MAX_RANK, &count, error));
    PARE_TRY(op_ints(node, 3, axes, PARE_MAX_RANK, &axis_count, error));
    for (size_t i = 0; node->outputs[0] != NULL && i < count; i++) {
        int32_t axis = (int32_t)(i % (count / 2));
        if (axis_count != 0) {
            PARE_TRY(op_axis(node, axes[axis], node->inputs[0]->shape.rank, &axis, error));
        }
        if (pads[i] != 0) {
            int64_t left = pad_left(channels, node, axis, pads[i], i >= count / 2);
            changed = changed || left != pads[i];
            pads[i] = left;
        }
    }
    return changed ? op_set_ints(graph, node, 1, "pads", pads, count, error) : PARE_OK;
}

PARE_DEFINE_OP(Pad) = {.name = "Pad",
                       .domain = "",
                       .since = 1,
                       .min_inputs = 1,
                       .max_inputs = 4,
                       .min_outputs = 1,
                       .max_outputs = 1,
                       .quant = PARE_QUANT_MOVE,
                       .weight_input = -1,
                       .bias_input = -1,
                       .infer = pad_infer,
                       .lower = pad_lower,
                       .channels = pad_channels,
                       .resized = pad_resized};
