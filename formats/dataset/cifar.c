/* CIFAR's binary batches: label byte (two in CIFAR-100: coarse, fine), then
 * 3 × 32 × 32 bytes, one plane a colour. */
#include <string.h>

#include "pare/memory.h"
#include "source.h"

#define SIDE 32
#define CHANNELS 3
#define PLANE (SIDE * SIDE)
#define PIXELS (CHANNELS * PLANE)

typedef struct cifar_batch {
    pare_blob blob;
    size_t first; /* index of its first sample in the set */
} cifar_batch;

typedef struct cifar_state {
    cifar_batch *batches;
    size_t count;
    size_t labels;  /* label bytes of a record; the last one counts */
    size_t classes; /* labels lie below */
} cifar_state;

static const cifar_batch *find_batch(const cifar_state *s, size_t index) {
    size_t at = s->count - 1;
    while (s->batches[at].first > index) {
        at--;
    }
    return &s->batches[at];
}

/* The first `bytes` bytes of a record, and its label. */
static pare_status read_record(const cifar_state *s, size_t index, uint8_t *record, size_t bytes, pare_sample *sample,
                               pare_error *error) {
    const cifar_batch *batch = find_batch(s, index);
    uint64_t offset = (uint64_t)(index - batch->first) * (PIXELS + s->labels);
    PARE_TRY(pare_blob_read(&batch->blob, offset, record, bytes, error));
    unsigned label = record[s->labels - 1];
    if (label >= s->classes) {
        return pare_fail_at(error, PARE_BAD_INPUT, offset, "%s: expected a label below %zu, found %u", batch->blob.path,
                            s->classes, label);
    }
    sample->classes[0] = label;
    return PARE_OK;
}

static pare_status cifar_read_targets(const void *state, size_t index, pare_sample *sample, pare_error *error) {
    const cifar_state *s = state;
    uint8_t record[2];
    return read_record(s, index, record, s->labels, sample, error);
}

static pare_status cifar_read(const void *state, size_t index, pare_sample *sample, pare_error *error) {
    const cifar_state *s = state;
    uint8_t record[PIXELS + 2];
    PARE_TRY(read_record(s, index, record, PIXELS + s->labels, sample, error));
    PARE_TRY(pare_sample_reserve(sample, PIXELS, error));
    sample->shape = (pare_shape){3, {SIDE, SIDE, CHANNELS}};
    uint8_t *out = sample->data;
    for (size_t pixel = 0; pixel < PLANE; pixel++) {
        for (size_t channel = 0; channel < CHANNELS; channel++) {
            *out++ = record[s->labels + channel * PLANE + pixel];
        }
    }
    return PARE_OK;
}

static pare_status cifar_checksum(const void *state, uint32_t *crc, pare_error *error) {
    const cifar_state *s = state;
    for (size_t i = 0; i < s->count; i++) {
        PARE_TRY(pare_blob_checksum(&s->batches[i].blob, crc, error));
    }
    return PARE_OK;
}

static void cifar_close(void *state) {
    cifar_state *s = state;
    for (size_t i = 0; s->batches != NULL && i < s->count; i++) {
        pare_blob_close(&s->batches[i].blob);
    }
    pare_free(s->batches);
    pare_free(s);
}

static pare_status open_batch(cifar_state *s, cifar_batch *batch, const char *path, size_t *total, pare_error *error) {
    size_t bytes = PIXELS + s->labels;
    PARE_TRY(pare_blob_open(&batch->blob, path, error));
    PARE_TRY(pare_blob_load(&batch->blob, PARE_GZIP_LIMIT, error));
    if (batch->blob.size == 0 || batch->blob.size % bytes != 0) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: expected a multiple of %zu bytes (CIFAR-%zu records), found %llu",
                         path, bytes, s->classes, (unsigned long long)batch->blob.size);
    }
    batch->first = *total;
    *total += (size_t)(batch->blob.size / bytes);
    return PARE_OK;
}

static pare_status open_batches(char *arguments, size_t labels, size_t classes, pare_source *source,
                                pare_error *error) {
    cifar_state *s = pare_alloc_zero(1, sizeof *s);
    if (s == NULL) {
        return pare_fail_memory(error, sizeof *s);
    }
    source->state = s;
    source->close = cifar_close;
    source->read = cifar_read;
    source->read_targets = cifar_read_targets;
    source->checksum = cifar_checksum;
    s->labels = labels;
    s->classes = classes;
    s->count = 1;
    for (const char *at = arguments; (at = strchr(at, ',')) != NULL; at++) {
        s->count++;
    }
    s->batches = pare_alloc_zero(s->count, sizeof *s->batches);
    if (s->batches == NULL) {
        return pare_fail_memory(error, s->count * sizeof *s->batches);
    }
    for (size_t i = 0; i < s->count; i++) {
        char *comma = strchr(arguments, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        PARE_TRY(open_batch(s, &s->batches[i], arguments, &source->count, error));
        arguments = comma != NULL ? comma + 1 : arguments;
    }
    source->info = (pare_sample_info){.image = true,
                                      .dtype = PARE_U8,
                                      .shape = {3, {SIDE, SIDE, CHANNELS}},
                                      .target = PARE_TARGET_CLASS,
                                      .target_count = 1};
    return PARE_OK;
}

pare_status pare_cifar10_open(char *arguments, pare_source *source, pare_error *error) {
    return open_batches(arguments, 1, 10, source, error);
}

pare_status pare_cifar100_open(char *arguments, pare_source *source, pare_error *error) {
    return open_batches(arguments, 2, 100, source, error);
}
