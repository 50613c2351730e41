/* Normalizations. */
#include <math.h>

#include "double_ops.h"

/* x [N, C, ..] by the batch's statistics while training (ONNX training_mode = 1), or by the running ones. */
static void run_batch_norm(const double_call *call) {
    const double_tensor *x = call->x[0];
    double epsilon = (double)pare_node_float(call->node, "epsilon", 1e-5F);
    size_t samples = (size_t)x->shape.dims[0], channels = (size_t)x->shape.dims[1];
    size_t plane = double_extent(&x->shape, 2, x->shape.rank), total = samples * plane;
    for (size_t c = 0; c < channels; c++) {
        double mean = call->x[3]->data[c], variance = call->x[4]->data[c];
        if (!call->running) {
            double sum = 0, squares = 0;
            for (size_t i = 0; i < total; i++) {
                sum += x->data[(i / plane * channels + c) * plane + i % plane];
            }
            mean = sum / (double)total;
            for (size_t i = 0; i < total; i++) {
                double d = x->data[(i / plane * channels + c) * plane + i % plane] - mean;
                squares += d * d;
            }
            variance = squares / (double)total;
        }
        for (size_t i = 0; i < total; i++) {
            size_t at = (i / plane * channels + c) * plane + i % plane;
            call->y[0]->data[at] =
                call->x[1]->data[c] * (x->data[at] - mean) / sqrt(variance + epsilon) + call->x[2]->data[c];
        }
    }
}

const double_op double_normal_ops[] = {{"BatchNormalization", run_batch_norm}, {NULL, NULL}};
