/* Fewer blocks: runs of equal blocks lose their last ones, and nothing else does. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "net_builder.h"
#include "pare/op.h"
#include "pare/student.h"

static pare_value *conv_block(net *n, pare_value *x) {
    int64_t channels = x->shape.dims[1];
    pare_value *y = NET(n, "Relu", "", net_batchnorm(n, net_conv(n, x, channels, 3, 1, 1)));
    return NET(n, "Relu", "", NET(n, "Add", "", net_conv(n, y, channels, 3, 1, 1), x));
}

/* The sum itself is what the next block reads; the shortcut comes first. */
static pare_value *linear_block(net *n, pare_value *x, int64_t inner) {
    pare_value *y = net_gemm(n, NET(n, "Relu", "", net_gemm(n, x, inner)), x->shape.dims[1]);
    return NET(n, "Add", "", x, y);
}

static void assert_equal_outputs(const pare_graph *a, const pare_graph *b, size_t count) {
    float left[64], right[64];
    assert_true(count <= 64);
    net_run(a, 2, 9, left, count);
    net_run(b, 2, 9, right, count);
    assert_memory_equal(left, right, count * sizeof *left);
}

/* A stage of `first` blocks, a wider one of `second`. */
static pare_graph *stages(int first, int second) {
    net n;
    net_start(&n, 1);
    pare_value *x = NET(&n, "Relu", "", net_conv(&n, net_input(&n, 4, (int64_t[]){-1, 3, 6, 6}), 4, 3, 1, 1));
    for (int i = 0; i < first; i++) {
        x = conv_block(&n, x);
    }
    net spare = n; /* what comes behind has the same weights whatever `first` is */
    pare_random_seed(&spare.random, 77);
    pare_value *y = NET(&spare, "Relu", "", net_conv(&spare, x, 8, 3, 2, 1));
    y = net_conv(&spare, y, 8, 3, 1, 1);
    x = NET(&spare, "Relu", "", NET(&spare, "Add", "", y, net_conv(&spare, x, 8, 1, 2, 1)));
    for (int i = 0; i < second; i++) {
        x = conv_block(&spare, x);
    }
    pare_random_seed(&spare.random, 78);
    return net_finish(&spare, net_gemm(&spare, NET(&spare, "Flatten", "", NET(&spare, "GlobalAveragePool", "", x)), 5));
}

static void runs_keep_their_first_blocks(void **state) {
    (void)state;
    static const struct {
        double depth;
        int first, second;
    } cases[] = {{0.34, 2, 2}, {0.2, 1, 1}, {0.01, 1, 1}, {0.6, 3, 3}, {0.61, 4, 3}, {0.8, 4, 4}, {1, 5, 4}};
    pare_graph *teacher = stages(5, 4);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pare_error error = {0};
        pare_graph *student = NULL, *expected = stages(cases[i].first, cases[i].second);
        pare_student_options options = {.depth = cases[i].depth};
        pare_student_report report;
        assert_ok(pare_student_derive(teacher, &options, &student, &report, &error), &error);
        assert_int_equal(report.blocks_found, 9);
        assert_int_equal(report.blocks_kept, cases[i].first + cases[i].second);
        assert_int_equal(student->node_count, expected->node_count);
        assert_equal_outputs(student, expected, 10);
        pare_graph_free(expected);
        pare_graph_free(student);
    }
    pare_graph_free(teacher);
}

/* As attention and feed-forward alternate: pairs repeat, not blocks. */
static pare_graph *alternating(int pairs) {
    net n;
    net_start(&n, 2);
    pare_value *x = net_gemm(&n, net_input(&n, 2, (int64_t[]){-1, 4}), 6);
    for (int i = 0; i < pairs; i++) {
        x = linear_block(&n, linear_block(&n, x, 5), 9);
    }
    pare_random_seed(&n.random, 78);
    return net_finish(&n, net_gemm(&n, x, 3));
}

static void patterns_of_several_blocks_are_runs(void **state) {
    (void)state;
    pare_error error = {0};
    pare_graph *teacher = alternating(4), *expected = alternating(2), *student = NULL;
    pare_student_options options = {.depth = 0.5};
    pare_student_report report;
    assert_ok(pare_student_derive(teacher, &options, &student, &report, &error), &error);
    assert_int_equal(report.blocks_found, 8);
    assert_int_equal(report.blocks_kept, 4);
    assert_equal_outputs(student, expected, 6);
    pare_graph_free(student);
    pare_graph_free(expected);
    pare_graph_free(teacher);
}

static void depth_and_width_go_together(void **state) {
    (void)state;
    pare_error error = {0};
    pare_graph *teacher = stages(4, 3), *student = NULL;
    pare_student_options options = {.depth = 0.5, .width = 0.5};
    pare_student_report report;
    float output[10];
    assert_ok(pare_student_derive(teacher, &options, &student, &report, &error), &error);
    assert_int_equal(report.blocks_kept, 4);
    assert_true(report.student_macs * 5 < report.teacher_macs);
    pare_graph_free(teacher);
    net_run(student, 2, 3, output, 10);
    assert_true(isfinite(output[0]));
    pare_graph_free(student);
}

typedef pare_value *(*variation)(net *n, pare_value *x, int index);

static pare_value *other_width(net *n, pare_value *x, int index) {
    return linear_block(n, x, 5 + index);
}

static pare_value *other_attribute(net *n, pare_value *x, int index) {
    char attributes[32];
    snprintf(attributes, sizeof attributes, "alpha:f=0.%d", index + 1);
    return NET(n, "Add", "", x, net_gemm(n, NET(n, "LeakyRelu", attributes, x), 6));
}

static pare_value *other_operator(net *n, pare_value *x, int index) {
    static const char *const functions[] = {"Relu", "Tanh", "Sigmoid", "Relu"};
    return NET(n, "Add", "", x, net_gemm(n, NET(n, functions[index], "", x), 6));
}

/* The layer between is no part of a block. */
static pare_value *apart(net *n, pare_value *x, int index) {
    (void)index;
    return net_gemm(n, linear_block(n, x, 5), 6);
}

static pare_value *no_residual(net *n, pare_value *x, int index) {
    (void)index;
    return NET(n, "Add", "", net_gemm(n, x, 6), net_gemm(n, x, 6));
}

/* Twice a value is no block, nor is a sum with a constant. */
static pare_value *no_branch(net *n, pare_value *x, int index) {
    return index % 2 == 0 ? NET(n, "Add", "", x, x) : NET(n, "Add", "", x, net_random(n, 2, (int64_t[]){1, 6}, -1, 1));
}

static void what_does_not_repeat_is_refused(void **state) {
    (void)state;
    static const variation variations[] = {other_width, other_attribute, other_operator, apart, no_residual, no_branch};
    for (size_t i = 0; i < sizeof variations / sizeof variations[0]; i++) {
        pare_error error = {0};
        pare_graph *student = NULL;
        pare_student_options options = {.depth = 0.5};
        net n;
        net_start(&n, 3);
        pare_value *x = net_gemm(&n, net_input(&n, 2, (int64_t[]){-1, 4}), 6);
        for (int k = 0; k < 4; k++) {
            x = variations[i](&n, x, k);
        }
        pare_graph *teacher = net_finish(&n, net_gemm(&n, x, 3));
        assert_fails(pare_student_derive(teacher, &options, &student, NULL, &error), PARE_UNSUPPORTED, &error,
                     "blocks of equal structure");
        assert_null(student);
        pare_graph_free(teacher);
    }
}

/* A block of which somebody reads the inside stays; the exit may have more readers. */
static void blocks_that_are_read_inside_stay(void **state) {
    (void)state;
    for (int inside = 0; inside < 2; inside++) {
        pare_error error = {0};
        pare_graph *student = NULL;
        pare_student_options options = {.depth = 0.5};
        pare_student_report report;
        net n;
        net_start(&n, 4);
        pare_value *x = net_gemm(&n, net_input(&n, 2, (int64_t[]){-1, 4}), 6), *read = NULL;
        for (int k = 0; k < 4; k++) {
            x = linear_block(&n, x, 6);
            read = k == 1 ? inside ? x->producer->inputs[1] : x : read;
        }
        pare_graph *teacher = net_finish(&n, net_gemm(&n, NET(&n, "Mul", "", x, read), 3));
        assert_ok(pare_student_derive(teacher, &options, &student, &report, &error), &error);
        assert_int_equal(report.blocks_found, inside ? 2 : 4); /* the two behind it, or all */
        assert_int_equal(report.blocks_kept, inside ? 1 : 2);
        pare_graph_free(student);
        pare_graph_free(teacher);
    }
}

static size_t count_convs(const pare_graph *graph) {
    size_t count = 0;
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        count += strcmp(node->op->name, "Conv") == 0;
    }
    return count;
}

/* Four times a depthwise and a pointwise convolution, as MobileNet has them; somebody may read within the second. */
static void plain_patterns_are_runs(void **state) {
    (void)state;
    for (int inside = 0; inside < 2; inside++) {
        pare_error error = {0};
        pare_graph *student = NULL;
        pare_student_options options = {.depth = 0.5};
        pare_student_report report;
        float output[10];
        net n;
        net_start(&n, 4);
        pare_value *x = net_conv(&n, net_input(&n, 4, (int64_t[]){-1, 3, 6, 6}), 8, 3, 1, 1), *read = NULL;
        for (int k = 0; k < 4; k++) {
            pare_value *norm = net_batchnorm(&n, net_conv(&n, x, 8, 3, 1, 8));
            x = NET(&n, "Relu", "", net_batchnorm(&n, net_conv(&n, NET(&n, "Relu", "", norm), 8, 1, 1, 1)));
            read = k == 1 ? norm : read;
        }
        x = inside ? NET(&n, "Mul", "", x, read) : x;
        x = NET(&n, "Flatten", "axis:i=1", NET(&n, "GlobalAveragePool", "", x));
        pare_graph *teacher = net_finish(&n, net_gemm(&n, x, 5));
        assert_ok(pare_student_derive(teacher, &options, &student, &report, &error), &error);
        assert_int_equal(report.blocks_found, inside ? 4 : 8); /* the two pairs behind it, or all */
        assert_int_equal(report.blocks_kept, inside ? 2 : 4);
        assert_int_equal(count_convs(student), inside ? 7 : 5);
        net_run(student, 2, 3, output, 10);
        assert_true(isfinite(output[0]));
        pare_graph_free(student);
        pare_graph_free(teacher);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_keep_their_first_blocks),     cmocka_unit_test(patterns_of_several_blocks_are_runs),
        cmocka_unit_test(depth_and_width_go_together),      cmocka_unit_test(what_does_not_repeat_is_refused),
        cmocka_unit_test(blocks_that_are_read_inside_stay),
        cmocka_unit_test(plain_patterns_are_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
