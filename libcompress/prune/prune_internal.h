/* Private to libcompress/prune. */
#ifndef PARE_PRUNE_INTERNAL_H
#define PARE_PRUNE_INTERNAL_H

#include "pare/channels.h"
#include "pare/prune.h"

/* scores[unit] of the analysed graph by options->importance: 0 and above, mean 1 in a layer; NaN and infinity count
 * as 0. PARE_UNSUPPORTED where the network has nothing of the kind (a BatchNormalization). */
pare_status prune_score_channels(const pare_graph *graph, const pare_channels *channels,
                                 const pare_channel_prune_options *options, double *scores, pare_error *error);

/* Bytes of the model's .pare file. */
pare_status prune_file_bytes(pare_model *model, size_t *bytes, pare_error *error);
/* What the targets compare; bytes and latency where options->target asks for them. */
pare_status prune_measure(const pare_graph *graph, const pare_channel_prune_options *options,
                          pare_prune_figures *figures, pare_error *error);

#endif
