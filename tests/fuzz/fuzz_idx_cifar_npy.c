/* The first byte chooses a reader of data sets, the rest is the file. What is
 * accepted can be read to the end or says why not; what is refused says why;
 * nothing stays allocated. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "pare/dataset.h"
#include "pare/memory.h"
#include "pare/preprocess.h"
#include "test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define READ_LIMIT 64
#define BYTES_LIMIT ((size_t)1 << 26)

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static void check_sample(const pare_sample_info *info, const pare_sample *sample) {
    size_t bytes = 0;
    require(pare_shape_bytes(&sample->shape, info->dtype, &bytes) && bytes == sample->bytes);
    require(info->target != PARE_TARGET_CLASS || sample->classes != NULL);
    require(info->target != PARE_TARGET_VALUES || sample->values != NULL);
    if (bytes > BYTES_LIMIT) {
        return;
    }
    pare_preprocess preprocess = {.layout = PARE_ORDER_NHWC, .scale = 0.5f};
    pare_preprocess_scratch scratch = {0};
    pare_error error = {0};
    size_t elements = bytes / pare_dtype_bytes(info->dtype);
    float *input = malloc((elements + 1) * sizeof *input);
    require(input != NULL);
    pare_status status =
        pare_preprocess_apply(&preprocess, info, sample, &sample->shape, PARE_F32, input, &scratch, &error);
    require(status == PARE_OK || error.message[0] != '\0');
    for (size_t i = 0; status == PARE_OK && i < elements; i++) {
        require(isfinite(input[i]));
    }
    free(input);
    pare_preprocess_scratch_free(&scratch);
}

static void read_samples(pare_dataset *dataset) {
    pare_sample_info info = pare_dataset_info(dataset);
    pare_sample sample = {0};
    require(pare_dataset_count(dataset) > 0);
    for (size_t i = 0; i < READ_LIMIT && i < pare_dataset_count(dataset); i++) {
        pare_error error = {0};
        pare_status status = pare_dataset_read(dataset, i, &sample, &error);
        require(status == PARE_OK || error.message[0] != '\0');
        require(status != PARE_INTERNAL && status != PARE_USAGE);
        if (status == PARE_OK) {
            check_sample(&info, &sample);
        }
    }
    pare_sample_free(&sample);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const KINDS[] = {"idx", "cifar10", "cifar100", "npy", "csv"};
    if (size == 0) {
        return 0;
    }
    const char *path = test_path("input");
    FILE *file = fopen(path, "wb");
    require(file != NULL && fwrite(data + 1, 1, size - 1, file) == size - 1 && fclose(file) == 0);
    char spec[8300];
    const char *kind = KINDS[data[0] % (sizeof KINDS / sizeof *KINDS)];
    /* Inputs are their own targets where the format allows it. */
    if (data[0] & 0x80) {
        snprintf(spec, sizeof spec, kind[0] == 'c' && kind[1] == 's' ? "%s:%s?target=y" : "%s:%s,%s", kind, path, path);
    } else {
        snprintf(spec, sizeof spec, "%s:%s", kind, path);
    }
    pare_dataset *dataset = NULL;
    pare_error error = {0};
    pare_status status = pare_dataset_open(spec, &dataset, &error);
    require(status == PARE_OK ? dataset != NULL : dataset == NULL && error.message[0] != '\0');
    require(status != PARE_INTERNAL);
    if (status == PARE_OK) {
        read_samples(dataset);
    }
    pare_dataset_close(dataset);
    require(pare_memory_used() == 0);
    return 0;
}
