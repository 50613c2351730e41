#include "kernels/reference.h"

typedef struct arg_state {
    size_t outer, count, inner;
    bool minimum, last;
    pare_dtype dtype;
} arg_state;

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_arg_reduce_attrs *attrs = site->attrs;
    const pare_shape *x = &site->inputs[0].shape;
    pare_dtype dtype = site->inputs[0].dtype;
    bool known = dtype == PARE_F32 || dtype == PARE_S32 || dtype == PARE_S64 || dtype == PARE_U8 || dtype == PARE_S8;
    if (!known || site->outputs[0].dtype != PARE_S64 || attrs->axis < 0 || attrs->axis >= x->rank) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(arg_state), error));
    arg_state *s = *state;
    want_plain(site);
    *s = (arg_state){.outer = shape_product(x, 0, attrs->axis),
                     .count = (size_t)x->dims[attrs->axis],
                     .inner = shape_product(x, attrs->axis + 1, x->rank),
                     .minimum = attrs->minimum != 0,
                     .last = attrs->last_index != 0,
                     .dtype = dtype};
    return PARE_OK;
}

#define DEFINE_FIND(name, type)                                                                                        \
    static int64_t name(const arg_state *s, const void *data, size_t at) {                                             \
        const type *x = (const type *)data + at;                                                                       \
        size_t best = 0;                                                                                               \
        for (size_t i = 1; i < s->count; i++) {                                                                        \
            type value = x[i * s->inner];                                                                              \
            type top = x[best * s->inner];                                                                             \
            bool better = s->minimum ? value < top : value > top;                                                      \
            if (better || (s->last && value == top)) {                                                                 \
                best = i;                                                                                              \
            }                                                                                                          \
        }                                                                                                              \
        return (int64_t)best;                                                                                          \
    }
DEFINE_FIND(find_f32, float)
DEFINE_FIND(find_s32, int32_t)
DEFINE_FIND(find_s64, int64_t)
DEFINE_FIND(find_u8, uint8_t)
DEFINE_FIND(find_s8, int8_t)

static int64_t find(const arg_state *s, const void *data, size_t at) {
    switch (s->dtype) {
    case PARE_F32:
        return find_f32(s, data, at);
    case PARE_S32:
        return find_s32(s, data, at);
    case PARE_S64:
        return find_s64(s, data, at);
    case PARE_U8:
        return find_u8(s, data, at);
    default:
        return find_s8(s, data, at);
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const arg_state *s = state;
    (void)error;
    for (size_t row = 0; row < s->outer * s->inner; row++) {
        size_t at = row / s->inner * s->count * s->inner + row % s->inner;
        ((int64_t *)call->outputs[0])[row] = find(s, call->inputs[0], at);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_arg_reduce = {
    .name = "reference_arg_reduce", .plan = plan, .run = run, .destroy = pare_free};
