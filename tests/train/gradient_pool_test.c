/* Pooling over one, two and all spatial axes. */
#include "gradient_check.h"

static void window(gradient_net *g, const char *op, const char *attributes) {
    int64_t height = gradient_pick(g, 6, 9), width = gradient_pick(g, 6, 9);
    pare_value *a = gradient_plain(g, 4, (int64_t[]){-1, gradient_pick(g, 1, 3), height, width}, -1, 1);
    pare_value *b = gradient_blocked(g, gradient_pick(g, 3, 18), height, width, -1, 1);
    gradient_output(g, NET(&g->n, op, attributes, a));
    gradient_output(g, NET(&g->n, op, attributes, b));
}

static void along(gradient_net *g, const char *op, const char *attributes) {
    pare_value *x = gradient_plain(g, 3, (int64_t[]){-1, gradient_pick(g, 1, 9), gradient_pick(g, 7, 12)}, -1, 1);
    gradient_output(g, NET(&g->n, op, attributes, x));
}

static void all(gradient_net *g, const char *op) {
    pare_value *b = gradient_blocked(g, gradient_pick(g, 3, 18), gradient_pick(g, 1, 5), gradient_pick(g, 2, 5), -1, 1);
    gradient_output(g, NET(&g->n, op, "", b));
    for (int32_t rank = 2; rank <= 6; rank++) {
        int64_t dims[6] = {-1, gradient_pick(g, 1, 5)};
        for (int32_t a = 2; a < rank; a++) {
            dims[a] = gradient_pick(g, 1, 3);
        }
        gradient_output(g, NET(&g->n, op, "", gradient_plain(g, rank, dims, -1, 1)));
    }
}

#define CASE(name, shape, op, attributes)                                                                              \
    static void name(gradient_net *g) {                                                                                \
        shape(g, op, attributes);                                                                                      \
    }

CASE(max_simple, window, "MaxPool", "kernel_shape:I=2,2 strides:I=2,2")
CASE(max_overlap, window, "MaxPool", "kernel_shape:I=3,3 strides:I=2,2 pads:I=1,1,1,1")
CASE(max_dense, window, "MaxPool", "kernel_shape:I=3,2")
CASE(max_asymmetric, window, "MaxPool", "kernel_shape:I=3,3 strides:I=2,1 pads:I=0,1,2,0")
CASE(max_dilated, window, "MaxPool", "kernel_shape:I=2,2 dilations:I=2,3")
CASE(max_ceil, window, "MaxPool", "kernel_shape:I=2,3 strides:I=2,2 ceil_mode:i=1")
CASE(max_ceil_padded, window, "MaxPool", "kernel_shape:I=3,3 strides:I=3,2 pads:I=1,0,1,1 ceil_mode:i=1")
CASE(max_same, window, "MaxPool", "kernel_shape:I=3,2 strides:I=2,2 auto_pad:s=SAME_UPPER")
CASE(max_along, along, "MaxPool", "kernel_shape:I=3 strides:I=2 pads:I=1,0")
CASE(max_along_ceil, along, "MaxPool", "kernel_shape:I=3 strides:I=2 ceil_mode:i=1")
CASE(mean_simple, window, "AveragePool", "kernel_shape:I=2,2 strides:I=2,2")
CASE(mean_excluding, window, "AveragePool", "kernel_shape:I=3,3 strides:I=2,2 pads:I=1,1,1,1")
CASE(mean_including, window, "AveragePool", "kernel_shape:I=3,3 strides:I=2,2 pads:I=1,1,1,1 count_include_pad:i=1")
CASE(mean_asymmetric, window, "AveragePool", "kernel_shape:I=3,2 pads:I=0,1,2,0")
CASE(mean_asymmetric_including, window, "AveragePool", "kernel_shape:I=3,2 pads:I=0,1,2,0 count_include_pad:i=1")
CASE(mean_dilated, window, "AveragePool", "kernel_shape:I=2,2 dilations:I=2,3 pads:I=1,1,1,1")
CASE(mean_ceil, window, "AveragePool", "kernel_shape:I=2,3 strides:I=2,2 ceil_mode:i=1")
CASE(mean_ceil_padded, window, "AveragePool", "kernel_shape:I=3,3 strides:I=3,2 pads:I=1,0,1,1 ceil_mode:i=1")
CASE(mean_ceil_including, window, "AveragePool",
     "kernel_shape:I=3,3 strides:I=3,2 pads:I=1,0,1,1 ceil_mode:i=1 count_include_pad:i=1")
CASE(mean_same, window, "AveragePool", "kernel_shape:I=3,2 strides:I=2,2 auto_pad:s=SAME_LOWER")
CASE(mean_along, along, "AveragePool", "kernel_shape:I=3 strides:I=2 pads:I=1,0")
CASE(mean_along_ceil, along, "AveragePool", "kernel_shape:I=4 strides:I=3 ceil_mode:i=1 count_include_pad:i=1")

static void global_max(gradient_net *g) {
    all(g, "GlobalMaxPool");
}

static void global_average(gradient_net *g) {
    all(g, "GlobalAveragePool");
}

/* The pool's input has another reader, and may not be overwritten by it. */
static void read_twice(gradient_net *g) {
    pare_value *x = gradient_blocked(g, 5, 6, 6, -1, 1);
    pare_value *y = NET(&g->n, "MaxPool", "kernel_shape:I=2,2", NET(&g->n, "Relu", "", x));
    gradient_output(g, NET(&g->n, "Sigmoid", "", x));
    gradient_output(g, NET(&g->n, "AveragePool", "kernel_shape:I=2,2", y));
}

static const gradient_case cases[] = {
    {.op = "MaxPool", .what = "simple", .build = max_simple, .parameters = 4},
    {.op = "MaxPool", .what = "overlapping", .build = max_overlap, .parameters = 4},
    {.op = "MaxPool", .what = "stride 1", .build = max_dense, .parameters = 4},
    {.op = "MaxPool", .what = "asymmetric pads", .build = max_asymmetric, .parameters = 4},
    {.op = "MaxPool", .what = "dilated", .build = max_dilated, .parameters = 4},
    {.op = "MaxPool", .what = "ceil_mode", .build = max_ceil, .parameters = 4},
    {.op = "MaxPool", .what = "ceil_mode with pads", .build = max_ceil_padded, .parameters = 4},
    {.op = "MaxPool", .what = "SAME_UPPER", .build = max_same, .parameters = 4},
    {.op = "MaxPool", .what = "one axis", .build = max_along, .parameters = 2},
    {.op = "MaxPool", .what = "one axis, ceil_mode", .build = max_along_ceil, .parameters = 2},
    {.op = "MaxPool", .what = "of what others read", .build = read_twice, .parameters = 2},
    {.op = "AveragePool", .what = "simple", .build = mean_simple, .parameters = 4},
    {.op = "AveragePool", .what = "without padding", .build = mean_excluding, .parameters = 4},
    {.op = "AveragePool", .what = "with padding", .build = mean_including, .parameters = 4},
    {.op = "AveragePool", .what = "asymmetric pads", .build = mean_asymmetric, .parameters = 4},
    {.op = "AveragePool", .what = "asymmetric pads, counted", .build = mean_asymmetric_including, .parameters = 4},
    {.op = "AveragePool", .what = "dilated", .build = mean_dilated, .parameters = 4},
    {.op = "AveragePool", .what = "ceil_mode", .build = mean_ceil, .parameters = 4},
    {.op = "AveragePool", .what = "ceil_mode with pads", .build = mean_ceil_padded, .parameters = 4},
    {.op = "AveragePool", .what = "ceil_mode with pads, counted", .build = mean_ceil_including, .parameters = 4},
    {.op = "AveragePool", .what = "SAME_LOWER", .build = mean_same, .parameters = 4},
    {.op = "AveragePool", .what = "one axis", .build = mean_along, .parameters = 2},
    {.op = "AveragePool", .what = "one axis, ceil_mode, counted", .build = mean_along_ceil, .parameters = 2},
    {.op = "GlobalMaxPool", .what = "ranks 2 to 6", .build = global_max, .parameters = 12},
    {.op = "GlobalAveragePool", .what = "ranks 2 to 6", .build = global_average, .parameters = 12},
};

GRADIENT_MAIN(cases)
