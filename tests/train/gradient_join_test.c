/* Operators that join, pick and scale maps: Concat, Gather of a table, Transpose, Resize. */
#include <stdio.h>

#include "gradient_check.h"

#define DIMS(...)                                                                                                      \
    (const int64_t[]) {                                                                                                \
        __VA_ARGS__                                                                                                    \
    }

static void side_by_side(gradient_net *g) {
    int64_t width = gradient_pick(g, 1, 4);
    pare_value *a = gradient_plain(g, 3, DIMS(-1, gradient_pick(g, 1, 5), width), -1, 1);
    pare_value *b = gradient_plain(g, 3, DIMS(-1, gradient_pick(g, 1, 5), width), -1, 1);
    gradient_output(g, NET(&g->n, "Concat", "axis:i=1", a, b, a));
    gradient_output(g, NET(&g->n, "Concat", "axis:i=-1", a, NET(&g->n, "Tanh", "", a)));
    gradient_output(g, NET(&g->n, "Concat", "axis:i=1", b));
}

static void join_blocked(gradient_net *g, int64_t first, int64_t second) {
    pare_value *a = gradient_blocked(g, first, 3, 4, -1, 1), *b = gradient_blocked(g, second, 3, 4, -1, 1);
    pare_value *y = NET(&g->n, "Concat", "axis:i=1", NET(&g->n, "Sigmoid", "", a), b);
    gradient_output(g, net_conv(&g->n, y, 5, 1, 1, 1));
    gradient_output(g, NET(&g->n, "Concat", "axis:i=3", a, a));
}

static void whole_blocks(gradient_net *g) {
    join_blocked(g, 16, 16 * gradient_pick(g, 1, 2));
}

static void cut_blocks(gradient_net *g) {
    join_blocked(g, gradient_pick(g, 3, 15), gradient_pick(g, 3, 18));
}

/* An embedding: rows of a constant, picked more than once. */
static void embedding(gradient_net *g) {
    pare_shape shape = {.rank = 2, .dims = {-1, 4}};
    g->index_bound = gradient_pick(g, 2, 6);
    pare_value *indices = pare_graph_add_input(g->n.graph, "i", PARE_S64, &shape);
    pare_value *table = net_random(&g->n, 2, DIMS(g->index_bound, gradient_pick(g, 1, 5)), -1, 1);
    gradient_output(g, NET(&g->n, "Gather", "", table, indices));
}

/* Columns of what is computed, by the same indices for all; some from the end. */
static void columns(gradient_net *g) {
    pare_value *x = gradient_plain(g, 3, DIMS(-1, 4, 3), -1, 1);
    gradient_output(g, NET(&g->n, "Gather", "axis:i=1", x, net_ints(&g->n, 3, DIMS(2, -1, 2))));
    gradient_output(g, NET(&g->n, "Gather", "axis:i=-1", x, net_ints(&g->n, 2, DIMS(0, 2))));
}

static void transpose(gradient_net *g) {
    pare_value *x = gradient_blocked(g, gradient_pick(g, 3, 18), 3, 4, -1, 1);
    pare_value *last = NET(&g->n, "Transpose", "perm:I=0,2,3,1", x);
    gradient_output(g, NET(&g->n, "Transpose", "perm:I=0,3,1,2", NET(&g->n, "Tanh", "", last)));
    gradient_output(g, NET(&g->n, "Transpose", "", x));
}

/* To twice the size, to an odd one, and to a smaller one. */
static void resize(gradient_net *g, const char *mode, const char *coordinate) {
    char attributes[128];
    int64_t channels = gradient_pick(g, 3, 18), height = gradient_pick(g, 2, 4), width = gradient_pick(g, 2, 4);
    pare_value *x = gradient_blocked(g, channels, height, width, -1, 1);
    snprintf(attributes, sizeof attributes, "mode:s=%s coordinate_transformation_mode:s=%s nearest_mode:s=floor", mode,
             coordinate);
    const int64_t sizes[3][2] = {{2 * height, 2 * width}, {height + 3, 2 * width + 1}, {height - 1, width}};
    for (int i = 0; i < 3; i++) {
        pare_value *size = net_ints(&g->n, 2, sizes[i]);
        char with_axes[160];
        snprintf(with_axes, sizeof with_axes, "%s axes:I=2,3", attributes);
        gradient_output(g, NET(&g->n, "Resize", with_axes, x, NULL, NULL, size));
    }
}

#define RESIZE(name, mode, coordinate)                                                                                 \
    static void name(gradient_net *g) {                                                                                \
        resize(g, mode, coordinate);                                                                                   \
    }

RESIZE(nearest, "nearest", "asymmetric")
RESIZE(nearest_centres, "nearest", "half_pixel")
RESIZE(linear, "linear", "half_pixel")
RESIZE(linear_corners, "linear", "align_corners")
RESIZE(linear_asymmetric, "linear", "asymmetric")
RESIZE(cubic, "cubic", "half_pixel")
RESIZE(cubic_pytorch, "cubic", "pytorch_half_pixel")

static void one_axis(gradient_net *g) {
    int64_t width = gradient_pick(g, 2, 6);
    pare_value *x = gradient_plain(g, 3, DIMS(-1, 2, width), -1, 1);
    gradient_output(g,
                    NET(&g->n, "Resize", "mode:s=linear axes:I=2", x, NULL, NULL, net_ints(&g->n, 1, DIMS(2 * width))));
    gradient_output(g,
                    NET(&g->n, "Resize", "mode:s=cubic axes:I=2", x, NULL, NULL, net_ints(&g->n, 1, DIMS(width + 1))));
}

#define LINE(of, text, name, count)                                                                                    \
    { .op = of, .what = text, .build = name, .parameters = count }
static const gradient_case cases[] = {
    LINE("Concat", "side by side", side_by_side, 4),
    LINE("Concat", "whole blocks", whole_blocks, 6),
    LINE("Concat", "cut blocks", cut_blocks, 6),
    LINE("Gather", "embedding", embedding, 1),
    LINE("Gather", "columns", columns, 2),
    LINE("Transpose", "blocked", transpose, 2),
    LINE("Resize", "nearest", nearest, 2),
    LINE("Resize", "nearest, half_pixel", nearest_centres, 2),
    LINE("Resize", "linear", linear, 2),
    LINE("Resize", "linear, align_corners", linear_corners, 2),
    LINE("Resize", "linear, asymmetric", linear_asymmetric, 2),
    LINE("Resize", "cubic", cubic, 2),
    LINE("Resize", "cubic, pytorch_half_pixel", cubic_pytorch, 2),
    LINE("Resize", "one axis", one_axis, 2),
};

GRADIENT_MAIN(cases)
