/* Weights of least magnitude become zeros. */
#include <math.h>
#include <string.h>

#include "pare/lower.h"
#include "pare/memory.h"
#include "pare/op.h"
#include "prune/prune_internal.h"
#include "prune/weight_choice.h"
#include "quant/weight_rounding.h"

/* Constants that layers read as their weights, each once. */
typedef struct weight_list {
    pare_value **values;
    int *channel_axes;
    prune_layer *layers;
    size_t count, weights;
} weight_list;

static pare_value *plain_weights(const pare_node *node) {
    pare_value *value = pare_node_weights(node);
    bool plain = value != NULL && value->dtype == PARE_F32 && value->quant == NULL && value->shape.rank >= 2;
    return plain ? value : NULL;
}

static pare_status list_weights(const pare_graph *graph, weight_list *list, pare_error *error) {
    list->values = pare_alloc_zero(graph->node_count + 1, sizeof *list->values);
    list->channel_axes = pare_alloc_zero(graph->node_count + 1, sizeof *list->channel_axes);
    list->layers = pare_alloc_zero(graph->node_count + 1, sizeof *list->layers);
    if (list->values == NULL || list->channel_axes == NULL || list->layers == NULL) {
        return pare_fail_memory(error, graph->node_count * sizeof *list->layers);
    }
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        pare_value *value = plain_weights(node);
        bool seen = value == NULL;
        for (size_t i = 0; !seen && i < list->count; i++) {
            seen = list->values[i] == value;
        }
        if (!seen) {
            list->values[list->count] = value;
            list->channel_axes[list->count] = node->op->weight_channel_axis;
            list->layers[list->count++] = (prune_layer){value->data, value->data_bytes / sizeof(float)};
            list->weights += value->data_bytes / sizeof(float);
        }
    }
    return list->count > 0
               ? PARE_OK
               : pare_fail(error, PARE_UNSUPPORTED, "expected layers with constant float weights, found none");
}

static void free_list(weight_list *list) {
    pare_free(list->values);
    pare_free(list->channel_axes);
    pare_free(list->layers);
}

static size_t count_zeros(const weight_list *list) {
    size_t zeros = 0;
    for (size_t i = 0; i < list->count; i++) {
        for (size_t k = 0; k < list->layers[i].count; k++) {
            zeros += list->layers[i].weights[k] == 0;
        }
    }
    return zeros;
}

/* --- which ----------------------------------------------------------------------------------- */

/* Of the `count` weights from `first` on, `stride` apart, all but the `kept` largest; of equals the first stay. */
static void thin_group(float *first, size_t stride, size_t count, size_t kept) {
    size_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        filled += first[i * stride] != 0;
    }
    for (; filled > kept; filled--) {
        size_t least = count;
        for (size_t i = 0; i < count; i++) {
            float w = fabsf(first[i * stride]);
            least = w != 0 && (least == count || w <= fabsf(first[least * stride])) ? i : least;
        }
        first[least * stride] = 0;
    }
}

static void thin_layer(float *weights, const weight_view *view, size_t kept, size_t of) {
    for (size_t o = 0; o < view->channels; o++) {
        for (size_t t = 0; t < view->taps; t++) {
            float *row = weights + o * view->channel_stride + t * view->tap_stride;
            for (size_t k = 0; k < view->reduction; k += of) {
                size_t count = view->reduction - k < of ? view->reduction - k : of;
                thin_group(row + k * view->k_stride, view->k_stride, count, kept);
            }
        }
    }
}

static pare_status make_zeros(const weight_list *list, const pare_weight_prune_options *options, pare_error *error) {
    for (size_t i = 0; options->of > 0 && i < list->count; i++) {
        weight_view view = weight_view_of(&list->values[i]->shape, list->channel_axes[i]);
        thin_layer(list->values[i]->data, &view, (size_t)options->kept, (size_t)options->of);
    }
    if (options->of > 0) {
        return PARE_OK;
    }
    bool *chosen = pare_alloc_zero(list->weights + 1, sizeof *chosen);
    if (chosen == NULL) {
        return pare_fail_memory(error, list->weights);
    }
    pare_status status =
        prune_choose_weights(list->layers, list->count, options->scope, options->sparsity, chosen, error);
    size_t next = 0;
    for (size_t i = 0; status == PARE_OK && i < list->count; i++) {
        float *weights = list->values[i]->data;
        for (size_t k = 0; k < list->layers[i].count; k++) {
            weights[k] = chosen[next++] ? 0.0F : weights[k];
        }
    }
    pare_free(chosen);
    return status;
}

/* --- all --------------------------------------------------------------------------------------- */

static pare_status check_options(const pare_weight_prune_options *o, pare_error *error) {
    if (!(o->sparsity >= 0 && o->sparsity < 1) || (o->sparsity > 0) == (o->of > 0)) {
        return pare_fail(error, PARE_USAGE,
                         "expected a sparsity above 0 and below 1, or a pattern N:M, found %g and %d:%d", o->sparsity,
                         (int)o->kept, (int)o->of);
    }
    return o->of == 0 || (o->kept > 0 && o->kept < o->of)
               ? PARE_OK
               : pare_fail(error, PARE_USAGE, "expected a pattern N:M with N from 1 to M - 1, found %d:%d",
                           (int)o->kept, (int)o->of);
}

static pare_status file_bytes(const pare_graph *graph, size_t *bytes, pare_error *error) {
    pare_model *model = NULL;
    PARE_TRY(pare_graph_lower(graph, &model, error));
    pare_status status = prune_file_bytes(model, bytes, error);
    pare_model_release(model);
    return status;
}

static pare_status prune(pare_graph *graph, const pare_weight_prune_options *options, weight_list *list,
                         pare_weight_prune_report *report, pare_error *error) {
    PARE_TRY(pare_graph_own_constants(graph, error));
    PARE_TRY(list_weights(graph, list, error));
    report->weights = list->weights;
    report->zeros_before = count_zeros(list);
    PARE_TRY(file_bytes(graph, &report->bytes_before, error));
    PARE_TRY(make_zeros(list, options, error));
    report->zeros_after = count_zeros(list);
    return file_bytes(graph, &report->bytes_after, error);
}

pare_status pare_prune_weights(const pare_graph *graph, const pare_weight_prune_options *options, pare_graph **pruned,
                               pare_weight_prune_report *report, pare_error *error) {
    pare_weight_prune_report unread, *filled = report != NULL ? report : &unread;
    weight_list list = {.count = 0};
    *pruned = NULL;
    *filled = (pare_weight_prune_report){.weights = 0};
    PARE_TRY(check_options(options, error));
    PARE_TRY(pare_graph_clone(graph, pruned, error));
    pare_status status = prune(*pruned, options, &list, filled, error);
    free_list(&list);
    if (status != PARE_OK) {
        pare_graph_free(*pruned);
        *pruned = NULL;
    }
    return status;
}
