#include "kernels/strided.h"

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_shape *x = &site->inputs[0].shape;
    const pare_shape *y = &site->outputs[0].shape;
    size_t in[PARE_MAX_RANK] = {0};
    size_t out[PARE_MAX_RANK] = {0};
    if (site->inputs[0].dtype != site->outputs[0].dtype || x->rank > y->rank) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(strided_copy), error));
    strided_copy *copy = *state;
    want_plain(site);
    copy->rank = y->rank;
    copy->bytes = pare_dtype_bytes(site->inputs[0].dtype);
    shape_strides(x, in);
    shape_strides(y, out);
    for (int32_t i = 0; i < y->rank; i++) {
        int32_t own = i - (y->rank - x->rank);
        bool repeated = own < 0 || x->dims[own] == 1;
        copy->extents[i] = (size_t)y->dims[i];
        copy->in_strides[i] = repeated ? 0 : (ptrdiff_t)in[own];
        copy->out_strides[i] = (ptrdiff_t)out[i];
    }
    if (shape_elements(x) == shape_elements(y)) {
        site->alias = 1;
    }
    strided_simplify(copy);
    return PARE_OK;
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    (void)error;
    strided_run(state, call->inputs[0], call->outputs[0], call->threads);
    return PARE_OK;
}

const pare_kernel pare_reference_expand = {.name = "reference_expand", .plan = plan, .run = run, .destroy = pare_free};
