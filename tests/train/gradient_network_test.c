/* Networks whose tensors have several readers: what is overwritten in place and
 * how gradients add up. */
#include "gradient_check.h"

#include <math.h>

#include "test.h"

static pare_value *front(gradient_net *g, int64_t channels) {
    return gradient_blocked(g, channels, 5, 5, -1, 1);
}

static void chain(gradient_net *g) {
    int64_t channels = gradient_pick(g, 3, 18);
    pare_value *x = net_input(&g->n, 4, (int64_t[]){-1, 3, 6, 6});
    pare_value *a = NET(&g->n, "Relu", "", net_batchnorm(&g->n, net_conv(&g->n, x, channels, 3, 1, 1)));
    pare_value *b = net_batchnorm(&g->n, net_conv(&g->n, a, channels, 3, 1, 1));
    pare_value *y = NET(&g->n, "Relu", "", NET(&g->n, "Add", "", a, b));
    y = NET(&g->n, "MaxPool", "kernel_shape:I=2,2 strides:I=2,2", y);
    y = NET(&g->n, "Flatten", "", NET(&g->n, "GlobalAveragePool", "", y));
    gradient_output(g, net_gemm(&g->n, y, 5));
}

/* Two blocks, the second with a projection, as in a ResNet. */
static void residual(gradient_net *g) {
    int64_t channels = gradient_pick(g, 3, 12);
    pare_value *x = NET(&g->n, "Relu", "", net_batchnorm(&g->n, front(g, channels)));
    pare_value *y = NET(&g->n, "Relu", "", net_batchnorm(&g->n, net_conv(&g->n, x, channels, 3, 1, 1)));
    y = net_batchnorm(&g->n, net_conv(&g->n, y, channels, 3, 1, 1));
    x = NET(&g->n, "Relu", "", NET(&g->n, "Add", "", x, y));
    y = NET(&g->n, "Relu", "", net_batchnorm(&g->n, net_conv(&g->n, x, 2 * channels, 3, 2, 1)));
    y = net_batchnorm(&g->n, net_conv(&g->n, y, 2 * channels, 3, 1, 1));
    pare_value *short_cut = net_batchnorm(&g->n, net_conv(&g->n, x, 2 * channels, 1, 2, 1));
    x = NET(&g->n, "Relu", "", NET(&g->n, "Add", "", y, short_cut));
    x = NET(&g->n, "Flatten", "", NET(&g->n, "GlobalAveragePool", "", x));
    gradient_output(g, net_gemm(&g->n, x, 7));
}

/* The same without normalization: batch norms that were folded away. */
static void residual_folded(gradient_net *g) {
    int64_t channels = gradient_pick(g, 3, 18);
    pare_value *x = NET(&g->n, "Relu", "", front(g, channels));
    for (int block = 0; block < 3; block++) {
        pare_value *y = NET(&g->n, "Relu", "", net_conv(&g->n, x, channels, 3, 1, 1));
        x = NET(&g->n, "Relu", "", NET(&g->n, "Add", "", net_conv(&g->n, y, channels, 3, 1, 1), x));
    }
    x = NET(&g->n, "Reshape", "", NET(&g->n, "AveragePool", "kernel_shape:I=5,5", x),
            net_ints(&g->n, 2, (int64_t[]){0, -1}));
    gradient_output(g, net_gemm(&g->n, x, 4));
}

/* Depthwise and pointwise, with the clip's relatives and a gate, as in MobileNets. */
static void inverted_residual(gradient_net *g) {
    int64_t channels = gradient_pick(g, 3, 10), wide = 2 * channels;
    pare_value *x = front(g, channels);
    pare_value *y = NET(&g->n, "HardSwish", "", net_batchnorm(&g->n, net_conv(&g->n, x, wide, 1, 1, 1)));
    y = NET(&g->n, "HardSwish", "", net_batchnorm(&g->n, net_conv(&g->n, y, wide, 3, 1, wide)));
    pare_value *gate = NET(&g->n, "GlobalAveragePool", "", y);
    gate = NET(&g->n, "Relu", "", net_conv(&g->n, gate, channels, 1, 1, 1));
    gate = NET(&g->n, "HardSigmoid", "", net_conv(&g->n, gate, wide, 1, 1, 1));
    y = NET(&g->n, "Mul", "", y, gate);
    gradient_output(g, NET(&g->n, "Add", "", x, net_batchnorm(&g->n, net_conv(&g->n, y, channels, 1, 1, 1))));
}

/* One tensor under five readers of all kinds. */
static void many_readers(gradient_net *g) {
    pare_value *x = front(g, gradient_pick(g, 3, 18));
    pare_value *a = NET(&g->n, "Relu", "", x), *b = NET(&g->n, "Sigmoid", "", x), *c = NET(&g->n, "Neg", "", x);
    pare_value *d = NET(&g->n, "MaxPool", "kernel_shape:I=3,3 pads:I=1,1,1,1", x);
    pare_value *e = net_conv(&g->n, x, x->shape.dims[1], 3, 1, 1);
    pare_value *y = NET(&g->n, "Sum", "", a, b, c, d, e, x);
    gradient_output(g, NET(&g->n, "Tanh", "", y));
    gradient_output(g, x);
}

/* Sums in place, over what functions made from their outputs keep. */
static void sums_in_place(gradient_net *g) {
    pare_value *x = front(g, 5), *other = front(g, 5);
    pare_value *a = NET(&g->n, "Add", "", NET(&g->n, "Sigmoid", "", x), NET(&g->n, "Tanh", "", other));
    pare_value *b = NET(&g->n, "Sub", "", NET(&g->n, "Sin", "", a), NET(&g->n, "Exp", "", other));
    pare_value *c = NET(&g->n, "Add", "", NET(&g->n, "Relu", "", b), a);
    pare_value *d = NET(&g->n, "Sub", "", c, net_random(&g->n, 3, (int64_t[]){5, 1, 1}, -1, 1));
    pare_value *e = NET(&g->n, "Add", "", net_random(&g->n, 1, (int64_t[]){5}, -1, 1), d);
    gradient_output(g, NET(&g->n, "Relu", "", e));
}

/* Gradients shared by both operands of sums, each passed on through functions that work in place. */
static void shared_gradients(gradient_net *g) {
    pare_value *x = front(g, 5), *other = front(g, 5);
    pare_value *sum = NET(&g->n, "Add", "", NET(&g->n, "Relu", "", x), NET(&g->n, "Relu", "", other));
    pare_value *again = NET(&g->n, "Add", "", sum, NET(&g->n, "Neg", "", other));
    gradient_output(g, NET(&g->n, "Add", "", again, NET(&g->n, "Relu", "", sum)));
}

/* Views of views, read beside what they are views of. */
static void views(gradient_net *g) {
    pare_value *x = gradient_plain(g, 4, (int64_t[]){-1, 2, 3, 4}, -1, 1);
    pare_value *a = NET(&g->n, "Reshape", "", NET(&g->n, "Sin", "", x), net_ints(&g->n, 2, (int64_t[]){0, -1}));
    pare_value *b = NET(&g->n, "Reshape", "", a, net_ints(&g->n, 3, (int64_t[]){0, 6, 4}));
    pare_value *c = NET(&g->n, "Add", "", b, net_random(&g->n, 1, (int64_t[]){4}, -1, 1));
    pare_value *d = NET(&g->n, "Relu", "", NET(&g->n, "Identity", "", c));
    gradient_output(g,
                    NET(&g->n, "Mul", "", d, NET(&g->n, "Reshape", "", a, net_ints(&g->n, 3, (int64_t[]){0, 6, 4}))));
}

/* What no parameter reaches is computed by the runtime; a branch to nowhere is none. */
static void beside_the_trained(gradient_net *g) {
    int64_t dims[4] = {-1, 5, 5, 5};
    pare_value *x = front(g, 5), *in = net_input(&g->n, 4, dims);
    pare_value *scaled = NET(&g->n, "Transpose", "perm:I=0,1,3,2", NET(&g->n, "Relu", "", in));
    (void)NET(&g->n, "Sigmoid", "", x);
    gradient_output(g, NET(&g->n, "Mul", "", x, NET(&g->n, "Sub", "", scaled, in)));
}

/* A mask of truth values. */
static void masked(gradient_net *g) {
    int64_t dims[4] = {-1, 5, 5, 5};
    pare_value *x = front(g, 5), *mask = NET(&g->n, "Less", "", net_input(&g->n, 4, dims), net_input(&g->n, 4, dims));
    gradient_output(g, NET(&g->n, "Mul", "", NET(&g->n, "Cast", "to:i=1", NET(&g->n, "Not", "", mask)), x));
}

/* Weights of nodes whose names match are not trained; what lies in front of them is. */
static void frozen(gradient_net *g) {
    pare_value *x = front(g, 5);
    for (int i = 0; i < 2; i++) {
        pare_value *w = net_random(&g->n, 4, (int64_t[]){5, 5, 3, 3}, -0.5, 0.5), *inputs[2] = {x, w};
        pare_value *y = pare_graph_add_value(g->n.graph, "y", PARE_F32, NULL);
        assert_non_null(
            pare_graph_insert_node(g->n.graph, NULL, x->producer->op, i == 0 ? "late.0" : "late.1", inputs, 2, &y, 1));
        x = y;
    }
    gradient_output(g, x);
}

/* More elements than one thread takes. */
static void large(gradient_net *g) {
    int64_t width = 60 / g->batch;
    pare_value *x = gradient_blocked(g, 9, 45, width, -1, 1);
    pare_value *y = NET(&g->n, "Mul", "", NET(&g->n, "Mish", "", x), NET(&g->n, "Relu", "", x));
    y = NET(&g->n, "Add", "", NET(&g->n, "Tanh", "", y), x);
    y = NET(&g->n, "Mul", "", NET(&g->n, "Pad", "", y, net_ints(&g->n, 8, (int64_t[]){0, 0, 0, 1, 0, 0, 2, 0})),
            net_random(&g->n, 3, (int64_t[]){9, 1, width + 1}, -1, 1));
    gradient_output(g, NET(&g->n, "AveragePool", "kernel_shape:I=5,5 strides:I=5,5", y));
}

/* --- dropout --------------------------------------------------------------------- */

/* x, then its dropout as another output: the mask is what one was multiplied by. */
static void dropout(gradient_net *g) {
    pare_value *x = gradient_blocked(g, gradient_pick(g, 3, 18), 5, 6, 0.5, 2);
    float ratio = 0.3F;
    pare_shape scalar = {.rank = 0};
    pare_value *by = pare_graph_add_constant(g->n.graph, "ratio", PARE_F32, &scalar, &ratio, sizeof ratio);
    gradient_output(g, NET(&g->n, "Dropout", "", x, by));
    if (g->round > 0) { /* else x is overwritten */
        gradient_output(g, x);
    }
}

static void find_mask(const gradient_run *run) {
    static double mask[8192];
    const pare_graph *graph = run->g->n.graph;
    const double_tensor *x = double_find(run->oracle, graph->outputs[0]->producer->inputs[0]);
    size_t dropped = 0;
    assert_true(x->count <= sizeof mask / sizeof mask[0]);
    for (size_t i = 0; i < x->count; i++) {
        dropped += run->found[0][i] == 0.0F;
        mask[i] = run->found[0][i] == 0.0F ? 0 : 1 / (1 - (double)0.3F);
    }
    double share = (double)dropped / (double)x->count, deviation = 0.46 / sqrt((double)x->count);
    assert_true(share > 0.3 - 5 * deviation && share < 0.3 + 5 * deviation);
    double_set_mask(run->oracle, mask);
}

static void dropout_of_nothing(gradient_net *g) {
    float ratio = 0;
    pare_shape scalar = {.rank = 0};
    gradient_output(g, NET(&g->n, "Dropout", "", front(g, 5),
                           pare_graph_add_constant(g->n.graph, "ratio", PARE_F32, &scalar, &ratio, sizeof ratio)));
}

static const gradient_case cases[] = {
    {.op = "Gemm", .what = "conv, norm, relu, add, relu, pool, gemm", .build = chain, .parameters = 10},
    {.op = "Add", .what = "residual blocks", .build = residual, .parameters = 26},
    {.op = "Add", .what = "residual blocks, running statistics", .build = residual, .freeze_batch_norm = true},
    {.op = "Add", .what = "residual blocks, folded", .build = residual_folded, .parameters = 16},
    {.op = "Mul", .what = "inverted residual with a gate", .build = inverted_residual, .parameters = 18},
    {.op = "Sum", .what = "one tensor under six readers", .build = many_readers, .parameters = 4},
    {.op = "Add", .what = "sums in place", .build = sums_in_place, .parameters = 6},
    {.op = "Add", .what = "shared gradients", .build = shared_gradients, .parameters = 4},
    {.op = "Reshape", .what = "views of views", .build = views, .parameters = 3},
    {.op = "Mul", .what = "beside what is not trained", .build = beside_the_trained, .parameters = 2},
    {.op = "Not", .what = "a mask", .build = masked, .parameters = 2},
    {.op = "Mul", .what = "more than one thread's share", .build = large, .parameters = 3},
    {.op = "Conv", .what = "frozen by name", .build = frozen, .freeze = "late.*", .parameters = 2},
    {.op = "Dropout", .what = "a ratio of 0.3", .build = dropout, .look = find_mask, .parameters = 2},
    {.op = "Dropout", .what = "a ratio of 0", .build = dropout_of_nothing, .parameters = 2},
};

GRADIENT_MAIN(cases)
