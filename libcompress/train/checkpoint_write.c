/* Writing checkpoints: CHECKPOINT.md defines the bytes. */
#include <string.h>
#include <zlib.h>

#include "pare/bytes.h"
#include "pare/checked.h"
#include "pare/file.h"
#include "pare/runtime.h"
#include "train/checkpoint_format.h"

enum { CHUNK = 4096, FILE_NAME_MOST = 255 };

/* --- what can be held -------------------------------------------------------------- */

static pare_status check_text(const char *what, const char *text, pare_error *error) {
    size_t bytes = strlen(checkpoint_text(text));
    if (bytes > CHECKPOINT_TEXT_MOST || !pare_is_utf8(checkpoint_text(text), bytes)) {
        return pare_fail(error, PARE_USAGE, "checkpoint: expected %s of at most %d bytes of UTF-8, found %zu bytes%s",
                         what, CHECKPOINT_TEXT_MOST, bytes, bytes > CHECKPOINT_TEXT_MOST ? "" : " that are not");
    }
    return PARE_OK;
}

static pare_status check_arrays(const pare_checkpoint_array *arrays, size_t count, pare_error *error) {
    size_t directory = 4, floats = 0, bytes;
    if (count > CHECKPOINT_ARRAYS_MOST) {
        return pare_fail(error, PARE_LIMIT, "checkpoint: expected at most %d arrays, found %zu", CHECKPOINT_ARRAYS_MOST,
                         count);
    }
    for (size_t i = 0; i < count; i++) {
        const pare_checkpoint_array *array = &arrays[i];
        size_t length = strlen(checkpoint_text(array->name));
        if (length == 0 || length > CHECKPOINT_NAME_MOST || !pare_is_utf8(array->name, length)) {
            return pare_fail(error, PARE_USAGE,
                             "checkpoint: expected a name of 1 to %d bytes of UTF-8 for array %zu, found %zu bytes%s",
                             CHECKPOINT_NAME_MOST, i, length,
                             length == 0 || length > CHECKPOINT_NAME_MOST ? "" : " that are not");
        }
        if ((array->data == NULL && array->count > 0) || !pare_add_size(floats, array->count, &floats) ||
            !pare_mul_size(floats, 4, &bytes)) {
            return pare_fail(error, PARE_USAGE, "checkpoint: expected elements of array \"%s\", found %s", array->name,
                             array->data == NULL ? "NULL" : "more than memory holds");
        }
        directory += 12 + length;
    }
    if (directory > CHECKPOINT_DIRECTORY_MOST) {
        return pare_fail(error, PARE_LIMIT, "checkpoint: expected at most %d bytes of names of arrays, found %zu",
                         CHECKPOINT_DIRECTORY_MOST, directory);
    }
    return PARE_OK;
}

pare_status pare_checkpoint_check(const pare_checkpoint_identity *identity, const pare_checkpoint_array *arrays,
                                  size_t array_count, pare_error *error) {
    PARE_TRY(check_text("options", identity->options, error));
    PARE_TRY(check_text("a backend", identity->backend, error));
    PARE_TRY(check_text("an instruction set", identity->isa, error));
    return check_arrays(arrays, array_count, error);
}

/* --- sections ---------------------------------------------------------------------- */

static void put_text(pare_byte_buffer *out, const char *text) {
    size_t bytes = strlen(checkpoint_text(text));
    pare_put_u32(out, (uint32_t)bytes);
    pare_put_bytes(out, checkpoint_text(text), bytes);
}

static void put_f64(pare_byte_buffer *out, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    pare_put_u64(out, bits);
}

static void put_identity(pare_byte_buffer *out, const pare_checkpoint_identity *identity) {
    pare_put_u64(out, identity->model_hash);
    pare_put_u64(out, identity->teacher_hash);
    pare_put_u64(out, identity->samples);
    pare_put_u64(out, identity->seed);
    pare_put_u32(out, identity->dataset_crc);
    pare_put_u32(out, identity->validation_crc);
    pare_put_u32(out, (uint32_t)identity->threads);
    pare_put_u32(out, (uint32_t)identity->ranks);
    pare_put_u32(out, (uint32_t)identity->optimizer);
    put_text(out, pare_version());
    put_text(out, identity->backend);
    put_text(out, identity->isa);
    put_text(out, identity->options);
}

static void put_progress(pare_byte_buffer *out, const pare_checkpoint_progress *p) {
    const uint64_t counters[] = {p->step,           p->total_steps,        p->epoch,    p->batch_in_epoch,
                                 p->optimizer_step, p->early_stop_counter, p->best_step};
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        pare_put_u64(out, counters[i]);
    }
    put_f64(out, p->best_metric);
    put_f64(out, p->loss_sum);
    pare_put_u64(out, p->loss_count);
    for (size_t i = 0; i < sizeof p->random / sizeof *p->random; i++) {
        pare_put_u64(out, p->random[i]);
    }
}

static void put_directory(pare_byte_buffer *out, const pare_checkpoint_array *arrays, size_t count) {
    pare_put_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        pare_put_u64(out, arrays[i].count);
        put_text(out, arrays[i].name);
    }
}

/* The stored bytes of all arrays, in pieces: into a checksum where `output` is NULL. */
static pare_status put_data(pare_output *output, uint32_t *crc, const pare_checkpoint_array *arrays, size_t count,
                            pare_error *error) {
    uint8_t chunk[4 * CHUNK];
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < arrays[i].count; at += CHUNK) {
            size_t left = arrays[i].count - at, floats = left < CHUNK ? left : CHUNK;
            for (size_t k = 0; k < floats; k++) {
                uint32_t bits;
                memcpy(&bits, &arrays[i].data[at + k], sizeof bits);
                uint8_t *to = chunk + 4 * k;
                to[0] = (uint8_t)bits;
                to[1] = (uint8_t)(bits >> 8);
                to[2] = (uint8_t)(bits >> 16);
                to[3] = (uint8_t)(bits >> 24);
            }
            if (output == NULL) {
                *crc = (uint32_t)crc32_z(*crc, chunk, 4 * floats);
            } else {
                PARE_TRY(pare_output_write(output, chunk, 4 * floats, error));
            }
        }
    }
    return PARE_OK;
}

/* --- the file ---------------------------------------------------------------------- */

/* Header, section table and all sections but the last: they follow one another. */
static void put_front(pare_byte_buffer *out, const pare_byte_buffer sections[CHECKPOINT_DATA], uint32_t data_crc,
                      uint64_t data_bytes) {
    pare_byte_buffer table = {0};
    uint64_t offset = CHECKPOINT_FRONT_BYTES;
    for (uint32_t i = 0; i < CHECKPOINT_SECTIONS; i++) {
        bool data = i == CHECKPOINT_DATA;
        uint64_t bytes = data ? data_bytes : sections[i].size;
        pare_put_u32(&table, i + 1);
        pare_put_u32(&table, data ? data_crc : (uint32_t)crc32_z(0, sections[i].data, sections[i].size));
        pare_put_u64(&table, offset);
        pare_put_u64(&table, bytes);
        offset += bytes;
    }
    pare_put_bytes(out, CHECKPOINT_MAGIC, 4);
    pare_put_u32(out, CHECKPOINT_VERSION);
    pare_put_u64(out, offset);
    pare_put_u32(out, CHECKPOINT_SECTIONS);
    pare_put_u32(out, table.failed ? 0 : (uint32_t)crc32_z(0, table.data, table.size));
    pare_put_u32(out, 0);
    pare_put_u32(out, out->failed ? 0 : (uint32_t)crc32_z(0, out->data, out->size));
    pare_put_bytes(out, table.data, table.size);
    out->failed = out->failed || table.failed;
    for (size_t i = 0; i < CHECKPOINT_DATA; i++) {
        pare_put_bytes(out, sections[i].data, sections[i].size);
    }
    pare_byte_buffer_free(&table);
}

static pare_status make_front(pare_byte_buffer *out, const pare_checkpoint_identity *identity,
                              const pare_checkpoint_progress *progress, const pare_checkpoint_array *arrays,
                              size_t array_count, pare_error *error) {
    pare_byte_buffer sections[CHECKPOINT_DATA] = {{0}};
    uint32_t crc = 0;
    uint64_t bytes = 0;
    put_identity(&sections[CHECKPOINT_IDENTITY], identity);
    put_progress(&sections[CHECKPOINT_PROGRESS], progress);
    put_directory(&sections[CHECKPOINT_ARRAYS], arrays, array_count);
    for (size_t i = 0; i < array_count; i++) {
        bytes += 4 * (uint64_t)arrays[i].count;
    }
    pare_status status = put_data(NULL, &crc, arrays, array_count, error);
    for (size_t i = 0; i < CHECKPOINT_DATA; i++) {
        out->failed = out->failed || sections[i].failed;
    }
    if (status == PARE_OK && !out->failed) {
        put_front(out, sections, crc, bytes);
    }
    for (size_t i = 0; i < CHECKPOINT_DATA; i++) {
        pare_byte_buffer_free(&sections[i]);
    }
    return status != PARE_OK ? status : out->failed ? pare_fail_memory(error, CHECKPOINT_FRONT_BYTES) : PARE_OK;
}

static pare_status write_file(const char *path, const pare_byte_buffer *front, const pare_checkpoint_array *arrays,
                              size_t array_count, pare_error *error) {
    pare_output *output;
    PARE_TRY(pare_output_open(path, &output, error));
    pare_status status = pare_output_write(output, front->data, front->size, error);
    if (status == PARE_OK) {
        status = put_data(output, NULL, arrays, array_count, error);
    }
    if (status == PARE_OK) {
        return pare_output_commit_keeping(output, CHECKPOINT_ENDING, error);
    }
    pare_output_discard(output);
    return status;
}

static pare_status check_progress(const pare_checkpoint_progress *progress, pare_error *error) {
    if (progress->step > progress->total_steps || progress->best_step > progress->step) {
        return pare_fail(error, PARE_USAGE,
                         "checkpoint: expected the step within the run's %llu and the best step not behind it, found "
                         "steps %llu and %llu",
                         (unsigned long long)progress->total_steps, (unsigned long long)progress->step,
                         (unsigned long long)progress->best_step);
    }
    return PARE_OK;
}

/* Before the first save: the second could not keep it. */
static pare_status check_name(const char *path, pare_error *error) {
    const char *slash = strrchr(path, '/');
    if (strlen(slash != NULL ? slash + 1 : path) + strlen(CHECKPOINT_ENDING) > FILE_NAME_MOST) {
        return pare_fail(error, PARE_IO, "%s: expected a name of at most %zu bytes, which leaves room for %s", path,
                         FILE_NAME_MOST - strlen(CHECKPOINT_ENDING), CHECKPOINT_ENDING);
    }
    return PARE_OK;
}

pare_status pare_checkpoint_save(const char *path, const pare_checkpoint_identity *identity,
                                 const pare_checkpoint_progress *progress, const pare_checkpoint_array *arrays,
                                 size_t array_count, pare_error *error) {
    pare_byte_buffer front = {0};
    PARE_TRY(check_name(path, error));
    PARE_TRY(check_progress(progress, error));
    PARE_TRY(pare_checkpoint_check(identity, arrays, array_count, error));
    pare_status status = make_front(&front, identity, progress, arrays, array_count, error);
    if (status == PARE_OK) {
        status = write_file(path, &front, arrays, array_count, error);
    }
    if (status != PARE_OK) {
        pare_error_prefix(error, "cannot save the checkpoint: ");
    }
    pare_byte_buffer_free(&front);
    return status;
}
