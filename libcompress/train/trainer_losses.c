/* Which value the losses read, and what they compare it with. */
#include <string.h>

#include "train/tape/tape_loss.h"
#include "train/tape/tape_record.h"
#include "train/trainer.h"

static bool ends_in(const pare_value *value, const char *op) {
    return value->producer != NULL && strcmp(value->producer->op->name, op) == 0;
}

/* The loss works on what goes into the function that ends the network. */
static const pare_value *logits_of(const pare_value *output, pare_loss_kind kind) {
    bool strip = kind == PARE_LOSS_CROSS_ENTROPY ? ends_in(output, "Softmax") || ends_in(output, "LogSoftmax")
                                                 : kind == PARE_LOSS_BINARY_CROSS_ENTROPY && ends_in(output, "Sigmoid");
    return strip ? output->producer->inputs[0] : output;
}

/* Numbers that the network says of a sample; 0 where they overflow. */
static size_t output_count(const trainer *t) {
    pare_shape shape;
    size_t count = 0;
    bool good = pare_shape_bind(&t->graph->outputs[0]->shape, 1, &shape) && pare_shape_elements(&shape, &count);
    return good ? count : 0;
}

/* One number for each label says no or yes: the cross-entropy of one class would be 0 whatever it is. */
static pare_loss_kind kind_of(const trainer *t) {
    const pare_train_options *options = t->options;
    pare_sample_info info = pare_dataset_info(t->data);
    bool flag = info.target == PARE_TARGET_CLASS && output_count(t) == info.target_count;
    return options->loss.kind != PARE_LOSS_BY_TASK                 ? options->loss.kind
           : options->preprocess->task != PARE_TASK_CLASSIFICATION ? PARE_LOSS_MSE
           : flag                                                  ? PARE_LOSS_BINARY_CROSS_ENTROPY
                                                                   : PARE_LOSS_CROSS_ENTROPY;
}

static pare_status check_options(const trainer *t, pare_error *error) {
    const pare_train_options *o = t->options;
    if ((o->loss.label_smoothing > 0 || o->loss.class_weights != NULL) && t->kind != PARE_LOSS_CROSS_ENTROPY) {
        return pare_fail(error, PARE_USAGE,
                         "label smoothing and class weights belong to the cross-entropy, and this "
                         "run has another loss: leave them out");
    }
    if (o->distill != NULL && o->distill->decoupled &&
        (t->kind != PARE_LOSS_CROSS_ENTROPY || pare_dataset_info(t->data).target != PARE_TARGET_CLASS)) {
        return pare_fail(error, PARE_USAGE,
                         "decoupled distillation needs class labels in \"%s\" and a network of classes: use the "
                         "teacher's logits",
                         pare_dataset_spec(t->data));
    }
    return PARE_OK;
}

static pare_status check_targets(const trainer *t, pare_error *error) {
    pare_sample_info info = pare_dataset_info(t->data);
    bool own = t->options->preprocess->task == PARE_TASK_AUTOENCODER;
    bool wants_classes = t->kind == PARE_LOSS_CROSS_ENTROPY;
    if (own ? !wants_classes : info.target == PARE_TARGET_NONE && t->options->distill != NULL) {
        return PARE_OK;
    }
    if (info.target == PARE_TARGET_NONE || (wants_classes && info.target != PARE_TARGET_CLASS)) {
        return pare_fail(error, PARE_USAGE, "expected %s in \"%s\" for this loss, found %s",
                         wants_classes ? "class labels" : "targets", pare_dataset_spec(t->data),
                         info.target == PARE_TARGET_NONE ? "none" : "real numbers");
    }
    return PARE_OK;
}

static pare_status check_batch_axis(const pare_value *logits, pare_error *error) {
    char text[160];
    return logits->shape.rank > 0 && logits->shape.dims[0] < 0
               ? PARE_OK
               : pare_fail(error, PARE_UNSUPPORTED,
                           "expected an output whose first dimension is the batch to train, found \"%s\" of %s",
                           logits->name, pare_shape_text(&logits->shape, text, sizeof text));
}

/* Labels for outputs that each say no or yes: one label of several classes, or one of two for each output. */
static pare_status check_flags(const trainer *t, size_t labels, pare_error *error) {
    return labels == 1 || labels == t->classes
               ? PARE_OK
               : pare_fail(error, PARE_USAGE,
                           "expected one label a sample, or one (0 or 1) for each of the network's %zu outputs, found "
                           "%zu in \"%s\"",
                           t->classes, labels, pare_dataset_spec(t->data));
}

/* rows × classes for classes, samples × values for values. */
static pare_status measure(trainer *t, const tape_tensor *logits, pare_error *error) {
    pare_sample_info info = pare_dataset_info(t->data);
    bool classes = t->kind == PARE_LOSS_CROSS_ENTROPY;
    size_t targets = classes && info.target == PARE_TARGET_CLASS ? info.target_count : 1;
    t->rows = t->batch * targets;
    if (logits->elements % t->rows != 0 ||
        (targets > 1 && (size_t)logits->shape.dims[logits->shape.rank - 1] * t->rows != logits->elements)) {
        return pare_fail(error, PARE_USAGE, "expected outputs for %zu targets a sample, found %zu numbers a sample",
                         targets, logits->elements / t->batch);
    }
    t->classes = logits->elements / t->rows;
    bool own = t->options->preprocess->task == PARE_TASK_AUTOENCODER;
    size_t given = own ? tape_tensor_at(t->tape, t->input)->elements / t->batch : info.target_count;
    t->label_classes = t->classes > 1 ? t->classes : 2;
    bool flags = t->kind == PARE_LOSS_BINARY_CROSS_ENTROPY && info.target == PARE_TARGET_CLASS && !own;
    if (flags) {
        PARE_TRY(check_flags(t, info.target_count, error));
        t->label_classes = info.target_count == t->classes ? 2 : t->classes;
    } else if (!classes && info.target != PARE_TARGET_NONE && given != t->classes) {
        return pare_fail(error, PARE_USAGE, "expected %zu targets a sample, one for each output, found %zu", t->classes,
                         given);
    }
    if (classes && t->classes < 2) {
        return pare_fail(error, PARE_USAGE,
                         "expected at least two outputs for the cross-entropy, found one: binary cross-entropy (--loss "
                         "bce) learns yes and no from it");
    }
    const pare_loss_options *loss = &t->options->loss;
    if (loss->class_weights != NULL && loss->class_weight_count != t->classes) {
        return pare_fail(error, PARE_USAGE, "expected %zu class weights, found %zu", t->classes,
                         loss->class_weight_count);
    }
    return PARE_OK;
}

static pare_status add(trainer *t, const tape_loss_attrs *attrs, uint32_t outputs, uint32_t targets, uint32_t extra,
                       pare_error *error) {
    if (t->loss_count == TRAINER_LOSSES) {
        return pare_fail(error, PARE_LIMIT, "expected at most %d losses, found more", TRAINER_LOSSES);
    }
    trainer_loss *loss = &t->losses[t->loss_count];
    loss->weight = (double)attrs->weight;
    PARE_TRY(tape_record_loss(t->tape, attrs, outputs, targets, extra, &loss->value, error));
    t->loss_count++;
    return PARE_OK;
}

static const tape_loss_kind recorded[] = {
    [PARE_LOSS_CROSS_ENTROPY] = TAPE_LOSS_CROSS_ENTROPY,
    [PARE_LOSS_MSE] = TAPE_LOSS_MSE,
    [PARE_LOSS_L1] = TAPE_LOSS_L1,
    [PARE_LOSS_HUBER] = TAPE_LOSS_HUBER,
    [PARE_LOSS_BINARY_CROSS_ENTROPY] = TAPE_LOSS_BINARY_CROSS_ENTROPY,
};

static pare_status add_task_loss(trainer *t, uint32_t logits, double weight, pare_error *error) {
    pare_shape targets = {.rank = 2, .dims = {(int64_t)t->rows, (int64_t)t->classes}};
    pare_shape rows = {.rank = 1, .dims = {(int64_t)t->rows}};
    double delta = t->options->loss.huber_delta;
    tape_loss_attrs attrs = {
        .kind = recorded[t->kind], .weight = (float)weight, .delta = delta > 0 ? (float)delta : 1.0F};
    t->targets = tape_extra_input(t->tape, "targets", PARE_F32, &targets);
    t->importance = TAPE_NONE;
    attrs.scale = &t->task_scale;
    t->task_share = weight;
    if (t->kind == PARE_LOSS_CROSS_ENTROPY) {
        t->importance = tape_extra_input(t->tape, "importance", PARE_F32, &rows);
    }
    return add(t, &attrs, logits, t->targets, t->importance, error);
}

static pare_status add_distillation(trainer *t, uint32_t logits, double weight, pare_error *error) {
    const pare_distill_options *d = t->options->distill;
    pare_shape shape = {.rank = 2, .dims = {(int64_t)t->rows, (int64_t)t->classes}};
    pare_shape rows = {.rank = 1, .dims = {(int64_t)t->rows}};
    tape_loss_attrs attrs = {.kind = d->decoupled ? TAPE_LOSS_DECOUPLED : TAPE_LOSS_LOGITS,
                             .weight = (float)weight,
                             .temperature = (float)d->temperature,
                             .alpha = (float)d->dkd_alpha,
                             .beta = (float)d->dkd_beta,
                             .scale = &t->teacher_scale};
    if (t->kind != PARE_LOSS_CROSS_ENTROPY) { /* a regression's teacher is simply imitated */
        attrs.kind = TAPE_LOSS_MSE;
    }
    uint32_t outputs = tape_extra_input(t->tape, "teacher", PARE_F32, &shape);
    if (attrs.kind == TAPE_LOSS_DECOUPLED) {
        t->labels = tape_extra_input(t->tape, "labels", PARE_S32, &rows);
        attrs.scale = &t->decoupled_scale;
    }
    PARE_TRY(teacher_bind(t->teacher, outputs, t->kind, t->rows, t->classes, error));
    return add(t, &attrs, logits, outputs, t->labels, error);
}

static pare_status add_hints(trainer *t, pare_error *error) {
    const pare_distill_options *d = t->options->distill;
    for (size_t i = 0; i < d->hint_count; i++) {
        const pare_hint *hint = &d->hints[i];
        const pare_value *value = teacher_find_value(t->graph, hint->student);
        uint32_t tensor = value != NULL ? tape_find(t->tape, value) : TAPE_NONE;
        if (tensor == TAPE_NONE) {
            return pare_fail(
                error, PARE_USAGE,
                "hint %s=%s: expected the name of a node or of what it computes in the student, found \"%s\"",
                hint->student, hint->teacher, hint->student);
        }
        uint32_t target = TAPE_NONE;
        PARE_TRY(teacher_hint(t->teacher, t->tape, i, hint, &tensor, &target, error));
        tape_loss_attrs attrs = {.kind = hint->attention ? TAPE_LOSS_ATTENTION : TAPE_LOSS_MSE,
                                 .weight = (float)hint->weight,
                                 .scale = &t->teacher_scale};
        PARE_TRY(add(t, &attrs, tensor, target, TAPE_NONE, error));
    }
    return PARE_OK;
}

pare_status trainer_add_losses(trainer *t, pare_error *error) {
    const pare_distill_options *d = t->options->distill;
    bool labelled =
        pare_dataset_info(t->data).target != PARE_TARGET_NONE || t->options->preprocess->task == PARE_TASK_AUTOENCODER;
    t->kind = kind_of(t);
    t->targets = t->importance = t->labels = TAPE_NONE;
    PARE_TRY(check_options(t, error));
    PARE_TRY(check_targets(t, error));
    const pare_value *logits = logits_of(t->graph->outputs[0], t->kind);
    uint32_t tensor = tape_find(t->tape, logits);
    if (tensor == TAPE_NONE || !tape_tensor_at(t->tape, tensor)->wants_gradient) {
        bool frozen = t->options->freeze_count > 0;
        return pare_fail(error, frozen ? PARE_USAGE : PARE_UNSUPPORTED,
                         "expected an output that depends on weights that train, found \"%s\", which does not%s",
                         t->graph->outputs[0]->name, frozen ? ": everything is frozen (--freeze)" : "");
    }
    PARE_TRY(check_batch_axis(logits, error));
    PARE_TRY(measure(t, tape_tensor_at(t->tape, tensor), error));
    double share = d == NULL ? 0.0 : labelled ? d->alpha : 1.0;
    if (d != NULL && d->until > 0 && share == 1.0) {
        return pare_fail(error, PARE_USAGE,
                         "a teacher that fades leaves the labels' loss: expected labels, and an alpha below 1");
    }
    if (share < 1.0) {
        PARE_TRY(add_task_loss(t, tensor, 1.0 - share, error));
    }
    if (d != NULL && share > 0.0) {
        PARE_TRY(add_distillation(t, tensor, share, error));
    }
    return d != NULL ? add_hints(t, error) : PARE_OK;
}

/* What is left of the teacher's losses in the step that comes. */
static double fade(const trainer *t) {
    double until = t->options->distill != NULL ? t->options->distill->until : 0;
    double left = until > 0 ? 1 - (double)t->progress.step / (until * (double)t->progress.total_steps) : 1;
    return left > 0 ? left : 0;
}

void trainer_weigh(trainer *t) {
    double left = fade(t), task = t->task_share > 0 ? (1 - (1 - t->task_share) * left) / t->task_share : 1;
    t->task_scale = t->importance_scale * task;
    t->teacher_scale = left;
    t->decoupled_scale = t->labelled_scale * left;
}
