/* Fake quantization of what is added to a layer's sums: a bias, or the shift of the BatchNormalization that export
 * folds into it. Its step is not learned: it is x.step × w.step. */
#include <math.h>

#include "train/quant_aware/fake_quant.h"
#include "train/tape/tape_plan.h"
#include "train/tape/tape_steps.h"

enum { BIAS, X_STEP, W_STEPS, SCALE, MEAN, VARIANCE, OWN_BIAS, INPUTS };
#define LARGEST_BIAS 2147483647.0

typedef struct fake_bias_plan {
    fake_quant_bias_attrs attrs;
    size_t channels;
    int place_of[INPUTS]; /* among the pointers; -1: absent */
    int y;
} fake_bias_plan;

static float number_of(const fake_bias_plan *p, void *const *pointers, int which, size_t channel, float otherwise) {
    return p->place_of[which] >= 0 ? ((const float *)pointers[p->place_of[which]])[channel] : otherwise;
}

/* Folded, y = a × (sum + own) + (bias - a × mean), a = scale / sqrt(variance + epsilon). The integer is that of export
 * (fold_batchnorm.c, quantize_bias of quant/apply.c), and what rounding moves the folded bias by, it moves this one. */
static pare_status run_forward(void *context, void *const *pointers) {
    const fake_bias_plan *p = context;
    const float *bias = pointers[p->place_of[BIAS]], *w_steps = pointers[p->place_of[W_STEPS]];
    float *y = pointers[p->y], x_step = fake_quant_step(number_of(p, pointers, X_STEP, 0, 1.0F), p->attrs.least_x);
    for (size_t o = 0; o < p->channels; o++) {
        double variance = (double)number_of(p, pointers, VARIANCE, o, 1.0F) + p->attrs.epsilon;
        double a = (double)number_of(p, pointers, SCALE, o, 1.0F) / sqrt(variance);
        double shift = (double)bias[o] - (double)number_of(p, pointers, MEAN, o, 0.0F) * a;
        double folded = (double)number_of(p, pointers, OWN_BIAS, o, 0.0F) * a + shift;
        float w_scale = (float)((double)fake_quant_step(w_steps[o], p->attrs.least_w[o]) * fabs(a));
        double unit = (double)(x_step * w_scale), integer = rint((double)(float)folded / unit);
        bool fits = fabs(integer) <= LARGEST_BIAS; /* not for a channel that is all but dead */
        y[o] = fits ? (float)((double)bias[o] + (integer * unit - folded)) : bias[o];
    }
    return PARE_OK;
}

static pare_status bias_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    fake_bias_plan *plan = tape_make(tape, 1, sizeof *plan);
    uint32_t buffers[INPUTS + 1];
    tape_place place;
    size_t count = 0;
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    plan->attrs = *(const fake_quant_bias_attrs *)step->attrs;
    plan->channels = tape_tensor_at(tape, step->inputs[BIAS])->elements;
    for (int i = 0; i < INPUTS; i++) {
        plan->place_of[i] = step->inputs[i] != TAPE_NONE ? (int)count : -1;
        if (step->inputs[i] != TAPE_NONE) {
            PARE_TRY(tape_value_as(tape, step->inputs[i], NULL, &place, error));
            buffers[count++] = place.buffer;
        }
    }
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &place, error));
    plan->y = (int)count;
    buffers[count++] = place.buffer;
    return tape_emit(tape, step, run_forward, NULL, plan, buffers, count, error);
}

/* Straight through. */
static pare_status bias_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_place dy;
    if (!tape_tensor_at(tape, step->inputs[BIAS])->wants_gradient) {
        return PARE_OK;
    }
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    return tape_contribute(tape, step->inputs[BIAS], &dy, error);
}

static const tape_step_class bias_class = {"fake quantization of a bias", false, bias_forward, bias_backward};

pare_status tape_fake_quant_bias(pare_tape *tape, const pare_node *node, const fake_quant_bias_attrs *attrs,
                                 const fake_quant_bias_inputs *in, uint32_t y, pare_error *error) {
    const uint32_t inputs[INPUTS] = {in->bias, in->x_step, in->w_steps, in->scale, in->mean, in->variance, in->own_bias};
    return tape_record(tape, &bias_class, node, inputs, INPUTS, &y, 1, attrs, sizeof *attrs, error);
}
