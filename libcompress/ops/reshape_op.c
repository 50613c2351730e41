/* Operators that keep the elements in order and change the shape at most:
 * Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout (at inference). */
#include "op_helpers.h"

#include "train/tape/tape.h"

/* --- infer ---------------------------------------------------------------- */

/* -1 in a target: what remains of the elements, an open factor included. */
static bool remaining(const pare_shape *x, pare_shape *y, int32_t axis) {
    int64_t have = 1, used = 1;
    bool have_open = false, used_open = false;
    y->dims[axis] = 1;
    if (!op_symbolic_elements(x, &have, &have_open) || !op_symbolic_elements(y, &used, &used_open) || used == 0 ||
        have % used != 0 || (used_open && !have_open)) {
        return false;
    }
    y->dims[axis] = have_open && !used_open ? -(have / used) : have / used;
    return true;
}

static bool same_elements(const pare_shape *a, const pare_shape *b, bool *open_differs) {
    int64_t left = 1, right = 1;
    bool left_open = false, right_open = false;
    bool same = op_symbolic_elements(a, &left, &left_open) && op_symbolic_elements(b, &right, &right_open);
    *open_differs = left_open && !right_open;
    return same && left == right && (left_open || !right_open);
}

static pare_status read_target(const pare_node *node, pare_shape *y, int32_t *unknown, pare_error *error) {
    int64_t target[PARE_MAX_RANK];
    size_t count = 0;
    const pare_shape *x = &node->inputs[0]->shape;
    bool zero_is_zero = pare_node_int(node, "allowzero", 0) != 0;
    PARE_TRY(op_ints_or_attr(node, 1, "shape", target, PARE_MAX_RANK, &count, error));
    *unknown = -1;
    y->rank = (int32_t)count;
    for (int32_t a = 0; a < y->rank; a++) {
        int64_t extent = target[a];
        if (op_is_batch_mark(extent)) {
            y->dims[a] = -(extent - PARE_BATCH_MARK);
        } else if (extent == -1 && *unknown < 0) {
            *unknown = a;
        } else if (extent == 0 && !zero_is_zero && a < x->rank) {
            y->dims[a] = x->dims[a];
        } else if (extent >= 0 && (extent > 0 || zero_is_zero)) {
            y->dims[a] = extent;
        } else {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected extents of at least 0 and one -1, found %lld",
                                  (long long)extent);
        }
    }
    return PARE_OK;
}

static pare_status reshape_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    const pare_shape *x = &node->inputs[0]->shape;
    pare_shape y = {0};
    int32_t unknown = -1;
    bool open_lost = false;
    PARE_TRY(read_target(node, &y, &unknown, error));
    bool fits = (unknown < 0 || remaining(x, &y, unknown)) && same_elements(x, &y, &open_lost);
    if (fits && open_lost && x->dims[0] < 0 && y.rank > 0) {
        /* The target was written for a batch of one: the samples lie one after another, so the first extent grows. */
        y.dims[0] = -y.dims[0];
        open_lost = false;
    }
    if (!fits || open_lost) {
        char left[160], right[160];
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected as many elements as %s, found the target %s",
                              pare_shape_text(x, left, sizeof left), pare_shape_text(&y, right, sizeof right));
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status flatten_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    const pare_shape *x = &node->inputs[0]->shape;
    int64_t axis = pare_node_int(node, "axis", 1);
    int32_t split = x->rank;
    if (axis != x->rank) {
        PARE_TRY(op_axis(node, axis, x->rank, &split, error));
    }
    pare_shape y = {.rank = 2, .dims = {1, 1}};
    for (int32_t a = 0; a < x->rank; a++) {
        int64_t *extent = &y.dims[a < split ? 0 : 1];
        if ((*extent < 0 && x->dims[a] < 0) || !pare_mul_i64(*extent, x->dims[a], extent)) {
            return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected one open dimension, found more");
        }
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status squeeze_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    const pare_shape *x = &node->inputs[0]->shape;
    int64_t axes[PARE_MAX_RANK];
    size_t count = 0;
    uint32_t mask = 0;
    PARE_TRY(op_ints_or_attr(node, 1, "axes", axes, PARE_MAX_RANK, &count, error));
    PARE_TRY(op_axis_mask(node, axes, count, x->rank, &mask, error));
    pare_shape y = {0};
    for (int32_t a = 0; a < x->rank; a++) {
        bool named = (mask >> a & 1U) != 0;
        if (named && x->dims[a] != 1) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected an extent of 1 at axis %d, found %lld", (int)a,
                                  (long long)x->dims[a]);
        }
        if (!(named || (count == 0 && x->dims[a] == 1))) {
            y.dims[y.rank++] = x->dims[a];
        }
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status unsqueeze_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    const pare_shape *x = &node->inputs[0]->shape;
    int64_t axes[PARE_MAX_RANK];
    size_t count = 0;
    uint32_t mask = 0;
    PARE_TRY(op_ints_or_attr(node, 1, "axes", axes, PARE_MAX_RANK, &count, error));
    int32_t rank = x->rank + (int32_t)count;
    if (rank > PARE_MAX_RANK) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected at most %d dimensions, found %d", PARE_MAX_RANK,
                              (int)rank);
    }
    PARE_TRY(op_axis_mask(node, axes, count, rank, &mask, error));
    pare_shape y = {.rank = rank};
    for (int32_t a = 0, from = 0; a < rank; a++) {
        y.dims[a] = (mask >> a & 1U) != 0 ? 1 : x->dims[from++];
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status dropout_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *mode = op_input(node, 2), *mask = op_output(node, 1);
    int64_t training = 0;
    if (mode != NULL && (!op_int_at(mode, 0, &training) || training != 0)) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED,
                              "expected training_mode to be a constant false, found other");
    }
    if (mask != NULL && (mask->use_count > 0 || mask->is_output)) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected no reader of the mask, found some");
    }
    PARE_TRY(op_set_output(node, 1, PARE_BOOL, &node->inputs[0]->shape, error));
    return op_infer_same(graph, node, error);
}

/* --- lower ---------------------------------------------------------------- */

static pare_status reshape_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    uint32_t in = PARE_NONE, out = PARE_NONE;
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return op_emit_reshape(lowering, node, in, out, error);
}

/* --- gradient --------------------------------------------------------------- */

static pare_status reshape_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    return tape_reshape(tape, node, tape_input(tape, node, 0), tape_output(tape, node, 0), error);
}

static pare_status dropout_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    float ratio = pare_node_float(node, "ratio", 0.5F);
    if (op_input(node, 1) != NULL && !op_float_at(node->inputs[1], 0, &ratio)) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected a constant ratio, found one that is computed");
    }
    if (!(ratio >= 0.0F && ratio < 1.0F)) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected a ratio of at least 0 and below 1, found %g",
                              (double)ratio);
    }
    return ratio == 0.0F
               ? reshape_gradient(tape, node, error)
               : tape_dropout(tape, node, ratio, tape_input(tape, node, 0), tape_output(tape, node, 0), error);
}

/* --- channels --------------------------------------------------------------- */

/* Consecutive axes of x and of y with the same product: their elements are the same, in the same order. */
typedef struct axis_block {
    int32_t x[PARE_MAX_RANK], y[PARE_MAX_RANK]; /* those of more than one index */
    int32_t x_count, y_count;
    bool open; /* the batch is in it */
} axis_block;

static void add_axis(const pare_shape *shape, int32_t axis, int32_t *axes, int32_t *count, axis_block *block) {
    if (shape->dims[axis] != 1) {
        axes[(*count)++] = axis;
    }
    block->open = block->open || shape->dims[axis] < 0;
}

/* Negative extents stand for multiples of the batch; of equal magnitudes the open one is the larger. */
static bool is_below(int64_t a, int64_t b) {
    int64_t left = a < 0 ? -a : a, right = b < 0 ? -b : b;
    return left < right || (left == right && a > 0 && b < 0);
}

/* The block that begins at axes *i of x and *j of y, which move behind it. False where the products never meet. */
static bool next_block(const pare_shape *x, const pare_shape *y, int32_t *i, int32_t *j, axis_block *block) {
    int64_t left = 1, right = 1;
    *block = (axis_block){.x_count = 0};
    do {
        bool from_x = *j == y->rank || (*i < x->rank && !is_below(right, left));
        const pare_shape *shape = from_x ? x : y;
        int32_t *axis = from_x ? i : j;
        int64_t *product = from_x ? &left : &right;
        if (*axis == shape->rank || shape->dims[*axis] == 0 || !pare_mul_i64(*product, shape->dims[*axis], product)) {
            return false;
        }
        add_axis(shape, *axis, from_x ? block->x : block->y, from_x ? &block->x_count : &block->y_count, block);
        (*axis)++;
    } while (left != right || (block->x_count == 0) != (block->y_count == 0));
    return true;
}

/* The axis of several that channels may run along: not held, the longest, the last of these. -1: none. */
static int32_t free_axis(const pare_channels *channels, const pare_value *value, const int32_t *axes, int32_t count) {
    int32_t found = -1;
    for (int32_t i = 0; i < count; i++) {
        bool longer = found < 0 || value->shape.dims[axes[i]] >= value->shape.dims[found];
        found = longer && !pare_channels_is_held(channels, value, axes[i]) ? axes[i] : found;
    }
    return found;
}

/* `one` axis holds what several hold: index t of it is index t / inner % extent of the free one of these, all others
 * are held. */
static void join_split(pare_channels *channels, const pare_value *one, int32_t axis, const pare_value *several,
                       const int32_t *axes, int32_t count) {
    bool tracked = pare_channels_is_tracked(channels, one, axis);
    int32_t free = tracked ? free_axis(channels, several, axes, count) : -1;
    int64_t inner = 1;
    for (int32_t i = 0; i < count; i++) {
        if (axes[i] != free) {
            pare_channels_hold(channels, several, axes[i]);
        }
        inner = axes[i] > free ? inner * several->shape.dims[axes[i]] : inner;
    }
    if (free < 0) {
        pare_channels_hold(channels, one, axis);
        return;
    }
    for (int64_t t = 0; t < one->shape.dims[axis]; t++) {
        pare_channels_join(channels, one, axis, t, several, free, t / inner % several->shape.dims[free]);
    }
}

static void join_block(pare_channels *channels, const pare_value *x, const pare_value *y, const axis_block *block) {
    if (block->x_count == 1 && block->y_count == 1) {
        pare_channels_join_axes(channels, x, block->x[0], y, block->y[0]);
    } else if (block->y_count == 1 && !block->open) {
        join_split(channels, y, block->y[0], x, block->x, block->x_count);
    } else if (block->x_count == 1 && !block->open) {
        join_split(channels, x, block->x[0], y, block->y, block->y_count);
    } else {
        for (int32_t i = 0; i < block->x_count; i++) {
            pare_channels_hold(channels, x, block->x[i]);
        }
        for (int32_t i = 0; i < block->y_count; i++) {
            pare_channels_hold(channels, y, block->y[i]);
        }
    }
}

static void reshape_channels(pare_channels *channels, const pare_node *node) {
    const pare_value *x = node->inputs[0], *y = op_output(node, 0);
    axis_block block;
    int32_t i = 0, j = 0;
    while (y != NULL && (i < x->shape.rank || j < y->shape.rank)) {
        int32_t from_x = i, from_y = j;
        if (!next_block(&x->shape, &y->shape, &i, &j, &block)) {
            pare_channels_hold_from(channels, x, from_x);
            pare_channels_hold_from(channels, y, from_y);
            return;
        }
        join_block(channels, x, y, &block);
    }
}

/* All extents but the batch's become explicit. */
static pare_status reshape_resized(const pare_channels *channels, pare_graph *graph, pare_node *node,
                                   pare_error *error) {
    const pare_value *y = op_output(node, 0);
    int64_t target[PARE_MAX_RANK];
    size_t count = 0;
    bool changed = false;
    PARE_TRY(op_ints_or_attr(node, 1, "shape", target, PARE_MAX_RANK, &count, error));
    for (size_t a = 0; y != NULL && a < count; a++) {
        int64_t extent = y->shape.dims[a];
        if (extent > 0) {
            target[a] = pare_channels_left(channels, y, (int32_t)a, 0, extent);
            changed = changed || target[a] != extent;
        }
    }
    return changed ? op_set_ints(graph, node, 1, "shape", target, count, error) : PARE_OK;
}

#define RESHAPE(op_name, most_inputs, most_outputs, infer_rule, slope, channel_rule, resize_rule)                      \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = 1, .min_inputs = 1, .max_inputs = most_inputs, .min_outputs = 1,       \
        .max_outputs = most_outputs, .quant = PARE_QUANT_MOVE, .weight_input = -1, .bias_input = -1,                   \
        .infer = infer_rule, .fold = op_fold_copy, .lower = reshape_lower, .gradient = slope,                          \
        .channels = channel_rule, .resized = resize_rule                                                               \
    }

PARE_DEFINE_OP(Reshape) = RESHAPE("Reshape", 2, 1, reshape_infer, reshape_gradient, reshape_channels, reshape_resized);
PARE_DEFINE_OP(Flatten) = RESHAPE("Flatten", 1, 1, flatten_infer, reshape_gradient, reshape_channels, NULL);
PARE_DEFINE_OP(Squeeze) = RESHAPE("Squeeze", 2, 1, squeeze_infer, reshape_gradient, reshape_channels, NULL);
PARE_DEFINE_OP(Unsqueeze) = RESHAPE("Unsqueeze", 2, 1, unsqueeze_infer, reshape_gradient, reshape_channels, NULL);
PARE_DEFINE_OP(Identity) = RESHAPE("Identity", 1, 1, op_infer_same, reshape_gradient, op_channels_same, NULL);
PARE_DEFINE_OP(Dropout) = RESHAPE("Dropout", 3, 2, dropout_infer, dropout_gradient, op_channels_same, NULL);
