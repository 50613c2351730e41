#include "kernels/conv.h"

static int64_t divide_up(int64_t a, int64_t b) { /* b > 0 */
    return a > 0 ? (a + b - 1) / b : -(-a / b);
}

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

static void set_geometry(conv_state *state, const pare_site *site) {
    const pare_shape *x = &site->inputs[0].shape;
    const pare_shape *w = &site->inputs[1].shape;
    const pare_shape *y = &site->outputs[0].shape;
    memcpy(&state->attrs, site->attrs, sizeof state->attrs);
    state->batch = x->dims[0];
    state->channels = x->dims[1];
    state->height = x->dims[2];
    state->width = x->dims[3];
    state->outputs = w->dims[0];
    state->group_channels = w->dims[1];
    state->kernel_h = w->dims[2];
    state->kernel_w = w->dims[3];
    state->group_outputs = w->dims[0] / state->attrs.groups;
    state->out_h = y->dims[2];
    state->out_w = y->dims[3];
    state->bias = site->input_count > 2 && site->inputs[2].present;
    state->residual = site->input_count > 3 && site->inputs[3].present;
}

static pare_status set_columns(conv_state *state, pare_error *error) {
    const pare_conv_attrs *attrs = &state->attrs;
    state->columns = pare_alloc_zero((size_t)state->kernel_w, sizeof *state->columns);
    if (state->columns == NULL) {
        return pare_fail_memory(error, (size_t)state->kernel_w * sizeof *state->columns);
    }
    for (int64_t k = 0; k < state->kernel_w; k++) {
        int64_t shift = k * attrs->dilation_w - attrs->pad_left; /* input column = output column × stride + shift */
        int64_t first = clamp(divide_up(-shift, attrs->stride_w), 0, state->out_w);
        int64_t last = clamp(divide_up(state->width - shift, attrs->stride_w), first, state->out_w);
        state->columns[k] = (conv_range){first, last};
    }
    return PARE_OK;
}

static bool all_f32(const pare_site *site) {
    for (size_t i = 0; i < site->input_count; i++) {
        if (site->inputs[i].present && site->inputs[i].dtype != PARE_F32) {
            return false;
        }
    }
    return site->outputs[0].dtype == PARE_F32;
}

static pare_status plan(pare_site *site, void **state_out, pare_error *error) {
    bool integer = site->inputs[0].dtype == PARE_U8 && site->inputs[1].dtype == PARE_S8 &&
                   site->outputs[0].dtype == PARE_U8 && site->inputs[1].constant != NULL;
    if (site->inputs[0].shape.rank != 4 || (!integer && !all_f32(site))) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state_out, sizeof(conv_state), error));
    conv_state *state = *state_out;
    set_geometry(state, site);
    PARE_TRY(set_columns(state, error));
    want_plain(site);
    if (!integer) {
        state->run = pare_reference_conv_float;
        return PARE_OK;
    }
    site->wanted[0] = PARE_LAYOUT_CHANNELS_LAST;
    site->outputs[0].layout = PARE_LAYOUT_CHANNELS_LAST;
    if (state->residual) {
        site->wanted[3] = PARE_LAYOUT_CHANNELS_LAST;
    }
    state->run = pare_reference_conv_integer;
    site->packed_bytes = shape_elements(&site->inputs[1].shape) * sizeof(int16_t);
    return pare_reference_conv_prepare_integer(site, state, error);
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const conv_state *conv = state;
    return conv->run(conv, call, error);
}

static void destroy(void *state) {
    conv_state *conv = state;
    if (conv != NULL) {
        pare_free(conv->columns);
        pare_free(conv->weights);
        pare_free(conv->factors);
        pare_free(conv);
    }
}

const pare_kernel pare_reference_conv = {.name = "reference_conv", .plan = plan, .run = run, .destroy = destroy};
