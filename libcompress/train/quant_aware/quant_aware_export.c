/* The quantized network. Weights become the rounded floats that training
 * computed with, BatchNormalization is folded into them, and as folding only
 * multiplies an output channel, dividing by its scale gives back the integers. */
#include <math.h>
#include <string.h>

#include "ir/graph_internal.h"
#include "pare/passes.h"
#include "quant/apply.h"
#include "train/quant_aware/quant_aware_internal.h"

typedef struct export_layer {
    const quant_layer *plan;
    double *scales; /* [channels] of the integers, with what BatchNormalization multiplied by */
} export_layer;

typedef struct export_state {
    const pare_quant_aware *plan;
    pare_graph *graph;
    pare_arena arena;
    export_layer *layers; /* [plan->layer_count] */
    quant_selection selection;
} export_state;

static export_layer *layer_of(export_state *e, const pare_node *node) {
    const quant_layer *layer = quant_aware_layer(e->plan, node->name);
    return layer != NULL ? &e->layers[layer - e->plan->layers] : NULL;
}

/* --- weights as training saw them --------------------------------------------------- */

static pare_status round_layer(export_state *e, pare_node *node, export_layer *layer, pare_error *error) {
    const pare_value *old = weights_of(node);
    weight_view view = {0};
    if (old != NULL) {
        view = weight_view_of(&old->shape, node->op->weight_channel_axis);
    }
    if (old == NULL || view.channels != layer->plan->channels) {
        return pare_node_fail(node, error, PARE_INTERNAL,
                              "expected float weights of %zu output channels, as they were prepared, found others",
                              layer->plan->channels);
    }
    size_t count = old->data_bytes / sizeof(float);
    int8_t *levels = pare_arena_alloc(&e->arena, count + 1, 1);
    float *rounded = pare_arena_alloc(&e->graph->arena, count + 1, sizeof *rounded);
    layer->scales = pare_arena_alloc(&e->arena, view.channels + 1, sizeof *layer->scales);
    if (levels == NULL || rounded == NULL || layer->scales == NULL) {
        return pare_fail_memory(error, count * sizeof *rounded);
    }
    for (size_t o = 0; o < view.channels; o++) {
        float step = fake_quant_step(layer->plan->steps[o], layer->plan->least[o]);
        layer->scales[o] = (double)step;
        round_weights_channel(old->data, &view, o, step, layer->plan->bits, e->plan->pairs, levels);
        for (size_t i = 0; i < view.reduction * view.taps; i++) {
            size_t at = o * view.channel_stride + i / view.taps * view.k_stride + i % view.taps * view.tap_stride;
            rounded[at] = (float)levels[at] * step;
        }
    }
    pare_value *value = pare_graph_adopt_constant(e->graph, old->name, PARE_F32, &old->shape, rounded, old->data_bytes);
    if (value == NULL) {
        return pare_fail_memory(error, old->data_bytes);
    }
    pare_graph_set_input(e->graph, node, (size_t)node->op->weight_input, value);
    return PARE_OK;
}

static void multiply_scales(void *context, const pare_node *node, const double *factors, size_t channels) {
    export_layer *layer = layer_of(context, node);
    for (size_t o = 0; layer != NULL && o < channels; o++) {
        layer->scales[o] *= fabs(factors[o]);
    }
}

static pare_status fold_rounded(export_state *e, pare_error *error) {
    e->layers = pare_arena_alloc(&e->arena, e->plan->layer_count + 1, sizeof *e->layers);
    if (e->layers == NULL) {
        return pare_fail_memory(error, e->plan->layer_count * sizeof *e->layers);
    }
    for (size_t i = 0; i < e->plan->layer_count; i++) {
        e->layers[i] = (export_layer){.plan = &e->plan->layers[i]};
    }
    PARE_TRY(pare_graph_check_finite(e->graph, error));
    for (pare_node *node = e->graph->first; node != NULL; node = node->next) {
        export_layer *layer = layer_of(e, node);
        if (layer != NULL) {
            PARE_TRY(round_layer(e, node, layer, error));
        }
    }
    PARE_TRY(pare_fold_batchnorm_back(e->graph, multiply_scales, e, error));
    PARE_TRY(pare_simplify(e->graph, error));
    return selection_make(e->graph, quant_aware_excludes, e->plan, &e->selection, error);
}

/* --- integers -------------------------------------------------------------------------- */

static bool learned_grid(const void *context, const pare_value *value, float *scale, int32_t *zero_point) {
    const quant_grid *grid = quant_aware_grid(context, value->name);
    if (grid == NULL) {
        return false;
    }
    *scale = fake_quant_step(grid->step, grid->least);
    *zero_point = grid->zero_point;
    return true;
}

/* The integers of a layer: exact but where a dead channel's bias asks for a larger scale. */
static void to_integers(const float *weights, const weight_view *view, const double *wanted, const float *least,
                        int8_t *integers, float *scales) {
    for (size_t o = 0; o < view->channels; o++) {
        float scale = fmaxf((float)wanted[o], least[o]);
        scales[o] = isfinite(1.0F / scale) ? scale : 1.0F; /* a channel of zeros */
        for (size_t i = 0; i < view->reduction * view->taps; i++) {
            size_t at = o * view->channel_stride + i / view->taps * view->k_stride + i % view->taps * view->tap_stride;
            integers[at] = (int8_t)fmax(-127.0, fmin(127.0, rint((double)weights[at] / (double)scales[o])));
        }
    }
}

static pare_status export_layer_integers(export_state *e, pare_node *node, export_layer *layer, pare_error *error) {
    const pare_value *weights = weights_of(node);
    const pare_quant *input = node->inputs[0]->quant;
    if (weights == NULL || input == NULL || layer->scales == NULL) {
        return pare_node_fail(node, error, PARE_INTERNAL, "expected the layer that was prepared, found another");
    }
    weight_view view = weight_view_of(&weights->shape, node->op->weight_channel_axis);
    const pare_value *bias = vector_bias(node, view.channels);
    int8_t *integers = pare_arena_alloc(&e->arena, weights->data_bytes, 1);
    float *scales = pare_arena_alloc(&e->arena, view.channels + 1, sizeof *scales);
    float *least = pare_arena_alloc(&e->arena, view.channels + 1, sizeof *least);
    if (integers == NULL || scales == NULL || least == NULL) {
        return pare_fail_memory(error, weights->data_bytes);
    }
    memset(least, 0, view.channels * sizeof *least);
    if (bias != NULL) {
        bias_bounds(bias->data, view.channels, input->scales[0], least);
    }
    to_integers(weights->data, &view, layer->scales, least, integers, scales);
    return apply_integers(e->graph, node, weights, integers, scales, view.channels, error);
}

static pare_status quantize_graph(export_state *e, pare_error *error) {
    PARE_TRY(apply_grids(e->graph, &e->selection, learned_grid, e->plan, error));
    for (size_t n = 0; n < e->selection.node_count; n++) {
        pare_node *node = e->selection.nodes[n];
        if (weights_of(node) == NULL) {
            continue;
        }
        export_layer *layer = layer_of(e, node);
        if (layer == NULL) {
            return pare_node_fail(node, error, PARE_INTERNAL, "expected a layer that was prepared, found another");
        }
        PARE_TRY(export_layer_integers(e, node, layer, error));
    }
    return PARE_OK;
}

/* --- activations of few bits --------------------------------------------------------------- */

static pare_value *bound(pare_graph *graph, const char *name, float number) {
    pare_shape scalar = {.rank = 0};
    return pare_graph_add_constant(graph, name, PARE_F32, &scalar, &number, sizeof number);
}

/* x → Clip(low, high) → y, before `next`. */
static pare_status insert_clip(pare_graph *graph, pare_node *next, pare_value *x, float low, float high, pare_value *y,
                               pare_error *error) {
    const pare_op *clip = pare_op_find("", "Clip", graph->opset);
    pare_value *inputs[3] = {x, bound(graph, y->name, low), bound(graph, y->name, high)};
    return clip != NULL && inputs[1] != NULL && inputs[2] != NULL &&
                   pare_graph_insert_node(graph, next, clip, y->name, inputs, 3, &y, 1) != NULL
               ? PARE_OK
               : pare_graph_fail_memory(graph, error);
}

/* A Relu or Clip that makes the value gets narrower bounds. False where it is neither. */
static bool narrow_clamp(pare_graph *graph, pare_node *node, float low, float high, pare_error *error,
                         pare_status *status) {
    pare_activation function;
    const pare_op *clip = pare_op_find("", "Clip", graph->opset);
    if (node == NULL || !node->op->clamp || node->op->function == NULL || !node->op->function(node, &function) ||
        clip == NULL) {
        return false;
    }
    bool relu = function.function == PARE_FN_RELU;
    low = fmaxf(low, relu ? 0.0F : function.alpha);
    high = relu ? high : fminf(high, function.beta);
    pare_value *bounds[2] = {bound(graph, node->name, low), bound(graph, node->name, high)};
    *status = PARE_OK;
    if (bounds[0] == NULL || bounds[1] == NULL || !pare_graph_grow_inputs(graph, node, 3)) {
        *status = pare_graph_fail_memory(graph, error);
        return true;
    }
    node->op = clip;
    pare_graph_set_input(graph, node, 1, bounds[0]);
    pare_graph_set_input(graph, node, 2, bounds[1]);
    return true;
}

/* The producer writes another value of the same grid, which the lowering fuses with the Clip. */
static pare_status clip_produced(pare_graph *graph, pare_value *value, float low, float high, pare_error *error) {
    pare_node *producer = value->producer;
    pare_value *raw = pare_graph_add_value(graph, value->name, PARE_F32, &value->shape);
    if (raw == NULL) {
        return pare_graph_fail_memory(graph, error);
    }
    raw->quant = value->quant;
    for (size_t i = 0; i < producer->output_count; i++) {
        if (producer->outputs[i] == value) {
            producer->outputs[i] = raw;
            raw->producer = producer;
            value->producer = NULL;
        }
    }
    return insert_clip(graph, producer->next, raw, low, high, value, error);
}

/* Who reads the network's input reads it clipped. */
static pare_status clip_input(pare_graph *graph, pare_value *value, float low, float high, pare_error *error) {
    pare_value *clipped = pare_graph_add_value(graph, value->name, PARE_F32, &value->shape);
    if (clipped == NULL) {
        return pare_graph_fail_memory(graph, error);
    }
    clipped->quant = value->quant;
    value->quant = NULL;
    pare_graph_replace_uses(graph, value, clipped);
    return insert_clip(graph, graph->first, value, low, high, clipped, error);
}

/* Where the elements come from values of the same grid nothing has to be clipped. */
static bool is_clipped(const pare_value *value) {
    return value->producer != NULL && value->producer->op->quant == PARE_QUANT_JOIN;
}

static pare_status clip_activations(export_state *e, pare_error *error) {
    for (size_t i = 0; i < e->plan->activation_count; i++) {
        const quant_grid *grid = &e->plan->grids[e->plan->activations[i].grid];
        pare_value *value = pare_graph_find_value(e->graph, e->plan->activations[i].value);
        if (value == NULL || value->quant == NULL) {
            return pare_fail(error, PARE_INTERNAL, "expected value \"%s\" to be quantized, found that it is not",
                             e->plan->activations[i].value);
        }
        if (grid->bits == 8 || is_clipped(value)) {
            continue;
        }
        float step = value->quant->scales[0], levels = (float)((1 << grid->bits) - 1), zero = (float)grid->zero_point;
        float low = -zero * step, high = (levels - zero) * step;
        pare_status status = PARE_OK;
        if (!narrow_clamp(e->graph, value->producer, low, high, error, &status)) {
            status = value->producer != NULL ? clip_produced(e->graph, value, low, high, error)
                                             : clip_input(e->graph, value, low, high, error);
        }
        PARE_TRY(status);
    }
    return PARE_OK;
}

pare_status pare_quant_aware_export(const pare_quant_aware *plan, pare_graph *graph, pare_error *error) {
    export_state e = {.plan = plan, .graph = graph};
    bool changed = false;
    pare_arena_init(&e.arena, (size_t)4 << 30);
    pare_status status = fold_rounded(&e, error);
    if (status == PARE_OK) {
        status = quantize_graph(&e, error);
    }
    if (status == PARE_OK) {
        status = clip_activations(&e, error);
    }
    if (status == PARE_OK) {
        status = pare_remove_dead(graph, &changed, error); /* the float weights */
    }
    if (status == PARE_OK) {
        status = pare_graph_infer(graph, error);
    }
    selection_free(&e.selection);
    pare_arena_free(&e.arena);
    return status;
}
