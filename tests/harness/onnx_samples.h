/* Small ONNX models that together use every step of import and export, and the
 * comparison of graphs. */
#ifndef TEST_ONNX_SAMPLES_H
#define TEST_ONNX_SAMPLES_H

#include "onnx_builder.h"
#include "pare/graph.h"

typedef struct onnx_sample {
    const char *name;
    test_onnx *(*build)(void); /* the caller frees it */
} onnx_sample;

/* Models that are accepted; ended by a NULL name. */
extern const onnx_sample onnx_samples[];

/* NULL where both graphs hold the same: ports, nodes, attributes, names,
 * constants, quantization; else what differs (static buffer). */
const char *graph_difference(const pare_graph *a, const pare_graph *b);
/* Import from a built model, which is freed. */
pare_status onnx_sample_import(test_onnx *model, pare_graph **graph, pare_error *error);

#endif
