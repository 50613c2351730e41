#include "kernels/strided.h"

static size_t block_of(pare_layout layout) {
    return layout == PARE_LAYOUT_BLOCK8 ? 8 : layout == PARE_LAYOUT_BLOCK16 ? 16 : 1;
}

/* Where each axis as it lies in memory begins and how it steps. */
typedef struct cut {
    int64_t start[PARE_MAX_RANK], step[PARE_MAX_RANK];
} cut;

/* A blocked layout is kept where channels are cut at whole blocks. */
static pare_layout choose_layout(const pare_site *site, const pare_slice_attrs *attrs) {
    pare_layout layout = site->inputs[0].layout;
    int64_t block = (int64_t)block_of(layout);
    if (block > 1) {
        int64_t channels = site->inputs[0].shape.dims[1];
        int64_t count = site->outputs[0].shape.dims[1];
        bool whole = attrs->start[1] == 0 && attrs->step[1] == 1 && count == channels;
        bool aligned = attrs->start[1] % block == 0 && attrs->step[1] == 1 && count % block == 0;
        if (!whole && !aligned) {
            return PARE_LAYOUT_PLAIN;
        }
    }
    return layout;
}

static cut cut_in_memory(const pare_slice_attrs *attrs, pare_layout layout, int32_t rank) {
    static const int32_t last_order[4] = {0, 2, 3, 1};
    cut c = {.start = {0}};
    for (int32_t i = 0; i < rank; i++) {
        c.step[i] = 1;
    }
    for (int32_t i = 0; i < rank && i < (layout == PARE_LAYOUT_PLAIN ? rank : 4); i++) {
        int32_t axis = layout == PARE_LAYOUT_CHANNELS_LAST ? last_order[i] : i;
        c.start[i] = attrs->start[axis];
        c.step[i] = attrs->step[axis];
    }
    if (block_of(layout) > 1) {
        c.start[1] /= (int64_t)block_of(layout);
    }
    return c;
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_slice_attrs *attrs = site->attrs;
    size_t in[PARE_MAX_RANK];
    size_t out[PARE_MAX_RANK];
    if (site->inputs[0].dtype != site->outputs[0].dtype) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(strided_copy), error));
    strided_copy *copy = *state;
    pare_layout layout = choose_layout(site, attrs);
    site->wanted[0] = site->outputs[0].layout = layout;
    copy->rank = layout_extents(layout, &site->inputs[0].shape, in);
    layout_extents(layout, &site->outputs[0].shape, out);
    cut c = cut_in_memory(attrs, layout, copy->rank);
    copy->bytes = pare_dtype_bytes(site->inputs[0].dtype);
    ptrdiff_t in_stride = 1;
    ptrdiff_t out_stride = 1;
    for (int32_t i = copy->rank - 1; i >= 0; i--) {
        copy->extents[i] = out[i];
        copy->in_strides[i] = in_stride * c.step[i];
        copy->in_start += in_stride * c.start[i];
        copy->out_strides[i] = out_stride;
        in_stride *= (ptrdiff_t)in[i];
        out_stride *= (ptrdiff_t)out[i];
    }
    if (pare_shape_equal(&site->inputs[0].shape, &site->outputs[0].shape) && copy->in_start == 0) {
        site->alias = 1; /* all of it, in order: a backward step would start elsewhere */
    }
    strided_simplify(copy);
    return PARE_OK;
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    (void)error;
    strided_run(state, call->inputs[0], call->outputs[0], call->threads);
    return PARE_OK;
}

const pare_kernel pare_reference_slice = {.name = "reference_slice", .plan = plan, .run = run, .destroy = pare_free};
