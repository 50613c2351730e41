#include "kernels/reference.h"

/* Output elements are the kept axes in order; each reduces over the others. */
typedef struct reduce_state {
    int32_t kind, kept, reduced; /* numbers of axes */
    size_t kept_extents[PARE_MAX_RANK], kept_strides[PARE_MAX_RANK];
    size_t reduced_extents[PARE_MAX_RANK], reduced_strides[PARE_MAX_RANK];
    size_t outputs, count; /* count: elements that one output reduces */
    pare_dtype dtype;
} reduce_state;

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_reduce_attrs *attrs = site->attrs;
    const pare_shape *x = &site->inputs[0].shape;
    pare_dtype dtype = site->inputs[0].dtype;
    size_t strides[PARE_MAX_RANK] = {0};
    if ((dtype != PARE_F32 && dtype != PARE_S32 && dtype != PARE_S64) || site->outputs[0].dtype != dtype) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(reduce_state), error));
    reduce_state *s = *state;
    want_plain(site);
    shape_strides(x, strides);
    s->kind = attrs->kind;
    s->dtype = dtype;
    s->outputs = s->count = 1;
    for (int32_t i = 0; i < x->rank; i++) {
        size_t extent = (size_t)x->dims[i];
        if (attrs->axis_mask >> i & 1) {
            s->reduced_extents[s->reduced] = extent;
            s->reduced_strides[s->reduced++] = strides[i];
            s->count *= extent;
        } else {
            s->kept_extents[s->kept] = extent;
            s->kept_strides[s->kept++] = strides[i];
            s->outputs *= extent;
        }
    }
    return PARE_OK;
}

static size_t offset_of(size_t index, int32_t axes, const size_t *extents, const size_t *strides) {
    size_t offset = 0;
    for (int32_t i = axes - 1; i >= 0; i--) {
        offset += index % extents[i] * strides[i];
        index /= extents[i];
    }
    return offset;
}

/* What the elements start from. */
static double start_of(int32_t kind) {
    return kind == PARE_REDUCE_MAX    ? -INFINITY
           : kind == PARE_REDUCE_MIN  ? INFINITY
           : kind == PARE_REDUCE_PROD ? 1.0
                                      : 0.0;
}

static double add_float(int32_t kind, double sum, double x, double shift) {
    switch (kind) {
    case PARE_REDUCE_MAX:
        return x > sum || x != x ? x : sum;
    case PARE_REDUCE_MIN:
        return x < sum || x != x ? x : sum;
    case PARE_REDUCE_PROD:
        return sum * x;
    case PARE_REDUCE_L1:
        return sum + fabs(x);
    case PARE_REDUCE_L2:
    case PARE_REDUCE_SUM_SQUARE:
        return sum + x * x;
    case PARE_REDUCE_LOG_SUM_EXP:
        return sum + exp(x - shift);
    default:
        return sum + x;
    }
}

static double finish_float(const reduce_state *s, double sum, double shift) {
    switch (s->kind) {
    case PARE_REDUCE_MEAN:
        return s->count > 0 ? sum / (double)s->count : 0.0;
    case PARE_REDUCE_L2:
        return sqrt(sum);
    case PARE_REDUCE_LOG_SUM:
        return log(sum);
    case PARE_REDUCE_LOG_SUM_EXP:
        return log(sum) + shift;
    default:
        return sum;
    }
}

static double reduce_rows(const reduce_state *s, const float *x, int32_t kind, double shift) {
    int32_t outer = s->reduced > 0 ? s->reduced - 1 : 0;
    size_t row = s->reduced > 0 ? s->reduced_extents[outer] : 1;
    size_t stride = s->reduced > 0 ? s->reduced_strides[outer] : 1;
    size_t rows = row == 0 ? 0 : s->count / row;
    double sum = start_of(kind);
    for (size_t r = 0; r < rows; r++) {
        const float *from = x + offset_of(r, outer, s->reduced_extents, s->reduced_strides);
        for (size_t i = 0; i < row; i++) {
            sum = add_float(kind, sum, (double)from[i * stride], shift);
        }
    }
    return sum;
}

static float reduce_float(const reduce_state *s, const float *x) {
    double shift = 0.0;
    if (s->kind == PARE_REDUCE_LOG_SUM_EXP) { /* exponents relative to the largest cannot overflow */
        shift = reduce_rows(s, x, PARE_REDUCE_MAX, 0.0);
        shift = isfinite(shift) ? shift : 0.0;
    }
    return (float)finish_float(s, reduce_rows(s, x, s->kind, shift), shift);
}

static uint64_t add_integer(int32_t kind, uint64_t sum, int64_t x) {
    uint64_t u = (uint64_t)x;
    switch (kind) {
    case PARE_REDUCE_MAX:
        return x > (int64_t)sum ? u : sum;
    case PARE_REDUCE_MIN:
        return x < (int64_t)sum ? u : sum;
    case PARE_REDUCE_PROD:
        return sum * u;
    case PARE_REDUCE_L1:
        return sum + (x < 0 ? 0 - u : u);
    case PARE_REDUCE_L2:
    case PARE_REDUCE_SUM_SQUARE:
        return sum + u * u;
    case PARE_REDUCE_LOG_SUM_EXP:
        return sum + (uint64_t)(int64_t)fmin(exp((double)x), 9e18);
    default:
        return sum + u;
    }
}

static int64_t reduce_integer(const reduce_state *s, const void *x, size_t base) {
    uint64_t sum = s->kind == PARE_REDUCE_MAX    ? (uint64_t)INT64_MIN
                   : s->kind == PARE_REDUCE_MIN  ? (uint64_t)INT64_MAX
                   : s->kind == PARE_REDUCE_PROD ? 1
                                                 : 0;
    for (size_t i = 0; i < s->count; i++) {
        size_t at = base + offset_of(i, s->reduced, s->reduced_extents, s->reduced_strides);
        sum = add_integer(s->kind, sum, s->dtype == PARE_S64 ? ((const int64_t *)x)[at] : ((const int32_t *)x)[at]);
    }
    int64_t result = (int64_t)sum;
    switch (s->kind) {
    case PARE_REDUCE_MEAN:
        return s->count > 0 ? result / (int64_t)s->count : 0;
    case PARE_REDUCE_L2:
        return (int64_t)sqrt((double)result);
    case PARE_REDUCE_LOG_SUM:
    case PARE_REDUCE_LOG_SUM_EXP:
        return result > 0 ? (int64_t)log((double)result) : 0;
    default:
        return result;
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const reduce_state *s = state;
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static) if (s->outputs * s->count > 16384)
    for (size_t o = 0; o < s->outputs; o++) {
        size_t base = offset_of(o, s->kept, s->kept_extents, s->kept_strides);
        if (s->dtype == PARE_F32) {
            ((float *)call->outputs[0])[o] = reduce_float(s, (const float *)call->inputs[0] + base);
        } else if (s->dtype == PARE_S64) {
            ((int64_t *)call->outputs[0])[o] = reduce_integer(s, call->inputs[0], base);
        } else {
            ((int32_t *)call->outputs[0])[o] = (int32_t)reduce_integer(s, call->inputs[0], base);
        }
    }
    return PARE_OK;
}

const pare_kernel pare_reference_reduce = {.name = "reference_reduce", .plan = plan, .run = run, .destroy = pare_free};
