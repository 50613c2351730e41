/* A graph's life: create, copy, free. */
#include <string.h>

#include "ir/graph_internal.h"
#include "pare/op.h"

#define DEFAULT_LIMIT ((size_t)16 << 30)

pare_status pare_graph_fail_memory(const pare_graph *graph, pare_error *error) {
    return pare_fail(error, PARE_LIMIT, "expected at most %zu bytes for the graph, found no more memory after %zu",
                     graph->arena.limit, graph->arena.used);
}

pare_status pare_graph_create(size_t limit, pare_graph **graph, pare_error *error) {
    *graph = NULL;
    pare_graph *made = pare_alloc_zero(1, sizeof *made);
    if (made == NULL) {
        return pare_fail_memory(error, sizeof *made);
    }
    pare_arena_init(&made->arena, limit != 0 ? limit : DEFAULT_LIMIT);
    made->names = pare_name_table_create(&made->arena);
    made->node_names = pare_name_table_create(&made->arena);
    made->name = "pare";
    made->producer = "";
    made->doc = "";
    made->ir_version = 8;
    made->opset = 13;
    if (made->names == NULL || made->node_names == NULL) {
        pare_status status = pare_graph_fail_memory(made, error);
        pare_graph_free(made);
        return status;
    }
    *graph = made;
    return PARE_OK;
}

void pare_graph_free(pare_graph *graph) {
    if (graph != NULL) {
        pare_arena_free(&graph->arena);
        pare_free(graph);
    }
}

static bool copy_values(const pare_graph *graph, pare_graph *copy) {
    for (size_t i = 0; i < graph->value_count; i++) {
        const pare_value *from = graph->values[i];
        pare_value *to = pare_graph_add_value(copy, from->name, from->dtype, from->has_shape ? &from->shape : NULL);
        if (to == NULL) {
            return false;
        }
        to->data = from->data;
        to->data_bytes = from->data_bytes;
        if (from->quant != NULL && (to->quant = pare_graph_copy_quant(copy, from->quant)) == NULL) {
            return false;
        }
    }
    return true;
}

static bool counterparts(const pare_graph *copy, pare_value *const *from, size_t count, pare_value **to) {
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i] != NULL ? pare_graph_find_value(copy, from[i]->name) : NULL;
    }
    return true;
}

static bool copy_node(const pare_node *node, pare_graph *copy) {
    pare_value **inputs = pare_arena_alloc(&copy->arena, node->input_count + node->output_count + 1, sizeof *inputs);
    if (inputs == NULL) {
        return false;
    }
    pare_value **outputs = inputs + node->input_count;
    counterparts(copy, node->inputs, node->input_count, inputs);
    counterparts(copy, node->outputs, node->output_count, outputs);
    pare_node *made = pare_graph_insert_node(copy, NULL, node->op, node->name, inputs, node->input_count, outputs,
                                             node->output_count);
    if (made == NULL) {
        return false;
    }
    made->opset = node->opset;
    return pare_node_copy_attrs(copy, made, node);
}

static bool copy_ports(const pare_graph *graph, pare_graph *copy) {
    copy->inputs = pare_arena_alloc(&copy->arena, graph->input_count + 1, sizeof *copy->inputs);
    copy->outputs = pare_arena_alloc(&copy->arena, graph->output_count + 1, sizeof *copy->outputs);
    if (copy->inputs == NULL || copy->outputs == NULL) {
        return false;
    }
    copy->input_count = graph->input_count;
    copy->output_count = graph->output_count;
    counterparts(copy, graph->inputs, graph->input_count, copy->inputs);
    counterparts(copy, graph->outputs, graph->output_count, copy->outputs);
    for (size_t i = 0; i < copy->input_count; i++) {
        copy->inputs[i]->is_input = true;
    }
    for (size_t i = 0; i < copy->output_count; i++) {
        copy->outputs[i]->is_output = true;
        copy->outputs[i]->use_count++;
    }
    return true;
}

/* Metadata is kept in order: each copy is appended. */
static bool copy_metadata(const pare_graph *graph, pare_graph *copy) {
    for (const pare_graph_metadata *at = graph->metadata; at != NULL; at = at->next) {
        if (!pare_graph_set_metadata(copy, at->key, at->value)) {
            return false;
        }
    }
    copy->name = pare_arena_copy_string(&copy->arena, graph->name);
    copy->producer = pare_arena_copy_string(&copy->arena, graph->producer);
    copy->doc = pare_arena_copy_string(&copy->arena, graph->doc);
    copy->ir_version = graph->ir_version;
    copy->opset = graph->opset;
    copy->for_training = graph->for_training;
    return copy->name != NULL && copy->producer != NULL && copy->doc != NULL;
}

static bool copy_nodes(const pare_graph *graph, pare_graph *copy) {
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        if (!copy_node(node, copy)) {
            return false;
        }
    }
    copy->next_suffix = graph->next_suffix;
    return true;
}

pare_status pare_graph_clone(const pare_graph *graph, pare_graph **copy, pare_error *error) {
    PARE_TRY(pare_graph_create(graph->arena.limit, copy, error));
    if (copy_metadata(graph, *copy) && copy_values(graph, *copy) && copy_nodes(graph, *copy) &&
        copy_ports(graph, *copy)) {
        return PARE_OK;
    }
    pare_status status = pare_graph_fail_memory(*copy, error);
    pare_graph_free(*copy);
    *copy = NULL;
    return status;
}

bool pare_graph_set_metadata(pare_graph *graph, const char *key, const char *value) {
    const char *value_copy = pare_arena_copy_string(&graph->arena, value);
    pare_graph_metadata **link = &graph->metadata;
    while (*link != NULL && strcmp((*link)->key, key) != 0) {
        link = &(*link)->next;
    }
    if (*link == NULL && value_copy != NULL) {
        pare_graph_metadata *added = pare_arena_alloc(&graph->arena, 1, sizeof *added);
        const char *key_copy = pare_arena_copy_string(&graph->arena, key);
        if (added == NULL || key_copy == NULL) {
            return false;
        }
        added->key = key_copy;
        *link = added;
    }
    if (value_copy != NULL) {
        (*link)->value = value_copy;
    }
    return value_copy != NULL;
}

const char *pare_graph_metadata_find(const pare_graph *graph, const char *key) {
    for (const pare_graph_metadata *at = graph->metadata; at != NULL; at = at->next) {
        if (strcmp(at->key, key) == 0) {
            return at->value;
        }
    }
    return NULL;
}
