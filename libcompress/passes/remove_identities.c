/* Nodes whose output is their input. */
#include <string.h>

#include "pare/passes.h"
#include "passes/pass_helpers.h"

static bool same_shape(const pare_value *a, const pare_value *b) {
    return a->has_shape && b->has_shape && pare_shape_equal(&a->shape, &b->shape);
}

static bool all_ints(const pare_value *value, int64_t wanted) {
    if (value == NULL || value->data == NULL || value->dtype != PARE_S64) {
        return value == NULL;
    }
    const int64_t *ints = value->data;
    for (size_t i = 0; i < value->data_bytes / sizeof *ints; i++) {
        if (ints[i] != wanted) {
            return false;
        }
    }
    return true;
}

static bool is_always(const pare_node *node) {
    (void)node;
    return true;
}

static bool keeps_shape(const pare_node *node) {
    return same_shape(node->inputs[0], node->outputs[0]);
}

static bool is_idle_dropout(const pare_node *node) {
    const pare_value *training = pass_input(node, 2);
    bool mask = node->output_count > 1 && node->outputs[1] != NULL && node->outputs[1]->use_count != 0;
    return !mask && (training == NULL ||
                     (training->data != NULL && training->data_bytes == 1 && *(const uint8_t *)training->data == 0));
}

static bool is_idle_cast(const pare_node *node) {
    return node->inputs[0]->dtype == node->outputs[0]->dtype && node->inputs[0]->dtype != PARE_DTYPE_NONE;
}

static bool is_idle_transpose(const pare_node *node) {
    const int64_t *perm = NULL;
    size_t count = pare_node_ints(node, "perm", &perm);
    for (size_t i = 0; i < count; i++) {
        if (perm[i] != (int64_t)i) {
            return false;
        }
    }
    return count != 0 || (node->inputs[0]->has_shape && node->inputs[0]->shape.rank < 2);
}

static bool is_idle_slice(const pare_node *node) {
    return keeps_shape(node) && all_ints(pass_input(node, 4), 1);
}

static bool is_idle_pad(const pare_node *node) {
    return pass_input(node, 1) != NULL && all_ints(node->inputs[1], 0);
}

static bool has_one_input(const pare_node *node) {
    return node->input_count == 1;
}

static bool is_neutral(const pare_value *constant, double neutral) {
    if (constant == NULL || constant->data == NULL || constant->quant != NULL) {
        return false;
    }
    size_t count = constant->data_bytes / (pare_dtype_bytes(constant->dtype) + (constant->dtype == PARE_DTYPE_NONE));
    for (size_t i = 0; i < count; i++) {
        bool equal = constant->dtype == PARE_F32   ? (double)((const float *)constant->data)[i] == neutral
                     : constant->dtype == PARE_S64 ? (double)((const int64_t *)constant->data)[i] == neutral
                                                   : false;
        if (!equal) {
            return false;
        }
    }
    return count != 0;
}

static bool adds_nothing(const pare_node *node) {
    return keeps_shape(node) && is_neutral(pass_input(node, 1), 0.0);
}

static bool multiplies_by_one(const pare_node *node) {
    return keeps_shape(node) && is_neutral(pass_input(node, 1), 1.0);
}

typedef struct idle_rule {
    const char *op;
    bool (*is_idle)(const pare_node *node);
    bool commutes; /* the other operand may come first */
} idle_rule;

static const idle_rule rules[] = {
    {"Identity", is_always, false},
    {"Dropout", is_idle_dropout, false},
    {"Cast", is_idle_cast, false},
    {"CastLike", is_idle_cast, false},
    {"Reshape", keeps_shape, false},
    {"Flatten", keeps_shape, false},
    {"Squeeze", keeps_shape, false},
    {"Unsqueeze", keeps_shape, false},
    {"Expand", keeps_shape, false},
    {"Tile", keeps_shape, false},
    {"Transpose", is_idle_transpose, false},
    {"Slice", is_idle_slice, false},
    {"Pad", is_idle_pad, false},
    {"Concat", has_one_input, false},
    {"Sum", has_one_input, false},
    {"Mean", has_one_input, false},
    {"Max", has_one_input, false},
    {"Min", has_one_input, false},
    {"Add", adds_nothing, true},
    {"Sub", adds_nothing, false},
    {"Mul", multiplies_by_one, true},
    {"Div", multiplies_by_one, false},
};

static const idle_rule *find_rule(const pare_node *node) {
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (pass_is(node, rules[i].op)) {
            return &rules[i];
        }
    }
    return NULL;
}

/* Whether all who read y may read x: the grid that y is rounded to has to be
 * that of x, or to become it. */
static bool may_replace(const pare_value *y, pare_value *x) {
    bool output_stays = y->is_output && (x->producer == NULL || x->is_output);
    if (x == y || output_stays || (y->is_output && x->dtype != y->dtype)) {
        return false;
    }
    if (y->quant == NULL || pare_quant_equal(y->quant, x->quant)) {
        return true;
    }
    if (x->quant == NULL && x->producer != NULL && x->use_count == 1 && !x->is_output) {
        x->quant = y->quant;
        return true;
    }
    return false;
}

static bool bypass(pare_graph *graph, pare_node *node, pare_value *x) {
    pare_value *y = node->outputs[0];
    if (y == NULL || !may_replace(y, x)) {
        return false;
    }
    pare_graph_replace_uses(graph, y, x);
    pare_graph_remove_node(graph, node);
    return true;
}

/* A bias of zeros or a scale of ones may only be where training begins; a single number is none. */
static bool is_parameter(const pare_value *value) {
    return value != NULL && value->data != NULL && value->dtype == PARE_F32 && value->data_bytes > sizeof(float);
}

/* What runs as an identity and trains as something else. */
static bool is_for_training(const pare_graph *graph, const pare_node *node) {
    bool drops = pass_is(node, "Dropout") && !is_neutral(pass_input(node, 1), 0.0);
    bool computes = pass_is(node, "Add") || pass_is(node, "Sub") || pass_is(node, "Mul") || pass_is(node, "Div");
    bool learns = computes && (is_parameter(pass_input(node, 0)) || is_parameter(pass_input(node, 1)));
    return graph->for_training && (drops || learns);
}

static bool remove_idle(pare_graph *graph, pare_node *node) {
    const idle_rule *rule = is_for_training(graph, node) ? NULL : find_rule(node);
    if (rule == NULL || node->input_count == 0 || node->inputs[0] == NULL || node->output_count == 0 ||
        node->outputs[0] == NULL) {
        return false;
    }
    if (rule->is_idle(node)) {
        return bypass(graph, node, node->inputs[0]);
    }
    if (rule->commutes && node->input_count == 2 && node->inputs[0]->data != NULL && node->inputs[1] != NULL) {
        pare_value *swapped[2] = {node->inputs[1], node->inputs[0]};
        pare_node other = *node;
        other.inputs = swapped;
        return rule->is_idle(&other) && bypass(graph, node, swapped[0]);
    }
    return false;
}

static size_t permutation(const pare_node *node, int64_t *perm) {
    const int64_t *ints = NULL;
    size_t count = pare_node_ints(node, "perm", &ints);
    size_t rank = node->inputs[0]->has_shape ? (size_t)node->inputs[0]->shape.rank : 0;
    for (size_t i = 0; i < rank; i++) {
        perm[i] = count == rank ? ints[i] : (int64_t)(rank - 1 - i);
    }
    return rank;
}

/* Transpose(Transpose(x)): one Transpose, or none. */
static bool merge_transposes(pare_graph *graph, pare_node *node) {
    pare_value *middle = pass_is(node, "Transpose") ? node->inputs[0] : NULL;
    pare_node *first = middle != NULL ? middle->producer : NULL;
    int64_t a[PARE_MAX_RANK], b[PARE_MAX_RANK], both[PARE_MAX_RANK];
    if (first == NULL || !pass_is(first, "Transpose") ||
        (middle->quant != NULL && !pare_quant_equal(middle->quant, first->inputs[0]->quant))) {
        return false;
    }
    size_t rank = permutation(first, a);
    if (rank == 0 || permutation(node, b) != rank) {
        return false;
    }
    for (size_t i = 0; i < rank; i++) {
        both[i] = a[b[i]];
    }
    if (!pare_node_set_ints(graph, node, "perm", both, rank)) {
        return false;
    }
    pare_graph_set_input(graph, node, 0, first->inputs[0]);
    return true;
}

pare_status pare_remove_identities(pare_graph *graph, bool *changed, pare_error *error) {
    (void)error;
    for (pare_node *node = graph->first, *next; node != NULL; node = next) {
        next = node->next;
        if (merge_transposes(graph, node)) {
            *changed = true;
        }
        if (remove_idle(graph, node)) {
            *changed = true;
        }
    }
    return PARE_OK;
}
