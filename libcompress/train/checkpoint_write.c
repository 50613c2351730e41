#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "pare/bytes.h"
#include "pare/file.h"
#include "train/checkpoint.h"
#include "train/checkpoint_format.h"

static void put_f64(pare_byte_buffer *out, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    pare_put_u64(out, bits);
}

static void put_text(pare_byte_buffer *out, const char *text) {
    size_t length = strlen(text);
    pare_put_u32(out, (uint32_t)length);
    pare_put_bytes(out, text, length);
}

static void put_identity(pare_byte_buffer *out, const pare_checkpoint_identity *id) {
    put_text(out, id->options);
    pare_put_u64(out, id->model_hash);
    pare_put_u64(out, id->teacher_hash);
    pare_put_u32(out, id->dataset_crc);
    pare_put_u32(out, id->validation_crc);
    pare_put_u64(out, id->samples);
    put_text(out, id->backend);
    put_text(out, id->isa);
    pare_put_u32(out, (uint32_t)id->threads);
    pare_put_u32(out, (uint32_t)id->ranks);
    pare_put_u64(out, id->seed);
    pare_put_u32(out, (uint32_t)id->optimizer);
}

static void put_progress(pare_byte_buffer *out, const pare_checkpoint_progress *p) {
    const uint64_t counters[] = {p->step,           p->total_steps,        p->epoch,    p->batch_in_epoch,
                                 p->optimizer_step, p->early_stop_counter, p->best_step};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        pare_put_u64(out, counters[i]);
    }
    put_f64(out, p->best_metric);
    put_f64(out, p->loss_sum);
    pare_put_u64(out, p->loss_count);
    for (size_t i = 0; i < CHECKPOINT_RANDOM; i++) {
        pare_put_u64(out, p->random[i]);
    }
}

static void put_array(pare_byte_buffer *out, const pare_checkpoint_array *array) {
    put_text(out, array->name);
    pare_put_u64(out, array->count);
    for (size_t i = 0; i < array->count; i++) {
        pare_put_f32(out, array->data[i]);
    }
}

/* Writes the payload as a section and empties the buffer. */
static pare_status write_section(pare_output *output, uint32_t tag, pare_byte_buffer *payload, pare_error *error) {
    pare_byte_buffer head = {0};
    pare_put_u32(&head, tag);
    pare_put_u64(&head, payload->size);
    pare_put_u32(&head, (uint32_t)crc32_z(0, payload->data, payload->size));
    pare_status status = head.failed || payload->failed ? pare_fail_memory(error, payload->size)
                                                        : pare_output_write(output, head.data, head.size, error);
    if (status == PARE_OK) {
        status = pare_output_write(output, payload->data, payload->size, error);
    }
    pare_byte_buffer_free(&head);
    payload->size = 0;
    return status;
}

static pare_status write_sections(pare_output *output, const pare_checkpoint_identity *identity,
                                  const pare_checkpoint_progress *progress, const pare_checkpoint_array *arrays,
                                  size_t count, pare_byte_buffer *buffer, pare_error *error) {
    pare_put_bytes(buffer, CHECKPOINT_MAGIC, 8);
    pare_put_u32(buffer, CHECKPOINT_VERSION);
    pare_put_u32(buffer, (uint32_t)(count + 2));
    PARE_TRY(buffer->failed ? pare_fail_memory(error, 16)
                            : pare_output_write(output, buffer->data, buffer->size, error));
    buffer->size = 0;
    put_identity(buffer, identity);
    PARE_TRY(write_section(output, CHECKPOINT_IDENTITY, buffer, error));
    put_progress(buffer, progress);
    PARE_TRY(write_section(output, CHECKPOINT_PROGRESS, buffer, error));
    for (size_t i = 0; i < count; i++) {
        put_array(buffer, &arrays[i]);
        PARE_TRY(write_section(output, CHECKPOINT_ARRAY, buffer, error));
    }
    return PARE_OK;
}

static pare_status write_new(const char *path, const pare_checkpoint_identity *identity,
                             const pare_checkpoint_progress *progress, const pare_checkpoint_array *arrays,
                             size_t count, pare_error *error) {
    pare_output *output = NULL;
    pare_byte_buffer buffer = {0};
    PARE_TRY(pare_output_open(path, &output, error));
    pare_status status = write_sections(output, identity, progress, arrays, count, &buffer, error);
    pare_byte_buffer_free(&buffer);
    if (status != PARE_OK) {
        pare_output_discard(output);
        return status;
    }
    return pare_output_commit(output, error);
}

/* The file that is there keeps its name until the new one takes it, and gets a second one. */
static pare_status keep_previous(const char *path, const char *previous, pare_error *error) {
    char second[CHECKPOINT_LONGEST_PATH + 32];
    if (access(path, F_OK) != 0) {
        return PARE_OK;
    }
    snprintf(second, sizeof second, "%s.tmp", previous);
    (void)unlink(second); /* of a run that was killed here */
    if (link(path, second) != 0) {
        /* A file system without links: for a moment only the previous one is there. */
        return rename(path, previous) == 0
                   ? PARE_OK
                   : pare_fail(error, PARE_IO, "cannot rename %s to %s: %s", path, previous, strerror(errno));
    }
    if (rename(second, previous) != 0) {
        int reason = errno;
        (void)unlink(second);
        return pare_fail(error, PARE_IO, "cannot make %s: %s", previous, strerror(reason));
    }
    return PARE_OK;
}

static void sync_folder(const char *path) {
    char copy[CHECKPOINT_LONGEST_PATH + 16];
    snprintf(copy, sizeof copy, "%s", path);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        (void)fsync(folder);
        (void)close(folder);
    }
}

pare_status pare_checkpoint_save(const char *path, const pare_checkpoint_identity *identity,
                                 const pare_checkpoint_progress *progress, const pare_checkpoint_array *arrays,
                                 size_t array_count, pare_error *error) {
    char fresh[CHECKPOINT_LONGEST_PATH + 16], previous[CHECKPOINT_LONGEST_PATH + 16];
    if (strlen(path) > CHECKPOINT_LONGEST_PATH || array_count + 2 > CHECKPOINT_MOST_SECTIONS ||
        strlen(identity->options) > CHECKPOINT_LONGEST_TEXT) {
        return pare_fail(error, PARE_LIMIT, "expected a path of at most %d bytes, %d arrays and %d bytes of options",
                         CHECKPOINT_LONGEST_PATH, CHECKPOINT_MOST_SECTIONS - 2, CHECKPOINT_LONGEST_TEXT);
    }
    snprintf(fresh, sizeof fresh, "%s.new", path);
    snprintf(previous, sizeof previous, "%s.previous", path);
    PARE_TRY(write_new(fresh, identity, progress, arrays, array_count, error));
    pare_status status = keep_previous(path, previous, error);
    if (status == PARE_OK && rename(fresh, path) != 0) {
        status = pare_fail(error, PARE_IO, "cannot rename %s to %s: %s", fresh, path, strerror(errno));
    }
    if (status != PARE_OK) {
        (void)unlink(fresh);
        return status;
    }
    sync_folder(path);
    return PARE_OK;
}
