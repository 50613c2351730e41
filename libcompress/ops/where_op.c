/* Where: y = condition ? a : b, all three broadcast. */
#include "op_helpers.h"

#include "train/tape/tape.h"

static pare_status where_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    pare_shape y;
    bool fits = pare_shape_broadcast(&node->inputs[0]->shape, &node->inputs[1]->shape, &y) &&
                pare_shape_broadcast(&y, &node->inputs[2]->shape, &y);
    if (!fits || node->inputs[0]->dtype != PARE_BOOL || node->inputs[1]->dtype != node->inputs[2]->dtype) {
        return pare_node_fail(node, error, PARE_BAD_INPUT,
                              "expected a condition and two operands of one type that broadcast, found other");
    }
    return op_set_output(node, 0, node->inputs[1]->dtype, &y, error);
}

/* Shape arithmetic: int64 of one length, or scalars. */
static pare_status where_fold(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *y = op_output(node, 0);
    int64_t results[256];
    if (y == NULL || y->dtype != PARE_S64 || y->shape.rank > 1 || op_count(y) > 256) {
        return PARE_OK;
    }
    size_t count = op_count(y);
    for (size_t i = 0; i < 3; i++) {
        if (!op_may_fold(node->inputs[i])) {
            return PARE_OK;
        }
    }
    for (size_t i = 0; i < count; i++) {
        int64_t condition = 0;
        (void)op_int_at(node->inputs[0], op_count(node->inputs[0]) == 1 ? 0 : i, &condition);
        const pare_value *chosen = node->inputs[condition != 0 ? 1 : 2];
        if (!op_int_at(chosen, op_count(chosen) == 1 ? 0 : i, &results[i])) {
            return PARE_OK;
        }
    }
    return op_make_constant(graph, node, 0, results, count * sizeof *results, error);
}

static pare_status where_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    pare_no_attrs none = {0};
    uint32_t inputs[3], out = PARE_NONE;
    for (size_t i = 0; i < 3; i++) {
        PARE_TRY(pare_lower_input(lowering, node, i, &inputs[i], error));
    }
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return pare_lower_emit(lowering, node, PARE_OP_WHERE, &none, inputs, 3, &out, 1, error);
}

static pare_status where_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    return tape_where(tape, node, tape_input(tape, node, 0), tape_input(tape, node, 1), tape_input(tape, node, 2),
                      tape_output(tape, node, 0), error);
}

PARE_DEFINE_OP(Where) = {.name = "Where",
                         .domain = "",
                         .since = 9,
                         .min_inputs = 3,
                         .max_inputs = 3,
                         .min_outputs = 1,
                         .max_outputs = 1,
                         .weight_input = -1,
                         .bias_input = -1,
                         .infer = where_infer,
                         .fold = where_fold,
                         .lower = where_lower,
                         .gradient = where_gradient,
                         .channels = op_channels_broadcast};
