/* Nodes of opset 7 to 12 in the spelling of opset 13: attributes that became
 * inputs, operators that were renamed, semantics that moved. The rest of Pare
 * knows opset 13 and later only. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/onnx_import.h"

typedef struct upgrade {
    pare_graph *graph;
    pare_error *error;
} upgrade;

static pare_status no_memory(const upgrade *up) {
    return pare_graph_fail_memory(up->graph, up->error);
}

/* Input `index` becomes a constant named after the node. */
static pare_status set_constant(const upgrade *up, pare_node *node, size_t index, const char *what, pare_dtype dtype,
                                const pare_shape *shape, const void *data, size_t bytes) {
    char name[1200];
    snprintf(name, sizeof name, "%s_%s", node->name, what);
    pare_value *value = pare_graph_add_constant(up->graph, name, dtype, shape, data, bytes);
    if (value == NULL || !pare_graph_grow_inputs(up->graph, node, index + 1)) {
        return no_memory(up);
    }
    pare_graph_set_input(up->graph, node, index, value);
    return PARE_OK;
}

static pare_status ints_to_input(const upgrade *up, pare_node *node, const char *attr, size_t index) {
    const int64_t *ints = NULL;
    size_t count = pare_node_ints(node, attr, &ints);
    if (pare_node_attr(node, attr) == NULL) {
        return PARE_OK;
    }
    pare_shape shape = {.rank = 1, .dims = {(int64_t)count}};
    PARE_TRY(set_constant(up, node, index, attr, PARE_S64, &shape, ints, count * sizeof *ints));
    pare_node_remove_attr(node, attr);
    return PARE_OK;
}

static pare_status float_to_input(const upgrade *up, pare_node *node, const char *attr, size_t index) {
    float value = pare_node_float(node, attr, 0.0F);
    pare_shape scalar = {0};
    if (pare_node_attr(node, attr) == NULL) {
        return PARE_OK;
    }
    PARE_TRY(set_constant(up, node, index, attr, PARE_F32, &scalar, &value, sizeof value));
    pare_node_remove_attr(node, attr);
    return PARE_OK;
}

static pare_status upgrade_clip(const upgrade *up, pare_node *node) {
    PARE_TRY(float_to_input(up, node, "min", 1));
    return float_to_input(up, node, "max", 2);
}

static pare_status upgrade_axes(const upgrade *up, pare_node *node) {
    return ints_to_input(up, node, "axes", 1);
}

static pare_status upgrade_split(const upgrade *up, pare_node *node) {
    return ints_to_input(up, node, "split", 1);
}

static pare_status upgrade_pad(const upgrade *up, pare_node *node) {
    PARE_TRY(ints_to_input(up, node, "pads", 1));
    return float_to_input(up, node, "value", 2);
}

static pare_status upgrade_slice(const upgrade *up, pare_node *node) {
    PARE_TRY(ints_to_input(up, node, "starts", 1));
    PARE_TRY(ints_to_input(up, node, "ends", 2));
    return ints_to_input(up, node, "axes", 3);
}

static pare_status upgrade_top_k(const upgrade *up, pare_node *node) {
    int64_t k = pare_node_int(node, "k", 0);
    pare_shape shape = {.rank = 1, .dims = {1}};
    if (pare_node_attr(node, "k") == NULL) {
        return PARE_OK;
    }
    PARE_TRY(set_constant(up, node, 1, "k", PARE_S64, &shape, &k, sizeof k));
    pare_node_remove_attr(node, "k");
    return PARE_OK;
}

static pare_status upgrade_dropout(const upgrade *up, pare_node *node) {
    pare_node_remove_attr(node, "is_test");
    return float_to_input(up, node, "ratio", 1);
}

/* Training outputs disappear where nobody reads them. */
static pare_status upgrade_batchnorm(const upgrade *up, pare_node *node) {
    if (pare_node_int(node, "spatial", 1) != 1) {
        return pare_node_fail(node, up->error, PARE_UNSUPPORTED, "expected spatial = 1, found 0");
    }
    pare_node_remove_attr(node, "spatial");
    while (node->output_count > 1) {
        pare_value *extra = node->outputs[node->output_count - 1];
        if (extra != NULL && extra->use_count != 0) {
            break;
        }
        if (extra != NULL) {
            extra->producer = NULL;
        }
        node->output_count--;
    }
    return PARE_OK;
}

static pare_node *insert_with_output(const upgrade *up, pare_node *before, const char *op_name, pare_value **inputs,
                                     size_t input_count, const char *value_name, pare_value **output) {
    const pare_op *op = pare_op_find("", op_name, up->graph->opset);
    *output = op != NULL ? pare_graph_add_value(up->graph, value_name, PARE_DTYPE_NONE, NULL) : NULL;
    if (*output == NULL) {
        return NULL;
    }
    return pare_graph_insert_node(up->graph, before, op, NULL, inputs, input_count, output, 1);
}

/* Before opset 13, softmax ran over all axes from `axis` on, taken as one. */
static pare_status upgrade_softmax(const upgrade *up, pare_node *node) {
    int64_t axis = pare_node_int(node, "axis", 1);
    if (!pare_node_set_int(up->graph, node, "axis", -1)) {
        return no_memory(up);
    }
    if (axis == -1) {
        return PARE_OK;
    }
    pare_value *x = node->inputs[0], *y = node->outputs[0];
    pare_value *flat = NULL, *size = NULL, *result = NULL;
    pare_node *flatten = insert_with_output(up, node, "Flatten", &x, 1, y->name, &flat);
    pare_node *shape = insert_with_output(up, node, "Shape", &x, 1, y->name, &size);
    if (flatten == NULL || shape == NULL || !pare_node_set_int(up->graph, flatten, "axis", axis)) {
        return no_memory(up);
    }
    result = pare_graph_add_value(up->graph, y->name, PARE_DTYPE_NONE, NULL);
    const pare_op *reshape = pare_op_find("", "Reshape", up->graph->opset);
    if (result == NULL || reshape == NULL) {
        return no_memory(up);
    }
    pare_graph_set_input(up->graph, node, 0, flat);
    node->outputs[0] = result;
    result->producer = node;
    y->producer = NULL;
    pare_value *inputs[2] = {result, size};
    return pare_graph_insert_node(up->graph, node->next, reshape, NULL, inputs, 2, &y, 1) != NULL ? PARE_OK
                                                                                                  : no_memory(up);
}

/* Resize 10 and Upsample sample at x_out / scale, downwards. */
static pare_status sample_asymmetrically(const upgrade *up, pare_node *node) {
    if (node->input_count != 2) {
        return pare_node_fail(node, up->error, PARE_BAD_INPUT, "expected scales, found %zu inputs", node->input_count);
    }
    pare_value *scales = node->inputs[1];
    if (!pare_graph_grow_inputs(up->graph, node, 3)) {
        return no_memory(up);
    }
    pare_graph_set_input(up->graph, node, 2, scales);
    pare_graph_set_input(up->graph, node, 1, NULL);
    if (strcmp(pare_node_string(node, "mode", "nearest"), "bilinear") == 0 &&
        !pare_node_set_string(up->graph, node, "mode", "linear")) {
        return no_memory(up);
    }
    return pare_node_set_string(up->graph, node, "coordinate_transformation_mode", "asymmetric") &&
                   pare_node_set_string(up->graph, node, "nearest_mode", "floor")
               ? PARE_OK
               : no_memory(up);
}

static pare_status upgrade_upsample(const upgrade *up, pare_node *node) {
    const pare_attr *attr = pare_node_attr(node, "scales");
    if (attr != NULL && attr->kind == PARE_ATTR_FLOATS) {
        pare_shape shape = {.rank = 1, .dims = {(int64_t)attr->count}};
        PARE_TRY(set_constant(up, node, 1, "scales", PARE_F32, &shape, attr->floats, attr->count * sizeof(float)));
        pare_node_remove_attr(node, "scales");
    }
    node->op = pare_op_find("", "Resize", up->graph->opset);
    if (node->op == NULL) {
        return pare_fail(up->error, PARE_UNSUPPORTED,
                         "node \"%.200s\" (Upsample, opset %d): expected a supported "
                         "operator, found one that needs Resize",
                         node->name, (int)node->opset);
    }
    return sample_asymmetrically(up, node);
}

typedef struct rule {
    const char *op;
    int32_t below; /* applies to nodes of a smaller opset */
    pare_status (*apply)(const upgrade *up, pare_node *node);
} rule;

static const rule rules[] = {
    {"Clip", 11, upgrade_clip},         {"Squeeze", 13, upgrade_axes},
    {"Unsqueeze", 13, upgrade_axes},    {"ReduceSum", 13, upgrade_axes},
    {"Split", 13, upgrade_split},       {"Pad", 11, upgrade_pad},
    {"Slice", 10, upgrade_slice},       {"TopK", 10, upgrade_top_k},
    {"Dropout", 12, upgrade_dropout},   {"BatchNormalization", 14, upgrade_batchnorm},
    {"Softmax", 13, upgrade_softmax},   {"LogSoftmax", 13, upgrade_softmax},
    {"Hardmax", 13, upgrade_softmax},   {"Resize", 11, sample_asymmetrically},
    {"Upsample", 23, upgrade_upsample},
};

static pare_status upgrade_node(const upgrade *up, pare_node *node) {
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(rules[i].op, node->op->name) == 0 && node->op->domain[0] == '\0') {
            return node->opset < rules[i].below ? rules[i].apply(up, node) : PARE_OK;
        }
    }
    return PARE_OK;
}

pare_status onnx_upgrade(pare_graph *graph, pare_error *error) {
    upgrade up = {.graph = graph, .error = error};
    for (pare_node *node = graph->first, *next; node != NULL; node = next) {
        next = node->next; /* what a rule inserts speaks the new opset */
        PARE_TRY(upgrade_node(&up, node));
    }
    return PARE_OK;
}
