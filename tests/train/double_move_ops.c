/* Operators that move elements. */
#include <math.h>
#include <string.h>

#include "double_ops.h"

static void run_copy(const double_call *call) {
    memcpy(call->y[0]->data, call->x[0]->data, call->y[0]->count * sizeof(double));
}

static void run_transpose(const double_call *call) {
    const pare_shape *x = &call->x[0]->shape, *y = &call->y[0]->shape;
    const int64_t *permutation = NULL;
    size_t listed = pare_node_ints(call->node, "perm", &permutation);
    int64_t at[PARE_MAX_RANK], from[PARE_MAX_RANK];
    for (size_t i = 0; i < call->y[0]->count; i++) {
        double_coordinates(y, i, at);
        for (int32_t a = 0; a < y->rank; a++) {
            from[listed > 0 ? permutation[a] : y->rank - 1 - a] = at[a];
        }
        call->y[0]->data[i] = call->x[0]->data[double_index(x, from)];
    }
}

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

static void run_slice(const double_call *call) {
    const pare_shape *x = &call->x[0]->shape;
    int64_t starts[PARE_MAX_RANK], ends[PARE_MAX_RANK], axes[PARE_MAX_RANK], steps[PARE_MAX_RANK];
    int64_t first[PARE_MAX_RANK] = {0}, stride[PARE_MAX_RANK], at[PARE_MAX_RANK];
    size_t count = double_ints(call, 1, "starts", starts);
    (void)double_ints(call, 2, "ends", ends);
    bool named = double_ints(call, 3, "axes", axes) > 0, stepped = double_ints(call, 4, "steps", steps) > 0;
    for (int32_t a = 0; a < x->rank; a++) {
        stride[a] = 1;
    }
    for (size_t i = 0; i < count; i++) {
        int32_t a = named ? double_axis(axes[i], x) : (int32_t)i;
        int64_t start = starts[i] < 0 ? starts[i] + x->dims[a] : starts[i];
        stride[a] = stepped ? steps[i] : 1;
        first[a] = stride[a] > 0 ? clamp(start, 0, x->dims[a]) : clamp(start, 0, x->dims[a] - 1);
    }
    for (size_t i = 0; i < call->y[0]->count; i++) {
        double_coordinates(&call->y[0]->shape, i, at);
        for (int32_t a = 0; a < x->rank; a++) {
            at[a] = first[a] + at[a] * stride[a];
        }
        call->y[0]->data[i] = call->x[0]->data[double_index(x, at)];
    }
}

/* Coordinate of x under a padded one; -1: the constant. */
static int64_t unpadded(const char *mode, int64_t at, int64_t extent) {
    if (at >= 0 && at < extent) {
        return at;
    }
    if (strcmp(mode, "edge") == 0) {
        return clamp(at, 0, extent - 1);
    }
    if (strcmp(mode, "wrap") == 0) {
        return (at % extent + extent) % extent;
    }
    if (strcmp(mode, "reflect") == 0) {
        return at < 0 ? -at : 2 * (extent - 1) - at;
    }
    return -1;
}

static void run_pad(const double_call *call) {
    const pare_shape *x = &call->x[0]->shape;
    const char *mode = pare_node_string(call->node, "mode", "constant");
    int64_t pads[2 * PARE_MAX_RANK], axes[PARE_MAX_RANK], before[PARE_MAX_RANK] = {0}, at[PARE_MAX_RANK];
    size_t count = double_ints(call, 1, "pads", pads) / 2;
    bool named = double_ints(call, 3, "axes", axes) > 0;
    double value = call->x_count > 2 && call->x[2] != NULL ? call->x[2]->data[0] : 0;
    for (size_t i = 0; i < count; i++) {
        before[named ? double_axis(axes[i], x) : (int32_t)i] = pads[i];
    }
    for (size_t i = 0; i < call->y[0]->count; i++) {
        bool constant = false;
        double_coordinates(&call->y[0]->shape, i, at);
        for (int32_t a = 0; a < x->rank; a++) {
            at[a] = unpadded(mode, at[a] - before[a], x->dims[a]);
            constant = constant || at[a] < 0;
        }
        call->y[0]->data[i] = constant ? value : call->x[0]->data[double_index(x, at)];
    }
}

/* The deep side's element of one of the shallow side, both [N, C, H, W]. */
static size_t deep_index(const pare_shape *deep, const pare_shape *shallow, size_t index, int64_t block,
                         bool in_a_row) {
    int64_t at[4];
    double_coordinates(shallow, index, at);
    int64_t offset = at[2] % block * block + at[3] % block;
    int64_t channel = in_a_row ? at[1] * block * block + offset : offset * shallow->dims[1] + at[1];
    return double_index(deep, (const int64_t[]){at[0], channel, at[2] / block, at[3] / block});
}

static void run_depth_to_space(const double_call *call) {
    bool in_a_row = strcmp(pare_node_string(call->node, "mode", "DCR"), "CRD") == 0;
    for (size_t i = 0; i < call->y[0]->count; i++) {
        call->y[0]->data[i] = call->x[0]->data[deep_index(&call->x[0]->shape, &call->y[0]->shape, i,
                                                          pare_node_int(call->node, "blocksize", 1), in_a_row)];
    }
}

static void run_space_to_depth(const double_call *call) {
    for (size_t i = 0; i < call->x[0]->count; i++) {
        call->y[0]->data[deep_index(&call->y[0]->shape, &call->x[0]->shape, i,
                                    pare_node_int(call->node, "blocksize", 1), false)] = call->x[0]->data[i];
    }
}

static void run_expand(const double_call *call) {
    for (size_t i = 0; i < call->y[0]->count; i++) {
        call->y[0]->data[i] = call->x[0]->data[double_broadcast_index(&call->x[0]->shape, &call->y[0]->shape, i)];
    }
}

static void run_tile(const double_call *call) {
    int64_t at[PARE_MAX_RANK];
    for (size_t i = 0; i < call->y[0]->count; i++) {
        double_coordinates(&call->y[0]->shape, i, at);
        for (int32_t a = 0; a < call->x[0]->shape.rank; a++) {
            at[a] %= call->x[0]->shape.dims[a];
        }
        call->y[0]->data[i] = call->x[0]->data[double_index(&call->x[0]->shape, at)];
    }
}

static void run_split(const double_call *call) {
    const double_tensor *x = call->x[0];
    int32_t axis = double_axis(pare_node_int(call->node, "axis", 0), &x->shape);
    int64_t at[PARE_MAX_RANK], from = 0;
    for (size_t k = 0; k < call->y_count; k++) {
        double_tensor *y = call->y[k];
        for (size_t i = 0; i < y->count; i++) {
            double_coordinates(&y->shape, i, at);
            at[axis] += from;
            y->data[i] = x->data[double_index(&x->shape, at)];
        }
        from += y->shape.dims[axis];
    }
}

static void run_gather(const double_call *call) {
    const double_tensor *x = call->x[0], *indices = call->x[1];
    int32_t axis = double_axis(pare_node_int(call->node, "axis", 0), &x->shape);
    size_t inner = double_extent(&x->shape, axis + 1, x->shape.rank), extent = (size_t)x->shape.dims[axis];
    for (size_t i = 0; i < call->y[0]->count; i++) {
        int64_t picked = (int64_t)indices->data[i / inner % indices->count];
        size_t row = (size_t)(picked < 0 ? picked + x->shape.dims[axis] : picked);
        call->y[0]->data[i] = x->data[(i / inner / indices->count * extent + row) * inner + i % inner];
    }
}

/* --- resize -------------------------------------------------------------------------- */

typedef struct resize_axis {
    double scale;
    int64_t in, out;
} resize_axis;

static double source_of(const char *mode, int64_t at, const resize_axis *axis) {
    if (strcmp(mode, "align_corners") == 0) {
        return axis->out == 1 ? 0 : (double)at * (double)(axis->in - 1) / (double)(axis->out - 1);
    }
    if (strcmp(mode, "asymmetric") == 0) {
        return (double)at / axis->scale;
    }
    if (strcmp(mode, "pytorch_half_pixel") == 0 && axis->out == 1) {
        return 0;
    }
    return ((double)at + 0.5) / axis->scale - 0.5;
}

static int64_t nearest_of(const char *mode, double x) {
    if (strcmp(mode, "floor") == 0) {
        return (int64_t)floor(x);
    }
    if (strcmp(mode, "ceil") == 0) {
        return (int64_t)ceil(x);
    }
    return (int64_t)(strcmp(mode, "round_prefer_ceil") == 0 ? floor(x + 0.5) : ceil(x - 0.5));
}

/* Keys's cubic kernel. */
static double cubic(double distance, double a) {
    double d = fabs(distance);
    return d <= 1 ? (a + 2) * d * d * d - (a + 3) * d * d + 1 : d < 2 ? a * (d * d * d - 5 * d * d + 8 * d - 4) : 0;
}

/* Nearest, or the weighted sum over those around the cell that the point lies in, 2 (linear) or 4 (cubic) an axis. */
static double resized_at(const double_call *call, const resize_axis *axes, const int64_t *at) {
    const pare_shape *x = &call->x[0]->shape;
    const char *coordinate = pare_node_string(call->node, "coordinate_transformation_mode", "half_pixel");
    const char *rounding = pare_node_string(call->node, "nearest_mode", "round_prefer_floor");
    const char *mode = pare_node_string(call->node, "mode", "nearest");
    unsigned taps = strcmp(mode, "linear") == 0 ? 2 : strcmp(mode, "cubic") == 0 ? 4 : 1, all = 1;
    double sum = 0, sharpness = (double)pare_node_float(call->node, "cubic_coeff_a", -0.75F);
    for (int32_t a = 0; a < x->rank; a++) {
        all *= axes[a].in == axes[a].out && axes[a].scale == 1 ? 1 : taps;
    }
    for (unsigned corner = 0; corner < all; corner++) {
        unsigned rest = corner;
        int64_t from[PARE_MAX_RANK];
        double share = 1;
        for (int32_t a = 0; a < x->rank; a++) {
            bool same = axes[a].in == axes[a].out && axes[a].scale == 1;
            double source = same ? (double)at[a] : source_of(coordinate, at[a], &axes[a]);
            if (same || taps == 1) {
                from[a] = same ? at[a] : nearest_of(rounding, source);
            } else {
                int64_t tap = (int64_t)floor(source) + (int64_t)(rest % taps) - (taps == 4 ? 1 : 0);
                double distance = source - (double)tap;
                share *= taps == 4 ? cubic(distance, sharpness) : 1 - fabs(distance);
                from[a] = tap;
                rest /= taps;
            }
            from[a] = clamp(from[a], 0, x->dims[a] - 1);
        }
        sum += share * call->x[0]->data[double_index(x, from)];
    }
    return sum;
}

static void run_resize(const double_call *call) {
    const double_tensor *x = call->x[0], *scales = call->x_count > 2 ? call->x[2] : NULL;
    const pare_shape *y = &call->y[0]->shape;
    int64_t at[PARE_MAX_RANK];
    resize_axis axes[PARE_MAX_RANK];
    for (int32_t a = 0; a < y->rank; a++) {
        bool scaled = scales != NULL && scales->count > 0;
        axes[a] = (resize_axis){scaled ? scales->data[a] : (double)y->dims[a] / (double)x->shape.dims[a],
                                x->shape.dims[a], y->dims[a]};
    }
    for (size_t i = 0; i < call->y[0]->count; i++) {
        double_coordinates(y, i, at);
        call->y[0]->data[i] = resized_at(call, axes, at);
    }
}

const double_op double_move_ops[] = {{"Reshape", run_copy},
                                     {"Flatten", run_copy},
                                     {"Squeeze", run_copy},
                                     {"Unsqueeze", run_copy},
                                     {"Transpose", run_transpose},
                                     {"Slice", run_slice},
                                     {"Pad", run_pad},
                                     {"DepthToSpace", run_depth_to_space},
                                     {"SpaceToDepth", run_space_to_depth},
                                     {"Expand", run_expand},
                                     {"Tile", run_tile},
                                     {"Split", run_split},
                                     {"Gather", run_gather},
                                     {"Resize", run_resize},
                                     {NULL, NULL}};
