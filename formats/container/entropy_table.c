#include "entropy_table.h"

#include <string.h>

enum { SCALE = ENTROPY_SCALE, SYMBOLS = ENTROPY_SYMBOLS, MASK_BYTES = SYMBOLS / 8 };
enum { FORM_LIST = 0, FORM_CURVE = 1 };

/* Where the curve is given; finer where weights lie denser. */
static const int16_t knots[] = {-128, -96, -64, -48, -32, -24, -16, -12, -8, -6, -4, -2, -1, 0,
                                1,    2,   4,   6,   8,   12,  16,  24,  32, 48, 64, 96, 127};
enum { KNOTS = sizeof knots / sizeof knots[0], LEVELS = 128 };

/* --- the list: every frequency ------------------------------------------- */

static void list_frequencies(const size_t *counts, size_t total, uint32_t *frequencies) {
    uint32_t sum = 0;
    for (int s = 0; s < SYMBOLS; s++) {
        uint64_t scaled = (uint64_t)counts[s] * SCALE / total; /* a buffer is below 2^50 bytes */
        frequencies[s] = counts[s] == 0 ? 0 : scaled == 0 ? 1 : (uint32_t)scaled;
        sum += frequencies[s];
    }
    while (sum != SCALE) { /* the most frequent value bears the rounding */
        int most = 0;
        for (int s = 1; s < SYMBOLS; s++) {
            most = frequencies[s] > frequencies[most] ? s : most;
        }
        uint32_t before = frequencies[most];
        frequencies[most] = sum < SCALE ? before + (SCALE - sum) : before - 1;
        sum = sum - before + frequencies[most];
    }
}

static void put_list(pare_byte_buffer *out, const uint32_t *frequencies) {
    uint8_t mask[MASK_BYTES] = {0};
    for (int s = 0; s < SYMBOLS; s++) {
        mask[s / 8] = (uint8_t)(mask[s / 8] | (frequencies[s] != 0) << s % 8);
    }
    pare_put_bytes(out, mask, sizeof mask);
    for (int s = 0; s < SYMBOLS; s++) {
        if (frequencies[s] != 0) {
            uint32_t stored = frequencies[s] - 1;
            pare_put_u8(out, (uint8_t)(stored < 128 ? stored : (stored & 127) | 128));
            if (stored >= 128) {
                pare_put_u8(out, (uint8_t)(stored >> 7));
            }
        }
    }
}

static size_t list_bytes(const uint32_t *frequencies) {
    size_t bytes = MASK_BYTES;
    for (int s = 0; s < SYMBOLS; s++) {
        bytes += frequencies[s] == 0 ? 0 : frequencies[s] <= 128 ? 1 : 2;
    }
    return bytes;
}

static pare_status read_list(pare_reader *reader, uint32_t *frequencies, pare_error *error) {
    const uint8_t *mask;
    if (!pare_read_span(reader, MASK_BYTES, &mask)) {
        return pare_fail(error, PARE_BAD_INPUT, "entropy: expected frequencies, found the end");
    }
    uint32_t sum = 0;
    for (int s = 0; s < SYMBOLS; s++) {
        frequencies[s] = 0;
        if ((mask[s / 8] >> s % 8 & 1) == 0) {
            continue;
        }
        uint8_t low, high = 0;
        if (!pare_read_u8(reader, &low) || (low >= 128 && !pare_read_u8(reader, &high))) {
            return pare_fail(error, PARE_BAD_INPUT, "entropy: expected frequencies, found the end");
        }
        uint32_t frequency = (low & 127u) + ((uint32_t)high << 7) + 1;
        if (frequency > SCALE - sum || (low >= 128 && high == 0)) {
            return pare_fail(error, PARE_BAD_INPUT, "entropy: expected frequencies that sum to %d, found more", SCALE);
        }
        frequencies[s] = frequency;
        sum += frequency;
    }
    return sum == SCALE
               ? PARE_OK
               : pare_fail(error, PARE_BAD_INPUT, "entropy: expected frequencies that sum to %d, found %u", SCALE, sum);
}

/* --- the curve: heights at the knots, straight lines between -------------- */

static uint64_t height(uint8_t level) {
    return (uint64_t)(8 + level % 8) << level / 8;
}

static void curve_frequencies(const uint8_t *levels, uint32_t *frequencies) {
    uint64_t heights[SYMBOLS] = {0}, total = 0;
    for (size_t k = 0; k + 1 < KNOTS; k++) {
        uint64_t span = (uint64_t)(knots[k + 1] - knots[k]);
        for (uint64_t i = 0; i <= span; i++) {
            heights[(uint8_t)(knots[k] + (int)i)] = (height(levels[k]) * (span - i) + height(levels[k + 1]) * i) / span;
        }
    }
    for (int s = 0; s < SYMBOLS; s++) {
        total += heights[s];
    }
    uint32_t sum = 0;
    for (int s = 0; s < SYMBOLS; s++) {
        frequencies[s] = 1 + (uint32_t)(heights[s] * (SCALE - SYMBOLS) / total);
        sum += frequencies[s];
    }
    frequencies[0] += SCALE - sum;
}

/* log2(x) × 2^16, x > 0, rounded down bit by bit: the file must not depend on a libm. */
static uint32_t log2_fixed(uint32_t x) {
    uint32_t whole = 31;
    while (x >> whole == 0) {
        whole--;
    }
    uint64_t mantissa = (uint64_t)x << 31 >> whole; /* in [2^31, 2^32) */
    uint32_t result = whole;
    for (int bit = 0; bit < 16; bit++) {
        mantissa = mantissa * mantissa >> 31;
        uint32_t carry = (uint32_t)(mantissa >> 32);
        mantissa >>= carry;
        result = result << 1 | carry;
    }
    return result;
}

/* Bits × 2^16 that the counted bytes take with these frequencies. */
static uint64_t code_length(const size_t *counts, const uint32_t *frequencies) {
    uint64_t bits = 0;
    for (int s = 0; s < SYMBOLS; s++) {
        if (counts[s] != 0) {
            bits += counts[s] * (uint64_t)(((uint32_t)ENTROPY_SCALE_BITS << 16) - log2_fixed(frequencies[s]));
        }
    }
    return bits;
}

/* The mean count half-way to the neighbouring knots, on the levels' scale. */
static void first_levels(const size_t *counts, uint8_t *levels) {
    uint64_t means[KNOTS], most = 1;
    for (size_t k = 0; k < KNOTS; k++) {
        int from = k == 0 ? knots[0] : (knots[k - 1] + knots[k] + 1) / 2;
        int to = k + 1 == KNOTS ? knots[k] : (knots[k] + knots[k + 1]) / 2;
        from = from > knots[k] ? knots[k] : from;
        to = to < knots[k] ? knots[k] : to;
        uint64_t sum = 0;
        for (int v = from; v <= to; v++) {
            sum += counts[(uint8_t)v];
        }
        means[k] = (sum << 12) / (uint64_t)(to - from + 1);
        most = means[k] > most ? means[k] : most;
    }
    for (size_t k = 0; k < KNOTS; k++) {
        levels[k] = LEVELS - 1;
        while (levels[k] > 0 && height(levels[k]) > (means[k] * height(LEVELS - 1) + most - 1) / most) {
            levels[k]--;
        }
    }
}

/* Moves one level at a time for as long as that shortens the code. */
static uint64_t fit_levels(const size_t *counts, uint8_t *levels, uint32_t *frequencies) {
    first_levels(counts, levels);
    curve_frequencies(levels, frequencies);
    uint64_t best = code_length(counts, frequencies);
    bool better = true;
    for (int round = 0; better && round < 16; round++) {
        better = false;
        for (size_t k = 0; k < KNOTS; k++) {
            for (int step = -1; step <= 1; step += 2) {
                const int level = levels[k] + step;
                if (level < 0 || level >= LEVELS) {
                    continue;
                }
                const uint8_t before = levels[k];
                levels[k] = (uint8_t)level;
                curve_frequencies(levels, frequencies);
                const uint64_t bits = code_length(counts, frequencies);
                levels[k] = bits < best ? levels[k] : before;
                better = better || bits < best;
                best = bits < best ? bits : best;
            }
        }
    }
    curve_frequencies(levels, frequencies);
    return best;
}

static pare_status read_curve(pare_reader *reader, uint32_t *frequencies, pare_error *error) {
    const uint8_t *levels;
    if (!pare_read_span(reader, KNOTS, &levels)) {
        return pare_fail(error, PARE_BAD_INPUT, "entropy: expected %d levels, found the end", (int)KNOTS);
    }
    for (size_t k = 0; k < KNOTS; k++) {
        if (levels[k] >= LEVELS) {
            return pare_fail(error, PARE_BAD_INPUT, "entropy: expected levels below %d, found %u", LEVELS, levels[k]);
        }
    }
    curve_frequencies(levels, frequencies);
    return PARE_OK;
}

/* --- both ------------------------------------------------------------------ */

void entropy_table_choose(const size_t *counts, size_t total, uint32_t *frequencies, pare_byte_buffer *stored) {
    uint32_t curve[SYMBOLS];
    uint8_t levels[KNOTS];
    list_frequencies(counts, total, frequencies);
    const uint64_t list_bits = code_length(counts, frequencies) / 65536 + 8 * list_bytes(frequencies);
    const uint64_t curve_bits = fit_levels(counts, levels, curve) / 65536 + 8 * KNOTS;
    if (curve_bits < list_bits) {
        memcpy(frequencies, curve, sizeof curve);
        pare_put_u8(stored, FORM_CURVE);
        pare_put_bytes(stored, levels, sizeof levels);
    } else {
        pare_put_u8(stored, FORM_LIST);
        put_list(stored, frequencies);
    }
}

pare_status entropy_table_read(pare_reader *reader, uint32_t *frequencies, pare_error *error) {
    uint8_t form;
    if (!pare_read_u8(reader, &form) || form > FORM_CURVE) {
        return pare_fail(error, PARE_BAD_INPUT, "entropy: expected frequencies as a list (0) or a curve (1)");
    }
    return form == FORM_LIST ? read_list(reader, frequencies, error) : read_curve(reader, frequencies, error);
}
