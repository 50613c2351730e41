/* From pare_graph to pare_model: ports, values, and the wrapper around each
 * operator that decides between integers and reals. lower_emit.c holds what
 * operators call. */
#include <stdlib.h>
#include <string.h>

#include "ir/lower_internal.h"
#include "pare/passes.h"

static int by_value(const void *a, const void *b) {
    const pare_lower_slot *left = a, *right = b;
    return left->value < right->value ? -1 : left->value > right->value;
}

pare_lower_slot *pare_lower_slot_of(pare_lowering *lowering, const pare_value *value) {
    pare_lower_slot key = {.value = value};
    struct pare_lower_state *state = lowering->state;
    return bsearch(&key, state->slots, state->slot_count, sizeof *state->slots, by_value);
}

/* --- integers or reals ---------------------------------------------------- */

static bool is_byte(const pare_value *value) {
    return value->quant != NULL && value->quant->dtype == PARE_U8 && value->quant->count == 1;
}

static bool outputs_are_bytes(const pare_node *node) {
    bool any = false;
    for (size_t i = 0; i < node->output_count; i++) {
        const pare_value *value = node->outputs[i];
        if (value != NULL && (value->use_count > 0 || value->is_output)) {
            if (!is_byte(value)) {
                return false;
            }
            any = true;
        }
    }
    return any;
}

bool pare_node_is_integer(const pare_node *node) {
    const pare_op *op = node->op;
    if (op->quant == PARE_QUANT_FLOAT || node->input_count == 0 || node->inputs[0] == NULL ||
        !is_byte(node->inputs[0]) || !outputs_are_bytes(node)) {
        return false;
    }
    if (op->quant == PARE_QUANT_MOVE) {
        return op->integer == NULL || op->integer(node);
    }
    for (size_t i = 0; i < node->input_count; i++) {
        const pare_value *value = node->inputs[i];
        if (value != NULL && value->data == NULL && value->dtype == PARE_F32 && !is_byte(value)) {
            return false;
        }
    }
    if (op->quant == PARE_QUANT_TABLE) {
        pare_activation function;
        return op->function != NULL && op->function(node, &function);
    }
    return op->integer != NULL && op->integer(node);
}

/* --- ports ---------------------------------------------------------------- */

static pare_status lower_input_port(pare_lowering *lowering, const pare_value *value, pare_error *error) {
    pare_lower_slot *slot = pare_lower_slot_of(lowering, value);
    uint32_t tensor = PARE_NONE;
    PARE_TRY(pare_model_add_tensor(lowering->builder, value->name, value->dtype, &value->shape, NULL, NULL, 0, &tensor,
                                   error));
    PARE_TRY(pare_model_add_input(lowering->builder, tensor, error));
    if (value->quant == NULL) {
        slot->native = tensor;
        return PARE_OK;
    }
    pare_no_attrs none = {0};
    PARE_TRY(pare_lower_add_quantized(lowering, value, ":q", &slot->native, error));
    return pare_model_add_node(lowering->builder, value->name, PARE_OP_QUANTIZE, &tensor, 1, &slot->native, 1, &none,
                               NULL, error);
}

/* A graph output that no node computes must still be a tensor of its own. */
static pare_status copy_port(pare_lowering *lowering, const pare_value *value, uint32_t from, uint32_t *to,
                             pare_error *error) {
    pare_shape_attrs attrs = {.rank = value->shape.rank};
    for (int32_t a = 0; a < value->shape.rank; a++) {
        attrs.dims[a] = (int32_t)value->shape.dims[a];
    }
    PARE_TRY(
        pare_model_add_tensor(lowering->builder, value->name, value->dtype, &value->shape, NULL, NULL, 0, to, error));
    return pare_model_add_node(lowering->builder, value->name, PARE_OP_RESHAPE, &from, 1, to, 1, &attrs, NULL, error);
}

static pare_status lower_output_port(pare_lowering *lowering, const pare_value *value, pare_error *error) {
    pare_lower_slot *slot = pare_lower_slot_of(lowering, value);
    uint32_t tensor = PARE_NONE;
    PARE_TRY(pare_lower_value(lowering, value, false, &tensor, error));
    if ((value->is_input && value->quant == NULL) || value->data != NULL || slot->listed) {
        PARE_TRY(copy_port(lowering, value, tensor, &tensor, error));
    }
    slot->listed = true;
    return pare_model_add_output(lowering->builder, tensor, error);
}

/* --- nodes ---------------------------------------------------------------- */

static bool is_dead(const pare_node *node) {
    for (size_t i = 0; i < node->output_count; i++) {
        const pare_value *value = node->outputs[i];
        if (value != NULL && value->data == NULL && (value->use_count > 0 || value->is_output)) {
            return false;
        }
    }
    return true;
}

/* What the operator wrote in another grid than the value's own. */
static pare_status settle_output(pare_lowering *lowering, const pare_node *node, const pare_value *value,
                                 pare_error *error) {
    pare_lower_slot *slot = pare_lower_slot_of(lowering, value);
    if (slot->native == PARE_NONE) {
        return pare_node_fail(node, error, PARE_INTERNAL, "expected output \"%s\" to be lowered, found nothing",
                              value->name);
    }
    uint32_t pending = slot->pending;
    slot->pending = PARE_NONE;
    if (pending == PARE_NONE) {
        return PARE_OK;
    }
    if (pare_model_builder_tensor(lowering->builder, pending)->dtype == PARE_F32) {
        pare_no_attrs none = {0};
        return pare_lower_emit(lowering, node, PARE_OP_QUANTIZE, &none, &pending, 1, &slot->native, 1, error);
    }
    return pare_lower_requantize(lowering, node, pending, slot->native, error);
}

static pare_status lower_node(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    if (node->op->lower == NULL) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED,
                              "expected it to fold to a constant (its inputs' shapes or values fixed), found that it "
                              "depends on what is computed");
    }
    lowering->integer = pare_node_is_integer(node);
    PARE_TRY(node->op->lower(lowering, node, error));
    for (size_t i = 0; i < node->output_count; i++) {
        const pare_value *value = node->outputs[i];
        if (value != NULL && (value->use_count > 0 || value->is_output)) {
            PARE_TRY(settle_output(lowering, node, value, error));
        }
    }
    return PARE_OK;
}

static pare_status lower_graph(pare_lowering *lowering, const pare_graph *graph, pare_error *error) {
    for (size_t i = 0; i < graph->input_count; i++) {
        PARE_TRY(lower_input_port(lowering, graph->inputs[i], error));
    }
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        if (!is_dead(node)) {
            PARE_TRY(lower_node(lowering, node, error));
        }
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        PARE_TRY(lower_output_port(lowering, graph->outputs[i], error));
    }
    for (const pare_graph_metadata *entry = graph->metadata; entry != NULL; entry = entry->next) {
        PARE_TRY(pare_model_add_metadata(lowering->builder, entry->key, entry->value, error));
    }
    return PARE_OK;
}

static pare_status make_slots(struct pare_lower_state *state, const pare_graph *graph, pare_error *error) {
    state->slot_count = graph->value_count;
    state->slots = pare_alloc_zero(graph->value_count, sizeof *state->slots);
    if (state->slots == NULL) {
        return pare_fail_memory(error, graph->value_count * sizeof *state->slots);
    }
    for (size_t i = 0; i < graph->value_count; i++) {
        state->slots[i] =
            (pare_lower_slot){.value = graph->values[i], .native = PARE_NONE, .real = PARE_NONE, .pending = PARE_NONE};
    }
    qsort(state->slots, state->slot_count, sizeof *state->slots, by_value);
    return PARE_OK;
}

static pare_status fuse_clone(pare_graph *clone, pare_error *error) {
    bool changed = false;
    if (clone->for_training) { /* nothing is trained here, and a copy would cost time and keep neighbours apart */
        clone->for_training = false;
        PARE_TRY(pare_remove_identities(clone, &changed, error));
    }
    PARE_TRY(pare_fold_batchnorm(clone, &changed, error));
    return pare_fuse(clone, error);
}

pare_status pare_graph_lower_with(const pare_graph *graph, const pare_lower_options *options, pare_model **model,
                                  pare_error *error) {
    pare_graph *clone = NULL;
    struct pare_lower_state state = {0};
    pare_lowering lowering = {.state = &state};
    *model = NULL;
    pare_status status = pare_graph_clone(graph, &clone, error);
    if (status == PARE_OK && (options == NULL || !options->keep_values)) {
        status = fuse_clone(clone, error);
    }
    if (status != PARE_OK) {
        goto done;
    }
    lowering.graph = clone;
    status = make_slots(&state, clone, error);
    if (status == PARE_OK) {
        status = pare_model_builder_create(&lowering.builder, error);
    }
    if (status == PARE_OK) {
        status = lower_graph(&lowering, clone, error);
    }
    if (status == PARE_OK) {
        status = pare_model_finish(lowering.builder, model, error);
        lowering.builder = NULL;
    }
done:
    pare_model_builder_free(lowering.builder);
    pare_free(state.slots);
    pare_graph_free(clone);
    return status;
}

pare_status pare_graph_lower(const pare_graph *graph, pare_model **model, pare_error *error) {
    return pare_graph_lower_with(graph, NULL, model, error);
}
