/* Passes: graph in, equivalent graph out. Each leaves the graph valid
 * (pare_graph_check) with shapes inferred. */
#ifndef PARE_PASSES_H
#define PARE_PASSES_H

#include "pare/graph.h"

/* What every tool runs after reading a model: canonicalize, infer, fold
 * constants (bounded: 64 MiB each, and together 256 MiB more than the network's
 * own; what is beyond stays a node), remove identities and dead code, until
 * nothing changes. Does not fold BatchNormalization. */
pare_status pare_simplify(pare_graph *graph, pare_error *error);

/* Infers shapes and types in order, folding each node as soon as its shapes are
 * known (what a Reshape by a computed shape needs); changes nothing else. */
pare_status pare_infer_and_fold(pare_graph *graph, pare_error *error);

pare_status pare_fold_constants(pare_graph *graph, size_t limit_bytes, bool *changed, pare_error *error);
pare_status pare_remove_dead(pare_graph *graph, bool *changed, pare_error *error);
/* Identity, Dropout (with graph->for_training only one whose ratio is 0), Cast to
 * the same type, Reshape/Transpose/Pad/Slice that do nothing, pairs of Transposes
 * that cancel, Mul by 1 and Add of 0 (with graph->for_training only by a single number:
 * others are parameters). */
pare_status pare_remove_identities(pare_graph *graph, bool *changed, pare_error *error);
/* One spelling for each meaning: MatMul + Add → Gemm, Gemm with transB = 1 and
 * alpha = beta = 1, Clip(0, inf) → Relu, x × sigmoid(x) → the fused form it
 * lowers to, … (see the files canonicalize*.c). */
pare_status pare_canonicalize(pare_graph *graph, bool *changed, pare_error *error);
/* BatchNormalization into the Conv, ConvTranspose or Gemm before it (or, as scale
 * and shift by channel, into the one after it where padding allows). */
pare_status pare_fold_batchnorm(pare_graph *graph, bool *changed, pare_error *error);
/* Output channel o of the node's weights was multiplied by factors[o]. */
typedef void (*pare_scaled)(void *context, const pare_node *node, const double *factors, size_t channels);
/* Into the node before it only, which rescales output channels and nothing else; `scaled` may be NULL. */
pare_status pare_fold_batchnorm_back(pare_graph *graph, pare_scaled scaled, void *context, pare_error *error);

/* Fusion, on the clone that is lowered: activations and residual Adds become
 * attributes `pare_*` of the Conv/Gemm/Add before them. */
pare_status pare_fuse(pare_graph *graph, pare_error *error);

#endif
