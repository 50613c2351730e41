/* Resizing as oneDNN's resampling, in whatever layout x has. */
#include "pare/opcodes.h"
#include "train/onednn/tape_onednn.h"
#include "train/tape/tape_steps.h"

typedef struct resampling_plan {
    dnnl_primitive_desc_t forward;
    const tape_layout *x, *y;
} resampling_plan;

static dnnl_alg_kind_t algorithm_of(const tape_step *step) {
    const pare_resize_attrs *attrs = step->attrs;
    return attrs->mode == PARE_RESIZE_LINEAR ? dnnl_resampling_linear : dnnl_resampling_nearest;
}

static pare_status resampling_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const pare_shape *x = &tape_tensor_at(tape, step->inputs[0])->shape;
    const pare_shape *y = &tape_tensor_at(tape, step->outputs[0])->shape;
    resampling_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    tape_place in, out;
    PARE_TRY(tape_value(tape, step->inputs[0], &in, error));
    plan->x = in.layout;
    dnnl_memory_desc_t source = tape_onednn_desc(&in, x), target = tape_onednn_any(y);
    dnnl_resampling_desc_t op;
    dnnl_status_t status =
        dnnl_resampling_forward_desc_init(&op, dnnl_forward_training, algorithm_of(step), NULL, &source, &target);
    PARE_TRY(tape_onednn_status(step, status, "a resampling", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, NULL, &plan->forward, error));
    PARE_TRY(tape_onednn_queried(tape, plan->forward, dnnl_query_dst_md, 0, y, &plan->y, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], plan->y, &out, error));
    tape_onednn_arg args[2] = {{DNNL_ARG_SRC, in.buffer, source},
                               {DNNL_ARG_DST, out.buffer, tape_onednn_desc(&out, y)}};
    return tape_onednn_emit(tape, step, plan->forward, args, 2, error);
}

static pare_status resampling_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const resampling_plan *plan = step->plan;
    const pare_shape *x = &tape_tensor_at(tape, step->inputs[0])->shape;
    const pare_shape *y = &tape_tensor_at(tape, step->outputs[0])->shape;
    tape_place dy, dx;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], plan->y, &dy, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], plan->x, &dx, error));
    dnnl_memory_desc_t source = tape_onednn_desc(&dx, x), target = tape_onednn_desc(&dy, y);
    dnnl_resampling_desc_t op;
    dnnl_primitive_desc_t primitive = NULL;
    dnnl_status_t status = dnnl_resampling_backward_desc_init(&op, algorithm_of(step), NULL, &source, &target);
    PARE_TRY(tape_onednn_status(step, status, "a resampling's gradient", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, plan->forward, &primitive, error));
    tape_onednn_arg args[2] = {{DNNL_ARG_DIFF_DST, dy.buffer, target}, {DNNL_ARG_DIFF_SRC, dx.buffer, source}};
    PARE_TRY(tape_onednn_emit(tape, step, primitive, args, 2, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static const tape_step_class resampling_class = {"resampling", false, resampling_forward, resampling_backward};

const tape_step_class *tape_resampling_class(void) {
    return &resampling_class;
}
