/* Softmax and its logarithm along one axis. The way back needs only the output. */
#include "train/onednn/tape_onednn.h"

typedef struct softmax_attrs {
    int axis;
    bool logarithm;
} softmax_attrs;

typedef struct softmax_plan {
    dnnl_primitive_desc_t forward;
    tape_place y;
} softmax_plan;

/* dnnl_softmax_desc_t and dnnl_logsoftmax_desc_t are one type. */
static pare_status softmax_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const softmax_attrs *attrs = step->attrs;
    dnnl_memory_desc_t desc = tape_onednn_plain(&tape_tensor_at(tape, step->inputs[0])->shape);
    dnnl_softmax_desc_t op;
    softmax_plan *plan = tape_make(tape, 1, sizeof *plan);
    tape_place x;
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    dnnl_status_t status = attrs->logarithm
                               ? dnnl_logsoftmax_forward_desc_init(&op, dnnl_forward_training, &desc, attrs->axis)
                               : dnnl_softmax_forward_desc_init(&op, dnnl_forward_training, &desc, attrs->axis);
    PARE_TRY(tape_onednn_status(step, status, "a softmax", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, NULL, &plan->forward, error));
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &x, error));
    if (tape_may_overwrite(tape, step, step->inputs[0])) {
        plan->y = x;
        tape_share_value(tape, step->outputs[0], &x);
    } else {
        PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &plan->y, error));
    }
    tape_onednn_arg args[2] = {{DNNL_ARG_SRC, x.buffer, desc}, {DNNL_ARG_DST, plan->y.buffer, desc}};
    return tape_onednn_emit(tape, step, plan->forward, args, 2, error);
}

static pare_status softmax_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const softmax_attrs *attrs = step->attrs;
    const softmax_plan *plan = step->plan;
    dnnl_memory_desc_t desc = tape_onednn_plain(&tape_tensor_at(tape, step->inputs[0])->shape);
    dnnl_softmax_desc_t op;
    dnnl_primitive_desc_t primitive = NULL;
    tape_place dy, dx;
    dnnl_status_t status = attrs->logarithm ? dnnl_logsoftmax_backward_desc_init(&op, &desc, &desc, attrs->axis)
                                            : dnnl_softmax_backward_desc_init(&op, &desc, &desc, attrs->axis);
    PARE_TRY(tape_onednn_status(step, status, "a softmax's gradient", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, plan->forward, &primitive, error));
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    dx = dy;
    if (!dy.owned) {
        PARE_TRY(tape_new_place(tape, step->inputs[0], NULL, &dx, error));
    }
    tape_onednn_arg args[3] = {{DNNL_ARG_DST, plan->y.buffer, desc},
                               {DNNL_ARG_DIFF_DST, dy.buffer, desc},
                               {DNNL_ARG_DIFF_SRC, dx.buffer, desc}};
    PARE_TRY(tape_onednn_emit(tape, step, primitive, args, 3, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static const tape_step_class softmax_class = {"softmax", true, softmax_forward, softmax_backward};

pare_status tape_softmax(pare_tape *tape, const pare_node *node, int32_t axis, bool logarithm, uint32_t x, uint32_t y,
                         pare_error *error) {
    softmax_attrs attrs = {axis, logarithm};
    return tape_record(tape, &softmax_class, node, &x, 1, &y, 1, &attrs, sizeof attrs, error);
}
