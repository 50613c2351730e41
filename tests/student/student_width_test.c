/* Fewer channels: of a teacher in which every other channel is cut off (zero
 * weights make and read it), the student of half the width computes the same. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "net_builder.h"
#include "onnx_samples.h"
#include "pare/channels.h"
#include "pare/op.h"
#include "pare/student.h"

#define BATCH 2
#define MOST_OUTPUTS 4096

/* --- networks of even groups --------------------------------------------------- */

static pare_value *residual(net *n, pare_value *x) {
    int64_t channels = x->shape.dims[1];
    pare_value *y = NET(n, "Relu", "", net_batchnorm(n, net_conv(n, x, channels, 3, 1, 1)));
    return NET(n, "Relu", "", NET(n, "Add", "", net_batchnorm(n, net_conv(n, y, channels, 3, 1, 1)), x));
}

static pare_value *classify(net *n, pare_value *x) {
    return net_gemm(n, NET(n, "Flatten", "", NET(n, "GlobalAveragePool", "", x)), 5);
}

/* Stages joined by a padded shortcut (He et al. 2016, option A) and by a projection. */
static pare_graph *resnet(net *n) {
    pare_value *x = NET(n, "Relu", "", net_conv(n, net_input(n, 4, (int64_t[]){-1, 3, 8, 8}), 8, 3, 1, 1));
    x = residual(n, residual(n, x));
    pare_value *half = NET(n, "Slice", "", x, net_ints(n, 2, (int64_t[]){0, 0}), net_ints(n, 2, (int64_t[]){8, 8}),
                           net_ints(n, 2, (int64_t[]){2, 3}), net_ints(n, 2, (int64_t[]){2, 2}));
    pare_value *padded = NET(n, "Pad", "", half, net_ints(n, 8, (int64_t[]){0, 3, 0, 0, 0, 5, 0, 0}));
    pare_value *y = NET(n, "Relu", "", net_conv(n, x, 16, 3, 2, 1));
    x = residual(n, NET(n, "Relu", "", NET(n, "Add", "", net_conv(n, y, 16, 3, 1, 1), padded)));
    y = net_conv(n, NET(n, "Relu", "", net_conv(n, x, 12, 1, 2, 1)), 24, 1, 1, 1);
    x = residual(n, NET(n, "Sum", "", y, net_conv(n, x, 24, 1, 2, 1)));
    return net_finish(n, classify(n, x));
}

/* Separable convolutions and an inverted residual block, with a depth multiplier of two. */
static pare_graph *mobilenet(net *n) {
    pare_value *low = net_random(n, 0, NULL, 0, 0), *high = net_random(n, 0, NULL, 6, 6);
    pare_value *x = net_conv(n, net_input(n, 4, (int64_t[]){-1, 3, 8, 8}), 8, 3, 2, 1);
    x = NET(n, "Clip", "", net_batchnorm(n, x), low, high);
    x = net_conv(n, NET(n, "Clip", "", net_conv(n, x, 16, 3, 1, 8), low, high), 12, 1, 1, 1);
    pare_value *wide = NET(n, "Clip", "", net_conv(n, x, 24, 1, 1, 1), low, high);
    wide = NET(n, "HardSwish", "", net_batchnorm(n, net_conv(n, wide, 24, 3, 1, 24)));
    x = NET(n, "Add", "", x, net_conv(n, wide, 12, 1, 1, 1));
    x = NET(n, "ReduceMean", "keepdims:i=0", x, net_ints(n, 2, (int64_t[]){2, 3}));
    return net_finish(n, net_gemm(n, x, 5));
}

static pare_value *fire(net *n, pare_value *x, int64_t squeeze, int64_t expand) {
    x = NET(n, "Relu", "", net_conv(n, x, squeeze, 1, 1, 1));
    return NET(n, "Concat", "axis:i=1", NET(n, "Relu", "", net_conv(n, x, expand, 1, 1, 1)),
               NET(n, "Relu", "", net_conv(n, x, expand + 2, 3, 1, 1)));
}

static pare_graph *squeezenet(net *n) {
    pare_value *x = fire(n, net_input(n, 4, (int64_t[]){-1, 3, 8, 8}), 4, 6);
    x = NET(n, "MaxPool", "kernel_shape:I=2,2 strides:I=2,2", x);
    x = NET(n, "Dropout", "", fire(n, x, 4, 8));
    x = NET(n, "GlobalAveragePool", "", net_conv(n, x, 5, 1, 1, 1));
    return net_finish(n, NET(n, "Softmax", "axis:i=1", NET(n, "Squeeze", "", x, net_ints(n, 2, (int64_t[]){2, 3}))));
}

/* Two spellings of the excitation, one with convolutions and one with Gemm. */
static pare_graph *squeeze_excite(net *n) {
    pare_value *x = net_conv(n, net_input(n, 4, (int64_t[]){-1, 3, 6, 6}), 8, 3, 1, 1);
    pare_value *s = NET(n, "Relu", "", net_conv(n, NET(n, "GlobalAveragePool", "", x), 4, 1, 1, 1));
    x = NET(n, "Mul", "", x, NET(n, "Sigmoid", "", net_conv(n, s, 8, 1, 1, 1)));
    s = NET(n, "ReduceMean", "keepdims:i=0", x, net_ints(n, 2, (int64_t[]){2, 3}));
    s = NET(n, "HardSigmoid", "", net_gemm(n, NET(n, "Relu", "", net_gemm(n, s, 2)), 8));
    s = NET(n, "Reshape", "", s, net_ints(n, 4, (int64_t[]){0, 8, 1, 1}));
    s = NET(n, "Expand", "", s, net_ints(n, 4, (int64_t[]){1, 8, 6, 6}));
    return net_finish(n, classify(n, NET(n, "Mul", "", x, s)));
}

static pare_graph *perceptron(net *n) {
    pare_value *x = NET(n, "Tanh", "", net_gemm(n, net_input(n, 2, (int64_t[]){-1, 7}), 12));
    x = NET(n, "Gemm", "", x, net_random(n, 2, (int64_t[]){12, 10}, -0.5, 0.5),
            net_random(n, 2, (int64_t[]){1, 10}, -0.5, 0.5));
    x = NET(n, "PRelu", "", x, net_random(n, 1, (int64_t[]){10}, 0, 0.5));
    x = NET(n, "MatMul", "", x, net_random(n, 2, (int64_t[]){10, 8}, -0.5, 0.5));
    x = NET(n, "Relu", "", NET(n, "Add", "", x, net_random(n, 1, (int64_t[]){8}, -0.5, 0.5)));
    return net_finish(n, net_gemm(n, x, 3));
}

/* Blocks of positions by channel, channels by position, and a row of constant positions. */
static pare_graph *flattened(net *n) {
    pare_value *x = net_conv(n, net_input(n, 4, (int64_t[]){-1, 1, 6, 6}), 4, 3, 2, 1);
    pare_value *a = net_gemm(n, NET(n, "Flatten", "", x), 6);
    x = net_conv(n, NET(n, "AveragePool", "kernel_shape:I=2,2", x), 6, 1, 1, 1);
    pare_value *b = net_gemm(n, NET(n, "Reshape", "", x, net_ints(n, 2, (int64_t[]){-1, 24})), 6);
    x = NET(n, "Transpose", "perm:I=0,2,3,1", x);
    pare_value *c = net_gemm(n, NET(n, "Reshape", "", x, net_ints(n, 2, (int64_t[]){0, 24})), 6);
    pare_value *sum = NET(n, "Sum", "", a, b, c);
    return net_finish(n, net_gemm(n, NET(n, "Concat", "axis:i=-1", sum, NET(n, "Abs", "", sum)), 3));
}

/* Grouped convolutions with a channel shuffle (Zhang et al. 2018) between them. */
static pare_graph *shuffled(net *n) {
    pare_value *x = net_conv(n, net_input(n, 4, (int64_t[]){-1, 3, 4, 4}), 12, 3, 1, 1);
    x = NET(n, "Relu", "", net_conv(n, x, 16, 3, 1, 2));
    x = NET(n, "Reshape", "", x, net_ints(n, 5, (int64_t[]){0, 2, 8, 4, 4}));
    x = NET(n, "Transpose", "perm:I=0,2,1,3,4", x);
    x = NET(n, "Reshape", "", x, net_ints(n, 4, (int64_t[]){0, -1, 4, 4}));
    return net_finish(n, classify(n, net_conv(n, x, 8, 1, 1, 2)));
}

static pare_graph *decoder(net *n) {
    pare_value *x = net_conv(n, net_input(n, 4, (int64_t[]){-1, 2, 3, 3}), 8, 3, 1, 1);
    int64_t four = 4, six = 6;
    x = NET(n, "ConvTranspose", "strides:I=2,2", x, net_random(n, 4, (int64_t[]){8, 4, 2, 2}, -0.3, 0.3),
            net_random(n, 1, &four, -0.5, 0.5));
    x = NET(n, "ConvTranspose", "group:i=4", x, net_random(n, 4, (int64_t[]){4, 1, 2, 2}, -0.5, 0.5));
    x = NET(n, "InstanceNormalization", "", x, net_random(n, 1, &four, 0.5, 1.5), net_random(n, 1, &four, -0.5, 0.5));
    x = NET(n, "Resize", "mode:s=nearest", x, NULL, NULL, net_ints(n, 4, (int64_t[]){1, 4, 8, 8}));
    x = NET(n, "ConvTranspose", "group:i=2", x, net_random(n, 4, (int64_t[]){4, 6, 1, 1}, -0.5, 0.5));
    x = NET(n, "DepthToSpace", "blocksize:i=2", net_conv(n, x, 16, 1, 1, 1));
    x = NET(n, "SpaceToDepth", "blocksize:i=2", NET(n, "DepthToSpace", "blocksize:i=1 mode:s=CRD", x));
    x = NET(n, "ConvTranspose", "", x, net_random(n, 4, (int64_t[]){16, 6, 1, 1}, -0.5, 0.5),
            net_random(n, 1, &six, -0.5, 0.5));
    return net_finish(n, net_conv(n, x, 1, 1, 1, 1));
}

/* A gated unit by Split, and channels taken apart by Slice. */
static pare_graph *gated(net *n) {
    pare_error error = {0};
    pare_value *x = net_conv(n, net_input(n, 4, (int64_t[]){-1, 3, 4, 4}), 16, 3, 1, 1);
    pare_value *halves[2] = {pare_graph_add_value(n->graph, "a", PARE_F32, NULL),
                             pare_graph_add_value(n->graph, "b", PARE_F32, NULL)};
    pare_node *split = pare_graph_insert_node(n->graph, NULL, pare_op_find("", "Split", 18), "split", &x, 1, halves, 2);
    assert_true(pare_node_set_int(n->graph, split, "axis", 1));
    assert_true(pare_node_set_int(n->graph, split, "num_outputs", 2));
    assert_ok(pare_graph_infer(n->graph, &error), &error);
    x = net_conv(n, NET(n, "Mul", "", halves[0], NET(n, "Sigmoid", "", halves[1])), 12, 1, 1, 1);
    pare_value *low = NET(n, "Slice", "", x, net_ints(n, 1, (int64_t[]){0}), net_ints(n, 1, (int64_t[]){4}),
                          net_ints(n, 1, (int64_t[]){1}));
    pare_value *high = NET(n, "Slice", "", x, net_ints(n, 1, (int64_t[]){-8}), net_ints(n, 1, (int64_t[]){INT64_MAX}),
                           net_ints(n, 1, (int64_t[]){1}));
    pare_value *cropped = NET(n, "Pad", "", high, net_ints(n, 8, (int64_t[]){0, -4, 0, 0, 0, 0, 0, 0}));
    return net_finish(n, classify(n, NET(n, "Where", "", NET(n, "Less", "", low, cropped), low, cropped)));
}

static pare_graph *recurrent(net *n) {
    pare_value *x = net_input(n, 3, (int64_t[]){3, -1, 4}), *none = NULL, *outputs[2];
    x = NET(n, "MatMul", "", x, net_random(n, 2, (int64_t[]){4, 10}, -0.5, 0.5));
    pare_value *inputs[4] = {x, net_random(n, 3, (int64_t[]){2, 24, 10}, -0.5, 0.5),
                             net_random(n, 3, (int64_t[]){2, 24, 6}, -0.5, 0.5),
                             net_random(n, 2, (int64_t[]){2, 48}, -0.5, 0.5)};
    pare_error error = {0};
    outputs[0] = none;
    outputs[1] = pare_graph_add_value(n->graph, "h", PARE_F32, NULL);
    pare_node *lstm =
        pare_graph_insert_node(n->graph, NULL, pare_op_find("", "LSTM", 18), "lstm", inputs, 4, outputs, 2);
    assert_true(pare_node_set_int(n->graph, lstm, "hidden_size", 6) &&
                pare_node_set_string(n->graph, lstm, "direction", "bidirectional"));
    assert_ok(pare_graph_infer(n->graph, &error), &error);
    x = NET(n, "ReduceSum", "keepdims:i=0", outputs[1], net_ints(n, 1, (int64_t[]){0}));
    return net_finish(n, net_gemm(n, x, 3));
}

static pare_value *projected(net *n, pare_value *x, int64_t outputs, const char *order) {
    pare_value *y = NET(n, "MatMul", "", x, net_random(n, 2, (int64_t[]){x->shape.dims[2], outputs}, -0.5, 0.5));
    y = NET(n, "Add", "", y, net_random(n, 1, &outputs, -0.5, 0.5));
    return NET(n, "Transpose", order, NET(n, "Reshape", "", y, net_ints(n, 4, (int64_t[]){0, 5, 2, 4})));
}

/* Attention over five positions and a feed-forward part; LayerNormalization keeps the stream's width. */
static pare_graph *transformer(net *n) {
    pare_value *x = net_input(n, 3, (int64_t[]){-1, 5, 8}), *y = x;
    int64_t eight = 8;
    y = NET(n, "LayerNormalization", "", y, net_random(n, 1, &eight, 0.5, 1.5), net_random(n, 1, &eight, -0.5, 0.5));
    pare_value *q = projected(n, y, 8, "perm:I=0,2,1,3"), *k = projected(n, y, 8, "perm:I=0,2,3,1");
    pare_value *s = NET(n, "Softmax", "axis:i=-1", NET(n, "MatMul", "", q, k));
    y = NET(n, "MatMul", "", s, projected(n, y, 8, "perm:I=0,2,1,3"));
    y = NET(n, "Reshape", "", NET(n, "Transpose", "perm:I=0,2,1,3", y), net_ints(n, 3, (int64_t[]){0, 0, -1}));
    x = NET(n, "Add", "", x, NET(n, "MatMul", "", y, net_random(n, 2, (int64_t[]){8, 8}, -0.5, 0.5)));
    y = NET(n, "Mish", "", NET(n, "MatMul", "", x, net_random(n, 2, (int64_t[]){8, 16}, -0.5, 0.5)));
    x = NET(n, "Add", "", x, NET(n, "MatMul", "", y, net_random(n, 2, (int64_t[]){16, 8}, -0.5, 0.5)));
    return net_finish(n, NET(n, "ReduceMean", "keepdims:i=0", x, net_ints(n, 1, (int64_t[]){1})));
}

static const struct {
    const char *name;
    pare_graph *(*build)(net *n);
    size_t groups, whole; /* of coupled channels, ports' included; kept whole by nodes */
    double share;         /* of the parameters that stay at half the width, at most */
} networks[] = {
    {"resnet", resnet, 10, 0, 0.27},
    {"mobilenet", mobilenet, 4, 0, 0.45},
    {"squeezenet", squeezenet, 7, 0, 0.36},
    {"squeeze_excite", squeeze_excite, 4, 0, 0.45},
    {"perceptron", perceptron, 4, 0, 0.4},
    {"flattened", flattened, 4, 0, 0.45},
    {"shuffled", shuffled, 4, 0, 0.36},
    {"decoder", decoder, 6, 0, 0.45},
    {"gated", gated, 4, 0, 0.5},
    {"recurrent", recurrent, 3, 0, 0.4},
    {"transformer", transformer, 4, 0, 0.6},
};
enum { NETWORKS = sizeof networks / sizeof networks[0] };

/* --- masking --------------------------------------------------------------------- */

static void zero_slice(pare_value *value, int32_t axis, int64_t index) {
    float *data = value->data;
    size_t inner = 1, extent = (size_t)value->shape.dims[axis];
    for (int32_t a = axis + 1; a < value->shape.rank; a++) {
        inner *= (size_t)value->shape.dims[a];
    }
    for (size_t i = 0; i < value->data_bytes / sizeof *data; i++) {
        if (i / inner % extent == (size_t)index) {
            data[i] = 0;
        }
    }
}

/* Every other unit of each free group goes from `cut`, a clone of `teacher`; its channels become zeros in all constants
 * of `teacher`, those that make them and those that read them. */
static void mask(pare_graph *teacher, pare_graph *cut) {
    pare_error error = {0};
    pare_channels *channels = NULL;
    bool dropped[512] = {false};
    assert_ok(pare_channels_find(cut, &channels, &error), &error);
    assert_true(pare_channels_unit_count(channels) <= 512);
    for (size_t g = 0; g < pare_channels_group_count(channels); g++) {
        const pare_channel_group *group = pare_channels_group(channels, g);
        for (size_t i = 1; group->free && i < group->count; i += 2) {
            dropped[group->first + i] = true;
        }
        assert_true(!group->free || group->count % 2 == 0);
    }
    size_t values = cut->value_count;
    assert_ok(pare_channels_remove(channels, cut, dropped, &error), &error);
    assert_ok(pare_graph_check(cut, &error), &error);
    for (size_t i = 0; i < values; i++) {
        pare_value *value = teacher->values[i];
        assert_string_equal(value->name, cut->values[i]->name);
        for (int32_t a = 0; value->data != NULL && value->dtype == PARE_F32 && a < value->shape.rank; a++) {
            for (int64_t c = 0; c < value->shape.dims[a]; c++) {
                if (pare_channels_left(channels, cut->values[i], a, c, c + 1) == 0) {
                    zero_slice(value, a, c);
                }
            }
        }
    }
    pare_channels_free(channels);
}

static void compare(const char *name, const pare_graph *a, const pare_graph *b) {
    static float left[MOST_OUTPUTS], right[MOST_OUTPUTS];
    pare_shape shape;
    size_t count = 0;
    double largest = 0;
    assert_true(pare_shape_equal(&a->outputs[0]->shape, &b->outputs[0]->shape));
    assert_string_equal(a->outputs[0]->name, b->outputs[0]->name);
    assert_true(pare_shape_bind(&a->outputs[0]->shape, BATCH, &shape) && pare_shape_elements(&shape, &count));
    assert_true(count <= MOST_OUTPUTS);
    net_run(a, BATCH, 5, left, count);
    net_run(b, BATCH, 5, right, count);
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)left[i]));
        if (!(fabs((double)left[i] - (double)right[i]) <= 1e-5 * (1 + fabs((double)left[i])))) {
            fail_msg("%s: output %zu: expected %.9g, found %.9g", name, i, (double)left[i], (double)right[i]);
        }
    }
    assert_true(largest > 1e-3); /* else nothing was compared */
}

static void half_the_width_computes_what_a_masked_teacher_does(void **state) {
    size_t index = (size_t)(uintptr_t)*state;
    pare_error error = {0};
    pare_graph *cut = NULL, *student = NULL;
    pare_student_options options = {.width = 0.5};
    pare_student_report report;
    net n;
    net_start(&n, index + 1);
    pare_graph *teacher = networks[index].build(&n);
    assert_ok(pare_graph_clone(teacher, &cut, &error), &error);
    mask(teacher, cut); /* shared constants that stay whole are masked in both: nothing of them is */
    compare(networks[index].name, teacher, cut);
    assert_ok(pare_student_derive(teacher, &options, &student, &report, &error), &error);
    compare(networks[index].name, teacher, student);
    print_message("%s: %zu groups, %zu whole, parameters %.3f\n", networks[index].name, report.channel_groups,
                  report.groups_kept_whole, (double)report.student_parameters / (double)report.teacher_parameters);
    assert_int_equal(report.channel_groups, networks[index].groups);
    assert_int_equal(report.groups_kept_whole, networks[index].whole);
    assert_true((double)report.student_parameters <= networks[index].share * (double)report.teacher_parameters);
    assert_true(report.student_macs < report.teacher_macs);
    pare_graph_free(student);
    pare_graph_free(cut);
    pare_graph_free(teacher);
}

static void full_width_and_depth_change_nothing(void **state) {
    size_t index = (size_t)(uintptr_t)*state;
    pare_error error = {0};
    pare_graph *student = NULL;
    pare_student_options options = {.width = 1, .depth = 1, .round = 8};
    pare_student_report report;
    net n;
    net_start(&n, index + 1);
    pare_graph *teacher = networks[index].build(&n);
    assert_ok(pare_student_derive(teacher, &options, &student, &report, &error), &error);
    const char *difference = graph_difference(teacher, student);
    assert_true(difference == NULL);
    assert_int_equal(report.student_macs, report.teacher_macs);
    assert_int_equal(report.student_parameters, report.teacher_parameters);
    pare_graph_free(student);
    pare_graph_free(teacher);
}

int main(void) {
    static struct CMUnitTest tests[2 * NETWORKS];
    for (size_t i = 0; i < NETWORKS; i++) {
        void *index = (void *)(uintptr_t)i;
        tests[2 * i] = (struct CMUnitTest){networks[i].name, half_the_width_computes_what_a_masked_teacher_does, NULL,
                                           NULL, index};
        tests[2 * i + 1] =
            (struct CMUnitTest){networks[i].name, full_width_and_depth_change_nothing, NULL, NULL, index};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
