/* Bytes that claim to be a JPEG or PNG picture. */
#include <stdlib.h>

#include "dataset/image_decode.h"
#include "pare/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* Big pictures cost time, not insight. */
    pare_memory_set_budget((size_t)64 << 20);
    pare_sample sample = {0};
    pare_error error = {0};
    pare_status status = pare_image_decode(data, size, &sample, &error);
    if (status == PARE_OK) {
        size_t elements = 0;
        require(sample.shape.rank == 3 && sample.shape.dims[2] == 3);
        require(pare_shape_elements(&sample.shape, &elements) && elements == sample.bytes);
    } else {
        require(error.message[0] != '\0');
        require(status == PARE_BAD_INPUT || status == PARE_LIMIT || status == PARE_UNSUPPORTED);
    }
    pare_sample_free(&sample);
    require(pare_memory_used() == 0);
    return 0;
}
