/* How much each layer alone, when quantized, disturbs the output. Private to quant. */
#ifndef PARE_SENSITIVITY_H
#define PARE_SENSITIVITY_H

#include "pare/quantize.h"

/* Fills `sensitivity` of each row of the report: the mean squared change of the
 * model's first output with only that layer quantized, over the mean square of
 * the float output, on the samples of `dataset`. */
pare_status measure_sensitivity(const pare_graph *graph, const pare_calibration *calibration,
                                const pare_quantize_options *options, pare_dataset *dataset,
                                const pare_preprocess *preprocess, const pare_run_options *run_options,
                                pare_quantize_report *report, pare_error *error);

#endif
