/* npy:X.npy[,Y.npy]: samples and targets, sample axis first. */
#include <string.h>

#include "pare/bytes.h"
#include "pare/checked.h"
#include "pare/memory.h"
#include "pare/npy.h"
#include "source.h"

#define HEADER_PEEK ((size_t)(64 << 10) + 12)

typedef struct npy_file {
    pare_blob blob;
    pare_npy_header header;
    size_t elements; /* of one sample */
    size_t element;  /* bytes */
} npy_file;

typedef struct npy_state {
    npy_file inputs, targets;
    bool labelled;
    pare_sample_info info;
} npy_state;

static pare_status parse_file(npy_file *file, pare_error *error) {
    uint8_t *head = pare_alloc(HEADER_PEEK);
    size_t found = 0;
    if (head == NULL) {
        return pare_fail_memory(error, HEADER_PEEK);
    }
    pare_status status = pare_blob_peek(&file->blob, head, HEADER_PEEK, &found, error);
    if (status == PARE_OK) {
        status = pare_npy_parse(head, found, file->blob.size, &file->header, error);
        if (status != PARE_OK) {
            pare_error_prefix(error, "%s: ", file->blob.path);
        }
    }
    pare_free(head);
    return status;
}

static pare_status open_file(npy_file *file, const char *path, pare_error *error) {
    PARE_TRY(pare_blob_open(&file->blob, path, error));
    PARE_TRY(pare_blob_load(&file->blob, PARE_GZIP_LIMIT, error));
    PARE_TRY(parse_file(file, error));
    const pare_shape *shape = &file->header.shape;
    if (shape->rank == 0) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: expected an array with a sample axis, found a scalar", path);
    }
    file->element = pare_dtype_bytes(file->header.dtype);
    file->elements = 1;
    for (int32_t axis = 1; axis < shape->rank; axis++) {
        /* The whole overflows only together with a zero dimension. */
        if (shape->dims[axis] == 0 || !pare_mul_size(file->elements, (size_t)shape->dims[axis], &file->elements)) {
            return pare_fail(error, PARE_BAD_INPUT,
                             "%s: expected samples with elements, found dimension %lld of axis %d", path,
                             (long long)shape->dims[axis], (int)axis);
        }
    }
    return PARE_OK;
}

static uint64_t load_element(const npy_file *file, const uint8_t *bytes) {
    uint64_t raw = 0;
    for (size_t i = 0; i < file->element; i++) {
        size_t at = file->header.big_endian ? file->element - 1 - i : i;
        raw |= (uint64_t)bytes[at] << (8 * i);
    }
    return raw;
}

static double real_element(const npy_file *file, const uint8_t *bytes) {
    uint64_t raw = load_element(file, bytes);
    uint32_t raw32 = (uint32_t)raw;
    float single;
    double wide;
    switch (file->header.dtype) {
    case PARE_F16:
        return pare_f16_to_f32((uint16_t)raw);
    case PARE_F32:
        memcpy(&single, &raw32, sizeof single);
        return single;
    case PARE_F64:
        memcpy(&wide, &raw, sizeof wide);
        return wide;
    case PARE_S8:
        return (int8_t)raw;
    default:
        return (double)raw; /* bytes and booleans */
    }
}

static bool integer_element(const npy_file *file, const uint8_t *bytes, int64_t *value) {
    uint64_t raw = load_element(file, bytes);
    switch (file->header.dtype) {
    case PARE_S8:
        *value = (int8_t)raw;
        return true;
    case PARE_S16:
        *value = (int16_t)raw;
        return true;
    case PARE_S32:
        *value = (int32_t)raw;
        return true;
    default:
        *value = (int64_t)raw;
        return file->header.dtype == PARE_S64 || *value >= 0;
    }
}

static bool is_real(pare_dtype dtype) {
    return dtype == PARE_F16 || dtype == PARE_F32 || dtype == PARE_F64;
}

/* Bytes are pixels or flags and become floats; wider integers are indices. */
static bool is_index(pare_dtype dtype) {
    return !is_real(dtype) && pare_dtype_bytes(dtype) > 1;
}

static pare_status convert(const npy_file *file, const uint8_t *stored, int64_t *integers, float *reals,
                           pare_error *error) {
    for (size_t i = 0; i < file->elements; i++) {
        const uint8_t *at = stored + i * file->element;
        if (integers == NULL) {
            reals[i] = (float)real_element(file, at);
        } else if (!integer_element(file, at, &integers[i])) {
            return pare_fail(error, PARE_BAD_INPUT, "%s: expected integers below 2^63", file->blob.path);
        }
    }
    return PARE_OK;
}

static pare_status read_stored(const npy_file *file, size_t index, void *out, pare_error *error) {
    size_t bytes = file->elements * file->element;
    return pare_blob_read(&file->blob, file->header.data_offset + (uint64_t)index * bytes, out, bytes, error);
}

static pare_status npy_read_targets(const void *state, size_t index, pare_sample *sample, pare_error *error) {
    const npy_state *s = state;
    const npy_file *file = &s->targets;
    if (!s->labelled) {
        return PARE_OK;
    }
    size_t bytes = file->elements * file->element;
    uint8_t few[8], *stored = bytes <= sizeof few ? few : pare_alloc(bytes);
    if (stored == NULL) {
        return pare_fail_memory(error, bytes);
    }
    pare_status status = read_stored(file, index, stored, error);
    if (status == PARE_OK) {
        bool classes = s->info.target == PARE_TARGET_CLASS;
        status = convert(file, stored, classes ? sample->classes : NULL, sample->values, error);
    }
    if (stored != few) {
        pare_free(stored);
    }
    return status;
}

static pare_status npy_read(const void *state, size_t index, pare_sample *sample, pare_error *error) {
    const npy_state *s = state;
    const npy_file *file = &s->inputs;
    size_t bytes, stored_bytes = file->elements * file->element;
    if (!pare_mul_size(file->elements, pare_dtype_bytes(s->info.dtype), &bytes)) {
        return pare_fail_memory(error, SIZE_MAX);
    }
    sample->shape = s->info.shape;
    if (file->header.dtype == s->info.dtype && !file->header.big_endian) {
        PARE_TRY(pare_sample_reserve(sample, bytes, error));
        PARE_TRY(read_stored(file, index, sample->data, error));
    } else {
        /* Converted in one block: stored bytes behind the result. */
        size_t both;
        if (!pare_add_size(bytes, stored_bytes, &both)) {
            return pare_fail_memory(error, SIZE_MAX);
        }
        PARE_TRY(pare_sample_reserve(sample, both, error));
        sample->bytes = bytes;
        uint8_t *stored = (uint8_t *)sample->data + bytes;
        PARE_TRY(read_stored(file, index, stored, error));
        PARE_TRY(convert(file, stored, s->info.dtype == PARE_S64 ? sample->data : NULL, sample->data, error));
    }
    return npy_read_targets(s, index, sample, error);
}

static pare_status npy_checksum(const void *state, uint32_t *crc, pare_error *error) {
    const npy_state *s = state;
    PARE_TRY(pare_blob_checksum(&s->inputs.blob, crc, error));
    return s->labelled ? pare_blob_checksum(&s->targets.blob, crc, error) : PARE_OK;
}

static void npy_close(void *state) {
    npy_state *s = state;
    pare_blob_close(&s->inputs.blob);
    pare_blob_close(&s->targets.blob);
    pare_free(s);
}

static pare_status open_targets(npy_state *s, const char *path, pare_error *error) {
    PARE_TRY(open_file(&s->targets, path, error));
    if (s->targets.header.shape.dims[0] != s->inputs.header.shape.dims[0]) {
        return pare_fail(error, PARE_BAD_INPUT,
                         "expected as many targets as samples, found %lld targets and %lld samples",
                         (long long)s->targets.header.shape.dims[0], (long long)s->inputs.header.shape.dims[0]);
    }
    s->labelled = true;
    s->info.target = is_real(s->targets.header.dtype) ? PARE_TARGET_VALUES : PARE_TARGET_CLASS;
    s->info.target_count = s->targets.elements;
    return PARE_OK;
}

pare_status pare_npy_open(char *arguments, pare_source *source, pare_error *error) {
    char *targets = strchr(arguments, ',');
    if (targets != NULL) {
        *targets++ = '\0';
    }
    npy_state *s = pare_alloc_zero(1, sizeof *s);
    if (s == NULL) {
        return pare_fail_memory(error, sizeof *s);
    }
    source->state = s;
    source->close = npy_close;
    source->read = npy_read;
    source->read_targets = npy_read_targets;
    source->checksum = npy_checksum;
    PARE_TRY(open_file(&s->inputs, arguments, error));
    const pare_shape *shape = &s->inputs.header.shape;
    s->info.dtype = is_index(s->inputs.header.dtype) ? PARE_S64 : PARE_F32;
    s->info.shape.rank = shape->rank - 1;
    memcpy(s->info.shape.dims, shape->dims + 1, (size_t)(shape->rank - 1) * sizeof shape->dims[0]);
    if (targets != NULL) {
        PARE_TRY(open_targets(s, targets, error));
    }
    source->count = (size_t)shape->dims[0];
    source->info = s->info;
    return PARE_OK;
}
