/* What several quantization methods ask about a weighted layer. Private to quant. */
#ifndef PARE_LAYER_VIEW_H
#define PARE_LAYER_VIEW_H

#include "pare/graph.h"

/* Axis of a weighted node's output that counts its output channels. */
int output_channel_axis(const pare_node *node);
size_t output_channels(const pare_node *node);

/* Adds `delta[channels]` (real units) to the node's bias, which is made where
 * there is none; integer biases take the rounded value. */
pare_status bias_add(pare_graph *graph, pare_node *node, const double *delta, pare_error *error);

#endif
