/* What the writer and the reader of checkpoints share; CHECKPOINT.md defines it. */
#ifndef PARE_CHECKPOINT_FORMAT_H
#define PARE_CHECKPOINT_FORMAT_H

#include "train/checkpoint.h"

#define CHECKPOINT_MAGIC "PCKP"
#define CHECKPOINT_ENDING ".previous"

enum {
    CHECKPOINT_VERSION = 1,
    CHECKPOINT_IDENTITY = 0, /* sections, from 0 */
    CHECKPOINT_PROGRESS,
    CHECKPOINT_ARRAYS,
    CHECKPOINT_DATA,
    CHECKPOINT_SECTIONS,
    CHECKPOINT_HEADER_BYTES = 32,
    CHECKPOINT_ENTRY_BYTES = 24,
    CHECKPOINT_FRONT_BYTES = CHECKPOINT_HEADER_BYTES + CHECKPOINT_SECTIONS * CHECKPOINT_ENTRY_BYTES,
    CHECKPOINT_TEXT_MOST = 1 << 16,
    CHECKPOINT_IDENTITY_MOST = 52 + 4 * (4 + CHECKPOINT_TEXT_MOST),
    CHECKPOINT_PROGRESS_BYTES = 144,
    CHECKPOINT_ARRAYS_MOST = 1 << 16,
    CHECKPOINT_NAME_MOST = 1024,
    CHECKPOINT_DIRECTORY_MOST = 1 << 24
};

/* Text of an identity as it is stored: NULL is empty. */
static inline const char *checkpoint_text(const char *text) {
    return text != NULL ? text : "";
}

/* checkpoint_write.c: PARE_USAGE names what a checkpoint cannot hold. */
pare_status pare_checkpoint_check(const pare_checkpoint_identity *identity, const pare_checkpoint_array *arrays,
                                  size_t array_count, pare_error *error);
/* checkpoint_identity.c: PARE_USAGE names each field in which they differ; `saved_tool` and this build's version of
 * Pare are one of them. */
pare_status pare_checkpoint_compare(const char *path, const pare_checkpoint_identity *saved, const char *saved_tool,
                                    const pare_checkpoint_identity *run, pare_error *error);

#endif
