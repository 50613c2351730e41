#include "kernels/broadcast.h"

typedef struct binary_state binary_state;
/* `count` elements; steps are 0 (repeated) or 1. */
typedef void (*binary_row)(const binary_state *s, const void *a, size_t a_step, const void *b, size_t b_step, void *y,
                           size_t count);

struct binary_state {
    broadcast walk;
    binary_row row;
    pare_binary_attrs attrs;
    size_t in_bytes, out_bytes;
    size_t piece; /* elements of a row that one task computes */
    /* Integer form */
    float a_ratio, b_ratio, low, high;
    int32_t a_zero, b_zero, y_zero;
};

#define EACH(type, result, expression)                                                                                 \
    for (size_t i = 0; i < count; i++) {                                                                               \
        type a = p[i * a_step];                                                                                        \
        type b = q[i * b_step];                                                                                        \
        y[i] = (result)(expression);                                                                                   \
    }                                                                                                                  \
    break

/* Steps that the compiler knows let it vectorise the common cases. */
#define DISPATCH_STEPS(name)                                                                                           \
    if (a_step == 1 && b_step == 1) {                                                                                  \
        name(s, p, 1, q, 1, y, count);                                                                                 \
    } else if (a_step == 1) {                                                                                          \
        name(s, p, 1, q, 0, y, count);                                                                                 \
    } else if (b_step == 1) {                                                                                          \
        name(s, p, 0, q, 1, y, count);                                                                                 \
    } else {                                                                                                           \
        name(s, p, 0, q, 0, y, count);                                                                                 \
    }

/* --- float ---------------------------------------------------------------- */

static inline __attribute__((always_inline)) void float_steps(const binary_state *s, const float *p, size_t a_step,
                                                              const float *q, size_t b_step, float *y, size_t count) {
    switch (s->attrs.kind) {
    case PARE_BINARY_ADD:
        EACH(float, float, a + b);
    case PARE_BINARY_SUB:
        EACH(float, float, a - b);
    case PARE_BINARY_MUL:
        EACH(float, float, a *b);
    case PARE_BINARY_DIV:
        EACH(float, float, a / b);
    case PARE_BINARY_MIN:
        EACH(float, float, a != a || a < b ? a : b);
    case PARE_BINARY_MAX:
        EACH(float, float, a != a || a > b ? a : b);
    case PARE_BINARY_PRELU:
        EACH(float, float, a < 0.0F ? b * a : a);
    case PARE_BINARY_POW:
        EACH(float, float, pow((double)a, (double)b));
    case PARE_BINARY_MOD:
        EACH(float, float, fmod((double)a, (double)b));
    default:
        break;
    }
    pare_apply_function_all(&s->attrs.activation, y, count);
}

REFERENCE_CLONES static void float_row(const binary_state *s, const void *a, size_t a_step, const void *b,
                                       size_t b_step, void *out, size_t count) {
    const float *p = a;
    const float *q = b;
    float *y = out;
    DISPATCH_STEPS(float_steps)
}

/* --- integers, unquantized ------------------------------------------------ */

static inline uint64_t power(uint64_t base, int64_t exponent) {
    uint64_t result = exponent < 0 ? (base == 1) : 1;
    for (; exponent > 0; exponent >>= 1, base *= base) {
        result *= exponent & 1 ? base : 1;
    }
    return result;
}

static inline int64_t divide(int64_t a, int64_t b) { /* by 0 gives 0; no trap for the lowest number / -1 */
    return b == 0 ? 0 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static inline int64_t modulo(int64_t a, int64_t b) { /* the sign of b, as numpy */
    if (b == 0 || b == -1) {
        return 0;
    }
    int64_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* Arithmetic wraps. */
#define DEFINE_INTEGER_ROW(name, type)                                                                                 \
    static void name(const binary_state *s, const void *left, size_t a_step, const void *right, size_t b_step,         \
                     void *out, size_t count) {                                                                        \
        const type *p = left;                                                                                          \
        const type *q = right;                                                                                         \
        type *y = out;                                                                                                 \
        switch (s->attrs.kind) {                                                                                       \
        case PARE_BINARY_ADD:                                                                                          \
            EACH(type, type, (uint64_t)a + (uint64_t)b);                                                               \
        case PARE_BINARY_SUB:                                                                                          \
            EACH(type, type, (uint64_t)a - (uint64_t)b);                                                               \
        case PARE_BINARY_MUL:                                                                                          \
            EACH(type, type, (uint64_t)a *(uint64_t)b);                                                                \
        case PARE_BINARY_DIV:                                                                                          \
            EACH(type, type, divide(a, b));                                                                            \
        case PARE_BINARY_POW:                                                                                          \
            EACH(type, type, power((uint64_t)a, b));                                                                   \
        case PARE_BINARY_MIN:                                                                                          \
            EACH(type, type, a < b ? a : b);                                                                           \
        case PARE_BINARY_MAX:                                                                                          \
            EACH(type, type, a > b ? a : b);                                                                           \
        case PARE_BINARY_MOD:                                                                                          \
            EACH(type, type, modulo(a, b));                                                                            \
        default:                                                                                                       \
            break;                                                                                                     \
        }                                                                                                              \
    }
DEFINE_INTEGER_ROW(s32_row, int32_t)
DEFINE_INTEGER_ROW(s64_row, int64_t)

/* --- comparisons ---------------------------------------------------------- */

#define DEFINE_COMPARE_ROW(name, type)                                                                                 \
    static void name(const binary_state *s, const void *left, size_t a_step, const void *right, size_t b_step,         \
                     void *out, size_t count) {                                                                        \
        const type *p = left;                                                                                          \
        const type *q = right;                                                                                         \
        uint8_t *y = out;                                                                                              \
        switch (s->attrs.kind) {                                                                                       \
        case PARE_BINARY_EQUAL:                                                                                        \
            EACH(type, uint8_t, a == b);                                                                               \
        case PARE_BINARY_LESS:                                                                                         \
            EACH(type, uint8_t, a < b);                                                                                \
        case PARE_BINARY_LESS_EQUAL:                                                                                   \
            EACH(type, uint8_t, a <= b);                                                                               \
        case PARE_BINARY_GREATER:                                                                                      \
            EACH(type, uint8_t, a > b);                                                                                \
        case PARE_BINARY_GREATER_EQUAL:                                                                                \
            EACH(type, uint8_t, a >= b);                                                                               \
        case PARE_BINARY_AND:                                                                                          \
            EACH(type, uint8_t, a != 0 && b != 0);                                                                     \
        case PARE_BINARY_OR:                                                                                           \
            EACH(type, uint8_t, a != 0 || b != 0);                                                                     \
        case PARE_BINARY_XOR:                                                                                          \
            EACH(type, uint8_t, (a != 0) != (b != 0));                                                                 \
        default:                                                                                                       \
            break;                                                                                                     \
        }                                                                                                              \
    }
DEFINE_COMPARE_ROW(compare_f32, float)
DEFINE_COMPARE_ROW(compare_s32, int32_t)
DEFINE_COMPARE_ROW(compare_s64, int64_t)
DEFINE_COMPARE_ROW(compare_u8, uint8_t)
DEFINE_COMPARE_ROW(compare_s8, int8_t)

/* --- quantized ------------------------------------------------------------ */

static inline __attribute__((always_inline)) void quantized_steps(const binary_state *s, const uint8_t *p,
                                                                  size_t a_step, const uint8_t *q, size_t b_step,
                                                                  uint8_t *y, size_t count) {
    bool multiply = s->attrs.kind == PARE_BINARY_MUL;
    float b_ratio = s->attrs.kind == PARE_BINARY_SUB ? -s->b_ratio : s->b_ratio;
    for (size_t i = 0; i < count; i++) {
        float a = (float)(p[i * a_step] - s->a_zero);
        float b = (float)(q[i * b_step] - s->b_zero);
        float f = multiply ? a * b * s->a_ratio : a * s->a_ratio + b * b_ratio;
        y[i] = (uint8_t)((int32_t)round_clamped(f, s->low, s->high) + s->y_zero);
    }
}

REFERENCE_CLONES static void quantized_row(const binary_state *s, const void *a, size_t a_step, const void *b,
                                           size_t b_step, void *out, size_t count) {
    const uint8_t *p = a;
    const uint8_t *q = b;
    uint8_t *y = out;
    DISPATCH_STEPS(quantized_steps)
}

static pare_status prepare_quantized(const pare_site *site, binary_state *s, pare_error *error) {
    float a_scale;
    float b_scale;
    float y_scale;
    int32_t low;
    int32_t high;
    if (!single_quant(&site->inputs[0], &a_scale, &s->a_zero) ||
        !single_quant(&site->inputs[1], &b_scale, &s->b_zero) ||
        !single_quant(&site->outputs[0], &y_scale, &s->y_zero) ||
        !pare_activation_bounds(&s->attrs.activation, y_scale, s->y_zero, &low, &high)) {
        return pare_fail(error, PARE_UNSUPPORTED,
                         "expected per-tensor quantization and identity, relu or clip, found activation %s or another "
                         "quantization",
                         pare_function_name(s->attrs.activation.function));
    }
    if (s->attrs.kind == PARE_BINARY_MUL) {
        s->a_ratio = (float)((double)a_scale * (double)b_scale / (double)y_scale);
    } else {
        s->a_ratio = (float)((double)a_scale / (double)y_scale);
        s->b_ratio = (float)((double)b_scale / (double)y_scale);
    }
    s->low = (float)(low - s->y_zero);
    s->high = (float)(high - s->y_zero);
    return PARE_OK;
}

/* --- the kernel ----------------------------------------------------------- */

static binary_row row_for(const pare_site *site, int32_t kind) {
    pare_dtype in = site->inputs[0].dtype;
    pare_dtype out = site->outputs[0].dtype;
    bool compare = kind >= PARE_BINARY_EQUAL && kind <= PARE_BINARY_XOR;
    if (in != site->inputs[1].dtype || (compare ? out != PARE_BOOL : out != in)) {
        return NULL;
    }
    switch (in) {
    case PARE_F32:
        return compare ? compare_f32 : float_row;
    case PARE_S32:
        return compare ? compare_s32 : kind == PARE_BINARY_PRELU ? NULL : s32_row;
    case PARE_S64:
        return compare ? compare_s64 : kind == PARE_BINARY_PRELU ? NULL : s64_row;
    case PARE_S8:
        return compare ? compare_s8 : NULL;
    case PARE_BOOL:
        return compare ? compare_u8 : NULL;
    case PARE_U8:
        return compare ? compare_u8 : kind <= PARE_BINARY_MUL ? quantized_row : NULL;
    default:
        return NULL;
    }
}

/* Padding channels must stay 0. */
static bool keeps_zero(const pare_binary_attrs *attrs) {
    bool kind = attrs->kind == PARE_BINARY_ADD || attrs->kind == PARE_BINARY_SUB || attrs->kind == PARE_BINARY_MUL ||
                attrs->kind == PARE_BINARY_MIN || attrs->kind == PARE_BINARY_MAX || attrs->kind == PARE_BINARY_PRELU;
    return kind && pare_apply_function(&attrs->activation, 0.0F) == 0.0F;
}

static void choose_layout(pare_site *site, const binary_state *s) {
    pare_layout layout = broadcast_layout(site, 2);
    const pare_shape *shape = &site->outputs[0].shape;
    if (layout == PARE_LAYOUT_BLOCK8 || layout == PARE_LAYOUT_BLOCK16) {
        bool padded = shape->dims[1] % (layout == PARE_LAYOUT_BLOCK8 ? 8 : 16) != 0;
        bool scalar = shape_elements(&site->inputs[0].shape) == 1 || shape_elements(&site->inputs[1].shape) == 1;
        if (padded && (!keeps_zero(&s->attrs) || (scalar && s->attrs.kind != PARE_BINARY_MUL))) {
            want_plain(site);
            site->outputs[0].layout = PARE_LAYOUT_PLAIN;
        }
    }
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_binary_attrs *attrs = site->attrs;
    binary_row row = row_for(site, attrs->kind);
    bool fused = attrs->activation.function != PARE_FN_IDENTITY;
    if (row == NULL || (fused && row != float_row && row != quantized_row)) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(binary_state), error));
    binary_state *s = *state;
    s->attrs = *attrs;
    s->row = row;
    s->in_bytes = pare_dtype_bytes(site->inputs[0].dtype);
    s->out_bytes = pare_dtype_bytes(site->outputs[0].dtype);
    choose_layout(site, s);
    broadcast_prepare(site, 2, &s->walk);
    s->piece = s->walk.row > 16384 ? 16384 : s->walk.row;
    for (size_t i = 0; i < 2 && s->in_bytes == s->out_bytes && site->in_place == 0; i++) {
        if (pare_shape_equal(&site->inputs[i].shape, &site->outputs[0].shape)) {
            site->in_place = i + 1;
        }
    }
    return row == quantized_row ? prepare_quantized(site, s, error) : PARE_OK;
}

static void run_piece(const binary_state *s, const pare_call *call, size_t row, size_t first) {
    const broadcast *walk = &s->walk;
    size_t a_step = walk->strides[0][walk->rank - 1];
    size_t b_step = walk->strides[1][walk->rank - 1];
    size_t count = walk->row - first < s->piece ? walk->row - first : s->piece;
    const char *a = (const char *)call->inputs[0] + (broadcast_offset(walk, 0, row) + first * a_step) * s->in_bytes;
    const char *b = (const char *)call->inputs[1] + (broadcast_offset(walk, 1, row) + first * b_step) * s->in_bytes;
    s->row(s, a, a_step, b, b_step, (char *)call->outputs[0] + (row * walk->row + first) * s->out_bytes, count);
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const binary_state *s = state;
    if (s->walk.row == 0) {
        return PARE_OK;
    }
    size_t pieces = (s->walk.row + s->piece - 1) / s->piece;
    size_t tasks = pieces * s->walk.rows;
    int32_t threads = s->walk.rows * s->walk.row < 16384 ? 1 : call->threads;
    (void)error;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t task = 0; task < tasks; task++) {
        run_piece(s, call, task / pieces, task % pieces * s->piece);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_binary = {.name = "reference_binary", .plan = plan, .run = run, .destroy = pare_free};
