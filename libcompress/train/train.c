/* A run: set up, step by step, epoch by epoch, and what is left of it. */
#include "pare/train.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pare/op.h"
#include "pare/runtime.h"
#include "train/ranks.h"
#include "train/tape/tape_internal.h"
#include "train/tape/tape_record.h"
#include "train/trainer.h"

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* --- set-up ---------------------------------------------------------------------------- */

static pare_shape sample_shape(const pare_graph *graph) {
    pare_shape shape = graph->inputs[0]->shape;
    shape.rank--;
    memmove(shape.dims, shape.dims + 1, (PARE_MAX_RANK - 1) * sizeof shape.dims[0]);
    return shape;
}

static pare_status open_loader(trainer *t, pare_error *error) {
    const pare_train_options *o = t->options;
    pare_loader_options loader = {.preprocess = o->preprocess,
                                  .input = sample_shape(t->graph),
                                  .dtype = t->graph->inputs[0]->dtype,
                                  .augment = o->augment,
                                  .batch = t->batch,
                                  .seed = o->seed,
                                  .shuffle = true,
                                  .rank = pare_ranks_rank(),
                                  .ranks = pare_ranks_count()};
    return pare_loader_create(t->data, &loader, &t->loader, error);
}

static pare_status plan_course(trainer *t, pare_error *error) {
    const pare_train_options *o = t->options;
    size_t samples = pare_dataset_count(t->data);
    if (o->batch > samples) {
        return pare_fail(error, PARE_USAGE,
                         "%s: expected a batch (--batch) of at most the %zu samples to train on, found %zu",
                         pare_dataset_spec(t->data), samples, o->batch);
    }
    t->epoch_steps = samples / o->batch;
    t->schedule = o->schedule;
    t->progress.total_steps = o->epochs * t->epoch_steps;
    if (o->max_steps > 0 && o->max_steps < t->progress.total_steps) {
        t->progress.total_steps = o->max_steps;
    }
    t->schedule.total_steps = t->progress.total_steps;
    if (o->warmup_epochs > 0) {
        t->schedule.warmup_steps = (uint64_t)(o->warmup_epochs * (double)t->epoch_steps);
    }
    return pare_schedule_check(&t->schedule, error);
}

static pare_status record_network(trainer *t, pare_error *error) {
    const pare_train_options *o = t->options;
    tape_ranks ranks = {.rank = pare_ranks_rank(), .count = pare_ranks_count(), .gather = ranks_gather};
    PARE_TRY(tape_create(t->graph, (int64_t)t->batch, o->seed, &t->tape, error));
    tape_spread(t->tape, &ranks);
    if (o->quant_aware != NULL) {
        pare_run_options run = {
            .threads = o->threads, .progress = o->progress, .progress_context = (void *)"calibrating"};
        PARE_TRY(pare_quant_aware_prepare(t->graph, o->calibration, o->preprocess, o->quant_aware, &run,
                                          &t->quant_aware, error));
        pare_quant_aware_use(t->quant_aware, t->tape);
    }
    tape_freeze(t->tape, o->freeze, o->freeze_count, o->freeze_batch_norm);
    PARE_TRY(tape_record_graph(t->tape, error));
    t->input = tape_find(t->tape, t->graph->inputs[0]);
    return PARE_OK;
}

static pare_status open_teacher(trainer *t, pare_error *error) {
    const pare_train_options *o = t->options;
    pare_shape shape = sample_shape(t->graph);
    return o->distill == NULL ? PARE_OK : teacher_create(o, t->data, &shape, t->batch, &t->teacher, error);
}

/* A cache is made by rank 0; where the others see its file, they read it. */
static pare_status open_teachers(trainer *t, pare_error *error) {
    const pare_distill_options *d = t->options->distill;
    bool waits = d != NULL && d->cache != NULL && pare_ranks_rank() > 0;
    PARE_TRY(pare_ranks_agree(waits ? PARE_OK : open_teacher(t, error), error));
    return pare_ranks_agree(waits ? open_teacher(t, error) : PARE_OK, error);
}

/* Neighbours that are treated alike become one group. */
static pare_status make_groups(trainer *t, pare_error *error) {
    const pare_tape *tape = t->tape;
    t->groups = pare_alloc_zero(tape->parameter_count + 1U, sizeof *t->groups);
    if (t->groups == NULL) {
        return pare_fail_memory(error, tape->parameter_count * sizeof *t->groups);
    }
    for (uint32_t i = 0; i < tape->parameter_count; i++) {
        const tape_parameter *p = &tape->parameters[i];
        pare_parameter_group *last = t->group_count > 0 ? &t->groups[t->group_count - 1] : NULL;
        if (last == NULL || last->decays != p->decays) {
            last = &t->groups[t->group_count++];
            bool keeps = t->options->sparsity.keep || t->options->sparsity.target > 0;
            *last = (pare_parameter_group){
                .first = p->offset, .decays = p->decays, .lr_scale = 1.0, .keeps_zeros = keeps && p->decays};
        }
        last->count = p->offset + p->count - last->first;
    }
    return PARE_OK;
}

static pare_status copy_vector(const float *from, size_t count, float **to, pare_error *error) {
    *to = pare_alloc_zero(count + 1, sizeof **to);
    if (*to == NULL) {
        return pare_fail_memory(error, count * sizeof **to);
    }
    memcpy(*to, from, count * sizeof **to);
    return PARE_OK;
}

static pare_status make_vectors(trainer *t, pare_error *error) {
    const pare_tape *tape = t->tape;
    size_t exchanged = 0;
    PARE_TRY(ranks_average_scratch(tape->flat_count, &exchanged, error));
    t->exchange = pare_alloc_zero(exchanged + 1, sizeof *t->exchange);
    if (t->exchange == NULL) {
        return pare_fail_memory(error, exchanged * sizeof *t->exchange);
    }
    PARE_TRY(pare_optimizer_create(&t->options->optimizer, tape->flat_count, &t->optimizer, error));
    if (t->options->ema > 0) {
        PARE_TRY(copy_vector(tape->values, tape->flat_count, &t->average, error));
    }
    if (t->validation != NULL) {
        PARE_TRY(copy_vector(tape->values, tape->flat_count, &t->best, error));
        PARE_TRY(copy_vector(tape->running, tape->state_floats, &t->best_running, error));
    }
    return make_groups(t, error);
}

static pare_status prepare(trainer *t, pare_error *error) {
    const pare_train_options *o = t->options;
    PARE_TRY(trainer_check_options(t, error));
    omp_set_dynamic(0);
    omp_set_num_threads(o->threads);
    t->batch = o->batch / pare_ranks_count();
    PARE_TRY(plan_course(t, error));
    return record_network(t, error);
}

static pare_status complete(trainer *t, pare_error *error) {
    const pare_train_options *o = t->options;
    PARE_TRY(trainer_add_losses(t, error));
    PARE_TRY(tape_allocate(t->tape, error));
    PARE_TRY(tape_plan(t->tape, error));
    PARE_TRY(trainer_check_data(t, error));
    PARE_TRY(trainer_check_start(t, error));
    PARE_TRY(make_vectors(t, error));
    t->progress.best_metric = NAN;
    return o->checkpoint != NULL || o->resume != NULL || pare_ranks_count() > 1 ? trainer_identify(t, error) : PARE_OK;
}

static pare_status start(trainer *t, pare_error *error) {
    const pare_train_options *o = t->options;
    bool loads = o->resume != NULL && pare_ranks_rank() == 0;
    PARE_TRY(pare_ranks_agree(loads ? trainer_load(t, o->resume, error) : PARE_OK, error));
    PARE_TRY(trainer_share_state(t, error));
    t->first_step = t->progress.step;
    /* Last: from here on its thread reads the set. */
    pare_status status = open_loader(t, error);
    if (status == PARE_OK) {
        bool next = t->progress.batch_in_epoch == t->epoch_steps; /* saved before the validation */
        status = pare_loader_seek(t->loader, t->progress.epoch + next, next ? 0 : t->progress.batch_in_epoch, error);
    }
    return pare_ranks_agree(status, error);
}

/* Whatever one rank alone may fail at ends in an agreement of all. */
static pare_status set_up(trainer *t, pare_error *error) {
    PARE_TRY(pare_ranks_agree(prepare(t, error), error));
    PARE_TRY(open_teachers(t, error));
    PARE_TRY(pare_ranks_agree(complete(t, error), error));
    PARE_TRY(trainer_compare(t, error));
    return start(t, error);
}

static void tear_down(trainer *t) {
    pare_loader_free(t->loader);
    teacher_free(t->teacher);
    pare_optimizer_free(&t->optimizer);
    tape_free(t->tape);
    pare_quant_aware_free(t->quant_aware);
    pare_free(t->groups);
    pare_free(t->average);
    pare_free(t->best);
    pare_free(t->best_running);
    pare_free(t->exchange);
    free(t->options_text);
}

/* --- a step ------------------------------------------------------------------------------- */

static double total_loss(const trainer *t) {
    double loss = 0;
    for (size_t i = 0; i < t->loss_count; i++) {
        loss += t->losses[i].weight * *t->losses[i].value;
    }
    return loss;
}

static pare_status take_step(trainer *t, pare_train_progress *shown, pare_error *error) {
    pare_batch batch;
    PARE_TRY(trainer_prune(t, error));
    double start = seconds_now(), lr = pare_schedule_lr(&t->schedule, t->progress.step);
    pare_status status = pare_loader_next(t->loader, &batch, error);
    if (status == PARE_OK) {
        status = trainer_feed(t, &batch, error);
    }
    PARE_TRY(trainer_balance(t, status, error));
    trainer_weigh(t);
    PARE_TRY(tape_forward(t->tape, t->progress.step, error));
    double loss = total_loss(t);
    PARE_TRY(trainer_mean_loss(&loss, error));
    if (!isfinite(loss)) {
        return trainer_fail_not_finite(t, &batch, "a finite loss", error);
    }
    PARE_TRY(tape_backward(t->tape, error));
    PARE_TRY(ranks_average(t->tape->gradients, t->tape->flat_count, t->exchange, error));
    double norm =
        pare_optimizer_update(&t->optimizer, t->tape->values, t->tape->gradients, t->groups, t->group_count, lr);
    if (!isfinite(norm)) {
        return trainer_fail_not_finite(t, &batch, "a finite gradient", error);
    }
    if (t->average != NULL) {
        pare_ema_update(t->average, t->tape->values, t->tape->flat_count, t->options->ema);
    }
    t->progress.loss_sum += loss;
    t->progress.loss_count++;
    t->progress.step++;
    t->progress.batch_in_epoch++;
    double taken = seconds_now() - start;
    t->seconds += taken;
    t->epoch_seconds += taken;
    t->samples += t->options->batch;
    t->epoch_samples += t->options->batch;
    shown->loss = loss;
    shown->gradient_norm = norm;
    return PARE_OK;
}

/* --- epochs --------------------------------------------------------------------------------- */

static void describe(const trainer *t, pare_train_progress *shown) {
    uint64_t made = t->progress.step - t->first_step; /* 0 where only a validation was left */
    double each = made > 0 ? t->seconds / (double)made : 0;
    shown->lr = pare_schedule_lr(&t->schedule, t->progress.step - 1);
    shown->epoch = t->progress.epoch;
    shown->epochs = t->options->epochs;
    shown->step = t->progress.step;
    shown->steps = t->progress.total_steps;
    shown->epoch_loss = t->progress.loss_sum / (double)t->progress.loss_count;
    shown->samples_per_second = made > 0 ? (double)t->samples / t->seconds : 0;
    shown->seconds_left = each * (double)(t->progress.total_steps - t->progress.step);
    shown->seconds = t->epoch_seconds;
    shown->epoch_samples_per_second = made > 0 ? (double)t->epoch_samples / t->epoch_seconds : 0;
}

/* To --checkpoint, where there is one. */
static pare_status save(trainer *t, pare_error *error) {
    if (t->options->checkpoint == NULL) {
        return PARE_OK;
    }
    return pare_ranks_agree(pare_ranks_rank() == 0 ? trainer_save(t, error) : PARE_OK, error);
}

/* *stops: the caller, on whichever rank, wants the run to end here. */
static pare_status report(const trainer *t, const pare_train_progress *shown, bool *stops, pare_error *error) {
    const pare_train_options *o = t->options;
    *stops = o->report != NULL && !o->report(o->report_context, shown);
    return trainer_any(stops, error);
}

static pare_status fail_interrupted(const trainer *t, pare_error *error) {
    const char *checkpoint = t->options->checkpoint;
    pare_status status =
        pare_fail(error, PARE_INTERRUPTED, "interrupted after step %llu of %llu%s%s",
                  (unsigned long long)t->progress.step, (unsigned long long)t->progress.total_steps,
                  checkpoint != NULL ? "; go on with --resume " : ": nothing is kept without --checkpoint",
                  checkpoint != NULL ? checkpoint : "");
    return pare_ranks_agree(status, error);
}

/* Where an interrupt or a bad sample ends it, the checkpoint is of before: resuming validates first. */
static pare_status validate(trainer *t, pare_metrics *metrics, bool *improved, pare_error *error) {
    pare_error other;
    pare_status status = trainer_validate(t, metrics, improved, error);
    if (status == PARE_OK) {
        return PARE_OK;
    }
    bool saved = save(t, &other) == PARE_OK;
    return status == PARE_INTERRUPTED && saved ? fail_interrupted(t, error) : status;
}

static bool is_at_epoch_end(const trainer *t) {
    return t->progress.loss_count > 0 &&
           (t->progress.batch_in_epoch == t->epoch_steps || t->progress.step == t->progress.total_steps);
}

static pare_status end_epoch(trainer *t, pare_train_progress *shown, pare_train_result *result, pare_error *error) {
    const pare_train_options *o = t->options;
    pare_metrics metrics = {0};
    PARE_TRY(trainer_check_weights(t, error));
    describe(t, shown);
    shown->epoch_ends = true;
    result->loss = shown->epoch_loss;
    if (t->validation != NULL) {
        PARE_TRY(validate(t, &metrics, &shown->improved, error));
        shown->metrics = &metrics;
    }
    t->progress.epoch++;
    t->progress.batch_in_epoch = 0;
    t->progress.loss_sum = 0;
    t->progress.loss_count = 0;
    t->epoch_seconds = 0;
    t->epoch_samples = 0;
    t->stopped_early = o->patience > 0 && t->progress.early_stop_counter >= o->patience;
    bool stops = false;
    /* First: a run that is killed behind the checkpoint would never report this epoch. */
    pare_status status = report(t, shown, &stops, error);
    if (status == PARE_OK) {
        status = save(t, error);
    }
    if (status == PARE_OK && stops) {
        status = fail_interrupted(t, error);
    }
    shown->metrics = NULL;
    pare_metrics_free(&metrics);
    return status;
}

/* Reports a step; saves where that is due, or where the caller stops the run, before a validation too. */
static pare_status end_step(trainer *t, pare_train_progress *shown, pare_error *error) {
    const pare_train_options *o = t->options;
    bool stops = false;
    describe(t, shown);
    PARE_TRY(report(t, shown, &stops, error));
    bool due = !is_at_epoch_end(t) && o->checkpoint_steps > 0 && t->progress.step % o->checkpoint_steps == 0;
    if (o->checkpoint != NULL && (due || stops)) {
        PARE_TRY(trainer_check_weights(t, error));
        PARE_TRY(save(t, error));
    }
    return stops ? fail_interrupted(t, error) : PARE_OK;
}

static pare_status run_steps(trainer *t, pare_train_result *result, pare_error *error) {
    pare_train_progress shown = {0};
    t->stopped_early = t->options->patience > 0 && t->progress.early_stop_counter >= t->options->patience;
    if (is_at_epoch_end(t)) {
        PARE_TRY(end_epoch(t, &shown, result, error));
    }
    while (t->progress.step < t->progress.total_steps && !t->stopped_early) {
        shown.improved = shown.epoch_ends = false;
        PARE_TRY(take_step(t, &shown, error));
        PARE_TRY(end_step(t, &shown, error));
        if (is_at_epoch_end(t)) {
            PARE_TRY(end_epoch(t, &shown, result, error));
        }
    }
    return PARE_OK;
}

static void summarize(const trainer *t, pare_train_result *result) {
    result->steps = t->progress.step;
    result->epochs = t->progress.epoch;
    result->validated = t->validation != NULL;
    result->best_epoch = result->validated ? (t->progress.best_step - 1) / t->epoch_steps : result->epochs - 1;
    result->stopped_early = t->stopped_early;
    result->memory_bytes = t->tape->block_bytes;
    result->seconds = t->seconds;
    result->samples = t->samples;
    for (uint32_t i = 0; i < t->tape->parameter_count; i++) {
        result->parameters += t->tape->parameters[i].count;
    }
}

static void count_layers(const pare_graph *graph, pare_train_result *result) {
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        const pare_value *weights = pare_node_weights(node);
        if (weights != NULL) {
            result->weighted_layers++;
            result->quantized_layers += weights->quant != NULL;
        }
    }
}

pare_status pare_train(pare_graph *graph, pare_dataset *data, pare_dataset *validation,
                       const pare_train_options *options, pare_train_result *result, pare_error *error) {
    pare_train_options resolved = *options;
    resolved.threads = options->threads > 0 ? options->threads : pare_default_threads();
    trainer t = {.graph = graph,
                 .data = data,
                 .validation = validation,
                 .options = &resolved,
                 .importance_scale = 1.0,
                 .labelled_scale = 1.0};
    pare_train_result made = {.loss = NAN};
    pare_status status = set_up(&t, error);
    if (status == PARE_OK) {
        status = run_steps(&t, &made, error);
    }
    if (status == PARE_OK) {
        summarize(&t, &made);
        made.sparsity = trainer_sparsity(&t, t.tape->values);
        status = trainer_finish(&t, &made.metrics, error);
        status = status == PARE_INTERRUPTED ? fail_interrupted(&t, error) : status;
        count_layers(graph, &made);
    }
    tear_down(&t);
    if (status == PARE_OK && result != NULL) {
        *result = made;
    } else {
        pare_metrics_free(&made.metrics);
    }
    return status;
}
