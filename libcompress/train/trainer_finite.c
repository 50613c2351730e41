/* Numbers that are not finite: where they began, and what can be done about it. */
#include <math.h>
#include <stdio.h>

#include "train/ranks.h"
#include "train/tape/tape_internal.h"
#include "train/trainer.h"

static bool all_finite(const float *numbers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(numbers[i])) {
            return false;
        }
    }
    return true;
}

/* The first of the list whose numbers in the flat vector are not all finite, or NULL. */
static const char *find_in(const tape_parameter *list, uint32_t count, const float *flat) {
    for (uint32_t i = 0; i < count; i++) {
        if (!all_finite(flat + list[i].offset, list[i].count)) {
            return list[i].name;
        }
    }
    return NULL;
}

/* What of the run is left: "; run.ckpt is of step 12". */
static const char *kept_text(const trainer *t, char *text, size_t size) {
    text[0] = '\0';
    if (t->saved) {
        snprintf(text, size, "; the checkpoint of step %llu is kept: %s", (unsigned long long)t->saved_step,
                 t->options->checkpoint);
    }
    return text;
}

static pare_status fail_diverged(const trainer *t, const char *what, const char *where, const char *name,
                                 pare_error *error) {
    char kept[400];
    return pare_fail(error, PARE_USAGE,
                     "step %llu (epoch %llu): expected %s, found NaN or infinity, first in %s \"%s\": training "
                     "diverges with these options; a lower learning rate (--lr) or --clip-norm may help%s",
                     (unsigned long long)t->progress.step + 1, (unsigned long long)t->progress.epoch + 1, what, where,
                     name, kept_text(t, kept, sizeof kept));
}

/* Samples are checked when they are preprocessed, targets are not. */
static pare_status check_targets(const trainer *t, const pare_batch *batch, pare_error *error) {
    size_t count = t->rows * t->classes, of_sample = count / t->batch;
    const float *targets = t->targets != TAPE_NONE ? tape_input_data(t->tape, t->targets) : NULL;
    for (size_t i = 0; targets != NULL && i < count; i++) {
        if (!isfinite(targets[i])) {
            return pare_fail(error, PARE_BAD_INPUT, "%s, sample %zu: expected finite targets, found %g",
                             pare_dataset_spec(t->data), batch->samples[i / of_sample], (double)targets[i]);
        }
    }
    return PARE_OK;
}

pare_status trainer_fail_not_finite(trainer *t, const pare_batch *batch, const char *what, pare_error *error) {
    PARE_TRY(pare_ranks_agree(check_targets(t, batch, error), error));
    const pare_node *node = tape_find_not_finite(t->tape);
    const char *weights = find_in(t->tape->parameters, t->tape->parameter_count, t->tape->gradients);
    const char *where = node != NULL ? "the output of node" : weights != NULL ? "the gradient of" : "the value of";
    const char *name = node != NULL ? node->name : weights != NULL ? weights : "the loss";
    return pare_ranks_agree(fail_diverged(t, what, where, name, error), error);
}

pare_status trainer_check_weights(const trainer *t, pare_error *error) {
    const pare_tape *tape = t->tape;
    const char *name = find_in(tape->parameters, tape->parameter_count, tape->values);
    const char *where = "the weights";
    if (name == NULL) {
        name = find_in(tape->states, tape->state_count, tape->running);
        where = "the running statistics";
    }
    char kept[400];
    if (name == NULL) {
        return PARE_OK; /* on every rank: they hold the same weights */
    }
    pare_status status =
        pare_fail(error, PARE_USAGE,
                  "step %llu (epoch %llu): expected finite weights after the update, found NaN or infinity, "
                  "first in %s \"%s\": training diverges with these options; a lower learning rate (--lr) or "
                  "--clip-norm may help%s",
                  (unsigned long long)t->progress.step, (unsigned long long)t->progress.epoch + 1, where, name,
                  kept_text(t, kept, sizeof kept));
    return pare_ranks_agree(status, error);
}

pare_status trainer_check_start(const trainer *t, pare_error *error) {
    const pare_tape *tape = t->tape;
    const char *name = find_in(tape->parameters, tape->parameter_count, tape->values);
    name = name != NULL ? name : find_in(tape->states, tape->state_count, tape->running);
    return name == NULL ? PARE_OK
                        : pare_fail(error, PARE_BAD_INPUT,
                                    "expected finite weights to begin with, found NaN or infinity in \"%s\"", name);
}
