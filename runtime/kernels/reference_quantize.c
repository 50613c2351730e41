#include "kernels/reference.h"

#define PIECE 8192

/* y = clamp(rint(x / scale) + zero), in float; NaN gives the zero point. */
typedef struct quantize_state {
    const float *scales;
    const int32_t *zeros;
    size_t outer, channels, inner; /* one scale and zero point a channel, or channels 1 */
    float lowest, highest;         /* of the type */
    pare_dtype dtype;
    bool interleave; /* x plain, y channels last: x [outer][inner channels][positions] */
    size_t samples, planes, positions;
} quantize_state;

static bool type_range(pare_dtype dtype, float *lowest, float *highest) {
    switch (dtype) {
    case PARE_U8:
        *lowest = 0.0F;
        *highest = 255.0F;
        return true;
    case PARE_S8:
        *lowest = -128.0F;
        *highest = 127.0F;
        return true;
    case PARE_U16:
        *lowest = 0.0F;
        *highest = 65535.0F;
        return true;
    case PARE_S16:
        *lowest = -32768.0F;
        *highest = 32767.0F;
        return true;
    default:
        return false;
    }
}

static void choose_layout(pare_site *site, quantize_state *s) {
    const pare_shape *shape = &site->inputs[0].shape;
    pare_layout layout = site->inputs[0].layout;
    if (s->channels != 1) {
        want_plain(site);
        return;
    }
    if (layout == PARE_LAYOUT_BLOCK8 || layout == PARE_LAYOUT_BLOCK16) {
        site->wanted[0] = layout = PARE_LAYOUT_CHANNELS_LAST; /* zero is not 0, so padding would be wrong */
    }
    site->outputs[0].layout = layout;
    if (shape->rank == 4 && layout == PARE_LAYOUT_PLAIN && pare_dtype_bytes(s->dtype) == 1) {
        site->outputs[0].layout = PARE_LAYOUT_CHANNELS_LAST; /* what integer kernels want next */
        s->interleave = !pare_layout_same(PARE_LAYOUT_PLAIN, PARE_LAYOUT_CHANNELS_LAST, shape);
        s->samples = (size_t)shape->dims[0];
        s->planes = (size_t)shape->dims[1];
        s->positions = (size_t)(shape->dims[2] * shape->dims[3]);
    }
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_model_quant *quant = site->outputs[0].quant;
    const pare_shape *shape = &site->inputs[0].shape;
    float lowest;
    float highest;
    if (site->inputs[0].dtype != PARE_F32 || quant == NULL || !type_range(site->outputs[0].dtype, &lowest, &highest) ||
        (quant->count > 1 &&
         (quant->axis < 0 || quant->axis >= shape->rank || quant->count != (uint64_t)shape->dims[quant->axis]))) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(quantize_state), error));
    quantize_state *s = *state;
    *s = (quantize_state){.scales = quant->scales,
                          .zeros = quant->zero_points,
                          .outer = 1,
                          .channels = quant->count,
                          .inner = shape_elements(shape),
                          .lowest = lowest,
                          .highest = highest,
                          .dtype = site->outputs[0].dtype};
    if (quant->count > 1) {
        s->outer = shape_product(shape, 0, quant->axis);
        s->inner = shape_product(shape, quant->axis + 1, shape->rank);
    }
    choose_layout(site, s);
    return PARE_OK;
}

static inline float quantize_one(float x, float scale, float low, float high) {
    return round_clamped(x / scale, low, high);
}

REFERENCE_CLONES static void quantize_row(const quantize_state *s, size_t channel, const float *x, void *y,
                                          size_t first, size_t count) {
    float scale = s->scales[channel];
    int32_t zero = s->zeros[channel];
    float low = s->lowest - (float)zero;
    float high = s->highest - (float)zero;
    if (pare_dtype_bytes(s->dtype) == 1) {
        uint8_t *out = (uint8_t *)y + first; /* the low byte is right for both signs */
        for (size_t i = 0; i < count; i++) {
            out[i] = (uint8_t)((int32_t)quantize_one(x[first + i], scale, low, high) + zero);
        }
    } else {
        uint16_t *out = (uint16_t *)y + first;
        for (size_t i = 0; i < count; i++) {
            out[i] = (uint16_t)((int32_t)quantize_one(x[first + i], scale, low, high) + zero);
        }
    }
}

/* Positions [first, first + count) of one sample, from planes to channels last. */
REFERENCE_CLONES static void interleave(const quantize_state *s, const float *x, uint8_t *y, size_t first,
                                        size_t count) {
    uint8_t row[PIECE];
    float scale = s->scales[0];
    int32_t zero = s->zeros[0];
    float low = s->lowest - (float)zero;
    float high = s->highest - (float)zero;
    for (size_t c = 0; c < s->planes; c++) {
        const float *from = x + c * s->positions + first;
        uint8_t *to = y + first * s->planes + c;
        for (size_t i = 0; i < count; i++) {
            row[i] = (uint8_t)((int32_t)quantize_one(from[i], scale, low, high) + zero);
        }
        for (size_t i = 0; i < count; i++) {
            to[i * s->planes] = row[i];
        }
    }
}

static void run_interleaved(const quantize_state *s, const pare_call *call) {
    size_t piece = 1024;
    size_t pieces = (s->positions + piece - 1) / piece;
#pragma omp parallel for num_threads(call->threads) schedule(static) if (s->samples * s->planes * s->positions > PIECE)
    for (size_t task = 0; task < s->samples * pieces; task++) {
        size_t offset = task / pieces * s->planes * s->positions;
        size_t first = task % pieces * piece;
        interleave(s, (const float *)call->inputs[0] + offset, (uint8_t *)call->outputs[0] + offset, first,
                   s->positions - first < piece ? s->positions - first : piece);
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const quantize_state *s = state;
    (void)error;
    if (s->interleave) {
        run_interleaved(s, call);
        return PARE_OK;
    }
    size_t pieces = (s->inner + PIECE - 1) / PIECE;
    size_t bytes = pare_dtype_bytes(s->dtype);
#pragma omp parallel for num_threads(call->threads) schedule(static) if (s->outer * s->channels * s->inner > PIECE)
    for (size_t task = 0; task < s->outer * s->channels * pieces; task++) {
        size_t row = task / pieces;
        size_t first = task % pieces * PIECE;
        quantize_row(s, row % s->channels, (const float *)call->inputs[0] + row * s->inner,
                     (char *)call->outputs[0] + row * s->inner * bytes, first,
                     s->inner - first < PIECE ? s->inner - first : PIECE);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_quantize = {
    .name = "reference_quantize", .plan = plan, .run = run, .destroy = pare_free};
