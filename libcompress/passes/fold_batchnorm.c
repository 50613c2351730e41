/* BatchNormalization y = a x + s by channel, with a = scale / sqrt(variance +
 * epsilon) and s = bias - mean a, folded into the constant weights beside it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pare/bytes.h"
#include "pare/passes.h"
#include "passes/pass_helpers.h"

typedef struct affine {
    size_t channels;
    double *a, *s;
} affine;

static bool read_affine(pare_graph *graph, const pare_node *node, affine *map) {
    const float *parts[4];
    for (size_t i = 0; i < 4; i++) {
        const pare_value *value = pass_input(node, i + 1);
        if (!pass_is_float_constant(value) || value->data_bytes != node->inputs[1]->data_bytes) {
            return false;
        }
        parts[i] = value->data;
    }
    map->channels = node->inputs[1]->data_bytes / sizeof(float);
    map->a = pare_arena_alloc(&graph->arena, map->channels + 1, sizeof *map->a);
    map->s = pare_arena_alloc(&graph->arena, map->channels + 1, sizeof *map->s);
    double epsilon = (double)pare_node_float(node, "epsilon", 1e-5F);
    for (size_t c = 0; map->a != NULL && map->s != NULL && c < map->channels; c++) {
        double variance = (double)parts[3][c] + epsilon;
        if (!(variance > 0.0)) {
            return false;
        }
        map->a[c] = (double)parts[0][c] / sqrt(variance);
        map->s[c] = (double)parts[1][c] - (double)parts[2][c] * map->a[c];
    }
    return map->a != NULL && map->s != NULL;
}

/* Weights as [outer][middle][inner]: how output and input channels lie in them. */
typedef struct weight_layout {
    size_t groups, out_per_group, in_per_group, taps;
    bool input_major; /* ConvTranspose: [group × in][out][taps] */
} weight_layout;

static bool layout_of(const pare_node *node, weight_layout *layout) {
    const pare_value *w = pass_input(node, 1), *b = pass_input(node, 2);
    bool conv = pass_is(node, "Conv"), transposed = pass_is(node, "ConvTranspose"), gemm = pass_is(node, "Gemm");
    if ((!conv && !transposed && !gemm) || !pass_is_float_constant(w) || w->shape.rank < 2 ||
        (b != NULL && !pass_is_float_constant(b))) {
        return false;
    }
    int64_t group = gemm ? 1 : pare_node_int(node, "group", 1);
    int64_t outer = w->shape.dims[0], inner = w->shape.dims[1];
    if (group < 1 || outer <= 0 || inner <= 0 || outer % group != 0 ||
        (gemm && (pare_node_int(node, "transB", 0) != 1 || pare_node_float(node, "alpha", 1.0F) != 1.0F ||
                  pare_node_float(node, "beta", 1.0F) != 1.0F))) {
        return false;
    }
    *layout = (weight_layout){.groups = (size_t)group, .taps = 1, .input_major = transposed};
    layout->out_per_group = (size_t)(transposed ? inner : outer / group);
    layout->in_per_group = (size_t)(transposed ? outer / group : inner);
    for (int32_t d = 2; d < w->shape.rank; d++) {
        layout->taps *= (size_t)w->shape.dims[d];
    }
    size_t outputs = layout->groups * layout->out_per_group;
    return b == NULL || (b->shape.rank == 1 && b->data_bytes == outputs * sizeof(float));
}

static size_t weight_at(const weight_layout *layout, size_t group, size_t out, size_t in) {
    size_t row = layout->input_major ? group * layout->in_per_group + in : group * layout->out_per_group + out;
    size_t column = layout->input_major ? out : in;
    size_t columns = layout->input_major ? layout->out_per_group : layout->in_per_group;
    return (row * columns + column) * layout->taps;
}

typedef struct folding {
    pare_graph *graph;
    pare_node *node; /* that holds the weights */
    weight_layout layout;
    affine map;
    float *weights;
    double *biases;
} folding;

static bool begin(folding *fold) {
    const pare_value *w = fold->node->inputs[1], *b = pass_input(fold->node, 2);
    size_t outputs = fold->layout.groups * fold->layout.out_per_group;
    fold->weights = pare_arena_alloc(&fold->graph->arena, w->data_bytes + 1, 1);
    fold->biases = pare_arena_alloc(&fold->graph->arena, outputs + 1, sizeof *fold->biases);
    if (fold->weights == NULL || fold->biases == NULL) {
        return false;
    }
    memcpy(fold->weights, w->data, w->data_bytes);
    for (size_t i = 0; b != NULL && i < outputs; i++) {
        fold->biases[i] = (double)((const float *)b->data)[i];
    }
    return true;
}

static bool finish(folding *fold) {
    pare_graph *graph = fold->graph;
    pare_node *node = fold->node;
    size_t outputs = fold->layout.groups * fold->layout.out_per_group;
    pare_shape shape = node->inputs[1]->shape, row = {.rank = 1, .dims = {(int64_t)outputs}};
    size_t bytes = node->inputs[1]->data_bytes;
    float *bias = pare_arena_alloc(&graph->arena, outputs + 1, sizeof *bias);
    if (bias == NULL || pass_replace_constant(graph, node, 1, &shape, fold->weights, bytes) == NULL) {
        return false;
    }
    for (size_t i = 0; i < outputs; i++) {
        bias[i] = (float)fold->biases[i];
    }
    if (pass_input(node, 2) != NULL) {
        return pass_replace_constant(graph, node, 2, &row, bias, outputs * sizeof *bias) != NULL;
    }
    char name[1100];
    snprintf(name, sizeof name, "%.*s_bias", (int)pare_utf8_cut(node->name, 1000), node->name);
    pare_value *made = pare_graph_adopt_constant(graph, name, PARE_F32, &row, bias, outputs * sizeof *bias);
    if (made == NULL || !pare_graph_grow_inputs(graph, node, 3)) {
        return false;
    }
    pare_graph_set_input(graph, node, 2, made);
    return true;
}

/* y = a (W x + b) + s */
static bool scale_outputs(folding *fold) {
    const weight_layout *layout = &fold->layout;
    if (!begin(fold)) {
        return false;
    }
    for (size_t g = 0; g < layout->groups; g++) {
        for (size_t out = 0; out < layout->out_per_group; out++) {
            size_t channel = g * layout->out_per_group + out;
            for (size_t in = 0; in < layout->in_per_group; in++) {
                float *tap = fold->weights + weight_at(layout, g, out, in);
                for (size_t t = 0; t < layout->taps; t++) {
                    tap[t] = (float)((double)tap[t] * fold->map.a[channel]);
                }
            }
            fold->biases[channel] = fold->biases[channel] * fold->map.a[channel] + fold->map.s[channel];
        }
    }
    return finish(fold);
}

/* y = W (a x + s) + b */
static bool scale_inputs(folding *fold) {
    const weight_layout *layout = &fold->layout;
    if (!begin(fold)) {
        return false;
    }
    for (size_t g = 0; g < layout->groups; g++) {
        for (size_t out = 0; out < layout->out_per_group; out++) {
            for (size_t in = 0; in < layout->in_per_group; in++) {
                size_t channel = g * layout->in_per_group + in;
                float *tap = fold->weights + weight_at(layout, g, out, in);
                for (size_t t = 0; t < layout->taps; t++) {
                    fold->biases[g * layout->out_per_group + out] += (double)tap[t] * fold->map.s[channel];
                    tap[t] = (float)((double)tap[t] * fold->map.a[channel]);
                }
            }
        }
    }
    return finish(fold);
}

/* A shift of the input equals a shift of the output only where no padding is mixed in. */
static bool is_unpadded(const pare_node *node) {
    const int64_t *pads = NULL;
    size_t count = pare_node_ints(node, "pads", &pads);
    const char *automatic = pare_node_string(node, "auto_pad", "NOTSET");
    for (size_t i = 0; i < count; i++) {
        if (pads[i] != 0) {
            return false;
        }
    }
    return strcmp(automatic, "NOTSET") == 0 || strcmp(automatic, "VALID") == 0;
}

static bool plain(const pare_value *value) {
    return value->quant == NULL && !value->is_output && value->use_count == 1;
}

static pare_status fold_backwards(pare_graph *graph, pare_node *norm, pare_scaled scaled, void *context, bool *done,
                                  pare_error *error) {
    pare_value *x = norm->inputs[0];
    folding fold = {.graph = graph, .node = x->producer};
    if (fold.node == NULL || !plain(x) || !layout_of(fold.node, &fold.layout) || !read_affine(graph, norm, &fold.map) ||
        fold.map.channels != fold.layout.groups * fold.layout.out_per_group) {
        return PARE_OK;
    }
    if (!scale_outputs(&fold)) {
        return pare_graph_fail_memory(graph, error);
    }
    if (scaled != NULL) {
        scaled(context, fold.node, fold.map.a, fold.map.channels);
    }
    pass_take_over(graph, fold.node, norm);
    *done = true;
    return PARE_OK;
}

static pare_status fold_forwards(pare_graph *graph, pare_node *norm, bool *done, pare_error *error) {
    pare_value *y = norm->outputs[0];
    folding fold = {.graph = graph, .node = pare_graph_only_user(graph, y)};
    if (fold.node == NULL || y->quant != NULL || fold.node->inputs[0] != y || pass_is(fold.node, "ConvTranspose") ||
        pare_node_int(fold.node, "transA", 0) != 0 || !layout_of(fold.node, &fold.layout) || !is_unpadded(fold.node) ||
        !read_affine(graph, norm, &fold.map) || fold.map.channels != fold.layout.groups * fold.layout.in_per_group) {
        return PARE_OK;
    }
    if (!scale_inputs(&fold)) {
        return pare_graph_fail_memory(graph, error);
    }
    pare_graph_set_input(graph, fold.node, 0, norm->inputs[0]);
    pare_graph_remove_node(graph, norm);
    *done = true;
    return PARE_OK;
}

static bool is_foldable(const pare_node *node) {
    return pass_is(node, "BatchNormalization") && pare_node_int(node, "training_mode", 0) == 0 &&
           node->outputs[0] != NULL;
}

pare_status pare_fold_batchnorm(pare_graph *graph, bool *changed, pare_error *error) {
    for (pare_node *node = graph->first, *next; node != NULL; node = next) {
        bool done = false;
        next = node->next;
        if (!is_foldable(node)) {
            continue;
        }
        PARE_TRY(fold_backwards(graph, node, NULL, NULL, &done, error));
        if (!done) {
            PARE_TRY(fold_forwards(graph, node, &done, error));
        }
        *changed = *changed || done;
    }
    pare_graph_drop_unused_values(graph);
    return PARE_OK;
}

pare_status pare_fold_batchnorm_back(pare_graph *graph, pare_scaled scaled, void *context, pare_error *error) {
    for (pare_node *node = graph->first, *next; node != NULL; node = next) {
        bool done = false;
        next = node->next;
        if (is_foldable(node)) {
            PARE_TRY(fold_backwards(graph, node, scaled, context, &done, error));
        }
    }
    pare_graph_drop_unused_values(graph);
    return PARE_OK;
}
