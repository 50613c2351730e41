/* Validation runs the network as it will be deployed: lowered, in the runtime,
 * quantized where training simulates that. */
#include <math.h>
#include <string.h>

#include "pare/evaluate.h"
#include "pare/lower.h"
#include "train/ranks.h"
#include "train/tape/tape_internal.h"
#include "train/trainer.h"

static const float *candidate(const trainer *t) {
    return t->average != NULL ? t->average : t->tape->values;
}

/* `network`, which has the weights that were stored last, as it will be deployed. */
static pare_status deploy(trainer *t, const float *values, pare_graph *network, pare_error *error) {
    if (t->quant_aware == NULL) {
        return PARE_OK;
    }
    pare_quant_aware_load(t->quant_aware, t->tape, values);
    return pare_quant_aware_export(t->quant_aware, network, error);
}

static pare_status evaluate(trainer *t, const float *values, const float *running, pare_metrics *metrics,
                            pare_error *error) {
    pare_graph *network = NULL;
    pare_model *model = NULL;
    pare_run_options run = {
        .threads = t->options->threads, .progress = t->options->progress, .progress_context = (void *)"validating"};
    PARE_TRY(tape_store(t->tape, values, running, error));
    PARE_TRY(pare_graph_clone(t->graph, &network, error));
    pare_status status = deploy(t, values, network, error);
    if (status == PARE_OK) {
        status = pare_graph_lower(network, &model, error);
    }
    if (status == PARE_OK) {
        status = pare_evaluate(model, t->validation, t->options->preprocess, &run, metrics, error);
    }
    pare_model_release(model);
    pare_graph_free(network);
    return status;
}

/* Higher is better; not finite where the network's answers are not. */
static double score_of(const pare_metrics *metrics) {
    double score = metrics->task == PARE_TASK_CLASSIFICATION ? metrics->top1 : -metrics->mse;
    return isnan(score) ? -INFINITY : score;
}

static void keep(trainer *t, double score) {
    memcpy(t->best, candidate(t), t->tape->flat_count * sizeof(float));
    memcpy(t->best_running, t->tape->running, t->tape->state_floats * sizeof(float));
    t->progress.best_metric = score;
    t->progress.best_step = t->progress.step;
    t->progress.early_stop_counter = 0;
}

pare_status trainer_validate(trainer *t, pare_metrics *metrics, bool *improved, pare_error *error) {
    bool measures = pare_ranks_rank() == 0;
    PARE_TRY(pare_ranks_agree(measures ? evaluate(t, candidate(t), t->tape->running, metrics, error) : PARE_OK, error));
    double score = measures ? score_of(metrics) : 0;
    PARE_TRY(ranks_share(0, &score, sizeof score, error));
    bool early = trainer_is_pruning(t); /* with fewer zeros than are asked for */
    *improved = early || t->options->keep_last || isnan(t->progress.best_metric) || score > t->progress.best_metric;
    if (*improved) {
        keep(t, score);
        t->progress.best_metric = early ? (double)NAN : score;
    } else {
        t->progress.early_stop_counter++;
    }
    return PARE_OK;
}

pare_status trainer_finish(trainer *t, pare_metrics *metrics, pare_error *error) {
    bool has_best = t->validation != NULL && !isnan(t->progress.best_metric);
    const float *values = has_best ? t->best : candidate(t);
    const float *running = has_best ? t->best_running : t->tape->running;
    bool measures = t->validation != NULL && pare_ranks_rank() == 0;
    pare_status status = measures ? evaluate(t, values, running, metrics, error) : PARE_OK;
    if (status == PARE_OK) {
        status = tape_store(t->tape, values, running, error);
    }
    if (status == PARE_OK) {
        status = deploy(t, values, t->graph, error);
    }
    return pare_ranks_agree(status, error);
}
