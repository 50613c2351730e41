/* What a checkpoint holds, and what must agree before it is used again. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "pare/ranks.h"
#include "pare/runtime.h"
#include "train/tape/tape_internal.h"
#include "train/trainer.h"

/* --- the options that change the numbers -------------------------------------------- */

typedef struct named_number {
    const char *name;
    double value;
} named_number;

static bool put_numbers(json_t *root, const named_number *numbers, size_t count) {
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        good = good && json_object_set_new(root, numbers[i].name, json_real(numbers[i].value)) == 0;
    }
    return good;
}

static bool put_course(json_t *root, const trainer *t) {
    const pare_train_options *o = t->options;
    const pare_optimizer_options *p = &o->optimizer;
    const pare_schedule *s = &t->schedule;
    const named_number numbers[] = {
        {"loss", t->kind},
        {"label_smoothing", o->loss.label_smoothing},
        {"huber_delta", o->loss.huber_delta},
        {"momentum", p->momentum},
        {"nesterov", p->nesterov},
        {"beta1", p->beta1},
        {"beta2", p->beta2},
        {"epsilon", p->epsilon},
        {"weight_decay", p->weight_decay},
        {"l1", p->l1},
        {"clip_norm", p->clip_norm},
        {"schedule", s->kind},
        {"lr", s->lr},
        {"final_fraction", s->final_fraction},
        {"gamma", s->gamma},
        {"warmup_steps", (double)s->warmup_steps},
        {"ema", o->ema},
        {"epochs", (double)o->epochs},
        {"max_steps", (double)o->max_steps},
        {"batch", (double)o->batch},
        {"patience", (double)o->patience},
        {"freeze_batch_norm", o->freeze_batch_norm},
        {"sparsity", o->sparsity.target},
        {"sparsity_scope", o->sparsity.scope},
        {"sparsity_until", o->sparsity.until},
        {"keep_zeros", o->sparsity.keep},
    };
    return put_numbers(root, numbers, sizeof numbers / sizeof numbers[0]);
}

static bool put_augment(json_t *root, const pare_augment *a) {
    const named_number numbers[] = {
        {"flip_horizontal", a->flip_horizontal},
        {"flip_vertical", a->flip_vertical},
        {"crop_padding", a->crop_padding},
        {"shift", a->shift},
        {"rotation", a->rotation},
        {"brightness", a->brightness},
        {"contrast", a->contrast},
        {"cutout", a->cutout},
        {"noise", a->noise},
        {"mixup", a->mixup},
    };
    return put_numbers(root, numbers, sizeof numbers / sizeof numbers[0]);
}

static bool put_distillation(json_t *root, const pare_distill_options *d) {
    const named_number numbers[] = {
        {"temperature", d->temperature}, {"alpha", d->alpha},       {"decoupled", d->decoupled},
        {"dkd_alpha", d->dkd_alpha},     {"dkd_beta", d->dkd_beta}, {"until", d->until},
    };
    json_t *hints = json_array();
    bool good = put_numbers(root, numbers, sizeof numbers / sizeof numbers[0]);
    for (size_t i = 0; i < d->hint_count; i++) {
        const pare_hint *hint = &d->hints[i];
        good = good && json_array_append_new(hints, json_pack("[s,s,b,f]", hint->student, hint->teacher,
                                                              (int)hint->attention, hint->weight)) == 0;
    }
    return json_object_set_new(root, "hints", hints) == 0 && good;
}

static bool put_quantization(json_t *root, const pare_quant_aware_options *q, uint32_t calibration_crc) {
    const named_number numbers[] = {
        {"calibration_crc", calibration_crc},
        {"weight_bits", q->weight_bits},
        {"activation_bits", q->activation_bits},
        {"first_last_bits", q->first_last_bits},
        {"pairs", q->pairs},
    };
    json_t *excluded = json_array();
    bool good = put_numbers(root, numbers, sizeof numbers / sizeof numbers[0]);
    for (size_t i = 0; i < q->exclude_count; i++) {
        good = good && json_array_append_new(excluded, json_string(q->exclude[i])) == 0;
    }
    return json_object_set_new(root, "excluded", excluded) == 0 && good;
}

static bool put_reals(json_t *root, const char *name, const float *numbers, int32_t count) {
    json_t *list = json_array();
    bool good = true;
    for (int32_t i = 0; i < count; i++) {
        good = good && json_array_append_new(list, json_real((double)numbers[i])) == 0;
    }
    return json_object_set_new(root, name, list) == 0 && good;
}

/* What a sample is when it reaches the network. */
static bool put_input(json_t *root, const trainer *t) {
    const pare_preprocess *p = t->options->preprocess;
    const pare_shape *shape = &t->graph->inputs[0]->shape;
    const named_number numbers[] = {
        {"layout", p->layout},
        {"resize", p->resize},
        {"crop", p->crop},
        {"color", p->color},
        {"scale", (double)p->scale},
        {"task", p->task},
        {"label_offset", p->label_offset},
    };
    json_t *dims = json_array();
    bool good = put_numbers(root, numbers, sizeof numbers / sizeof numbers[0]) &&
                put_reals(root, "mean", p->mean, p->mean_count) && put_reals(root, "std", p->std, p->std_count);
    for (int32_t i = 1; i < shape->rank; i++) {
        good = good && json_array_append_new(dims, json_integer((json_int_t)shape->dims[i])) == 0;
    }
    return json_object_set_new(root, "input_shape", dims) == 0 && good;
}

static bool put_lists(json_t *root, const trainer *t) {
    const pare_train_options *o = t->options;
    json_t *milestones = json_array(), *frozen = json_array();
    const void *weights = o->loss.class_weights;
    uLong crc = crc32_z(0, weights, weights != NULL ? o->loss.class_weight_count * sizeof(float) : 0);
    const named_number class_weights[] = {{"class_weights_crc", (double)crc}};
    bool good = put_numbers(root, class_weights, 1);
    for (size_t i = 0; i < t->schedule.milestone_count; i++) {
        good = good && json_array_append_new(milestones, json_real(t->schedule.milestones[i])) == 0;
    }
    for (size_t i = 0; i < o->freeze_count; i++) {
        good = good && json_array_append_new(frozen, json_string(o->freeze[i])) == 0;
    }
    good = json_object_set_new(root, "milestones", milestones) == 0 && good;
    return json_object_set_new(root, "frozen", frozen) == 0 && good;
}

/* Canonical JSON, freed with free(); NULL when out of memory. */
static char *describe_options(const trainer *t, uint32_t calibration_crc) {
    json_t *root = json_object();
    bool good = root != NULL && put_course(root, t) && put_augment(root, &t->options->augment) && put_lists(root, t) &&
                put_input(root, t) && (t->options->distill == NULL || put_distillation(root, t->options->distill)) &&
                (t->options->quant_aware == NULL || put_quantization(root, t->options->quant_aware, calibration_crc));
    char *text = good ? json_dumps(root, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    return text;
}

/* --- identity and arrays ---------------------------------------------------------------- */

size_t trainer_arrays(trainer *t, pare_checkpoint_array *arrays) {
    size_t count = 0;
    pare_tape *tape = t->tape;
    arrays[count++] = (pare_checkpoint_array){"parameters", tape->values, tape->flat_count};
    arrays[count++] = (pare_checkpoint_array){"running", tape->running, tape->state_floats};
    arrays[count++] = (pare_checkpoint_array){"moments", t->optimizer.moments, t->optimizer.moments_count};
    if (t->average != NULL) {
        arrays[count++] = (pare_checkpoint_array){"average", t->average, tape->flat_count};
    }
    if (t->validation != NULL) {
        arrays[count++] = (pare_checkpoint_array){"best", t->best, tape->flat_count};
        arrays[count++] = (pare_checkpoint_array){"best_running", t->best_running, tape->state_floats};
    }
    return count;
}

static pare_status identify(trainer *t, char *options, pare_checkpoint_identity *identity, pare_error *error) {
    *identity = (pare_checkpoint_identity){.options = options,
                                           .model_hash = t->options->model_hash,
                                           .teacher_hash = t->options->distill ? t->options->distill->teacher_hash : 0,
                                           .samples = pare_dataset_count(t->data),
                                           .backend = pare_backend(),
                                           .isa = tape_instruction_set(),
                                           .threads = t->options->threads,
                                           .ranks = (int32_t)pare_ranks_count(),
                                           .seed = t->options->seed,
                                           .optimizer = (int32_t)t->options->optimizer.kind};
    PARE_TRY(pare_dataset_checksum(t->data, &identity->dataset_crc, error));
    return t->validation != NULL ? pare_dataset_checksum(t->validation, &identity->validation_crc, error) : PARE_OK;
}

pare_status trainer_save(trainer *t, pare_error *error) {
    pare_checkpoint_array arrays[TRAINER_ARRAYS];
    t->progress.optimizer_step = t->optimizer.step;
    PARE_TRY(pare_checkpoint_save(t->options->checkpoint, &t->identity, &t->progress, arrays, trainer_arrays(t, arrays),
                                  error));
    t->saved = true;
    t->saved_step = t->progress.step;
    return PARE_OK;
}

pare_status trainer_load(trainer *t, const char *path, pare_error *error) {
    pare_checkpoint_array arrays[TRAINER_ARRAYS];
    uint64_t planned = t->progress.total_steps;
    PARE_TRY(pare_checkpoint_load(path, &t->identity, &t->progress, arrays, trainer_arrays(t, arrays), error));
    if (t->progress.total_steps != planned) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: expected a run of %llu steps, found one of %llu", path,
                         (unsigned long long)planned, (unsigned long long)t->progress.total_steps);
    }
    t->optimizer.step = t->progress.optimizer_step;
    t->saved = t->options->checkpoint != NULL && strcmp(t->options->checkpoint, path) == 0;
    t->saved_step = t->progress.step;
    return PARE_OK;
}

pare_status trainer_identify(trainer *t, pare_error *error) {
    uint32_t calibration_crc = 0;
    if (t->options->quant_aware != NULL) {
        PARE_TRY(pare_dataset_checksum(t->options->calibration, &calibration_crc, error));
    }
    char *options = describe_options(t, calibration_crc);
    if (options == NULL) {
        return pare_fail_memory(error, 0);
    }
    t->options_text = options;
    return identify(t, options, &t->identity, error);
}
