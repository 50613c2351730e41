/* Gemm in all its forms. */
#include "gradient_check.h"

/* A [M, K] (transposed where told), B constant, C of the given shape or absent. */
static void gemm(gradient_net *g, const char *attributes, bool turn_a, bool turn_b, int32_t c_rank, bool c_rows,
                 bool c_columns) {
    int64_t k = gradient_pick(g, 2, 17), columns = gradient_pick(g, 2, 19), rows = turn_a ? 4 : -1;
    pare_value *a = gradient_plain(g, 2, turn_a ? (int64_t[]){k, rows} : (int64_t[]){rows, k}, -1, 1);
    pare_value *b = net_random(&g->n, 2, turn_b ? (int64_t[]){columns, k} : (int64_t[]){k, columns}, -0.5, 0.5);
    int64_t two[2] = {c_rows ? rows : 1, c_columns ? columns : 1};
    if (c_rank < 0) {
        gradient_output(g, NET(&g->n, "Gemm", attributes, a, b));
        return;
    }
    pare_value *c = net_random(&g->n, c_rank, two + 2 - c_rank, -1, 1);
    gradient_output(g, NET(&g->n, "Gemm", attributes, a, b, c));
}

static void no_c(gradient_net *g) {
    gemm(g, "", false, false, -1, false, false);
}

static void row(gradient_net *g) {
    gemm(g, "", false, false, 1, false, true);
}

static void row_turned_b(gradient_net *g) {
    gemm(g, "transB:i=1", false, true, 1, false, true);
}

static void row_of_rank_two(gradient_net *g) {
    gemm(g, "transB:i=1", false, true, 2, false, true);
}

static void row_by_beta(gradient_net *g) {
    gemm(g, "transB:i=1 alpha:f=0.7 beta:f=-1.5", false, true, 1, false, true);
}

static void by_alpha(gradient_net *g) {
    gemm(g, "alpha:f=1.7", false, false, 1, false, true);
}

static void turned_a(gradient_net *g) {
    gemm(g, "transA:i=1", true, false, 1, false, true);
}

static void turned_both(gradient_net *g) {
    gemm(g, "transA:i=1 transB:i=1 alpha:f=0.5 beta:f=2", true, true, 2, true, true);
}

static void column(gradient_net *g) {
    gemm(g, "transA:i=1 beta:f=0.5", true, false, 2, true, false);
}

static void one_number(gradient_net *g) {
    gemm(g, "beta:f=3", false, false, 1, false, false);
}

static void scalar(gradient_net *g) {
    gemm(g, "beta:f=3", false, false, 0, false, false);
}

static void matrix(gradient_net *g) {
    gemm(g, "transA:i=1", true, false, 2, true, true);
}

static void one_column(gradient_net *g) {
    int64_t k = gradient_pick(g, 2, 9);
    pare_value *a = gradient_plain(g, 2, (int64_t[]){-1, k}, -1, 1);
    gradient_output(g, NET(&g->n, "Gemm", "", a, net_random(&g->n, 2, (int64_t[]){k, 1}, -1, 1),
                           net_random(&g->n, 1, (int64_t[]){1}, -1, 1)));
}

/* Both operands and what is added are computed. */
static void computed(gradient_net *g) {
    int64_t k = gradient_pick(g, 2, 9), columns = gradient_pick(g, 2, 9);
    pare_value *a = gradient_plain(g, 2, (int64_t[]){-1, k}, -1, 1);
    pare_value *b = gradient_plain(g, 2, (int64_t[]){columns, k}, -1, 1);
    pare_value *c = gradient_plain(g, 2, (int64_t[]){-1, columns}, -1, 1);
    gradient_output(g, NET(&g->n, "Gemm", "transB:i=1 alpha:f=0.5 beta:f=0.25", a, b, c));
}

/* a aᵀ: both operands are one tensor. */
static void square(gradient_net *g) {
    pare_value *a = gradient_plain(g, 2, (int64_t[]){4, 5}, -1, 1);
    gradient_output(g, NET(&g->n, "Gemm", "transB:i=1", a, a));
}

static void frozen_front(gradient_net *g) {
    pare_value *x = net_input(&g->n, 2, (int64_t[]){-1, 5});
    gradient_output(g, net_gemm(&g->n, x, 7));
}

static const gradient_case cases[] = {
    {.op = "Gemm", .what = "without C", .build = no_c, .parameters = 3},
    {.op = "Gemm", .what = "C a row", .build = row, .parameters = 4},
    {.op = "Gemm", .what = "C a row, transB", .build = row_turned_b, .parameters = 4},
    {.op = "Gemm", .what = "C [1, N]", .build = row_of_rank_two, .parameters = 4},
    {.op = "Gemm", .what = "C a row, alpha and beta", .build = row_by_beta, .parameters = 4},
    {.op = "Gemm", .what = "alpha", .build = by_alpha, .parameters = 4},
    {.op = "Gemm", .what = "transA", .build = turned_a, .parameters = 4},
    {.op = "Gemm", .what = "transA, transB, alpha, beta, C a matrix", .build = turned_both, .parameters = 4},
    {.op = "Gemm", .what = "C a column", .build = column, .parameters = 4},
    {.op = "Gemm", .what = "C one number", .build = one_number, .parameters = 4},
    {.op = "Gemm", .what = "C a scalar", .build = scalar, .parameters = 4},
    {.op = "Gemm", .what = "C a matrix", .build = matrix, .parameters = 4},
    {.op = "Gemm", .what = "one column", .build = one_column, .parameters = 4},
    {.op = "Gemm", .what = "all computed", .build = computed, .parameters = 6},
    {.op = "Gemm", .what = "one tensor twice", .build = square, .parameters = 2},
    {.op = "Gemm", .what = "of the input", .build = frozen_front, .parameters = 2},
};

GRADIENT_MAIN(cases)
