#include "equalize.h"

#include <math.h>

#include "pare/memory.h"
#include "scale_groups.h"

#define MOST_ROUNDS 20

static float largest_of(const float *values, size_t count) {
    float most = 0.0F;
    for (size_t i = 0; i < count; i++) {
        most = fmaxf(most, fabsf(values[i]));
    }
    return most;
}

/* One step of equation 11; returns the largest change of a scale. */
static float equalize_pair(const scale_group *g) {
    const scale_end *first = g->writers, *second = g->readers;
    float change = 0.0F;
    for (size_t c = 0; c < g->channels; c++) {
        float r1 = largest_of(first->weights + c * first->inner, first->inner), r2 = 0.0F;
        for (size_t o = 0; o < second->outer; o++) {
            r2 = fmaxf(r2, largest_of(second->weights + (o * g->channels + c) * second->inner, second->inner));
        }
        float s = sqrtf(r1 * r2) / r2;
        if (!isfinite(s) || s < 1e-4F || s > 1e4F) {
            continue; /* a dead channel */
        }
        scale_group_apply(g, c, 1.0F / s);
        change = fmaxf(change, fabsf(s - 1.0F));
    }
    return change;
}

pare_status equalize_layers(pare_graph *graph, pare_error *error) {
    scale_group *groups = NULL;
    size_t count = 0;
    pare_arena arena;
    pare_arena_init(&arena, SIZE_MAX);
    pare_status status = scale_groups_find(graph, &arena, &groups, &count, error);
    float change = 1.0F;
    for (int round = 0; status == PARE_OK && round < MOST_ROUNDS && change > 1e-3F; round++) {
        change = 0.0F;
        for (size_t i = 0; i < count; i++) {
            const bool pair = groups[i].writer_count == 1 && groups[i].reader_count == 1 && !groups[i].bounded;
            change = fmaxf(change, pair ? equalize_pair(&groups[i]) : 0.0F);
        }
    }
    pare_arena_free(&arena);
    return status;
}
