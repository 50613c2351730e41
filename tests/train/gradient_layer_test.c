/* Normalizations within a sample. */
#include "gradient_check.h"
#include "graph_case.h"
#include "pare/op.h"
#include "test.h"

#define DIMS(...)                                                                                                      \
    (const int64_t[]) {                                                                                                \
        __VA_ARGS__                                                                                                    \
    }

static void last_axis(gradient_net *g) {
    int64_t width = gradient_pick(g, 2, 20);
    pare_value *x = gradient_plain(g, 3, DIMS(-1, gradient_pick(g, 1, 4), width), -2, 2);
    gradient_output(g, NET(&g->n, "LayerNormalization", "", x, net_random(&g->n, 1, &width, 0.5, 1.5),
                           net_random(&g->n, 1, &width, -1, 1)));
}

static void several_axes(gradient_net *g) {
    int64_t channels = gradient_pick(g, 2, 18);
    pare_value *x = gradient_blocked(g, channels, 2, 3, -2, 2);
    pare_value *scale = net_random(&g->n, 3, DIMS(channels, 2, 3), 0.5, 1.5);
    gradient_output(g, NET(&g->n, "LayerNormalization", "axis:i=1 epsilon:f=0.01", x, scale));
}

/* Scale and bias by the last of two normalized axes, or by the first. */
static void narrow(gradient_net *g) {
    int64_t rows = gradient_pick(g, 2, 4), width = gradient_pick(g, 2, 6);
    pare_value *x = gradient_plain(g, 3, DIMS(-1, rows, width), -2, 2);
    pare_value *scale = net_random(&g->n, 1, &width, 0.5, 1.5);
    gradient_output(g,
                    NET(&g->n, "LayerNormalization", "axis:i=1", x, scale, net_random(&g->n, 2, DIMS(rows, 1), -1, 1)));
    gradient_output(g, NET(&g->n, "LayerNormalization", "axis:i=1", x, net_random(&g->n, 1, &width, 0.5, 1.5)));
}

static void computed(gradient_net *g) {
    int64_t width = gradient_pick(g, 4, 8);
    pare_value *x = gradient_plain(g, 2, DIMS(-1, width), -2, 2);
    gradient_output(g, NET(&g->n, "LayerNormalization", "", x, gradient_plain(g, 1, &width, 0.5, 1.5),
                           gradient_plain(g, 1, &width, -1, 1)));
}

/* Mean and 1 / deviation are outputs, too. */
static void statistics(gradient_net *g) {
    int64_t width = gradient_pick(g, 2, 6);
    pare_value *x = gradient_plain(g, 3, DIMS(-1, 3, width), -2, 2), *y[3];
    pare_error error = {0};
    for (int i = 0; i < 3; i++) {
        y[i] = pare_graph_add_value(g->n.graph, "y", PARE_F32, NULL);
    }
    pare_value *inputs[3] = {x, net_random(&g->n, 1, &width, 0.5, 1.5), net_random(&g->n, 1, &width, -1, 1)};
    graph_add(g->n.graph, "LayerNormalization", "", inputs, 3, y, 3);
    assert_ok(pare_graph_infer(g->n.graph, &error), &error);
    gradient_output(g, y[2]);
    gradient_output(g, y[1]);
    gradient_output(g, y[0]);
}

/* Planes that differ by more than their bias, which would otherwise have no gradient at all. */
static pare_value *planes(gradient_net *g, int64_t channels, int64_t height, int64_t width) {
    pare_value *eight = net_random(&g->n, 0, NULL, 8, 8);
    pare_value *x = gradient_blocked(g, channels, height, width, -0.2, 0.2);
    return NET(&g->n, "Softplus", "", NET(&g->n, "Mul", "", x, eight));
}

static void instance(gradient_net *g) {
    int64_t channels = gradient_pick(g, 2, 18);
    pare_value *x = planes(g, channels, 3, 4);
    gradient_output(g, NET(&g->n, "InstanceNormalization", "", x, net_random(&g->n, 1, &channels, 0.5, 1.5),
                           net_random(&g->n, 1, &channels, -1, 1)));
}

static void instance_one_axis(gradient_net *g) {
    int64_t channels = gradient_pick(g, 2, 4);
    pare_value *x = gradient_plain(g, 3, DIMS(-1, channels, gradient_pick(g, 3, 8)), -2, 2);
    gradient_output(g, NET(&g->n, "InstanceNormalization", "epsilon:f=0.01", x,
                           gradient_plain(g, 1, &channels, 0.5, 1.5), net_random(&g->n, 1, &channels, -1, 1)));
}

static void groups(gradient_net *g) {
    int64_t channels = 2 * gradient_pick(g, 1, 9), two = 2;
    pare_value *x = planes(g, channels, 3, 3);
    gradient_output(g, NET(&g->n, "GroupNormalization", "num_groups:i=2", x, net_random(&g->n, 1, &channels, 0.5, 1.5),
                           net_random(&g->n, 1, &channels, -1, 1)));
    gradient_output(g, NET(&g->n, "GroupNormalization", "num_groups:i=2", x, net_random(&g->n, 1, &two, 0.5, 1.5),
                           net_random(&g->n, 1, &two, -1, 1)));
}

/* A window with a middle, one without, and one that is wider than the channels are many. */
static void responses(gradient_net *g) {
    pare_value *x = gradient_blocked(g, gradient_pick(g, 3, 9), 2, 3, -2, 2);
    gradient_output(g, NET(&g->n, "LRN", "size:i=3 alpha:f=0.5", x));
    gradient_output(g, NET(&g->n, "LRN", "size:i=4 alpha:f=0.7 beta:f=0.5 bias:f=1.5", x));
    gradient_output(g, NET(&g->n, "LRN", "size:i=25 alpha:f=2", x));
}

static const gradient_case cases[] = {
    {.op = "LayerNormalization", .what = "last axis", .build = last_axis, .parameters = 4},
    {.op = "LayerNormalization", .what = "several axes", .build = several_axes, .parameters = 3},
    {.op = "LayerNormalization", .what = "scale and bias that broadcast", .build = narrow, .parameters = 5},
    {.op = "LayerNormalization", .what = "computed scale and bias", .build = computed, .parameters = 6},
    {.op = "LayerNormalization", .what = "statistics", .build = statistics, .parameters = 4},
    {.op = "InstanceNormalization", .what = "blocked", .build = instance, .parameters = 4},
    {.op = "InstanceNormalization", .what = "one axis", .build = instance_one_axis, .parameters = 5},
    {.op = "GroupNormalization", .what = "scale by channel and by group", .build = groups, .parameters = 6},
    {.op = "LRN", .what = "windows", .build = responses, .parameters = 2},
};

GRADIENT_MAIN(cases)
