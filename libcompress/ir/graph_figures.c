/* What a graph amounts to, and owning its constants. */
#include <string.h>

#include "ir/graph_internal.h"
#include "pare/op.h"

pare_value *pare_node_weights(const pare_node *node) {
    int input = node->op->weight_input;
    pare_value *value = input >= 0 && (size_t)input < node->input_count ? node->inputs[input] : NULL;
    return value != NULL && value->data != NULL ? value : NULL;
}

uint64_t pare_graph_macs(const pare_graph *graph) {
    uint64_t macs = 0;
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        macs += node->op->macs != NULL ? node->op->macs(node) : 0;
    }
    return macs;
}

uint64_t pare_graph_parameters(const pare_graph *graph) {
    uint64_t parameters = 0;
    for (size_t i = 0; i < graph->value_count; i++) {
        const pare_value *value = graph->values[i];
        bool counts = value->data != NULL && value->dtype == PARE_F32 && value->use_count > 0;
        parameters += counts ? value->data_bytes / sizeof(float) : 0;
    }
    return parameters;
}

static bool own(pare_graph *graph, pare_value *value) {
    void *copy = value->data != NULL ? pare_arena_alloc(&graph->arena, value->data_bytes + 1, 1) : NULL;
    if (copy != NULL) {
        memcpy(copy, value->data, value->data_bytes);
        value->data = copy;
    }
    return copy != NULL || value->data == NULL;
}

pare_status pare_graph_own_constants(pare_graph *graph, pare_error *error) {
    bool done = true;
    for (size_t i = 0; done && i < graph->value_count; i++) {
        done = own(graph, graph->values[i]);
    }
    for (pare_node *node = graph->first; done && node != NULL; node = node->next) {
        for (pare_attr *attr = node->attrs; done && attr != NULL; attr = attr->next) {
            done = attr->kind != PARE_ATTR_TENSOR || own(graph, attr->tensor);
        }
    }
    return done ? PARE_OK : pare_fail(error, PARE_LIMIT, "expected memory for the graph's constants, found no more");
}
