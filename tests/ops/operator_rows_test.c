/* Rows 47 to 57 of the bad inputs: operands and attributes that no kernel may
 * see. Each node is inferred, folded and lowered, as the tools do. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph_case.h"
#include "pare/lower.h"
#include "pare/passes.h"

typedef struct refusal {
    graph_case node;
    pare_status expected;
    const char *text;
} refusal;

#define IN(...)                                                                                                        \
    { __VA_ARGS__ }
#define OUT                                                                                                            \
    { "f32 scalar" }
#define BAD(op, attributes, inputs, text)                                                                              \
    { {op, 18, attributes, inputs, OUT, 0}, PARE_BAD_INPUT, text }
#define UNSUPPORTED(op, attributes, inputs, text)                                                                      \
    { {op, 18, attributes, inputs, OUT, 0}, PARE_UNSUPPORTED, text }
#define LIMITED(op, attributes, inputs, text)                                                                          \
    { {op, 18, attributes, inputs, OUT, 0}, PARE_LIMIT, text }

static pare_status take(const graph_case *node, pare_error *error) {
    pare_graph *graph = NULL;
    pare_model *model = NULL;
    pare_status status = graph_case_build(node, &graph, error);
    if (status == PARE_OK) {
        status = pare_simplify(graph, error);
    }
    if (status == PARE_OK) {
        status = pare_graph_lower(graph, &model, error);
    }
    pare_model_release(model);
    pare_graph_free(graph);
    assert_int_equal(pare_memory_used(), 0);
    return status;
}

static void refuse_each(const refusal *cases, size_t count) {
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        pare_error error = {0};
        pare_status status = take(&cases[i].node, &error);
        if (status != cases[i].expected || strstr(error.message, cases[i].text) == NULL ||
            strstr(error.message, cases[i].node.op) == NULL) {
            print_error("%s %s (case %zu): expected status %d and \"%s\", found %d: %s\n", cases[i].node.op,
                        cases[i].node.attributes, i, (int)cases[i].expected, cases[i].text, (int)status,
                        status == PARE_OK ? "" : error.message);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}
#define REFUSE_EACH(cases) refuse_each(cases, sizeof(cases) / sizeof((cases)[0]))

static void accept(const char *op, const char *attributes, const char *x, const char *y) {
    pare_error error = {0};
    graph_case node = {op, 18, attributes, {x, y}, OUT, 0};
    assert_ok(take(&node, &error), &error);
}

#define X "f32 1x2x5x5"
#define W "f32 2x2x3x3"

static void row_47_convolutions(void **state) {
    (void)state;
    static const refusal cases[] = {
        BAD("Conv", "strides:I=0,1", IN(X, W), "expected strides from 1"),
        BAD("Conv", "strides:I=1,-1", IN(X, W), "found -1"),
        BAD("Conv", "strides:I=1", IN(X, W), "expected 2 elements in attribute strides, found 1"),
        BAD("Conv", "dilations:I=0,1", IN(X, W), "expected dilations from 1"),
        BAD("Conv", "dilations:I=-2,1", IN(X, W), "found -2"),
        BAD("Conv", "group:i=0", IN(X, W), "group of at least 1, found 0"),
        BAD("Conv", "group:i=-1", IN(X, W), "group of at least 1, found -1"),
        BAD("Conv", "group:i=9223372036854775807", IN(X, W), "group of at least 1"),
        BAD("Conv", "group:i=2", IN(X, W), "expected 2 channels in 2 groups"),
        BAD("Conv", "group:i=2", IN(X, "f32 3x1x3x3"), "in 2 groups, found weights of 3 x 1"),
        BAD("Conv", "", IN("f32 1x3x5x5", W), "expected 3 channels in 1 groups"),
        BAD("Conv", "pads:I=-1,0,0,0", IN(X, W), "expected pads from 0"),
        BAD("Conv", "pads:I=1,1", IN(X, W), "expected 4 elements in attribute pads, found 2"),
        BAD("Conv", "pads:I=2147483648,0,0,0", IN(X, W), "found 2147483648"),
        LIMITED("Conv", "pads:I=2147483647,0,2147483647,0", IN(X, W), "extents below 2^31"),
        BAD("Conv", "", IN(X, "f32 2x2x6x3"), "window that fits its padded input, found kernel 6 over 5"),
        BAD("Conv", "dilations:I=3,1", IN(X, W), "window that fits"),
        BAD("Conv", "dilations:I=2147483647,2147483647", IN(X, W), "window that fits"),
        BAD("Conv", "auto_pad:s=SAME_UPPER pads:I=2,2,0,0", IN(X, W), "pads or auto_pad SAME_UPPER, found both"),
        BAD("Conv", "auto_pad:s=VALID pads:I=1,1,1,1", IN(X, W), "pads or auto_pad VALID, found both"),
        BAD("Conv", "auto_pad:s=SAME", IN(X, W), "expected auto_pad NOTSET"),
        BAD("Conv", "kernel_shape:I=3,2", IN(X, W), "kernel_shape to agree"),
        BAD("Conv", "", IN(X, "f32 2x2x3"), "dimensions"),
        BAD("Conv", "", IN(X, W, "f32 3"), "bias of 2 elements"),
        BAD("ConvTranspose", "strides:I=0,1", IN(X, W), "expected positive, fixed extents"),
        BAD("ConvTranspose", "group:i=0", IN(X, W), "in groups"),
        BAD("ConvTranspose", "group:i=3", IN(X, W), "in groups"),
        BAD("ConvTranspose", "pads:I=9,9,9,9", IN(X, W), "expected positive, fixed extents"),
        BAD("ConvTranspose", "pads:I=-1,0,0,0", IN(X, W), "expected pads from 0"),
        BAD("ConvTranspose", "strides:I=2147483647,1 dilations:I=2147483647,1", IN(X, W), "fixed extents"),
        BAD("ConvTranspose", "output_shape:I=0,0", IN(X, W), "fixed extents"),
        BAD("ConvTranspose", "auto_pad:s=same_upper", IN(X, W), "expected auto_pad NOTSET"),
    };
    REFUSE_EACH(cases);
    /* Pads wider than the kernel are right for a convolution; both spellings that agree are too. */
    accept("Conv", "pads:I=4,4,4,4", X, W);
    accept("Conv", "auto_pad:s=SAME_LOWER pads:I=1,1,1,1", X, W);
    accept("Conv", "auto_pad:s=VALID pads:I=0,0,0,0", X, W);
}

static void row_48_pools(void **state) {
    (void)state;
    static const refusal cases[] = {
        BAD("MaxPool", "", IN(X), "expected 2 elements in kernel_shape, found 0"),
        BAD("MaxPool", "kernel_shape:I=2", IN(X), "expected 2 elements in kernel_shape, found 1"),
        BAD("MaxPool", "kernel_shape:I=0,2", IN(X), "kernel"),
        BAD("MaxPool", "kernel_shape:I=-1,2", IN(X), "kernel"),
        BAD("MaxPool", "kernel_shape:I=6,6", IN(X), "window that fits"),
        BAD("MaxPool", "kernel_shape:I=2147483647,2147483647 dilations:I=2147483647,2147483647", IN(X), "window"),
        BAD("AveragePool", "kernel_shape:I=2,2 strides:I=0,0", IN(X), "expected strides from 1"),
        BAD("AveragePool", "kernel_shape:I=2,2 strides:I=-1,1", IN(X), "found -1"),
        BAD("AveragePool", "kernel_shape:I=2,2 pads:I=2,2,2,2", IN(X), "expected padding"),
        BAD("AveragePool", "kernel_shape:I=2,2 pads:I=0,0,0,2 count_include_pad:i=1", IN(X), "expected padding"),
        BAD("MaxPool", "kernel_shape:I=2,2 pads:I=9,0,0,0", IN(X), "expected padding"),
        BAD("MaxPool", "kernel_shape:I=2,2 auto_pad:s=SAME_UPPER pads:I=1,0,0,0", IN(X), "found both"),
        BAD("MaxPool", "kernel_shape:I=2,2", IN("f32 1x2"), "dimensions"),
        UNSUPPORTED("GlobalAveragePool", "", IN("f32 1x2x0x5"), "fixed spatial extents"),
        BAD("GlobalMaxPool", "", IN("f32 5"), "dimensions"),
    };
    REFUSE_EACH(cases);
    accept("AveragePool", "kernel_shape:I=2,2 pads:I=1,1,1,1 count_include_pad:i=7", X, NULL);
    accept("AveragePool", "kernel_shape:I=3,3 strides:I=4,4 pads:I=2,2,2,2 ceil_mode:i=1", X, NULL);
}

static void row_49_reshapes(void **state) {
    (void)state;
    static const refusal cases[] = {
        BAD("Reshape", "", IN("f32 2x6", "const i64 2 = -1 -1"), "one -1"),
        BAD("Reshape", "", IN("f32 2x6", "const i64 2 = -2 6"), "found -2"),
        BAD("Reshape", "", IN("f32 2x6", "const i64 1 = -9223372036854775808"), "extents of at least 0"),
        BAD("Reshape", "allowzero:i=1", IN("f32 2x6", "const i64 2 = 0 6"), "as many elements as 2x6"),
        BAD("Reshape", "allowzero:i=1", IN("f32 2x6", "const i64 2 = 0 -1"), "as many elements as 2x6"),
        BAD("Reshape", "", IN("f32 2x6", "const i64 3 = 2 6 0"), "extents of at least 0"),
        BAD("Reshape", "", IN("f32 2x6", "const i64 2 = 5 -1"), "as many elements as 2x6"),
        BAD("Reshape", "", IN("f32 2x6", "const i64 2 = 2 7"), "as many elements as 2x6"),
        BAD("Reshape", "", IN("f32 2x6", "const i64 3 = 4294967296 4294967296 12"), "as many elements as 2x6"),
        BAD("Reshape", "", IN("f32 2x6", "const i64 9 = 1 1 1 1 1 1 1 1 12"), "at most 8 elements"),
        BAD("Reshape", "", IN("f32 1x1024", "const i64 1 = -4611686018427386880"), "as many elements"),
        BAD("Reshape", "", IN("f32 2x6", "const f32 2 = 2 6"), "expected integers"),
        UNSUPPORTED("Reshape", "", IN("f32 2x6", "i64 2"), "to be constant"),
        BAD("Flatten", "axis:i=3", IN("f32 2x6"), "axis in [-2, 2), found 3"),
        BAD("Squeeze", "", IN("f32 2x6", "const i64 1 = 0"), "extent of 1 at axis 0"),
        BAD("Squeeze", "", IN("f32 1x6", "const i64 1 = 5"), "expected an axis"),
        BAD("Unsqueeze", "", IN("f32 6", "const i64 2 = 0 0"), "each axis once"),
        BAD("Transpose", "perm:I=0,0", IN("f32 2x6"), "expected"),
        BAD("Transpose", "perm:I=0,2", IN("f32 2x6"), "expected"),
        BAD("Transpose", "perm:I=0", IN("f32 2x6"), "expected"),
        BAD("DepthToSpace", "", IN("f32 1x4x2x2"), "blocksize"),
        BAD("DepthToSpace", "blocksize:i=3", IN("f32 1x4x2x2"), "divisible by 9"),
        BAD("SpaceToDepth", "blocksize:i=2147483647", IN("f32 1x4x2x2"), "blocksize of 1 to 4096"),
    };
    REFUSE_EACH(cases);
}

static void row_50_gather_slice_pad(void **state) {
    (void)state;
    static const refusal cases[] = {
        BAD("Gather", "", IN("f32 3x4", "const i64 1 = 3"), "indices in [-3, 3), found 3"),
        BAD("Gather", "", IN("f32 3x4", "const i64 1 = -4"), "found -4"),
        BAD("Gather", "axis:i=1", IN("f32 3x4", "const i64 1 = 9223372036854775807"), "indices in [-4, 4)"),
        BAD("Gather", "axis:i=2", IN("f32 3x4", "const i64 1 = 0"), "axis in [-2, 2), found 2"),
        BAD("Gather", "", IN("f32 3x4", "f32 1"), "indices of type int32 or int64"),
        BAD("Gather", "", IN("const i64 2 = 5 6", "const i64 1 = 2"), "indices in [-2, 2)"),
        BAD("Slice", "", IN("f32 5", "const i64 1 = 0", "const i64 1 = 5", "const i64 1 = 0", "const i64 1 = 0"),
            "step that is not 0"),
        BAD("Slice", "",
            IN("f32 5", "const i64 1 = 0", "const i64 1 = 5", "const i64 1 = 0", "const i64 1 = -9223372036854775808"),
            "step that is not 0"),
        BAD("Slice", "", IN("f32 5", "const i64 1 = 0", "const i64 1 = 5", "const i64 1 = 1"), "expected an axis"),
        BAD("Slice", "", IN("f32 5x5", "const i64 2 = 0 0", "const i64 2 = 5 5", "const i64 2 = 0 -2"),
            "each axis once"),
        BAD("Slice", "", IN("f32 5", "const i64 1 = 0", "const i64 2 = 5 5"), "as many ends"),
        BAD("Slice", "", IN("f32 5", "const i64 2 = 0 0", "const i64 2 = 5 5"), "as many ends"),
        BAD("Pad", "", IN("f32 2x3", "const i64 3 = 1 1 1"), "expected 4 pads, found 3"),
        BAD("Pad", "", IN("f32 2x3", "const i64 4 = -3 0 0 0"), "leave elements of axis 0"),
        BAD("Pad", "", IN("f32 2x3", "const i64 4 = 1099511627776 0 0 0"), "pads below 2^31"),
        LIMITED("Pad", "", IN("f32 2x3", "const i64 4 = 2147483647 0 2147483647 0"), "extents below 2^31"),
        BAD("Pad", "", IN("f32 2x3", "const i64 2 = 1 1", "", "const i64 1 = 2"), "expected an axis"),
        BAD("Pad", "mode:s=reflect", IN("f32 2x3", "const i64 4 = 2 0 0 0"), "expected padding"),
        UNSUPPORTED("Pad", "mode:s=mirror", IN("f32 2x3", "const i64 4 = 1 0 0 0"), "found mirror"),
    };
    REFUSE_EACH(cases);
    accept("Slice", "starts:I=-9223372036854775808 ends:I=9223372036854775807", "f32 5", NULL);
}

/* Indices that are computed meet the same bounds when they arrive. */
static void row_50_gather_checks_indices_that_arrive(void **state) {
    (void)state;
    graph_case node = {"Gather", 18, "", {"f32 3x2", "i64 1"}, OUT, 0};
    pare_error error = {0};
    pare_graph *graph = NULL;
    float x[6] = {0}, y[2] = {7, 7};
    assert_ok(graph_case_build(&node, &graph, &error), &error);
    static const int64_t wrong[] = {3, -4, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < 4; i++) {
        pare_input inputs[2] = {{x, sizeof x}, {&wrong[i], sizeof wrong[i]}};
        pare_output_buffer output = {y, sizeof y};
        assert_fails(graph_run(graph, 1, inputs, 2, &output, 1, &error), PARE_BAD_INPUT, &error,
                     "expected indices within -3 to 2");
        assert_true(y[0] == 7.0F);
    }
    pare_graph_free(graph);
}

static void row_51_concat_and_split(void **state) {
    (void)state;
    static const refusal cases[] = {
        BAD("Concat", "axis:i=2", IN("f32 2x3", "f32 2x3"), "axis in [-2, 2), found 2"),
        BAD("Concat", "axis:i=-3", IN("f32 2x3", "f32 2x3"), "found -3"),
        BAD("Concat", "axis:i=0", IN("f32 2x3", "f32 2x4"), "agree but for axis 0, found 2x3 and 2x4"),
        BAD("Concat", "axis:i=0", IN("f32 2x3", "f32 6"), "agree but for axis 0"),
        BAD("Concat", "axis:i=0", IN("f32 2x3", "i64 2x3"), "inputs of one type"),
        BAD("Concat", "", IN("f32 2x3", "f32 2x3"), "expected attribute axis, found none"),
        BAD("Concat", "axis:i=0", IN("f32 scalar", "f32 scalar"), "expected an axis"),
        BAD("Split", "axis:i=2", IN("f32 2x6"), "expected an axis"),
        {{"Split", 18, "axis:i=1", {"f32 2x6", "const i64 2 = 2 3"}, {"f32 2x2", "f32 2x3"}, 0},
         PARE_BAD_INPUT,
         "sizes that add up to 6"},
        {{"Split", 18, "axis:i=1", {"f32 2x6", "const i64 2 = 7 -1"}, {"f32 2x2", "f32 2x3"}, 0},
         PARE_BAD_INPUT,
         "sizes that add up to 6"},
        {{"Split", 18, "axis:i=1", {"f32 2x6", "const i64 3 = 2 2 2"}, {"f32 2x2", "f32 2x3"}, 0},
         PARE_BAD_INPUT,
         "expected 2 constant sizes"},
        {{"Split", 18, "axis:i=1", {"f32 2x6", "const i64 2 = 9223372036854775807 6"}, {"f32 2x2", "f32 2x3"}, 0},
         PARE_BAD_INPUT,
         "sizes that add up to 6"},
    };
    REFUSE_EACH(cases);
}

static void row_52_normalizations(void **state) {
    (void)state;
#define ONES "const f32 2 = 1 1"
    static const refusal cases[] = {
        BAD("BatchNormalization", "", IN("f32 1x2x4", ONES, ONES, ONES, "const f32 2 = 1 -1"),
            "variance + epsilon above 0 and finite, found -1 + 1e-05 for channel 1"),
        BAD("BatchNormalization", "epsilon:f=0", IN("f32 1x2x4", ONES, ONES, ONES, "const f32 2 = 0 1"),
            "found 0 + 0 for channel 0"),
        BAD("BatchNormalization", "epsilon:f=-2", IN("f32 1x2x4", ONES, ONES, ONES, ONES), "found 1 + -2"),
        BAD("BatchNormalization", "epsilon:f=nan", IN("f32 1x2x4", ONES, ONES, ONES, ONES), "above 0 and finite"),
        BAD("BatchNormalization", "", IN("f32 1x2x4", ONES, ONES, ONES, "const f32 2 = nan 1"), "above 0 and finite"),
        BAD("BatchNormalization", "", IN("f32 1x2x4", ONES, ONES, ONES, "const f32 2 = inf 1"), "above 0 and finite"),
        BAD("BatchNormalization", "", IN("f32 1x3x4", ONES, ONES, ONES, ONES), "to have 3 elements"),
        UNSUPPORTED("BatchNormalization", "training_mode:i=1", IN("f32 1x2x4", ONES, ONES, ONES, ONES), "found 1"),
        BAD("LayerNormalization", "axis:i=3", IN("f32 1x2x4", "f32 4"), "expected an axis"),
        BAD("LayerNormalization", "", IN("f32 1x2x4", "f32 3"), "fit the normalized axes"),
        BAD("InstanceNormalization", "epsilon:f=-1", IN("f32 1x2x4", ONES, ONES), "epsilon"),
        BAD("LRN", "", IN("f32 1x2x4x4"), "size"),
    };
    REFUSE_EACH(cases);
    pare_error error = {0};
    graph_case node = {"BatchNormalization", 18, "epsilon:f=0", {"f32 1x2x4", ONES, ONES, ONES, ONES}, OUT, 0};
    assert_ok(take(&node, &error), &error); /* an epsilon of 0 is right while the variance is above it */
}

static void row_53_products_and_broadcasts(void **state) {
    (void)state;
    static const refusal cases[] = {
        BAD("MatMul", "", IN("f32 2x3", "f32 4x5"), "inner dimensions that agree, found 2x3 and 4x5"),
        BAD("MatMul", "", IN("f32 3", "f32 4"), "inner dimensions that agree"),
        BAD("MatMul", "", IN("f32 scalar", "f32 4x4"), "inner dimensions that agree"),
        BAD("MatMul", "", IN("f32 4x4", "f32 scalar"), "inner dimensions that agree"),
        BAD("MatMul", "", IN("f32 2x1x3", "f32 3x3x4"), "outer dimensions that broadcast"),
        BAD("Gemm", "", IN("f32 2x3", "f32 4x5"), "inner dimensions that agree"),
        UNSUPPORTED("Gemm", "", IN("f32 2x3x1", "f32 3x5"), "2 to 2 dimensions"),
        BAD("Gemm", "", IN("f32 2x3", "f32 3x5", "f32 4"), "C to broadcast"),
        BAD("Gemm", "transB:i=1", IN("f32 2x3", "f32 3x5"), "inner dimensions that agree"),
        BAD("Add", "", IN("f32 2x3", "f32 4"), "shapes that broadcast, found 2x3 and 4"),
        BAD("Add", "", IN("f32 3", "i64 3"), "operands of one type"),
        BAD("Where", "", IN("bool 2", "f32 3", "f32 3"), "expected"),
        BAD("Sum", "", IN("f32 2x3", "f32 2x3", "f32 2"), "shapes that broadcast"),
        BAD("PRelu", "", IN("f32 2x3", "f32 4"), "expected"),
    };
    REFUSE_EACH(cases);
    accept("MatMul", "", "f32 3", "f32 3");
}

static void row_54_resizes(void **state) {
    (void)state;
    static const refusal cases[] = {
        BAD("Resize", "", IN(X, "", "const f32 4 = 1 1 0 0"), "output of at least one element"),
        BAD("Resize", "", IN(X, "", "const f32 4 = 1 1 nan 2"), "output of at least one element"),
        BAD("Resize", "", IN(X, "", "const f32 4 = 1 1 -1 2"), "output of at least one element"),
        BAD("Resize", "", IN(X, "", "const f32 4 = 1 1 inf 2"), "output of at least one element"),
        BAD("Resize", "", IN(X, "", "const f32 4 = 1 1 1e30 2"), "output of at least one element"),
        BAD("Resize", "", IN(X, "", "", "const i64 4 = 1 2 0 4"), "output of at least one element"),
        BAD("Resize", "", IN(X, "", "", "const i64 4 = 1 2 -5 4"), "output of at least one element"),
        BAD("Resize", "", IN(X, "", "", "const i64 4 = 1 2 4294967296 4"), "output of at least one element"),
        UNSUPPORTED("Resize", "", IN(X, "", "const f32 3 = 1 1 2"), "constant scales or sizes"),
        UNSUPPORTED("Resize", "", IN(X), "constant scales or sizes"),
        UNSUPPORTED("Resize", "", IN(X, "", "const f32 4 = 1 2 1 1"), "first two axes to stay"),
        UNSUPPORTED("Resize", "mode:s=area", IN(X, "", "const f32 4 = 1 1 2 2"), "found area"),
        BAD("Resize", "axes:I=7,3", IN(X, "", "const f32 2 = 2 2"), "expected an axis"),
    };
    REFUSE_EACH(cases);
}

static void row_55_axes_out_of_range(void **state) {
    (void)state;
    static const refusal cases[] = {
        BAD("Softmax", "axis:i=2", IN("f32 2x3"), "axis in [-2, 2), found 2"),
        BAD("Softmax", "axis:i=-3", IN("f32 2x3"), "found -3"),
        BAD("Softmax", "axis:i=-9223372036854775808", IN("f32 2x3"), "expected an axis"),
        BAD("Softmax", "", IN("f32 scalar"), "expected an axis"),
        BAD("LogSoftmax", "axis:i=9", IN("f32 2x3"), "found 9"),
        UNSUPPORTED("Softmax", "axis:i=0", IN("f32 Nx3"), "other than the batch"),
        BAD("Hardmax", "axis:i=2", IN("f32 2x3"), "found 2"),
        BAD("ReduceMean", "", IN("f32 2x3", "const i64 1 = 2"), "found 2"),
        BAD("ReduceSum", "", IN("f32 2x3", "const i64 2 = 1 -1"), "each axis once"),
        BAD("ArgMax", "axis:i=5", IN("f32 2x3"), "found 5"),
        BAD("CumSum", "", IN("f32 2x3", "const i64 1 = 2"), "found 2"),
        BAD("OneHot", "axis:i=4", IN("i64 2", "const i64 scalar = 3", "const f32 2 = 0 1"), "found 4"),
        BAD("Cast", "", IN("f32 2"), "expected attribute to, found none"),
        UNSUPPORTED("Cast", "to:i=8", IN("f32 2"), "found type 8"),
    };
    REFUSE_EACH(cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_47_convolutions),
        cmocka_unit_test(row_48_pools),
        cmocka_unit_test(row_49_reshapes),
        cmocka_unit_test(row_50_gather_slice_pad),
        cmocka_unit_test(row_50_gather_checks_indices_that_arrive),
        cmocka_unit_test(row_51_concat_and_split),
        cmocka_unit_test(row_52_normalizations),
        cmocka_unit_test(row_53_products_and_broadcasts),
        cmocka_unit_test(row_54_resizes),
        cmocka_unit_test(row_55_axes_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
