#include "apply.h"

#include <math.h>
#include <string.h>

#include "pare/memory.h"
#include "weight_rounding.h"

const pare_range *range_find(const pare_calibration *calibration, const char *name) {
    for (size_t i = 0; i < calibration->count; i++) {
        if (strcmp(calibration->ranges[i].name, name) == 0) {
            return &calibration->ranges[i];
        }
    }
    return NULL;
}

const pare_value *root_of(const quant_selection *selection, const pare_value *value) {
    while (value->producer != NULL && value->producer->op->quant == PARE_QUANT_MOVE &&
           selection_contains(selection, value->producer)) {
        value = value->producer->inputs[0];
    }
    return value;
}

static pare_range *root_range(const quant_selection *selection, pare_calibration *calibration,
                              const pare_value *value) {
    return (pare_range *)range_find(calibration, root_of(selection, value)->name);
}

void ranges_join(const quant_selection *selection, pare_calibration *calibration) {
    for (size_t round = 0; round < 2; round++) { /* twice: values may belong to several joins */
        for (size_t n = 0; n < selection->node_count; n++) {
            const pare_node *node = selection->nodes[n];
            float low = 0.0F, high = 0.0F;
            for (size_t pass = 0; node->op->quant == PARE_QUANT_JOIN && pass < 2; pass++) {
                for (size_t i = 0; i <= node->input_count; i++) {
                    pare_range *range =
                        root_range(selection, calibration, i < node->input_count ? node->inputs[i] : node->outputs[0]);
                    if (range != NULL && pass == 0) {
                        low = fminf(low, range->low);
                        high = fmaxf(high, range->high);
                    } else if (range != NULL) {
                        range->low = low;
                        range->high = high;
                    }
                }
            }
        }
    }
}

static bool calibrated_grid(const void *context, const pare_value *value, float *scale, int32_t *zero_point) {
    const pare_range *range = range_find(context, value->name);
    if (range == NULL) {
        return false;
    }
    *scale = (float)(((double)range->high - (double)range->low) / 255.0);
    if (!(*scale >= 1e-30F)) {
        *scale = 1.0F; /* always zero on the calibration data */
    }
    float zero = rintf(-range->low / *scale);
    *zero_point = zero < 0.0F ? 0 : zero > 255.0F ? 255 : (int32_t)zero;
    return true;
}

static pare_status quantize_value(pare_graph *graph, pare_value *value, activation_grid grid, const void *context,
                                  pare_error *error) {
    float scale;
    int32_t zero_point;
    if (value->quant != NULL) {
        return PARE_OK;
    }
    if (!grid(context, value, &scale, &zero_point)) {
        return pare_fail(error, PARE_INTERNAL, "value \"%s\" was not calibrated", value->name);
    }
    value->quant = pare_graph_add_quant(graph, PARE_U8, -1, 1, &scale, &zero_point);
    return value->quant != NULL ? PARE_OK : pare_fail_memory(error, sizeof *value->quant);
}

pare_status apply_grids(pare_graph *graph, const quant_selection *selection, activation_grid grid, const void *context,
                        pare_error *error) {
    for (size_t n = 0; n < selection->node_count; n++) {
        pare_node *node = selection->nodes[n];
        for (size_t i = 0; i < activation_inputs(node); i++) {
            if (!selection_absorbs(selection, graph, node->inputs[i])) {
                PARE_TRY(quantize_value(graph, node->inputs[i], grid, context, error));
            }
        }
        pare_value *output = node->outputs[0];
        if (node->op->quant == PARE_QUANT_MOVE) {
            output->quant = node->inputs[0]->quant;
        } else if (!selection_absorbs(selection, graph, output)) {
            PARE_TRY(quantize_value(graph, output, grid, context, error));
        }
    }
    return PARE_OK;
}

pare_status apply_activations(pare_graph *graph, const quant_selection *selection, const pare_calibration *calibration,
                              pare_error *error) {
    return apply_grids(graph, selection, calibrated_grid, calibration, error);
}

void bias_bounds(const float *bias, size_t channels, float input_scale, float *least) {
    for (size_t o = 0; o < channels; o++) {
        least[o] = fabsf(bias[o]) / (input_scale * 1073741824.0F);
    }
}

static pare_status quantize_bias(pare_graph *graph, pare_node *node, const float *bias, const pare_value *old,
                                 float input_scale, const pare_quant *weights, pare_error *error) {
    size_t channels = (size_t)old->shape.dims[old->shape.rank - 1];
    int32_t *rounded = pare_alloc_zero(channels, sizeof *rounded);
    float *scales = pare_alloc_zero(channels, sizeof *scales);
    int32_t *zeros = pare_alloc_zero(channels, sizeof *zeros);
    pare_status status = pare_fail_memory(error, channels * sizeof *rounded);
    if (rounded == NULL || scales == NULL || zeros == NULL) {
        goto done;
    }
    for (size_t o = 0; o < channels; o++) {
        scales[o] = input_scale * weights->scales[weights->count == 1 ? 0 : o];
        double value = rint((double)bias[o] / (double)scales[o]);
        rounded[o] = (int32_t)fmax(-2147483647.0, fmin(2147483647.0, value));
    }
    pare_value *constant =
        pare_graph_add_constant(graph, old->name, old->dtype, &old->shape, rounded, channels * sizeof *rounded);
    if (constant != NULL) {
        bool one = weights->count == 1;
        constant->quant = pare_graph_add_quant(graph, PARE_S32, one ? -1 : 0, one ? 1 : channels, scales, zeros);
        if (constant->quant != NULL) {
            pare_graph_set_input(graph, node, (size_t)node->op->bias_input, constant);
            status = PARE_OK;
        }
    }
done:
    pare_free(rounded);
    pare_free(scales);
    pare_free(zeros);
    return status;
}

pare_value *vector_bias(const pare_node *node, size_t channels) {
    int index = node->op->bias_input;
    pare_value *bias = index >= 0 && (size_t)index < node->input_count ? node->inputs[index] : NULL;
    bool vector = bias != NULL && bias->data != NULL && bias->quant == NULL && bias->shape.rank == 1 &&
                  bias->shape.dims[0] == (int64_t)channels;
    return vector ? bias : NULL;
}

static pare_layer_report *report_row(pare_quantize_report *report, const char *name) {
    for (size_t i = 0; report != NULL && i < report->layer_count; i++) {
        if (strcmp(report->layers[i].node, name) == 0) {
            return &report->layers[i];
        }
    }
    return NULL;
}

static pare_status replace_weights(pare_graph *graph, pare_node *node, const pare_value *old, const int8_t *rounded,
                                   const float *scales, size_t scale_count, pare_error *error) {
    int32_t *zeros = pare_alloc_zero(scale_count, sizeof *zeros);
    pare_value *constant =
        pare_graph_add_constant(graph, old->name, old->dtype, &old->shape, rounded, old->data_bytes / sizeof(float));
    if (zeros != NULL && constant != NULL) {
        int axis = scale_count == 1 ? -1 : node->op->weight_channel_axis;
        constant->quant = pare_graph_add_quant(graph, PARE_S8, axis, scale_count, scales, zeros);
    }
    pare_free(zeros);
    if (constant == NULL || constant->quant == NULL) {
        return pare_fail_memory(error, old->data_bytes);
    }
    pare_graph_set_input(graph, node, (size_t)node->op->weight_input, constant);
    return PARE_OK;
}

pare_status apply_integers(pare_graph *graph, pare_node *node, const pare_value *weights, const int8_t *rounded,
                           const float *scales, size_t scale_count, pare_error *error) {
    weight_view view = weight_view_of(&weights->shape, node->op->weight_channel_axis);
    const pare_value *bias = vector_bias(node, view.channels);
    const pare_quant *input = node->inputs[0]->quant;
    PARE_TRY(replace_weights(graph, node, weights, rounded, scales, scale_count, error));
    if (bias == NULL || input == NULL) {
        return PARE_OK;
    }
    size_t count = 0;
    const float *values = pare_value_floats(graph, bias, &count);
    if (values == NULL) {
        return pare_fail_memory(error, bias->data_bytes);
    }
    return quantize_bias(graph, node, values, bias, input->scales[0], node->inputs[node->op->weight_input]->quant,
                         error);
}

static pare_status quantize_layer(pare_graph *graph, pare_node *node, pare_value *weights,
                                  const pare_quantize_options *options, pare_layer_report *row, pare_error *error) {
    size_t count, bias_count;
    const float *values = pare_value_floats(graph, weights, &count);
    weight_view view = weight_view_of(&weights->shape, node->op->weight_channel_axis);
    pare_value *bias = vector_bias(node, view.channels);
    const float *bias_values = bias != NULL ? pare_value_floats(graph, bias, &bias_count) : NULL;
    int8_t *rounded = pare_alloc_zero(count, 1);
    float *scales = pare_alloc_zero(view.channels, sizeof *scales);
    float *least = pare_alloc_zero(view.channels, sizeof *least);
    size_t scale_count = options->per_tensor || view.channels == 1 ? 1 : view.channels;
    const pare_quant *input = node->inputs[0]->quant;
    rounding_result result;
    pare_status status = pare_fail_memory(error, count);
    if (values == NULL || rounded == NULL || scales == NULL || least == NULL || (bias != NULL && bias_values == NULL)) {
        goto done;
    }
    if (bias != NULL && input != NULL) {
        bias_bounds(bias_values, view.channels, input->scales[0], least);
    }
    /* In float nothing saturates, so weights alone need no rule for pairs. */
    round_weights(values, &view, scale_count == 1, input != NULL ? options->pairs : PARE_PAIRS_FREE, least, rounded,
                  scales, &result);
    if (row != NULL) {
        row->weight_sqnr_db = 10.0 * log10(result.signal / result.noise);
        row->pairs = result.pairs;
        row->nudged_pairs = result.nudged;
    }
    status = apply_integers(graph, node, weights, rounded, scales, scale_count, error);
done:
    pare_free(rounded);
    pare_free(scales);
    pare_free(least);
    return status;
}

pare_status apply_weights(pare_graph *graph, const quant_selection *selection, const pare_quantize_options *options,
                          pare_quantize_report *report, pare_error *error) {
    for (pare_node *node = graph->first; node != NULL; node = node->next) {
        pare_value *weights = weights_of(node);
        if (weights == NULL || weights->quant != NULL || (selection != NULL && !selection_contains(selection, node))) {
            continue;
        }
        pare_status status = quantize_layer(graph, node, weights, options, report_row(report, node->name), error);
        if (status != PARE_OK) {
            pare_error_prefix(error, "node \"%s\" (%s): ", node->name, node->op->name);
            return status;
        }
    }
    return PARE_OK;
}
