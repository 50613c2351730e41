#include "train/quant_aware/fake_quant.h"

#include <math.h>
#include <string.h>

#include "train/tape/tape_plan.h"
#include "train/tape/tape_steps.h"

float fake_quant_step(float value, float least) {
    return value > least ? value : least; /* NaN too */
}

/* Elements whose gradient one partial sum takes: the sum's order does not depend on threads. */
#define PIECE ((size_t)8192)
#define BLOCK ((size_t)256)
#define LANES 8

typedef struct fake_quant_plan {
    fake_quant_attrs attrs;
    size_t floats; /* of memory, padding included */
    float gradient_scale;
    bool wants_x, wants_step;
    tape_place x, step;
} fake_quant_plan;

/* NaN gives 0, as in the runtime. */
static inline float clamped(float v, float low, float high) {
    v = v == v ? v : 0.0F;
    v = v < low ? low : v;
    return v > high ? high : v;
}

/* Levels are small, so adding and subtracting 1.5 × 2^23 rounds half to even. */
static inline float to_even(float v) {
    return (v + 12582912.0F) - 12582912.0F;
}

TAPE_CLONES static void round_piece(const fake_quant_attrs *a, float step, const float *x, float *y, size_t count) {
    float low = a->low, high = a->high;
    for (size_t i = 0; i < count; i++) {
        y[i] = to_even(clamped(x[i] / step, low, high)) * step;
    }
}

/* pointers: x, step, y */
static pare_status run_forward(void *context, void *const *pointers) {
    const fake_quant_plan *p = context;
    const float *x = pointers[0];
    float *y = pointers[2];
    float step = fake_quant_step(*(const float *)pointers[1], p->attrs.least);
#pragma omp parallel for schedule(static) if (p->floats > 2 * PIECE)
    for (size_t first = 0; first < p->floats; first += PIECE) {
        size_t left = p->floats - first;
        round_piece(&p->attrs, step, x + first, y + first, left < PIECE ? left : PIECE);
    }
    return PARE_OK;
}

/* Of up to BLOCK elements; dx may be dy. Adds what the step's gradient gets to the lanes. What is outside takes the
 * bound as the slope of the step. */
static inline __attribute__((always_inline)) void back_block(const fake_quant_attrs *a, float step, const float *x,
                                                             const float *dy, float *dx, size_t count,
                                                             double lanes[LANES]) {
    float low = a->low, high = a->high, values[BLOCK], passed[BLOCK], products[BLOCK];
    for (size_t i = 0; i < count; i++) {
        values[i] = clamped(x[i] / step, low, high);
    }
    for (size_t i = 0; i < count; i++) { /* in one loop, the two comparisons with a bound become branches */
        float v = values[i], g = dy[i];
        float inside = (float)((v > low) & (v < high));
        float slope = to_even(v) - inside * v;
        passed[i] = inside * g;
        products[i] = g * slope;
    }
    memcpy(dx, passed, count * sizeof *dx);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            lanes[l] += (double)products[i + l];
        }
    }
    for (; i < count; i++) {
        lanes[0] += (double)products[i];
    }
}

/* Of up to PIECE elements; returns the sum for the step. */
TAPE_CLONES static double back_piece(const fake_quant_attrs *a, float step, const float *x, const float *dy, float *dx,
                                     size_t count) {
    double lanes[LANES] = {0}, sum = 0.0;
    for (size_t first = 0; first < count; first += BLOCK) {
        size_t left = count - first;
        back_block(a, step, x + first, dy + first, dx + first, left < BLOCK ? left : BLOCK, lanes);
    }
    for (size_t l = 0; l < LANES; l++) {
        sum += lanes[l];
    }
    return sum;
}

/* pointers: x, step, dy, dx, the step's gradient, a partial sum a piece */
static pare_status run_backward(void *context, void *const *pointers) {
    const fake_quant_plan *p = context;
    const float *x = pointers[0], *dy = pointers[2];
    float *dx = pointers[3];
    double *sums = pointers[5], sum = 0.0;
    float step = fake_quant_step(*(const float *)pointers[1], p->attrs.least);
    size_t pieces = (p->floats + PIECE - 1) / PIECE;
#pragma omp parallel for schedule(static) if (pieces > 2)
    for (size_t k = 0; k < pieces; k++) {
        size_t first = k * PIECE, left = p->floats - first;
        sums[k] = back_piece(&p->attrs, step, x + first, dy + first, dx + first, left < PIECE ? left : PIECE);
    }
    for (size_t k = 0; k < pieces; k++) {
        sum += sums[k];
    }
    *(float *)pointers[4] = (float)(sum * (double)p->gradient_scale);
    return PARE_OK;
}

/* The padding of a layout holds zeros, and 0 is on every grid. */
static pare_status fake_quant_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const tape_tensor *x = tape_tensor_at(tape, step->inputs[0]);
    fake_quant_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    plan->attrs = *(const fake_quant_attrs *)step->attrs;
    plan->wants_x = x->wants_gradient;
    plan->wants_step = tape_tensor_at(tape, step->inputs[1])->wants_gradient;
    size_t samples = x->shape.rank > 0 && x->shape.dims[0] > 0 ? (size_t)x->shape.dims[0] : 1;
    double features = (double)x->elements / (double)samples;
    plan->gradient_scale = (float)(1.0 / sqrt(fmax(features, 1.0) * (double)fmaxf(-plan->attrs.low, plan->attrs.high)));
    tape_place y;
    PARE_TRY(tape_value(tape, step->inputs[0], &plan->x, error));
    PARE_TRY(tape_value(tape, step->inputs[1], &plan->step, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], plan->x.layout, &y, error));
    plan->floats = tape_layout_floats(plan->x.layout, &tape_tensor_at(tape, step->inputs[0])->shape);
    return tape_emit(tape, step, run_forward, NULL, plan,
                     (const uint32_t[]){plan->x.buffer, plan->step.buffer, y.buffer}, 3, error);
}

static pare_status fake_quant_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const fake_quant_plan *plan = step->plan;
    tape_place dy, dx, ds;
    pare_status status = PARE_OK;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], plan->x.layout, &dy, error));
    dx = dy;
    if (!dy.owned) {
        PARE_TRY(tape_new_place(tape, step->inputs[0], plan->x.layout, &dx, error));
    }
    PARE_TRY(tape_new_place(tape, step->inputs[1], NULL, &ds, error));
    uint32_t sums = tape_buffer(tape, (plan->floats / PIECE + 1) * sizeof(double), error, &status);
    PARE_TRY(status);
    PARE_TRY(tape_emit(tape, step, run_backward, NULL, step->plan,
                       (const uint32_t[]){plan->x.buffer, plan->step.buffer, dy.buffer, dx.buffer, ds.buffer, sums}, 6,
                       error));
    if (plan->wants_x) {
        PARE_TRY(tape_contribute(tape, step->inputs[0], &dx, error));
    }
    return plan->wants_step ? tape_contribute(tape, step->inputs[1], &ds, error) : PARE_OK;
}

static const tape_step_class fake_quant_class = {"fake quantization", false, fake_quant_forward, fake_quant_backward};

pare_status tape_fake_quant(pare_tape *tape, const pare_node *node, const fake_quant_attrs *attrs, uint32_t x,
                            uint32_t step, uint32_t y, pare_error *error) {
    return tape_record(tape, &fake_quant_class, node, (const uint32_t[]){x, step}, 2, &y, 1, attrs, sizeof *attrs,
                       error);
}
