#include "pare/status.h"

#include <stdio.h>
#include <string.h>

#include "pare/bytes.h"

/* Room for two of the longest paths that the system takes, and what is said about them. */
enum { WIDE = 12288, MARK = 3 };

/* A text that is too long loses its middle: the end is what was found. */
static void keep_message(pare_error *error, char *text, size_t length) {
    const size_t room = sizeof error->message - 1;
    if (length > room) {
        const size_t half = (room - MARK) / 2;
        memcpy(text + half, "...", MARK);
        memmove(text + half + MARK, text + length - half, half);
        length = 2 * half + MARK;
    }
    pare_printable(text, length, error->message, sizeof error->message);
}

static void set_message(pare_error *error, const char *format, va_list arguments) {
    char text[WIDE];
    if (vsnprintf(text, sizeof text, format, arguments) < 0) {
        text[0] = '\0';
    }
    keep_message(error, text, strlen(text));
}

pare_status pare_fail(pare_error *error, pare_status code, const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        set_message(error, format, arguments);
        va_end(arguments);
        error->code = code;
        error->offset = PARE_NO_OFFSET;
    }
    return code;
}

pare_status pare_fail_at(pare_error *error, pare_status code, uint64_t offset, const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        set_message(error, format, arguments);
        va_end(arguments);
        error->code = code;
        error->offset = offset;
    }
    return code;
}

void pare_error_prefix(pare_error *error, const char *format, ...) {
    if (error == NULL) {
        return;
    }
    char text[WIDE + sizeof error->message];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, WIDE, format, arguments);
    va_end(arguments);
    size_t used = length < 0 ? 0 : (size_t)length < WIDE ? (size_t)length : WIDE - 1;
    size_t rest = strnlen(error->message, sizeof error->message - 1);
    memcpy(text + used, error->message, rest);
    keep_message(error, text, used + rest);
}

pare_status pare_fail_memory(pare_error *error, size_t bytes) {
    return pare_fail(error, PARE_LIMIT, "out of memory: could not allocate %zu bytes", bytes);
}

const char *pare_status_name(pare_status status) {
    switch (status) {
    case PARE_OK:
        return "ok";
    case PARE_INTERNAL:
        return "internal error";
    case PARE_USAGE:
        return "usage error";
    case PARE_BAD_INPUT:
        return "bad input";
    case PARE_IO:
        return "input/output error";
    case PARE_UNSUPPORTED:
        return "unsupported";
    case PARE_LIMIT:
        return "out of memory or over a limit";
    case PARE_QUALITY:
        return "quality gate missed";
    case PARE_INTERRUPTED:
        return "interrupted";
    }
    return "unknown status";
}
