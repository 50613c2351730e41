/* Byte 0 names a codec, byte 1 a width, bytes 2 and 3 a decoded size; the rest is
 * decoded, and also encoded and decoded again. */
#include <stdlib.h>
#include <string.h>

#include "../../formats/container/codec.h"
#include "pare/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const pare_weight_codec *codec, const uint8_t *data, size_t size, size_t width) {
    pare_byte_buffer stored = {0};
    pare_error error = {0};
    size_t bytes = size / width * width;
    if (codec->encode(data, bytes, width, &stored)) {
        uint8_t *decoded = malloc(bytes + 1);
        if (decoded == NULL || codec->decode(stored.data, stored.size, decoded, bytes, &error) != PARE_OK ||
            (bytes > 0 && memcmp(decoded, data, bytes) != 0)) {
            abort();
        }
        free(decoded);
    }
    pare_byte_buffer_free(&stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4) {
        return 0;
    }
    const pare_weight_codec *codec = pare_weight_codec_find(data[0] % PARE_CODEC_END);
    size_t bytes = data[2] + 256u * data[3];
    uint8_t *stored = malloc(size - 4 + 1), *decoded = malloc(bytes + (bytes == 0));
    if (stored == NULL || decoded == NULL) {
        abort();
    }
    memcpy(stored, data + 4, size - 4);
    pare_error error = {0};
    pare_status status = codec->decode(stored, size - 4, decoded, bytes, &error);
    if (status != PARE_OK && (error.message[0] == '\0' || status != PARE_BAD_INPUT)) {
        abort();
    }
    round_trip(codec, stored, size - 4, (size_t)1 << data[1] % 4);
    free(stored);
    free(decoded);
    return 0;
}
