/* Resize over the last one or two of three or four axes: inputs X, roi
 * (unused), scales, sizes. output = floor(input × scale), or sizes, which the
 * policy may turn into one scale for all. */
#include "op_helpers.h"

#include <math.h>
#include <string.h>

#include "train/tape/tape.h"

typedef struct resize_plan {
    int64_t extent[PARE_MAX_RANK];
    double scale[PARE_MAX_RANK];
} resize_plan;

static int32_t choice(const char *text, const char *const *names, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static const char *const modes[] = {"nearest", "linear", "cubic"};
static const char *const coordinates[] = {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"};
static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};

static pare_status read_modes(const pare_node *node, pare_resize_attrs *attrs, pare_error *error) {
    const char *coordinate = pare_node_string(node, "coordinate_transformation_mode", "half_pixel");
    *attrs = (pare_resize_attrs){.mode = choice(pare_node_string(node, "mode", "nearest"), modes, 3),
                                 .coordinate = choice(coordinate, coordinates, 4),
                                 .rounding =
                                     choice(pare_node_string(node, "nearest_mode", "round_prefer_floor"), roundings, 4),
                                 .cubic_a = pare_node_float(node, "cubic_coeff_a", -0.75F)};
    if (attrs->mode < 0 || attrs->coordinate < 0 || attrs->rounding < 0) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected modes that Pare knows, found %s, %s, %s",
                              pare_node_string(node, "mode", "nearest"), coordinate,
                              pare_node_string(node, "nearest_mode", "round_prefer_floor"));
    }
    if (pare_node_int(node, "antialias", 0) != 0 || pare_node_int(node, "exclude_outside", 0) != 0) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED,
                              "expected neither antialias nor exclude_outside, found one");
    }
    return PARE_OK;
}

/* keep_aspect_ratio_policy: one scale for all named axes. */
static void keep_ratio(const pare_node *node, const int32_t *axes, size_t count, resize_plan *plan) {
    const char *policy = pare_node_string(node, "keep_aspect_ratio_policy", "stretch");
    if (strcmp(policy, "stretch") == 0 || count == 0) {
        return;
    }
    bool larger = strcmp(policy, "not_smaller") == 0;
    double scale = plan->scale[axes[0]];
    for (size_t i = 1; i < count; i++) {
        double next = plan->scale[axes[i]];
        scale = (larger ? next > scale : next < scale) ? next : scale;
    }
    for (size_t i = 0; i < count; i++) {
        int64_t input = node->inputs[0]->shape.dims[axes[i]];
        plan->scale[axes[i]] = scale;
        plan->extent[axes[i]] = (int64_t)floor(scale * (double)input + 0.5);
    }
}

static pare_status read_axis(const pare_node *node, int32_t axis, size_t i, resize_plan *plan, pare_error *error) {
    const pare_value *scales = op_input(node, 2), *sizes = op_input(node, 3);
    int64_t input = node->inputs[0]->shape.dims[axis], size = 0;
    float scale = 0;
    bool sized = sizes != NULL && (!op_is_constant(sizes) || op_count(sizes) > 0);
    if (sized ? !op_int_at(sizes, i, &size) : scales == NULL || !op_float_at(scales, i, &scale)) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected constant scales or sizes, found other");
    }
    if (input < 0) {
        bool same = sized ? size == PARE_BATCH_MARK - input || size == 1 : scale == 1.0F;
        return same ? PARE_OK
                    : pare_node_fail(node, error, PARE_UNSUPPORTED, "expected the batch to stay, found a scale for it");
    }
    plan->scale[axis] = sized ? (double)size / (double)input : (double)scale;
    double extent = sized ? (double)size : floor((double)input * (double)scale);
    if (!(extent >= 1 && extent <= INT32_MAX && plan->scale[axis] > 0)) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected an output of at least one element, found %g",
                              extent);
    }
    plan->extent[axis] = (int64_t)extent;
    return PARE_OK;
}

static pare_status read_plan(const pare_node *node, resize_plan *plan, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    const int64_t *listed = NULL;
    size_t count = pare_node_ints(node, "axes", &listed);
    int32_t axes[PARE_MAX_RANK] = {0};
    bool all = count == 0;
    count = all ? (size_t)x->rank : count;
    if (count > (size_t)x->rank) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected at most %d axes, found %zu", (int)x->rank, count);
    }
    for (int32_t a = 0; a < x->rank; a++) {
        plan->extent[a] = x->dims[a];
        plan->scale[a] = 1;
    }
    for (size_t i = 0; i < count; i++) {
        PARE_TRY(op_axis(node, all ? (int64_t)i : listed[i], x->rank, &axes[i], error));
        PARE_TRY(read_axis(node, axes[i], i, plan, error));
    }
    keep_ratio(node, axes, count, plan);
    return PARE_OK;
}

static pare_status resize_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    resize_plan plan;
    pare_resize_attrs attrs;
    PARE_TRY(op_check_rank(node, 0, 3, 4, error));
    PARE_TRY(read_modes(node, &attrs, error));
    PARE_TRY(read_plan(node, &plan, error));
    const pare_shape *x = &node->inputs[0]->shape;
    if (plan.extent[0] != x->dims[0] || plan.extent[1] != x->dims[1]) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected the first two axes to stay, found other");
    }
    pare_shape y = op_shape(x->rank, plan.extent);
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

/* Of x and y with two spatial axes. */
static pare_status read_attrs(const pare_node *node, pare_resize_attrs *attrs, pare_error *error) {
    resize_plan plan;
    int32_t rank = node->inputs[0]->shape.rank;
    PARE_TRY(read_modes(node, attrs, error));
    PARE_TRY(read_plan(node, &plan, error));
    attrs->scale_w = (float)plan.scale[rank - 1];
    attrs->scale_h = rank == 4 ? (float)plan.scale[2] : 1.0F;
    return PARE_OK;
}

static pare_status resize_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    pare_resize_attrs attrs;
    int32_t rank = node->inputs[0]->shape.rank;
    uint32_t in = PARE_NONE, out = PARE_NONE, wide = PARE_NONE;
    PARE_TRY(read_attrs(node, &attrs, error));
    pare_shape x = op_shape_2d(&node->inputs[0]->shape), y = op_shape_2d(&node->outputs[0]->shape);
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    PARE_TRY(op_reshaped(lowering, node, in, &x, &in, error));
    wide = out;
    if (rank == 3) {
        PARE_TRY(op_temporary(lowering, node, out, &y, &wide, error));
    }
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_RESIZE, &attrs, &in, 1, &wide, 1, error));
    return wide == out ? PARE_OK : op_emit_reshape(lowering, node, wide, out, error);
}

static bool resize_integer(const pare_node *node) {
    return strcmp(pare_node_string(node, "mode", "nearest"), "nearest") == 0;
}

/* Sizes name the channels, too. */
static pare_status resize_resized(const pare_channels *channels, pare_graph *graph, pare_node *node,
                                  pare_error *error) {
    const pare_value *x = node->inputs[0];
    const int64_t *listed = NULL;
    int64_t sizes[PARE_MAX_RANK];
    size_t count = 0, named = pare_node_ints(node, "axes", &listed);
    bool changed = false;
    PARE_TRY(op_ints(node, 3, sizes, PARE_MAX_RANK, &count, error));
    for (size_t i = 0; i < count; i++) {
        int32_t axis = (int32_t)i;
        if (named != 0) {
            PARE_TRY(op_axis(node, listed[i], x->shape.rank, &axis, error));
        }
        if (axis == 1) {
            sizes[i] = pare_channels_left(channels, x, 1, 0, x->shape.dims[1]);
            changed = sizes[i] != x->shape.dims[1];
        }
    }
    return changed ? op_set_ints(graph, node, 3, "sizes", sizes, count, error) : PARE_OK;
}

static pare_status resize_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    pare_resize_attrs attrs;
    pare_shape wide_x = op_shape_2d(&node->inputs[0]->shape), wide_y = op_shape_2d(&node->outputs[0]->shape);
    uint32_t x = tape_input(tape, node, 0), y = tape_output(tape, node, 0);
    PARE_TRY(read_attrs(node, &attrs, error));
    if (node->inputs[0]->shape.rank == 4) {
        return tape_resize(tape, node, &attrs, x, y, error);
    }
    PARE_TRY(tape_reshaped(tape, node, &wide_x, &x, error));
    uint32_t wide = tape_temporary(tape, node, &wide_y);
    PARE_TRY(tape_resize(tape, node, &attrs, x, wide, error));
    return tape_reshape(tape, node, wide, y, error);
}

PARE_DEFINE_OP(Resize) = {.name = "Resize",
                          .domain = "",
                          .since = 10,
                          .min_inputs = 1,
                          .max_inputs = 4,
                          .min_outputs = 1,
                          .max_outputs = 1,
                          .quant = PARE_QUANT_MOVE,
                          .weight_input = -1,
                          .bias_input = -1,
                          .infer = resize_infer,
                          .lower = resize_lower,
                          .gradient = resize_gradient,
                          .integer = resize_integer,
                          .channels = op_channels_spatial,
                          .resized = resize_resized};
