#include "kernels/reference.h"

/* y = (x - mean) / sqrt(variance + epsilon) × scale[c] + bias[c] over the positions of each sample and channel. */
typedef struct norm_state {
    size_t samples, channels, positions;
    float epsilon;
} norm_state;

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_norm_attrs *attrs = site->attrs;
    const pare_shape *x = &site->inputs[0].shape;
    for (size_t i = 0; i < site->input_count; i++) {
        if (!site->inputs[i].present || site->inputs[i].dtype != PARE_F32) {
            return PARE_UNSUPPORTED;
        }
    }
    if (x->rank < 2) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(norm_state), error));
    norm_state *s = *state;
    want_plain(site);
    s->samples = (size_t)x->dims[0];
    s->channels = (size_t)x->dims[1];
    s->positions = shape_product(x, 2, x->rank);
    s->epsilon = attrs->epsilon;
    site->in_place = 1;
    return PARE_OK;
}

static void normalize(const norm_state *s, const float *x, float scale, float bias, float *y) {
    double sum = 0.0;
    double squares = 0.0;
    for (size_t i = 0; i < s->positions; i++) {
        sum += (double)x[i];
    }
    double mean = sum / (double)s->positions;
    for (size_t i = 0; i < s->positions; i++) {
        double d = (double)x[i] - mean;
        squares += d * d;
    }
    double factor = (double)scale / sqrt(squares / (double)s->positions + (double)s->epsilon);
    for (size_t i = 0; i < s->positions; i++) {
        y[i] = (float)(((double)x[i] - mean) * factor + (double)bias);
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const norm_state *s = state;
    const float *scale = call->inputs[1];
    const float *bias = call->inputs[2];
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static)
    for (size_t plane = 0; plane < s->samples * s->channels; plane++) {
        size_t c = plane % s->channels;
        normalize(s, (const float *)call->inputs[0] + plane * s->positions, scale[c], bias[c],
                  (float *)call->outputs[0] + plane * s->positions);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_instance_norm = {
    .name = "reference_instance_norm", .plan = plan, .run = run, .destroy = pare_free};
