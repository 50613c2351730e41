/* Weight codecs: how a buffer's bytes are stored. CONTAINER.md, "Codecs", gives
 * each bit stream. Private to the container library. */
#ifndef PARE_CODEC_H
#define PARE_CODEC_H

#include "pare/bytes.h"
#include "pare/model.h"

typedef struct pare_weight_codec {
    pare_codec number;
    const char *name;
    /* Appends the stored form of `bytes` bytes of `width`-byte elements. False
     * where the codec does not apply. */
    bool (*encode)(const uint8_t *data, size_t bytes, size_t width, pare_byte_buffer *out);
    /* Fills exactly `bytes` bytes or fails with PARE_BAD_INPUT. */
    pare_status (*decode)(const uint8_t *stored, size_t stored_bytes, uint8_t *data, size_t bytes, pare_error *error);
} pare_weight_codec;

/* NULL for an unknown number. */
const pare_weight_codec *pare_weight_codec_find(uint32_t number);

extern const pare_weight_codec pare_codec_raw, pare_codec_zlib, pare_codec_bitpacked, pare_codec_palette,
    pare_codec_sparse, pare_codec_entropy;

/* zlib at level 9 with the strategy that gives the fewest bytes; also used for sections. */
bool pare_zlib_pack(const uint8_t *data, size_t bytes, pare_byte_buffer *out);
/* Inflates to exactly `bytes` bytes: no dictionary, nothing after the end. */
pare_status pare_zlib_unpack(const uint8_t *stored, size_t stored_bytes, uint8_t *data, size_t bytes,
                             pare_error *error);

/* Little-endian bit strings, lowest bit first. */
void pare_put_bits(pare_byte_buffer *out, const uint8_t *values, size_t count, unsigned bits);
/* Reads value `index`. The caller has checked the size. */
uint8_t pare_get_bits(const uint8_t *stored, size_t index, unsigned bits);
static inline size_t bits_bytes(size_t count, unsigned bits) {
    return count / 8 * bits + (count % 8 * bits + 7) / 8;
}

#endif
