/* Sets quantization on a graph from calibrated ranges. Private to quant. */
#ifndef PARE_APPLY_H
#define PARE_APPLY_H

#include "selection.h"

/* The calibrated range of a value, by name; NULL when it has none. */
const pare_range *range_find(const pare_calibration *calibration, const char *name);

/* Values of JOIN nodes' inputs and output take the union of their ranges. */
void ranges_join(const quant_selection *selection, pare_calibration *calibration);

/* Activations of the selected nodes get U8 quantizations. */
pare_status apply_activations(pare_graph *graph, const quant_selection *selection, const pare_calibration *calibration,
                              pare_error *error);

/* Weights of every weighted selected node (selection may be NULL: of every
 * weighted node) become S8 constants, biases S32 where the input is quantized.
 * `report` rows are found by node name. */
pare_status apply_weights(pare_graph *graph, const quant_selection *selection, const pare_quantize_options *options,
                          pare_quantize_report *report, pare_error *error);

#endif
