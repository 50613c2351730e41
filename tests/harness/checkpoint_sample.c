/* It knows the layout by itself, from CHECKPOINT.md, so that it also checks the writer. */
#include "checkpoint_sample.h"

#include <dirent.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "pare/runtime.h"

enum { HEADER = 32, ENTRY = 24, SECTIONS = 4, FRONT = HEADER + SECTIONS * ENTRY, TOOL_AT = 52 };

static uint64_t load(const uint8_t *at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = bytes; i-- > 0;) {
        value = value << 8 | at[i];
    }
    return value;
}

static void store_crc(uint8_t *at, const uint8_t *data, size_t bytes) {
    uint32_t crc = (uint32_t)crc32_z(0, data, bytes);
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(crc >> (8 * i));
    }
}

void make_checkpoint_sample(checkpoint_sample *sample) {
    static const float elements[SAMPLE_FLOATS] = {1.5f, -0.0f, INFINITY, 1e-42f, NAN, 3.0e38f, -2.25f, 0.0f};
    *sample = (checkpoint_sample){
        .identity = {.options = "{\"lr\":0.1,\"epochs\":10,\"augment\":{\"flip\":true,\"crop\":4}}",
                     .model_hash = 0x0123456789abcdef,
                     .dataset_crc = 0xdeadbeef,
                     .samples = 50000,
                     .backend = "oneDNN 2.6.3",
                     .isa = "AVX2",
                     .threads = 2,
                     .ranks = 1,
                     .seed = 42,
                     .optimizer = 1},
        .progress = {.step = 70,
                     .total_steps = 100,
                     .epoch = 7,
                     .batch_in_epoch = 3,
                     .optimizer_step = 70,
                     .early_stop_counter = 2,
                     .best_step = 50,
                     .best_metric = 0.875,
                     .loss_sum = 1.25,
                     .loss_count = 3,
                     .random = {1, 2, 3, 4, 5, 6, 7, UINT64_MAX}},
        .arrays = {{"weights", sample->elements, SAMPLE_WEIGHTS},
                   {"none", NULL, 0},
                   {"moments", sample->elements + SAMPLE_WEIGHTS, SAMPLE_MOMENTS}},
    };
    memcpy(sample->elements, elements, sizeof elements);
}

void make_blank_sample(checkpoint_sample *sample) {
    make_checkpoint_sample(sample);
    memset(sample->elements, 0x5a, sizeof sample->elements);
    memset(&sample->progress, 0x5a, sizeof sample->progress);
}

pare_status save_sample(const char *path, const checkpoint_sample *sample, pare_error *error) {
    return pare_checkpoint_save(path, &sample->identity, &sample->progress, sample->arrays, SAMPLE_ARRAYS, error);
}

pare_status load_sample(const char *path, checkpoint_sample *sample, pare_error *error) {
    return pare_checkpoint_load(path, &sample->identity, &sample->progress, sample->arrays, SAMPLE_ARRAYS, error);
}

size_t count_folder(const char *path) {
    size_t count = 0;
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count;
}

void find_checkpoint_section(const uint8_t *data, size_t size, uint32_t type, size_t *offset, size_t *bytes) {
    *offset = *bytes = 0;
    for (size_t i = 0; i < SECTIONS && size >= FRONT; i++) {
        const uint8_t *entry = data + HEADER + i * ENTRY;
        uint64_t at = load(entry + 8, 8), stored = load(entry + 16, 8);
        if (load(entry, 4) == type && at >= FRONT && at <= size && stored <= size - at) {
            *offset = (size_t)at;
            *bytes = (size_t)stored;
            return;
        }
    }
}

void fix_checkpoint(uint8_t *data, size_t size) {
    size_t offset, bytes, length = strlen(pare_version());
    if (size < FRONT) {
        return;
    }
    find_checkpoint_section(data, size, 1, &offset, &bytes);
    if (bytes >= TOOL_AT + 4 + length && load(data + offset + TOOL_AT, 4) == length) {
        memcpy(data + offset + TOOL_AT + 4, pare_version(), length);
    }
    for (size_t i = 0; i < SECTIONS; i++) {
        uint8_t *entry = data + HEADER + i * ENTRY;
        uint64_t at = load(entry + 8, 8), stored = load(entry + 16, 8);
        if (at >= FRONT && at <= size && stored <= size - at) {
            store_crc(entry + 4, data + at, (size_t)stored);
        }
    }
    store_crc(data + 20, data + HEADER, SECTIONS * ENTRY);
    store_crc(data + 28, data, 28);
}
