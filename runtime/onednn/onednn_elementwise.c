/* UNARY and BINARY in whatever layout the operands lie. */
#include "onednn_kernels.h"
#include "onednn_support.h"

#define ELEMENT_OPERATIONS 20.0 /* for each element, as convolutions count them */

/* --- UNARY ----------------------------------------------------------------- */

static bool has_padding(const pare_shape *shape, pare_layout layout) {
    return pare_layout_bytes(layout, shape, PARE_F32) != pare_layout_bytes(PARE_LAYOUT_PLAIN, shape, PARE_F32);
}

static bool keeps_zero(const pare_activation *function) {
    return pare_apply_function(function, 0.0f) == 0.0f;
}

/* All elements in one dimension, for which every layout is alike; with padding
 * channels too, which stay zero where the function keeps zero. */
static bool flat_desc(dnnl_memory_desc_t *desc, const pare_shape *shape, pare_layout layout) {
    size_t count = pare_layout_bytes(layout, shape, PARE_F32) / sizeof(float);
    return pare_onednn_tagged(desc, 1, (dnnl_dims_t){(dnnl_dim_t)count}, dnnl_a);
}

static pare_status unary_plan(pare_site *site, void **state, pare_error *error) {
    const pare_unary_attrs *attrs = site->attrs;
    dnnl_primitive_desc_t primitive = NULL;
    dnnl_alg_kind_t algorithm;
    float alpha, beta;
    dnnl_memory_desc_t data;
    dnnl_eltwise_desc_t desc;
    const pare_shape *shape = &site->inputs[0].shape;
    pare_layout layout = site->inputs[0].layout;
    bool flat = keeps_zero(&attrs->function) || !has_padding(shape, layout);
    if (!pare_onednn_all_float(site) || !pare_onednn_function(&attrs->function, &algorithm, &alpha, &beta) ||
        !(flat ? flat_desc(&data, shape, layout) : pare_onednn_layout(&data, shape, layout)) ||
        dnnl_eltwise_forward_desc_init(&desc, dnnl_forward_inference, algorithm, &data, alpha, beta) != dnnl_success) {
        return PARE_UNSUPPORTED;
    }
    pare_onednn_set_threads(site, ELEMENT_OPERATIONS * pare_onednn_elements(&site->outputs[0]));
    PARE_TRY(pare_onednn_describe(&desc, NULL, &primitive, error));
    PARE_TRY(pare_onednn_plan(site, primitive, pare_onednn_bind_unary, NULL, state, error));
    site->outputs[0].layout = layout;
    site->in_place = 1;
    return PARE_OK;
}

/* --- BINARY ---------------------------------------------------------------- */

typedef struct binary_choice {
    dnnl_alg_kind_t algorithm;
    size_t first, second; /* inputs: `first` has the output's shape, `second` may broadcast */
    pare_layout layout, second_layout;
    dnnl_memory_desc_t first_desc, second_desc;
} binary_choice;

static bool binary_algorithm(int32_t kind, dnnl_alg_kind_t *algorithm, bool *commutes) {
    static const struct {
        pare_binary_kind kind;
        dnnl_alg_kind_t algorithm;
        bool commutes;
    } known[] = {
        {PARE_BINARY_ADD, dnnl_binary_add, true}, {PARE_BINARY_SUB, dnnl_binary_sub, false},
        {PARE_BINARY_MUL, dnnl_binary_mul, true}, {PARE_BINARY_DIV, dnnl_binary_div, false},
        {PARE_BINARY_MIN, dnnl_binary_min, true}, {PARE_BINARY_MAX, dnnl_binary_max, true},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if ((int32_t)known[i].kind == kind) {
            *algorithm = known[i].algorithm;
            *commutes = known[i].commutes;
            return true;
        }
    }
    return false;
}

/* `shape` with ones in front up to `rank`. */
static pare_shape with_rank(const pare_shape *shape, int32_t rank) {
    pare_shape wide = {.rank = rank};
    for (int32_t i = 0; i < rank; i++) {
        int32_t from = i - (rank - shape->rank);
        wide.dims[i] = from < 0 ? 1 : shape->dims[from];
    }
    return wide;
}

/* The layout of an operand of the output's shape that is not plain, if any. */
static pare_layout common_layout(const pare_site *site) {
    for (size_t i = 0; i < 2; i++) {
        if (site->inputs[i].layout != PARE_LAYOUT_PLAIN &&
            pare_shape_equal(&site->inputs[i].shape, &site->outputs[0].shape)) {
            return site->inputs[i].layout;
        }
    }
    return PARE_LAYOUT_PLAIN;
}

static bool binary_describe(const pare_site *site, binary_choice *choice) {
    const pare_binary_attrs *attrs = site->attrs;
    const pare_shape *y = &site->outputs[0].shape;
    bool commutes;
    if (!binary_algorithm(attrs->kind, &choice->algorithm, &commutes)) {
        return false;
    }
    choice->first = pare_shape_equal(&site->inputs[0].shape, y) ? 0 : 1;
    choice->second = 1 - choice->first;
    const pare_shape *second = &site->inputs[choice->second].shape;
    if (!pare_shape_equal(&site->inputs[choice->first].shape, y) || (choice->first == 1 && !commutes)) {
        return false;
    }
    choice->layout = common_layout(site);
    if (pare_shape_equal(second, y)) {
        if (attrs->kind == PARE_BINARY_DIV || !keeps_zero(&attrs->activation)) {
            choice->layout = has_padding(y, choice->layout) ? PARE_LAYOUT_PLAIN : choice->layout;
        }
        choice->second_layout = choice->layout;
        bool good = flat_desc(&choice->first_desc, y, choice->layout);
        choice->second_desc = choice->first_desc;
        return good;
    }
    /* oneDNN 2.6 loses the tail of a block where a post-op follows. */
    if (has_padding(y, choice->layout) && attrs->activation.function != PARE_FN_IDENTITY) {
        choice->layout = PARE_LAYOUT_PLAIN;
    }
    pare_shape wide = with_rank(second, y->rank);
    /* An operand of lower rank, or of one channel, lies alike in every layout that has no padding. */
    choice->second_layout =
        second->rank == y->rank && wide.rank == 4 && wide.dims[1] > 1 ? choice->layout : PARE_LAYOUT_PLAIN;
    if (second->rank != y->rank && choice->layout != PARE_LAYOUT_PLAIN && wide.dims[1] > 1 &&
        has_padding(&wide, choice->layout)) {
        return false;
    }
    return pare_onednn_layout(&choice->first_desc, y, choice->layout) &&
           pare_onednn_layout(&choice->second_desc, &wide, choice->second_layout);
}

static pare_status binary_bind(const pare_site *site, const void *context, const_dnnl_primitive_desc_t primitive,
                               pare_onednn_step *step, pare_error *error) {
    const binary_choice *choice = context;
    (void)site;
    (void)primitive;
    PARE_TRY(pare_onednn_bind(step, DNNL_ARG_SRC_0, &choice->first_desc, PARE_ONEDNN_INPUT, choice->first, error));
    PARE_TRY(pare_onednn_bind(step, DNNL_ARG_SRC_1, &choice->second_desc, PARE_ONEDNN_INPUT, choice->second, error));
    return pare_onednn_bind(step, DNNL_ARG_DST, &choice->first_desc, PARE_ONEDNN_OUTPUT, 0, error);
}

static pare_status binary_plan(pare_site *site, void **state, pare_error *error) {
    const pare_binary_attrs *attrs = site->attrs;
    binary_choice choice;
    dnnl_binary_desc_t desc;
    dnnl_primitive_desc_t primitive = NULL;
    dnnl_post_ops_t operations = NULL;
    if (!pare_onednn_all_float(site) || !binary_describe(site, &choice) ||
        dnnl_binary_desc_init(&desc, choice.algorithm, &choice.first_desc, &choice.second_desc, &choice.first_desc) !=
            dnnl_success ||
        dnnl_post_ops_create(&operations) != dnnl_success) {
        return PARE_UNSUPPORTED;
    }
    if (!pare_onednn_append(operations, &attrs->activation)) {
        dnnl_post_ops_destroy(operations);
        return PARE_UNSUPPORTED;
    }
    pare_onednn_set_threads(site, ELEMENT_OPERATIONS * pare_onednn_elements(&site->outputs[0]));
    PARE_TRY(pare_onednn_describe(&desc, operations, &primitive, error));
    PARE_TRY(pare_onednn_plan(site, primitive, binary_bind, &choice, state, error));
    site->wanted[choice.first] = choice.layout;
    site->wanted[choice.second] = choice.second_layout;
    site->outputs[0].layout = choice.layout;
    site->in_place = choice.first + 1;
    return PARE_OK;
}

const pare_kernel pare_onednn_unary = {
    .name = "onednn_unary",
    .plan = unary_plan,
    .run = pare_onednn_step_run,
    .destroy = pare_onednn_step_destroy,
};

const pare_kernel pare_onednn_binary = {
    .name = "onednn_binary",
    .plan = binary_plan,
    .run = pare_onednn_step_run,
    .destroy = pare_onednn_step_destroy,
};
