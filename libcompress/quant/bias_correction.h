/* Empirical bias correction. Private to quant. */
#ifndef PARE_BIAS_CORRECTION_H
#define PARE_BIAS_CORRECTION_H

#include "selection.h"

/* Moves each selected layer's bias by the mean difference that quantization
 * causes at its output, layer after layer, on up to `samples` samples (Nagel
 * 2019, section 4.2, "empirical"). `original` is the float graph whose nodes
 * have the same names. */
pare_status correct_biases(pare_graph *graph, const pare_graph *original, const quant_selection *selection,
                           pare_dataset *dataset, const pare_preprocess *preprocess, const pare_run_options *options,
                           pare_error *error);

#endif
