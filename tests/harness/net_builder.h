/* Small networks with random weights, built node by node; shapes are inferred on
 * the way, so that a layer knows its input's channels. Failures end the test. */
#ifndef NET_BUILDER_H
#define NET_BUILDER_H

#include "pare/graph.h"
#include "pare/random.h"

typedef struct net {
    pare_graph *graph;
    pare_random random;
} net;

/* Opset 18. */
void net_start(net *n, uint64_t seed);
pare_value *net_input(net *n, int32_t rank, const int64_t *dims);
/* Uniform in [low, high). */
pare_value *net_random(net *n, int32_t rank, const int64_t *dims, double low, double high);
pare_value *net_ints(net *n, size_t count, const int64_t *ints);
/* A node of one output; `inputs` may hold NULLs. */
pare_value *net_apply(net *n, const char *op, const char *attributes, pare_value *const *inputs, size_t count);
#define NET(n, op, attributes, ...)                                                                                    \
    net_apply(n, op, attributes, (pare_value *[]){__VA_ARGS__},                                                        \
              sizeof((pare_value *[]){__VA_ARGS__}) / sizeof(pare_value *))
/* Conv with a bias; a kernel of 3 is padded by 1. */
pare_value *net_conv(net *n, pare_value *x, int64_t outputs, int64_t kernel, int64_t stride, int64_t groups);
pare_value *net_batchnorm(net *n, pare_value *x);
/* x [N, K] to [N, outputs], transB = 1, with a bias. */
pare_value *net_gemm(net *n, pare_value *x, int64_t outputs);
/* The graph with `y` as its output, checked; the caller frees it. */
pare_graph *net_finish(net *n, pare_value *y);

/* Runs a graph of float inputs and one float output on inputs drawn by `seed`; `output` has room for `count` elements,
 * which must be what there are. */
void net_run(const pare_graph *graph, int64_t batch, uint64_t seed, float *output, size_t count);

#endif
