/* Rows and fields of comma-separated text (RFC 4180: quotes, "" inside them,
 * CRLF or LF; a byte order mark is skipped). */
#ifndef PARE_CSV_ROWS_H
#define PARE_CSV_ROWS_H

#include "source.h"

#define PARE_CSV_ROW_LIMIT ((size_t)1 << 20)
#define PARE_CSV_FIELD_LIMIT ((size_t)65536)

/* Walks over the rows of a loaded blob. Zero-initialise, set `blob`, free. */
typedef struct pare_csv_rows {
    const pare_blob *blob;
    uint64_t next;       /* offset of the following row */
    uint64_t row_offset; /* of the row just read */
    size_t number;       /* of the row just read; the header is 1 */
    char *row;           /* without its line end, and terminated by NUL */
    size_t length;
    char *buffer; /* file bytes [base, base + filled) */
    uint64_t base;
    size_t filled, capacity;
} pare_csv_rows;

/* The next row that is not blank; `*more` is false at the end. */
pare_status pare_csv_next(pare_csv_rows *rows, bool *more, pare_error *error);
void pare_csv_rows_free(pare_csv_rows *rows);

/* Bytes of the first row in text[0..length), without its line end; `*whole` is
 * false when the text ends within the row. `*taken` counts the line end too. */
size_t pare_csv_row_length(const char *text, size_t length, size_t *taken, bool *whole);
/* Cuts a row into fields in place: quotes resolved, NUL behind each. Returns
 * their number, also when it is more than `limit`, or 0 for a stray quote. */
size_t pare_csv_split(char *row, size_t length, char **fields, size_t limit);

#endif
