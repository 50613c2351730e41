#include "kernels/reference.h"

/* y[c] = x[c] / (bias + alpha / size × sum of x² over `size` channels around c) ^ beta. */
typedef struct lrn_state {
    size_t samples, channels, positions;
    pare_lrn_attrs attrs;
} lrn_state;

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_shape *x = &site->inputs[0].shape;
    if (site->inputs[0].dtype != PARE_F32 || x->rank < 2) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(lrn_state), error));
    lrn_state *s = *state;
    want_plain(site);
    memcpy(&s->attrs, site->attrs, sizeof s->attrs);
    s->samples = (size_t)x->dims[0];
    s->channels = (size_t)x->dims[1];
    s->positions = shape_product(x, 2, x->rank);
    return PARE_OK;
}

static void normalize_plane(const lrn_state *s, const float *sample, size_t c, float *y) {
    size_t below = (size_t)(s->attrs.size - 1) / 2;
    size_t above = (size_t)s->attrs.size - 1 - below;
    size_t first = c > below ? c - below : 0;
    size_t last = c + above < s->channels - 1 ? c + above : s->channels - 1;
    double ratio = (double)s->attrs.alpha / (double)s->attrs.size;
    for (size_t i = 0; i < s->positions; i++) {
        double sum = 0.0;
        for (size_t k = first; k <= last; k++) {
            double value = (double)sample[k * s->positions + i];
            sum += value * value;
        }
        double divisor = pow((double)s->attrs.bias + ratio * sum, (double)s->attrs.beta);
        y[i] = (float)((double)sample[c * s->positions + i] / divisor);
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const lrn_state *s = state;
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static)
    for (size_t plane = 0; plane < s->samples * s->channels; plane++) {
        size_t c = plane % s->channels;
        normalize_plane(s, (const float *)call->inputs[0] + (plane - c) * s->positions, c,
                        (float *)call->outputs[0] + plane * s->positions);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_lrn = {.name = "reference_lrn", .plan = plan, .run = run, .destroy = pare_free};
