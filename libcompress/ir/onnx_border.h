/* Shared by the files that turn Q/DQ and QLinear nodes into quantization. */
#ifndef PARE_ONNX_BORDER_H
#define PARE_ONNX_BORDER_H

#include "ir/onnx_import.h"

typedef struct onnx_border {
    pare_graph *graph;
    pare_name_table *real; /* integer value's name -> the real value that carries its quantization */
    pare_error *error;
} onnx_border;

/* Where a scale and a zero point (may be NULL) come from. */
typedef struct onnx_scale {
    pare_value *scale, *zero_point;
    int64_t axis;
} onnx_scale;

/* The quantization of a constant of integers (as S8 or S32). */
pare_status onnx_border_constant_quant(const onnx_border *border, const pare_node *node, const onnx_scale *from,
                                       const pare_value *constant, pare_quant **quant);
/* That of an activation: one scale, U8. */
pare_status onnx_border_activation_quant(const onnx_border *border, const pare_node *node, const onnx_scale *from,
                                         pare_quant **quant);
/* A real-valued constant that stores the integers of `integers`. */
pare_status onnx_border_constant(const onnx_border *border, const pare_node *node, const pare_value *integers,
                                 const onnx_scale *from, const char *name, pare_value **real);
/* The real value behind an integer activation that is read with these
 * parameters; PARE_UNSUPPORTED where there is none. */
pare_status onnx_border_operand(const onnx_border *border, const pare_node *node, size_t first, pare_value **real);
/* The node's output becomes a real value with this quantization, under the
 * output's name; the old one stays as the name of its integers, for those who
 * read them further down. */
pare_status onnx_border_split(const onnx_border *border, pare_node *node, size_t index, pare_quant *quant);
/* QLinearConv, QLinearMatMul, QLinearAdd. */
pare_status onnx_border_qlinear(const onnx_border *border, pare_node *node);
/* True for those three. */
bool onnx_border_is_qlinear(const pare_node *node);

#endif
