/* Taking units out: constants are sliced, operators correct what holds extents, and
 * the shapes that inference then finds must be those that the analysis foresees. */
#include <string.h>

#include "channels/channels_internal.h"

static bool axis_keeps(const pare_channels *channels, const channel_value *at, int32_t axis, int64_t index) {
    return at->first[axis] == NO_ATOM || !channels_is_dropped(channels, at->first[axis] + (uint32_t)index);
}

static pare_shape shape_left(const pare_channels *channels, const channel_value *at) {
    pare_shape shape = at->shape;
    for (int32_t a = 0; a < shape.rank; a++) {
        shape.dims[a] =
            at->first[a] != NO_ATOM ? pare_channels_left(channels, at->value, a, 0, shape.dims[a]) : shape.dims[a];
    }
    return shape;
}

/* Copies what stays of a block that begins at `from`, axis `axis` outermost and `bytes`
 * long; `whole` is the first axis from which on nothing goes. */
static char *copy_left(const pare_channels *channels, const channel_value *at, int32_t axis, int32_t whole,
                       const char *from, size_t bytes, char *to) {
    if (axis >= whole) {
        memcpy(to, from, bytes);
        return to + bytes;
    }
    size_t step = at->shape.dims[axis] > 0 ? bytes / (size_t)at->shape.dims[axis] : 0;
    for (int64_t i = 0; i < at->shape.dims[axis]; i++) {
        if (axis_keeps(channels, at, axis, i)) {
            to = copy_left(channels, at, axis + 1, whole, from + (size_t)i * step, step, to);
        }
    }
    return to;
}

static pare_status slice_constant(const pare_channels *channels, pare_graph *graph, size_t ordinal, pare_error *error) {
    const channel_value *at = &channels->values[ordinal];
    pare_value *value = graph->values[ordinal];
    pare_shape shape = shape_left(channels, at);
    size_t bytes = 0;
    if (pare_shape_equal(&shape, &at->shape)) {
        return PARE_OK;
    }
    if (!pare_shape_bytes(&shape, value->dtype, &bytes)) {
        return pare_fail(error, PARE_INTERNAL, "expected the constant \"%s\" to shrink, found an overflow",
                         value->name);
    }
    char *data = pare_arena_alloc(&graph->arena, bytes + 1, 1);
    if (data == NULL) {
        return pare_fail_memory(error, bytes);
    }
    int32_t whole = shape.rank;
    while (whole > 0 && shape.dims[whole - 1] == at->shape.dims[whole - 1]) {
        whole--;
    }
    copy_left(channels, at, 0, whole, value->data, value->data_bytes, data);
    value->shape = shape;
    value->data = data;
    value->data_bytes = bytes;
    return PARE_OK;
}

static pare_status check_units(const pare_channels *channels, const pare_graph *graph, const bool *dropped,
                               pare_error *error) {
    if (channels->graph != graph || channels->dropped != NULL || graph->value_count != channels->value_count) {
        return pare_fail(error, PARE_INTERNAL, "expected the graph as it was analysed, found another");
    }
    for (size_t g = 0; g < channels->group_count; g++) {
        const pare_channel_group *group = &channels->groups[g];
        size_t left = group->count;
        for (size_t i = 0; i < group->count; i++) {
            left -= dropped[group->first + i];
        }
        if (left == 0 || (left != group->count && !group->free)) {
            return pare_fail(error, PARE_INTERNAL, "expected %s of the %zu units of group %zu to stay, found %zu",
                             group->free ? "one" : "all", group->count, g, left);
        }
    }
    return PARE_OK;
}

static pare_status check_shapes(const pare_channels *channels, pare_error *error) {
    for (size_t i = 0; i < channels->value_count; i++) {
        const channel_value *at = &channels->values[i];
        pare_shape shape = shape_left(channels, at);
        bool foreseen = at->value->producer == NULL || pare_shape_equal(&shape, &at->value->shape);
        if (!foreseen) {
            char left[160], right[160];
            return pare_node_fail(at->value->producer, error, PARE_INTERNAL,
                                  "expected output \"%s\" of shape %s without the channels, found %s", at->value->name,
                                  pare_shape_text(&shape, left, sizeof left),
                                  pare_shape_text(&at->value->shape, right, sizeof right));
        }
    }
    return PARE_OK;
}

pare_status pare_channels_remove(pare_channels *channels, pare_graph *graph, const bool *dropped, pare_error *error) {
    PARE_TRY(check_units(channels, graph, dropped, error));
    channels->dropped = dropped;
    pare_status status = PARE_OK;
    for (pare_node *node = graph->first; status == PARE_OK && node != NULL; node = node->next) {
        if (node->op->resized != NULL) {
            status = node->op->resized(channels, graph, node, error);
        }
    }
    for (size_t i = 0; status == PARE_OK && i < channels->value_count; i++) {
        if (graph->values[i]->data != NULL) {
            status = slice_constant(channels, graph, i, error);
        }
    }
    if (status == PARE_OK) {
        status = pare_graph_infer(graph, error);
    }
    return status == PARE_OK ? check_shapes(channels, error) : status;
}
