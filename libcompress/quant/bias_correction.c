#include "bias_correction.h"

#include <string.h>

#include "channel_stats.h"
#include "layer_view.h"
#include "pare/memory.h"

static pare_status make_layers(const quant_selection *selection, pare_arena *arena, channel_stats **layers,
                               pare_node ***nodes, size_t *count, pare_error *error) {
    *layers = pare_arena_alloc(arena, selection->node_count + 1, sizeof **layers);
    *nodes = pare_arena_alloc(arena, selection->node_count + 1, sizeof **nodes);
    *count = 0;
    for (size_t n = 0; *layers != NULL && *nodes != NULL && n < selection->node_count; n++) {
        pare_node *node = selection->nodes[n];
        if (node->op->quant != PARE_QUANT_WEIGHTED || node->op->bias_input < 0) {
            continue;
        }
        if (!channel_stats_make(&(*layers)[*count], node->outputs[0], output_channel_axis(node), arena)) {
            return pare_fail_memory(error, output_channels(node) * sizeof(double));
        }
        (*nodes)[(*count)++] = node;
    }
    return *layers != NULL && *nodes != NULL ? PARE_OK : pare_fail_memory(error, selection->node_count);
}

pare_status correct_biases(pare_graph *graph, const pare_graph *original, const quant_selection *selection,
                           pare_dataset *dataset, const pare_preprocess *preprocess, const pare_run_options *options,
                           pare_error *error) {
    pare_arena arena;
    pare_arena_init(&arena, SIZE_MAX);
    channel_stats *expected, *found;
    pare_node **nodes;
    size_t count;
    pare_status status = make_layers(selection, &arena, &expected, &nodes, &count, error);
    if (status == PARE_OK) {
        status = make_layers(selection, &arena, &found, &nodes, &count, error);
    }
    if (status == PARE_OK) {
        status = channel_stats_collect(original, expected, count, dataset, preprocess, options, error);
    }
    for (size_t i = 0; status == PARE_OK && i < count; i++) {
        status = channel_stats_collect(graph, &found[i], 1, dataset, preprocess, options, error);
        for (size_t c = 0; status == PARE_OK && c < found[i].channels; c++) {
            found[i].sums[c] =
                expected[i].sums[c] / (double)expected[i].count - found[i].sums[c] / (double)found[i].count;
        }
        if (status == PARE_OK) {
            status = bias_add(graph, nodes[i], found[i].sums, error);
        }
        if (status == PARE_OK && options->progress != NULL &&
            !options->progress(options->progress_context, i + 1, count)) {
            status = pare_fail(error, PARE_INTERRUPTED, "interrupted while correcting biases");
        }
    }
    pare_arena_free(&arena);
    return status;
}
