#include "kernels/reference.h"

/* y = (x - mean) / sqrt(variance + epsilon) × scale + bias over the last `count` elements. */
typedef struct norm_state {
    size_t rows, count;
    float epsilon;
    bool bias;
} norm_state;

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_norm_attrs *attrs = site->attrs;
    const pare_shape *x = &site->inputs[0].shape;
    for (size_t i = 0; i < site->input_count; i++) {
        if (site->inputs[i].present && site->inputs[i].dtype != PARE_F32) {
            return PARE_UNSUPPORTED;
        }
    }
    PARE_TRY(make_state(state, sizeof(norm_state), error));
    norm_state *s = *state;
    want_plain(site);
    s->rows = shape_product(x, 0, attrs->axis);
    s->count = shape_product(x, attrs->axis, x->rank);
    s->epsilon = attrs->epsilon;
    s->bias = site->input_count > 2 && site->inputs[2].present;
    site->in_place = 1;
    return PARE_OK;
}

static void normalize(const norm_state *s, const float *x, const float *scale, const float *bias, float *y) {
    double sum = 0.0;
    double squares = 0.0;
    for (size_t i = 0; i < s->count; i++) {
        sum += (double)x[i];
    }
    double mean = sum / (double)s->count;
    for (size_t i = 0; i < s->count; i++) {
        double d = (double)x[i] - mean;
        squares += d * d;
    }
    double factor = 1.0 / sqrt(squares / (double)s->count + (double)s->epsilon);
    for (size_t i = 0; i < s->count; i++) {
        float value = (float)(((double)x[i] - mean) * factor) * scale[i];
        y[i] = bias != NULL ? value + bias[i] : value;
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const norm_state *s = state;
    const float *bias = s->bias ? call->inputs[2] : NULL;
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static) if (s->rows * s->count > 4096)
    for (size_t row = 0; row < s->rows; row++) {
        normalize(s, (const float *)call->inputs[0] + row * s->count, call->inputs[1], bias,
                  (float *)call->outputs[0] + row * s->count);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_layer_norm = {
    .name = "reference_layer_norm", .plan = plan, .run = run, .destroy = pare_free};
