/* From a recipe's text to a graph: what all families share. */
#include "pare/recipe.h"

#include <stdlib.h>
#include <string.h>

#include "pare/evaluate.h"
#include "pare/op.h"
#include "recipe/recipe_family.h"

const recipe_family *const recipe_families[] = {
    &recipe_lenet_300_100, &recipe_lenet_5, &recipe_resnet,      &recipe_mobilenet,   &recipe_ds_cnn,
    &recipe_cnn,           &recipe_mlp,     &recipe_autoencoder, &recipe_transformer, NULL};

static const char *const common_fields[] = {"family", "description", "preprocess", NULL};

#define PREPROCESS_KEY "pare.preprocess"
/* Weights, and room for what describes them. */
#define GRAPH_LIMIT (2 * (size_t)LAYER_WEIGHT_LIMIT * sizeof(float))

pare_status recipe_input(layer_builder *b, const int64_t *dims, int32_t count) {
    pare_shape shape = {count + 1, {-1}};
    memcpy(shape.dims + 1, dims, (size_t)count * sizeof *dims);
    b->at = pare_graph_add_input(b->graph, "input", PARE_F32, &shape);
    return b->at != NULL ? PARE_OK : pare_fail_memory(b->error, sizeof *b->at);
}

pare_status recipe_output(layer_builder *b) {
    return pare_graph_add_output(b->graph, b->at) ? PARE_OK : pare_fail_memory(b->error, sizeof b->at);
}

pare_status recipe_classifier(layer_builder *b, double dropout, int64_t classes, bool softmax) {
    pare_node *node = NULL;
    PARE_TRY(layer_dropout(b, "dropout", dropout));
    PARE_TRY(layer_gemm(b, "classifier", classes, true, LAYER_NO_ACTIVATION, softmax ? NULL : "logits"));
    if (softmax) {
        PARE_TRY(layer_append(b, "Softmax", "softmax", &b->at, 1, "probabilities", &node));
        PARE_TRY(layer_infer(b, node));
    }
    return recipe_output(b);
}

static const recipe_family *find_family(const char *name) {
    for (size_t i = 0; name != NULL && recipe_families[i] != NULL; i++) {
        if (strcmp(recipe_families[i]->name, name) == 0) {
            return recipe_families[i];
        }
    }
    return NULL;
}

static pare_status wrong_family(const recipe_reader *reader, json_t *recipe) {
    char expected[300] = "one of ";
    for (size_t i = 0; recipe_families[i] != NULL; i++) {
        strncat(expected, recipe_families[i]->name, sizeof expected - strlen(expected) - 1);
        strncat(expected, recipe_families[i + 1] != NULL ? ", " : "", sizeof expected - strlen(expected) - 1);
    }
    return recipe_wrong(reader, recipe, "family", expected);
}

/* The record goes into the model as it is written, once it is known to be one. */
static pare_status keep_preprocess(const recipe_reader *reader, json_t *recipe, pare_graph *graph) {
    json_t *record = json_object_get(recipe, "preprocess");
    pare_preprocess preprocess;
    if (record == NULL) {
        return PARE_OK;
    }
    if (!json_is_object(record)) {
        return recipe_wrong(reader, recipe, "preprocess", "a preprocessing record (an object)");
    }
    char *text = json_dumps(record, JSON_COMPACT);
    pare_status status = text != NULL ? pare_preprocess_parse(text, "\"preprocess\"", &preprocess, reader->error)
                                      : pare_fail_memory(reader->error, RECIPE_JSON_MAX);
    if (status == PARE_OK && preprocess.layout == PARE_ORDER_NHWC && graph->inputs[0]->shape.rank == 4) {
        status = pare_fail(reader->error, PARE_BAD_INPUT,
                           "\"preprocess\": expected \"layout\" \"NCHW\", for this network reads channels, height, "
                           "width, found \"NHWC\"");
    }
    if (status == PARE_OK && !pare_graph_set_metadata(graph, PREPROCESS_KEY, text)) {
        status = pare_fail_memory(reader->error, strlen(text));
    }
    free(text);
    return status;
}

static pare_status keep_texts(const recipe_reader *reader, json_t *recipe, const recipe_family *family,
                              pare_graph *graph) {
    json_t *description = json_object_get(recipe, "description");
    const char *text = description != NULL ? json_string_value(description) : "";
    if (text == NULL || strlen(text) > RECIPE_TEXT_MAX) {
        return recipe_wrong(reader, recipe, "description", "a text of at most 1000 bytes");
    }
    graph->name = family->name;
    graph->producer = "pare";
    graph->doc = pare_arena_copy_string(&graph->arena, text);
    return graph->doc != NULL ? PARE_OK : pare_fail_memory(reader->error, strlen(text));
}

static void fill_report(const layer_builder *b, const recipe_family *family, pare_recipe_report *report) {
    *report = (pare_recipe_report){.family = family->name, .parameters = b->weights - b->statistics};
    for (const pare_node *node = b->graph->first; node != NULL; node = node->next) {
        report->macs += node->op->macs != NULL ? node->op->macs(node) : 0;
    }
}

static pare_status build_fields(const recipe_reader *reader, json_t *recipe, const recipe_family *family, void *fields,
                                uint64_t seed, pare_graph *graph, pare_recipe_report *report) {
    layer_builder builder = {.graph = graph, .error = reader->error};
    pare_random_seed(&builder.random, seed);
    graph->for_training = true;
    PARE_TRY(recipe_read(reader, recipe, &family->table, common_fields, fields));
    PARE_TRY(keep_texts(reader, recipe, family, graph));
    PARE_TRY(family->build(&builder, fields, reader, recipe));
    PARE_TRY(pare_graph_infer(graph, reader->error));
    PARE_TRY(pare_graph_check(graph, reader->error));
    if (report != NULL) {
        fill_report(&builder, family, report);
    }
    return keep_preprocess(reader, recipe, graph);
}

static pare_status build(const recipe_reader *reader, json_t *recipe, uint64_t seed, pare_graph **graph,
                         pare_recipe_report *report) {
    if (!json_is_object(recipe)) {
        return pare_fail(reader->error, PARE_BAD_INPUT, "expected a JSON object with a \"family\"");
    }
    const recipe_family *family = find_family(json_string_value(json_object_get(recipe, "family")));
    if (family == NULL) {
        return wrong_family(reader, recipe);
    }
    void *fields = pare_alloc_zero(1, family->table.size);
    if (fields == NULL) {
        return pare_fail_memory(reader->error, family->table.size);
    }
    pare_graph *made = NULL;
    pare_status status = pare_graph_create(GRAPH_LIMIT, &made, reader->error);
    if (status == PARE_OK) {
        status = build_fields(reader, recipe, family, fields, seed, made, report);
    }
    pare_free(fields);
    if (status != PARE_OK) {
        pare_graph_free(made);
        made = NULL;
    }
    *graph = made;
    return status;
}

pare_status pare_recipe_build(const char *json, const char *origin, uint64_t seed, pare_graph **graph,
                              pare_recipe_report *report, pare_error *error) {
    recipe_reader reader = {.at = "", .error = error};
    json_t *recipe = NULL;
    *graph = NULL;
    pare_status status = recipe_parse(json, strnlen(json, RECIPE_JSON_MAX + 1), &recipe, error);
    if (status == PARE_OK) {
        status = build(&reader, recipe, seed, graph, report);
    }
    json_decref(recipe);
    if (status != PARE_OK) {
        pare_error_prefix(error, "%s: ", origin);
    }
    return status;
}
