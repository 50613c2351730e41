/* Gradients of a small network against central differences in double.
 *
 * A case builds a graph on net_builder; it runs in three rounds, of batch 1, 2 and
 * 5, with other shapes and numbers each. The tape records it with a linear loss,
 * sum(outputs × fixed random weights), and every trained constant's gradient is
 * compared with (L(w + h) - L(w - h)) / 2h of the oracle (double_ops.h):
 *
 *     max |g - g_fd| / (max |g_fd| + 1e-3 × the largest |g_fd| of all constants) <= 1e-3
 *
 * where the second term allows for what rounding leaves of a gradient whose terms
 * nearly cancel; one that cancels wholly must be below 1e-4 of the largest. The
 * outputs themselves must agree, too, and two runs must give the same bytes.
 *
 *     static void leaky(gradient_net *g) {
 *         pare_value *x = gradient_blocked(g, 5, 4, 4, -1, 1);
 *         gradient_output(g, NET(&g->n, "LeakyRelu", "alpha:f=0.2", x));
 *     }
 *     static const gradient_case cases[] = {{.op = "LeakyRelu", .what = "blocked", .build = leaky}};
 *     GRADIENT_MAIN(cases)
 *
 * An operator whose constants are trained needs no more; in front of any other stands
 * what brings parameters: gradient_plain, gradient_blocked. */
#ifndef GRADIENT_CHECK_H
#define GRADIENT_CHECK_H

#include "double_ops.h"
#include "net_builder.h"
#include "pare/op.h"

#define GRADIENT_ROUNDS 3

typedef struct gradient_net {
    net n;
    int64_t batch;
    int round;           /* 0 .. GRADIENT_ROUNDS - 1 */
    int64_t index_bound; /* integer inputs are drawn from [0, index_bound) */
} gradient_net;

/* Uniform in [low, high]. */
int64_t gradient_pick(gradient_net *g, int64_t low, int64_t high);
/* A trained value of this shape, row-major; dims[0] may be -1. Elements lie in [low - 0.1, high + 0.1]. */
pare_value *gradient_plain(gradient_net *g, int32_t rank, const int64_t *dims, double low, double high);
/* A trained value [N, channels, height, width] that a convolution made, which may have blocked channels. */
pare_value *gradient_blocked(gradient_net *g, int64_t channels, int64_t height, int64_t width, double low, double high);
/* One of the network's outputs. */
void gradient_output(gradient_net *g, pare_value *y);

/* What two runs left, for cases that look further. */
typedef struct gradient_run {
    gradient_net *g;
    pare_tape *tape;        /* train/tape_internal.h */
    double_network *oracle; /* evaluated */
    size_t outputs;
    const float *found[8]; /* the graph's outputs */
} gradient_run;

typedef struct gradient_case {
    const char *op;   /* a node of this operator must be in the graph */
    const char *what; /* names the case */
    void (*build)(gradient_net *g);
    size_t parameters;      /* that must be trained; 0: at least one */
    bool freeze_batch_norm; /* tape->freeze_batch_norm */
    const char *freeze;     /* pattern of names of nodes whose constants are not trained */
    /* Called between the forward pass and the comparison: may give the oracle a mask. */
    void (*look)(const gradient_run *run);
} gradient_case;

/* Runs a case; fails the test. */
void gradient_check(const gradient_case *test);
/* The body of main: cmocka on all cases, or with --list their operators, a line each. */
int gradient_main(int argc, char **argv, const gradient_case *cases, size_t count);
#define GRADIENT_MAIN(cases)                                                                                           \
    int main(int argc, char **argv) {                                                                                  \
        return gradient_main(argc, argv, cases, sizeof(cases) / sizeof(cases)[0]);                                     \
    }

#endif
