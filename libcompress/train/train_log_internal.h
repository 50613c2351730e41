/* Private to the log and its page. */
#ifndef PARE_TRAIN_LOG_INTERNAL_H
#define PARE_TRAIN_LOG_INTERNAL_H

#include <locale.h>

#include "pare/memory.h"
#include "pare/train_log.h"

struct pare_train_log {
    pare_arena arena;
    const char *path; /* NULL: no file */
    pare_train_metric metrics[PARE_TRAIN_METRICS_MAX];
    size_t metric_count;
    pare_train_row *rows;
    size_t row_count, row_capacity;
    locale_t locale; /* "C": numbers have a point, whatever the caller's locale */
};

#endif
