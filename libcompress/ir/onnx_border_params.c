/* Scales and zero points, checked. */
#include <math.h>

#include "ir/onnx_border.h"

static pare_status check_scales(const onnx_border *border, const pare_node *node, const onnx_scale *from,
                                const float **scales, size_t *count) {
    *scales = from->scale != NULL ? pare_value_floats(border->graph, from->scale, count) : NULL;
    if (*scales == NULL || *count == 0) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED, "expected a constant scale, found \"%.200s\"",
                              from->scale != NULL ? from->scale->name : "");
    }
    if (from->scale->shape.rank > 1) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED,
                              "expected one scale or one for each channel, found scales of rank %d",
                              (int)from->scale->shape.rank);
    }
    for (size_t i = 0; i < *count; i++) {
        if (!((*scales)[i] > 0.0F) || !isfinite((*scales)[i])) {
            return pare_node_fail(node, border->error, PARE_BAD_INPUT,
                                  "expected a positive, finite scale, found %g at %zu", (double)(*scales)[i], i);
        }
    }
    return PARE_OK;
}

/* Zero points as they are in the file; zeros where the input is absent. */
static pare_status read_zero_points(const onnx_border *border, const pare_node *node, const onnx_scale *from,
                                    pare_dtype dtype, size_t count, int32_t **zeros) {
    *zeros = pare_arena_alloc(&border->graph->arena, count, sizeof **zeros);
    if (*zeros == NULL) {
        return pare_graph_fail_memory(border->graph, border->error);
    }
    if (from->zero_point == NULL) {
        return PARE_OK;
    }
    if (from->zero_point->data != NULL && from->zero_point->dtype != dtype) {
        return pare_node_fail(node, border->error, PARE_BAD_INPUT, "expected a zero point of type %s, found %s",
                              pare_dtype_name(dtype), pare_dtype_name(from->zero_point->dtype));
    }
    size_t found = 0;
    const int64_t *ints = pare_value_ints(border->graph, from->zero_point, &found);
    if (ints == NULL) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED, "expected a constant zero point, found \"%.200s\"",
                              from->zero_point->name);
    }
    if (found != count) {
        return pare_node_fail(node, border->error, PARE_BAD_INPUT,
                              "expected as many zero points as scales (%zu), found %zu", count, found);
    }
    for (size_t i = 0; i < count; i++) {
        (*zeros)[i] = (int32_t)ints[i];
    }
    return PARE_OK;
}

static pare_status check_axis(const onnx_border *border, const pare_node *node, const pare_value *constant,
                              size_t count, int64_t *axis) {
    int64_t rank = constant->shape.rank;
    if (*axis < -rank || *axis >= rank) {
        return pare_node_fail(node, border->error, PARE_BAD_INPUT, "expected an axis in [%lld, %lld), found %lld",
                              (long long)-rank, (long long)rank, (long long)*axis);
    }
    *axis += *axis < 0 ? rank : 0;
    if (constant->shape.dims[*axis] != (int64_t)count) {
        return pare_node_fail(node, border->error, PARE_BAD_INPUT, "expected %lld scales along axis %lld, found %zu",
                              (long long)constant->shape.dims[*axis], (long long)*axis, count);
    }
    return PARE_OK;
}

pare_status onnx_border_constant_quant(const onnx_border *border, const pare_node *node, const onnx_scale *from,
                                       const pare_value *constant, pare_quant **quant) {
    const float *scales = NULL;
    size_t count = 0;
    int32_t *zeros = NULL;
    int64_t axis = from->axis;
    pare_dtype dtype = constant->dtype;
    if (dtype != PARE_S8 && dtype != PARE_U8 && dtype != PARE_S32) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED, "expected int8, uint8 or int32 elements, found %s",
                              pare_dtype_name(dtype));
    }
    PARE_TRY(check_scales(border, node, from, &scales, &count));
    PARE_TRY(read_zero_points(border, node, from, dtype, count, &zeros));
    if (count == 1) {
        axis = -1;
    } else {
        PARE_TRY(check_axis(border, node, constant, count, &axis));
    }
    for (size_t i = 0; i < count; i++) {
        if (dtype == PARE_S32 && zeros[i] != 0) {
            return pare_node_fail(node, border->error, PARE_BAD_INPUT, "expected zero point 0 for int32, found %d",
                                  (int)zeros[i]);
        }
        zeros[i] -= dtype == PARE_U8 ? 128 : 0;
    }
    *quant = pare_graph_add_quant(border->graph, dtype == PARE_S32 ? PARE_S32 : PARE_S8, (int32_t)axis, count, scales,
                                  zeros);
    return *quant != NULL ? PARE_OK : pare_graph_fail_memory(border->graph, border->error);
}

pare_status onnx_border_activation_quant(const onnx_border *border, const pare_node *node, const onnx_scale *from,
                                         pare_quant **quant) {
    const float *scales = NULL;
    size_t count = 0;
    int32_t *zeros = NULL;
    pare_dtype dtype = from->zero_point != NULL ? from->zero_point->dtype : PARE_U8;
    if (dtype != PARE_U8 && dtype != PARE_S8) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED, "expected uint8 or int8 activations, found %s",
                              pare_dtype_name(dtype));
    }
    PARE_TRY(check_scales(border, node, from, &scales, &count));
    if (count != 1) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED, "expected one scale for an activation, found %zu",
                              count);
    }
    PARE_TRY(read_zero_points(border, node, from, dtype, count, &zeros));
    zeros[0] += dtype == PARE_S8 ? 128 : 0; /* exact: every element moves by 128 too */
    *quant = pare_graph_add_quant(border->graph, PARE_U8, -1, 1, scales, zeros);
    return *quant != NULL ? PARE_OK : pare_graph_fail_memory(border->graph, border->error);
}

pare_status onnx_border_constant(const onnx_border *border, const pare_node *node, const pare_value *integers,
                                 const onnx_scale *from, const char *name, pare_value **real) {
    pare_quant *quant = NULL;
    void *data = integers->data;
    PARE_TRY(onnx_border_constant_quant(border, node, from, integers, &quant));
    if (integers->dtype == PARE_U8) {
        uint8_t *moved = pare_arena_alloc(&border->graph->arena, integers->data_bytes + 1, 1);
        if (moved == NULL) {
            return pare_graph_fail_memory(border->graph, border->error);
        }
        for (size_t i = 0; i < integers->data_bytes; i++) {
            moved[i] = (uint8_t)(((const uint8_t *)data)[i] ^ 0x80); /* x - 128 in two's complement */
        }
        data = moved;
    }
    *real = pare_graph_adopt_constant(border->graph, name, PARE_F32, &integers->shape, data, integers->data_bytes);
    if (*real == NULL) {
        return pare_graph_fail_memory(border->graph, border->error);
    }
    (*real)->quant = quant;
    return PARE_OK;
}

pare_status onnx_border_operand(const onnx_border *border, const pare_node *node, size_t first, pare_value **real) {
    const pare_value *integers = node->inputs[first];
    onnx_scale from = {.scale = node->inputs[first + 1],
                       .zero_point = first + 2 < node->input_count ? node->inputs[first + 2] : NULL};
    pare_quant *quant = NULL;
    *real = pare_name_table_find(border->real, integers->name);
    if (*real == NULL) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED,
                              "expected input \"%.200s\" from QuantizeLinear or a QLinear operator, found none",
                              integers->name);
    }
    PARE_TRY(onnx_border_activation_quant(border, node, &from, &quant));
    if (!pare_quant_equal(quant, (*real)->quant)) {
        return pare_node_fail(node, border->error, PARE_UNSUPPORTED,
                              "expected the scale and zero point that \"%.200s\" was quantized with, found others",
                              integers->name);
    }
    return PARE_OK;
}

pare_status onnx_border_split(const onnx_border *border, pare_node *node, size_t index, pare_quant *quant) {
    pare_value *integers = node->outputs[index];
    const char *name = integers->name;
    pare_value *real = NULL;
    if (quant == NULL || !pare_graph_rename(border->graph, integers, "integers") ||
        (real = pare_graph_add_value(border->graph, name, PARE_DTYPE_NONE, NULL)) == NULL ||
        !pare_name_table_put(border->real, integers->name, real)) {
        return pare_graph_fail_memory(border->graph, border->error);
    }
    real->quant = quant;
    real->producer = node;
    node->outputs[index] = real;
    integers->producer = NULL;
    return PARE_OK;
}
