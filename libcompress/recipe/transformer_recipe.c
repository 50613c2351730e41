/* A transformer encoder (Vaswani 2017) over a sequence of fixed length, of tokens or of feature vectors: learned
 * positions, layers of self-attention and feed-forward, mean over the sequence, classifier. LayerNormalization comes
 * before each part (Xiong 2020), or after it as in the original. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "recipe/recipe_family.h"
#include "recipe/weight_init.h"

typedef struct transformer {
    int64_t vocabulary, features, sequence, layers, heads, width, ffn, classes;
    int activation, norm;
    bool softmax;
    double dropout;
} transformer;

static const char *const norms[] = {"before", "after", NULL};
enum { NORM_BEFORE, NORM_AFTER };

static const transformer defaults = {
    .sequence = 64, .layers = 4, .heads = 2, .width = 64, .ffn = 128, .classes = 10, .activation = LAYER_GELU};
static const recipe_field fields_of_transformer[] = {
    RECIPE_WHOLE_ROW(transformer, vocabulary, 2, 1000000, "inputs are int64 tokens below this; or else"),
    RECIPE_WHOLE_ROW(transformer, features, 1, 65536, "inputs are vectors of this many numbers"),
    RECIPE_WHOLE_ROW(transformer, sequence, 1, 65536, "tokens or vectors of a sample"),
    RECIPE_WHOLE_ROW(transformer, layers, 1, 100, "of attention and feed-forward"),
    RECIPE_WHOLE_ROW(transformer, heads, 1, 256, "of the attention; divide the width"),
    RECIPE_WHOLE_ROW(transformer, width, 1, 16384, "of a token's vector"),
    RECIPE_WHOLE_ROW(transformer, ffn, 1, 65536, "hidden units of the feed-forward part"),
    RECIPE_CLASSES_ROW(transformer),
    RECIPE_SOFTMAX_ROW(transformer),
    RECIPE_CHOICE_ROW(transformer, activation, layer_activations, "of the feed-forward part"),
    RECIPE_CHOICE_ROW(transformer, norm, norms, "LayerNormalization before or after each part"),
    RECIPE_DROPOUT_ROW(transformer, "of the embedding, of each part, and before the classifier"),
};

/* x [N, T, I] -> x w + bias [N, T, outputs] */
static pare_status append_linear(layer_builder *b, const char *name, int64_t outputs) {
    char bias_name[80];
    int64_t in = b->at->shape.dims[2];
    pare_shape shape = {2, {in, outputs}}, row = {1, {outputs}};
    pare_value *weight = NULL, *bias = NULL;
    PARE_TRY(layer_weight(b, name, "weight", &shape, &weight));
    PARE_TRY(layer_weight(b, name, "bias", &row, &bias));
    weight_init_glorot(&b->random, weight->data, (size_t)(in * outputs), (double)in, (double)outputs);
    PARE_TRY(layer_apply(b, "MatMul", name, weight));
    snprintf(bias_name, sizeof bias_name, "%s.add", name);
    return layer_apply(b, "Add", bias_name, bias);
}

static pare_status append_norm(layer_builder *b, const char *name) {
    pare_shape row = {1, {b->at->shape.dims[2]}};
    pare_value *inputs[3] = {b->at, NULL, NULL};
    pare_node *node = NULL;
    PARE_TRY(layer_weight(b, name, "weight", &row, &inputs[1]));
    PARE_TRY(layer_weight(b, name, "bias", &row, &inputs[2]));
    for (int64_t i = 0; i < row.dims[0]; i++) {
        ((float *)inputs[1]->data)[i] = 1.0F;
    }
    PARE_TRY(layer_append(b, "LayerNormalization", name, inputs, 3, NULL, &node));
    return pare_node_set_int(b->graph, node, "axis", -1) && pare_node_set_float(b->graph, node, "epsilon", 1e-5F)
               ? layer_infer(b, node)
               : pare_fail_memory(b->error, sizeof(float));
}

static pare_status append_transpose(layer_builder *b, const char *name, const int64_t *order) {
    pare_node *node = NULL;
    PARE_TRY(layer_append(b, "Transpose", name, &b->at, 1, NULL, &node));
    return pare_node_set_ints(b->graph, node, "perm", order, 4) ? layer_infer(b, node)
                                                                : pare_fail_memory(b->error, 4 * sizeof *order);
}

/* The last dimensions change; 0 keeps the batch. */
static pare_status append_reshape(layer_builder *b, const char *name, const int64_t *dims, size_t count) {
    pare_value *shape = NULL;
    PARE_TRY(layer_ints(b, name, "shape", dims, count, &shape));
    return layer_apply(b, "Reshape", name, shape);
}

/* x [N, T, W] through a linear layer, then as heads: [N, H, T, D], or [N, H, D, T] with `turned`. */
static pare_status append_heads(layer_builder *b, const transformer *t, const char *prefix, const char *part,
                                bool turned, pare_value *x, pare_value **heads) {
    static const int64_t plain_order[] = {0, 2, 1, 3}, turned_order[] = {0, 2, 3, 1};
    const int64_t dims[] = {0, t->sequence, t->heads, t->width / t->heads};
    char name[80];
    b->at = x;
    snprintf(name, sizeof name, "%s%s", prefix, part);
    PARE_TRY(append_linear(b, name, t->width));
    snprintf(name, sizeof name, "%s%s.split", prefix, part);
    PARE_TRY(append_reshape(b, name, dims, 4));
    snprintf(name, sizeof name, "%s%s.heads", prefix, part);
    PARE_TRY(append_transpose(b, name, turned ? turned_order : plain_order));
    *heads = b->at;
    return PARE_OK;
}

/* softmax(q k' / sqrt D) v, then the output projection. */
static pare_status append_attention(layer_builder *b, const transformer *t, const char *prefix) {
    static const int64_t order[] = {0, 2, 1, 3};
    const int64_t dims[] = {0, t->sequence, t->width};
    char name[80];
    pare_value *x = b->at, *q = NULL, *k = NULL, *v = NULL, *scale = NULL;
    pare_node *softmax = NULL;
    PARE_TRY(append_heads(b, t, prefix, "query", false, x, &q));
    PARE_TRY(append_heads(b, t, prefix, "key", true, x, &k));
    PARE_TRY(append_heads(b, t, prefix, "value", false, x, &v));
    snprintf(name, sizeof name, "%sscale", prefix);
    PARE_TRY(layer_scalar(b, name, "factor", (float)(1.0 / sqrt((double)(t->width / t->heads))), &scale));
    b->at = q;
    PARE_TRY(layer_apply(b, "Mul", name, scale));
    snprintf(name, sizeof name, "%sscores", prefix);
    PARE_TRY(layer_apply(b, "MatMul", name, k));
    snprintf(name, sizeof name, "%ssoftmax", prefix);
    PARE_TRY(layer_append(b, "Softmax", name, &b->at, 1, NULL, &softmax));
    if (!pare_node_set_int(b->graph, softmax, "axis", -1)) {
        return pare_fail_memory(b->error, sizeof(int64_t));
    }
    PARE_TRY(layer_infer(b, softmax));
    snprintf(name, sizeof name, "%smix", prefix);
    PARE_TRY(layer_apply(b, "MatMul", name, v));
    snprintf(name, sizeof name, "%sjoin", prefix);
    PARE_TRY(append_transpose(b, name, order));
    snprintf(name, sizeof name, "%smerge", prefix);
    PARE_TRY(append_reshape(b, name, dims, 3));
    snprintf(name, sizeof name, "%soutput", prefix);
    return append_linear(b, name, t->width);
}

static pare_status append_feed_forward(layer_builder *b, const transformer *t, const char *prefix) {
    char name[80];
    snprintf(name, sizeof name, "%sfc1", prefix);
    PARE_TRY(append_linear(b, name, t->ffn));
    snprintf(name, sizeof name, "%sfc1.", prefix);
    PARE_TRY(layer_activate(b, name, (layer_activation)t->activation));
    snprintf(name, sizeof name, "%sfc2", prefix);
    return append_linear(b, name, t->width);
}

/* x + part(norm(x)), or norm(x + part(x)) */
static pare_status append_part(layer_builder *b, const transformer *t, int layer, const char *part_name,
                               pare_status (*part)(layer_builder *, const transformer *, const char *)) {
    char prefix[64], name[80];
    pare_value *x = b->at;
    snprintf(prefix, sizeof prefix, "layer%d.%s.", layer, part_name);
    snprintf(name, sizeof name, "%snorm", prefix);
    PARE_TRY(t->norm == NORM_BEFORE ? append_norm(b, name) : PARE_OK);
    PARE_TRY(part(b, t, prefix));
    snprintf(name, sizeof name, "%sdropout", prefix);
    PARE_TRY(layer_dropout(b, name, t->dropout));
    snprintf(name, sizeof name, "%sadd", prefix);
    PARE_TRY(layer_apply(b, "Add", name, x));
    snprintf(name, sizeof name, "%snorm", prefix);
    return t->norm == NORM_AFTER ? append_norm(b, name) : PARE_OK;
}

/* Embeddings are normal with deviation 0.02 (Devlin 2019). */
static pare_status append_embedding(layer_builder *b, const transformer *t) {
    pare_shape table = {2, {t->vocabulary, t->width}}, places = {2, {t->sequence, t->width}};
    pare_value *inputs[2] = {NULL, NULL}, *positions = NULL;
    pare_node *node = NULL;
    if (t->vocabulary > 0) {
        inputs[1] = pare_graph_add_input(b->graph, "input", PARE_S64, &(pare_shape){2, {-1, t->sequence}});
        PARE_TRY(inputs[1] != NULL ? PARE_OK : pare_fail_memory(b->error, sizeof *inputs[1]));
        PARE_TRY(layer_weight(b, "embedding", "weight", &table, &inputs[0]));
        weight_init_normal(&b->random, inputs[0]->data, (size_t)(t->vocabulary * t->width), 0.02);
        PARE_TRY(layer_append(b, "Gather", "embedding", inputs, 2, NULL, &node));
        PARE_TRY(layer_infer(b, node));
    } else {
        PARE_TRY(recipe_input(b, (const int64_t[]){t->sequence, t->features}, 2));
        PARE_TRY(append_linear(b, "embedding", t->width));
    }
    PARE_TRY(layer_weight(b, "positions", "weight", &places, &positions));
    weight_init_normal(&b->random, positions->data, (size_t)(t->sequence * t->width), 0.02);
    PARE_TRY(layer_apply(b, "Add", "positions", positions));
    return layer_dropout(b, "embedding.dropout", t->dropout);
}

static pare_status append_mean(layer_builder *b) {
    pare_node *node = NULL;
    PARE_TRY(layer_append(b, "ReduceMean", "mean", &b->at, 1, NULL, &node));
    return pare_node_set_ints(b->graph, node, "axes", (const int64_t[]){1}, 1) &&
                   pare_node_set_int(b->graph, node, "keepdims", 0)
               ? layer_infer(b, node)
               : pare_fail_memory(b->error, sizeof(int64_t));
}

static pare_status build(layer_builder *b, const void *fields, const recipe_reader *reader, json_t *object) {
    const transformer *t = fields;
    if (t->vocabulary > 0 && t->features > 0) {
        return recipe_wrong(reader, object, "features", "nothing, for \"vocabulary\" says that the inputs are tokens");
    }
    if (t->vocabulary == 0 && t->features == 0) {
        return recipe_wrong(reader, object, "features", "this or \"vocabulary\" to be given");
    }
    if (t->width % t->heads != 0) {
        return recipe_wrong(reader, object, "width", "a multiple of \"heads\"");
    }
    PARE_TRY(append_embedding(b, t));
    for (int layer = 1; layer <= (int)t->layers; layer++) {
        PARE_TRY(append_part(b, t, layer, "attention", append_attention));
        PARE_TRY(append_part(b, t, layer, "feed_forward", append_feed_forward));
    }
    PARE_TRY(t->norm == NORM_BEFORE ? append_norm(b, "norm") : PARE_OK);
    PARE_TRY(append_mean(b));
    return recipe_classifier(b, t->dropout, t->classes, t->softmax);
}

const recipe_family recipe_transformer = {
    .name = "transformer",
    .summary = "small encoder over tokens or feature vectors (Vaswani 2017)",
    .example = "{\"family\": \"transformer\", \"features\": 10, \"sequence\": 49, \"layers\": 4, \"heads\": 2, "
               "\"width\": 64, \"ffn\": 128, \"classes\": 12}",
    .table = RECIPE_TABLE(fields_of_transformer, defaults),
    .build = build,
};
