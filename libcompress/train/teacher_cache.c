/* The file, all little-endian: "PARETCH1"; u32 CRC-32 of the key, of the floats;
 * u64 number of floats; then the floats. */
#include "train/teacher_cache.h"

#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "pare/bytes.h"
#include "pare/checked.h"
#include "pare/evaluate.h"
#include "pare/file.h"
#include "pare/memory.h"

static const char magic[8] = {'P', 'A', 'R', 'E', 'T', 'C', 'H', '1'};
#define CACHE_LIMIT ((size_t)16 << 30)

static pare_status hash_key(const teacher_cache_key *key, uint32_t *hash, pare_error *error) {
    uint32_t data = 0;
    const pare_preprocess *p = key->preprocess;
    PARE_TRY(pare_dataset_checksum(key->data, &data, error));
    uint64_t numbers[] = {key->teacher_hash,   data,
                          key->values,         pare_dataset_count(key->data),
                          (uint64_t)p->layout, (uint64_t)p->resize,
                          (uint64_t)p->crop,   (uint64_t)p->color};
    uLong crc = crc32(0, (const Bytef *)numbers, sizeof numbers);
    crc = crc32(crc, (const Bytef *)&p->scale, sizeof p->scale);
    crc = crc32(crc, (const Bytef *)p->mean, sizeof p->mean);
    *hash = (uint32_t)crc32(crc, (const Bytef *)p->std, sizeof p->std);
    return PARE_OK;
}

/* The floats of a whole file; *outputs stays NULL where they are those of another key. */
static pare_status parse(const char *path, const uint8_t *file, size_t size, uint32_t key, float *outputs, size_t count,
                         bool *fits, pare_error *error) {
    pare_reader reader = {.data = file, .size = size};
    const uint8_t *head = NULL, *body = NULL;
    uint32_t found_key = 0, crc = 0;
    uint64_t found = 0;
    if (!pare_read_span(&reader, sizeof magic, &head) || memcmp(head, magic, sizeof magic) != 0 ||
        !pare_read_u32(&reader, &found_key) || !pare_read_u32(&reader, &crc) || !pare_read_u64(&reader, &found)) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: expected a cache of a teacher's outputs, found something else",
                         path);
    }
    *fits = found_key == key && found == count;
    if (!*fits) {
        return PARE_OK;
    }
    if (!pare_read_span(&reader, count * sizeof *outputs, &body) || pare_reader_left(&reader) != 0 ||
        crc32_z(0, body, count * sizeof *outputs) != crc) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: expected %zu whole floats, found a damaged file: remove it", path,
                         count);
    }
    pare_reader floats = {.data = body, .size = count * sizeof *outputs};
    for (size_t i = 0; i < count; i++) {
        (void)pare_read_f32(&floats, &outputs[i]);
    }
    return PARE_OK;
}

static pare_status write_file(const char *path, uint32_t key, const float *outputs, size_t count, pare_error *error) {
    pare_byte_buffer body = {0}, head = {0};
    for (size_t i = 0; i < count; i++) {
        pare_put_f32(&body, outputs[i]);
    }
    pare_put_bytes(&head, magic, sizeof magic);
    pare_put_u32(&head, key);
    pare_put_u32(&head, (uint32_t)crc32_z(0, body.data, body.size));
    pare_put_u64(&head, count);
    pare_output *output = NULL;
    pare_status status = body.failed || head.failed ? pare_fail_memory(error, count * sizeof *outputs)
                                                    : pare_output_open(path, &output, error);
    if (status == PARE_OK) {
        status = pare_output_write(output, head.data, head.size, error);
    }
    if (status == PARE_OK) {
        status = pare_output_write(output, body.data, body.size, error);
    }
    if (status == PARE_OK) {
        status = pare_output_commit(output, error);
    } else {
        pare_output_discard(output);
    }
    pare_byte_buffer_free(&body);
    pare_byte_buffer_free(&head);
    return status;
}

typedef struct collected {
    float *outputs;
    size_t values, done, samples;
} collected;

static pare_status collect(void *context, const float *inputs, size_t inputs_per_sample, const float *outputs,
                           size_t outputs_per_sample, const int64_t *classes, const float *values,
                           size_t targets_per_sample, size_t count, pare_error *error) {
    collected *c = context;
    (void)inputs, (void)inputs_per_sample, (void)classes, (void)values, (void)targets_per_sample;
    if (outputs_per_sample != c->values || count > c->samples - c->done) {
        return pare_fail(error, PARE_USAGE, "expected a teacher that says %zu numbers of a sample, found %zu",
                         c->values, outputs_per_sample);
    }
    memcpy(c->outputs + c->done * c->values, outputs, count * outputs_per_sample * sizeof *outputs);
    c->done += count;
    return PARE_OK;
}

static pare_status load(const char *path, uint32_t key, const teacher_cache_key *what, pare_model *model,
                        const pare_run_options *run, float *outputs, size_t count, pare_error *error) {
    uint8_t *file = NULL;
    size_t size = 0;
    bool fits = false;
    if (access(path, F_OK) == 0) {
        PARE_TRY(pare_file_read(path, CACHE_LIMIT, &file, &size, error));
        pare_status status = parse(path, file, size, key, outputs, count, &fits, error);
        pare_free(file);
        if (status != PARE_OK || fits) {
            return status;
        }
    }
    collected into = {outputs, what->values, 0, pare_dataset_count(what->data)};
    PARE_TRY(pare_run_dataset(model, what->data, what->preprocess, run, collect, &into, error));
    return write_file(path, key, outputs, count, error);
}

pare_status teacher_cache_load(const char *path, const teacher_cache_key *key, pare_model *model,
                               const pare_run_options *run, float **outputs, pare_error *error) {
    size_t count = 0, bytes = 0;
    uint32_t hash = 0;
    if (!pare_mul_size(pare_dataset_count(key->data), key->values, &count) ||
        !pare_mul_size(count, sizeof **outputs, &bytes)) {
        return pare_fail(error, PARE_LIMIT, "a cache of %zu outputs a sample overflows", key->values);
    }
    PARE_TRY(hash_key(key, &hash, error));
    *outputs = pare_alloc(bytes + 1);
    return *outputs != NULL ? load(path, hash, key, model, run, *outputs, count, error)
                            : pare_fail_memory(error, bytes);
}
