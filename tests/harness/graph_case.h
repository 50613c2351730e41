/* One operator, described in text, run through graph, lowering and the
 * reference kernels. Values: "f32 2x3 = 1 2 3 4 5 6", "const i64 2 = 0 1",
 * "f32 2x3" (an input that the test does not run with), "" (absent); "scalar" is
 * the shape of rank 0. Types f32, i64, i32, u8, bool.
 * Attributes: "axis:i=1 perm:I=1,0 alpha:f=0.5 scales:F=1,2 mode:s=edge". */
#ifndef PARE_GRAPH_CASE_H
#define PARE_GRAPH_CASE_H

#include "pare/graph.h"
#include "pare/model.h"
#include "pare/runtime.h"

typedef struct graph_case {
    const char *op;
    int32_t opset;
    const char *attributes;
    const char *inputs[8];  /* NULL ends the list */
    const char *outputs[4]; /* expected; NULL ends the list */
    double tolerance;       /* 0: 1e-5, absolute and relative */
} graph_case;

typedef struct text_value {
    pare_dtype dtype;
    pare_shape shape;
    bool constant;
    size_t count;
    double numbers[4096];
    uint8_t bytes[4096 * 8]; /* the same, in the value's type */
} text_value;

/* False for an absent value; fails the test on malformed text. */
bool text_value_parse(const char *text, text_value *value);

/* A graph of the case's node, inferred. */
pare_status graph_case_build(const graph_case *test, pare_graph **graph, pare_error *error);
/* Builds, lowers, runs and compares; fails the test with the case's name. */
void graph_case_check(const graph_case *test);

/* Runs a graph's lowering on the reference kernels with inputs and outputs as
 * raw bytes in the order of the graph's ports. */
pare_status graph_run(const pare_graph *graph, int64_t batch, const pare_input *inputs, size_t input_count,
                      const pare_output_buffer *outputs, size_t output_count, pare_error *error);

/* Adds a node from text attributes; fails the test where the operator is unknown. */
pare_node *graph_add(pare_graph *graph, const char *op, const char *attributes, pare_value *const *inputs,
                     size_t input_count, pare_value *const *outputs, size_t output_count);

#endif
