#include "codec.h"

#include <string.h>

static const pare_weight_codec *const codecs[PARE_CODEC_END] = {
    [PARE_CODEC_RAW] = &pare_codec_raw,
    [PARE_CODEC_ZLIB] = &pare_codec_zlib,
    [PARE_CODEC_BITPACKED] = &pare_codec_bitpacked,
    [PARE_CODEC_PALETTE] = &pare_codec_palette,
    [PARE_CODEC_SPARSE] = &pare_codec_sparse,
    [PARE_CODEC_ENTROPY] = &pare_codec_entropy,
};

const pare_weight_codec *pare_weight_codec_find(uint32_t number) {
    return number < PARE_CODEC_END ? codecs[number] : NULL;
}

const char *pare_codec_name(pare_codec codec) {
    const pare_weight_codec *found = pare_weight_codec_find((uint32_t)codec);
    return found != NULL ? found->name : "unknown";
}

void pare_put_bits(pare_byte_buffer *out, const uint8_t *values, size_t count, unsigned bits) {
    unsigned pending = 0, filled = 0;
    for (size_t i = 0; i < count; i++) {
        pending |= (unsigned)values[i] << filled;
        filled += bits;
        while (filled >= 8) {
            pare_put_u8(out, (uint8_t)pending);
            pending >>= 8;
            filled -= 8;
        }
    }
    if (filled > 0) {
        pare_put_u8(out, (uint8_t)pending);
    }
}

uint8_t pare_get_bits(const uint8_t *stored, size_t index, unsigned bits) {
    size_t byte = index / 8 * bits + index % 8 * bits / 8;
    unsigned shift = (unsigned)(index % 8 * bits % 8);
    unsigned value = (unsigned)stored[byte] >> shift;
    if (shift + bits > 8) {
        value |= (unsigned)stored[byte + 1] << (8 - shift);
    }
    return (uint8_t)(value & ((1u << bits) - 1));
}

static bool raw_encode(const uint8_t *data, size_t bytes, size_t width, pare_byte_buffer *out) {
    (void)width;
    pare_put_bytes(out, data, bytes);
    return true;
}

static pare_status raw_decode(const uint8_t *stored, size_t stored_bytes, uint8_t *data, size_t bytes,
                              pare_error *error) {
    if (stored_bytes != bytes) {
        return pare_fail(error, PARE_BAD_INPUT, "raw: expected %zu stored bytes, found %zu", bytes, stored_bytes);
    }
    if (bytes > 0) {
        memcpy(data, stored, bytes);
    }
    return PARE_OK;
}

const pare_weight_codec pare_codec_raw = {PARE_CODEC_RAW, "raw", raw_encode, raw_decode};
