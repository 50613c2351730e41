/* Weights that become zeros while training goes on. That a weight is pruned is written nowhere but in the weight: it is
 * exactly 0, and the optimizer leaves it so. */
#include "pare/ranks.h"
#include "prune/weight_choice.h"
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

/* Parameters that decay are weights; those that no value of the graph stands for (a hint's projection) go with the run.
 */
static bool is_weights(const pare_tape *tape, const tape_parameter *parameter) {
    bool linked = false;
    for (uint32_t i = 0; parameter->decays && !linked && i < tape->link_count; i++) {
        linked = tape->links[i].tensor == parameter->tensor;
    }
    return linked;
}

static const tape_parameter *next_weights(const trainer *t, uint32_t *index) {
    while (*index < t->tape->parameter_count && !is_weights(t->tape, &t->tape->parameters[*index])) {
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

/* --- an event ---------------------------------------------------------------------------- */

static void make_zero(trainer *t, size_t at) {
    size_t moments = t->optimizer.moments_count / t->tape->flat_count;
    t->tape->values[at] = 0;
    for (size_t m = 0; m < moments; m++) {
        t->optimizer.moments[m * t->tape->flat_count + at] = 0;
    }
    if (t->average != NULL) {
        t->average[at] = 0;
    }
}

static pare_status prune(trainer *t, double share, prune_layer *layers, bool *chosen, pare_error *error) {
    const tape_parameter *weights;
    size_t count = 0, next = 0;
    for (uint32_t i = 0; (weights = next_weights(t, &i)) != NULL;) {
        layers[count++] = (prune_layer){t->tape->values + weights->offset, weights->count};
    }
    PARE_TRY(prune_choose_weights(layers, count, t->options->sparsity.scope, share, chosen, error));
    for (uint32_t i = 0; (weights = next_weights(t, &i)) != NULL;) {
        for (size_t k = 0; k < weights->count; k++) {
            if (chosen[next++]) {
                make_zero(t, weights->offset + k);
            }
        }
    }
    return PARE_OK;
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
    prune_layer *layers = pare_alloc_zero(t->tape->parameter_count + 1U, sizeof *layers);
    bool *chosen = pare_alloc_zero(t->tape->flat_count + 1, sizeof *chosen);
    pare_status status = pare_fail_memory(error, t->tape->flat_count);
    if (layers != NULL && chosen != NULL) {
        double share = step == last ? t->options->sparsity.target : share_at(t, step);
        status = prune(t, share, layers, chosen, error);
    }
    pare_free(layers);
    pare_free(chosen);
    return pare_ranks_agree(status, error);
}
