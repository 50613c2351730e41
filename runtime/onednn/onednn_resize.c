/* RESIZE where oneDNN's coordinates are those of the definition. */
#include "onednn_kernels.h"
#include "onednn_support.h"
#include "pare/opcode_resize.h"

static pare_status resize_plan(pare_site *site, void **state, pare_error *error) {
    const pare_resize_attrs *attrs = site->attrs;
    const pare_shape *x_shape = &site->inputs[0].shape, *y_shape = &site->outputs[0].shape;
    pare_layout layout = site->inputs[0].layout;
    dnnl_alg_kind_t algorithm = attrs->mode == PARE_RESIZE_LINEAR ? dnnl_resampling_linear : dnnl_resampling_nearest;
    dnnl_memory_desc_t x, y;
    dnnl_resampling_desc_t desc;
    dnnl_primitive_desc_t primitive = NULL;
    if (!pare_onednn_all_float(site) || x_shape->rank != 4 || y_shape->rank != 4 ||
        !pare_resize_is_resampling(attrs, x_shape, y_shape) || !pare_onednn_layout(&x, x_shape, layout) ||
        !pare_onednn_layout(&y, y_shape, layout) ||
        dnnl_resampling_forward_desc_init(&desc, dnnl_forward_inference, algorithm, NULL, &x, &y) != dnnl_success) {
        return PARE_UNSUPPORTED;
    }
    pare_onednn_set_threads(site, 100.0 * pare_onednn_elements(&site->outputs[0]));
    PARE_TRY(pare_onednn_describe(&desc, NULL, &primitive, error));
    PARE_TRY(pare_onednn_plan(site, primitive, pare_onednn_bind_unary, NULL, state, error));
    site->outputs[0].layout = layout;
    return PARE_OK;
}

const pare_kernel pare_onednn_resize = {
    .name = "onednn_resize",
    .plan = resize_plan,
    .run = pare_onednn_step_run,
    .destroy = pare_onednn_step_destroy,
};
