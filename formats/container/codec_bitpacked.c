/* Bytes whose values span fewer than 128: u8 bits (1 to 7), u8 lowest, then the
 * differences from the lowest as a bit string. */
#include "codec.h"
#include "pare/memory.h"

static unsigned bits_for(unsigned span) {
    unsigned bits = 1;
    while (span >> bits != 0) {
        bits++;
    }
    return bits;
}

static bool encode(const uint8_t *data, size_t bytes, size_t width, pare_byte_buffer *out) {
    if (width != 1 || bytes == 0) {
        return false;
    }
    int low = 127, high = -128; /* weights are signed */
    for (size_t i = 0; i < bytes; i++) {
        int value = (int8_t)data[i];
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    unsigned bits = bits_for((unsigned)(high - low));
    uint8_t *values = bits < 8 ? pare_alloc(bytes) : NULL;
    if (values == NULL) {
        out->failed = out->failed || bits < 8;
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        values[i] = (uint8_t)((int8_t)data[i] - low);
    }
    pare_put_u8(out, (uint8_t)bits);
    pare_put_u8(out, (uint8_t)(int8_t)low);
    pare_put_bits(out, values, bytes, bits);
    pare_free(values);
    return true;
}

static pare_status decode(const uint8_t *stored, size_t stored_bytes, uint8_t *data, size_t bytes, pare_error *error) {
    unsigned bits = stored_bytes >= 2 ? stored[0] : 0;
    if (bits < 1 || bits > 7) {
        return pare_fail(error, PARE_BAD_INPUT, "bit-packed: expected 1 to 7 bits, found %u", bits);
    }
    if (stored_bytes - 2 != bits_bytes(bytes, bits)) {
        return pare_fail(error, PARE_BAD_INPUT, "bit-packed: expected %zu stored bytes, found %zu",
                         2 + bits_bytes(bytes, bits), stored_bytes);
    }
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)(stored[1] + pare_get_bits(stored + 2, i, bits));
    }
    return PARE_OK;
}

const pare_weight_codec pare_codec_bitpacked = {PARE_CODEC_BITPACKED, "bit-packed", encode, decode};
