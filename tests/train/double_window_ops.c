/* Convolution and pooling over up to three spatial axes. */
#include <math.h>
#include <string.h>

#include "double_ops.h"

/* Axes that the operator lacks have one element, in front. */
typedef struct window {
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], before[3], after[3];
} window;

static int64_t listed(const pare_node *node, const char *name, size_t index, int64_t fallback) {
    const int64_t *ints = NULL;
    return pare_node_ints(node, name, &ints) > index ? ints[index] : fallback;
}

static window read_window(const double_call *call, const int64_t *kernel) {
    const pare_shape *x = &call->x[0]->shape, *y = &call->y[0]->shape;
    const char *mode = pare_node_string(call->node, "auto_pad", "NOTSET");
    window w;
    int32_t spatial = x->rank - 2, missing = 3 - spatial;
    for (int32_t i = 0; i < 3; i++) {
        w.in[i] = w.out[i] = w.kernel[i] = w.stride[i] = w.dilation[i] = 1;
        w.before[i] = w.after[i] = 0;
    }
    for (int32_t i = 0; i < spatial; i++) {
        int32_t a = missing + i;
        w.in[a] = x->dims[2 + i];
        w.out[a] = y->dims[2 + i];
        w.kernel[a] = kernel != NULL ? kernel[i] : listed(call->node, "kernel_shape", (size_t)i, 1);
        w.stride[a] = listed(call->node, "strides", (size_t)i, 1);
        w.dilation[a] = listed(call->node, "dilations", (size_t)i, 1);
        w.before[a] = listed(call->node, "pads", (size_t)i, 0);
        w.after[a] = listed(call->node, "pads", (size_t)(spatial + i), 0);
        if (strncmp(mode, "SAME", 4) == 0) {
            int64_t outputs = (w.in[a] + w.stride[a] - 1) / w.stride[a];
            int64_t total = (outputs - 1) * w.stride[a] + (w.kernel[a] - 1) * w.dilation[a] + 1 - w.in[a];
            total = total > 0 ? total : 0;
            w.before[a] = strcmp(mode, "SAME_UPPER") == 0 ? total / 2 : (total + 1) / 2;
            w.after[a] = total - w.before[a];
        }
    }
    return w;
}

/* Position in x of tap `k` of the window at output position `o` of axis `a`. */
static int64_t position(const window *w, int a, int64_t o, int64_t k) {
    return o * w->stride[a] - w->before[a] + k * w->dilation[a];
}

static bool inside(const window *w, const int64_t *at) {
    return at[0] >= 0 && at[0] < w->in[0] && at[1] >= 0 && at[1] < w->in[1] && at[2] >= 0 && at[2] < w->in[2];
}

#define EACH(index, extents)                                                                                           \
    for (int64_t index##0 = 0; index##0 < (extents)[0]; index##0 ++)                                                   \
        for (int64_t index##1 = 0; index##1 < (extents)[1]; index##1 ++)                                               \
            for (int64_t index##2 = 0; index##2 < (extents)[2]; index##2 ++)

static size_t flat(const int64_t *extents, int64_t a, int64_t b, int64_t c) {
    return (size_t)((a * extents[1] + b) * extents[2] + c);
}

/* Output positions [first, last) of axis `a` whose tap `k` meets x. */
static void met(const window *w, int a, int64_t k, int64_t *first, int64_t *last) {
    *first = 0;
    *last = w->out[a];
    while (*first < *last && position(w, a, *first, k) < 0) {
        ++*first;
    }
    while (*last > *first && position(w, a, *last - 1, k) >= w->in[a]) {
        --*last;
    }
}

/* Adds the products of one channel of one sample, tap by tap. */
static void convolve(const window *w, const double *x, const double *kernel, double *y) {
    EACH(k, w->kernel) {
        const int64_t taps[3] = {k0, k1, k2};
        double tap = kernel[flat(w->kernel, k0, k1, k2)];
        int64_t first[3], last[3];
        for (int a = 0; a < 3; a++) {
            met(w, a, taps[a], &first[a], &last[a]);
        }
        for (int64_t o0 = first[0]; o0 < last[0]; o0++) {
            for (int64_t o1 = first[1]; o1 < last[1]; o1++) {
                const double *from = x + flat(w->in, position(w, 0, o0, k0), position(w, 1, o1, k1), 0);
                double *to = y + flat(w->out, o0, o1, 0);
                int64_t start = position(w, 2, 0, k2);
                for (int64_t o2 = first[2]; o2 < last[2]; o2++) {
                    to[o2] += from[start + o2 * w->stride[2]] * tap;
                }
            }
        }
    }
}

static void run_conv(const double_call *call) {
    const double_tensor *x = call->x[0], *weights = call->x[1];
    const double_tensor *bias = call->x_count > 2 ? call->x[2] : NULL;
    double_tensor *y = call->y[0];
    window w = read_window(call, weights->shape.dims + 2);
    int64_t groups = pare_node_int(call->node, "group", 1), outputs = y->shape.dims[1], inputs = weights->shape.dims[1];
    size_t in = double_extent(&x->shape, 2, x->shape.rank), out = double_extent(&y->shape, 2, y->shape.rank);
    size_t taps = double_extent(&weights->shape, 2, weights->shape.rank);
    for (int64_t n = 0; n < y->shape.dims[0]; n++) {
        for (int64_t o = 0; o < outputs; o++) {
            double *to = y->data + (size_t)(n * outputs + o) * out;
            for (size_t i = 0; i < out; i++) {
                to[i] = bias != NULL ? bias->data[o] : 0;
            }
            for (int64_t c = 0; c < inputs; c++) {
                int64_t channel = o / (outputs / groups) * inputs + c;
                convolve(&w, x->data + (size_t)(n * x->shape.dims[1] + channel) * in,
                         weights->data + (size_t)(o * inputs + c) * taps, to);
            }
        }
    }
}

/* --- pooling ------------------------------------------------------------------------ */

static double pool_window(const window *w, const double *x, int64_t o0, int64_t o1, int64_t o2, bool maximum,
                          bool padding) {
    double sum = 0, largest = -INFINITY;
    int64_t count = 0;
    EACH(k, w->kernel) {
        int64_t at[3] = {position(w, 0, o0, k0), position(w, 1, o1, k1), position(w, 2, o2, k2)};
        bool padded = true; /* within the padded input */
        for (int a = 0; a < 3; a++) {
            padded = padded && at[a] < w->in[a] + w->after[a];
        }
        if (inside(w, at)) {
            double value = x[flat(w->in, at[0], at[1], at[2])];
            sum += value;
            largest = fmax(largest, value);
            count++;
        } else if (padding && padded) {
            count++;
        }
    }
    return maximum ? largest : sum / (double)count;
}

static void pool(const double_call *call, const window *w, bool maximum, bool padding) {
    const double_tensor *x = call->x[0];
    double_tensor *y = call->y[0];
    size_t planes = double_extent(&x->shape, 0, 2);
    size_t in = double_extent(&x->shape, 2, x->shape.rank), out = double_extent(&y->shape, 2, y->shape.rank);
    for (size_t p = 0; p < planes; p++) {
        EACH(o, w->out) {
            y->data[p * out + flat(w->out, o0, o1, o2)] =
                pool_window(w, x->data + p * in, o0, o1, o2, maximum, padding);
        }
    }
}

static void run_max_pool(const double_call *call) {
    window w = read_window(call, NULL);
    pool(call, &w, true, false);
}

static void run_average_pool(const double_call *call) {
    window w = read_window(call, NULL);
    pool(call, &w, false, pare_node_int(call->node, "count_include_pad", 0) != 0);
}

static void run_global(const double_call *call, bool maximum) {
    const double_tensor *x = call->x[0];
    size_t planes = double_extent(&x->shape, 0, 2), in = double_extent(&x->shape, 2, x->shape.rank);
    for (size_t p = 0; p < planes; p++) {
        double sum = 0, largest = -INFINITY;
        for (size_t i = 0; i < in; i++) {
            sum += x->data[p * in + i];
            largest = fmax(largest, x->data[p * in + i]);
        }
        call->y[0]->data[p] = maximum ? largest : sum / (double)in;
    }
}

static void run_global_max(const double_call *call) {
    run_global(call, true);
}

static void run_global_average(const double_call *call) {
    run_global(call, false);
}

const double_op double_window_ops[] = {{"Conv", run_conv},
                                       {"MaxPool", run_max_pool},
                                       {"AveragePool", run_average_pool},
                                       {"GlobalMaxPool", run_global_max},
                                       {"GlobalAveragePool", run_global_average},
                                       {NULL, NULL}};
