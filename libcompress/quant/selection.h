/* Which nodes become integer, and which values must be calibrated for that.
 * Private to quant. */
#ifndef PARE_SELECTION_H
#define PARE_SELECTION_H

#include "pare/graph.h"
#include "pare/op.h"
#include "pare/quantize.h"

typedef struct quant_selection {
    pare_node **nodes; /* in execution order */
    size_t node_count;
    pare_value **values; /* activations that get a quantization of their own */
    size_t value_count;
} quant_selection;

/* `excluded(context, node)` nodes stay in float. Free with selection_free. */
pare_status selection_make(pare_graph *graph, bool (*excluded)(const void *context, const pare_node *node),
                           const void *context, quant_selection *selection, pare_error *error);
void selection_free(quant_selection *selection);
bool selection_contains(const quant_selection *selection, const pare_node *node);

/* True when `value` is only read by a clamp that the requantization of its
 * producer does on the way: it never exists as integers. */
bool selection_absorbs(const quant_selection *selection, const pare_graph *graph, const pare_value *value);

/* A weighted node's constant float weights, or NULL. */
pare_value *weights_of(const pare_node *node);
/* Inputs 0 .. activation_inputs(node) - 1 are activations. */
size_t activation_inputs(const pare_node *node);

#endif
