/* Products of matrices and of stacks of them, with operands of one axis, broadcast outer axes and constants. */
#include "gradient_check.h"

#define DIMS(...)                                                                                                      \
    (const int64_t[]) {                                                                                                \
        __VA_ARGS__                                                                                                    \
    }

static void matrix(gradient_net *g) {
    int64_t inner = gradient_pick(g, 1, 9);
    pare_value *x = gradient_plain(g, 2, DIMS(-1, inner), -1, 1);
    gradient_output(g, NET(&g->n, "MatMul", "", x, net_random(&g->n, 2, DIMS(inner, gradient_pick(g, 1, 9)), -1, 1)));
}

/* What a transformer's layers are: rows of two outer axes. */
static void rows_of_rows(gradient_net *g) {
    int64_t inner = gradient_pick(g, 1, 9);
    pare_value *x = gradient_plain(g, 4, DIMS(-1, 2, gradient_pick(g, 1, 4), inner), -1, 1);
    gradient_output(g, NET(&g->n, "MatMul", "", x, net_random(&g->n, 2, DIMS(inner, gradient_pick(g, 1, 9)), -1, 1)));
}

static void computed_matrices(gradient_net *g) {
    int64_t inner = gradient_pick(g, 1, 5);
    pare_value *a = gradient_plain(g, 2, DIMS(-1, inner), -1, 1);
    pare_value *b = gradient_plain(g, 2, DIMS(inner, gradient_pick(g, 1, 6)), -1, 1);
    gradient_output(g, NET(&g->n, "MatMul", "", a, b));
}

static void stacks(gradient_net *g) {
    int64_t inner = gradient_pick(g, 1, 5), heads = gradient_pick(g, 1, 3);
    pare_value *a = gradient_plain(g, 4, DIMS(-1, heads, gradient_pick(g, 1, 5), inner), -1, 1);
    pare_value *b = gradient_plain(g, 4, DIMS(-1, heads, inner, gradient_pick(g, 1, 5)), -1, 1);
    gradient_output(g, NET(&g->n, "MatMul", "", a, b));
}

/* Each operand is repeated along an axis of the other's, and b has fewer of them. */
static void broadcast(gradient_net *g) {
    int64_t inner = gradient_pick(g, 1, 5);
    pare_value *a = gradient_plain(g, 4, DIMS(-1, 1, 3, inner), -1, 1);
    pare_value *b = gradient_plain(g, 3, DIMS(gradient_pick(g, 2, 3), inner, 4), -1, 1);
    gradient_output(g, NET(&g->n, "MatMul", "", a, b));
    gradient_output(g, NET(&g->n, "MatMul", "", b, gradient_plain(g, 2, DIMS(4, 2), -1, 1)));
    gradient_output(g, NET(&g->n, "MatMul", "", gradient_plain(g, 2, DIMS(2, inner), -1, 1), b));
}

static void constants(gradient_net *g) {
    int64_t inner = gradient_pick(g, 1, 5);
    pare_value *x = gradient_plain(g, 3, DIMS(-1, inner, 3), -1, 1);
    pare_value *left = net_random(&g->n, 2, DIMS(gradient_pick(g, 1, 6), inner), -1, 1);
    pare_value *y = NET(&g->n, "MatMul", "", left, x);
    gradient_output(g, NET(&g->n, "MatMul", "", y, net_random(&g->n, 3, DIMS(1, 3, 2), -1, 1)));
}

static void one_axis(gradient_net *g) {
    int64_t inner = gradient_pick(g, 2, 6);
    pare_value *x = gradient_plain(g, 3, DIMS(-1, 2, inner), -1, 1), *row = gradient_plain(g, 1, &inner, -1, 1);
    pare_value *turned = gradient_plain(g, 3, DIMS(-1, inner, 2), -1, 1);
    gradient_output(g, NET(&g->n, "MatMul", "", x, row));
    gradient_output(g, NET(&g->n, "MatMul", "", row, turned));
    gradient_output(g, NET(&g->n, "MatMul", "", row, row));
    gradient_output(g, NET(&g->n, "MatMul", "", row, gradient_plain(g, 2, DIMS(inner, 3), -1, 1)));
}

/* softmax(Q Kᵀ) V, of heads that a reshape and a transposition make. */
static void attention(gradient_net *g) {
    pare_value *x = gradient_plain(g, 3, DIMS(-1, 5, 8), -1, 1), *part[3],
               *shape = net_ints(&g->n, 4, DIMS(0, 5, 2, 4));
    for (int i = 0; i < 3; i++) {
        pare_value *y = NET(&g->n, "MatMul", "", x, net_random(&g->n, 2, DIMS(8, 8), -0.5, 0.5));
        part[i] =
            NET(&g->n, "Transpose", i == 1 ? "perm:I=0,2,3,1" : "perm:I=0,2,1,3", NET(&g->n, "Reshape", "", y, shape));
    }
    pare_value *shares = NET(&g->n, "Softmax", "axis:i=-1", NET(&g->n, "MatMul", "", part[0], part[1]));
    gradient_output(g, NET(&g->n, "MatMul", "", shares, part[2]));
}

static const gradient_case cases[] = {
    {.op = "MatMul", .what = "by a constant matrix", .build = matrix, .parameters = 3},
    {.op = "MatMul", .what = "rows of several axes", .build = rows_of_rows, .parameters = 3},
    {.op = "MatMul", .what = "of computed matrices", .build = computed_matrices, .parameters = 4},
    {.op = "MatMul", .what = "of stacks", .build = stacks, .parameters = 4},
    {.op = "MatMul", .what = "broadcast", .build = broadcast, .parameters = 8},
    {.op = "MatMul", .what = "by constants on either side", .build = constants, .parameters = 4},
    {.op = "MatMul", .what = "operands of one axis", .build = one_axis, .parameters = 8},
    {.op = "MatMul", .what = "attention", .build = attention, .parameters = 5},
};

GRADIENT_MAIN(cases)
