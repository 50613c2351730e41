/* Reading checkpoints, which may be anything: CHECKPOINT.md defines the bytes and the order of the checks. */
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "pare/bytes.h"
#include "pare/file.h"
#include "pare/memory.h"
#include "train/checkpoint_format.h"

static const char *const section_names[CHECKPOINT_SECTIONS] = {"identity", "progress", "arrays", "data"};

typedef struct section {
    uint32_t crc;
    uint64_t offset, bytes;
} section;

typedef struct source {
    const char *path;
    int descriptor;
    uint64_t size;
    section sections[CHECKPOINT_SECTIONS];
    pare_error *error;
} source;

/* --- header and section table -------------------------------------------------------- */

static pare_status check_magic(const source *s, const uint8_t *front, size_t bytes) {
    if (bytes < 4 || memcmp(front, CHECKPOINT_MAGIC, 4) != 0) {
        char found[16];
        return pare_fail_at(
            s->error, PARE_BAD_INPUT, 0, "%s: expected a checkpoint of a training run (\"%s\"), found %s%s%s", s->path,
            CHECKPOINT_MAGIC, bytes == 0 ? "an empty file" : "\"",
            pare_printable((const char *)front, bytes < 4 ? bytes : 4, found, sizeof found), bytes == 0 ? "" : "\"");
    }
    if (bytes < CHECKPOINT_FRONT_BYTES) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, bytes,
                            "%s: cut off: expected %d bytes of header and sections, found %zu", s->path,
                            CHECKPOINT_FRONT_BYTES, bytes);
    }
    return PARE_OK;
}

static pare_status read_header(const source *s, const uint8_t *front) {
    pare_reader r = {front, CHECKPOINT_HEADER_BYTES, 4};
    uint32_t version = 0, count = 0, table_crc = 0, zero = 0, crc = 0;
    uint64_t bytes = 0;
    bool whole = pare_read_u32(&r, &version) && pare_read_u64(&r, &bytes) && pare_read_u32(&r, &count) &&
                 pare_read_u32(&r, &table_crc) && pare_read_u32(&r, &zero) && pare_read_u32(&r, &crc);
    if (!whole || crc != crc32_z(0, front, CHECKPOINT_HEADER_BYTES - 4)) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, CHECKPOINT_HEADER_BYTES - 4,
                            "%s: damaged: the header's checksum does not match", s->path);
    }
    if (version == 0 || version > CHECKPOINT_VERSION) {
        return pare_fail_at(s->error, version == 0 ? PARE_BAD_INPUT : PARE_UNSUPPORTED, 4,
                            "%s: expected version 1 to %d of the checkpoint format, found %u", s->path,
                            CHECKPOINT_VERSION, version);
    }
    if (bytes != s->size) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, 8, "%s: %s: expected a file of %llu bytes, found %llu", s->path,
                            s->size < bytes ? "cut off" : "damaged", (unsigned long long)bytes,
                            (unsigned long long)s->size);
    }
    if (count != CHECKPOINT_SECTIONS || zero != 0) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, 16, "%s: expected %d sections and 0, found %u and %u", s->path,
                            CHECKPOINT_SECTIONS, count, zero);
    }
    if (table_crc != crc32_z(0, front + CHECKPOINT_HEADER_BYTES, CHECKPOINT_FRONT_BYTES - CHECKPOINT_HEADER_BYTES)) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, CHECKPOINT_HEADER_BYTES,
                            "%s: damaged: the section table's checksum does not match", s->path);
    }
    return PARE_OK;
}

/* Sections follow one another without a gap, up to the end. */
static pare_status read_table(source *s, const uint8_t *front) {
    pare_reader r = {front, CHECKPOINT_FRONT_BYTES, CHECKPOINT_HEADER_BYTES};
    uint64_t expected = CHECKPOINT_FRONT_BYTES;
    for (uint32_t i = 0; i < CHECKPOINT_SECTIONS; i++) {
        section *found = &s->sections[i];
        uint64_t at = r.position;
        uint32_t type = 0;
        bool last = i + 1 == CHECKPOINT_SECTIONS;
        if (!pare_read_u32(&r, &type) || !pare_read_u32(&r, &found->crc) || !pare_read_u64(&r, &found->offset) ||
            !pare_read_u64(&r, &found->bytes) || type != i + 1 || found->offset != expected ||
            found->bytes > s->size - expected || (last && found->bytes != s->size - expected)) {
            return pare_fail_at(s->error, PARE_BAD_INPUT, at,
                                "%s: expected section %s (type %u) at byte %llu and within the file, found type %u "
                                "with %llu bytes at %llu",
                                s->path, section_names[i], i + 1, (unsigned long long)expected, type,
                                (unsigned long long)found->bytes, (unsigned long long)found->offset);
        }
        expected += found->bytes;
    }
    return PARE_OK;
}

static pare_status read_front(source *s) {
    uint8_t front[CHECKPOINT_FRONT_BYTES];
    size_t bytes = s->size < sizeof front ? (size_t)s->size : sizeof front;
    PARE_TRY(pare_file_read_at(s->descriptor, s->path, 0, front, bytes, s->error));
    PARE_TRY(check_magic(s, front, bytes));
    PARE_TRY(read_header(s, front));
    return read_table(s, front);
}

/* --- sections ------------------------------------------------------------------------ */

/* One more byte than the section has is allocated. The caller frees *data. */
static pare_status read_section(const source *s, int index, uint64_t least, uint64_t most, uint8_t **data) {
    const section *from = &s->sections[index];
    if (from->bytes < least || from->bytes > most) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, from->offset,
                            "%s: section %s: expected %llu to %llu bytes, found %llu", s->path, section_names[index],
                            (unsigned long long)least, (unsigned long long)most, (unsigned long long)from->bytes);
    }
    size_t bytes = (size_t)from->bytes;
    uint8_t *block = pare_alloc(bytes + 1);
    if (block == NULL) {
        return pare_fail_memory(s->error, bytes);
    }
    pare_status status = pare_file_read_at(s->descriptor, s->path, from->offset, block, bytes, s->error);
    if (status == PARE_OK && from->crc != crc32_z(0, block, bytes)) {
        status = pare_fail_at(s->error, PARE_BAD_INPUT, from->offset,
                              "%s: damaged: the checksum of section %s does not match", s->path, section_names[index]);
    }
    if (status != PARE_OK) {
        pare_free(block);
        return status;
    }
    *data = block;
    return PARE_OK;
}

static bool read_text(pare_reader *r, size_t most, const uint8_t **text, uint32_t *bytes) {
    return pare_read_u32(r, bytes) && *bytes <= most && pare_read_span(r, *bytes, text) &&
           pare_is_utf8((const char *)*text, *bytes);
}

static pare_status malformed(const source *s, int index, const pare_reader *r, const char *expected) {
    return pare_fail_at(s->error, PARE_BAD_INPUT, s->sections[index].offset + r->position,
                        "%s: section %s: expected %s at byte %zu, found something else or the section's end", s->path,
                        section_names[index], expected, r->position);
}

enum { TOOL, BACKEND, ISA, OPTIONS, TEXTS };

/* The texts point into `block`, where a NUL is put behind each. */
static pare_status parse_identity(const source *s, uint8_t *block, pare_checkpoint_identity *identity,
                                  const char *texts[TEXTS]) {
    pare_reader r = {block, (size_t)s->sections[CHECKPOINT_IDENTITY].bytes, 0};
    uint32_t small[3] = {0}, bytes[TEXTS];
    const uint8_t *text;
    size_t at[TEXTS];
    if (!pare_read_u64(&r, &identity->model_hash) || !pare_read_u64(&r, &identity->teacher_hash) ||
        !pare_read_u64(&r, &identity->samples) || !pare_read_u64(&r, &identity->seed) ||
        !pare_read_u32(&r, &identity->dataset_crc) || !pare_read_u32(&r, &identity->validation_crc) ||
        !pare_read_u32(&r, &small[0]) || !pare_read_u32(&r, &small[1]) || !pare_read_u32(&r, &small[2])) {
        return malformed(s, CHECKPOINT_IDENTITY, &r, "a number");
    }
    identity->threads = (int32_t)small[0];
    identity->ranks = (int32_t)small[1];
    identity->optimizer = (int32_t)small[2];
    for (int i = 0; i < TEXTS; i++) {
        if (!read_text(&r, CHECKPOINT_TEXT_MOST, &text, &bytes[i])) {
            return malformed(s, CHECKPOINT_IDENTITY, &r, "a text (UTF-8 without NUL)");
        }
        at[i] = r.position - bytes[i];
    }
    if (pare_reader_left(&r) != 0) {
        return malformed(s, CHECKPOINT_IDENTITY, &r, "its end");
    }
    for (int i = 0; i < TEXTS; i++) {
        block[at[i] + bytes[i]] = '\0';
        texts[i] = (const char *)block + at[i];
    }
    identity->backend = texts[BACKEND];
    identity->isa = texts[ISA];
    identity->options = texts[OPTIONS];
    return PARE_OK;
}

static bool read_f64(pare_reader *r, double *value) {
    uint64_t bits;
    return pare_read_u64(r, &bits) && (memcpy(value, &bits, sizeof bits), true);
}

static pare_status parse_progress(const source *s, const uint8_t *block, pare_checkpoint_progress *p) {
    pare_reader r = {block, CHECKPOINT_PROGRESS_BYTES, 0};
    uint64_t *const counters[] = {&p->step,           &p->total_steps,        &p->epoch,    &p->batch_in_epoch,
                                  &p->optimizer_step, &p->early_stop_counter, &p->best_step};
    bool whole = true;
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        whole = whole && pare_read_u64(&r, counters[i]);
    }
    whole = whole && read_f64(&r, &p->best_metric) && read_f64(&r, &p->loss_sum) && pare_read_u64(&r, &p->loss_count);
    for (size_t i = 0; i < sizeof p->random / sizeof *p->random; i++) {
        whole = whole && pare_read_u64(&r, &p->random[i]);
    }
    if (!whole) {
        return malformed(s, CHECKPOINT_PROGRESS, &r, "a number");
    }
    if (p->step > p->total_steps || p->best_step > p->step) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, s->sections[CHECKPOINT_PROGRESS].offset,
                            "%s: expected a step within the run's %llu and a best step not behind it, found steps %llu "
                            "and %llu",
                            s->path, (unsigned long long)p->total_steps, (unsigned long long)p->step,
                            (unsigned long long)p->best_step);
    }
    return PARE_OK;
}

/* --- arrays -------------------------------------------------------------------------- */

/* What the file says of array `i`; `elements` is the sum so far. */
typedef struct stored_array {
    uint64_t count, elements;
    const uint8_t *name;
    uint32_t name_bytes;
} stored_array;

static pare_status parse_array(const source *s, pare_reader *r, stored_array *stored) {
    uint64_t most = s->sections[CHECKPOINT_DATA].bytes / 4;
    if (!pare_read_u64(r, &stored->count) || stored->count > most - stored->elements) {
        return malformed(s, CHECKPOINT_ARRAYS, r, "elements that section data holds");
    }
    if (!read_text(r, CHECKPOINT_NAME_MOST, &stored->name, &stored->name_bytes) || stored->name_bytes == 0) {
        return malformed(s, CHECKPOINT_ARRAYS, r, "a name (UTF-8 without NUL)");
    }
    stored->elements += stored->count;
    return PARE_OK;
}

static bool is_array(const stored_array *stored, const pare_checkpoint_array *array) {
    return stored->count == array->count && stored->name_bytes == strlen(array->name) &&
           memcmp(stored->name, array->name, stored->name_bytes) == 0;
}

/* The section is checked to its end first: it is malformed, or another's. */
static pare_status compare_arrays(const source *s, const uint8_t *block, const pare_checkpoint_array *arrays,
                                  size_t count) {
    pare_reader r = {block, (size_t)s->sections[CHECKPOINT_ARRAYS].bytes, 0};
    stored_array stored = {0}, other = {0};
    uint32_t saved = 0, different = UINT32_MAX;
    if (!pare_read_u32(&r, &saved) || saved > CHECKPOINT_ARRAYS_MOST) {
        return malformed(s, CHECKPOINT_ARRAYS, &r, "a number of arrays");
    }
    for (uint32_t i = 0; i < saved; i++) {
        PARE_TRY(parse_array(s, &r, &stored));
        if (different == UINT32_MAX && (i >= count || !is_array(&stored, &arrays[i]))) {
            different = i;
            other = stored;
        }
    }
    if (pare_reader_left(&r) != 0 || 4 * stored.elements != s->sections[CHECKPOINT_DATA].bytes) {
        return malformed(s, CHECKPOINT_ARRAYS, &r, "its end, and as many elements as section data has");
    }
    if (different < count) {
        char name[200];
        return pare_fail(s->error, PARE_USAGE,
                         "%s: expected the arrays of this run: array %u: saved \"%s\" of %llu elements, this run has "
                         "\"%s\" of %zu",
                         s->path, different,
                         pare_printable((const char *)other.name, other.name_bytes, name, sizeof name),
                         (unsigned long long)other.count, arrays[different].name, arrays[different].count);
    }
    return saved == count ? PARE_OK
                          : pare_fail(s->error, PARE_USAGE,
                                      "%s: expected the arrays of this run: saved %u arrays, this run has %zu", s->path,
                                      saved, count);
}

static void take_over(const uint8_t *block, const pare_checkpoint_array *arrays, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < arrays[i].count; k++, block += 4) {
            uint32_t bits =
                (uint32_t)block[0] | (uint32_t)block[1] << 8 | (uint32_t)block[2] << 16 | (uint32_t)block[3] << 24;
            memcpy(&arrays[i].data[k], &bits, sizeof bits);
        }
    }
}

/* --- the file ------------------------------------------------------------------------ */

/* Everything is checked; the elements stay in *data, which the caller frees. */
static pare_status read_sections(const source *s, const pare_checkpoint_identity *identity,
                                 pare_checkpoint_progress *progress, const pare_checkpoint_array *arrays, size_t count,
                                 uint8_t **data) {
    uint8_t *blocks[CHECKPOINT_DATA] = {NULL};
    pare_checkpoint_identity saved = {0};
    const char *texts[TEXTS];
    pare_status status = read_section(s, CHECKPOINT_IDENTITY, 0, CHECKPOINT_IDENTITY_MOST, &blocks[0]);
    if (status == PARE_OK) {
        status = read_section(s, CHECKPOINT_PROGRESS, CHECKPOINT_PROGRESS_BYTES, CHECKPOINT_PROGRESS_BYTES, &blocks[1]);
    }
    if (status == PARE_OK) {
        status = read_section(s, CHECKPOINT_ARRAYS, 4, CHECKPOINT_DIRECTORY_MOST, &blocks[2]);
    }
    if (status == PARE_OK) {
        status = parse_identity(s, blocks[0], &saved, texts);
    }
    if (status == PARE_OK) {
        status = parse_progress(s, blocks[1], progress);
    }
    if (status == PARE_OK) {
        status = pare_checkpoint_compare(s->path, &saved, texts[TOOL], identity, s->error);
    }
    if (status == PARE_OK) {
        status = compare_arrays(s, blocks[2], arrays, count);
    }
    for (size_t i = 0; i < CHECKPOINT_DATA; i++) {
        pare_free(blocks[i]);
    }
    /* Only now: as many bytes as the arrays of this run have. */
    return status == PARE_OK ? read_section(s, CHECKPOINT_DATA, 0, UINT64_MAX, data) : status;
}

static pare_status read_checkpoint(const char *path, const pare_checkpoint_identity *identity,
                                   pare_checkpoint_progress *progress, const pare_checkpoint_array *arrays,
                                   size_t count, uint8_t **data, pare_error *error) {
    source s = {.path = path, .error = error};
    PARE_TRY(pare_file_open(path, &s.descriptor, &s.size, error));
    pare_status status = read_front(&s);
    if (status == PARE_OK) {
        status = read_sections(&s, identity, progress, arrays, count, data);
    }
    close(s.descriptor);
    return status;
}

/* Adds to the message whether the file before this one can be used. */
static void tell_of_previous(const char *path, const pare_checkpoint_identity *identity,
                             const pare_checkpoint_array *arrays, size_t count, pare_error *error) {
    static const char ending[] = CHECKPOINT_ENDING;
    pare_error other = {0};
    pare_checkpoint_progress progress;
    uint8_t *data = NULL;
    size_t bytes = strlen(path);
    char *previous = error != NULL ? pare_alloc(bytes + sizeof ending) : NULL;
    if (previous == NULL) {
        return;
    }
    memcpy(previous, path, bytes);
    memcpy(previous + bytes, ending, sizeof ending);
    pare_error first = *error;
    if (access(previous, F_OK) != 0) {
        pare_fail_at(error, first.code, first.offset, "%s; there is no %s", first.message, previous);
    } else if (read_checkpoint(previous, identity, &progress, arrays, count, &data, &other) == PARE_OK) {
        pare_fail_at(error, first.code, first.offset, "%s; %s is whole (step %llu) and can be used instead",
                     first.message, previous, (unsigned long long)progress.step);
    } else {
        pare_fail_at(error, first.code, first.offset, "%s; nor can the file before it be used: %s", first.message,
                     other.message);
    }
    pare_free(data);
    pare_free(previous);
}

pare_status pare_checkpoint_load(const char *path, const pare_checkpoint_identity *identity,
                                 pare_checkpoint_progress *progress, const pare_checkpoint_array *arrays,
                                 size_t array_count, pare_error *error) {
    pare_checkpoint_progress found = {0};
    uint8_t *data = NULL;
    PARE_TRY(pare_checkpoint_check(identity, arrays, array_count, error));
    pare_status status = read_checkpoint(path, identity, &found, arrays, array_count, &data, error);
    if (status == PARE_OK) {
        take_over(data, arrays, array_count);
        *progress = found;
    } else if (status == PARE_BAD_INPUT || status == PARE_IO) {
        tell_of_previous(path, identity, arrays, array_count, error);
    }
    pare_free(data);
    return status;
}
