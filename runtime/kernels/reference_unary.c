#include "kernels/reference.h"

#define PIECE 16384 /* elements that one task computes */

typedef struct unary_state {
    pare_activation function;
    size_t count; /* elements in memory */
    pare_dtype dtype;
    bool table;
} unary_state;

static bool takes(const pare_site *site, int32_t function) {
    pare_dtype dtype = site->inputs[0].dtype;
    if (site->outputs[0].dtype != dtype) {
        return false;
    }
    switch (dtype) {
    case PARE_F32:
        return true;
    case PARE_U8:
        return site->input_count > 1 && site->inputs[1].present && site->inputs[1].dtype == PARE_U8 &&
               shape_elements(&site->inputs[1].shape) == 256;
    case PARE_BOOL:
        return function == PARE_FN_NOT;
    case PARE_S32:
    case PARE_S64:
        return function == PARE_FN_IDENTITY || function == PARE_FN_ABS || function == PARE_FN_NEG ||
               function == PARE_FN_SIGN || function == PARE_FN_RELU;
    default:
        return false;
    }
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_unary_attrs *attrs = site->attrs;
    if (!takes(site, attrs->function.function)) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(unary_state), error));
    unary_state *s = *state;
    s->function = attrs->function;
    s->dtype = site->inputs[0].dtype;
    s->table = s->dtype == PARE_U8;
    pare_layout layout = site->inputs[0].layout;
    bool blocked = layout == PARE_LAYOUT_BLOCK8 || layout == PARE_LAYOUT_BLOCK16;
    if (blocked && (s->dtype != PARE_F32 || pare_apply_function(&s->function, 0.0F) != 0.0F)) {
        site->wanted[0] = PARE_LAYOUT_PLAIN; /* padding channels must stay 0 */
    }
    site->outputs[0].layout = site->wanted[0];
    s->count = stored_elements(&site->outputs[0]);
    site->in_place = 1;
    return PARE_OK;
}

static int64_t integer_function(int32_t function, int64_t x) {
    switch (function) {
    case PARE_FN_ABS:
        return x < 0 ? (int64_t)(0 - (uint64_t)x) : x;
    case PARE_FN_NEG:
        return (int64_t)(0 - (uint64_t)x);
    case PARE_FN_SIGN:
        return (x > 0) - (x < 0);
    case PARE_FN_RELU:
        return x > 0 ? x : 0;
    default:
        return x;
    }
}

static void run_piece(const unary_state *s, const pare_call *call, size_t first, size_t count) {
    const void *in = call->inputs[0];
    void *out = call->outputs[0];
    if (s->table) {
        const uint8_t *table = call->inputs[1];
        for (size_t i = first; i < first + count; i++) {
            ((uint8_t *)out)[i] = table[((const uint8_t *)in)[i]];
        }
    } else if (s->dtype == PARE_F32) {
        if (in != out) {
            memcpy((float *)out + first, (const float *)in + first, count * sizeof(float));
        }
        pare_apply_function_all(&s->function, (float *)out + first, count);
    } else if (s->dtype == PARE_BOOL) {
        for (size_t i = first; i < first + count; i++) {
            ((uint8_t *)out)[i] = ((const uint8_t *)in)[i] == 0;
        }
    } else {
        for (size_t i = first; i < first + count; i++) {
            if (s->dtype == PARE_S64) {
                ((int64_t *)out)[i] = integer_function(s->function.function, ((const int64_t *)in)[i]);
            } else {
                ((int32_t *)out)[i] = (int32_t)integer_function(s->function.function, ((const int32_t *)in)[i]);
            }
        }
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const unary_state *s = state;
    size_t pieces = (s->count + PIECE - 1) / PIECE;
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static) if (pieces > 1)
    for (size_t piece = 0; piece < pieces; piece++) {
        size_t first = piece * PIECE;
        run_piece(s, call, first, s->count - first < PIECE ? s->count - first : PIECE);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_unary = {.name = "reference_unary", .plan = plan, .run = run, .destroy = pare_free};
