/* Transposed convolution. */
#include "gradient_check.h"

#define DIMS(...)                                                                                                      \
    (const int64_t[]) {                                                                                                \
        __VA_ARGS__                                                                                                    \
    }

/* Kernels of 3 x 2. */
static void transposed(gradient_net *g, int64_t inputs, int64_t outputs, int64_t groups, const char *attributes,
                       bool bias) {
    pare_value *x = gradient_blocked(g, inputs, gradient_pick(g, 2, 4), gradient_pick(g, 2, 4), -1, 1);
    pare_value *w = net_random(&g->n, 4, DIMS(inputs, outputs / groups, 3, 2), -0.5, 0.5);
    gradient_output(g,
                    NET(&g->n, "ConvTranspose", attributes, x, w, bias ? net_random(&g->n, 1, &outputs, -1, 1) : NULL));
}

static void plain(gradient_net *g) {
    transposed(g, gradient_pick(g, 1, 9), gradient_pick(g, 1, 9), 1, "", true);
}

static void blocked(gradient_net *g) {
    transposed(g, gradient_pick(g, 15, 17), gradient_pick(g, 15, 17), 1, "strides:I=2,2", true);
}

static void strided(gradient_net *g) {
    transposed(g, 3, 5, 1, "strides:I=2,3 pads:I=1,0,1,1 output_padding:I=1,2", false);
}

static void dilated(gradient_net *g) {
    transposed(g, 3, 5, 1, "dilations:I=2,1 pads:I=1,0,0,1", true);
}

static void grouped(gradient_net *g) {
    transposed(g, 4, 6, 2, "strides:I=2,2 group:i=2", true);
}

static void grouped_blocks(gradient_net *g) {
    transposed(g, 16, 32, 2, "strides:I=2,2 group:i=2 pads:I=1,1,1,1", false);
}

static void depthwise(gradient_net *g) {
    transposed(g, 6, 6, 6, "strides:I=2,2 group:i=6", true);
}

static void one_axis(gradient_net *g) {
    int64_t inputs = gradient_pick(g, 1, 5), outputs = gradient_pick(g, 1, 5);
    pare_value *x = gradient_plain(g, 3, DIMS(-1, inputs, gradient_pick(g, 2, 6)), -1, 1);
    gradient_output(g, NET(&g->n, "ConvTranspose", "strides:I=3 output_padding:I=1", x,
                           net_random(&g->n, 3, DIMS(inputs, outputs, 4), -0.5, 0.5),
                           net_random(&g->n, 1, &outputs, -1, 1)));
}

static void computed_weights(gradient_net *g) {
    pare_value *x = gradient_blocked(g, 3, 3, 3, -1, 1);
    gradient_output(g,
                    NET(&g->n, "ConvTranspose", "strides:I=2,2", x, gradient_plain(g, 4, DIMS(3, 2, 2, 2), -0.5, 0.5)));
}

#define LINE(text, name, count)                                                                                        \
    { .op = "ConvTranspose", .what = text, .build = name, .parameters = count }
static const gradient_case cases[] = {
    LINE("plain", plain, 4),         LINE("blocked", blocked, 4),   LINE("strided, output padding", strided, 3),
    LINE("dilated", dilated, 4),     LINE("grouped", grouped, 4),   LINE("groups of whole blocks", grouped_blocks, 3),
    LINE("depthwise", depthwise, 4), LINE("one axis", one_axis, 4), LINE("computed weights", computed_weights, 4),
};

GRADIENT_MAIN(cases)
