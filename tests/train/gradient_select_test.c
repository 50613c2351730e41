/* Operators that bound, choose or keep elements. */
#include "gradient_check.h"
#include "graph_case.h"
#include "pare/op.h"
#include "test.h"

#define DIMS(...)                                                                                                      \
    (const int64_t[]) {                                                                                                \
        __VA_ARGS__                                                                                                    \
    }

static pare_value *scalar_of(gradient_net *g, float value) {
    pare_shape shape = {.rank = 0};
    pare_value *made = pare_graph_add_constant(g->n.graph, "s", PARE_F32, &shape, &value, sizeof value);
    assert_non_null(made);
    return made;
}

/* A node of one output that is no float. */
static pare_value *apply(gradient_net *g, const char *op, const char *attributes, pare_value *const *inputs,
                         size_t count, pare_dtype dtype) {
    pare_value *y = pare_graph_add_value(g->n.graph, "y", dtype, NULL);
    pare_error error = {0};
    graph_add(g->n.graph, op, attributes, inputs, count, &y, 1);
    assert_ok(pare_graph_infer(g->n.graph, &error), &error);
    return y;
}

static void clip(gradient_net *g) {
    pare_value *x = gradient_blocked(g, gradient_pick(g, 3, 18), 3, 3, -1, 1);
    gradient_output(g, NET(&g->n, "Clip", "", x, scalar_of(g, -0.4F), scalar_of(g, 0.6F)));
    gradient_output(g, NET(&g->n, "Clip", "", x, NULL, scalar_of(g, 0.3F)));
    gradient_output(g, NET(&g->n, "Clip", "", x));
}

/* Bounds get the gradients of what they cut off. */
static void clip_computed(gradient_net *g) {
    int64_t one = 1;
    pare_value *x = gradient_plain(g, 3, DIMS(-1, 3, 5), -1, 1);
    pare_value *low = gradient_plain(g, 0, NULL, -0.5, -0.3), *high = gradient_plain(g, 1, &one, 0.3, 0.5);
    gradient_output(g, NET(&g->n, "Clip", "", x, low, high));
    gradient_output(g, NET(&g->n, "Clip", "", x, low));
    gradient_output(g, NET(&g->n, "Clip", "", x, NULL, high));
}

/* Through an integer nothing passes. */
static void cast(gradient_net *g) {
    pare_value *x = gradient_plain(g, 2, DIMS(-1, 4), 0.2, 0.8);
    gradient_output(g, NET(&g->n, "Cast", "to:i=1", x));
    pare_value *whole = apply(g, "Cast", "to:i=6", &x, 1, PARE_S32);
    gradient_output(g, NET(&g->n, "Add", "", x, NET(&g->n, "Cast", "to:i=1", whole)));
}

static void cast_like(gradient_net *g) {
    pare_value *x = gradient_blocked(g, 5, 2, 2, -1, 1);
    gradient_output(g, NET(&g->n, "CastLike", "", x, scalar_of(g, 0.0F)));
}

static void modulo(gradient_net *g) {
    pare_value *a = gradient_plain(g, 3, DIMS(-1, 2, 4), -2.9, -2.2), *b = gradient_plain(g, 1, DIMS(4), 0.9, 0.95);
    gradient_output(g, NET(&g->n, "Mod", "fmod:i=1", a, b));
}

static void where(gradient_net *g) {
    pare_value *x = gradient_plain(g, 3, DIMS(-1, 3, 4), -1, 1), *zero = scalar_of(g, 0.0F);
    pare_value *positive = apply(g, "Greater", "", (pare_value *[]){x, zero}, 2, PARE_BOOL);
    gradient_output(g, NET(&g->n, "Where", "", positive, x, NET(&g->n, "Mul", "", x, x)));
    /* both of the others broadcast, and then the condition does */
    pare_value *row = gradient_plain(g, 1, DIMS(4), -1, 1), *column = gradient_plain(g, 2, DIMS(3, 1), -1, 1);
    gradient_output(g, NET(&g->n, "Where", "", positive, row, column));
    pare_value *few = apply(g, "Less", "", (pare_value *[]){row, zero}, 2, PARE_BOOL);
    gradient_output(g, NET(&g->n, "Where", "", few, zero, x));
    gradient_output(g, NET(&g->n, "Where", "", few, x, gradient_plain(g, 0, NULL, -1, 1)));
}

static void trilu(gradient_net *g) {
    pare_value *x = gradient_plain(g, 3, DIMS(-1, gradient_pick(g, 2, 5), gradient_pick(g, 2, 5)), -1, 1);
    gradient_output(g, NET(&g->n, "Trilu", "upper:i=1", x));
    gradient_output(g, NET(&g->n, "Trilu", "upper:i=0", x, net_ints(&g->n, 1, DIMS(1))));
}

static void shrink(gradient_net *g) {
    pare_value *x = gradient_blocked(g, gradient_pick(g, 3, 18), 3, 3, -1, 1);
    gradient_output(g, NET(&g->n, "Shrink", "lambd:f=0.3 bias:f=0.2", x));
    gradient_output(g, NET(&g->n, "Shrink", "lambd:f=0.4", x));
}

/* One slope for all, as PyTorch's layer has by default. */
static void one_slope(gradient_net *g) {
    int64_t one = 1;
    pare_value *x = gradient_plain(g, 3, DIMS(-1, 3, 5), -1, 1);
    gradient_output(g, NET(&g->n, "PRelu", "", x, net_random(&g->n, 1, &one, 0.1, 0.4)));
}

static const gradient_case cases[] = {
    {.op = "Clip", .what = "constant bounds", .build = clip, .parameters = 2},
    {.op = "Clip", .what = "computed bounds", .build = clip_computed, .parameters = 6},
    {.op = "Cast", .what = "to float and to integers", .build = cast, .parameters = 2},
    {.op = "CastLike", .what = "to float", .build = cast_like, .parameters = 2},
    {.op = "Mod", .what = "of floats", .build = modulo, .parameters = 4},
    {.op = "Where", .what = "broadcast", .build = where, .parameters = 8},
    {.op = "Trilu", .what = "both sides", .build = trilu, .parameters = 2},
    {.op = "Shrink", .what = "with and without a bias", .build = shrink, .parameters = 2},
    {.op = "PRelu", .what = "one slope", .build = one_slope, .parameters = 3},
};

GRADIENT_MAIN(cases)
