#include "bias_correction.h"

#include <string.h>

#include "layer_view.h"
#include "pare/lower.h"
#include "pare/memory.h"

/* Sums of one layer's output channels. */
typedef struct channel_means {
    const char *name; /* of the output value */
    int axis;
    size_t channels;
    double *sums;   /* [channels] */
    uint64_t count; /* elements a channel */
} channel_means;

typedef struct mean_observer {
    channel_means *layers;
    size_t count;
    const pare_model *model;
} mean_observer;

static void accumulate(channel_means *m, const pare_shape *shape, pare_dtype dtype, const pare_model_quant *quant,
                       const void *data) {
    size_t outer = 1, inner = 1;
    for (int i = 0; i < shape->rank; i++) {
        outer *= i < m->axis ? (size_t)shape->dims[i] : 1;
        inner *= i > m->axis ? (size_t)shape->dims[i] : 1;
    }
    for (size_t o = 0; o < outer; o++) {
        for (size_t c = 0; c < m->channels; c++) {
            size_t at = (o * m->channels + c) * inner;
            double sum = 0.0;
            for (size_t i = 0; i < inner; i++) {
                sum += dtype == PARE_F32 ? (double)((const float *)data)[at + i]
                                         : (double)(((const uint8_t *)data)[at + i] - quant->zero_points[0]) *
                                               (double)quant->scales[0];
            }
            m->sums[c] += sum;
        }
    }
    m->count += outer * inner;
}

static void observe(void *context, uint32_t tensor, const char *name, pare_dtype dtype, const pare_shape *shape,
                    const void *data) {
    mean_observer *o = context;
    const pare_model_quant *quant = o->model->tensors[tensor].quant;
    if (dtype != PARE_F32 && (dtype != PARE_U8 || quant == NULL)) {
        return;
    }
    for (size_t i = 0; i < o->count; i++) {
        if (strcmp(o->layers[i].name, name) == 0) {
            accumulate(&o->layers[i], shape, dtype, quant, data);
            return;
        }
    }
}

/* Runs the graph with every value in being and fills the layers' sums. */
static pare_status run_means(const pare_graph *graph, channel_means *layers, size_t count, pare_dataset *dataset,
                             const pare_preprocess *preprocess, const pare_run_options *options, pare_error *error) {
    pare_model *model = NULL;
    PARE_TRY(pare_graph_lower_with(graph, &(pare_lower_options){.keep_values = true}, &model, error));
    mean_observer observer = {layers, count, model};
    pare_run_options run = *options;
    run.batch = 1;
    run.observe = observe;
    run.observe_context = &observer;
    run.progress = NULL;
    pare_status status = pare_run_dataset(model, dataset, preprocess, &run, NULL, NULL, error);
    pare_model_release(model);
    return status;
}

static pare_status make_layers(const quant_selection *selection, pare_arena *arena, channel_means **layers,
                               pare_node ***nodes, size_t *count, pare_error *error) {
    *layers = pare_arena_alloc(arena, selection->node_count + 1, sizeof **layers);
    *nodes = pare_arena_alloc(arena, selection->node_count + 1, sizeof **nodes);
    *count = 0;
    for (size_t n = 0; *layers != NULL && *nodes != NULL && n < selection->node_count; n++) {
        pare_node *node = selection->nodes[n];
        if (node->op->quant != PARE_QUANT_WEIGHTED || node->op->bias_input < 0) {
            continue;
        }
        size_t channels = output_channels(node);
        double *sums = pare_arena_alloc(arena, channels, sizeof *sums);
        if (sums == NULL) {
            return pare_fail_memory(error, channels * sizeof *sums);
        }
        (*nodes)[*count] = node;
        (*layers)[(*count)++] = (channel_means){node->outputs[0]->name, output_channel_axis(node), channels, sums, 0};
    }
    return *layers != NULL && *nodes != NULL ? PARE_OK : pare_fail_memory(error, selection->node_count);
}

pare_status correct_biases(pare_graph *graph, const pare_graph *original, const quant_selection *selection,
                           pare_dataset *dataset, const pare_preprocess *preprocess, const pare_run_options *options,
                           pare_error *error) {
    pare_arena arena;
    pare_arena_init(&arena, SIZE_MAX);
    channel_means *expected, *found;
    pare_node **nodes;
    size_t count;
    pare_status status = make_layers(selection, &arena, &expected, &nodes, &count, error);
    if (status == PARE_OK) {
        status = make_layers(selection, &arena, &found, &nodes, &count, error);
    }
    if (status == PARE_OK) {
        status = run_means(original, expected, count, dataset, preprocess, options, error);
    }
    for (size_t i = 0; status == PARE_OK && i < count; i++) {
        status = run_means(graph, &found[i], 1, dataset, preprocess, options, error);
        for (size_t c = 0; status == PARE_OK && c < found[i].channels; c++) {
            found[i].sums[c] =
                expected[i].sums[c] / (double)expected[i].count - found[i].sums[c] / (double)found[i].count;
        }
        if (status == PARE_OK) {
            status = bias_add(graph, nodes[i], found[i].sums, error);
        }
        if (status == PARE_OK && options->progress != NULL &&
            !options->progress(options->progress_context, i + 1, count)) {
            status = pare_fail(error, PARE_INTERRUPTED, "interrupted while correcting biases");
        }
    }
    pare_arena_free(&arena);
    return status;
}
