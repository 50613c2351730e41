/* MobileNet (Howard 2017, table 1): a strided convolution and depthwise separable blocks, all channels times alpha. */
#include <stddef.h>
#include <stdio.h>

#include "recipe/recipe_family.h"

typedef struct mobilenet {
    double alpha;
    recipe_sizes input;
    int64_t classes, kernel, stem_stride, repeats;
    int activation;
    bool softmax, batchnorm;
    double dropout;
} mobilenet;

static const mobilenet defaults = {.alpha = 0.25,
                                   .input = {{3, 96, 96}, 3},
                                   .classes = 10,
                                   .kernel = 3,
                                   .stem_stride = 2,
                                   .repeats = 5,
                                   .batchnorm = true};
static const recipe_field fields_of_mobilenet[] = {
    {.name = "alpha",
     .kind = RECIPE_NUMBER,
     .offset = offsetof(mobilenet, alpha),
     .low = 0.01,
     .high = 4,
     .help = "multiplies all channels, rounded down, at least 1"},
    RECIPE_INPUT_ROW(mobilenet),
    RECIPE_CLASSES_ROW(mobilenet),
    RECIPE_SOFTMAX_ROW(mobilenet),
    RECIPE_WHOLE_ROW(mobilenet, kernel, 1, 15, "of all but the 1 x 1 convolutions"),
    RECIPE_WHOLE_ROW(mobilenet, stem_stride, 1, 4, "of the first convolution: 1 for pictures of 32 x 32"),
    RECIPE_WHOLE_ROW(mobilenet, repeats, 0, 100, "blocks of 512 alpha channels in the middle"),
    RECIPE_ACTIVATION_ROW(mobilenet),
    RECIPE_BATCHNORM_ROW(mobilenet),
    RECIPE_DROPOUT_ROW(mobilenet, "before the classifier"),
};

static int64_t scaled(const mobilenet *m, int64_t channels) {
    int64_t wide = (int64_t)((double)channels * m->alpha);
    return wide > 1 ? wide : 1;
}

static pare_status append_block(layer_builder *b, const mobilenet *m, int number, int64_t channels, int64_t stride) {
    char prefix[40];
    layer_conv_options conv = {.channels = scaled(m, channels),
                               .kernel = {m->kernel, m->kernel},
                               .stride = {stride, stride},
                               .activation = (layer_activation)m->activation};
    snprintf(prefix, sizeof prefix, "block%d.", number);
    return layer_separable(b, prefix, &conv, m->batchnorm);
}

static pare_status build(layer_builder *b, const void *fields, const recipe_reader *reader, json_t *object) {
    static const struct {
        int64_t channels, stride;
    } head[] = {{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2}}, tail[] = {{1024, 2}, {1024, 1}};
    const mobilenet *m = fields;
    int number = 0;
    (void)reader;
    (void)object;
    layer_conv_options stem = {.channels = scaled(m, 32),
                               .kernel = {m->kernel, m->kernel},
                               .stride = {m->stem_stride, m->stem_stride},
                               .activation = (layer_activation)m->activation};
    PARE_TRY(recipe_input(b, m->input.items, 3));
    PARE_TRY(layer_conv_block(b, "stem.", &stem, m->batchnorm));
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) {
        PARE_TRY(append_block(b, m, ++number, head[i].channels, head[i].stride));
    }
    for (int64_t i = 0; i < m->repeats; i++) {
        PARE_TRY(append_block(b, m, ++number, 512, 1));
    }
    for (size_t i = 0; i < sizeof tail / sizeof tail[0]; i++) {
        PARE_TRY(append_block(b, m, ++number, tail[i].channels, tail[i].stride));
    }
    PARE_TRY(layer_global_pool(b));
    return recipe_classifier(b, m->dropout, m->classes, m->softmax);
}

const recipe_family recipe_mobilenet = {
    .name = "mobilenet",
    .summary = "depthwise separable blocks, MobileNetV1-like (Howard 2017)",
    .example = "{\"family\": \"mobilenet\", \"alpha\": 0.25, \"input\": [3, 96, 96], \"classes\": 2}",
    .table = RECIPE_TABLE(fields_of_mobilenet, defaults),
    .build = build,
};
