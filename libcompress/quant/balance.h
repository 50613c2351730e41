/* Channels of one activation brought to comparable ranges. Private to quant. */
#ifndef PARE_BALANCE_H
#define PARE_BALANCE_H

#include "selection.h"

/* One scale serves all channels of an activation, so a channel of small values
 * keeps few of the 256 steps. Where scale can move (a scale_group), channel c is
 * multiplied by a k >= 1 that the layers which read it undo (Meller 2019, "Same,
 * Same But Different", weight factorization). Rounding the activation then costs
 * A / k² and rounding those layers' weights B k², with A = s² Σ w² and
 * B = E[x²] Σ step² over the channel's weights, s and step the rounding steps; the
 * sum is least at k⁴ = A / B. A depthwise layer has a step for each channel, so
 * nothing but the range bounds k: on the samples seen the channel never passes the
 * largest one of any activation of the group, nor the bound of a Clip. In float
 * the network computes the same there; beyond those samples it clips where its
 * quantized form would. Only groups whose layers are all selected are touched. */
pare_status balance_channels(pare_graph *graph, const quant_selection *selection, pare_dataset *dataset,
                             const pare_preprocess *preprocess, const pare_run_options *options, pare_error *error);

#endif
