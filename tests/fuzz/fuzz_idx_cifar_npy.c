/* The first byte chooses a reader of data sets and how it is asked, the rest is
 * the file, or a length and two files: samples and their targets. What is accepted
 * can be read to the end or says why not, twice to the same sample; what is refused
 * says why; memory does not grow beyond what the file holds; nothing stays
 * allocated. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pare/bytes.h"
#include "pare/dataset.h"
#include "pare/memory.h"
#include "pare/preprocess.h"
#include "test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte: a reader, and what is asked of it. */
enum { KIND = 0x07, PART = 0x08, CLASSES = 0x10, PICTURE = 0x20, TWO_FILES = 0x40, TARGETS = 0x80 };

/* Gzip data may hold 16 MiB whatever the file's size, for a while twice. */
enum { READ_LIMIT = 64, MEMORY_CAP = 64 << 20 };

static void require(bool holds, const char *why) {
    if (!holds) {
        fprintf(stderr, "idx_cifar_npy: %s\n", why);
        abort();
    }
}

static void check_outcome(pare_status status, const pare_error *error) {
    if (status != PARE_OK) {
        require(status == PARE_BAD_INPUT || status == PARE_UNSUPPORTED || status == PARE_LIMIT || status == PARE_USAGE,
                error->message);
        require(error->code == status && error->message[0] != '\0', "a failure without a message");
        require(pare_is_utf8(error->message, strlen(error->message)), "a message that cannot be printed");
        require(status != PARE_LIMIT || strstr(error->message, "out of memory") == NULL, error->message);
    }
}

static void check_preprocess(const pare_sample_info *info, const pare_sample *sample, uint8_t ask) {
    pare_preprocess preprocess = {.layout = PARE_ORDER_NHWC, .scale = 0.5f};
    pare_preprocess_scratch scratch = {0};
    pare_error error = {0};
    pare_shape shape = sample->shape;
    if ((ask & PICTURE) != 0) {
        preprocess = (pare_preprocess){.resize = 5, .crop = 4, .color = PARE_COLOR_GRAY};
        shape = (pare_shape){3, {1, 4, 4}};
    }
    size_t elements = 0;
    require(pare_shape_elements(&shape, &elements), "the elements overflow");
    float *input = malloc((elements + 1) * sizeof *input);
    require(input != NULL, "no memory for the input");
    pare_status status = pare_preprocess_apply(&preprocess, info, sample, &shape, PARE_F32, input, &scratch, &error);
    check_outcome(status, &error);
    for (size_t i = 0; status == PARE_OK && i < elements; i++) {
        require(isfinite(input[i]), "an input that is not finite");
    }
    free(input);
    pare_preprocess_scratch_free(&scratch);
}

static void check_sample(const pare_sample_info *info, const pare_sample *sample) {
    size_t bytes = 0;
    require(pare_shape_bytes(&sample->shape, info->dtype, &bytes) && bytes == sample->bytes, "the sample's size");
    require(info->target != PARE_TARGET_CLASS || sample->classes != NULL, "no classes");
    require(info->target != PARE_TARGET_VALUES || sample->values != NULL, "no values");
}

static void compare(const pare_sample_info *info, const pare_sample *a, const pare_sample *b) {
    require(pare_shape_equal(&a->shape, &b->shape) && a->bytes == b->bytes, "another shape the second time");
    require(memcmp(a->data, b->data, a->bytes) == 0, "other elements the second time");
    if (info->target == PARE_TARGET_CLASS) {
        require(memcmp(a->classes, b->classes, info->target_count * sizeof *a->classes) == 0, "other classes");
    } else if (info->target == PARE_TARGET_VALUES) {
        require(memcmp(a->values, b->values, info->target_count * sizeof *a->values) == 0, "other values");
    }
}

static void read_samples(pare_dataset *dataset, uint8_t ask) {
    pare_sample_info info = pare_dataset_info(dataset);
    pare_sample sample = {0};
    require(pare_dataset_count(dataset) > 0, "an empty set");
    for (size_t i = 0; i < READ_LIMIT && i < pare_dataset_count(dataset); i++) {
        pare_sample again = {0};
        pare_error error = {0};
        pare_status status = pare_dataset_read(dataset, i, &sample, &error);
        check_outcome(status, &error);
        require(status != PARE_USAGE, error.message);
        if (status == PARE_OK) {
            check_sample(&info, &sample);
            require(pare_dataset_read(dataset, i, &again, &error) == PARE_OK, "refused the second time");
            compare(&info, &sample, &again);
            check_preprocess(&info, &sample, ask);
        }
        pare_sample_free(&again);
    }
    pare_sample_free(&sample);
}

static void read_set(const char *spec, uint8_t ask) {
    pare_dataset *dataset = NULL;
    pare_error error = {0};
    uint32_t crc;
    pare_status status = pare_dataset_open(spec, &dataset, &error);
    require((status == PARE_OK) == (dataset != NULL), "a set after a failure, or none after success");
    check_outcome(status, &error);
    if (status == PARE_OK) {
        status = pare_dataset_limit(dataset, READ_LIMIT / 2, true, ask, &error);
        check_outcome(status, &error);
        check_outcome(pare_dataset_checksum(dataset, &crc, &error), &error);
        read_samples(dataset, ask);
    }
    pare_dataset_close(dataset);
}

static void write_file(const char *path, const uint8_t *data, size_t size) {
    remove(path); /* some file systems write back at once what is truncated and filled again */
    FILE *file = fopen(path, "wb");
    require(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0, "cannot write the input");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const KINDS[] = {"idx", "cifar10", "cifar100", "npy", "csv"};
    if (size < 3) {
        return 0;
    }
    uint8_t ask = *data++;
    size--;
    const char *kind = KINDS[(ask & KIND) % (sizeof KINDS / sizeof *KINDS)];
    const char *samples = test_path("input"), *targets = samples;
    if ((ask & TWO_FILES) != 0) {
        size_t first = (data[0] + 256u * data[1]) % (size - 1);
        data += 2;
        size -= 2;
        targets = test_path("targets");
        write_file(targets, data + first, size - first);
        size = first;
    }
    write_file(samples, data, size);
    char spec[2 * 8192 + 64];
    bool csv = strcmp(kind, "csv") == 0;
    const char *column = (ask & CLASSES) != 0 ? "?class=y" : "?target=y", *part = (ask & PART) != 0 ? "#train" : "";
    if (csv) {
        snprintf(spec, sizeof spec, "%s:%s%s%s", kind, samples, (ask & TARGETS) != 0 ? column : "", part);
    } else if ((ask & TARGETS) != 0) {
        snprintf(spec, sizeof spec, "%s:%s,%s%s", kind, samples, targets, part);
    } else {
        snprintf(spec, sizeof spec, "%s:%s%s", kind, samples, part);
    }
    pare_memory_set_budget(MEMORY_CAP);
    read_set(spec, ask);
    require(pare_memory_used() == 0, "memory is left");
    return 0;
}
