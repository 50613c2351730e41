/* Nodes whose inputs are all constant become constants. What moves elements or
 * computes shapes is folded by its operator; float arithmetic runs in the
 * runtime's reference kernels, lowered as a network of one node. */
#include <string.h>

#include "ir/lone_node.h"
#include "pare/lower.h"
#include "pare/passes.h"
#include "pare/runtime.h"
#include "passes/pass_helpers.h"

#define DEFAULT_LIMIT ((size_t)64 << 20)
#define LIMITS_TOGETHER 4
/* Sizes and indices fold even when nothing else does any more: shapes hang on them. */
#define ALWAYS_FOLDED ((size_t)1024)

static bool has_live_output(const pare_node *node) {
    for (size_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != NULL) {
            return true;
        }
    }
    return false;
}

/* Constants that fold one out of another could fill the machine from a file of
 * a few kilobytes, so their sum is bounded too. */
static size_t fold_budget(const pare_graph *graph, size_t limit) {
    size_t own = 0;
    for (size_t i = 0; i < graph->value_count; i++) {
        own += graph->values[i]->data != NULL ? graph->values[i]->data_bytes : 0;
    }
    own = own > graph->folded_bytes ? own - graph->folded_bytes : 0;
    return own + LIMITS_TOGETHER * limit;
}

/* A shape may also be folded where a dimension is open, so its own limit is its rank. */
static bool may_fold_by_operator(const pare_node *node, size_t limit) {
    for (size_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != NULL && node->outputs[i]->quant != NULL) {
            return false; /* rounding to a grid is the runtime's part */
        }
    }
    return node->op->fold != NULL && pare_node_outputs_fit(node, limit);
}

/* The runtime computes floats and knows no tensors without elements. */
static bool may_run(const pare_node *node, size_t limit) {
    size_t constants = 0, reads = 0;
    if (node->op->lower == NULL || !pare_node_outputs_fit(node, limit) || pass_is(node, "Identity")) {
        return false;
    }
    for (size_t i = 0; i < node->input_count; i++) {
        const pare_value *value = node->inputs[i];
        if (value != NULL && (value->data == NULL || value->data_bytes == 0 || value->data_bytes > limit)) {
            return false;
        }
        constants += value != NULL;
    }
    for (size_t i = 0; i < node->output_count; i++) {
        const pare_value *value = node->outputs[i];
        if (value != NULL && (value->quant != NULL || value->dtype != PARE_F32 || pare_value_elements(value) == 0)) {
            return false;
        }
        reads += pare_value_is_read(value);
    }
    return constants != 0 && reads != 0;
}

static pare_status run_session(pare_session *session, pare_arena *arena, pare_output_buffer **buffers, size_t *count,
                               pare_error *error) {
    *count = pare_session_output_count(session);
    *buffers = pare_arena_alloc(arena, *count + 1, sizeof **buffers);
    for (size_t i = 0; *buffers != NULL && i < *count; i++) {
        size_t bytes = pare_session_output(session, i).bytes;
        (*buffers)[i] = (pare_output_buffer){pare_arena_alloc(arena, bytes + 1, 1), bytes};
        if ((*buffers)[i].data == NULL) {
            return pare_fail_memory(error, bytes);
        }
    }
    return *buffers != NULL ? pare_session_run(session, NULL, 0, *buffers, *count, error)
                            : pare_fail_memory(error, *count * sizeof **buffers);
}

static pare_status compute(const pare_graph *alone, pare_arena *arena, pare_output_buffer **buffers, size_t *count,
                           pare_error *error) {
    pare_model *model = NULL;
    pare_session *session = NULL;
    pare_lower_options lower = {.keep_values = true};
    pare_session_options options = {.struct_size = sizeof options, .threads = 1, .reference = 1};
    pare_status status = pare_graph_lower_with(alone, &lower, &model, error);
    if (status == PARE_OK) {
        status = pare_session_create(model, &options, &session, error);
    }
    if (status == PARE_OK) {
        status = run_session(session, arena, buffers, count, error);
    }
    pare_session_free(session);
    pare_model_release(model);
    return status;
}

static bool adopt_results(pare_graph *graph, const pare_node *node, const pare_output_buffer *buffers, size_t count) {
    size_t next = 0;
    for (size_t i = 0; i < node->output_count; i++) {
        pare_value *value = node->outputs[i];
        if (pare_value_is_read(value) && next < count) {
            const pare_output_buffer *buffer = &buffers[next++];
            if (!pare_graph_make_constant(graph, value, buffer->data, buffer->bytes)) {
                return false;
            }
        }
    }
    return true;
}

static pare_status run_node(pare_graph *graph, const pare_node *node, pare_error *error) {
    pare_graph *alone = NULL;
    pare_output_buffer *buffers = NULL;
    size_t count = 0;
    PARE_TRY(pare_graph_create(0, &alone, error));
    alone->opset = graph->opset;
    pare_status status = pare_lone_node(node, alone, error);
    if (status == PARE_OK) {
        status = compute(alone, &alone->arena, &buffers, &count, error);
        if (status == PARE_UNSUPPORTED) { /* stays a node; lowering the whole network will say why */
            count = 0;
            status = PARE_OK;
        }
    }
    if (status == PARE_OK && !adopt_results(graph, node, buffers, count)) {
        status = pare_graph_fail_memory(graph, error);
    }
    pare_graph_free(alone);
    return status;
}

static pare_status infer_and_fold_node(pare_graph *graph, pare_node *node, size_t limit, pare_error *error) {
    if (node->op->check != NULL) {
        PARE_TRY(node->op->check(node, error));
    }
    PARE_TRY(node->op->infer(graph, node, error));
    if (may_fold_by_operator(node, limit)) {
        PARE_TRY(node->op->fold(graph, node, error));
    }
    return has_live_output(node) && may_run(node, limit) ? run_node(graph, node, error) : PARE_OK;
}

pare_status pare_fold_constants(pare_graph *graph, size_t limit_bytes, bool *changed, pare_error *error) {
    size_t limit = limit_bytes != 0 ? limit_bytes : DEFAULT_LIMIT;
    size_t budget = fold_budget(graph, limit);
    for (pare_node *node = graph->first; node != NULL; node = node->next) {
        if (!has_live_output(node)) {
            continue;
        }
        size_t left = budget > graph->folded_bytes ? budget - graph->folded_bytes : 0;
        size_t most = left < limit ? left : limit;
        size_t used = graph->arena.used;
        PARE_TRY(infer_and_fold_node(graph, node, most > ALWAYS_FOLDED ? most : ALWAYS_FOLDED, error));
        graph->folded_bytes += graph->arena.used - used;
        *changed = *changed || !has_live_output(node);
    }
    return PARE_OK;
}

pare_status pare_infer_and_fold(pare_graph *graph, pare_error *error) {
    bool changed = false;
    return pare_fold_constants(graph, DEFAULT_LIMIT, &changed, error);
}
