/* From a batch to the inputs of a step. */
#include <string.h>

#include "train/tape/tape.h"
#include "train/trainer.h"

static float weight_of(const trainer *t, int64_t class) {
    const float *weights = t->options->loss.class_weights;
    return class < 0 ? 0.0F : weights != NULL ? weights[class] : 1.0F; /* negative: no label */
}

/* trainer_check_data has looked at all labels; a file may change meanwhile. */
static pare_status check_class(const trainer *t, const pare_batch *batch, size_t row, int64_t class,
                               pare_error *error) {
    if (class < (int64_t)t->label_classes) {
        return PARE_OK;
    }
    size_t sample = batch->samples[row / batch->targets];
    return pare_fail(error, PARE_BAD_INPUT, "%s, sample %zu: expected a class below %zu, found %lld",
                     pare_dataset_spec(t->data), sample, t->label_classes, (long long)class);
}

/* Rows of distributions: smoothed, and mixed of two classes where samples are. */
static pare_status fill_classes(trainer *t, const pare_batch *batch, pare_error *error) {
    float *targets = tape_input_data(t->tape, t->targets), *importance = tape_input_data(t->tape, t->importance);
    float smoothing = (float)t->options->loss.label_smoothing, floor_value = smoothing / (float)t->classes;
    for (size_t row = 0; row < t->rows; row++) {
        float *target = targets + row * t->classes;
        int64_t first = batch->classes[row];
        int64_t second = batch->mixed_classes != NULL ? batch->mixed_classes[row] : first;
        PARE_TRY(check_class(t, batch, row, first, error));
        PARE_TRY(check_class(t, batch, row, second, error));
        for (size_t c = 0; c < t->classes; c++) {
            target[c] = floor_value;
        }
        importance[row] = batch->lambda * weight_of(t, first) + (1.0F - batch->lambda) * weight_of(t, second);
        if (first >= 0 && second >= 0) {
            target[first] += (1.0F - smoothing) * batch->lambda;
            target[second] += (1.0F - smoothing) * (1.0F - batch->lambda);
        } else {
            importance[row] = 0.0F;
        }
    }
    return PARE_OK;
}

/* `index` counts the labels of the batch, of which a sample has one, or one for each output. */
static pare_status add_flag(trainer *t, const pare_batch *batch, size_t index, int64_t class, float share,
                            pare_error *error) {
    float *targets = tape_input_data(t->tape, t->targets);
    bool each = batch->targets == t->classes;
    if (class < 0) {
        return pare_fail(error, PARE_BAD_INPUT, "%s, sample %zu: expected a label, found none: this loss needs all",
                         pare_dataset_spec(t->data), batch->samples[index / batch->targets]);
    }
    PARE_TRY(check_class(t, batch, index, class, error));
    if (each) {
        targets[index] += share * (float)class;
    } else {
        targets[index * t->classes + (size_t) class] += share;
    }
    return PARE_OK;
}

/* Targets of independent logits; shares of two samples' where they are mixed. */
static pare_status fill_flags(trainer *t, const pare_batch *batch, pare_error *error) {
    memset(tape_input_data(t->tape, t->targets), 0, t->rows * t->classes * sizeof(float));
    for (size_t i = 0; i < t->rows * batch->targets; i++) {
        PARE_TRY(add_flag(t, batch, i, batch->classes[i], batch->lambda, error));
        if (batch->mixed_classes != NULL) {
            PARE_TRY(add_flag(t, batch, i, batch->mixed_classes[i], 1.0F - batch->lambda, error));
        }
    }
    return PARE_OK;
}

static pare_status fill_targets(trainer *t, const pare_batch *batch, pare_error *error) {
    size_t bytes = t->rows * t->classes * sizeof(float);
    if (t->kind == PARE_LOSS_CROSS_ENTROPY) {
        return fill_classes(t, batch, error);
    }
    if (t->options->preprocess->task == PARE_TASK_AUTOENCODER) {
        memcpy(tape_input_data(t->tape, t->targets), batch->inputs, bytes);
        return PARE_OK;
    }
    if (batch->values == NULL) {
        return fill_flags(t, batch, error);
    }
    memcpy(tape_input_data(t->tape, t->targets), batch->values, bytes);
    return PARE_OK;
}

pare_status trainer_feed(trainer *t, const pare_batch *batch, pare_error *error) {
    const tape_tensor *input = tape_tensor_at(t->tape, t->input);
    memcpy(tape_input_data(t->tape, t->input), batch->inputs, input->elements * pare_dtype_bytes(input->dtype));
    if (t->targets != TAPE_NONE) {
        PARE_TRY(fill_targets(t, batch, error));
    }
    if (t->labels != TAPE_NONE) {
        int32_t *labels = tape_input_data(t->tape, t->labels);
        for (size_t row = 0; row < t->rows; row++) { /* the loss leaves out those without a label */
            PARE_TRY(check_class(t, batch, row, batch->classes[row], error));
            labels[row] = batch->classes[row] < 0 ? -1 : (int32_t)batch->classes[row];
        }
    }
    return t->teacher != NULL ? teacher_feed(t->teacher, t->tape, batch, error) : PARE_OK;
}
