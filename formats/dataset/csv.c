/* csv:FILE?target=COLUMN (numbers) or csv:FILE?class=COLUMN (integers): each
 * other column is a feature. Rows are checked at opening and read again one by
 * one; only their offsets stay in memory. */
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csv_rows.h"
#include "pare/checked.h"
#include "pare/memory.h"

typedef struct csv_state {
    pare_blob blob;
    locale_t locale; /* the C locale: a decimal point whatever LC_NUMERIC says */
    char *header;
    char **columns; /* into `header` */
    size_t column_count;
    size_t target; /* column, or column_count without one */
    pare_target_kind kind;
    uint64_t *offsets; /* rows + 1 */
    size_t rows, capacity;
} csv_state;

static bool parse_number(const csv_state *s, const char *text, double *value) {
    text += strspn(text, " \t");
    size_t length = strspn(text, "0123456789+-.eE");
    if (length == 0 || text[length + strspn(text + length, " \t")] != '\0') {
        return false;
    }
    char *end;
    *value = strtod_l(text, &end, s->locale);
    return end == text + length && isfinite((float)*value);
}

static pare_status bad_field(const csv_state *s, size_t row, size_t column, const char *text, const char *expected,
                             pare_error *error) {
    return pare_fail(error, PARE_BAD_INPUT, "%s: row %zu, column \"%s\": expected %s, found \"%.60s\"", s->blob.path,
                     row, s->columns[column], expected, text);
}

/* Splits one row and converts it; `row_number` counts the header. */
static pare_status parse_row(const csv_state *s, char *row, size_t length, size_t row_number, pare_sample *sample,
                             pare_error *error) {
    size_t bytes = s->column_count * sizeof(char *);
    char **fields = pare_alloc(bytes);
    if (fields == NULL) {
        return pare_fail_memory(error, bytes);
    }
    pare_status status = PARE_OK;
    size_t count = pare_csv_split(row, length, fields, s->column_count);
    if (count != s->column_count) {
        status = count == 0
                     ? pare_fail(error, PARE_BAD_INPUT, "%s: row %zu: stray or open quote", s->blob.path, row_number)
                     : pare_fail(error, PARE_BAD_INPUT, "%s: row %zu: expected %zu fields, found %zu", s->blob.path,
                                 row_number, s->column_count, count);
    }
    float *features = sample->data;
    for (size_t i = 0; status == PARE_OK && i < s->column_count; i++) {
        double value = 0;
        if (!parse_number(s, fields[i], &value)) {
            status = bad_field(s, row_number, i, fields[i], "a number", error);
        } else if (i != s->target) {
            *features++ = (float)value;
        } else if (s->kind == PARE_TARGET_VALUES) {
            sample->values[0] = (float)value;
        } else if (value < 0 || value > INT32_MAX || value != floor(value)) {
            status = bad_field(s, row_number, i, fields[i], "a class (an integer of 0 or more)", error);
        } else {
            sample->classes[0] = (int64_t)value;
        }
    }
    pare_free(fields);
    return status;
}

static size_t feature_count(const csv_state *s) {
    return s->column_count - (s->target < s->column_count);
}

static pare_status reserve_row(const csv_state *s, pare_sample *sample, pare_error *error) {
    PARE_TRY(pare_sample_reserve(sample, feature_count(s) * sizeof(float), error));
    sample->shape = (pare_shape){1, {(int64_t)feature_count(s)}};
    return pare_sample_reserve_targets(sample, s->kind, s->kind == PARE_TARGET_NONE ? 0 : 1, error);
}

static pare_status csv_read(const void *state, size_t index, pare_sample *sample, pare_error *error) {
    const csv_state *s = state;
    size_t bytes = (size_t)(s->offsets[index + 1] - s->offsets[index]), taken;
    bool whole;
    PARE_TRY(reserve_row(s, sample, error));
    char *row = pare_alloc(bytes + 1);
    if (row == NULL) {
        return pare_fail_memory(error, bytes + 1);
    }
    pare_status status = pare_blob_read(&s->blob, s->offsets[index], row, bytes, error);
    if (status == PARE_OK) {
        size_t length = pare_csv_row_length(row, bytes, &taken, &whole);
        row[length] = '\0';
        status = parse_row(s, row, length, index + 2, sample, error);
    }
    pare_free(row);
    return status;
}

static pare_status csv_checksum(const void *state, uint32_t *crc, pare_error *error) {
    return pare_blob_checksum(&((const csv_state *)state)->blob, crc, error);
}

static void csv_close(void *state) {
    csv_state *s = state;
    pare_blob_close(&s->blob);
    if (s->locale != (locale_t)0) {
        freelocale(s->locale);
    }
    pare_free(s->header);
    pare_free(s->columns);
    pare_free(s->offsets);
    pare_free(s);
}

static pare_status find_target(csv_state *s, const char *name, pare_error *error) {
    s->target = s->column_count;
    for (size_t i = 0; name != NULL && i < s->column_count; i++) {
        if (strcmp(s->columns[i], name) == 0) {
            if (s->target != s->column_count) {
                return pare_fail(error, PARE_BAD_INPUT, "%s: two columns are named \"%s\"", s->blob.path, name);
            }
            s->target = i;
        }
    }
    if (name != NULL && s->target == s->column_count) {
        return pare_fail(error, PARE_USAGE, "%s: no column is named \"%s\"; the first is \"%s\"", s->blob.path, name,
                         s->columns[0]);
    }
    return feature_count(s) > 0
               ? PARE_OK
               : pare_fail(error, PARE_BAD_INPUT, "%s: expected a column beside the target", s->blob.path);
}

static pare_status parse_header(csv_state *s, pare_csv_rows *rows, const char *target, pare_error *error) {
    bool more = false;
    double value;
    PARE_TRY(pare_csv_next(rows, &more, error));
    if (!more) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: expected a header row, found nothing", s->blob.path);
    }
    s->header = pare_alloc(rows->length + 1);
    s->columns = pare_alloc(PARE_CSV_FIELD_LIMIT * sizeof *s->columns);
    if (s->header == NULL || s->columns == NULL) {
        return pare_fail_memory(error, rows->length + 1);
    }
    memcpy(s->header, rows->row, rows->length + 1);
    s->column_count = pare_csv_split(s->header, rows->length, s->columns, PARE_CSV_FIELD_LIMIT);
    if (s->column_count == 0 || s->column_count > PARE_CSV_FIELD_LIMIT) {
        return pare_fail(error, s->column_count == 0 ? PARE_BAD_INPUT : PARE_LIMIT,
                         "%s: expected a header row of 1 to %zu names, found %s", s->blob.path, PARE_CSV_FIELD_LIMIT,
                         s->column_count == 0 ? "a stray or open quote" : "more");
    }
    size_t numbers = 0;
    for (size_t i = 0; i < s->column_count; i++) {
        numbers += parse_number(s, s->columns[i], &value);
    }
    if (numbers == s->column_count) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: expected a header row of column names, found numbers",
                         s->blob.path);
    }
    return find_target(s, target, error);
}

static pare_status add_offset(csv_state *s, uint64_t offset, pare_error *error) {
    if (s->rows == s->capacity) {
        size_t capacity = s->capacity == 0 ? 1024 : s->capacity * 2;
        uint64_t *grown = pare_realloc(s->offsets, capacity * sizeof *grown);
        if (grown == NULL) {
            return pare_fail_memory(error, capacity * sizeof *grown);
        }
        s->offsets = grown;
        s->capacity = capacity;
    }
    s->offsets[s->rows] = offset;
    return PARE_OK;
}

static pare_status index_rows(csv_state *s, const char *target, pare_error *error) {
    pare_csv_rows rows = {.blob = &s->blob};
    pare_sample sample = {0};
    bool more = true;
    pare_status status = parse_header(s, &rows, target, error);
    if (status == PARE_OK) {
        status = reserve_row(s, &sample, error);
    }
    while (status == PARE_OK) {
        status = pare_csv_next(&rows, &more, error);
        if (status != PARE_OK || !more) {
            break;
        }
        status = parse_row(s, rows.row, rows.length, rows.number, &sample, error);
        if (status == PARE_OK) {
            status = add_offset(s, rows.row_offset, error);
            s->rows += status == PARE_OK;
        }
    }
    if (status == PARE_OK) {
        status = add_offset(s, s->blob.size, error);
    }
    pare_sample_free(&sample);
    pare_csv_rows_free(&rows);
    return status;
}

/* "?target=NAME" or "?class=NAME" at the end of the arguments. */
static pare_status parse_option(csv_state *s, char *arguments, char **name, pare_error *error) {
    char *mark = strrchr(arguments, '?');
    if (mark == NULL) {
        return PARE_OK;
    }
    *mark++ = '\0';
    s->kind = strncmp(mark, "target=", 7) == 0  ? PARE_TARGET_VALUES
              : strncmp(mark, "class=", 6) == 0 ? PARE_TARGET_CLASS
                                                : PARE_TARGET_NONE;
    *name = s->kind == PARE_TARGET_NONE ? NULL : strchr(mark, '=') + 1;
    return *name != NULL ? PARE_OK
                         : pare_fail(error, PARE_USAGE, "expected ?target=COLUMN or ?class=COLUMN, found ?%s", mark);
}

pare_status pare_csv_open(char *arguments, pare_source *source, pare_error *error) {
    csv_state *s = pare_alloc_zero(1, sizeof *s);
    if (s == NULL) {
        return pare_fail_memory(error, sizeof *s);
    }
    source->state = s;
    source->close = csv_close;
    source->read = csv_read;
    source->checksum = csv_checksum;
    char *target = NULL;
    PARE_TRY(parse_option(s, arguments, &target, error));
    s->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (s->locale == (locale_t)0) {
        return pare_fail(error, PARE_LIMIT, "out of memory for the C locale");
    }
    PARE_TRY(pare_blob_open(&s->blob, arguments, error));
    PARE_TRY(pare_blob_load(&s->blob, PARE_GZIP_LIMIT, error));
    PARE_TRY(index_rows(s, target, error));
    source->count = s->rows;
    source->info = (pare_sample_info){.dtype = PARE_F32,
                                      .shape = {1, {(int64_t)feature_count(s)}},
                                      .target = s->kind,
                                      .target_count = s->kind == PARE_TARGET_NONE ? 0 : 1};
    return PARE_OK;
}
