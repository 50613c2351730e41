/* The CIFAR residual networks of He 2016 (Deep Residual Learning, section 4.2): a 3 x 3 convolution, three stages of n
 * blocks of two convolutions, depth 6n + 2; widths w, 2w, 4w, the stages halving height and width. */
#include <stddef.h>
#include <stdio.h>

#include "recipe/recipe_family.h"

typedef struct resnet {
    int64_t depth, width, kernel, classes;
    recipe_sizes input;
    int activation, shortcut;
    bool softmax, batchnorm, zero_init_residual;
    double dropout;
} resnet;

static const char *const shortcuts[] = {"identity", "projection", NULL};
enum { IDENTITY, PROJECTION };

static const resnet defaults = {
    .depth = 20, .width = 16, .kernel = 3, .classes = 10, .input = {{3, 32, 32}, 3}, .batchnorm = true};
static const recipe_field fields_of_resnet[] = {
    RECIPE_WHOLE_ROW(resnet, depth, 8, 1202, "layers with weights, 6n + 2: 8, 14, 20, 32, 44, 56, 110"),
    RECIPE_WHOLE_ROW(resnet, width, 1, 1024, "channels of the first stage; the others have 2 and 4 times as many"),
    RECIPE_WHOLE_ROW(resnet, kernel, 1, 15, "of the convolutions, odd"),
    RECIPE_CLASSES_ROW(resnet),
    RECIPE_SOFTMAX_ROW(resnet),
    RECIPE_INPUT_ROW(resnet),
    RECIPE_ACTIVATION_ROW(resnet),
    RECIPE_CHOICE_ROW(resnet, shortcut, shortcuts,
                      "where a stage begins: the paper's option A (every second pixel, zero channels) or B (1 x 1 "
                      "convolution)"),
    RECIPE_BATCHNORM_ROW(resnet),
    RECIPE_FLAG_ROW(resnet, zero_init_residual,
                    "each block starts as the identity: the scale of its last "
                    "BatchNormalization is 0 (Goyal 2017)"),
    RECIPE_DROPOUT_ROW(resnet, "before the classifier"),
};

/* Every second pixel, then as many channels of zeros as are missing, half on either side. */
static pare_status shortcut_identity(layer_builder *b, const char *block, int64_t channels) {
    char name[80];
    pare_value *inputs[5] = {b->at, NULL, NULL, NULL, NULL};
    pare_node *node = NULL;
    int64_t added = channels - b->at->shape.dims[1];
    snprintf(name, sizeof name, "%sshortcut.slice", block);
    PARE_TRY(layer_ints(b, name, "starts", (const int64_t[]){0, 0}, 2, &inputs[1]));
    PARE_TRY(layer_ints(b, name, "ends", (const int64_t[]){INT64_MAX, INT64_MAX}, 2, &inputs[2]));
    PARE_TRY(layer_ints(b, name, "axes", (const int64_t[]){2, 3}, 2, &inputs[3]));
    PARE_TRY(layer_ints(b, name, "steps", (const int64_t[]){2, 2}, 2, &inputs[4]));
    PARE_TRY(layer_append(b, "Slice", name, inputs, 5, NULL, &node));
    PARE_TRY(layer_infer(b, node));
    snprintf(name, sizeof name, "%sshortcut.pad", block);
    const int64_t pads[8] = {0, added / 2, 0, 0, 0, added - added / 2, 0, 0};
    inputs[0] = b->at;
    PARE_TRY(layer_ints(b, name, "pads", pads, 8, &inputs[1]));
    PARE_TRY(layer_append(b, "Pad", name, inputs, 2, NULL, &node));
    return layer_infer(b, node);
}

static pare_status shortcut_projection(layer_builder *b, const resnet *r, const char *block, int64_t channels) {
    char prefix[80];
    layer_conv_options conv = {.channels = channels, .kernel = {1, 1}, .stride = {2, 2}};
    snprintf(prefix, sizeof prefix, "%sshortcut.", block);
    return layer_conv_norm(b, prefix, "", &conv, r->batchnorm, false);
}

static pare_status append_block(layer_builder *b, const resnet *r, const char *block, int64_t channels,
                                bool begins_stage) {
    char name[80];
    int64_t stride = begins_stage ? 2 : 1;
    pare_value *x = b->at;
    layer_conv_options conv = {.channels = channels,
                               .kernel = {r->kernel, r->kernel},
                               .stride = {stride, stride},
                               .activation = (layer_activation)r->activation};
    PARE_TRY(layer_conv_norm(b, block, "1", &conv, r->batchnorm, false));
    snprintf(name, sizeof name, "%sinner.", block);
    PARE_TRY(layer_activate(b, name, conv.activation));
    conv.stride[0] = conv.stride[1] = 1;
    PARE_TRY(layer_conv_norm(b, block, "2", &conv, r->batchnorm, r->zero_init_residual));
    pare_value *residual = b->at;
    b->at = x;
    if (begins_stage) {
        PARE_TRY(r->shortcut == IDENTITY ? shortcut_identity(b, block, channels)
                                         : shortcut_projection(b, r, block, channels));
    }
    pare_value *shortcut = b->at;
    b->at = residual;
    snprintf(name, sizeof name, "%sadd", block);
    PARE_TRY(layer_apply(b, "Add", name, shortcut));
    return layer_activate(b, block, conv.activation);
}

static pare_status build(layer_builder *b, const void *fields, const recipe_reader *reader, json_t *object) {
    const resnet *r = fields;
    if ((r->depth - 2) % 6 != 0) {
        return recipe_wrong(reader, object, "depth", "6n + 2 (8, 14, 20, 26, 32, ...)");
    }
    if (r->kernel % 2 == 0) {
        return recipe_wrong(reader, object, "kernel", "an odd number");
    }
    if (r->zero_init_residual && !r->batchnorm) {
        return recipe_wrong(reader, object, "zero_init_residual", "false where \"batchnorm\" is false");
    }
    layer_conv_options stem = {.channels = r->width,
                               .kernel = {r->kernel, r->kernel},
                               .stride = {1, 1},
                               .activation = (layer_activation)r->activation};
    PARE_TRY(recipe_input(b, r->input.items, 3));
    PARE_TRY(layer_conv_norm(b, "", "1", &stem, r->batchnorm, false));
    PARE_TRY(layer_activate(b, "", stem.activation));
    for (int64_t stage = 0, channels = r->width; stage < 3; stage++, channels *= 2) {
        for (int64_t i = 0; i < (r->depth - 2) / 6; i++) {
            char block[64];
            snprintf(block, sizeof block, "layer%d.%d.", (int)stage + 1, (int)i);
            PARE_TRY(append_block(b, r, block, channels, stage > 0 && i == 0));
        }
    }
    PARE_TRY(layer_global_pool(b));
    return recipe_classifier(b, r->dropout, r->classes, r->softmax);
}

const recipe_family recipe_resnet = {
    .name = "resnet",
    .summary = "residual network for small pictures, depth 6n + 2 (He 2016)",
    .example = "{\"family\": \"resnet\", \"depth\": 20, \"width\": 16, \"shortcut\": \"projection\"}",
    .table = RECIPE_TABLE(fields_of_resnet, defaults),
    .build = build,
};
