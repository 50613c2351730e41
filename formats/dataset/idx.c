/* The MNIST family's IDX files: 0 0 TYPE RANK, RANK big-endian sizes, elements. */
#include <string.h>

#include "pare/bytes.h"
#include "pare/checked.h"
#include "pare/memory.h"
#include "source.h"

#define IDX_U8 0x08
#define IDX_S32 0x0c
#define IDX_MAX_RANK 4
#define IDX_MAX_HEADER (4 + 4 * IDX_MAX_RANK)

typedef struct idx_file {
    pare_blob blob;
    pare_shape shape;
    size_t element; /* bytes */
    size_t header;
    size_t sample; /* bytes */
} idx_file;

typedef struct idx_state {
    idx_file images, labels;
    bool labelled;
} idx_state;

static pare_status parse_header(idx_file *file, const uint8_t *bytes, size_t found, pare_error *error) {
    const char *path = file->blob.path;
    pare_reader reader = {bytes, found, 0};
    uint32_t magic;
    if (!pare_read_u32_be(&reader, &magic) || magic >> 16 != 0) {
        return pare_fail_at(error, PARE_BAD_INPUT, 0, "%s: expected an IDX file (00 00 TYPE RANK), found %s", path,
                            found < 4 ? "fewer than 4 bytes" : "another magic number");
    }
    uint32_t type = magic >> 8 & 0xff, rank = magic & 0xff;
    if (type != IDX_U8 && type != IDX_S32) {
        return pare_fail_at(error, PARE_UNSUPPORTED, 2, "%s: expected IDX type 0x08 (bytes) or 0x0c, found 0x%02x",
                            path, type);
    }
    if (rank == 0 || rank > IDX_MAX_RANK) {
        return pare_fail_at(error, PARE_BAD_INPUT, 3, "%s: expected IDX rank 1 to %d, found %u", path, IDX_MAX_RANK,
                            rank);
    }
    file->element = type == IDX_U8 ? 1 : 4;
    file->sample = file->element;
    file->shape.rank = (int32_t)rank;
    for (uint32_t axis = 0; axis < rank; axis++) {
        uint32_t size;
        if (!pare_read_u32_be(&reader, &size)) {
            return pare_fail_at(error, PARE_BAD_INPUT, reader.position, "%s: IDX header ends early", path);
        }
        file->shape.dims[axis] = size;
        if (axis > 0 && (size == 0 || !pare_mul_size(file->sample, size, &file->sample))) {
            return pare_fail_at(error, PARE_BAD_INPUT, reader.position - 4, "%s: IDX size %u of axis %u is %s", path,
                                size, axis, size == 0 ? "zero" : "too large");
        }
    }
    file->header = reader.position;
    return PARE_OK;
}

static pare_status open_file(idx_file *file, const char *path, pare_error *error) {
    uint8_t bytes[IDX_MAX_HEADER];
    size_t found = 0, expected;
    PARE_TRY(pare_blob_open(&file->blob, path, error));
    PARE_TRY(pare_blob_peek(&file->blob, bytes, sizeof bytes, &found, error));
    PARE_TRY(parse_header(file, bytes, found, error));
    if (!pare_mul_size(file->sample, (size_t)file->shape.dims[0], &expected) ||
        !pare_add_size(expected, file->header, &expected)) {
        return pare_fail_at(error, PARE_BAD_INPUT, 4, "%s: IDX count x size overflows", path);
    }
    if (file->blob.gzip && expected > PARE_GZIP_LIMIT) {
        return pare_fail(error, PARE_LIMIT, "%s: expected at most %zu decoded bytes, found %zu", path, PARE_GZIP_LIMIT,
                         expected);
    }
    PARE_TRY(pare_blob_load(&file->blob, expected, error));
    if (file->blob.size != expected) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: expected %zu bytes by its header, found %llu", path, expected,
                         (unsigned long long)file->blob.size);
    }
    return PARE_OK;
}

static pare_status idx_read_targets(const void *state, size_t index, pare_sample *sample, pare_error *error) {
    const idx_state *s = state;
    const idx_file *labels = &s->labels;
    uint8_t label[4];
    if (!s->labelled) {
        return PARE_OK;
    }
    PARE_TRY(pare_blob_read(&labels->blob, labels->header + (uint64_t)index * labels->element, label, labels->element,
                            error));
    sample->classes[0] = labels->element == 1 ? label[0]
                                              : (int32_t)((uint32_t)label[0] << 24 | (uint32_t)label[1] << 16 |
                                                          (uint32_t)label[2] << 8 | (uint32_t)label[3]);
    if (sample->classes[0] < 0) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: sample %zu: expected a label of 0 or more, found %lld",
                         labels->blob.path, index, (long long)sample->classes[0]);
    }
    return PARE_OK;
}

static pare_status idx_read(const void *state, size_t index, pare_sample *sample, pare_error *error) {
    const idx_state *s = state;
    const idx_file *images = &s->images;
    bool image = images->shape.rank >= 3;
    size_t bytes = images->sample;
    PARE_TRY(pare_sample_reserve(sample, image ? bytes : bytes * sizeof(float), error));
    sample->shape = (pare_shape){image ? 3 : 1, {images->shape.dims[1], image ? images->shape.dims[2] : 0, 1}};
    if (images->shape.rank == 4) {
        sample->shape.dims[2] = images->shape.dims[3];
    }
    /* Vectors become floats in place, from the back. */
    uint8_t *stored = (uint8_t *)sample->data + (sample->bytes - bytes);
    PARE_TRY(pare_blob_read(&images->blob, images->header + (uint64_t)index * bytes, stored, bytes, error));
    for (size_t i = 0; !image && i < bytes; i++) {
        float value = stored[i];
        memcpy((uint8_t *)sample->data + i * sizeof value, &value, sizeof value);
    }
    return idx_read_targets(s, index, sample, error);
}

static pare_status idx_checksum(const void *state, uint32_t *crc, pare_error *error) {
    const idx_state *s = state;
    PARE_TRY(pare_blob_checksum(&s->images.blob, crc, error));
    return s->labelled ? pare_blob_checksum(&s->labels.blob, crc, error) : PARE_OK;
}

static void idx_close(void *state) {
    idx_state *s = state;
    pare_blob_close(&s->images.blob);
    pare_blob_close(&s->labels.blob);
    pare_free(s);
}

static pare_status open_labels(idx_state *s, const char *path, pare_error *error) {
    PARE_TRY(open_file(&s->labels, path, error));
    if (s->labels.shape.rank != 1) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: expected labels of rank 1, found rank %d", path,
                         (int)s->labels.shape.rank);
    }
    if (s->labels.shape.dims[0] != s->images.shape.dims[0]) {
        return pare_fail(error, PARE_BAD_INPUT, "expected as many labels as images, found %lld labels and %lld images",
                         (long long)s->labels.shape.dims[0], (long long)s->images.shape.dims[0]);
    }
    s->labelled = true;
    return PARE_OK;
}

pare_status pare_idx_open(char *arguments, pare_source *source, pare_error *error) {
    char *labels = strchr(arguments, ',');
    if (labels != NULL) {
        *labels++ = '\0';
    }
    idx_state *s = pare_alloc_zero(1, sizeof *s);
    if (s == NULL) {
        return pare_fail_memory(error, sizeof *s);
    }
    source->state = s;
    source->close = idx_close;
    source->read = idx_read;
    source->read_targets = idx_read_targets;
    source->checksum = idx_checksum;
    PARE_TRY(open_file(&s->images, arguments, error));
    const pare_shape *shape = &s->images.shape;
    if (s->images.element != 1 || shape->rank < 2) {
        return pare_fail(error, PARE_UNSUPPORTED, "%s: expected images of bytes and rank 2 to 4, found rank %d of %s",
                         arguments, (int)shape->rank, s->images.element == 1 ? "bytes" : "32-bit integers");
    }
    if (labels != NULL) {
        PARE_TRY(open_labels(s, labels, error));
    }
    source->count = (size_t)shape->dims[0];
    source->info = (pare_sample_info){.image = shape->rank >= 3,
                                      .dtype = shape->rank >= 3 ? PARE_U8 : PARE_F32,
                                      .shape = {1, {shape->dims[1]}},
                                      .target = s->labelled ? PARE_TARGET_CLASS : PARE_TARGET_NONE,
                                      .target_count = s->labelled ? 1 : 0};
    if (shape->rank >= 3) {
        source->info.shape = (pare_shape){3, {shape->dims[1], shape->dims[2], shape->rank == 4 ? shape->dims[3] : 1}};
    }
    return PARE_OK;
}
