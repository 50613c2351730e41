/* Whether the sets fit the network: found before the first step, not after the first epoch. All targets are looked at,
 * and the first sample that validates; reading all of them would take as long as a validation. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pare/checked.h"
#include "pare/memory.h"
#include "train/tape/tape.h"
#include "train/trainer.h"

/* Classes that are named in a message; more are counted. */
#define MOST_NAMED 10

/* --- labels -------------------------------------------------------------------------------- */

static pare_status check_label(const trainer *t, pare_dataset *data, size_t sample, int64_t label, size_t classes,
                               pare_error *error) {
    int64_t offset = t->options->preprocess->label_offset, class;
    if (pare_add_i64(label, offset, &class) && class >= 0 && class < (int64_t)classes) {
        return PARE_OK;
    }
    const char *name = pare_dataset_sample_name(data, sample);
    return pare_fail(error, PARE_BAD_INPUT,
                     "%s, sample %zu%s%s: expected a label whose class (label + label_offset %lld) is one of the "
                     "network's %zu, found label %lld",
                     pare_dataset_spec(data), sample, name != NULL ? " " : "", name != NULL ? name : "",
                     (long long)offset, classes, (long long)label);
}

/* A negative label is none. `counts` [classes] may be NULL. */
static pare_status read_labels(const trainer *t, pare_dataset *data, size_t classes, size_t *counts,
                               pare_error *error) {
    pare_sample sample = {0};
    pare_status status = PARE_OK;
    size_t targets = pare_dataset_info(data).target_count, count = pare_dataset_count(data);
    for (size_t i = 0; status == PARE_OK && i < count; i++) {
        status = pare_dataset_read_targets(data, i, &sample, error);
        for (size_t k = 0; status == PARE_OK && k < targets; k++) {
            int64_t label = sample.classes[k];
            if (label >= 0) {
                status = check_label(t, data, i, label, classes, error);
            }
            if (label >= 0 && status == PARE_OK && counts != NULL) {
                counts[label + t->options->preprocess->label_offset]++;
            }
        }
    }
    pare_sample_free(&sample);
    return status;
}

static pare_status refuse_empty(const trainer *t, const size_t *counts, size_t classes, pare_error *error) {
    char names[MOST_NAMED * 24] = "";
    size_t empty = 0, used = 0;
    for (size_t c = 0; c < classes; c++) {
        if (counts[c] == 0 && empty++ < MOST_NAMED) {
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%zu", empty > 1 ? ", " : "", c);
        }
    }
    if (empty == 0) {
        return PARE_OK;
    }
    return pare_fail(
        error, PARE_USAGE,
        "%s: expected samples of each of the network's %zu classes, found none of %zu class%s (%s%s): training "
        "would make the network forget what has no sample; --allow-empty-classes trains it anyway",
        pare_dataset_spec(t->data), classes, empty, empty > 1 ? "es" : "", names, empty > MOST_NAMED ? ", ..." : "");
}

static pare_status check_training_labels(const trainer *t, pare_error *error) {
    bool own = t->options->preprocess->task == PARE_TASK_AUTOENCODER;
    bool read = (t->targets != TAPE_NONE && !own) || t->labels != TAPE_NONE;
    if (!read || pare_dataset_info(t->data).target != PARE_TARGET_CLASS) {
        return PARE_OK;
    }
    size_t classes = t->label_classes, *counts = pare_alloc_zero(classes, sizeof *counts);
    if (counts == NULL) {
        return pare_fail_memory(error, classes * sizeof *counts);
    }
    pare_status status = read_labels(t, t->data, classes, counts, error);
    if (status == PARE_OK && !t->options->allow_empty_classes) {
        status = refuse_empty(t, counts, classes, error);
    }
    pare_free(counts);
    return status;
}

/* --- validation ---------------------------------------------------------------------------- */

static pare_status check_validation_sample(const trainer *t, pare_error *error) {
    const tape_tensor *input = tape_tensor_at(t->tape, t->input);
    pare_shape shape = t->graph->inputs[0]->shape;
    shape.rank--;
    memmove(shape.dims, shape.dims + 1, (PARE_MAX_RANK - 1) * sizeof shape.dims[0]);
    pare_sample_info info = pare_dataset_info(t->validation);
    pare_sample sample = {0};
    pare_preprocess_scratch scratch = {0};
    void *out = pare_alloc(input->elements * pare_dtype_bytes(input->dtype));
    pare_status status = out != NULL ? pare_dataset_read(t->validation, 0, &sample, error)
                                     : pare_fail_memory(error, input->elements * pare_dtype_bytes(input->dtype));
    if (status == PARE_OK) {
        status =
            pare_preprocess_apply(t->options->preprocess, &info, &sample, &shape, input->dtype, out, &scratch, error);
        if (status != PARE_OK) {
            pare_error_prefix(error, "validation set %s, sample 0: ", pare_dataset_spec(t->validation));
        }
    }
    pare_free(out);
    pare_sample_free(&sample);
    pare_preprocess_scratch_free(&scratch);
    return status;
}

static pare_status check_validation_values(const trainer *t, pare_error *error) {
    pare_sample sample = {0};
    pare_status status = PARE_OK;
    size_t targets = pare_dataset_info(t->validation).target_count, count = pare_dataset_count(t->validation);
    for (size_t i = 0; status == PARE_OK && i < count; i++) {
        status = pare_dataset_read_targets(t->validation, i, &sample, error);
        for (size_t k = 0; status == PARE_OK && k < targets; k++) {
            if (!isfinite(sample.values[k])) {
                status = pare_fail(error, PARE_BAD_INPUT, "%s, sample %zu: expected finite targets, found %g",
                                   pare_dataset_spec(t->validation), i, (double)sample.values[k]);
            }
        }
    }
    pare_sample_free(&sample);
    return status;
}

/* What the metrics of the task want to know of each sample. */
static pare_status check_validation_targets(const trainer *t, pare_error *error) {
    pare_sample_info info = pare_dataset_info(t->validation);
    pare_task task = t->options->preprocess->task;
    pare_shape shape;
    size_t outputs = 0;
    if (!pare_shape_bind(&t->graph->outputs[0]->shape, 1, &shape) || !pare_shape_elements(&shape, &outputs)) {
        return pare_fail(error, PARE_LIMIT, "the network's output is too large");
    }
    if (task == PARE_TASK_CLASSIFICATION && info.target == PARE_TARGET_CLASS && outputs % info.target_count == 0) {
        size_t classes = outputs / info.target_count;
        return read_labels(t, t->validation, classes > 1 ? classes : 2, NULL, error);
    }
    bool values = task == PARE_TASK_REGRESSION && info.target == PARE_TARGET_VALUES && info.target_count == outputs;
    if (values) {
        return check_validation_values(t, error);
    }
    return task == PARE_TASK_AUTOENCODER
               ? PARE_OK
               : pare_fail(error, PARE_USAGE,
                           "validation set %s: expected %s for the network's %zu outputs, found %zu %s a sample",
                           pare_dataset_spec(t->validation),
                           task == PARE_TASK_CLASSIFICATION ? "class labels" : "target values", outputs,
                           info.target_count, info.target == PARE_TARGET_CLASS ? "class labels" : "target values");
}

pare_status trainer_check_data(const trainer *t, pare_error *error) {
    PARE_TRY(check_training_labels(t, error));
    if (t->validation == NULL) {
        return PARE_OK;
    }
    PARE_TRY(check_validation_targets(t, error));
    return check_validation_sample(t, error);
}
