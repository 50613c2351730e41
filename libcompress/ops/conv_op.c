/* Conv: x [N, C, spatial...], w [O, C / group, kernel...], optional bias [O];
 * one or two spatial dimensions. A 1-D convolution runs as a 2-D one of height 1. */
#include "op_helpers.h"

#include "train/tape/tape.h"

static pare_status conv_window(const pare_node *node, op_window *window, pare_error *error) {
    const pare_value *x = node->inputs[0], *w = node->inputs[1];
    PARE_TRY(op_check_rank(node, 0, 3, 4, error));
    if (w->shape.rank != x->shape.rank) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected weights of %d dimensions, found %d",
                              (int)x->shape.rank, (int)w->shape.rank);
    }
    const int64_t *listed = NULL;
    size_t count = pare_node_ints(node, "kernel_shape", &listed);
    for (size_t i = 0; i < count; i++) {
        if (i + 2 >= (size_t)w->shape.rank || listed[i] != w->shape.dims[i + 2]) {
            return pare_node_fail(node, error, PARE_BAD_INPUT,
                                  "expected kernel_shape to agree with the weights, found other");
        }
    }
    return op_window_read(node, &x->shape, w->shape.dims + 2, false, window, error);
}

static pare_status conv_check(const pare_node *node, pare_error *error) {
    int64_t groups = pare_node_int(node, "group", 1);
    if (groups < 1 || groups > INT32_MAX) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected a group of at least 1, found %lld",
                              (long long)groups);
    }
    return PARE_OK;
}

static pare_status conv_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    op_window window;
    PARE_TRY(conv_window(node, &window, error));
    const pare_shape *x = &node->inputs[0]->shape, *w = &node->inputs[1]->shape;
    const pare_value *bias = op_input(node, 2);
    int64_t groups = pare_node_int(node, "group", 1);
    if (w->dims[1] * groups != x->dims[1] || w->dims[0] < 1 || w->dims[0] % groups != 0) {
        return pare_node_fail(node, error, PARE_BAD_INPUT,
                              "expected %lld channels in %lld groups, found weights of %lld x %lld",
                              (long long)x->dims[1], (long long)groups, (long long)w->dims[0], (long long)w->dims[1]);
    }
    if (bias != NULL && (bias->shape.rank != 1 || bias->shape.dims[0] != w->dims[0])) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected a bias of %lld elements, found other",
                              (long long)w->dims[0]);
    }
    pare_shape y = *x;
    y.dims[1] = w->dims[0];
    for (int32_t i = 0; i < window.spatial; i++) {
        y.dims[2 + i] = window.extent[2 - window.spatial + i];
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_conv_attrs conv_attrs(const pare_node *node, const op_window *window) {
    return (pare_conv_attrs){.stride_h = (int32_t)window->stride[0],
                             .stride_w = (int32_t)window->stride[1],
                             .dilation_h = (int32_t)window->dilation[0],
                             .dilation_w = (int32_t)window->dilation[1],
                             .pad_top = (int32_t)window->before[0],
                             .pad_left = (int32_t)window->before[1],
                             .pad_bottom = (int32_t)window->after[0],
                             .pad_right = (int32_t)window->after[1],
                             .groups = (int32_t)pare_node_int(node, "group", 1),
                             .activation = op_activation(node),
                             .inner_activation = op_inner_activation(node)};
}

static pare_status conv_weight(pare_lowering *lowering, const pare_node *node, uint32_t *tensor, pare_error *error) {
    pare_shape shape = op_shape_2d(&node->inputs[1]->shape);
    if (op_is_constant(node->inputs[1])) {
        return op_weight(lowering, node, 1, &shape, false, tensor, error);
    }
    PARE_TRY(pare_lower_input(lowering, node, 1, tensor, error));
    return op_reshaped(lowering, node, *tensor, &shape, tensor, error);
}

static pare_status conv_bias(pare_lowering *lowering, const pare_node *node, uint32_t *tensor, pare_error *error) {
    if (op_input(node, 2) != NULL && !op_is_constant(node->inputs[2])) {
        return pare_lower_input(lowering, node, 2, tensor, error);
    }
    return op_bias(lowering, node, 2, (size_t)node->inputs[1]->shape.dims[0], 1.0F, node->inputs[0], node->inputs[1],
                   tensor, error);
}

static pare_status conv_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    op_window window;
    PARE_TRY(conv_window(node, &window, error));
    pare_conv_attrs attrs = conv_attrs(node, &window);
    uint32_t inputs[4], out = PARE_NONE, wide = PARE_NONE;
    pare_shape x = op_shape_2d(&node->inputs[0]->shape), y = op_shape_2d(&node->outputs[0]->shape);
    PARE_TRY(pare_lower_input(lowering, node, 0, &inputs[0], error));
    PARE_TRY(op_reshaped(lowering, node, inputs[0], &x, &inputs[0], error));
    PARE_TRY(conv_weight(lowering, node, &inputs[1], error));
    PARE_TRY(conv_bias(lowering, node, &inputs[2], error));
    PARE_TRY(pare_lower_input(lowering, node, 3, &inputs[3], error));
    if (inputs[3] != PARE_NONE) {
        PARE_TRY(op_reshaped(lowering, node, inputs[3], &y, &inputs[3], error));
        attrs.inner_scale = lowering->integer ? pare_node_float(node, "pare_inner_scale", 0.0F) : 0.0F;
        attrs.inner_zero = lowering->integer ? (int32_t)pare_node_int(node, "pare_inner_zero", 0) : 0;
    }
    size_t count = inputs[3] != PARE_NONE ? 4 : inputs[2] != PARE_NONE ? 3 : 2;
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    if (window.spatial == 2) {
        return pare_lower_emit(lowering, node, PARE_OP_CONV, &attrs, inputs, count, &out, 1, error);
    }
    PARE_TRY(op_temporary(lowering, node, out, &y, &wide, error));
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_CONV, &attrs, inputs, count, &wide, 1, error));
    return op_emit_reshape(lowering, node, wide, out, error);
}

static pare_status conv_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    op_window window;
    PARE_TRY(conv_window(node, &window, error));
    tape_conv_attrs attrs = {.spatial = window.spatial, .groups = pare_node_int(node, "group", 1)};
    for (int32_t i = 0; i < window.spatial; i++) {
        int32_t from = 2 - window.spatial + i;
        attrs.stride[i] = window.stride[from];
        attrs.dilation[i] = window.dilation[from];
        attrs.before[i] = window.before[from];
        attrs.after[i] = window.after[from];
    }
    /* One statement each: the order in which C evaluates arguments is the compiler's, that of parameters is not. */
    uint32_t x = tape_input(tape, node, 0);
    uint32_t w = tape_weight(tape, node, 1, true);
    uint32_t bias = tape_weight(tape, node, 2, false);
    return tape_conv(tape, node, &attrs, x, w, bias, tape_output(tape, node, 0), error);
}

static bool clamps(pare_activation activation) {
    return activation.function == PARE_FN_IDENTITY || activation.function == PARE_FN_RELU ||
           activation.function == PARE_FN_CLIP;
}

static bool conv_integer(const pare_node *node) {
    const pare_value *bias = op_input(node, 2), *residual = op_input(node, 3);
    return op_is_integer_weight(node->inputs[1], 0) && (bias == NULL || op_is_constant(bias)) &&
           (residual == NULL || (op_is_u8(residual) && pare_node_attr(node, "pare_inner_scale") != NULL)) &&
           clamps(op_activation(node)) && clamps(op_inner_activation(node));
}

static uint64_t conv_macs(const pare_node *node) {
    uint64_t macs = 1;
    const pare_shape *y = &node->outputs[0]->shape, *w = &node->inputs[1]->shape;
    for (int32_t a = 1; a < y->rank; a++) {
        macs *= (uint64_t)y->dims[a];
    }
    for (int32_t a = 1; a < w->rank; a++) {
        macs *= (uint64_t)w->dims[a];
    }
    return y->dims[0] > 0 ? macs * (uint64_t)y->dims[0] : macs;
}

/* Depthwise convolution, perhaps with several filters a channel: whole groups may go. */
static bool is_depthwise(const pare_node *node) {
    return pare_node_int(node, "group", 1) > 1 && node->inputs[1]->shape.dims[1] == 1;
}

/* Where groups hold several channels, as many go from each: channel j of one is tied to
 * channel j of the others, for they share row j of the weights. */
static void tie_groups(pare_channels *channels, const pare_node *node, const pare_value *x, const pare_value *w,
                       const pare_value *y) {
    int64_t rows = w->shape.dims[0] / pare_node_int(node, "group", 1), inputs = w->shape.dims[1];
    bool depthwise = is_depthwise(node);
    if (!pare_channels_is_tracked(channels, x, 1) || !pare_channels_is_tracked(channels, y, 1)) {
        pare_channels_hold(channels, x, 1);
        pare_channels_hold_from(channels, w, 0);
        return;
    }
    for (int64_t o = 0; o < w->shape.dims[0]; o++) {
        pare_channels_join(channels, y, 1, o, depthwise ? x : y, 1, depthwise ? o / rows : o % rows);
    }
    for (int64_t c = 0; !depthwise && c < x->shape.dims[1]; c++) {
        pare_channels_join(channels, x, 1, c, w, 1, c % inputs);
    }
}

static void conv_channels(pare_channels *channels, const pare_node *node) {
    const pare_value *x = node->inputs[0], *w = node->inputs[1], *y = op_output(node, 0);
    pare_channels_join_axes(channels, x, 0, y, 0);
    pare_channels_join_axes(channels, w, 0, y, 1);
    if (pare_node_int(node, "group", 1) == 1) {
        pare_channels_join_axes(channels, x, 1, w, 1);
    } else {
        tie_groups(channels, node, x, w, y);
    }
    pare_channels_hold_from(channels, x, 2);
    pare_channels_hold_from(channels, w, 2);
    pare_channels_hold_from(channels, y, 2);
    pare_channels_join_axes(channels, op_input(node, 2), 0, y, 1);
    pare_channels_adjusted_by(channels, op_input(node, 2), 0.0F);
    pare_channels_made_by(channels, w, 0);
}

static pare_status conv_resized(const pare_channels *channels, pare_graph *graph, pare_node *node, pare_error *error) {
    if (!is_depthwise(node)) {
        return PARE_OK;
    }
    int64_t left = pare_channels_left(channels, node->inputs[0], 1, 0, node->inputs[0]->shape.dims[1]);
    return pare_node_set_int(graph, node, "group", left) ? PARE_OK : pare_fail_memory(error, sizeof left);
}

PARE_DEFINE_OP(Conv) = {.name = "Conv",
                        .domain = "",
                        .since = 1,
                        .min_inputs = 2,
                        .max_inputs = 3,
                        .min_outputs = 1,
                        .max_outputs = 1,
                        .quant = PARE_QUANT_WEIGHTED,
                        .weight_input = 1,
                        .bias_input = 2,
                        .weight_channel_axis = 0,
                        .flags = PARE_OP_ACTIVATES | PARE_OP_RESIDUAL,
                        .check = conv_check,
                        .infer = conv_infer,
                        .lower = conv_lower,
                        .integer = conv_integer,
                        .gradient = conv_gradient,
                        .macs = conv_macs,
                        .channels = conv_channels,
                        .resized = conv_resized};
