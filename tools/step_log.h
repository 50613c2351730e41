/* A row a step: what compares the curves of two runs. */
#ifndef PARE_STEP_LOG_H
#define PARE_STEP_LOG_H

#include "pare/train.h"

/* Opens --step-log: CSV with the columns step (from 1), loss and lr, with as many digits as tell doubles apart. The
 * steps of this process: a resumed run begins behind those of the run before. */
pare_status step_log_open(const char *path, pare_error *error);
/* Adds the step that `progress` tells of; does nothing without a log. What cannot be written is told at the end. */
void step_log_add(const pare_train_progress *progress);
/* Makes the file visible, also of a run that was interrupted or failed; `status` is handed through where it is an
 * error. */
pare_status step_log_close(pare_status status, pare_error *error);

#endif
