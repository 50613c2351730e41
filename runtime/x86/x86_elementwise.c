/* BINARY of equal shapes and UNARY by table, on u8, with AVX2. */
#include "x86_common.h"
#include "x86_kernels.h"

#if defined(__x86_64__)

#define PIECE 16384 /* elements of a task, a multiple of 32 */

/* Elements of a tensor of bytes in memory, or false where padding channels lie between them. */
static bool whole_layout(const pare_shape *shape, pare_layout layout, size_t *count) {
    *count = pare_layout_bytes(layout, shape, PARE_U8);
    return *count == pare_layout_bytes(PARE_LAYOUT_PLAIN, shape, PARE_U8);
}

/* --- BINARY ---------------------------------------------------------------- */

typedef struct binary_state {
    int32_t kind, a_zero, b_zero;
    float ra, rb;
    x86_range range;
    size_t count;
} binary_state;

static pare_status plan_binary(pare_site *site, void **state, pare_error *error) {
    const pare_binary_attrs *attrs = site->attrs;
    const pare_operand *a = &site->inputs[0], *b = &site->inputs[1], *y = &site->outputs[0];
    bool known = attrs->kind == PARE_BINARY_ADD || attrs->kind == PARE_BINARY_SUB || attrs->kind == PARE_BINARY_MUL;
    pare_layout layout = a->layout != PARE_LAYOUT_PLAIN ? a->layout : b->layout;
    binary_state s = {.kind = attrs->kind};
    if (site->isa < PARE_ISA_AVX2 || !known || !x86_per_tensor(a, PARE_U8) || !x86_per_tensor(b, PARE_U8) ||
        !x86_per_tensor(y, PARE_U8) || !pare_shape_equal(&a->shape, &b->shape) ||
        !pare_shape_equal(&a->shape, &y->shape) || !whole_layout(&y->shape, layout, &s.count) ||
        !x86_range_of(&attrs->activation, y->quant->scales[0], y->quant->zero_points[0], &s.range)) {
        return PARE_UNSUPPORTED;
    }
    double a_scale = a->quant->scales[0], b_scale = b->quant->scales[0], y_scale = y->quant->scales[0];
    s.a_zero = a->quant->zero_points[0];
    s.b_zero = b->quant->zero_points[0];
    s.ra = (float)(attrs->kind == PARE_BINARY_MUL ? a_scale * b_scale / y_scale : a_scale / y_scale);
    s.rb = (float)(b_scale / y_scale);
    if (!x86_tame(s.ra) || !x86_tame(s.rb)) {
        return PARE_UNSUPPORTED;
    }
    s.rb = attrs->kind == PARE_BINARY_SUB ? -s.rb : s.rb; /* rounds as subtracting does */
    binary_state *kept = pare_alloc(sizeof *kept);
    if (kept == NULL) {
        return pare_fail_memory(error, sizeof *kept);
    }
    *kept = s;
    site->wanted[0] = site->wanted[1] = site->outputs[0].layout = layout;
    site->in_place = 1;
    *state = kept;
    return PARE_OK;
}

X86_AVX2 X86_INLINE __m256 centred(const uint8_t *from, int32_t zero) {
    __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)from));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(wide, _mm256_set1_epi32(zero)));
}

X86_AVX2 X86_INLINE __m256i binary_8(const binary_state *s, const uint8_t *a, const uint8_t *b, const bool multiply) {
    __m256 x = centred(a, s->a_zero), z = centred(b, s->b_zero), f;
    if (multiply) {
        f = _mm256_mul_ps(_mm256_mul_ps(x, z), _mm256_set1_ps(s->ra));
    } else {
        f = _mm256_add_ps(_mm256_mul_ps(x, _mm256_set1_ps(s->ra)), _mm256_mul_ps(z, _mm256_set1_ps(s->rb)));
    }
    f = _mm256_min_ps(_mm256_max_ps(f, _mm256_set1_ps(s->range.low)), _mm256_set1_ps(s->range.high));
    return _mm256_cvtps_epi32(f);
}

X86_AVX2 X86_INLINE void binary_32(const binary_state *s, const uint8_t *a, const uint8_t *b, uint8_t *y,
                                   const bool multiply) {
    const __m256i zero = _mm256_set1_epi16((int16_t)s->range.zero);
    __m256i q0 = binary_8(s, a, b, multiply), q1 = binary_8(s, a + 8, b + 8, multiply);
    __m256i q2 = binary_8(s, a + 16, b + 16, multiply), q3 = binary_8(s, a + 24, b + 24, multiply);
    __m256i first = _mm256_add_epi16(_mm256_packs_epi32(q0, q1), zero);
    __m256i second = _mm256_add_epi16(_mm256_packs_epi32(q2, q3), zero);
    __m256i bytes = _mm256_packus_epi16(first, second);
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)y, bytes);
}

X86_AVX2 X86_INLINE void binary_piece(const binary_state *s, const uint8_t *a, const uint8_t *b, uint8_t *y,
                                      size_t count, const bool multiply) {
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        binary_32(s, a + i, b + i, y + i, multiply);
    }
    if (i < count) {
        uint8_t rest[3][32] = {{0}};
        memcpy(rest[0], a + i, count - i);
        memcpy(rest[1], b + i, count - i);
        binary_32(s, rest[0], rest[1], rest[2], multiply);
        memcpy(y + i, rest[2], count - i);
    }
}

X86_AVX2 static __attribute__((noinline)) void binary_sums(const binary_state *s, const uint8_t *a, const uint8_t *b,
                                                           uint8_t *y, size_t count) {
    binary_piece(s, a, b, y, count, false);
}
X86_AVX2 static __attribute__((noinline)) void binary_products(const binary_state *s, const uint8_t *a,
                                                               const uint8_t *b, uint8_t *y, size_t count) {
    binary_piece(s, a, b, y, count, true);
}

static pare_status run_binary(void *state, const pare_call *call, pare_error *error) {
    (void)error;
    const binary_state *s = state;
    const uint8_t *a = call->inputs[0], *b = call->inputs[1];
    uint8_t *y = call->outputs[0];
    size_t pieces = (s->count + PIECE - 1) / PIECE;
#pragma omp parallel for num_threads(call->threads) schedule(static) if (pieces > 2)
    for (size_t piece = 0; piece < pieces; piece++) {
        size_t first = piece * PIECE, count = s->count - first < PIECE ? s->count - first : PIECE;
        if (s->kind == PARE_BINARY_MUL) {
            binary_products(s, a + first, b + first, y + first, count);
        } else {
            binary_sums(s, a + first, b + first, y + first, count);
        }
    }
    return PARE_OK;
}

/* --- UNARY ----------------------------------------------------------------- */

typedef struct unary_state {
    uint8_t rows[16][32]; /* 16 entries of the table, twice: for both lanes of vpshufb */
    uint8_t table[256];
    size_t count;
} unary_state;

static pare_status plan_unary(pare_site *site, void **state, pare_error *error) {
    const pare_operand *x = &site->inputs[0], *y = &site->outputs[0];
    size_t count;
    if (site->isa < PARE_ISA_AVX2 || site->input_count < 2 || x->dtype != PARE_U8 || y->dtype != PARE_U8 ||
        !site->inputs[1].present || site->inputs[1].constant == NULL || site->inputs[1].dtype != PARE_U8 ||
        !pare_shape_elements(&site->inputs[1].shape, &count) || count != 256 ||
        !whole_layout(&x->shape, x->layout, &count)) {
        return PARE_UNSUPPORTED;
    }
    unary_state *s = pare_alloc(sizeof *s);
    if (s == NULL) {
        return pare_fail_memory(error, sizeof *s);
    }
    memcpy(s->table, site->inputs[1].constant, sizeof s->table);
    for (size_t i = 0; i < 16; i++) {
        memcpy(s->rows[i], s->table + 16 * i, 16);
        memcpy(s->rows[i] + 16, s->table + 16 * i, 16);
    }
    s->count = count;
    site->packed_bytes = sizeof *s;
    site->outputs[0].layout = site->wanted[0];
    site->in_place = 1;
    *state = s;
    return PARE_OK;
}

/* All 16 rows looked up by the low four bits; the high bits choose among them. */
X86_AVX2 static __attribute__((noinline)) void unary_piece(const unary_state *s, const uint8_t *x, uint8_t *y,
                                                           size_t count) {
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i index = _mm256_loadu_si256((const __m256i *)(const void *)(x + i));
        __m256i low = _mm256_and_si256(index, _mm256_set1_epi8(15));
        __m256i bit4 = _mm256_slli_epi16(index, 3), bit5 = _mm256_slli_epi16(index, 2);
        __m256i bit6 = _mm256_slli_epi16(index, 1), quarter[4];
        X86_UNROLL for (size_t q = 0; q < 4; q++) {
            __m256i value[4];
            X86_UNROLL for (size_t k = 0; k < 4; k++) {
                const void *row = s->rows[4 * q + k];
                value[k] = _mm256_shuffle_epi8(_mm256_load_si256(row), low);
            }
            quarter[q] = _mm256_blendv_epi8(_mm256_blendv_epi8(value[0], value[1], bit4),
                                            _mm256_blendv_epi8(value[2], value[3], bit4), bit5);
        }
        __m256i lower = _mm256_blendv_epi8(quarter[0], quarter[1], bit6);
        __m256i upper = _mm256_blendv_epi8(quarter[2], quarter[3], bit6);
        _mm256_storeu_si256((__m256i *)(void *)(y + i), _mm256_blendv_epi8(lower, upper, index));
    }
    for (; i < count; i++) {
        y[i] = s->table[x[i]];
    }
}

static pare_status run_unary(void *state, const pare_call *call, pare_error *error) {
    (void)error;
    const unary_state *s = state;
    const uint8_t *x = call->inputs[0];
    uint8_t *y = call->outputs[0];
    size_t pieces = (s->count + PIECE - 1) / PIECE;
#pragma omp parallel for num_threads(call->threads) schedule(static) if (pieces > 2)
    for (size_t piece = 0; piece < pieces; piece++) {
        size_t first = piece * PIECE;
        unary_piece(s, x + first, y + first, s->count - first < PIECE ? s->count - first : PIECE);
    }
    return PARE_OK;
}

const pare_kernel pare_x86_binary = {"avx2_binary", plan_binary, run_binary, pare_free};
const pare_kernel pare_x86_unary = {"avx2_unary", plan_unary, run_unary, pare_free};

#endif
