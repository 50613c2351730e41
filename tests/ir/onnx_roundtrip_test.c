/* Import -> export -> import gives the same graph. With PARE_WRITE_CORPUS=FOLDER
 * the samples are also written there: the seeds of the fuzz targets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx_samples.h"
#include "pare/onnx_graph.h"
#include "test.h"

static void check_round_trip(const pare_graph *graph, const char *name) {
    pare_error error = {0};
    pare_graph *again = NULL;
    const char *path = test_path("again.onnx");
    assert_ok(pare_graph_check(graph, &error), &error);
    assert_ok(pare_graph_save(graph, path, &error), &error);
    assert_ok(pare_graph_load(path, NULL, &again, &error), &error);
    const char *difference = graph_difference(graph, again);
    if (difference != NULL) {
        fail_msg("%s: %s", name, difference);
    }
    pare_graph_free(again);
}

static void write_seed(const onnx_sample *sample) {
    const char *folder = getenv("PARE_WRITE_CORPUS");
    if (folder != NULL) {
        char path[4096];
        test_onnx *model = sample->build();
        snprintf(path, sizeof path, "%s/%s", folder, sample->name);
        test_onnx_save(model, path);
        test_onnx_free(model);
    }
}

static void samples_round_trip(void **state) {
    (void)state;
    for (const onnx_sample *sample = onnx_samples; sample->name != NULL; sample++) {
        pare_error error = {0};
        pare_graph *graph = NULL;
        write_seed(sample);
        pare_status status = onnx_sample_import(sample->build(), &graph, &error);
        if (status != PARE_OK) {
            fail_msg("%s: %s", sample->name, error.message);
        }
        check_round_trip(graph, sample->name);
        pare_graph_free(graph);
    }
}

static void shared_models_round_trip(void **state) {
    static const char *const models[] = {"lenet5",     "resnet20", "silero_vad",       "stories260k",
                                         "mnist_lstm", "dtln_1",   "super_resolution", "tiny_ad_autoencoder"};
    (void)state;
    if (test_shared() == NULL) {
        skip();
    }
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        char name[64];
        pare_error error = {0};
        pare_graph *graph = NULL;
        snprintf(name, sizeof name, "models/%s.onnx", models[i]);
        assert_ok(pare_graph_load(test_shared_path(name), NULL, &graph, &error), &error);
        check_round_trip(graph, models[i]);
        pare_graph_free(graph);
    }
}

static void metadata_survives(void **state) {
    pare_error error = {0};
    pare_graph *graph = NULL, *again = NULL;
    const char *path = test_path("metadata.onnx");
    (void)state;
    assert_ok(onnx_sample_import(onnx_samples[0].build(), &graph, &error), &error);
    assert_true(pare_graph_set_metadata(graph, "pare.preprocess", "{\"layout\": \"NCHW\"}"));
    assert_true(pare_graph_set_metadata(graph, "other", "1"));
    assert_true(pare_graph_set_metadata(graph, "other", "2"));
    assert_ok(pare_graph_save(graph, path, &error), &error);
    assert_ok(pare_graph_load(path, NULL, &again, &error), &error);
    assert_string_equal(pare_graph_metadata_find(again, "pare.preprocess"), "{\"layout\": \"NCHW\"}");
    assert_string_equal(pare_graph_metadata_find(again, "other"), "2");
    assert_string_equal(again->name, graph->name);
    pare_graph_free(graph);
    pare_graph_free(again);
}

static void missing_file_is_named(void **state) {
    pare_error error = {0};
    pare_graph *graph = NULL;
    (void)state;
    assert_int_equal(pare_graph_load(test_path("absent.onnx"), NULL, &graph, &error), PARE_IO);
    assert_non_null(strstr(error.message, "absent.onnx"));
    assert_null(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_round_trip),
        cmocka_unit_test(shared_models_round_trip),
        cmocka_unit_test(metadata_survives),
        cmocka_unit_test(missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
