/* At most 256 distinct elements: u8 width (1, 2 or 4), u8 count - 1, the
 * elements in order of first appearance, then indices as a bit string. */
#include <string.h>

#include "codec.h"
#include "pare/memory.h"

#define MOST_ENTRIES 256

static unsigned index_bits(size_t count) {
    unsigned bits = 1;
    while ((size_t)1 << bits < count) {
        bits++;
    }
    return bits;
}

/* The elements seen so far, with open addressing. */
typedef struct palette {
    uint32_t values[MOST_ENTRIES];
    uint16_t slots[4 * MOST_ENTRIES]; /* 1 + index */
    size_t count;
} palette;

/* Index of a value in the palette, which grows; MOST_ENTRIES when it is full. */
static size_t find(palette *p, uint32_t value) {
    size_t slot = (value * 0x9e3779b1u) >> 22;
    while (p->slots[slot] != 0 && p->values[p->slots[slot] - 1] != value) {
        slot = (slot + 1) % (4 * MOST_ENTRIES);
    }
    if (p->slots[slot] == 0) {
        if (p->count == MOST_ENTRIES) {
            return MOST_ENTRIES;
        }
        p->values[p->count++] = value;
        p->slots[slot] = (uint16_t)p->count;
    }
    return p->slots[slot] - 1u;
}

/* An element of 1, 2 or 4 bytes, little-endian. */
static uint32_t element_at(const uint8_t *data, size_t width) {
    uint32_t value = 0;
    for (size_t i = width; i-- > 0;) {
        value = value << 8 | data[i];
    }
    return value;
}

static bool encode(const uint8_t *data, size_t bytes, size_t width, pare_byte_buffer *out) {
    palette seen = {.count = 0};
    size_t elements = width > 0 ? bytes / width : 0;
    if ((width != 1 && width != 2 && width != 4) || elements == 0) {
        return false;
    }
    uint8_t *indices = pare_alloc(elements);
    if (indices == NULL) {
        out->failed = true;
        return false;
    }
    bool fits = true;
    for (size_t i = 0; i < elements && fits; i++) {
        size_t index = find(&seen, element_at(data + i * width, width));
        fits = index < MOST_ENTRIES;
        indices[i] = (uint8_t)index;
    }
    if (fits) {
        pare_put_u8(out, (uint8_t)width);
        pare_put_u8(out, (uint8_t)(seen.count - 1));
        for (size_t i = 0; i < seen.count * width; i++) {
            pare_put_u8(out, (uint8_t)(seen.values[i / width] >> (8 * (i % width))));
        }
        pare_put_bits(out, indices, elements, index_bits(seen.count));
    }
    pare_free(indices);
    return fits;
}

static pare_status decode(const uint8_t *stored, size_t stored_bytes, uint8_t *data, size_t bytes, pare_error *error) {
    size_t width = stored_bytes >= 2 ? stored[0] : 0, count = stored_bytes >= 2 ? (size_t)stored[1] + 1 : 0;
    if ((width != 1 && width != 2 && width != 4) || bytes % width != 0) {
        return pare_fail(error, PARE_BAD_INPUT, "palette: expected elements of 1, 2 or 4 bytes, found %zu", width);
    }
    size_t elements = bytes / width, expected = 2 + count * width + bits_bytes(elements, index_bits(count));
    if (stored_bytes != expected) {
        return pare_fail(error, PARE_BAD_INPUT, "palette: expected %zu stored bytes, found %zu", expected,
                         stored_bytes);
    }
    const uint8_t *entries = stored + 2, *indices = entries + count * width;
    for (size_t i = 0; i < elements; i++) {
        size_t index = pare_get_bits(indices, i, index_bits(count));
        if (index >= count) {
            return pare_fail(error, PARE_BAD_INPUT, "palette: expected an index below %zu, found %zu", count, index);
        }
        memcpy(data + i * width, entries + index * width, width);
    }
    return PARE_OK;
}

const pare_weight_codec pare_codec_palette = {PARE_CODEC_PALETTE, "palette", encode, decode};
