/* Element-wise opcodes, pooling and quantization against small expectations. */
#include "kernel.h"
#include "runtime_case.h"

#define F32(values, ...)                                                                                               \
    { .dtype = PARE_F32, .shape = SHAPE(__VA_ARGS__), .data = (values) }

static void binary(pare_binary_kind kind, case_tensor a, case_tensor b, case_tensor y) {
    pare_binary_attrs attrs = {.kind = (int32_t)kind, .activation = {PARE_FN_IDENTITY, 0, 0}};
    case_check(PARE_OP_BINARY, &attrs, (case_tensor[]){a, b}, 2, &y);
}

static void binary_broadcasts(void **state) {
    (void)state;
    float a[] = {1, 2, 3, 4, 5, 6};
    float row[] = {10, 20, 30};
    float column[] = {100, 200};
    float one[] = {2};
    case_tensor m = F32(a, 2, 3);
    binary(PARE_BINARY_ADD, m, (case_tensor)F32(row, 3), (case_tensor)F32(((float[]){11, 22, 33, 14, 25, 36}), 2, 3));
    binary(PARE_BINARY_SUB, (case_tensor)F32(column, 2, 1), m,
           (case_tensor)F32(((float[]){99, 98, 97, 196, 195, 194}), 2, 3));
    binary(PARE_BINARY_MUL, m, (case_tensor)F32(one, 1), (case_tensor)F32(((float[]){2, 4, 6, 8, 10, 12}), 2, 3));
    binary(PARE_BINARY_DIV, (case_tensor)F32(one, 1), m,
           (case_tensor)F32(((float[]){2, 1, 2.0F / 3, 0.5F, 0.4F, 1.0F / 3}), 2, 3));
    binary(PARE_BINARY_POW, m, (case_tensor)F32(one, 1), (case_tensor)F32(((float[]){1, 4, 9, 16, 25, 36}), 2, 3));
    binary(PARE_BINARY_ADD, (case_tensor)F32(column, 2, 1), (case_tensor)F32(row, 1, 3),
           (case_tensor)F32(((float[]){110, 120, 130, 210, 220, 230}), 2, 3));
    binary(PARE_BINARY_MIN, m, (case_tensor)F32(((float[]){3.5F}), 1),
           (case_tensor)F32(((float[]){1, 2, 3, 3.5F, 3.5F, 3.5F}), 2, 3));
    binary(PARE_BINARY_MAX, m, (case_tensor)F32(((float[]){3.5F}), 1),
           (case_tensor)F32(((float[]){3.5F, 3.5F, 3.5F, 4, 5, 6}), 2, 3));
    binary(PARE_BINARY_PRELU, (case_tensor)F32(((float[]){-1, 2, -3}), 3), (case_tensor)F32(((float[]){0.5F}), 1),
           (case_tensor)F32(((float[]){-0.5F, 2, -1.5F}), 3));
}

static void binary_integers_and_comparisons(void **state) {
    (void)state;
    int64_t a[] = {7, -7, INT64_MIN, 5};
    int64_t b[] = {3, 3, -1, 0};
    case_tensor x = {.dtype = PARE_S64, .shape = SHAPE(4), .data = a};
    case_tensor z = {.dtype = PARE_S64, .shape = SHAPE(4), .data = b};
    case_tensor y = {.dtype = PARE_S64, .shape = SHAPE(4), .data = (int64_t[]){2, -2, INT64_MIN, 0}};
    binary(PARE_BINARY_DIV, x, z, y);
    y.data = (int64_t[]){1, 2, 0, 0};
    binary(PARE_BINARY_MOD, x, z, y);
    case_tensor truth = {.dtype = PARE_BOOL, .shape = SHAPE(4), .data = (uint8_t[]){1, 0, 0, 1}};
    binary(PARE_BINARY_GREATER, x, z, truth);
    case_tensor p = {.dtype = PARE_BOOL, .shape = SHAPE(4), .data = (uint8_t[]){0, 0, 1, 1}};
    case_tensor q = {.dtype = PARE_BOOL, .shape = SHAPE(4), .data = (uint8_t[]){0, 1, 0, 1}};
    truth.data = (uint8_t[]){0, 1, 1, 0};
    binary(PARE_BINARY_XOR, p, q, truth);
}

static void binary_quantized(void **state) {
    (void)state;
    enum { N = 1000 };
    pare_random random;
    pare_random_seed(&random, 3);
    uint8_t *a = random_bytes(&random, N);
    uint8_t *b = random_bytes(&random, N);
    uint8_t add[N];
    uint8_t mul[N];
    for (int i = 0; i < N; i++) {
        volatile float left = (float)(a[i] - 12) * (float)((double)0.1F / (double)0.15F);
        volatile float right = (float)(b[i] - 200) * (float)((double)0.07F / (double)0.15F);
        float sum = rintf(left + right) + 100.0F;
        volatile float product = (float)(a[i] - 12) * (float)(b[i] - 200);
        float scaled = rintf(product * (float)((double)0.1F * (double)0.07F / (double)0.15F)) + 100.0F;
        add[i] = (uint8_t)(sum < 0.0F ? 0.0F : sum > 255.0F ? 255.0F : sum);
        mul[i] = (uint8_t)(scaled < 100.0F ? 100.0F : scaled > 255.0F ? 255.0F : scaled); /* relu */
    }
    case_tensor in[] = {{.dtype = PARE_U8, .shape = SHAPE(2, 5, 10, 10), .data = a, .scale = 0.1F, .zero = 12},
                        {.dtype = PARE_U8, .shape = SHAPE(2, 5, 10, 10), .data = b, .scale = 0.07F, .zero = 200}};
    case_tensor y = {.dtype = PARE_U8, .shape = SHAPE(2, 5, 10, 10), .data = add, .scale = 0.15F, .zero = 100};
    pare_binary_attrs attrs = {.kind = PARE_BINARY_ADD, .activation = {PARE_FN_IDENTITY, 0, 0}};
    case_check(PARE_OP_BINARY, &attrs, in, 2, &y);
    attrs = (pare_binary_attrs){.kind = PARE_BINARY_MUL, .activation = {PARE_FN_RELU, 0, 0}};
    y.data = mul;
    case_check(PARE_OP_BINARY, &attrs, in, 2, &y);
    pare_free(a);
    pare_free(b);
}

static void unary_functions(void **state) {
    (void)state;
    static const struct {
        pare_activation f;
        float y[5];
    } rows[] = {
        {{PARE_FN_RELU, 0, 0}, {0, 0, 0, 0.5F, 3}},
        {{PARE_FN_CLIP, -1, 1}, {-1, -0.5F, 0, 0.5F, 1}},
        {{PARE_FN_LEAKY_RELU, 0.1F, 0}, {-0.2F, -0.05F, 0, 0.5F, 3}},
        {{PARE_FN_ELU, 1, 0}, {-0.86466473F, -0.39346933F, 0, 0.5F, 3}},
        {{PARE_FN_SELU, 1.6732632F, 1.0507009F}, {-1.5201665F, -0.69175816F, 0, 0.52535045F, 3.1521027F}},
        {{PARE_FN_SIGMOID, 0, 0}, {0.11920292F, 0.37754068F, 0.5F, 0.62245935F, 0.95257413F}},
        {{PARE_FN_TANH, 0, 0}, {-0.9640276F, -0.46211717F, 0, 0.46211717F, 0.9950548F}},
        {{PARE_FN_HARD_SIGMOID, 0.2F, 0.5F}, {0.1F, 0.4F, 0.5F, 0.6F, 1}},
        {{PARE_FN_HARD_SWISH, 0, 0}, {-1.0F / 3, -0.20833333F, 0, 0.29166667F, 3}},
        {{PARE_FN_SILU, 0, 0}, {-0.23840584F, -0.18877034F, 0, 0.31122968F, 2.8577223F}},
        {{PARE_FN_GELU, 0, 0}, {-0.04550026F, -0.15426877F, 0, 0.34573123F, 2.9959502F}},
        {{PARE_FN_GELU_TANH, 0, 0}, {-0.04540231F, -0.15428599F, 0, 0.345714F, 2.9963627F}},
        {{PARE_FN_SOFTPLUS, 0, 0}, {0.126928F, 0.47407698F, 0.6931472F, 0.974077F, 3.0485873F}},
        {{PARE_FN_SOFTSIGN, 0, 0}, {-2.0F / 3, -1.0F / 3, 0, 1.0F / 3, 0.75F}},
        {{PARE_FN_MISH, 0, 0}, {-0.25250164F, -0.22074409F, 0, 0.37524524F, 2.9865351F}},
        {{PARE_FN_EXP, 0, 0}, {0.13533528F, 0.60653066F, 1, 1.6487213F, 20.085537F}},
        {{PARE_FN_ABS, 0, 0}, {2, 0.5F, 0, 0.5F, 3}},
        {{PARE_FN_NEG, 0, 0}, {2, 0.5F, 0, -0.5F, -3}},
        {{PARE_FN_ERF, 0, 0}, {-0.9953223F, -0.5204999F, 0, 0.5204999F, 0.9999779F}},
        {{PARE_FN_FLOOR, 0, 0}, {-2, -1, 0, 0, 3}},
        {{PARE_FN_CEIL, 0, 0}, {-2, 0, 0, 1, 3}},
        {{PARE_FN_ROUND, 0, 0}, {-2, 0, 0, 0, 3}},
        {{PARE_FN_SIGN, 0, 0}, {-1, -1, 0, 1, 1}},
        {{PARE_FN_SIN, 0, 0}, {-0.9092974F, -0.47942555F, 0, 0.47942555F, 0.14112F}},
        {{PARE_FN_COS, 0, 0}, {-0.41614684F, 0.87758255F, 1, 0.87758255F, -0.9899925F}},
        {{PARE_FN_TAN, 0, 0}, {2.18504F, -0.5463025F, 0, 0.5463025F, -0.14254655F}},
        {{PARE_FN_THRESHOLDED_RELU, 0.5F, 0}, {0, 0, 0, 0, 3}},
        {{PARE_FN_CELU, 2, 0}, {-1.2642411F, -0.44239843F, 0, 0.5F, 3}},
    };
    float x[] = {-2, -0.5F, 0, 0.5F, 3};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pare_unary_attrs attrs = {.function = rows[i].f};
        case_tensor in = F32(x, 5);
        case_tensor out = F32(rows[i].y, 5);
        case_check(PARE_OP_UNARY, &attrs, &in, 1, &out);
    }
    pare_unary_attrs attrs = {.function = {PARE_FN_SQRT, 0, 0}};
    case_tensor in = F32(((float[]){4, 9, -1}), 3);
    case_tensor out = F32(((float[]){2, 3, NAN}), 3);
    case_check(PARE_OP_UNARY, &attrs, &in, 1, &out);
}

static void unary_table(void **state) {
    (void)state;
    uint8_t table[256];
    uint8_t x[600];
    uint8_t y[600];
    for (int i = 0; i < 256; i++) {
        table[i] = (uint8_t)(i * 7 + 3);
    }
    for (int i = 0; i < 600; i++) {
        x[i] = (uint8_t)(i * 31);
        y[i] = table[x[i]];
    }
    pare_unary_attrs attrs = {.function = {PARE_FN_SIGMOID, 0, 0}};
    case_tensor in[] = {{.dtype = PARE_U8, .shape = SHAPE(2, 3, 10, 10), .data = x, .scale = 0.1F},
                        {.dtype = PARE_U8, .shape = SHAPE(256), .data = table, .constant = 1}};
    case_tensor out = {.dtype = PARE_U8, .shape = SHAPE(2, 3, 10, 10), .data = y, .scale = 0.1F};
    case_check(PARE_OP_UNARY, &attrs, in, 2, &out);
}

static void pools(void **state) {
    (void)state;
    float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    pare_pool_attrs attrs = {.kind = PARE_POOL_MAX,
                             .kernel_h = 2,
                             .kernel_w = 2,
                             .stride_h = 2,
                             .stride_w = 2,
                             .dilation_h = 1,
                             .dilation_w = 1,
                             .pad_top = 1,
                             .pad_left = 1};
    case_tensor in = F32(x, 1, 1, 3, 3);
    case_tensor out = F32(((float[]){1, 3, 7, 9}), 1, 1, 2, 2);
    case_check(PARE_OP_POOL, &attrs, &in, 1, &out);
    attrs.kind = PARE_POOL_AVERAGE;
    out.data = (float[]){1, 2.5F, 5.5F, 7};
    case_check(PARE_OP_POOL, &attrs, &in, 1, &out);
    attrs.kind = PARE_POOL_AVERAGE_WITH_PADDING;
    out.data = (float[]){0.25F, 1.25F, 2.75F, 7};
    case_check(PARE_OP_POOL, &attrs, &in, 1, &out);
}

static void pools_of_integers(void **state) {
    (void)state;
    uint8_t x[] = {10, 20, 30, 40, 50, 60, 70, 80, 91};
    pare_pool_attrs attrs = {.kind = PARE_POOL_AVERAGE,
                             .kernel_h = 3,
                             .kernel_w = 3,
                             .stride_h = 1,
                             .stride_w = 1,
                             .dilation_h = 1,
                             .dilation_w = 1};
    case_tensor in = {.dtype = PARE_U8, .shape = SHAPE(1, 1, 3, 3), .data = x, .scale = 0.2F, .zero = 10};
    /* (451 - 90) / 9 × 2 + 5 */
    case_tensor out = {.dtype = PARE_U8, .shape = SHAPE(1, 1, 1, 1), .data = (uint8_t[]){85}, .scale = 0.1F, .zero = 5};
    case_check(PARE_OP_POOL, &attrs, &in, 1, &out);
    attrs.kind = PARE_POOL_MAX;
    out =
        (case_tensor){.dtype = PARE_U8, .shape = SHAPE(1, 1, 1, 1), .data = (uint8_t[]){91}, .scale = 0.2F, .zero = 10};
    case_check(PARE_OP_POOL, &attrs, &in, 1, &out);
}

/* BADINPUT row 85: what NaN and infinity become in an integer network. */
static void row_85_quantize_nan_and_infinity(void **state) {
    (void)state;
    pare_no_attrs none = {0};
    float x[] = {NAN, INFINITY, -INFINITY, 0.25F, 0.75F, -0.25F, 1e30F, 0};
    uint8_t y[] = {100, 255, 0, 100, 102, 100, 255, 100}; /* halves go to even */
    case_tensor in = F32(x, 1, 2, 2, 2);
    case_tensor out = {.dtype = PARE_U8, .shape = SHAPE(1, 2, 2, 2), .data = y, .scale = 0.5F, .zero = 100};
    case_check(PARE_OP_QUANTIZE, &none, &in, 1, &out);
    int8_t z[] = {-3, 127, -128, -3, -1, -3, 127, -3};
    out = (case_tensor){.dtype = PARE_S8, .shape = SHAPE(1, 2, 2, 2), .data = z, .scale = 0.5F, .zero = -3};
    case_check(PARE_OP_QUANTIZE, &none, &in, 1, &out);
}

static void quantize_images(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 5);
    static const int64_t channels[] = {1, 3, 16, 21};
    pare_no_attrs none = {0};
    for (size_t i = 0; i < 4; i++) {
        size_t count = (size_t)(3 * channels[i] * 40 * 33);
        float *x = random_floats(&random, count);
        uint8_t *y = random_bytes(&random, count);
        float *back = random_floats(&random, count);
        for (size_t k = 0; k < count; k++) {
            float level = rintf(x[k] / 0.0071F) + 128.0F;
            y[k] = (uint8_t)(level < 0.0F ? 0.0F : level > 255.0F ? 255.0F : level);
            back[k] = (float)(y[k] - 128) * 0.0071F;
        }
        case_tensor real = F32(x, 3, channels[i], 40, 33);
        case_tensor bytes = {
            .dtype = PARE_U8, .shape = SHAPE(3, channels[i], 40, 33), .data = y, .scale = 0.0071F, .zero = 128};
        case_check(PARE_OP_QUANTIZE, &none, &real, 1, &bytes);
        real.data = back;
        case_check_all(PARE_OP_DEQUANTIZE, &none, &bytes, 1, &real, 1, 0.0);
        pare_free(x);
        pare_free(y);
        pare_free(back);
    }
}

static void dequantize_per_channel(void **state) {
    (void)state;
    pare_no_attrs none = {0};
    int8_t w[] = {1, -2, 3, 4, -5, 6};
    float scales[] = {0.5F, 2};
    case_tensor in = {.dtype = PARE_S8, .shape = SHAPE(2, 3), .data = w, .scales = scales};
    case_tensor out = F32(((float[]){0.5F, -1, 1.5F, 8, -10, 12}), 2, 3);
    case_check_all(PARE_OP_DEQUANTIZE, &none, &in, 1, &out, 1, 0.0);
    in.constant = 1; /* a constant node, computed while planning */
    case_check_all(PARE_OP_DEQUANTIZE, &none, &in, 1, &out, 1, 0.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_broadcasts), cmocka_unit_test(binary_integers_and_comparisons),
        cmocka_unit_test(binary_quantized),  cmocka_unit_test(unary_functions),
        cmocka_unit_test(unary_table),       cmocka_unit_test(pools),
        cmocka_unit_test(pools_of_integers), cmocka_unit_test(row_85_quantize_nan_and_infinity),
        cmocka_unit_test(quantize_images),   cmocka_unit_test(dequantize_per_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
