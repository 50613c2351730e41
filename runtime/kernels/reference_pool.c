#include "kernels/reference.h"

#define LANES 64 /* channels of the integer form at once */

typedef struct pool_state {
    pare_pool_attrs attrs;
    int64_t batch, channels, height, width, out_h, out_w;
    pare_dtype dtype;
    int32_t x_zero, y_zero;
    float ratio_of_count[]; /* integer average: m for each number of elements */
} pool_state;

static bool takes(const pare_site *site, bool average) {
    pare_dtype dtype = site->inputs[0].dtype;
    if (site->inputs[0].shape.rank != 4 || site->outputs[0].dtype != dtype) {
        return false;
    }
    return dtype == PARE_F32 || dtype == PARE_U8 || (dtype == PARE_S8 && !average);
}

static pare_status prepare_average(const pare_site *site, pool_state *s, size_t taps, pare_error *error) {
    float x_scale;
    float y_scale;
    if (!single_quant(&site->inputs[0], &x_scale, &s->x_zero) ||
        !single_quant(&site->outputs[0], &y_scale, &s->y_zero)) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected per-tensor quantization, found another");
    }
    for (size_t count = 1; count <= taps; count++) {
        s->ratio_of_count[count] = (float)((double)x_scale / (double)y_scale / (double)count);
    }
    return PARE_OK;
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_pool_attrs *attrs = site->attrs;
    bool average = attrs->kind != PARE_POOL_MAX;
    bool integer = site->inputs[0].dtype != PARE_F32;
    if (!takes(site, average)) {
        return PARE_UNSUPPORTED;
    }
    size_t taps = (size_t)attrs->kernel_h * (size_t)attrs->kernel_w;
    if (integer && average && taps > 8388608) { /* sums of 255 must fit 32 bits */
        return pare_fail(error, PARE_UNSUPPORTED, "expected windows of at most 8388608 elements, found %zu", taps);
    }
    PARE_TRY(make_state(state, sizeof(pool_state) + (integer && average ? taps + 1 : 0) * sizeof(float), error));
    pool_state *s = *state;
    const pare_shape *x = &site->inputs[0].shape;
    const pare_shape *y = &site->outputs[0].shape;
    s->attrs = *attrs;
    s->batch = x->dims[0];
    s->channels = x->dims[1];
    s->height = x->dims[2];
    s->width = x->dims[3];
    s->out_h = y->dims[2];
    s->out_w = y->dims[3];
    s->dtype = site->inputs[0].dtype;
    site->wanted[0] = integer ? PARE_LAYOUT_CHANNELS_LAST : PARE_LAYOUT_PLAIN;
    site->outputs[0].layout = site->wanted[0];
    return integer && average ? prepare_average(site, s, taps, error) : PARE_OK;
}

/* Kernel positions [first, last) that fall into [low, high) of the axis. */
typedef struct taps {
    int64_t start, step, first, last;
} taps;

static taps taps_in(int64_t position, int64_t stride, int64_t pad, int64_t dilation, int64_t kernel, int64_t low,
                    int64_t high) {
    taps t = {.start = position * stride - pad, .step = dilation, .last = kernel};
    while (t.first < t.last && t.start + t.first * dilation < low) {
        t.first++;
    }
    while (t.last > t.first && t.start + (t.last - 1) * dilation >= high) {
        t.last--;
    }
    return t;
}

static taps rows_of(const pool_state *s, int64_t row, int64_t low, int64_t high) {
    return taps_in(row, s->attrs.stride_h, s->attrs.pad_top, s->attrs.dilation_h, s->attrs.kernel_h, low, high);
}

static taps columns_of(const pool_state *s, int64_t column, int64_t low, int64_t high) {
    return taps_in(column, s->attrs.stride_w, s->attrs.pad_left, s->attrs.dilation_w, s->attrs.kernel_w, low, high);
}

/* What the sum is divided by. */
static int64_t divisor(const pool_state *s, int64_t row, int64_t column, taps rows, taps columns) {
    if (s->attrs.kind == PARE_POOL_AVERAGE_WITH_PADDING) {
        rows = rows_of(s, row, -s->attrs.pad_top, s->height + s->attrs.pad_bottom);
        columns = columns_of(s, column, -s->attrs.pad_left, s->width + s->attrs.pad_right);
    }
    return (rows.last - rows.first) * (columns.last - columns.first);
}

static void float_row(const pool_state *s, const float *x, float *y, int64_t row) {
    taps rows = rows_of(s, row, 0, s->height);
    bool maximum = s->attrs.kind == PARE_POOL_MAX;
    for (int64_t column = 0; column < s->out_w; column++) {
        taps columns = columns_of(s, column, 0, s->width);
        float result = maximum ? -INFINITY : 0.0F;
        for (int64_t h = rows.first; h < rows.last; h++) {
            const float *from = x + (rows.start + h * rows.step) * s->width + columns.start;
            for (int64_t w = columns.first; w < columns.last; w++) {
                float value = from[w * columns.step];
                if (!maximum) {
                    result += value;
                } else if (value > result || value != value) {
                    result = value;
                }
            }
        }
        int64_t count = maximum ? 1 : divisor(s, row, column, rows, columns);
        y[column] = count > 0 ? result / (float)count : 0.0F;
    }
}

/* `flip` turns signed bytes into unsigned ones of the same order. */
static inline void max_bytes(const pool_state *s, const uint8_t *x, uint8_t *y, taps rows, taps columns, int64_t count,
                             uint8_t flip) {
    uint8_t best[LANES] = {0};
    for (int64_t h = rows.first; h < rows.last; h++) {
        for (int64_t w = columns.first; w < columns.last; w++) {
            const uint8_t *from =
                x + ((rows.start + h * rows.step) * s->width + columns.start + w * columns.step) * s->channels;
            for (int64_t c = 0; c < count; c++) {
                uint8_t value = from[c] ^ flip;
                best[c] = value > best[c] ? value : best[c];
            }
        }
    }
    for (int64_t c = 0; c < count; c++) {
        y[c] = best[c] ^ flip;
    }
}

static inline void average_bytes(const pool_state *s, const uint8_t *x, uint8_t *y, taps rows, taps columns,
                                 int64_t count, int64_t elements) {
    int32_t sums[LANES] = {0};
    for (int64_t h = rows.first; h < rows.last; h++) {
        for (int64_t w = columns.first; w < columns.last; w++) {
            const uint8_t *from =
                x + ((rows.start + h * rows.step) * s->width + columns.start + w * columns.step) * s->channels;
            for (int64_t c = 0; c < count; c++) {
                sums[c] += from[c] - s->x_zero;
            }
        }
    }
    float ratio = elements > 0 ? s->ratio_of_count[elements] : 0.0F;
    for (int64_t c = 0; c < count; c++) {
        float f = (float)sums[c] * ratio;
        y[c] = (uint8_t)((int32_t)round_clamped(f, (float)-s->y_zero, (float)(255 - s->y_zero)) + s->y_zero);
    }
}

REFERENCE_CLONES static void integer_row(const pool_state *s, const uint8_t *x, uint8_t *y, int64_t row) {
    taps rows = rows_of(s, row, 0, s->height);
    for (int64_t column = 0; column < s->out_w; column++) {
        taps columns = columns_of(s, column, 0, s->width);
        int64_t elements = s->attrs.kind == PARE_POOL_MAX ? 0 : divisor(s, row, column, rows, columns);
        for (int64_t c = 0; c < s->channels; c += LANES) {
            int64_t count = s->channels - c < LANES ? s->channels - c : LANES;
            uint8_t *to = y + column * s->channels + c;
            if (s->attrs.kind == PARE_POOL_MAX) {
                max_bytes(s, x + c, to, rows, columns, count, s->dtype == PARE_S8 ? 0x80 : 0);
            } else {
                average_bytes(s, x + c, to, rows, columns, count, elements);
            }
        }
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const pool_state *s = state;
    (void)error;
    if (s->dtype == PARE_F32) {
#pragma omp parallel for num_threads(call->threads) schedule(static)
        for (int64_t task = 0; task < s->batch * s->channels; task++) {
            for (int64_t row = 0; row < s->out_h; row++) {
                float_row(s, (const float *)call->inputs[0] + task * s->height * s->width,
                          (float *)call->outputs[0] + (task * s->out_h + row) * s->out_w, row);
            }
        }
        return PARE_OK;
    }
#pragma omp parallel for num_threads(call->threads) schedule(static)
    for (int64_t task = 0; task < s->batch * s->out_h; task++) {
        integer_row(s, (const uint8_t *)call->inputs[0] + task / s->out_h * s->height * s->width * s->channels,
                    (uint8_t *)call->outputs[0] + task * s->out_w * s->channels, task % s->out_h);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_pool = {.name = "reference_pool", .plan = plan, .run = run, .destroy = pare_free};
