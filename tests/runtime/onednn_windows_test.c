#include "onednn_case.h"

static uint32_t add_conv(net *n, uint32_t x, int64_t channels, int64_t outputs) {
    pare_conv_attrs attrs = {.stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .groups = 1};
    uint32_t inputs[2] = {x, net_constant(n, SHAPE(outputs, channels, 1, 1), 0.4f)};
    return net_node(n, PARE_OP_CONV, &attrs, inputs, 2, 1, NULL);
}

static void test_pool(void **state) {
    (void)state;
    static const struct {
        int32_t kernel, stride, dilation, pads[4], ceil_mode;
    } cases[] = {{2, 2, 1, {0, 0, 0, 0}, 0}, {3, 2, 1, {1, 1, 1, 1}, 0}, {3, 2, 1, {0, 0, 0, 0}, 1},
                 {3, 1, 1, {1, 0, 2, 1}, 0}, {3, 1, 2, {0, 0, 0, 0}, 0}, {11, 1, 1, {0, 0, 0, 0}, 0},
                 {2, 2, 1, {0, 0, 1, 1}, 1}, {3, 3, 1, {1, 1, 1, 1}, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int32_t kind = 0; kind < PARE_POOL_END; kind++) {
            for (int blocked = 0; blocked < 2; blocked++) {
                net n;
                net_begin(&n, 10 * i + (uint64_t)kind);
                pare_pool_attrs attrs = {.kind = kind,
                                         .kernel_h = cases[i].kernel,
                                         .kernel_w = cases[i].kernel,
                                         .stride_h = cases[i].stride,
                                         .stride_w = cases[i].stride,
                                         .dilation_h = cases[i].dilation,
                                         .dilation_w = cases[i].dilation,
                                         .pad_top = cases[i].pads[0],
                                         .pad_left = cases[i].pads[1],
                                         .pad_bottom = cases[i].pads[2],
                                         .pad_right = cases[i].pads[3],
                                         .ceil_mode = cases[i].ceil_mode};
                uint32_t x = net_input(&n, SHAPE(-1, 5, 11, 12));
                x = blocked ? add_conv(&n, x, 5, 19) : x;
                net_output(&n, net_unary_node(&n, PARE_OP_POOL, &attrs, x));
                net_finish(&n);
            }
        }
    }
}

static void test_softmax(void **state) {
    (void)state;
    for (int32_t axis = 0; axis < 4; axis++) {
        for (int32_t logarithm = 0; logarithm < 2; logarithm++) {
            net n;
            net_begin(&n, (uint64_t)(100 + 2 * axis + logarithm));
            pare_softmax_attrs attrs = {.axis = axis, .logarithm = logarithm};
            net_output(&n, net_unary_node(&n, PARE_OP_SOFTMAX, &attrs, net_input(&n, SHAPE(-1, 10, 3, 7))));
            n.expected = axis == 3 ? "onednn_softmax" : NULL;
            net_finish(&n);
        }
    }
}

static void test_layer_norm(void **state) {
    (void)state;
    for (int32_t axis = 1; axis < 3; axis++) {
        for (uint32_t count = 2; count < 4; count++) {
            net n;
            net_begin(&n, 200 + count);
            pare_norm_attrs attrs = {.axis = axis, .epsilon = 1e-5f};
            pare_shape row = axis == 1 ? SHAPE(6, 33) : SHAPE(33);
            uint32_t inputs[3] = {net_input(&n, SHAPE(-1, 6, 33)), net_constant(&n, row, 1.0f),
                                  net_constant(&n, row, 1.0f)};
            net_output(&n, net_node(&n, PARE_OP_LAYER_NORM, &attrs, inputs, count, 1, NULL));
            n.expected = "onednn_layer_norm";
            net_finish(&n);
        }
    }
}

static void test_lrn(void **state) {
    (void)state;
    for (int32_t size = 3; size < 6; size++) {
        net n;
        net_begin(&n, (uint64_t)(300 + size));
        pare_lrn_attrs attrs = {.size = size, .alpha = 0.3f, .beta = 0.75f, .bias = 1.5f};
        net_output(&n, net_unary_node(&n, PARE_OP_LRN, &attrs, net_input(&n, SHAPE(-1, 20, 5, 6))));
        net_finish(&n);
    }
}

static void resize_case(uint64_t seed, pare_resize_attrs attrs, int64_t height, int64_t width, bool blocked) {
    net n;
    net_begin(&n, seed);
    uint32_t x = net_input(&n, SHAPE(-1, 5, 6, 7));
    x = blocked ? add_conv(&n, x, 5, 19) : x;
    pare_shape shape = SHAPE(-1, blocked ? 19 : 5, height, width);
    uint32_t y;
    attrs.scale_h = (float)height / 6.0f;
    attrs.scale_w = (float)width / 7.0f;
    assert_ok(pare_model_add_tensor(n.builder, "y", PARE_F32, &shape, NULL, NULL, 0, &y, &n.error), &n.error);
    assert_ok(pare_model_add_node(n.builder, "resize", PARE_OP_RESIZE, &x, 1, &y, 1, &attrs, NULL, &n.error), &n.error);
    net_output(&n, y);
    net_finish(&n);
}

static void test_resize(void **state) {
    (void)state;
    for (int32_t mode = PARE_RESIZE_NEAREST; mode <= PARE_RESIZE_LINEAR; mode++) {
        for (int32_t coordinate = 0; coordinate < PARE_RESIZE_COORDINATE_END; coordinate++) {
            for (int32_t rounding = 0; rounding < PARE_ROUND_END; rounding++) {
                pare_resize_attrs attrs = {.mode = mode, .coordinate = coordinate, .rounding = rounding};
                uint64_t seed = (uint64_t)(400 + 100 * mode + 10 * coordinate + rounding);
                resize_case(seed, attrs, 12, 14, false);
                resize_case(seed, attrs, 18, 21, true);
                resize_case(seed, attrs, 9, 5, false);
                resize_case(seed, attrs, 3, 14, true);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool), cmocka_unit_test(test_softmax), cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_lrn),  cmocka_unit_test(test_resize),
    };
    return net_skip() ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
