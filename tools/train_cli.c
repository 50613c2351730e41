#include "train_cli.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "model_file.h"
#include "pare/file.h"
#include "pare/memory.h"
#include "pare/onnx_graph.h"
#include "pare/ranks.h"
#include "pare/rebuild.h"
#include "pare/split.h"
#include "report.h"
#include "step_log.h"
#include "train_folds.h"
#include "train_options.h"
#include "train_report.h"

train_cli train = {.lr = -1,
                   .momentum = NAN, /* not given, as the next ones */
                   .gamma = NAN,
                   .final_fraction = NAN,
                   .huber_delta = NAN,
                   .epochs = 10,
                   .pairs = -1, /* not given, as bits of 0 */
                   .schedule = PARE_SCHEDULE_COSINE};
const char *const train_optimizers[] = {"sgd", "adam", "adamw", NULL};
const char *const train_schedules[] = {"constant", "step", "cosine", "one-cycle", NULL};
const char *const train_pair_rules[] = {"nudge", "7bit", "free", NULL}; /* in the order of pare_pair_rule */
const char *const train_scopes[] = {"lamp", "global", "layer", NULL};   /* in the order of pare_sparsity_scope */
const char *const train_losses[] = {"by-task", "cross-entropy", "mse", "l1", "huber", "bce", NULL};

#define DEFAULT_BATCH 128
#define DEFAULT_BITS 8

/* --- options -------------------------------------------------------------------------- */

static double given_or(double number, double otherwise) {
    return isnan(number) ? otherwise : number;
}

static pare_status fill_schedule(pare_schedule *schedule, pare_error *error) {
    *schedule = (pare_schedule){.kind = (pare_schedule_kind)train.schedule,
                                .lr = train.lr >= 0                           ? train.lr
                                      : train.optimizer == PARE_OPTIMIZER_SGD ? 0.01
                                                                              : 0.001,
                                .final_fraction = given_or(train.final_fraction, 0.0),
                                .gamma = given_or(train.gamma, 0.1),
                                .milestones = {0.5, 0.75},
                                .milestone_count = 2};
    return train.milestones == NULL ? PARE_OK
                                    : parse_numbers("milestones", train.milestones, schedule->milestones,
                                                    PARE_MILESTONES_MAX, &schedule->milestone_count, error);
}

static pare_status fill_options(pare_train_options *o, const pare_preprocess *preprocess,
                                const pare_distill_options *distill, pare_error *error) {
    *o = (pare_train_options){
        .preprocess = preprocess,
        .loss = {.kind = (pare_loss_kind)train.loss,
                 .label_smoothing = train.label_smoothing,
                 .huber_delta = given_or(train.huber_delta, 1.0)},
        .distill = distill,
        .optimizer = {.kind = (pare_optimizer_kind)train.optimizer,
                      .momentum = given_or(train.momentum, 0.9),
                      .nesterov = train.nesterov,
                      .beta1 = 0.9,
                      .beta2 = 0.999,
                      .epsilon = 1e-8,
                      .weight_decay = train.weight_decay,
                      .l1 = train.l1,
                      .clip_norm = train.clip_norm},
        .warmup_epochs = train.warmup_epochs,
        .ema = train.ema,
        .sparsity = {.target = train.sparsity,
                     .scope = (pare_sparsity_scope)train.sparsity_scope,
                     .until = train.sparsity_until,
                     .keep = train.keep_zeros},
        .epochs = (uint64_t)train.epochs,
        .max_steps = (uint64_t)train.max_steps,
        .seed = (uint64_t)common.seed,
        .threads = (int32_t)common.threads,
        .patience = (uint64_t)train.patience,
        .keep_last = train.folds > 0,
        .freeze = train.freeze.items,
        .freeze_count = train.freeze.count,
        .allow_empty_classes = train.allow_empty_classes,
        .freeze_batch_norm = train.freeze_batch_norm,
        .checkpoint = train.checkpoint,
        .checkpoint_steps = (uint64_t)train.checkpoint_steps,
        .resume = train.resume,
        .progress = cli_progress,
    };
    PARE_TRY(parse_augment(train.augment, &o->augment, error));
    return fill_schedule(&o->schedule, error);
}

/* --- data ------------------------------------------------------------------------------- */

typedef struct train_data {
    pare_dataset *train, *validation, *calibration;
    size_t *kept, kept_count; /* of --data to train on; NULL: all */
    pare_quant_aware_options quant_aware;
    float *class_weights;
} train_data;

static void close_data(train_data *data) {
    pare_dataset_close(data->train);
    pare_dataset_close(data->validation);
    pare_dataset_close(data->calibration);
    pare_free(data->kept);
    pare_free(data->class_weights);
}

/* A part of --data becomes the validation set. */
static pare_status take_part(train_data *data, int64_t fold, pare_error *error) {
    size_t *second = NULL, second_count = 0;
    int64_t *classes = NULL;
    PARE_TRY(open_dataset(common.data, "data", &data->validation, error));
    PARE_TRY(pare_dataset_classes(data->train, &classes, error));
    size_t count = pare_dataset_count(data->train);
    uint64_t seed = (uint64_t)common.seed;
    pare_status status = fold >= 0 ? pare_split_fold(count, classes, (size_t)train.folds, (size_t)fold, seed,
                                                     &data->kept, &data->kept_count, &second, &second_count, error)
                                   : pare_split_fraction(count, classes, train.val_fraction, seed, &data->kept,
                                                         &data->kept_count, &second, &second_count, error);
    if (status == PARE_OK) {
        status = pare_dataset_select(data->train, data->kept, data->kept_count, error);
    }
    if (status == PARE_OK) {
        status = pare_dataset_select(data->validation, second, second_count, error);
    }
    pare_free(second);
    pare_free(classes);
    return status;
}

/* The samples to train on once more, at most so many of them: what validates stays out of everything. */
static pare_status open_some(const train_data *data, size_t most, pare_dataset **some, pare_error *error) {
    PARE_TRY(open_dataset(common.data, "data", some, error));
    if (data->kept != NULL) {
        PARE_TRY(pare_dataset_select(*some, data->kept, data->kept_count, error));
    }
    return pare_dataset_limit(*some, most, true, (uint64_t)common.seed, error);
}

#define CALIBRATION_SAMPLES 512

static int32_t bits_or_default(int64_t bits) {
    return bits > 0 ? (int32_t)bits : DEFAULT_BITS;
}

static pare_status open_calibration(train_data *data, pare_train_options *options, pare_error *error) {
    data->quant_aware =
        (pare_quant_aware_options){.weight_bits = bits_or_default(train.weight_bits),
                                   .activation_bits = bits_or_default(train.activation_bits),
                                   .first_last_bits = bits_or_default(train.first_last_bits),
                                   .exclude = train.quant_exclude.items,
                                   .exclude_count = train.quant_exclude.count,
                                   .pairs = train.pairs < 0 ? PARE_PAIRS_NUDGE : (pare_pair_rule)train.pairs};
    PARE_TRY(common.calib != NULL ? pare_dataset_open(common.calib, &data->calibration, error)
                                  : open_some(data, CALIBRATION_SAMPLES, &data->calibration, error));
    options->quant_aware = &data->quant_aware;
    options->calibration = data->calibration;
    return PARE_OK;
}

/* Numbers that the network says of a sample, for each of its labels. */
static size_t class_count(const pare_graph *graph, const pare_dataset *data) {
    pare_shape shape;
    size_t count = 0, labels = pare_dataset_info(data).target_count;
    bool good = graph->output_count > 0 && pare_shape_bind(&graph->outputs[0]->shape, 1, &shape) &&
                pare_shape_elements(&shape, &count);
    return good && labels > 0 ? count / labels : 0;
}

static pare_status open_data(train_data *data, int64_t fold, const model_file *file, pare_train_options *options,
                             pare_error *error) {
    PARE_TRY(open_dataset(common.data, "data", &data->train, error));
    if (fold >= 0 || train.val_fraction > 0) {
        PARE_TRY(take_part(data, fold, error));
    } else if (train.val != NULL) {
        PARE_TRY(pare_dataset_open(train.val, &data->validation, error));
    }
    size_t samples = pare_dataset_count(data->train);
    options->batch = common.batch > 0 ? (size_t)common.batch : samples < DEFAULT_BATCH ? samples : DEFAULT_BATCH;
    if (train.quant_aware) {
        PARE_TRY(open_calibration(data, options, error));
    }
    if (train.class_weights != NULL) {
        PARE_TRY(parse_class_weights(train.class_weights, data->train, file->preprocess.label_offset,
                                     class_count(file->graph, data->train), &data->class_weights,
                                     &options->loss.class_weight_count, error));
        options->loss.class_weights = data->class_weights;
    }
    return PARE_OK;
}

/* --- the run -------------------------------------------------------------------------------- */

static pare_status check_quantization(pare_error *error) {
    bool given = train.weight_bits > 0 || train.activation_bits > 0 || train.first_last_bits > 0 ||
                 train.quant_exclude.count > 0 || train.pairs >= 0 || common.calib != NULL;
    return train.quant_aware || !given
               ? PARE_OK
               : pare_fail(error, PARE_USAGE,
                           "--weight-bits, --activation-bits, --first-last-bits, --qat-exclude, --pairs and --calib "
                           "belong to --qat, which is not given");
}

/* An option that would do nothing is a mistake. */
static pare_status check_owners(pare_error *error) {
    bool sgd = train.optimizer == PARE_OPTIMIZER_SGD, steps = train.schedule == PARE_SCHEDULE_STEP;
    bool huber = train.loss == PARE_LOSS_HUBER, cosine = train.schedule == PARE_SCHEDULE_COSINE;
    const struct {
        bool astray;
        const char *option, *owner;
    } options[] = {
        {!isnan(train.momentum) && !sgd, "--momentum", "--optimizer sgd"},
        {!isnan(train.gamma) && !steps, "--gamma", "--schedule step"},
        {train.milestones != NULL && !steps, "--milestones", "--schedule step"},
        {!isnan(train.final_fraction) && !cosine, "--final-lr", "--schedule cosine"},
        {train.sparsity == 0 && train.sparsity_until > 0, "--sparsity-until", "--sparsity"},
        {train.sparsity == 0 && train.sparsity_scope != 0, "--sparsity-scope", "--sparsity"},
        {!isnan(train.huber_delta) && !huber, "--huber-delta", "--loss huber"},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (options[i].astray) {
            return pare_fail(error, PARE_USAGE, "%s belongs to %s, which is not given", options[i].option,
                             options[i].owner);
        }
    }
    return PARE_OK;
}

static pare_status check_usage(pare_error *error) {
    int sources = (train.val != NULL) + (train.val_fraction > 0) + (train.folds > 0);
    if (sources > 1) {
        return pare_fail(error, PARE_USAGE, "--val, --val-fraction and --folds exclude each other");
    }
    if (train.folds > 0 && (common.output != NULL || train.checkpoint != NULL || train.resume != NULL ||
                            train.log != NULL || train.html != NULL || train.step_log != NULL)) {
        return pare_fail(error, PARE_USAGE,
                         "--folds measures: it takes no --output, --checkpoint, --resume, --log, --html or --step-log");
    }
    if (train.folds == 0 && common.output == NULL) {
        return pare_fail(error, PARE_USAGE, "option --output is needed (or --folds, to measure alone)");
    }
    if (train.patience > 0 && (sources == 0 || train.folds > 0)) {
        return pare_fail(error, PARE_USAGE, "--patience needs --val or --val-fraction%s",
                         train.folds > 0 ? ": the fold that is left out chooses nothing" : "");
    }
    if (train.checkpoint_steps > 0 && train.checkpoint == NULL) {
        return pare_fail(error, PARE_USAGE, "--checkpoint-steps needs --checkpoint FILE");
    }
    PARE_TRY(check_owners(error));
    return check_quantization(error);
}

/* A folder that cannot be written is found now, not when all is done. */
static pare_status check_writable(const char *path, pare_error *error) {
    pare_output *output = NULL;
    if (path == NULL) {
        return PARE_OK;
    }
    PARE_TRY(pare_output_open(path, &output, error));
    pare_output_discard(output);
    return PARE_OK;
}

static pare_status check_files(const char *path, const pare_distill_options *distill, const char *teacher,
                               pare_error *error) {
    bool same = train.resume != NULL && train.checkpoint != NULL &&
                (strcmp(train.resume, train.checkpoint) == 0 || pare_file_same(train.resume, train.checkpoint));
    const char *json = common.json != NULL && strcmp(common.json, "-") != 0 ? common.json : NULL;
    const char *const outputs[] = {common.output, json,       train.checkpoint,
                                   train.log,     train.html, distill != NULL ? distill->cache : NULL,
                                   train.step_log};
    const size_t count = sizeof outputs / sizeof outputs[0];
    const char *const inputs[] = {path, teacher, common.preprocess, same ? NULL : train.resume};
    const char *const specs[] = {common.data, train.val, common.calib};
    PARE_TRY(cli_check_outputs(outputs, count, inputs, 4, specs, 3, error));
    for (size_t i = 0; is_first_rank() && i < count; i++) {
        PARE_TRY(check_writable(outputs[i], error));
    }
    return PARE_OK;
}

static pare_status open_student(const char *path, model_file *file, pare_error *error) {
    PARE_TRY(model_file_open_for_training(path, file, error));
    if (file->is_container) {
        return pare_fail(error, PARE_UNSUPPORTED, "%s: a .pare file is final; train the ONNX model it came from", path);
    }
    return model_file_need_preprocess(file, error);
}

pare_status train_hash_model(const char *path, const pare_graph *graph, uint64_t *hash, pare_error *error) {
    uint8_t *data = NULL;
    size_t size = 0;
    PARE_TRY(pare_file_read(path, SIZE_MAX, &data, &size, error));
    uLong file = crc32_z(0, data, size), rest = adler32_z(1, data, size);
    for (size_t i = 0; graph != NULL && i < graph->value_count; i++) {
        const pare_value *value = graph->values[i];
        rest = value->data != NULL ? crc32_z(rest, value->data, value->data_bytes) : rest;
    }
    *hash = (uint64_t)file << 32 | (uint64_t)(rest & 0xffffffffU);
    pare_free(data);
    return PARE_OK;
}

#define REBUILD_SAMPLES 1024

static pare_status rebuild(model_file *file, const train_data *data, pare_error *error) {
    size_t inserted = 0;
    pare_dataset *some = NULL;
    pare_run_options run = {
        .threads = (int32_t)common.threads, .progress = cli_progress, .progress_context = (void *)"measuring"};
    pare_status status = open_some(data, REBUILD_SAMPLES, &some, error);
    if (status == PARE_OK) {
        status = pare_rebuild_batchnorm(file->graph, some, &file->preprocess, &run, &inserted, error);
    }
    pare_dataset_close(some);
    if (status == PARE_OK && people_read_stdout()) {
        printf("batch normalization behind %zu convolutions\n", inserted);
    }
    return status;
}

/* By the first rank, and it must load again. */
static pare_status write_network(const pare_graph *graph, size_t *bytes, pare_error *error) {
    model_file written = {0};
    if (common.output == NULL || !is_first_rank()) {
        return PARE_OK;
    }
    PARE_TRY(pare_graph_save(graph, common.output, error));
    pare_status status = model_file_open(common.output, &written, error);
    *bytes = written.bytes;
    model_file_close(&written);
    return status;
}

/* The training itself, its log and page. */
static pare_status train_and_log(const char *path, model_file *file, train_data *data, pare_train_options *options,
                                 pare_train_result *result, pare_error *error) {
    train_report report = {.log_path = train.log,
                           .title = path,
                           .resumed = train.resume != NULL,
                           .checkpoint_steps = (uint64_t)train.checkpoint_steps,
                           .validated = data->validation != NULL,
                           .classification = file->preprocess.task == PARE_TASK_CLASSIFICATION};
    options->report = train_report_step;
    options->report_context = &report;
    pare_status status = pare_train(file->graph, data->train, data->validation, options, result, error);
    bool together = status == PARE_OK || status == PARE_INTERRUPTED;
    if (!together) {
        pare_error_prefix(error, "%s: ", path);
    }
    if (report.failed != PARE_OK) {
        *error = report.error;
        status = report.failed;
    }
    if (status == PARE_OK && train.html != NULL && is_first_rank()) {
        status = train_report_page(&report, result->steps, train.html, error);
    }
    train_report_free(&report);
    return together ? pare_ranks_agree(status, error) : status; /* the first rank alone knows of its log */
}

pare_status train_once(const char *path, const pare_distill_options *distill, int64_t fold, pare_train_result *result,
                       size_t *bytes, pare_error *error) {
    model_file file = {0};
    train_data data = {0};
    pare_train_options options;
    pare_status status = open_student(path, &file, error);
    if (status == PARE_OK) {
        status = fill_options(&options, &file.preprocess, distill, error);
    }
    if (status == PARE_OK) {
        status = open_data(&data, fold, &file, &options, error);
    }
    if (status == PARE_OK) {
        status = train_hash_model(path, file.graph, &options.model_hash, error);
    }
    if (status == PARE_OK && train.rebuild_batch_norm) {
        status = rebuild(&file, &data, error);
    }
    if (status == PARE_OK && train.step_log != NULL && is_first_rank()) {
        step_log_open(train.step_log, train.resume != NULL);
    }
    status = pare_ranks_agree(status, error);
    if (status == PARE_OK) {
        status = train_and_log(path, &file, &data, &options, result, error);
    }
    if (status == PARE_OK) {
        status = pare_ranks_agree(write_network(file.graph, bytes, error), error);
    }
    status = step_log_close(status, error);
    close_data(&data);
    model_file_close(&file);
    return status;
}

/* By the first rank. */
static pare_status report_result(const char *path, const pare_train_result *r, size_t bytes, pare_error *error) {
    json_t *object =
        json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:b,s:o,s:I,s:I,s:f,s:I}", "input", json_text(path), "output",
                  json_text(common.output), "data", json_text(common.data), "steps", (json_int_t)r->steps, "epochs",
                  (json_int_t)r->epochs, "best_epoch", (json_int_t)r->best_epoch + 1, "stopped_early",
                  (int)r->stopped_early, "loss", json_number(r->loss), "parameters", (json_int_t)r->parameters,
                  "step_bytes", (json_int_t)r->memory_bytes, "samples_per_second",
                  r->seconds > 0 ? (double)r->samples / r->seconds : 0.0, "output_bytes", (json_int_t)bytes);
    if (object != NULL) {
        json_object_set_new(object, "sparsity", json_real(r->sparsity));
        json_object_set_new(object, "quantized_layers", json_integer((json_int_t)r->quantized_layers));
        json_object_set_new(object, "weighted_layers", json_integer((json_int_t)r->weighted_layers));
    }
    bool good = object != NULL && (!r->validated || json_add_metrics(object, &r->metrics));
    if (good && people_read_stdout()) {
        if (r->validated) {
            printf("best epoch %llu%s:\n", (unsigned long long)r->best_epoch + 1,
                   r->stopped_early ? " (stopped early)" : "");
            print_metrics_summary(&r->metrics);
        }
        if (train.quant_aware) {
            printf("quantized %zu of %zu layers with weights\n", r->quantized_layers, r->weighted_layers);
        }
        if (r->sparsity > 0) {
            printf("%s of the weights are zeros\n", percent_text(r->sparsity));
        }
        printf("%s parameters trained, %s a step beside them\nout    %s: %s\n", count_text(r->parameters),
               size_text(r->memory_bytes), shown(common.output, SIZE_MAX), size_text(bytes));
    }
    if (!good) {
        json_decref(object);
        return pare_fail_memory(error, 0);
    }
    return write_json(object, error);
}

/* --- the whole ---------------------------------------------------------------------------- */

static pare_status check(const char *path, const pare_distill_options *distill, const char *teacher,
                         pare_status prepared, pare_error *error) {
    PARE_TRY(prepared);
    if (train.checkpoint == NULL) {
        train.checkpoint = train.resume;
    }
    PARE_TRY(check_usage(error));
    return check_files(path, distill, teacher, error);
}

static pare_status run(const char *path, const pare_distill_options *distill, const char *teacher, pare_status prepared,
                       pare_error *error) {
    pare_train_result result = {0};
    size_t bytes = 0;
    PARE_TRY(pare_ranks_begin(error));
    PARE_TRY(pare_ranks_agree(check(path, distill, teacher, prepared, error), error));
    if (train.folds > 0) {
        return train_folds(path, distill, error);
    }
    PARE_TRY(train_once(path, distill, -1, &result, &bytes, error));
    pare_status status = is_first_rank() ? report_result(path, &result, bytes, error) : PARE_OK;
    pare_metrics_free(&result.metrics);
    return status;
}

pare_status train_run(const char *path, const pare_distill_options *distill, const char *teacher, pare_status prepared,
                      pare_error *error) {
    pare_status status = run(path, distill, teacher, prepared, error);
    common.silent = status != PARE_OK && !pare_ranks_speaks();
    return status;
}

int train_end(int code) {
    pare_ranks_end((pare_status)code);
    return code;
}
