#include "scale_groups.h"

#include <stdlib.h>

#include "layer_view.h"
#include "pare/op.h"
#include "selection.h"

/* Sets of values (union-find), by index into the sorted values. */
typedef struct value_sets {
    const pare_value **values;
    size_t count;
    size_t *parent;
    bool *blocked, *bounded; /* of roots */
    size_t *group;           /* 1 + number of the group; 0: none */
} value_sets;

static int by_address(const void *a, const void *b) {
    const uintptr_t x = (uintptr_t) * (const pare_value *const *)a, y = (uintptr_t) * (const pare_value *const *)b;
    return (x > y) - (x < y);
}

static size_t root_of(const value_sets *sets, const pare_value *value) {
    const pare_value **found = bsearch(&value, sets->values, sets->count, sizeof(const pare_value *), by_address);
    size_t at = (size_t)(found - sets->values);
    while (sets->parent[at] != at) {
        sets->parent[at] = sets->parent[sets->parent[at]];
        at = sets->parent[at];
    }
    return at;
}

static void unite(const value_sets *sets, const pare_value *a, const pare_value *b) {
    size_t x = root_of(sets, a), y = root_of(sets, b);
    sets->parent[y] = x;
    sets->blocked[x] = sets->blocked[x] || sets->blocked[y];
    sets->bounded[x] = sets->bounded[x] || sets->bounded[y];
}

/* --- what a node does to scale -------------------------------------------- */

static pare_value *bias_of(const pare_node *node) {
    int index = node->op->bias_input;
    return index >= 0 && (size_t)index < node->input_count ? node->inputs[index] : NULL;
}

static bool is_depthwise(const pare_node *node) {
    const pare_value *w = weights_of(node);
    const pare_shape *x = &node->inputs[0]->shape;
    return w->shape.rank > 2 && w->shape.dims[1] == 1 && w->shape.dims[0] == x->dims[1] && x->dims[1] > 1;
}

/* A weighted layer whose input and output channels its weights' axes count. */
static bool scales(const pare_node *node) {
    const pare_value *w = weights_of(node), *b = w != NULL ? bias_of(node) : NULL;
    if (w == NULL || w->use_count != 1 || w->data == NULL || node->op->weight_channel_axis != 0 || w->shape.rank < 2 ||
        (b != NULL && (b->data == NULL || b->use_count != 1 || b->shape.rank != 1 || b->quant != NULL))) {
        return false;
    }
    const pare_shape *x = &node->inputs[0]->shape;
    int64_t read = x->dims[w->shape.rank > 2 ? 1 : x->rank - 1];
    return (size_t)w->shape.dims[0] == output_channels(node) && (w->shape.dims[1] == read || is_depthwise(node));
}

/* A clamp that commutes with positive scaling, up to its upper bound. */
static bool clamps_from_zero(const pare_node *node, bool *bounded) {
    pare_activation function;
    if (!node->op->clamp || node->op->function == NULL || !node->op->function(node, &function)) {
        return false;
    }
    *bounded = function.function == PARE_FN_CLIP;
    return function.function == PARE_FN_RELU || (*bounded && function.alpha == 0.0F);
}

/* Inputs and output are channels of the same scale. */
static bool keeps_scale(const pare_node *node, bool *bounded) {
    *bounded = false;
    if (node->op->flags & PARE_OP_SUM) {
        const pare_value *a = node->inputs[0], *b = node->inputs[1];
        return a->data == NULL && b->data == NULL && pare_shape_equal(&a->shape, &b->shape);
    }
    return (node->op->flags & PARE_OP_POOLS) != 0 || clamps_from_zero(node, bounded);
}

static void block(const value_sets *sets, pare_value *const *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (values[i] != NULL) {
            sets->blocked[root_of(sets, values[i])] = true;
        }
    }
}

static void visit(const value_sets *sets, const pare_node *node) {
    bool bounded;
    if (scales(node)) {
        block(sets, node->inputs + 1, node->input_count - 1);
    } else if (keeps_scale(node, &bounded)) {
        for (size_t i = 0; i < node->input_count; i++) {
            if (node->inputs[i] != NULL && node->inputs[i]->data == NULL) {
                unite(sets, node->outputs[0], node->inputs[i]);
            }
        }
        if (bounded) {
            sets->bounded[root_of(sets, node->outputs[0])] = true;
        }
    } else {
        block(sets, node->inputs, node->input_count);
        block(sets, node->outputs, node->output_count);
    }
}

static pare_status make_sets(pare_graph *graph, pare_arena *arena, value_sets *sets, pare_error *error) {
    size_t count = graph->value_count;
    *sets = (value_sets){.values = pare_arena_alloc(arena, count + 1, sizeof *sets->values),
                         .count = count,
                         .parent = pare_arena_alloc(arena, count + 1, sizeof *sets->parent),
                         .blocked = pare_arena_alloc(arena, count + 1, sizeof *sets->blocked),
                         .bounded = pare_arena_alloc(arena, count + 1, sizeof *sets->bounded),
                         .group = pare_arena_alloc(arena, count + 1, sizeof *sets->group)};
    if (sets->values == NULL || sets->parent == NULL || sets->blocked == NULL || sets->bounded == NULL ||
        sets->group == NULL) {
        return pare_fail_memory(error, count * sizeof *sets->values);
    }
    for (size_t i = 0; i < count; i++) {
        sets->values[i] = graph->values[i];
        sets->parent[i] = i;
    }
    qsort(sets->values, count, sizeof *sets->values, by_address);
    block(sets, graph->inputs, graph->input_count);
    block(sets, graph->outputs, graph->output_count);
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        visit(sets, node);
    }
    return PARE_OK;
}

/* --- groups ---------------------------------------------------------------- */

static pare_status own_copy(pare_graph *graph, pare_node *node, int index, pare_error *error) {
    const pare_value *old = node->inputs[index];
    pare_value *copy = pare_graph_add_constant(graph, old->name, old->dtype, &old->shape, old->data, old->data_bytes);
    if (copy == NULL) {
        return pare_fail_memory(error, old->data_bytes);
    }
    pare_graph_set_input(graph, node, (size_t)index, copy);
    return PARE_OK;
}

static void add_end(scale_group *group, pare_node *node, bool writes) {
    const pare_value *w = weights_of(node), *b = bias_of(node);
    const size_t elements = w->data_bytes / sizeof(float);
    scale_end end = {.node = node,
                     .value = writes ? node->outputs[0] : node->inputs[0],
                     .depthwise = !writes && is_depthwise(node),
                     .weights = w->data,
                     .bias = writes && b != NULL ? b->data : NULL};
    end.outer = writes || end.depthwise ? 1 : (size_t)w->shape.dims[0];
    end.inner = elements / end.outer / group->channels;
    if (writes) {
        group->writers[group->writer_count++] = end;
    } else {
        group->readers[group->reader_count++] = end;
    }
}

/* Counts the ends of each set, in `writer_count` and `reader_count` of new groups. */
static size_t count_ends(const value_sets *sets, const pare_graph *graph, scale_group *groups) {
    size_t count = 0;
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        for (int writes = 1; writes >= 0 && scales(node); writes--) {
            const size_t root = root_of(sets, writes ? node->outputs[0] : node->inputs[0]);
            if (sets->blocked[root]) {
                continue;
            }
            if (sets->group[root] == 0) {
                sets->group[root] = ++count;
                groups[count - 1] = (scale_group){.bounded = sets->bounded[root]};
            }
            scale_group *group = &groups[sets->group[root] - 1];
            if (writes) {
                group->axis = output_channel_axis(node);
                group->channels = output_channels(node);
            }
            *(writes ? &group->writer_count : &group->reader_count) += 1;
        }
    }
    return count;
}

static pare_status fill_ends(const value_sets *sets, const pare_graph *graph, scale_group *groups, size_t count,
                             pare_arena *arena, pare_error *error) {
    for (size_t g = 0; g < count; g++) {
        groups[g].writers = pare_arena_alloc(arena, groups[g].writer_count + 1, sizeof *groups[g].writers);
        groups[g].readers = pare_arena_alloc(arena, groups[g].reader_count + 1, sizeof *groups[g].readers);
        if (groups[g].writers == NULL || groups[g].readers == NULL) {
            return pare_fail_memory(error, sizeof *groups[g].writers);
        }
        groups[g].writer_count = groups[g].reader_count = 0;
    }
    for (pare_node *node = graph->first; node != NULL; node = node->next) {
        for (int writes = 1; writes >= 0 && scales(node); writes--) {
            const size_t root = root_of(sets, writes ? node->outputs[0] : node->inputs[0]);
            if (!sets->blocked[root] && groups[sets->group[root] - 1].channels > 0) {
                add_end(&groups[sets->group[root] - 1], node, writes);
            }
        }
    }
    return PARE_OK;
}

pare_status scale_groups_find(pare_graph *graph, pare_arena *arena, scale_group **groups, size_t *count,
                              pare_error *error) {
    value_sets sets;
    for (pare_node *node = graph->first; node != NULL; node = node->next) {
        if (scales(node)) {
            PARE_TRY(own_copy(graph, node, node->op->weight_input, error));
            if (bias_of(node) != NULL) {
                PARE_TRY(own_copy(graph, node, node->op->bias_input, error));
            }
        }
    }
    PARE_TRY(make_sets(graph, arena, &sets, error));
    *groups = pare_arena_alloc(arena, 2 * graph->node_count + 1, sizeof **groups);
    if (*groups == NULL) {
        return pare_fail_memory(error, graph->node_count * sizeof **groups);
    }
    size_t found = count_ends(&sets, graph, *groups);
    PARE_TRY(fill_ends(&sets, graph, *groups, found, arena, error));
    *count = 0;
    for (size_t g = 0; g < found; g++) {
        if ((*groups)[g].writer_count > 0 && (*groups)[g].reader_count > 0) {
            (*groups)[(*count)++] = (*groups)[g];
        }
    }
    return PARE_OK;
}

static void multiply(float *values, size_t count, float factor) {
    for (size_t i = 0; i < count; i++) {
        values[i] *= factor;
    }
}

void scale_group_apply(const scale_group *group, size_t channel, float factor) {
    for (size_t i = 0; i < group->writer_count; i++) {
        const scale_end *end = &group->writers[i];
        multiply(end->weights + channel * end->inner, end->inner, factor);
        if (end->bias != NULL) {
            end->bias[channel] *= factor;
        }
    }
    for (size_t i = 0; i < group->reader_count; i++) {
        const scale_end *end = &group->readers[i];
        for (size_t o = 0; o < end->outer; o++) {
            multiply(end->weights + (o * group->channels + channel) * end->inner, end->inner, 1.0F / factor);
        }
    }
}
