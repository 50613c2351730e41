/* Bytes that claim to be a JPEG or PNG picture. What is accepted decodes twice to
 * the same pixels, each of them written, and can be preprocessed; what is refused
 * says why; memory stays under the budget. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "dataset/image_decode.h"
#include "dataset/source.h"
#include "pare/bytes.h"
#include "pare/memory.h"
#include "pare/preprocess.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIDE 6

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static uint32_t big_endian(const uint8_t *data) {
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

/* A mutated PNG must not stop at its chunks' checksums. */
static void fix_checksums(uint8_t *data, size_t size) {
    if (size < 8 || data[0] != 0x89) {
        return;
    }
    for (size_t at = 8; size - at >= 12;) {
        size_t bytes = big_endian(data + at);
        if (bytes > size - at - 12) {
            return;
        }
        uint32_t crc = (uint32_t)crc32(0, data + at + 4, (uInt)bytes + 4);
        for (int i = 0; i < 4; i++) {
            data[at + 8 + bytes + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        }
        at += 12 + bytes;
    }
}

static void decode_again(const uint8_t *data, size_t size, const pare_sample *first) {
    pare_sample second = {0};
    pare_error error = {0};
    require(pare_sample_reserve(&second, first->bytes, &error) == PARE_OK);
    memset(second.data, 0x5a, second.bytes); /* shows through where no pixel is written */
    require(pare_image_decode(data, size, &second, &error) == PARE_OK);
    require(pare_shape_equal(&second.shape, &first->shape) && second.bytes == first->bytes);
    require(memcmp(second.data, first->data, first->bytes) == 0);
    pare_sample_free(&second);
}

static void preprocess(const pare_sample *sample) {
    pare_preprocess recipe = {.resize = SIDE + 2, .crop = SIDE, .color = PARE_COLOR_GRAY, .scale = 1.0f / 255};
    pare_sample_info info = {.image = true, .dtype = PARE_U8};
    pare_preprocess_scratch scratch = {0};
    pare_shape shape = {3, {1, SIDE, SIDE}};
    pare_error error = {0};
    float input[SIDE * SIDE];
    pare_status status = pare_preprocess_apply(&recipe, &info, sample, &shape, PARE_F32, input, &scratch, &error);
    require(status == PARE_OK || (status == PARE_LIMIT && error.message[0] != '\0'));
    for (size_t i = 0; status == PARE_OK && i < SIDE * SIDE; i++) {
        require(input[i] >= 0 && input[i] <= 1);
    }
    pare_preprocess_scratch_free(&scratch);
}

static void check_picture(const uint8_t *data, size_t size) {
    pare_sample sample = {0};
    pare_error error = {0};
    pare_status status = pare_image_decode(data, size, &sample, &error);
    if (status == PARE_OK) {
        size_t elements = 0;
        require(sample.shape.rank == 3 && sample.shape.dims[2] == 3);
        require(pare_shape_elements(&sample.shape, &elements) && elements == sample.bytes);
        /* Where the budget has no room for two, once must do. */
        if (sample.bytes < (size_t)1 << 18) {
            decode_again(data, size, &sample);
        }
        preprocess(&sample);
    } else {
        require(error.message[0] != '\0' && pare_is_utf8(error.message, strlen(error.message)));
        require(status == PARE_BAD_INPUT || status == PARE_LIMIT || status == PARE_UNSUPPORTED);
    }
    pare_sample_free(&sample);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* Big pictures cost time, not insight. */
    pare_memory_set_budget((size_t)1 << 20);
    uint8_t *copy = malloc(size + (size == 0));
    require(copy != NULL);
    memcpy(copy, data, size);
    fix_checksums(copy, size);
    check_picture(copy, size);
    free(copy);
    require(pare_memory_used() == 0);
    return 0;
}
