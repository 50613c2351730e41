/* A loss computes its value and the gradient of what it reads in one go, forwards. */
#include "train/tape/tape_loss.h"

#include <string.h>

#include "train/loss.h"
#include "train/tape/tape_plan.h"
#include "train/tape/tape_steps.h"

typedef struct loss_plan {
    tape_loss_attrs attrs;
    size_t samples, width;               /* of the outputs */
    size_t channels, teacher, positions; /* attention */
    bool has_extra;
    double value;
    tape_place gradient;
} loss_plan;

/* pointers: outputs, targets, the gradient, extra */
static pare_status run_loss(void *context, void *const *pointers) {
    loss_plan *p = context;
    const tape_loss_attrs *a = &p->attrs;
    const float *x = pointers[0], *t = pointers[1];
    float *g = pointers[2];
    const void *extra = p->has_extra ? pointers[3] : NULL;
    double scale = a->scale != NULL ? *a->scale : 1.0;
    float weight = (float)((double)a->weight * scale);
    memset(g, 0, p->samples * p->width * sizeof *g);
    switch (a->kind) {
    case TAPE_LOSS_CROSS_ENTROPY:
        p->value = pare_loss_cross_entropy(x, t, extra, p->samples, p->width, weight, g);
        break;
    case TAPE_LOSS_MSE:
        p->value = pare_loss_mse(x, t, p->samples, p->width, weight, g);
        break;
    case TAPE_LOSS_L1:
        p->value = pare_loss_l1(x, t, p->samples, p->width, weight, g);
        break;
    case TAPE_LOSS_HUBER:
        p->value = pare_loss_huber(x, t, p->samples, p->width, a->delta, weight, g);
        break;
    case TAPE_LOSS_BINARY_CROSS_ENTROPY:
        p->value = pare_loss_binary_cross_entropy(x, t, p->samples, p->width, weight, g);
        break;
    case TAPE_LOSS_LOGITS:
        p->value = pare_loss_distill_logits(x, t, p->samples, p->width, a->temperature, weight, g);
        break;
    case TAPE_LOSS_DECOUPLED:
        p->value = pare_loss_distill_decoupled(x, t, extra, p->samples, p->width, a->temperature, a->alpha, a->beta,
                                               weight, g);
        break;
    case TAPE_LOSS_ATTENTION:
        p->value = pare_loss_attention(x, p->channels, t, p->teacher, p->samples, p->positions, weight, g);
        break;
    }
    p->value *= scale;
    return PARE_OK;
}

static void measure(const pare_tape *tape, const tape_step *step, loss_plan *plan) {
    const tape_tensor *x = tape_tensor_at(tape, step->inputs[0]), *t = tape_tensor_at(tape, step->inputs[1]);
    plan->samples = (size_t)t->shape.dims[0]; /* a row a label where an output has several */
    plan->width = x->elements / plan->samples;
    if (plan->attrs.kind == TAPE_LOSS_ATTENTION) {
        plan->channels = x->shape.rank > 1 ? (size_t)x->shape.dims[1] : 1;
        plan->positions = plan->width / plan->channels;
        plan->teacher = t->elements / plan->samples / plan->positions;
    }
}

static pare_status loss_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    loss_plan *plan = *(loss_plan *const *)step->attrs;
    tape_place x, t, extra = {0};
    step->plan = plan;
    measure(tape, step, plan);
    plan->has_extra = step->inputs[2] != TAPE_NONE;
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &x, error));
    PARE_TRY(tape_value_as(tape, step->inputs[1], NULL, &t, error));
    if (plan->has_extra) {
        PARE_TRY(tape_value(tape, step->inputs[2], &extra, error));
    }
    PARE_TRY(tape_new_place(tape, step->inputs[0], NULL, &plan->gradient, error));
    return tape_emit(tape, step, run_loss, NULL, plan,
                     (const uint32_t[]){x.buffer, t.buffer, plan->gradient.buffer, extra.buffer},
                     plan->has_extra ? 4 : 3, error);
}

static pare_status loss_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const loss_plan *plan = step->plan;
    return tape_tensor_at(tape, step->inputs[0])->wants_gradient
               ? tape_contribute(tape, step->inputs[0], &plan->gradient, error)
               : PARE_OK;
}

static const tape_step_class loss_class = {"loss", false, loss_forward, loss_backward};

pare_status tape_record_loss(pare_tape *tape, const tape_loss_attrs *attrs, uint32_t outputs, uint32_t targets,
                             uint32_t extra, const double **value, pare_error *error) {
    loss_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    plan->attrs = *attrs;
    *value = &plan->value;
    return tape_record(tape, &loss_class, NULL, (const uint32_t[]){outputs, targets, extra}, 3, NULL, 0, &plan,
                       sizeof plan, error);
}
