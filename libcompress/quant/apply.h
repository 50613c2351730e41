/* Sets quantization on a graph from calibrated ranges. Private to quant. */
#ifndef PARE_APPLY_H
#define PARE_APPLY_H

#include "selection.h"

/* The calibrated range of a value, by name; NULL when it has none. */
const pare_range *range_find(const pare_calibration *calibration, const char *name);

/* Values of JOIN nodes' inputs and output take the union of their ranges. */
void ranges_join(const quant_selection *selection, pare_calibration *calibration);

/* Follows movement back to the value whose quantization the others copy. */
const pare_value *root_of(const quant_selection *selection, const pare_value *value);

/* The grid of an activation; false where it has none. */
typedef bool (*activation_grid)(const void *context, const pare_value *value, float *scale, int32_t *zero_point);
/* Activations of the selected nodes get the U8 grids that `grid` tells. PARE_INTERNAL names one without. */
pare_status apply_grids(pare_graph *graph, const quant_selection *selection, activation_grid grid, const void *context,
                        pare_error *error);

/* Activations of the selected nodes get U8 quantizations. */
pare_status apply_activations(pare_graph *graph, const quant_selection *selection, const pare_calibration *calibration,
                              pare_error *error);

/* Weights of every weighted selected node (selection may be NULL: of every
 * weighted node) become S8 constants, biases S32 where the input is quantized.
 * `report` rows are found by node name. */
pare_status apply_weights(pare_graph *graph, const quant_selection *selection, const pare_quantize_options *options,
                          pare_quantize_report *report, pare_error *error);

/* The node's constant float bias when it is a vector over the output channels, else NULL. */
pare_value *vector_bias(const pare_node *node, size_t channels);
/* A bias b needs |b| / (x.scale × w.scale) within 30 bits: an almost dead channel gets a larger weight scale, at least
 * least[channel], which costs it nothing. */
void bias_bounds(const float *bias, size_t channels, float input_scale, float *least);
/* The node's float weights become the S8 constant `rounded` with `scale_count` scales (1, or one a channel); its bias
 * S32 where the input is quantized. */
pare_status apply_integers(pare_graph *graph, pare_node *node, const pare_value *weights, const int8_t *rounded,
                           const float *scales, size_t scale_count, pare_error *error);

#endif
