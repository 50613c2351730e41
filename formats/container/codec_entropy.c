/* Bytes of any values, each in about as many bits as its frequency is worth: a
 * range variant of asymmetric numeral systems (Duda 2013) with static order-0
 * frequencies. CONTAINER.md, "Entropy-coded", gives the stream. */
#include <string.h>

#include "codec.h"
#include "entropy_table.h"
#include "pare/memory.h"

enum { SCALE_BITS = ENTROPY_SCALE_BITS, SCALE = ENTROPY_SCALE, SYMBOLS = ENTROPY_SYMBOLS };
#define LOWEST_STATE ((uint32_t)1 << 16)

/* Codes the bytes from the last to the first; words come out in the order in
 * which the decoder must not read them, and are turned round by the caller. */
static uint32_t push_all(const uint8_t *data, size_t bytes, const uint32_t *frequencies, uint16_t *words,
                         size_t *word_count) {
    uint32_t starts[SYMBOLS];
    uint32_t start = 0;
    for (int s = 0; s < SYMBOLS; s++) {
        starts[s] = start;
        start += frequencies[s];
    }
    uint32_t state = LOWEST_STATE;
    for (size_t i = bytes; i-- > 0;) {
        uint32_t frequency = frequencies[data[i]];
        if (state >= (uint64_t)frequency << (32 - SCALE_BITS)) {
            words[(*word_count)++] = (uint16_t)state;
            state >>= 16;
        }
        state = (state / frequency << SCALE_BITS) + state % frequency + starts[data[i]];
    }
    return state;
}

static bool encode(const uint8_t *data, size_t bytes, size_t width, pare_byte_buffer *out) {
    if (width != 1 || bytes == 0) {
        return false;
    }
    size_t counts[SYMBOLS] = {0};
    uint32_t frequencies[SYMBOLS];
    for (size_t i = 0; i < bytes; i++) {
        counts[data[i]]++;
    }
    uint16_t *words = pare_alloc_zero(bytes, sizeof *words);
    if (words == NULL) {
        out->failed = true;
        return false;
    }
    entropy_table_choose(counts, bytes, frequencies, out);
    size_t word_count = 0;
    uint32_t state = push_all(data, bytes, frequencies, words, &word_count);
    pare_put_u32(out, state);
    while (word_count > 0) {
        pare_put_u16(out, words[--word_count]);
    }
    pare_free(words);
    return true;
}

/* What a slot of the scale stands for. */
typedef struct slot {
    uint16_t frequency_less_one, offset;
    uint8_t symbol;
} slot;

static pare_status read_slots(pare_reader *reader, slot *slots, pare_error *error) {
    uint32_t frequencies[SYMBOLS], filled = 0;
    PARE_TRY(entropy_table_read(reader, frequencies, error));
    for (int s = 0; s < SYMBOLS; s++) {
        for (uint32_t i = 0; i < frequencies[s]; i++) {
            slots[filled++] = (slot){(uint16_t)(frequencies[s] - 1), (uint16_t)i, (uint8_t)s};
        }
    }
    return PARE_OK;
}

static pare_status pull_all(pare_reader *reader, const slot *slots, uint8_t *data, size_t bytes, pare_error *error) {
    uint32_t state;
    if (!pare_read_u32(reader, &state) || state < LOWEST_STATE) {
        return pare_fail(error, PARE_BAD_INPUT, "entropy: expected a state of at least 2^16");
    }
    const uint8_t *words = reader->data + reader->position;
    size_t left = pare_reader_left(reader) / 2;
    bool odd = pare_reader_left(reader) % 2 != 0;
    for (size_t i = 0; i < bytes; i++) {
        const slot *at = &slots[state & (SCALE - 1)];
        data[i] = at->symbol;
        state = (at->frequency_less_one + 1u) * (state >> SCALE_BITS) + at->offset;
        if (state < LOWEST_STATE) {
            if (left == 0) {
                return pare_fail(error, PARE_BAD_INPUT, "entropy: expected %zu bytes, found the end after %zu", bytes,
                                 i + 1);
            }
            state = state << 16 | words[0] | (uint32_t)words[1] << 8;
            words += 2;
            left--;
        }
    }
    return state == LOWEST_STATE && left == 0 && !odd
               ? PARE_OK
               : pare_fail(error, PARE_BAD_INPUT, "entropy: expected the end after %zu bytes, found more", bytes);
}

static pare_status decode(const uint8_t *stored, size_t stored_bytes, uint8_t *data, size_t bytes, pare_error *error) {
    pare_reader reader = {stored, stored_bytes, 0};
    slot *slots = pare_alloc_zero(SCALE, sizeof *slots);
    if (slots == NULL) {
        return pare_fail_memory(error, SCALE * sizeof *slots);
    }
    pare_status status = read_slots(&reader, slots, error);
    if (status == PARE_OK) {
        status = pull_all(&reader, slots, data, bytes, error);
    }
    pare_free(slots);
    return status;
}

const pare_weight_codec pare_codec_entropy = {PARE_CODEC_ENTROPY, "entropy", encode, decode};
