/* What people see of a training run while it goes on, and what is kept of it. */
#ifndef PARE_TRAIN_REPORT_H
#define PARE_TRAIN_REPORT_H

#include "pare/train.h"
#include "pare/train_log.h"

typedef struct train_report {
    const char *log_path, *title; /* --log (nullable); the page's title */
    bool resumed, validated, classification;
    uint64_t checkpoint_steps;
    pare_train_log *log; /* opened at the first step */
    bool printed;        /* the table's head */
    pare_status failed;  /* of a log */
    pare_error error;
} train_report;

/* pare_train_options.report, `context` being a train_report. False after an interrupt, or when the log failed. Only the
 * first rank logs and prints. */
bool train_report_step(void *context, const pare_train_progress *progress);
/* Writes --html after a run of `steps`. */
pare_status train_report_page(train_report *report, uint64_t steps, const char *path, pare_error *error);
void train_report_free(train_report *report);
/* True in the process that writes files and reports: any but in a run over several. */
bool is_first_rank(void);
/* True there, unless --quiet or JSON has standard output. */
bool people_read_stdout(void);

#endif
