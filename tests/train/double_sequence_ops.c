/* MatMul, LSTM, ConvTranspose. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "double_ops.h"
#include "test.h"

/* As numpy's: an operand of one axis gets another, which the result loses. */
static void run_matmul(const double_call *call) {
    pare_shape a = call->x[0]->shape, b = call->x[1]->shape, y = call->y[0]->shape;
    bool row = a.rank == 1, column = b.rank == 1;
    a = row ? (pare_shape){.rank = 2, .dims = {1, a.dims[0]}} : a;
    b = column ? (pare_shape){.rank = 2, .dims = {b.dims[0], 1}} : b;
    size_t rows = (size_t)a.dims[a.rank - 2], columns = (size_t)b.dims[b.rank - 1], inner = (size_t)a.dims[a.rank - 1];
    pare_shape outer = {.rank = y.rank - (row ? 0 : 1) - (column ? 0 : 1)};
    for (int32_t i = 0; i < outer.rank; i++) {
        outer.dims[i] = y.dims[i];
    }
    a.rank -= 2;
    b.rank -= 2;
    for (size_t i = 0; i < call->y[0]->count; i++) {
        size_t matrix = i / (rows * columns), r = i / columns % rows, c = i % columns;
        const double *left = call->x[0]->data + double_broadcast_index(&a, &outer, matrix) * rows * inner;
        const double *right = call->x[1]->data + double_broadcast_index(&b, &outer, matrix) * inner * columns;
        double sum = 0;
        for (size_t k = 0; k < inner; k++) {
            sum += left[r * inner + k] * right[k * columns + c];
        }
        call->y[0]->data[i] = sum;
    }
}

/* --- LSTM --------------------------------------------------------------------------- */

typedef struct lstm {
    size_t steps, batch, inputs, hidden, ways;
    bool batch_first;
} lstm;

static const double *optional(const double_call *call, size_t index) {
    return index < call->x_count && call->x[index] != NULL ? call->x[index]->data : NULL;
}

/* Of a state [D, N, H] or [N, D, H]. */
static size_t state_index(const lstm *s, size_t d, size_t n) {
    return (s->batch_first ? n * s->ways + d : d * s->batch + n) * s->hidden;
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

/* Sum of gate `row` (i, o, f and g, of `hidden` each). */
static double gate(const double_call *call, const lstm *s, size_t d, size_t row, const double *x, const double *h) {
    size_t rows = 4 * s->hidden;
    const double *w = call->x[1]->data + (d * rows + row) * s->inputs;
    const double *r = call->x[2]->data + (d * rows + row) * s->hidden, *b = optional(call, 3);
    double sum = b != NULL ? b[d * 2 * rows + row] + b[d * 2 * rows + rows + row] : 0;
    for (size_t k = 0; k < s->inputs; k++) {
        sum += w[k] * x[k];
    }
    for (size_t k = 0; k < s->hidden; k++) {
        sum += r[k] * h[k];
    }
    return sum;
}

static void run_line(const double_call *call, const lstm *s, size_t d, size_t n, bool reverse) {
    double *state = calloc(3 * s->hidden, sizeof *state);
    const double *first_h = optional(call, 5), *first_c = optional(call, 6);
    assert_non_null(state);
    double *h = state, *c = state + s->hidden, *next = c + s->hidden;
    for (size_t k = 0; k < s->hidden; k++) {
        h[k] = first_h != NULL ? first_h[state_index(s, d, n) + k] : 0;
        c[k] = first_c != NULL ? first_c[state_index(s, d, n) + k] : 0;
    }
    for (size_t i = 0; i < s->steps; i++) {
        size_t t = reverse ? s->steps - 1 - i : i, sample = s->batch_first ? n * s->steps + t : t * s->batch + n;
        const double *x = call->x[0]->data + sample * s->inputs;
        for (size_t k = 0; k < s->hidden; k++) {
            double in = sigmoid(gate(call, s, d, k, x, h)), out = sigmoid(gate(call, s, d, s->hidden + k, x, h));
            double forget = sigmoid(gate(call, s, d, 2 * s->hidden + k, x, h));
            c[k] = forget * c[k] + in * tanh(gate(call, s, d, 3 * s->hidden + k, x, h));
            next[k] = out * tanh(c[k]);
        }
        memcpy(h, next, s->hidden * sizeof *h);
        size_t to = s->batch_first ? sample * s->ways + d : (t * s->ways + d) * s->batch + n;
        if (call->y[0] != NULL) {
            memcpy(call->y[0]->data + to * s->hidden, h, s->hidden * sizeof *h);
        }
    }
    for (size_t i = 1; i < call->y_count; i++) {
        if (call->y[i] != NULL) {
            memcpy(call->y[i]->data + state_index(s, d, n), i == 1 ? h : c, s->hidden * sizeof *h);
        }
    }
    free(state);
}

static void run_lstm(const double_call *call) {
    const pare_shape *x = &call->x[0]->shape, *r = &call->x[2]->shape;
    bool first = pare_node_int(call->node, "layout", 0) != 0;
    lstm s = {(size_t)x->dims[first ? 1 : 0],
              (size_t)x->dims[first ? 0 : 1],
              (size_t)x->dims[2],
              (size_t)r->dims[2],
              (size_t)r->dims[0],
              first};
    bool reverse = strcmp(pare_node_string(call->node, "direction", "forward"), "reverse") == 0;
    for (size_t d = 0; d < s.ways; d++) {
        for (size_t n = 0; n < s.batch; n++) {
            run_line(call, &s, d, n, reverse || d == 1);
        }
    }
}

/* --- ConvTranspose --------------------------------------------------------------------- */

static int64_t listed(const pare_node *node, const char *name, size_t index, int64_t fallback) {
    const int64_t *ints = NULL;
    return pare_node_ints(node, name, &ints) > index ? ints[index] : fallback;
}

typedef struct transposed {
    int64_t stride[2], dilation[2], before[2], groups;
} transposed;

/* Adds an element of x to all that it reaches: at × stride + tap × dilation - pads; axes of w: C, O / groups, taps. */
static void scatter(const double_call *call, const transposed *t, double x, const int64_t *at) {
    const pare_shape *w = &call->x[1]->shape, *y = &call->y[0]->shape;
    int64_t outputs = w->dims[1], first = at[1] / (w->dims[0] / t->groups) * outputs;
    size_t taps = double_extent(w, 2, w->rank), plane = double_extent(y, 2, y->rank);
    for (size_t tap = 0; tap < taps; tap++) {
        size_t rest = tap, to = 0, stride = 1;
        bool inside = true;
        for (int32_t a = w->rank - 1; a >= 2; a--) {
            int64_t place =
                at[a] * t->stride[a - 2] + (int64_t)(rest % (size_t)w->dims[a]) * t->dilation[a - 2] - t->before[a - 2];
            rest /= (size_t)w->dims[a];
            inside = inside && place >= 0 && place < y->dims[a];
            to += inside ? (size_t)place * stride : 0;
            stride *= (size_t)y->dims[a];
        }
        for (int64_t o = 0; inside && o < outputs; o++) {
            call->y[0]->data[(size_t)(at[0] * y->dims[1] + first + o) * plane + to] +=
                x * call->x[1]->data[(size_t)(at[1] * outputs + o) * taps + tap];
        }
    }
}

static void run_conv_transpose(const double_call *call) {
    const double *bias = optional(call, 2);
    const pare_shape *x = &call->x[0]->shape, *y = &call->y[0]->shape;
    size_t plane = double_extent(y, 2, y->rank);
    int64_t at[PARE_MAX_RANK];
    transposed t = {.groups = pare_node_int(call->node, "group", 1)};
    for (size_t a = 0; a < 2; a++) {
        t.stride[a] = listed(call->node, "strides", a, 1);
        t.dilation[a] = listed(call->node, "dilations", a, 1);
        t.before[a] = listed(call->node, "pads", a, 0);
    }
    for (size_t i = 0; i < call->y[0]->count; i++) {
        call->y[0]->data[i] = bias != NULL ? bias[i / plane % (size_t)y->dims[1]] : 0;
    }
    for (size_t i = 0; i < call->x[0]->count; i++) {
        double_coordinates(x, i, at);
        scatter(call, &t, call->x[0]->data[i], at);
    }
}

const double_op double_sequence_ops[] = {
    {"MatMul", run_matmul}, {"LSTM", run_lstm}, {"ConvTranspose", run_conv_transpose}, {NULL, NULL}};
