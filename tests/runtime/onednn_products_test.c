#include "onednn_case.h"

static void test_fully_connected(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{1, 64, 10}, {7, 640, 128}, {3, 13, 5}, {64, 33, 64}, {1, 1, 1}};
    static const pare_activation activations[] = {
        {PARE_FN_IDENTITY, 0, 0}, {PARE_FN_RELU, 0, 0}, {PARE_FN_GELU, 0, 0}, {PARE_FN_TANH, 0, 0}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t a = 0; a < 4; a++) {
            net n;
            net_begin(&n, 10 * i + a);
            pare_fully_connected_attrs attrs = {activations[a]};
            uint32_t inputs[3] = {net_input(&n, SHAPE(-1, sizes[i][0], sizes[i][1])),
                                  net_constant(&n, SHAPE(sizes[i][2], sizes[i][1]), 0.2f),
                                  net_constant(&n, SHAPE(sizes[i][2]), 0.5f)};
            net_output(&n, net_node(&n, PARE_OP_FULLY_CONNECTED, &attrs, inputs, a == 0 ? 2 : 3, 1, NULL));
            n.expected = "onednn_fully_connected";
            net_finish(&n);
        }
    }
}

static void test_matmul_of_two_activations(void **state) {
    (void)state;
    pare_no_attrs none = {0};
    net n;
    net_begin(&n, 50);
    uint32_t inputs[2] = {net_input(&n, SHAPE(-1, 4, 9, 16)), net_input(&n, SHAPE(-1, 4, 16, 11))};
    net_output(&n, net_node(&n, PARE_OP_MATMUL, &none, inputs, 2, 1, NULL));
    n.expected = "onednn_matmul";
    net_finish(&n);
}

static void test_matmul_broadcasts(void **state) {
    (void)state;
    pare_no_attrs none = {0};
    net n;
    net_begin(&n, 60);
    uint32_t x = net_input(&n, SHAPE(-1, 3, 9, 16));
    uint32_t flat[2] = {x, net_constant(&n, SHAPE(16, 24), 0.3f)};
    uint32_t stacked[2] = {x, net_constant(&n, SHAPE(3, 16, 7), 0.3f)};
    uint32_t single[2] = {net_constant(&n, SHAPE(5, 9), 0.3f), x};
    net_output(&n, net_node(&n, PARE_OP_MATMUL, &none, flat, 2, 1, NULL));
    net_output(&n, net_node(&n, PARE_OP_MATMUL, &none, stacked, 2, 1, NULL));
    net_output(&n, net_node(&n, PARE_OP_MATMUL, &none, single, 2, 1, NULL));
    n.expected = "onednn_matmul";
    net_finish(&n);
}

/* Optional inputs and outputs, both directions. */
static void test_lstm(void **state) {
    (void)state;
    for (int32_t direction = 0; direction < 3; direction++) {
        for (int variant = 0; variant < 4; variant++) {
            net n;
            net_begin(&n, (uint64_t)(70 + 4 * direction + variant));
            int64_t directions = direction == 2 ? 2 : 1, hidden = 12;
            pare_lstm_attrs attrs = {.hidden = (int32_t)hidden, .direction = direction};
            uint32_t inputs[6] = {net_input(&n, SHAPE(6, -1, 9)),
                                  net_constant(&n, SHAPE(directions, 4 * hidden, 9), 0.4f),
                                  net_constant(&n, SHAPE(directions, 4 * hidden, hidden), 0.4f),
                                  variant == 0 ? PARE_NONE : net_constant(&n, SHAPE(directions, 8 * hidden), 0.4f),
                                  PARE_NONE,
                                  PARE_NONE};
            uint32_t outputs[3];
            if (variant >= 2) {
                inputs[4] = net_input(&n, SHAPE(directions, -1, hidden));
                inputs[5] = net_input(&n, SHAPE(directions, -1, hidden));
            }
            uint32_t count = variant % 2 == 0 ? 3 : 1;
            net_node(&n, PARE_OP_LSTM, &attrs, inputs, 6, count, outputs);
            for (uint32_t i = 0; i < count; i++) {
                net_output(&n, outputs[i]);
            }
            net_finish(&n);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fully_connected),
        cmocka_unit_test(test_matmul_of_two_activations),
        cmocka_unit_test(test_matmul_broadcasts),
        cmocka_unit_test(test_lstm),
    };
    return net_skip() ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
