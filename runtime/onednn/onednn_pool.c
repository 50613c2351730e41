/* POOL: maximum and average, in whatever layout the input lies. */
#include "onednn_kernels.h"
#include "onednn_support.h"

/* Padding after the input along one axis, so that oneDNN's extent is the
 * output's; *exact tells whether each window stays inside the given padding. */
static int64_t padding_after(int64_t input, int64_t output, int64_t kernel, int64_t stride, int64_t dilation,
                             int64_t before, int64_t after, bool *exact, bool *empty) {
    int64_t extent = (kernel - 1) * dilation + 1;
    int64_t last = (output - 1) * stride; /* where the last window begins, padding included */
    int64_t needed = last + extent - input - before;
    *exact = *exact && needed <= after;
    *empty = *empty || last >= input + before || before >= extent;
    return needed > 0 ? needed : 0;
}

static pare_status pool_create(const pare_site *site, pare_layout layout, dnnl_primitive_desc_t *primitive,
                               pare_error *error) {
    const pare_pool_attrs *attrs = site->attrs;
    const pare_shape *x_shape = &site->inputs[0].shape, *y_shape = &site->outputs[0].shape;
    bool exact = true, empty = false;
    dnnl_dims_t strides = {attrs->stride_h, attrs->stride_w}, kernel = {attrs->kernel_h, attrs->kernel_w};
    dnnl_dims_t dilates = {attrs->dilation_h - 1, attrs->dilation_w - 1};
    dnnl_dims_t before = {attrs->pad_top, attrs->pad_left};
    dnnl_dims_t after = {padding_after(x_shape->dims[2], y_shape->dims[2], kernel[0], strides[0], attrs->dilation_h,
                                       before[0], attrs->pad_bottom, &exact, &empty),
                         padding_after(x_shape->dims[3], y_shape->dims[3], kernel[1], strides[1], attrs->dilation_w,
                                       before[1], attrs->pad_right, &exact, &empty)};
    dnnl_alg_kind_t algorithm = attrs->kind == PARE_POOL_MAX       ? dnnl_pooling_max
                                : attrs->kind == PARE_POOL_AVERAGE ? dnnl_pooling_avg_exclude_padding
                                                                   : dnnl_pooling_avg_include_padding;
    dnnl_memory_desc_t x, y;
    dnnl_pooling_v2_desc_t desc;
    *primitive = NULL;
    /* oneDNN divides by the whole kernel, the definition by what lies in the padded input. */
    if (empty || (!exact && attrs->kind == PARE_POOL_AVERAGE_WITH_PADDING) ||
        !pare_onednn_layout(&x, x_shape, layout) || !pare_onednn_layout(&y, y_shape, layout) ||
        dnnl_pooling_v2_forward_desc_init(&desc, dnnl_forward_inference, algorithm, &x, &y, strides, kernel, dilates,
                                          before, after) != dnnl_success) {
        return PARE_UNSUPPORTED;
    }
    return pare_onednn_describe(&desc, NULL, primitive, error);
}

static pare_status pool_plan(pare_site *site, void **state, pare_error *error) {
    dnnl_primitive_desc_t primitive = NULL;
    if (!pare_onednn_all_float(site) || site->inputs[0].shape.rank != 4 || site->outputs[0].shape.rank != 4) {
        return PARE_UNSUPPORTED;
    }
    const pare_pool_attrs *attrs = site->attrs;
    double window = (double)attrs->kernel_h * (double)attrs->kernel_w;
    pare_onednn_set_threads(site, 10.0 * window * pare_onednn_elements(&site->outputs[0]));
    pare_layout layout = site->inputs[0].layout;
    pare_status status = pool_create(site, layout, &primitive, error);
    if (status == PARE_UNSUPPORTED) {
        layout = pare_onednn_natural_block();
        status = pool_create(site, layout, &primitive, error);
    }
    PARE_TRY(status);
    PARE_TRY(pare_onednn_plan(site, primitive, pare_onednn_bind_unary, NULL, state, error));
    site->wanted[0] = layout;
    site->outputs[0].layout = layout;
    return PARE_OK;
}

const pare_kernel pare_onednn_pool = {
    .name = "onednn_pool",
    .plan = pool_plan,
    .run = pare_onednn_step_run,
    .destroy = pare_onednn_step_destroy,
};
