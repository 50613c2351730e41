/* Pooling: the largest or the mean of each window. */
#include "train/onednn/tape_onednn.h"

#include "pare/opcodes.h"

typedef struct pool_plan {
    dnnl_primitive_desc_t forward;
    const tape_layout *x, *y;
    uint32_t workspace; /* MAX: where each largest element was */
} pool_plan;

typedef struct geometry {
    dnnl_dims_t kernel, stride, dilation, before, after;
} geometry;

static geometry geometry_of(const tape_pool_attrs *attrs) {
    geometry g = {0};
    for (int32_t i = 0; i < attrs->spatial; i++) {
        g.kernel[i] = attrs->kernel[i];
        g.stride[i] = attrs->stride[i];
        g.dilation[i] = attrs->dilation[i] - 1;
        g.before[i] = attrs->before[i];
        g.after[i] = attrs->after[i];
    }
    return g;
}

static dnnl_alg_kind_t algorithm_of(const tape_pool_attrs *attrs) {
    return attrs->kind == PARE_POOL_MAX                    ? dnnl_pooling_max
           : attrs->kind == PARE_POOL_AVERAGE_WITH_PADDING ? dnnl_pooling_avg_include_padding
                                                           : dnnl_pooling_avg_exclude_padding;
}

static pare_status pool_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const tape_pool_attrs *attrs = step->attrs;
    const pare_shape *x = &tape_tensor_at(tape, step->inputs[0])->shape;
    const pare_shape *y = &tape_tensor_at(tape, step->outputs[0])->shape;
    pool_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    tape_place in, out;
    PARE_TRY(tape_value(tape, step->inputs[0], &in, error));
    plan->x = in.layout;
    dnnl_memory_desc_t source = tape_onednn_desc(&in, x), target = tape_onednn_any(y);
    geometry g = geometry_of(attrs);
    dnnl_pooling_v2_desc_t op;
    dnnl_status_t status =
        dnnl_pooling_v2_forward_desc_init(&op, dnnl_forward_training, algorithm_of(attrs), &source, &target, g.stride,
                                          g.kernel, g.dilation, g.before, g.after);
    PARE_TRY(tape_onednn_status(step, status, "a pooling", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, NULL, &plan->forward, error));
    PARE_TRY(tape_onednn_queried(tape, plan->forward, dnnl_query_dst_md, 0, y, &plan->y, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], plan->y, &out, error));
    tape_onednn_arg args[3] = {{DNNL_ARG_SRC, in.buffer, source},
                               {DNNL_ARG_DST, out.buffer, tape_onednn_desc(&out, y)}};
    if (attrs->kind == PARE_POOL_MAX) {
        const dnnl_memory_desc_t *workspace = dnnl_primitive_desc_query_md(plan->forward, dnnl_query_workspace_md, 0);
        PARE_TRY(tape_onednn_buffer(tape, workspace, &plan->workspace, error));
        args[2] = (tape_onednn_arg){DNNL_ARG_WORKSPACE, plan->workspace, *workspace};
    }
    return tape_onednn_emit(tape, step, plan->forward, args, attrs->kind == PARE_POOL_MAX ? 3 : 2, error);
}

static pare_status pool_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const tape_pool_attrs *attrs = step->attrs;
    const pool_plan *plan = step->plan;
    const pare_shape *x = &tape_tensor_at(tape, step->inputs[0])->shape;
    const pare_shape *y = &tape_tensor_at(tape, step->outputs[0])->shape;
    tape_place dy, dx;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], plan->y, &dy, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], plan->x, &dx, error));
    dnnl_memory_desc_t source = tape_onednn_desc(&dx, x), target = tape_onednn_desc(&dy, y);
    geometry g = geometry_of(attrs);
    dnnl_pooling_v2_desc_t op;
    dnnl_primitive_desc_t primitive = NULL;
    dnnl_status_t status = dnnl_pooling_v2_backward_desc_init(&op, algorithm_of(attrs), &source, &target, g.stride,
                                                              g.kernel, g.dilation, g.before, g.after);
    PARE_TRY(tape_onednn_status(step, status, "a pooling's gradient", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, plan->forward, &primitive, error));
    tape_onednn_arg args[3] = {{DNNL_ARG_DIFF_DST, dy.buffer, target}, {DNNL_ARG_DIFF_SRC, dx.buffer, source}};
    if (attrs->kind == PARE_POOL_MAX) {
        args[2] = (tape_onednn_arg){DNNL_ARG_WORKSPACE, plan->workspace,
                                    *dnnl_primitive_desc_query_md(plan->forward, dnnl_query_workspace_md, 0)};
    }
    PARE_TRY(tape_onednn_emit(tape, step, primitive, args, attrs->kind == PARE_POOL_MAX ? 3 : 2, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static const tape_step_class pool_class = {"pooling", false, pool_forward, pool_backward};

pare_status tape_pool(pare_tape *tape, const pare_node *node, const tape_pool_attrs *attrs, uint32_t x, uint32_t y,
                      pare_error *error) {
    return tape_record(tape, &pool_class, node, &x, 1, &y, 1, attrs, sizeof *attrs, error);
}
