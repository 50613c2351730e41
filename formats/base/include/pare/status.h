/* Status codes and error messages shared by every Pare library.
 *
 * A fallible function returns pare_status and takes a caller-owned, nullable
 * pare_error as its last parameter. The message says what was expected, what
 * was found, and where. Libraries never print, exit or abort. */
#ifndef PARE_STATUS_H
#define PARE_STATUS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers are pinned: they are also the exit codes of the tools. */
typedef enum pare_status {
    PARE_OK = 0,
    PARE_INTERNAL = 1,    /* a broken invariant of Pare itself */
    PARE_USAGE = 2,       /* the caller's arguments are wrong */
    PARE_BAD_INPUT = 3,   /* a file's content is malformed */
    PARE_IO = 4,          /* the operating system refused a read or write */
    PARE_UNSUPPORTED = 5, /* well-formed, but outside what Pare can do */
    PARE_LIMIT = 6,       /* out of memory or over a documented limit */
    PARE_QUALITY = 7,     /* a requested quality gate was missed */
    PARE_INTERRUPTED = 130
} pare_status;

#define PARE_NO_OFFSET UINT64_MAX

typedef struct pare_error {
    pare_status code;
    uint64_t offset; /* byte offset in the file, or PARE_NO_OFFSET */
    char message[1000];
} pare_error;

#if defined(__GNUC__)
#define PARE_PRINTF(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))
#else
#define PARE_PRINTF(format_index, first_arg)
#endif

/* Fills `error` (nullable) and returns `code`. Bytes that could disturb a
 * terminal (control characters, invalid UTF-8) are replaced in the message. */
pare_status pare_fail(pare_error *error, pare_status code, const char *format, ...) PARE_PRINTF(3, 4);

/* As pare_fail, and records the byte offset in the file. */
pare_status pare_fail_at(pare_error *error, pare_status code, uint64_t offset, const char *format, ...)
    PARE_PRINTF(4, 5);

/* Puts context in front of an existing message, as in `model.onnx: node "a" (Conv): `. */
void pare_error_prefix(pare_error *error, const char *format, ...) PARE_PRINTF(2, 3);

/* The usual message of a failed allocation of `bytes`; returns PARE_LIMIT. */
pare_status pare_fail_memory(pare_error *error, size_t bytes);

/* "ok", "bad input", …: static string. */
const char *pare_status_name(pare_status status);

/* Returns from the calling function when `expression` is not PARE_OK. */
#define PARE_TRY(expression)                                                                                           \
    do {                                                                                                               \
        pare_status pare_try_status_ = (expression);                                                                   \
        if (pare_try_status_ != PARE_OK) {                                                                             \
            return pare_try_status_;                                                                                   \
        }                                                                                                              \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
