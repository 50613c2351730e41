#include "sample_models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pare/random.h"
#include "test.h"

typedef struct sample {
    pare_model_builder *builder;
    pare_random random;
    unsigned count;
} sample;

static sample begin(void) {
    pare_error error = {0};
    sample s = {0};
    pare_random_seed(&s.random, 7);
    assert_ok(pare_model_builder_create(&s.builder, &error), &error);
    return s;
}

static pare_model *end(sample *s) {
    pare_error error = {0};
    pare_model *model = NULL;
    assert_ok(pare_model_add_metadata(s->builder, "pare.preprocess", "{\"scale\":0.5}", &error), &error);
    assert_ok(pare_model_finish(s->builder, &model, &error), &error);
    return model;
}

static uint32_t add(sample *s, const char *name, pare_dtype dtype, pare_shape shape, const pare_model_quant *quant,
                    const void *data) {
    pare_error error = {0};
    size_t bytes = 0;
    uint32_t index = 0;
    if (data != NULL) {
        assert_true(pare_shape_bytes(&shape, dtype, &bytes));
    }
    assert_ok(pare_model_add_tensor(s->builder, name, dtype, &shape, quant, data, bytes, &index, &error), &error);
    return index;
}

static uint32_t add_input(sample *s, const char *name, pare_dtype dtype, pare_shape shape,
                          const pare_model_quant *quant) {
    pare_error error = {0};
    uint32_t index = add(s, name, dtype, shape, quant, NULL);
    assert_ok(pare_model_add_input(s->builder, index, &error), &error);
    return index;
}

static uint32_t floats(sample *s, pare_shape shape) {
    size_t count = 0;
    assert_true(pare_shape_elements(&shape, &count));
    float *values = malloc((count + 1) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)(pare_random_unit(&s->random) - 0.5);
    }
    uint32_t index = add(s, "weights", PARE_F32, shape, NULL, values);
    free(values);
    return index;
}

/* A node whose output shape and type the opcode's own rule gives, as a model output. */
static uint32_t node_typed(sample *s, uint32_t opcode, const void *attrs, const uint32_t *inputs, uint32_t input_count,
                           pare_dtype dtype, const pare_shape *wanted, const pare_model_quant *quant) {
    pare_error error = {0};
    const pare_model_tensor *tensors[8] = {0};
    pare_model_tensor copies[8];
    pare_shape shapes[3] = {wanted != NULL ? *wanted : (pare_shape){0}};
    pare_dtype dtypes[3] = {dtype};
    assert_true(input_count <= 8);
    for (uint32_t i = 0; i < input_count; i++) {
        if (inputs[i] != PARE_NONE) {
            copies[i] = *pare_model_builder_tensor(s->builder, inputs[i]);
            tensors[i] = &copies[i];
        }
    }
    uint32_t outputs[3], output_count = opcode == PARE_OP_LSTM ? 3 : 1;
    assert_ok(pare_opcode_shapes(opcode, attrs, tensors, input_count, shapes, dtypes, output_count, &error), &error);
    for (uint32_t i = 0; i < output_count; i++) {
        outputs[i] = add(s, "y", dtypes[i], shapes[i], quant, NULL);
        assert_ok(pare_model_add_output(s->builder, outputs[i], &error), &error);
    }
    assert_ok(pare_model_add_node(s->builder, pare_opcode_find(opcode)->name, opcode, inputs, input_count, outputs,
                                  output_count, attrs, NULL, &error),
              &error);
    s->count++;
    return outputs[0];
}

static uint32_t node(sample *s, uint32_t opcode, const void *attrs, uint32_t a, uint32_t b, uint32_t c) {
    uint32_t inputs[3] = {a, b, c};
    uint32_t count = c != PARE_NONE ? 3 : b != PARE_NONE ? 2 : 1;
    return node_typed(s, opcode, attrs, inputs, count, PARE_DTYPE_NONE, NULL, NULL);
}

static const pare_activation relu = {PARE_FN_RELU, 0, 0};

static void windows(sample *s, uint32_t x) {
    pare_conv_attrs conv = {.stride_h = 2,
                            .stride_w = 1,
                            .dilation_h = 1,
                            .dilation_w = 1,
                            .pad_top = 1,
                            .pad_left = 1,
                            .pad_bottom = 1,
                            .pad_right = 1,
                            .groups = 1,
                            .activation = relu};
    pare_pool_attrs pool = {.kind = PARE_POOL_AVERAGE,
                            .kernel_h = 3,
                            .kernel_w = 2,
                            .stride_h = 2,
                            .stride_w = 2,
                            .dilation_h = 1,
                            .dilation_w = 1,
                            .pad_top = 1,
                            .ceil_mode = 1};
    pare_resize_attrs resize = {.mode = PARE_RESIZE_LINEAR, .cubic_a = -0.75F, .scale_h = 2, .scale_w = 2};
    node(s, PARE_OP_CONV, &conv, x, floats(s, (pare_shape){4, {5, 3, 3, 3}}), floats(s, (pare_shape){1, {5}}));
    node(s, PARE_OP_CONV_TRANSPOSE, &conv, x, floats(s, (pare_shape){4, {3, 2, 3, 3}}), PARE_NONE);
    node(s, PARE_OP_POOL, &pool, x, PARE_NONE, PARE_NONE);
    node_typed(s, PARE_OP_RESIZE, &resize, &x, 1, PARE_DTYPE_NONE, &(pare_shape){4, {-1, 3, 16, 12}}, NULL);
    node(s, PARE_OP_INSTANCE_NORM, &(pare_norm_attrs){1, 1e-5F}, x, floats(s, (pare_shape){1, {3}}),
         floats(s, (pare_shape){1, {3}}));
    node(s, PARE_OP_LRN, &(pare_lrn_attrs){3, 1e-4F, 0.75F, 1}, x, PARE_NONE, PARE_NONE);
}

static void movements(sample *s, uint32_t x) {
    pare_slice_attrs slice = {.start = {0, 2, 7, 0}, .step = {1, -1, -2, 1}, .count = {-1, 2, 3, 6}};
    pare_pad_attrs pad = {.mode = PARE_PAD_REFLECT, .before = {0, 0, 2, -1}, .after = {0, 1, 0, 0}};
    int64_t picked[2] = {2, 0};
    uint32_t indices = add(s, "indices", PARE_S64, (pare_shape){1, {2}}, NULL, picked);
    node(s, PARE_OP_CONCAT, &(pare_axis_attrs){1}, x, x, x);
    node(s, PARE_OP_SLICE, &slice, x, PARE_NONE, PARE_NONE);
    node(s, PARE_OP_GATHER, &(pare_axis_attrs){1}, x, indices, PARE_NONE);
    node(s, PARE_OP_RESHAPE, &(pare_shape_attrs){2, {-48, 3}}, x, PARE_NONE, PARE_NONE);
    node(s, PARE_OP_TRANSPOSE, &(pare_transpose_attrs){{0, 2, 3, 1}}, x, PARE_NONE, PARE_NONE);
    node(s, PARE_OP_PAD, &pad, x, PARE_NONE, PARE_NONE);
    node(s, PARE_OP_EXPAND, &(pare_shape_attrs){5, {2, -1, 3, 8, 6}}, x, PARE_NONE, PARE_NONE);
}

static void elements(sample *s, uint32_t x) {
    pare_binary_attrs sum = {.kind = PARE_BINARY_ADD, .activation = relu};
    pare_binary_attrs less = {.kind = PARE_BINARY_LESS};
    static const float scale = 0.25F;
    static const int32_t zero = 3;
    pare_model_quant quant = {-1, 1, &scale, &zero};
    node(s, PARE_OP_BINARY, &sum, x, floats(s, (pare_shape){3, {3, 1, 6}}), PARE_NONE);
    uint32_t smaller = node(s, PARE_OP_BINARY, &less, x, floats(s, (pare_shape){0, {0}}), PARE_NONE);
    node(s, PARE_OP_WHERE, &(pare_no_attrs){0}, smaller, x, floats(s, (pare_shape){0, {0}}));
    node(s, PARE_OP_UNARY, &(pare_unary_attrs){{PARE_FN_GELU, 0, 0}}, x, PARE_NONE, PARE_NONE);
    node(s, PARE_OP_SOFTMAX, &(pare_softmax_attrs){1, 1}, x, PARE_NONE, PARE_NONE);
    node(s, PARE_OP_REDUCE, &(pare_reduce_attrs){PARE_REDUCE_L2, 12, 0}, x, PARE_NONE, PARE_NONE);
    node(s, PARE_OP_ARG_REDUCE, &(pare_arg_reduce_attrs){1, 1, 0, 1}, x, PARE_NONE, PARE_NONE);
    node(s, PARE_OP_CAST, &(pare_cast_attrs){PARE_F16}, x, PARE_NONE, PARE_NONE);
    node(s, PARE_OP_LAYER_NORM, &(pare_norm_attrs){3, 1e-5F}, x, floats(s, (pare_shape){1, {6}}), PARE_NONE);
    uint32_t q = node_typed(s, PARE_OP_QUANTIZE, &(pare_no_attrs){0}, &x, 1, PARE_U8, NULL, &quant);
    node(s, PARE_OP_DEQUANTIZE, &(pare_no_attrs){0}, q, PARE_NONE, PARE_NONE);
}

pare_model *sample_every_opcode(void) {
    sample s = begin();
    uint32_t x = add_input(&s, "x", PARE_F32, (pare_shape){4, {-1, 3, 8, 6}}, NULL);
    uint32_t series = add_input(&s, "series", PARE_F32, (pare_shape){3, {5, -1, 4}}, NULL);
    windows(&s, x);
    movements(&s, x);
    elements(&s, x);
    node(&s, PARE_OP_FULLY_CONNECTED, &(pare_fully_connected_attrs){relu}, x, floats(&s, (pare_shape){2, {9, 6}}),
         floats(&s, (pare_shape){1, {9}}));
    node(&s, PARE_OP_MATMUL, &(pare_no_attrs){0}, x, floats(&s, (pare_shape){3, {1, 6, 7}}), PARE_NONE);
    node(&s, PARE_OP_LSTM, &(pare_lstm_attrs){2, 2}, series, floats(&s, (pare_shape){3, {2, 8, 4}}),
         floats(&s, (pare_shape){3, {2, 8, 2}}));
    assert_true(s.count >= PARE_OPCODE_END - 1);
    return end(&s);
}

pare_model *sample_every_type(void) {
    static const pare_dtype types[] = {PARE_F32,  PARE_U8,  PARE_S8,  PARE_U16, PARE_S16, PARE_S32, PARE_S64,
                                       PARE_BOOL, PARE_F16, PARE_F64, PARE_U32, PARE_U64, PARE_BF16};
    sample s = begin();
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        uint8_t bytes[6 * 8];
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (uint8_t)(types[t] == PARE_BOOL ? i % 2 : pare_random_u64(&s.random));
        }
        uint32_t constant = add(&s, pare_dtype_name(types[t]), types[t], (pare_shape){2, {2, 3}}, NULL, bytes);
        node(&s, PARE_OP_CAST, &(pare_cast_attrs){PARE_F32}, constant, PARE_NONE, PARE_NONE);
    }
    return end(&s);
}

pare_model *sample_smallest(void) {
    sample s = begin();
    uint32_t x = add_input(&s, "x", PARE_F32, (pare_shape){1, {-1}}, NULL);
    node(&s, PARE_OP_BINARY, &(pare_binary_attrs){.kind = PARE_BINARY_ADD}, x, x, PARE_NONE);
    return end(&s);
}

/* Weights [outputs, inputs, 3, 3] drawn by `kind`: 0 bell-shaped, 1 small range, 2 mostly zero, 3 few values. */
static uint32_t integer_weights(sample *s, int64_t outputs, int64_t inputs, int kind) {
    size_t count = (size_t)(outputs * inputs * 9);
    int8_t *values = malloc(count);
    float scales[64];
    int32_t zeros[64] = {0};
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) {
        double bell = -2; /* near enough to a normal value, and without libm */
        for (int k = 0; k < 4; k++) {
            bell += pare_random_unit(&s->random);
        }
        uint64_t any = pare_random_u64(&s->random);
        values[i] = (int8_t)(kind == 0   ? fmax(-127, fmin(127, rint(bell * 60)))
                             : kind == 1 ? (int)(any % 8) - 4
                             : kind == 2 ? (any % 10 == 0 ? (int)(any / 16 % 255) - 127 : 0)
                                         : (int)(any % 3) * 60 - 60);
    }
    for (int64_t i = 0; i < outputs; i++) {
        scales[i] = 0.01F + 0.001F * (float)i;
    }
    pare_model_quant quant = {0, (uint32_t)outputs, scales, zeros};
    uint32_t index = add(s, "kernel", PARE_S8, (pare_shape){4, {outputs, inputs, 3, 3}}, &quant, values);
    free(values);
    return index;
}

/* Its scales are the input's times those of integer_weights. */
static uint32_t integer_bias(sample *s, int64_t outputs, float input_scale) {
    int32_t values[64], zeros[64] = {0};
    float scales[64];
    for (int64_t i = 0; i < outputs; i++) {
        values[i] = (int32_t)pare_random_below(&s->random, 4000) - 2000;
        scales[i] = input_scale * (0.01F + 0.001F * (float)i);
    }
    pare_model_quant quant = {0, (uint32_t)outputs, scales, zeros};
    return add(s, "bias", PARE_S32, (pare_shape){1, {outputs}}, &quant, values);
}

pare_model *sample_integer(void) {
    static const float scale = 0.02F, wide = 0.05F;
    static const int32_t zero = 128, low = 0;
    sample s = begin();
    pare_model_quant q = {-1, 1, &scale, &zero}, r = {-1, 1, &wide, &low};
    uint8_t table[256];
    for (int i = 0; i < 256; i++) {
        table[i] = (uint8_t)(i / 2);
    }
    uint32_t x = add_input(&s, "x", PARE_F32, (pare_shape){4, {-1, 4, 6, 6}}, NULL);
    pare_conv_attrs conv = {.stride_h = 1,
                            .stride_w = 1,
                            .dilation_h = 1,
                            .dilation_w = 1,
                            .pad_top = 1,
                            .pad_left = 1,
                            .pad_bottom = 1,
                            .pad_right = 1,
                            .groups = 1,
                            .activation = relu};
    uint32_t y = node_typed(&s, PARE_OP_QUANTIZE, &(pare_no_attrs){0}, &x, 1, PARE_U8, NULL, &q);
    for (int kind = 0; kind < 4; kind++) {
        uint32_t inputs[3] = {y, integer_weights(&s, 16, kind == 0 ? 4 : 16, kind), integer_bias(&s, 16, scale)};
        y = node_typed(&s, PARE_OP_CONV, &conv, inputs, 3, PARE_U8, NULL, &q);
    }
    pare_conv_attrs added = conv;
    added.inner_scale = 0.03F;
    added.inner_zero = 100;
    uint32_t with_residual[4] = {y, integer_weights(&s, 16, 16, 0), PARE_NONE, y};
    uint32_t sum = node_typed(&s, PARE_OP_CONV, &added, with_residual, 4, PARE_U8, NULL, &r);
    uint32_t mapped[2] = {sum, add(&s, "table", PARE_U8, (pare_shape){1, {256}}, NULL, table)};
    uint32_t u = node_typed(&s, PARE_OP_UNARY, &(pare_unary_attrs){{PARE_FN_SILU, 0, 0}}, mapped, 2, PARE_U8, NULL, &q);
    pare_pool_attrs pool = {.kind = PARE_POOL_MAX,
                            .kernel_h = 2,
                            .kernel_w = 2,
                            .stride_h = 2,
                            .stride_w = 2,
                            .dilation_h = 1,
                            .dilation_w = 1};
    uint32_t p = node_typed(&s, PARE_OP_POOL, &pool, &u, 1, PARE_U8, NULL, &q);
    uint32_t pair[2] = {p, p};
    uint32_t m =
        node_typed(&s, PARE_OP_BINARY, &(pare_binary_attrs){.kind = PARE_BINARY_MUL}, pair, 2, PARE_U8, NULL, &r);
    uint32_t joined[2] = {p, m};
    uint32_t c = node_typed(&s, PARE_OP_CONCAT, &(pare_axis_attrs){1}, joined, 2, PARE_U8, NULL, &r);
    uint32_t flat = node_typed(&s, PARE_OP_RESHAPE, &(pare_shape_attrs){2, {-1, 288}}, &c, 1, PARE_U8, NULL, &r);
    int8_t dense[10 * 288];
    for (size_t i = 0; i < sizeof dense; i++) {
        dense[i] = (int8_t)((int)pare_random_below(&s.random, 255) - 127);
    }
    pare_model_quant plain = {-1, 1, &scale, &low};
    uint32_t fc[2] = {flat, add(&s, "dense", PARE_S8, (pare_shape){2, {10, 288}}, &plain, dense)};
    uint32_t logits =
        node_typed(&s, PARE_OP_FULLY_CONNECTED, &(pare_fully_connected_attrs){{0, 0, 0}}, fc, 2, PARE_U8, NULL, &q);
    node(&s, PARE_OP_DEQUANTIZE, &(pare_no_attrs){0}, logits, PARE_NONE, PARE_NONE);
    return end(&s);
}
