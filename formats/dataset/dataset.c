#include "pare/dataset.h"

#include <string.h>
#include <zlib.h>

#include "pare/checked.h"
#include "pare/memory.h"
#include "pare/random.h"
#include "source.h"

typedef enum part_kind { PART_RANGE, PART_TRAIN, PART_VAL } part_kind;

/* Of each FOLDS samples in file order the last belongs to #val. */
#define FOLDS 10

struct pare_dataset {
    char *spec;
    char *arguments; /* the SPEC cut into pieces */
    pare_source source;
    part_kind part;
    size_t from;
    size_t count;
    size_t *kept; /* positions within the part, or NULL for the first `count` */
};

void pare_sample_free(pare_sample *sample) {
    pare_free(sample->data);
    pare_free(sample->classes);
    pare_free(sample->values);
    memset(sample, 0, sizeof *sample);
}

pare_status pare_sample_reserve(pare_sample *sample, size_t bytes, pare_error *error) {
    if (bytes > sample->capacity || sample->data == NULL) {
        void *grown = pare_realloc(sample->data, bytes);
        if (grown == NULL) {
            return pare_fail_memory(error, bytes);
        }
        sample->data = grown;
        sample->capacity = bytes;
    }
    sample->bytes = bytes;
    return PARE_OK;
}

pare_status pare_sample_reserve_targets(pare_sample *sample, pare_target_kind kind, size_t count, pare_error *error) {
    bool missing = kind == PARE_TARGET_CLASS ? sample->classes == NULL : sample->values == NULL;
    if (kind == PARE_TARGET_NONE || (count <= sample->target_capacity && !missing)) {
        return PARE_OK;
    }
    size_t bytes;
    if (!pare_mul_size(count, sizeof(int64_t), &bytes)) {
        return pare_fail_memory(error, SIZE_MAX);
    }
    /* A sample may go from one set to another of the other kind: start afresh. */
    pare_free(sample->classes);
    pare_free(sample->values);
    sample->classes = NULL;
    sample->values = NULL;
    sample->target_capacity = 0;
    void *block = pare_alloc(bytes);
    if (block == NULL) {
        return pare_fail_memory(error, bytes);
    }
    if (kind == PARE_TARGET_CLASS) {
        sample->classes = block;
    } else {
        sample->values = block;
    }
    sample->target_capacity = count;
    return PARE_OK;
}

static const struct {
    const char *prefix;
    pare_source_open *open;
} KINDS[] = {
    {"idx:", pare_idx_open}, {"cifar10:", pare_cifar10_open}, {"cifar100:", pare_cifar100_open},
    {"npy:", pare_npy_open}, {"images:", pare_images_open},   {"csv:", pare_csv_open},
};

/* Reads decimal digits; a missing number is `otherwise`. */
static bool parse_position(const char **text, size_t otherwise, size_t *value) {
    if (**text < '0' || **text > '9') {
        *value = otherwise;
        return true;
    }
    for (*value = 0; **text >= '0' && **text <= '9'; ++*text) {
        if (!pare_mul_size(*value, 10, value) || !pare_add_size(*value, (size_t)(**text - '0'), value)) {
            return false;
        }
    }
    return true;
}

/* Cuts "#PART" off the arguments; `part` is NULL when there is none. A '#' that
 * a slash follows belongs to a folder's name. */
static char *cut_part(char *arguments) {
    char *mark = strrchr(arguments, '#');
    if (mark == NULL || strchr(mark, '/') != NULL) {
        return NULL;
    }
    *mark = '\0';
    return mark + 1;
}

static pare_status choose_part(pare_dataset *d, const char *part, pare_error *error) {
    size_t total = d->source.count;
    d->part = PART_RANGE;
    d->from = 0;
    d->count = total;
    if (part == NULL) {
        return PARE_OK;
    }
    if (strcmp(part, "train") == 0 || strcmp(part, "val") == 0) {
        d->part = strcmp(part, "val") == 0 ? PART_VAL : PART_TRAIN;
        d->count = d->part == PART_VAL ? total / FOLDS : total - total / FOLDS;
        return PARE_OK;
    }
    const char *at = part;
    size_t from = 0, to = 0;
    bool valid = parse_position(&at, 0, &from) && *at++ == ':' && parse_position(&at, total, &to) && *at == '\0';
    if (!valid) {
        return pare_fail(error, PARE_USAGE, "expected #train, #val or #FROM:TO, found #%s", part);
    }
    if (from >= to || to > total) {
        return pare_fail(error, PARE_USAGE, "expected a range within 0:%zu, the samples there are, found #%s", total,
                         part);
    }
    d->from = from;
    d->count = to - from;
    return PARE_OK;
}

static pare_status open_source(pare_dataset *d, pare_error *error) {
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        size_t length = strlen(KINDS[i].prefix);
        if (strncmp(d->arguments, KINDS[i].prefix, length) == 0) {
            char *part = cut_part(d->arguments + length);
            PARE_TRY(KINDS[i].open(d->arguments + length, &d->source, error));
            if (d->source.count == 0) {
                return pare_fail(error, PARE_BAD_INPUT, "expected at least one sample, found an empty set");
            }
            PARE_TRY(choose_part(d, part, error));
            return d->count > 0
                       ? PARE_OK
                       : pare_fail(error, PARE_BAD_INPUT, "part #%s of %zu samples is empty", part, d->source.count);
        }
    }
    return pare_fail(error, PARE_USAGE,
                     "expected idx:, cifar10:, cifar100:, npy:, images: or csv: in front of the data set's files");
}

pare_status pare_dataset_open(const char *spec, pare_dataset **dataset, pare_error *error) {
    if (spec == NULL || dataset == NULL) {
        return pare_fail(error, PARE_USAGE, "expected a SPEC and a place for the data set, found NULL");
    }
    *dataset = NULL;
    size_t length = strlen(spec) + 1;
    pare_dataset *d = pare_alloc_zero(1, sizeof *d);
    pare_status status = PARE_LIMIT;
    if (d != NULL) {
        d->spec = pare_alloc(length);
        d->arguments = pare_alloc(length);
    }
    if (d == NULL || d->spec == NULL || d->arguments == NULL) {
        pare_fail_memory(error, sizeof *d + 2 * length);
        goto done;
    }
    memcpy(d->spec, spec, length);
    memcpy(d->arguments, spec, length);
    status = open_source(d, error);
    if (status != PARE_OK) {
        pare_error_prefix(error, "data set %s: ", spec);
    }
done:
    if (status == PARE_OK) {
        *dataset = d;
    } else {
        pare_dataset_close(d);
    }
    return status;
}

void pare_dataset_close(pare_dataset *dataset) {
    if (dataset == NULL) {
        return;
    }
    if (dataset->source.close != NULL && dataset->source.state != NULL) {
        dataset->source.close(dataset->source.state);
    }
    pare_free(dataset->spec);
    pare_free(dataset->arguments);
    pare_free(dataset->kept);
    pare_free(dataset);
}

size_t pare_dataset_count(const pare_dataset *dataset) {
    return dataset->count;
}

pare_sample_info pare_dataset_info(const pare_dataset *dataset) {
    return dataset->source.info;
}

const char *pare_dataset_spec(const pare_dataset *dataset) {
    return dataset->spec;
}

/* Position within the part of sample `index` of the view. */
static size_t part_position(const pare_dataset *d, size_t index) {
    return d->kept != NULL ? d->kept[index] : index;
}

/* Index in the whole set of sample `index` of the view. */
static size_t source_index(const pare_dataset *d, size_t index) {
    size_t position = part_position(d, index);
    switch (d->part) {
    case PART_TRAIN:
        return position + position / (FOLDS - 1);
    case PART_VAL:
        return position * FOLDS + FOLDS - 1;
    case PART_RANGE:
        break;
    }
    return d->from + position;
}

const char *pare_dataset_sample_name(const pare_dataset *dataset, size_t index) {
    if (dataset->source.name == NULL || index >= dataset->count) {
        return NULL;
    }
    return dataset->source.name(dataset->source.state, source_index(dataset, index));
}

static pare_status allocate_view(size_t count, size_t **kept, pare_error *error) {
    size_t bytes = SIZE_MAX;
    *kept = pare_mul_size(count, sizeof **kept, &bytes) ? pare_alloc(bytes) : NULL;
    return *kept != NULL ? PARE_OK : pare_fail_memory(error, bytes);
}

/* Takes `kept` over. */
static void set_view(pare_dataset *d, size_t *kept, size_t count) {
    pare_free(d->kept);
    d->kept = kept;
    d->count = count;
}

pare_status pare_dataset_limit(pare_dataset *dataset, size_t limit, bool shuffle, uint64_t seed, pare_error *error) {
    if (limit == 0 || limit >= dataset->count) {
        return PARE_OK;
    }
    if (!shuffle) {
        dataset->count = limit;
        return PARE_OK;
    }
    size_t *kept = NULL;
    PARE_TRY(allocate_view(limit, &kept, error));
    /* Selection sampling (Knuth, TAOCP vol. 2, 3.4.2, algorithm S): each subset
     * is equally likely and the order stays that of the files. */
    pare_random random;
    pare_random_seed(&random, seed);
    size_t chosen = 0;
    for (size_t i = 0; chosen < limit; i++) {
        if (pare_random_below(&random, dataset->count - i) < limit - chosen) {
            kept[chosen++] = part_position(dataset, i);
        }
    }
    set_view(dataset, kept, limit);
    return PARE_OK;
}

pare_status pare_dataset_select(pare_dataset *dataset, const size_t *indices, size_t count, pare_error *error) {
    if (count == 0) {
        return pare_fail(error, PARE_USAGE, "data set %s: expected samples to select, found none", dataset->spec);
    }
    size_t *kept = NULL;
    PARE_TRY(allocate_view(count, &kept, error));
    for (size_t i = 0; i < count; i++) {
        if (indices[i] >= dataset->count) {
            pare_free(kept);
            return pare_fail(error, PARE_USAGE, "data set %s: expected samples below %zu to select, found %zu",
                             dataset->spec, dataset->count, indices[i]);
        }
        kept[i] = part_position(dataset, indices[i]);
    }
    set_view(dataset, kept, count);
    return PARE_OK;
}

static pare_status prepare_read(const pare_dataset *d, size_t index, pare_sample *sample, pare_error *error) {
    if (index >= d->count) {
        return pare_fail(error, PARE_USAGE, "expected a sample below %zu, found %zu", d->count, index);
    }
    return pare_sample_reserve_targets(sample, d->source.info.target, d->source.info.target_count, error);
}

pare_status pare_dataset_read(pare_dataset *dataset, size_t index, pare_sample *sample, pare_error *error) {
    PARE_TRY(prepare_read(dataset, index, sample, error));
    return dataset->source.read(dataset->source.state, source_index(dataset, index), sample, error);
}

pare_status pare_dataset_read_targets(pare_dataset *dataset, size_t index, pare_sample *sample, pare_error *error) {
    const pare_source *source = &dataset->source;
    PARE_TRY(prepare_read(dataset, index, sample, error));
    return (source->read_targets != NULL ? source->read_targets
                                         : source->read)(source->state, source_index(dataset, index), sample, error);
}

/* Continues with the indices as u64, little-endian. */
static void add_view(const pare_dataset *d, uint32_t *crc) {
    for (size_t i = 0; i < d->count; i++) {
        uint64_t index = source_index(d, i);
        uint8_t bytes[8];
        for (size_t k = 0; k < sizeof bytes; k++) {
            bytes[k] = (uint8_t)(index >> 8 * k);
        }
        *crc = (uint32_t)crc32_z(*crc, bytes, sizeof bytes);
    }
}

static bool sees_everything(const pare_dataset *d) {
    bool all = d->count == d->source.count;
    for (size_t i = 0; all && i < d->count; i++) {
        all = source_index(d, i) == i;
    }
    return all;
}

pare_status pare_dataset_checksum(pare_dataset *dataset, uint32_t *crc, pare_error *error) {
    *crc = 0;
    PARE_TRY(dataset->source.checksum(dataset->source.state, crc, error));
    if (!sees_everything(dataset)) {
        add_view(dataset, crc);
    }
    return PARE_OK;
}
