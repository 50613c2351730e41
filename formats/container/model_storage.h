/* The owner behind a pare_model. Private to the container library. */
#ifndef PARE_MODEL_STORAGE_H
#define PARE_MODEL_STORAGE_H

#include <stdatomic.h>

#include "pare/memory.h"
#include "pare/model.h"

/* `model` comes first, so that a pare_model pointer is one to its storage. */
typedef struct model_storage {
    pare_model model;
    atomic_uint references;
    pare_arena arena; /* tables and strings; buffers are blocks of their own */
} model_storage;

/* Readable zero bytes behind each buffer, for kernels that load whole vectors. */
#define BUFFER_SLACK 64

/* One reference, empty tables. NULL when out of memory. */
model_storage *pare_model_storage_create(size_t arena_limit);

#endif
