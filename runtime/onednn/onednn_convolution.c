/* CONV: y = activation(inner(conv(x, w) + bias) + residual), the last three as
 * post-ops of one primitive. */
#include <string.h>

#include "onednn_kernels.h"
#include "onednn_support.h"

/* Nanoseconds of a core: saved a multiply-accumulate, spent an element. */
#define MOVED_GAIN (0.08 * 0.008)
#define MOVED_COST 0.4

enum { X = 0, WEIGHTS = 1, BIAS = 2, RESIDUAL = 3 };

/* Dimensions of one node in oneDNN's terms, and its descriptors. */
typedef struct conv_plan {
    const pare_conv_attrs *attrs;
    dnnl_dims_t weight_dims, strides, dilates, pads_before, pads_after;
    int weight_rank;
    const char *preferred; /* in the implementation's name; NULL: whichever oneDNN puts first */
    dnnl_memory_desc_t weights, weights_plain, bias;
    bool has_bias, has_residual;
} conv_plan;

static bool constant_or_absent(const pare_site *site, size_t index) {
    return !pare_onednn_has_input(site, index) || site->inputs[index].constant != NULL;
}

/* oneDNN puts its batched-GEMM kernels first, which are the slower ones for
 * depthwise convolutions and for images of few channels. */
static const char *preferred_implementation(const pare_conv_attrs *attrs, const pare_shape *x, const pare_shape *w) {
    if (attrs->groups > 1 && attrs->groups == x->dims[1] && attrs->groups == w->dims[0]) {
        return "jit_dw:";
    }
    return attrs->groups == 1 && x->dims[1] <= 4 ? "jit:" : NULL;
}

static bool conv_describe(const pare_site *site, conv_plan *plan) {
    const pare_conv_attrs *attrs = site->attrs;
    const pare_shape *x = &site->inputs[X].shape, *w = &site->inputs[WEIGHTS].shape, *y = &site->outputs[0].shape;
    if (!pare_onednn_all_float(site) || x->rank != 4 || w->rank != 4 || y->rank != 4 || attrs->groups < 1 ||
        site->inputs[WEIGHTS].constant == NULL || !constant_or_absent(site, BIAS)) {
        return false;
    }
    memset(plan, 0, sizeof *plan);
    plan->attrs = attrs;
    int rank = 0;
    if (attrs->groups > 1) {
        plan->weight_dims[rank++] = attrs->groups;
    }
    plan->weight_dims[rank++] = w->dims[0] / attrs->groups;
    for (int i = 1; i < 4; i++) {
        plan->weight_dims[rank++] = w->dims[i];
    }
    plan->weight_rank = rank;
    dnnl_dims_t strides = {attrs->stride_h, attrs->stride_w};
    dnnl_dims_t dilates = {attrs->dilation_h - 1, attrs->dilation_w - 1};
    dnnl_dims_t before = {attrs->pad_top, attrs->pad_left}, after = {attrs->pad_bottom, attrs->pad_right};
    memcpy(plan->strides, strides, sizeof strides);
    memcpy(plan->dilates, dilates, sizeof dilates);
    memcpy(plan->pads_before, before, sizeof before);
    memcpy(plan->pads_after, after, sizeof after);
    plan->has_bias = pare_onednn_has_input(site, BIAS);
    plan->has_residual = pare_onednn_has_input(site, RESIDUAL);
    if (plan->has_residual && !pare_shape_equal(&site->inputs[RESIDUAL].shape, y)) {
        return false;
    }
    dnnl_dims_t outputs = {w->dims[0]};
    return pare_onednn_any(&plan->weights, rank, plan->weight_dims) &&
           pare_onednn_tagged(&plan->weights_plain, rank, plan->weight_dims, rank == 5 ? dnnl_abcde : dnnl_abcd) &&
           pare_onednn_tagged(&plan->bias, 1, outputs, dnnl_a);
}

/* Post-ops in the order of the definition; `residual` NULL leaves it out. */
static bool conv_attributes(const conv_plan *plan, const dnnl_memory_desc_t *residual,
                            dnnl_primitive_attr_t *attributes) {
    dnnl_post_ops_t operations = NULL;
    if (dnnl_post_ops_create(&operations) != dnnl_success) {
        return false;
    }
    bool good = !plan->has_residual || pare_onednn_append(operations, &plan->attrs->inner_activation);
    if (good && residual != NULL) {
        good = dnnl_post_ops_append_binary(operations, dnnl_binary_add, residual) == dnnl_success;
    }
    if (!good || !pare_onednn_append(operations, &plan->attrs->activation)) {
        dnnl_post_ops_destroy(operations);
        return false;
    }
    return pare_onednn_attributes(attributes, operations) == dnnl_success;
}

static dnnl_status_t conv_create(const conv_plan *plan, const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *y,
                                 const dnnl_memory_desc_t *residual, dnnl_primitive_desc_t *primitive) {
    dnnl_convolution_desc_t desc;
    dnnl_primitive_attr_t attributes;
    *primitive = NULL;
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &desc, dnnl_forward_inference, dnnl_convolution_direct, x, &plan->weights, plan->has_bias ? &plan->bias : NULL,
        y, plan->strides, plan->dilates, plan->pads_before, plan->pads_after);
    if (status != dnnl_success) {
        return status;
    }
    if (!conv_attributes(plan, residual, &attributes)) {
        return dnnl_unimplemented;
    }
    status = pare_onednn_prefer(&desc, attributes, plan->preferred, primitive);
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

/* One way to run the node: a primitive and the layouts that it reads and writes. */
typedef struct conv_choice {
    dnnl_primitive_desc_t primitive;
    pare_layout x, y;
} conv_choice;

/* `x_layout` or `y_layout` below 0 leaves the choice to oneDNN. */
static dnnl_status_t conv_try(const pare_site *site, const conv_plan *plan, int x_layout, int y_layout,
                              bool with_residual, conv_choice *choice) {
    const pare_shape *x_shape = &site->inputs[X].shape, *y_shape = &site->outputs[0].shape;
    dnnl_memory_desc_t x, y;
    choice->primitive = NULL;
    bool good =
        x_layout < 0 ? pare_onednn_any(&x, 4, x_shape->dims) : pare_onednn_layout(&x, x_shape, (pare_layout)x_layout);
    good = good && (y_layout < 0 ? pare_onednn_any(&y, 4, y_shape->dims)
                                 : pare_onednn_layout(&y, y_shape, (pare_layout)y_layout));
    if (!good) {
        return dnnl_unimplemented;
    }
    dnnl_status_t status = conv_create(plan, &x, &y, with_residual ? &y : NULL, &choice->primitive);
    if (status != dnnl_success) {
        return status;
    }
    const dnnl_memory_desc_t *x_found = dnnl_primitive_desc_query_md(choice->primitive, dnnl_query_src_md, 0);
    const dnnl_memory_desc_t *y_found = dnnl_primitive_desc_query_md(choice->primitive, dnnl_query_dst_md, 0);
    if (!pare_onednn_layout_of(x_found, x_shape, &choice->x) || !pare_onednn_layout_of(y_found, y_shape, &choice->y)) {
        dnnl_primitive_desc_destroy(choice->primitive);
        choice->primitive = NULL;
        return dnnl_unimplemented;
    }
    return dnnl_success;
}

static bool is_slow(const conv_choice *choice) {
    return pare_onednn_is_reference(choice->primitive) || pare_onednn_is_gemm(choice->primitive);
}

static void conv_replace(conv_choice *choice, const conv_choice *other) {
    if (choice->primitive != NULL) {
        dnnl_primitive_desc_destroy(choice->primitive);
    }
    *choice = *other;
}

/* Replaces *choice where these layouts have a primitive and it is quick, or nothing was found before. */
static dnnl_status_t conv_improve(const pare_site *site, const conv_plan *plan, int x_layout, int y_layout,
                                  conv_choice *choice) {
    conv_choice other;
    dnnl_status_t status = conv_try(site, plan, x_layout, y_layout, false, &other);
    if (status == dnnl_success) {
        if (choice->primitive == NULL || !is_slow(&other)) {
            conv_replace(choice, &other);
        } else {
            dnnl_primitive_desc_destroy(other.primitive);
        }
    }
    return status == dnnl_unimplemented ? dnnl_success : status;
}

/* The same layouts by the implementation that is known to be quicker for such a node. */
static dnnl_status_t conv_prefer(const pare_site *site, conv_plan *plan, conv_choice *choice) {
    plan->preferred = preferred_implementation(plan->attrs, &site->inputs[X].shape, &site->inputs[WEIGHTS].shape);
    if (plan->preferred == NULL || choice->primitive == NULL) {
        return dnnl_success;
    }
    return conv_improve(site, plan, (int)choice->x, (int)choice->y, choice);
}

/* Each weight meets each position of the output. */
static double positions_of(const pare_site *site) {
    const pare_shape *y = &site->outputs[0].shape;
    return pare_onednn_elements(&site->outputs[0]) / (double)y->dims[1];
}

/* Whether oneDNN's preferred layout repays the reorder of the input: windows of
 * several taps gain some 8 % from channels last on AVX-512, others nothing. */
static bool worth_moving(const pare_site *site) {
    const pare_conv_attrs *attrs = site->attrs;
    const pare_operand *w = &site->inputs[WEIGHTS];
    double products = pare_onednn_elements(w) * positions_of(site);
    bool taps = w->shape.dims[2] * w->shape.dims[3] > 1 && attrs->groups == 1;
    return taps && products * MOVED_GAIN > pare_onednn_elements(&site->inputs[X]) * MOVED_COST;
}

/* oneDNN's own preference first; then what avoids a reorder, if it is as quick. */
static dnnl_status_t conv_choose(const pare_site *site, conv_plan *plan, conv_choice *choice) {
    const pare_operand *x = &site->inputs[X];
    int natural = (int)pare_onednn_natural_block();
    choice->primitive = NULL;
    dnnl_status_t status = conv_improve(site, plan, -1, -1, choice);
    if (status == dnnl_success && (choice->primitive == NULL || is_slow(choice))) {
        status = conv_improve(site, plan, natural, natural, choice);
    }
    bool moved = choice->primitive != NULL && !pare_layout_same(choice->x, x->layout, &x->shape);
    if (status == dnnl_success && moved && x->layout == PARE_LAYOUT_PLAIN && x->shape.dims[1] <= 4) {
        /* An image is read as it lies, and written in blocks. */
        status = conv_improve(site, plan, PARE_LAYOUT_PLAIN, natural, choice);
    }
    if (status == dnnl_success && x->layout != PARE_LAYOUT_PLAIN &&
        (choice->primitive == NULL || (moved && !worth_moving(site)))) {
        /* Depthwise implementations insist on one layout for both. */
        status = conv_improve(site, plan, (int)x->layout, plan->attrs->groups > 1 ? (int)x->layout : -1, choice);
    }
    if (status == dnnl_success && choice->primitive == NULL) {
        status = conv_improve(site, plan, PARE_LAYOUT_PLAIN, PARE_LAYOUT_PLAIN, choice);
    }
    if (status == dnnl_success) {
        status = conv_prefer(site, plan, choice);
    }
    if (status == dnnl_success && choice->primitive == NULL) {
        return dnnl_unimplemented;
    }
    if (status == dnnl_success && plan->has_residual) {
        conv_choice whole;
        status = conv_try(site, plan, (int)choice->x, (int)choice->y, true, &whole);
        if (status == dnnl_success) {
            conv_replace(choice, &whole);
        }
    }
    return status;
}

static pare_status conv_bind(const pare_site *site, const void *context, const_dnnl_primitive_desc_t primitive,
                             pare_onednn_step *step, pare_error *error) {
    const conv_plan *plan = context;
    PARE_TRY(pare_onednn_bind_unary(site, NULL, primitive, step, error));
    PARE_TRY(pare_onednn_bind_weights(site, &plan->weights_plain, primitive, step, error));
    if (plan->has_residual) {
        int place = plan->attrs->inner_activation.function == PARE_FN_IDENTITY ? 0 : 1;
        const dnnl_memory_desc_t *y = dnnl_primitive_desc_query_md(primitive, dnnl_query_dst_md, 0);
        PARE_TRY(pare_onednn_bind(step, DNNL_ARG_ATTR_MULTIPLE_POST_OP(place) | DNNL_ARG_SRC_1, y, PARE_ONEDNN_INPUT,
                                  RESIDUAL, error));
    }
    return PARE_OK;
}

static pare_status conv_plan_node(pare_site *site, void **state, pare_error *error) {
    conv_plan plan;
    conv_choice choice = {0};
    if (!conv_describe(site, &plan)) {
        return PARE_UNSUPPORTED;
    }
    pare_onednn_set_threads(site,
                            pare_onednn_products(pare_onednn_elements(&site->inputs[WEIGHTS]), positions_of(site)));
    pare_status status = pare_onednn_status(conv_choose(site, &plan, &choice), "planning a convolution", error);
    if (status == PARE_OK && pare_onednn_is_reference(choice.primitive)) {
        status = PARE_UNSUPPORTED;
    }
    if (status != PARE_OK) {
        if (choice.primitive != NULL) {
            dnnl_primitive_desc_destroy(choice.primitive);
        }
        return status;
    }
    PARE_TRY(pare_onednn_plan(site, choice.primitive, conv_bind, &plan, state, error));
    site->wanted[X] = choice.x;
    site->outputs[0].layout = choice.y;
    if (plan.has_residual) {
        site->wanted[RESIDUAL] = choice.y;
    }
    return PARE_OK;
}

const pare_kernel pare_onednn_convolution = {
    .name = "onednn_convolution",
    .plan = conv_plan_node,
    .run = pare_onednn_step_run,
    .destroy = pare_onednn_step_destroy,
};
