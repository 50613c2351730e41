#include "kernels/strided.h"

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_transpose_attrs *attrs = site->attrs;
    const pare_shape *x = &site->inputs[0].shape;
    size_t in[PARE_MAX_RANK] = {0};
    size_t out[PARE_MAX_RANK] = {0};
    if (site->inputs[0].dtype != site->outputs[0].dtype) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(strided_copy), error));
    strided_copy *copy = *state;
    want_plain(site);
    copy->rank = x->rank;
    copy->bytes = pare_dtype_bytes(site->inputs[0].dtype);
    shape_strides(x, in);
    shape_strides(&site->outputs[0].shape, out);
    int32_t moved = 0; /* axes of more than one element that are out of order */
    int32_t previous = -1;
    for (int32_t i = 0; i < x->rank; i++) {
        int32_t axis = attrs->permutation[i];
        copy->extents[i] = (size_t)x->dims[axis];
        copy->in_strides[i] = (ptrdiff_t)in[axis];
        copy->out_strides[i] = (ptrdiff_t)out[i];
        if (x->dims[axis] != 1) {
            moved += axis < previous;
            previous = axis;
        }
    }
    if (moved == 0) {
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

const pare_kernel pare_reference_transpose = {
    .name = "reference_transpose", .plan = plan, .run = run, .destroy = pare_free};
