/* Slice (starts, ends, axes, steps constant) and Split: parts of a tensor. The
 * batch is taken whole. */
#include "op_helpers.h"

#include <string.h>

typedef struct slice_range {
    int64_t start[PARE_MAX_RANK], step[PARE_MAX_RANK], count[PARE_MAX_RANK]; /* count as in a shape */
} slice_range;

static void whole(const pare_shape *x, slice_range *range) {
    for (int32_t a = 0; a < x->rank; a++) {
        range->start[a] = 0;
        range->step[a] = 1;
        range->count[a] = x->dims[a];
    }
}

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

static pare_status slice_axis(const pare_node *node, int32_t axis, int64_t start, int64_t end, int64_t step,
                              slice_range *range, pare_error *error) {
    int64_t extent = node->inputs[0]->shape.dims[axis];
    if (step == 0 || step > INT32_MAX || step < -INT32_MAX) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected a step that is not 0, found %lld",
                              (long long)step);
    }
    if (extent < 0) {
        bool all = start == 0 && step == 1 && (end >= INT32_MAX || end == PARE_BATCH_MARK - extent);
        return all ? PARE_OK
                   : pare_node_fail(node, error, PARE_UNSUPPORTED,
                                    "expected axis %d, the batch, to be taken whole, found a part", (int)axis);
    }
    if (op_is_batch_mark(start) || op_is_batch_mark(end)) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED,
                              "expected bounds that do not depend on the batch, found other");
    }
    start = start < 0 && start >= -extent ? start + extent : start;
    end = end < 0 && end >= -extent ? end + extent : end;
    int64_t count = 0;
    if (step > 0) {
        start = clamp(start, 0, extent);
        end = clamp(end, 0, extent);
        count = end > start ? (end - start + step - 1) / step : 0;
    } else {
        start = clamp(start, -1, extent - 1);
        end = clamp(end, -1, extent - 1);
        count = start > end ? (start - end - step - 1) / -step : 0;
    }
    range->start[axis] = start;
    range->step[axis] = step;
    range->count[axis] = count;
    return PARE_OK;
}

static pare_status read_slice(const pare_node *node, slice_range *range, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    int64_t starts[PARE_MAX_RANK], ends[PARE_MAX_RANK], axes[PARE_MAX_RANK], steps[PARE_MAX_RANK];
    size_t count = 0, end_count = 0, axis_count = 0, step_count = 0;
    PARE_TRY(op_ints_or_attr(node, 1, "starts", starts, PARE_MAX_RANK, &count, error));
    PARE_TRY(op_ints_or_attr(node, 2, "ends", ends, PARE_MAX_RANK, &end_count, error));
    PARE_TRY(op_ints_or_attr(node, 3, "axes", axes, PARE_MAX_RANK, &axis_count, error));
    PARE_TRY(op_ints_or_attr(node, 4, "steps", steps, PARE_MAX_RANK, &step_count, error));
    if (end_count != count || (axis_count != 0 && axis_count != count) || (step_count != 0 && step_count != count) ||
        (axis_count == 0 && count > (size_t)x->rank)) {
        return pare_node_fail(node, error, PARE_BAD_INPUT,
                              "expected as many ends, axes and steps as starts (%zu), found other", count);
    }
    uint32_t mask = 0;
    PARE_TRY(op_axis_mask(node, axes, axis_count, x->rank, &mask, error));
    whole(x, range);
    for (size_t i = 0; i < count; i++) {
        int32_t axis = (int32_t)i;
        if (axis_count != 0) {
            PARE_TRY(op_axis(node, axes[i], x->rank, &axis, error));
        }
        PARE_TRY(slice_axis(node, axis, starts[i], ends[i], step_count != 0 ? steps[i] : 1, range, error));
    }
    return PARE_OK;
}

static pare_status set_shape(const pare_node *node, size_t output, const slice_range *range, pare_error *error) {
    pare_shape y = op_shape(node->inputs[0]->shape.rank, range->count);
    return op_set_output(node, output, node->inputs[0]->dtype, &y, error);
}

static pare_status fold_part(pare_graph *graph, const pare_node *node, size_t output, const slice_range *range,
                             pare_error *error) {
    const pare_value *x = node->inputs[0], *y = op_output(node, output);
    if (!op_may_fold(x) || y == NULL) {
        return PARE_OK;
    }
    int64_t from[PARE_MAX_RANK], to[PARE_MAX_RANK], offset = 0;
    size_t size = pare_dtype_bytes(x->dtype), bytes = op_count(y) * size;
    op_strides(&x->shape, from);
    op_strides(&y->shape, to);
    for (int32_t a = 0; bytes > 0 && a < x->shape.rank; a++) {
        offset += range->start[a] * from[a];
        from[a] *= range->step[a];
    }
    void *data = pare_alloc(bytes);
    if (data == NULL) {
        return pare_fail_memory(error, bytes);
    }
    if (bytes > 0) {
        op_copy_strided(data, to, (const char *)x->data + offset * (int64_t)size, from, y->shape.dims, y->shape.rank,
                        size);
    }
    pare_status status = op_make_constant(graph, node, output, data, bytes, error);
    pare_free(data);
    return status;
}

static pare_status lower_part(pare_lowering *lowering, const pare_node *node, size_t output, const slice_range *range,
                              pare_error *error) {
    pare_slice_attrs attrs = {{0}, {0}, {0}};
    uint32_t in = PARE_NONE, out = PARE_NONE;
    for (int32_t a = 0; a < node->inputs[0]->shape.rank; a++) {
        attrs.start[a] = (int32_t)range->start[a];
        attrs.step[a] = (int32_t)range->step[a];
        attrs.count[a] = (int32_t)range->count[a];
    }
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, output, &out, error));
    return pare_lower_emit(lowering, node, PARE_OP_SLICE, &attrs, &in, 1, &out, 1, error);
}

/* --- Slice ---------------------------------------------------------------- */

static pare_status slice_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    slice_range range;
    PARE_TRY(read_slice(node, &range, error));
    return set_shape(node, 0, &range, error);
}

static pare_status slice_fold(pare_graph *graph, pare_node *node, pare_error *error) {
    slice_range range;
    PARE_TRY(read_slice(node, &range, error));
    return fold_part(graph, node, 0, &range, error);
}

static pare_status slice_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    slice_range range;
    PARE_TRY(read_slice(node, &range, error));
    return lower_part(lowering, node, 0, &range, error);
}

/* Index i of y is index start + i of x. Where a step is not 1, the axis stays. */
static void part_channels(pare_channels *channels, const pare_node *node, size_t output, const slice_range *range) {
    const pare_value *x = node->inputs[0], *y = op_output(node, output);
    for (int32_t a = 0; y != NULL && a < x->shape.rank; a++) {
        if (range->step[a] == 1) {
            pare_channels_join_range(channels, x, a, range->start[a], y, a, 0, range->count[a]);
        } else {
            pare_channels_hold(channels, x, a);
            pare_channels_hold(channels, y, a);
        }
    }
}

static void slice_channels(pare_channels *channels, const pare_node *node) {
    slice_range range;
    if (read_slice(node, &range, NULL) == PARE_OK) {
        part_channels(channels, node, 0, &range);
    }
}

static pare_status slice_resized(const pare_channels *channels, pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    slice_range range;
    int64_t starts[PARE_MAX_RANK], ends[PARE_MAX_RANK], axes[PARE_MAX_RANK];
    size_t count = 0, axis_count = 0;
    bool changed = false;
    PARE_TRY(read_slice(node, &range, error));
    PARE_TRY(op_ints_or_attr(node, 1, "starts", starts, PARE_MAX_RANK, &count, error));
    PARE_TRY(op_ints_or_attr(node, 2, "ends", ends, PARE_MAX_RANK, &count, error));
    PARE_TRY(op_ints_or_attr(node, 3, "axes", axes, PARE_MAX_RANK, &axis_count, error));
    for (size_t i = 0; i < count; i++) {
        int32_t a = (int32_t)i;
        if (axis_count != 0) {
            PARE_TRY(op_axis(node, axes[i], x->rank, &a, error));
        }
        if (x->dims[a] > 0 && pare_channels_left(channels, node->inputs[0], a, 0, x->dims[a]) != x->dims[a]) {
            int64_t last = range.start[a] + range.count[a];
            starts[i] = pare_channels_left(channels, node->inputs[0], a, 0, range.start[a]);
            ends[i] = pare_channels_left(channels, node->inputs[0], a, 0, last);
            changed = true;
        }
    }
    if (changed) {
        PARE_TRY(op_set_ints(graph, node, 1, "starts", starts, count, error));
        PARE_TRY(op_set_ints(graph, node, 2, "ends", ends, count, error));
    }
    return PARE_OK;
}

/* --- Split ---------------------------------------------------------------- */

/* Range of part `index`; sizes come from input 1, the attribute, or are equal
 * (the last smaller). */
static pare_status split_part(const pare_node *node, size_t index, int64_t *next, slice_range *range,
                              pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    const int64_t *listed = NULL;
    size_t listed_count = pare_node_ints(node, "split", &listed), parts = node->output_count;
    const pare_value *sizes = op_input(node, 1);
    int32_t axis = 0;
    int64_t count = 0;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", 0), x->rank, &axis, error));
    if (x->dims[axis] < 0) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected an axis other than the batch, found %d",
                              (int)axis);
    }
    if (sizes != NULL) {
        if (!op_is_constant(sizes) || op_count(sizes) != parts || !op_int_at(sizes, index, &count)) {
            return pare_node_fail(node, error, op_is_constant(sizes) ? PARE_BAD_INPUT : PARE_UNSUPPORTED,
                                  "expected %zu constant sizes, found other", parts);
        }
    } else if (listed_count == parts) {
        count = listed[index];
    } else {
        int64_t each = (x->dims[axis] + (int64_t)parts - 1) / (int64_t)parts;
        count = clamp(x->dims[axis] - *next, 0, each);
    }
    if (count < 0 || count > x->dims[axis] - *next || (index + 1 == parts && *next + count != x->dims[axis])) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected sizes that add up to %lld, found others",
                              (long long)x->dims[axis]);
    }
    whole(x, range);
    range->start[axis] = *next;
    range->count[axis] = count;
    *next += count;
    return PARE_OK;
}

static pare_status split_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    slice_range range;
    int64_t next = 0;
    for (size_t i = 0; i < node->output_count; i++) {
        PARE_TRY(split_part(node, i, &next, &range, error));
        PARE_TRY(set_shape(node, i, &range, error));
    }
    return PARE_OK;
}

static pare_status split_fold(pare_graph *graph, pare_node *node, pare_error *error) {
    slice_range range;
    int64_t next = 0;
    for (size_t i = 0; i < node->output_count; i++) {
        PARE_TRY(split_part(node, i, &next, &range, error));
        PARE_TRY(fold_part(graph, node, i, &range, error));
    }
    return PARE_OK;
}

static pare_status split_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    slice_range range;
    int64_t next = 0;
    for (size_t i = 0; i < node->output_count; i++) {
        const pare_value *y = node->outputs[i];
        PARE_TRY(split_part(node, i, &next, &range, error));
        if (y != NULL && (y->use_count > 0 || y->is_output)) {
            PARE_TRY(lower_part(lowering, node, i, &range, error));
        }
    }
    return PARE_OK;
}

static void split_channels(pare_channels *channels, const pare_node *node) {
    slice_range range;
    int64_t next = 0;
    for (size_t i = 0; i < node->output_count; i++) {
        if (split_part(node, i, &next, &range, NULL) == PARE_OK) {
            part_channels(channels, node, i, &range);
        }
    }
}

/* Equal parts become parts of stated sizes, which need not be equal any more. */
static pare_status split_resized(const pare_channels *channels, pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *x = node->inputs[0];
    slice_range range;
    int32_t axis = 0;
    int64_t next = 0, count = (int64_t)node->output_count;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", 0), x->shape.rank, &axis, error));
    if (pare_channels_left(channels, x, axis, 0, x->shape.dims[axis]) == x->shape.dims[axis]) {
        return PARE_OK;
    }
    pare_shape shape = {.rank = 1, .dims = {count}};
    pare_value *made = pare_graph_add_constant(graph, "split", PARE_S64, &shape, NULL, (size_t)count * 8);
    if (made == NULL || !pare_graph_grow_inputs(graph, node, 2)) {
        return pare_fail_memory(error, (size_t)count * 8);
    }
    for (size_t i = 0; i < node->output_count; i++) {
        int64_t first = next;
        PARE_TRY(split_part(node, i, &next, &range, error));
        ((int64_t *)made->data)[i] = pare_channels_left(channels, x, axis, first, next);
    }
    pare_graph_set_input(graph, node, 1, made);
    pare_node_remove_attr(node, "split");
    pare_node_remove_attr(node, "num_outputs");
    return PARE_OK;
}

#define PARTS(op_name, most_inputs, most_outputs, prefix)                                                              \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = 1, .min_inputs = 1, .max_inputs = most_inputs, .min_outputs = 1,       \
        .max_outputs = most_outputs, .quant = PARE_QUANT_MOVE, .weight_input = -1, .bias_input = -1,                   \
        .infer = prefix##_infer, .fold = prefix##_fold, .lower = prefix##_lower, .channels = prefix##_channels,        \
        .resized = prefix##_resized                                                                                    \
    }

PARE_DEFINE_OP(Slice) = PARTS("Slice", 5, 1, slice);
PARE_DEFINE_OP(Split) = PARTS("Split", 2, 65535, split);
