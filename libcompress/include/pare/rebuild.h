/* BatchNormalization for networks that were shipped with it folded away. */
#ifndef PARE_REBUILD_H
#define PARE_REBUILD_H

#include "pare/dataset.h"
#include "pare/evaluate.h"
#include "pare/graph.h"
#include "pare/preprocess.h"

/* Inserts a BatchNormalization (epsilon 1e-5) behind every Conv and ConvTranspose
 * in float whose weights are constant and whose output no BatchNormalization reads
 * yet, so that it can train as it was trained once. The network computes the same
 * as before up to rounding. Gemm and MatMul stay as they are, and so does a
 * convolution that no layer with constant weights follows: that one gives the
 * network's answer (the logits of a fully convolutional classifier, an image),
 * which is not to be normalized.
 *
 * Of each channel the mean m and the variance v (over samples and positions, divided
 * by their number) are measured over the whole view of `data`, which the caller
 * narrows (pare_dataset_limit): a few hundred images settle them. With the
 * convolution's bias b the normalization gets scale = sqrt(v + epsilon), running
 * mean m - b, running variance v, and shift m; the convolution keeps its weights and
 * loses b, which the shift covers. A channel that never varies (v = 0) passes
 * through like the others: its scale is sqrt(epsilon).
 *
 * The graph has one input. `run` gives batch, threads, progress; its observer is
 * not called. *inserted receives the number of normalizations (NULL: not asked
 * for); with none to insert `data` is not read. PARE_BAD_INPUT names a layer whose
 * output is not finite; the graph is then as it was. PARE_LIMIT when memory ends:
 * it then computes the same, with some of the layers done. */
pare_status pare_rebuild_batchnorm(pare_graph *graph, pare_dataset *data, const pare_preprocess *preprocess,
                                   const pare_run_options *run, size_t *inserted, pare_error *error);

#endif
