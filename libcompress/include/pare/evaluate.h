/* Runs a model over a data set and measures what it predicts. */
#ifndef PARE_EVALUATE_H
#define PARE_EVALUATE_H

#include "pare/dataset.h"
#include "pare/metrics.h"
#include "pare/preprocess.h"
#include "pare/runtime.h"

/* Progress of something that takes long; return false to stop (PARE_INTERRUPTED). May be NULL. */
typedef bool (*pare_progress)(void *context, size_t done, size_t total);

typedef struct pare_run_options {
    int64_t batch;   /* 0: chosen by the model's size */
    int32_t threads; /* 0: the physical cores */
    int32_t reference;
    pare_observe observe;
    void *observe_context;
    pare_progress progress;
    void *progress_context;
} pare_run_options;

/* Called for each batch with `count` samples' first outputs ([count, outputs]
 * floats, row-major), the preprocessed inputs, and their targets. */
typedef pare_status (*pare_batch_sink)(void *context, const float *inputs, size_t inputs_per_sample,
                                       const float *outputs, size_t outputs_per_sample, const int64_t *classes,
                                       const float *values, size_t targets_per_sample, size_t count, pare_error *error);

/* Streams `dataset` through `model` (the last, partial batch is padded and the
 * padding dropped). */
pare_status pare_run_dataset(pare_model *model, pare_dataset *dataset, const pare_preprocess *preprocess,
                             const pare_run_options *options, pare_batch_sink sink, void *sink_context,
                             pare_error *error);

/* All metrics of the preprocess record's task. Free with pare_metrics_free. */
pare_status pare_evaluate(pare_model *model, pare_dataset *dataset, const pare_preprocess *preprocess,
                          const pare_run_options *options, pare_metrics *metrics, pare_error *error);

/* CLI.md's preprocessing JSON, from its text (`origin` names it in messages). */
pare_status pare_preprocess_parse(const char *json, const char *origin, pare_preprocess *preprocess, pare_error *error);

#endif
