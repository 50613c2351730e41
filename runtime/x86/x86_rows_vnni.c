/* Rows of a product with vpdpbusd: four u8 × s8 products into 32 bits, exact. */
#include "x86_gemm.h"

#if defined(__x86_64__)

X86_VNNI X86_INLINE __m512i round_range(__m512 value, const x86_range *range) {
    value = _mm512_min_ps(_mm512_max_ps(value, _mm512_set1_ps(range->low)), _mm512_set1_ps(range->high));
    return _mm512_cvtps_epi32(value);
}

X86_VNNI X86_INLINE __m512i add_residual(const x86_epilogue *e, __m512i value, const uint8_t *from, __mmask16 mask) {
    __m512i other = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, from));
    other = _mm512_sub_epi32(other, _mm512_set1_epi32(e->residual_zero));
    __m512 inner = _mm512_mul_ps(_mm512_cvtepi32_ps(value), _mm512_set1_ps(e->ra));
    __m512 outer = _mm512_mul_ps(_mm512_cvtepi32_ps(other), _mm512_set1_ps(e->rb));
    return round_range(_mm512_add_ps(inner, outer), &e->sum);
}

/* Requantizes `rows` × `nv` sums. Not inlined into the tiles: it would be most of
 * their code. Packing interleaves the vectors of a row by 128-bit lanes; one
 * permutation brings them back into order. */
X86_VNNI X86_INLINE void finish(const x86_tile *tile, size_t first, size_t rows, const int32_t *sums, const size_t nv) {
    const x86_epilogue *e = tile->epilogue;
    const x86_range *range = e->residual ? &e->sum : &e->range;
    const __m512i zero = _mm512_set1_epi16((int16_t)range->zero);
    const __m512i low = _mm512_set1_epi8((char)((int32_t)range->low + range->zero));
    const __m512i high = _mm512_set1_epi8((char)((int32_t)range->high + range->zero));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const size_t count = tile->panel->count;
    const __mmask64 mask = ~(__mmask64)0 >> (64 - count);
    const bool clamp_first = e->residual || !e->fits;
    __m512 scale[4];
    X86_UNROLL for (size_t v = 0; v < nv; v++) {
        scale[v] = _mm512_loadu_ps(e->scale + tile->panel->first + 16 * v);
    }
    for (size_t r = 0; r < rows; r++, sums += 16 * nv) {
        size_t at = (first + r) * tile->out_stride;
        __m512i value[4];
        X86_UNROLL for (size_t v = 0; v < nv; v++) {
            __m512 real = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + 16 * v)), scale[v]);
            value[v] = clamp_first ? round_range(real, &e->range) : _mm512_cvtps_epi32(real);
        }
        if (e->residual) {
            X86_UNROLL for (size_t v = 0; v < nv; v++) {
                value[v] = add_residual(e, value[v], tile->residual + at + 16 * v, (__mmask16)(mask >> (16 * v)));
            }
        }
        __m512i words = _mm512_packs_epi32(value[0], nv > 1 ? value[1] : value[0]);
        __m512i bytes = _mm512_adds_epi16(words, zero);
        if (nv > 2) {
            words = _mm512_packs_epi32(value[2], nv > 3 ? value[3] : value[2]);
            bytes = _mm512_packus_epi16(bytes, _mm512_adds_epi16(words, zero));
        } else {
            bytes = _mm512_packus_epi16(bytes, bytes);
        }
        bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, low), high);
        bytes = _mm512_permutexvar_epi32(order, bytes);
        uint8_t *out = tile->out + at;
        if (nv == 4 && count == 64) {
            _mm512_storeu_si512(out, bytes);
        } else if (nv == 2 && count == 32) {
            _mm256_storeu_si256((__m256i *)(void *)out, _mm512_castsi512_si256(bytes));
        } else if (nv == 1 && count == 16) {
            _mm_storeu_si128((__m128i *)(void *)out, _mm512_castsi512_si128(bytes));
        } else {
            _mm512_mask_storeu_epi8(out, mask, bytes);
        }
    }
}

#define FINISH(nv)                                                                                                     \
    X86_VNNI static __attribute__((noinline)) void finish_##nv(const x86_tile *tile, size_t first, size_t rows,        \
                                                               const int32_t *sums) {                                  \
        finish(tile, first, rows, sums, nv);                                                                           \
    }
FINISH(1)
FINISH(2)
FINISH(3)
FINISH(4)

X86_VNNI X86_INLINE void finish_width(const x86_tile *tile, size_t first, size_t rows, const int32_t *sums,
                                      const size_t nv) {
    (nv == 1 ? finish_1 : nv == 2 ? finish_2 : nv == 3 ? finish_3 : finish_4)(tile, first, rows, sums);
}

/* `mr` rows by `nv` × 16 channels. Rows at and past `valid` repeat the first and are not stored. */
X86_VNNI X86_INLINE void tile_rows(const x86_tile *tile, size_t first, size_t valid, const size_t mr, const size_t nv) {
    const x86_panel *panel = tile->panel;
    const uint8_t *rows[12];
    __m512i sum[12][4];
    X86_UNROLL for (size_t v = 0; v < nv; v++) {
        __m512i bias = _mm512_loadu_si512(tile->epilogue->bias + panel->first + 16 * v);
        X86_UNROLL for (size_t r = 0; r < mr; r++) {
            sum[r][v] = bias;
        }
    }
    X86_UNROLL for (size_t r = 0; r < mr; r++) {
        rows[r] = tile->base + tile->row_offsets[r < valid ? first + r : first];
    }
    const int8_t *weights = panel->weights;
    for (size_t s = 0; s < panel->plain; s++) {
        size_t offset = panel->steps[s];
        __m512i w[4];
        X86_UNROLL for (size_t v = 0; v < nv; v++) {
            w[v] = _mm512_load_si512(weights + 64 * v);
        }
        X86_UNROLL for (size_t r = 0; r < mr; r++) {
            __m512i x = _mm512_set1_epi32(x86_load32(rows[r] + offset));
            X86_UNROLL for (size_t v = 0; v < nv; v++) {
                sum[r][v] = _mm512_dpbusd_epi32(sum[r][v], x, w[v]);
            }
        }
        weights += 64 * nv;
    }
    int32_t sums[16 * 24] __attribute__((aligned(64)));
    X86_UNROLL for (size_t r = 0; r < mr; r++) {
        X86_UNROLL for (size_t v = 0; v < nv; v++) {
            _mm512_store_si512(sums + 16 * (r * nv + v), sum[r][v]);
        }
    }
    finish_width(tile, first, valid, sums, nv);
}

/* One row: two steps at once, to hide the latency of vpdpbusd. */
X86_VNNI X86_INLINE void single_row(const x86_tile *tile, size_t row, const size_t nv) {
    const x86_panel *panel = tile->panel;
    const uint8_t *x = tile->base + tile->row_offsets[row];
    const int8_t *weights = panel->weights;
    __m512i sum[4], other[4];
    X86_UNROLL for (size_t v = 0; v < nv; v++) {
        sum[v] = _mm512_loadu_si512(tile->epilogue->bias + panel->first + 16 * v);
        other[v] = _mm512_setzero_si512();
    }
    size_t s = 0;
    for (; s + 2 <= panel->plain; s += 2) {
        __m512i x0 = _mm512_set1_epi32(x86_load32(x + panel->steps[s]));
        __m512i x1 = _mm512_set1_epi32(x86_load32(x + panel->steps[s + 1]));
        X86_UNROLL for (size_t v = 0; v < nv; v++) {
            sum[v] = _mm512_dpbusd_epi32(sum[v], x0, _mm512_load_si512(weights + 64 * v));
            other[v] = _mm512_dpbusd_epi32(other[v], x1, _mm512_load_si512(weights + 64 * (nv + v)));
        }
        weights += 128 * nv;
    }
    if (s < panel->plain) {
        __m512i x0 = _mm512_set1_epi32(x86_load32(x + panel->steps[s]));
        X86_UNROLL for (size_t v = 0; v < nv; v++) {
            sum[v] = _mm512_dpbusd_epi32(sum[v], x0, _mm512_load_si512(weights + 64 * v));
        }
    }
    int32_t sums[16 * 4] __attribute__((aligned(64)));
    X86_UNROLL for (size_t v = 0; v < nv; v++) {
        _mm512_store_si512(sums + 16 * v, _mm512_add_epi32(sum[v], other[v]));
    }
    finish_width(tile, row, 1, sums, nv);
}

/* All rows, in tiles of at most `most` rows. */
X86_VNNI X86_INLINE void all_rows(const x86_tile *tile, const size_t most, const size_t nv) {
    size_t row = 0;
    for (; row + most <= tile->row_count; row += most) {
        tile_rows(tile, row, most, most, nv);
    }
    size_t rest = tile->row_count - row;
    if (rest > 4) {
        tile_rows(tile, row, rest, most, nv);
    } else if (rest > 1) {
        tile_rows(tile, row, rest, 4, nv);
    } else if (rest == 1) {
        single_row(tile, row, nv);
    }
}

/* One function for each width keeps registers and code of one apart from those of the others. */
X86_VNNI static __attribute__((noinline)) void rows_16(const x86_tile *tile) {
    all_rows(tile, 12, 1);
}
X86_VNNI static __attribute__((noinline)) void rows_32(const x86_tile *tile) {
    all_rows(tile, 12, 2);
}
X86_VNNI static __attribute__((noinline)) void rows_48(const x86_tile *tile) {
    all_rows(tile, 8, 3);
}
X86_VNNI static __attribute__((noinline)) void rows_64(const x86_tile *tile) {
    all_rows(tile, 6, 4);
}

void pare_x86_rows_vnni(const x86_tile *tile) {
    switch (tile->panel->vectors) {
    case 1:
        rows_16(tile);
        break;
    case 2:
        rows_32(tile);
        break;
    case 3:
        rows_48(tile);
        break;
    default:
        rows_64(tile);
        break;
    }
}

#endif
