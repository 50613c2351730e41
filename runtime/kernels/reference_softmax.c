#include "kernels/reference.h"

typedef struct softmax_state {
    size_t outer, count, inner;
    bool logarithm;
} softmax_state;

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_softmax_attrs *attrs = site->attrs;
    const pare_shape *x = &site->inputs[0].shape;
    if (site->inputs[0].dtype != PARE_F32 || attrs->axis < 0 || attrs->axis >= x->rank) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(softmax_state), error));
    softmax_state *s = *state;
    want_plain(site);
    s->outer = shape_product(x, 0, attrs->axis);
    s->count = (size_t)x->dims[attrs->axis];
    s->inner = shape_product(x, attrs->axis + 1, x->rank);
    s->logarithm = attrs->logarithm != 0;
    site->in_place = 1;
    return PARE_OK;
}

/* Exponents are taken relative to the largest, so that nothing overflows. */
static void softmax(const softmax_state *s, const float *x, float *y) {
    double largest = -INFINITY;
    double sum = 0.0;
    for (size_t i = 0; i < s->count; i++) {
        double value = (double)x[i * s->inner];
        largest = value > largest ? value : largest;
    }
    for (size_t i = 0; i < s->count; i++) {
        sum += exp((double)x[i * s->inner] - largest);
    }
    double log_sum = s->logarithm ? log(sum) : 0.0;
    for (size_t i = 0; i < s->count; i++) {
        double value = (double)x[i * s->inner] - largest;
        y[i * s->inner] = s->logarithm ? (float)(value - log_sum) : (float)(exp(value) / sum);
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const softmax_state *s = state;
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static) if (s->outer * s->inner * s->count > 4096)
    for (size_t row = 0; row < s->outer * s->inner; row++) {
        size_t at = row / s->inner * s->count * s->inner + row % s->inner;
        softmax(s, (const float *)call->inputs[0] + at, (float *)call->outputs[0] + at);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_softmax = {
    .name = "reference_softmax", .plan = plan, .run = run, .destroy = pare_free};
