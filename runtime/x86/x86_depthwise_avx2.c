#include "x86_depthwise.h"

#if defined(__x86_64__)

X86_AVX2 X86_INLINE __m256i load32(const void *bytes) {
    return _mm256_loadu_si256((const __m256i *)bytes);
}

/* Two taps of 32 channels side by side, as 16-bit numbers. */
X86_AVX2 X86_INLINE void interleave(__m256i a, __m256i b, __m256i taps[4]) {
    const __m256i none = _mm256_setzero_si256();
    __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
    taps[0] = _mm256_unpacklo_epi8(low, none);
    taps[1] = _mm256_unpackhi_epi8(low, none);
    taps[2] = _mm256_unpacklo_epi8(high, none);
    taps[3] = _mm256_unpackhi_epi8(high, none);
}

X86_AVX2 X86_INLINE void store(const x86_depthwise_row *row, uint8_t *out, const __m256i sum[4], size_t bytes_stored) {
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
        uint8_t partial[32];
        _mm256_storeu_si256((__m256i *)(void *)partial, bytes);
        memcpy(out, partial, bytes_stored);
    }
}

X86_AVX2 X86_INLINE void pixels(const x86_depthwise_row *row, const size_t steps) {
    const x86_depthwise_block *block = row->block;
    const uint8_t *in = row->in;
    uint8_t *out = row->out;
    for (size_t i = 0; i < row->pixels; i++, in += row->in_stride, out += row->out_stride) {
        __m256i sum[4];
        X86_UNROLL for (size_t j = 0; j < 4; j++) {
            sum[j] = load32(block->bias + 8 * j);
        }
        for (size_t s = 0; s < steps; s++) {
            __m256i taps[4];
            interleave(load32(in + row->offsets[2 * s]), load32(in + row->offsets[2 * s + 1]), taps);
            X86_UNROLL for (size_t j = 0; j < 4; j++) {
                __m256i product = _mm256_madd_epi16(taps[j], load32(block->weights + 128 * s + 32 * j));
                sum[j] = _mm256_add_epi32(sum[j], product);
            }
        }
        store(row, out, sum, i + 1 < row->pixels ? block->count : row->last);
    }
}

X86_AVX2 static void row_avx2(const x86_depthwise_row *row) {
    if (row->steps == 5) { /* 3 × 3 */
        pixels(row, 5);
    } else {
        pixels(row, row->steps);
    }
}

void pare_x86_depthwise_row_avx2(const x86_depthwise_row *row) {
    row_avx2(row);
}

#endif
