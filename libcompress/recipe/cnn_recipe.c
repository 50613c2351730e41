/* A convolutional network block by block. */
#include <stddef.h>
#include <stdio.h>

#include "recipe/recipe_family.h"

#define BLOCKS_MAX 64

/* 0: not given */
typedef struct cnn_block {
    int type;
    int64_t channels, kernel, stride;
} cnn_block;

typedef struct cnn {
    recipe_sizes input;
    cnn_block blocks[BLOCKS_MAX];
    size_t block_count;
    int64_t classes;
    int activation;
    bool softmax, batchnorm, zero_init_residual;
    double dropout;
} cnn;

static const char *const block_types[] = {"conv", "residual", "separable", "max_pool", "average_pool", NULL};
enum { CONV, RESIDUAL, SEPARABLE, MAX_POOL, AVERAGE_POOL };

static const cnn_block block_defaults = {.type = CONV};
static const recipe_field block_fields[] = {
    {.name = "type",
     .kind = RECIPE_CHOICE,
     .offset = offsetof(cnn_block, type),
     .choices = block_types,
     .required = true,
     .help = "residual: x + two convolutions"},
    RECIPE_WHOLE_ROW(cnn_block, channels, 1, 4096, "of conv and separable, which must have it"),
    RECIPE_WHOLE_ROW(cnn_block, kernel, 1, 31, "3 for convolutions, 2 for pools where not given"),
    RECIPE_WHOLE_ROW(cnn_block, stride, 1, 16, "1 for convolutions, the kernel for pools where not given"),
};
static const recipe_table block_table = RECIPE_TABLE(block_fields, block_defaults);

static const cnn defaults = {.input = {{1, 28, 28}, 3}, .classes = 10, .batchnorm = true};
static const recipe_field fields_of_cnn[] = {
    RECIPE_INPUT_ROW(cnn),
    {.name = "blocks",
     .kind = RECIPE_OBJECTS,
     .offset = offsetof(cnn, blocks),
     .count_offset = offsetof(cnn, block_count),
     .least = 1,
     .most = BLOCKS_MAX,
     .items = &block_table,
     .required = true,
     .help = "in order; then global average pooling and the classifier"},
    RECIPE_CLASSES_ROW(cnn),
    RECIPE_SOFTMAX_ROW(cnn),
    RECIPE_ACTIVATION_ROW(cnn),
    RECIPE_BATCHNORM_ROW(cnn),
    RECIPE_FLAG_ROW(cnn, zero_init_residual, "residual blocks start as the identity"),
    RECIPE_DROPOUT_ROW(cnn, "before the classifier"),
};

/* What a block's type does not know, or must know. */
static pare_status check_block(const recipe_reader *reader, json_t *object, const cnn_block *block) {
    bool has_channels = block->type == CONV || block->type == SEPARABLE;
    if (has_channels && block->channels == 0) {
        return recipe_wrong(reader, object, "channels", "a whole number from 1 to 4096");
    }
    if (!has_channels && block->channels != 0) {
        return recipe_wrong(reader, object, "channels", "nothing: this type of block keeps the channels");
    }
    if (block->type == RESIDUAL && block->stride > 1) {
        return recipe_wrong(reader, object, "stride", "nothing or 1: a residual block keeps height and width");
    }
    if (block->type == RESIDUAL && block->kernel != 0 && block->kernel % 2 == 0) {
        return recipe_wrong(reader, object, "kernel", "an odd number in a residual block");
    }
    return PARE_OK;
}

/* y = f(x + bn2(conv2(f(bn1(conv1(x)))))) */
static pare_status append_residual(layer_builder *b, const cnn *r, const char *prefix, layer_conv_options *conv) {
    char name[64];
    pare_value *x = b->at;
    conv->channels = x->shape.dims[1];
    PARE_TRY(layer_conv_norm(b, prefix, "1", conv, r->batchnorm, false));
    snprintf(name, sizeof name, "%sinner.", prefix);
    PARE_TRY(layer_activate(b, name, conv->activation));
    PARE_TRY(layer_conv_norm(b, prefix, "2", conv, r->batchnorm, r->zero_init_residual));
    snprintf(name, sizeof name, "%sadd", prefix);
    PARE_TRY(layer_apply(b, "Add", name, x));
    return layer_activate(b, prefix, conv->activation);
}

static pare_status append_block(layer_builder *b, const cnn *r, const cnn_block *block, const char *prefix) {
    char name[64];
    bool pools = block->type >= MAX_POOL;
    int64_t kernel = block->kernel != 0 ? block->kernel : pools ? 2 : 3;
    int64_t stride = block->stride != 0 ? block->stride : pools ? kernel : 1;
    layer_conv_options conv = {.channels = block->channels,
                               .kernel = {kernel, kernel},
                               .stride = {stride, stride},
                               .activation = (layer_activation)r->activation};
    snprintf(name, sizeof name, "%spool", prefix);
    switch (block->type) {
    case CONV:
        return layer_conv_block(b, prefix, &conv, r->batchnorm);
    case RESIDUAL:
        return append_residual(b, r, prefix, &conv);
    case SEPARABLE:
        return layer_separable(b, prefix, &conv, r->batchnorm);
    default:
        return layer_pool(b, block->type == MAX_POOL ? "MaxPool" : "AveragePool", name, kernel, stride);
    }
}

static pare_status build(layer_builder *b, const void *fields, const recipe_reader *reader, json_t *object) {
    const cnn *r = fields;
    if (r->zero_init_residual && !r->batchnorm) {
        return recipe_wrong(reader, object, "zero_init_residual", "false where \"batchnorm\" is false");
    }
    PARE_TRY(recipe_input(b, r->input.items, 3));
    for (size_t i = 0; i < r->block_count; i++) {
        char at[40], prefix[40];
        snprintf(at, sizeof at, "\"blocks\"[%zu]: ", i);
        snprintf(prefix, sizeof prefix, "block%zu.", i + 1);
        recipe_reader inner = {at, reader->error};
        PARE_TRY(check_block(&inner, json_array_get(json_object_get(object, "blocks"), i), &r->blocks[i]));
        PARE_TRY(append_block(b, r, &r->blocks[i], prefix));
    }
    PARE_TRY(layer_global_pool(b));
    return recipe_classifier(b, r->dropout, r->classes, r->softmax);
}

const recipe_family recipe_cnn = {
    .name = "cnn",
    .summary = "convolutional network, block by block",
    .example = "{\"family\": \"cnn\", \"input\": [1, 28, 28], \"blocks\": [{\"type\": \"conv\", \"channels\": 16}, "
               "{\"type\": \"max_pool\"}, {\"type\": \"residual\"}, {\"type\": \"separable\", \"channels\": 32, "
               "\"stride\": 2}]}",
    .table = RECIPE_TABLE(fields_of_cnn, defaults),
    .build = build,
};
