/* Appends layers with initialized weights to a graph: each function adds nodes that read `at` and moves `at` to their
 * result. Shapes are inferred as the nodes are added. Nodes are named after the layer, weights "<layer>.weight" and so
 * on as PyTorch does. */
#ifndef PARE_LAYER_BUILDER_H
#define PARE_LAYER_BUILDER_H

#include "pare/graph.h"
#include "pare/random.h"

/* A network that a recipe asks for has no more weights: 1 GiB of them. */
#define LAYER_WEIGHT_LIMIT ((uint64_t)1 << 28)

#define LAYER_LEAKY_SLOPE 0.01

typedef enum layer_activation {
    LAYER_RELU = 0,
    LAYER_LEAKY_RELU, /* LAYER_LEAKY_SLOPE */
    LAYER_RELU6,
    LAYER_HARD_SWISH,
    LAYER_SILU,
    LAYER_GELU, /* exact, by erf */
    LAYER_TANH,
    LAYER_SIGMOID,
    LAYER_NO_ACTIVATION
} layer_activation;
/* Their names in recipes, NULL-terminated: of those that are functions, and with "none". */
extern const char *const layer_activations[];
extern const char *const layer_activations_or_none[];

typedef struct layer_builder {
    pare_graph *graph;
    pare_random random;
    pare_value *at;
    uint64_t weights;    /* so far, with the next */
    uint64_t statistics; /* of batch normalizations, which are not trained */
    pare_error *error;
} layer_builder;

/* --- the parts that layers are made of ----------------------------------- */

/* A float constant of zeros, "<layer>.<suffix>"; PARE_LIMIT over LAYER_WEIGHT_LIMIT. */
pare_status layer_weight(layer_builder *b, const char *layer, const char *suffix, const pare_shape *shape,
                         pare_value **value);
/* A float constant without dimensions, and one of whole numbers along an axis. */
pare_status layer_scalar(layer_builder *b, const char *layer, const char *suffix, float number, pare_value **value);
pare_status layer_ints(layer_builder *b, const char *layer, const char *suffix, const int64_t *ints, size_t count,
                       pare_value **value);
/* Appends the node without inferring: attributes come next, then layer_infer. `output` names its result (NULL:
 * "<name>_out"). Raises the graph's opset to what the operator needs. */
pare_status layer_append(layer_builder *b, const char *op, const char *name, pare_value *const *inputs, size_t count,
                         const char *output, pare_node **node);
pare_status layer_infer(layer_builder *b, pare_node *node);
/* A node without attributes that reads `at` and, where not NULL, `other`. */
pare_status layer_apply(layer_builder *b, const char *op, const char *name, pare_value *other);

/* --- layers ---------------------------------------------------------------
 * The activation that follows a layer chooses its initialization: He for ReLU and its smooth kin, Glorot for tanh,
 * sigmoid and none. Biases start at 0. */

typedef struct layer_conv_options {
    int64_t channels; /* of the output */
    int64_t kernel[2], stride[2];
    bool valid;     /* no padding; else SAME: ceil(extent / stride), the odd pixel of padding at the end */
    bool depthwise; /* one filter a channel; `channels` is not read */
    bool bias;
    layer_activation activation; /* that follows */
} layer_conv_options;

/* x [N, C, H, W] -> [N, channels, H', W']. */
pare_status layer_conv(layer_builder *b, const char *name, const layer_conv_options *options);
/* The convolution "<prefix>conv<suffix>" and, with `batchnorm`, "<prefix>bn<suffix>" behind it; else the convolution
 * has a bias. `zero` as in layer_batchnorm. No activation. */
pare_status layer_conv_norm(layer_builder *b, const char *prefix, const char *suffix, const layer_conv_options *options,
                            bool batchnorm, bool zero);
/* layer_conv_norm and the options' activation. */
pare_status layer_conv_block(layer_builder *b, const char *prefix, const layer_conv_options *options, bool batchnorm);
/* Depthwise (k x k, with the stride) then pointwise (1 x 1) blocks: "<prefix>depthwise." and "<prefix>pointwise.". */
pare_status layer_separable(layer_builder *b, const char *prefix, const layer_conv_options *options, bool batchnorm);
/* y = scale (x - mean) / sqrt(var + 1e-5) + bias by channel: scale 1 (0 with `zero`), bias 0, mean 0, variance 1. */
pare_status layer_batchnorm(layer_builder *b, const char *name, bool zero);
/* x [N, I] -> [N, outputs] with weights [outputs, I]; `output` as in layer_append. */
pare_status layer_gemm(layer_builder *b, const char *name, int64_t outputs, bool bias, layer_activation activation,
                       const char *output);
/* PARE_OK without a node for LAYER_NO_ACTIVATION. The node is "<prefix><activation>". */
pare_status layer_activate(layer_builder *b, const char *prefix, layer_activation activation);
/* "MaxPool" or "AveragePool" over square windows, without padding. */
pare_status layer_pool(layer_builder *b, const char *op, const char *name, int64_t kernel, int64_t stride);
/* [N, C, H, W] -> [N, C]: GlobalAveragePool and Flatten. */
pare_status layer_global_pool(layer_builder *b);
/* The identity until it is trained; no node for ratio 0. */
pare_status layer_dropout(layer_builder *b, const char *name, double ratio);

#endif
