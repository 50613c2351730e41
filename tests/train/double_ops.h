/* The oracle of the gradients: a graph evaluated node by node in double, by
 * plain loops written from the ONNX specification and independent of what they
 * check. Numbers of every type are held as doubles. */
#ifndef DOUBLE_OPS_H
#define DOUBLE_OPS_H

#include "pare/graph.h"

typedef struct double_tensor {
    pare_shape shape; /* bound */
    size_t count;
    double *data;
} double_tensor;

#define DOUBLE_OPERANDS 16

/* One node with its operands; absent ones are NULL. */
typedef struct double_call {
    const pare_node *node;
    const double_tensor *x[DOUBLE_OPERANDS];
    double_tensor *y[DOUBLE_OPERANDS]; /* shape and memory are there */
    size_t x_count, y_count;
    bool running;       /* batch normalization by the running statistics */
    const double *mask; /* Dropout: what each element is multiplied by; NULL: 1 */
} double_call;

typedef struct double_network double_network;

/* Values of inputs are zeros until set. Fails the test where an operator is not in the table. */
double_network *double_create(const pare_graph *graph, int64_t batch, bool running);
/* Accepts NULL. */
void double_free(double_network *network);
double_tensor *double_find(double_network *network, const pare_value *value);
/* The factors of every Dropout node; they must outlive the network. */
void double_set_mask(double_network *network, const double *mask);
void double_run(double_network *network);
/* Computes again what depends on `changed`. */
void double_rerun(double_network *network, const pare_value *changed);

/* --- for the operators ------------------------------------------------------- */

/* Index into a tensor of shape `from` of what broadcasts to element `index` of shape `to`. */
size_t double_broadcast_index(const pare_shape *from, const pare_shape *to, size_t index);
/* Axis attribute or number, counted from the front. */
int32_t double_axis(int64_t axis, const pare_shape *shape);
/* Product of dims[first .. last). */
size_t double_extent(const pare_shape *shape, int32_t first, int32_t last);
/* Coordinates of element `index`, and back. */
void double_coordinates(const pare_shape *shape, size_t index, int64_t *coordinates);
size_t double_index(const pare_shape *shape, const int64_t *coordinates);
/* Integers of operand `index`, else those of the attribute; their number, 0 where absent. */
size_t double_ints(const double_call *call, size_t index, const char *attribute, int64_t *ints);

/* A line an operator: ONNX name and function. Each family's table ends with a NULL name. */
typedef struct double_op {
    const char *name;
    void (*run)(const double_call *call);
} double_op;
extern const double_op double_element_ops[], double_window_ops[], double_normal_ops[], double_product_ops[],
    double_move_ops[], double_reduce_ops[], double_layer_ops[], double_select_ops[], double_sequence_ops[];

#endif
