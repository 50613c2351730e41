#include "prune/weight_choice.h"

#include <math.h>
#include <stdlib.h>

#include "pare/memory.h"

typedef struct scored_weight {
    float score;
    size_t at; /* among all */
} scored_weight;

static int by_score(const void *a, const void *b) {
    const scored_weight *left = a, *right = b;
    if (left->score != right->score) {
        return left->score < right->score ? -1 : 1;
    }
    return (left->at > right->at) - (left->at < right->at);
}

/* Sorted magnitudes of one layer become LAMP's shares, which rise in the same order. */
static void share_squares(scored_weight *layer, size_t count) {
    double left = 0;
    for (size_t i = count; i-- > 0;) {
        double square = (double)layer[i].score * (double)layer[i].score;
        left += square;
        layer[i].score = left > 0 ? (float)(square / left) : 0.0F;
    }
}

static void choose_first(const scored_weight *sorted, size_t count, double share, bool *chosen) {
    size_t zeros = (size_t)(share * (double)count + 0.5);
    for (size_t i = 0; i < zeros && i < count; i++) {
        chosen[sorted[i].at] = true;
    }
}

/* `layer` has room for its weights, the first of which is number `first`. */
static void score_layer(const prune_layer *weights, size_t first, pare_sparsity_scope scope, scored_weight *layer) {
    for (size_t i = 0; i < weights->count; i++) {
        layer[i] = (scored_weight){fabsf(weights->weights[i]), first + i};
    }
    if (scope != PARE_SPARSITY_GLOBAL) {
        qsort(layer, weights->count, sizeof *layer, by_score);
    }
    if (scope == PARE_SPARSITY_LAMP) {
        share_squares(layer, weights->count);
    }
}

pare_status prune_choose_weights(const prune_layer *layers, size_t count, pare_sparsity_scope scope, double share,
                                 bool *chosen, pare_error *error) {
    size_t total = 0, first = 0;
    for (size_t i = 0; i < count; i++) {
        total += layers[i].count;
    }
    scored_weight *all = pare_alloc_zero(total + 1, sizeof *all);
    if (all == NULL) {
        return pare_fail_memory(error, total * sizeof *all);
    }
    for (size_t i = 0; i < total; i++) {
        chosen[i] = false;
    }
    for (size_t i = 0; i < count; first += layers[i++].count) {
        score_layer(&layers[i], first, scope, all + first);
        if (scope == PARE_SPARSITY_LAYER) {
            choose_first(all + first, layers[i].count, share, chosen);
        }
    }
    if (scope != PARE_SPARSITY_LAYER) {
        qsort(all, total, sizeof *all, by_score);
        choose_first(all, total, share, chosen);
    }
    pare_free(all);
    return PARE_OK;
}
