/* Which channels stay, rounding, a share of MACs, fresh weights, and what is refused. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "net_builder.h"
#include "onnx_samples.h"
#include "pare/channels.h"
#include "pare/memory.h"
#include "pare/onnx_graph.h"
#include "pare/op.h"
#include "pare/student.h"

/* x [N, 3] to 10 hidden units, whose weights are of the magnitudes 3 1 4 1 5 9 2 6 5 3, to 2 outputs. */
static pare_graph *graded(void) {
    static const float magnitudes[10] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3};
    float weights[30];
    net n;
    net_start(&n, 1);
    pare_value *x = net_input(&n, 2, (int64_t[]){-1, 3});
    for (int i = 0; i < 30; i++) {
        weights[i] = magnitudes[i / 3] * (i % 2 == 0 ? 1.0F : -1.0F);
    }
    pare_shape shape = {.rank = 2, .dims = {10, 3}};
    int64_t ten = 10;
    pare_value *w = pare_graph_add_constant(n.graph, "first", PARE_F32, &shape, weights, sizeof weights);
    x = NET(&n, "Gemm", "transB:i=1", x, w, net_random(&n, 1, &ten, -1, 1));
    return net_finish(&n, net_gemm(&n, NET(&n, "Relu", "", x), 2));
}

static pare_graph *derive(const pare_graph *teacher, pare_student_options options, pare_student_report *report) {
    pare_error error = {0};
    pare_graph *student = NULL;
    assert_ok(pare_student_derive(teacher, &options, &student, report, &error), &error);
    assert_ok(pare_graph_check(student, &error), &error);
    return student;
}

static void the_largest_norms_stay_in_order(void **state) {
    (void)state;
    static const float expected[2][4] = {{5, 9, 6, 5}, {5, 9, 6}}; /* of the two fives the first */
    pare_graph *teacher = graded();
    for (int i = 0; i < 2; i++) {
        pare_graph *student = derive(teacher, (pare_student_options){.width = i == 0 ? 0.4 : 0.3}, NULL);
        const pare_value *w = pare_graph_find_value(student, "first");
        assert_int_equal(w->shape.dims[0], 4 - i);
        for (int k = 0; k < 3 * (4 - i); k++) {
            assert_true(fabsf(((const float *)w->data)[k]) == expected[i][k / 3]);
        }
        pare_graph_free(student);
    }
    pare_graph_free(teacher);
}

/* Each layer counts alike, however large its weights are. */
static void layers_are_normalized(void **state) {
    (void)state;
    const float first[4] = {1, 2, 1, 1},
                second[4] = {1000, 1000, 4000, 1000}; /* unit 2: 0.8 + 2.3, unit 1: 1.6 + 0.6 */
    pare_shape shape = {.rank = 2, .dims = {4, 1}};
    pare_error error = {0};
    pare_channels *channels = NULL;
    double scores[8];
    net n;
    net_start(&n, 1);
    pare_value *x = net_input(&n, 2, (int64_t[]){-1, 1});
    pare_value *a =
        NET(&n, "Gemm", "transB:i=1", x, pare_graph_add_constant(n.graph, "a", PARE_F32, &shape, first, 16));
    pare_value *b =
        NET(&n, "Gemm", "transB:i=1", x, pare_graph_add_constant(n.graph, "b", PARE_F32, &shape, second, 16));
    pare_graph *graph = net_finish(&n, net_gemm(&n, NET(&n, "Add", "", a, b), 1));
    assert_ok(pare_channels_find(graph, &channels, &error), &error);
    assert_int_equal(pare_channels_unit_count(channels), 5);
    assert_ok(pare_channels_score(channels, scores, &error), &error);
    size_t unit = pare_channels_group(channels, 0)->count == 4 ? 0 : 1;
    const double expected[4] = {1 / 1.25 + 1000 / 1750.0, 2 / 1.25 + 1000 / 1750.0, 1 / 1.25 + 4000 / 1750.0,
                                1 / 1.25 + 1000 / 1750.0};
    for (size_t i = 0; i < 4; i++) {
        assert_true(fabs(scores[unit + i] - expected[i]) < 1e-9);
    }
    pare_channels_free(channels);
    pare_graph_free(graph);
}

static void counts_are_rounded(void **state) {
    (void)state;
    static const struct {
        double width;
        int32_t round;
        int64_t expected;
    } cases[] = {{0.5, 0, 5},  {0.55, 1, 6}, {0.54, 1, 5}, {0.01, 1, 1}, {0.5, 4, 4},   {0.6, 4, 8},
                 {0.99, 4, 8}, {0.01, 4, 4}, {0.5, 16, 5}, {1, 4, 10},   {0.05, 16, 1}, {0.9, 3, 9}};
    pare_graph *teacher = graded();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pare_student_options options = {.width = cases[i].width, .round = cases[i].round};
        pare_graph *student = derive(teacher, options, NULL);
        assert_int_equal(pare_graph_find_value(student, "first")->shape.dims[0], cases[i].expected);
        assert_int_equal(student->outputs[0]->shape.dims[1], 2);
        assert_int_equal(student->inputs[0]->shape.dims[1], 3);
        pare_graph_free(student);
    }
    pare_graph_free(teacher);
}

/* Units of a grouped convolution are two channels; a multiple of 4 channels is one of 2 units. */
static void rounding_counts_channels_of_groups(void **state) {
    (void)state;
    net n;
    net_start(&n, 1);
    pare_value *x = net_conv(&n, net_input(&n, 4, (int64_t[]){-1, 4, 3, 3}), 24, 3, 1, 2);
    pare_value *w = x->producer->inputs[1];
    pare_graph *teacher = net_finish(&n, net_conv(&n, x, 2, 1, 1, 1));
    pare_graph *student = derive(teacher, (pare_student_options){.width = 0.4, .round = 4}, NULL);
    const pare_value *left = pare_graph_find_value(student, w->name);
    const float *rows = left->data, *all = w->data; /* of 18 weights */
    assert_int_equal(left->shape.dims[0], 8);       /* of 9.6 */
    for (int i = 0, from = 0; i < 4; i++, from++) { /* each group loses the same */
        while (from < 12 && memcmp(&rows[18 * i], &all[18 * from], 18 * sizeof *all) != 0) {
            from++;
        }
        assert_true(from < 12);
        assert_memory_equal(&rows[18 * (i + 4)], &all[18 * (from + 12)], 18 * sizeof *all);
    }
    pare_graph_free(student);
    pare_graph_free(teacher);
}

static void a_share_of_macs_finds_the_width(void **state) {
    (void)state;
    pare_error error = {0};
    pare_graph *teacher = graded(), *student = NULL; /* 50 MACs, 5 a hidden unit */
    pare_student_report report;
    for (int units = 1; units <= 10; units++) {
        student = derive(teacher, (pare_student_options){.macs = 0.1 * units + 0.05 * (units < 10)}, &report);
        assert_int_equal(report.student_macs, 5 * units);
        assert_int_equal(report.teacher_macs, 50);
        pare_graph_free(student);
        student = derive(teacher, (pare_student_options){.width = report.width}, &report);
        assert_int_equal(report.student_macs, 5 * units); /* the width gives what was found */
        pare_graph_free(student);
    }
    pare_student_options options = {.macs = 0.08};
    assert_fails(pare_student_derive(teacher, &options, &student, NULL, &error), PARE_UNSUPPORTED, &error,
                 "at most 4 multiply-accumulates, found 5");
    assert_null(student);
    pare_graph_free(teacher);
}

static void options_out_of_range_are_refused(void **state) {
    (void)state;
    static const pare_student_options bad[] = {{.width = 1.5},      {.width = -0.5}, {.width = NAN},
                                               {.width = INFINITY}, {.depth = 2},    {.depth = -1},
                                               {.depth = NAN},      {.macs = 1.001}, {.macs = NAN},
                                               {.macs = -1},        {.round = -1},   {.width = 0.5, .macs = 0.5}};
    pare_graph *teacher = graded(), *student = teacher;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pare_error error = {0};
        assert_fails(pare_student_derive(teacher, &bad[i], &student, NULL, &error), PARE_USAGE, &error, "expected");
        assert_null(student);
    }
    pare_graph_free(teacher);
}

/* --- fresh weights ------------------------------------------------------------------ */

static pare_graph *wide(net *n) {
    net_start(n, 3);
    pare_value *x = net_conv(n, net_input(n, 4, (int64_t[]){-1, 16, 4, 4}), 64, 3, 1, 1);
    x = NET(n, "PRelu", "", net_batchnorm(n, x), net_random(n, 3, (int64_t[]){64, 1, 1}, 1, 2));
    x = NET(n, "Mul", "", x, net_random(n, 0, NULL, 3, 3)); /* no parameter of an operator */
    return net_finish(n, net_gemm(n, NET(n, "Flatten", "", x), 7));
}

static double deviation(const pare_value *value, double *mean) {
    const float *data = value->data;
    size_t count = value->data_bytes / sizeof *data;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)data[i];
        squares += (double)data[i] * (double)data[i];
    }
    *mean = sum / (double)count;
    return sqrt(squares / (double)count - *mean * *mean);
}

static void assert_all(const pare_value *value, float expected) {
    for (size_t i = 0; i < value->data_bytes / sizeof expected; i++) {
        assert_true(((const float *)value->data)[i] == expected);
    }
}

static void fresh_weights_follow_he(void **state) {
    (void)state;
    net n;
    double mean = 0;
    pare_graph *teacher = wide(&n);
    pare_graph *student = derive(teacher, (pare_student_options){.width = 0.5, .fresh = true, .seed = 4}, NULL);
    const pare_node *conv = student->first, *norm = conv->next, *slope = norm->next, *scale = slope->next;
    assert_int_equal(conv->inputs[1]->shape.dims[0], 32); /* 4,608 weights: 1 % standard error */
    assert_true(fabs(deviation(conv->inputs[1], &mean) / sqrt(2.0 / (16 * 9)) - 1) < 0.04);
    assert_true(fabs(mean) < 0.006);
    assert_true(fabs(deviation(student->last->inputs[1], &mean) / sqrt(2.0 / (32 * 16)) - 1) < 0.05);
    assert_all(conv->inputs[2], 0);
    assert_all(student->last->inputs[2], 0);
    assert_all(norm->inputs[1], 1);
    assert_all(norm->inputs[2], 0);
    assert_all(norm->inputs[3], 0);
    assert_all(norm->inputs[4], 1);
    assert_all(slope->inputs[1], 0.25F);
    assert_all(scale->inputs[1], 3);
    pare_graph_free(student);
    pare_graph_free(teacher);
}

static void the_same_options_give_the_same_bytes(void **state) {
    (void)state;
    static const pare_student_options options[] = {{.width = 0.3},
                                                   {.width = 0.3, .fresh = true, .seed = 1},
                                                   {.width = 0.3, .fresh = true, .seed = 2},
                                                   {.macs = 0.4, .round = 4}};
    uint8_t *bytes[4] = {NULL};
    size_t sizes[4] = {0};
    pare_error error = {0};
    for (size_t i = 0; i < 4; i++) {
        for (int again = 0; again < 2; again++) {
            net n;
            uint8_t *found = NULL;
            size_t size = 0;
            pare_graph *teacher = wide(&n), *student = derive(teacher, options[i], NULL);
            pare_graph_free(teacher); /* the student stands alone */
            assert_ok(pare_graph_to_bytes(student, &found, &size, &error), &error);
            pare_graph_free(student);
            if (again == 0) {
                bytes[i] = found;
                sizes[i] = size;
                continue;
            }
            assert_int_equal(size, sizes[i]);
            assert_memory_equal(found, bytes[i], size);
            pare_free(found);
        }
    }
    assert_int_equal(sizes[1], sizes[2]);
    assert_memory_not_equal(bytes[1], bytes[2], sizes[1]);
    for (size_t i = 0; i < 4; i++) {
        pare_free(bytes[i]);
    }
}

/* --- what cannot be scaled ------------------------------------------------------------ */

static void the_node_that_stops_is_named(void **state) {
    (void)state;
    pare_error error = {0};
    pare_student_options options = {.width = 0.5};
    pare_student_report report;
    pare_graph *student = NULL;
    net n;
    net_start(&n, 1);
    pare_value *x = net_gemm(&n, net_input(&n, 2, (int64_t[]){-1, 3}), 8);
    x = NET(&n, "Tile", "", x, net_ints(&n, 2, (int64_t[]){1, 2}));
    const char *name = x->producer->name;
    pare_graph *teacher = net_finish(&n, net_gemm(&n, x, 2));
    assert_fails(pare_student_derive(teacher, &options, &student, &report, &error), PARE_UNSUPPORTED, &error, "Tile");
    assert_non_null(strstr(error.message, name));
    assert_non_null(strstr(error.message, "found 8"));
    pare_graph_free(teacher);
    /* Beside something that can be scaled it is reported. */
    net_start(&n, 1);
    x = net_gemm(&n, net_gemm(&n, net_input(&n, 2, (int64_t[]){-1, 3}), 6), 8);
    x = NET(&n, "Tile", "", x, net_ints(&n, 2, (int64_t[]){1, 2}));
    teacher = net_finish(&n, net_gemm(&n, x, 2));
    student = derive(teacher, options, &report);
    assert_int_equal(report.channel_groups, 3);
    assert_int_equal(report.groups_kept_whole, 1);
    assert_string_equal(report.stopped_at, x->producer->name);
    pare_graph_free(student);
    pare_graph_free(teacher);
}

static void means_over_channels_stop(void **state) {
    (void)state;
    static const char *const operators[] = {"Softmax", "LRN", "ReduceMax", "LayerNormalization", "ArgMax"};
    static const char *const attributes[] = {"axis:i=1", "size:i=3", "", "", "axis:i=1"};
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        pare_error error = {0};
        pare_student_options options = {.width = 0.5};
        pare_graph *student = NULL;
        net n;
        net_start(&n, 1);
        pare_value *x = net_conv(&n, net_input(&n, 4, (int64_t[]){-1, 1, 2, 6}), 6, 1, 1, 1);
        int64_t six = 6, one = 1;
        pare_value *second = i == 2 ? net_ints(&n, 1, &one) : i == 3 ? net_random(&n, 1, &six, 1, 2) : NULL;
        if (i == 3) {
            x = NET(&n, "Transpose", "perm:I=0,2,3,1", x);
        }
        pare_value *inputs[2] = {x, second};
        pare_graph *teacher =
            net_finish(&n, net_apply(&n, operators[i], attributes[i], inputs, second != NULL ? 2 : 1));
        pare_status status = pare_student_derive(teacher, &options, &student, NULL, &error);
        assert_fails(status, PARE_UNSUPPORTED, &error, i == 2 || i == 4 ? operators[i] : "found none");
        pare_graph_free(teacher);
    }
}

static void networks_without_channels_are_refused(void **state) {
    (void)state;
    pare_error error = {0};
    pare_student_options options = {.width = 0.5};
    pare_graph *student = NULL;
    net n;
    net_start(&n, 1);
    pare_graph *teacher = net_finish(&n, net_gemm(&n, net_input(&n, 2, (int64_t[]){-1, 3}), 8));
    assert_fails(pare_student_derive(teacher, &options, &student, NULL, &error), PARE_UNSUPPORTED, &error,
                 "other than those of the network's inputs and outputs");
    pare_graph_free(teacher);
    net_start(&n, 1);
    teacher = net_finish(&n, NET(&n, "Relu", "", net_input(&n, 2, (int64_t[]){-1, 3})));
    assert_fails(pare_student_derive(teacher, &options, &student, NULL, &error), PARE_UNSUPPORTED, &error, "weights");
    pare_graph_free(teacher);
    float scale = 0.1F;
    int32_t zero = 0;
    teacher = graded();
    teacher->inputs[0]->quant = pare_graph_add_quant(teacher, PARE_U8, -1, 1, &scale, &zero);
    assert_fails(pare_student_derive(teacher, &options, &student, NULL, &error), PARE_UNSUPPORTED, &error,
                 "quantization");
    pare_graph_free(teacher);
}

static void a_failed_allocation_is_an_error(void **state) {
    (void)state;
    net n;
    pare_graph *teacher = wide(&n);
    size_t used = pare_memory_used(), failed = 0;
    for (size_t at = 1;; at++) {
        pare_error error = {0};
        pare_graph *student = NULL;
        pare_student_options options = {.width = 0.5, .fresh = true};
        pare_memory_fail_at(at, false);
        pare_status status = pare_student_derive(teacher, &options, &student, NULL, &error);
        pare_memory_fail_at(0, false);
        assert_true(status == PARE_OK || (status == PARE_LIMIT && student == NULL && error.message[0] != '\0'));
        pare_graph_free(student);
        assert_int_equal(pare_memory_used(), used);
        if (status == PARE_OK) {
            break;
        }
        failed++;
    }
    assert_true(failed > 20);
    pare_graph_free(teacher);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_norms_stay_in_order),
        cmocka_unit_test(layers_are_normalized),
        cmocka_unit_test(counts_are_rounded),
        cmocka_unit_test(rounding_counts_channels_of_groups),
        cmocka_unit_test(a_share_of_macs_finds_the_width),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(fresh_weights_follow_he),
        cmocka_unit_test(the_same_options_give_the_same_bytes),
        cmocka_unit_test(the_node_that_stops_is_named),
        cmocka_unit_test(means_over_channels_stop),
        cmocka_unit_test(networks_without_channels_are_refused),
        cmocka_unit_test(a_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
