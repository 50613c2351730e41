#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "pare/bytes.h"
#include "pare/file.h"
#include "pare/memory.h"
#include "train/checkpoint.h"
#include "train/checkpoint_format.h"

/* One section's payload, its CRC checked. */
typedef struct section {
    uint32_t tag;
    pare_reader payload;
} section;

static pare_status fail_damaged(const char *path, const char *what, size_t at, pare_error *error) {
    return pare_fail_at(error, PARE_BAD_INPUT, at, "%s: expected %s at byte %zu, found a damaged file", path, what, at);
}

static pare_status next_section(const char *path, pare_reader *reader, section *s, pare_error *error) {
    uint64_t bytes = 0;
    uint32_t crc = 0;
    const uint8_t *data = NULL;
    size_t at = reader->position;
    if (!pare_read_u32(reader, &s->tag) || !pare_read_u64(reader, &bytes) || !pare_read_u32(reader, &crc) ||
        bytes > pare_reader_left(reader) || !pare_read_span(reader, (size_t)bytes, &data)) {
        return fail_damaged(path, "a whole section", at, error);
    }
    if (crc32_z(0, data, (size_t)bytes) != crc) {
        return fail_damaged(path, "a section whose CRC-32 agrees", at, error);
    }
    s->payload = (pare_reader){.data = data, .size = (size_t)bytes};
    return PARE_OK;
}

static bool read_text(pare_reader *reader, const char **text, size_t *length) {
    uint32_t bytes = 0;
    const uint8_t *data = NULL;
    if (!pare_read_u32(reader, &bytes) || bytes > CHECKPOINT_LONGEST_TEXT || !pare_read_span(reader, bytes, &data) ||
        !pare_is_utf8((const char *)data, bytes)) {
        return false;
    }
    *text = (const char *)data;
    *length = bytes;
    return true;
}

static bool read_f64(pare_reader *reader, double *value) {
    uint64_t bits = 0;
    bool good = pare_read_u64(reader, &bits);
    memcpy(value, &bits, sizeof bits);
    return good;
}

/* --- identity: each difference by name ---------------------------------------------------- */

static pare_status differ_text(const char *path, const char *what, const char *saved, size_t length, const char *now,
                               pare_error *error) {
    if (strlen(now) == length && memcmp(saved, now, length) == 0) {
        return PARE_OK;
    }
    char shown[300], other[300];
    return pare_fail(error, PARE_USAGE, "%s: expected a run with the same %s, saved with %s, now %s", path, what,
                     pare_printable(saved, length, shown, sizeof shown),
                     pare_printable(now, strlen(now), other, sizeof other));
}

static pare_status differ_number(const char *path, const char *what, uint64_t saved, uint64_t now, bool hexadecimal,
                                 pare_error *error) {
    if (saved == now) {
        return PARE_OK;
    }
    return hexadecimal
               ? pare_fail(error, PARE_USAGE, "%s: expected the same %s, saved with one of hash %016llx, now %016llx",
                           path, what, (unsigned long long)saved, (unsigned long long)now)
               : pare_fail(error, PARE_USAGE, "%s: expected the same %s, saved with %llu, now %llu", path, what,
                           (unsigned long long)saved, (unsigned long long)now);
}

/* Where in two texts of options the first difference lies, so that a message shows it. */
static size_t common_start(const char *a, size_t length, const char *b) {
    size_t at = 0;
    while (at < length && b[at] != '\0' && a[at] == b[at]) {
        at++;
    }
    while (at > 0 && a[at - 1] != ',' && a[at - 1] != '{') {
        at--;
    }
    return at;
}

static const char *optimizer_name(uint32_t kind) {
    static const char *const names[] = {"sgd", "adam", "adamw"};
    return kind < 3 ? names[kind] : "unknown";
}

static pare_status check_identity(const char *path, pare_reader *r, const pare_checkpoint_identity *id,
                                  pare_error *error) {
    const char *options = NULL, *backend = NULL, *isa = NULL;
    size_t options_length = 0, backend_length = 0, isa_length = 0;
    uint64_t model = 0, teacher = 0, samples = 0, seed = 0;
    uint32_t data = 0, validation = 0, threads = 0, ranks = 0, optimizer = 0;
    if (!read_text(r, &options, &options_length) || !pare_read_u64(r, &model) || !pare_read_u64(r, &teacher) ||
        !pare_read_u32(r, &data) || !pare_read_u32(r, &validation) || !pare_read_u64(r, &samples) ||
        !read_text(r, &backend, &backend_length) || !read_text(r, &isa, &isa_length) || !pare_read_u32(r, &threads) ||
        !pare_read_u32(r, &ranks) || !pare_read_u64(r, &seed) || !pare_read_u32(r, &optimizer)) {
        return fail_damaged(path, "the run's identity", 0, error);
    }
    PARE_TRY(differ_number(path, "model", model, id->model_hash, true, error));
    PARE_TRY(differ_number(path, "teacher", teacher, id->teacher_hash, true, error));
    PARE_TRY(differ_number(path, "number of samples", samples, id->samples, false, error));
    PARE_TRY(differ_number(path, "training set", data, id->dataset_crc, true, error));
    PARE_TRY(differ_number(path, "validation set", validation, id->validation_crc, true, error));
    PARE_TRY(differ_number(path, "seed", seed, id->seed, false, error));
    const char *saved = optimizer_name(optimizer);
    PARE_TRY(differ_text(path, "optimizer", saved, strlen(saved), optimizer_name((uint32_t)id->optimizer), error));
    PARE_TRY(differ_number(path, "number of threads", threads, (uint32_t)id->threads, false, error));
    PARE_TRY(differ_number(path, "number of ranks", ranks, (uint32_t)id->ranks, false, error));
    size_t at = common_start(options, options_length, id->options);
    PARE_TRY(options_length == strlen(id->options) && memcmp(options, id->options, options_length) == 0
                 ? PARE_OK
                 : differ_text(path, "options", options + at, options_length - at, id->options + at, error));
    PARE_TRY(differ_text(path, "library", backend, backend_length, id->backend, error));
    return differ_text(path, "instruction set", isa, isa_length, id->isa, error);
}

/* --- progress and arrays ---------------------------------------------------------------------- */

static bool read_progress(pare_reader *r, pare_checkpoint_progress *p) {
    uint64_t *const counters[] = {&p->step,           &p->total_steps,        &p->epoch,    &p->batch_in_epoch,
                                  &p->optimizer_step, &p->early_stop_counter, &p->best_step};
    bool good = true;
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        good = good && pare_read_u64(r, counters[i]);
    }
    good = good && read_f64(r, &p->best_metric) && read_f64(r, &p->loss_sum) && pare_read_u64(r, &p->loss_count);
    for (size_t i = 0; i < CHECKPOINT_RANDOM; i++) {
        good = good && pare_read_u64(r, &p->random[i]);
    }
    return good && pare_reader_left(r) == 0 && p->step <= p->total_steps;
}

/* The floats of a section, where it is the array that is wanted. */
static pare_status check_array(const char *path, section *s, const pare_checkpoint_array *array, pare_error *error) {
    const char *name = NULL;
    size_t length = 0;
    uint64_t count = 0;
    if (s->tag != CHECKPOINT_ARRAY || !read_text(&s->payload, &name, &length) || !pare_read_u64(&s->payload, &count) ||
        count != pare_reader_left(&s->payload) / sizeof(float) || pare_reader_left(&s->payload) % sizeof(float) != 0) {
        return fail_damaged(path, "an array", 0, error);
    }
    char shown[100];
    (void)pare_printable(name, length, shown, sizeof shown);
    if (strlen(array->name) != length || memcmp(array->name, name, length) != 0 || count != array->count) {
        return pare_fail(error, PARE_USAGE, "%s: expected %zu numbers of \"%s\", found %llu of \"%s\"", path,
                         array->count, array->name, (unsigned long long)count, shown);
    }
    return PARE_OK;
}

static pare_status parse(const char *path, pare_reader *reader, const pare_checkpoint_identity *identity,
                         pare_checkpoint_progress *progress, const pare_checkpoint_array *arrays, size_t count,
                         section *sections, pare_error *error) {
    const uint8_t *magic = NULL;
    uint32_t version = 0, section_count = 0;
    if (!pare_read_span(reader, 8, &magic) || memcmp(magic, CHECKPOINT_MAGIC, 8) != 0) {
        return pare_fail(error, PARE_BAD_INPUT, "%s: expected a checkpoint of a training run, found something else",
                         path);
    }
    if (!pare_read_u32(reader, &version) || version != CHECKPOINT_VERSION) {
        return pare_fail(error, version > CHECKPOINT_VERSION ? PARE_UNSUPPORTED : PARE_BAD_INPUT,
                         "%s: expected version %d of checkpoints, found %u", path, CHECKPOINT_VERSION, version);
    }
    if (!pare_read_u32(reader, &section_count) || section_count < 2 || section_count > CHECKPOINT_MOST_SECTIONS) {
        return fail_damaged(path, "a number of sections", reader->position, error);
    }
    for (uint32_t i = 0; i < section_count; i++) {
        PARE_TRY(next_section(path, reader, &sections[i], error));
    }
    if (pare_reader_left(reader) != 0 || sections[0].tag != CHECKPOINT_IDENTITY ||
        sections[1].tag != CHECKPOINT_PROGRESS || !read_progress(&sections[1].payload, progress)) {
        return fail_damaged(path, "identity, progress and arrays", reader->position, error);
    }
    PARE_TRY(check_identity(path, &sections[0].payload, identity, error));
    if (section_count != count + 2) {
        return pare_fail(error, PARE_USAGE, "%s: expected %zu arrays, found %u", path, count, section_count - 2);
    }
    for (size_t i = 0; i < count; i++) {
        PARE_TRY(check_array(path, &sections[i + 2], &arrays[i], error));
    }
    return PARE_OK;
}

/* The header's file limit: generous, but no bomb. */
static size_t largest_file(const pare_checkpoint_array *arrays, size_t count) {
    size_t bytes = (size_t)1 << 24;
    for (size_t i = 0; i < count; i++) {
        bytes += arrays[i].count * sizeof(float);
    }
    return bytes > (size_t)1 << 32 ? bytes : (size_t)1 << 32;
}

static pare_status load(const char *path, const pare_checkpoint_identity *identity, pare_checkpoint_progress *progress,
                        const pare_checkpoint_array *arrays, size_t count, pare_error *error) {
    uint8_t *file = NULL;
    size_t size = 0;
    section sections[CHECKPOINT_MOST_SECTIONS];
    pare_checkpoint_progress found = {0};
    PARE_TRY(pare_file_read(path, largest_file(arrays, count), &file, &size, error));
    pare_reader reader = {.data = file, .size = size};
    pare_status status = parse(path, &reader, identity, &found, arrays, count, sections, error);
    for (size_t i = 0; status == PARE_OK && i < count; i++) {
        for (size_t k = 0; k < arrays[i].count; k++) {
            (void)pare_read_f32(&sections[i + 2].payload, &arrays[i].data[k]);
        }
    }
    if (status == PARE_OK) {
        *progress = found;
    }
    pare_free(file);
    return status;
}

pare_status pare_checkpoint_load(const char *path, const pare_checkpoint_identity *identity,
                                 pare_checkpoint_progress *progress, const pare_checkpoint_array *arrays,
                                 size_t array_count, pare_error *error) {
    pare_status status = load(path, identity, progress, arrays, array_count, error);
    if (status == PARE_OK || status == PARE_USAGE || error == NULL) {
        return status;
    }
    char previous[CHECKPOINT_LONGEST_PATH + 16];
    snprintf(previous, sizeof previous, "%.*s.previous", CHECKPOINT_LONGEST_PATH, path);
    if (access(previous, R_OK) == 0) {
        size_t used = strlen(error->message);
        snprintf(error->message + used, sizeof error->message - used, "; %s is there to go on from", previous);
    }
    return status;
}
