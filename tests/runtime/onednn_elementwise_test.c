#include "onednn_case.h"

/* A convolution in front puts its output into the layout that oneDNN likes. */
static uint32_t add_conv(net *n, uint32_t x, int64_t channels, int64_t outputs) {
    pare_conv_attrs attrs = {.stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .groups = 1};
    uint32_t inputs[2] = {x, net_constant(n, SHAPE(outputs, channels, 1, 1), 0.4f)};
    return net_node(n, PARE_OP_CONV, &attrs, inputs, 2, 1, NULL);
}

static void test_functions(void **state) {
    (void)state;
    for (int32_t function = PARE_FN_RELU; function < PARE_FN_END; function++) {
        net n;
        if (function == PARE_FN_NOT) {
            continue;
        }
        net_begin(&n, (uint64_t)function);
        pare_unary_attrs attrs = {{function, 0.4f, 0.9f}};
        uint32_t x = net_input(&n, SHAPE(-1, 3, 7, 9));
        if (function == PARE_FN_LOG || function == PARE_FN_SQRT || function == PARE_FN_RECIPROCAL) {
            pare_unary_attrs positive = {{PARE_FN_EXP, 0.0f, 0.0f}};
            x = net_unary_node(&n, PARE_OP_UNARY, &positive, x);
        }
        net_output(&n, net_unary_node(&n, PARE_OP_UNARY, &attrs, x));
        n.tolerance = 2e-5;
        net_finish(&n);
    }
}

static void test_binary_of_equal_shapes(void **state) {
    (void)state;
    for (int32_t kind = PARE_BINARY_ADD; kind <= PARE_BINARY_MAX; kind++) {
        net n;
        if (kind == PARE_BINARY_DIV || kind == PARE_BINARY_POW) {
            continue;
        }
        net_begin(&n, (uint64_t)(100 + kind));
        pare_binary_attrs attrs = {.kind = kind, .activation = {PARE_FN_RELU, 0.0f, 0.0f}};
        uint32_t x = net_input(&n, SHAPE(-1, 4, 6, 6));
        uint32_t both[2] = {add_conv(&n, x, 4, 19), add_conv(&n, x, 4, 19)};
        uint32_t y = net_node(&n, PARE_OP_BINARY, &attrs, both, 2, 1, NULL);
        uint32_t again[2] = {y, both[0]};
        net_output(&n, net_node(&n, PARE_OP_BINARY, &attrs, again, 2, 1, NULL));
        n.expected = "onednn_binary";
        net_finish(&n);
    }
}

static void test_binary_broadcasts(void **state) {
    (void)state;
    const pare_shape others[] = {SHAPE(1),           SHAPE(1, 19, 1, 1), SHAPE(19, 1, 1),    SHAPE(6),
                                 SHAPE(6, 6),        SHAPE(1, 1, 6, 6),  SHAPE(1, 19, 6, 6), SHAPE(1, 1, 1, 1),
                                 SHAPE(1, 19, 1, 6), SHAPE(19, 6, 1)};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        for (int turned = 0; turned < 2; turned++) {
            for (int32_t kind = PARE_BINARY_ADD; kind <= PARE_BINARY_MUL; kind++) {
                net n;
                net_begin(&n, 200 + i);
                pare_binary_attrs attrs = {.kind = kind};
                uint32_t x = add_conv(&n, net_input(&n, SHAPE(-1, 4, 6, 6)), 4, 19);
                uint32_t b = net_constant(&n, others[i], 1.0f);
                uint32_t both[2] = {turned ? b : x, turned ? x : b};
                uint32_t y = net_node(&n, PARE_OP_BINARY, &attrs, both, 2, 1, NULL);
                net_output(&n, add_conv(&n, y, 19, 3));
                net_finish(&n);
            }
        }
    }
}

/* The scale of a squeeze-and-excitation block: one value a sample and channel. */
static void test_binary_of_a_sample(void **state) {
    (void)state;
    net n;
    net_begin(&n, 300);
    pare_binary_attrs attrs = {.kind = PARE_BINARY_MUL};
    uint32_t x = add_conv(&n, net_input(&n, SHAPE(-1, 4, 6, 6)), 4, 32);
    uint32_t both[2] = {x, net_input(&n, SHAPE(-1, 32, 1, 1))};
    net_output(&n, add_conv(&n, net_node(&n, PARE_OP_BINARY, &attrs, both, 2, 1, NULL), 32, 3));
    net_finish(&n);
}

static void test_concat(void **state) {
    (void)state;
    static const int64_t widths[][2] = {{16, 32}, {16, 20}, {5, 7}, {64, 64}};
    for (size_t i = 0; i < 4; i++) {
        net n;
        net_begin(&n, 400 + i);
        pare_axis_attrs attrs = {.axis = 1};
        uint32_t x = net_input(&n, SHAPE(-1, 4, 6, 6));
        uint32_t parts[3] = {add_conv(&n, x, 4, widths[i][0]), add_conv(&n, x, 4, widths[i][1]), 0};
        parts[2] = parts[0];
        uint32_t y = net_node(&n, PARE_OP_CONCAT, &attrs, parts, 3, 1, NULL);
        net_output(&n, add_conv(&n, y, 2 * widths[i][0] + widths[i][1], 8));
        net_finish(&n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_binary_of_equal_shapes),
        cmocka_unit_test(test_binary_broadcasts),
        cmocka_unit_test(test_binary_of_a_sample),
        cmocka_unit_test(test_concat),
    };
    return net_skip() ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
