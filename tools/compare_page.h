/* The HTML page of pare-compare: one file, no network, no script. */
#ifndef PARE_COMPARE_PAGE_H
#define PARE_COMPARE_PAGE_H

#include "model_file.h"
#include "pare/metrics.h"

typedef struct compare_row {
    model_file file;
    pare_metrics metrics;
    pare_comparison comparison; /* with the first row */
    uint64_t macs;
    double median_ms;
} compare_row;

pare_status compare_page_write(const compare_row *rows, size_t count, const char *data, const char *path,
                               pare_error *error);

#endif
