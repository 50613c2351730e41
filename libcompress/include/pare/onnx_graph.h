/* The ONNX border of pare_graph: Q/DQ nodes appear and disappear here. */
#ifndef PARE_ONNX_GRAPH_H
#define PARE_ONNX_GRAPH_H

#include "pare/graph.h"
#include "pare/onnx.h"
#include "pare/status.h"

/* `--shape NAME=1x3x224x224`. */
typedef struct pare_shape_binding {
    const char *name;
    pare_shape shape;
} pare_shape_binding;

typedef struct pare_import_options {
    const pare_shape_binding *bindings;
    size_t binding_count;
    bool no_simplify;  /* default: pare_simplify runs */
    bool for_training; /* sets the graph's */
} pare_import_options;

/* Builds the graph: checks names, order, arities, operators (each unsupported
 * one is named with its node and opset), opset 7 to 22; turns
 * QuantizeLinear/DequantizeLinear and QLinear operators into values'
 * quantization (int8 activations become uint8 with the zero point moved by 128,
 * which is exact); infers shapes. The one symbolic dimension that heads the
 * first input which has any is the batch; others need a binding. `options` may be NULL. */
pare_status pare_graph_from_onnx(const pare_onnx_file *file, const pare_import_options *options, pare_graph **graph,
                                 pare_error *error);

/* pare_onnx_open + pare_graph_from_onnx + pare_onnx_close; messages begin with the path. */
pare_status pare_graph_load(const char *path, const pare_import_options *options, pare_graph **graph,
                            pare_error *error);

/* Writes standard ONNX (opset 13 or the file's own where newer; IR version 8):
 * quantized values become QuantizeLinear/DequantizeLinear pairs, quantized
 * constants integers behind a DequantizeLinear. */
pare_status pare_graph_save(const pare_graph *graph, const char *path, pare_error *error);

/* The same bytes into a block that the caller frees with pare_free; PARE_LIMIT
 * over 2 GiB - 1, where only a file with external data will do. */
pare_status pare_graph_to_bytes(const pare_graph *graph, uint8_t **data, size_t *size, pare_error *error);

#endif
