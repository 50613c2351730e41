/* Weight pruning: the least go, as many as asked for, in every layer's own layout; row 87 of the bad inputs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net_builder.h"
#include "pare/op.h"
#include "pare/prune.h"
#include "test.h"

/* Conv [8, 3, 3, 3], depthwise [8, 1, 3, 3], Gemm [6, 8], MatMul [6, 5]. */
static pare_graph *network(void) {
    net n;
    net_start(&n, 3);
    pare_value *x = net_conv(&n, net_input(&n, 4, (int64_t[]){-1, 3, 6, 6}), 8, 3, 1, 1);
    x = NET(&n, "GlobalAveragePool", "", net_conv(&n, x, 8, 3, 1, 8));
    x = NET(&n, "Relu", "", net_gemm(&n, NET(&n, "Flatten", "axis:i=1", x), 6));
    return net_finish(&n, NET(&n, "MatMul", "", x, net_random(&n, 2, (int64_t[]){6, 5}, -1, 1)));
}

enum { LAYERS = 4 };

static const pare_value *weights_of(const pare_graph *graph, int layer) {
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        if (node->op->weight_input >= 0 && layer-- == 0) {
            return node->inputs[node->op->weight_input];
        }
    }
    return NULL;
}

static pare_graph *pruned(const pare_graph *graph, const pare_weight_prune_options *options,
                          pare_weight_prune_report *report) {
    pare_error error = {0};
    pare_graph *made = NULL;
    assert_ok(pare_prune_weights(graph, options, &made, report, &error), &error);
    return made;
}

/* A threshold parts zeros from the rest, whose values stay. */
static void assert_parted(const pare_value *before, const pare_value *after, float *largest_gone,
                          float *smallest_left) {
    for (size_t i = 0; i < before->data_bytes / sizeof(float); i++) {
        float w = ((const float *)before->data)[i], found = ((const float *)after->data)[i];
        assert_true(found == w || found == 0);
        float *edge = found == 0 ? largest_gone : smallest_left;
        *edge = found == 0 ? fmaxf(*edge, fabsf(w)) : fminf(*edge, fabsf(w));
    }
}

static void the_least_go(void **state) {
    (void)state;
    pare_graph *graph = network();
    for (int scope = PARE_SPARSITY_LAMP; scope <= PARE_SPARSITY_LAYER; scope++) {
        pare_weight_prune_report report;
        pare_weight_prune_options options = {.sparsity = 0.6, .scope = (pare_sparsity_scope)scope};
        pare_graph *sparse = pruned(graph, &options, &report);
        float gone = 0, left = INFINITY;
        for (int layer = 0; layer < LAYERS; layer++) {
            float layer_gone = 0, layer_left = INFINITY;
            assert_parted(weights_of(graph, layer), weights_of(sparse, layer), &layer_gone, &layer_left);
            assert_true(layer_gone <= layer_left); /* of a layer the least, whatever the scope */
            gone = fmaxf(gone, layer_gone);
            left = fminf(left, layer_left);
        }
        assert_int_equal(gone <= left, scope == PARE_SPARSITY_GLOBAL);
        assert_int_equal(report.weights, 8 * 27 + 8 * 9 + 6 * 8 + 6 * 5);
        assert_int_equal(report.zeros_before, 0);
        assert_true(fabs((double)report.zeros_after - 0.6 * (double)report.weights) <= 2);
        assert_true(report.bytes_after < report.bytes_before);
        pare_graph_free(sparse);
    }
    pare_graph_free(graph);
}

/* LAMP's largest score of a layer is 1: one weight of each stays. */
static void lamp_empties_no_layer(void **state) {
    (void)state;
    pare_graph *graph = network();
    float *small = weights_of(graph, 2)->data;
    for (size_t i = 0; i < 48; i++) {
        small[i] *= 1e-3f;
    }
    pare_weight_prune_options options = {.sparsity = 0.98};
    pare_graph *sparse = pruned(graph, &options, NULL);
    for (int layer = 0; layer < LAYERS; layer++) {
        const pare_value *weights = weights_of(sparse, layer);
        size_t left = 0;
        for (size_t i = 0; i < weights->data_bytes / sizeof(float); i++) {
            left += ((const float *)weights->data)[i] != 0;
        }
        assert_true(left > 0);
    }
    pare_graph_free(sparse);
    pare_graph_free(graph);
}

/* Along the input channels, wherever they lie: axis 1 of Conv and Gemm, axis 0 of MatMul. */
static void patterns_hold_along_input_channels(void **state) {
    (void)state;
    pare_graph *graph = network();
    pare_weight_prune_report report;
    pare_weight_prune_options options = {.kept = 1, .of = 2};
    pare_graph *sparse = pruned(graph, &options, &report);
    const float *gemm = weights_of(sparse, 2)->data, *whole = weights_of(graph, 2)->data;
    for (size_t i = 0; i < 48; i += 2) {
        float larger = fabsf(whole[i]) >= fabsf(whole[i + 1]) ? whole[i] : whole[i + 1];
        assert_true((gemm[i] == 0) != (gemm[i + 1] == 0) && gemm[i] + gemm[i + 1] == larger);
    }
    const float *matmul = weights_of(sparse, 3)->data;
    for (size_t column = 0; column < 5; column++) {
        for (size_t k = 0; k < 6; k += 2) {
            assert_true((matmul[k * 5 + column] == 0) != (matmul[(k + 1) * 5 + column] == 0));
        }
    }
    /* 3 input channels: one of the first two, and the third; a depthwise layer has no two. */
    assert_int_equal(report.zeros_after, 8 * 9 + 24 + 15);
    pare_graph_free(sparse);
    pare_graph_free(graph);
}

static void row_87_weights_out_of_range(void **state) {
    (void)state;
    static const pare_weight_prune_options cases[] = {
        {.sparsity = 0},
        {.sparsity = 1},
        {.sparsity = (double)NAN},
        {.sparsity = -1},
        {.kept = 4, .of = 4},
        {.kept = 0, .of = 4},
        {.sparsity = 0.5, .kept = 2, .of = 4},
    };
    pare_graph *graph = network(), *sparse = NULL;
    pare_error error = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_fails(pare_prune_weights(graph, &cases[i], &sparse, NULL, &error), PARE_USAGE, &error, "expected a");
        assert_null(sparse);
    }
    pare_graph_free(graph);
    net n;
    net_start(&n, 1);
    graph = net_finish(&n, NET(&n, "Relu", "", net_input(&n, 2, (int64_t[]){-1, 4})));
    assert_fails(pare_prune_weights(graph, &(pare_weight_prune_options){.sparsity = 0.5}, &sparse, NULL, &error),
                 PARE_UNSUPPORTED, &error, "found none");
    pare_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_go),
        cmocka_unit_test(lamp_empties_no_layer),
        cmocka_unit_test(patterns_hold_along_input_channels),
        cmocka_unit_test(row_87_weights_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
