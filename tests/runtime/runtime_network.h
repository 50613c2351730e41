/* Small networks of several nodes for tests of sessions. */
#ifndef RUNTIME_NETWORK_H
#define RUNTIME_NETWORK_H

#include "runtime_case.h"

/* --- building ------------------------------------------------------------- */

static inline pare_model_builder *start(void) {
    pare_model_builder *builder = NULL;
    pare_error error;
    assert_ok(pare_model_builder_create(&builder, &error), &error);
    return builder;
}

static inline uint32_t tensor(pare_model_builder *b, const char *name, pare_dtype dtype, pare_shape shape, float scale,
                              int32_t zero, const void *data) {
    pare_error error;
    uint32_t index = 0;
    size_t bytes = 0;
    pare_model_quant quant = {.axis = -1, .count = 1, .scales = &scale, .zero_points = &zero};
    if (data != NULL) {
        assert_true(pare_shape_bytes(&shape, dtype, &bytes));
    }
    assert_ok(pare_model_add_tensor(b, name, dtype, &shape, scale != 0.0F ? &quant : NULL, data, bytes, &index, &error),
              &error);
    return index;
}

static inline void node(pare_model_builder *b, const char *name, uint32_t opcode, const void *attrs,
                        const uint32_t *inputs, uint32_t count, uint32_t output) {
    pare_error error;
    assert_ok(pare_model_add_node(b, name, opcode, inputs, count, &output, 1, attrs, NULL, &error), &error);
}

static inline void input(pare_model_builder *b, uint32_t t) {
    pare_error error;
    assert_ok(pare_model_add_input(b, t, &error), &error);
}

static inline void output(pare_model_builder *b, uint32_t t) {
    pare_error error;
    assert_ok(pare_model_add_output(b, t, &error), &error);
}

static inline pare_model *finish(pare_model_builder *b) {
    pare_model *model = NULL;
    pare_error error;
    assert_ok(pare_model_finish(b, &model, &error), &error);
    return model;
}

/* x [N,3,12,12] → quantize → conv 16 → conv 16 with a residual → average pool → flatten → fully connected → y [N,10] */
static inline pare_model *integer_network(void) {
    pare_random random;
    pare_random_seed(&random, 23);
    pare_model_builder *b = start();
    int8_t *w = (int8_t *)random_bytes(&random, 16 * 16 * 9);
    int32_t bias[16];
    for (int i = 0; i < 16; i++) {
        bias[i] = i * 50 - 400;
    }
    uint32_t x = tensor(b, "x", PARE_F32, (pare_shape)SHAPE(-1, 3, 12, 12), 0, 0, NULL);
    uint32_t q = tensor(b, "q", PARE_U8, (pare_shape)SHAPE(-1, 3, 12, 12), 0.01F, 128, NULL);
    uint32_t w1 = tensor(b, "w1", PARE_S8, (pare_shape)SHAPE(16, 3, 3, 3), 0.01F, 0, w);
    uint32_t w2 = tensor(b, "w2", PARE_S8, (pare_shape)SHAPE(16, 16, 3, 3), 0.002F, 0, w);
    uint32_t w3 = tensor(b, "w3", PARE_S8, (pare_shape)SHAPE(10, 16), 0.01F, 0, w);
    uint32_t b1 = tensor(b, "b1", PARE_S32, (pare_shape)SHAPE(16), 0.0001F, 0, bias);
    uint32_t h1 = tensor(b, "h1", PARE_U8, (pare_shape)SHAPE(-1, 16, 12, 12), 0.02F, 10, NULL);
    uint32_t h2 = tensor(b, "h2", PARE_U8, (pare_shape)SHAPE(-1, 16, 12, 12), 0.03F, 50, NULL);
    uint32_t p = tensor(b, "p", PARE_U8, (pare_shape)SHAPE(-1, 16, 1, 1), 0.01F, 90, NULL);
    uint32_t f = tensor(b, "f", PARE_U8, (pare_shape)SHAPE(-1, 16), 0.01F, 90, NULL);
    uint32_t yq = tensor(b, "yq", PARE_U8, (pare_shape)SHAPE(-1, 10), 0.02F, 128, NULL);
    uint32_t y = tensor(b, "y", PARE_F32, (pare_shape)SHAPE(-1, 10), 0, 0, NULL);
    pare_no_attrs none = {0};
    pare_conv_attrs conv = {.stride_h = 1,
                            .stride_w = 1,
                            .dilation_h = 1,
                            .dilation_w = 1,
                            .pad_top = 1,
                            .pad_left = 1,
                            .pad_bottom = 1,
                            .pad_right = 1,
                            .groups = 1};
    pare_pool_attrs pool = {.kind = PARE_POOL_AVERAGE,
                            .kernel_h = 12,
                            .kernel_w = 12,
                            .stride_h = 1,
                            .stride_w = 1,
                            .dilation_h = 1,
                            .dilation_w = 1};
    pare_fully_connected_attrs fc = {.activation = {PARE_FN_IDENTITY, 0, 0}};
    input(b, x);
    node(b, "quantize", PARE_OP_QUANTIZE, &none, &x, 1, q);
    node(b, "conv1", PARE_OP_CONV, &conv, (uint32_t[]){q, w1, b1}, 3, h1);
    conv.inner_scale = 0.05F;
    conv.inner_zero = 120;
    conv.activation.function = PARE_FN_RELU;
    node(b, "conv2", PARE_OP_CONV, &conv, (uint32_t[]){h1, w2, PARE_NONE, h1}, 4, h2);
    node(b, "pool", PARE_OP_POOL, &pool, &h2, 1, p);
    node(b, "flatten", PARE_OP_RESHAPE, &(pare_shape_attrs){2, {-1, 16}}, &p, 1, f);
    node(b, "fc", PARE_OP_FULLY_CONNECTED, &fc, (uint32_t[]){f, w3}, 2, yq);
    node(b, "dequantize", PARE_OP_DEQUANTIZE, &none, &yq, 1, y);
    output(b, y);
    output(b, h2);
    pare_free(w);
    return finish(b);
}

enum { X = 3 * 12 * 12, Y = 10, H = 16 * 12 * 12, MOST = 7 };

typedef struct results {
    float y[MOST * Y];
    uint8_t h[MOST * H];
} results;

static inline void run_network(pare_model *model, const pare_session_options *options, const float *x, size_t batch,
                               results *r) {
    pare_session *session = NULL;
    pare_error error;
    assert_ok(pare_session_create(model, options, &session, &error), &error);
    pare_input in = {x, batch * X * sizeof(float)};
    pare_output_buffer out[] = {{r->y, batch * Y * sizeof(float)}, {r->h, batch * H}};
    size_t calls = pare_memory_calls();
    assert_ok(pare_session_run(session, &in, 1, out, 2, &error), &error);
    assert_int_equal(pare_memory_calls(), calls); /* a run allocates nothing */
    pare_session_free(session);
}

#endif
