#include "ir/lone_node.h"

#include "ir/graph_internal.h"

bool pare_value_is_read(const pare_value *value) {
    return value != NULL && (value->use_count > 0 || value->is_output);
}

static pare_value *copy_input(pare_graph *alone, const pare_value *from) {
    pare_value *value = from->data != NULL ? pare_graph_adopt_constant(alone, from->name, from->dtype, &from->shape,
                                                                       from->data, from->data_bytes)
                                           : pare_graph_add_input(alone, from->name, from->dtype, &from->shape);
    if (value != NULL) {
        value->quant = from->data != NULL ? from->quant : NULL;
    }
    return value;
}

pare_status pare_lone_node(const pare_node *node, pare_graph *alone, pare_error *error) {
    pare_value **values = pare_arena_alloc(&alone->arena, node->input_count + node->output_count + 1, sizeof(*values));
    if (values == NULL) {
        return pare_graph_fail_memory(alone, error);
    }
    for (size_t i = 0; i < node->input_count; i++) {
        const pare_value *from = node->inputs[i];
        if (from != NULL && (values[i] = pare_graph_find_value(alone, from->name)) == NULL &&
            (values[i] = copy_input(alone, from)) == NULL) {
            return pare_graph_fail_memory(alone, error);
        }
    }
    pare_value **outputs = values + node->input_count;
    for (size_t i = 0; i < node->output_count; i++) {
        const pare_value *from = node->outputs[i];
        if (pare_value_is_read(from) &&
            ((outputs[i] = pare_graph_add_value(alone, from->name, from->dtype, &from->shape)) == NULL ||
             !pare_graph_add_output(alone, outputs[i]))) {
            return pare_graph_fail_memory(alone, error);
        }
    }
    pare_node *copy = pare_graph_insert_node(alone, NULL, node->op, node->name, values, node->input_count, outputs,
                                             node->output_count);
    if (copy == NULL || !pare_node_copy_attrs(alone, copy, node)) {
        return pare_graph_fail_memory(alone, error);
    }
    copy->opset = node->opset;
    return PARE_OK;
}
