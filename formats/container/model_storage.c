#include "model_storage.h"

#include <string.h>

model_storage *pare_model_storage_create(size_t arena_limit) {
    model_storage *storage = pare_alloc_zero(1, sizeof *storage);
    if (storage != NULL) {
        pare_arena_init(&storage->arena, arena_limit);
        atomic_init(&storage->references, 1);
    }
    return storage;
}

pare_model *pare_model_retain(pare_model *model) {
    if (model != NULL) {
        atomic_fetch_add(&((model_storage *)model)->references, 1);
    }
    return model;
}

void pare_model_release(pare_model *model) {
    model_storage *storage = (model_storage *)model;
    if (storage == NULL || atomic_fetch_sub(&storage->references, 1) != 1) {
        return;
    }
    for (uint32_t i = 0; i < model->buffer_count; i++) {
        pare_free((void *)(uintptr_t)model->buffers[i].data);
    }
    pare_arena_free(&storage->arena);
    pare_free(storage);
}

const char *pare_model_metadata_find(const pare_model *model, const char *key) {
    for (uint32_t i = 0; model != NULL && key != NULL && i < model->metadata_count; i++) {
        if (strcmp(model->metadata[i].key, key) == 0) {
            return model->metadata[i].value;
        }
    }
    return NULL;
}
