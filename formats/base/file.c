#include "pare/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pare/memory.h"

static const char *kind_of(mode_t mode) {
    return S_ISDIR(mode)    ? "a folder"
           : S_ISFIFO(mode) ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISCHR(mode)  ? "a character device"
           : S_ISBLK(mode)  ? "a block device"
                            : "something else";
}

pare_status pare_file_open(const char *path, int *descriptor, uint64_t *size, pare_error *error) {
    if (path == NULL) {
        return pare_fail(error, PARE_USAGE, "expected a path, found NULL");
    }
    int opened;
    do {
        /* O_NONBLOCK: opening a FIFO that nobody writes must not hang. */
        opened = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    } while (opened < 0 && errno == EINTR);
    if (opened < 0) {
        /* A socket cannot be opened at all. */
        return errno == ENXIO
                   ? pare_fail(error, PARE_BAD_INPUT, "%s: expected a regular file: %s", path, strerror(errno))
                   : pare_fail(error, PARE_IO, "%s: cannot open: %s", path, strerror(errno));
    }
    struct stat status;
    pare_status result = PARE_OK;
    if (fstat(opened, &status) != 0) {
        result = pare_fail(error, PARE_IO, "%s: cannot examine: %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        result =
            pare_fail(error, PARE_BAD_INPUT, "%s: expected a regular file, found %s", path, kind_of(status.st_mode));
    }
    if (result != PARE_OK) {
        close(opened);
        return result;
    }
    *descriptor = opened;
    *size = (uint64_t)status.st_size;
    return PARE_OK;
}

/* Up to `bytes` bytes, fewer only at the end of the file. */
static pare_status read_up_to(int descriptor, const char *path, uint64_t offset, void *data, size_t bytes, size_t *got,
                              pare_error *error) {
    *got = 0;
    while (*got < bytes) {
        uint64_t at = offset + *got;
        if (at < offset || at > INT64_MAX) {
            return pare_fail(error, PARE_BAD_INPUT, "%s: offset %" PRIu64 " is past the end", path, offset);
        }
        ssize_t count = pread(descriptor, (char *)data + *got, bytes - *got, (off_t)at);
        if (count == 0) {
            break;
        }
        if (count < 0 && errno != EINTR) {
            return pare_fail_at(error, PARE_IO, at, "%s: cannot read: %s", path, strerror(errno));
        }
        *got += count < 0 ? 0 : (size_t)count;
    }
    return PARE_OK;
}

pare_status pare_file_read_at(int descriptor, const char *path, uint64_t offset, void *data, size_t bytes,
                              pare_error *error) {
    size_t got;
    PARE_TRY(read_up_to(descriptor, path, offset, data, bytes, &got, error));
    if (got < bytes) {
        return pare_fail_at(error, PARE_BAD_INPUT, offset + got,
                            "%s: expected %zu bytes at offset %" PRIu64 ", found %zu", path, bytes, offset, got);
    }
    return PARE_OK;
}

pare_status pare_file_read(const char *path, size_t limit, uint8_t **data, size_t *size, pare_error *error) {
    int descriptor;
    uint64_t expected;
    PARE_TRY(pare_file_open(path, &descriptor, &expected, error));
    pare_status status = PARE_OK;
    uint8_t *block = NULL;
    size_t got;
    if (expected > limit) {
        status = pare_fail(error, PARE_LIMIT, "%s: expected at most %zu bytes, found %" PRIu64, path, limit, expected);
        goto done;
    }
    /* One byte more than expected, to notice that the file grew. */
    if (expected >= SIZE_MAX || (block = pare_alloc((size_t)expected + 1)) == NULL) {
        status = pare_fail_memory(error, (size_t)expected);
        pare_error_prefix(error, "%s: ", path);
        goto done;
    }
    status = read_up_to(descriptor, path, 0, block, (size_t)expected + 1, &got, error);
    if (status == PARE_OK && got != expected) {
        status = pare_fail(error, PARE_BAD_INPUT,
                           "%s: the file changed while it was read: expected %" PRIu64 " bytes, found %s", path,
                           expected, got < expected ? "fewer" : "more");
    }
    if (status == PARE_OK) {
        *data = block;
        *size = got;
        block = NULL;
    }
done:
    pare_free(block);
    close(descriptor);
    return status;
}

bool pare_file_same(const char *a, const char *b) {
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}
