/* FULLY_CONNECTED: x [.., K] · w [O, K]ᵀ + bias, weights packed. Where inner
 * product is a batched-GEMM kernel (AVX-512) nothing is quicker; elsewhere a 1×1
 * convolution over the rows as positions is, but for a single row. */
#include "onednn_kernels.h"
#include "onednn_support.h"

enum { X = 0, WEIGHTS = 1, BIAS = 2 };

typedef struct dense_shape {
    int64_t rows, inputs, outputs;
} dense_shape;

static bool dense_describe(const pare_site *site, dense_shape *dense) {
    const pare_shape *x = &site->inputs[X].shape, *w = &site->inputs[WEIGHTS].shape;
    if (!pare_onednn_all_float(site) || x->rank < 1 || w->rank != 2 || site->inputs[WEIGHTS].constant == NULL ||
        (pare_onednn_has_input(site, BIAS) && site->inputs[BIAS].constant == NULL)) {
        return false;
    }
    *dense = (dense_shape){.rows = 1, .inputs = w->dims[1], .outputs = w->dims[0]};
    for (int32_t i = 0; i + 1 < x->rank; i++) {
        dense->rows *= x->dims[i];
    }
    return x->dims[x->rank - 1] == dense->inputs;
}

static bool dense_operations(const pare_site *site, dnnl_post_ops_t *operations) {
    const pare_fully_connected_attrs *attrs = site->attrs;
    if (dnnl_post_ops_create(operations) != dnnl_success) {
        return false;
    }
    if (!pare_onednn_append(*operations, &attrs->activation)) {
        dnnl_post_ops_destroy(*operations);
        return false;
    }
    return true;
}

static pare_status as_inner_product(const pare_site *site, const dense_shape *dense, dnnl_memory_desc_t *plain,
                                    dnnl_primitive_desc_t *primitive, pare_error *error) {
    dnnl_dims_t x_dims = {dense->rows, dense->inputs}, w_dims = {dense->outputs, dense->inputs};
    dnnl_dims_t y_dims = {dense->rows, dense->outputs}, bias_dims = {dense->outputs};
    dnnl_memory_desc_t x, w, y, bias;
    dnnl_inner_product_desc_t desc;
    dnnl_post_ops_t operations;
    if (!pare_onednn_tagged(&x, 2, x_dims, dnnl_ab) || !pare_onednn_any(&w, 2, w_dims) ||
        !pare_onednn_tagged(plain, 2, w_dims, dnnl_ab) || !pare_onednn_tagged(&y, 2, y_dims, dnnl_ab) ||
        !pare_onednn_tagged(&bias, 1, bias_dims, dnnl_a) ||
        dnnl_inner_product_forward_desc_init(&desc, dnnl_forward_inference, &x, &w,
                                             pare_onednn_has_input(site, BIAS) ? &bias : NULL, &y) != dnnl_success ||
        !dense_operations(site, &operations)) {
        return PARE_UNSUPPORTED;
    }
    return pare_onednn_describe(&desc, operations, primitive, error);
}

static pare_status as_convolution(const pare_site *site, const dense_shape *dense, dnnl_memory_desc_t *plain,
                                  dnnl_primitive_desc_t *primitive, pare_error *error) {
    dnnl_dims_t x_dims = {1, dense->inputs, 1, dense->rows}, y_dims = {1, dense->outputs, 1, dense->rows};
    dnnl_dims_t w_dims = {dense->outputs, dense->inputs, 1, 1}, bias_dims = {dense->outputs};
    dnnl_dims_t ones = {1, 1}, zeros = {0, 0};
    dnnl_memory_desc_t x, w, y, bias;
    dnnl_convolution_desc_t desc;
    dnnl_post_ops_t operations;
    /* Channels last of [1, K, 1, rows] is plain [rows, K]. */
    if (!pare_onednn_tagged(&x, 4, x_dims, dnnl_nhwc) || !pare_onednn_any(&w, 4, w_dims) ||
        !pare_onednn_tagged(plain, 4, w_dims, dnnl_oihw) || !pare_onednn_tagged(&y, 4, y_dims, dnnl_nhwc) ||
        !pare_onednn_tagged(&bias, 1, bias_dims, dnnl_a) ||
        dnnl_convolution_forward_desc_init(&desc, dnnl_forward_inference, dnnl_convolution_direct, &x, &w,
                                           pare_onednn_has_input(site, BIAS) ? &bias : NULL, &y, ones, zeros,
                                           zeros) != dnnl_success ||
        !dense_operations(site, &operations)) {
        return PARE_UNSUPPORTED;
    }
    return pare_onednn_describe(&desc, operations, primitive, error);
}

static pare_status dense_choose(const pare_site *site, const dense_shape *dense, dnnl_memory_desc_t *plain,
                                dnnl_primitive_desc_t *primitive, pare_error *error) {
    pare_status status = as_inner_product(site, dense, plain, primitive, error);
    if (status != PARE_OK && status != PARE_UNSUPPORTED) {
        return status;
    }
    if (status == PARE_OK && (dense->rows == 1 || pare_onednn_implementation_has(*primitive, "brgemm"))) {
        return PARE_OK;
    }
    dnnl_primitive_desc_t other = NULL;
    dnnl_memory_desc_t other_plain;
    pare_status second = as_convolution(site, dense, &other_plain, &other, error);
    if (second == PARE_OK && (status != PARE_OK || !pare_onednn_is_gemm(other))) {
        dnnl_primitive_desc_destroy(*primitive);
        *primitive = other;
        *plain = other_plain;
        return PARE_OK;
    }
    dnnl_primitive_desc_destroy(other);
    return second == PARE_UNSUPPORTED || second == PARE_OK ? status : second;
}

static pare_status dense_bind(const pare_site *site, const void *context, const_dnnl_primitive_desc_t primitive,
                              pare_onednn_step *step, pare_error *error) {
    PARE_TRY(pare_onednn_bind_unary(site, NULL, primitive, step, error));
    return pare_onednn_bind_weights(site, context, primitive, step, error);
}

static pare_status dense_plan(pare_site *site, void **state, pare_error *error) {
    dense_shape dense;
    dnnl_memory_desc_t plain;
    dnnl_primitive_desc_t primitive = NULL;
    if (!dense_describe(site, &dense)) {
        return PARE_UNSUPPORTED;
    }
    pare_onednn_set_threads(site,
                            pare_onednn_products(pare_onednn_elements(&site->inputs[WEIGHTS]), (double)dense.rows));
    pare_status status = dense_choose(site, &dense, &plain, &primitive, error);
    if (status != PARE_OK) {
        dnnl_primitive_desc_destroy(primitive);
        return status;
    }
    PARE_TRY(pare_onednn_plan(site, primitive, dense_bind, &plain, state, error));
    site->wanted[X] = PARE_LAYOUT_PLAIN;
    site->outputs[0].layout = PARE_LAYOUT_PLAIN;
    return PARE_OK;
}

const pare_kernel pare_onednn_fully_connected = {
    .name = "onednn_fully_connected",
    .plan = dense_plan,
    .run = pare_onednn_step_run,
    .destroy = pare_onednn_step_destroy,
};
