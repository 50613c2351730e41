/* Shapes and types in execution order; shape arithmetic is folded on the way,
 * for the operators that read sizes (Reshape, Slice, ...) want constants. */
#include "ir/graph_internal.h"
#include "pare/checked.h"
#include "pare/op.h"

#define FOLD_LIMIT ((size_t)64 << 20)

bool pare_node_outputs_fit(const pare_node *node, size_t limit) {
    size_t total = 0;
    for (size_t i = 0; i < node->output_count; i++) {
        const pare_value *value = node->outputs[i];
        size_t bytes = 0;
        if (value == NULL) {
            continue;
        }
        if (!value->has_shape || pare_shape_has_batch(&value->shape) ||
            !pare_shape_bytes(&value->shape, value->dtype, &bytes) || !pare_add_size(total, bytes, &total) ||
            total > limit) {
            return false;
        }
    }
    return true;
}

static bool has_live_output(const pare_node *node) {
    for (size_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != NULL) {
            return true;
        }
    }
    return false;
}

static pare_status check_arity(const pare_node *node, pare_error *error) {
    const pare_op *op = node->op;
    size_t present = node->input_count;
    while (present > 0 && node->inputs[present - 1] == NULL) {
        present--;
    }
    if (present < op->min_inputs || present > op->max_inputs) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected %u to %u inputs, found %zu",
                              (unsigned)op->min_inputs, (unsigned)op->max_inputs, present);
    }
    if (node->output_count < op->min_outputs || node->output_count > op->max_outputs) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected %u to %u outputs, found %zu",
                              (unsigned)op->min_outputs, (unsigned)op->max_outputs, node->output_count);
    }
    for (size_t i = 0; i < node->input_count; i++) {
        const pare_value *value = node->inputs[i];
        if (value == NULL && i < op->min_inputs) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected input %zu to be present, found none", i);
        }
        if (value != NULL && !value->has_shape) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected input \"%s\" to have a shape, found none",
                                  value->name);
        }
    }
    return PARE_OK;
}

static pare_status infer_node(pare_graph *graph, pare_node *node, pare_error *error) {
    PARE_TRY(check_arity(node, error));
    if (node->op->check != NULL) {
        PARE_TRY(node->op->check(node, error));
    }
    PARE_TRY(node->op->infer(graph, node, error));
    bool folds = node->op->fold != NULL && pare_node_outputs_fit(node, FOLD_LIMIT);
    return folds ? node->op->fold(graph, node, error) : PARE_OK;
}

pare_status pare_graph_infer(pare_graph *graph, pare_error *error) {
    for (pare_node *node = graph->first; node != NULL; node = node->next) {
        if (has_live_output(node)) {
            PARE_TRY(infer_node(graph, node, error));
        }
    }
    return PARE_OK;
}
