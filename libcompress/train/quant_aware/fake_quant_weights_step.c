/* Fake quantization of weights, with a step for each output channel. The
 * integers are those of round_weights_channel, which export calls, too. */
#include <math.h>

#include "train/quant_aware/fake_quant.h"
#include "train/tape/tape_plan.h"
#include "train/tape/tape_steps.h"

typedef struct fake_weights_plan {
    fake_quant_weight_attrs attrs;
    size_t count;
    float gradient_scale;
    bool wants_w, wants_steps;
    tape_place w, steps;
    uint32_t levels; /* [count] s8, for the way back */
} fake_weights_plan;

static float step_of(const fake_weights_plan *p, const float *steps, size_t channel) {
    return fake_quant_step(steps[channel], p->attrs.least[channel]);
}

/* pointers: w, steps, levels, y */
static pare_status run_forward(void *context, void *const *pointers) {
    const fake_weights_plan *p = context;
    const weight_view *v = &p->attrs.view;
    const float *w = pointers[0];
    int8_t *levels = pointers[2];
    float *y = pointers[3];
#pragma omp parallel for schedule(static) if (p->count > 4096)
    for (size_t o = 0; o < v->channels; o++) {
        float step = step_of(p, pointers[1], o);
        round_weights_channel(w, v, o, step, p->attrs.bits, p->attrs.rule, levels);
        for (size_t k = 0; k < v->reduction; k++) {
            size_t row = o * v->channel_stride + k * v->k_stride;
            for (size_t t = 0; t < v->taps; t++) {
                size_t at = row + t * v->tap_stride;
                y[at] = (float)levels[at] * step;
            }
        }
    }
    return PARE_OK;
}

/* dx of one channel (dx may be dy); returns the sum for its step. */
static double back_channel(const fake_weights_plan *p, size_t o, float step, const float *w, const int8_t *levels,
                           const float *dy, float *dx) {
    const weight_view *view = &p->attrs.view;
    float limit = (float)weight_limit(p->attrs.bits, p->attrs.rule), inverse = 1.0F / step;
    double sum = 0.0;
    for (size_t k = 0; k < view->reduction; k++) {
        size_t row = o * view->channel_stride + k * view->k_stride;
        for (size_t t = 0; t < view->taps; t++) {
            size_t at = row + t * view->tap_stride;
            float v = w[at] * inverse, g = dy[at];
            bool inside = v > -limit && v < limit;
            sum += (double)(g * ((float)levels[at] - (inside ? v : 0.0F)));
            dx[at] = inside ? g : 0.0F;
        }
    }
    return sum;
}

/* pointers: w, steps, levels, dy, dx, the steps' gradients */
static pare_status run_backward(void *context, void *const *pointers) {
    const fake_weights_plan *p = context;
    float *ds = pointers[5];
#pragma omp parallel for schedule(static) if (p->count > 4096)
    for (size_t o = 0; o < p->attrs.view.channels; o++) {
        double sum = back_channel(p, o, step_of(p, pointers[1], o), pointers[0], pointers[2], pointers[3], pointers[4]);
        ds[o] = (float)(sum * (double)p->gradient_scale);
    }
    return PARE_OK;
}

static pare_status weights_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const tape_tensor *w = tape_tensor_at(tape, step->inputs[0]);
    fake_weights_plan *plan = tape_make(tape, 1, sizeof *plan);
    pare_status status = PARE_OK;
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    plan->attrs = *(const fake_quant_weight_attrs *)step->attrs;
    plan->count = w->elements;
    plan->wants_w = w->wants_gradient;
    plan->wants_steps = tape_tensor_at(tape, step->inputs[1])->wants_gradient;
    double weights = (double)(plan->attrs.view.reduction * plan->attrs.view.taps);
    plan->gradient_scale = (float)(1.0 / sqrt(weights * (double)weight_limit(plan->attrs.bits, plan->attrs.rule)));
    tape_place y;
    plan->levels = tape_buffer(tape, plan->count, error, &status);
    PARE_TRY(status);
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &plan->w, error));
    PARE_TRY(tape_value_as(tape, step->inputs[1], NULL, &plan->steps, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &y, error));
    return tape_emit(tape, step, run_forward, NULL, plan,
                     (const uint32_t[]){plan->w.buffer, plan->steps.buffer, plan->levels, y.buffer}, 4, error);
}

static pare_status weights_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const fake_weights_plan *plan = step->plan;
    tape_place dy, dx, ds;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    dx = dy;
    if (!dy.owned) {
        PARE_TRY(tape_new_place(tape, step->inputs[0], NULL, &dx, error));
    }
    PARE_TRY(tape_new_place(tape, step->inputs[1], NULL, &ds, error));
    PARE_TRY(
        tape_emit(tape, step, run_backward, NULL, step->plan,
                  (const uint32_t[]){plan->w.buffer, plan->steps.buffer, plan->levels, dy.buffer, dx.buffer, ds.buffer},
                  6, error));
    if (plan->wants_w) {
        PARE_TRY(tape_contribute(tape, step->inputs[0], &dx, error));
    }
    return plan->wants_steps ? tape_contribute(tape, step->inputs[1], &ds, error) : PARE_OK;
}

static const tape_step_class weights_class = {"fake quantization of weights", false, weights_forward, weights_backward};

pare_status tape_fake_quant_weights(pare_tape *tape, const pare_node *node, const fake_quant_weight_attrs *attrs,
                                    uint32_t w, uint32_t steps, uint32_t y, pare_error *error) {
    return tape_record(tape, &weights_class, node, (const uint32_t[]){w, steps}, 2, &y, 1, attrs, sizeof *attrs, error);
}
