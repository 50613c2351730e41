#include "layer_view.h"

#include <math.h>

#include "pare/memory.h"
#include "pare/op.h"

int output_channel_axis(const pare_node *node) {
    const pare_value *weights = node->inputs[node->op->weight_input];
    return weights->shape.rank > 2 ? 1 : node->outputs[0]->shape.rank - 1;
}

size_t output_channels(const pare_node *node) {
    return (size_t)node->outputs[0]->shape.dims[output_channel_axis(node)];
}

static pare_value *add_zero_bias(pare_graph *graph, pare_node *node, size_t channels) {
    pare_shape shape = {.rank = 1, .dims = {(int64_t)channels}};
    const pare_quant *input = node->inputs[0]->quant, *weights = node->inputs[node->op->weight_input]->quant;
    bool integer = input != NULL && weights != NULL;
    pare_value *bias =
        pare_graph_add_constant(graph, node->name, PARE_F32, &shape, NULL, channels * (integer ? 4 : sizeof(float)));
    float *scales = pare_arena_alloc(&graph->arena, channels, sizeof *scales);
    int32_t *zeros = pare_arena_alloc(&graph->arena, channels, sizeof *zeros);
    size_t index = (size_t)node->op->bias_input;
    if (bias == NULL || scales == NULL || zeros == NULL || !pare_graph_grow_inputs(graph, node, index + 1)) {
        return NULL;
    }
    if (integer) {
        for (size_t o = 0; o < weights->count; o++) {
            scales[o] = input->scales[0] * weights->scales[o];
        }
        bias->quant =
            pare_graph_add_quant(graph, PARE_S32, weights->count == 1 ? -1 : 0, weights->count, scales, zeros);
        if (bias->quant == NULL) {
            return NULL;
        }
    }
    pare_graph_set_input(graph, node, index, bias);
    return bias;
}

/* Constants' elements may be shared with other graphs: a changed one is new. */
static pare_value *own_copy(pare_graph *graph, pare_node *node, size_t index) {
    const pare_value *old = node->inputs[index];
    pare_value *copy = pare_graph_add_constant(graph, old->name, old->dtype, &old->shape, old->data, old->data_bytes);
    if (copy != NULL) {
        copy->quant = old->quant;
        pare_graph_set_input(graph, node, index, copy);
    }
    return copy;
}

pare_status bias_add(pare_graph *graph, pare_node *node, const double *delta, pare_error *error) {
    int index = node->op->bias_input;
    size_t channels = output_channels(node);
    if (index < 0) {
        return PARE_OK; /* MatMul has no place for one */
    }
    bool present = (size_t)index < node->input_count && node->inputs[index] != NULL;
    if (present && (node->inputs[index]->data == NULL || node->inputs[index]->shape.rank != 1)) {
        return PARE_OK;
    }
    pare_value *bias = present ? own_copy(graph, node, (size_t)index) : add_zero_bias(graph, node, channels);
    if (bias == NULL) {
        return pare_fail_memory(error, channels * sizeof(float));
    }
    for (size_t o = 0; o < channels; o++) {
        if (bias->quant != NULL) {
            int32_t *q = bias->data;
            double scale = (double)bias->quant->scales[bias->quant->count == 1 ? 0 : o];
            q[o] = (int32_t)fmax(-2147483647.0, fmin(2147483647.0, (double)q[o] + rint(delta[o] / scale)));
        } else {
            float *b = bias->data;
            b[o] += (float)delta[o];
        }
    }
    return PARE_OK;
}
