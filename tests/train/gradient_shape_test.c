/* Operators that move elements: into another shape, or to another place. */
#include "gradient_check.h"

#include "graph_case.h"
#include "pare/op.h"
#include "test.h"

static pare_value *front(gradient_net *g, int64_t channels, int64_t height, int64_t width) {
    return gradient_blocked(g, channels, height, width, -1, 1);
}

/* --- the same order --------------------------------------------------------------- */

static void reshape(gradient_net *g) {
    int64_t channels = gradient_pick(g, 3, 18);
    pare_value *x = front(g, channels, 4, 3);
    gradient_output(g, NET(&g->n, "Reshape", "", x, net_ints(&g->n, 3, (int64_t[]){0, 6, -1})));
    gradient_output(g, NET(&g->n, "Reshape", "", NET(&g->n, "Tanh", "", x), net_ints(&g->n, 2, (int64_t[]){-1, 12})));
}

/* Nobody but the reshape reads x, and what reads the result may overwrite both. */
static void reshape_overwritten(gradient_net *g) {
    pare_value *x = NET(&g->n, "Neg", "", front(g, 5, 4, 3));
    pare_value *y = NET(&g->n, "Reshape", "", x, net_ints(&g->n, 2, (int64_t[]){0, -1}));
    gradient_output(g, NET(&g->n, "Add", "", NET(&g->n, "Relu", "", y), net_random(&g->n, 1, (int64_t[]){60}, -1, 1)));
}

/* x is read beside the reshape, whose only reader would else overwrite both. */
static void reshape_of_shared(gradient_net *g) {
    pare_value *x = gradient_plain(g, 3, (int64_t[]){-1, 4, 6}, -1, 1);
    pare_value *y = NET(&g->n, "Reshape", "", x, net_ints(&g->n, 2, (int64_t[]){0, -1}));
    pare_value *z = NET(&g->n, "Add", "", y, net_random(&g->n, 1, (int64_t[]){24}, -1, 1));
    gradient_output(g, NET(&g->n, "Relu", "", z));
    gradient_output(g, NET(&g->n, "Mul", "", x, x));
}

static void flatten(gradient_net *g) {
    pare_value *x = front(g, gradient_pick(g, 3, 18), 3, 4);
    gradient_output(g, NET(&g->n, "Flatten", "", x));
    gradient_output(g, NET(&g->n, "Flatten", "axis:i=3", x));
    gradient_output(g, NET(&g->n, "Flatten", "axis:i=0", x));
}

static void squeeze(gradient_net *g) {
    pare_value *x = front(g, gradient_pick(g, 3, 18), 1, 1);
    gradient_output(g, NET(&g->n, "Squeeze", "", x, net_ints(&g->n, 2, (int64_t[]){2, -1})));
}

static void unsqueeze(gradient_net *g) {
    pare_value *x = front(g, gradient_pick(g, 3, 18), 3, 2);
    gradient_output(g, NET(&g->n, "Unsqueeze", "", x, net_ints(&g->n, 2, (int64_t[]){2, -1})));
}

static void identity(gradient_net *g) {
    pare_value *x = front(g, gradient_pick(g, 3, 18), 3, 2);
    gradient_output(g, NET(&g->n, "Identity", "", NET(&g->n, "Identity", "", x)));
    gradient_output(g, NET(&g->n, "Relu", "", x));
}

/* --- another place ------------------------------------------------------------------ */

static void transpose(gradient_net *g) {
    pare_value *x = front(g, gradient_pick(g, 3, 18), 3, 4);
    gradient_output(g, NET(&g->n, "Transpose", "perm:I=0,2,3,1", x));
    gradient_output(g, NET(&g->n, "Transpose", "perm:I=0,3,1,2", NET(&g->n, "Tanh", "", x)));
}

static void transpose_batch(gradient_net *g) {
    pare_value *x = gradient_plain(g, 3, (int64_t[]){-1, gradient_pick(g, 1, 5), 4}, -1, 1);
    gradient_output(g, NET(&g->n, "Transpose", "", x));
    gradient_output(g, NET(&g->n, "Transpose", "perm:I=1,0,2", x));
}

static void slice(gradient_net *g) {
    pare_value *x = front(g, 7, 5, 6);
    gradient_output(g, NET(&g->n, "Slice", "", x, net_ints(&g->n, 2, (int64_t[]){1, -4}),
                           net_ints(&g->n, 2, (int64_t[]){6, 1000}), net_ints(&g->n, 2, (int64_t[]){1, 3}),
                           net_ints(&g->n, 2, (int64_t[]){2, 1})));
    gradient_output(g, NET(&g->n, "Slice", "", x, net_ints(&g->n, 2, (int64_t[]){-1, 4}),
                           net_ints(&g->n, 2, (int64_t[]){-1000, 0}), net_ints(&g->n, 2, (int64_t[]){2, -1}),
                           net_ints(&g->n, 2, (int64_t[]){-1, -3})));
}

static void pad(gradient_net *g) {
    int64_t pads[8] = {0, 1, 2, 0, 0, 2, 1, 3};
    float value = 0.75F;
    pare_shape scalar = {.rank = 0};
    pare_value *x = front(g, 5, 4, 3), *by = net_ints(&g->n, 8, pads);
    gradient_output(g, NET(&g->n, "Pad", "", x, by));
    gradient_output(g, NET(&g->n, "Pad", "mode:s=constant", x, by,
                           pare_graph_add_constant(g->n.graph, "v", PARE_F32, &scalar, &value, sizeof value)));
    gradient_output(g, NET(&g->n, "Pad", "", x, net_ints(&g->n, 4, (int64_t[]){-1, 2, 1, -2}), NULL,
                           net_ints(&g->n, 2, (int64_t[]){2, -1})));
}

static void pad_modes(gradient_net *g) {
    pare_value *x = front(g, 5, 4, 5), *by = net_ints(&g->n, 8, (int64_t[]){0, 1, 2, 0, 0, 2, 1, 3});
    gradient_output(g, NET(&g->n, "Pad", "mode:s=reflect", x, by));
    gradient_output(g, NET(&g->n, "Pad", "mode:s=edge", x, by));
    gradient_output(g, NET(&g->n, "Pad", "mode:s=wrap", x, by));
}

static void depth_to_space(gradient_net *g) {
    pare_value *x = front(g, 12, 3, 2);
    gradient_output(g, NET(&g->n, "DepthToSpace", "blocksize:i=2", x));
    gradient_output(g, NET(&g->n, "DepthToSpace", "blocksize:i=2 mode:s=CRD", x));
}

static void space_to_depth(gradient_net *g) {
    gradient_output(g, NET(&g->n, "SpaceToDepth", "blocksize:i=2", front(g, 3, 4, 6)));
}

static void expand(gradient_net *g) {
    pare_value *x = gradient_plain(g, 4, (int64_t[]){-1, 3, 1, 4}, -1, 1);
    gradient_output(g, NET(&g->n, "Expand", "", x, net_ints(&g->n, 3, (int64_t[]){1, 5, 1})));
    pare_value *vector = gradient_plain(g, 1, (int64_t[]){4}, -1, 1);
    gradient_output(g, NET(&g->n, "Expand", "", vector, net_ints(&g->n, 3, (int64_t[]){2, 3, 4})));
}

static void tile(gradient_net *g) {
    pare_value *x = front(g, 3, 2, 4);
    gradient_output(g, NET(&g->n, "Tile", "", x, net_ints(&g->n, 4, (int64_t[]){1, 2, 3, 1})));
}

static void split(gradient_net *g) {
    pare_value *x = front(g, 7, 3, 4), *parts[3];
    for (int i = 0; i < 3; i++) {
        parts[i] = pare_graph_add_value(g->n.graph, "part", PARE_F32, NULL);
    }
    graph_add(g->n.graph, "Split", "axis:i=1", (pare_value *[]){x, net_ints(&g->n, 3, (int64_t[]){2, 1, 4})}, 2, parts,
              3);
    pare_value *halves[2] = {pare_graph_add_value(g->n.graph, "half", PARE_F32, NULL),
                             pare_graph_add_value(g->n.graph, "half", PARE_F32, NULL)};
    graph_add(g->n.graph, "Split", "axis:i=-1 num_outputs:i=2", &x, 1, halves, 2);
    for (int i = 0; i < 5; i++) {
        gradient_output(g, i < 3 ? parts[i] : halves[i - 3]);
    }
}

/* One part is read twice, one by nobody. */
static void split_unread(gradient_net *g) {
    pare_error error = {0};
    pare_value *x = front(g, 7, 3, 4), *parts[3];
    for (int i = 0; i < 3; i++) {
        parts[i] = pare_graph_add_value(g->n.graph, "part", PARE_F32, NULL);
    }
    graph_add(g->n.graph, "Split", "axis:i=1", (pare_value *[]){x, net_ints(&g->n, 3, (int64_t[]){2, 3, 2})}, 2, parts,
              3);
    assert_ok(pare_graph_infer(g->n.graph, &error), &error);
    gradient_output(g, NET(&g->n, "Add", "", NET(&g->n, "Relu", "", parts[0]), parts[2]));
    gradient_output(g, NET(&g->n, "Sigmoid", "", parts[2]));
}

static void gather(gradient_net *g) {
    pare_value *x = front(g, 7, 3, 4);
    gradient_output(g, NET(&g->n, "Gather", "axis:i=1", x, net_ints(&g->n, 4, (int64_t[]){6, -1, 0, 6})));
    gradient_output(g, NET(&g->n, "Gather", "axis:i=-1", x, net_ints(&g->n, 2, (int64_t[]){2, 0})));
}

static void resize_nearest(gradient_net *g) {
    pare_value *x = front(g, 5, 3, 4), *none = NULL;
    float scales[4] = {1, 1, 2, 2}, uneven[4] = {1, 1, 1.5F, 0.6F};
    pare_shape four = {.rank = 1, .dims = {4}};
    gradient_output(g, NET(&g->n, "Resize", "mode:s=nearest", x, none,
                           pare_graph_add_constant(g->n.graph, "s", PARE_F32, &four, scales, sizeof scales)));
    gradient_output(g, NET(&g->n, "Resize", "coordinate_transformation_mode:s=asymmetric nearest_mode:s=floor", x, none,
                           pare_graph_add_constant(g->n.graph, "s", PARE_F32, &four, scales, sizeof scales)));
    gradient_output(g, NET(&g->n, "Resize",
                           "coordinate_transformation_mode:s=align_corners nearest_mode:s=round_prefer_ceil", x, none,
                           pare_graph_add_constant(g->n.graph, "s", PARE_F32, &four, uneven, sizeof uneven)));
}

static const gradient_case cases[] = {
    {.op = "Reshape", .what = "of blocked channels", .build = reshape, .parameters = 2},
    {.op = "Reshape", .what = "overwritten", .build = reshape_overwritten, .parameters = 3},
    {.op = "Reshape", .what = "of what others read", .build = reshape_of_shared, .parameters = 3},
    {.op = "Flatten", .what = "three axes", .build = flatten, .parameters = 2},
    {.op = "Squeeze", .what = "blocked", .build = squeeze, .parameters = 2},
    {.op = "Unsqueeze", .what = "blocked", .build = unsqueeze, .parameters = 2},
    {.op = "Identity", .what = "two in a row", .build = identity, .parameters = 2},
    {.op = "Transpose", .what = "channels last and back", .build = transpose, .parameters = 2},
    {.op = "Transpose", .what = "the batch", .build = transpose_batch, .parameters = 2},
    {.op = "Slice", .what = "both directions", .build = slice, .parameters = 2},
    {.op = "Pad", .what = "constant, and cropping", .build = pad, .parameters = 2},
    {.op = "Pad", .what = "reflect, edge, wrap", .build = pad_modes, .parameters = 2},
    {.op = "DepthToSpace", .what = "both modes", .build = depth_to_space, .parameters = 2},
    {.op = "SpaceToDepth", .what = "blocks of two", .build = space_to_depth, .parameters = 2},
    {.op = "Expand", .what = "an axis, and new axes", .build = expand, .parameters = 4},
    {.op = "Tile", .what = "two axes", .build = tile, .parameters = 2},
    {.op = "Split", .what = "given and equal parts", .build = split, .parameters = 2},
    {.op = "Split", .what = "a part that nobody reads", .build = split_unread, .parameters = 2},
    {.op = "Gather", .what = "constant indices, some twice", .build = gather, .parameters = 2},
    {.op = "Resize", .what = "nearest", .build = resize_nearest, .parameters = 2},
};

GRADIENT_MAIN(cases)
