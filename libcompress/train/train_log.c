/* The CSV log of a training run. */
#include "pare/train_log.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pare/bytes.h"
#include "pare/checked.h"
#include "pare/file.h"
#include "pare/memory.h"
#include "train/train_log_internal.h"

enum { FILE_MOST = 64 << 20, FIELD = 40 };

/* --- writing ------------------------------------------------------------------------- */

static void put_text(pare_byte_buffer *out, const char *text) {
    pare_put_bytes(out, text, strlen(text));
}

/* Quoted where it has to be (RFC 4180, 2.6 and 2.7). */
static void put_name(pare_byte_buffer *out, const char *name) {
    bool quoted = strpbrk(name, ",\"\r\n") != NULL;
    put_text(out, quoted ? "\"" : "");
    for (; *name != '\0'; name++) {
        pare_put_bytes(out, "\"\"", *name == '"' ? 1 : 0);
        pare_put_bytes(out, name, 1);
    }
    put_text(out, quoted ? "\"" : "");
}

static void put_header(pare_byte_buffer *out, const pare_train_log *log) {
    put_text(out, "epoch,step,learning_rate,training_loss,");
    for (size_t i = 0; i < log->metric_count; i++) {
        put_name(out, log->metrics[i].name);
        put_text(out, ",");
    }
    put_text(out, "images_per_second,seconds\r\n");
}

static void put_number(pare_byte_buffer *out, const char *format, double value) {
    char text[FIELD];
    snprintf(text, sizeof text, format, value);
    put_text(out, isnan(value) ? "" : text);
}

/* Nine digits: read back, they give the same digits again. */
static void put_row(pare_byte_buffer *out, const pare_train_log *log, const pare_train_row *row) {
    char text[2 * FIELD];
    snprintf(text, sizeof text, "%" PRIu64 ",%" PRIu64 ",", row->epoch, row->step);
    put_text(out, text);
    put_number(out, "%.9g", row->lr);
    put_text(out, ",");
    put_number(out, "%.9g", row->loss);
    put_text(out, ",");
    for (size_t i = 0; i < log->metric_count; i++) {
        put_number(out, "%.9g", row->metrics[i]);
        put_text(out, ",");
    }
    put_number(out, "%.1f", row->images_per_second);
    put_text(out, ",");
    put_number(out, "%.3f", row->seconds);
    put_text(out, "\r\n");
}

static pare_status write_file(const pare_train_log *log, pare_error *error) {
    pare_byte_buffer out = {0};
    locale_t before = uselocale(log->locale);
    put_header(&out, log);
    for (size_t i = 0; i < log->row_count; i++) {
        put_row(&out, log, &log->rows[i]);
    }
    uselocale(before);
    pare_status status =
        out.failed ? pare_fail_memory(error, out.size) : pare_file_replace(log->path, out.data, out.size, error);
    pare_byte_buffer_free(&out);
    return status;
}

/* --- reading ------------------------------------------------------------------------- */

static bool read_number(const pare_train_log *log, const char **at, const char *end, char after, double *value) {
    size_t length = strspn(*at, "0123456789+-.eEinf");
    char *stop = NULL;
    if (*at + length >= end || (*at)[length] != after) {
        return false;
    }
    *value = length == 0 ? NAN : strtod_l(*at, &stop, log->locale);
    bool whole = length == 0 || stop == *at + length;
    *at += length + 1;
    return whole;
}

static bool read_whole(const char **at, const char *end, uint64_t *value) {
    size_t length = strspn(*at, "0123456789");
    if (length == 0 || length > 18 || *at + length >= end || (*at)[length] != ',') {
        return false;
    }
    *value = strtoull(*at, NULL, 10);
    *at += length + 1;
    return true;
}

/* `end` is that of the line, behind its LF. */
static bool read_row(const pare_train_log *log, const char *at, const char *end, pare_train_row *row) {
    *row = (pare_train_row){0};
    bool good = read_whole(&at, end, &row->epoch) && read_whole(&at, end, &row->step) &&
                read_number(log, &at, end, ',', &row->lr) && read_number(log, &at, end, ',', &row->loss);
    for (size_t i = 0; i < log->metric_count; i++) {
        good = good && read_number(log, &at, end, ',', &row->metrics[i]);
    }
    good = good && read_number(log, &at, end, ',', &row->images_per_second) &&
           read_number(log, &at, end, '\r', &row->seconds);
    return good && at + 1 == end && *at == '\n';
}

static bool follows(const pare_train_log *log, const pare_train_row *row) {
    const pare_train_row *last = log->row_count > 0 ? &log->rows[log->row_count - 1] : NULL;
    return last == NULL || (row->step > last->step && row->epoch > last->epoch);
}

static pare_status keep_row(pare_train_log *log, const pare_train_row *row, pare_error *error) {
    if (log->row_count == log->row_capacity) {
        size_t capacity = log->row_capacity == 0 ? 64 : 2 * log->row_capacity, bytes;
        pare_train_row *grown = pare_mul_size(capacity, sizeof *row, &bytes) ? pare_realloc(log->rows, bytes) : NULL;
        if (grown == NULL) {
            return pare_fail_memory(error, capacity * sizeof *row);
        }
        log->rows = grown;
        log->row_capacity = capacity;
    }
    log->rows[log->row_count++] = *row;
    return PARE_OK;
}

static pare_status check_header(const pare_train_log *log, const char *text, size_t size, size_t *header_size,
                                pare_error *error) {
    pare_byte_buffer header = {0};
    put_header(&header, log);
    pare_status status = PARE_OK;
    if (header.failed) {
        status = pare_fail_memory(error, header.size);
    } else if (size < header.size || memcmp(text, header.data, header.size) != 0) {
        status =
            pare_fail(error, PARE_USAGE, "%s: expected the columns of this run, \"%.*s\", found \"%.*s\"", log->path,
                      (int)header.size - 2, (const char *)header.data, (int)strcspn(text, "\r\n"), text);
    }
    *header_size = header.size;
    pare_byte_buffer_free(&header);
    return status;
}

/* `text` is terminated. Rows up to `most` steps. */
static pare_status read_rows(pare_train_log *log, const char *text, size_t size, uint64_t most, pare_error *error) {
    size_t header_size, line = 1;
    PARE_TRY(check_header(log, text, size, &header_size, error));
    const char *end = text + size;
    for (const char *at = text + header_size, *next; at < end; at = next) {
        pare_train_row row;
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        if (feed == NULL) {
            break; /* a row that was being written */
        }
        next = feed + 1;
        line++;
        if (!read_row(log, at, next, &row) || !follows(log, &row)) {
            return pare_fail_at(error, PARE_BAD_INPUT, (uint64_t)(at - text),
                                "%s: line %zu: expected a later epoch's row of %zu numbers, found \"%.*s\"", log->path,
                                line, log->metric_count + 6, (int)strcspn(at, "\r\n"), at);
        }
        if (row.step > most) {
            break;
        }
        PARE_TRY(keep_row(log, &row, error));
    }
    return PARE_OK;
}

static pare_status read_file(pare_train_log *log, uint64_t most, pare_error *error) {
    uint8_t *data = NULL;
    size_t size;
    PARE_TRY(pare_file_read(log->path, FILE_MOST, &data, &size, error));
    char *text = pare_alloc(size + 1);
    pare_status status = PARE_OK;
    if (text == NULL) {
        status = pare_fail_memory(error, size + 1);
    } else {
        memcpy(text, data, size);
        text[size] = '\0';
        status = read_rows(log, text, size, most, error);
    }
    pare_free(text);
    pare_free(data);
    return status;
}

/* --- the log ------------------------------------------------------------------------- */

static pare_status copy_names(pare_train_log *log, const char *path, const pare_train_metric *metrics, size_t count,
                              pare_error *error) {
    pare_arena_init(&log->arena, SIZE_MAX);
    log->path = path != NULL ? pare_arena_copy_string(&log->arena, path) : NULL;
    bool good = path == NULL || log->path != NULL;
    for (size_t i = 0; i < count && good; i++) {
        if (metrics[i].name == NULL || !pare_is_utf8(metrics[i].name, strlen(metrics[i].name))) {
            return pare_fail(error, PARE_USAGE, "log: expected a name of UTF-8 for metric %zu", i);
        }
        log->metrics[i] = (pare_train_metric){pare_arena_copy_string(&log->arena, metrics[i].name), metrics[i].loss};
        good = log->metrics[i].name != NULL;
    }
    log->metric_count = count;
    log->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return good && log->locale != (locale_t)0 ? PARE_OK : pare_fail_memory(error, sizeof *log);
}

pare_status pare_train_log_open(const char *path, const pare_train_metric *metrics, size_t metric_count,
                                uint64_t resumed_step, pare_train_log **log, pare_error *error) {
    if (metric_count > PARE_TRAIN_METRICS_MAX) {
        return pare_fail(error, PARE_USAGE, "log: expected at most %d metrics, found %zu", PARE_TRAIN_METRICS_MAX,
                         metric_count);
    }
    pare_train_log *opened = pare_alloc_zero(1, sizeof *opened);
    if (opened == NULL) {
        return pare_fail_memory(error, sizeof *opened);
    }
    pare_status status = copy_names(opened, path, metrics, metric_count, error);
    if (status == PARE_OK && resumed_step > 0 && path != NULL && access(path, F_OK) == 0) {
        status = read_file(opened, resumed_step, error);
    }
    if (status != PARE_OK) {
        pare_train_log_free(opened);
        return status;
    }
    *log = opened;
    return PARE_OK;
}

pare_status pare_train_log_add(pare_train_log *log, const pare_train_row *row, pare_error *error) {
    if (!follows(log, row)) {
        const pare_train_row *last = &log->rows[log->row_count - 1];
        return pare_fail(error, PARE_USAGE,
                         "log: expected a row behind epoch %" PRIu64 " and step %" PRIu64 ", found epoch %" PRIu64
                         ", step %" PRIu64,
                         last->epoch, last->step, row->epoch, row->step);
    }
    PARE_TRY(keep_row(log, row, error));
    return log->path != NULL ? write_file(log, error) : PARE_OK;
}

const pare_train_row *pare_train_log_rows(const pare_train_log *log, size_t *count) {
    *count = log->row_count;
    return log->rows;
}

void pare_train_log_free(pare_train_log *log) {
    if (log == NULL) {
        return;
    }
    if (log->locale != (locale_t)0) {
        freelocale(log->locale);
    }
    pare_arena_free(&log->arena);
    pare_free(log->rows);
    pare_free(log);
}
