/* Any bytes as a checkpoint: as they are, then with the checksums recomputed so that
 * the content is reached. What is accepted is written again byte for byte; what is
 * refused says why and changes nothing; memory does not grow beyond what the file
 * holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "checkpoint_sample.h"
#include "pare/bytes.h"
#include "pare/file.h"
#include "pare/memory.h"
#include "test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *why) {
    if (!holds) {
        fprintf(stderr, "checkpoint: %s\n", why);
        abort();
    }
}

static void save_again(const checkpoint_sample *read, const uint8_t *data, size_t size) {
    const char *path = test_path("again");
    pare_error error = {0};
    uint8_t *saved = NULL;
    size_t saved_size = 0;
    pare_status status =
        pare_checkpoint_save(path, &read->identity, &read->progress, read->arrays, SAMPLE_ARRAYS, &error);
    require(status == PARE_OK, error.message);
    require(pare_file_read(path, SIZE_MAX, &saved, &saved_size, &error) == PARE_OK, error.message);
    require(saved_size == size && memcmp(saved, data, size) == 0, "accepted, but written otherwise");
    pare_free(saved);
    unlink(path);
}

static void try_bytes(const uint8_t *data, size_t size) {
    char path[64];
    int descriptor = memfd_create("checkpoint", MFD_CLOEXEC);
    require(descriptor >= 0 && write(descriptor, data, size) == (ssize_t)size, "no file in memory");
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    checkpoint_sample read, untouched;
    pare_error error = {0};
    make_checkpoint_sample(&read);
    make_checkpoint_sample(&untouched);
    read.progress = untouched.progress = (pare_checkpoint_progress){.step = 1};
    size_t before = pare_memory_used();
    pare_memory_set_budget(before + 2 * size + (1 << 14));
    pare_status status = pare_checkpoint_load(path, &read.identity, &read.progress, read.arrays, SAMPLE_ARRAYS, &error);
    pare_memory_set_budget(SIZE_MAX);
    require(pare_memory_used() == before, "memory stays allocated");
    if (status == PARE_OK) {
        save_again(&read, data, size);
    } else {
        require(status == PARE_BAD_INPUT || status == PARE_USAGE || status == PARE_UNSUPPORTED, error.message);
        require(error.code == status && error.message[0] != '\0', "a failure without a message");
        require(pare_is_utf8(error.message, strlen(error.message)), "a message that cannot be printed");
        require(memcmp(&read.progress, &untouched.progress, sizeof read.progress) == 0 &&
                    memcmp(read.elements, untouched.elements, sizeof read.elements) == 0,
                "refused, but something has changed");
    }
    close(descriptor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + (size == 0));
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, data, size);
    try_bytes(copy, size);
    fix_checkpoint(copy, size);
    try_bytes(copy, size);
    free(copy);
    return 0;
}
