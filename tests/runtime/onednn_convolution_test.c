#include "onednn_case.h"

typedef struct conv_case {
    int64_t channels, height, width, outputs, kernel_h, kernel_w;
    int32_t stride, dilation, pads[4], groups;
} conv_case;

static const conv_case shapes[] = {
    {3, 17, 19, 16, 3, 3, 1, 1, {1, 1, 1, 1}, 1},  {3, 20, 20, 24, 3, 3, 2, 1, {0, 0, 1, 1}, 1},
    {1, 28, 28, 6, 5, 5, 1, 1, {2, 2, 2, 2}, 1},   {16, 9, 9, 16, 3, 3, 1, 1, {1, 1, 1, 1}, 1},
    {16, 9, 9, 32, 3, 3, 2, 1, {1, 1, 1, 1}, 1},   {32, 7, 7, 48, 1, 1, 1, 1, {0, 0, 0, 0}, 1},
    {20, 7, 5, 10, 1, 1, 2, 1, {0, 0, 0, 0}, 1},   {5, 11, 13, 7, 3, 2, 1, 1, {2, 0, 1, 1}, 1},
    {32, 9, 9, 32, 3, 3, 1, 1, {1, 1, 1, 1}, 32},  {24, 9, 9, 24, 3, 3, 2, 1, {1, 1, 1, 1}, 24},
    {5, 8, 8, 5, 3, 3, 1, 1, {1, 1, 1, 1}, 5},     {8, 9, 9, 16, 3, 3, 1, 1, {1, 1, 1, 1}, 8},
    {32, 6, 6, 64, 3, 3, 1, 1, {1, 1, 1, 1}, 2},   {12, 6, 6, 9, 3, 3, 1, 1, {1, 1, 1, 1}, 3},
    {16, 12, 12, 16, 3, 3, 1, 2, {2, 2, 2, 2}, 1}, {4, 12, 12, 8, 3, 3, 1, 3, {0, 1, 2, 3}, 1},
    {16, 1, 40, 8, 1, 9, 2, 1, {0, 4, 0, 4}, 1},   {64, 1, 1, 10, 1, 1, 1, 1, {0, 0, 0, 0}, 1},
    {160, 7, 7, 80, 1, 1, 1, 1, {0, 0, 0, 0}, 1},  {64, 8, 8, 64, 3, 3, 1, 1, {1, 1, 1, 1}, 1},
    {1, 49, 10, 64, 10, 4, 2, 1, {4, 1, 5, 1}, 1},
};

static const pare_activation activations[] = {
    {PARE_FN_IDENTITY, 0.0f, 0.0f}, {PARE_FN_RELU, 0.0f, 0.0f},       {PARE_FN_CLIP, 0.0f, 1.0f},
    {PARE_FN_LEAKY_RELU, 0.1f, 0},  {PARE_FN_ELU, 0.7f, 0.0f},        {PARE_FN_SIGMOID, 0.0f, 0.0f},
    {PARE_FN_TANH, 0.0f, 0.0f},     {PARE_FN_HARD_SWISH, 0.0f, 0.0f}, {PARE_FN_SILU, 0.0f, 0.0f},
    {PARE_FN_GELU, 0.0f, 0.0f},     {PARE_FN_GELU_TANH, 0.0f, 0.0f},  {PARE_FN_SELU, 1.67f, 1.05f},
};
#define ACTIVATIONS (sizeof activations / sizeof activations[0])

static pare_conv_attrs attrs_of(const conv_case *c, pare_activation activation) {
    return (pare_conv_attrs){.stride_h = c->stride,
                             .stride_w = c->stride,
                             .dilation_h = c->dilation,
                             .dilation_w = c->dilation,
                             .pad_top = c->pads[0],
                             .pad_left = c->pads[1],
                             .pad_bottom = c->pads[2],
                             .pad_right = c->pads[3],
                             .groups = c->groups,
                             .activation = activation};
}

static uint32_t add_conv(net *n, const conv_case *c, uint32_t x, bool bias, uint32_t residual,
                         const pare_conv_attrs *attrs) {
    float scale = sqrtf(3.0f / (float)(c->channels / c->groups * c->kernel_h * c->kernel_w));
    uint32_t inputs[4] = {x,
                          net_constant(n, SHAPE(c->outputs, c->channels / c->groups, c->kernel_h, c->kernel_w), scale),
                          bias ? net_constant(n, SHAPE(c->outputs), 0.5f) : PARE_NONE, residual};
    return net_node(n, PARE_OP_CONV, attrs, inputs, residual == PARE_NONE ? 3 : 4, 1, NULL);
}

static void test_shapes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        net n;
        net_begin(&n, 100 + i);
        pare_conv_attrs attrs = attrs_of(&shapes[i], activations[i % 3]);
        uint32_t x = net_input(&n, SHAPE(-1, shapes[i].channels, shapes[i].height, shapes[i].width));
        net_output(&n, add_conv(&n, &shapes[i], x, i % 4 != 0, PARE_NONE, &attrs));
        n.expected = "onednn_convolution";
        net_finish(&n);
    }
}

static void test_activations(void **state) {
    (void)state;
    static const conv_case c = {16, 8, 8, 20, 3, 3, 1, 1, {1, 1, 1, 1}, 1};
    for (size_t i = 0; i < ACTIVATIONS; i++) {
        net n;
        net_begin(&n, 200 + i);
        pare_conv_attrs attrs = attrs_of(&c, activations[i]);
        net_output(&n, add_conv(&n, &c, net_input(&n, SHAPE(-1, 16, 8, 8)), true, PARE_NONE, &attrs));
        n.expected = activations[i].function == PARE_FN_SELU ? "reference_conv" : "onednn_convolution";
        net_finish(&n);
    }
}

/* Blocks of a residual network: the residual lies as a convolution left it, and outlives the node or not. */
static void test_residuals(void **state) {
    (void)state;
    static const int64_t widths[] = {16, 20, 64};
    for (size_t i = 0; i < 3; i++) {
        for (size_t inner = 0; inner < 2; inner++) {
            conv_case c = {widths[i], 10, 10, widths[i], 3, 3, 1, 1, {1, 1, 1, 1}, 1};
            conv_case first = c;
            first.channels = 3;
            net n;
            net_begin(&n, 300 + 2 * i + inner);
            pare_conv_attrs attrs = attrs_of(&c, activations[1]);
            uint32_t x = net_input(&n, SHAPE(-1, 3, 10, 10));
            uint32_t a = add_conv(&n, &first, x, true, PARE_NONE, &attrs);
            uint32_t b = add_conv(&n, &c, a, true, PARE_NONE, &attrs);
            attrs.inner_activation = activations[inner == 0 ? 0 : 1];
            uint32_t y = add_conv(&n, &c, b, true, a, &attrs);
            attrs.activation = activations[0];
            uint32_t z = add_conv(&n, &c, y, false, y, &attrs);
            net_output(&n, add_conv(&n, &c, z, true, a, &attrs));
            n.expected = "onednn_convolution";
            n.unwanted = "reference_conv";
            net_finish(&n);
        }
    }
}

/* Odd channel counts: what pads a block must stay out of the sums. */
static void test_padding_channels(void **state) {
    (void)state;
    static const conv_case first = {3, 12, 12, 5, 3, 3, 1, 1, {1, 1, 1, 1}, 1};
    static const conv_case second = {5, 12, 12, 21, 3, 3, 1, 1, {1, 1, 1, 1}, 1};
    static const conv_case third = {21, 12, 12, 7, 1, 1, 1, 1, {0, 0, 0, 0}, 1};
    net n;
    net_begin(&n, 400);
    pare_conv_attrs attrs = attrs_of(&first, activations[5]); /* sigmoid(0) is not 0 */
    uint32_t x = net_input(&n, SHAPE(-1, 3, 12, 12));
    uint32_t a = add_conv(&n, &first, x, true, PARE_NONE, &attrs);
    pare_unary_attrs sigmoid = {activations[5]};
    uint32_t b = net_unary_node(&n, PARE_OP_UNARY, &sigmoid, a);
    uint32_t c = add_conv(&n, &second, b, true, PARE_NONE, &attrs);
    pare_conv_attrs plain = attrs_of(&third, activations[0]);
    net_output(&n, add_conv(&n, &third, c, true, PARE_NONE, &plain));
    net_finish(&n);
}

static void test_transposed(void **state) {
    (void)state;
    static const struct {
        int64_t channels, outputs, kernel;
        int32_t stride, pad, output_pad, groups;
        size_t activation;
    } cases[] = {{16, 8, 2, 2, 0, 0, 1, 0},  {8, 16, 3, 2, 1, 1, 1, 1}, {6, 4, 3, 1, 1, 0, 2, 0},
                 {32, 16, 4, 2, 1, 0, 1, 1}, {5, 7, 3, 3, 0, 0, 1, 2},  {16, 1, 8, 8, 0, 0, 16, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net n;
        net_begin(&n, 500 + i);
        pare_conv_attrs attrs = {.stride_h = cases[i].stride,
                                 .stride_w = cases[i].stride,
                                 .dilation_h = 1,
                                 .dilation_w = 1,
                                 .pad_top = cases[i].pad,
                                 .pad_left = cases[i].pad,
                                 .pad_bottom = cases[i].pad,
                                 .pad_right = cases[i].pad,
                                 .groups = cases[i].groups,
                                 .output_pad_h = cases[i].output_pad,
                                 .output_pad_w = cases[i].output_pad,
                                 .activation = activations[cases[i].activation]};
        uint32_t inputs[3] = {
            net_input(&n, SHAPE(-1, cases[i].channels, 5, 6)),
            net_constant(&n, SHAPE(cases[i].channels, cases[i].outputs, cases[i].kernel, cases[i].kernel), 0.3f),
            net_constant(&n, SHAPE(cases[i].outputs * cases[i].groups), 0.5f)};
        net_output(&n, net_node(&n, PARE_OP_CONV_TRANSPOSE, &attrs, inputs, 3, 1, NULL));
        net_finish(&n);
    }
}

/* Whichever allocation fails, the session is refused and nothing stays behind. */
static void test_failed_allocations(void **state) {
    (void)state;
    static const conv_case c = {16, 8, 8, 20, 3, 3, 1, 1, {1, 1, 1, 1}, 1};
    net n;
    net_begin(&n, 600);
    pare_conv_attrs attrs = attrs_of(&c, activations[1]);
    pare_model *model;
    net_output(&n, add_conv(&n, &c, net_input(&n, SHAPE(-1, 16, 8, 8)), true, PARE_NONE, &attrs));
    assert_ok(pare_model_finish(n.builder, &model, &n.error), &n.error);
    size_t before = pare_memory_used(), failures = 0;
    pare_status status = PARE_LIMIT;
    while (status != PARE_OK) {
        pare_session *session = NULL;
        pare_memory_fail_at(++failures, false);
        status = pare_session_create(model, NULL, &session, &n.error);
        pare_memory_fail_at(0, false);
        assert_true(status == PARE_OK || status == PARE_LIMIT);
        pare_session_free(session);
        assert_int_equal(pare_memory_used(), before);
    }
    assert_true(failures > 4); /* step, weights, bias, and what the planner needs */
    pare_model_release(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),     cmocka_unit_test(test_activations),
        cmocka_unit_test(test_residuals),  cmocka_unit_test(test_padding_channels),
        cmocka_unit_test(test_transposed), cmocka_unit_test(test_failed_allocations),
    };
    return net_skip() ? 77 : cmocka_run_group_tests(tests, NULL, NULL);
}
