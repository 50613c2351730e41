/* Normalizations within a sample. */
#include <math.h>

#include "double_ops.h"

static void moments(const double *x, size_t count, double *mean, double *variance) {
    *mean = *variance = 0;
    for (size_t i = 0; i < count; i++) {
        *mean += x[i] / (double)count;
    }
    for (size_t i = 0; i < count; i++) {
        *variance += (x[i] - *mean) * (x[i] - *mean) / (double)count;
    }
}

/* scale and bias broadcast over the normalized axes. */
static void run_layer_norm(const double_call *call) {
    const double_tensor *x = call->x[0], *scale = call->x[1], *bias = call->x_count > 2 ? call->x[2] : NULL;
    double epsilon = (double)pare_node_float(call->node, "epsilon", 1e-5F);
    int32_t axis = double_axis(pare_node_int(call->node, "axis", -1), &x->shape);
    pare_shape normalized = {.rank = x->shape.rank - axis};
    for (int32_t a = 0; a < normalized.rank; a++) {
        normalized.dims[a] = x->shape.dims[axis + a];
    }
    size_t width = double_extent(&x->shape, axis, x->shape.rank);
    for (size_t row = 0; row < x->count / width; row++) {
        double mean, variance;
        moments(x->data + row * width, width, &mean, &variance);
        for (size_t i = 0; call->y[0] != NULL && i < width; i++) {
            double added = bias != NULL ? bias->data[double_broadcast_index(&bias->shape, &normalized, i)] : 0;
            call->y[0]->data[row * width + i] = (x->data[row * width + i] - mean) / sqrt(variance + epsilon) *
                                                    scale->data[double_broadcast_index(&scale->shape, &normalized, i)] +
                                                added;
        }
        if (call->y_count > 1 && call->y[1] != NULL) {
            call->y[1]->data[row] = mean;
        }
        if (call->y_count > 2 && call->y[2] != NULL) {
            call->y[2]->data[row] = 1 / sqrt(variance + epsilon);
        }
    }
}

/* x [N, C, ..]: each of the groups of a sample's channels for itself; scale and bias by channel or by group. */
static void normalize_groups(const double_call *call, size_t groups) {
    const double_tensor *x = call->x[0], *scale = call->x[1], *bias = call->x[2];
    double epsilon = (double)pare_node_float(call->node, "epsilon", 1e-5F);
    size_t channels = (size_t)x->shape.dims[1], plane = double_extent(&x->shape, 2, x->shape.rank);
    size_t width = channels / groups * plane;
    for (size_t row = 0; row < x->count / width; row++) {
        double mean, variance;
        moments(x->data + row * width, width, &mean, &variance);
        for (size_t i = row * width; i < (row + 1) * width; i++) {
            size_t c = i / plane % channels;
            call->y[0]->data[i] =
                (x->data[i] - mean) / sqrt(variance + epsilon) * scale->data[c * scale->count / channels] +
                bias->data[c * bias->count / channels];
        }
    }
}

static void run_instance_norm(const double_call *call) {
    normalize_groups(call, (size_t)call->x[0]->shape.dims[1]);
}

static void run_group_norm(const double_call *call) {
    normalize_groups(call, (size_t)pare_node_int(call->node, "num_groups", 1));
}

/* The window of channel c: from c - floor((size - 1) / 2) to c + ceil((size - 1) / 2). */
static void run_lrn(const double_call *call) {
    const double_tensor *x = call->x[0];
    int64_t size = pare_node_int(call->node, "size", 1), channels = x->shape.dims[1];
    double alpha = (double)pare_node_float(call->node, "alpha", 1e-4F);
    double beta = (double)pare_node_float(call->node, "beta", 0.75F);
    double bias = (double)pare_node_float(call->node, "bias", 1);
    size_t plane = double_extent(&x->shape, 2, x->shape.rank);
    for (size_t i = 0; i < x->count; i++) {
        int64_t c = (int64_t)(i / plane) % channels;
        double squares = 0;
        for (int64_t k = c - (size - 1) / 2; k <= c + size / 2; k++) {
            double neighbour = k >= 0 && k < channels ? x->data[i + (size_t)(k - c) * plane] : 0;
            squares += neighbour * neighbour;
        }
        call->y[0]->data[i] = x->data[i] / pow(bias + alpha / (double)size * squares, beta);
    }
}

const double_op double_layer_ops[] = {{"LayerNormalization", run_layer_norm},
                                      {"InstanceNormalization", run_instance_norm},
                                      {"GroupNormalization", run_group_norm},
                                      {"LRN", run_lrn},
                                      {NULL, NULL}};
