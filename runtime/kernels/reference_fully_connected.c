#include "kernels/reference.h"

#define ROWS 8 /* rows of x for which a row of w stays in the cache */

typedef struct fc_state {
    int64_t rows, outputs, taps;
    pare_activation activation;
    bool integer, bias;
    float *factors; /* m[o] */
    int32_t x_zero, y_zero, low, high;
} fc_state;

static pare_status prepare_integer(const pare_site *site, fc_state *s, pare_error *error) {
    float x_scale;
    float y_scale;
    const pare_model_quant *w = site->inputs[1].quant;
    if (!single_quant(&site->inputs[0], &x_scale, &s->x_zero) ||
        !single_quant(&site->outputs[0], &y_scale, &s->y_zero) || w == NULL ||
        (w->count != 1 && (w->count != (uint64_t)s->outputs || w->axis != 0))) {
        return pare_fail(error, PARE_UNSUPPORTED,
                         "expected per-tensor activations and per-tensor or per-channel weights, found another "
                         "quantization");
    }
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->zero_points[i] != 0) {
            return pare_fail(error, PARE_UNSUPPORTED, "expected weights with zero point 0, found %d",
                             w->zero_points[i]);
        }
    }
    s->factors = pare_alloc_zero((size_t)s->outputs, sizeof *s->factors);
    if (s->factors == NULL) {
        return pare_fail_memory(error, (size_t)s->outputs * sizeof *s->factors);
    }
    for (int64_t o = 0; o < s->outputs; o++) {
        double w_scale = w->scales[w->count == 1 ? 0 : o];
        s->factors[o] = (float)((double)x_scale * w_scale / (double)y_scale);
    }
    if (!pare_activation_bounds(&s->activation, y_scale, s->y_zero, &s->low, &s->high)) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected the activation identity, relu or clip, found %s",
                         pare_function_name(s->activation.function));
    }
    return pare_check_accumulator(site->inputs[1].constant, (size_t)s->outputs, (size_t)s->taps,
                                  s->bias ? site->inputs[2].constant : NULL, s->x_zero, error);
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_fully_connected_attrs *attrs = site->attrs;
    bool bias = site->input_count > 2 && site->inputs[2].present;
    bool integer = site->inputs[0].dtype == PARE_U8 && site->inputs[1].dtype == PARE_S8 &&
                   site->inputs[1].constant != NULL && site->outputs[0].dtype == PARE_U8;
    bool real = site->inputs[0].dtype == PARE_F32 && site->inputs[1].dtype == PARE_F32 &&
                (!bias || site->inputs[2].dtype == PARE_F32);
    if (!integer && !real) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(fc_state), error));
    fc_state *s = *state;
    s->outputs = site->inputs[1].shape.dims[0];
    s->taps = site->inputs[1].shape.dims[1];
    s->rows = (int64_t)shape_product(&site->inputs[0].shape, 0, site->inputs[0].shape.rank - 1);
    s->activation = attrs->activation;
    s->integer = integer;
    s->bias = bias;
    want_plain(site);
    return integer ? prepare_integer(site, s, error) : PARE_OK;
}

/* One output of `count` rows. */
REFERENCE_CLONES static void float_column(const fc_state *s, const float *x, const float *w, float bias, float *y,
                                          int64_t count) {
    for (int64_t row = 0; row < count; row++) {
        float sum = dot_lanes(x + row * s->taps, w, s->taps) + bias;
        pare_apply_function_all(&s->activation, &sum, 1);
        y[row * s->outputs] = sum;
    }
}

REFERENCE_CLONES static void integer_column(const fc_state *s, const uint8_t *x, const int8_t *w, int32_t bias,
                                            float factor, uint8_t *y, int64_t count) {
    for (int64_t row = 0; row < count; row++) {
        int32_t sum = bias;
        const uint8_t *from = x + row * s->taps;
        int16_t zero = (int16_t)s->x_zero;
        for (int64_t i = 0; i < s->taps; i++) {
            int16_t a = (int16_t)(from[i] - zero);
            int16_t b = w[i];
            sum += a * b;
        }
        float value = round_clamped((float)sum * factor, (float)(s->low - s->y_zero), (float)(s->high - s->y_zero));
        y[row * s->outputs] = (uint8_t)((int32_t)value + s->y_zero);
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const fc_state *s = state;
    const void *bias = s->bias ? call->inputs[2] : NULL;
    int64_t blocks = (s->rows + ROWS - 1) / ROWS;
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static)
    for (int64_t task = 0; task < blocks * s->outputs; task++) {
        int64_t first = task / s->outputs * ROWS;
        int64_t o = task % s->outputs;
        int64_t count = s->rows - first < ROWS ? s->rows - first : ROWS;
        if (s->integer) {
            integer_column(s, (const uint8_t *)call->inputs[0] + first * s->taps,
                           (const int8_t *)call->inputs[1] + o * s->taps, bias != NULL ? ((const int32_t *)bias)[o] : 0,
                           s->factors[o], (uint8_t *)call->outputs[0] + first * s->outputs + o, count);
        } else {
            float_column(s, (const float *)call->inputs[0] + first * s->taps,
                         (const float *)call->inputs[1] + o * s->taps, bias != NULL ? ((const float *)bias)[o] : 0.0F,
                         (float *)call->outputs[0] + first * s->outputs + o, count);
        }
    }
    return PARE_OK;
}

static void destroy(void *state) {
    fc_state *s = state;
    if (s != NULL) {
        pare_free(s->factors);
        pare_free(s);
    }
}

const pare_kernel pare_reference_fully_connected = {
    .name = "reference_fully_connected", .plan = plan, .run = run, .destroy = destroy};
