/* Many zeros: u8 width (1, 2 or 4), one bit an element (1: not zero, lowest bit
 * first), then the elements that are not zero. */
#include <string.h>

#include "codec.h"
#include "pare/memory.h"

static bool is_zero(const uint8_t *element, size_t width) {
    static const uint8_t zero[4];
    return memcmp(element, zero, width) == 0;
}

static bool encode(const uint8_t *data, size_t bytes, size_t width, pare_byte_buffer *out) {
    size_t elements = width > 0 ? bytes / width : 0;
    if ((width != 1 && width != 2 && width != 4) || elements == 0) {
        return false;
    }
    pare_put_u8(out, (uint8_t)width);
    for (size_t i = 0; i < elements; i += 8) {
        unsigned mask = 0;
        for (size_t k = 0; k < 8 && i + k < elements; k++) {
            mask |= (is_zero(data + (i + k) * width, width) ? 0u : 1u) << k;
        }
        pare_put_u8(out, (uint8_t)mask);
    }
    for (size_t i = 0; i < elements; i++) {
        if (!is_zero(data + i * width, width)) {
            pare_put_bytes(out, data + i * width, width);
        }
    }
    return true;
}

static pare_status decode(const uint8_t *stored, size_t stored_bytes, uint8_t *data, size_t bytes, pare_error *error) {
    size_t width = stored_bytes >= 1 ? stored[0] : 0;
    if ((width != 1 && width != 2 && width != 4) || bytes % width != 0) {
        return pare_fail(error, PARE_BAD_INPUT, "sparse: expected width 1, 2 or 4, found %zu", width);
    }
    size_t elements = bytes / width, mask_bytes = (elements + 7) / 8;
    if (stored_bytes - 1 < mask_bytes) {
        return pare_fail(error, PARE_BAD_INPUT, "sparse: expected a mask of %zu bytes, found %zu", mask_bytes,
                         stored_bytes - 1);
    }
    const uint8_t *mask = stored + 1, *values = mask + mask_bytes, *end = stored + stored_bytes;
    if (elements % 8 != 0 && mask[mask_bytes - 1] >> (elements % 8) != 0) {
        return pare_fail(error, PARE_BAD_INPUT, "sparse: expected no bits behind element %zu", elements);
    }
    for (size_t i = 0; i < elements; i++) {
        if ((mask[i / 8] >> (i % 8) & 1) == 0) {
            memset(data + i * width, 0, width);
        } else if ((size_t)(end - values) < width || is_zero(values, width)) {
            return pare_fail(error, PARE_BAD_INPUT, "sparse: expected a value that is not zero for element %zu", i);
        } else {
            memcpy(data + i * width, values, width);
            values += width;
        }
    }
    return values == end
               ? PARE_OK
               : pare_fail(error, PARE_BAD_INPUT, "sparse: %zu bytes behind the last value", (size_t)(end - values));
}

const pare_weight_codec pare_codec_sparse = {PARE_CODEC_SPARSE, "sparse", encode, decode};
