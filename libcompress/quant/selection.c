#include "selection.h"

#include <string.h>

#include "pare/memory.h"

pare_value *weights_of(const pare_node *node) {
    pare_value *value = node->op->quant == PARE_QUANT_WEIGHTED ? pare_node_weights(node) : NULL;
    return value != NULL && value->dtype == PARE_F32 ? value : NULL;
}

size_t activation_inputs(const pare_node *node) {
    bool several = node->op->quant == PARE_QUANT_ARITHMETIC || node->op->quant == PARE_QUANT_JOIN;
    return several ? node->input_count : 1;
}

bool selection_contains(const quant_selection *selection, const pare_node *node) {
    for (size_t i = 0; i < selection->node_count; i++) {
        if (selection->nodes[i] == node) {
            return true;
        }
    }
    return false;
}

bool selection_absorbs(const quant_selection *selection, const pare_graph *graph, const pare_value *value) {
    const pare_node *producer = value->producer;
    if (producer == NULL || !selection_contains(selection, producer) ||
        (producer->op->quant != PARE_QUANT_WEIGHTED && producer->op->quant != PARE_QUANT_ARITHMETIC)) {
        return false;
    }
    const pare_node *user = pare_graph_only_user(graph, value);
    return user != NULL && user->op->clamp && user->inputs[0] == value && selection_contains(selection, user);
}

static bool is_activation(const pare_value *value) {
    return value != NULL && value->data == NULL && value->dtype == PARE_F32;
}

static bool comes_from_selected(const quant_selection *selection, const pare_value *value) {
    return is_activation(value) && value->producer != NULL && selection_contains(selection, value->producer);
}

static bool can_be_integer(const quant_selection *selection, const pare_node *node) {
    if (node->output_count < 1 || !is_activation(node->outputs[0])) {
        return false;
    }
    switch (node->op->quant) {
    case PARE_QUANT_FLOAT:
        return false;
    case PARE_QUANT_WEIGHTED:
        return node->op->integer != NULL && weights_of(node) != NULL && is_activation(node->inputs[0]);
    case PARE_QUANT_TABLE:
        if (node->outputs[0]->is_output && !node->op->clamp) {
            return false; /* a final Sigmoid is worth its float precision */
        }
        break;
    case PARE_QUANT_ARITHMETIC:
    case PARE_QUANT_JOIN:
    case PARE_QUANT_MOVE:
        break;
    }
    for (size_t i = 0; i < activation_inputs(node); i++) {
        if (!comes_from_selected(selection, node->inputs[i])) {
            return false;
        }
    }
    return true;
}

static void add_value(const pare_graph *graph, quant_selection *s, pare_value *value) {
    if (selection_absorbs(s, graph, value)) {
        return;
    }
    for (size_t i = 0; i < s->value_count; i++) {
        if (s->values[i] == value) {
            return;
        }
    }
    s->values[s->value_count++] = value;
}

pare_status selection_make(pare_graph *graph, bool (*excluded)(const void *context, const pare_node *node),
                           const void *context, quant_selection *s, pare_error *error) {
    memset(s, 0, sizeof *s);
    s->nodes = pare_alloc_zero(graph->node_count, sizeof(pare_node *));
    s->values = pare_alloc_zero(graph->value_count, sizeof(pare_value *));
    if (s->nodes == NULL || s->values == NULL) {
        selection_free(s);
        return pare_fail_memory(error, graph->value_count * sizeof(pare_value *));
    }
    for (pare_node *node = graph->first; node != NULL; node = node->next) {
        if (!excluded(context, node) && can_be_integer(s, node)) {
            s->nodes[s->node_count++] = node;
        }
    }
    for (size_t n = 0; n < s->node_count; n++) {
        pare_node *node = s->nodes[n];
        for (size_t i = 0; i < activation_inputs(node); i++) {
            add_value(graph, s, node->inputs[i]);
        }
        add_value(graph, s, node->outputs[0]);
    }
    return PARE_OK;
}

void selection_free(quant_selection *selection) {
    pare_free(selection->nodes);
    pare_free(selection->values);
    memset(selection, 0, sizeof *selection);
}
