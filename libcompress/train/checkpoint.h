/* The state of a training run in one file: written atomically, read with
 * suspicion. train/CHECKPOINT.md defines the bytes. */
#ifndef PARE_CHECKPOINT_H
#define PARE_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "pare/status.h"

/* What must agree between the run that saved and the one that resumes; all text
 * is UTF-8 without NUL, at most 64 KiB (NULL: empty). The version of Pare is added. */
typedef struct pare_checkpoint_identity {
    const char *options;                  /* canonical JSON of every option that changes the result */
    uint64_t model_hash;                  /* of the student before training */
    uint64_t teacher_hash;                /* 0: no teacher */
    uint32_t dataset_crc, validation_crc; /* 0: no validation set */
    uint64_t samples;                     /* of the data set */
    const char *backend;                  /* "oneDNN 2.6.3" */
    const char *isa;                      /* instruction set that the run was made with */
    int32_t threads, ranks;
    uint64_t seed;
    int32_t optimizer; /* pare_optimizer_kind */
} pare_checkpoint_identity;

/* A named array of 32-bit floats: parameters, moments, running statistics, EMA, best weights, step sizes. */
typedef struct pare_checkpoint_array {
    const char *name;
    float *data; /* when reading: the destination, of exactly `count` elements */
    size_t count;
} pare_checkpoint_array;

typedef struct pare_checkpoint_progress {
    uint64_t step, total_steps, epoch, batch_in_epoch, optimizer_step;
    uint64_t early_stop_counter, best_step;
    double best_metric; /* NaN: none yet */
    double loss_sum;    /* of the running epoch, for the log */
    uint64_t loss_count;
    uint64_t random[8]; /* states of generators that are not counters */
} pare_checkpoint_progress;

/* Writes atomically; the file that was there is kept as PATH.previous (so the last two survive), and a process that is
 * killed leaves a whole file at PATH. PARE_IO (a full disk, no such folder, a name without room for ".previous")
 * leaves both older files as they were (but where the new names could not be synced); PARE_USAGE and PARE_LIMIT name
 * what a checkpoint cannot hold. */
pare_status pare_checkpoint_save(const char *path, const pare_checkpoint_identity *identity,
                                 const pare_checkpoint_progress *progress, const pare_checkpoint_array *arrays,
                                 size_t array_count, pare_error *error);
/* Reads into the arrays after checking magic, version, sections, CRCs, the identity field by field (each difference is
 * named: what was saved, what this run has; PARE_USAGE; the version of Pare is one of them) and the arrays' names and
 * counts, in their order (PARE_USAGE). Nothing is changed on failure. A truncated or damaged file (PARE_BAD_INPUT)
 * or a missing one (PARE_IO) says whether PATH.previous can be used instead; a later version is PARE_UNSUPPORTED.
 * Needs as much memory as the arrays have, for as long as it runs. */
pare_status pare_checkpoint_load(const char *path, const pare_checkpoint_identity *identity,
                                 pare_checkpoint_progress *progress, const pare_checkpoint_array *arrays,
                                 size_t array_count, pare_error *error);

#endif
