/* QuantizeLinear and DequantizeLinear on the way in: they leave as quantization
 * of the values they stood on. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/onnx_border.h"

static const pare_op border_ops[] = {
    {.name = "QuantizeLinear", .domain = "", .min_inputs = 2, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1},
    {.name = "DequantizeLinear", .domain = "", .min_inputs = 2, .max_inputs = 3, .min_outputs = 1, .max_outputs = 1},
    {.name = "QLinearConv", .domain = "", .min_inputs = 8, .max_inputs = 9, .min_outputs = 1, .max_outputs = 1},
    {.name = "QLinearMatMul", .domain = "", .min_inputs = 8, .max_inputs = 8, .min_outputs = 1, .max_outputs = 1},
    {.name = "QLinearAdd",
     .domain = "com.microsoft",
     .min_inputs = 7,
     .max_inputs = 8,
     .min_outputs = 1,
     .max_outputs = 1},
    {.name = "Upsample", .domain = "", .min_inputs = 1, .max_inputs = 2, .min_outputs = 1, .max_outputs = 1},
};

const pare_op *onnx_border_op(const char *domain, const char *name) {
    if (strcmp(domain, "ai.onnx") == 0) {
        domain = "";
    }
    for (size_t i = 0; i < sizeof border_ops / sizeof border_ops[0]; i++) {
        if (strcmp(border_ops[i].name, name) == 0 && strcmp(border_ops[i].domain, domain) == 0) {
            return &border_ops[i];
        }
    }
    return NULL;
}

static bool is(const pare_node *node, const char *name) {
    return strcmp(node->op->name, name) == 0;
}

static onnx_scale scale_of(const pare_node *node) {
    return (onnx_scale){.scale = node->inputs[1],
                        .zero_point = node->input_count > 2 ? node->inputs[2] : NULL,
                        .axis = pare_node_int(node, "axis", 1)};
}

static pare_status no_memory(const onnx_border *border) {
    return pare_graph_fail_memory(border->graph, border->error);
}

/* A float constant behind a QuantizeLinear: its integers are computed here. */
static pare_status quantize_constant(const onnx_border *border, pare_node *node) {
    pare_value *x = node->inputs[0], *y = node->outputs[0];
    onnx_scale from = scale_of(node);
    pare_value as_integers = *x;
    pare_quant *quant = NULL;
    size_t count = 0;
    as_integers.dtype = from.zero_point != NULL ? from.zero_point->dtype : PARE_U8;
    if (x->dtype != PARE_F32 || as_integers.dtype == PARE_S32) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED,
                              "expected float32 to int8 or uint8, found %s to %s", pare_dtype_name(x->dtype),
                              pare_dtype_name(as_integers.dtype));
    }
    PARE_TRY(onnx_border_constant_quant(border, node, &from, &as_integers, &quant));
    const float *floats = pare_value_floats(border->graph, x, &count);
    uint8_t *bytes = pare_arena_alloc(&border->graph->arena, count + 1, 1);
    if (floats == NULL || bytes == NULL) {
        return no_memory(border);
    }
    size_t stride = 1;
    for (int32_t d = quant->axis + 1; quant->axis >= 0 && d < x->shape.rank; d++) {
        stride *= (size_t)x->shape.dims[d];
    }
    for (size_t i = 0; i < count; i++) {
        size_t channel = quant->axis >= 0 ? i / stride % quant->count : 0;
        float scaled = rintf(floats[i] / quant->scales[channel]) + (float)quant->zero_points[channel];
        scaled = scaled >= -128.0F ? scaled : -128.0F; /* NaN too */
        int value = (int)(scaled <= 127.0F ? scaled : 127.0F);
        bytes[i] = (uint8_t)(as_integers.dtype == PARE_U8 ? value + 128 : value);
    }
    y->dtype = as_integers.dtype;
    y->shape = x->shape;
    y->has_shape = true;
    if (!pare_graph_make_constant(border->graph, y, bytes, count)) {
        return no_memory(border);
    }
    pare_graph_remove_node(border->graph, node);
    return PARE_OK;
}

/* Makes `node` y = Identity(x). */
static pare_status become_identity(const onnx_border *border, pare_node *node, pare_value *x) {
    node->op = pare_op_find("", "Identity", border->graph->opset);
    if (node->op == NULL) {
        return pare_fail(border->error, PARE_INTERNAL, "the operator Identity is missing");
    }
    for (size_t i = 0; i < node->input_count; i++) {
        pare_graph_set_input(border->graph, node, i, i == 0 ? x : NULL);
    }
    node->input_count = 1;
    node->attrs = NULL;
    return PARE_OK;
}

static pare_status absorb_quantize(const onnx_border *border, pare_node *node) {
    pare_value *x = node->inputs[0], *y = node->outputs[0];
    onnx_scale from = scale_of(node);
    pare_quant *quant = NULL;
    if (y == NULL || y->is_output) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED,
                              "expected DequantizeLinear after it, found that its integers leave the graph");
    }
    if (x->data != NULL && x->quant == NULL) {
        return quantize_constant(border, node);
    }
    PARE_TRY(onnx_border_activation_quant(border, node, &from, &quant));
    if (x->quant == NULL && x->use_count == 1 && !x->is_output) {
        x->quant = quant;
    } else if (!pare_quant_equal(quant, x->quant)) {
        PARE_TRY(become_identity(border, node, x));
        return onnx_border_split(border, node, 0, quant);
    }
    if (!pare_name_table_put(border->real, y->name, x)) {
        return no_memory(border);
    }
    pare_graph_remove_node(border->graph, node);
    return PARE_OK;
}

/* Integers that the file computes or receives: (float(q) - zero point) × scale. */
static pare_status dequantize_in_float(const onnx_border *border, pare_node *node) {
    pare_graph *graph = border->graph;
    pare_value *q = node->inputs[0], *y = node->outputs[0];
    onnx_scale from = scale_of(node);
    size_t count = 0;
    const float *scale = pare_value_floats(graph, from.scale, &count);
    const int64_t *zero = NULL;
    if (scale == NULL || count != 1) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED, "expected one constant scale, found \"%.200s\"",
                              from.scale->name);
    }
    if (!(scale[0] > 0.0F) || !isfinite(scale[0])) {
        return pare_node_fail(node, border->error, PARE_BAD_INPUT, "expected a positive, finite scale, found %g",
                              (double)scale[0]);
    }
    if (from.zero_point != NULL && ((zero = pare_value_ints(graph, from.zero_point, &count)) == NULL || count != 1)) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED,
                              "expected one constant zero point, found \"%.200s\"", from.zero_point->name);
    }
    float offset = zero != NULL ? (float)zero[0] : 0.0F;
    pare_shape scalar = {0};
    pare_value *real = pare_graph_add_value(graph, y->name, PARE_DTYPE_NONE, NULL);
    pare_value *moved = pare_graph_add_value(graph, y->name, PARE_DTYPE_NONE, NULL);
    pare_value *offset_value = pare_graph_add_constant(graph, "zero_point", PARE_F32, &scalar, &offset, sizeof offset);
    const pare_op *cast = pare_op_find("", "Cast", graph->opset), *sub = pare_op_find("", "Sub", graph->opset);
    const pare_op *mul = pare_op_find("", "Mul", graph->opset);
    if (cast == NULL || sub == NULL || mul == NULL) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED, "expected integers from QuantizeLinear");
    }
    if (real == NULL || moved == NULL || offset_value == NULL) {
        return no_memory(border);
    }
    pare_value *sub_inputs[2] = {real, offset_value};
    pare_node *made = pare_graph_insert_node(graph, node, cast, NULL, &q, 1, &real, 1);
    if (made == NULL || !pare_node_set_int(graph, made, "to", PARE_F32) ||
        pare_graph_insert_node(graph, node, sub, NULL, sub_inputs, 2, &moved, 1) == NULL) {
        return no_memory(border);
    }
    node->op = mul;
    node->attrs = NULL;
    pare_graph_set_input(graph, node, 0, moved);
    if (node->input_count > 2) {
        pare_graph_set_input(graph, node, 2, NULL);
    }
    node->input_count = 2;
    return PARE_OK;
}

static pare_status absorb_dequantize(const onnx_border *border, pare_node *node) {
    pare_value *q = node->inputs[0], *y = node->outputs[0], *real = NULL;
    onnx_scale from = scale_of(node);
    if (y == NULL) {
        pare_graph_remove_node(border->graph, node);
        return PARE_OK;
    }
    if (q->data != NULL) {
        const char *name = y->name;
        if (!y->is_output && !pare_graph_rename(border->graph, y, "dequantized")) {
            return no_memory(border);
        }
        PARE_TRY(onnx_border_constant(border, node, q, &from, name, &real));
    } else if (pare_name_table_find(border->real, q->name) == NULL) {
        return dequantize_in_float(border, node);
    } else {
        PARE_TRY(onnx_border_operand(border, node, 0, &real));
    }
    pare_graph_replace_uses(border->graph, y, real);
    if (y->is_output) { /* an input or a constant leaves the graph: through a node */
        y->quant = real->data == NULL ? real->quant : NULL;
        return become_identity(border, node, real);
    }
    pare_graph_remove_node(border->graph, node);
    return PARE_OK;
}

static bool moves_elements(const pare_op *op) {
    return op->quant == PARE_QUANT_MOVE || op->quant == PARE_QUANT_JOIN || op->shape_only;
}

/* Operators that only move elements work on integers as on reals. */
static pare_status absorb_move(const onnx_border *border, pare_node *node) {
    const pare_quant *quant = NULL;
    for (size_t i = 0; i < node->input_count; i++) {
        pare_value *input = node->inputs[i];
        pare_value *real = input != NULL ? pare_name_table_find(border->real, input->name) : NULL;
        bool integers = input != NULL && input->data != NULL && (input->dtype == PARE_U8 || input->dtype == PARE_S8);
        if (real == NULL && !integers) {
            continue;
        }
        if (real == NULL || !moves_elements(node->op) || (quant != NULL && !pare_quant_equal(quant, real->quant))) {
            return pare_node_fail(node, border->error, PARE_UNSUPPORTED,
                                  "expected DequantizeLinear before it, found the integers of \"%.200s\"", input->name);
        }
        quant = real->quant;
        pare_graph_set_input(border->graph, node, i, real);
    }
    for (size_t i = 0; quant != NULL && !node->op->shape_only && i < node->output_count; i++) {
        pare_value *output = node->outputs[i];
        if (output == NULL) {
            continue;
        }
        if (output->is_output || (i > 0 && output->use_count != 0 && is(node, "MaxPool"))) {
            return pare_node_fail(node, border->error, PARE_UNSUPPORTED,
                                  "expected DequantizeLinear after it, found that its integers leave the graph");
        }
        PARE_TRY(onnx_border_split(border, node, i, pare_graph_copy_quant(border->graph, quant)));
    }
    return PARE_OK;
}

static bool reads_integers(const onnx_border *border, const pare_node *node) {
    for (size_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] != NULL && pare_name_table_find(border->real, node->inputs[i]->name) != NULL) {
            return true;
        }
    }
    return false;
}

static pare_status absorb(const onnx_border *border, pare_node *node) {
    if (is(node, "QuantizeLinear")) {
        return absorb_quantize(border, node);
    }
    if (is(node, "DequantizeLinear")) {
        return absorb_dequantize(border, node);
    }
    if (onnx_border_is_qlinear(node)) {
        return onnx_border_qlinear(border, node);
    }
    return reads_integers(border, node) ? absorb_move(border, node) : PARE_OK;
}

pare_status onnx_absorb_quantization(pare_graph *graph, pare_error *error) {
    onnx_border border = {.graph = graph, .error = error};
    border.real = pare_name_table_create(&graph->arena);
    if (border.real == NULL) {
        return pare_graph_fail_memory(graph, error);
    }
    for (pare_node *node = graph->first, *next; node != NULL; node = next) {
        next = node->next;
        PARE_TRY(absorb(&border, node));
    }
    return PARE_OK;
}
