/* QUANTIZE of colour pictures: three planes of floats to interleaved bytes, with AVX2. */
#include "x86_common.h"
#include "x86_kernels.h"

#if defined(__x86_64__)

#define POSITIONS 2048 /* of a task */

typedef struct quantize_state {
    float scale;
    x86_range range;
    size_t samples, positions;
} quantize_state;

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_operand *x = &site->inputs[0], *y = &site->outputs[0];
    if (site->isa < PARE_ISA_AVX2 || !x->present || x->dtype != PARE_F32 || x->layout != PARE_LAYOUT_PLAIN ||
        !x86_per_tensor(y, PARE_U8) || x->shape.rank != 4 || x->shape.dims[1] != 3) {
        return PARE_UNSUPPORTED;
    }
    quantize_state *s = pare_alloc(sizeof *s);
    if (s == NULL) {
        return pare_fail_memory(error, sizeof *s);
    }
    int32_t zero = y->quant->zero_points[0];
    *s = (quantize_state){.scale = y->quant->scales[0],
                          .range = {(float)-zero, (float)(255 - zero), zero},
                          .samples = (size_t)x->shape.dims[0],
                          .positions = (size_t)(x->shape.dims[2] * x->shape.dims[3])};
    site->outputs[0].layout = PARE_LAYOUT_CHANNELS_LAST;
    *state = s;
    return PARE_OK;
}

X86_AVX2 X86_INLINE __m256i quantize_8(const quantize_state *s, const float *x) {
    __m256 f = _mm256_div_ps(_mm256_loadu_ps(x), _mm256_set1_ps(s->scale));
    f = _mm256_and_ps(f, _mm256_cmp_ps(f, f, _CMP_ORD_Q)); /* NaN becomes 0 */
    f = _mm256_min_ps(_mm256_max_ps(f, _mm256_set1_ps(s->range.low)), _mm256_set1_ps(s->range.high));
    return _mm256_cvtps_epi32(f);
}

X86_AVX2 X86_INLINE __m128i quantize_16(const quantize_state *s, const float *x) {
    __m256i words = _mm256_packs_epi32(quantize_8(s, x), quantize_8(s, x + 8));
    words = _mm256_add_epi16(words, _mm256_set1_epi16((int16_t)s->range.zero));
    words = _mm256_permute4x64_epi64(words, 0xd8);
    return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

/* 16 positions of three planes to 48 bytes. Byte i of the result is position i / 3 of plane i % 3. */
X86_AVX2 X86_INLINE void interleave_16(const quantize_state *s, const float *const planes[3], uint8_t *y) {
    static const int8_t from[3][3][16] = {{{0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5},
                                           {-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1},
                                           {-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1}},
                                          {{-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1},
                                           {5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10},
                                           {-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1}},
                                          {{-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1},
                                           {-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1},
                                           {10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15}}};
    __m128i out[3] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128()};
    X86_UNROLL for (size_t c = 0; c < 3; c++) {
        __m128i bytes = quantize_16(s, planes[c]);
        X86_UNROLL for (size_t k = 0; k < 3; k++) {
            __m128i order = _mm_loadu_si128((const __m128i *)(const void *)from[c][k]);
            out[k] = _mm_or_si128(out[k], _mm_shuffle_epi8(bytes, order));
        }
    }
    X86_UNROLL for (size_t k = 0; k < 3; k++) {
        _mm_storeu_si128((__m128i *)(void *)(y + 16 * k), out[k]);
    }
}

X86_AVX2 static __attribute__((noinline)) void interleave(const quantize_state *s, const float *x, uint8_t *y,
                                                          size_t count) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        const float *planes[3] = {x + i, x + s->positions + i, x + 2 * s->positions + i};
        interleave_16(s, planes, y + 3 * i);
    }
    if (i < count) {
        float rest[3][16] = {{0}};
        uint8_t bytes[48];
        for (size_t c = 0; c < 3; c++) {
            memcpy(rest[c], x + c * s->positions + i, (count - i) * sizeof(float));
        }
        const float *planes[3] = {rest[0], rest[1], rest[2]};
        interleave_16(s, planes, bytes);
        memcpy(y + 3 * i, bytes, 3 * (count - i));
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    (void)error;
    const quantize_state *s = state;
    size_t pieces = (s->positions + POSITIONS - 1) / POSITIONS, tasks = s->samples * pieces;
#pragma omp parallel for num_threads(call->threads) schedule(static) if (tasks > 2)
    for (size_t task = 0; task < tasks; task++) {
        size_t first = task % pieces * POSITIONS, sample = task / pieces * 3 * s->positions;
        size_t count = s->positions - first < POSITIONS ? s->positions - first : POSITIONS;
        interleave(s, (const float *)call->inputs[0] + sample + first, (uint8_t *)call->outputs[0] + sample + 3 * first,
                   count);
    }
    return PARE_OK;
}

const pare_kernel pare_x86_quantize = {"avx2_quantize", plan, run, pare_free};

#endif
