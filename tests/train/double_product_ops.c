/* Products of matrices. */
#include "double_ops.h"

/* alpha × A' B' + beta × C */
static void run_gemm(const double_call *call) {
    const pare_node *node = call->node;
    const double_tensor *a = call->x[0], *b = call->x[1], *c = call->x_count > 2 ? call->x[2] : NULL;
    double_tensor *y = call->y[0];
    bool turn_a = pare_node_int(node, "transA", 0) != 0, turn_b = pare_node_int(node, "transB", 0) != 0;
    double alpha = (double)pare_node_float(node, "alpha", 1), beta = (double)pare_node_float(node, "beta", 1);
    size_t rows = (size_t)y->shape.dims[0], columns = (size_t)y->shape.dims[1];
    size_t inner = (size_t)a->shape.dims[turn_a ? 0 : 1];
    for (size_t i = 0; i < rows * columns; i++) {
        size_t row = i / columns, column = i % columns;
        double sum = 0;
        for (size_t k = 0; k < inner; k++) {
            sum += a->data[turn_a ? k * rows + row : row * inner + k] *
                   b->data[turn_b ? column * inner + k : k * columns + column];
        }
        double added = c != NULL ? beta * c->data[double_broadcast_index(&c->shape, &y->shape, i)] : 0;
        y->data[i] = alpha * sum + added;
    }
}

const double_op double_product_ops[] = {{"Gemm", run_gemm}, {NULL, NULL}};
