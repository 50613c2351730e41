/* Opcodes that move, select, reduce or normalize, against small expectations. */
#include "kernel.h"
#include "runtime_case.h"

#define F32(values, ...)                                                                                               \
    { .dtype = PARE_F32, .shape = SHAPE(__VA_ARGS__), .data = (values) }

static float counting[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

static void one(uint32_t opcode, const void *attrs, case_tensor x, case_tensor y) {
    case_check(opcode, attrs, &x, 1, &y);
}

static void reshape_transpose_slice(void **state) {
    (void)state;
    one(PARE_OP_RESHAPE, &(pare_shape_attrs){2, {4, 6}}, (case_tensor)F32(counting, 2, 3, 4),
        (case_tensor)F32(counting, 4, 6));
    one(PARE_OP_TRANSPOSE, &(pare_transpose_attrs){{1, 0}}, (case_tensor)F32(counting, 2, 3),
        (case_tensor)F32(((float[]){0, 3, 1, 4, 2, 5}), 3, 2));
    one(PARE_OP_TRANSPOSE, &(pare_transpose_attrs){{2, 0, 1}}, (case_tensor)F32(counting, 2, 2, 3),
        (case_tensor)F32(((float[]){0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}), 3, 2, 2));
    pare_slice_attrs slice = {.start = {1, 3}, .step = {1, -2}, .count = {1, 2}};
    one(PARE_OP_SLICE, &slice, (case_tensor)F32(counting, 2, 4), (case_tensor)F32(((float[]){7, 5}), 1, 2));
    uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    slice = (pare_slice_attrs){.start = {0, 2}, .step = {2, -1}, .count = {2, 3}};
    one(PARE_OP_SLICE, &slice, (case_tensor){.dtype = PARE_BOOL, .shape = SHAPE(3, 3), .data = bytes},
        (case_tensor){.dtype = PARE_BOOL, .shape = SHAPE(2, 3), .data = (uint8_t[]){3, 2, 1, 9, 8, 7}});
}

static void large_transpose(void **state) {
    (void)state;
    enum { A = 70, B = 90, C = 13 };
    float *x = pare_alloc(A * B * C * sizeof(float));
    float *y = pare_alloc(A * B * C * sizeof(float));
    for (size_t a = 0; a < A; a++) {
        for (size_t b = 0; b < B; b++) {
            for (size_t c = 0; c < C; c++) {
                x[(a * B + b) * C + c] = y[(c * A + a) * B + b] = (float)((a * B + b) * C + c);
            }
        }
    }
    one(PARE_OP_TRANSPOSE, &(pare_transpose_attrs){{2, 0, 1}}, (case_tensor)F32(x, A, B, C),
        (case_tensor)F32(y, C, A, B));
    pare_free(x);
    pare_free(y);
}

static void pads(void **state) {
    (void)state;
    pare_pad_attrs attrs = {.mode = PARE_PAD_CONSTANT, .before = {0, 1}, .after = {1, 2}, .value = 9};
    case_tensor x = F32(counting, 1, 3);
    one(PARE_OP_PAD, &attrs, x, (case_tensor)F32(((float[]){9, 0, 1, 2, 9, 9, 9, 9, 9, 9, 9, 9}), 2, 6));
    attrs = (pare_pad_attrs){.mode = PARE_PAD_REFLECT, .before = {0, 2}, .after = {0, 2}};
    one(PARE_OP_PAD, &attrs, x, (case_tensor)F32(((float[]){2, 1, 0, 1, 2, 1, 0}), 1, 7));
    attrs.mode = PARE_PAD_EDGE;
    one(PARE_OP_PAD, &attrs, x, (case_tensor)F32(((float[]){0, 0, 0, 1, 2, 2, 2}), 1, 7));
    attrs.mode = PARE_PAD_WRAP;
    one(PARE_OP_PAD, &attrs, x, (case_tensor)F32(((float[]){1, 2, 0, 1, 2, 0, 1}), 1, 7));
    attrs = (pare_pad_attrs){.mode = PARE_PAD_CONSTANT, .before = {0, -1}, .after = {0, 1}};
    one(PARE_OP_PAD, &attrs, x, (case_tensor)F32(((float[]){1, 2, 0}), 1, 3));
    attrs = (pare_pad_attrs){.mode = PARE_PAD_CONSTANT, .before = {0, 1}, .after = {0, 1}, .value = 0};
    one(PARE_OP_PAD, &attrs,
        (case_tensor){.dtype = PARE_U8, .shape = SHAPE(1, 2), .data = (uint8_t[]){3, 4}, .scale = 0.1F, .zero = 77},
        (case_tensor){
            .dtype = PARE_U8, .shape = SHAPE(1, 4), .data = (uint8_t[]){77, 3, 4, 77}, .scale = 0.1F, .zero = 77});
}

static void concat_gather_expand_where(void **state) {
    (void)state;
    case_tensor parts[] = {F32(counting, 2, 2), F32(counting + 10, 2, 1)};
    case_tensor y = F32(((float[]){0, 1, 10, 2, 3, 11}), 2, 3);
    case_check(PARE_OP_CONCAT, &(pare_axis_attrs){1}, parts, 2, &y);
    uint8_t bytes[] = {10, 20, 30, 40};
    case_tensor mixed[] = {{.dtype = PARE_U8, .shape = SHAPE(1, 2), .data = bytes, .scale = 0.1F, .zero = 10},
                           {.dtype = PARE_U8, .shape = SHAPE(1, 2), .data = bytes + 2, .scale = 0.2F, .zero = 0}};
    case_tensor joined = {
        .dtype = PARE_U8, .shape = SHAPE(1, 4), .data = (uint8_t[]){0, 5, 30, 40}, .scale = 0.2F, .zero = 0};
    case_check(PARE_OP_CONCAT, &(pare_axis_attrs){1}, mixed, 2, &joined);
    int64_t indices[] = {2, -1, 0};
    case_tensor gather[] = {F32(counting, 2, 3), {.dtype = PARE_S64, .shape = SHAPE(3), .data = indices}};
    y = (case_tensor)F32(((float[]){2, 2, 0, 5, 5, 3}), 2, 3);
    case_check(PARE_OP_GATHER, &(pare_axis_attrs){1}, gather, 2, &y);
    one(PARE_OP_EXPAND, &(pare_shape_attrs){3, {2, 2, 3}}, (case_tensor)F32(counting, 2, 1),
        (case_tensor)F32(((float[]){0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1}), 2, 2, 3));
    uint8_t choose[] = {1, 0};
    case_tensor where[] = {
        {.dtype = PARE_BOOL, .shape = SHAPE(2, 1), .data = choose}, F32(counting, 2, 3), F32(((float[]){-1}), 1)};
    y = (case_tensor)F32(((float[]){0, 1, 2, -1, -1, -1}), 2, 3);
    case_check(PARE_OP_WHERE, &(pare_no_attrs){0}, where, 3, &y);
}

static void gather_outside_is_bad_input(void **state) {
    (void)state;
    int64_t indices[] = {3};
    float result;
    pare_error error;
    case_tensor in[] = {F32(counting, 3), {.dtype = PARE_S64, .shape = SHAPE(1), .data = indices}};
    case_tensor out = F32(counting, 1);
    pare_model *model = case_model(PARE_OP_GATHER, &(pare_axis_attrs){0}, in, 2, &out, 1);
    void *results[] = {&result};
    assert_fails(case_run(model, 1, PARE_ISA_BEST, 1, in, 2, &out, 1, results, &error), PARE_BAD_INPUT, &error,
                 "node \"node\" (GATHER): expected indices within -3 to 2, found 3");
    indices[0] = INT64_MIN;
    assert_fails(case_run(model, 1, PARE_ISA_BEST, 1, in, 2, &out, 1, results, &error), PARE_BAD_INPUT, &error,
                 "expected indices");
    pare_model_release(model);
}

static void casts(void **state) {
    (void)state;
    float x[] = {1.9F, -1.9F, 300, NAN};
    case_tensor in = F32(x, 4);
    case_tensor out = {.dtype = PARE_S64, .shape = SHAPE(4), .data = (int64_t[]){1, -1, 300, 0}};
    case_check(PARE_OP_CAST, &(pare_cast_attrs){PARE_S64}, &in, 1, &out);
    out = (case_tensor){.dtype = PARE_BOOL, .shape = SHAPE(4), .data = (uint8_t[]){1, 1, 1, 1}};
    case_check(PARE_OP_CAST, &(pare_cast_attrs){PARE_BOOL}, &in, 1, &out);
    in = (case_tensor){.dtype = PARE_S64, .shape = SHAPE(3), .data = (int64_t[]){-1, 255, 256}};
    out = (case_tensor){.dtype = PARE_S16, .shape = SHAPE(3), .data = (int16_t[]){-1, 255, 256}};
    case_check(PARE_OP_CAST, &(pare_cast_attrs){PARE_S16}, &in, 1, &out);
    out = (case_tensor){.dtype = PARE_F16, .shape = SHAPE(3), .data = (uint16_t[]){0xBC00, 0x5BF8, 0x5C00}};
    case_check(PARE_OP_CAST, &(pare_cast_attrs){PARE_F16}, &in, 1, &out);
}

static void reductions(void **state) {
    (void)state;
    static const struct {
        int32_t kind, mask;
        float y[3];
        int64_t count;
    } rows[] = {{PARE_REDUCE_MEAN, 2, {1, 4}, 2},
                {PARE_REDUCE_SUM, 1, {3, 5, 7}, 3},
                {PARE_REDUCE_MAX, 3, {5}, 1},
                {PARE_REDUCE_MIN, 2, {0, 3}, 2},
                {PARE_REDUCE_PROD, 1, {0, 4, 10}, 3},
                {PARE_REDUCE_L1, 2, {3, 12}, 2},
                {PARE_REDUCE_L2, 2, {2.236068F, 7.071068F}, 2},
                {PARE_REDUCE_SUM_SQUARE, 2, {5, 50}, 2},
                {PARE_REDUCE_LOG_SUM, 2, {1.0986123F, 2.4849067F}, 2},
                {PARE_REDUCE_LOG_SUM_EXP, 2, {2.407606F, 5.407606F}, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pare_reduce_attrs attrs = {.kind = rows[i].kind, .axis_mask = rows[i].mask};
        case_tensor y = F32(rows[i].y, rows[i].count);
        if (rows[i].mask == 3) {
            y.shape.rank = 0;
        }
        one(PARE_OP_REDUCE, &attrs, (case_tensor)F32(counting, 2, 3), y);
    }
}

static void argument_reductions(void **state) {
    (void)state;
    float x[] = {1, 5, 5, 0, 0, 7};
    pare_arg_reduce_attrs attrs = {.axis = 1};
    case_tensor y = {.dtype = PARE_S64, .shape = SHAPE(2), .data = (int64_t[]){1, 2}};
    one(PARE_OP_ARG_REDUCE, &attrs, (case_tensor)F32(x, 2, 3), y);
    attrs = (pare_arg_reduce_attrs){.axis = 1, .last_index = 1};
    y.data = (int64_t[]){2, 2};
    one(PARE_OP_ARG_REDUCE, &attrs, (case_tensor)F32(x, 2, 3), y);
    attrs = (pare_arg_reduce_attrs){.axis = 1, .minimum = 1};
    y.data = (int64_t[]){0, 0};
    one(PARE_OP_ARG_REDUCE, &attrs, (case_tensor)F32(x, 2, 3), y);
}

/* BADINPUT row 86: huge, equal and single elements. */
static void row_86_softmax_extremes(void **state) {
    (void)state;
    pare_softmax_attrs attrs = {.axis = 1};
    one(PARE_OP_SOFTMAX, &attrs, (case_tensor)F32(((float[]){1e38F, -1e38F, 1e38F, 0}), 2, 2),
        (case_tensor)F32(((float[]){1, 0, 1, 0}), 2, 2));
    one(PARE_OP_SOFTMAX, &attrs, (case_tensor)F32(((float[]){3, 3, 3, 3}), 1, 4),
        (case_tensor)F32(((float[]){0.25F, 0.25F, 0.25F, 0.25F}), 1, 4));
    one(PARE_OP_SOFTMAX, &attrs, (case_tensor)F32(((float[]){-5, 80}), 2, 1),
        (case_tensor)F32(((float[]){1, 1}), 2, 1));
    attrs.logarithm = 1;
    one(PARE_OP_SOFTMAX, &attrs, (case_tensor)F32(((float[]){0, 0}), 1, 2),
        (case_tensor)F32(((float[]){-0.6931472F, -0.6931472F}), 1, 2));
}

static void normalizations(void **state) {
    (void)state;
    case_tensor layer[] = {F32(((float[]){1, 2, 3, 2, 4, 6}), 2, 3), F32(((float[]){1, 1, 2}), 3),
                           F32(((float[]){0, 1, 0}), 3)};
    layer[1].constant = layer[2].constant = 1;
    case_tensor y = F32(((float[]){-1.2247449F, 1, 2.4494898F, -1.2247449F, 1, 2.4494898F}), 2, 3);
    case_check(PARE_OP_LAYER_NORM, &(pare_norm_attrs){1, 0}, layer, 3, &y);
    case_tensor instance[] = {F32(((float[]){1, 3, 10, 30}), 1, 2, 2), F32(((float[]){1, 2}), 2),
                              F32(((float[]){0, 5}), 2)};
    instance[1].constant = instance[2].constant = 1;
    y = (case_tensor)F32(((float[]){-1, 1, 3, 7}), 1, 2, 2);
    case_check(PARE_OP_INSTANCE_NORM, &(pare_norm_attrs){1, 0}, instance, 3, &y);
    pare_lrn_attrs lrn = {.size = 3, .alpha = 3, .beta = 1, .bias = 1};
    one(PARE_OP_LRN, &lrn, (case_tensor)F32(((float[]){1, 2, 3}), 1, 3, 1, 1),
        (case_tensor)F32(((float[]){1.0F / 6, 2.0F / 15, 3.0F / 14}), 1, 3, 1, 1));
}

static void resizes(void **state) {
    (void)state;
    pare_resize_attrs attrs = {.mode = PARE_RESIZE_NEAREST,
                               .coordinate = PARE_RESIZE_ASYMMETRIC,
                               .rounding = PARE_ROUND_FLOOR,
                               .scale_h = 2,
                               .scale_w = 1.5F};
    case_tensor x = F32(((float[]){1, 2, 3, 4}), 1, 1, 2, 2);
    one(PARE_OP_RESIZE, &attrs, x, (case_tensor)F32(((float[]){1, 1, 2, 1, 1, 2, 3, 3, 4, 3, 3, 4}), 1, 1, 4, 3));
    attrs = (pare_resize_attrs){
        .mode = PARE_RESIZE_LINEAR, .coordinate = PARE_RESIZE_HALF_PIXEL, .scale_h = 1, .scale_w = 2};
    one(PARE_OP_RESIZE, &attrs, x, (case_tensor)F32(((float[]){1, 1.25F, 1.75F, 2, 3, 3.25F, 3.75F, 4}), 1, 1, 2, 4));
    attrs.coordinate = PARE_RESIZE_ALIGN_CORNERS;
    one(PARE_OP_RESIZE, &attrs, x,
        (case_tensor)F32(((float[]){1, 4.0F / 3, 5.0F / 3, 2, 3, 10.0F / 3, 11.0F / 3, 4}), 1, 1, 2, 4));
    attrs = (pare_resize_attrs){
        .mode = PARE_RESIZE_CUBIC, .coordinate = PARE_RESIZE_HALF_PIXEL, .cubic_a = -0.75F, .scale_h = 1, .scale_w = 2};
    one(PARE_OP_RESIZE, &attrs, (case_tensor)F32(((float[]){1, 2, 3, 4}), 1, 1, 1, 4),
        (case_tensor)F32(((float[]){0.89453125F, 1.19140625F, 1.66796875F, 2.296875F, 2.703125F, 3.33203125F,
                                    3.80859375F, 4.10546875F}),
                         1, 1, 1, 8));
}

static void products(void **state) {
    (void)state;
    case_tensor in[] = {F32(counting, 2, 2, 3), F32(((float[]){1, 0, 0, 1, 1, 1}), 3, 2)};
    case_tensor y = F32(((float[]){2, 3, 8, 9, 14, 15, 20, 21}), 2, 2, 2);
    case_check(PARE_OP_MATMUL, &(pare_no_attrs){0}, in, 2, &y);
}

static void lstm_directions(void **state) {
    (void)state;
    /* One unit; all weights 0 but the cell's of x, so each step has i = o = f = 0.5 and g = tanh(x). */
    float x[] = {1, -1};
    float w[] = {0, 0, 0, 1, 0, 0, 0, 1};
    float r[8] = {0};
    float c1 = 0.5F * tanhf(1);
    float c2 = 0.5F * c1 - 0.5F * tanhf(1);
    float b1 = -0.5F * tanhf(1);
    float b2 = 0.5F * b1 + 0.5F * tanhf(1);
    float forward[] = {0.5F * tanhf(c1), 0.5F * tanhf(c2)};
    float backward[] = {0.5F * tanhf(b2), 0.5F * tanhf(b1)};
    pare_lstm_attrs attrs = {.hidden = 1};
    case_tensor in[] = {F32(x, 2, 1, 1), F32(w, 1, 4, 1), F32(r, 1, 4, 1)};
    in[1].constant = in[2].constant = 1;
    case_tensor out[] = {F32(forward, 2, 1, 1, 1), F32(&forward[1], 1, 1, 1), F32(&c2, 1, 1, 1)};
    case_check_all(PARE_OP_LSTM, &attrs, in, 3, out, 3, 1e-5);
    attrs.direction = 1;
    out[0].data = backward;
    out[1].data = &backward[0];
    out[2].data = &b2;
    case_check_all(PARE_OP_LSTM, &attrs, in, 3, out, 3, 1e-5);
    attrs.direction = 2;
    case_tensor both[] = {F32(x, 2, 1, 1), F32(w, 2, 4, 1), F32(r, 2, 4, 1)};
    both[1].constant = both[2].constant = 1;
    case_tensor y = F32(((float[]){forward[0], backward[0], forward[1], backward[1]}), 2, 2, 1, 1);
    case_check_all(PARE_OP_LSTM, &attrs, both, 3, &y, 1, 1e-5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reshape_transpose_slice),
        cmocka_unit_test(large_transpose),
        cmocka_unit_test(pads),
        cmocka_unit_test(concat_gather_expand_where),
        cmocka_unit_test(gather_outside_is_bad_input),
        cmocka_unit_test(casts),
        cmocka_unit_test(reductions),
        cmocka_unit_test(argument_reductions),
        cmocka_unit_test(row_86_softmax_extremes),
        cmocka_unit_test(normalizations),
        cmocka_unit_test(resizes),
        cmocka_unit_test(products),
        cmocka_unit_test(lstm_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
