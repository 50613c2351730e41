/* A fully connected autoencoder: hidden layers, a narrow code, the hidden layers mirrored; the output reproduces the
 * input. With 640 inputs, four hidden layers of 128 and a code of 8 it is MLPerf Tiny's anomaly detector. */
#include <stddef.h>
#include <stdio.h>

#include "recipe/recipe_family.h"

typedef struct autoencoder {
    int64_t inputs, code;
    recipe_sizes hidden;
    int activation;
    bool batchnorm;
    double dropout;
} autoencoder;

static const autoencoder defaults = {.code = 8, .hidden = {{128, 128, 128, 128}, 4}, .batchnorm = true};
static const recipe_field fields_of_autoencoder[] = {
    {.name = "inputs",
     .kind = RECIPE_WHOLE,
     .offset = offsetof(autoencoder, inputs),
     .low = 1,
     .high = 65536,
     .required = true,
     .help = "features, and outputs"},
    {.name = "hidden",
     .kind = RECIPE_SIZES,
     .offset = offsetof(autoencoder, hidden),
     .low = 1,
     .high = 65536,
     .least = 0,
     .most = RECIPE_SIZES_MAX,
     .help = "units of each layer before the code; after it the same in reverse"},
    RECIPE_WHOLE_ROW(autoencoder, code, 1, 65536, "units of the narrow layer"),
    RECIPE_ACTIVATION_ROW(autoencoder),
    RECIPE_BATCHNORM_ROW(autoencoder),
    RECIPE_DROPOUT_ROW(autoencoder, "after each hidden layer but the code"),
};

static pare_status append_layer(layer_builder *b, const autoencoder *a, const char *layer, int64_t units,
                                double dropout) {
    char name[64];
    layer_activation activation = (layer_activation)a->activation;
    PARE_TRY(layer_gemm(b, layer, units, !a->batchnorm, activation, NULL));
    snprintf(name, sizeof name, "%s.bn", layer);
    PARE_TRY(a->batchnorm ? layer_batchnorm(b, name, false) : PARE_OK);
    snprintf(name, sizeof name, "%s.", layer);
    PARE_TRY(layer_activate(b, name, activation));
    snprintf(name, sizeof name, "%s.dropout", layer);
    return layer_dropout(b, name, dropout);
}

static pare_status build(layer_builder *b, const void *fields, const recipe_reader *reader, json_t *object) {
    const autoencoder *a = fields;
    char name[40];
    (void)reader;
    (void)object;
    PARE_TRY(recipe_input(b, &a->inputs, 1));
    for (size_t i = 0; i < a->hidden.count; i++) {
        snprintf(name, sizeof name, "encoder%zu", i + 1);
        PARE_TRY(append_layer(b, a, name, a->hidden.items[i], a->dropout));
    }
    PARE_TRY(append_layer(b, a, "code", a->code, 0.0));
    for (size_t i = a->hidden.count; i > 0; i--) {
        snprintf(name, sizeof name, "decoder%zu", a->hidden.count - i + 1);
        PARE_TRY(append_layer(b, a, name, a->hidden.items[i - 1], a->dropout));
    }
    PARE_TRY(layer_gemm(b, "head", a->inputs, true, LAYER_NO_ACTIVATION, "output"));
    return recipe_output(b);
}

const recipe_family recipe_autoencoder = {
    .name = "autoencoder",
    .summary = "reproduces its input through a narrow code: anomaly detection",
    .example = "{\"family\": \"autoencoder\", \"inputs\": 640, \"hidden\": [128, 128, 128, 128], \"code\": 8}",
    .table = RECIPE_TABLE(fields_of_autoencoder, defaults),
    .build = build,
};
