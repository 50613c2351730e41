/* LeNet-300-100 and LeNet-5 (LeCun 1998). The latter as in Caffe's example: maximum instead of trained subsampling,
 * 20 and 50 maps, 500 hidden units. */
#include <stddef.h>

#include "recipe/recipe_family.h"

typedef struct lenet_300_100 {
    recipe_sizes input;
    int64_t classes;
    int activation;
    bool softmax;
    double dropout;
} lenet_300_100;

static const lenet_300_100 dense_defaults = {.input = {{784}, 1}, .classes = 10};
static const recipe_field dense_fields[] = {
    {.name = "input",
     .kind = RECIPE_SIZES,
     .offset = offsetof(lenet_300_100, input),
     .low = 1,
     .high = 65536,
     .least = 1,
     .most = 3,
     .help = "features, or channels, height, width, which are flattened"},
    RECIPE_CLASSES_ROW(lenet_300_100),
    RECIPE_SOFTMAX_ROW(lenet_300_100),
    RECIPE_ACTIVATION_ROW(lenet_300_100),
    RECIPE_DROPOUT_ROW(lenet_300_100, "after both hidden layers"),
};

static pare_status build_dense(layer_builder *b, const void *fields, const recipe_reader *reader, json_t *object) {
    const lenet_300_100 *r = fields;
    layer_activation activation = (layer_activation)r->activation;
    (void)reader;
    (void)object;
    PARE_TRY(recipe_input(b, r->input.items, (int32_t)r->input.count));
    if (r->input.count > 1) {
        PARE_TRY(layer_apply(b, "Flatten", "flatten", NULL));
    }
    PARE_TRY(layer_gemm(b, "fc1", 300, true, activation, NULL));
    PARE_TRY(layer_activate(b, "fc1.", activation));
    PARE_TRY(layer_dropout(b, "fc1.dropout", r->dropout));
    PARE_TRY(layer_gemm(b, "fc2", 100, true, activation, NULL));
    PARE_TRY(layer_activate(b, "fc2.", activation));
    return recipe_classifier(b, r->dropout, r->classes, r->softmax);
}

const recipe_family recipe_lenet_300_100 = {
    .name = "lenet-300-100",
    .summary = "two hidden layers of 300 and 100 units (LeCun 1998)",
    .example = "{\"family\": \"lenet-300-100\", \"input\": [1, 28, 28], \"classes\": 10}",
    .table = RECIPE_TABLE(dense_fields, dense_defaults),
    .build = build_dense,
};

typedef struct lenet_5 {
    recipe_sizes input, width;
    int64_t kernel, hidden, classes;
    int conv_activation, activation;
    bool softmax, batchnorm;
    double dropout;
} lenet_5;

static const lenet_5 conv_defaults = {.input = {{1, 28, 28}, 3},
                                      .width = {{20, 50}, 2},
                                      .kernel = 5,
                                      .hidden = 500,
                                      .classes = 10,
                                      .conv_activation = LAYER_NO_ACTIVATION};
static const recipe_field conv_fields[] = {
    RECIPE_INPUT_ROW(lenet_5),
    {.name = "width",
     .kind = RECIPE_SIZES,
     .offset = offsetof(lenet_5, width),
     .low = 1,
     .high = 4096,
     .least = 2,
     .most = 2,
     .help = "channels of the two convolutions"},
    RECIPE_WHOLE_ROW(lenet_5, kernel, 1, 15, "of the convolutions, which do not pad"),
    RECIPE_WHOLE_ROW(lenet_5, hidden, 1, 65536, "units before the classifier"),
    RECIPE_CLASSES_ROW(lenet_5),
    RECIPE_SOFTMAX_ROW(lenet_5),
    RECIPE_CHOICE_ROW(lenet_5, conv_activation, layer_activations_or_none, "after each convolution; Caffe has none"),
    RECIPE_CHOICE_ROW(lenet_5, activation, layer_activations, "after the hidden layer"),
    RECIPE_FLAG_ROW(lenet_5, batchnorm, "BatchNormalization instead of the convolutions' biases"),
    RECIPE_DROPOUT_ROW(lenet_5, "before the classifier"),
};

static pare_status build_conv(layer_builder *b, const void *fields, const recipe_reader *reader, json_t *object) {
    static const char *const prefixes[] = {"block1.", "block2."}, *const pools[] = {"block1.pool", "block2.pool"};
    const lenet_5 *r = fields;
    for (int i = 1; i < 3; i++) {
        if ((r->input.items[i] - r->kernel + 1) / 2 - r->kernel + 1 < 2) {
            return recipe_wrong(reader, object, "input",
                                "pictures that two convolutions and poolings leave a pixel of");
        }
    }
    PARE_TRY(recipe_input(b, r->input.items, 3));
    for (size_t i = 0; i < 2; i++) {
        layer_conv_options conv = {.channels = r->width.items[i],
                                   .kernel = {r->kernel, r->kernel},
                                   .stride = {1, 1},
                                   .valid = true,
                                   .activation = (layer_activation)r->conv_activation};
        PARE_TRY(layer_conv_block(b, prefixes[i], &conv, r->batchnorm));
        PARE_TRY(layer_pool(b, "MaxPool", pools[i], 2, 2));
    }
    PARE_TRY(layer_apply(b, "Flatten", "flatten", NULL));
    PARE_TRY(layer_gemm(b, "fc1", r->hidden, true, (layer_activation)r->activation, NULL));
    PARE_TRY(layer_activate(b, "fc1.", (layer_activation)r->activation));
    return recipe_classifier(b, r->dropout, r->classes, r->softmax);
}

const recipe_family recipe_lenet_5 = {
    .name = "lenet-5",
    .summary = "two convolutions with pooling, a hidden layer (LeCun 1998, as in Caffe)",
    .example = "{\"family\": \"lenet-5\", \"input\": [1, 28, 28], \"conv_activation\": \"relu\", \"dropout\": 0.5}",
    .table = RECIPE_TABLE(conv_fields, conv_defaults),
    .build = build_conv,
};
