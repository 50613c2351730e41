/* A family of networks: one file each, ending in its const descriptor; recipe.c lists them. */
#ifndef PARE_RECIPE_FAMILY_H
#define PARE_RECIPE_FAMILY_H

#include "recipe/layer_builder.h"
#include "recipe/recipe_fields.h"

typedef struct recipe_family {
    const char *name;
    const char *summary; /* one line */
    const char *example; /* a whole recipe */
    recipe_table table;
    /* Adds the inputs, the layers and the output. `fields` is the table's struct, read and in range; what the ranges
     * alone do not rule out is refused through `reader` (recipe_wrong on `object`). */
    pare_status (*build)(layer_builder *b, const void *fields, const recipe_reader *reader, json_t *object);
} recipe_family;

extern const recipe_family recipe_lenet_300_100, recipe_lenet_5, recipe_resnet, recipe_mobilenet, recipe_ds_cnn,
    recipe_cnn, recipe_mlp, recipe_autoencoder, recipe_transformer;

/* All of them, as help lists them; NULL-terminated. */
extern const recipe_family *const recipe_families[];

/* The input "input" [N, dims...] of floats. */
pare_status recipe_input(layer_builder *b, const int64_t *dims, int32_t count);
/* `at` leaves the network. */
pare_status recipe_output(layer_builder *b);
/* Dropout, then the Gemm "classifier": the output "logits", or with `softmax` "probabilities". */
pare_status recipe_classifier(layer_builder *b, double dropout, int64_t classes, bool softmax);

/* Rows that most tables have; `type` is the table's struct. */
#define RECIPE_INPUT_ROW(type)                                                                                         \
    {                                                                                                                  \
        .name = "input", .kind = RECIPE_SIZES, .offset = offsetof(type, input), .low = 1, .high = 4096, .least = 3,    \
        .most = 3, .help = "channels, height, width"                                                                   \
    }
#define RECIPE_WHOLE_ROW(type, member, least_number, most_number, text)                                                \
    {                                                                                                                  \
        .name = #member, .kind = RECIPE_WHOLE, .offset = offsetof(type, member), .low = least_number,                  \
        .high = most_number, .help = text                                                                              \
    }
#define RECIPE_CLASSES_ROW(type) RECIPE_WHOLE_ROW(type, classes, 2, 100000, "outputs")
#define RECIPE_FLAG_ROW(type, member, text)                                                                            \
    { .name = #member, .kind = RECIPE_FLAG, .offset = offsetof(type, member), .help = text }
#define RECIPE_CHOICE_ROW(type, member, list, text)                                                                    \
    { .name = #member, .kind = RECIPE_CHOICE, .offset = offsetof(type, member), .choices = list, .help = text }
#define RECIPE_SOFTMAX_ROW(type)                                                                                       \
    RECIPE_FLAG_ROW(type, softmax, "the output is probabilities instead of logits, which losses want")
#define RECIPE_ACTIVATION_ROW(type) RECIPE_CHOICE_ROW(type, activation, layer_activations, "after each layer")
#define RECIPE_BATCHNORM_ROW(type) RECIPE_FLAG_ROW(type, batchnorm, "BatchNormalization instead of biases")
#define RECIPE_DROPOUT_ROW(type, text)                                                                                 \
    {                                                                                                                  \
        .name = "dropout", .kind = RECIPE_NUMBER, .offset = offsetof(type, dropout), .low = 0, .high = 0.95,           \
        .help = text                                                                                                   \
    }
#define RECIPE_TABLE(rows, default_fields)                                                                             \
    { rows, sizeof(rows) / sizeof((rows)[0]), &(default_fields), sizeof(default_fields) }

#endif
