/* Convolution: gradients of weights, bias and what lies in front. */
#include "gradient_check.h"

#include <stdio.h>

/* Conv over `spatial` axes behind a value that is trained; kernels of 1 to 3. */
typedef struct conv_case {
    int32_t spatial;
    int64_t inputs, outputs, groups, stride, dilation;
    int64_t pads[4]; /* begins, then ends */
    bool bias;
} conv_case;

static void build_conv(gradient_net *g, const conv_case *c, pare_value *x) {
    char attributes[256], text[4][64] = {"", "", "", ""};
    int64_t dims[4] = {c->outputs, c->inputs / c->groups};
    for (int32_t i = 0; i < c->spatial; i++) {
        dims[2 + i] = gradient_pick(g, 1, 3);
        const char *comma = i + 1 < c->spatial ? "," : "";
        snprintf(text[0] + 2 * i, 8, "%d%s", (int)c->stride, comma);
        snprintf(text[1] + 2 * i, 8, "%d%s", (int)c->dilation, comma);
        snprintf(text[2] + 2 * i, 8, "%d,", (int)c->pads[i]);
        snprintf(text[3] + 2 * i, 8, "%d%s", (int)c->pads[2 + i], comma);
    }
    snprintf(attributes, sizeof attributes, "group:i=%d strides:I=%s dilations:I=%s pads:I=%s%s", (int)c->groups,
             text[0], text[1], text[2], text[3]);
    pare_value *w = net_random(&g->n, 2 + c->spatial, dims, -0.5, 0.5);
    gradient_output(g, c->bias ? NET(&g->n, "Conv", attributes, x, w, net_random(&g->n, 1, &c->outputs, -1, 1))
                               : NET(&g->n, "Conv", attributes, x, w));
}

static void build_2d(gradient_net *g, conv_case c, bool blocked) {
    int64_t height = gradient_pick(g, 4, 6), width = gradient_pick(g, 4, 6);
    c.spatial = 2;
    build_conv(g, &c,
               blocked ? gradient_blocked(g, c.inputs, height, width, -1, 1)
                       : gradient_plain(g, 4, (int64_t[]){-1, c.inputs, height, width}, -1, 1));
}

static void plain(gradient_net *g) {
    build_2d(g, (conv_case){0, gradient_pick(g, 1, 4), gradient_pick(g, 1, 9), 1, 1, 1, {1, 1, 1, 1}, true}, false);
}

static void blocked(gradient_net *g) {
    build_2d(g, (conv_case){0, gradient_pick(g, 9, 19), gradient_pick(g, 9, 19), 1, 1, 1, {1, 1, 1, 1}, true}, true);
}

static void whole_blocks(gradient_net *g) {
    build_2d(g, (conv_case){0, 16, 32, 1, 1, 1, {1, 1, 1, 1}, true}, true);
}

static void no_bias(gradient_net *g) {
    build_2d(g, (conv_case){0, 5, 6, 1, 1, 1, {0, 0, 0, 0}, false}, true);
}

static void strided(gradient_net *g) {
    build_2d(g, (conv_case){0, 7, 10, 1, 2, 1, {1, 1, 1, 1}, true}, true);
}

static void dilated(gradient_net *g) {
    build_2d(g, (conv_case){0, 6, 11, 1, 1, 2, {2, 2, 2, 2}, true}, true);
}

static void asymmetric(gradient_net *g) {
    build_2d(g, (conv_case){0, 5, 9, 1, 2, 1, {0, 1, 2, 0}, true}, true);
}

static void grouped(gradient_net *g) {
    build_2d(g, (conv_case){0, 9, 6, 3, 1, 1, {1, 1, 1, 1}, true}, true);
}

static void grouped_strided(gradient_net *g) {
    build_2d(g, (conv_case){0, 20, 30, 2, 2, 1, {1, 0, 0, 1}, true}, true);
}

static void depthwise(gradient_net *g) {
    int64_t channels = gradient_pick(g, 3, 19);
    build_2d(g, (conv_case){0, channels, channels, channels, 1, 1, {1, 1, 1, 1}, true}, true);
}

static void depthwise_strided(gradient_net *g) {
    int64_t channels = gradient_pick(g, 3, 19);
    build_2d(g, (conv_case){0, channels, channels, channels, 2, 1, {0, 1, 1, 0}, false}, true);
}

static void depthwise_of_two(gradient_net *g) {
    build_2d(g, (conv_case){0, 5, 10, 5, 1, 1, {1, 1, 1, 1}, true}, true);
}

static void one_axis(gradient_net *g) {
    conv_case c = {1, gradient_pick(g, 2, 10), gradient_pick(g, 2, 10), 1, 1, 1, {1, 0, 1, 0}, true};
    build_conv(g, &c, gradient_plain(g, 3, (int64_t[]){-1, c.inputs, gradient_pick(g, 6, 12)}, -1, 1));
}

static void one_axis_dilated(gradient_net *g) {
    conv_case c = {1, 6, 9, 3, 2, 2, {2, 0, 0, 0}, true};
    build_conv(g, &c, gradient_plain(g, 3, (int64_t[]){-1, c.inputs, gradient_pick(g, 6, 12)}, -1, 1));
}

static void same_upper(gradient_net *g) {
    pare_value *x = gradient_blocked(g, 5, gradient_pick(g, 4, 6), gradient_pick(g, 4, 6), -1, 1);
    pare_value *w = net_random(&g->n, 4, (int64_t[]){7, 5, 2, 3}, -0.5, 0.5);
    gradient_output(g, NET(&g->n, "Conv", "auto_pad:s=SAME_UPPER strides:I=2,2", x, w));
}

static void same_lower(gradient_net *g) {
    pare_value *x = gradient_blocked(g, 5, gradient_pick(g, 4, 6), gradient_pick(g, 4, 6), -1, 1);
    pare_value *w = net_random(&g->n, 4, (int64_t[]){7, 5, 2, 3}, -0.5, 0.5);
    gradient_output(g, NET(&g->n, "Conv", "auto_pad:s=SAME_LOWER", x, w));
}

/* One kernel, two convolutions: the gradient is the sum. */
static void shared_weights(gradient_net *g) {
    pare_value *x = gradient_blocked(g, 6, 5, 5, -1, 1);
    pare_value *w = net_random(&g->n, 4, (int64_t[]){6, 6, 3, 3}, -0.3, 0.3);
    pare_value *y = NET(&g->n, "Conv", "pads:I=1,1,1,1", x, w);
    gradient_output(g, NET(&g->n, "Conv", "pads:I=1,1,1,1", y, w));
}

/* A kernel that the network computes. */
static void computed_weights(gradient_net *g) {
    pare_value *x = gradient_blocked(g, 4, 5, 5, -1, 1);
    pare_value *w = gradient_plain(g, 4, (int64_t[]){3, 4, 3, 3}, -0.5, 0.5);
    gradient_output(g, NET(&g->n, "Conv", "pads:I=1,1,1,1", x, w));
}

static const gradient_case cases[] = {
    {.op = "Conv", .what = "plain", .build = plain, .parameters = 4},
    {.op = "Conv", .what = "blocked", .build = blocked, .parameters = 4},
    {.op = "Conv", .what = "whole blocks", .build = whole_blocks, .parameters = 4},
    {.op = "Conv", .what = "no bias", .build = no_bias, .parameters = 3},
    {.op = "Conv", .what = "strided", .build = strided, .parameters = 4},
    {.op = "Conv", .what = "dilated", .build = dilated, .parameters = 4},
    {.op = "Conv", .what = "asymmetric pads", .build = asymmetric, .parameters = 4},
    {.op = "Conv", .what = "grouped", .build = grouped, .parameters = 4},
    {.op = "Conv", .what = "grouped and strided", .build = grouped_strided, .parameters = 4},
    {.op = "Conv", .what = "depthwise", .build = depthwise, .parameters = 4},
    {.op = "Conv", .what = "depthwise, strided", .build = depthwise_strided, .parameters = 3},
    {.op = "Conv", .what = "depthwise, two filters a channel", .build = depthwise_of_two, .parameters = 4},
    {.op = "Conv", .what = "one axis", .build = one_axis, .parameters = 4},
    {.op = "Conv", .what = "one axis, grouped, dilated, strided", .build = one_axis_dilated, .parameters = 4},
    {.op = "Conv", .what = "auto_pad SAME_UPPER", .build = same_upper, .parameters = 3},
    {.op = "Conv", .what = "auto_pad SAME_LOWER", .build = same_lower, .parameters = 3},
    {.op = "Conv", .what = "shared weights", .build = shared_weights, .parameters = 3},
    {.op = "Conv", .what = "computed weights", .build = computed_weights, .parameters = 4},
};

GRADIENT_MAIN(cases)
