#include "source.h"

#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "pare/bytes.h"
#include "pare/checked.h"
#include "pare/file.h"
#include "pare/memory.h"

#define CHUNK ((size_t)64 << 10)
#define GZIP_WINDOW (15 + 16) /* the largest window, gzip framing only */

static voidpf zlib_alloc(voidpf opaque, uInt count, uInt size) {
    (void)opaque;
    return pare_alloc_zero(count, size);
}

static void zlib_free(voidpf opaque, voidpf block) {
    (void)opaque;
    pare_free(block);
}

pare_status pare_blob_open(pare_blob *blob, const char *path, pare_error *error) {
    memset(blob, 0, sizeof *blob);
    if (path[0] == '\0') {
        return pare_fail(error, PARE_USAGE, "expected a file name, found an empty one");
    }
    size_t length = strlen(path) + 1;
    blob->path = pare_alloc(length);
    if (blob->path == NULL) {
        return pare_fail_memory(error, length);
    }
    memcpy(blob->path, path, length);
    pare_status status = pare_file_open(path, &blob->descriptor, &blob->stored, error);
    if (status == PARE_OK) {
        blob->open = true;
        blob->size = blob->stored;
        uint8_t magic[2] = {0, 0};
        if (blob->stored >= sizeof magic) {
            status = pare_file_read_at(blob->descriptor, path, 0, magic, sizeof magic, error);
        }
        blob->gzip = magic[0] == 0x1f && magic[1] == 0x8b;
    }
    if (status != PARE_OK) {
        pare_blob_close(blob);
    }
    return status;
}

void pare_blob_close(pare_blob *blob) {
    if (blob->open) {
        close(blob->descriptor);
    }
    pare_free(blob->path);
    pare_free(blob->decoded);
    memset(blob, 0, sizeof *blob);
}

/* A gzip file being decoded from its start. */
typedef struct decoder {
    const pare_blob *blob;
    z_stream stream;
    uint64_t position; /* in the stored file */
    bool member_ended;
    bool ended;
    uint8_t chunk[CHUNK];
} decoder;

static pare_status refill(decoder *d, pare_error *error) {
    uint64_t left = d->blob->stored - d->position;
    size_t bytes = left < CHUNK ? (size_t)left : CHUNK;
    if (bytes > 0) {
        PARE_TRY(pare_file_read_at(d->blob->descriptor, d->blob->path, d->position, d->chunk, bytes, error));
        d->position += bytes;
        d->stream.next_in = d->chunk;
        d->stream.avail_in = (uInt)bytes;
    }
    return PARE_OK;
}

/* After a member: zero padding, the next member, or the end. */
static pare_status between_members(decoder *d, pare_error *error) {
    while (d->stream.avail_in > 0 && *d->stream.next_in == 0) {
        d->stream.next_in++;
        d->stream.avail_in--;
    }
    if (d->stream.avail_in > 0) {
        if (inflateReset(&d->stream) != Z_OK) {
            return pare_fail(error, PARE_INTERNAL, "%s: zlib could not start a member", d->blob->path);
        }
        d->member_ended = false;
    } else if (d->position == d->blob->stored) {
        d->ended = true;
    }
    return PARE_OK;
}

/* Produces up to `bytes` bytes; fewer only at the end of the file. */
static pare_status decode(decoder *d, uint8_t *out, size_t bytes, size_t *produced, pare_error *error) {
    *produced = 0;
    while (*produced < bytes && !d->ended) {
        if (d->stream.avail_in == 0) {
            PARE_TRY(refill(d, error));
        }
        if (d->member_ended) {
            PARE_TRY(between_members(d, error));
            continue;
        }
        size_t room = bytes - *produced < CHUNK ? bytes - *produced : CHUNK;
        bool starved = d->stream.avail_in == 0;
        d->stream.next_out = out + *produced;
        d->stream.avail_out = (uInt)room;
        int result = inflate(&d->stream, Z_NO_FLUSH);
        size_t made = room - d->stream.avail_out;
        *produced += made;
        uint64_t at = d->position - d->stream.avail_in;
        if (result == Z_STREAM_END) {
            d->member_ended = true;
        } else if (result == Z_MEM_ERROR) {
            return pare_fail(error, PARE_LIMIT, "%s: out of memory while decoding gzip", d->blob->path);
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            return pare_fail_at(error, PARE_BAD_INPUT, at, "%s: expected gzip data, found %s", d->blob->path,
                                d->stream.msg != NULL ? d->stream.msg : "a stream that needs a dictionary");
        } else if (starved && made == 0) {
            return pare_fail_at(error, PARE_BAD_INPUT, at, "%s: gzip data ends early: file is truncated",
                                d->blob->path);
        }
    }
    return PARE_OK;
}

static pare_status start_decoder(const pare_blob *blob, decoder **started, pare_error *error) {
    decoder *d = pare_alloc_zero(1, sizeof *d);
    if (d == NULL) {
        return pare_fail_memory(error, sizeof *d);
    }
    d->blob = blob;
    d->stream.zalloc = zlib_alloc;
    d->stream.zfree = zlib_free;
    if (inflateInit2(&d->stream, GZIP_WINDOW) != Z_OK) {
        pare_free(d);
        return pare_fail(error, PARE_LIMIT, "%s: out of memory while decoding gzip", blob->path);
    }
    *started = d;
    return PARE_OK;
}

static void end_decoder(decoder *d) {
    if (d != NULL) {
        inflateEnd(&d->stream);
        pare_free(d);
    }
}

pare_status pare_blob_peek(const pare_blob *blob, void *data, size_t bytes, size_t *found, pare_error *error) {
    if (!blob->gzip || blob->decoded != NULL) {
        *found = blob->size < bytes ? (size_t)blob->size : bytes;
        return pare_blob_read(blob, 0, data, *found, error);
    }
    decoder *d = NULL;
    PARE_TRY(start_decoder(blob, &d, error));
    pare_status status = decode(d, data, bytes, found, error);
    end_decoder(d);
    return status;
}

/* Doubles the block, within the limits on decoded bytes. */
static pare_status grow_decoded(pare_blob *blob, size_t made, size_t limit, size_t *capacity, pare_error *error) {
    if (made > limit) {
        return pare_fail(error, limit < PARE_GZIP_LIMIT ? PARE_BAD_INPUT : PARE_LIMIT,
                         "%s: gzip data holds more than %zu bytes", blob->path, limit);
    }
    if (made > PARE_GZIP_FREE && made / PARE_GZIP_RATIO > blob->stored) {
        return pare_fail(error, PARE_LIMIT, "%s: gzip data expands more than %u times: %zu bytes from %llu", blob->path,
                         PARE_GZIP_RATIO, made, (unsigned long long)blob->stored);
    }
    if (made == *capacity) {
        /* One byte past the limit, so that too long content is seen. */
        size_t wanted = *capacity == 0 ? CHUNK : *capacity * 2;
        wanted = wanted > limit ? limit + 1 : wanted;
        uint8_t *grown = pare_realloc(blob->decoded, wanted);
        if (grown == NULL) {
            return pare_fail_memory(error, wanted);
        }
        blob->decoded = grown;
        *capacity = wanted;
    }
    return PARE_OK;
}

pare_status pare_blob_load(pare_blob *blob, size_t limit, pare_error *error) {
    if (!blob->gzip || blob->decoded != NULL) {
        return PARE_OK;
    }
    limit = limit < PARE_GZIP_LIMIT ? limit : PARE_GZIP_LIMIT;
    size_t made = 0, capacity = 0;
    decoder *d = NULL;
    pare_status status = start_decoder(blob, &d, error);
    while (status == PARE_OK && !d->ended) {
        status = grow_decoded(blob, made, limit, &capacity, error);
        if (status == PARE_OK) {
            size_t produced = 0;
            status = decode(d, blob->decoded + made, capacity - made, &produced, error);
            made += produced;
        }
    }
    if (status == PARE_OK) {
        status = grow_decoded(blob, made, limit, &capacity, error);
        blob->size = made;
    }
    end_decoder(d);
    return status;
}

pare_status pare_blob_read(const pare_blob *blob, uint64_t offset, void *data, size_t bytes, pare_error *error) {
    if (offset > blob->size || bytes > blob->size - offset) {
        return pare_fail_at(error, PARE_BAD_INPUT, offset, "%s: expected %zu more bytes, found the end of the file",
                            blob->path, bytes);
    }
    if (blob->decoded != NULL) {
        memcpy(data, blob->decoded + offset, bytes);
        return PARE_OK;
    }
    return bytes == 0 ? PARE_OK : pare_file_read_at(blob->descriptor, blob->path, offset, data, bytes, error);
}

pare_status pare_blob_checksum(const pare_blob *blob, uint32_t *crc, pare_error *error) {
    uint8_t *chunk = pare_alloc(CHUNK);
    if (chunk == NULL) {
        return pare_fail_memory(error, CHUNK);
    }
    pare_status status = PARE_OK;
    for (uint64_t at = 0; status == PARE_OK && at < blob->size; at += CHUNK) {
        size_t bytes = blob->size - at < CHUNK ? (size_t)(blob->size - at) : CHUNK;
        status = pare_blob_read(blob, at, chunk, bytes, error);
        *crc = status == PARE_OK ? (uint32_t)crc32(*crc, chunk, (uInt)bytes) : *crc;
    }
    pare_free(chunk);
    return status;
}
