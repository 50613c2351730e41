/* Local response normalization (Krizhevsky et al. 2012, section 3.3): with the scale
 * s[c] = bias + alpha / size × the sum of x² over `size` channels around c,
 * y[c] = x[c] s[c]^-beta. Plain loops: oneDNN's window lies otherwise where the size is even. */
#include <math.h>

#include "train/tape/tape_steps.h"

typedef struct lrn_plan {
    pare_lrn_attrs attrs;
    size_t samples, channels, positions;
    tape_place x, scale;
} lrn_plan;

/* Channels `before` and `after` channel c, within the sample. */
static void window_of(const lrn_plan *p, size_t c, size_t before, size_t after, size_t *first, size_t *last) {
    *first = c > before ? c - before : 0;
    *last = after < p->channels - 1 - c ? c + after : p->channels - 1;
}

/* pointers: x, scale, y */
static pare_status run_forward(void *context, void *const *pointers) {
    const lrn_plan *p = context;
    size_t below = (size_t)(p->attrs.size - 1) / 2, above = (size_t)p->attrs.size - 1 - below;
    float ratio = p->attrs.alpha / (float)p->attrs.size;
#pragma omp parallel for schedule(static)
    for (size_t plane = 0; plane < p->samples * p->channels; plane++) {
        size_t c = plane % p->channels, first = 0, last = 0, at = plane * p->positions;
        const float *sample = (const float *)pointers[0] + (plane - c) * p->positions, *x = pointers[0];
        float *scale = pointers[1], *y = pointers[2];
        window_of(p, c, below, above, &first, &last);
        for (size_t i = 0; i < p->positions; i++) {
            float sum = 0.0F;
            for (size_t k = first; k <= last; k++) {
                sum += sample[k * p->positions + i] * sample[k * p->positions + i];
            }
            scale[at + i] = p->attrs.bias + ratio * sum;
            y[at + i] = x[at + i] * powf(scale[at + i], -p->attrs.beta);
        }
    }
    return PARE_OK;
}

/* dx[k] = dy[k] s[k]^-beta - 2 alpha beta / size × x[k] × the sum of t[c] = dy[c] x[c] s[c]^(-beta - 1)
 * over those c whose windows hold k. pointers: x, scale, dy, t, dx */
static pare_status run_backward(void *context, void *const *pointers) {
    const lrn_plan *p = context;
    size_t below = (size_t)(p->attrs.size - 1) / 2, above = (size_t)p->attrs.size - 1 - below;
    size_t count = p->samples * p->channels * p->positions;
    float factor = 2.0F * p->attrs.alpha * p->attrs.beta / (float)p->attrs.size;
    const float *x = pointers[0], *scale = pointers[1], *dy = pointers[2];
    float *t = pointers[3], *dx = pointers[4];
    TAPE_PARALLEL(count)
    for (size_t i = 0; i < count; i++) {
        dx[i] = dy[i] * powf(scale[i], -p->attrs.beta);
        t[i] = dx[i] * x[i] / scale[i];
    }
#pragma omp parallel for schedule(static)
    for (size_t plane = 0; plane < p->samples * p->channels; plane++) {
        size_t k = plane % p->channels, first = 0, last = 0, at = plane * p->positions;
        const float *sample = t + (plane - k) * p->positions;
        window_of(p, k, above, below, &first, &last);
        for (size_t i = 0; i < p->positions; i++) {
            float sum = 0.0F;
            for (size_t c = first; c <= last; c++) {
                sum += sample[c * p->positions + i];
            }
            dx[at + i] -= factor * x[at + i] * sum;
        }
    }
    return PARE_OK;
}

static pare_status lrn_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const tape_tensor *x = tape_tensor_at(tape, step->inputs[0]);
    lrn_plan *plan = tape_make(tape, 1, sizeof *plan);
    tape_place y;
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    plan->attrs = *(const pare_lrn_attrs *)step->attrs;
    plan->samples = (size_t)x->shape.dims[0];
    plan->channels = (size_t)x->shape.dims[1];
    plan->positions = x->elements / (plan->samples * plan->channels);
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &plan->x, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], NULL, &plan->scale, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &y, error));
    return tape_emit(tape, step, run_forward, NULL, plan,
                     (const uint32_t[]){plan->x.buffer, plan->scale.buffer, y.buffer}, 3, error);
}

static pare_status lrn_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    lrn_plan *plan = step->plan;
    tape_place dy, dx, t;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], NULL, &t, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], NULL, &dx, error));
    PARE_TRY(tape_emit(tape, step, run_backward, NULL, plan,
                       (const uint32_t[]){plan->x.buffer, plan->scale.buffer, dy.buffer, t.buffer, dx.buffer}, 5,
                       error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static const tape_step_class lrn_class = {"local response normalization", false, lrn_forward, lrn_backward};

pare_status tape_lrn(pare_tape *tape, const pare_node *node, const pare_lrn_attrs *attrs, uint32_t x, uint32_t y,
                     pare_error *error) {
    return tape_record(tape, &lrn_class, node, &x, 1, &y, 1, attrs, sizeof *attrs, error);
}
