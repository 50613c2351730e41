#include "equalize.h"

#include <math.h>
#include <stdlib.h>

#include "pare/memory.h"
#include "selection.h"

#define MOST_ROUNDS 20

/* Two layers and the channels between them. */
typedef struct layer_pair {
    pare_node *first, *second;
    float *w1, *b1, *w2; /* b1 may be NULL */
    size_t channels;     /* outputs of the first = inputs of the second */
    size_t per_output;   /* elements of w1 for one output channel */
    size_t outer, inner; /* w2 as [outer][channels][inner] */
} layer_pair;

static pare_node *next_layer(const pare_graph *graph, const pare_node *node) {
    pare_node *user = pare_graph_only_user(graph, node->outputs[0]);
    /* Relu: the clamp without bounds of its own; it commutes with positive scaling. */
    if (user != NULL && user->op->clamp && user->input_count == 1) {
        user = pare_graph_only_user(graph, user->outputs[0]);
    }
    return user != NULL && weights_of(user) != NULL && weights_of(user)->use_count == 1 ? user : NULL;
}

static float *own_floats(pare_graph *graph, pare_node *node, int index) {
    const pare_value *old = node->inputs[index];
    pare_value *copy = pare_graph_add_constant(graph, old->name, old->dtype, &old->shape, old->data, old->data_bytes);
    if (copy == NULL) {
        return NULL;
    }
    pare_graph_set_input(graph, node, (size_t)index, copy);
    return copy->data;
}

/* False when the shapes do not let channels be followed one to one. */
static bool match(const pare_node *first, const pare_node *second, layer_pair *pair) {
    const pare_value *w1 = weights_of(first), *w2 = weights_of(second);
    int bias = first->op->bias_input;
    const pare_value *b1 = bias >= 0 && (size_t)bias < first->input_count ? first->inputs[bias] : NULL;
    if (w1 == NULL || w1->use_count != 1 || first->op->weight_channel_axis != 0 ||
        second->op->weight_channel_axis != 0 || w1->shape.rank != w2->shape.rank ||
        (b1 != NULL && (b1->data == NULL || b1->use_count != 1 || b1->shape.rank != 1))) {
        return false;
    }
    pair->channels = (size_t)w1->shape.dims[0];
    pair->per_output = w1->data_bytes / sizeof(float) / pair->channels;
    size_t elements = w2->data_bytes / sizeof(float);
    if ((size_t)w2->shape.dims[1] == pair->channels) {
        pair->outer = (size_t)w2->shape.dims[0];
    } else if (w2->shape.dims[1] == 1 && (size_t)w2->shape.dims[0] == pair->channels) {
        pair->outer = 1; /* depthwise */
    } else {
        return false;
    }
    pair->inner = elements / pair->outer / pair->channels;
    return true;
}

static float largest_of(const float *values, size_t count) {
    float most = 0.0F;
    for (size_t i = 0; i < count; i++) {
        most = fmaxf(most, fabsf(values[i]));
    }
    return most;
}

static void scale_values(float *values, size_t count, float factor) {
    for (size_t i = 0; i < count; i++) {
        values[i] *= factor;
    }
}

/* One step of equation 11; returns the largest change of a scale. */
static float equalize_pair(const layer_pair *p) {
    float change = 0.0F;
    for (size_t c = 0; c < p->channels; c++) {
        float r1 = largest_of(p->w1 + c * p->per_output, p->per_output), r2 = 0.0F;
        for (size_t o = 0; o < p->outer; o++) {
            r2 = fmaxf(r2, largest_of(p->w2 + (o * p->channels + c) * p->inner, p->inner));
        }
        float s = sqrtf(r1 * r2) / r2;
        if (!isfinite(s) || s < 1e-4F || s > 1e4F) {
            continue; /* a dead channel */
        }
        scale_values(p->w1 + c * p->per_output, p->per_output, 1.0F / s);
        if (p->b1 != NULL) {
            p->b1[c] /= s;
        }
        for (size_t o = 0; o < p->outer; o++) {
            scale_values(p->w2 + (o * p->channels + c) * p->inner, p->inner, s);
        }
        change = fmaxf(change, fabsf(s - 1.0F));
    }
    return change;
}

static pare_status find_pairs(pare_graph *graph, layer_pair *pairs, size_t *count, pare_error *error) {
    for (pare_node *node = graph->first; node != NULL; node = node->next) {
        pare_node *second = weights_of(node) != NULL ? next_layer(graph, node) : NULL;
        layer_pair pair = {.first = node, .second = second};
        if (second == NULL || !match(node, second, &pair)) {
            continue;
        }
        int bias = node->op->bias_input;
        bool has_bias = bias >= 0 && (size_t)bias < node->input_count && node->inputs[bias] != NULL;
        if (own_floats(graph, node, node->op->weight_input) == NULL ||
            own_floats(graph, second, second->op->weight_input) == NULL ||
            (has_bias && own_floats(graph, node, bias) == NULL)) {
            return pare_fail_memory(error, weights_of(node)->data_bytes);
        }
        pairs[(*count)++] = pair;
    }
    for (size_t i = 0; i < *count; i++) { /* only now no copy will replace another */
        layer_pair *p = &pairs[i];
        int bias = p->first->op->bias_input;
        p->w1 = p->first->inputs[p->first->op->weight_input]->data;
        p->w2 = p->second->inputs[p->second->op->weight_input]->data;
        p->b1 = bias >= 0 && (size_t)bias < p->first->input_count && p->first->inputs[bias] != NULL
                    ? p->first->inputs[bias]->data
                    : NULL;
    }
    return PARE_OK;
}

pare_status equalize_layers(pare_graph *graph, pare_error *error) {
    layer_pair *pairs = pare_alloc_zero(graph->node_count, sizeof *pairs);
    size_t count = 0;
    if (pairs == NULL) {
        return pare_fail_memory(error, graph->node_count * sizeof *pairs);
    }
    pare_status status = find_pairs(graph, pairs, &count, error);
    float change = 1.0F;
    for (int round = 0; status == PARE_OK && round < MOST_ROUNDS && change > 1e-3F; round++) {
        change = 0.0F;
        for (size_t i = 0; i < count; i++) {
            change = fmaxf(change, equalize_pair(&pairs[i]));
        }
    }
    pare_free(pairs);
    return status;
}
