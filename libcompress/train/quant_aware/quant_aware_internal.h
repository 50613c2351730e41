/* The plan of quantization-aware training. Private to quant_aware*.c. */
#ifndef PARE_QUANT_AWARE_INTERNAL_H
#define PARE_QUANT_AWARE_INTERNAL_H

#include "quant/selection.h"
#include "train/quant_aware/fake_quant.h"
#include "train/quant_aware/quant_aware.h"

/* Of one or more activations that share it (what is concatenated). */
typedef struct quant_grid {
    const char *name; /* of the parameter: "VALUE.step" */
    int32_t bits, zero_point;
    float step, least;
    bool trained; /* an input of 8 bits keeps its step: the first layer then needs no gradient of its input */
} quant_grid;

typedef struct quant_activation {
    const char *value;
    uint32_t grid;
} quant_activation;

typedef struct quant_layer {
    const char *node;
    const char *name; /* of the parameter: "NODE.steps" */
    int32_t bits;
    size_t channels;
    float *steps, *least; /* [channels] */
} quant_layer;

struct pare_quant_aware {
    pare_arena arena;
    quant_grid *grids;
    quant_activation *activations;
    quant_layer *layers;
    size_t grid_count, activation_count, layer_count;
    pare_pair_rule pairs;
    const char **exclude;
    size_t exclude_count;
};

/* NULL where the plan has none of the name. */
const quant_grid *quant_aware_grid(const pare_quant_aware *plan, const char *value);
quant_layer *quant_aware_layer(const pare_quant_aware *plan, const char *node);
/* As selection_make wants it; context is the plan. */
bool quant_aware_excludes(const void *context, const pare_node *node);

#endif
