#include "csv_rows.h"

#include <string.h>

#include "pare/memory.h"

size_t pare_csv_row_length(const char *text, size_t length, size_t *taken, bool *whole) {
    bool quoted = false;
    for (size_t at = 0; at < length; at++) {
        if (text[at] == '"') {
            quoted = !quoted;
        } else if (text[at] == '\n' && !quoted) {
            *taken = at + 1;
            *whole = true;
            return at > 0 && text[at - 1] == '\r' ? at - 1 : at;
        }
    }
    *taken = length;
    *whole = false;
    return length > 0 && text[length - 1] == '\r' ? length - 1 : length;
}

size_t pare_csv_split(char *row, size_t length, char **fields, size_t limit) {
    size_t count = 0, at = 0;
    bool more = true;
    while (more) {
        char *out = row + at;
        if (count < limit) {
            fields[count] = out;
        }
        count++;
        if (at < length && row[at] == '"') {
            for (at++; at < length && (row[at] != '"' || (at + 1 < length && row[at + 1] == '"')); at++) {
                at += row[at] == '"';
                *out++ = row[at];
            }
            if (at >= length || (at + 1 < length && row[at + 1] != ',')) {
                return 0;
            }
            at++;
        } else {
            for (; at < length && row[at] != ','; at++) {
                if (row[at] == '"') {
                    return 0;
                }
                *out++ = row[at];
            }
        }
        more = at < length;
        at++;
        *out = '\0';
    }
    return count;
}

/* Drops what lies before the next row and reads further bytes behind the rest. */
static pare_status refill(pare_csv_rows *rows, pare_error *error) {
    size_t used = (size_t)(rows->next - rows->base);
    if (used > 0) {
        memmove(rows->buffer, rows->buffer + used, rows->filled - used);
        rows->filled -= used;
        rows->base = rows->next;
    }
    if (rows->filled > PARE_CSV_ROW_LIMIT) {
        return pare_fail_at(error, PARE_LIMIT, rows->next, "%s: row %zu: expected at most %zu bytes in a row",
                            rows->blob->path, rows->number + 1, PARE_CSV_ROW_LIMIT);
    }
    if (rows->filled + 1 >= rows->capacity) {
        size_t capacity = rows->capacity == 0 ? (size_t)64 << 10 : rows->capacity * 2;
        char *grown = pare_realloc(rows->buffer, capacity);
        if (grown == NULL) {
            return pare_fail_memory(error, capacity);
        }
        rows->buffer = grown;
        rows->capacity = capacity;
    }
    /* One byte stays free for the NUL behind the last row. */
    uint64_t left = rows->blob->size - rows->base - rows->filled;
    size_t room = rows->capacity - 1 - rows->filled;
    size_t bytes = left < room ? (size_t)left : room;
    PARE_TRY(pare_blob_read(rows->blob, rows->base + rows->filled, rows->buffer + rows->filled, bytes, error));
    rows->filled += bytes;
    return PARE_OK;
}

static pare_status skip_mark(pare_csv_rows *rows, pare_error *error) {
    static const char MARK[] = "\xef\xbb\xbf";
    PARE_TRY(refill(rows, error));
    if (rows->filled >= 3 && memcmp(rows->buffer, MARK, 3) == 0) {
        rows->next = 3;
    }
    return PARE_OK;
}

pare_status pare_csv_next(pare_csv_rows *rows, bool *more, pare_error *error) {
    *more = false;
    if (rows->buffer == NULL) {
        PARE_TRY(skip_mark(rows, error));
    }
    while (rows->next < rows->blob->size) {
        size_t start = (size_t)(rows->next - rows->base), taken;
        bool whole;
        rows->length = pare_csv_row_length(rows->buffer + start, rows->filled - start, &taken, &whole);
        if (!whole && rows->base + rows->filled < rows->blob->size) {
            PARE_TRY(refill(rows, error));
            continue;
        }
        rows->row = rows->buffer + start;
        rows->row_offset = rows->next;
        rows->next += taken;
        rows->number++;
        if (rows->length > PARE_CSV_ROW_LIMIT) {
            return pare_fail_at(error, PARE_LIMIT, rows->row_offset, "%s: row %zu: expected at most %zu bytes in a row",
                                rows->blob->path, rows->number, PARE_CSV_ROW_LIMIT);
        }
        if (memchr(rows->row, '\0', rows->length) != NULL) {
            return pare_fail_at(error, PARE_BAD_INPUT, rows->row_offset, "%s: row %zu: expected text, found a NUL byte",
                                rows->blob->path, rows->number);
        }
        if (rows->length > 0) {
            rows->row[rows->length] = '\0';
            *more = true;
            break;
        }
    }
    return PARE_OK;
}

void pare_csv_rows_free(pare_csv_rows *rows) {
    pare_free(rows->buffer);
    memset(rows, 0, sizeof *rows);
}
