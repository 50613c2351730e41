/* What each channel of some activations looks like on a data set. Private to quant. */
#ifndef PARE_CHANNEL_STATS_H
#define PARE_CHANNEL_STATS_H

#include "pare/evaluate.h"
#include "pare/graph.h"
#include "pare/memory.h"

typedef struct channel_stats {
    const char *name; /* of the value */
    int axis;         /* that counts the channels */
    size_t channels;
    double *sums, *squares; /* [channels], of the elements and of their squares */
    float *largest;         /* [channels], of the magnitudes */
    uint64_t *nonzero;      /* [channels], elements that are not 0 */
    uint64_t count;         /* elements a channel */
} channel_stats;

/* A zeroed record of `value`, whose arrays the arena owns; false when out of memory. */
bool channel_stats_make(channel_stats *stats, const pare_value *value, int axis, pare_arena *arena);

/* Runs the graph, unfused, and adds to the records; quantized values count as the
 * reals they stand for. */
pare_status channel_stats_collect(const pare_graph *graph, channel_stats *stats, size_t count, pare_dataset *dataset,
                                  const pare_preprocess *preprocess, const pare_run_options *options,
                                  pare_error *error);

#endif
