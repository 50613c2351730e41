#include "channel_stats.h"

#include <math.h>
#include <string.h>

#include "pare/lower.h"

typedef struct stats_observer {
    channel_stats *stats;
    size_t count;
    const pare_model *model;
} stats_observer;

bool channel_stats_make(channel_stats *stats, const pare_value *value, int axis, pare_arena *arena) {
    size_t channels = (size_t)value->shape.dims[axis];
    *stats = (channel_stats){.name = value->name,
                             .axis = axis,
                             .channels = channels,
                             .sums = pare_arena_alloc(arena, channels, sizeof(double)),
                             .squares = pare_arena_alloc(arena, channels, sizeof(double)),
                             .largest = pare_arena_alloc(arena, channels, sizeof(float)),
                             .nonzero = pare_arena_alloc(arena, channels, sizeof(uint64_t))};
    return stats->sums != NULL && stats->squares != NULL && stats->largest != NULL && stats->nonzero != NULL;
}

static void accumulate(channel_stats *s, const pare_shape *shape, const pare_model_quant *quant, const void *data) {
    size_t outer = 1, inner = 1;
    for (int i = 0; i < shape->rank; i++) {
        outer *= i < s->axis ? (size_t)shape->dims[i] : 1;
        inner *= i > s->axis ? (size_t)shape->dims[i] : 1;
    }
    for (size_t o = 0; o < outer; o++) {
        for (size_t c = 0; c < s->channels; c++) {
            const size_t at = (o * s->channels + c) * inner;
            for (size_t i = at; i < at + inner; i++) {
                float x = quant == NULL
                              ? ((const float *)data)[i]
                              : (float)(((const uint8_t *)data)[i] - quant->zero_points[0]) * quant->scales[0];
                s->sums[c] += (double)x;
                s->squares[c] += (double)x * (double)x;
                s->largest[c] = fmaxf(s->largest[c], fabsf(x));
                s->nonzero[c] += x != 0.0F;
            }
        }
    }
    s->count += outer * inner;
}

static void observe(void *context, uint32_t tensor, const char *name, pare_dtype dtype, const pare_shape *shape,
                    const void *data) {
    stats_observer *o = context;
    const pare_model_quant *quant = o->model->tensors[tensor].quant;
    if (dtype != PARE_F32 && (dtype != PARE_U8 || quant == NULL)) {
        return;
    }
    for (size_t i = 0; i < o->count; i++) {
        if (strcmp(o->stats[i].name, name) == 0) {
            accumulate(&o->stats[i], shape, dtype == PARE_F32 ? NULL : quant, data);
        }
    }
}

pare_status channel_stats_collect(const pare_graph *graph, channel_stats *stats, size_t count, pare_dataset *dataset,
                                  const pare_preprocess *preprocess, const pare_run_options *options,
                                  pare_error *error) {
    pare_model *model = NULL;
    PARE_TRY(pare_graph_lower_with(graph, &(pare_lower_options){.keep_values = true}, &model, error));
    stats_observer observer = {stats, count, model};
    pare_run_options run = *options;
    run.batch = 1; /* no padded sample is seen */
    run.observe = observe;
    run.observe_context = &observer;
    run.progress = NULL;
    pare_status status = pare_run_dataset(model, dataset, preprocess, &run, NULL, NULL, error);
    pare_model_release(model);
    return status;
}
