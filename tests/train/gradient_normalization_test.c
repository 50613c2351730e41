/* Batch normalization by the batch's statistics and by the running ones. */
#include "gradient_check.h"

/* As many samples as the statistics need, at batch 1, too. */
static pare_value *front(gradient_net *g) {
    return gradient_blocked(g, gradient_pick(g, 3, 19), 4, 5, -1, 1);
}

static void alone(gradient_net *g) {
    gradient_output(g, net_batchnorm(&g->n, front(g)));
}

static void with_relu(gradient_net *g) {
    gradient_output(g, NET(&g->n, "Relu", "", net_batchnorm(&g->n, front(g))));
}

/* The Relu has company, so the primitive may not do its work. */
static void with_relu_and_other(gradient_net *g) {
    pare_value *y = net_batchnorm(&g->n, front(g));
    gradient_output(g, NET(&g->n, "Relu", "", y));
    gradient_output(g, NET(&g->n, "Sigmoid", "", y));
}

static void epsilon(gradient_net *g) {
    pare_value *x = front(g);
    int64_t channels = x->shape.dims[1];
    gradient_output(g, NET(&g->n, "BatchNormalization", "epsilon:f=0.1 momentum:f=0.5", x,
                           net_random(&g->n, 1, &channels, 0.5, 1.5), net_random(&g->n, 1, &channels, -0.5, 0.5),
                           net_random(&g->n, 1, &channels, -0.5, 0.5), net_random(&g->n, 1, &channels, 0.5, 1.5)));
}

static void plain(gradient_net *g) {
    pare_value *x = gradient_plain(g, 4, (int64_t[]){-1, gradient_pick(g, 1, 5), 3, 4}, -1, 1);
    gradient_output(g, NET(&g->n, "Relu", "", net_batchnorm(&g->n, x)));
}

static void one_axis(gradient_net *g) {
    pare_value *x = gradient_plain(g, 3, (int64_t[]){-1, gradient_pick(g, 1, 9), 7}, -1, 1);
    gradient_output(g, net_batchnorm(&g->n, x));
}

static void no_axis(gradient_net *g) {
    pare_value *x = gradient_plain(g, 2, (int64_t[]){6, gradient_pick(g, 1, 9)}, -1, 1);
    gradient_output(g, net_batchnorm(&g->n, x));
}

static void depth(gradient_net *g) {
    pare_value *x = gradient_plain(g, 5, (int64_t[]){-1, gradient_pick(g, 1, 5), 2, 3, 2}, -1, 1);
    gradient_output(g, NET(&g->n, "Relu", "", net_batchnorm(&g->n, x)));
}

/* conv, norm, relu, conv, norm, add, relu */
static void block(gradient_net *g) {
    pare_value *x = front(g);
    pare_value *y = NET(&g->n, "Relu", "", net_batchnorm(&g->n, net_conv(&g->n, x, x->shape.dims[1], 3, 1, 1)));
    y = net_batchnorm(&g->n, net_conv(&g->n, y, x->shape.dims[1], 3, 1, 1));
    gradient_output(g, NET(&g->n, "Relu", "", NET(&g->n, "Add", "", x, y)));
}

#define LINE(name, count, frozen_statistics)                                                                           \
    {                                                                                                                  \
        .op = "BatchNormalization", .what = frozen_statistics ? #name ", running statistics" : #name, .build = name,   \
        .parameters = count, .freeze_batch_norm = frozen_statistics                                                    \
    }
static const gradient_case cases[] = {
    LINE(alone, 4, false),   LINE(with_relu, 4, false), LINE(with_relu_and_other, 4, false),
    LINE(epsilon, 4, false), LINE(plain, 4, false),     LINE(one_axis, 4, false),
    LINE(no_axis, 4, false), LINE(depth, 4, false),     LINE(block, 10, false),
    LINE(alone, 4, true),    LINE(with_relu, 4, true),  LINE(with_relu_and_other, 4, true),
    LINE(epsilon, 4, true),  LINE(plain, 4, true),      LINE(one_axis, 4, true),
    LINE(no_axis, 4, true),  LINE(depth, 4, true),      LINE(block, 10, true),
};

GRADIENT_MAIN(cases)
