/* Labelled data sets, streamed: memory does not grow with the set. */
#ifndef PARE_DATASET_H
#define PARE_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "pare/status.h"
#include "pare/tensor.h"

typedef struct pare_dataset pare_dataset;

typedef enum pare_target_kind {
    PARE_TARGET_NONE = 0,
    PARE_TARGET_CLASS = 1, /* one integer a sample, or one an output position (NPY targets of rank > 1) */
    PARE_TARGET_VALUES = 2 /* floats: regression */
} pare_target_kind;

/* What the samples of a set are, before preprocessing. */
typedef struct pare_sample_info {
    bool image;       /* u8, shape [height, width, channels]; 0 where sizes differ (image folders) */
    pare_dtype dtype; /* U8 for images; F32 or S64 otherwise */
    pare_shape shape; /* of one sample, without a batch dimension */
    pare_target_kind target;
    size_t target_count; /* numbers a sample */
} pare_sample_info;

/* One sample, decoded. `data` is owned by the dataset's caller-provided
 * pare_sample and reused by the next read; zero-initialise, then free. */
typedef struct pare_sample {
    void *data;
    size_t bytes, capacity;
    pare_shape shape;
    int64_t *classes; /* target_count integers, for PARE_TARGET_CLASS */
    float *values;    /* target_count floats, for PARE_TARGET_VALUES */
    size_t target_capacity;
} pare_sample;
void pare_sample_free(pare_sample *sample);

/* Opens a SPEC, as `idx:IMAGES,LABELS`, `cifar10:FILE[,FILE...]`,
 * `npy:X.npy[,Y.npy]`, `images:DIR[?labels=FILE]`, `csv:FILE?target=COLUMN`,
 * each with an optional `#train` or `#FROM:TO` part. LABELS may be left out
 * (`idx:IMAGES`). `#train` is every sample but each tenth, `#val` each tenth,
 * in file order. PARE_USAGE (the SPEC), PARE_IO, PARE_BAD_INPUT, PARE_LIMIT. */
pare_status pare_dataset_open(const char *spec, pare_dataset **dataset, pare_error *error);
/* Accepts NULL. */
void pare_dataset_close(pare_dataset *dataset);

size_t pare_dataset_count(const pare_dataset *dataset);
pare_sample_info pare_dataset_info(const pare_dataset *dataset);
/* The SPEC it was opened with. */
const char *pare_dataset_spec(const pare_dataset *dataset);
/* Name of sample `index` for messages: the image's file, or NULL. */
const char *pare_dataset_sample_name(const pare_dataset *dataset, size_t index);

/* Keeps the first `limit` samples, or with `shuffle` a seeded sample of `limit`
 * of them (in ascending order). limit 0 keeps all. */
pare_status pare_dataset_limit(pare_dataset *dataset, size_t limit, bool shuffle, uint64_t seed, pare_error *error);

/* Keeps `count` of the samples, in this order: sample i is then what sample
 * indices[i] was. The indices are copied; one may come more than once. PARE_USAGE
 * when none is given or one is not below the count; the view then stays. */
pare_status pare_dataset_select(pare_dataset *dataset, const size_t *indices, size_t count, pare_error *error);

/* Reads sample `index` (below the count). */
pare_status pare_dataset_read(pare_dataset *dataset, size_t index, pare_sample *sample, pare_error *error);
/* Reads the targets of sample `index` alone, without its picture where the kind
 * of set allows that; the sample's data is undefined afterwards. */
pare_status pare_dataset_read_targets(pare_dataset *dataset, size_t index, pare_sample *sample, pare_error *error);

/* CRC-32 over the files' bytes and, where not every sample is seen in the order of the files (a part, a limit, a
 * selection), over which ones are: two views of one file differ. For run records. Reads everything once. */
pare_status pare_dataset_checksum(pare_dataset *dataset, uint32_t *crc, pare_error *error);

#endif
