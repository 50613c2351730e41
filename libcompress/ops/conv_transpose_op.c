/* ConvTranspose: x [N, C, spatial...], w [C, O / group, kernel...]; one or two
 * spatial dimensions. output = stride (input - 1) + output_padding + dilated kernel - pads. */
#include "op_helpers.h"

#include <string.h>

#include "train/tape/tape.h"

typedef struct transposed_window {
    int64_t kernel[2], stride[2], dilation[2], before[2], after[2], extra[2], extent[2];
    int32_t spatial;
} transposed_window;

static pare_status read_list(const pare_node *node, const char *name, size_t expected, int64_t fallback,
                             int64_t *values, bool *present, pare_error *error) {
    const int64_t *listed = NULL;
    size_t count = pare_node_ints(node, name, &listed);
    if (count != 0 && count != expected) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected %zu elements in attribute %s, found %zu", expected,
                              name, count);
    }
    for (size_t i = 0; i < expected; i++) {
        values[i] = count != 0 ? listed[i] : fallback;
        if (values[i] < 0 || values[i] > INT32_MAX) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected %s from 0 to %d, found %lld", name, INT32_MAX,
                                  (long long)values[i]);
        }
    }
    if (present != NULL) {
        *present = count != 0;
    }
    return PARE_OK;
}

static pare_status axis_extent(const pare_node *node, transposed_window *window, int32_t axis, int64_t input,
                               bool sized, int64_t wanted, pare_error *error) {
    op_auto_pad mode = OP_PAD_EXPLICIT;
    int64_t spread = 0, taps = 0, full = 0;
    PARE_TRY(op_auto_pad_read(node, &mode, error));
    bool same = mode == OP_PAD_SAME_UPPER || mode == OP_PAD_SAME_LOWER;
    if (input < 1 || window->kernel[axis] < 1 || !pare_mul_i64(window->stride[axis], input - 1, &spread) ||
        !pare_mul_i64(window->kernel[axis] - 1, window->dilation[axis], &taps) ||
        !pare_add_i64(spread, taps + 1 + window->extra[axis], &full)) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected positive, fixed extents, found %lld under %lld",
                              (long long)input, (long long)window->kernel[axis]);
    }
    if (sized || same) {
        int64_t output = sized ? wanted : input * window->stride[axis];
        int64_t total = full - output;
        if (total < 0) { /* ONNX: the rest becomes output padding */
            window->extra[axis] -= total;
            total = 0;
        }
        bool upper = mode == OP_PAD_SAME_UPPER;
        window->before[axis] = upper ? total / 2 : total - total / 2;
        window->after[axis] = total - window->before[axis];
        window->extent[axis] = output;
    } else {
        window->extent[axis] = full - window->before[axis] - window->after[axis];
    }
    if (window->stride[axis] < 1 || window->dilation[axis] < 1 || window->extent[axis] < 1 ||
        window->extent[axis] > INT32_MAX) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected positive, fixed extents, found %lld to %lld",
                              (long long)input, (long long)window->extent[axis]);
    }
    return PARE_OK;
}

static pare_status read_window(const pare_node *node, transposed_window *window, pare_error *error) {
    PARE_TRY(op_check_rank(node, 0, 3, 4, error));
    const pare_shape *x = &node->inputs[0]->shape, *w = &node->inputs[1]->shape;
    if (w->rank != x->rank) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected weights of %d dimensions, found %d", (int)x->rank,
                              (int)w->rank);
    }
    int32_t spatial = x->rank - 2, first = 2 - spatial;
    size_t count = (size_t)spatial;
    *window = (transposed_window){
        .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .extent = {1, 1}, .spatial = spatial};
    int64_t pads[4] = {0}, sizes[2] = {0};
    bool sized = false;
    PARE_TRY(read_list(node, "strides", count, 1, window->stride + first, NULL, error));
    PARE_TRY(read_list(node, "dilations", count, 1, window->dilation + first, NULL, error));
    PARE_TRY(read_list(node, "output_padding", count, 0, window->extra + first, NULL, error));
    PARE_TRY(read_list(node, "pads", 2 * count, 0, pads, NULL, error));
    PARE_TRY(read_list(node, "output_shape", count, 0, sizes, &sized, error));
    for (int32_t i = 0; i < spatial; i++) {
        window->kernel[first + i] = w->dims[2 + i];
        window->before[first + i] = pads[i];
        window->after[first + i] = pads[spatial + i];
        PARE_TRY(axis_extent(node, window, first + i, x->dims[2 + i], sized, sizes[i], error));
    }
    return PARE_OK;
}

static pare_status transposed_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    transposed_window window;
    PARE_TRY(read_window(node, &window, error));
    const pare_shape *x = &node->inputs[0]->shape, *w = &node->inputs[1]->shape;
    int64_t groups = pare_node_int(node, "group", 1);
    if (groups < 1 || groups > INT32_MAX || w->dims[0] != x->dims[1] || w->dims[0] % groups != 0) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected weights for %lld channels in groups, found %lld",
                              (long long)x->dims[1], (long long)w->dims[0]);
    }
    pare_shape y = *x;
    y.dims[1] = w->dims[1] * groups;
    for (int32_t i = 0; i < window.spatial; i++) {
        y.dims[2 + i] = window.extent[2 - window.spatial + i];
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status transposed_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    transposed_window window;
    PARE_TRY(read_window(node, &window, error));
    pare_conv_attrs attrs = {.stride_h = (int32_t)window.stride[0],
                             .stride_w = (int32_t)window.stride[1],
                             .dilation_h = (int32_t)window.dilation[0],
                             .dilation_w = (int32_t)window.dilation[1],
                             .pad_top = (int32_t)window.before[0],
                             .pad_left = (int32_t)window.before[1],
                             .pad_bottom = (int32_t)window.after[0],
                             .pad_right = (int32_t)window.after[1],
                             .groups = (int32_t)pare_node_int(node, "group", 1),
                             .output_pad_h = (int32_t)window.extra[0],
                             .output_pad_w = (int32_t)window.extra[1]};
    pare_shape x = op_shape_2d(&node->inputs[0]->shape), w = op_shape_2d(&node->inputs[1]->shape);
    pare_shape y = op_shape_2d(&node->outputs[0]->shape);
    uint32_t inputs[3], out = PARE_NONE, wide = PARE_NONE;
    for (size_t i = 0; i < 3; i++) {
        PARE_TRY(pare_lower_input(lowering, node, i, &inputs[i], error));
    }
    PARE_TRY(op_reshaped(lowering, node, inputs[0], &x, &inputs[0], error));
    PARE_TRY(op_reshaped(lowering, node, inputs[1], &w, &inputs[1], error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    wide = out;
    if (window.spatial == 1) {
        PARE_TRY(op_temporary(lowering, node, out, &y, &wide, error));
    }
    size_t count = inputs[2] != PARE_NONE ? 3 : 2;
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_CONV_TRANSPOSE, &attrs, inputs, count, &wide, 1, error));
    return wide == out ? PARE_OK : op_emit_reshape(lowering, node, wide, out, error);
}

static pare_status transposed_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    transposed_window window;
    PARE_TRY(read_window(node, &window, error));
    tape_conv_attrs attrs = {.spatial = window.spatial, .groups = pare_node_int(node, "group", 1)};
    for (int32_t i = 0; i < window.spatial; i++) {
        int32_t from = 2 - window.spatial + i;
        attrs.stride[i] = window.stride[from];
        attrs.dilation[i] = window.dilation[from];
        attrs.before[i] = window.before[from];
        attrs.after[i] = window.after[from] - window.extra[from];
        if (attrs.after[i] + attrs.stride[i] < 0) { /* oneDNN's limit */
            return pare_node_fail(node, error, PARE_UNSUPPORTED,
                                  "expected output padding below stride and padding to train, found %lld",
                                  (long long)window.extra[from]);
        }
    }
    /* One statement each: the order in which C evaluates arguments is the compiler's, that of parameters is not. */
    uint32_t x = tape_input(tape, node, 0);
    uint32_t w = tape_weight(tape, node, 1, true);
    uint32_t bias = tape_weight(tape, node, 2, false);
    return tape_conv_transpose(tape, node, &attrs, x, w, bias, tape_output(tape, node, 0), error);
}

static uint64_t transposed_macs(const pare_node *node) {
    uint64_t macs = 1;
    const pare_shape *x = &node->inputs[0]->shape, *w = &node->inputs[1]->shape;
    for (int32_t a = 1; a < x->rank; a++) {
        macs *= (uint64_t)x->dims[a] * (uint64_t)(w->dims[a] > 0 ? w->dims[a] : 1);
    }
    return x->dims[0] > 0 ? macs * (uint64_t)x->dims[0] : macs;
}

static bool is_depthwise(const pare_node *node) {
    int64_t groups = pare_node_int(node, "group", 1);
    return groups > 1 && node->inputs[1]->shape.dims[0] == groups;
}

/* As in Conv, with the weights' axes swapped: w [C, O / group]. */
static void tie_groups(pare_channels *channels, const pare_node *node, const pare_value *x, const pare_value *w,
                       const pare_value *y) {
    int64_t inputs = w->shape.dims[0] / pare_node_int(node, "group", 1), rows = w->shape.dims[1];
    bool depthwise = is_depthwise(node);
    if (!pare_channels_is_tracked(channels, x, 1) || !pare_channels_is_tracked(channels, y, 1)) {
        pare_channels_hold(channels, y, 1);
        pare_channels_hold_from(channels, w, 0);
        return;
    }
    for (int64_t o = 0; y != NULL && o < y->shape.dims[1]; o++) {
        pare_channels_join(channels, y, 1, o, depthwise ? x : w, 1, depthwise ? o / rows : o % rows);
    }
    for (int64_t c = 0; !depthwise && c < x->shape.dims[1]; c++) {
        pare_channels_join(channels, x, 1, c, x, 1, c % inputs);
    }
}

static void transposed_channels(pare_channels *channels, const pare_node *node) {
    const pare_value *x = node->inputs[0], *w = node->inputs[1], *y = op_output(node, 0);
    bool depthwise = is_depthwise(node);
    pare_channels_join_axes(channels, x, 0, y, 0);
    pare_channels_join_axes(channels, x, 1, w, 0);
    if (pare_node_int(node, "group", 1) == 1) {
        pare_channels_join_axes(channels, w, 1, y, 1);
    } else {
        tie_groups(channels, node, x, w, y);
    }
    pare_channels_hold_from(channels, x, 2);
    pare_channels_hold_from(channels, w, 2);
    pare_channels_hold_from(channels, y, 2);
    pare_channels_join_axes(channels, op_input(node, 2), 0, y, 1);
    pare_channels_adjusted_by(channels, op_input(node, 2), 0.0F);
    pare_channels_made_by(channels, w, depthwise ? 0 : 1);
}

static pare_status transposed_resized(const pare_channels *channels, pare_graph *graph, pare_node *node,
                                      pare_error *error) {
    if (!is_depthwise(node)) {
        return PARE_OK;
    }
    int64_t left = pare_channels_left(channels, node->inputs[0], 1, 0, node->inputs[0]->shape.dims[1]);
    return pare_node_set_int(graph, node, "group", left) ? PARE_OK : pare_fail_memory(error, sizeof left);
}

PARE_DEFINE_OP(ConvTranspose) = {.name = "ConvTranspose",
                                 .domain = "",
                                 .since = 1,
                                 .min_inputs = 2,
                                 .max_inputs = 3,
                                 .min_outputs = 1,
                                 .max_outputs = 1,
                                 .quant = PARE_QUANT_FLOAT,
                                 .weight_input = 1,
                                 .bias_input = 2,
                                 .weight_channel_axis = 1,
                                 .infer = transposed_infer,
                                 .lower = transposed_lower,
                                 .gradient = transposed_gradient,
                                 .macs = transposed_macs,
                                 .channels = transposed_channels,
                                 .resized = transposed_resized};
