/* Reductions, and what runs along an axis. */
#include <math.h>

#include "double_ops.h"

typedef enum reduce_kind { MEAN, SUM, LARGEST, SMALLEST, PRODUCT, L1, L2, SQUARES, LOG_SUM, LOG_SUM_EXP } reduce_kind;

static double start_of(reduce_kind kind) {
    return kind == PRODUCT ? 1 : kind == LARGEST ? -INFINITY : kind == SMALLEST ? INFINITY : 0;
}

static double add(reduce_kind kind, double sum, double x) {
    switch (kind) {
    case LARGEST:
        return fmax(sum, x);
    case SMALLEST:
        return fmin(sum, x);
    case PRODUCT:
        return sum * x;
    case L1:
        return sum + fabs(x);
    case L2:
    case SQUARES:
        return sum + x * x;
    case LOG_SUM_EXP:
        return sum + exp(x);
    default:
        return sum + x;
    }
}

static double finish(reduce_kind kind, double sum, double share) {
    return kind == MEAN                             ? sum * share
           : kind == L2                             ? sqrt(sum)
           : kind == LOG_SUM || kind == LOG_SUM_EXP ? log(sum)
                                                    : sum;
}

static void reduce(const double_call *call, reduce_kind kind) {
    const double_tensor *x = call->x[0];
    double_tensor *y = call->y[0];
    int64_t axes[PARE_MAX_RANK], at[PARE_MAX_RANK];
    size_t named = double_ints(call, 1, "axes", axes);
    pare_shape kept = x->shape;
    for (int32_t a = 0; a < kept.rank; a++) {
        bool reduced = named == 0 && pare_node_int(call->node, "noop_with_empty_axes", 0) == 0;
        for (size_t i = 0; i < named; i++) {
            reduced = reduced || double_axis(axes[i], &x->shape) == a;
        }
        kept.dims[a] = reduced ? 1 : kept.dims[a];
    }
    for (size_t i = 0; i < y->count; i++) {
        y->data[i] = start_of(kind);
    }
    for (size_t i = 0; i < x->count; i++) {
        double_coordinates(&x->shape, i, at);
        for (int32_t a = 0; a < kept.rank; a++) {
            at[a] = kept.dims[a] == 1 ? 0 : at[a];
        }
        size_t to = double_index(&kept, at);
        y->data[to] = add(kind, y->data[to], x->data[i]);
    }
    for (size_t i = 0; i < y->count; i++) {
        y->data[i] = finish(kind, y->data[i], (double)y->count / (double)x->count);
    }
}

#define REDUCE(name, kind)                                                                                             \
    static void run_##name(const double_call *call) {                                                                  \
        reduce(call, kind);                                                                                            \
    }

REDUCE(mean, MEAN)
REDUCE(sum, SUM)
REDUCE(max, LARGEST)
REDUCE(min, SMALLEST)
REDUCE(prod, PRODUCT)
REDUCE(l1, L1)
REDUCE(l2, L2)
REDUCE(sum_square, SQUARES)
REDUCE(log_sum, LOG_SUM)
REDUCE(log_sum_exp, LOG_SUM_EXP)

/* Calls `line` with each line along the axis: its first element, the distance of the next, how many there are. */
static void each_line(const double_call *call, int64_t named,
                      void (*line)(const double_call *call, size_t first, size_t step, size_t count)) {
    const pare_shape *shape = &call->x[0]->shape;
    int32_t axis = double_axis(named, shape);
    size_t inner = double_extent(shape, axis + 1, shape->rank), count = (size_t)shape->dims[axis];
    for (size_t i = 0; i < call->x[0]->count / count; i++) {
        line(call, i / inner * inner * count + i % inner, inner, count);
    }
}

static double log_of_sum(const double *x, size_t step, size_t count) {
    double sum = 0;
    for (size_t k = 0; k < count; k++) {
        sum += exp(x[k * step]);
    }
    return log(sum);
}

static void softmax_line(const double_call *call, size_t first, size_t step, size_t count) {
    double total = log_of_sum(call->x[0]->data + first, step, count);
    for (size_t k = 0; k < count; k++) {
        call->y[0]->data[first + k * step] = exp(call->x[0]->data[first + k * step] - total);
    }
}

static void log_softmax_line(const double_call *call, size_t first, size_t step, size_t count) {
    double total = log_of_sum(call->x[0]->data + first, step, count);
    for (size_t k = 0; k < count; k++) {
        call->y[0]->data[first + k * step] = call->x[0]->data[first + k * step] - total;
    }
}

static void running_line(const double_call *call, size_t first, size_t step, size_t count) {
    bool exclusive = pare_node_int(call->node, "exclusive", 0) != 0;
    bool reverse = pare_node_int(call->node, "reverse", 0) != 0;
    for (size_t k = 0; k < count; k++) {
        double sum = 0;
        for (size_t j = 0; j < count; j++) {
            bool part = reverse ? j >= k : j <= k;
            sum += part && !(exclusive && j == k) ? call->x[0]->data[first + j * step] : 0;
        }
        call->y[0]->data[first + k * step] = sum;
    }
}

static void run_softmax(const double_call *call) {
    each_line(call, pare_node_int(call->node, "axis", -1), softmax_line);
}

static void run_log_softmax(const double_call *call) {
    each_line(call, pare_node_int(call->node, "axis", -1), log_softmax_line);
}

static void run_cumsum(const double_call *call) {
    each_line(call, (int64_t)call->x[1]->data[0], running_line);
}

const double_op double_reduce_ops[] = {{"ReduceMean", run_mean},      {"ReduceSum", run_sum},
                                       {"ReduceMax", run_max},        {"ReduceMin", run_min},
                                       {"ReduceProd", run_prod},      {"ReduceL1", run_l1},
                                       {"ReduceL2", run_l2},          {"ReduceSumSquare", run_sum_square},
                                       {"ReduceLogSum", run_log_sum}, {"ReduceLogSumExp", run_log_sum_exp},
                                       {"Softmax", run_softmax},      {"LogSoftmax", run_log_softmax},
                                       {"CumSum", run_cumsum},        {NULL, NULL}};
