/* The plan: a clone with BatchNormalization folded backwards tells what is
 * quantized and is calibrated; scales of weights come from the network itself. */
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pare/bytes.h"
#include "pare/passes.h"
#include "quant/apply.h"
#include "train/quant_aware/quant_aware_internal.h"

#define PLAN_LIMIT ((size_t)1 << 30)
#define NAME_ROOM 1100

/* --- finding things in a plan ------------------------------------------------------- */

const quant_grid *quant_aware_grid(const pare_quant_aware *plan, const char *value) {
    for (size_t i = 0; i < plan->activation_count; i++) {
        if (strcmp(plan->activations[i].value, value) == 0) {
            return &plan->grids[plan->activations[i].grid];
        }
    }
    return NULL;
}

quant_layer *quant_aware_layer(const pare_quant_aware *plan, const char *node) {
    for (size_t i = 0; i < plan->layer_count; i++) {
        if (strcmp(plan->layers[i].node, node) == 0) {
            return &plan->layers[i];
        }
    }
    return NULL;
}

bool quant_aware_excludes(const void *context, const pare_node *node) {
    const pare_quant_aware *plan = context;
    for (size_t i = 0; i < plan->exclude_count; i++) {
        if (fnmatch(plan->exclude[i], node->name, 0) == 0) {
            return true;
        }
    }
    return false;
}

void pare_quant_aware_free(pare_quant_aware *plan) {
    if (plan != NULL) {
        pare_arena_free(&plan->arena);
        pare_free(plan);
    }
}

/* --- options -------------------------------------------------------------------------- */

static pare_status check_bits(const char *what, int32_t bits, bool none, pare_error *error) {
    return (bits >= 2 && bits <= 8) || (none && bits == 0)
               ? PARE_OK
               : pare_fail(error, PARE_USAGE, "expected %s of 2 to 8 bits, found %d", what, (int)bits);
}

static pare_status check_options(const pare_graph *graph, const pare_quant_aware_options *options, pare_error *error) {
    PARE_TRY(check_bits("weights", options->weight_bits, false, error));
    PARE_TRY(check_bits("activations", options->activation_bits, false, error));
    PARE_TRY(check_bits("the first and the last layer", options->first_last_bits, true, error));
    for (size_t i = 0; i < options->exclude_count; i++) {
        bool found = false;
        for (const pare_node *node = graph->first; node != NULL; node = node->next) {
            found = found || fnmatch(options->exclude[i], node->name, 0) == 0;
        }
        if (!found) {
            return pare_fail(error, PARE_USAGE, "expected a node named \"%s\" (to be excluded), found none",
                             options->exclude[i]);
        }
    }
    return PARE_OK;
}

static pare_status copy_options(pare_quant_aware *plan, const pare_quant_aware_options *options, pare_error *error) {
    plan->pairs = options->pairs;
    plan->exclude = pare_arena_alloc(&plan->arena, options->exclude_count + 1, sizeof *plan->exclude);
    for (size_t i = 0; plan->exclude != NULL && i < options->exclude_count; i++) {
        const char *pattern = pare_arena_copy_string(&plan->arena, options->exclude[i]);
        if (pattern == NULL) {
            return pare_fail_memory(error, strlen(options->exclude[i]));
        }
        plan->exclude[plan->exclude_count++] = pattern;
    }
    return plan->exclude != NULL ? PARE_OK : pare_fail_memory(error, sizeof *plan->exclude);
}

/* --- preparing ------------------------------------------------------------------------ */

typedef struct preparation {
    const pare_graph *graph;
    const pare_quant_aware_options *options;
    pare_quant_aware *plan;
    pare_graph *folded;
    quant_selection selection;
    const char **names; /* of selection.values */
    bool *outer;        /* likewise: read by the first or a last layer, or behind it */
    uint32_t *joined;   /* likewise: index of the value that stands for all that share its grid */
    unsigned *steps;    /* likewise */
    pare_calibration calibration;
} preparation;

static pare_status fold_clone(preparation *p, pare_error *error) {
    bool changed = false;
    pare_graph *spelled = NULL;
    pare_status status = pare_graph_clone(p->graph, &spelled, error);
    if (status == PARE_OK) {
        status = pare_canonicalize(spelled, &changed, error);
    }
    pare_graph_free(spelled);
    PARE_TRY(status);
    if (changed) {
        return pare_fail(error, PARE_UNSUPPORTED,
                         "expected a simplified network (pare_simplify), found nodes that have a simpler form");
    }
    PARE_TRY(pare_graph_clone(p->graph, &p->folded, error));
    PARE_TRY(pare_fold_batchnorm_back(p->folded, NULL, NULL, error));
    PARE_TRY(pare_simplify(p->folded, error));
    PARE_TRY(pare_graph_check_finite(p->folded, error));
    PARE_TRY(selection_make(p->folded, quant_aware_excludes, p->plan, &p->selection, error));
    if (p->selection.node_count == 0) {
        return pare_fail(error, PARE_UNSUPPORTED,
                         "nothing to quantize: no node has constant weights and an integer form");
    }
    return PARE_OK;
}

static pare_status make_lists(preparation *p, pare_error *error) {
    size_t values = p->selection.value_count, nodes = p->selection.node_count;
    pare_quant_aware *plan = p->plan;
    p->names = pare_arena_alloc(&plan->arena, values + 1, sizeof *p->names);
    p->outer = pare_arena_alloc(&plan->arena, values + 1, sizeof *p->outer);
    p->joined = pare_arena_alloc(&plan->arena, values + 1, sizeof *p->joined);
    p->steps = pare_arena_alloc(&plan->arena, values + 1, sizeof *p->steps);
    plan->grids = pare_arena_alloc(&plan->arena, values + 1, sizeof *plan->grids);
    plan->activations = pare_arena_alloc(&plan->arena, values + 1, sizeof *plan->activations);
    plan->layers = pare_arena_alloc(&plan->arena, nodes + 1, sizeof *plan->layers);
    if (p->names == NULL || p->outer == NULL || p->joined == NULL || p->steps == NULL || plan->grids == NULL ||
        plan->activations == NULL || plan->layers == NULL) {
        return pare_fail_memory(error, values * sizeof *plan->grids);
    }
    for (size_t i = 0; i < values; i++) {
        p->names[i] = p->selection.values[i]->name;
        p->joined[i] = (uint32_t)i;
        p->outer[i] = false;
    }
    return PARE_OK;
}

/* --- the first and the last layers ------------------------------------------------------ */

/* Layers are nodes with weights, in float or not. `after`: nodes that are one or have one in front of them; `before`:
 * nodes that have one behind them. */
typedef struct layer_marks {
    const pare_node **after, **before;
    size_t after_count, before_count;
} layer_marks;

static bool contains(const pare_node *const *list, size_t count, const pare_node *node) {
    for (size_t i = 0; i < count; i++) {
        if (list[i] == node) {
            return true;
        }
    }
    return false;
}

static bool has_layer_before(const layer_marks *marks, const pare_node *node) {
    for (size_t i = 0; i < node->input_count; i++) {
        const pare_node *producer = node->inputs[i] != NULL ? node->inputs[i]->producer : NULL;
        if (producer != NULL && contains(marks->after, marks->after_count, producer)) {
            return true;
        }
    }
    return false;
}

static bool has_layer_behind(const layer_marks *marks, const pare_node *node) {
    return contains(marks->before, marks->before_count, node);
}

static void mark_producers(layer_marks *marks, const pare_node *node) {
    for (size_t i = 0; i < node->input_count; i++) {
        const pare_node *producer = node->inputs[i] != NULL ? node->inputs[i]->producer : NULL;
        if (producer != NULL && !has_layer_behind(marks, producer)) {
            marks->before[marks->before_count++] = producer;
        }
    }
}

static pare_status mark_layers(preparation *p, layer_marks *marks, pare_error *error) {
    marks->after = pare_arena_alloc(&p->plan->arena, p->folded->node_count + 1, sizeof *marks->after);
    marks->before = pare_arena_alloc(&p->plan->arena, p->folded->node_count + 1, sizeof *marks->before);
    if (marks->after == NULL || marks->before == NULL) {
        return pare_fail_memory(error, p->folded->node_count * sizeof *marks->after);
    }
    for (const pare_node *node = p->folded->first; node != NULL; node = node->next) {
        if (weights_of(node) != NULL || has_layer_before(marks, node)) {
            marks->after[marks->after_count++] = node;
        }
    }
    for (const pare_node *node = p->folded->last; node != NULL; node = node->previous) {
        if (weights_of(node) != NULL || has_layer_behind(marks, node)) {
            mark_producers(marks, node);
        }
    }
    return PARE_OK;
}

static bool is_outer(const layer_marks *marks, const pare_node *layer) {
    return !has_layer_before(marks, layer) || !has_layer_behind(marks, layer);
}

static size_t index_of(const preparation *p, const pare_value *value) {
    size_t i = 0;
    while (i < p->selection.value_count && p->selection.values[i] != value) {
        i++;
    }
    return i;
}

static void find_outer(preparation *p, const layer_marks *marks) {
    for (size_t n = 0; n < p->selection.node_count; n++) {
        const pare_node *node = p->selection.nodes[n];
        size_t input = index_of(p, root_of(&p->selection, node->inputs[0]));
        size_t output = index_of(p, node->outputs[0]);
        if (weights_of(node) != NULL && is_outer(marks, node) && input < p->selection.value_count) {
            p->outer[input] = true;
        }
        if (!has_layer_behind(marks, node) && output < p->selection.value_count) {
            p->outer[output] = true;
        }
    }
}

/* --- grids ------------------------------------------------------------------------------- */

static uint32_t group_of(const preparation *p, size_t value) {
    uint32_t i = (uint32_t)value;
    while (p->joined[i] != i) {
        i = p->joined[i];
    }
    return i;
}

static void join(preparation *p, const pare_value *a, const pare_value *b) {
    size_t i = index_of(p, root_of(&p->selection, a)), k = index_of(p, root_of(&p->selection, b));
    if (i < p->selection.value_count && k < p->selection.value_count) {
        uint32_t from = group_of(p, i), to = group_of(p, k);
        p->joined[from > to ? from : to] = from > to ? to : from;
    }
}

/* What is concatenated has one grid, which is an outer one where any of it is. */
static void join_values(preparation *p) {
    for (size_t n = 0; n < p->selection.node_count; n++) {
        const pare_node *node = p->selection.nodes[n];
        for (size_t i = 0; node->op->quant == PARE_QUANT_JOIN && i < node->input_count; i++) {
            join(p, node->inputs[i], node->outputs[0]);
        }
    }
    for (size_t i = 0; i < p->selection.value_count; i++) {
        p->outer[group_of(p, i)] |= p->outer[i];
    }
}

static int32_t bits_of(int32_t bits, bool outer, const pare_quant_aware_options *options) {
    return outer && options->first_last_bits != 0 ? options->first_last_bits : bits;
}

static const char *parameter_name(pare_quant_aware *plan, const char *of, const char *what) {
    char name[NAME_ROOM];
    snprintf(name, sizeof name, "%.*s.%s", (int)pare_utf8_cut(of, NAME_ROOM - 16), of, what);
    return pare_arena_copy_string(&plan->arena, name);
}

static pare_status make_grid(preparation *p, size_t value, pare_error *error) {
    pare_quant_aware *plan = p->plan;
    quant_grid *grid = &plan->grids[plan->grid_count];
    uint32_t group = group_of(p, value);
    float low = 0.0F, high = 0.0F, levels = (float)p->steps[value];
    for (size_t i = 0; i < p->selection.value_count; i++) {
        if (group_of(p, i) == group) {
            low = fminf(low, p->calibration.ranges[i].low);
            high = fmaxf(high, p->calibration.ranges[i].high);
        }
    }
    *grid = (quant_grid){.name = parameter_name(plan, p->names[value], "step"),
                         .bits = bits_of(p->options->activation_bits, p->outer[group], p->options),
                         .step = (float)(((double)high - (double)low) / (double)levels)};
    if (!(grid->step >= 1e-30F)) {
        grid->step = 1.0F; /* always zero on the calibration data */
    }
    grid->zero_point = (int32_t)fminf(fmaxf(rintf(-low / grid->step), 0.0F), levels);
    grid->least = grid->step * FAKE_QUANT_LEAST;
    grid->trained = grid->bits < 8 || !p->selection.values[value]->is_input;
    plan->grid_count++;
    return grid->name != NULL ? PARE_OK : pare_fail_memory(error, strlen(p->names[value]));
}

/* Values that movement copies have no grid of their own. */
static pare_status make_grids(preparation *p, pare_error *error) {
    pare_quant_aware *plan = p->plan;
    for (size_t i = 0; i < p->selection.value_count; i++) {
        const pare_value *value = p->selection.values[i];
        if (root_of(&p->selection, value) != value) {
            continue;
        }
        uint32_t group = group_of(p, i); /* the first of those that share the grid */
        const quant_grid *shared = quant_aware_grid(plan, p->names[group]);
        size_t grid = shared != NULL ? (size_t)(shared - plan->grids) : plan->grid_count;
        if (shared == NULL) {
            PARE_TRY(make_grid(p, i, error));
        }
        const char *name = pare_arena_copy_string(&plan->arena, p->names[i]);
        if (name == NULL) {
            return pare_fail_memory(error, strlen(p->names[i]));
        }
        plan->activations[plan->activation_count++] = (quant_activation){name, (uint32_t)grid};
    }
    return PARE_OK;
}

static pare_status calibrate(preparation *p, pare_dataset *dataset, const pare_preprocess *preprocess,
                             const pare_run_options *run, pare_error *error) {
    layer_marks marks = {0};
    PARE_TRY(mark_layers(p, &marks, error));
    find_outer(p, &marks);
    join_values(p);
    for (size_t i = 0; i < p->selection.value_count; i++) {
        p->steps[i] = (1U << bits_of(p->options->activation_bits, p->outer[group_of(p, i)], p->options)) - 1U;
    }
    PARE_TRY(pare_calibrate_steps(p->folded, p->names, p->steps, p->selection.value_count, dataset, preprocess,
                                  PARE_CALIBRATE_PERCENTILE, 99.999, run, &p->calibration, error));
    return make_grids(p, error);
}

/* --- weights -------------------------------------------------------------------------------- */

static const pare_node *find_node(const pare_graph *graph, const char *name) {
    const pare_node *node = graph->first;
    while (node != NULL && strcmp(node->name, name) != 0) {
        node = node->next;
    }
    return node;
}

static pare_status first_steps(const pare_quant_aware *plan, const quant_layer *layer, const float *weights,
                               const weight_view *view, size_t count, pare_error *error) {
    rounding_result unused;
    if (layer->bits < 8) {
        for (size_t o = 0; o < view->channels; o++) {
            layer->steps[o] = fit_weights_channel(weights, view, o, layer->bits, plan->pairs);
        }
        return PARE_OK;
    }
    int8_t *rounded = pare_alloc_zero(count + 1, 1);
    if (rounded == NULL) {
        return pare_fail_memory(error, count);
    }
    round_weights(weights, view, false, plan->pairs, NULL, rounded, layer->steps, &unused);
    pare_free(rounded);
    return PARE_OK;
}

static pare_status make_layer(preparation *p, const pare_node *folded, bool outer, pare_error *error) {
    pare_quant_aware *plan = p->plan;
    const pare_node *node = find_node(p->graph, folded->name);
    const pare_value *weights = node != NULL && node->op == folded->op ? weights_of(node) : NULL;
    if (weights == NULL || !pare_shape_equal(&weights->shape, &weights_of(folded)->shape)) {
        return pare_node_fail(folded, error, PARE_UNSUPPORTED,
                              "expected a simplified network (pare_simplify), found weights in another form");
    }
    weight_view view = weight_view_of(&weights->shape, node->op->weight_channel_axis);
    quant_layer *layer = &plan->layers[plan->layer_count++];
    *layer = (quant_layer){.node = pare_arena_copy_string(&plan->arena, node->name),
                           .name = parameter_name(plan, node->name, "steps"),
                           .bits = bits_of(p->options->weight_bits, outer, p->options),
                           .channels = view.channels,
                           .steps = pare_arena_alloc(&plan->arena, view.channels + 1, sizeof(float)),
                           .least = pare_arena_alloc(&plan->arena, view.channels + 1, sizeof(float))};
    if (layer->node == NULL || layer->name == NULL || layer->steps == NULL || layer->least == NULL) {
        return pare_fail_memory(error, view.channels * sizeof(float));
    }
    PARE_TRY(first_steps(plan, layer, weights->data, &view, weights->data_bytes / sizeof(float), error));
    for (size_t o = 0; o < view.channels; o++) {
        layer->least[o] = fmaxf(layer->steps[o] * FAKE_QUANT_LEAST, 1e-30F); /* of finite reciprocal */
    }
    return PARE_OK;
}

static pare_status make_layers(preparation *p, pare_error *error) {
    layer_marks marks = {0};
    PARE_TRY(mark_layers(p, &marks, error));
    for (size_t n = 0; n < p->selection.node_count; n++) {
        const pare_node *node = p->selection.nodes[n];
        if (weights_of(node) != NULL) {
            PARE_TRY(make_layer(p, node, is_outer(&marks, node), error));
        }
    }
    return PARE_OK;
}

pare_status pare_quant_aware_prepare(const pare_graph *graph, pare_dataset *calibration,
                                     const pare_preprocess *preprocess, const pare_quant_aware_options *options,
                                     const pare_run_options *run, pare_quant_aware **plan, pare_error *error) {
    preparation p = {.graph = graph, .options = options};
    *plan = NULL;
    PARE_TRY(check_options(graph, options, error));
    p.plan = pare_alloc_zero(1, sizeof *p.plan);
    if (p.plan == NULL) {
        return pare_fail_memory(error, sizeof *p.plan);
    }
    pare_arena_init(&p.plan->arena, PLAN_LIMIT);
    pare_status status = copy_options(p.plan, options, error);
    if (status == PARE_OK) {
        status = fold_clone(&p, error);
    }
    if (status == PARE_OK) {
        status = make_lists(&p, error);
    }
    if (status == PARE_OK) {
        status = calibrate(&p, calibration, preprocess, run, error);
    }
    if (status == PARE_OK) {
        status = make_layers(&p, error);
    }
    selection_free(&p.selection);
    pare_calibration_free(&p.calibration);
    pare_graph_free(p.folded);
    if (status != PARE_OK) {
        pare_quant_aware_free(p.plan);
        return status;
    }
    *plan = p.plan;
    return PARE_OK;
}
