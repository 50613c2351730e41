#include "x86_depthwise.h"

#if defined(__x86_64__)

X86_VNNI X86_INLINE __m512i load64(const void *bytes) {
    return _mm512_loadu_si512(bytes);
}
X86_VNNI X86_INLINE __m256i load32(const void *bytes) {
    return _mm256_loadu_si256((const __m256i *)bytes);
}

/* Four taps of 64 channels side by side. */
X86_VNNI X86_INLINE void interleave64(const __m512i x[4], __m512i taps[4]) {
    __m512i low01 = _mm512_unpacklo_epi8(x[0], x[1]), high01 = _mm512_unpackhi_epi8(x[0], x[1]);
    __m512i low23 = _mm512_unpacklo_epi8(x[2], x[3]), high23 = _mm512_unpackhi_epi8(x[2], x[3]);
    taps[0] = _mm512_unpacklo_epi16(low01, low23);
    taps[1] = _mm512_unpackhi_epi16(low01, low23);
    taps[2] = _mm512_unpacklo_epi16(high01, high23);
    taps[3] = _mm512_unpackhi_epi16(high01, high23);
}

X86_VNNI X86_INLINE void store64(const x86_depthwise_row *row, uint8_t *out, const __m512i sum[4],
                                 size_t bytes_stored) {
    const __m512 low = _mm512_set1_ps(row->range->low), high = _mm512_set1_ps(row->range->high);
    __m512i value[4];
    X86_UNROLL for (size_t j = 0; j < 4; j++) {
        __m512 f = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[j]), _mm512_loadu_ps(row->block->scale + 16 * j));
        f = row->fits ? f : _mm512_min_ps(_mm512_max_ps(f, low), high);
        value[j] = _mm512_cvtps_epi32(f);
    }
    const __m512i zero = _mm512_set1_epi16((int16_t)row->range->zero);
    __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(value[0], value[1]), zero);
    __m512i second = _mm512_adds_epi16(_mm512_packs_epi32(value[2], value[3]), zero);
    __m512i bytes = _mm512_packus_epi16(first, second);
    bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8((char)((int32_t)row->range->low + row->range->zero)));
    bytes = _mm512_min_epu8(bytes, _mm512_set1_epi8((char)((int32_t)row->range->high + row->range->zero)));
    if (bytes_stored == 64) {
        _mm512_storeu_si512((__m512i *)(void *)out, bytes);
    } else {
        _mm512_mask_storeu_epi8(out, ~(__mmask64)0 >> (64 - bytes_stored), bytes);
    }
}

X86_VNNI X86_INLINE void pixels64(const x86_depthwise_row *row, const size_t steps) {
    const x86_depthwise_block *block = row->block;
    const uint8_t *in = row->in;
    uint8_t *out = row->out;
    for (size_t i = 0; i < row->pixels; i++, in += row->in_stride, out += row->out_stride) {
        __m512i sum[4];
        X86_UNROLL for (size_t j = 0; j < 4; j++) {
            sum[j] = load64(block->bias + 16 * j);
        }
        for (size_t s = 0; s < steps; s++) {
            __m512i x[4], taps[4];
            X86_UNROLL for (size_t t = 0; t < 4; t++) {
                x[t] = load64(in + row->offsets[4 * s + t]);
            }
            interleave64(x, taps);
            X86_UNROLL for (size_t j = 0; j < 4; j++) {
                sum[j] = _mm512_dpbusd_epi32(sum[j], taps[j], load64(block->weights + 256 * s + 64 * j));
            }
        }
        store64(row, out, sum, i + 1 < row->pixels ? block->count : row->last);
    }
}

/* One column of three rows against column `kx` of the weights. */
X86_VNNI X86_INLINE void add_column(__m512i sum[4], const __m512i taps[4], const x86_depthwise_block *block,
                                    const size_t kx) {
    X86_UNROLL for (size_t j = 0; j < 4; j++) {
        sum[j] = _mm512_dpbusd_epi32(sum[j], taps[j], load64(block->weights + 256 * kx + 64 * j));
    }
}

X86_VNNI X86_INLINE void load_column(const x86_depthwise_row *row, const uint8_t *in, __m512i taps[4]) {
    __m512i x[4] = {load64(in + row->offsets[0]), load64(in + row->offsets[1]), load64(in + row->offsets[2]),
                    _mm512_setzero_si512()};
    interleave64(x, taps);
}

/* 3 × 3, one column on: each column is unpacked once for the three outputs that it meets. */
X86_VNNI static __attribute__((noinline)) void slide64(const x86_depthwise_row *row) {
    const x86_depthwise_block *block = row->block;
    const uint8_t *in = row->in;
    uint8_t *out = row->out;
    __m512i bias[4], oldest[4], older[4], taps[4];
    X86_UNROLL for (size_t j = 0; j < 4; j++) {
        oldest[j] = older[j] = bias[j] = load64(block->bias + 16 * j);
    }
    load_column(row, in, taps);
    add_column(oldest, taps, block, 0);
    in += row->in_stride;
    load_column(row, in, taps);
    add_column(oldest, taps, block, 1);
    add_column(older, taps, block, 0);
    for (size_t i = 0; i < row->pixels; i++, out += row->out_stride) {
        in += row->in_stride;
        __m512i newest[4] = {bias[0], bias[1], bias[2], bias[3]};
        load_column(row, in, taps);
        add_column(oldest, taps, block, 2);
        add_column(older, taps, block, 1);
        add_column(newest, taps, block, 0);
        store64(row, out, oldest, i + 1 < row->pixels ? block->count : row->last);
        X86_UNROLL for (size_t j = 0; j < 4; j++) {
            oldest[j] = older[j];
            older[j] = newest[j];
        }
    }
}

X86_VNNI X86_INLINE void interleave32(const __m256i x[4], __m256i taps[4]) {
    __m256i low01 = _mm256_unpacklo_epi8(x[0], x[1]), high01 = _mm256_unpackhi_epi8(x[0], x[1]);
    __m256i low23 = _mm256_unpacklo_epi8(x[2], x[3]), high23 = _mm256_unpackhi_epi8(x[2], x[3]);
    taps[0] = _mm256_unpacklo_epi16(low01, low23);
    taps[1] = _mm256_unpackhi_epi16(low01, low23);
    taps[2] = _mm256_unpacklo_epi16(high01, high23);
    taps[3] = _mm256_unpackhi_epi16(high01, high23);
}

X86_VNNI X86_INLINE void store32(const x86_depthwise_row *row, uint8_t *out, const __m256i sum[4],
                                 size_t bytes_stored) {
    const __m256 low = _mm256_set1_ps(row->range->low), high = _mm256_set1_ps(row->range->high);
    __m256i value[4];
    X86_UNROLL for (size_t j = 0; j < 4; j++) {
        __m256 f = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[j]), _mm256_loadu_ps(row->block->scale + 8 * j));
        f = row->fits ? f : _mm256_min_ps(_mm256_max_ps(f, low), high);
        value[j] = _mm256_cvtps_epi32(f);
    }
    const __m256i zero = _mm256_set1_epi16((int16_t)row->range->zero);
    __m256i first = _mm256_adds_epi16(_mm256_packs_epi32(value[0], value[1]), zero);
    __m256i second = _mm256_adds_epi16(_mm256_packs_epi32(value[2], value[3]), zero);
    __m256i bytes = _mm256_packus_epi16(first, second);
    bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8((char)((int32_t)row->range->low + row->range->zero)));
    bytes = _mm256_min_epu8(bytes, _mm256_set1_epi8((char)((int32_t)row->range->high + row->range->zero)));
    if (bytes_stored == 32) {
        _mm256_storeu_si256((__m256i *)(void *)out, bytes);
    } else {
        _mm256_mask_storeu_epi8(out, ~(__mmask32)0 >> (32 - bytes_stored), bytes);
    }
}

X86_VNNI X86_INLINE void pixels32(const x86_depthwise_row *row, const size_t steps) {
    const x86_depthwise_block *block = row->block;
    const uint8_t *in = row->in;
    uint8_t *out = row->out;
    for (size_t i = 0; i < row->pixels; i++, in += row->in_stride, out += row->out_stride) {
        __m256i sum[4];
        X86_UNROLL for (size_t j = 0; j < 4; j++) {
            sum[j] = load32(block->bias + 8 * j);
        }
        for (size_t s = 0; s < steps; s++) {
            __m256i x[4], taps[4];
            X86_UNROLL for (size_t t = 0; t < 4; t++) {
                x[t] = load32(in + row->offsets[4 * s + t]);
            }
            interleave32(x, taps);
            X86_UNROLL for (size_t j = 0; j < 4; j++) {
                sum[j] = _mm256_dpbusd_epi32(sum[j], taps[j], load32(block->weights + 128 * s + 32 * j));
            }
        }
        store32(row, out, sum, i + 1 < row->pixels ? block->count : row->last);
    }
}

X86_VNNI static __attribute__((noinline)) void row64(const x86_depthwise_row *row) {
    if (row->steps == 3) { /* 3 × 3 */
        pixels64(row, 3);
    } else {
        pixels64(row, row->steps);
    }
}

X86_VNNI static __attribute__((noinline)) void row32(const x86_depthwise_row *row) {
    if (row->steps == 3) {
        pixels32(row, 3);
    } else {
        pixels32(row, row->steps);
    }
}

void pare_x86_depthwise_row_vnni(const x86_depthwise_row *row) {
    if (row->block->lanes == 16 && row->slide) {
        slide64(row);
    } else if (row->block->lanes == 16) {
        row64(row);
    } else {
        row32(row);
    }
}

#endif
