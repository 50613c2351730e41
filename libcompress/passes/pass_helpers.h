/* What the passes share. Private to libcompress/passes. */
#ifndef PARE_PASS_HELPERS_H
#define PARE_PASS_HELPERS_H

#include "ir/graph_internal.h"
#include "pare/op.h"

/* True when the node is the ONNX operator `name`. */
bool pass_is(const pare_node *node, const char *name);
/* Input `index`, or NULL where absent. */
pare_value *pass_input(const pare_node *node, size_t index);
/* A constant of float32 without quantization. */
bool pass_is_float_constant(const pare_value *value);
/* `name` as an ONNX operator of the graph's opset. */
const pare_op *pass_op(const pare_graph *graph, const char *name);
/* `node` produces the only output of `last`, its only reader, instead of its own; `last` goes. */
void pass_take_over(pare_graph *graph, pare_node *node, pare_node *last);
/* Input `index` of a node as a constant of its own with these elements
 * (`data` in the graph's arena): in place where nobody else reads it, so that
 * its name stays. NULL when out of memory. */
pare_value *pass_replace_constant(pare_graph *graph, pare_node *node, size_t index, const pare_shape *shape, void *data,
                                  size_t bytes);

/* canonicalize_gemm.c: MatMul and Gemm. */
pare_status pass_canonicalize_matmul(pare_graph *graph, pare_node *node, bool *changed, pare_error *error);
pare_status pass_canonicalize_gemm(pare_graph *graph, pare_node *node, bool *changed, pare_error *error);

#endif
