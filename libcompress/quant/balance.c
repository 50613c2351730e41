#include "balance.h"

#include <math.h>

#include "channel_stats.h"
#include "layer_view.h"
#include "scale_groups.h"

#define LEAST_SHARE 1e-4F /* of the largest channel; below it a channel is dead */

/* What the ends of a group read and write, on the data. */
typedef struct group_stats {
    channel_stats *written, *read; /* [writer_count], [reader_count] */
} group_stats;

/* Σ over outputs and taps of the squared rounding step of a reader's weights. */
static double squared_steps(const scale_group *g, const scale_end *end) {
    const size_t row = g->channels * end->inner;
    double sum = 0.0;
    for (size_t o = 0; o < end->outer; o++) {
        float most = 0.0F;
        for (size_t i = 0; i < row; i++) {
            most = fmaxf(most, fabsf(end->weights[o * row + i]));
        }
        const double step = (double)most / 127.0;
        sum += step * step;
    }
    return sum * (double)end->inner;
}

static double squared_weights(const scale_group *g, const scale_end *end, size_t channel) {
    double sum = 0.0;
    for (size_t o = 0; o < end->outer; o++) {
        for (size_t i = 0; i < end->inner; i++) {
            const double w = (double)end->weights[(o * g->channels + channel) * end->inner + i];
            sum += w * w;
        }
    }
    return sum;
}

static float range_of(const channel_stats *stats) {
    float range = 0.0F;
    for (size_t c = 0; c < stats->channels; c++) {
        range = fmaxf(range, stats->largest[c]);
    }
    return range;
}

/* The factor that brings the channel to the range of its activation, in whichever
 * of the group's activations that is reached first. */
static double room_of(const scale_group *g, const group_stats *stats, size_t c) {
    double room = INFINITY;
    for (size_t i = 0; i < g->writer_count + g->reader_count; i++) {
        const channel_stats *s = i < g->writer_count ? &stats->written[i] : &stats->read[i - g->writer_count];
        const float range = range_of(s);
        if (s->largest[c] > range * LEAST_SHARE) {
            room = fmin(room, (double)range / (double)s->largest[c]);
        }
    }
    return room;
}

static double factor_of(const scale_group *g, const group_stats *stats, const double *steps, size_t c) {
    double a = 0.0, b = 0.0;
    for (size_t i = 0; i < g->reader_count; i++) {
        const channel_stats *s = &stats->read[i];
        const double step = (double)range_of(s) / 255.0, count = (double)s->count, square = s->squares[c] / count;
        const double noise = step * step / 12.0 * (double)s->nonzero[c] / count;
        a += fmin(noise, square) * squared_weights(g, &g->readers[i], c);
        b += g->readers[i].depthwise ? 0.0 : square * steps[i] / 12.0;
    }
    return fmax(1.0, fmin(room_of(g, stats, c), sqrt(sqrt(a / b))));
}

static pare_status balance_group(const scale_group *g, const group_stats *stats, pare_arena *arena, pare_error *error) {
    double *steps = pare_arena_alloc(arena, g->reader_count, sizeof *steps);
    if (steps == NULL) {
        return pare_fail_memory(error, g->reader_count * sizeof *steps);
    }
    for (size_t i = 0; i < g->reader_count; i++) {
        steps[i] = squared_steps(g, &g->readers[i]);
    }
    for (size_t c = 0; c < g->channels; c++) {
        const double k = factor_of(g, stats, steps, c);
        if (isfinite(k)) {
            scale_group_apply(g, c, (float)k);
        }
    }
    return PARE_OK;
}

static bool is_selected(const quant_selection *selection, const scale_group *g) {
    bool all = true;
    for (size_t i = 0; i < g->writer_count; i++) {
        all = all && selection_contains(selection, g->writers[i].node);
    }
    for (size_t i = 0; i < g->reader_count; i++) {
        all = all && selection_contains(selection, g->readers[i].node);
    }
    return all;
}

/* One record for each end of each group, side by side for one run over the data. */
static pare_status make_stats(const scale_group *groups, size_t count, pare_arena *arena, group_stats *stats,
                              channel_stats **all, size_t *all_count, pare_error *error) {
    size_t ends = 0;
    for (size_t g = 0; g < count; g++) {
        ends += groups[g].writer_count + groups[g].reader_count;
    }
    channel_stats *next = *all = pare_arena_alloc(arena, ends + 1, sizeof **all);
    if (next == NULL) {
        return pare_fail_memory(error, ends * sizeof **all);
    }
    *all_count = ends;
    for (size_t g = 0; g < count; g++) {
        stats[g] = (group_stats){.written = next, .read = next + groups[g].writer_count};
        for (size_t i = 0; i < groups[g].writer_count + groups[g].reader_count; i++, next++) {
            const scale_end *end =
                i < groups[g].writer_count ? &groups[g].writers[i] : &groups[g].readers[i - groups[g].writer_count];
            if (!channel_stats_make(next, end->value, groups[g].axis, arena)) {
                return pare_fail_memory(error, groups[g].channels * sizeof(double));
            }
        }
    }
    return PARE_OK;
}

pare_status balance_channels(pare_graph *graph, const quant_selection *selection, pare_dataset *dataset,
                             const pare_preprocess *preprocess, const pare_run_options *options, pare_error *error) {
    scale_group *groups = NULL;
    channel_stats *all = NULL;
    size_t found = 0, count = 0, all_count = 0;
    pare_arena arena;
    pare_arena_init(&arena, SIZE_MAX);
    pare_status status = scale_groups_find(graph, &arena, &groups, &found, error);
    for (size_t g = 0; g < found; g++) {
        if (is_selected(selection, &groups[g])) {
            groups[count++] = groups[g];
        }
    }
    group_stats *stats = pare_arena_alloc(&arena, count + 1, sizeof *stats);
    if (status == PARE_OK) {
        status = stats == NULL ? pare_fail_memory(error, count * sizeof *stats)
                               : make_stats(groups, count, &arena, stats, &all, &all_count, error);
    }
    if (status == PARE_OK && count > 0) {
        status = channel_stats_collect(graph, all, all_count, dataset, preprocess, options, error);
    }
    for (size_t g = 0; status == PARE_OK && g < count; g++) {
        status = balance_group(&groups[g], &stats[g], &arena, error);
    }
    pare_arena_free(&arena);
    return status;
}
