/* Reductions over every kind of axes, Softmax, running sums. */
#include <stdio.h>

#include "gradient_check.h"

#define DIMS(...)                                                                                                      \
    (const int64_t[]) {                                                                                                \
        __VA_ARGS__                                                                                                    \
    }

/* Over a middle axis, the outer ones, the last one and all of them; kept and dropped; of blocked channels, too. */
static void reduce(gradient_net *g, const char *op, double low) {
    pare_value *x = gradient_plain(g, 3, DIMS(-1, gradient_pick(g, 2, 4), gradient_pick(g, 1, 5)), low, 2);
    pare_value *b = gradient_blocked(g, gradient_pick(g, 3, 18), 2, 3, low, 2);
    gradient_output(g, NET(&g->n, op, "keepdims:i=0", x, net_ints(&g->n, 1, DIMS(1))));
    gradient_output(g, NET(&g->n, op, "keepdims:i=1", x, net_ints(&g->n, 2, DIMS(0, -1))));
    gradient_output(g, NET(&g->n, op, "", x, net_ints(&g->n, 1, DIMS(2))));
    gradient_output(g, NET(&g->n, op, "keepdims:i=0", x));
    gradient_output(g, NET(&g->n, op, "keepdims:i=0", b, net_ints(&g->n, 2, DIMS(2, 3))));
    gradient_output(g, NET(&g->n, op, "noop_with_empty_axes:i=1", b));
}

#define REDUCE(name, op, low)                                                                                          \
    static void name(gradient_net *g) {                                                                                \
        reduce(g, op, low);                                                                                            \
    }

REDUCE(mean, "ReduceMean", -2)
REDUCE(sum, "ReduceSum", -2)
REDUCE(max, "ReduceMax", -2)
REDUCE(min, "ReduceMin", -2)
REDUCE(prod, "ReduceProd", 0.5)
REDUCE(l1, "ReduceL1", -2)
REDUCE(l2, "ReduceL2", -2)
REDUCE(sum_square, "ReduceSumSquare", -2)
REDUCE(log_sum, "ReduceLogSum", 0.5)
REDUCE(log_sum_exp, "ReduceLogSumExp", -2)

/* The factors' product without the one that is 0, and nothing where two are: Relu makes zeros of some. */
static void product_with_zeros(gradient_net *g) {
    pare_value *x = NET(&g->n, "Relu", "", gradient_plain(g, 2, DIMS(-1, 12), -0.4, 2));
    pare_value *shape = net_ints(&g->n, 3, DIMS(0, 6, 2));
    gradient_output(g, NET(&g->n, "ReduceProd", "", NET(&g->n, "Reshape", "", x, shape), net_ints(&g->n, 1, DIMS(2))));
}

/* Numbers that exp would not hold. */
static void large(gradient_net *g) {
    pare_value *x = gradient_plain(g, 2, DIMS(-1, 4), -1, 1);
    float hundred = 100.0F;
    pare_shape scalar = {.rank = 0};
    pare_value *far = pare_graph_add_constant(g->n.graph, "far", PARE_F32, &scalar, &hundred, sizeof hundred);
    gradient_output(g, NET(&g->n, "ReduceLogSumExp", "", NET(&g->n, "Add", "", x, far), net_ints(&g->n, 1, DIMS(1))));
}

static void softmax_axes(gradient_net *g, const char *op) {
    pare_value *x = gradient_plain(g, 4, DIMS(-1, gradient_pick(g, 2, 5), 3, gradient_pick(g, 2, 9)), -3, 3);
    pare_value *b = gradient_blocked(g, gradient_pick(g, 3, 18), 2, 3, -2, 2);
    for (int axis = 1; axis < 4; axis++) {
        char attributes[16];
        snprintf(attributes, sizeof attributes, "axis:i=%d", axis == 3 ? -1 : axis);
        gradient_output(g, NET(&g->n, op, attributes, x));
    }
    /* over what only it reads, and under what may overwrite */
    gradient_output(g, NET(&g->n, "Neg", "", NET(&g->n, op, "axis:i=1", NET(&g->n, "Add", "", b, b))));
}

static void softmax(gradient_net *g) {
    softmax_axes(g, "Softmax");
}

static void log_softmax(gradient_net *g) {
    softmax_axes(g, "LogSoftmax");
}

static void running(gradient_net *g) {
    static const char *const forms[] = {"", "exclusive:i=1", "reverse:i=1", "exclusive:i=1 reverse:i=1"};
    pare_value *x = gradient_plain(g, 3, DIMS(-1, gradient_pick(g, 1, 5), gradient_pick(g, 1, 5)), -1, 1);
    for (int64_t i = 0; i < 4; i++) {
        gradient_output(g, NET(&g->n, "CumSum", forms[i], x, net_ints(&g->n, 1, DIMS(i % 2 == 0 ? 1 : -1))));
    }
}

#define LINE(name, of)                                                                                                 \
    { .op = of, .what = #name, .build = name, .parameters = 4 }
static const gradient_case cases[] = {
    LINE(mean, "ReduceMean"),
    LINE(sum, "ReduceSum"),
    LINE(max, "ReduceMax"),
    LINE(min, "ReduceMin"),
    LINE(prod, "ReduceProd"),
    LINE(l1, "ReduceL1"),
    LINE(l2, "ReduceL2"),
    LINE(sum_square, "ReduceSumSquare"),
    LINE(log_sum, "ReduceLogSum"),
    LINE(log_sum_exp, "ReduceLogSumExp"),
    {.op = "ReduceProd", .what = "factors of 0", .build = product_with_zeros, .parameters = 2},
    {.op = "ReduceLogSumExp", .what = "large numbers", .build = large, .parameters = 2},
    LINE(softmax, "Softmax"),
    LINE(log_softmax, "LogSoftmax"),
    {.op = "CumSum", .what = "both ways", .build = running, .parameters = 2},
};

GRADIENT_MAIN(cases)
