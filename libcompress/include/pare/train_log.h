/* What is kept of a training run, an epoch a row: a CSV file and a page with the curves. */
#ifndef PARE_TRAIN_LOG_H
#define PARE_TRAIN_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pare/status.h"

#define PARE_TRAIN_METRICS_MAX 16

typedef struct pare_train_metric {
    const char *name; /* of the column, UTF-8; for instance "validation_top1" */
    bool loss;        /* the first one is drawn beside the training loss, others get a chart each */
} pare_train_metric;

typedef struct pare_train_row {
    uint64_t epoch;                         /* from 1 */
    uint64_t step;                          /* steps made at its end */
    double lr;                              /* of its last step */
    double loss;                            /* mean of its steps */
    double metrics[PARE_TRAIN_METRICS_MAX]; /* as many as the log has; NaN: none (an empty field) */
    double images_per_second, seconds;      /* of the epoch */
} pare_train_row;

typedef struct pare_train_log pare_train_log;

/* A log at `path` (NULL: none is written, but rows are kept for the page) with the columns epoch, step,
 * learning_rate, training_loss, those of the metrics, images_per_second, seconds: RFC 4180, a header, lines that end
 * in CR LF. With `resumed_step` 0 it starts anew; otherwise the rows of the file that is there up to that step are
 * kept, and later ones (of steps that are made again) and a last, incomplete one are dropped. PARE_USAGE where its
 * columns are others, PARE_BAD_INPUT where a row is malformed. Nothing is written before the first row is added. */
pare_status pare_train_log_open(const char *path, const pare_train_metric *metrics, size_t metric_count,
                                uint64_t resumed_step, pare_train_log **log, pare_error *error);
/* Adds a row and replaces the file atomically. PARE_USAGE where step or epoch does not follow the last row's. */
pare_status pare_train_log_add(pare_train_log *log, const pare_train_row *row, pare_error *error);
/* Rows so far, of an earlier part of the run too; they belong to the log. */
const pare_train_row *pare_train_log_rows(const pare_train_log *log, size_t *count);
/* Accepts NULL. */
void pare_train_log_free(pare_train_log *log);

/* Charts of the losses, each other metric and the learning rate against the epoch, and the rows as a table, in one
 * HTML file without script or network. `title` may hold anything. */
pare_status pare_train_html(const pare_train_log *log, const char *title, const char *path, pare_error *error);

#endif
