#include "step_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pare/bytes.h"
#include "pare/file.h"
#include "pare/memory.h"

static const char header[] = "step,loss,lr\n";
static const char *log_path;
static bool keeps, started;
static pare_byte_buffer rows;

/* Rows up to step `most`; a last one that is not whole goes. `text` is terminated. */
static pare_status keep_rows(const char *text, size_t size, uint64_t most, pare_error *error) {
    const char *at = text + strlen(header), *end = text + size, *next;
    if (size < strlen(header) || memcmp(text, header, strlen(header)) != 0) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: expected a step log to go on with, found something else",
                         log_path);
    }
    for (; at < end && (next = memchr(at, '\n', (size_t)(end - at))) != NULL; at = next + 1) {
        char *stop = NULL;
        uint64_t step = strtoull(at, &stop, 10);
        if (step == 0 || *stop != ',') {
            return pare_fail_at(error, PARE_BAD_INPUT, (uint64_t)(at - text),
                                "%s: expected a row of a step log, found \"%.*s\"", log_path, (int)(next - at), at);
        }
        if (step > most) {
            break;
        }
        pare_put_bytes(&rows, at, (size_t)(next + 1 - at));
    }
    return PARE_OK;
}

static pare_status read_rows(uint64_t most, pare_error *error) {
    uint8_t *data = NULL;
    size_t size = 0;
    PARE_TRY(pare_file_read(log_path, SIZE_MAX - 1, &data, &size, error));
    char *text = pare_alloc(size + 1);
    pare_status status = text == NULL ? pare_fail_memory(error, size + 1) : PARE_OK;
    if (status == PARE_OK) {
        memcpy(text, data, size);
        text[size] = '\0';
        status = keep_rows(text, size, most, error);
    }
    pare_free(text);
    pare_free(data);
    return status;
}

static pare_status write_rows(pare_error *error) {
    return rows.failed ? pare_fail_memory(error, rows.size) : pare_file_replace(log_path, rows.data, rows.size, error);
}

void step_log_open(const char *path, bool resumed) {
    log_path = path;
    keeps = resumed;
    started = false;
}

pare_status step_log_add(const pare_train_progress *progress, bool flush, pare_error *error) {
    char row[100];
    if (log_path == NULL) {
        return PARE_OK;
    }
    if (!started) {
        pare_put_bytes(&rows, header, strlen(header));
        started = true;
        uint64_t before = progress->epoch_ends ? progress->step : progress->step - 1;
        PARE_TRY(keeps && access(log_path, F_OK) == 0 ? read_rows(before, error) : PARE_OK);
    }
    if (!progress->epoch_ends) {
        snprintf(row, sizeof row, "%llu,%.17g,%.17g\n", (unsigned long long)progress->step, progress->loss,
                 progress->lr);
        pare_put_bytes(&rows, row, strlen(row));
    }
    return flush ? write_rows(error) : PARE_OK;
}

pare_status step_log_close(pare_status status, pare_error *error) {
    pare_error failure = {PARE_OK, PARE_NO_OFFSET, ""};
    pare_status written = started ? write_rows(&failure) : PARE_OK;
    pare_byte_buffer_free(&rows);
    rows = (pare_byte_buffer){0};
    log_path = NULL;
    started = false;
    if (status == PARE_OK && written != PARE_OK) {
        *error = failure;
        return written;
    }
    return status;
}
