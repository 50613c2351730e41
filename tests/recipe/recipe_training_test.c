/* Each family trains: every operator that recipes use has a gradient, and the loss of a few samples falls. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pare/evaluate.h"
#include "pare/memory.h"
#include "pare/npy.h"
#include "pare/random.h"
#include "pare/recipe.h"
#include "pare/train.h"

enum { SAMPLES = 16, BATCH = 8, EPOCHS = 12 };

static const struct {
    const char *recipe; /* the family's fields */
    int32_t rank;
    int64_t dims[3];
    const char *task;
} cases[] = {
    {"\"family\": \"lenet-300-100\", \"dropout\": 0.1", 1, {784}, "classification"},
    {"\"family\": \"lenet-5\", \"dropout\": 0.1, \"softmax\": true", 3, {1, 28, 28}, "classification"},
    {"\"family\": \"resnet\", \"depth\": 8, \"width\": 4, \"input\": [3, 16, 16]", 3, {3, 16, 16}, "classification"},
    {"\"family\": \"resnet\", \"depth\": 8, \"width\": 4, \"input\": [3, 16, 16], \"shortcut\": \"projection\", "
     "\"zero_init_residual\": true, \"activation\": \"leaky_relu\"",
     3,
     {3, 16, 16},
     "classification"},
    {"\"family\": \"mobilenet\", \"input\": [3, 64, 64], \"activation\": \"relu6\"", 3, {3, 64, 64}, "classification"},
    {"\"family\": \"ds-cnn\", \"width\": 16, \"classes\": 10, \"dropout\": 0.1", 3, {1, 49, 10}, "classification"},
    {"\"family\": \"cnn\", \"input\": [1, 16, 16], \"activation\": \"hard_swish\", \"blocks\": [{\"type\": \"conv\", "
     "\"channels\": 8}, {\"type\": \"max_pool\"}, {\"type\": \"residual\"}, {\"type\": \"average_pool\"}, {\"type\": "
     "\"separable\", \"channels\": 8, \"stride\": 2}]",
     3,
     {1, 16, 16},
     "classification"},
    {"\"family\": \"mlp\", \"inputs\": 8, \"outputs\": 1, \"activation\": \"silu\", \"dropout\": 0.1",
     1,
     {8},
     "regression"},
    {"\"family\": \"mlp\", \"inputs\": 8, \"outputs\": 10, \"task\": \"classification\", \"batchnorm\": true, "
     "\"activation\": \"tanh\"",
     1,
     {8},
     "classification"},
    {"\"family\": \"autoencoder\", \"inputs\": 32, \"hidden\": [16], \"code\": 4", 1, {32}, "autoencoder"},
    {"\"family\": \"autoencoder\", \"inputs\": 32, \"hidden\": [16], \"code\": 4, \"activation\": \"sigmoid\", "
     "\"batchnorm\": false",
     1,
     {32},
     "autoencoder"},
    {"\"family\": \"transformer\", \"vocabulary\": 9, \"sequence\": 6, \"width\": 16, \"layers\": 2, \"dropout\": 0.1",
     1,
     {6},
     "classification"},
    {"\"family\": \"transformer\", \"features\": 3, \"sequence\": 6, \"width\": 16, \"layers\": 1, \"norm\": \"after\"",
     2,
     {6, 3},
     "classification"},
};

static void write_inputs(const pare_graph *graph, int32_t rank, const int64_t *dims) {
    pare_error error = {0};
    pare_shape shape = {rank + 1, {SAMPLES}};
    pare_dtype dtype = graph->inputs[0]->dtype;
    size_t elements = 0;
    pare_random random;
    pare_random_seed(&random, 2);
    memcpy(shape.dims + 1, dims, (size_t)rank * sizeof *dims);
    assert_true(pare_shape_elements(&shape, &elements));
    void *data = calloc(elements, 8);
    assert_non_null(data);
    for (size_t i = 0; i < elements; i++) {
        if (dtype == PARE_S64) {
            ((int64_t *)data)[i] = (int64_t)pare_random_below(&random, 9);
        } else {
            ((float *)data)[i] = (float)pare_random_normal(&random);
        }
    }
    assert_ok(pare_npy_write(test_path("x.npy"), dtype, &shape, data, &error), &error);
    free(data);
}

static void write_targets(const char *task) {
    pare_error error = {0};
    int64_t classes[SAMPLES];
    float values[SAMPLES];
    for (size_t i = 0; i < SAMPLES; i++) {
        classes[i] = (int64_t)(i % 4);
        values[i] = (float)(i % 4);
    }
    bool regression = strcmp(task, "regression") == 0;
    pare_shape shape = regression ? (pare_shape){2, {SAMPLES, 1}} : (pare_shape){1, {SAMPLES}};
    assert_ok(pare_npy_write(test_path("y.npy"), regression ? PARE_F32 : PARE_S64, &shape,
                             regression ? (const void *)values : classes, &error),
              &error);
}

static double losses[EPOCHS];

static bool keep_loss(void *context, const pare_train_progress *progress) {
    (void)context;
    if (progress->epoch_ends) {
        losses[progress->epoch] = progress->epoch_loss;
    }
    return true;
}

static pare_dataset *open_data(const char *task) {
    char spec[600];
    pare_error error = {0};
    pare_dataset *dataset = NULL;
    bool labelled = strcmp(task, "autoencoder") != 0;
    snprintf(spec, sizeof spec, "npy:%s%s%s", test_path("x.npy"), labelled ? "," : "",
             labelled ? test_path("y.npy") : "");
    assert_ok(pare_dataset_open(spec, &dataset, &error), &error);
    return dataset;
}

static void trains(size_t index) {
    char json[700];
    const char *task = cases[index].task;
    pare_error error = {0};
    pare_graph *graph = NULL;
    pare_preprocess preprocess;
    pare_recipe_report report;
    pare_train_result result;
    snprintf(json, sizeof json, "{%s, \"preprocess\": {\"layout\": \"%s\", \"task\": \"%s\"}}", cases[index].recipe,
             cases[index].rank == 3 ? "NCHW" : "flat", task);
    assert_ok(pare_recipe_build(json, "test.json", 0, &graph, &report, &error), &error);
    assert_ok(pare_preprocess_parse(pare_graph_metadata_find(graph, "pare.preprocess"), "test", &preprocess, &error),
              &error);
    write_inputs(graph, cases[index].rank, cases[index].dims);
    write_targets(task);
    pare_dataset *data = open_data(task);
    pare_train_options options = {
        .preprocess = &preprocess,
        .optimizer = {.kind = PARE_OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8},
        .schedule = {.lr = 3e-3},
        .epochs = EPOCHS,
        .batch = BATCH,
        .threads = 1,
        .allow_empty_classes = true, /* four of them occur, whatever the network has */
        .report = keep_loss};
    pare_status status = pare_train(graph, data, NULL, &options, &result, &error);
    pare_dataset_close(data);
    if (status == PARE_UNSUPPORTED && strstr(error.message, "expected a build with oneDNN") != NULL) {
        pare_graph_free(graph);
        skip();
    }
    assert_ok(status, &error);
    if (result.parameters != report.parameters) {
        fail_msg("%s: expected %llu trained parameters, found %zu", json, (unsigned long long)report.parameters,
                 result.parameters);
    }
    if (!(losses[EPOCHS - 1] < 0.95 * losses[0])) {
        fail_msg("%s: the loss went from %g to %g", json, losses[0], losses[EPOCHS - 1]);
    }
    pare_graph_free(graph);
}

static void every_family_trains(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        trains(i);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_family_trains)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
