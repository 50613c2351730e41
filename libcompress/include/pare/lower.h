/* From pare_graph to pare_model. */
#ifndef PARE_LOWER_H
#define PARE_LOWER_H

#include "pare/graph.h"
#include "pare/model.h"
#include "pare/op.h"

/* Clones the graph, runs the fusing passes on the clone, and lowers each node
 * through its operator. Tensors keep their values' names, so that an observer
 * can find them. The caller releases *model. */
pare_status pare_graph_lower(const pare_graph *graph, pare_model **model, pare_error *error);

typedef struct pare_lower_options {
    bool keep_values; /* no fusion: every value of the graph exists as a tensor (for observing all of them) */
} pare_lower_options;
pare_status pare_graph_lower_with(const pare_graph *graph, const pare_lower_options *options, pare_model **model,
                                  pare_error *error);

/* True when the node runs on integers: its values carry quantization and its
 * operator agrees. */
bool pare_node_is_integer(const pare_node *node);

/* --- for operators ------------------------------------------------------- */

/* In the integer mode of a node (its inputs and outputs are quantized and
 * op->integer agreed) tensors are the integers; otherwise quantized inputs are
 * handed over dequantized, and outputs that carry a quantization are quantized
 * after the node. An operator's lower asks pare_lower_is_integer only where the
 * two differ. */
struct pare_lowering {
    pare_model_builder *builder;
    const pare_graph *graph;
    bool integer; /* mode of the node that is being lowered */
    struct pare_lower_state *state;
};

/* Tensor of input / output `index` of the node in its mode; PARE_NONE for an absent input. */
pare_status pare_lower_input(pare_lowering *lowering, const pare_node *node, size_t index, uint32_t *tensor,
                             pare_error *error);
pare_status pare_lower_output(pare_lowering *lowering, const pare_node *node, size_t index, uint32_t *tensor,
                              pare_error *error);
/* A temporary between two runtime nodes of one operator. quant may be NULL. */
pare_status pare_lower_temporary(pare_lowering *lowering, const pare_node *node, pare_dtype dtype,
                                 const pare_shape *shape, const pare_model_quant *quant, uint32_t *tensor,
                                 pare_error *error);
/* A constant made by the lowering (a reordered weight, a table). */
pare_status pare_lower_constant(pare_lowering *lowering, const pare_node *node, pare_dtype dtype,
                                const pare_shape *shape, const pare_model_quant *quant, const void *data, size_t bytes,
                                uint32_t *tensor, pare_error *error);
/* Adds a runtime node named after the operator's node. */
pare_status pare_lower_emit(pare_lowering *lowering, const pare_node *node, pare_opcode opcode, const void *attrs,
                            const uint32_t *inputs, size_t input_count, const uint32_t *outputs, size_t output_count,
                            pare_error *error);

#endif
