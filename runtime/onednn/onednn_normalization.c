/* SOFTMAX, LAYER_NORM and LRN. */
#include "onednn_kernels.h"
#include "onednn_support.h"

#define ELEMENT_OPERATIONS 50.0 /* for each element, as convolutions count them */

/* Elements of dimensions from..to. */
static int64_t product(const pare_shape *shape, int32_t from, int32_t to) {
    int64_t count = 1;
    for (int32_t i = from; i < to; i++) {
        count *= shape->dims[i];
    }
    return count;
}

static void plain_in_and_out(pare_site *site) {
    for (size_t i = 0; i < site->input_count; i++) {
        site->wanted[i] = PARE_LAYOUT_PLAIN;
    }
    site->outputs[0].layout = PARE_LAYOUT_PLAIN;
}

static pare_status softmax_plan(pare_site *site, void **state, pare_error *error) {
    const pare_softmax_attrs *attrs = site->attrs;
    const pare_shape *shape = &site->inputs[0].shape;
    dnnl_primitive_desc_t primitive = NULL;
    dnnl_memory_desc_t data;
    dnnl_softmax_v2_desc_t desc;
    if (!pare_onednn_all_float(site) || shape->rank < 1 || attrs->axis < 0 || attrs->axis >= shape->rank) {
        return PARE_UNSUPPORTED;
    }
    pare_onednn_set_threads(site, ELEMENT_OPERATIONS * pare_onednn_elements(&site->inputs[0]));
    /* [outer, axis, inner] is the same computation at any rank. */
    dnnl_dims_t dims = {product(shape, 0, attrs->axis), shape->dims[attrs->axis],
                        product(shape, attrs->axis + 1, shape->rank)};
    int rank = dims[2] == 1 ? 2 : 3;
    if (!pare_onednn_tagged(&data, rank, dims, rank == 2 ? dnnl_ab : dnnl_abc) ||
        dnnl_softmax_v2_forward_desc_init(&desc, dnnl_forward_inference,
                                          attrs->logarithm ? dnnl_softmax_log : dnnl_softmax_accurate, &data, &data,
                                          1) != dnnl_success) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(pare_onednn_describe(&desc, NULL, &primitive, error));
    PARE_TRY(pare_onednn_plan(site, primitive, pare_onednn_bind_unary, NULL, state, error));
    plain_in_and_out(site);
    site->in_place = 1;
    return PARE_OK;
}

static pare_status layer_norm_bind(const pare_site *site, const void *context, const_dnnl_primitive_desc_t primitive,
                                   pare_onednn_step *step, pare_error *error) {
    const dnnl_memory_desc_t *row = context;
    PARE_TRY(pare_onednn_bind_unary(site, NULL, primitive, step, error));
    PARE_TRY(pare_onednn_bind_constant(step, DNNL_ARG_SCALE, row, site->inputs[1].constant, row, error));
    if (!pare_onednn_has_input(site, 2)) {
        return PARE_OK;
    }
    return pare_onednn_bind_constant(step, DNNL_ARG_SHIFT, row, site->inputs[2].constant, row, error);
}

static pare_status layer_norm_plan(pare_site *site, void **state, pare_error *error) {
    const pare_norm_attrs *attrs = site->attrs;
    const pare_shape *shape = &site->inputs[0].shape;
    bool shift = pare_onednn_has_input(site, 2);
    dnnl_primitive_desc_t primitive = NULL;
    dnnl_memory_desc_t data, row;
    dnnl_layer_normalization_desc_t desc;
    if (!pare_onednn_all_float(site) || attrs->axis < 0 || attrs->axis >= shape->rank ||
        site->inputs[1].constant == NULL || (shift && site->inputs[2].constant == NULL)) {
        return PARE_UNSUPPORTED;
    }
    pare_onednn_set_threads(site, ELEMENT_OPERATIONS * pare_onednn_elements(&site->inputs[0]));
    dnnl_dims_t dims = {product(shape, 0, attrs->axis), product(shape, attrs->axis, shape->rank)};
    unsigned flags = dnnl_use_scale | (shift ? (unsigned)dnnl_use_shift : 0u);
    if (!pare_onednn_tagged(&data, 2, dims, dnnl_ab) || !pare_onednn_tagged(&row, 1, dims + 1, dnnl_a) ||
        dnnl_layer_normalization_forward_desc_init(&desc, dnnl_forward_inference, &data, NULL, attrs->epsilon, flags) !=
            dnnl_success) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(pare_onednn_describe(&desc, NULL, &primitive, error));
    PARE_TRY(pare_onednn_plan(site, primitive, layer_norm_bind, &row, state, error));
    plain_in_and_out(site);
    return PARE_OK;
}

static pare_status lrn_create(const pare_site *site, pare_layout layout, dnnl_primitive_desc_t *primitive,
                              pare_error *error) {
    const pare_lrn_attrs *attrs = site->attrs;
    dnnl_memory_desc_t data;
    dnnl_lrn_desc_t desc;
    if (!pare_onednn_layout(&data, &site->inputs[0].shape, layout) ||
        dnnl_lrn_forward_desc_init(&desc, dnnl_forward_inference, dnnl_lrn_across_channels, &data, attrs->size,
                                   attrs->alpha, attrs->beta, attrs->bias) != dnnl_success) {
        return PARE_UNSUPPORTED;
    }
    return pare_onednn_describe(&desc, NULL, primitive, error);
}

static pare_status lrn_plan(pare_site *site, void **state, pare_error *error) {
    const pare_lrn_attrs *attrs = site->attrs;
    dnnl_primitive_desc_t primitive = NULL;
    /* An even window lies differently in oneDNN. */
    if (!pare_onednn_all_float(site) || site->inputs[0].shape.rank != 4 || attrs->size < 1 || attrs->size % 2 == 0) {
        return PARE_UNSUPPORTED;
    }
    pare_onednn_set_threads(site, ELEMENT_OPERATIONS * pare_onednn_elements(&site->inputs[0]));
    pare_layout layout = site->inputs[0].layout;
    pare_status status = lrn_create(site, layout, &primitive, error);
    if (status == PARE_UNSUPPORTED && layout != PARE_LAYOUT_PLAIN) {
        layout = PARE_LAYOUT_PLAIN;
        status = lrn_create(site, layout, &primitive, error);
    }
    PARE_TRY(status);
    PARE_TRY(pare_onednn_plan(site, primitive, pare_onednn_bind_unary, NULL, state, error));
    site->wanted[0] = layout;
    site->outputs[0].layout = layout;
    return PARE_OK;
}

const pare_kernel pare_onednn_softmax = {
    .name = "onednn_softmax",
    .plan = softmax_plan,
    .run = pare_onednn_step_run,
    .destroy = pare_onednn_step_destroy,
};

const pare_kernel pare_onednn_layer_norm = {
    .name = "onednn_layer_norm",
    .plan = layer_norm_plan,
    .run = pare_onednn_step_run,
    .destroy = pare_onednn_step_destroy,
};

const pare_kernel pare_onednn_lrn = {
    .name = "onednn_lrn",
    .plan = lrn_plan,
    .run = pare_onednn_step_run,
    .destroy = pare_onednn_step_destroy,
};
