/* Operators of two and more operands, with broadcasting on either side. */
#include "gradient_check.h"

/* Both operands computed, of one shape in one blocked layout. */
static void blocked(gradient_net *g, const char *op, double low, double high) {
    int64_t channels = gradient_pick(g, 3, 18);
    pare_value *a = gradient_blocked(g, channels, 3, 4, low, high), *b = gradient_blocked(g, channels, 3, 4, low, high);
    gradient_output(g, NET(&g->n, op, "", a, b));
}

/* ... blocked on one side, row-major on the other. */
static void mixed(gradient_net *g, const char *op, double low, double high) {
    int64_t dims[4] = {-1, gradient_pick(g, 3, 18), 3, 4};
    pare_value *a = gradient_blocked(g, dims[1], 3, 4, low, high), *b = gradient_plain(g, 4, dims, low, high);
    gradient_output(g, NET(&g->n, op, "", a, b));
    pare_value *c = gradient_blocked(g, dims[1], 3, 4, low, high), *d = gradient_plain(g, 4, dims, low, high);
    gradient_output(g, NET(&g->n, op, "", d, c));
}

/* a [N, 1, H, 1] and b [C, 1, W], and the other way round. */
static void both_ways(gradient_net *g, const char *op, double low, double high) {
    int64_t of_a[4] = {-1, 1, gradient_pick(g, 2, 4), 1}, of_b[3] = {gradient_pick(g, 2, 5), 1, gradient_pick(g, 2, 5)};
    gradient_output(g,
                    NET(&g->n, op, "", gradient_plain(g, 4, of_a, low, high), gradient_plain(g, 3, of_b, low, high)));
    gradient_output(g,
                    NET(&g->n, op, "", gradient_plain(g, 3, of_b, low, high), gradient_plain(g, 4, of_a, low, high)));
}

/* A trained constant [C, 1, 1] or [W] behind a convolution, and a constant in front. */
static void constants(gradient_net *g, const char *op, double low, double high) {
    int64_t channels = gradient_pick(g, 3, 18);
    pare_value *a = gradient_blocked(g, channels, 3, 4, low, high);
    gradient_output(g, NET(&g->n, op, "", a, net_random(&g->n, 3, (int64_t[]){channels, 1, 1}, low, high)));
    gradient_output(g, NET(&g->n, op, "", a, net_random(&g->n, 1, (int64_t[]){4}, low, high)));
    gradient_output(g, NET(&g->n, op, "", net_random(&g->n, 4, (int64_t[]){1, channels, 3, 4}, low, high), a));
}

/* One number is a part of the formula, and not trained, but for PRelu's slope; a scalar that is computed is. */
static void scalars(gradient_net *g, const char *op, double low, double high) {
    pare_value *a = gradient_blocked(g, 5, 3, 4, low, high), *one = gradient_plain(g, 0, NULL, low, high);
    gradient_output(g, NET(&g->n, op, "", a, net_random(&g->n, 0, NULL, low, high)));
    gradient_output(g, NET(&g->n, op, "", net_random(&g->n, 1, (int64_t[]){1}, low, high), a));
    gradient_output(g, NET(&g->n, op, "", a, one));
}

/* Both operands are one tensor. */
static void twice(gradient_net *g, const char *op, double low, double high) {
    pare_value *a = gradient_blocked(g, 5, 3, 4, low, high);
    gradient_output(g, NET(&g->n, op, "", a, a));
}

/* Rows longer than a chunk of the loops. */
static void long_rows(gradient_net *g, const char *op, double low, double high) {
    int64_t width = gradient_pick(g, 600, 700);
    pare_value *a = gradient_plain(g, 2, (int64_t[]){-1, width}, low, high);
    pare_value *b = gradient_plain(g, 2, (int64_t[]){-1, 1}, low, high);
    gradient_output(g, NET(&g->n, op, "", a, b));
    gradient_output(g, NET(&g->n, op, "", gradient_plain(g, 1, &width, low, high), a));
}

#define PAIR(name, op, low, high)                                                                                      \
    static void name##_blocked(gradient_net *g) {                                                                      \
        blocked(g, op, low, high);                                                                                     \
    }                                                                                                                  \
    static void name##_mixed(gradient_net *g) {                                                                        \
        mixed(g, op, low, high);                                                                                       \
    }                                                                                                                  \
    static void name##_both_ways(gradient_net *g) {                                                                    \
        both_ways(g, op, low, high);                                                                                   \
    }                                                                                                                  \
    static void name##_constants(gradient_net *g) {                                                                    \
        constants(g, op, low, high);                                                                                   \
    }                                                                                                                  \
    static void name##_scalars(gradient_net *g) {                                                                      \
        scalars(g, op, low, high);                                                                                     \
    }                                                                                                                  \
    static void name##_twice(gradient_net *g) {                                                                        \
        twice(g, op, low, high);                                                                                       \
    }                                                                                                                  \
    static void name##_long(gradient_net *g) {                                                                         \
        long_rows(g, op, low, high);                                                                                   \
    }
#define LINES(name, op_name, trained)                                                                                  \
    {.op = op_name, .what = "blocked", .build = name##_blocked, .parameters = 4},                                      \
        {.op = op_name, .what = "blocked and row-major", .build = name##_mixed, .parameters = 8},                      \
        {.op = op_name, .what = "broadcast both ways", .build = name##_both_ways, .parameters = 8},                    \
        {.op = op_name, .what = "constants", .build = name##_constants, .parameters = 5},                              \
        {.op = op_name, .what = "one number", .build = name##_scalars, .parameters = trained},                         \
        {.op = op_name, .what = "one tensor twice", .build = name##_twice, .parameters = 2}, {                         \
        .op = op_name, .what = "long rows", .build = name##_long, .parameters = 6                                      \
    }

PAIR(add, "Add", -1, 1)
PAIR(sub, "Sub", -1, 1)
PAIR(mul, "Mul", -1, 1)
PAIR(div, "Div", 0.6, 2)
PAIR(power, "Pow", 0.6, 2)
PAIR(prelu, "PRelu", -1, 1)
PAIR(smaller, "Min", -1, 1)
PAIR(larger, "Max", -1, 1)
PAIR(sum, "Sum", -1, 1)
PAIR(mean, "Mean", -1, 1)

/* Exponents as exporters write them: a scalar, of floats or of integers; bases of either sign. */
static void powers(gradient_net *g) {
    pare_value *x = gradient_blocked(g, 5, 3, 4, -1, 1);
    float two = 2, three = 3;
    int64_t four = 4;
    int32_t five = 5;
    pare_shape scalar = {.rank = 0}, one = {.rank = 1, .dims = {1}};
    gradient_output(
        g, NET(&g->n, "Pow", "", x, pare_graph_add_constant(g->n.graph, "e", PARE_F32, &scalar, &two, sizeof two)));
    gradient_output(
        g, NET(&g->n, "Pow", "", x, pare_graph_add_constant(g->n.graph, "e", PARE_F32, &one, &three, sizeof three)));
    gradient_output(
        g, NET(&g->n, "Pow", "", x, pare_graph_add_constant(g->n.graph, "e", PARE_S64, &scalar, &four, sizeof four)));
    gradient_output(
        g, NET(&g->n, "Pow", "", x, pare_graph_add_constant(g->n.graph, "e", PARE_S32, &one, &five, sizeof five)));
}

static void integer_exponents(gradient_net *g) {
    pare_value *x = gradient_blocked(g, 5, 3, 4, -1, 1);
    gradient_output(g, NET(&g->n, "Pow", "", x, net_ints(&g->n, 4, (int64_t[]){1, 2, 3, 0})));
}

static void of_three(gradient_net *g, const char *op) {
    int64_t channels = gradient_pick(g, 3, 18);
    pare_value *a = gradient_blocked(g, channels, 3, 4, -1, 1);
    pare_value *b = gradient_plain(g, 3, (int64_t[]){channels, 1, 4}, -1, 1);
    gradient_output(g, NET(&g->n, op, "", b, a, net_random(&g->n, 3, (int64_t[]){1, 3, 1}, -1, 1)));
}

static void of_one(gradient_net *g, const char *op) {
    gradient_output(g, NET(&g->n, op, "", gradient_blocked(g, 5, 3, 4, -1, 1)));
}

static void of_five(gradient_net *g, const char *op) {
    pare_value *a = gradient_blocked(g, 5, 3, 4, -1, 1), *b = gradient_blocked(g, 5, 3, 4, -1, 1);
    gradient_output(g, NET(&g->n, op, "", a, b, a, net_random(&g->n, 4, (int64_t[]){1, 5, 3, 4}, -1, 1), a));
}

#define MANY(name, op)                                                                                                 \
    static void name##_of_three(gradient_net *g) {                                                                     \
        of_three(g, op);                                                                                               \
    }                                                                                                                  \
    static void name##_of_one(gradient_net *g) {                                                                       \
        of_one(g, op);                                                                                                 \
    }                                                                                                                  \
    static void name##_of_five(gradient_net *g) {                                                                      \
        of_five(g, op);                                                                                                \
    }
#define MANY_LINES(name, op_name)                                                                                      \
    {.op = op_name, .what = "three operands", .build = name##_of_three, .parameters = 5}, {                            \
        .op = op_name, .what = "one operand", .build = name##_of_one, .parameters = 2                                  \
    }

MANY(smaller, "Min")
MANY(larger, "Max")
MANY(sum, "Sum")
MANY(mean, "Mean")

static const gradient_case cases[] = {
    LINES(add, "Add", 4),
    LINES(sub, "Sub", 4),
    LINES(mul, "Mul", 4),
    LINES(div, "Div", 4),
    LINES(power, "Pow", 4),
    LINES(prelu, "PRelu", 5),
    LINES(smaller, "Min", 4),
    LINES(larger, "Max", 4),
    LINES(sum, "Sum", 4),
    LINES(mean, "Mean", 4),
    {.op = "Pow", .what = "constant exponents", .build = powers, .parameters = 2},
    {.op = "Pow", .what = "integers as exponents", .build = integer_exponents, .parameters = 2},
    MANY_LINES(smaller, "Min"),
    MANY_LINES(larger, "Max"),
    MANY_LINES(sum, "Sum"),
    MANY_LINES(mean, "Mean"),
    {.op = "Sum", .what = "five operands, some the same", .build = sum_of_five, .parameters = 5},
    {.op = "Mean", .what = "five operands, some the same", .build = mean_of_five, .parameters = 5},
    {.op = "Max", .what = "five operands", .build = larger_of_five, .parameters = 5},
    {.op = "Min", .what = "five operands", .build = smaller_of_five, .parameters = 5},
};

GRADIENT_MAIN(cases)
