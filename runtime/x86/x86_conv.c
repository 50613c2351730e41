/* CONV and FULLY_CONNECTED on u8 × s8: planning of the products. */
#include "x86_conv.h"
#include "x86_kernels.h"

#if defined(__x86_64__)

typedef enum plain_steps { ANY_STEPS, ALL_PLAIN } plain_steps;

static const pare_operand *optional_input(const pare_site *site, size_t index) {
    return index < site->input_count && site->inputs[index].present ? &site->inputs[index] : NULL;
}

static void pointwise_rows(x86_geometry *g) {
    bool pointwise = g->kernel_h == 1 && g->kernel_w == 1 && g->stride_h == 1 && g->stride_w == 1 && g->pad_top == 0 &&
                     g->pad_left == 0 && g->out_h == g->in_h && g->out_w == g->in_w;
    if (pointwise) { /* pixels of all images are alike */
        g->in_h = g->out_h = g->images * g->in_h * g->in_w;
        g->in_w = g->out_w = g->images = 1;
    }
}

bool pare_x86_conv_geometry(const pare_site *site, x86_geometry *g) {
    const pare_conv_attrs *a = site->attrs;
    const pare_shape *x = &site->inputs[0].shape, *w = &site->inputs[1].shape, *y = &site->outputs[0].shape;
    if (x->rank != 4 || w->rank != 4 || y->rank != 4 || a->pad_top < 0 || a->pad_left < 0) {
        return false;
    }
    for (int32_t i = 0; i < 4; i++) {
        if (x->dims[i] < 1 || y->dims[i] < 1 || w->dims[i] < 1) {
            return false;
        }
    }
    *g = (x86_geometry){.images = (size_t)x->dims[0],
                        .in_c = (size_t)x->dims[1],
                        .in_h = (size_t)x->dims[2],
                        .in_w = (size_t)x->dims[3],
                        .out_c = (size_t)y->dims[1],
                        .out_h = (size_t)y->dims[2],
                        .out_w = (size_t)y->dims[3],
                        .kernel_h = (size_t)w->dims[2],
                        .kernel_w = (size_t)w->dims[3],
                        .stride_h = (size_t)a->stride_h,
                        .stride_w = (size_t)a->stride_w,
                        .dilation_h = (size_t)a->dilation_h,
                        .dilation_w = (size_t)a->dilation_w,
                        .pad_top = (size_t)a->pad_top,
                        .pad_left = (size_t)a->pad_left,
                        .groups = (size_t)a->groups,
                        .pad_value = (uint8_t)site->inputs[0].quant->zero_points[0]};
    return true;
}

static bool conv_epilogue(const pare_site *site, x86_epilogue *e, float *scale) {
    const pare_conv_attrs *a = site->attrs;
    const pare_operand *residual = optional_input(site, 3);
    const pare_model_quant *y = site->outputs[0].quant;
    *scale = y->scales[0];
    if (residual == NULL) {
        return x86_range_of(&a->activation, y->scales[0], y->zero_points[0], &e->range);
    }
    if (!x86_per_tensor(residual, PARE_U8) || !pare_shape_equal(&residual->shape, &site->outputs[0].shape)) {
        return false;
    }
    *scale = a->inner_scale;
    e->residual = true;
    e->ra = (float)((double)a->inner_scale / (double)y->scales[0]);
    e->rb = (float)((double)residual->quant->scales[0] / (double)y->scales[0]);
    e->residual_zero = residual->quant->zero_points[0];
    return x86_tame(e->ra) && x86_tame(e->rb) &&
           x86_range_of(&a->inner_activation, a->inner_scale, a->inner_zero, &e->range) &&
           x86_range_of(&a->activation, y->scales[0], y->zero_points[0], &e->sum);
}

/* Common end of planning: packs, and keeps the result when its steps are those that this kernel is for. */
static pare_status plan_product(pare_site *site, const x86_geometry *g, x86_gemm_kind kind, plain_steps steps,
                                const x86_epilogue *epilogue, float scale, x86_gemm **result, pare_error *error) {
    const pare_operand *bias = optional_input(site, 2);
    const int8_t *weights = site->inputs[1].constant;
    const int32_t *values = bias != NULL ? bias->constant : NULL;
    int32_t zero = site->inputs[0].quant->zero_points[0];
    size_t taps = g->in_c / g->groups * g->kernel_h * g->kernel_w;
    /* The reference kernel, asked last, says why. */
    if (pare_check_accumulator(weights, g->out_c, taps, values, zero, NULL) != PARE_OK) {
        return PARE_UNSUPPORTED;
    }
    x86_gemm *gemm = NULL;
    PARE_TRY(pare_x86_gemm_create(g, kind, weights, values, zero, site->threads, steps == ANY_STEPS, &gemm, error));
    x86_epilogue *e = &gemm->epilogue;
    const int32_t *packed_bias = e->bias;
    const float *scales = e->scale;
    *e = *epilogue;
    e->bias = packed_bias;
    e->scale = scales;
    if (!pare_x86_gemm_scales(gemm, site->inputs[0].quant->scales[0], site->inputs[1].quant, scale)) {
        pare_x86_gemm_free(gemm);
        return PARE_UNSUPPORTED;
    }
    site->scratch_bytes = pare_x86_gemm_scratch(gemm);
    site->packed_bytes = gemm->block_bytes;
    *result = gemm;
    return PARE_OK;
}

static pare_status plan_conv(pare_site *site, pare_isa isa, x86_gemm_kind kind, plain_steps steps, void **state,
                             pare_error *error) {
    x86_geometry g;
    x86_epilogue epilogue = {0};
    float scale;
    if (site->isa < isa || !x86_per_tensor(&site->inputs[0], PARE_U8) || !x86_per_tensor(&site->outputs[0], PARE_U8) ||
        !pare_x86_conv_geometry(site, &g) ||
        !pare_x86_weights_fit(&site->inputs[1], optional_input(site, 2), g.out_c) ||
        !conv_epilogue(site, &epilogue, &scale)) {
        return PARE_UNSUPPORTED;
    }
    pointwise_rows(&g);
    x86_gemm *gemm;
    PARE_TRY(plan_product(site, &g, kind, steps, &epilogue, scale, &gemm, error));
    site->wanted[0] = PARE_LAYOUT_CHANNELS_LAST;
    if (epilogue.residual) {
        site->wanted[3] = PARE_LAYOUT_CHANNELS_LAST;
    }
    site->outputs[0].layout = PARE_LAYOUT_CHANNELS_LAST;
    *state = gemm;
    return PARE_OK;
}

static pare_status plan_fully_connected(pare_site *site, pare_isa isa, x86_gemm_kind kind, plain_steps steps,
                                        void **state, pare_error *error) {
    const pare_fully_connected_attrs *a = site->attrs;
    const pare_operand *x = &site->inputs[0], *w = &site->inputs[1], *y = &site->outputs[0];
    if (site->isa < isa || !x86_per_tensor(x, PARE_U8) || !x86_per_tensor(y, PARE_U8) || x->shape.rank < 1 ||
        w->shape.rank != 2 || w->shape.dims[0] < 1 || w->shape.dims[1] < 1 ||
        !pare_x86_weights_fit(w, optional_input(site, 2), (size_t)w->shape.dims[0])) {
        return PARE_UNSUPPORTED;
    }
    x86_epilogue epilogue = {0};
    x86_geometry g = {.images = 1,
                      .in_h = 1,
                      .in_w = 1,
                      .in_c = (size_t)w->shape.dims[1],
                      .out_w = 1,
                      .out_c = (size_t)w->shape.dims[0],
                      .kernel_h = 1,
                      .kernel_w = 1,
                      .stride_h = 1,
                      .stride_w = 1,
                      .dilation_h = 1,
                      .dilation_w = 1,
                      .groups = 1};
    for (int32_t i = 0; i + 1 < x->shape.rank; i++) {
        g.in_h *= (size_t)x->shape.dims[i];
    }
    g.out_h = g.in_h;
    if (g.in_h < 1 || !x86_range_of(&a->activation, y->quant->scales[0], y->quant->zero_points[0], &epilogue.range)) {
        return PARE_UNSUPPORTED;
    }
    x86_gemm *gemm;
    PARE_TRY(plan_product(site, &g, kind, steps, &epilogue, y->quant->scales[0], &gemm, error));
    site->wanted[0] = PARE_LAYOUT_PLAIN;
    site->outputs[0].layout = PARE_LAYOUT_PLAIN;
    *state = gemm;
    return PARE_OK;
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    (void)error;
    const x86_gemm *gemm = state;
    const uint8_t *residual = gemm->epilogue.residual ? call->inputs[3] : NULL;
    pare_x86_gemm_run(gemm, call->inputs[0], residual, call->outputs[0], call->scratch, call->threads);
    return PARE_OK;
}

#define PRODUCT(plan_function, name_plan, isa, kind, steps)                                                            \
    static pare_status name_plan(pare_site *site, void **state, pare_error *error) {                                   \
        return plan_function(site, isa, kind, steps, state, error);                                                    \
    }
PRODUCT(plan_conv, conv_vnni, PARE_ISA_AVX512_VNNI, X86_GEMM_VNNI, ANY_STEPS)
PRODUCT(plan_conv, conv_maddubs, PARE_ISA_AVX2, X86_GEMM_AVX2, ALL_PLAIN)
PRODUCT(plan_conv, conv_exact, PARE_ISA_AVX2, X86_GEMM_AVX2, ANY_STEPS)
PRODUCT(plan_fully_connected, fc_vnni, PARE_ISA_AVX512_VNNI, X86_GEMM_VNNI, ANY_STEPS)
PRODUCT(plan_fully_connected, fc_maddubs, PARE_ISA_AVX2, X86_GEMM_AVX2, ALL_PLAIN)
PRODUCT(plan_fully_connected, fc_exact, PARE_ISA_AVX2, X86_GEMM_AVX2, ANY_STEPS)

const pare_kernel pare_x86_conv_vnni = {"avx512_vnni_conv", conv_vnni, run, pare_x86_gemm_free};
const pare_kernel pare_x86_conv_maddubs = {"avx2_conv_maddubs", conv_maddubs, run, pare_x86_gemm_free};
const pare_kernel pare_x86_conv_exact = {"avx2_conv_exact", conv_exact, run, pare_x86_gemm_free};
const pare_kernel pare_x86_fc_vnni = {"avx512_vnni_fully_connected", fc_vnni, run, pare_x86_gemm_free};
const pare_kernel pare_x86_fc_maddubs = {"avx2_fully_connected_maddubs", fc_maddubs, run, pare_x86_gemm_free};
const pare_kernel pare_x86_fc_exact = {"avx2_fully_connected_exact", fc_exact, run, pare_x86_gemm_free};

#endif
