/* Convolution and transposed convolution: y = conv(x, w) + bias. */
#include "train/onednn/tape_onednn.h"

typedef struct conv_plan {
    dnnl_primitive_desc_t forward;
    pare_shape w; /* with the axis of groups in front where there are some */
    tape_place x, y;
} conv_plan;

/* [A, B, k..] → [groups, A / groups, B, k..], which is the same memory. */
static pare_shape grouped_shape(const pare_shape *w, int64_t groups) {
    if (groups == 1) {
        return *w;
    }
    pare_shape shape = {.rank = w->rank + 1, .dims = {groups, w->dims[0] / groups}};
    for (int32_t i = 1; i < w->rank; i++) {
        shape.dims[i + 1] = w->dims[i];
    }
    return shape;
}

static dnnl_memory_desc_t swapped(const pare_shape *shape, int first) {
    dnnl_memory_desc_t desc = tape_onednn_plain(shape);
    int order[PARE_MAX_RANK + 1];
    for (int i = 0; i < shape->rank; i++) {
        order[i] = i;
    }
    order[first] = first + 1;
    order[first + 1] = first;
    dnnl_memory_desc_t turned = desc;
    (void)dnnl_memory_desc_permute_axes(&turned, &desc, order);
    return turned;
}

/* The weights as they are stored, seen as oneDNN numbers their axes. */
static dnnl_memory_desc_t stored_weights(const tape_conv_attrs *attrs, const pare_shape *w, bool transposed) {
    pare_shape shape = grouped_shape(w, attrs->groups);
    return transposed ? swapped(&shape, attrs->groups == 1 ? 0 : 1) : tape_onednn_plain(&shape);
}

static dnnl_memory_desc_t any_like(const dnnl_memory_desc_t *desc) {
    dnnl_memory_desc_t any = {0};
    (void)dnnl_memory_desc_init_by_tag(&any, desc->ndims, desc->dims, dnnl_f32, dnnl_format_tag_any);
    return any;
}

typedef struct geometry {
    dnnl_dims_t stride, dilation, before, after;
} geometry;

static geometry geometry_of(const tape_conv_attrs *attrs) {
    geometry g = {0};
    for (int32_t i = 0; i < attrs->spatial; i++) {
        g.stride[i] = attrs->stride[i];
        g.dilation[i] = attrs->dilation[i] - 1;
        g.before[i] = attrs->before[i];
        g.after[i] = attrs->after[i];
    }
    return g;
}

typedef union operation {
    dnnl_convolution_desc_t conv;
    dnnl_deconvolution_desc_t deconv;
} operation;

typedef struct conv_descs {
    dnnl_memory_desc_t x, w, bias, y;
    bool has_bias, transposed;
} conv_descs;

static dnnl_status_t describe_forward(operation *op, const conv_descs *d, const geometry *g) {
    const dnnl_memory_desc_t *bias = d->has_bias ? &d->bias : NULL;
    return d->transposed
               ? dnnl_dilated_deconvolution_forward_desc_init(&op->deconv, dnnl_forward_training,
                                                              dnnl_deconvolution_direct, &d->x, &d->w, bias, &d->y,
                                                              g->stride, g->dilation, g->before, g->after)
               : dnnl_dilated_convolution_forward_desc_init(&op->conv, dnnl_forward_training, dnnl_convolution_direct,
                                                            &d->x, &d->w, bias, &d->y, g->stride, g->dilation,
                                                            g->before, g->after);
}

static dnnl_status_t describe_backward_data(operation *op, const conv_descs *d, const geometry *g) {
    return d->transposed
               ? dnnl_dilated_deconvolution_backward_data_desc_init(&op->deconv, dnnl_deconvolution_direct, &d->x,
                                                                    &d->w, &d->y, g->stride, g->dilation, g->before,
                                                                    g->after)
               : dnnl_dilated_convolution_backward_data_desc_init(&op->conv, dnnl_convolution_direct, &d->x, &d->w,
                                                                  &d->y, g->stride, g->dilation, g->before, g->after);
}

static dnnl_status_t describe_backward_weights(operation *op, const conv_descs *d, const geometry *g) {
    const dnnl_memory_desc_t *bias = d->has_bias ? &d->bias : NULL;
    return d->transposed ? dnnl_dilated_deconvolution_backward_weights_desc_init(&op->deconv, dnnl_deconvolution_direct,
                                                                                 &d->x, &d->w, bias, &d->y, g->stride,
                                                                                 g->dilation, g->before, g->after)
                         : dnnl_dilated_convolution_backward_weights_desc_init(&op->conv, dnnl_convolution_direct,
                                                                               &d->x, &d->w, bias, &d->y, g->stride,
                                                                               g->dilation, g->before, g->after);
}

extern const tape_step_class tape_conv_class, tape_conv_transpose_class;

static conv_descs any_descs(const pare_tape *tape, const tape_step *step) {
    const tape_conv_attrs *attrs = step->attrs;
    conv_descs d = {.transposed = step->class == &tape_conv_transpose_class};
    dnnl_memory_desc_t stored = stored_weights(attrs, &tape_tensor_at(tape, step->inputs[1])->shape, d.transposed);
    d.x = tape_onednn_any(&tape_tensor_at(tape, step->inputs[0])->shape);
    d.y = tape_onednn_any(&tape_tensor_at(tape, step->outputs[0])->shape);
    d.w = any_like(&stored);
    d.has_bias = step->inputs[2] != TAPE_NONE;
    if (d.has_bias) {
        d.bias = tape_onednn_plain(&tape_tensor_at(tape, step->inputs[2])->shape);
    }
    return d;
}

/* Weights in the primitive's layout, reordered from the stored ones by an action of this step. */
static pare_status weights_for(pare_tape *tape, tape_step *step, const_dnnl_primitive_desc_t primitive,
                               tape_onednn_arg *arg, pare_error *error) {
    const dnnl_memory_desc_t *wanted = dnnl_primitive_desc_query_md(primitive, dnnl_query_weights_md, 0);
    dnnl_memory_desc_t stored = stored_weights(step->attrs, &tape_tensor_at(tape, step->inputs[1])->shape,
                                               step->class == &tape_conv_transpose_class);
    tape_place place;
    PARE_TRY(tape_value_as(tape, step->inputs[1], NULL, &place, error));
    *arg = (tape_onednn_arg){DNNL_ARG_WEIGHTS, place.buffer, stored};
    if (dnnl_memory_desc_equal(wanted, &stored)) {
        return PARE_OK;
    }
    PARE_TRY(tape_onednn_buffer(tape, wanted, &arg->buffer, error));
    arg->desc = *wanted;
    return tape_onednn_reorder(tape, step, place.buffer, &stored, arg->buffer, wanted, error);
}

static pare_status conv_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const pare_shape *x = &tape_tensor_at(tape, step->inputs[0])->shape;
    const pare_shape *y = &tape_tensor_at(tape, step->outputs[0])->shape;
    conv_descs d = any_descs(tape, step);
    geometry g = geometry_of(step->attrs);
    operation op;
    const tape_layout *layout = NULL;
    conv_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    PARE_TRY(tape_onednn_status(step, describe_forward(&op, &d, &g), "a convolution", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, NULL, &plan->forward, error));
    PARE_TRY(tape_onednn_queried(tape, plan->forward, dnnl_query_src_md, 0, x, &layout, error));
    PARE_TRY(tape_value_as(tape, step->inputs[0], layout, &plan->x, error));
    tape_onednn_arg args[4] = {{DNNL_ARG_SRC, plan->x.buffer, tape_onednn_desc(&plan->x, x)}};
    PARE_TRY(weights_for(tape, step, plan->forward, &args[1], error));
    PARE_TRY(tape_onednn_queried(tape, plan->forward, dnnl_query_dst_md, 0, y, &layout, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], layout, &plan->y, error));
    args[2] = (tape_onednn_arg){DNNL_ARG_DST, plan->y.buffer, tape_onednn_desc(&plan->y, y)};
    if (d.has_bias) {
        tape_place bias;
        PARE_TRY(tape_value_as(tape, step->inputs[2], NULL, &bias, error));
        args[3] = (tape_onednn_arg){DNNL_ARG_BIAS, bias.buffer, d.bias};
    }
    return tape_onednn_emit(tape, step, plan->forward, args, d.has_bias ? 4 : 3, error);
}

static pare_status backward_data(pare_tape *tape, tape_step *step, pare_error *error) {
    const conv_plan *plan = step->plan;
    const pare_shape *x = &tape_tensor_at(tape, step->inputs[0])->shape;
    const pare_shape *y = &tape_tensor_at(tape, step->outputs[0])->shape;
    conv_descs d = any_descs(tape, step);
    geometry g = geometry_of(step->attrs);
    operation op;
    dnnl_primitive_desc_t primitive = NULL;
    const tape_layout *layout = NULL;
    tape_place dy, dx;
    PARE_TRY(tape_onednn_status(step, describe_backward_data(&op, &d, &g), "a convolution's gradient", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, plan->forward, &primitive, error));
    PARE_TRY(tape_onednn_queried(tape, primitive, dnnl_query_diff_dst_md, 0, y, &layout, error));
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], layout, &dy, error));
    PARE_TRY(tape_onednn_queried(tape, primitive, dnnl_query_diff_src_md, 0, x, &layout, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], layout, &dx, error));
    tape_onednn_arg args[3] = {{DNNL_ARG_DIFF_DST, dy.buffer, tape_onednn_desc(&dy, y)},
                               {DNNL_ARG_DIFF_SRC, dx.buffer, tape_onednn_desc(&dx, x)}};
    PARE_TRY(weights_for(tape, step, primitive, &args[2], error));
    PARE_TRY(tape_onednn_emit(tape, step, primitive, args, 3, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

/* The gradient of the weights, back in the order in which they are stored. */
static pare_status store_weights(pare_tape *tape, tape_step *step, const tape_onednn_arg *made, pare_error *error) {
    const pare_shape *shape = &tape_tensor_at(tape, step->inputs[1])->shape;
    dnnl_memory_desc_t stored = stored_weights(step->attrs, shape, step->class == &tape_conv_transpose_class);
    tape_place dw = {made->buffer, NULL, true};
    if (!dnnl_memory_desc_equal(&made->desc, &stored)) {
        PARE_TRY(tape_new_place(tape, step->inputs[1], NULL, &dw, error));
        PARE_TRY(tape_onednn_reorder(tape, step, made->buffer, &made->desc, dw.buffer, &stored, error));
    }
    return tape_contribute(tape, step->inputs[1], &dw, error);
}

static pare_status backward_weights(pare_tape *tape, tape_step *step, pare_error *error) {
    const conv_plan *plan = step->plan;
    const pare_shape *x = &tape_tensor_at(tape, step->inputs[0])->shape;
    const pare_shape *y = &tape_tensor_at(tape, step->outputs[0])->shape;
    conv_descs d = any_descs(tape, step);
    geometry g = geometry_of(step->attrs);
    operation op;
    dnnl_primitive_desc_t primitive = NULL;
    const tape_layout *layout = NULL;
    tape_place dy, source, db;
    d.has_bias = d.has_bias && tape_tensor_at(tape, step->inputs[2])->wants_gradient;
    PARE_TRY(tape_onednn_status(step, describe_backward_weights(&op, &d, &g), "a convolution's gradient", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, plan->forward, &primitive, error));
    PARE_TRY(tape_onednn_queried(tape, primitive, dnnl_query_diff_dst_md, 0, y, &layout, error));
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], layout, &dy, error));
    PARE_TRY(tape_onednn_queried(tape, primitive, dnnl_query_src_md, 0, x, &layout, error));
    PARE_TRY(tape_value_as(tape, step->inputs[0], layout, &source, error));
    tape_onednn_arg args[4] = {{DNNL_ARG_SRC, source.buffer, tape_onednn_desc(&source, x)},
                               {DNNL_ARG_DIFF_DST, dy.buffer, tape_onednn_desc(&dy, y)}};
    args[2] = (tape_onednn_arg){.arg = DNNL_ARG_DIFF_WEIGHTS,
                                .desc = *dnnl_primitive_desc_query_md(primitive, dnnl_query_diff_weights_md, 0)};
    PARE_TRY(tape_onednn_buffer(tape, &args[2].desc, &args[2].buffer, error));
    if (d.has_bias) {
        PARE_TRY(tape_new_place(tape, step->inputs[2], NULL, &db, error));
        args[3] = (tape_onednn_arg){DNNL_ARG_DIFF_BIAS, db.buffer, d.bias};
    }
    PARE_TRY(tape_onednn_emit(tape, step, primitive, args, d.has_bias ? 4 : 3, error));
    if (d.has_bias) {
        PARE_TRY(tape_contribute(tape, step->inputs[2], &db, error));
    }
    return store_weights(tape, step, &args[2], error);
}

static pare_status conv_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    bool bias = step->inputs[2] != TAPE_NONE && tape_tensor_at(tape, step->inputs[2])->wants_gradient;
    if (bias || tape_tensor_at(tape, step->inputs[1])->wants_gradient) {
        PARE_TRY(backward_weights(tape, step, error));
    }
    return tape_tensor_at(tape, step->inputs[0])->wants_gradient ? backward_data(tape, step, error) : PARE_OK;
}

const tape_step_class tape_conv_class = {"convolution", false, conv_forward, conv_backward};
const tape_step_class tape_conv_transpose_class = {"transposed convolution", false, conv_forward, conv_backward};

pare_status tape_conv(pare_tape *tape, const pare_node *node, const tape_conv_attrs *attrs, uint32_t x, uint32_t w,
                      uint32_t bias, uint32_t y, pare_error *error) {
    return tape_record(tape, &tape_conv_class, node, (const uint32_t[]){x, w, bias}, 3, &y, 1, attrs, sizeof *attrs,
                       error);
}

pare_status tape_conv_transpose(pare_tape *tape, const pare_node *node, const tape_conv_attrs *attrs, uint32_t x,
                                uint32_t w, uint32_t bias, uint32_t y, pare_error *error) {
    return tape_record(tape, &tape_conv_transpose_class, node, (const uint32_t[]){x, w, bias}, 3, &y, 1, attrs,
                       sizeof *attrs, error);
}
