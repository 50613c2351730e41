/* What operators share in telling how channels flow through them. */
#include <string.h>

#include "op_helpers.h"

void op_channels_same(pare_channels *channels, const pare_node *node) {
    const pare_value *x = node->inputs[0], *y = op_output(node, 0);
    for (int32_t a = 0; a < x->shape.rank; a++) {
        pare_channels_join_axes(channels, x, a, y, a);
    }
}

void op_channels_broadcast(pare_channels *channels, const pare_node *node) {
    const pare_value *y = op_output(node, 0);
    for (size_t i = 0; y != NULL && i < node->input_count; i++) {
        const pare_value *x = node->inputs[i];
        int32_t missing = x != NULL ? y->shape.rank - x->shape.rank : 0;
        for (int32_t a = missing; a < y->shape.rank; a++) {
            pare_channels_join_axes(channels, x, a - missing, y, a);
        }
    }
}

void op_channels_spatial(pare_channels *channels, const pare_node *node) {
    const pare_value *x = node->inputs[0], *y = op_output(node, 0);
    pare_channels_join_axes(channels, x, 0, y, 0);
    pare_channels_join_axes(channels, x, 1, y, 1);
    pare_channels_hold_from(channels, x, 2);
    pare_channels_hold_from(channels, y, 2);
}

void op_channels_parameter(pare_channels *channels, const pare_node *node, size_t index, float initial) {
    pare_channels_join_axes(channels, op_input(node, index), 0, node->inputs[0], 1);
    pare_channels_adjusted_by(channels, op_input(node, index), initial);
}

pare_status op_set_ints(pare_graph *graph, pare_node *node, int input, const char *attr, const int64_t *ints,
                        size_t count, pare_error *error) {
    const pare_value *old = input >= 0 ? op_input(node, (size_t)input) : NULL;
    if (old == NULL) {
        return pare_node_set_ints(graph, node, attr, ints, count) ? PARE_OK : pare_fail_memory(error, count * 8);
    }
    pare_shape shape = {.rank = 1, .dims = {(int64_t)count}};
    pare_value *made = pare_graph_add_constant(graph, old->name, PARE_S64, &shape, ints, count * sizeof *ints);
    if (made == NULL) {
        return pare_fail_memory(error, count * sizeof *ints);
    }
    pare_graph_set_input(graph, node, (size_t)input, made);
    return PARE_OK;
}
