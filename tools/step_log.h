/* A row a step: what compares the curves of two runs. */
#ifndef PARE_STEP_LOG_H
#define PARE_STEP_LOG_H

#include "pare/train.h"

/* --step-log: CSV with the columns step (from 1), loss and lr, with as many digits as tell doubles apart. A resumed
 * run keeps the file's rows of the steps before its first. */
void step_log_open(const char *path, bool resumed);
/* Adds the step that `progress` tells of (none at an epoch's end), and replaces the file where `flush`; does nothing
 * without a log. PARE_BAD_INPUT where the file of a resumed run is no step log. */
pare_status step_log_add(const pare_train_progress *progress, bool flush, pare_error *error);
/* Replaces the file a last time, also of a run that was interrupted or failed; `status` is handed through where it is
 * an error. */
pare_status step_log_close(pare_status status, pare_error *error);

#endif
