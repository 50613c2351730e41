/* DS-CNN for keyword spotting (Zhang 2017), as in MLPerf Tiny: a convolution over time and frequency, depthwise
 * separable blocks of one width. */
#include <stddef.h>
#include <stdio.h>

#include "recipe/recipe_family.h"

typedef struct ds_cnn {
    recipe_sizes input, stem_kernel, stem_stride;
    int64_t width, depth, kernel, classes;
    int activation;
    bool softmax, batchnorm;
    double dropout;
} ds_cnn;

static const ds_cnn defaults = {.input = {{1, 49, 10}, 3},
                                .stem_kernel = {{10, 4}, 2},
                                .stem_stride = {{2, 2}, 2},
                                .width = 64,
                                .depth = 4,
                                .kernel = 3,
                                .classes = 12,
                                .batchnorm = true};
static const recipe_field fields_of_ds_cnn[] = {
    {.name = "input",
     .kind = RECIPE_SIZES,
     .offset = offsetof(ds_cnn, input),
     .low = 1,
     .high = 4096,
     .least = 3,
     .most = 3,
     .help = "channels, time steps, features of a step"},
    {.name = "stem_kernel",
     .kind = RECIPE_SIZES,
     .offset = offsetof(ds_cnn, stem_kernel),
     .low = 1,
     .high = 64,
     .least = 2,
     .most = 2,
     .help = "of the first convolution"},
    {.name = "stem_stride",
     .kind = RECIPE_SIZES,
     .offset = offsetof(ds_cnn, stem_stride),
     .low = 1,
     .high = 16,
     .least = 2,
     .most = 2,
     .help = "of the first convolution"},
    RECIPE_WHOLE_ROW(ds_cnn, width, 1, 4096, "channels"),
    RECIPE_WHOLE_ROW(ds_cnn, depth, 0, 100, "separable blocks"),
    RECIPE_WHOLE_ROW(ds_cnn, kernel, 1, 15, "of the depthwise convolutions"),
    RECIPE_CLASSES_ROW(ds_cnn),
    RECIPE_SOFTMAX_ROW(ds_cnn),
    RECIPE_ACTIVATION_ROW(ds_cnn),
    RECIPE_BATCHNORM_ROW(ds_cnn),
    RECIPE_DROPOUT_ROW(ds_cnn, "before the classifier"),
};

static pare_status build(layer_builder *b, const void *fields, const recipe_reader *reader, json_t *object) {
    const ds_cnn *d = fields;
    (void)reader;
    (void)object;
    layer_conv_options conv = {.channels = d->width,
                               .kernel = {d->stem_kernel.items[0], d->stem_kernel.items[1]},
                               .stride = {d->stem_stride.items[0], d->stem_stride.items[1]},
                               .activation = (layer_activation)d->activation};
    PARE_TRY(recipe_input(b, d->input.items, 3));
    PARE_TRY(layer_conv_block(b, "stem.", &conv, d->batchnorm));
    conv.kernel[0] = conv.kernel[1] = d->kernel;
    conv.stride[0] = conv.stride[1] = 1;
    for (int64_t i = 0; i < d->depth; i++) {
        char prefix[40];
        snprintf(prefix, sizeof prefix, "block%d.", (int)i + 1);
        PARE_TRY(layer_separable(b, prefix, &conv, d->batchnorm));
    }
    PARE_TRY(layer_global_pool(b));
    return recipe_classifier(b, d->dropout, d->classes, d->softmax);
}

const recipe_family recipe_ds_cnn = {
    .name = "ds-cnn",
    .summary = "keyword spotting, depthwise separable (Zhang 2017, MLPerf Tiny)",
    .example = "{\"family\": \"ds-cnn\", \"input\": [1, 49, 10], \"width\": 64, \"depth\": 4, \"classes\": 12}",
    .table = RECIPE_TABLE(fields_of_ds_cnn, defaults),
    .build = build,
};
