/* Rows of a product with AVX2. vpmaddubsw adds two u8 × s8 products in 16 bits
 * and saturates; steps whose pairs of weights satisfy |a| + |b| <= 128 cannot
 * reach that (255 × 128 = 32640). The others are widened first and go through
 * vpmaddwd, which is exact. */
#include "x86_gemm.h"

#if defined(__x86_64__)

X86_AVX2 X86_INLINE __m256i round_range(__m256 value, const x86_range *range) {
    value = _mm256_min_ps(_mm256_max_ps(value, _mm256_set1_ps(range->low)), _mm256_set1_ps(range->high));
    return _mm256_cvtps_epi32(value);
}

X86_AVX2 X86_INLINE __m256i add_residual(const x86_epilogue *e, __m256i value, const uint8_t *residual) {
    __m256i other = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)residual));
    other = _mm256_sub_epi32(other, _mm256_set1_epi32(e->residual_zero));
    __m256 inner = _mm256_mul_ps(_mm256_cvtepi32_ps(value), _mm256_set1_ps(e->ra));
    __m256 outer = _mm256_mul_ps(_mm256_cvtepi32_ps(other), _mm256_set1_ps(e->rb));
    return round_range(_mm256_add_ps(inner, outer), &e->sum);
}

/* One row of `nv` × 8 channels. */
X86_AVX2 X86_INLINE void store_row(const x86_tile *tile, size_t row, const __m256 *scale, const __m256i *sum,
                                   const size_t nv) {
    const x86_epilogue *e = tile->epilogue;
    size_t count = tile->panel->count, at = row * tile->out_stride;
    bool whole = count == 8 * nv;
    __m256i value[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    X86_UNROLL for (size_t v = 0; v < nv; v++) {
        value[v] = round_range(_mm256_mul_ps(_mm256_cvtepi32_ps(sum[v]), scale[v]), &e->range);
    }
    int32_t zero = e->range.zero;
    if (e->residual) {
        uint8_t partial[16] = {0};
        const uint8_t *residual = tile->residual + at;
        if (!whole) {
            memcpy(partial, residual, count);
            residual = partial;
        }
        X86_UNROLL for (size_t v = 0; v < nv; v++) {
            value[v] = add_residual(e, value[v], residual + 8 * v);
        }
        zero = e->sum.zero;
    }
    /* Within -255 .. 255 and, with the zero point, 0 .. 255: packing saturates nothing. */
    __m256i words = _mm256_add_epi16(_mm256_packs_epi32(value[0], value[1]), _mm256_set1_epi16((int16_t)zero));
    words = _mm256_permute4x64_epi64(words, 0xd8);
    __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    uint8_t *out = tile->out + at;
    if (!whole) {
        uint8_t partial[16];
        _mm_storeu_si128((__m128i *)(void *)partial, bytes);
        memcpy(out, partial, count);
    } else if (nv == 2) {
        _mm_storeu_si128((__m128i *)(void *)out, bytes);
    } else {
        _mm_storel_epi64((__m128i *)(void *)out, bytes);
    }
}

X86_AVX2 X86_INLINE __m256i load_weights(const int8_t *weights) {
    return _mm256_load_si256((const __m256i *)(const void *)weights);
}
X86_AVX2 X86_INLINE __m256i load_widened(const int8_t *weights) {
    return _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(const void *)weights));
}

/* `mr` rows by `nv` × 8 channels. Rows at and past `valid` repeat the first and are not stored. */
X86_AVX2 X86_INLINE void tile_rows(const x86_tile *tile, size_t first, size_t valid, const size_t mr, const size_t nv) {
    const x86_panel *panel = tile->panel;
    const uint8_t *rows[8];
    __m256i sum[8][2];
    __m256 scale[2];
    X86_UNROLL for (size_t r = 0; r < mr; r++) {
        rows[r] = tile->base + tile->row_offsets[r < valid ? first + r : first];
        X86_UNROLL for (size_t v = 0; v < nv; v++) {
            const int32_t *bias = tile->epilogue->bias + panel->first + 8 * v;
            sum[r][v] = _mm256_loadu_si256((const __m256i *)(const void *)bias);
        }
    }
    const int8_t *weights = panel->weights;
    const __m256i ones = _mm256_set1_epi16(1);
    const uint32_t *step = panel->steps, *plain_end = step + panel->plain, *end = plain_end + panel->widened;
    for (; step != plain_end; step++, weights += 32 * nv) {
        __m256i w[2];
        X86_UNROLL for (size_t v = 0; v < nv; v++) {
            w[v] = load_weights(weights + 32 * v);
        }
        X86_UNROLL for (size_t r = 0; r < mr; r++) {
            __m256i x = _mm256_set1_epi32(x86_load32(rows[r] + *step));
            X86_UNROLL for (size_t v = 0; v < nv; v++) {
                __m256i pairs = _mm256_maddubs_epi16(x, w[v]);
                sum[r][v] = _mm256_add_epi32(sum[r][v], _mm256_madd_epi16(pairs, ones));
            }
        }
    }
    const __m256i low = _mm256_set1_epi16(255);
    for (; step != end; step++, weights += 32 * nv) {
        __m256i even[2], odd[2];
        X86_UNROLL for (size_t v = 0; v < nv; v++) {
            even[v] = load_widened(weights + 16 * v);
            odd[v] = load_widened(weights + 16 * (nv + v));
        }
        X86_UNROLL for (size_t r = 0; r < mr; r++) {
            __m256i x = _mm256_set1_epi32(x86_load32(rows[r] + *step));
            __m256i x_even = _mm256_and_si256(x, low), x_odd = _mm256_srli_epi16(x, 8);
            X86_UNROLL for (size_t v = 0; v < nv; v++) {
                sum[r][v] = _mm256_add_epi32(sum[r][v], _mm256_madd_epi16(x_even, even[v]));
                sum[r][v] = _mm256_add_epi32(sum[r][v], _mm256_madd_epi16(x_odd, odd[v]));
            }
        }
    }
    X86_UNROLL for (size_t v = 0; v < nv; v++) {
        scale[v] = _mm256_loadu_ps(tile->epilogue->scale + panel->first + 8 * v);
    }
    X86_UNROLL for (size_t r = 0; r < mr; r++) {
        if (r < valid) {
            store_row(tile, first + r, scale, sum[r], nv);
        }
    }
}

X86_AVX2 X86_INLINE void all_rows(const x86_tile *tile, const size_t most, const size_t nv) {
    size_t row = 0;
    for (; row + most <= tile->row_count; row += most) {
        tile_rows(tile, row, most, most, nv);
    }
    size_t rest = tile->row_count - row;
    if (rest > 1) {
        tile_rows(tile, row, rest, most, nv);
    } else if (rest == 1) {
        tile_rows(tile, row, rest, 1, nv);
    }
}

X86_AVX2 static __attribute__((noinline)) void rows_8(const x86_tile *tile) {
    all_rows(tile, 6, 1);
}
X86_AVX2 static __attribute__((noinline)) void rows_16(const x86_tile *tile) {
    all_rows(tile, 4, 2);
}

void pare_x86_rows_avx2(const x86_tile *tile) {
    if (tile->panel->vectors == 1) {
        rows_8(tile);
    } else {
        rows_16(tile);
    }
}

#endif
