/* Files that the data set tests write for themselves. */
#ifndef PARE_DATASET_FILES_H
#define PARE_DATASET_FILES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "pare/dataset.h"
#include "pare/memory.h"
#include "test.h"

/* Writes a file into the test's folder and returns its path (static, of four). */
static inline const char *put_file(const char *name, const void *data, size_t bytes) {
    const char *path = test_path(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
    return path;
}

static inline const char *put_text(const char *name, const char *text) {
    return put_file(name, text, strlen(text));
}

/* One gzip member; the caller frees it. */
static inline uint8_t *gzip(const void *data, size_t bytes, size_t *packed) {
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&stream, (uLong)bytes);
    uint8_t *out = malloc(room);
    assert_non_null(out);
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)bytes;
    stream.next_out = out;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *packed = room - stream.avail_out;
    deflateEnd(&stream);
    return out;
}

/* "KIND:folder/a[,folder/b]SUFFIX", static of four. */
static inline const char *make_spec(const char *kind, const char *a, const char *b, const char *suffix) {
    static char specs[4][9000];
    static unsigned next;
    char *spec = specs[next++ % 4];
    const char *folder = test_folder();
    if (b != NULL) {
        snprintf(spec, sizeof specs[0], "%s:%s/%s,%s/%s%s", kind, folder, a, folder, b, suffix);
    } else {
        snprintf(spec, sizeof specs[0], "%s:%s/%s%s", kind, folder, a, suffix);
    }
    return spec;
}

/* Opening fails so, and leaves nothing behind. */
static inline void refuses(const char *spec, pare_status expected, const char *text) {
    pare_dataset *dataset = NULL;
    pare_error error = {0};
    size_t before = pare_memory_used();
    assert_fails(pare_dataset_open(spec, &dataset, &error), expected, &error, text);
    assert_null(dataset);
    assert_int_equal(pare_memory_used(), before);
}

static inline pare_dataset *must_open(const char *spec) {
    pare_dataset *dataset = NULL;
    pare_error error = {0};
    assert_ok(pare_dataset_open(spec, &dataset, &error), &error);
    return dataset;
}

#endif
