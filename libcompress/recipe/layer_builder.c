#include "recipe/layer_builder.h"

#include <stdio.h>
#include <string.h>

#include "pare/op.h"
#include "recipe/weight_init.h"

#define NEWEST_OPSET 17 /* the oldest that has all operators used here */
#define NAME_MAX_BYTES 200

static pare_status no_memory(const layer_builder *b) {
    return pare_fail(b->error, PARE_LIMIT, "expected memory for the network, found none after %zu bytes",
                     b->graph->arena.used);
}

static pare_value *add_constant(layer_builder *b, const char *layer, const char *suffix, pare_dtype dtype,
                                const pare_shape *shape, const void *data, size_t bytes) {
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof name, "%s.%s", layer, suffix);
    return pare_graph_add_constant(b->graph, name, dtype, shape, data, bytes);
}

pare_status layer_weight(layer_builder *b, const char *layer, const char *suffix, const pare_shape *shape,
                         pare_value **value) {
    size_t elements = 0;
    if (!pare_shape_elements(shape, &elements) || elements > LAYER_WEIGHT_LIMIT ||
        b->weights + elements > LAYER_WEIGHT_LIMIT) {
        char text[160];
        return pare_fail(
            b->error, PARE_LIMIT,
            "expected at most %llu weights in all, found more: layer \"%s\" has %s besides the %llu before it",
            (unsigned long long)LAYER_WEIGHT_LIMIT, layer, pare_shape_text(shape, text, sizeof text),
            (unsigned long long)b->weights);
    }
    b->weights += elements;
    *value = add_constant(b, layer, suffix, PARE_F32, shape, NULL, elements * sizeof(float));
    return *value != NULL ? PARE_OK : no_memory(b);
}

pare_status layer_scalar(layer_builder *b, const char *layer, const char *suffix, float number, pare_value **value) {
    *value = add_constant(b, layer, suffix, PARE_F32, &(pare_shape){.rank = 0}, &number, sizeof number);
    return *value != NULL ? PARE_OK : no_memory(b);
}

pare_status layer_ints(layer_builder *b, const char *layer, const char *suffix, const int64_t *ints, size_t count,
                       pare_value **value) {
    pare_shape shape = {1, {(int64_t)count}};
    *value = add_constant(b, layer, suffix, PARE_S64, &shape, ints, count * sizeof *ints);
    return *value != NULL ? PARE_OK : no_memory(b);
}

/* No operator used here changed its meaning between 13 and NEWEST_OPSET, so the nodes before may be raised too. */
static void raise_opset(pare_graph *graph, int32_t opset) {
    graph->opset = opset;
    for (pare_node *node = graph->first; node != NULL; node = node->next) {
        node->opset = opset;
    }
}

pare_status layer_append(layer_builder *b, const char *op, const char *name, pare_value *const *inputs, size_t count,
                         const char *output, pare_node **node) {
    char made[NAME_MAX_BYTES];
    const pare_op *found = pare_op_find("", op, NEWEST_OPSET);
    snprintf(made, sizeof made, "%s_out", name);
    if (found == NULL) {
        return pare_fail(b->error, PARE_INTERNAL, "expected an operator %s, found none", op);
    }
    if (found->since > b->graph->opset) {
        raise_opset(b->graph, found->since);
    }
    pare_value *result = pare_graph_add_value(b->graph, output != NULL ? output : made, PARE_F32, NULL);
    *node = result != NULL ? pare_graph_insert_node(b->graph, NULL, found, name, inputs, count, &result, 1) : NULL;
    return *node != NULL ? PARE_OK : no_memory(b);
}

pare_status layer_infer(layer_builder *b, pare_node *node) {
    if (node->op->check != NULL) {
        PARE_TRY(node->op->check(node, b->error));
    }
    PARE_TRY(node->op->infer(b->graph, node, b->error));
    b->at = node->outputs[0];
    return PARE_OK;
}

pare_status layer_apply(layer_builder *b, const char *op, const char *name, pare_value *other) {
    pare_node *node = NULL;
    pare_value *inputs[2] = {b->at, other};
    PARE_TRY(layer_append(b, op, name, inputs, other != NULL ? 2 : 1, NULL, &node));
    return layer_infer(b, node);
}

/* --- convolution ----------------------------------------------------------- */

/* weights [O, I, kernel...]. A group's fans count its own channels only. */
static void init_weights(layer_builder *b, pare_value *weights, int64_t groups, layer_activation activation) {
    const pare_shape *shape = &weights->shape;
    size_t count = pare_value_elements(weights);
    double fan_in = (double)count / (double)shape->dims[0];
    double fan_out = (double)count / (double)(shape->dims[1] * groups);
    if (activation >= LAYER_TANH) {
        weight_init_glorot(&b->random, weights->data, count, fan_in, fan_out);
    } else {
        weight_init_he(&b->random, weights->data, count, fan_in,
                       activation == LAYER_LEAKY_RELU ? LAYER_LEAKY_SLOPE : 0.0);
    }
}

static bool set_window(layer_builder *b, pare_node *node, const int64_t *kernel, const int64_t *stride,
                       const int64_t *pads) {
    return pare_node_set_ints(b->graph, node, "kernel_shape", kernel, 2) &&
           pare_node_set_ints(b->graph, node, "strides", stride, 2) &&
           pare_node_set_ints(b->graph, node, "pads", pads, 4);
}

/* Explicit pads of SAME_UPPER, for which every reader of the file has the same meaning. An odd kernel pads both sides
 * alike, as PyTorch does; what stride leaves over is not read. */
static void same_pads(const layer_conv_options *o, const pare_shape *x, int64_t *pads) {
    for (int i = 0; i < 2; i++) {
        int64_t extent = x->dims[2 + i], out = (extent + o->stride[i] - 1) / o->stride[i];
        int64_t total = (out - 1) * o->stride[i] + o->kernel[i] - extent;
        bool even_sides = o->kernel[i] % 2 == 1;
        total = total < 0 ? 0 : total;
        pads[i] = even_sides ? o->kernel[i] / 2 : total / 2;
        pads[2 + i] = even_sides ? o->kernel[i] / 2 : total - total / 2;
    }
}

pare_status layer_conv(layer_builder *b, const char *name, const layer_conv_options *o) {
    const pare_shape *x = &b->at->shape;
    int64_t in = x->dims[1], groups = o->depthwise ? in : 1, channels = o->depthwise ? in : o->channels;
    int64_t pads[4] = {0, 0, 0, 0};
    pare_shape shape = {4, {channels, in / groups, o->kernel[0], o->kernel[1]}}, row = {1, {channels}};
    pare_value *inputs[3] = {b->at, NULL, NULL};
    pare_node *node = NULL;
    PARE_TRY(layer_weight(b, name, "weight", &shape, &inputs[1]));
    init_weights(b, inputs[1], groups, o->activation);
    if (o->bias) {
        PARE_TRY(layer_weight(b, name, "bias", &row, &inputs[2]));
    }
    if (!o->valid) {
        same_pads(o, x, pads);
    }
    PARE_TRY(layer_append(b, "Conv", name, inputs, o->bias ? 3 : 2, NULL, &node));
    if (!set_window(b, node, o->kernel, o->stride, pads) || !pare_node_set_int(b->graph, node, "group", groups)) {
        return no_memory(b);
    }
    return layer_infer(b, node);
}

pare_status layer_conv_norm(layer_builder *b, const char *prefix, const char *suffix, const layer_conv_options *options,
                            bool batchnorm, bool zero) {
    char name[NAME_MAX_BYTES];
    layer_conv_options conv = *options;
    conv.bias = !batchnorm; /* the normalization has its own */
    snprintf(name, sizeof name, "%sconv%s", prefix, suffix);
    PARE_TRY(layer_conv(b, name, &conv));
    snprintf(name, sizeof name, "%sbn%s", prefix, suffix);
    return batchnorm ? layer_batchnorm(b, name, zero) : PARE_OK;
}

pare_status layer_conv_block(layer_builder *b, const char *prefix, const layer_conv_options *options, bool batchnorm) {
    PARE_TRY(layer_conv_norm(b, prefix, "", options, batchnorm, false));
    return layer_activate(b, prefix, options->activation);
}

pare_status layer_separable(layer_builder *b, const char *prefix, const layer_conv_options *options, bool batchnorm) {
    char name[NAME_MAX_BYTES];
    layer_conv_options depthwise = *options, pointwise = *options;
    depthwise.depthwise = true;
    pointwise.kernel[0] = pointwise.kernel[1] = pointwise.stride[0] = pointwise.stride[1] = 1;
    snprintf(name, sizeof name, "%sdepthwise.", prefix);
    PARE_TRY(layer_conv_block(b, name, &depthwise, batchnorm));
    snprintf(name, sizeof name, "%spointwise.", prefix);
    return layer_conv_block(b, name, &pointwise, batchnorm);
}

/* --- the others ------------------------------------------------------------ */

pare_status layer_batchnorm(layer_builder *b, const char *name, bool zero) {
    static const char *const suffixes[] = {"weight", "bias", "running_mean", "running_var"};
    pare_shape row = {1, {b->at->shape.dims[1]}};
    pare_value *inputs[5] = {b->at, NULL, NULL, NULL, NULL};
    pare_node *node = NULL;
    for (size_t i = 0; i < 4; i++) {
        PARE_TRY(layer_weight(b, name, suffixes[i], &row, &inputs[1 + i]));
        b->statistics += i >= 2 ? (uint64_t)row.dims[0] : 0;
        bool ones = i == 3 || (i == 0 && !zero);
        float *numbers = inputs[1 + i]->data;
        for (int64_t c = 0; ones && c < row.dims[0]; c++) {
            numbers[c] = 1.0F;
        }
    }
    PARE_TRY(layer_append(b, "BatchNormalization", name, inputs, 5, NULL, &node));
    if (!pare_node_set_float(b->graph, node, "epsilon", 1e-5F) ||
        !pare_node_set_float(b->graph, node, "momentum", 0.9F)) {
        return no_memory(b);
    }
    return layer_infer(b, node);
}

pare_status layer_gemm(layer_builder *b, const char *name, int64_t outputs, bool bias, layer_activation activation,
                       const char *output) {
    int64_t in = b->at->shape.dims[1];
    pare_shape shape = {2, {outputs, in}}, row = {1, {outputs}};
    pare_value *inputs[3] = {b->at, NULL, NULL};
    pare_node *node = NULL;
    PARE_TRY(layer_weight(b, name, "weight", &shape, &inputs[1]));
    init_weights(b, inputs[1], 1, activation);
    if (bias) {
        PARE_TRY(layer_weight(b, name, "bias", &row, &inputs[2]));
    }
    PARE_TRY(layer_append(b, "Gemm", name, inputs, bias ? 3 : 2, output, &node));
    return pare_node_set_int(b->graph, node, "transB", 1) ? layer_infer(b, node) : no_memory(b);
}

pare_status layer_pool(layer_builder *b, const char *op, const char *name, int64_t kernel, int64_t stride) {
    const int64_t window[2] = {kernel, kernel}, strides[2] = {stride, stride}, pads[4] = {0, 0, 0, 0};
    pare_node *node = NULL;
    PARE_TRY(layer_append(b, op, name, &b->at, 1, NULL, &node));
    return set_window(b, node, window, strides, pads) ? layer_infer(b, node) : no_memory(b);
}

pare_status layer_global_pool(layer_builder *b) {
    PARE_TRY(layer_apply(b, "GlobalAveragePool", "pool", NULL));
    return layer_apply(b, "Flatten", "flatten", NULL);
}

pare_status layer_dropout(layer_builder *b, const char *name, double ratio) {
    pare_value *value = NULL;
    if (ratio == 0.0) {
        return PARE_OK;
    }
    PARE_TRY(layer_scalar(b, name, "ratio", (float)ratio, &value));
    return layer_apply(b, "Dropout", name, value);
}
