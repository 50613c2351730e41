/* Scale that moves between layers: the function stays, the rounding error falls. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "graph_case.h"
#include "pare/lower.h"
#include "pare/npy.h"
#include "pare/quantize.h"
#include "pare/random.h"
#include "quant/scale_groups.h"
#include "test.h"

#define SAMPLES 64
#define CHANNELS 16
#define SIDE 4
#define IN (8 * SIDE * SIDE)
#define OUT (8 * SIDE * SIDE)

static float random_values[CHANNELS * CHANNELS * 9];

static pare_value *constant(pare_graph *graph, const char *name, pare_shape shape, pare_random *random, float first) {
    size_t count;
    assert_true(pare_shape_elements(&shape, &count));
    const size_t each = count / (size_t)shape.dims[0];
    for (size_t i = 0; i < count; i++) { /* output channel o is larger than the one before it */
        const float level = first == 0.0F ? 1.0F : powf(first, (float)(i / each));
        random_values[i] = (float)pare_random_normal(random) * level;
    }
    return pare_graph_add_constant(graph, name, PARE_F32, &shape, random_values, count * sizeof(float));
}

/* x -> Conv -> Clip(0, 6) -> depthwise Conv -> (+ 1x1 Conv of it) -> Conv -> y: two groups, one of them a sum. */
static pare_graph *network(void) {
    pare_error error = {0};
    pare_random random;
    pare_graph *graph = NULL;
    pare_random_seed(&random, 9);
    assert_ok(pare_graph_create(0, &graph, &error), &error);
    graph->opset = 13;
    pare_shape shape = {4, {-1, 8, SIDE, SIDE}}, scalar = {0};
    static const float low = 0.0F, high = 6.0F;
    pare_value *x = pare_graph_add_input(graph, "x", PARE_F32, &shape), *v[7];
    for (int i = 0; i < 7; i++) {
        char name[8];
        snprintf(name, sizeof name, "v%d", i);
        v[i] = pare_graph_add_value(graph, name, PARE_F32, NULL);
    }
    pare_value *w1 = constant(graph, "w1", (pare_shape){4, {CHANNELS, 8, 1, 1}}, &random, 0.7F);
    pare_value *w2 = constant(graph, "w2", (pare_shape){4, {CHANNELS, 1, 3, 3}}, &random, 1.2F);
    pare_value *w3 = constant(graph, "w3", (pare_shape){4, {CHANNELS, CHANNELS, 1, 1}}, &random, 0);
    pare_value *w4 = constant(graph, "w4", (pare_shape){4, {8, CHANNELS, 1, 1}}, &random, 0);
    pare_value *from = pare_graph_add_constant(graph, "low", PARE_F32, &scalar, &low, sizeof low);
    pare_value *to = pare_graph_add_constant(graph, "high", PARE_F32, &scalar, &high, sizeof high);
    graph_add(graph, "Conv", "", (pare_value *[]){x, w1}, 2, &v[0], 1);
    graph_add(graph, "Clip", "", (pare_value *[]){v[0], from, to}, 3, &v[1], 1);
    graph_add(graph, "Conv", "group:i=16 pads:I=1,1,1,1", (pare_value *[]){v[1], w2}, 2, &v[2], 1);
    graph_add(graph, "Conv", "", (pare_value *[]){v[2], w3}, 2, &v[3], 1);
    graph_add(graph, "Add", "", (pare_value *[]){v[2], v[3]}, 2, &v[4], 1);
    graph_add(graph, "Relu", "", &v[4], 1, &v[5], 1);
    graph_add(graph, "Conv", "", (pare_value *[]){v[5], w4}, 2, &v[6], 1);
    assert_true(pare_graph_add_output(graph, v[6]));
    assert_ok(pare_graph_infer(graph, &error), &error);
    return graph;
}

static float samples[SAMPLES * IN], expected[SAMPLES * OUT], found[SAMPLES * OUT];

static void run(const pare_graph *graph, float *outputs) {
    pare_error error = {0};
    pare_model *model = NULL;
    pare_session *session = NULL;
    pare_session_options options = {.struct_size = sizeof options, .batch = SAMPLES, .threads = 1};
    assert_ok(pare_graph_lower(graph, &model, &error), &error);
    assert_ok(pare_session_create(model, &options, &session, &error), &error);
    pare_input in = {samples, sizeof samples};
    pare_output_buffer out = {outputs, sizeof expected};
    assert_ok(pare_session_run(session, &in, 1, &out, 1, &error), &error);
    pare_session_free(session);
    pare_model_release(model);
}

static double relative_error(void) {
    double signal = 0, noise = 0;
    for (size_t i = 0; i < SAMPLES * OUT; i++) {
        const double x = (double)expected[i], d = (double)found[i] - x;
        signal += x * x;
        noise += d * d;
    }
    return noise / signal;
}

static int draw_samples(void **state) {
    pare_random random;
    (void)state;
    pare_random_seed(&random, 2);
    for (size_t i = 0; i < SAMPLES * IN; i++) {
        samples[i] = (float)pare_random_normal(&random) * 0.3F;
    }
    return 0;
}

static void groups_follow_sums_and_clamps_and_keep_the_function(void **state) {
    (void)state;
    pare_error error = {0};
    pare_arena arena;
    scale_group *groups = NULL;
    size_t count = 0;
    pare_graph *graph = network();
    run(graph, expected);
    pare_arena_init(&arena, SIZE_MAX);
    assert_ok(scale_groups_find(graph, &arena, &groups, &count, &error), &error);
    assert_int_equal(count, 2);
    assert_true(groups[0].bounded && groups[0].readers[0].depthwise);
    assert_true(groups[0].writer_count == 1 && groups[0].reader_count == 1);
    assert_true(!groups[1].bounded && groups[1].writer_count == 2 && groups[1].reader_count == 2);
    for (size_t c = 0; c < CHANNELS; c++) {
        scale_group_apply(&groups[0], c, 1.0F / (float)(c + 1)); /* smaller, so the Clip stays out of the way */
        scale_group_apply(&groups[1], c, 0.5F + (float)c);
    }
    run(graph, found);
    assert_true(relative_error() < 1e-10);
    pare_arena_free(&arena);
    pare_graph_free(graph);
}

static double quantized_error(bool unbalanced) {
    pare_error error = {0};
    char spec[16500];
    pare_dataset *dataset = NULL;
    pare_graph *graph = network();
    pare_shape shape = {4, {SAMPLES, 8, SIDE, SIDE}};
    pare_preprocess plain = {.layout = PARE_ORDER_NCHW, .scale = 1, .task = PARE_TASK_REGRESSION};
    pare_quantize_options options = {.method = PARE_CALIBRATE_MINMAX, .unbalanced = unbalanced};
    pare_run_options run_options = {.threads = 1};
    assert_ok(pare_npy_write(test_path("x.npy"), PARE_F32, &shape, samples, &error), &error);
    snprintf(spec, sizeof spec, "npy:%s", test_path("x.npy"));
    assert_ok(pare_dataset_open(spec, &dataset, &error), &error);
    run(graph, expected);
    assert_ok(pare_quantize(graph, dataset, &plain, &options, &run_options, NULL, &error), &error);
    run(graph, found);
    pare_dataset_close(dataset);
    pare_graph_free(graph);
    return relative_error();
}

static void balancing_lowers_the_error(void **state) {
    (void)state;
    const double before = quantized_error(true), after = quantized_error(false);
    print_message("relative error %g unbalanced, %g balanced\n", before, after);
    assert_true(after < 0.7 * before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_follow_sums_and_clamps_and_keep_the_function),
        cmocka_unit_test(balancing_lowers_the_error),
    };
    return cmocka_run_group_tests(tests, draw_samples, NULL);
}
