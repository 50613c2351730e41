/* A multilayer perceptron, for tables. */
#include <stddef.h>
#include <stdio.h>

#include "recipe/recipe_family.h"

typedef struct mlp {
    int64_t inputs, outputs;
    recipe_sizes hidden;
    int activation, task;
    bool softmax, batchnorm;
    double dropout;
} mlp;

static const char *const tasks[] = {"regression", "classification", NULL};
enum { REGRESSION, CLASSIFICATION };

static const mlp defaults = {.hidden = {{64, 64}, 2}};
static const recipe_field fields_of_mlp[] = {
    {.name = "inputs",
     .kind = RECIPE_WHOLE,
     .offset = offsetof(mlp, inputs),
     .low = 1,
     .high = 65536,
     .required = true,
     .help = "features"},
    {.name = "hidden",
     .kind = RECIPE_SIZES,
     .offset = offsetof(mlp, hidden),
     .low = 1,
     .high = 65536,
     .least = 0,
     .most = RECIPE_SIZES_MAX,
     .help = "units of each hidden layer"},
    {.name = "outputs",
     .kind = RECIPE_WHOLE,
     .offset = offsetof(mlp, outputs),
     .low = 1,
     .high = 65536,
     .required = true,
     .help = "targets or classes"},
    RECIPE_CHOICE_ROW(mlp, task, tasks, "names the output: \"output\" or \"logits\""),
    RECIPE_SOFTMAX_ROW(mlp),
    RECIPE_ACTIVATION_ROW(mlp),
    RECIPE_BATCHNORM_ROW(mlp),
    RECIPE_DROPOUT_ROW(mlp, "after each hidden layer"),
};

static pare_status build(layer_builder *b, const void *fields, const recipe_reader *reader, json_t *object) {
    const mlp *m = fields;
    layer_activation activation = (layer_activation)m->activation;
    if (m->softmax && m->task == REGRESSION) {
        return recipe_wrong(reader, object, "softmax", "false where \"task\" is \"regression\"");
    }
    if (m->task == CLASSIFICATION && m->outputs < 2) {
        return recipe_wrong(reader, object, "outputs", "at least 2 where \"task\" is \"classification\"");
    }
    PARE_TRY(recipe_input(b, &m->inputs, 1));
    for (size_t i = 0; i < m->hidden.count; i++) {
        char name[40];
        snprintf(name, sizeof name, "fc%zu", i + 1);
        PARE_TRY(layer_gemm(b, name, m->hidden.items[i], !m->batchnorm, activation, NULL));
        snprintf(name, sizeof name, "fc%zu.bn", i + 1);
        PARE_TRY(m->batchnorm ? layer_batchnorm(b, name, false) : PARE_OK);
        snprintf(name, sizeof name, "fc%zu.", i + 1);
        PARE_TRY(layer_activate(b, name, activation));
        snprintf(name, sizeof name, "fc%zu.dropout", i + 1);
        PARE_TRY(layer_dropout(b, name, m->dropout));
    }
    if (m->task == CLASSIFICATION) {
        return recipe_classifier(b, 0.0, m->outputs, m->softmax);
    }
    PARE_TRY(layer_gemm(b, "head", m->outputs, true, LAYER_NO_ACTIVATION, "output"));
    return recipe_output(b);
}

const recipe_family recipe_mlp = {
    .name = "mlp",
    .summary = "multilayer perceptron for tables",
    .example = "{\"family\": \"mlp\", \"inputs\": 8, \"hidden\": [50, 50], \"outputs\": 1, \"dropout\": 0.1}",
    .table = RECIPE_TABLE(fields_of_mlp, defaults),
    .build = build,
};
