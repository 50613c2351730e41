#include "kernels/reference.h"

#define PIECE 16384

typedef struct cast_state {
    pare_dtype from, to;
    size_t count;
} cast_state;

static bool is_real(pare_dtype dtype) {
    return dtype == PARE_F32 || dtype == PARE_F64 || dtype == PARE_F16 || dtype == PARE_BF16;
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    pare_dtype from = site->inputs[0].dtype;
    pare_dtype to = site->outputs[0].dtype;
    if (pare_dtype_bytes(from) == 0 || pare_dtype_bytes(to) == 0) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(cast_state), error));
    cast_state *s = *state;
    *s = (cast_state){.from = from, .to = to, .count = shape_elements(&site->inputs[0].shape)};
    want_plain(site);
    if (from == to) {
        site->alias = 1;
    }
    return PARE_OK;
}

static double load_real(pare_dtype from, const void *in, size_t i) {
    switch (from) {
    case PARE_F32:
        return ((const float *)in)[i];
    case PARE_F64:
        return ((const double *)in)[i];
    case PARE_F16:
        return pare_f16_to_f32(((const uint16_t *)in)[i]);
    default:
        return pare_bf16_to_f32(((const uint16_t *)in)[i]);
    }
}

/* U64 comes as its two's complement twin. */
static int64_t load_integer(pare_dtype from, const void *in, size_t i) {
    switch (from) {
    case PARE_U8:
        return ((const uint8_t *)in)[i];
    case PARE_S8:
        return ((const int8_t *)in)[i];
    case PARE_U16:
        return ((const uint16_t *)in)[i];
    case PARE_S16:
        return ((const int16_t *)in)[i];
    case PARE_S32:
        return ((const int32_t *)in)[i];
    case PARE_U32:
        return ((const uint32_t *)in)[i];
    case PARE_BOOL:
        return ((const uint8_t *)in)[i] != 0;
    default:
        return ((const int64_t *)in)[i];
    }
}

/* Towards zero; what does not fit saturates at 64 bits, NaN gives 0. */
static int64_t truncate_real(double value, bool is_unsigned) {
    if (value != value) {
        return 0;
    }
    if (is_unsigned && value >= 9223372036854775808.0) {
        return value >= 18446744073709551616.0 ? -1 : (int64_t)(uint64_t)value;
    }
    if (value >= 9223372036854775808.0) {
        return INT64_MAX;
    }
    return value < -9223372036854775808.0 ? INT64_MIN : (int64_t)value;
}

static void store_real(pare_dtype to, void *out, size_t i, double value) {
    switch (to) {
    case PARE_F32:
        ((float *)out)[i] = (float)value;
        break;
    case PARE_F64:
        ((double *)out)[i] = value;
        break;
    case PARE_F16:
        ((uint16_t *)out)[i] = pare_f32_to_f16((float)value);
        break;
    default:
        ((uint16_t *)out)[i] = pare_f32_to_bf16((float)value);
        break;
    }
}

/* Integers wrap. */
static void store_integer(pare_dtype to, void *out, size_t i, int64_t value) {
    switch (pare_dtype_bytes(to)) {
    case 1:
        ((uint8_t *)out)[i] = (uint8_t)value;
        break;
    case 2:
        ((uint16_t *)out)[i] = (uint16_t)value;
        break;
    case 4:
        ((uint32_t *)out)[i] = (uint32_t)value;
        break;
    default:
        ((uint64_t *)out)[i] = (uint64_t)value;
        break;
    }
}

static void cast_one(const cast_state *s, const void *in, void *out, size_t i) {
    if (is_real(s->from)) {
        double value = load_real(s->from, in, i);
        if (s->to == PARE_BOOL) {
            ((uint8_t *)out)[i] = value != 0.0;
        } else if (is_real(s->to)) {
            store_real(s->to, out, i, value);
        } else {
            store_integer(s->to, out, i, truncate_real(value, s->to == PARE_U64));
        }
        return;
    }
    int64_t value = load_integer(s->from, in, i);
    if (s->to == PARE_BOOL) {
        ((uint8_t *)out)[i] = value != 0;
    } else if (s->to == PARE_F32) { /* directly: through double would round twice */
        ((float *)out)[i] = s->from == PARE_U64 ? (float)(uint64_t)value : (float)value;
    } else if (is_real(s->to)) {
        store_real(s->to, out, i, s->from == PARE_U64 ? (double)(uint64_t)value : (double)value);
    } else {
        store_integer(s->to, out, i, value);
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const cast_state *s = state;
    (void)error;
    if (s->from == s->to) {
        memcpy(call->outputs[0], call->inputs[0], s->count * pare_dtype_bytes(s->from));
        return PARE_OK;
    }
#pragma omp parallel for num_threads(call->threads) schedule(static) if (s->count > PIECE)
    for (size_t i = 0; i < s->count; i++) {
        cast_one(s, call->inputs[0], call->outputs[0], i);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_cast = {.name = "reference_cast", .plan = plan, .run = run, .destroy = pare_free};
