/* The invariants of a graph, checked after each pass in tests and after import. */
#include <math.h>
#include <string.h>

#include "ir/graph_internal.h"
#include "pare/op.h"

typedef struct record {
    size_t uses;
    bool defined;
} record;

typedef struct checker {
    const pare_graph *graph;
    pare_arena arena;
    pare_name_table *records; /* by value name */
    pare_name_table *node_names;
    pare_error *error;
} checker;

static pare_status broken(checker *check, const char *kind, const char *name, const char *what) {
    return pare_fail(check->error, PARE_INTERNAL, "graph check: %s \"%s\": %s", kind, name, what);
}

static pare_status check_quant(checker *check, const pare_value *value) {
    const pare_quant *quant = value->quant;
    if (quant == NULL) {
        return PARE_OK;
    }
    if (quant->count == 0 || (quant->axis < 0 && quant->count != 1) ||
        (quant->axis >= 0 && value->has_shape &&
         (quant->axis >= value->shape.rank || value->shape.dims[quant->axis] != (int64_t)quant->count))) {
        return broken(check, "value", value->name, "its quantization does not fit its shape");
    }
    for (size_t i = 0; i < quant->count; i++) {
        if (!(quant->scales[i] > 0.0f) || !isfinite(quant->scales[i])) {
            return broken(check, "value", value->name, "its scale is not positive and finite");
        }
    }
    return PARE_OK;
}

static pare_status check_constant(checker *check, const pare_value *value) {
    size_t bytes = 0;
    pare_dtype stored = value->quant != NULL ? value->quant->dtype : value->dtype;
    if (value->data == NULL) {
        return PARE_OK;
    }
    if (value->producer != NULL || value->is_input) {
        return broken(check, "value", value->name, "a constant is also produced");
    }
    if (!value->has_shape || !pare_shape_bytes(&value->shape, stored, &bytes) || bytes != value->data_bytes) {
        return broken(check, "value", value->name, "its bytes do not fit its shape and type");
    }
    return PARE_OK;
}

static pare_status check_value(checker *check, pare_value *value) {
    if (value == NULL || value->name == NULL || value->name[0] == '\0') {
        return broken(check, "value", "", "it has no name");
    }
    if (pare_graph_find_value(check->graph, value->name) != value) {
        return broken(check, "value", value->name, "its name is not unique");
    }
    PARE_TRY(check_quant(check, value));
    PARE_TRY(check_constant(check, value));
    record *made = pare_arena_alloc(&check->arena, 1, sizeof *made);
    if (made == NULL || !pare_name_table_put(check->records, value->name, made)) {
        return pare_fail_memory(check->error, sizeof *made);
    }
    made->defined = value->is_input || value->data != NULL;
    return PARE_OK;
}

static record *record_of(checker *check, const pare_value *value) {
    return pare_graph_find_value(check->graph, value->name) == value ? pare_name_table_find(check->records, value->name)
                                                                     : NULL;
}

static pare_status check_inputs(checker *check, const pare_node *node) {
    for (size_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] == NULL) {
            continue;
        }
        record *found = record_of(check, node->inputs[i]);
        if (found == NULL) {
            return broken(check, "node", node->name, "it reads a value that is not in the graph");
        }
        if (!found->defined) {
            return broken(check, "node", node->name, "it reads a value before it is produced");
        }
        found->uses++;
    }
    return PARE_OK;
}

static pare_status check_outputs(checker *check, const pare_node *node) {
    for (size_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] == NULL) {
            continue;
        }
        record *found = record_of(check, node->outputs[i]);
        if (found == NULL || node->outputs[i]->producer != node) {
            return broken(check, "node", node->name, "its output does not name it as producer");
        }
        if (found->defined) {
            return broken(check, "node", node->name, "its output has another origin");
        }
        found->defined = true;
    }
    return PARE_OK;
}

static pare_status check_node(checker *check, pare_node *node, const pare_node *previous) {
    if (node->name == NULL || node->op == NULL || node->previous != previous) {
        return broken(check, "node", node->name != NULL ? node->name : "", "its links are broken");
    }
    if (pare_name_table_find(check->node_names, node->name) != NULL) {
        return broken(check, "node", node->name, "its name is not unique");
    }
    if (!pare_name_table_put(check->node_names, node->name, node)) {
        return pare_fail_memory(check->error, sizeof *node);
    }
    if (node->input_count < node->op->min_inputs || node->input_count > node->op->max_inputs ||
        node->output_count < node->op->min_outputs || node->output_count > node->op->max_outputs) {
        return broken(check, "node", node->name, "its arity does not fit its operator");
    }
    PARE_TRY(check_inputs(check, node));
    return check_outputs(check, node);
}

static pare_status check_nodes(checker *check) {
    const pare_node *previous = NULL;
    size_t count = 0;
    for (pare_node *node = check->graph->first; node != NULL; node = node->next) {
        PARE_TRY(check_node(check, node, previous));
        previous = node;
        count++;
    }
    if (check->graph->last != previous || check->graph->node_count != count) {
        return broken(check, "graph", check->graph->name, "its list of nodes is broken");
    }
    return PARE_OK;
}

static pare_status check_ports(checker *check) {
    for (size_t i = 0; i < check->graph->input_count; i++) {
        const pare_value *input = check->graph->inputs[i];
        if (record_of(check, input) == NULL || !input->is_input || input->producer != NULL) {
            return broken(check, "input", input->name, "it is not an input of the graph");
        }
    }
    for (size_t i = 0; i < check->graph->output_count; i++) {
        const pare_value *output = check->graph->outputs[i];
        record *found = record_of(check, output);
        if (found == NULL || !found->defined || !output->is_output) {
            return broken(check, "output", output->name, "nothing produces it");
        }
        found->uses++;
    }
    return PARE_OK;
}

static pare_status check_uses(checker *check) {
    for (size_t i = 0; i < check->graph->value_count; i++) {
        const pare_value *value = check->graph->values[i];
        const record *found = pare_name_table_find(check->records, value->name);
        if (found->uses != value->use_count) {
            return broken(check, "value", value->name, "its count of uses is wrong");
        }
        if (value->producer != NULL && !found->defined) {
            return broken(check, "value", value->name, "its producer is not in the graph");
        }
    }
    return PARE_OK;
}

pare_status pare_graph_check(const pare_graph *graph, pare_error *error) {
    checker check = {.graph = graph, .error = error};
    pare_arena_init(&check.arena, (size_t)4 << 30);
    check.records = pare_name_table_create(&check.arena);
    check.node_names = pare_name_table_create(&check.arena);
    pare_status status = PARE_OK;
    if (check.records == NULL || check.node_names == NULL) {
        status = pare_fail_memory(error, sizeof(record));
    }
    for (size_t i = 0; status == PARE_OK && i < graph->value_count; i++) {
        status = check_value(&check, graph->values[i]);
    }
    if (status == PARE_OK) {
        status = check_nodes(&check);
    }
    if (status == PARE_OK) {
        status = check_ports(&check);
    }
    if (status == PARE_OK) {
        status = check_uses(&check);
    }
    pare_arena_free(&check.arena);
    return status;
}

static pare_status check_finite(const pare_node *node, int index, pare_error *error) {
    const pare_value *value = index >= 0 && (size_t)index < node->input_count ? node->inputs[index] : NULL;
    if (value == NULL || value->data == NULL || value->quant != NULL || value->dtype != PARE_F32) {
        return PARE_OK;
    }
    const float *elements = value->data;
    for (size_t i = 0; i < value->data_bytes / sizeof *elements; i++) {
        if (!isfinite(elements[i])) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected finite elements in \"%s\", found %g at %zu",
                                  value->name, (double)elements[i], i);
        }
    }
    return PARE_OK;
}

pare_status pare_graph_check_finite(const pare_graph *graph, pare_error *error) {
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        PARE_TRY(check_finite(node, node->op->weight_input, error));
        PARE_TRY(check_finite(node, node->op->bias_input, error));
    }
    return PARE_OK;
}
