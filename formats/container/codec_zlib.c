#include <zlib.h>

#include "codec.h"
#include "pare/memory.h"

static voidpf allocate(voidpf context, uInt items, uInt size) {
    (void)context;
    return pare_alloc_zero(items, size);
}

static void release(voidpf context, voidpf block) {
    (void)context;
    pare_free(block);
}

/* Bytes that deflate gives with a strategy, into `out` of `capacity`; 0 on failure. */
static size_t deflate_with(const uint8_t *data, size_t bytes, int strategy, uint8_t *out, size_t capacity) {
    z_stream stream = {.zalloc = allocate, .zfree = release};
    if (deflateInit2(&stream, 9, Z_DEFLATED, 15, 9, strategy) != Z_OK) {
        return 0;
    }
    stream.next_in = (Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)bytes;
    stream.next_out = out;
    stream.avail_out = (uInt)capacity;
    bool done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    size_t size = done ? stream.total_out : 0;
    deflateEnd(&stream);
    return size;
}

bool pare_zlib_pack(const uint8_t *data, size_t bytes, pare_byte_buffer *out) {
    static const int strategies[] = {Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY};
    if (bytes == 0 || bytes > (size_t)1 << 30) {
        return false;
    }
    /* What deflateBound gives for any strategy, and more. */
    size_t capacity = bytes + bytes / 4 + 256, best = SIZE_MAX;
    uint8_t *trial = pare_alloc(capacity), *kept = pare_alloc(capacity);
    for (size_t i = 0; trial != NULL && kept != NULL && i < sizeof strategies / sizeof strategies[0]; i++) {
        size_t size = deflate_with(data, bytes, strategies[i], trial, capacity);
        if (size == 0) { /* out of memory: the bytes must not depend on that */
            best = SIZE_MAX;
            break;
        }
        if (size < best) {
            uint8_t *swap = kept;
            kept = trial;
            trial = swap;
            best = size;
        }
    }
    if (best != SIZE_MAX) {
        pare_put_bytes(out, kept, best);
    } else {
        out->failed = true; /* out of memory */
    }
    pare_free(trial);
    pare_free(kept);
    return best != SIZE_MAX;
}

pare_status pare_zlib_unpack(const uint8_t *stored, size_t stored_bytes, uint8_t *data, size_t bytes,
                             pare_error *error) {
    z_stream stream = {.zalloc = allocate, .zfree = release};
    if (stored_bytes > UINT32_MAX || bytes > UINT32_MAX) {
        return pare_fail(error, PARE_LIMIT, "zlib: expected under 4 GiB, found %zu bytes for %zu", stored_bytes, bytes);
    }
    if (inflateInit(&stream) != Z_OK) {
        return pare_fail_memory(error, bytes);
    }
    uint8_t overflow;
    stream.next_in = (Bytef *)(uintptr_t)stored;
    stream.avail_in = (uInt)stored_bytes;
    stream.next_out = bytes > 0 ? data : &overflow;
    stream.avail_out = (uInt)bytes;
    int result = inflate(&stream, Z_FINISH);
    if (result == Z_BUF_ERROR && stream.avail_out == 0) { /* full, but is it the end? */
        stream.next_out = &overflow;
        stream.avail_out = 1;
        result = inflate(&stream, Z_FINISH);
    }
    size_t produced = stream.total_out, left = stream.avail_in;
    const char *reason = result == Z_NEED_DICT   ? "a preset dictionary is asked for"
                         : result == Z_MEM_ERROR ? "out of memory"
                         : stream.msg != NULL    ? stream.msg
                                                 : "it ends too early or is too long";
    pare_status status = PARE_OK;
    if (result != Z_STREAM_END) {
        status = pare_fail(error, result == Z_MEM_ERROR ? PARE_LIMIT : PARE_BAD_INPUT,
                           "zlib: expected a stream of %zu bytes: %s", bytes, reason);
    } else if (produced != bytes || left != 0) {
        status = pare_fail(error, PARE_BAD_INPUT, "zlib: expected %zu bytes and the end, found %zu and %zu more stored",
                           bytes, produced, left);
    }
    inflateEnd(&stream);
    return status;
}

/* Byte k of every element, for each k: the exponents of floats are alike, their
 * fractions are not. */
static void split_planes(const uint8_t *data, size_t bytes, size_t width, uint8_t *planes) {
    size_t elements = bytes / width;
    for (size_t i = 0; i < bytes; i++) {
        planes[i % width * elements + i / width] = data[i];
    }
}

static void join_planes(const uint8_t *planes, size_t bytes, size_t width, uint8_t *data) {
    size_t elements = bytes / width;
    for (size_t i = 0; i < bytes; i++) {
        data[i] = planes[i % width * elements + i / width];
    }
}

static bool encode(const uint8_t *data, size_t bytes, size_t width, pare_byte_buffer *out) {
    pare_put_u8(out, 1);
    if (!pare_zlib_pack(data, bytes, out)) {
        return false;
    }
    if (width == 1 || bytes % width != 0) {
        return true;
    }
    pare_byte_buffer split = {0};
    uint8_t *planes = pare_alloc(bytes);
    if (planes == NULL) {
        out->failed = true;
        return false;
    }
    split_planes(data, bytes, width, planes);
    pare_put_u8(&split, (uint8_t)width);
    if (pare_zlib_pack(planes, bytes, &split) && split.size < out->size) {
        out->size = 0;
        pare_put_bytes(out, split.data, split.size);
    }
    out->failed = out->failed || split.failed;
    pare_byte_buffer_free(&split);
    pare_free(planes);
    return true;
}

static pare_status decode(const uint8_t *stored, size_t stored_bytes, uint8_t *data, size_t bytes, pare_error *error) {
    size_t width = stored_bytes >= 1 ? stored[0] : 0;
    if ((width != 1 && width != 2 && width != 4 && width != 8) || bytes % width != 0) {
        return pare_fail(error, PARE_BAD_INPUT, "zlib: expected elements of 1, 2, 4 or 8 bytes, found %zu", width);
    }
    if (width == 1) {
        return pare_zlib_unpack(stored + 1, stored_bytes - 1, data, bytes, error);
    }
    uint8_t *planes = pare_alloc(bytes);
    if (planes == NULL) {
        return pare_fail_memory(error, bytes);
    }
    pare_status status = pare_zlib_unpack(stored + 1, stored_bytes - 1, planes, bytes, error);
    if (status == PARE_OK) {
        join_planes(planes, bytes, width, data);
    }
    pare_free(planes);
    return status;
}

const pare_weight_codec pare_codec_zlib = {PARE_CODEC_ZLIB, "zlib", encode, decode};
