/* MaxPool, AveragePool and their global forms: x [N, C, spatial...]. One
 * spatial dimension runs as two; global pooling over more is a reduction. */
#include "op_helpers.h"

#include "train/tape/tape.h"

static pare_status pool_window(const pare_node *node, op_window *window, pare_error *error) {
    PARE_TRY(op_check_rank(node, 0, 3, 4, error));
    const pare_shape *x = &node->inputs[0]->shape;
    const int64_t *kernel = NULL;
    size_t count = pare_node_ints(node, "kernel_shape", &kernel);
    if (count + 2 != (size_t)x->rank) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected %d elements in kernel_shape, found %zu",
                              (int)x->rank - 2, count);
    }
    return op_window_read(node, x, kernel, pare_node_int(node, "ceil_mode", 0) != 0, window, error);
}

static pare_status pool_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    op_window window;
    PARE_TRY(pool_window(node, &window, error));
    pare_shape y = node->inputs[0]->shape;
    for (int32_t i = 0; i < window.spatial; i++) {
        y.dims[2 + i] = window.extent[2 - window.spatial + i];
    }
    const pare_value *indices = op_output(node, 1);
    if (indices != NULL && (indices->use_count > 0 || indices->is_output)) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected no reader of the indices, found some");
    }
    PARE_TRY(op_set_output(node, 1, PARE_S64, &y, error));
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status emit_pool(pare_lowering *lowering, const pare_node *node, const pare_pool_attrs *attrs,
                             pare_error *error) {
    uint32_t in = PARE_NONE, out = PARE_NONE, wide = PARE_NONE;
    pare_shape x = op_shape_2d(&node->inputs[0]->shape), y = op_shape_2d(&node->outputs[0]->shape);
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    PARE_TRY(op_reshaped(lowering, node, in, &x, &in, error));
    if (!lowering->integer) { /* plain integers pass through floats */
        PARE_TRY(op_cast_to(lowering, node, PARE_F32, &in, error));
    }
    bool plain = !lowering->integer && node->outputs[0]->dtype != PARE_F32;
    wide = out;
    if (node->outputs[0]->shape.rank == 3 || plain) {
        PARE_TRY(op_temporary(lowering, node, plain ? in : out, &y, &wide, error));
    }
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_POOL, attrs, &in, 1, &wide, 1, error));
    if (plain) {
        PARE_TRY(op_reshaped(lowering, node, wide, &node->outputs[0]->shape, &wide, error));
        return op_emit_cast(lowering, node, wide, node->outputs[0]->dtype, out, error);
    }
    return wide == out ? PARE_OK : op_emit_reshape(lowering, node, wide, out, error);
}

static pare_status lower_window(pare_lowering *lowering, const pare_node *node, pare_pool_kind kind,
                                pare_error *error) {
    op_window window;
    PARE_TRY(pool_window(node, &window, error));
    pare_pool_attrs attrs = {.kind = (int32_t)kind,
                             .kernel_h = (int32_t)window.kernel[0],
                             .kernel_w = (int32_t)window.kernel[1],
                             .stride_h = (int32_t)window.stride[0],
                             .stride_w = (int32_t)window.stride[1],
                             .dilation_h = (int32_t)window.dilation[0],
                             .dilation_w = (int32_t)window.dilation[1],
                             .pad_top = (int32_t)window.before[0],
                             .pad_left = (int32_t)window.before[1],
                             .pad_bottom = (int32_t)window.after[0],
                             .pad_right = (int32_t)window.after[1],
                             .ceil_mode = pare_node_int(node, "ceil_mode", 0) != 0};
    return emit_pool(lowering, node, &attrs, error);
}

static pare_status max_pool_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    return lower_window(lowering, node, PARE_POOL_MAX, error);
}

static pare_status average_pool_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    bool padding = pare_node_int(node, "count_include_pad", 0) != 0;
    return lower_window(lowering, node, padding ? PARE_POOL_AVERAGE_WITH_PADDING : PARE_POOL_AVERAGE, error);
}

static pare_status global_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    PARE_TRY(op_check_rank(node, 0, 2, PARE_MAX_RANK, error));
    pare_shape y = node->inputs[0]->shape;
    for (int32_t a = 2; a < y.rank; a++) {
        if (y.dims[a] < 1) {
            return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected fixed spatial extents, found open or empty");
        }
        y.dims[a] = 1;
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status lower_global(pare_lowering *lowering, const pare_node *node, pare_pool_kind kind,
                                pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    if (x->rank == 3 || x->rank == 4) {
        pare_pool_attrs attrs = {.kind = (int32_t)kind,
                                 .kernel_h = x->rank == 4 ? (int32_t)x->dims[2] : 1,
                                 .kernel_w = (int32_t)x->dims[x->rank - 1],
                                 .stride_h = 1,
                                 .stride_w = 1,
                                 .dilation_h = 1,
                                 .dilation_w = 1};
        return emit_pool(lowering, node, &attrs, error);
    }
    uint32_t in = PARE_NONE, out = PARE_NONE;
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    if (x->rank == 2) {
        return op_emit_reshape(lowering, node, in, out, error);
    }
    pare_reduce_attrs attrs = {.kind = kind == PARE_POOL_MAX ? PARE_REDUCE_MAX : PARE_REDUCE_MEAN,
                               .axis_mask = ((1 << x->rank) - 1) & ~3,
                               .keep_dims = 1};
    return pare_lower_emit(lowering, node, PARE_OP_REDUCE, &attrs, &in, 1, &out, 1, error);
}

static pare_status global_max_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    return lower_global(lowering, node, PARE_POOL_MAX, error);
}

static pare_status global_average_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    return lower_global(lowering, node, PARE_POOL_AVERAGE, error);
}

/* Elements of the window at `position` that lie before `end`, and after `-before`. */
static int64_t taps_within(const tape_pool_attrs *attrs, int32_t axis, int64_t position, int64_t before, int64_t end) {
    int64_t start = position * attrs->stride[axis] - attrs->before[axis], count = 0;
    for (int64_t k = 0; k < attrs->kernel[axis]; k++) {
        int64_t at = start + k * attrs->dilation[axis];
        count += at >= -before && at < end;
    }
    return count;
}

/* A mean over the elements of x, times this, is one over those of x and its padding. */
static float share_of_input(const tape_pool_attrs *attrs, const pare_shape *x, const int64_t *after,
                            const int64_t *position) {
    float share = 1.0F;
    for (int32_t i = 0; i < attrs->spatial; i++) {
        int64_t extent = x->dims[2 + i];
        share *= (float)taps_within(attrs, i, position[i], 0, extent) /
                 (float)taps_within(attrs, i, position[i], attrs->before[i], extent + after[i]);
    }
    return share;
}

/* Windows that ceil_mode lets run past the padding count only what lies before its end, which oneDNN cannot: a mean
 * without padding, corrected for each position. */
static pare_status partly_padded_gradient(pare_tape *tape, const pare_node *node, tape_pool_attrs *attrs,
                                          const int64_t *after, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape, *y = &node->outputs[0]->shape;
    pare_shape shape = {.rank = y->rank, .dims = {1, 1, y->dims[2], y->rank > 3 ? y->dims[3] : 0}};
    int64_t columns = y->rank > 3 ? y->dims[3] : 1;
    size_t count = (size_t)(y->dims[2] * columns);
    float *shares = pare_alloc(count * sizeof *shares + 1);
    if (shares == NULL) {
        return pare_fail_memory(error, count * sizeof *shares);
    }
    for (size_t i = 0; i < count; i++) {
        shares[i] = share_of_input(attrs, x, after, (const int64_t[]){(int64_t)i / columns, (int64_t)i % columns});
    }
    attrs->kind = PARE_POOL_AVERAGE;
    uint32_t mean = tape_temporary(tape, node, y), share = tape_constant(tape, &shape, shares);
    pare_free(shares);
    PARE_TRY(tape_pool(tape, node, attrs, tape_input(tape, node, 0), mean, error));
    return tape_binary(tape, node, PARE_BINARY_MUL, mean, share, tape_output(tape, node, 0), error);
}

static pare_status window_gradient(pare_tape *tape, const pare_node *node, pare_pool_kind kind, pare_error *error) {
    op_window window;
    PARE_TRY(pool_window(node, &window, error));
    tape_pool_attrs attrs = {.kind = (int32_t)kind, .spatial = window.spatial};
    int64_t after[2] = {0};
    bool longer = false;
    for (int32_t i = 0; i < window.spatial; i++) {
        int32_t from = 2 - window.spatial + i;
        attrs.kernel[i] = window.kernel[from];
        attrs.stride[i] = window.stride[from];
        attrs.dilation[i] = window.dilation[from];
        attrs.before[i] = window.before[from];
        attrs.after[i] = after[i] = window.after[from];
        /* oneDNN wants the last window of ceil_mode padded to its end. */
        int64_t end = (window.extent[from] - 1) * attrs.stride[i] + (attrs.kernel[i] - 1) * attrs.dilation[i] + 1;
        int64_t needed = end - attrs.before[i] - node->inputs[0]->shape.dims[2 + i];
        if (needed > after[i]) {
            attrs.after[i] = needed;
            longer = true;
        }
    }
    if (longer && kind == PARE_POOL_AVERAGE_WITH_PADDING) {
        return partly_padded_gradient(tape, node, &attrs, after, error);
    }
    return tape_pool(tape, node, &attrs, tape_input(tape, node, 0), tape_output(tape, node, 0), error);
}

static pare_status max_pool_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    return window_gradient(tape, node, PARE_POOL_MAX, error);
}

static pare_status average_pool_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    bool padding = pare_node_int(node, "count_include_pad", 0) != 0;
    return window_gradient(tape, node, padding ? PARE_POOL_AVERAGE_WITH_PADDING : PARE_POOL_AVERAGE, error);
}

/* One window; what is left of more than three spatial axes is a reduction. */
static pare_status global_gradient(pare_tape *tape, const pare_node *node, pare_pool_kind kind, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    uint32_t in = tape_input(tape, node, 0), out = tape_output(tape, node, 0);
    if (x->rank < 3) {
        return tape_reshape(tape, node, in, out, error);
    }
    if (x->rank > 5) {
        return tape_reduce(tape, node, kind == PARE_POOL_MAX ? PARE_REDUCE_MAX : PARE_REDUCE_MEAN,
                           ((1U << x->rank) - 1) & ~3U, in, out, error);
    }
    tape_pool_attrs attrs = {.kind = (int32_t)kind, .spatial = x->rank - 2};
    for (int32_t i = 0; i < attrs.spatial; i++) {
        attrs.kernel[i] = x->dims[2 + i];
        attrs.stride[i] = attrs.dilation[i] = 1;
    }
    return tape_pool(tape, node, &attrs, in, out, error);
}

static pare_status global_max_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    return global_gradient(tape, node, PARE_POOL_MAX, error);
}

static pare_status global_average_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    return global_gradient(tape, node, PARE_POOL_AVERAGE, error);
}

static bool pool_integer(const pare_node *node) {
    return node->inputs[0]->shape.rank == 3 || node->inputs[0]->shape.rank == 4;
}

#define POOL(op_name, most_outputs, rule, infer_rule, lower_rule, slope)                                               \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = 1, .min_inputs = 1, .max_inputs = 1, .min_outputs = 1,                 \
        .max_outputs = most_outputs, .quant = rule, .weight_input = -1, .bias_input = -1, .flags = PARE_OP_POOLS,      \
        .infer = infer_rule, .lower = lower_rule, .integer = pool_integer, .gradient = slope,                          \
        .channels = op_channels_spatial                                                                                \
    }

PARE_DEFINE_OP(MaxPool) = POOL("MaxPool", 2, PARE_QUANT_MOVE, pool_infer, max_pool_lower, max_pool_gradient);
PARE_DEFINE_OP(AveragePool) = POOL("AveragePool", 1, PARE_QUANT_ARITHMETIC, pool_infer, average_pool_lower,
                                   average_pool_gradient);
PARE_DEFINE_OP(GlobalMaxPool) = POOL("GlobalMaxPool", 1, PARE_QUANT_MOVE, global_infer, global_max_lower,
                                     global_max_gradient);
PARE_DEFINE_OP(GlobalAveragePool) = POOL("GlobalAveragePool", 1, PARE_QUANT_ARITHMETIC, global_infer,
                                         global_average_lower, global_average_gradient);
