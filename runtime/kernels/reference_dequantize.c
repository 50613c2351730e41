#include "kernels/reference.h"

#define PIECE 8192

/* y = (x - zero) × scale */
typedef struct dequantize_state {
    const float *scales;
    const int32_t *zeros;
    size_t outer, channels, inner;
    pare_dtype dtype;
} dequantize_state;

static bool takes(pare_dtype dtype) {
    return dtype == PARE_U8 || dtype == PARE_S8 || dtype == PARE_U16 || dtype == PARE_S16 || dtype == PARE_S32;
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_model_quant *quant = site->inputs[0].quant;
    const pare_shape *shape = &site->inputs[0].shape;
    if (site->outputs[0].dtype != PARE_F32 || quant == NULL || !takes(site->inputs[0].dtype) ||
        (quant->count > 1 &&
         (quant->axis < 0 || quant->axis >= shape->rank || quant->count != (uint64_t)shape->dims[quant->axis]))) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(dequantize_state), error));
    dequantize_state *s = *state;
    *s = (dequantize_state){.scales = quant->scales,
                            .zeros = quant->zero_points,
                            .outer = 1,
                            .channels = quant->count,
                            .inner = shape_elements(shape),
                            .dtype = site->inputs[0].dtype};
    pare_layout layout = site->inputs[0].layout;
    if (quant->count > 1) {
        s->outer = shape_product(shape, 0, quant->axis);
        s->inner = shape_product(shape, quant->axis + 1, shape->rank);
        layout = PARE_LAYOUT_PLAIN;
    } else if (layout != PARE_LAYOUT_CHANNELS_LAST) {
        layout = PARE_LAYOUT_PLAIN;
    }
    site->wanted[0] = site->outputs[0].layout = layout;
    return PARE_OK;
}

#define EACH(type)                                                                                                     \
    for (size_t i = first; i < first + count; i++) {                                                                   \
        y[i] = (float)((int32_t)((const type *)x)[i] - zero) * scale;                                                  \
    }                                                                                                                  \
    break

REFERENCE_CLONES static void dequantize_row(const dequantize_state *s, size_t channel, const void *x, float *y,
                                            size_t first, size_t count) {
    float scale = s->scales[channel];
    int32_t zero = s->zeros[channel];
    switch (s->dtype) {
    case PARE_U8:
        EACH(uint8_t);
    case PARE_S8:
        EACH(int8_t);
    case PARE_U16:
        EACH(uint16_t);
    case PARE_S16:
        EACH(int16_t);
    default: /* S32, whose difference may need more bits */
        for (size_t i = first; i < first + count; i++) {
            y[i] = (float)((int64_t)((const int32_t *)x)[i] - zero) * scale;
        }
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const dequantize_state *s = state;
    size_t pieces = (s->inner + PIECE - 1) / PIECE;
    size_t bytes = pare_dtype_bytes(s->dtype);
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static) if (s->outer * s->channels * s->inner > PIECE)
    for (size_t task = 0; task < s->outer * s->channels * pieces; task++) {
        size_t row = task / pieces;
        size_t first = task % pieces * PIECE;
        dequantize_row(s, row % s->channels, (const char *)call->inputs[0] + row * s->inner * bytes,
                       (float *)call->outputs[0] + row * s->inner, first,
                       s->inner - first < PIECE ? s->inner - first : PIECE);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_dequantize = {
    .name = "reference_dequantize", .plan = plan, .run = run, .destroy = pare_free};
