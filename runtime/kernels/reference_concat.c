#include "kernels/reference.h"

/* Along the axis, each input gives a run of bytes per outer index. A u8 input of
 * another quantization than the output's is looked up on its way. */
typedef struct concat_input {
    size_t run; /* bytes of an outer index */
    bool convert;
    uint8_t table[256];
} concat_input;

typedef struct concat_state {
    size_t outer, count, total; /* total: bytes of an outer index of y */
    concat_input inputs[];
} concat_state;

static bool same_quant(const pare_model_quant *a, const pare_model_quant *b) {
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return a->count == 1 && b->count == 1 && a->scales[0] == b->scales[0] && a->zero_points[0] == b->zero_points[0];
}

static size_t block_of(pare_layout layout) {
    return layout == PARE_LAYOUT_BLOCK8 ? 8 : layout == PARE_LAYOUT_BLOCK16 ? 16 : 1;
}

/* The first layout that is not PLAIN, where every input fills its blocks. */
static pare_layout choose_layout(const pare_site *site, int32_t axis) {
    pare_layout layout = PARE_LAYOUT_PLAIN;
    for (size_t i = 0; i < site->input_count && layout == PARE_LAYOUT_PLAIN; i++) {
        layout = site->inputs[i].layout;
    }
    for (size_t i = 0; i < site->input_count; i++) {
        if (block_of(layout) > 1 && axis == 1 && (size_t)site->inputs[i].shape.dims[1] % block_of(layout) != 0) {
            return PARE_LAYOUT_PLAIN;
        }
    }
    return layout;
}

/* The axis among the extents as they lie in memory. */
static int32_t memory_axis(pare_layout layout, int32_t axis) {
    if (layout == PARE_LAYOUT_CHANNELS_LAST) {
        return axis == 0 ? 0 : axis == 1 ? 3 : axis - 1;
    }
    return axis;
}

/* y = clamp(rint((float)(q - x.zero) × (x.scale / y.scale)) + y.zero) */
static pare_status set_table(concat_input *input, const pare_operand *x, const pare_operand *y, pare_error *error) {
    float x_scale;
    float y_scale;
    int32_t x_zero;
    int32_t y_zero;
    if (x->dtype != PARE_U8 || !single_quant(x, &x_scale, &x_zero) || !single_quant(y, &y_scale, &y_zero)) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected an input with the output's quantization, found another");
    }
    float ratio = (float)((double)x_scale / (double)y_scale);
    for (int32_t q = 0; q < 256; q++) {
        input->table[q] = pare_requantize(q - x_zero, ratio, y_zero, 0, 255);
    }
    input->convert = true;
    return PARE_OK;
}

static pare_status set_inputs(const pare_site *site, concat_state *s, pare_layout layout, int32_t axis,
                              pare_error *error) {
    size_t extents[PARE_MAX_RANK];
    for (size_t i = 0; i < site->input_count; i++) {
        concat_input *input = &s->inputs[i];
        site->wanted[i] = layout;
        int32_t rank = layout_extents(layout, &site->inputs[i].shape, extents);
        input->run = pare_dtype_bytes(site->inputs[i].dtype);
        for (int32_t d = axis; d < rank; d++) {
            input->run *= extents[d];
        }
        s->total += input->run;
        if (!same_quant(site->inputs[i].quant, site->outputs[0].quant)) {
            PARE_TRY(set_table(input, &site->inputs[i], &site->outputs[0], error));
        }
    }
    return PARE_OK;
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_axis_attrs *attrs = site->attrs;
    size_t extents[PARE_MAX_RANK];
    for (size_t i = 0; i < site->input_count; i++) {
        if (!site->inputs[i].present || site->inputs[i].dtype != site->outputs[0].dtype) {
            return PARE_UNSUPPORTED;
        }
    }
    PARE_TRY(make_state(state, sizeof(concat_state) + site->input_count * sizeof(concat_input), error));
    concat_state *s = *state;
    pare_layout layout = choose_layout(site, attrs->axis);
    int32_t axis = memory_axis(layout, attrs->axis);
    s->count = site->input_count;
    site->outputs[0].layout = layout;
    layout_extents(layout, &site->outputs[0].shape, extents);
    s->outer = 1;
    for (int32_t d = 0; d < axis; d++) {
        s->outer *= extents[d];
    }
    return set_inputs(site, s, layout, axis, error);
}

static void copy_run(const concat_input *input, const uint8_t *from, uint8_t *to) {
    if (!input->convert) {
        memcpy(to, from, input->run);
        return;
    }
    for (size_t i = 0; i < input->run; i++) {
        to[i] = input->table[from[i]];
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const concat_state *s = state;
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static) if (s->outer * s->total > 65536)
    for (size_t outer = 0; outer < s->outer; outer++) {
        uint8_t *to = (uint8_t *)call->outputs[0] + outer * s->total;
        for (size_t i = 0; i < s->count; i++) {
            const concat_input *input = &s->inputs[i];
            copy_run(input, (const uint8_t *)call->inputs[i] + outer * input->run, to);
            to += input->run;
        }
    }
    return PARE_OK;
}

const pare_kernel pare_reference_concat = {.name = "reference_concat", .plan = plan, .run = run, .destroy = pare_free};
