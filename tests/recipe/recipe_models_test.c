/* What the recipes of models/recipes build: the sizes that the literature gives, networks that run, that survive ONNX,
 * and that are the same bytes again. */
#include "test.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph_case.h"
#include "pare/memory.h"
#include "pare/onnx_graph.h"
#include "pare/op.h"
#include "pare/passes.h"
#include "pare/random.h"
#include "pare/recipe.h"

#define SETTINGS_MAX 10

/* parameters: those that are trained. Keras counts more for the networks of MLPerf Tiny: two running statistics a
 * channel, and biases that the batch normalization behind them makes idle. */
typedef struct sized {
    const char *file, *settings[SETTINGS_MAX];
    uint64_t parameters, macs; /* macs 0: not compared */
} sized;

static const sized cases[] = {
    /* 784 x 300 + 300 x 100 + 100 x 10, and biases: the 267 K of LeCun 1998 */
    {"lenet_300_100.json", {NULL}, 266610, 266200},
    {"lenet_300_100.json", {"input=784"}, 266610, 266200},
    /* Caffe's lenet_train_test.prototxt; the 2.3 M of Han 2015 */
    {"lenet_5.json", {NULL}, 431080, 2293000},
    {"digits_cnn.json", {NULL}, 33946, 5073440}, /* models/digits */
    /* He 2016, table 6: 0.27, 0.46, 0.66, 0.85, 1.7 M */
    {"resnet20.json", {NULL}, 269722, 40551040},
    {"resnet20.json", {"depth=32"}, 464154, 0},
    {"resnet20.json", {"depth=44"}, 658586, 0},
    {"resnet20.json", {"depth=56"}, 853018, 125485696},
    {"resnet20.json", {"depth=110"}, 1727962, 0},
    {"resnet20.json", {"shortcut=projection"}, 272474, 40813184},
    /* MLPerf Tiny: 221,794 of Keras, 7.49 M */
    {"mobilenet_0.25.json", {NULL}, 221794 - 2736 - 2 * 2736, 7489664},
    /* Howard 2017, table 8: 4.2 M and 569 M; 4,231,976 of Keras */
    {"mobilenet_0.25.json", {"alpha=1", "input=[3,224,224]", "classes=1000", "preprocess={}"}, 4231976, 568740352},
    /* MLPerf Tiny: 24,908 of Keras, 2.7 M */
    {"ds_cnn.json", {NULL}, 24908 - 576 - 2 * 576, 2656768},
    {"mlp_classification.json", {NULL}, 8 * 64 + 64 * 64 + 64 * 3 + 3 + 4 * 64, 4800},
    {"mlp_regression.json", {"hidden=[50,50]", "activation=sigmoid"}, 3051, 2950},
    /* MLPerf Tiny: 269,992 of Keras */
    {"autoencoder.json", {NULL}, 269992 - 1032 - 2 * 1032, 264192},
    {"transformer.json", {NULL}, 171530, 10486400},
    /* Devlin 2019: a layer of BERT-base has 7,087,872; besides it embeddings, the last normalization, the classifier */
    {"transformer.json",
     {"layers=1", "width=768", "heads=12", "ffn=3072", "vocabulary=2", "sequence=1", "classes=2"},
     7087872 + 3 * 768 + 2 * 768 + 2 * 769,
     0},
};

static const char *recipe_path(const char *file) {
    static char path[4096];
    const char *tests = getenv("PARE_TESTS");
    snprintf(path, sizeof path, "%s/../models/recipes/%s", tests != NULL ? tests : "tests", file);
    return path;
}

static pare_graph *build(const char *file, const char *const *settings, uint64_t seed, pare_recipe_report *report) {
    pare_error error = {0};
    pare_graph *graph = NULL;
    char *json = NULL;
    size_t count = 0;
    while (settings[count] != NULL) {
        count++;
    }
    assert_ok(pare_recipe_load(recipe_path(file), settings, count, &json, &error), &error);
    assert_ok(pare_recipe_build(json, file, seed, &graph, report, &error), &error);
    pare_free(json);
    return graph;
}

static pare_graph *plain(const char *file) {
    return build(file, (const char *[]){NULL}, 0, NULL);
}

static void have_the_sizes_of_the_literature(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pare_recipe_report report;
        pare_graph *graph = build(cases[i].file, cases[i].settings, 0, &report);
        if (report.parameters != cases[i].parameters || (cases[i].macs != 0 && report.macs != cases[i].macs)) {
            fail_msg("%s (case %zu): expected %llu parameters and %llu MACs, found %llu and %llu", cases[i].file, i,
                     (unsigned long long)cases[i].parameters, (unsigned long long)cases[i].macs,
                     (unsigned long long)report.parameters, (unsigned long long)report.macs);
        }
        pare_graph_free(graph);
    }
}

/* Folded, as it is deployed: 22,604 weights and biases. */
static void ds_cnn_folds_to_what_is_deployed(void **state) {
    (void)state;
    pare_error error = {0};
    pare_graph *graph = build("ds_cnn.json", (const char *[]){"dropout=0", NULL}, 0, NULL);
    size_t parameters = 0;
    bool changed = false;
    assert_ok(pare_fold_batchnorm(graph, &changed, &error), &error);
    assert_true(changed);
    for (size_t i = 0; i < graph->value_count; i++) {
        const pare_value *value = graph->values[i];
        parameters +=
            value->data != NULL && value->use_count > 0 && value->dtype == PARE_F32 ? value->data_bytes / 4 : 0;
    }
    pare_graph_free(graph);
    assert_int_equal(parameters, 22604);
}

static size_t count_nodes(const pare_graph *graph, const char *op) {
    size_t found = 0;
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        found += strcmp(node->op->name, op) == 0;
    }
    return found;
}

/* A classifier's probabilities are the softmax of the logits that the same seed gives. */
static void classifiers_end_in_logits(void **state) {
    (void)state;
    static const struct {
        const char *file, *output;
        size_t softmaxes;
    } ends[] = {{"lenet_300_100.json", "logits", 0},      {"lenet_5.json", "logits", 0},
                {"digits_cnn.json", "logits", 0},         {"resnet20.json", "logits", 0},
                {"mobilenet_0.25.json", "logits", 0},     {"ds_cnn.json", "logits", 0},
                {"mlp_classification.json", "logits", 0}, {"transformer.json", "logits", 4}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        pare_graph *graph = plain(ends[i].file);
        assert_int_equal(graph->input_count, 1);
        assert_int_equal(graph->output_count, 1);
        assert_string_equal(graph->inputs[0]->name, "input");
        assert_string_equal(graph->outputs[0]->name, ends[i].output);
        assert_int_equal(graph->outputs[0]->shape.dims[0], -1);
        assert_int_equal(count_nodes(graph, "Softmax"), ends[i].softmaxes);
        pare_graph_free(graph);
        graph = build(ends[i].file, (const char *[]){"softmax=true", NULL}, 0, NULL);
        assert_string_equal(graph->outputs[0]->name, "probabilities");
        assert_string_equal(graph->last->op->name, "Softmax");
        assert_int_equal(count_nodes(graph, "Softmax"), ends[i].softmaxes + 1);
        pare_graph_free(graph);
    }
}

static void normalization_and_dropout_stay(void **state) {
    (void)state;
    static const struct {
        const char *file, *dropout;
        size_t norms, dropouts;
    } kept[] = {{"lenet_300_100.json", "dropout=0.5", 0, 2},      {"lenet_5.json", "dropout=0.5", 0, 1},
                {"digits_cnn.json", "dropout=0.5", 8, 1},         {"resnet20.json", "dropout=0.5", 19, 1},
                {"mobilenet_0.25.json", "dropout=0.5", 27, 1},    {"ds_cnn.json", "dropout=0.5", 9, 1},
                {"mlp_regression.json", "dropout=0.5", 0, 2},     {"mlp_classification.json", "dropout=0.5", 2, 2},
                {"autoencoder.json", "dropout=0.5", 9, 8},        {"transformer.json", "dropout=0.5", 0, 10},
                {"mobilenet_0.25.json", "batchnorm=false", 0, 0}, {"resnet20.json", "dropout=0", 19, 0}};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        pare_graph *graph = build(kept[i].file, (const char *[]){kept[i].dropout, NULL}, 0, NULL);
        assert_int_equal(count_nodes(graph, "BatchNormalization"), kept[i].norms);
        assert_int_equal(count_nodes(graph, "Dropout"), kept[i].dropouts);
        for (const pare_node *node = graph->first; node != NULL; node = node->next) {
            if (strcmp(node->op->name, "Dropout") == 0) {
                assert_int_equal(node->input_count, 2); /* no training_mode */
                assert_true(*(const float *)node->inputs[1]->data == 0.5F);
            }
        }
        pare_graph_free(graph);
    }
}

static void *draw(const pare_value *input, int64_t batch, size_t *bytes) {
    pare_shape shape;
    size_t elements = 0;
    pare_random random;
    pare_random_seed(&random, 5);
    assert_true(pare_shape_bind(&input->shape, batch, &shape) && pare_shape_elements(&shape, &elements));
    *bytes = elements * pare_dtype_bytes(input->dtype);
    void *data = malloc(*bytes);
    assert_non_null(data);
    for (size_t i = 0; i < elements; i++) {
        if (input->dtype == PARE_S64) {
            ((int64_t *)data)[i] = (int64_t)pare_random_below(&random, 512);
        } else {
            ((float *)data)[i] = (float)pare_random_normal(&random);
        }
    }
    return data;
}

/* The first output's floats for `batch` samples; the caller frees them. */
static float *run(const pare_graph *graph, int64_t batch, size_t *count) {
    pare_error error = {0};
    size_t bytes = 0;
    void *data = draw(graph->inputs[0], batch, &bytes);
    pare_shape shape;
    assert_true(pare_shape_bind(&graph->outputs[0]->shape, batch, &shape) && pare_shape_elements(&shape, count));
    float *output = calloc(*count, sizeof *output);
    assert_non_null(output);
    pare_input in = {data, bytes};
    pare_output_buffer out = {output, *count * sizeof *output};
    assert_ok(graph_run(graph, batch, &in, 1, &out, 1, &error), &error);
    free(data);
    return output;
}

/* Dropout on, for at inference it is the identity. */
static pare_graph *small(const char *file) {
    static const char *const smaller[] = {"dropout=0.5", NULL, NULL};
    const char *settings[3];
    memcpy(settings, smaller, sizeof settings);
    settings[1] = strcmp(file, "mobilenet_0.25.json") == 0 ? "input=[3,33,33]" : NULL;
    return build(file, settings, 3, NULL);
}

/* A sample's result is its own, whatever the batch, and spreads: initial weights neither vanish nor explode. */
static void check_run(const char *file) {
    size_t one = 0, three = 0;
    pare_graph *graph = small(file);
    float *single = run(graph, 1, &one), *batch = run(graph, 3, &three);
    double squares = 0;
    assert_int_equal(three, 3 * one);
    for (size_t i = 0; i < three; i++) {
        if (!isfinite(batch[i]) || (i < one && fabsf(batch[i] - single[i]) > 1e-4F * (1 + fabsf(single[i])))) {
            fail_msg("%s: output %zu: %g in a batch of 3, %g alone", file, i, (double)batch[i],
                     i < one ? (double)single[i] : NAN);
        }
        squares += (double)batch[i] * (double)batch[i] / (double)three;
    }
    if (!(squares > 1e-4 && squares < 1e4)) {
        fail_msg("%s: outputs' mean square is %g", file, squares);
    }
    free(single);
    free(batch);
    pare_graph_free(graph);
}

static void same_nodes(const pare_graph *a, const pare_graph *b) {
    const pare_node *x = a->first, *y = b->first;
    for (; x != NULL && y != NULL; x = x->next, y = y->next) {
        assert_string_equal(x->name, y->name);
        assert_string_equal(x->op->name, y->op->name);
        assert_int_equal(x->input_count, y->input_count);
    }
    assert_null(x);
    assert_null(y);
}

static void check_round_trip(const char *file) {
    static const pare_import_options as_is = {.no_simplify = true, .for_training = true};
    pare_error error = {0};
    pare_graph *graph = small(file), *again = NULL, *simple = NULL;
    size_t count = 0, size = 0, size_again = 0;
    uint8_t *bytes = NULL, *bytes_again = NULL;
    const char *path = test_path("recipe.onnx");
    assert_ok(pare_graph_save(graph, path, &error), &error);
    assert_ok(pare_graph_load(path, &as_is, &again, &error), &error);
    assert_ok(pare_graph_load(path, NULL, &simple, &error), &error);
    same_nodes(graph, again);
    assert_string_equal(graph->doc, again->doc);
    assert_string_equal(pare_graph_metadata_find(graph, "pare.preprocess"),
                        pare_graph_metadata_find(again, "pare.preprocess"));
    assert_ok(pare_graph_to_bytes(graph, &bytes, &size, &error), &error);
    assert_ok(pare_graph_to_bytes(again, &bytes_again, &size_again, &error), &error);
    assert_int_equal(size, size_again);
    assert_memory_equal(bytes, bytes_again, size);
    float *built = run(graph, 2, &count), *read = run(again, 2, &count), *folded = run(simple, 2, &count);
    assert_memory_equal(built, read, count * sizeof *built);
    for (size_t i = 0; i < count; i++) {
        assert_true(fabsf(built[i] - folded[i]) <= 1e-4F * (1 + fabsf(built[i])));
    }
    free(built);
    free(read);
    free(folded);
    pare_free(bytes);
    pare_free(bytes_again);
    pare_graph_free(graph);
    pare_graph_free(again);
    pare_graph_free(simple);
}

static void check_seed(const char *file) {
    pare_error error = {0};
    uint8_t *bytes[3];
    size_t sizes[3];
    for (uint64_t i = 0; i < 3; i++) {
        pare_graph *graph = build(file, (const char *[]){NULL}, i / 2, NULL);
        assert_ok(pare_graph_to_bytes(graph, &bytes[i], &sizes[i], &error), &error);
        pare_graph_free(graph);
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    assert_int_equal(sizes[0], sizes[2]);
    assert_memory_not_equal(bytes[0], bytes[2], sizes[0]);
    for (size_t i = 0; i < 3; i++) {
        pare_free(bytes[i]);
    }
}

static void for_each_file(void (*check)(const char *file)) {
    DIR *folder = opendir(recipe_path(""));
    size_t files = 0;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strstr(entry->d_name, ".json") != NULL) {
            check(entry->d_name);
            files++;
        }
    }
    closedir(folder);
    assert_true(files >= 9);
}

static void run_in_the_runtime(void **state) {
    (void)state;
    for_each_file(check_run);
}

static void survive_onnx(void **state) {
    (void)state;
    for_each_file(check_round_trip);
}

static void same_seed_same_bytes(void **state) {
    (void)state;
    for_each_file(check_seed);
}

static bool families_seen[32];

static void see_family(const char *file) {
    pare_recipe_report report;
    const char *summary = NULL;
    pare_graph_free(build(file, (const char *[]){NULL}, 0, &report));
    for (size_t i = 0; i < 32 && pare_recipe_family(i, &summary) != NULL; i++) {
        families_seen[i] = families_seen[i] || strcmp(pare_recipe_family(i, &summary), report.family) == 0;
    }
}

static void every_family_has_a_recipe(void **state) {
    (void)state;
    const char *summary = NULL, *name = NULL;
    size_t count = 0;
    for_each_file(see_family);
    for (; (name = pare_recipe_family(count, &summary)) != NULL; count++) {
        if (!families_seen[count]) {
            fail_msg("no recipe of family %s in models/recipes", name);
        }
    }
    assert_int_equal(count, 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(have_the_sizes_of_the_literature),
        cmocka_unit_test(ds_cnn_folds_to_what_is_deployed),
        cmocka_unit_test(classifiers_end_in_logits),
        cmocka_unit_test(normalization_and_dropout_stay),
        cmocka_unit_test(run_in_the_runtime),
        cmocka_unit_test(survive_onnx),
        cmocka_unit_test(same_seed_same_bytes),
        cmocka_unit_test(every_family_has_a_recipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
