/* Adding, linking and removing values and nodes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ir/graph_internal.h"
#include "pare/op.h"

/* `name`, or `name`_N where it is taken; a copy in the arena. */
static const char *unique_name(pare_graph *graph, const pare_name_table *table, const char *name) {
    if (pare_name_table_find(table, name) == NULL) {
        return pare_arena_copy_string(&graph->arena, name);
    }
    size_t size = strlen(name) + 24;
    char *made = pare_arena_alloc(&graph->arena, size, 1);
    while (made != NULL) {
        snprintf(made, size, "%s_%" PRIu64, name, ++graph->next_suffix);
        if (pare_name_table_find(table, made) == NULL) {
            break;
        }
    }
    return made;
}

/* Room for one more pointer in a list that doubles. */
static bool grow_list(pare_graph *graph, pare_value ***list, size_t count, size_t *capacity) {
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity == 0 ? 32 : *capacity * 2;
    pare_value **grown = pare_arena_alloc(&graph->arena, wanted, sizeof(pare_value *));
    if (grown == NULL) {
        return false;
    }
    if (count != 0) {
        memcpy(grown, *list, count * sizeof(pare_value *));
    }
    *list = grown;
    *capacity = wanted;
    return true;
}

pare_value *pare_graph_add_value(pare_graph *graph, const char *name, pare_dtype dtype, const pare_shape *shape) {
    if (!grow_list(graph, &graph->values, graph->value_count, &graph->value_capacity)) {
        return NULL;
    }
    pare_value *value = pare_arena_alloc(&graph->arena, 1, sizeof *value);
    const char *unique = unique_name(graph, graph->names, name != NULL && name[0] != '\0' ? name : "value");
    if (value == NULL || unique == NULL || !pare_name_table_put(graph->names, unique, value)) {
        return NULL;
    }
    value->name = unique;
    value->dtype = dtype;
    if (shape != NULL) {
        value->shape = *shape;
        value->has_shape = true;
    }
    graph->values[graph->value_count++] = value;
    return value;
}

pare_value *pare_graph_adopt_constant(pare_graph *graph, const char *name, pare_dtype dtype, const pare_shape *shape,
                                      void *data, size_t bytes) {
    pare_value *value = data != NULL ? pare_graph_add_value(graph, name, dtype, shape) : NULL;
    if (value != NULL) {
        value->data = data;
        value->data_bytes = bytes;
    }
    return value;
}

pare_value *pare_graph_add_constant(pare_graph *graph, const char *name, pare_dtype dtype, const pare_shape *shape,
                                    const void *data, size_t bytes) {
    void *copy = pare_arena_alloc(&graph->arena, bytes + 1, 1);
    if (copy != NULL && data != NULL && bytes != 0) {
        memcpy(copy, data, bytes);
    }
    return pare_graph_adopt_constant(graph, name, dtype, shape, copy, bytes);
}

/* Graph ports are few: a list is copied when it grows. */
static bool append_port(pare_graph *graph, pare_value ***list, size_t *count, pare_value *value) {
    pare_value **grown = pare_arena_alloc(&graph->arena, *count + 1, sizeof(pare_value *));
    if (grown == NULL) {
        return false;
    }
    if (*count != 0) {
        memcpy(grown, *list, *count * sizeof(pare_value *));
    }
    grown[(*count)++] = value;
    *list = grown;
    return true;
}

pare_value *pare_graph_add_input(pare_graph *graph, const char *name, pare_dtype dtype, const pare_shape *shape) {
    pare_value *value = pare_graph_add_value(graph, name, dtype, shape);
    if (value == NULL || !append_port(graph, &graph->inputs, &graph->input_count, value)) {
        return NULL;
    }
    value->is_input = true;
    return value;
}

bool pare_graph_add_output(pare_graph *graph, pare_value *value) {
    if (!append_port(graph, &graph->outputs, &graph->output_count, value)) {
        return false;
    }
    value->is_output = true;
    value->use_count++;
    return true;
}

pare_value *pare_graph_find_value(const pare_graph *graph, const char *name) {
    return pare_name_table_find(graph->names, name);
}

bool pare_graph_rename(pare_graph *graph, pare_value *value, const char *name) {
    pare_name_table_remove(graph->names, value->name);
    const char *unique = unique_name(graph, graph->names, name);
    if (unique == NULL || !pare_name_table_put(graph->names, unique, value)) {
        /* The entry that was just removed is spare: putting it back needs no memory. */
        pare_name_table_put(graph->names, value->name, value);
        return false;
    }
    value->name = unique;
    return true;
}

static void link_before(pare_graph *graph, pare_node *node, pare_node *before) {
    node->next = before;
    node->previous = before != NULL ? before->previous : graph->last;
    *(node->previous != NULL ? &node->previous->next : &graph->first) = node;
    *(before != NULL ? &before->previous : &graph->last) = node;
    graph->node_count++;
}

static void unlink_node(pare_graph *graph, pare_node *node) {
    *(node->previous != NULL ? &node->previous->next : &graph->first) = node->next;
    *(node->next != NULL ? &node->next->previous : &graph->last) = node->previous;
    node->previous = node->next = NULL;
    graph->node_count--;
}

void pare_graph_move_node(pare_graph *graph, pare_node *node, pare_node *before) {
    if (node != before) {
        unlink_node(graph, node);
        link_before(graph, node, before);
    }
}

pare_node *pare_graph_insert_node(pare_graph *graph, pare_node *before, const pare_op *op, const char *name,
                                  pare_value *const *inputs, size_t input_count, pare_value *const *outputs,
                                  size_t output_count) {
    char made_up[128];
    if (name == NULL || name[0] == '\0') {
        snprintf(made_up, sizeof made_up, "%s_%zu", op->name, graph->node_count);
        name = made_up;
    }
    pare_node *node = pare_arena_alloc(&graph->arena, 1, sizeof *node);
    pare_value **links = pare_arena_alloc(&graph->arena, input_count + output_count + 1, sizeof *links);
    const char *unique = unique_name(graph, graph->node_names, name);
    if (node == NULL || links == NULL || unique == NULL || !pare_name_table_put(graph->node_names, unique, node)) {
        return NULL;
    }
    node->op = op;
    node->name = unique;
    node->opset = graph->opset;
    node->inputs = links;
    node->outputs = links + input_count;
    node->input_count = input_count;
    node->output_count = output_count;
    for (size_t i = 0; i < input_count; i++) {
        node->inputs[i] = inputs[i];
        if (inputs[i] != NULL) {
            inputs[i]->use_count++;
        }
    }
    for (size_t i = 0; i < output_count; i++) {
        node->outputs[i] = outputs[i];
        if (outputs[i] != NULL) {
            outputs[i]->producer = node;
        }
    }
    link_before(graph, node, before);
    return node;
}

void pare_graph_remove_node(pare_graph *graph, pare_node *node) {
    for (size_t i = 0; i < node->input_count; i++) {
        pare_graph_set_input(graph, node, i, NULL);
    }
    for (size_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != NULL) {
            node->outputs[i]->producer = NULL;
        }
    }
    pare_name_table_remove(graph->node_names, node->name);
    unlink_node(graph, node);
}

void pare_graph_set_input(pare_graph *graph, pare_node *node, size_t index, pare_value *value) {
    (void)graph;
    if (node->inputs[index] != NULL) {
        node->inputs[index]->use_count--;
    }
    node->inputs[index] = value;
    if (value != NULL) {
        value->use_count++;
    }
}

bool pare_graph_grow_inputs(pare_graph *graph, pare_node *node, size_t count) {
    if (count <= node->input_count) {
        return true;
    }
    pare_value **grown = pare_arena_alloc(&graph->arena, count, sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    if (node->input_count != 0) {
        memcpy(grown, node->inputs, node->input_count * sizeof *grown);
    }
    node->inputs = grown;
    node->input_count = count;
    return true;
}

/* Readers follow the producer; a value without one may be read from the start. */
static pare_node *first_reader_candidate(const pare_graph *graph, const pare_value *value) {
    return value->producer != NULL ? value->producer->next : graph->first;
}

static void replace_output(pare_graph *graph, pare_value *from, pare_value *to) {
    const char *name = from->name;
    /* `from` gets the new name first, so that its own becomes free for `to`. */
    if (!pare_graph_rename(graph, from, to->name) || !pare_graph_rename(graph, to, name)) {
        return;
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i] == from) {
            graph->outputs[i] = to;
            from->use_count--;
            to->use_count++;
        }
    }
    from->is_output = false;
    to->is_output = true;
}

void pare_graph_replace_uses(pare_graph *graph, pare_value *from, pare_value *to) {
    if (from == to) {
        return;
    }
    if (from->is_output && to->producer != NULL && !to->is_output) {
        replace_output(graph, from, to);
    }
    size_t left = from->use_count;
    for (size_t i = 0; i < graph->output_count; i++) {
        left -= graph->outputs[i] == from;
    }
    pare_node *start = first_reader_candidate(graph, from);
    for (pare_node *node = start; node != NULL && left > 0; node = node->next) {
        for (size_t i = 0; i < node->input_count; i++) {
            if (node->inputs[i] == from) {
                pare_graph_set_input(graph, node, i, to);
                left--;
            }
        }
    }
}

pare_node *pare_graph_only_user(const pare_graph *graph, const pare_value *value) {
    if (value->is_output || value->use_count != 1) {
        return NULL;
    }
    for (pare_node *node = first_reader_candidate(graph, value); node != NULL; node = node->next) {
        for (size_t i = 0; i < node->input_count; i++) {
            if (node->inputs[i] == value) {
                return node;
            }
        }
    }
    return NULL;
}

bool pare_graph_drop_unused_values(pare_graph *graph) {
    size_t kept = 0;
    for (size_t i = 0; i < graph->value_count; i++) {
        pare_value *value = graph->values[i];
        if (value->producer == NULL && value->use_count == 0 && !value->is_input && !value->is_output) {
            pare_name_table_remove(graph->names, value->name);
        } else {
            graph->values[kept++] = value;
        }
    }
    bool dropped = kept != graph->value_count;
    graph->value_count = kept;
    return dropped;
}
