#include "passes/pass_helpers.h"

#include <string.h>

bool pass_is(const pare_node *node, const char *name) {
    return strcmp(node->op->name, name) == 0 && node->op->domain[0] == '\0';
}

pare_value *pass_input(const pare_node *node, size_t index) {
    return index < node->input_count ? node->inputs[index] : NULL;
}

bool pass_is_float_constant(const pare_value *value) {
    return value != NULL && value->data != NULL && value->dtype == PARE_F32 && value->quant == NULL;
}

const pare_op *pass_op(const pare_graph *graph, const char *name) {
    return pare_op_find("", name, graph->opset);
}

void pass_take_over(pare_graph *graph, pare_node *node, pare_node *last) {
    pare_value *old = node->outputs[0], *result = last->outputs[0];
    pare_graph_remove_node(graph, last);
    old->producer = NULL;
    node->outputs[0] = result;
    result->producer = node;
}

pare_value *pass_replace_constant(pare_graph *graph, pare_node *node, size_t index, const pare_shape *shape, void *data,
                                  size_t bytes) {
    pare_value *value = node->inputs[index];
    if (value->use_count == 1 && !value->is_output) {
        value->shape = *shape;
        value->data = data;
        value->data_bytes = bytes;
        return value;
    }
    pare_value *made = pare_graph_adopt_constant(graph, value->name, value->dtype, shape, data, bytes);
    if (made != NULL) {
        made->quant = value->quant;
        pare_graph_set_input(graph, node, index, made);
    }
    return made;
}
