/* CONV_TRANSPOSE: x [N,C,H,W], w [C,O/groups,KH,KW]. oneDNN wants [g,O/g,C/g,KH,KW],
 * which is the same elements by other strides. */
#include <string.h>

#include "onednn_kernels.h"
#include "onednn_support.h"

enum { X = 0, WEIGHTS = 1, BIAS = 2 };

static bool weight_descs(const pare_conv_attrs *attrs, const pare_shape *w, dnnl_memory_desc_t *plain,
                         dnnl_memory_desc_t *any) {
    int64_t groups = attrs->groups, channels = w->dims[0] / groups, outputs = w->dims[1];
    int64_t area = w->dims[2] * w->dims[3];
    dnnl_dims_t dims = {groups, outputs, channels, w->dims[2], w->dims[3]};
    dnnl_dims_t strides = {channels * outputs * area, area, outputs * area, w->dims[3], 1};
    int skip = groups > 1 ? 0 : 1;
    return dnnl_memory_desc_init_by_strides(plain, 5 - skip, dims + skip, dnnl_f32, strides + skip) == dnnl_success &&
           pare_onednn_any(any, 5 - skip, dims + skip);
}

/* `layout` below 0 leaves the choice to oneDNN. */
static pare_status deconv_create(const pare_site *site, const dnnl_memory_desc_t *weights, int layout,
                                 dnnl_primitive_desc_t *primitive, pare_error *error) {
    const pare_conv_attrs *attrs = site->attrs;
    const pare_shape *x_shape = &site->inputs[X].shape, *y_shape = &site->outputs[0].shape;
    dnnl_dims_t strides = {attrs->stride_h, attrs->stride_w};
    dnnl_dims_t dilates = {attrs->dilation_h - 1, attrs->dilation_w - 1};
    dnnl_dims_t before = {attrs->pad_top, attrs->pad_left};
    dnnl_dims_t after = {attrs->pad_bottom - attrs->output_pad_h, attrs->pad_right - attrs->output_pad_w};
    dnnl_memory_desc_t x, y, bias;
    dnnl_deconvolution_desc_t desc;
    dnnl_post_ops_t operations = NULL;
    *primitive = NULL;
    bool good = layout < 0 ? pare_onednn_any(&x, 4, x_shape->dims) && pare_onednn_any(&y, 4, y_shape->dims)
                           : pare_onednn_layout(&x, x_shape, (pare_layout)layout) &&
                                 pare_onednn_layout(&y, y_shape, (pare_layout)layout);
    if (!good || !pare_onednn_tagged(&bias, 1, (dnnl_dims_t){y_shape->dims[1]}, dnnl_a) ||
        dnnl_dilated_deconvolution_forward_desc_init(&desc, dnnl_forward_inference, dnnl_deconvolution_direct, &x,
                                                     weights, pare_onednn_has_input(site, BIAS) ? &bias : NULL, &y,
                                                     strides, dilates, before, after) != dnnl_success ||
        dnnl_post_ops_create(&operations) != dnnl_success) {
        return PARE_UNSUPPORTED;
    }
    if (!pare_onednn_append(operations, &attrs->activation)) {
        dnnl_post_ops_destroy(operations);
        return PARE_UNSUPPORTED;
    }
    return pare_onednn_describe(&desc, operations, primitive, error);
}

static pare_status deconv_bind(const pare_site *site, const void *context, const_dnnl_primitive_desc_t primitive,
                               pare_onednn_step *step, pare_error *error) {
    PARE_TRY(pare_onednn_bind_unary(site, NULL, primitive, step, error));
    return pare_onednn_bind_weights(site, context, primitive, step, error);
}

static pare_status deconv_plan_node(pare_site *site, void **state, pare_error *error) {
    const pare_conv_attrs *attrs = site->attrs;
    const pare_shape *w = &site->inputs[WEIGHTS].shape;
    dnnl_memory_desc_t plain, any;
    dnnl_primitive_desc_t primitive = NULL;
    pare_layout x, y;
    if (!pare_onednn_all_float(site) || site->inputs[X].shape.rank != 4 || w->rank != 4 || attrs->groups < 1 ||
        site->inputs[WEIGHTS].constant == NULL ||
        (pare_onednn_has_input(site, BIAS) && site->inputs[BIAS].constant == NULL) ||
        !weight_descs(attrs, w, &plain, &any)) {
        return PARE_UNSUPPORTED;
    }
    double positions = pare_onednn_elements(&site->inputs[X]) / (double)w->dims[0];
    pare_onednn_set_threads(site, pare_onednn_products(pare_onednn_elements(&site->inputs[WEIGHTS]), positions));
    pare_status status = deconv_create(site, &any, -1, &primitive, error);
    if (status == PARE_UNSUPPORTED) {
        status = deconv_create(site, &any, (int)pare_onednn_natural_block(), &primitive, error);
    }
    PARE_TRY(status);
    const dnnl_memory_desc_t *source = dnnl_primitive_desc_query_md(primitive, dnnl_query_src_md, 0);
    const dnnl_memory_desc_t *target = dnnl_primitive_desc_query_md(primitive, dnnl_query_dst_md, 0);
    if (!pare_onednn_layout_of(source, &site->inputs[X].shape, &x) ||
        !pare_onednn_layout_of(target, &site->outputs[0].shape, &y)) {
        dnnl_primitive_desc_destroy(primitive);
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(pare_onednn_plan(site, primitive, deconv_bind, &plain, state, error));
    site->wanted[X] = x;
    site->outputs[0].layout = y;
    return PARE_OK;
}

const pare_kernel pare_onednn_deconvolution = {
    .name = "onednn_deconvolution",
    .plan = deconv_plan_node,
    .run = pare_onednn_step_run,
    .destroy = pare_onednn_step_destroy,
};
