/* QLinearConv, QLinearMatMul and QLinearAdd as the float operators between
 * quantized values. */
#include <math.h>
#include <string.h>

#include "ir/onnx_border.h"

bool onnx_border_is_qlinear(const pare_node *node) {
    return strncmp(node->op->name, "QLinear", 7) == 0;
}

/* The integers' own name goes to the real value: it is what the file calls the weight. */
static pare_status constant_operand(const onnx_border *border, const pare_node *node, size_t first, int64_t axis,
                                    pare_value **real) {
    pare_value *integers = node->inputs[first];
    const char *name = integers->name;
    onnx_scale from = {.scale = node->inputs[first + 1], .zero_point = node->inputs[first + 2], .axis = axis};
    if (!pare_graph_rename(border->graph, integers, "integers")) {
        return pare_graph_fail_memory(border->graph, border->error);
    }
    return onnx_border_constant(border, node, integers, &from, name, real);
}

static pare_status operand(const onnx_border *border, const pare_node *node, size_t first, int64_t axis,
                           pare_value **real) {
    return node->inputs[first]->data != NULL ? constant_operand(border, node, first, axis, real)
                                             : onnx_border_operand(border, node, first, real);
}

/* int32 bias at scale x.scale × w.scale. */
static pare_status bias_operand(const onnx_border *border, const pare_node *node, pare_value *bias, const pare_value *x,
                                const pare_value *w, pare_value **real) {
    size_t count = w->quant->count;
    float *scales = pare_arena_alloc(&border->graph->arena, count, sizeof *scales);
    if (scales == NULL) {
        return pare_graph_fail_memory(border->graph, border->error);
    }
    if (bias->data == NULL || bias->dtype != PARE_S32 || bias->shape.rank != 1 ||
        (count != 1 && bias->shape.dims[0] != (int64_t)count)) {
        return pare_node_fail(node, border->error, PARE_BAD_INPUT,
                              "expected a constant int32 bias with an element for each channel, found \"%.200s\"",
                              bias->name);
    }
    for (size_t i = 0; i < count; i++) {
        scales[i] = x->quant->scales[0] * w->quant->scales[i];
        if (!(scales[i] > 0.0F) || !isfinite(scales[i])) {
            return pare_node_fail(node, border->error, PARE_BAD_INPUT,
                                  "expected scales whose product is above 0 and finite, found %g", (double)scales[i]);
        }
    }
    const char *name = bias->name;
    if (!pare_graph_rename(border->graph, bias, "integers")) {
        return pare_graph_fail_memory(border->graph, border->error);
    }
    *real = pare_graph_adopt_constant(border->graph, name, PARE_F32, &bias->shape, bias->data, bias->data_bytes);
    pare_quant *quant = pare_graph_add_quant(border->graph, PARE_S32, count == 1 ? -1 : 0, count, scales, NULL);
    if (*real == NULL || quant == NULL) {
        return pare_graph_fail_memory(border->graph, border->error);
    }
    (*real)->quant = quant;
    return PARE_OK;
}

/* First input of the output's scale: after two operands of three inputs each. */
#define RESULT 6

static pare_status become(const onnx_border *border, pare_node *node, const char *op_name, pare_value **inputs,
                          size_t input_count) {
    onnx_scale from = {.scale = node->inputs[RESULT],
                       .zero_point = RESULT + 1 < node->input_count ? node->inputs[RESULT + 1] : NULL};
    pare_quant *quant = NULL;
    PARE_TRY(onnx_border_activation_quant(border, node, &from, &quant));
    const pare_op *op = pare_op_find("", op_name, border->graph->opset);
    if (op == NULL) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED, "expected the operator %s to be supported",
                              op_name);
    }
    for (size_t i = 0; i < node->input_count; i++) {
        pare_graph_set_input(border->graph, node, i, i < input_count ? inputs[i] : NULL);
    }
    node->input_count = input_count;
    node->op = op;
    return onnx_border_split(border, node, 0, quant);
}

pare_status onnx_border_qlinear(const onnx_border *border, pare_node *node) {
    pare_value *inputs[3] = {NULL, NULL, NULL};
    size_t count = 2;
    bool conv = strcmp(node->op->name, "QLinearConv") == 0;
    bool matmul = strcmp(node->op->name, "QLinearMatMul") == 0;
    if (node->outputs[0] == NULL || node->outputs[0]->is_output) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED,
                              "expected DequantizeLinear after it, found that its integers leave the graph");
    }
    PARE_TRY(operand(border, node, 0, -2, &inputs[0]));
    PARE_TRY(operand(border, node, 3, conv ? 0 : -1, &inputs[1]));
    if (conv && node->input_count > 8 && node->inputs[8] != NULL) {
        PARE_TRY(bias_operand(border, node, node->inputs[8], inputs[0], inputs[1], &inputs[2]));
        count = 3;
    }
    return become(border, node, conv ? "Conv" : matmul ? "MatMul" : "Add", inputs, count);
}
