/* A teacher's outputs for a whole data set, in a file. */
#ifndef PARE_TEACHER_CACHE_H
#define PARE_TEACHER_CACHE_H

#include "pare/evaluate.h"
#include "pare/model.h"

/* What the outputs depend on. */
typedef struct teacher_cache_key {
    uint64_t teacher_hash;
    size_t values; /* of one sample */
    const pare_preprocess *preprocess;
    pare_dataset *data;
} teacher_cache_key;

/* *outputs [samples, values], freed with pare_free: from the file where it is that of this key, else computed and
 * written to it. PARE_BAD_INPUT for a damaged file; PARE_USAGE where the model says another number of values. */
pare_status teacher_cache_load(const char *path, const teacher_cache_key *key, pare_model *model,
                               const pare_run_options *run, float **outputs, pare_error *error);

#endif
