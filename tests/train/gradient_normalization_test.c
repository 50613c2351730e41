/* Batch normalization by the batch's statistics and by the running ones. */
#include "gradient_check.h"

#include <math.h>

#include "test.h"
#include "train/tape/tape_internal.h"

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

static double state_of(const gradient_run *run, uint32_t state, size_t c) {
    return (double)run->tape->running[run->tape->states[state].offset + c];
}

/* Two runs of one batch: running = m² × before + (1 - m²) × the batch's, whose variance is that of a sample. */
static void running_statistics(const gradient_run *run) {
    const pare_node *node = run->g->n.graph->outputs[0]->producer;
    const double_tensor *x = double_find(run->oracle, node->inputs[0]);
    double keep = (double)pare_node_float(node, "momentum", 0.9F), kept = keep * keep;
    size_t channels = (size_t)x->shape.dims[1], plane = double_extent(&x->shape, 2, x->shape.rank);
    size_t total = x->count / channels;
    assert_int_equal(run->tape->state_count, 2);
    for (size_t c = 0; c < channels; c++) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < total; i++) {
            mean += x->data[(i / plane * channels + c) * plane + i % plane] / (double)total;
        }
        for (size_t i = 0; i < total; i++) {
            double d = x->data[(i / plane * channels + c) * plane + i % plane] - mean;
            variance += d * d / (double)(total - 1);
        }
        double old_mean = double_find(run->oracle, node->inputs[3])->data[c];
        double old_variance = double_find(run->oracle, node->inputs[4])->data[c];
        assert_true(fabs(state_of(run, 0, c) - kept * old_mean - (1 - kept) * mean) < 1e-6);
        assert_true(fabs(state_of(run, 1, c) - kept * old_variance - (1 - kept) * variance) < 1e-6);
    }
}

static void no_states(const gradient_run *run) {
    assert_int_equal(run->tape->state_count, 0);
}

/* conv, norm, relu, conv, norm, add, relu */
static void block(gradient_net *g) {
    pare_value *x = front(g);
    pare_value *y = NET(&g->n, "Relu", "", net_batchnorm(&g->n, net_conv(&g->n, x, x->shape.dims[1], 3, 1, 1)));
    y = net_batchnorm(&g->n, net_conv(&g->n, y, x->shape.dims[1], 3, 1, 1));
    gradient_output(g, NET(&g->n, "Relu", "", NET(&g->n, "Add", "", x, y)));
}

#define LINE(name, count, frozen_statistics, looks)                                                                    \
    {                                                                                                                  \
        .op = "BatchNormalization", .what = frozen_statistics ? #name ", running statistics" : #name, .build = name,   \
        .parameters = count, .freeze_batch_norm = frozen_statistics, .look = looks                                     \
    }
static const gradient_case cases[] = {
    LINE(alone, 4, false, running_statistics),
    LINE(with_relu, 4, false, NULL),
    LINE(with_relu_and_other, 4, false, NULL),
    LINE(epsilon, 4, false, running_statistics),
    LINE(plain, 4, false, NULL),
    LINE(one_axis, 4, false, running_statistics),
    LINE(no_axis, 4, false, running_statistics),
    LINE(depth, 4, false, NULL),
    LINE(block, 10, false, NULL),
    LINE(alone, 4, true, no_states),
    LINE(with_relu, 4, true, no_states),
    LINE(with_relu_and_other, 4, true, no_states),
    LINE(epsilon, 4, true, no_states),
    LINE(plain, 4, true, no_states),
    LINE(one_axis, 4, true, no_states),
    LINE(no_axis, 4, true, no_states),
    LINE(depth, 4, true, no_states),
    LINE(block, 10, true, no_states),
};

GRADIENT_MAIN(cases)
