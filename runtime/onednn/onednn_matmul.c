/* MATMUL: a [.., M, K] × b [.., K, N], batch dimensions broadcast. */
#include "onednn_kernels.h"
#include "onednn_support.h"

typedef struct matmul_plan {
    dnnl_memory_desc_t a, b, b_plain, y;
    bool pack; /* b is constant: laid out as the primitive likes */
} matmul_plan;

static pare_shape with_rank(const pare_shape *shape, int32_t rank) {
    pare_shape wide = {.rank = rank};
    for (int32_t i = 0; i < rank; i++) {
        int32_t from = i - (rank - shape->rank);
        wide.dims[i] = from < 0 ? 1 : shape->dims[from];
    }
    return wide;
}

/* Rows of every batch in one, where b has no batch of its own. */
static void merge_rows(pare_shape *shape) {
    pare_shape merged = {.rank = 2, .dims = {1, shape->dims[shape->rank - 1]}};
    for (int32_t i = 0; i + 1 < shape->rank; i++) {
        merged.dims[0] *= shape->dims[i];
    }
    *shape = merged;
}

static bool matmul_describe(const pare_site *site, matmul_plan *plan) {
    pare_shape a = site->inputs[0].shape, b = site->inputs[1].shape, y = site->outputs[0].shape;
    if (!pare_onednn_all_float(site) || a.rank < 2 || b.rank < 2) {
        return false;
    }
    if (b.rank == 2) {
        merge_rows(&a);
        merge_rows(&y);
    }
    a = with_rank(&a, y.rank);
    b = with_rank(&b, y.rank);
    plan->pack = site->inputs[1].constant != NULL;
    return pare_onednn_plain(&plan->a, &a) && pare_onednn_plain(&plan->b_plain, &b) &&
           pare_onednn_plain(&plan->y, &y) &&
           (plan->pack ? pare_onednn_any(&plan->b, b.rank, b.dims) : pare_onednn_plain(&plan->b, &b));
}

static pare_status matmul_bind(const pare_site *site, const void *context, const_dnnl_primitive_desc_t primitive,
                               pare_onednn_step *step, pare_error *error) {
    const matmul_plan *plan = context;
    PARE_TRY(pare_onednn_bind_unary(site, NULL, primitive, step, error));
    if (!plan->pack) {
        return pare_onednn_bind(step, DNNL_ARG_WEIGHTS, &plan->b_plain, PARE_ONEDNN_INPUT, 1, error);
    }
    return pare_onednn_bind_constant(step, DNNL_ARG_WEIGHTS, &plan->b_plain, site->inputs[1].constant,
                                     dnnl_primitive_desc_query_md(primitive, dnnl_query_weights_md, 0), error);
}

static pare_status matmul_plan_node(pare_site *site, void **state, pare_error *error) {
    matmul_plan plan;
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t primitive = NULL;
    if (!matmul_describe(site, &plan) ||
        dnnl_matmul_desc_init(&desc, &plan.a, &plan.b, NULL, &plan.y) != dnnl_success) {
        return PARE_UNSUPPORTED;
    }
    double columns = (double)site->outputs[0].shape.dims[site->outputs[0].shape.rank - 1];
    pare_onednn_set_threads(site, 2.0 * pare_onednn_elements(&site->inputs[0]) * columns);
    PARE_TRY(pare_onednn_describe(&desc, NULL, &primitive, error));
    PARE_TRY(pare_onednn_plan(site, primitive, matmul_bind, &plan, state, error));
    site->wanted[0] = site->wanted[1] = PARE_LAYOUT_PLAIN;
    site->outputs[0].layout = PARE_LAYOUT_PLAIN;
    return PARE_OK;
}

const pare_kernel pare_onednn_matmul = {
    .name = "onednn_matmul",
    .plan = matmul_plan_node,
    .run = pare_onednn_step_run,
    .destroy = pare_onednn_step_destroy,
};
