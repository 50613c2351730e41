/* A run over several ranks: what they compare at the start and exchange in a step. */
#include <string.h>

#include "train/checkpoint_format.h"
#include "train/ranks.h"
#include "train/tape/tape_internal.h"
#include "train/trainer.h"

/* --- the start --------------------------------------------------------------------------- */

/* How rank 0 and the others go through the same exchanges; not part of a checkpoint's identity. */
typedef struct course {
    uint64_t checkpoint_steps, total_steps;
    uint64_t saves, resumes, validates;
    uint64_t parameters, statistics; /* floats that are trained and that are tracked */
} course;

static course course_of(const trainer *t) {
    const pare_train_options *o = t->options;
    return (course){.checkpoint_steps = o->checkpoint_steps,
                    .total_steps = t->progress.total_steps,
                    .saves = o->checkpoint != NULL,
                    .resumes = o->resume != NULL,
                    .validates = t->validation != NULL,
                    .parameters = t->tape->flat_count,
                    .statistics = t->tape->state_floats};
}

/* Options of rank 0, as text; *text is freed by the caller. */
static pare_status share_options(const trainer *t, char **text, pare_error *error) {
    size_t length = strlen(t->options_text);
    PARE_TRY(ranks_share(0, &length, sizeof length, error));
    *text = pare_alloc_zero(length + 1, 1); /* where it fails, this rank ends all of them */
    if (*text == NULL) {
        return pare_fail_memory(error, length);
    }
    if (pare_ranks_rank() == 0) {
        memcpy(*text, t->options_text, length);
    }
    return ranks_share(0, *text, length, error);
}

pare_status trainer_compare(trainer *t, pare_error *error) {
    pare_checkpoint_identity first = t->identity;
    char *options = NULL;
    if (pare_ranks_count() == 1) {
        return PARE_OK;
    }
    course own = course_of(t), others = own;
    pare_status status = share_options(t, &options, error);
    if (status == PARE_OK) {
        status = ranks_share(0, &first, sizeof first, error);
    }
    if (status == PARE_OK) {
        status = ranks_share(0, &others, sizeof others, error);
    }
    if (status == PARE_OK) {
        first.options = options; /* texts of rank 0 lie in its memory */
        first.backend = first.isa = NULL;
        status = pare_checkpoint_compare_ranks(&first, &t->identity, error);
        if (status == PARE_OK && memcmp(&own, &others, sizeof own) != 0) {
            status = pare_fail(error, PARE_USAGE,
                               "expected --checkpoint, --checkpoint-steps, --resume, --rebuild-batchnorm and a "
                               "validation set as on rank 0, found others");
        }
        status = pare_ranks_agree(status, error);
    }
    pare_free(options);
    return status;
}

pare_status trainer_share_state(trainer *t, pare_error *error) {
    pare_checkpoint_array arrays[TRAINER_ARRAYS];
    size_t count = pare_ranks_count() > 1 ? trainer_arrays(t, arrays) : 0;
    for (size_t i = 0; i < count; i++) {
        PARE_TRY(ranks_share(0, arrays[i].data, arrays[i].count * sizeof(float), error));
    }
    PARE_TRY(ranks_share(0, &t->optimizer.step, sizeof t->optimizer.step, error));
    return ranks_share(0, &t->progress, sizeof t->progress, error);
}

/* --- a step -------------------------------------------------------------------------------- */

typedef struct step_start {
    int32_t status;
    double importance, labelled; /* of the rank's samples */
} step_start;

static double sum_of_importance(trainer *t) {
    const float *importance = tape_input_data(t->tape, t->importance);
    double sum = 0;
    for (size_t i = 0; i < t->rows; i++) {
        sum += (double)importance[i];
    }
    return sum;
}

static double count_of_labelled(trainer *t) {
    const int32_t *labels = tape_input_data(t->tape, t->labels);
    double count = 0;
    for (size_t i = 0; i < t->rows; i++) {
        count += labels[i] >= 0;
    }
    return count;
}

/* A rank's divisor over the mean of all; 1 where there is nothing to divide. */
static double scale_of(double own, double total, size_t count) {
    return total > 0 ? own * (double)count / total : 1.0;
}

pare_status trainer_balance(trainer *t, pare_status status, pare_error *error) {
    size_t count = pare_ranks_count();
    step_start own = {.status = (int32_t)status}, all[RANKS_MOST];
    bool failed = false;
    if (count == 1) {
        return status;
    }
    if (status == PARE_OK && t->importance != TAPE_NONE) {
        own.importance = sum_of_importance(t);
    }
    if (status == PARE_OK && t->labels != TAPE_NONE) {
        own.labelled = count_of_labelled(t);
    }
    PARE_TRY(ranks_gather(&own, sizeof own, all, error));
    double importance = 0, labelled = 0;
    for (size_t i = 0; i < count; i++) {
        failed |= all[i].status != PARE_OK;
        importance += all[i].importance;
        labelled += all[i].labelled;
    }
    t->importance_scale = scale_of(own.importance, importance, count);
    t->labelled_scale = scale_of(own.labelled, labelled, count);
    return failed ? pare_ranks_agree(status, error) : PARE_OK;
}

pare_status trainer_mean_loss(double *loss, pare_error *error) {
    size_t count = pare_ranks_count();
    double all[RANKS_MOST], sum = 0;
    if (count == 1) {
        return PARE_OK;
    }
    PARE_TRY(ranks_gather(loss, sizeof *loss, all, error));
    for (size_t i = 0; i < count; i++) {
        sum += all[i];
    }
    *loss = sum / (double)count;
    return PARE_OK;
}

pare_status trainer_any(bool *flag, pare_error *error) {
    uint8_t own = *flag, all[RANKS_MOST];
    PARE_TRY(ranks_gather(&own, 1, all, error));
    *flag = memchr(all, 1, pare_ranks_count()) != NULL;
    return PARE_OK;
}
