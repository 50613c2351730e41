/* Weights that become zeros while training goes on. That a weight is pruned is written nowhere but in the weight: it is
 * exactly 0, and the optimizer leaves it so. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pare/ranks.h"
#include "train/tape/tape_internal.h"
#include "train/trainer.h"

#define DEFAULT_UNTIL 0.6
#define PRUNING_EVENTS 50 /* at most so many on the way */

/* The one before which all are zeros that shall be. */
static uint64_t last_step(const trainer *t) {
    double until = t->options->sparsity.until > 0 ? t->options->sparsity.until : DEFAULT_UNTIL;
    uint64_t last = (uint64_t)(until * (double)t->progress.total_steps), steps = t->progress.total_steps;
    return last < steps ? last : steps - 1;
}

static uint64_t interval(const trainer *t) {
    uint64_t steps = last_step(t) / PRUNING_EVENTS;
    return steps > 0 ? steps : 1;
}

bool trainer_is_pruning(const trainer *t) {
    return t->options->sparsity.target > 0 && t->progress.step <= last_step(t);
}

/* Parameters that decay are weights. */
static const tape_parameter *next_weights(const trainer *t, uint32_t *index) {
    while (*index < t->tape->parameter_count && !t->tape->parameters[*index].decays) {
        (*index)++;
    }
    return *index < t->tape->parameter_count ? &t->tape->parameters[(*index)++] : NULL;
}

double trainer_sparsity(const trainer *t, const float *values) {
    size_t zeros = 0, count = 0;
    const tape_parameter *weights;
    for (uint32_t i = 0; (weights = next_weights(t, &i)) != NULL; count += weights->count) {
        for (size_t k = 0; k < weights->count; k++) {
            zeros += values[weights->offset + k] == 0;
        }
    }
    return count > 0 ? (double)zeros / (double)count : 0;
}

/* --- scores ------------------------------------------------------------------------------ */

typedef struct scored_weight {
    float score;
    size_t at; /* in the flat vector */
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

/* --- an event ---------------------------------------------------------------------------- */

static void make_zeros(trainer *t, const scored_weight *weights, size_t count) {
    size_t moments = t->optimizer.moments_count / t->tape->flat_count;
    for (size_t i = 0; i < count; i++) {
        size_t at = weights[i].at;
        t->tape->values[at] = 0;
        for (size_t m = 0; m < moments; m++) {
            t->optimizer.moments[m * t->tape->flat_count + at] = 0;
        }
        if (t->average != NULL) {
            t->average[at] = 0;
        }
    }
}

static size_t zeros_of(double share, size_t count) {
    return (size_t)(share * (double)count + 0.5);
}

static void prune(trainer *t, double share, scored_weight *all) {
    pare_sparsity_scope scope = t->options->sparsity.scope;
    const tape_parameter *weights;
    size_t total = 0;
    for (uint32_t i = 0; (weights = next_weights(t, &i)) != NULL;) {
        scored_weight *layer = all + total;
        for (size_t k = 0; k < weights->count; k++) {
            size_t at = weights->offset + k;
            layer[k] = (scored_weight){fabsf(t->tape->values[at]), at};
        }
        if (scope != PARE_SPARSITY_GLOBAL) {
            qsort(layer, weights->count, sizeof *layer, by_score);
        }
        if (scope == PARE_SPARSITY_LAYER) {
            make_zeros(t, layer, zeros_of(share, weights->count));
            continue; /* the next layer may lie over it */
        }
        if (scope == PARE_SPARSITY_LAMP) {
            share_squares(layer, weights->count);
        }
        total += weights->count;
    }
    if (scope != PARE_SPARSITY_LAYER) {
        qsort(all, total, sizeof *all, by_score);
        make_zeros(t, all, zeros_of(share, total));
    }
}

/* The cube of what is left of the time is what is left of the zeros. */
static double share_at(const trainer *t, uint64_t step) {
    double target = t->options->sparsity.target, left = 1 - (double)step / (double)last_step(t);
    return target * (1 - left * left * left);
}

pare_status trainer_prune(trainer *t, pare_error *error) {
    uint64_t step = t->progress.step, last = last_step(t);
    bool due = step == last || (step > 0 && step < last && step % interval(t) == 0);
    if (t->options->sparsity.target == 0 || !due) {
        return PARE_OK;
    }
    scored_weight *all = pare_alloc_zero(t->tape->flat_count + 1, sizeof *all);
    pare_status status = all == NULL ? pare_fail_memory(error, t->tape->flat_count * sizeof *all) : PARE_OK;
    if (status == PARE_OK) {
        prune(t, step == last ? t->options->sparsity.target : share_at(t, step), all);
    }
    pare_free(all);
    return pare_ranks_agree(status, error);
}
