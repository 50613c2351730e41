#include "kernels/reference.h"

typedef struct transpose_state {
    pare_conv_attrs attrs;
    int64_t batch, channels, height, width;
    int64_t outputs, group_channels, group_outputs, kernel_h, kernel_w, out_h, out_w;
    bool bias;
} transpose_state;

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_shape *x = &site->inputs[0].shape;
    const pare_shape *w = &site->inputs[1].shape;
    const pare_shape *y = &site->outputs[0].shape;
    bool bias = site->input_count > 2 && site->inputs[2].present;
    if (x->rank != 4 || site->inputs[0].dtype != PARE_F32 || site->inputs[1].dtype != PARE_F32 ||
        (bias && site->inputs[2].dtype != PARE_F32)) {
        return PARE_UNSUPPORTED;
    }
    PARE_TRY(make_state(state, sizeof(transpose_state), error));
    transpose_state *s = *state;
    want_plain(site);
    memcpy(&s->attrs, site->attrs, sizeof s->attrs);
    s->batch = x->dims[0];
    s->channels = x->dims[1];
    s->height = x->dims[2];
    s->width = x->dims[3];
    s->group_channels = s->channels / s->attrs.groups;
    s->group_outputs = w->dims[1];
    s->outputs = s->group_outputs * s->attrs.groups;
    s->kernel_h = w->dims[2];
    s->kernel_w = w->dims[3];
    s->out_h = y->dims[2];
    s->out_w = y->dims[3];
    s->bias = bias;
    return PARE_OK;
}

/* Spreads one input row over one output row. */
static void spread_row(const transpose_state *s, const float *x, const float *w, float *y) {
    const pare_conv_attrs *a = &s->attrs;
    for (int64_t kw = 0; kw < s->kernel_w; kw++) {
        int64_t shift = kw * a->dilation_w - a->pad_left;
        for (int64_t column = 0; column < s->width; column++) {
            int64_t to = column * a->stride_w + shift;
            if (to >= 0 && to < s->out_w) {
                y[to] += w[kw] * x[column];
            }
        }
    }
}

static void compute_plane(const transpose_state *s, const pare_call *call, int64_t sample, int64_t output) {
    const pare_conv_attrs *a = &s->attrs;
    const float *bias = s->bias ? call->inputs[2] : NULL;
    int64_t plane = s->out_h * s->out_w;
    int64_t group = output / s->group_outputs;
    float *y = (float *)call->outputs[0] + (sample * s->outputs + output) * plane;
    for (int64_t i = 0; i < plane; i++) {
        y[i] = bias != NULL ? bias[output] : 0.0F;
    }
    for (int64_t k = 0; k < s->group_channels; k++) {
        int64_t c = group * s->group_channels + k;
        const float *x = (const float *)call->inputs[0] + (sample * s->channels + c) * s->height * s->width;
        const float *w = (const float *)call->inputs[1] +
                         (c * s->group_outputs + output % s->group_outputs) * s->kernel_h * s->kernel_w;
        for (int64_t row = 0; row < s->height; row++) {
            for (int64_t kh = 0; kh < s->kernel_h; kh++) {
                int64_t to = row * a->stride_h - a->pad_top + kh * a->dilation_h;
                if (to >= 0 && to < s->out_h) {
                    spread_row(s, x + row * s->width, w + kh * s->kernel_w, y + to * s->out_w);
                }
            }
        }
    }
    pare_apply_function_all(&a->activation, y, (size_t)plane);
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const transpose_state *s = state;
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static)
    for (int64_t task = 0; task < s->batch * s->outputs; task++) {
        compute_plane(s, call, task / s->outputs, task % s->outputs);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_conv_transpose = {
    .name = "reference_conv_transpose", .plan = plan, .run = run, .destroy = pare_free};
