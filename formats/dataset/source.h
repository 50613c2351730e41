/* What the readers of a data set share: the record a reader fills, and files
 * whose bytes may be stored as gzip. */
#ifndef PARE_SOURCE_H
#define PARE_SOURCE_H

#include "pare/dataset.h"

/* One opened set of samples. `state` belongs to the source; reading does not
 * change it, so several threads may read at once. */
typedef struct pare_source {
    void *state;
    size_t count;
    pare_sample_info info;
    pare_status (*read)(const void *state, size_t index, pare_sample *sample, pare_error *error);
    /* As read, but only the targets; NULL: read is as quick. */
    pare_status (*read_targets)(const void *state, size_t index, pare_sample *sample, pare_error *error);
    const char *(*name)(const void *state, size_t index); /* NULL: samples have no names */
    pare_status (*checksum)(const void *state, uint32_t *crc, pare_error *error);
    void (*close)(void *state); /* accepts half-built states */
} pare_source;

/* Each opens what follows the "kind:" of a SPEC; `arguments` may be modified. On
 * failure the caller still closes whatever `source->state` holds. */
typedef pare_status pare_source_open(char *arguments, pare_source *source, pare_error *error);
pare_source_open pare_idx_open, pare_cifar10_open, pare_cifar100_open, pare_npy_open, pare_images_open, pare_csv_open;

/* Make room in a sample; the content is undefined. */
pare_status pare_sample_reserve(pare_sample *sample, size_t bytes, pare_error *error);
pare_status pare_sample_reserve_targets(pare_sample *sample, pare_target_kind kind, size_t count, pare_error *error);

/* Bytes that a compressed file may hold once decoded: they are kept in memory,
 * because gzip cannot be entered in the middle. */
#define PARE_GZIP_LIMIT ((size_t)1 << 30)
/* Past this many decoded bytes, more than PARE_GZIP_RATIO a stored byte is taken
 * for a bomb (deflate itself ends at 1,032). */
#define PARE_GZIP_FREE ((size_t)16 << 20)
#define PARE_GZIP_RATIO 256u

/* A file that is read in pieces: a plain one from disk, a gzip one (told by its
 * first bytes, several members allowed) from memory, decoded once. */
typedef struct pare_blob {
    bool open;
    int descriptor;
    char *path;
    uint8_t *decoded; /* NULL for a plain file */
    uint64_t size;    /* of the content */
    uint64_t stored;  /* of the file */
    bool gzip;
} pare_blob;

/* Opens without decoding: only peek, load and close may follow. */
pare_status pare_blob_open(pare_blob *blob, const char *path, pare_error *error);
/* The first `bytes` bytes of the content, or fewer when it is shorter. */
pare_status pare_blob_peek(const pare_blob *blob, void *data, size_t bytes, size_t *found, pare_error *error);
/* Decodes a gzip file, at most `limit` bytes of it; a plain file is left alone. */
pare_status pare_blob_load(pare_blob *blob, size_t limit, pare_error *error);
/* Exactly `bytes` bytes of the content. */
pare_status pare_blob_read(const pare_blob *blob, uint64_t offset, void *data, size_t bytes, pare_error *error);
/* Continues a CRC-32 over the content. */
pare_status pare_blob_checksum(const pare_blob *blob, uint32_t *crc, pare_error *error);
/* Accepts a zero-initialised or half-opened blob. */
void pare_blob_close(pare_blob *blob);

#endif
