/* Convolutions and fully connected layers against loops written from the definition. */
#include "kernel.h"
#include "runtime_case.h"

typedef struct geometry {
    int64_t n, c, h, w, o, kh, kw;
    pare_conv_attrs a;
    int64_t oh, ow;
} geometry;

static geometry random_geometry(pare_random *random, int depthwise) {
    geometry g = {.a = {.activation = {PARE_FN_IDENTITY, 0, 0}}};
    int32_t groups = depthwise ? 1 + (int32_t)pare_random_below(random, 20) : 1 + (int32_t)pare_random_below(random, 3);
    g.n = 1 + (int64_t)pare_random_below(random, 3);
    g.c = groups * (depthwise ? 1 : 1 + (int64_t)pare_random_below(random, 19));
    g.o = depthwise ? groups : groups * (1 + (int64_t)pare_random_below(random, 9));
    g.kh = 1 + (int64_t)pare_random_below(random, 4);
    g.kw = 1 + (int64_t)pare_random_below(random, 4);
    g.a.stride_h = 1 + (int32_t)pare_random_below(random, 2);
    g.a.stride_w = 1 + (int32_t)pare_random_below(random, 3);
    g.a.dilation_h = 1 + (int32_t)pare_random_below(random, 2);
    g.a.dilation_w = 1 + (int32_t)pare_random_below(random, 2);
    g.a.pad_top = (int32_t)pare_random_below(random, (uint64_t)g.kh);
    g.a.pad_left = (int32_t)pare_random_below(random, (uint64_t)g.kw);
    g.a.pad_bottom = (int32_t)pare_random_below(random, (uint64_t)g.kh);
    g.a.pad_right = (int32_t)pare_random_below(random, (uint64_t)g.kw);
    g.a.groups = groups;
    g.h = (g.kh - 1) * g.a.dilation_h + 1 + (int64_t)pare_random_below(random, 9);
    g.w = (g.kw - 1) * g.a.dilation_w + 1 + (int64_t)pare_random_below(random, 9);
    g.oh = pare_window_extent(g.h, g.kh, g.a.stride_h, g.a.dilation_h, g.a.pad_top, g.a.pad_bottom, false);
    g.ow = pare_window_extent(g.w, g.kw, g.a.stride_w, g.a.dilation_w, g.a.pad_left, g.a.pad_right, false);
    return g;
}

/* Sum over one window; exactly one of the pointer pairs is given. */
static double window_sum(const geometry *g, const float *x, const float *w, const uint8_t *xq, const int8_t *wq,
                         int32_t zero, int64_t n, int64_t o, int64_t oy, int64_t ox) {
    int64_t gc = g->c / g->a.groups;
    int64_t group = o / (g->o / g->a.groups);
    double sum = 0.0;
    for (int64_t c = 0; c < gc; c++) {
        for (int64_t ky = 0; ky < g->kh; ky++) {
            for (int64_t kx = 0; kx < g->kw; kx++) {
                int64_t y = oy * g->a.stride_h - g->a.pad_top + ky * g->a.dilation_h;
                int64_t xx = ox * g->a.stride_w - g->a.pad_left + kx * g->a.dilation_w;
                if (y < 0 || xx < 0 || y >= g->h || xx >= g->w) {
                    continue;
                }
                int64_t at = ((n * g->c + group * gc + c) * g->h + y) * g->w + xx;
                int64_t tap = ((o * gc + c) * g->kh + ky) * g->kw + kx;
                sum += x != NULL ? (double)x[at] * (double)w[tap] : (double)((xq[at] - zero) * wq[tap]);
            }
        }
    }
    return sum;
}

static void float_convolutions(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 11);
    for (int round = 0; round < 60; round++) {
        geometry g = random_geometry(&random, round % 4 == 0);
        int residual = round % 3 == 0;
        size_t outputs = (size_t)(g.n * g.o * g.oh * g.ow);
        float *x = random_floats(&random, (size_t)(g.n * g.c * g.h * g.w));
        float *w = random_floats(&random, (size_t)(g.o * g.c / g.a.groups * g.kh * g.kw));
        float *b = random_floats(&random, (size_t)g.o);
        float *r = random_floats(&random, outputs);
        float *y = random_floats(&random, outputs);
        g.a.activation.function = round % 2 ? PARE_FN_RELU : PARE_FN_IDENTITY;
        for (size_t i = 0; i < outputs; i++) {
            int64_t at = (int64_t)i;
            int64_t o = at / g.ow / g.oh % g.o;
            double sum = window_sum(&g, x, w, NULL, NULL, 0, at / g.ow / g.oh / g.o, o, at / g.ow % g.oh, at % g.ow) +
                         (double)b[o] + (residual ? (double)r[i] : 0.0);
            y[i] = (float)(g.a.activation.function == PARE_FN_RELU && sum < 0.0 ? 0.0 : sum);
        }
        case_tensor in[] = {
            {.dtype = PARE_F32, .shape = SHAPE(g.n, g.c, g.h, g.w), .data = x},
            {.dtype = PARE_F32, .shape = SHAPE(g.o, g.c / g.a.groups, g.kh, g.kw), .data = w, .constant = 1},
            {.dtype = PARE_F32, .shape = SHAPE(g.o), .data = b, .constant = 1},
            {.dtype = PARE_F32, .shape = SHAPE(g.n, g.o, g.oh, g.ow), .data = residual ? r : NULL}};
        case_tensor out = {.dtype = PARE_F32, .shape = SHAPE(g.n, g.o, g.oh, g.ow), .data = y};
        case_check(PARE_OP_CONV, &g.a, in, residual ? 4 : 3, &out);
        pare_free(x);
        pare_free(w);
        pare_free(b);
        pare_free(r);
        pare_free(y);
    }
}

/* opcodes.h, word for word, in scalar code. */
static uint8_t expected_byte(const geometry *g, double sum, int32_t bias, float m, const uint8_t *residual,
                             float residual_scale, int32_t residual_zero, float y_scale, int32_t y_zero) {
    int32_t low = g->a.activation.function == PARE_FN_RELU ? y_zero : 0;
    int32_t a = (int32_t)sum + bias;
    if (residual == NULL) {
        return pare_requantize(a, m, y_zero, low, 255);
    }
    int32_t inner_low = g->a.inner_activation.function == PARE_FN_RELU ? g->a.inner_zero : 0;
    uint8_t t = pare_requantize(a, m, g->a.inner_zero, inner_low, 255);
    float ra = (float)((double)g->a.inner_scale / (double)y_scale);
    float rb = (float)((double)residual_scale / (double)y_scale);
    volatile float left = (float)(t - g->a.inner_zero) * ra;
    volatile float right = (float)(*residual - residual_zero) * rb;
    float level = rintf(left + right) + (float)y_zero;
    return (uint8_t)(level < (float)low ? (float)low : level > 255.0F ? 255.0F : level);
}

static void integer_case(pare_random *random, int round) {
    geometry g = random_geometry(random, round % 4 == 0);
    int residual = round % 3 == 0;
    size_t outputs = (size_t)(g.n * g.o * g.oh * g.ow);
    size_t taps = (size_t)(g.c / g.a.groups * g.kh * g.kw);
    uint8_t *x = random_bytes(random, (size_t)(g.n * g.c * g.h * g.w));
    int8_t *w = (int8_t *)random_bytes(random, (size_t)g.o * taps);
    uint8_t *r = random_bytes(random, outputs);
    uint8_t *y = random_bytes(random, outputs);
    float scales[64];
    int32_t bias[64];
    int32_t zero = (int32_t)pare_random_below(random, 256);
    int32_t y_zero = (int32_t)pare_random_below(random, 256);
    for (int64_t o = 0; o < g.o; o++) {
        scales[o] = (float)(0.001 + pare_random_unit(random) * 0.003);
        bias[o] = (int32_t)pare_random_below(random, 20001) - 10000;
    }
    g.a.activation.function = round % 2 ? PARE_FN_RELU : PARE_FN_IDENTITY;
    g.a.inner_activation.function = round % 5 == 0 && residual ? PARE_FN_RELU : PARE_FN_IDENTITY;
    g.a.inner_scale = residual ? 0.043F : 0.0F;
    g.a.inner_zero = residual ? 99 : 0;
    for (size_t i = 0; i < outputs; i++) {
        int64_t at = (int64_t)i;
        int64_t o = at / g.ow / g.oh % g.o;
        double target = residual ? (double)g.a.inner_scale : (double)0.05F;
        float m = (float)((double)0.02F * (double)scales[o] / target);
        double sum = window_sum(&g, NULL, NULL, x, w, zero, at / g.ow / g.oh / g.o, o, at / g.ow % g.oh, at % g.ow);
        y[i] = expected_byte(&g, sum, bias[o], m, residual ? &r[i] : NULL, 0.031F, 77, 0.05F, y_zero);
    }
    case_tensor in[] = {{.dtype = PARE_U8, .shape = SHAPE(g.n, g.c, g.h, g.w), .data = x, .scale = 0.02F, .zero = zero},
                        {.dtype = PARE_S8,
                         .shape = SHAPE(g.o, g.c / g.a.groups, g.kh, g.kw),
                         .data = w,
                         .constant = 1,
                         .scales = scales},
                        {.dtype = PARE_S32, .shape = SHAPE(g.o), .data = bias, .constant = 1},
                        {.dtype = PARE_U8,
                         .shape = SHAPE(g.n, g.o, g.oh, g.ow),
                         .data = residual ? r : NULL,
                         .scale = 0.031F,
                         .zero = 77}};
    case_tensor out = {
        .dtype = PARE_U8, .shape = SHAPE(g.n, g.o, g.oh, g.ow), .data = y, .scale = 0.05F, .zero = y_zero};
    case_check(PARE_OP_CONV, &g.a, in, residual ? 4 : 3, &out);
    pare_free(x);
    pare_free(w);
    pare_free(r);
    pare_free(y);
}

static void integer_convolutions(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 13);
    for (int round = 0; round < 60; round++) {
        integer_case(&random, round);
    }
}

static void fully_connected(void **state) {
    (void)state;
    pare_random random;
    pare_random_seed(&random, 17);
    for (int round = 0; round < 20; round++) {
        int64_t m = 1 + (int64_t)pare_random_below(&random, 20);
        int64_t k = 1 + (int64_t)pare_random_below(&random, 150);
        int64_t n = 1 + (int64_t)pare_random_below(&random, 40);
        float *x = random_floats(&random, (size_t)(m * k));
        float *w = random_floats(&random, (size_t)(n * k));
        float *y = random_floats(&random, (size_t)(m * n));
        uint8_t *xq = random_bytes(&random, (size_t)(m * k));
        int8_t *wq = (int8_t *)random_bytes(&random, (size_t)(n * k));
        uint8_t *yq = random_bytes(&random, (size_t)(m * n));
        int32_t bias[64];
        for (int64_t i = 0; i < m * n; i++) {
            double sum = 0.0;
            int32_t total = bias[i % n] = (int32_t)(i % n * 100 - 500);
            for (int64_t j = 0; j < k; j++) {
                sum += (double)x[i / n * k + j] * (double)w[i % n * k + j];
                total += (xq[i / n * k + j] - 31) * wq[i % n * k + j];
            }
            y[i] = (float)(sum > 0.5 ? 0.5 : sum < -0.5 ? -0.5 : sum);
            yq[i] = pare_requantize(total, (float)((double)0.1F * (double)0.002F / (double)0.3F), 128, 0, 255);
        }
        pare_fully_connected_attrs clip = {.activation = {PARE_FN_CLIP, -0.5F, 0.5F}};
        pare_fully_connected_attrs none = {.activation = {PARE_FN_IDENTITY, 0, 0}};
        case_tensor in[] = {{.dtype = PARE_F32, .shape = SHAPE(m, k), .data = x},
                            {.dtype = PARE_F32, .shape = SHAPE(n, k), .data = w, .constant = 1}};
        case_tensor out = {.dtype = PARE_F32, .shape = SHAPE(m, n), .data = y};
        case_check(PARE_OP_FULLY_CONNECTED, &clip, in, 2, &out);
        case_tensor inq[] = {{.dtype = PARE_U8, .shape = SHAPE(m, k), .data = xq, .scale = 0.1F, .zero = 31},
                             {.dtype = PARE_S8, .shape = SHAPE(n, k), .data = wq, .constant = 1, .scale = 0.002F},
                             {.dtype = PARE_S32, .shape = SHAPE(n), .data = bias, .constant = 1}};
        case_tensor outq = {.dtype = PARE_U8, .shape = SHAPE(m, n), .data = yq, .scale = 0.3F, .zero = 128};
        case_check(PARE_OP_FULLY_CONNECTED, &none, inq, 3, &outq);
        pare_free(x);
        pare_free(w);
        pare_free(y);
        pare_free(xq);
        pare_free(wq);
        pare_free(yq);
    }
}

static void transposed_convolution(void **state) {
    (void)state;
    pare_conv_attrs attrs = {.stride_h = 2, .stride_w = 2, .dilation_h = 1, .dilation_w = 1, .groups = 1};
    float x[] = {1, 2, 3, 4};
    float w[] = {1, 10, 100, 1000};
    float b[] = {0.5F};
    float y[] = {1.5F, 10.5F, 2.5F, 20.5F, 100.5F, 1000.5F, 200.5F, 2000.5F,
                 3.5F, 30.5F, 4.5F, 40.5F, 300.5F, 3000.5F, 400.5F, 4000.5F};
    case_tensor in[] = {{.dtype = PARE_F32, .shape = SHAPE(1, 1, 2, 2), .data = x},
                        {.dtype = PARE_F32, .shape = SHAPE(1, 1, 2, 2), .data = w, .constant = 1},
                        {.dtype = PARE_F32, .shape = SHAPE(1), .data = b, .constant = 1}};
    case_tensor out = {.dtype = PARE_F32, .shape = SHAPE(1, 1, 4, 4), .data = y};
    case_check(PARE_OP_CONV_TRANSPOSE, &attrs, in, 3, &out);
}

/* BADINPUT row 86: an accumulator that could overflow is refused, not wrapped. */
static void row_86_accumulator_overflow(void **state) {
    (void)state;
    enum { TAPS = 70000 };
    int8_t *w = pare_alloc(TAPS);
    memset(w, 127, TAPS);
    pare_error error;
    assert_fails(pare_check_accumulator(w, 1, TAPS, NULL, 0, &error), PARE_UNSUPPORTED, &error, "32 bits");
    assert_ok(pare_check_accumulator(w, 1, 66000, NULL, 0, &error), &error);
    int32_t bias = INT32_MAX - 10;
    assert_fails(pare_check_accumulator(w, 1, 100, &bias, 0, &error), PARE_UNSUPPORTED, &error, "32 bits");
    pare_free(w);
}

/* BADINPUT row 86: extremes of the factor saturate, and NaN gives the zero point. */
static void row_86_requantization_extremes(void **state) {
    (void)state;
    assert_int_equal(pare_requantize(INT32_MAX, 1e30F, 10, 0, 255), 255);
    assert_int_equal(pare_requantize(INT32_MIN, 1e30F, 10, 0, 255), 0);
    assert_int_equal(pare_requantize(INT32_MIN, 1e-40F, 10, 0, 255), 10);
    assert_int_equal(pare_requantize(0, INFINITY, 10, 0, 255), 10);
    assert_int_equal(pare_requantize(5, 0.5F, 0, 0, 255), 2);
    assert_int_equal(pare_requantize(7, 0.5F, 0, 0, 255), 4);
    assert_int_equal(pare_requantize(-5, 0.5F, 100, 0, 255), 98);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_convolutions),
        cmocka_unit_test(integer_convolutions),
        cmocka_unit_test(fully_connected),
        cmocka_unit_test(transposed_convolution),
        cmocka_unit_test(row_86_accumulator_overflow),
        cmocka_unit_test(row_86_requantization_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
