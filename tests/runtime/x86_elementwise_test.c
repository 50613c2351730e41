/* The x86 kernels that work element by element give the reference kernels' bytes. */
#include <math.h>

#include "x86_case.h"

#include "kernels/reference.h"
#include "x86/x86_kernels.h"

#if defined(__x86_64__)

static pare_shape random_shape(void) {
    if (case_random(2)) {
        return case_shape(2, case_between(1, 9), case_between(1, 70), 0, 0);
    }
    return case_shape(4, case_between(1, 3), case_between(1, 20), case_between(1, 30), case_between(1, 30));
}

static void binary_agrees(void **state) {
    (void)state;
    for (int i = 0; i < 300; i++) {
        x86_case test = {.opcode = PARE_OP_BINARY, .input_count = 2};
        pare_shape shape = i < 6 ? case_shape(4, 1, 64, 40, 40) : random_shape();
        for (size_t k = 0; k < 2; k++) {
            case_quant(&test, k, 1, 0.001F, 0.05F, case_between(0, 255));
            case_input(&test, k, PARE_U8, shape, false, (case_values)(i % 2));
        }
        case_quant(&test, 5, 1, i % 7 ? 0.005F : 1e-8F, 0.05F, case_between(0, 255));
        test.output.present = true;
        test.output.dtype = PARE_U8;
        test.output.shape = shape;
        test.attrs.binary = (pare_binary_attrs){i % 3, {case_between(0, 2), -0.5F, 1.5F}};
        assert_true(case_agrees(&test, &pare_reference_binary, &pare_x86_binary, case_isa(), "binary"));
        assert_null(case_run(&test, &pare_x86_binary, PARE_ISA_SCALAR, 1));
        case_free(&test);
    }
}

static void binary_declines_broadcasting(void **state) {
    (void)state;
    x86_case test = {.opcode = PARE_OP_BINARY, .input_count = 2};
    case_quant(&test, 0, 1, 0.01F, 0.02F, 3);
    case_quant(&test, 1, 1, 0.01F, 0.02F, 3);
    case_quant(&test, 5, 1, 0.01F, 0.02F, 3);
    case_input(&test, 0, PARE_U8, case_shape(2, 4, 8, 0, 0), false, CASE_ALL);
    case_input(&test, 1, PARE_U8, case_shape(2, 1, 8, 0, 0), false, CASE_ALL);
    test.output.present = true;
    test.output.dtype = PARE_U8;
    test.output.shape = case_shape(2, 4, 8, 0, 0);
    assert_null(case_run(&test, &pare_x86_binary, PARE_ISA_AVX2, 1));
    case_free(&test);
}

static void unary_agrees(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        x86_case test = {.opcode = PARE_OP_UNARY, .input_count = 2};
        pare_shape shape = i < 2 ? case_shape(4, 1, 64, 40, 40) : random_shape();
        case_quant(&test, 0, 1, 0.001F, 0.05F, case_between(0, 255));
        case_quant(&test, 5, 1, 0.001F, 0.05F, case_between(0, 255));
        case_input(&test, 0, PARE_U8, shape, false, CASE_ALL);
        case_input(&test, 1, PARE_U8, case_shape(1, 256, 0, 0, 0), true, CASE_ALL);
        test.output.present = true;
        test.output.dtype = PARE_U8;
        test.output.shape = shape;
        test.attrs.unary.function.function = PARE_FN_SIGMOID;
        assert_true(case_agrees(&test, &pare_reference_unary, &pare_x86_unary, case_isa(), "unary"));
        case_free(&test);
    }
}

static void quantize_agrees(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++) {
        x86_case test = {.opcode = PARE_OP_QUANTIZE, .input_count = 1};
        pare_shape shape = case_shape(4, case_between(1, 3), 3, case_between(1, 60), case_between(1, 60));
        case_quant(&test, 5, 1, 0.001F, 0.05F, case_between(0, 255));
        case_input(&test, 0, PARE_F32, shape, false, CASE_ALL);
        float *x = test.data[0];
        x[0] = NAN;
        x[1] = INFINITY;
        x[2] = -INFINITY;
        x[shape.dims[2]] = 3e38F;
        test.output.present = true;
        test.output.dtype = PARE_U8;
        test.output.shape = shape;
        assert_true(case_agrees(&test, &pare_reference_quantize, &pare_x86_quantize, case_isa(), "quantize"));
        case_free(&test);
    }
}

int main(void) {
    if (case_isa() == PARE_ISA_SCALAR) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_agrees),
        cmocka_unit_test(binary_declines_broadcasting),
        cmocka_unit_test(unary_agrees),
        cmocka_unit_test(quantize_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else
int main(void) {
    return 77;
}
#endif
