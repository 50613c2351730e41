#include "kernels/conv.h"

#define TOGETHER 4
#define LANES 64 /* channels of a depthwise convolution at once */

/* --- preparing ------------------------------------------------------------ */

static void pack_weights(conv_state *s, const int8_t *w) {
    int64_t taps = s->kernel_h * s->kernel_w;
    for (int64_t o = 0; o < s->outputs; o++) {
        for (int64_t c = 0; c < s->group_channels; c++) {
            for (int64_t t = 0; t < taps; t++) {
                int16_t value = *w++;
                if (s->depthwise) {
                    s->weights[t * s->outputs + o] = value;
                } else {
                    s->weights[(o * taps + t) * s->group_channels + c] = value;
                }
            }
        }
    }
}

static pare_status set_scales(const pare_site *site, conv_state *s, pare_error *error) {
    float x_scale;
    float y_scale;
    float r_scale = 0.0F;
    const pare_model_quant *w = site->inputs[1].quant;
    if (!single_quant(&site->inputs[0], &x_scale, &s->x_zero) ||
        !single_quant(&site->outputs[0], &y_scale, &s->y_zero) || w == NULL ||
        (w->count != 1 && (w->count != (uint32_t)s->outputs || w->axis != 0)) ||
        (s->residual && !single_quant(&site->inputs[3], &r_scale, &s->residual_zero))) {
        return pare_fail(error, PARE_UNSUPPORTED,
                         "expected per-tensor activations and per-tensor or per-channel weights, found another "
                         "quantization");
    }
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->zero_points[i] != 0) {
            return pare_fail(error, PARE_UNSUPPORTED, "expected weights with zero point 0, found %d",
                             w->zero_points[i]);
        }
    }
    const pare_conv_attrs *a = &s->attrs;
    double target = s->residual ? (double)a->inner_scale : (double)y_scale;
    for (int64_t o = 0; o < s->outputs; o++) {
        s->factors[o] = (float)((double)x_scale * (double)w->scales[w->count == 1 ? 0 : o] / target);
    }
    s->inner_ratio = (float)((double)a->inner_scale / (double)y_scale);
    s->residual_ratio = (float)((double)r_scale / (double)y_scale);
    bool known = pare_activation_bounds(&a->activation, y_scale, s->y_zero, &s->low, &s->high);
    if (s->residual) {
        known = known && pare_activation_bounds(&a->inner_activation, a->inner_scale, a->inner_zero, &s->inner_low,
                                                &s->inner_high);
    }
    return known ? PARE_OK
                 : pare_fail(error, PARE_UNSUPPORTED, "expected the activation identity, relu or clip, found %s",
                             pare_function_name(a->activation.function));
}

pare_status pare_reference_conv_prepare_integer(const pare_site *site, conv_state *s, pare_error *error) {
    size_t outputs = (size_t)s->outputs;
    size_t taps = (size_t)(s->kernel_h * s->kernel_w);
    size_t count = outputs * taps * (size_t)s->group_channels;
    s->depthwise = s->group_channels == 1 && s->outputs == s->channels;
    s->weights = pare_alloc_zero(count, sizeof *s->weights);
    s->factors = pare_alloc_zero(outputs, sizeof *s->factors);
    if (s->weights == NULL || s->factors == NULL) {
        return pare_fail_memory(error, count * sizeof *s->weights);
    }
    PARE_TRY(set_scales(site, s, error));
    PARE_TRY(pare_check_accumulator(site->inputs[1].constant, outputs, taps * (size_t)s->group_channels,
                                    s->bias ? site->inputs[2].constant : NULL, s->x_zero, error));
    pack_weights(s, site->inputs[1].constant);
    return PARE_OK;
}

/* --- running -------------------------------------------------------------- */

/* From an exact sum to the output's byte. */
static inline uint8_t finish(const conv_state *s, int32_t sum, int64_t output, const uint8_t *residual) {
    const pare_conv_attrs *a = &s->attrs;
    float f = (float)sum * s->factors[output];
    if (residual != NULL) {
        float t = round_clamped(f, (float)(s->inner_low - a->inner_zero), (float)(s->inner_high - a->inner_zero));
        f = t * s->inner_ratio + (float)(residual[output] - s->residual_zero) * s->residual_ratio;
    }
    float y = round_clamped(f, (float)(s->low - s->y_zero), (float)(s->high - s->y_zero));
    return (uint8_t)((int32_t)y + s->y_zero);
}

static inline void dot_four(const uint8_t *x, int16_t zero, const int16_t *w, int64_t filter, int64_t count,
                            int32_t sums[TOGETHER]) {
    int32_t a = 0;
    int32_t b = 0;
    int32_t c = 0;
    int32_t d = 0;
    for (int64_t i = 0; i < count; i++) {
        int16_t v = (int16_t)(x[i] - zero);
        a += v * w[i];
        b += v * w[filter + i];
        c += v * w[2 * filter + i];
        d += v * w[3 * filter + i];
    }
    sums[0] += a;
    sums[1] += b;
    sums[2] += c;
    sums[3] += d;
}

static inline int32_t dot_one(const uint8_t *x, int16_t zero, const int16_t *w, int64_t count) {
    int32_t sum = 0;
    for (int64_t i = 0; i < count; i++) {
        int16_t v = (int16_t)(x[i] - zero);
        sum += v * w[i];
    }
    return sum;
}

/* One output position of up to TOGETHER channels. */
typedef struct window {
    const uint8_t *x; /* the sample's first element of the group */
    int64_t row, column, output, count;
} window;

/* Columns [first, last) of the kernel that fall inside the input. */
static inline conv_range kernel_columns(const conv_state *s, int64_t column) {
    int64_t start = column * s->attrs.stride_w - s->attrs.pad_left;
    conv_range range = {0, s->kernel_w};
    while (range.first < range.last && start + range.first * s->attrs.dilation_w < 0) {
        range.first++;
    }
    while (range.last > range.first && start + (range.last - 1) * s->attrs.dilation_w >= s->width) {
        range.last--;
    }
    return range;
}

static inline void sum_window(const conv_state *s, const window *at, int32_t sums[TOGETHER]) {
    const pare_conv_attrs *a = &s->attrs;
    int64_t filter = s->kernel_h * s->kernel_w * s->group_channels;
    conv_range range = kernel_columns(s, at->column);
    bool joined = a->dilation_w == 1 && a->groups == 1; /* the columns of a row lie side by side */
    for (int64_t kh = 0; kh < s->kernel_h; kh++) {
        int64_t row = at->row * a->stride_h - a->pad_top + kh * a->dilation_h;
        if (row < 0 || row >= s->height) {
            continue;
        }
        int64_t step = joined ? range.last - range.first : 1;
        for (int64_t kw = range.first; kw < range.last; kw += step) {
            int64_t column = at->column * a->stride_w - a->pad_left + kw * a->dilation_w;
            const uint8_t *x = at->x + (row * s->width + column) * s->channels;
            int64_t tap = kh * s->kernel_w + kw;
            const int16_t *w = s->weights + at->output * filter + tap * s->group_channels;
            if (at->count == TOGETHER) {
                dot_four(x, (int16_t)s->x_zero, w, filter, step * s->group_channels, sums);
            } else {
                for (int64_t j = 0; j < at->count; j++) {
                    sums[j] += dot_one(x, (int16_t)s->x_zero, w + j * filter, step * s->group_channels);
                }
            }
        }
    }
}

REFERENCE_CLONES static void dense_row(const conv_state *s, const uint8_t *x, const int32_t *bias,
                                       const uint8_t *residual, uint8_t *y, int64_t row) {
    for (int64_t group = 0; group < s->attrs.groups; group++) {
        int64_t end = (group + 1) * s->group_outputs;
        for (int64_t output = group * s->group_outputs; output < end; output += TOGETHER) {
            for (int64_t column = 0; column < s->out_w; column++) {
                window at = {.x = x + group * s->group_channels,
                             .row = row,
                             .column = column,
                             .output = output,
                             .count = end - output < TOGETHER ? end - output : TOGETHER};
                int32_t sums[TOGETHER] = {0};
                for (int64_t j = 0; bias != NULL && j < at.count; j++) {
                    sums[j] = bias[output + j];
                }
                sum_window(s, &at, sums);
                for (int64_t j = 0; j < at.count; j++) {
                    y[column * s->outputs + output + j] =
                        finish(s, sums[j], output + j, residual != NULL ? residual + column * s->outputs : NULL);
                }
            }
        }
    }
}

/* Channels [first, first + count) of one position; count ≤ LANES. */
static inline void sum_depthwise(const conv_state *s, const uint8_t *x, int64_t row, int64_t column, int64_t first,
                                 int64_t count, int32_t *restrict sums) {
    const pare_conv_attrs *a = &s->attrs;
    conv_range range = kernel_columns(s, column);
    for (int64_t kh = 0; kh < s->kernel_h; kh++) {
        int64_t in_row = row * a->stride_h - a->pad_top + kh * a->dilation_h;
        if (in_row < 0 || in_row >= s->height) {
            continue;
        }
        for (int64_t kw = range.first; kw < range.last; kw++) {
            int64_t in_column = column * a->stride_w - a->pad_left + kw * a->dilation_w;
            const uint8_t *from = x + (in_row * s->width + in_column) * s->channels + first;
            const int16_t *w = s->weights + (kh * s->kernel_w + kw) * s->channels + first;
            for (int64_t c = 0; c < count; c++) {
                sums[c] += ((int32_t)from[c] - s->x_zero) * w[c];
            }
        }
    }
}

REFERENCE_CLONES static void depthwise_row(const conv_state *s, const uint8_t *x, const int32_t *bias,
                                           const uint8_t *residual, uint8_t *y, int64_t row) {
    for (int64_t column = 0; column < s->out_w; column++) {
        for (int64_t first = 0; first < s->channels; first += LANES) {
            int64_t count = s->channels - first < LANES ? s->channels - first : LANES;
            int32_t sums[LANES] = {0};
            for (int64_t c = 0; bias != NULL && c < count; c++) {
                sums[c] = bias[first + c];
            }
            sum_depthwise(s, x, row, column, first, count, sums);
            for (int64_t c = 0; c < count; c++) {
                y[column * s->outputs + first + c] =
                    finish(s, sums[c], first + c, residual != NULL ? residual + column * s->outputs : NULL);
            }
        }
    }
}

pare_status pare_reference_conv_integer(const conv_state *s, const pare_call *call, pare_error *error) {
    const int32_t *bias = s->bias ? call->inputs[2] : NULL;
    int64_t row_bytes = s->out_w * s->outputs;
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static)
    for (int64_t task = 0; task < s->batch * s->out_h; task++) {
        const uint8_t *x = (const uint8_t *)call->inputs[0] + task / s->out_h * s->height * s->width * s->channels;
        const uint8_t *residual = s->residual ? (const uint8_t *)call->inputs[3] + task * row_bytes : NULL;
        uint8_t *y = (uint8_t *)call->outputs[0] + task * row_bytes;
        if (s->depthwise) {
            depthwise_row(s, x, bias, residual, y, task % s->out_h);
        } else {
            dense_row(s, x, bias, residual, y, task % s->out_h);
        }
    }
    return PARE_OK;
}
