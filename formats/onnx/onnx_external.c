/* External data: files that lie beneath the model's folder, named by the model
 * and therefore not trusted. What counts is the opened descriptor. */
#include "onnx_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pare/checked.h"
#include "pare/file.h"

enum { LOCATION_BYTES = 4095 };

static const char *tensor_name(const Onnx__TensorProto *tensor) {
    return tensor->name != NULL ? tensor->name : "";
}

static bool has_parent_part(const char *location) {
    for (const char *part = location; part != NULL;) {
        const char *slash = strchr(part, '/');
        const size_t bytes = slash != NULL ? (size_t)(slash - part) : strlen(part);
        if (bytes == 2 && part[0] == '.' && part[1] == '.') {
            return true;
        }
        part = slash != NULL ? slash + 1 : NULL;
    }
    return false;
}

static pare_status check_location(const char *location, pare_error *error) {
    const char *wrong = NULL;
    if (location == NULL || location[0] == '\0') {
        return pare_fail(error, PARE_BAD_INPUT, "external data: expected a location, found none");
    }
    if (location[0] == '/') {
        wrong = "an absolute path";
    } else if (strchr(location, '\\') != NULL) {
        wrong = "a backslash";
    } else if (has_parent_part(location)) {
        wrong = "a \"..\"";
    } else if (strstr(location, "_ORT_MEM_ADDR_") != NULL) {
        wrong = "an address in another program's memory";
    } else if (strlen(location) > LOCATION_BYTES) {
        wrong = "a path that is too long";
    } else if (location[strlen(location) - 1] == '/') {
        wrong = "a folder";
    }
    return wrong == NULL ? PARE_OK
                         : pare_fail(error, PARE_BAD_INPUT,
                                     "external data: expected a relative path below the model's folder, found %s: %s",
                                     wrong, location);
}

/* Digits only, as a file's offset must be. */
static pare_status parse_number(const char *key, const char *text, uint64_t *value, pare_error *error) {
    uint64_t result = 0;
    bool good = text != NULL && text[0] != '\0';
    for (const char *at = text; good && *at != '\0'; at++) {
        good = *at >= '0' && *at <= '9' && !__builtin_mul_overflow(result, 10u, &result) &&
               !__builtin_add_overflow(result, (uint64_t)(*at - '0'), &result);
    }
    if (!good || result > INT64_MAX) {
        return pare_fail(error, PARE_BAD_INPUT, "external data: expected %s as a number from 0 to 2^63-1, found \"%s\"",
                         key, text != NULL ? text : "");
    }
    *value = result;
    return PARE_OK;
}

pare_status pare_onnx_external_parse(const Onnx__TensorProto *tensor, pare_onnx_external *external, pare_error *error) {
    static const char *const keys[] = {"location", "offset", "length", "checksum"};
    bool seen[4] = {false};
    *external = (pare_onnx_external){0};
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const Onnx__StringStringEntryProto *entry = tensor->external_data[i];
        const char *name = entry->key != NULL ? entry->key : "";
        size_t key = 0;
        while (key < 4 && strcmp(keys[key], name) != 0) {
            key++;
        }
        if (key == 4) {
            return pare_fail(error, PARE_BAD_INPUT,
                             "external data: expected the keys location, offset, length, checksum, found \"%s\"", name);
        }
        if (seen[key]) {
            return pare_fail(error, PARE_BAD_INPUT, "external data: expected the key %s once, found it again", name);
        }
        seen[key] = true;
        if (key == 0) {
            external->location = entry->value;
        } else if (key == 1) {
            PARE_TRY(parse_number(name, entry->value, &external->offset, error));
        } else if (key == 2) {
            PARE_TRY(parse_number(name, entry->value, &external->length, error));
            external->has_length = true;
        }
    }
    return check_location(external->location, error);
}

/* For kernels before 5.6: one component at a time, following no link. Takes
 * over `folder`. Returns a descriptor or -1 with errno. */
static int walk_open(int folder, const char *location) {
    char part[256];
    for (;;) {
        const size_t bytes = strcspn(location, "/");
        const char *rest = location + bytes + strspn(location + bytes, "/");
        const bool last = *rest == '\0';
        int next = -1;
        if (bytes >= sizeof part) {
            errno = ENAMETOOLONG;
        } else {
            memcpy(part, location, bytes);
            part[bytes] = '\0';
            next = last ? openat(folder, part, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
                        : openat(folder, part, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
        }
        const int saved = errno;
        close(folder);
        errno = saved;
        if (next < 0 || last) {
            return next;
        }
        folder = next;
        location = rest;
    }
}

/* Takes over `folder`. */
static int beneath_open(int folder, const char *location, bool walk) {
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    if (walk) {
        return walk_open(folder, location);
    }
    const int opened = (int)syscall(SYS_openat2, folder, location, &how, sizeof how);
    /* EPERM: how some sandboxes answer for a call that they do not know. */
    if (opened < 0 && (errno == ENOSYS || errno == EPERM)) {
        return walk_open(folder, location);
    }
    const int saved = errno;
    close(folder);
    errno = saved;
    return opened;
}

static pare_status open_failed(const char *location, int reason, pare_error *error) {
    switch (reason) {
    case ELOOP:
    case EXDEV:
    case ENOTDIR:
        return pare_fail(error, PARE_BAD_INPUT,
                         "external data \"%s\": expected a file below the model's folder without symbolic links: %s",
                         location, strerror(reason));
    case ENXIO:
    case EISDIR:
    case ENAMETOOLONG:
        return pare_fail(error, PARE_BAD_INPUT, "external data \"%s\": expected a regular file: %s", location,
                         strerror(reason));
    default:
        return pare_fail(error, PARE_IO, "external data \"%s\": cannot open: %s", location, strerror(reason));
    }
}

pare_status pare_onnx_external_open(const char *folder, const char *location, bool walk, int *descriptor,
                                    uint64_t *size, pare_error *error) {
    struct stat status;
    const int base = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (base < 0) {
        return pare_fail(error, PARE_IO, "%s: cannot open the model's folder: %s", folder, strerror(errno));
    }
    const int opened = beneath_open(base, location, walk);
    if (opened < 0) {
        return open_failed(location, errno, error);
    }
    pare_status result = PARE_OK;
    if (fstat(opened, &status) != 0) {
        result = pare_fail(error, PARE_IO, "external data \"%s\": cannot examine: %s", location, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        result = pare_fail(error, PARE_BAD_INPUT, "external data \"%s\": expected a regular file, found %s", location,
                           S_ISDIR(status.st_mode) ? "a folder" : "a device, pipe or socket");
    } else if (status.st_nlink != 1) {
        result = pare_fail(error, PARE_BAD_INPUT, "external data \"%s\": expected no hard links, found %lu names",
                           location, (unsigned long)status.st_nlink);
    }
    if (result != PARE_OK) {
        close(opened);
        return result;
    }
    *descriptor = opened;
    *size = (uint64_t)status.st_size;
    return PARE_OK;
}

static pare_status check_range(const pare_onnx_external *external, size_t stored, uint64_t size, pare_error *error) {
    if (external->has_length && external->length != stored) {
        return pare_fail(error, PARE_BAD_INPUT, "external data \"%s\": expected a length of %zu bytes, found %llu",
                         external->location, stored, (unsigned long long)external->length);
    }
    uint64_t end;
    if (__builtin_add_overflow(external->offset, stored, &end) || end > size) {
        return pare_fail(error, PARE_BAD_INPUT,
                         "external data \"%s\": expected %zu bytes at offset %llu, found a file of %llu bytes",
                         external->location, stored, (unsigned long long)external->offset, (unsigned long long)size);
    }
    return PARE_OK;
}

pare_status pare_onnx_external_read(const pare_onnx_file *file, const Onnx__TensorProto *tensor, size_t stored,
                                    size_t bytes, pare_arena *arena, void **data, pare_error *error) {
    pare_onnx_external external;
    struct stat before, after;
    int descriptor = -1;
    uint64_t size;
    PARE_TRY(pare_onnx_external_parse(tensor, &external, error));
    if (file == NULL || file->folder == NULL) {
        return pare_fail(error, PARE_UNSUPPORTED, "external data \"%s\": expected none in a model without a folder",
                         external.location);
    }
    PARE_TRY(pare_onnx_external_open(file->folder, external.location, false, &descriptor, &size, error));
    pare_status status = check_range(&external, stored, size, error);
    if (status != PARE_OK) {
        goto done;
    }
    *data = pare_arena_alloc(arena, bytes, 1);
    if (*data == NULL) {
        status = pare_fail_memory(error, bytes);
        goto done;
    }
    const bool examined = fstat(descriptor, &before) == 0;
    status = pare_file_read_at(descriptor, external.location, external.offset, *data, stored, error);
    if (status == PARE_OK &&
        (!examined || fstat(descriptor, &after) != 0 || (uint64_t)after.st_size != size ||
         before.st_mtim.tv_sec != after.st_mtim.tv_sec || before.st_mtim.tv_nsec != after.st_mtim.tv_nsec)) {
        status = pare_fail(error, PARE_BAD_INPUT,
                           "external data \"%s\": expected an unchanging file, found that it changed while it was read",
                           external.location);
    }
done:
    close(descriptor);
    return status;
}

/* --- overlap ----------------------------------------------------------------- */

typedef struct range {
    const Onnx__TensorProto *tensor;
    const char *location;
    uint64_t start, end;
} range;

static int compare_ranges(const void *left, const void *right) {
    const range *a = left, *b = right;
    const int order = strcmp(a->location, b->location);
    if (order != 0) {
        return order;
    }
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    return (a->end > b->end) - (a->end < b->end);
}

/* An end that overflows is met again, and refused, when the data are read. */
static pare_status list_ranges(const Onnx__GraphProto *graph, range *ranges, size_t *count, pare_error *error) {
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = graph->initializer[i];
        pare_onnx_external external;
        pare_shape shape;
        pare_dtype dtype;
        size_t stored;
        if (!tensor->has_data_location || tensor->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
            continue;
        }
        pare_status status = pare_onnx_external_parse(tensor, &external, error);
        if (status != PARE_OK) {
            pare_error_prefix(error, "tensor \"%s\": ", tensor_name(tensor));
            return status;
        }
        PARE_TRY(pare_onnx_tensor_shape(tensor, &shape, &dtype, error));
        if (pare_onnx_stored_bytes(tensor, &shape, dtype, &stored) && stored != 0) {
            range *made = &ranges[(*count)++];
            *made = (range){tensor, external.location, external.offset, 0};
            if (__builtin_add_overflow(external.offset, stored, &made->end)) {
                made->end = UINT64_MAX;
            }
        }
    }
    return PARE_OK;
}

pare_status pare_onnx_external_check_overlap(const Onnx__GraphProto *graph, pare_error *error) {
    size_t externals = 0, count = 0;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = graph->initializer[i];
        externals += tensor->has_data_location && tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    }
    if (externals == 0) {
        return PARE_OK;
    }
    range *ranges = pare_alloc_zero(externals, sizeof *ranges);
    if (ranges == NULL) {
        return pare_fail_memory(error, externals * sizeof *ranges);
    }
    pare_status status = list_ranges(graph, ranges, &count, error);
    if (status == PARE_OK && count != 0) {
        qsort(ranges, count, sizeof *ranges, compare_ranges);
    }
    for (size_t i = 1; status == PARE_OK && i < count; i++) {
        const range *a = &ranges[i - 1], *b = &ranges[i];
        const bool same = a->start == b->start && a->end == b->end; /* tied weights */
        if (!same && b->start < a->end && strcmp(a->location, b->location) == 0) {
            status =
                pare_fail(error, PARE_BAD_INPUT,
                          "tensors \"%s\" and \"%s\": expected external data that do not overlap, found bytes %llu "
                          "to %llu of \"%s\" in both",
                          tensor_name(a->tensor), tensor_name(b->tensor), (unsigned long long)b->start,
                          (unsigned long long)(a->end < b->end ? a->end : b->end), a->location);
        }
    }
    pare_free(ranges);
    return status;
}
