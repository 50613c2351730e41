#include "step_log.h"

#include <stdio.h>
#include <string.h>

#include "pare/file.h"

static pare_output *output;
static pare_status failed;
static pare_error failure;

static void put(const char *text) {
    if (failed == PARE_OK) {
        failed = pare_output_write(output, text, strlen(text), &failure);
    }
}

pare_status step_log_open(const char *path, pare_error *error) {
    PARE_TRY(pare_output_open(path, &output, error));
    put("step,loss,lr\n");
    return PARE_OK;
}

void step_log_add(const pare_train_progress *progress) {
    char row[100];
    if (output != NULL) {
        snprintf(row, sizeof row, "%llu,%.17g,%.17g\n", (unsigned long long)progress->step, progress->loss,
                 progress->lr);
        put(row);
    }
}

pare_status step_log_close(pare_status status, pare_error *error) {
    if (output == NULL) {
        return status;
    }
    if (failed == PARE_OK) {
        failed = pare_output_commit(output, &failure);
    } else {
        pare_output_discard(output);
    }
    output = NULL;
    if (status == PARE_OK && failed != PARE_OK) {
        *error = failure;
        return failed;
    }
    return status;
}
