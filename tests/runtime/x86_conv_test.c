/* The x86 convolutions and products give the reference kernels' bytes. */
#include "x86_case.h"

#include "kernels/reference.h"
#include "x86/x86_kernels.h"

#if defined(__x86_64__)

typedef struct conv_shape {
    int n, c, h, w, o, k_h, k_w, stride, dilation, groups;
    int pad[4]; /* top, left, bottom, right */
} conv_shape;

static void make_conv(x86_case *test, const conv_shape *s, bool residual, bool bias, case_values values) {
    memset(test, 0, sizeof *test);
    test->opcode = PARE_OP_CONV;
    int64_t out_h = pare_window_extent(s->h, s->k_h, s->stride, s->dilation, s->pad[0], s->pad[2], false);
    int64_t out_w = pare_window_extent(s->w, s->k_w, s->stride, s->dilation, s->pad[1], s->pad[3], false);
    assert_true(out_h > 0 && out_w > 0);
    int32_t zero = case_random(3) == 0 ? 0 : case_random(3) == 0 ? 255 : case_between(0, 255);
    case_quant(test, 0, 1, 0.01F, 0.05F, zero);
    case_quant(test, 1, case_random(3) ? (uint32_t)s->o : 1, 0.001F, 0.01F, 0);
    case_input(test, 0, PARE_U8, case_shape(4, s->n, s->c, s->h, s->w), false, values);
    case_input(test, 1, PARE_S8, case_shape(4, s->o, s->c / s->groups, s->k_h, s->k_w), true, values);
    if (bias) {
        case_input(test, 2, PARE_S32, case_shape(1, s->o, 0, 0, 0), true, CASE_ALL);
    }
    float spread = 0.002F * (float)(s->c / s->groups * s->k_h * s->k_w);
    case_quant(test, 5, 1, spread / 4, spread, case_between(0, 255));
    test->output = (pare_operand){.present = true,
                                  .dtype = PARE_U8,
                                  .shape = case_shape(4, s->n, s->o, out_h, out_w),
                                  .quant = test->output.quant};
    test->attrs.conv = (pare_conv_attrs){.stride_h = s->stride,
                                         .stride_w = s->stride,
                                         .dilation_h = s->dilation,
                                         .dilation_w = s->dilation,
                                         .pad_top = s->pad[0],
                                         .pad_left = s->pad[1],
                                         .pad_bottom = s->pad[2],
                                         .pad_right = s->pad[3],
                                         .groups = s->groups,
                                         .activation = {case_between(0, 2), -0.5F, 1.5F}};
    test->input_count = bias ? 3 : 2;
    if (residual) {
        case_quant(test, 3, 1, spread / 4, spread, case_between(0, 255));
        case_input(test, 3, PARE_U8, test->output.shape, false, values);
        test->attrs.conv.inner_scale = case_float(spread / 4, spread);
        test->attrs.conv.inner_zero = case_between(0, 255);
        test->attrs.conv.inner_activation.function = case_between(0, 1);
        test->input_count = 4;
    }
}

static const pare_kernel *const conv_kernels[] = {&pare_x86_conv_vnni, &pare_x86_conv_maddubs, &pare_x86_conv_exact,
                                                  &pare_x86_depthwise_vnni, &pare_x86_depthwise_avx2};

/* Every kernel that takes the convolution agrees; at least one AVX2 kernel takes it. */
static void check_conv(const conv_shape *s, bool residual, bool bias, case_values values) {
    x86_case test;
    char what[200];
    make_conv(&test, s, residual, bias, values);
    snprintf(what, sizeof what, "x %dx%dx%dx%d w %dx%dx%d s%d d%d g%d pads %d %d %d %d residual %d values %d", s->n,
             s->c, s->h, s->w, s->o, s->k_h, s->k_w, s->stride, s->dilation, s->groups, s->pad[0], s->pad[1], s->pad[2],
             s->pad[3], residual, (int)values);
    bool taken = false;
    for (size_t k = 0; k < sizeof conv_kernels / sizeof *conv_kernels; k++) {
        taken = case_agrees(&test, &pare_reference_conv, conv_kernels[k], case_isa(), what) || taken;
    }
    assert_true(taken);
    for (size_t k = 0; k < sizeof conv_kernels / sizeof *conv_kernels; k++) {
        assert_null(case_run(&test, conv_kernels[k], PARE_ISA_SCALAR, 1));
    }
    case_free(&test);
}

static void random_convolutions_agree(void **state) {
    (void)state;
    static const int channels[] = {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 24, 31, 33, 40, 64, 65};
    for (int i = 0; i < 400; i++) {
        conv_shape s = {.n = case_between(1, 3), .h = case_between(1, 14), .w = case_between(1, 14)};
        s.k_h = case_between(1, 4);
        s.k_w = case_between(1, 4);
        s.stride = case_between(1, 3);
        s.dilation = case_between(1, 2);
        s.groups = case_random(4) ? 1 : case_between(2, 3);
        s.c = channels[case_random(16)] * s.groups;
        s.o = channels[case_random(16)] * s.groups;
        for (int p = 0; p < 4; p++) {
            s.pad[p] = case_between(0, 3);
        }
        if (pare_window_extent(s.h, s.k_h, s.stride, s.dilation, s.pad[0], s.pad[2], false) < 1 ||
            pare_window_extent(s.w, s.k_w, s.stride, s.dilation, s.pad[1], s.pad[3], false) < 1) {
            continue;
        }
        check_conv(&s, case_random(3) == 0, case_random(3) != 0, (case_values)case_random(3));
    }
}

static void pointwise_convolutions_agree(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        conv_shape s = {.n = case_between(1, 2),
                        .h = case_between(1, 9),
                        .w = case_between(1, 9),
                        .k_h = 1,
                        .k_w = 1,
                        .stride = case_between(1, 2),
                        .dilation = 1,
                        .groups = 1};
        s.c = case_between(1, 100);
        s.o = case_between(1, 150);
        check_conv(&s, i % 3 == 0, true, (case_values)(i % 3));
    }
}

static void depthwise_convolutions_agree(void **state) {
    (void)state;
    for (int i = 0; i < 300; i++) {
        conv_shape s = {.n = case_between(1, 2), .h = case_between(3, 20), .w = case_between(3, 20), .dilation = 1};
        bool usual = case_random(3) > 0;
        s.k_h = usual ? 3 : case_between(1, 5);
        s.k_w = usual ? 3 : case_between(1, 5);
        s.stride = case_between(1, 2);
        s.dilation = usual ? 1 : case_between(1, 2);
        s.c = s.o = s.groups = case_random(2) ? case_between(2, 150) : 16 * case_between(1, 8);
        for (int p = 0; p < 4; p++) {
            s.pad[p] = case_between(0, 2);
        }
        if (pare_window_extent(s.h, s.k_h, s.stride, s.dilation, s.pad[0], s.pad[2], false) < 1 ||
            pare_window_extent(s.w, s.k_w, s.stride, s.dilation, s.pad[1], s.pad[3], false) < 1) {
            continue;
        }
        check_conv(&s, case_random(4) == 0, case_random(3) != 0, (case_values)case_random(3));
    }
}

/* Large enough for several bands, several panels and two threads. */
static void large_convolutions_agree(void **state) {
    (void)state;
    static const conv_shape shapes[] = {
        {1, 16, 32, 32, 16, 3, 3, 1, 1, 1, {1, 1, 1, 1}},   {2, 64, 8, 8, 64, 3, 3, 1, 1, 1, {1, 1, 1, 1}},
        {1, 3, 96, 96, 32, 3, 3, 2, 1, 1, {0, 0, 1, 1}},    {1, 3, 64, 64, 40, 7, 7, 2, 1, 1, {3, 3, 3, 3}},
        {1, 128, 7, 7, 200, 3, 3, 1, 1, 1, {1, 1, 1, 1}},   {1, 1, 49, 10, 64, 10, 4, 2, 1, 1, {4, 1, 5, 1}},
        {1, 32, 80, 80, 32, 3, 3, 1, 1, 32, {1, 1, 1, 1}},  {1, 96, 56, 56, 96, 3, 3, 2, 1, 96, {0, 0, 1, 1}},
        {1, 512, 28, 28, 130, 1, 1, 1, 1, 1, {0, 0, 0, 0}}, {1, 300, 3, 3, 1000, 1, 1, 1, 1, 1, {0, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_conv(&shapes[i], i % 2 == 1, true, CASE_EXTREME);
        check_conv(&shapes[i], i % 2 == 0, true, CASE_ALL);
    }
}

static void make_product(x86_case *test, int m, int k, int o, case_values values) {
    memset(test, 0, sizeof *test);
    test->opcode = PARE_OP_FULLY_CONNECTED;
    case_quant(test, 0, 1, 0.01F, 0.05F, case_between(0, 255));
    case_quant(test, 1, case_random(2) ? (uint32_t)o : 1, 0.001F, 0.01F, 0);
    case_input(test, 0, PARE_U8, case_shape(2, m, k, 0, 0), false, values);
    case_input(test, 1, PARE_S8, case_shape(2, o, k, 0, 0), true, values);
    case_input(test, 2, PARE_S32, case_shape(1, o, 0, 0, 0), true, values);
    case_quant(test, 5, 1, 0.001F * (float)k, 0.002F * (float)k, case_between(0, 255));
    test->output = (pare_operand){
        .present = true, .dtype = PARE_U8, .shape = case_shape(2, m, o, 0, 0), .quant = test->output.quant};
    test->attrs.fc.activation = (pare_activation){case_between(0, 2), -0.5F, 1.5F};
    test->input_count = case_random(4) ? 3 : 2;
}

static void products_agree(void **state) {
    (void)state;
    static const pare_kernel *const kernels[] = {&pare_x86_fc_vnni, &pare_x86_fc_maddubs, &pare_x86_fc_exact};
    for (int i = 0; i < 120; i++) {
        x86_case test;
        char what[100];
        int m = case_random(2) ? 1 : case_between(2, 40), k = case_between(1, 300), o = case_between(1, 200);
        if (i % 40 == 0) {
            m = 1 + i / 40, k = 1280, o = 1000;
        }
        make_product(&test, m, k, o, (case_values)(i % 3));
        snprintf(what, sizeof what, "product %dx%d by %d, values %d", m, k, o, i % 3);
        bool taken = false;
        for (size_t j = 0; j < 3; j++) {
            taken = case_agrees(&test, &pare_reference_fully_connected, kernels[j], case_isa(), what) || taken;
        }
        assert_true(taken);
        case_free(&test);
    }
}

/* Weights that could saturate 16 bits never reach the kernel that adds in 16 bits. */
static void saturating_weights_are_widened(void **state) {
    (void)state;
    conv_shape s = {1, 16, 4, 4, 16, 3, 3, 1, 1, 1, {1, 1, 1, 1}};
    x86_case test;
    make_conv(&test, &s, false, true, CASE_EXTREME);
    assert_null(case_run(&test, &pare_x86_conv_maddubs, PARE_ISA_AVX2, 1));
    case_free(&test);
    make_conv(&test, &s, false, true, CASE_SMALL);
    void *result = case_run(&test, &pare_x86_conv_maddubs, PARE_ISA_AVX2, 1);
    assert_non_null(result);
    free(result);
    case_free(&test);
}

int main(void) {
    if (case_isa() == PARE_ISA_SCALAR) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_convolutions_agree),
        cmocka_unit_test(pointwise_convolutions_agree),
        cmocka_unit_test(depthwise_convolutions_agree),
        cmocka_unit_test(large_convolutions_agree),
        cmocka_unit_test(products_agree),
        cmocka_unit_test(saturating_weights_are_widened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else
int main(void) {
    return 77;
}
#endif
