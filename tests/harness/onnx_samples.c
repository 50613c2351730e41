#include "onnx_samples.h"

#include "pare/onnx_graph.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__})
#define DIMS(...) ((const int64_t[]){__VA_ARGS__})
#define COUNT(...) (sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))
#define NODE1(m, op, name, output, ...)                                                                                \
    test_onnx_node(m, op, name, COUNT(__VA_ARGS__), NAMES(__VA_ARGS__), 1, NAMES(output))

static const float ramp[64] = {0.5F,  -0.25F, 0.75F,   1.0F,  -1.5F,  0.125F, 2.0F, -0.5F,
                               0.25F, 0.375F, -0.625F, 1.25F, -0.75F, 0.5F,   0.0F, 1.5F};
static const int8_t small[64] = {5, -3, 100, 7, -128, 127, 2, 0, 1, -1, 33, -44, 55, 66, -77, 9};

static test_onnx *begin_image(int64_t opset) {
    test_onnx *m = test_onnx_begin(8, opset);
    test_onnx_input(m, "x", PARE_F32, 4, DIMS(-1, 2, 4, 4));
    return m;
}

static void conv_weights(test_onnx *m) {
    test_onnx_initializer_f32(m, "w", 4, DIMS(2, 2, 3, 3), ramp);
    test_onnx_initializer_f32(m, "b", 1, DIMS(2), ramp);
}

static test_onnx *build_conv(void) {
    test_onnx *m = begin_image(17);
    conv_weights(m);
    Onnx__NodeProto *conv = NODE1(m, "Conv", "conv", "c", "x", "w", "b");
    test_onnx_attr_ints(m, conv, "pads", 4, DIMS(1, 1, 1, 1));
    NODE1(m, "Relu", "", "r", "c");
    NODE1(m, "GlobalAveragePool", "pool", "p", "r");
    NODE1(m, "Flatten", "flat", "y", "p");
    test_onnx_output(m, "y", PARE_F32, 2, DIMS(-1, 2));
    return m;
}

static test_onnx *build_norm(void) {
    test_onnx *m = begin_image(13);
    conv_weights(m);
    test_onnx_initializer_f32(m, "scale", 1, DIMS(2), (const float[]){2.0F, 0.5F});
    test_onnx_initializer_f32(m, "shift", 1, DIMS(2), (const float[]){-1.0F, 0.25F});
    test_onnx_initializer_f32(m, "mean", 1, DIMS(2), (const float[]){0.5F, 1.0F});
    test_onnx_initializer_f32(m, "var", 1, DIMS(2), (const float[]){4.0F, 0.25F});
    NODE1(m, "Conv", "conv", "c", "x", "w");
    NODE1(m, "BatchNormalization", "norm", "y", "c", "scale", "shift", "mean", "var");
    test_onnx_output(m, "y", PARE_F32, 4, DIMS(-1, 2, 2, 2));
    return m;
}

static void scale(test_onnx *m, const char *name, const char *zero_name, float value, uint8_t zero) {
    test_onnx_initializer_f32(m, name, 0, DIMS(0), &value);
    test_onnx_initializer_u8(m, zero_name, 0, DIMS(0), &zero);
}

static void integer_weights(test_onnx *m) {
    test_onnx_initializer_s8(m, "w", 4, DIMS(2, 2, 3, 3), small);
    test_onnx_initializer_f32(m, "ws", 1, DIMS(2), (const float[]){0.01F, 0.02F});
    test_onnx_initializer_s8(m, "wz", 1, DIMS(2), (const int8_t[]){0, 0});
    test_onnx_initializer_s32(m, "b", 1, DIMS(2), (const int32_t[]){-500, 300});
}

static test_onnx *build_qdq(void) {
    test_onnx *m = begin_image(13);
    integer_weights(m);
    scale(m, "xs", "xz", 0.05F, 120);
    scale(m, "ys", "yz", 0.1F, 0);
    test_onnx_initializer_f32(m, "bs", 1, DIMS(2), (const float[]){0.0005F, 0.001F});
    NODE1(m, "QuantizeLinear", "q1", "xq", "x", "xs", "xz");
    NODE1(m, "DequantizeLinear", "d1", "xd", "xq", "xs", "xz");
    test_onnx_attr_int(m, NODE1(m, "DequantizeLinear", "d2", "wd", "w", "ws", "wz"), "axis", 0);
    test_onnx_attr_int(m, NODE1(m, "DequantizeLinear", "d3", "bd", "b", "bs"), "axis", 0);
    NODE1(m, "Conv", "conv", "c", "xd", "wd", "bd");
    NODE1(m, "Relu", "relu", "r", "c");
    NODE1(m, "QuantizeLinear", "q2", "rq", "r", "ys", "yz");
    test_onnx_attr_ints(m, NODE1(m, "MaxPool", "pool", "mq", "rq"), "kernel_shape", 2, DIMS(2, 2));
    NODE1(m, "DequantizeLinear", "d4", "y", "mq", "ys", "yz");
    test_onnx_output(m, "y", PARE_F32, 4, DIMS(-1, 2, 1, 1));
    return m;
}

static test_onnx *build_qlinear(void) {
    test_onnx *m = begin_image(13);
    integer_weights(m);
    scale(m, "xs", "xz", 0.05F, 120);
    scale(m, "ys", "yz", 0.1F, 100);
    NODE1(m, "QuantizeLinear", "q1", "xq", "x", "xs", "xz");
    NODE1(m, "QLinearConv", "conv", "cq", "xq", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b");
    NODE1(m, "DequantizeLinear", "d1", "c", "cq", "ys", "yz");
    NODE1(m, "Relu", "relu", "y", "c");
    test_onnx_output(m, "y", PARE_F32, 4, DIMS(-1, 2, 2, 2));
    return m;
}

static test_onnx *build_old(void) {
    test_onnx *m = begin_image(9);
    test_onnx_initializer_f32(m, "sizes", 1, DIMS(4), (const float[]){1.0F, 1.0F, 2.0F, 2.0F});
    Onnx__NodeProto *clip = NODE1(m, "Clip", "clip", "c", "x");
    test_onnx_attr_float(m, clip, "min", -0.5F);
    test_onnx_attr_float(m, clip, "max", 0.5F);
    test_onnx_attr_string(m, NODE1(m, "Upsample", "up", "u", "c", "sizes"), "mode", "nearest");
    test_onnx_attr_int(m, NODE1(m, "Softmax", "soft", "s", "u"), "axis", 1);
    Onnx__NodeProto *slice = NODE1(m, "Slice", "cut", "l", "s");
    test_onnx_attr_ints(m, slice, "starts", 1, DIMS(1));
    test_onnx_attr_ints(m, slice, "ends", 1, DIMS(5));
    test_onnx_attr_ints(m, slice, "axes", 1, DIMS(2));
    Onnx__NodeProto *pad = NODE1(m, "Pad", "pad", "p", "l");
    test_onnx_attr_ints(m, pad, "pads", 8, DIMS(0, 0, 1, 0, 0, 0, 0, 1));
    test_onnx_attr_float(m, pad, "value", 0.25F);
    Onnx__NodeProto *sum = NODE1(m, "ReduceSum", "sum", "y", "p");
    test_onnx_attr_ints(m, sum, "axes", 1, DIMS(1));
    test_onnx_attr_int(m, sum, "keepdims", 0);
    test_onnx_output(m, "y", PARE_F32, 3, DIMS(-1, 5, 9));
    return m;
}

/* Shape -> Gather -> Concat -> Reshape and Expand by the batch. */
static test_onnx *build_shapes(void) {
    test_onnx *m = begin_image(13);
    test_onnx_initializer_i64(m, "zero", 1, DIMS(1), DIMS(0));
    test_onnx_initializer_i64(m, "rest", 1, DIMS(1), DIMS(32));
    test_onnx_initializer_i64(m, "three", 1, DIMS(1), DIMS(3));
    test_onnx_initializer_f32(m, "w", 2, DIMS(32, 2), ramp);
    test_onnx_initializer_f32(m, "b", 2, DIMS(1, 2), ramp);
    test_onnx_initializer_f32(m, "k", 2, DIMS(1, 3), ramp);
    NODE1(m, "Shape", "shape", "s", "x");
    NODE1(m, "Gather", "batch", "n", "s", "zero");
    test_onnx_attr_int(m, NODE1(m, "Concat", "join", "t", "n", "rest"), "axis", 0);
    NODE1(m, "Reshape", "flat", "f", "x", "t");
    NODE1(m, "MatMul", "mm", "p", "f", "w");
    NODE1(m, "Add", "bias", "g", "p", "b");
    test_onnx_attr_int(m, NODE1(m, "Concat", "join2", "t2", "n", "three"), "axis", 0);
    NODE1(m, "Expand", "spread", "e", "k", "t2");
    test_onnx_attr_int(m, NODE1(m, "Concat", "both", "y", "g", "e"), "axis", 1);
    test_onnx_output(m, "y", PARE_F32, 2, DIMS(-1, 5));
    return m;
}

static test_onnx *build_constant_output(void) {
    test_onnx *m = begin_image(13);
    test_onnx_attr_tensor(m, test_onnx_node(m, "Constant", "k", 0, NULL, 1, NAMES("c")), "value", PARE_F32, 1, DIMS(3),
                          ramp);
    NODE1(m, "Relu", "relu", "y", "x");
    test_onnx_output(m, "y", PARE_F32, 4, DIMS(-1, 2, 4, 4));
    test_onnx_output(m, "c", PARE_F32, 1, DIMS(3));
    return m;
}

const onnx_sample onnx_samples[] = {
    {"conv", build_conv},
    {"norm", build_norm},
    {"qdq", build_qdq},
    {"qlinear", build_qlinear},
    {"old", build_old},
    {"shapes", build_shapes},
    {"constant_output", build_constant_output},
    {NULL, NULL},
};

pare_status onnx_sample_import(test_onnx *model, pare_graph **graph, pare_error *error) {
    pare_onnx_file file = {0};
    *graph = NULL;
    pare_status status = test_onnx_open(model, &file, error);
    if (status == PARE_OK) {
        status = pare_graph_from_onnx(&file, NULL, graph, error);
    }
    pare_onnx_close(&file);
    test_onnx_free(model);
    return status;
}
