#include "kernels/conv.h"

#define TOGETHER 4 /* output channels that share each load of x */
#define TILE 1024  /* positions of a pointwise convolution that are computed at once */

/* One output row of up to TOGETHER channels of one group. */
typedef struct row_task {
    const float *x; /* first channel of the group */
    const float *w; /* first of the output channels */
    float *y;
    int64_t count; /* output channels */
    int64_t plane, out_plane, filter;
} row_task;

/* y[j][i] += w[j] × x[i × stride], the four rows apart by `out_plane`. */
static inline void add_four(float *restrict y, int64_t out_plane, const float *restrict x, int64_t stride,
                            const float *w, int64_t filter, int64_t count) {
    float w0 = w[0];
    float w1 = w[filter];
    float w2 = w[2 * filter];
    float w3 = w[3 * filter];
    float *restrict y1 = y + out_plane;
    float *restrict y2 = y + 2 * out_plane;
    float *restrict y3 = y + 3 * out_plane;
    if (stride == 1) {
        for (int64_t i = 0; i < count; i++) {
            y[i] += w0 * x[i];
            y1[i] += w1 * x[i];
            y2[i] += w2 * x[i];
            y3[i] += w3 * x[i];
        }
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        float v = x[i * stride];
        y[i] += w0 * v;
        y1[i] += w1 * v;
        y2[i] += w2 * v;
        y3[i] += w3 * v;
    }
}

static inline void add_one(float *restrict y, const float *restrict x, int64_t stride, float w, int64_t count) {
    if (stride == 1) {
        for (int64_t i = 0; i < count; i++) {
            y[i] += w * x[i];
        }
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        y[i] += w * x[i * stride];
    }
}

static inline void add_taps(const row_task *task, float *y, const float *x, int64_t stride, const float *w,
                            int64_t count) {
    if (task->count == TOGETHER) {
        add_four(y, task->out_plane, x, stride, w, task->filter, count);
        return;
    }
    for (int64_t j = 0; j < task->count; j++) {
        add_one(y + j * task->out_plane, x, stride, w[j * task->filter], count);
    }
}

REFERENCE_CLONES static void window_row(const conv_state *s, const row_task *task, int64_t out_row) {
    const pare_conv_attrs *a = &s->attrs;
    float *y = task->y + out_row * s->out_w;
    for (int64_t c = 0; c < s->group_channels; c++) {
        const float *w = task->w + c * s->kernel_h * s->kernel_w;
        for (int64_t kh = 0; kh < s->kernel_h; kh++, w += s->kernel_w) {
            int64_t row = out_row * a->stride_h - a->pad_top + kh * a->dilation_h;
            if (row < 0 || row >= s->height) {
                continue;
            }
            const float *x = task->x + c * task->plane + row * s->width - a->pad_left;
            for (int64_t kw = 0; kw < s->kernel_w; kw++) {
                int64_t first = s->columns[kw].first;
                int64_t count = s->columns[kw].last - first;
                if (count > 0) {
                    add_taps(task, y + first, x + first * a->stride_w + kw * a->dilation_w, a->stride_w, w + kw, count);
                }
            }
        }
    }
}

REFERENCE_CLONES static void pointwise_tile(const conv_state *s, const row_task *task, int64_t first, int64_t count) {
    for (int64_t c = 0; c < s->group_channels; c++) {
        add_taps(task, task->y + first, task->x + c * task->plane + first, 1, task->w + c, count);
    }
}

static void finish(const conv_state *s, float *y, const float *residual, int64_t count) {
    if (s->residual) {
        pare_apply_function_all(&s->attrs.inner_activation, y, (size_t)count);
        for (int64_t i = 0; i < count; i++) {
            y[i] += residual[i];
        }
    }
    pare_apply_function_all(&s->attrs.activation, y, (size_t)count);
}

static bool is_pointwise(const conv_state *s) {
    const pare_conv_attrs *a = &s->attrs;
    return s->kernel_h == 1 && s->kernel_w == 1 && a->stride_h == 1 && a->stride_w == 1 && a->pad_top == 0 &&
           a->pad_left == 0 && s->out_h == s->height && s->out_w == s->width;
}

/* Computes one piece (a row, or a tile of a pointwise convolution): start from the bias, add, finish. */
static void compute(const conv_state *s, const pare_call *call, int64_t sample, int64_t output, int64_t piece,
                    bool pointwise) {
    const float *bias = s->bias ? call->inputs[2] : NULL;
    int64_t group = output / s->group_outputs;
    int64_t left = (group + 1) * s->group_outputs - output;
    row_task task = {.plane = s->height * s->width,
                     .out_plane = s->out_h * s->out_w,
                     .filter = s->group_channels * s->kernel_h * s->kernel_w,
                     .count = left < TOGETHER ? left : TOGETHER};
    int64_t first = piece * (pointwise ? TILE : s->out_w);
    int64_t count = pointwise && task.out_plane - first < TILE ? task.out_plane - first : pointwise ? TILE : s->out_w;
    int64_t start = (sample * s->outputs + output) * task.out_plane;
    task.x = (const float *)call->inputs[0] + (sample * s->channels + group * s->group_channels) * task.plane;
    task.w = (const float *)call->inputs[1] + output * task.filter;
    task.y = (float *)call->outputs[0] + start;
    for (int64_t j = 0; j < task.count; j++) {
        float value = bias != NULL ? bias[output + j] : 0.0F;
        float *y = task.y + j * task.out_plane + first;
        for (int64_t i = 0; i < count; i++) {
            y[i] = value;
        }
    }
    if (pointwise) {
        pointwise_tile(s, &task, first, count);
    } else {
        window_row(s, &task, piece);
    }
    for (int64_t j = 0; j < task.count; j++) {
        int64_t at = j * task.out_plane + first;
        const float *residual = s->residual ? (const float *)call->inputs[3] + start + at : NULL;
        finish(s, task.y + at, residual, count);
    }
}

pare_status pare_reference_conv_float(const conv_state *s, const pare_call *call, pare_error *error) {
    bool pointwise = is_pointwise(s);
    int64_t plane = s->out_h * s->out_w;
    int64_t pieces = pointwise ? (plane + TILE - 1) / TILE : s->out_h;
    int64_t group_blocks = (s->group_outputs + TOGETHER - 1) / TOGETHER;
    int64_t blocks = group_blocks * s->attrs.groups;
    (void)error;
#pragma omp parallel for num_threads(call->threads) schedule(static)
    for (int64_t task = 0; task < s->batch * blocks * pieces; task++) {
        int64_t block = task / pieces % blocks;
        int64_t output = block / group_blocks * s->group_outputs + block % group_blocks * TOGETHER;
        compute(s, call, task / pieces / blocks, output, task % pieces, pointwise);
    }
    return PARE_OK;
}
