/* Channel pruning: what matters least goes, with its partners, and no more than is asked for; row 87 of the bad inputs.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_builder.h"
#include "pare/npy.h"
#include "pare/op.h"
#include "pare/prune.h"
#include "test.h"

enum { WIDTH = 12, BATCH = 3, CLASSES = 5 };

/* --- networks: a stem, two residual blocks with a depthwise layer, branches that are joined, a classifier --------- */

static pare_value *relu(net *n, pare_value *x) {
    return NET(n, "Relu", "", x);
}

static pare_graph *network(uint64_t seed) {
    net n;
    net_start(&n, seed);
    pare_value *x = net_input(&n, 4, (int64_t[]){-1, 3, 6, 6});
    x = relu(&n, net_batchnorm(&n, net_conv(&n, x, WIDTH, 3, 1, 1)));
    for (int block = 0; block < 2; block++) {
        pare_value *y = relu(&n, net_batchnorm(&n, net_conv(&n, x, WIDTH, 1, 1, 1)));
        y = relu(&n, net_batchnorm(&n, net_conv(&n, y, WIDTH, 3, 1, WIDTH)));
        x = relu(&n, NET(&n, "Add", "", net_batchnorm(&n, net_conv(&n, y, WIDTH, 1, 1, 1)), x));
    }
    pare_value *left = relu(&n, net_conv(&n, x, WIDTH, 3, 1, 1)), *right = relu(&n, net_conv(&n, x, WIDTH, 1, 1, 1));
    x = NET(&n, "Concat", "axis:i=1", left, right);
    return net_finish(&n, net_gemm(&n, NET(&n, "Flatten", "axis:i=1", NET(&n, "GlobalAveragePool", "", x)), CLASSES));
}

static pare_node *node_of(const pare_graph *graph, const char *op, int number) {
    for (pare_node *node = graph->first; node != NULL; node = node->next) {
        if (strcmp(node->op->name, op) == 0 && number-- == 0) {
            return node;
        }
    }
    fail_msg("no %s", op);
    return NULL;
}

/* Multiplies what a Conv computes in channel c, weights and bias, by `factor`. */
static void scale_channel(const pare_graph *graph, int conv, int64_t c, float factor) {
    pare_node *node = node_of(graph, "Conv", conv);
    float *weights = node->inputs[1]->data, *bias = node->inputs[2]->data;
    size_t inner = node->inputs[1]->data_bytes / sizeof(float) / (size_t)node->inputs[1]->shape.dims[0];
    for (size_t i = 0; i < inner; i++) {
        weights[(size_t)c * inner + i] *= factor;
    }
    bias[c] *= factor;
}

/* Its normalization adds nothing either: what reads the channel reads 0. */
static void silence(const pare_graph *graph, int conv, int64_t c, int norm) {
    scale_channel(graph, conv, c, 0);
    if (norm >= 0) {
        ((float *)node_of(graph, "BatchNormalization", norm)->inputs[2]->data)[c] = 0;
        ((float *)node_of(graph, "BatchNormalization", norm)->inputs[3]->data)[c] = 0;
    }
}

static pare_graph *pruned(const pare_graph *graph, const pare_channel_prune_options *options,
                          pare_prune_report *report) {
    pare_error error = {0};
    pare_graph *made = NULL;
    assert_ok(pare_prune_channels(graph, options, &made, report, &error), &error);
    return made;
}

static void assert_same_outputs(const pare_graph *a, const pare_graph *b) {
    float left[BATCH * CLASSES], right[BATCH * CLASSES];
    net_run(a, BATCH, 7, left, BATCH * CLASSES);
    net_run(b, BATCH, 7, right, BATCH * CLASSES);
    for (size_t i = 0; i < BATCH * CLASSES; i++) {
        assert_true(fabsf(left[i] - right[i]) <= 1e-5f * (1 + fabsf(left[i])));
    }
}

/* --- what goes ---------------------------------------------------------------------------------------------------- */

/* Channels without effect, one of an inner group and one of a branch, are the first to go, whatever measures them, and
 * the outputs stay. */
static void what_has_no_effect_goes_first(void **state) {
    (void)state;
    static const struct {
        pare_channel_importance importance;
        bool lamp;
    } ways[] = {{PARE_IMPORTANCE_L1, false}, {PARE_IMPORTANCE_L2, false}, {PARE_IMPORTANCE_L1, true}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        pare_graph *graph = network(1);
        silence(graph, 1, 4, 1); /* what the first block's depthwise layer reads, and what it computes */
        silence(graph, 2, 4, 2);
        silence(graph, 8, 9, -1);
        /* what reads them is nothing, too */
        pare_node *reader = node_of(graph, "Conv", 3), *classifier = node_of(graph, "Gemm", 0);
        for (int64_t o = 0; o < WIDTH; o++) {
            ((float *)reader->inputs[1]->data)[o * WIDTH + 4] = 0;
        }
        for (int64_t o = 0; o < CLASSES; o++) {
            ((float *)classifier->inputs[1]->data)[o * 2 * WIDTH + WIDTH + 9] = 0;
        }
        pare_prune_report report;
        pare_channel_prune_options options = {
            .importance = ways[i].importance, .lamp = ways[i].lamp, .target = {.ratio = 2.0 / (5 * WIDTH) - 1e-9}};
        pare_graph *small = pruned(graph, &options, &report);
        size_t gone = 0;
        for (size_t g = 0; g < report.group_count; g++) {
            gone += report.groups[g].before - report.groups[g].after;
        }
        assert_int_equal(gone, 2);
        assert_same_outputs(graph, small);
        pare_graph_free(graph); /* the pruned one has constants of its own */
        float output[BATCH * CLASSES];
        net_run(small, BATCH, 7, output, BATCH * CLASSES);
        pare_graph_free(small);
    }
}

static const pare_pruned_group *group_named(const pare_prune_report *report, const pare_graph *graph, int conv) {
    for (size_t g = 0; g < report->group_count; g++) {
        if (strcmp(report->groups[g].node, node_of(graph, "Conv", conv)->name) == 0) {
            return &report->groups[g];
        }
    }
    fail_msg("no group of that Conv");
    return NULL;
}

/* A small scale of BatchNormalization, a filter that equals another. */
static void scales_and_medians_say_their_own(void **state) {
    (void)state;
    pare_graph *graph = network(2);
    float *scale = node_of(graph, "BatchNormalization", 4)->inputs[1]->data; /* of the second block's first layer */
    for (int64_t c = 0; c < WIDTH; c++) {
        scale[c] = c == 3 ? 1e-3f : 1.0f;
    }
    scale = node_of(graph, "BatchNormalization", 5)->inputs[1]->data;
    scale[3] = 1e-3f;
    pare_prune_report report;
    pare_channel_prune_options options = {.importance = PARE_IMPORTANCE_BATCHNORM,
                                          .target = {.ratio = 1.0 / (5 * WIDTH) - 1e-9}};
    pare_graph *small = pruned(graph, &options, &report);
    assert_int_equal(group_named(&report, graph, 4)->after, WIDTH - 1);
    scale = node_of(small, "BatchNormalization", 4)->inputs[1]->data;
    for (int64_t c = 0; c < WIDTH - 1; c++) {
        assert_true(scale[c] == 1.0f);
    }
    pare_graph_free(small);
    pare_node *branch = node_of(graph, "Conv", 7); /* its filters 1 and up resemble filter 0, and 6 is it */
    float *weights = branch->inputs[1]->data;
    size_t inner = branch->inputs[1]->data_bytes / sizeof(float) / WIDTH;
    for (size_t i = 0; i < inner; i++) {
        weights[6 * inner + i] = 0;
        for (size_t c = 0; c < WIDTH; c++) {
            weights[6 * inner + i] += c != 6 ? weights[c * inner + i] / (WIDTH - 1) : 0;
        }
    }
    options = (pare_channel_prune_options){.importance = PARE_IMPORTANCE_MEDIAN,
                                           .target = {.ratio = 1.0 / (5 * WIDTH) - 1e-9}};
    small = pruned(graph, &options, &report);
    assert_int_equal(group_named(&report, graph, 7)->after, WIDTH - 1); /* the median's own filter, though not small */
    pare_graph_free(small);
    pare_graph_free(graph);
}

/* A channel that Relu always closes is worth nothing on data, large as its weights are. */
static void activations_say_what_weights_do_not(void **state) {
    (void)state;
    pare_error error = {0};
    static const pare_preprocess plain = {.layout = PARE_ORDER_NCHW, .scale = 1};
    float pixels[8 * 3 * 36];
    char spec[2000];
    pare_random random;
    pare_random_seed(&random, 4);
    for (size_t i = 0; i < sizeof pixels / sizeof pixels[0]; i++) {
        pixels[i] = (float)pare_random_unit(&random);
    }
    assert_ok(pare_npy_write(test_path("x.npy"), PARE_F32, &(pare_shape){4, {8, 3, 6, 6}}, pixels, &error), &error);
    snprintf(spec, sizeof spec, "npy:%s", test_path("x.npy"));
    pare_graph *graph = network(3);
    for (int64_t c = 0; c < WIDTH; c++) { /* small weights, but open */
        scale_channel(graph, 8, c, 0.01f);
    }
    for (int i = 0; i < 9; i++) { /* every other channel is open somewhere */
        pare_node *node = i < 7 ? node_of(graph, "BatchNormalization", i) : node_of(graph, "Conv", i);
        for (int64_t c = 0; c < WIDTH; c++) {
            ((float *)node->inputs[2]->data)[c] += 3;
        }
    }
    ((float *)node_of(graph, "Conv", 7)->inputs[2]->data)[5] = -1e4f;
    pare_prune_report report;
    pare_channel_prune_options options = {
        .importance = PARE_IMPORTANCE_ACTIVATION, .target = {.ratio = 1.0 / (5 * WIDTH) - 1e-9}, .preprocess = &plain};
    pare_graph *small = NULL;
    assert_fails(pare_prune_channels(graph, &options, &small, NULL, &error), PARE_USAGE, &error, "needs a data set");
    assert_ok(pare_dataset_open(spec, &options.data, &error), &error);
    small = pruned(graph, &options, &report);
    assert_int_equal(group_named(&report, graph, 7)->after, WIDTH - 1);
    assert_int_equal(group_named(&report, graph, 8)->after, WIDTH);
    assert_same_outputs(graph, small);
    pare_graph_free(small);
    pare_dataset_close(options.data);
    pare_graph_free(graph);
}

/* --- how much goes --------------------------------------------------------------------------------------------------
 */

static void targets_are_met_and_hardly_more(void **state) {
    (void)state;
    pare_graph *graph = network(5);
    pare_prune_report report;
    for (int local = 0; local < 2; local++) {
        for (double share = 0.9; share > 0.15; share -= 0.2) {
            pare_channel_prune_options options = {.local = local, .target = {.macs = share}};
            pare_graph *small = pruned(graph, &options, &report);
            assert_true((double)report.after.macs <= share * (double)report.before.macs);
            assert_true((double)report.after.macs >= (share - 0.12) * (double)report.before.macs);
            assert_int_equal(report.after.macs, pare_graph_macs(small));
            pare_graph_free(small);
            options.target = (pare_prune_target){.parameters = share};
            small = pruned(graph, &options, &report);
            assert_true((double)report.after.parameters <= share * (double)report.before.parameters);
            pare_graph_free(small);
        }
    }
    pare_channel_prune_options options = {.target = {.bytes = 1, .latency_ms = 1e9}};
    pare_error error = {0};
    pare_graph *small = NULL;
    assert_fails(pare_prune_channels(graph, &options, &small, NULL, &error), PARE_UNSUPPORTED, &error, "bytes and");
    options.target.bytes = 1000000;
    small = pruned(graph, &options, &report); /* is met as it is */
    assert_int_equal(report.after.parameters, report.before.parameters);
    assert_true(report.after.bytes == report.before.bytes && report.after.bytes > 1000 && report.after.latency_ms > 0);
    options.target.bytes = report.before.bytes * 7 / 10;
    pare_graph_free(small);
    small = pruned(graph, &options, &report);
    assert_true(report.after.bytes <= options.target.bytes && report.after.bytes * 10 > options.target.bytes * 8);
    pare_graph_free(small);
    pare_graph_free(graph);
}

static void groups_keep_a_share_and_a_multiple(void **state) {
    (void)state;
    pare_graph *graph = network(6);
    pare_prune_report report;
    pare_channel_prune_options options = {.target = {.ratio = 0.99}, .most = 0.5, .round = 4};
    pare_graph *small = NULL;
    pare_error error = {0};
    assert_ok(pare_prune_channels(graph, &options, &small, &report, &error), &error);
    for (size_t g = 0; g < report.group_count; g++) {
        bool prunable = report.groups[g].after < report.groups[g].before;
        assert_true(!prunable || (report.groups[g].after % 4 == 0 && report.groups[g].after * 2 >= WIDTH));
    }
    pare_graph_free(small);
    options.most = 1; /* a channel stays all the same */
    options.round = 1;
    small = pruned(graph, &options, &report);
    for (size_t g = 0; g < report.group_count; g++) {
        assert_true(report.groups[g].after >= 1);
    }
    float output[BATCH * CLASSES];
    net_run(small, BATCH, 7, output, BATCH * CLASSES);
    pare_graph_free(small);
    pare_graph_free(graph);
}

static void row_87_targets_out_of_range(void **state) {
    (void)state;
    static const pare_channel_prune_options cases[] = {
        {.target = {.macs = 0}},
        {.target = {.macs = 1}},
        {.target = {.ratio = 1}},
        {.target = {.parameters = -0.5}},
        {.target = {.latency_ms = (double)NAN}},
        {.target = {.macs = 0.5}, .most = 1.5},
        {.target = {.macs = 0.5}, .round = -1},
        {.target = {.macs = 0.5}, .importance = (pare_channel_importance)9},
    };
    pare_graph *graph = network(7), *small = NULL;
    pare_error error = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_fails(pare_prune_channels(graph, &cases[i], &small, NULL, &error), PARE_USAGE, &error, "expected");
        assert_null(small);
    }
    pare_channel_prune_options all = {.target = {.macs = 0.001}};
    assert_fails(pare_prune_channels(graph, &all, &small, NULL, &error), PARE_UNSUPPORTED, &error,
                 "expected the target to be met before all channels are gone that may go");
    pare_graph_free(graph);
    net n;
    net_start(&n, 1);
    graph = net_finish(&n, net_gemm(&n, net_input(&n, 2, (int64_t[]){-1, 4}), 3));
    all.target.macs = 0.5;
    assert_fails(pare_prune_channels(graph, &all, &small, NULL, &error), PARE_UNSUPPORTED, &error,
                 "expected channels that may go, found none");
    all.importance = PARE_IMPORTANCE_BATCHNORM;
    assert_fails(pare_prune_channels(graph, &all, &small, NULL, &error), PARE_UNSUPPORTED, &error,
                 "expected BatchNormalization");
    pare_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_effect_goes_first),       cmocka_unit_test(scales_and_medians_say_their_own),
        cmocka_unit_test(activations_say_what_weights_do_not), cmocka_unit_test(targets_are_met_and_hardly_more),
        cmocka_unit_test(groups_keep_a_share_and_a_multiple),  cmocka_unit_test(row_87_targets_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
