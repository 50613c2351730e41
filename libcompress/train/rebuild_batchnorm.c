/* Finds the layers, lets the runtime compute them over the data, and puts what was
 * seen of each channel into a BatchNormalization that changes nothing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/graph_internal.h"
#include "pare/bytes.h"
#include "pare/lower.h"
#include "pare/op.h"
#include "pare/rebuild.h"

#define EPSILON 1e-5F

typedef struct moments {
    pare_node *node;
    size_t channels;
    uint64_t count;        /* elements a channel so far */
    double *means, *sums2; /* [channels]: mean, and sum of squared deviations from it */
} moments;

typedef struct rebuilding {
    pare_graph *graph;
    pare_arena arena;
    moments *layers; /* in order of execution */
    size_t layer_count;
    pare_name_table *layer_of; /* output's name -> moments */
    moments **layer_of_tensor;
    size_t samples, done;
} rebuilding;

static bool is_onnx(const pare_node *node, const char *name) {
    return strcmp(node->op->name, name) == 0 && node->op->domain[0] == '\0';
}

/* --- which layers --------------------------------------------------------- */

static bool is_float_constant(const pare_value *value) {
    return value != NULL && value->data != NULL && value->dtype == PARE_F32 && value->quant == NULL;
}

static bool has_weights(const pare_node *node) {
    int weights = node->op->weight_input;
    return weights >= 0 && (size_t)weights < node->input_count && node->inputs[weights] != NULL &&
           node->inputs[weights]->data != NULL;
}

static bool may_be_normalized(const pare_node *node) {
    const pare_value *y = node->outputs[0], *bias = node->input_count > 2 ? node->inputs[2] : NULL;
    if ((!is_onnx(node, "Conv") && !is_onnx(node, "ConvTranspose")) || y == NULL || y->quant != NULL ||
        y->dtype != PARE_F32 || !y->has_shape || y->shape.rank < 3 || y->shape.dims[1] < 1 ||
        !is_float_constant(node->inputs[1])) {
        return false;
    }
    return bias == NULL || (is_float_constant(bias) && bias->data_bytes == (size_t)y->shape.dims[1] * sizeof(float));
}

static bool note(pare_name_table *set, const pare_value *value) {
    return value == NULL || pare_name_table_find(set, value->name) != NULL ||
           pare_name_table_put(set, value->name, set);
}

static bool has_noted_output(const pare_name_table *set, const pare_node *node) {
    for (size_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != NULL && pare_name_table_find(set, node->outputs[i]->name) != NULL) {
            return true;
        }
    }
    return false;
}

static bool add_layer(rebuilding *r, pare_node *node) {
    size_t channels = (size_t)node->outputs[0]->shape.dims[1];
    moments *layer = &r->layers[r->layer_count++];
    *layer = (moments){.node = node,
                       .channels = channels,
                       .means = pare_arena_alloc(&r->arena, channels, sizeof(double)),
                       .sums2 = pare_arena_alloc(&r->arena, channels, sizeof(double))};
    return layer->means != NULL && layer->sums2 != NULL &&
           pare_name_table_put(r->layer_of, node->outputs[0]->name, layer);
}

/* Backwards, so that each node knows what reads it. */
static bool find_layers(rebuilding *r) {
    pare_name_table *normalized = pare_name_table_create(&r->arena); /* values that a BatchNormalization reads */
    pare_name_table *followed = pare_name_table_create(&r->arena);   /* values that a layer with weights depends on */
    r->layer_of = pare_name_table_create(&r->arena);
    r->layers = pare_arena_alloc(&r->arena, r->graph->node_count + 1, sizeof *r->layers);
    bool fits = normalized != NULL && followed != NULL && r->layer_of != NULL && r->layers != NULL;
    for (pare_node *node = r->graph->last; fits && node != NULL; node = node->previous) {
        bool followed_here = has_noted_output(followed, node);
        if (followed_here && may_be_normalized(node) && !has_noted_output(normalized, node)) {
            fits = add_layer(r, node);
        }
        if (is_onnx(node, "BatchNormalization")) {
            fits = fits && note(normalized, node->inputs[0]);
        }
        for (size_t i = 0; fits && (followed_here || has_weights(node)) && i < node->input_count; i++) {
            fits = note(followed, node->inputs[i]);
        }
    }
    return fits;
}

/* --- what is seen of them ------------------------------------------------- */

/* Joins a row to what was seen of its channel before (Chan, Golub and LeVeque 1979, eq. 2.1). The row's own
 * moments take two passes: no large squares cancel, however far the mean is from 0. */
static void add_row(double *mean, double *sum2, uint64_t seen, const float *row, size_t count) {
    double sum = 0, row_sum2 = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)row[i];
    }
    double row_mean = sum / (double)count;
    for (size_t i = 0; i < count; i++) {
        double deviation = (double)row[i] - row_mean;
        row_sum2 += deviation * deviation;
    }
    double apart = row_mean - *mean, share = (double)count / ((double)seen + (double)count);
    *mean += apart * share;
    *sum2 += row_sum2 + apart * apart * (double)seen * share;
}

static void observe(void *context, uint32_t tensor, const char *name, pare_dtype dtype, const pare_shape *shape,
                    const void *data) {
    rebuilding *r = context;
    moments *layer = r->layer_of_tensor[tensor];
    (void)name;
    (void)dtype; /* float, as may_be_normalized says */
    if (layer == NULL) {
        return;
    }
    size_t rows = (size_t)shape->dims[0], inner = 1;
    int64_t open = layer->node->outputs[0]->shape.dims[0];
    if (open < 0) { /* rows of each sample; the last batch may be padded */
        size_t each = (size_t)-open, left = r->samples - r->done;
        rows = rows / each < left ? rows : left * each;
    }
    for (int32_t a = 2; a < shape->rank; a++) {
        inner *= (size_t)shape->dims[a];
    }
    const float *row = data;
    for (size_t i = 0; inner > 0 && i < rows; i++) {
        for (size_t c = 0; c < layer->channels; c++, row += inner) {
            add_row(&layer->means[c], &layer->sums2[c], layer->count, row, inner);
        }
        layer->count += inner;
    }
}

static pare_status count_samples(void *context, const float *inputs, size_t inputs_per_sample, const float *outputs,
                                 size_t outputs_per_sample, const int64_t *classes, const float *values,
                                 size_t targets_per_sample, size_t count, pare_error *error) {
    rebuilding *r = context;
    (void)inputs, (void)inputs_per_sample, (void)outputs, (void)outputs_per_sample;
    (void)classes, (void)values, (void)targets_per_sample, (void)error;
    r->done += count;
    return PARE_OK;
}

static pare_status check_finite(const rebuilding *r, pare_error *error) {
    for (size_t i = r->layer_count; i-- > 0;) {
        const moments *layer = &r->layers[i];
        for (size_t c = 0; c < layer->channels; c++) {
            if (!isfinite(layer->means[c]) || !isfinite(layer->sums2[c])) {
                return pare_node_fail(layer->node, error, PARE_BAD_INPUT,
                                      "expected a finite output on this data, found NaN or infinity in channel %zu", c);
            }
        }
    }
    return PARE_OK;
}

static pare_status measure(rebuilding *r, pare_dataset *data, const pare_preprocess *preprocess,
                           const pare_run_options *run, pare_error *error) {
    pare_model *model = NULL;
    pare_run_options options = *run;
    options.observe = observe;
    options.observe_context = r;
    PARE_TRY(pare_graph_lower_with(r->graph, &(pare_lower_options){.keep_values = true}, &model, error));
    r->samples = pare_dataset_count(data);
    r->layer_of_tensor = pare_arena_alloc(&r->arena, (size_t)model->tensor_count + 1, sizeof *r->layer_of_tensor);
    pare_status status = PARE_OK;
    if (r->layer_of_tensor == NULL) {
        status = pare_fail_memory(error, model->tensor_count * sizeof *r->layer_of_tensor);
    }
    for (uint32_t t = 0; status == PARE_OK && t < model->tensor_count; t++) {
        r->layer_of_tensor[t] = pare_name_table_find(r->layer_of, model->tensors[t].name);
    }
    if (status == PARE_OK) {
        status = pare_run_dataset(model, data, preprocess, &options, count_samples, r, error);
    }
    pare_model_release(model);
    return status == PARE_OK ? check_finite(r, error) : status;
}

/* --- what becomes of them ------------------------------------------------- */

enum { SCALE, SHIFT, MEAN, VARIANCE, PARTS };

/* From the rounded mean and variance, so that their rounding is made up for. */
static bool make_parts(rebuilding *r, const moments *layer, pare_value **parts) {
    static const char *const names[PARTS] = {"scale", "shift", "mean", "variance"};
    const pare_node *node = layer->node;
    const float *bias = node->input_count > 2 && node->inputs[2] != NULL ? node->inputs[2]->data : NULL;
    pare_shape shape = {.rank = 1, .dims = {(int64_t)layer->channels}};
    float *numbers[PARTS];
    for (int p = 0; p < PARTS; p++) {
        numbers[p] = pare_arena_alloc(&r->graph->arena, layer->channels, sizeof(float));
        if (numbers[p] == NULL) {
            return false;
        }
    }
    for (size_t c = 0; c < layer->channels; c++) {
        double b = bias != NULL ? (double)bias[c] : 0.0;
        numbers[MEAN][c] = (float)(layer->means[c] - b);
        numbers[VARIANCE][c] = (float)(layer->sums2[c] / (double)layer->count);
        numbers[SCALE][c] = (float)sqrt((double)numbers[VARIANCE][c] + (double)EPSILON);
        numbers[SHIFT][c] = (float)((double)numbers[MEAN][c] + b);
    }
    for (int p = 0; p < PARTS; p++) {
        char name[1100];
        snprintf(name, sizeof name, "%.*s_bn_%s", (int)pare_utf8_cut(node->name, 1000), node->name, names[p]);
        parts[p] = pare_graph_adopt_constant(r->graph, name, PARE_F32, &shape, numbers[p],
                                             layer->channels * sizeof *numbers[p]);
        if (parts[p] == NULL) {
            return false;
        }
    }
    return true;
}

/* The normalization produces the layer's value, which keeps its name and readers. */
static bool insert(rebuilding *r, const moments *layer, const pare_op *op) {
    pare_graph *graph = r->graph;
    pare_node *node = layer->node;
    pare_value *y = node->outputs[0], *inputs[1 + PARTS];
    char name[1100];
    snprintf(name, sizeof name, "%.*s_bn", (int)pare_utf8_cut(node->name, 1000), node->name);
    inputs[0] = pare_graph_add_value(graph, y->name, PARE_F32, &y->shape);
    if (inputs[0] == NULL || !make_parts(r, layer, inputs + 1)) {
        return false;
    }
    node->outputs[0] = inputs[0];
    inputs[0]->producer = node;
    y->producer = NULL;
    pare_node *norm = pare_graph_insert_node(graph, node->next, op, name, inputs, 1 + PARTS, &y, 1);
    if (norm == NULL) {
        node->outputs[0] = y;
        inputs[0]->producer = NULL;
        y->producer = node;
        return false;
    }
    if (node->input_count > 2) {
        pare_graph_set_input(graph, node, 2, NULL);
        node->input_count = 2;
    }
    return pare_node_set_float(graph, norm, "epsilon", EPSILON);
}

static pare_status rebuild(rebuilding *r, size_t *inserted, pare_error *error) {
    const pare_op *op = pare_op_find("", "BatchNormalization", r->graph->opset);
    for (size_t i = r->layer_count; i-- > 0;) {
        if (r->layers[i].count == 0) { /* nothing computes it */
            continue;
        }
        if (op == NULL || !insert(r, &r->layers[i], op)) {
            return pare_graph_fail_memory(r->graph, error);
        }
        ++*inserted;
    }
    return PARE_OK;
}

pare_status pare_rebuild_batchnorm(pare_graph *graph, pare_dataset *data, const pare_preprocess *preprocess,
                                   const pare_run_options *run, size_t *inserted, pare_error *error) {
    rebuilding r = {.graph = graph};
    size_t count = 0;
    pare_arena_init(&r.arena, SIZE_MAX);
    pare_status status = find_layers(&r) ? PARE_OK : pare_fail_memory(error, graph->node_count * sizeof *r.layers);
    if (status == PARE_OK && r.layer_count > 0) {
        status = measure(&r, data, preprocess, run, error);
        if (status == PARE_OK) {
            status = rebuild(&r, &count, error);
        }
        pare_graph_drop_unused_values(graph);
    }
    if (inserted != NULL) {
        *inserted = count;
    }
    pare_arena_free(&r.arena);
    return status;
}
