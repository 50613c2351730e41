#include "kernels/reference.h"

/* y[outer, index, inner] = x[outer, indices[index], inner]; a negative index counts from the end. */
typedef struct gather_state {
    size_t outer, indices, inner_bytes;
    int64_t extent;
    bool wide; /* int64 indices */
} gather_state;

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_axis_attrs *attrs = site->attrs;
    const pare_shape *x = &site->inputs[0].shape;
    pare_dtype type = site->inputs[1].dtype;
    if (site->inputs[0].dtype != site->outputs[0].dtype || (type != PARE_S64 && type != PARE_S32)) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(gather_state), error));
    gather_state *s = *state;
    want_plain(site);
    s->outer = shape_product(x, 0, attrs->axis);
    s->inner_bytes = shape_product(x, attrs->axis + 1, x->rank) * pare_dtype_bytes(site->inputs[0].dtype);
    s->extent = x->dims[attrs->axis];
    s->indices = shape_elements(&site->inputs[1].shape);
    s->wide = type == PARE_S64;
    return PARE_OK;
}

static int64_t index_at(const gather_state *s, const void *indices, size_t i) {
    int64_t index = s->wide ? ((const int64_t *)indices)[i] : ((const int32_t *)indices)[i];
    return index < 0 ? index + s->extent : index;
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const gather_state *s = state;
    for (size_t i = 0; i < s->indices; i++) {
        int64_t index = index_at(s, call->inputs[1], i);
        if (index < 0 || index >= s->extent) {
            return pare_fail(error, PARE_BAD_INPUT, "expected indices within -%lld to %lld, found %lld at position %zu",
                             (long long)s->extent, (long long)s->extent - 1,
                             (long long)(index < 0 ? index - s->extent : index), i);
        }
    }
    for (size_t outer = 0; outer < s->outer; outer++) {
        const char *from = (const char *)call->inputs[0] + outer * (size_t)s->extent * s->inner_bytes;
        char *to = (char *)call->outputs[0] + outer * s->indices * s->inner_bytes;
        for (size_t i = 0; i < s->indices; i++) {
            memcpy(to + i * s->inner_bytes, from + (size_t)index_at(s, call->inputs[1], i) * s->inner_bytes,
                   s->inner_bytes);
        }
    }
    return PARE_OK;
}

const pare_kernel pare_reference_gather = {.name = "reference_gather", .plan = plan, .run = run, .destroy = pare_free};
