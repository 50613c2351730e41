/* Activations as standard ONNX of the lowest opset that has them. */
#include <stdio.h>

#include "recipe/layer_builder.h"

#define ACTIVATION_NAMES                                                                                               \
    "relu", "leaky_relu", "relu6", "hard_swish", "silu", "gelu", "tanh", "sigmoid" /* in the enum's order */
const char *const layer_activations[] = {ACTIVATION_NAMES, NULL};
const char *const layer_activations_or_none[] = {ACTIVATION_NAMES, "none", NULL};

/* min(max(x, 0), 6) */
static pare_status append_relu6(layer_builder *b, const char *name) {
    pare_value *inputs[3] = {b->at, NULL, NULL};
    pare_node *node = NULL;
    PARE_TRY(layer_scalar(b, name, "min", 0.0F, &inputs[1]));
    PARE_TRY(layer_scalar(b, name, "max", 6.0F, &inputs[2]));
    PARE_TRY(layer_append(b, "Clip", name, inputs, 3, NULL, &node));
    return layer_infer(b, node);
}

/* x sigmoid(x) */
static pare_status append_silu(layer_builder *b, const char *name) {
    char inner[160];
    pare_value *x = b->at;
    snprintf(inner, sizeof inner, "%s.sigmoid", name);
    PARE_TRY(layer_apply(b, "Sigmoid", inner, NULL));
    return layer_apply(b, "Mul", name, x);
}

/* x (1 + erf(x / sqrt 2)) / 2, node by node as PyTorch exports it: the operator Gelu came with opset 20 only. */
static pare_status append_gelu(layer_builder *b, const char *name) {
    char inner[4][160];
    static const char *const parts[] = {"div", "erf", "add", "product"};
    pare_value *x = b->at, *root = NULL, *one = NULL, *half = NULL;
    for (size_t i = 0; i < 4; i++) {
        snprintf(inner[i], sizeof inner[i], "%s.%s", name, parts[i]);
    }
    PARE_TRY(layer_scalar(b, name, "root", 1.41421356237309515F, &root));
    PARE_TRY(layer_scalar(b, name, "one", 1.0F, &one));
    PARE_TRY(layer_scalar(b, name, "half", 0.5F, &half));
    PARE_TRY(layer_apply(b, "Div", inner[0], root));
    PARE_TRY(layer_apply(b, "Erf", inner[1], NULL));
    PARE_TRY(layer_apply(b, "Add", inner[2], one));
    PARE_TRY(layer_apply(b, "Mul", inner[3], x));
    return layer_apply(b, "Mul", name, half);
}

static pare_status append_leaky_relu(layer_builder *b, const char *name) {
    pare_node *node = NULL;
    PARE_TRY(layer_append(b, "LeakyRelu", name, &b->at, 1, NULL, &node));
    if (!pare_node_set_float(b->graph, node, "alpha", (float)LAYER_LEAKY_SLOPE)) {
        return pare_fail_memory(b->error, sizeof(float));
    }
    return layer_infer(b, node);
}

pare_status layer_activate(layer_builder *b, const char *prefix, layer_activation activation) {
    char name[128];
    snprintf(name, sizeof name, "%s%s", prefix, layer_activations_or_none[activation]);
    switch (activation) {
    case LAYER_RELU:
        return layer_apply(b, "Relu", name, NULL);
    case LAYER_LEAKY_RELU:
        return append_leaky_relu(b, name);
    case LAYER_RELU6:
        return append_relu6(b, name);
    case LAYER_HARD_SWISH:
        return layer_apply(b, "HardSwish", name, NULL);
    case LAYER_SILU:
        return append_silu(b, name);
    case LAYER_GELU:
        return append_gelu(b, name);
    case LAYER_TANH:
        return layer_apply(b, "Tanh", name, NULL);
    case LAYER_SIGMOID:
        return layer_apply(b, "Sigmoid", name, NULL);
    case LAYER_NO_ACTIVATION:
        return PARE_OK;
    }
    return pare_fail(b->error, PARE_INTERNAL, "expected an activation, found %d", (int)activation);
}
