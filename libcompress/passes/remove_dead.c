#include "pare/passes.h"
#include "passes/pass_helpers.h"

static bool is_dead(const pare_node *node) {
    for (size_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != NULL && node->outputs[i]->use_count != 0) {
            return false;
        }
    }
    return true;
}

/* Backwards: what only fed a dead node is dead by the time it is looked at. */
pare_status pare_remove_dead(pare_graph *graph, bool *changed, pare_error *error) {
    (void)error;
    for (pare_node *node = graph->last, *previous; node != NULL; node = previous) {
        previous = node->previous;
        if (is_dead(node)) {
            pare_graph_remove_node(graph, node);
            *changed = true;
        }
    }
    if (pare_graph_drop_unused_values(graph)) {
        *changed = true;
    }
    return PARE_OK;
}
