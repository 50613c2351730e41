/* Rows 44 and 56 of the bad inputs: weights that are no ordinary numbers, and
 * scales, zero points and axes of quantized models. */
#include <math.h>
#include <string.h>

#include "onnx_samples.h"
#include "pare/lower.h"
#include "pare/onnx_graph.h"
#include "pare/runtime.h"
#include "test.h"

#define NAMES(...) ((const char *const[]){__VA_ARGS__})
#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

/* x -> QuantizeLinear -> DequantizeLinear -> MatMul with int8 weights -> y.
 * What a case breaks is a field of its recipe. */
typedef struct recipe {
    float scale;          /* of x */
    pare_dtype zero_type; /* of x's zero point; NONE: U8 */
    int64_t zero_count;   /* 0: 1 */
    int64_t scale_count;  /* of the weights; 0: 2 */
    float weight_scale;   /* 0 is 1, see `zero_weight_scale` */
    bool zero_weight_scale;
    int64_t axis; /* of the weights' DequantizeLinear; 0: 1 */
    int8_t weight_zero;
    bool no_dequantize;
} recipe;

static void zero_point(test_onnx *m, const recipe *r) {
    static const uint64_t zeros[4] = {0};
    pare_dtype type = r->zero_type == PARE_DTYPE_NONE ? PARE_U8 : r->zero_type;
    int64_t count = r->zero_count == 0 ? 1 : r->zero_count;
    test_onnx_initializer(m, "xz", type, count == 1 ? 0 : 1, &count, zeros);
}

static pare_status import(const recipe *r, pare_error *error) {
    test_onnx *m = test_onnx_begin(8, 13);
    test_onnx_input(m, "x", PARE_F32, 2, DIMS(-1, 3));
    test_onnx_initializer_f32(m, "xs", 0, NULL, &r->scale);
    zero_point(m, r);
    test_onnx_node(m, "QuantizeLinear", "q", 3, NAMES("x", "xs", "xz"), 1, NAMES("xq"));
    if (!r->no_dequantize) {
        test_onnx_node(m, "DequantizeLinear", "d", 3, NAMES("xq", "xs", "xz"), 1, NAMES("xr"));
    }
    float scales[8];
    int64_t count = r->scale_count == 0 ? 2 : r->scale_count;
    for (int i = 0; i < 8; i++) {
        scales[i] = r->zero_weight_scale ? 0.0F : r->weight_scale == 0.0F ? 1.0F : r->weight_scale;
    }
    int8_t zeros[8] = {0, r->weight_zero};
    test_onnx_initializer_s8(m, "w", 2, DIMS(3, 2), (const int8_t[]){1, 2, 3, 4, 5, 6});
    test_onnx_initializer_f32(m, "ws", 1, &count, scales);
    test_onnx_initializer_s8(m, "wz", 1, &count, zeros);
    Onnx__NodeProto *node = test_onnx_node(m, "DequantizeLinear", "dw", 3, NAMES("w", "ws", "wz"), 1, NAMES("wr"));
    test_onnx_attr_int(m, node, "axis", r->axis == 0 ? 1 : r->axis);
    test_onnx_node(m, "MatMul", "mm", 2, NAMES(r->no_dequantize ? "xq" : "xr", "wr"), 1, NAMES("y"));
    test_onnx_output(m, "y", PARE_F32, 2, DIMS(-1, 2));
    pare_graph *graph = NULL;
    pare_status status = onnx_sample_import(m, &graph, error);
    pare_graph_free(graph);
    assert_int_equal(pare_memory_used(), 0);
    return status;
}

static void refuse(recipe r, pare_status expected, const char *text) {
    pare_error error = {0};
    assert_fails(import(&r, &error), expected, &error, text);
}

static void row_56_scales(void **state) {
    (void)state;
    pare_error error = {0};
    assert_ok(import(&(recipe){.scale = 0.5F}, &error), &error);
    refuse((recipe){.scale = 0.0F}, PARE_BAD_INPUT, "positive, finite scale, found 0");
    refuse((recipe){.scale = -1.0F}, PARE_BAD_INPUT, "positive, finite scale, found -1");
    refuse((recipe){.scale = NAN}, PARE_BAD_INPUT, "positive, finite scale, found ");
    refuse((recipe){.scale = INFINITY}, PARE_BAD_INPUT, "positive, finite scale, found inf");
    refuse((recipe){.scale = 1, .zero_weight_scale = true}, PARE_BAD_INPUT, "(DequantizeLinear, opset 13): expected a");
    refuse((recipe){.scale = 1, .weight_scale = -INFINITY}, PARE_BAD_INPUT, "found -inf at 0");
}

static void row_56_zero_points(void **state) {
    (void)state;
    refuse((recipe){.scale = 1, .zero_type = PARE_S32}, PARE_UNSUPPORTED, "uint8 or int8 activations, found int32");
    refuse((recipe){.scale = 1, .zero_type = PARE_F32}, PARE_UNSUPPORTED, "uint8 or int8 activations, found float32");
    refuse((recipe){.scale = 1, .zero_type = PARE_U16}, PARE_UNSUPPORTED, "found uint16");
    refuse((recipe){.scale = 1, .zero_count = 2}, PARE_BAD_INPUT, "as many zero points as scales (1), found 2");
}

static void row_56_axes_and_lengths(void **state) {
    (void)state;
    refuse((recipe){.scale = 1, .scale_count = 3}, PARE_BAD_INPUT, "expected 2 scales along axis 1, found 3");
    refuse((recipe){.scale = 1, .scale_count = 3, .axis = 2}, PARE_BAD_INPUT, "axis in [-2, 2), found 2");
    refuse((recipe){.scale = 1, .scale_count = 3, .axis = INT64_MIN}, PARE_BAD_INPUT, "axis in [-2, 2)");
    pare_error error = {0};
    assert_ok(import(&(recipe){.scale = 1, .scale_count = 3, .axis = -2}, &error), &error);
}

static void row_56_integers_without_dequantize(void **state) {
    (void)state;
    refuse((recipe){.scale = 1, .no_dequantize = true}, PARE_UNSUPPORTED, "expected DequantizeLinear before it");
    test_onnx *m = test_onnx_begin(8, 13); /* the integers leave the graph */
    float scale = 1;
    uint8_t zero = 0;
    test_onnx_input(m, "x", PARE_F32, 2, DIMS(-1, 3));
    test_onnx_initializer_f32(m, "s", 0, NULL, &scale);
    test_onnx_initializer_u8(m, "z", 0, NULL, &zero);
    test_onnx_node(m, "QuantizeLinear", "q", 3, NAMES("x", "s", "z"), 1, NAMES("y"));
    test_onnx_output(m, "y", PARE_U8, 2, DIMS(-1, 3));
    pare_error error = {0};
    pare_graph *graph = NULL;
    assert_fails(onnx_sample_import(m, &graph, &error), PARE_UNSUPPORTED, &error,
                 "expected DequantizeLinear after it, found that its integers leave the graph");
    assert_null(graph);
}

/* int8 weights with a zero point are read, and run in float. */
static void row_56_weights_with_a_zero_point(void **state) {
    (void)state;
    pare_error error = {0};
    assert_ok(import(&(recipe){.scale = 1, .weight_zero = 3}, &error), &error);
}

/* --- weights ---------------------------------------------------------------- */

static void run(const float *weights, const float *x, float *y) {
    pare_error error = {0};
    pare_graph *graph = NULL;
    pare_model *model = NULL;
    test_onnx *m = test_onnx_begin(8, 13);
    test_onnx_input(m, "x", PARE_F32, 2, DIMS(-1, 2));
    test_onnx_initializer_f32(m, "w", 2, DIMS(2, 2), weights);
    test_onnx_node(m, "MatMul", "mm", 2, NAMES("x", "w"), 1, NAMES("y"));
    test_onnx_output(m, "y", PARE_F32, 2, DIMS(-1, 2));
    assert_ok(onnx_sample_import(m, &graph, &error), &error);
    assert_ok(pare_graph_lower(graph, &model, &error), &error);
    uint8_t *file = NULL;
    size_t size = 0;
    assert_ok(pare_model_to_bytes(model, NULL, &file, &size, &error), &error);
    pare_model_release(model);
    assert_ok(pare_model_from_bytes(file, size, NULL, &model, &error), &error);
    pare_free(file);
    for (int reference = 0; reference < 2; reference++) {
        pare_session *session = NULL;
        pare_session_options options = {.struct_size = sizeof options, .threads = 1, .reference = reference};
        pare_input in = {x, 2 * sizeof *x};
        pare_output_buffer out = {y + 2 * reference, 2 * sizeof *y};
        assert_ok(pare_session_create(model, &options, &session, &error), &error);
        assert_ok(pare_session_run(session, &in, 1, &out, 1, &error), &error);
        pare_session_free(session);
    }
    pare_model_release(model);
    pare_graph_free(graph);
}

/* A float network computes what IEEE 754 says, also through a .pare file. */
static void row_44_weights_of_float_networks(void **state) {
    (void)state;
    const float x[2] = {1, 2};
    float y[4];
    run((const float[]){NAN, 1, 0, 1}, x, y);
    assert_true(isnan(y[0]) && isnan(y[2]) && y[1] == 3.0F && y[3] == 3.0F);
    run((const float[]){INFINITY, -INFINITY, 1, 1}, x, y);
    assert_true(y[0] == INFINITY && y[1] == -INFINITY && y[2] == INFINITY && y[3] == -INFINITY);
    run((const float[]){0, 0, 0, 0}, x, y);
    assert_true(y[0] == 0.0F && y[1] == 0.0F && y[2] == 0.0F && y[3] == 0.0F);
    run((const float[]){1e-40F, -1e-45F, 1e-40F, 0}, x, y);
    for (int i = 0; i < 4; i++) {
        assert_true(fabsf(y[i]) < 1e-38F); /* kept or flushed, by the CPU's kernels */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_56_scales),
        cmocka_unit_test(row_56_zero_points),
        cmocka_unit_test(row_56_axes_and_lengths),
        cmocka_unit_test(row_56_integers_without_dequantize),
        cmocka_unit_test(row_56_weights_with_a_zero_point),
        cmocka_unit_test(row_44_weights_of_float_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
