/* What each unit of channels is worth. */
#include <math.h>
#include <string.h>

#include "pare/op.h"
#include "prune/prune_internal.h"
#include "quant/channel_stats.h"

/* Scores in the making: a layer's numbers are gathered by unit, then added as shares of their mean. */
typedef struct scoring {
    const pare_channels *channels;
    double *scores;
    size_t units;
    double *layer;    /* [units], of the layer at hand */
    bool *present;    /* [units], likewise */
    uint32_t *layers; /* [units], that had a number for it */
} scoring;

typedef double (*layer_norm)(double sum);

static double as_is(double sum) {
    return sum;
}

/* The layer's numbers are `of` the sums; NaN and infinity count as 0. */
static void end_layer(scoring *s, layer_norm of) {
    double total = 0;
    size_t count = 0;
    for (size_t u = 0; u < s->units; u++) {
        double number = s->present[u] ? of(s->layer[u]) : 0;
        s->layer[u] = isfinite(number) ? number : 0;
        total += s->layer[u];
        count += s->present[u];
    }
    for (size_t u = 0; u < s->units; u++) {
        if (s->present[u]) {
            s->scores[u] += total > 0 ? s->layer[u] * (double)count / total : 1;
            s->layers[u]++;
        }
        s->layer[u] = 0;
        s->present[u] = false;
    }
}

/* Index `index` of an axis has this number. True where it is of a unit. */
static bool add_number(scoring *s, const pare_value *value, int32_t axis, size_t index, double number) {
    size_t unit = pare_channels_unit(s->channels, value, axis, (int64_t)index);
    if (unit == SIZE_MAX) {
        return false;
    }
    s->layer[unit] += number;
    s->present[unit] = true;
    return true;
}

/* --- weights ----------------------------------------------------------------------------- */

static size_t elements_behind(const pare_value *value, int32_t axis) {
    size_t inner = 1;
    for (int32_t a = axis + 1; a < value->shape.rank; a++) {
        inner *= (size_t)value->shape.dims[a];
    }
    return inner;
}

/* Of the slices along one axis of weights. */
static pare_status add_norms(scoring *s, const pare_value *weights, int32_t axis, bool squares, pare_error *error) {
    size_t extent = (size_t)weights->shape.dims[axis], inner = elements_behind(weights, axis);
    size_t count = weights->data_bytes / sizeof(float);
    const float *data = weights->data;
    double *sums = pare_alloc_zero(extent + 1, sizeof *sums);
    bool some = false;
    if (sums == NULL) {
        return pare_fail_memory(error, extent * sizeof *sums);
    }
    for (size_t i = 0; i < count; i++) {
        double w = (double)data[i];
        sums[i / inner % extent] += squares ? w * w : fabs(w);
    }
    for (size_t i = 0; i < extent; i++) {
        some |= add_number(s, weights, axis, i, sums[i]);
    }
    if (some) {
        end_layer(s, squares ? sqrt : as_is);
    }
    pare_free(sums);
    return PARE_OK;
}

/* Producers and readers alike: a unit runs along the output axis of some weights and the input axis of others. */
static pare_status score_norms(scoring *s, bool squares, pare_error *error) {
    const pare_value *weights;
    int32_t made;
    for (size_t i = 0; pare_channels_weight(s->channels, i, &weights, &made); i++) {
        for (int32_t axis = 0; axis < weights->shape.rank; axis++) {
            PARE_TRY(add_norms(s, weights, axis, squares, error));
        }
    }
    return PARE_OK;
}

static pare_status score_batchnorm(scoring *s, pare_error *error) {
    const pare_value *value;
    float initial;
    bool found = false;
    for (size_t i = 0; pare_channels_parameter(s->channels, i, &value, &initial); i++) {
        const float *scale = value->data;
        bool some = false;
        for (size_t c = 0; initial == 1.0F && value->shape.rank == 1 && c < value->data_bytes / sizeof *scale; c++) {
            some |= add_number(s, value, 0, c, fabs((double)scale[c]));
        }
        if (some) {
            end_layer(s, as_is);
            found = true;
        }
    }
    return found ? PARE_OK
                 : pare_fail(error, PARE_UNSUPPORTED,
                             "expected BatchNormalization, whose scales say what a channel is worth, found none");
}

/* Filters as rows: [extent, rest]. */
static void gather_rows(const pare_value *weights, int32_t axis, float *rows) {
    size_t extent = (size_t)weights->shape.dims[axis], inner = elements_behind(weights, axis);
    size_t count = weights->data_bytes / sizeof(float), rest = extent > 0 ? count / extent : 0;
    const float *data = weights->data;
    for (size_t i = 0; i < count; i++) {
        size_t outer = i / inner / extent, row = i / inner % extent;
        rows[row * rest + outer * inner + i % inner] = data[i];
    }
}

static double distance(const float *a, const float *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)a[i] - (double)b[i];
        sum += d * d;
    }
    return sqrt(sum);
}

static pare_status add_distances(scoring *s, const pare_value *weights, int32_t axis, pare_error *error) {
    size_t extent = (size_t)weights->shape.dims[axis], count = weights->data_bytes / sizeof(float);
    float *rows = pare_alloc_zero(count + 1, sizeof *rows);
    double *sums = pare_alloc_zero(extent + 1, sizeof *sums);
    bool some = false;
    if (rows == NULL || sums == NULL) {
        pare_free(rows);
        pare_free(sums);
        return pare_fail_memory(error, count * sizeof *rows);
    }
    gather_rows(weights, axis, rows);
    for (size_t i = 0; i < extent; i++) {
        for (size_t k = i + 1; k < extent; k++) {
            double d = distance(rows + i * (count / extent), rows + k * (count / extent), count / extent);
            sums[i] += d;
            sums[k] += d;
        }
    }
    for (size_t i = 0; i < extent; i++) {
        some |= add_number(s, weights, axis, i, sums[i]);
    }
    if (some) {
        end_layer(s, as_is);
    }
    pare_free(rows);
    pare_free(sums);
    return PARE_OK;
}

static pare_status score_median(scoring *s, pare_error *error) {
    const pare_value *weights;
    int32_t axis;
    for (size_t i = 0; pare_channels_weight(s->channels, i, &weights, &axis); i++) {
        PARE_TRY(add_distances(s, weights, axis, error));
    }
    return PARE_OK;
}

/* --- activations -------------------------------------------------------------------------- */

/* The axis of `value` that has units, or -1. */
static int32_t unit_axis(const pare_channels *channels, const pare_value *value) {
    for (int32_t axis = 1; axis < value->shape.rank; axis++) {
        for (int64_t i = 0; i < value->shape.dims[axis]; i++) {
            if (pare_channels_unit(channels, value, axis, i) != SIZE_MAX) {
                return axis;
            }
        }
    }
    return -1;
}

/* A value that only a normalization or an activation reads says nothing yet. */
static bool is_on_the_way(const pare_graph *graph, const pare_value *value) {
    const pare_node *user = pare_graph_only_user(graph, value);
    return user != NULL && (user->op->function != NULL || strcmp(user->op->name, "BatchNormalization") == 0);
}

/* What nodes compute along axes with units. */
static pare_status collect_values(const pare_graph *graph, const pare_channels *channels, channel_stats *stats,
                                  const pare_value **values, size_t *count, pare_arena *arena, pare_error *error) {
    *count = 0;
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        const pare_value *y = node->output_count > 0 ? node->outputs[0] : NULL;
        bool counts = y != NULL && y->dtype == PARE_F32 && !is_on_the_way(graph, y);
        int32_t axis = counts ? unit_axis(channels, y) : -1;
        if (axis > 0) {
            values[*count] = y;
            if (!channel_stats_make(&stats[(*count)++], y, axis, arena)) {
                return pare_fail_memory(error, (size_t)y->shape.dims[axis] * sizeof(double));
            }
        }
    }
    return PARE_OK;
}

static pare_status score_activations(scoring *s, const pare_graph *graph, const pare_channel_prune_options *options,
                                     pare_error *error) {
    pare_arena arena;
    size_t count = 0;
    pare_run_options run = {.threads = options->threads};
    if (options->data == NULL || options->preprocess == NULL) {
        return pare_fail(error, PARE_USAGE, "importance by activations needs a data set");
    }
    pare_arena_init(&arena, (size_t)1 << 30);
    channel_stats *stats = pare_arena_alloc(&arena, graph->node_count + 1, sizeof *stats);
    const pare_value **values = pare_arena_alloc(&arena, graph->node_count + 1, sizeof *values);
    pare_status status = stats != NULL && values != NULL
                             ? collect_values(graph, s->channels, stats, values, &count, &arena, error)
                             : pare_fail_memory(error, graph->node_count * sizeof *stats);
    if (status == PARE_OK) {
        status = channel_stats_collect(graph, stats, count, options->data, options->preprocess, &run, error);
    }
    for (size_t i = 0; status == PARE_OK && i < count; i++) {
        for (size_t c = 0; stats[i].count > 0 && c < stats[i].channels; c++) { /* a mere view is never computed */
            (void)add_number(s, values[i], stats[i].axis, c, stats[i].squares[c]);
        }
        end_layer(s, sqrt);
    }
    pare_arena_free(&arena);
    return status;
}

/* --- all ------------------------------------------------------------------------------------ */

static pare_status score(scoring *s, const pare_graph *graph, const pare_channel_prune_options *options,
                         pare_error *error) {
    switch (options->importance) {
    case PARE_IMPORTANCE_L1:
        return score_norms(s, false, error);
    case PARE_IMPORTANCE_L2:
        return score_norms(s, true, error);
    case PARE_IMPORTANCE_BATCHNORM:
        return score_batchnorm(s, error);
    case PARE_IMPORTANCE_MEDIAN:
        return score_median(s, error);
    case PARE_IMPORTANCE_ACTIVATION:
        return score_activations(s, graph, options, error);
    }
    return pare_fail(error, PARE_USAGE, "expected an importance from 0 to 4, found %d", (int)options->importance);
}

pare_status prune_score_channels(const pare_graph *graph, const pare_channels *channels,
                                 const pare_channel_prune_options *options, double *scores, pare_error *error) {
    scoring s = {.channels = channels, .scores = scores, .units = pare_channels_unit_count(channels)};
    s.layer = pare_alloc_zero(s.units + 1, sizeof *s.layer);
    s.present = pare_alloc_zero(s.units + 1, sizeof *s.present);
    s.layers = pare_alloc_zero(s.units + 1, sizeof *s.layers);
    memset(scores, 0, s.units * sizeof *scores);
    pare_status status = s.layer != NULL && s.present != NULL && s.layers != NULL
                             ? score(&s, graph, options, error)
                             : pare_fail_memory(error, s.units * sizeof *s.layer);
    for (size_t u = 0; status == PARE_OK && u < s.units; u++) {
        scores[u] = s.layers[u] > 0 ? scores[u] / s.layers[u] : 1;
    }
    pare_free(s.layer);
    pare_free(s.present);
    pare_free(s.layers);
    return status;
}
