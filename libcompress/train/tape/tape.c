/* Recording: from a graph's nodes to tensors and steps. */
#include "train/tape/tape.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "ir/lone_node.h"
#include "pare/checked.h"
#include "train/quant_aware/quant_aware.h"
#include "train/tape/tape_internal.h"
#include "train/tape/tape_loss.h"
#include "train/tape/tape_record.h"

#define FLAT_ALIGNMENT 16 /* floats: a cache line */

bool tape_grow(void **items, uint32_t count, uint32_t *capacity, size_t size) {
    if (count < *capacity) {
        return true;
    }
    uint32_t wider = *capacity < 16 ? 16 : *capacity * 2;
    size_t bytes = 0;
    void *grown = pare_mul_size(wider, size, &bytes) ? pare_realloc(*items, bytes) : NULL;
    if (grown == NULL) {
        return false;
    }
    *items = grown;
    *capacity = wider;
    return true;
}

/* --- tensors ---------------------------------------------------------------- */

static uint32_t add_tensor(pare_tape *tape, const char *name, pare_dtype dtype, const pare_shape *shape,
                           tape_role role) {
    pare_shape open = *shape; /* `shape` may be that of a tensor, and those move when there are more */
    if (!tape_grow((void **)&tape->tensors, tape->tensor_count, &tape->tensor_capacity, sizeof *tape->tensors)) {
        tape->failed = PARE_LIMIT;
        return TAPE_NONE;
    }
    tape_tensor *tensor = &tape->tensors[tape->tensor_count];
    *tensor = (tape_tensor){.name = name, .dtype = dtype, .role = role, .producer = TAPE_NONE};
    if (!pare_shape_bind(&open, tape->batch, &tensor->shape) ||
        !pare_shape_elements(&tensor->shape, &tensor->elements)) {
        tape->failed = PARE_LIMIT;
        return TAPE_NONE;
    }
    return tape->tensor_count++;
}

static uint32_t find_link(const pare_tape *tape, const pare_value *value) {
    for (uint32_t i = tape->link_count; i-- > 0;) {
        if (tape->links[i].value == value) {
            return tape->links[i].tensor;
        }
    }
    return TAPE_NONE;
}

static uint32_t link_value(pare_tape *tape, const pare_value *value, uint32_t tensor) {
    if (tensor == TAPE_NONE ||
        !tape_grow((void **)&tape->links, tape->link_count, &tape->link_capacity, sizeof *tape->links)) {
        tape->failed = PARE_LIMIT;
        return TAPE_NONE;
    }
    tape->links[tape->link_count++] = (tape_link){value, tensor};
    return tensor;
}

/* Whoever reads the value from here on gets another tensor: it, rounded. */
static pare_status round_value(pare_tape *tape, const pare_node *node, const pare_value *value, pare_error *error) {
    for (uint32_t i = value != NULL && tape->failed == PARE_OK ? tape->link_count : 0; i-- > 0;) {
        if (tape->links[i].value == value) {
            uint32_t tensor = tape->links[i].tensor;
            PARE_TRY(quant_aware_activation(tape, node, value, &tensor, error));
            tape->links[i].tensor = tensor;
            break;
        }
    }
    return PARE_OK;
}

uint32_t tape_find(const pare_tape *tape, const pare_value *value) {
    uint32_t tensor = find_link(tape, value);
    if (tensor != TAPE_NONE && value->is_input && tape->tensors[tensor].role != TAPE_INPUT) {
        tensor = tape->steps[tape->tensors[tensor].producer].inputs[0]; /* what is set, not what is rounded */
    }
    return tensor;
}

uint32_t tape_add_input(pare_tape *tape, const pare_value *value) {
    return link_value(tape, value, add_tensor(tape, value->name, value->dtype, &value->shape, TAPE_INPUT));
}

uint32_t tape_extra_input(pare_tape *tape, const char *name, pare_dtype dtype, const pare_shape *shape) {
    return add_tensor(tape, name, dtype, shape, TAPE_INPUT);
}

static uint32_t constant_of(pare_tape *tape, const pare_value *value, tape_role role) {
    uint32_t tensor = add_tensor(tape, value->name, value->dtype, &value->shape, role);
    if (tensor != TAPE_NONE) {
        tape->tensors[tensor].data = value->data;
    }
    return link_value(tape, value, tensor);
}

uint32_t tape_input(pare_tape *tape, const pare_node *node, size_t index) {
    const pare_value *value = index < node->input_count ? node->inputs[index] : NULL;
    if (value == NULL) {
        return TAPE_NONE;
    }
    uint32_t tensor = find_link(tape, value);
    if (tensor == TAPE_NONE && value->data != NULL) {
        tensor = constant_of(tape, value, TAPE_CONSTANT);
    }
    return tensor;
}

static bool is_frozen(const pare_tape *tape, const pare_node *node) {
    for (size_t i = 0; i < tape->freeze_count; i++) {
        if (fnmatch(tape->freeze[i], node->name, 0) == 0) {
            return true;
        }
    }
    return false;
}

/* Appends to one of the two flat vectors. */
static bool add_flat(pare_tape *tape, uint32_t tensor, bool decays) {
    tape_tensor *t = &tape->tensors[tensor];
    bool trained = t->role == TAPE_PARAMETER;
    tape_parameter **list = trained ? &tape->parameters : &tape->states;
    uint32_t *count = trained ? &tape->parameter_count : &tape->state_count;
    uint32_t *capacity = trained ? &tape->parameter_capacity : &tape->state_capacity;
    size_t *floats = trained ? &tape->flat_count : &tape->state_floats;
    size_t padded = 0, end = 0;
    if (!tape_grow((void **)list, *count, capacity, sizeof **list) ||
        !pare_round_up_size(t->elements, FLAT_ALIGNMENT, &padded) || !pare_add_size(*floats, padded, &end)) {
        tape->failed = PARE_LIMIT;
        return false;
    }
    t->offset = *floats;
    t->wants_gradient = trained;
    (*list)[(*count)++] = (tape_parameter){tensor, t->name, *floats, t->elements, decays};
    *floats = end;
    return true;
}

static uint32_t flat_constant(pare_tape *tape, const pare_node *node, size_t index, tape_role role, bool decays) {
    const pare_value *value = index < node->input_count ? node->inputs[index] : NULL;
    if (value == NULL || value->data == NULL || value->dtype != PARE_F32 || find_link(tape, value) != TAPE_NONE) {
        return tape_input(tape, node, index);
    }
    uint32_t tensor = constant_of(tape, value, role);
    return tensor != TAPE_NONE && add_flat(tape, tensor, decays) ? tensor : TAPE_NONE;
}

uint32_t tape_weight(pare_tape *tape, const pare_node *node, size_t index, bool decays) {
    bool frozen = is_frozen(tape, node);
    uint32_t tensor = frozen ? tape_input(tape, node, index) : flat_constant(tape, node, index, TAPE_PARAMETER, decays);
    pare_error error;
    pare_status status = quant_aware_weight(tape, node, index, frozen, &tensor, &error);
    if (status != PARE_OK) { /* out of memory, the only way to fail */
        tape->failed = status;
    }
    return tensor;
}

uint32_t tape_state(pare_tape *tape, const pare_node *node, size_t index) {
    return tape->freeze_batch_norm || is_frozen(tape, node) ? tape_input(tape, node, index)
                                                            : flat_constant(tape, node, index, TAPE_STATE, false);
}

uint32_t tape_output(pare_tape *tape, const pare_node *node, size_t index) {
    const pare_value *value = index < node->output_count ? node->outputs[index] : NULL;
    if (value == NULL) {
        return TAPE_NONE;
    }
    uint32_t tensor = find_link(tape, value);
    return tensor != TAPE_NONE
               ? tensor
               : link_value(tape, value, add_tensor(tape, value->name, value->dtype, &value->shape, TAPE_VALUE));
}

uint32_t tape_temporary(pare_tape *tape, const pare_node *node, const pare_shape *shape) {
    return add_tensor(tape, node != NULL ? node->name : "temporary", PARE_F32, shape, TAPE_VALUE);
}

uint32_t tape_constant(pare_tape *tape, const pare_shape *shape, const float *data) {
    uint32_t tensor = add_tensor(tape, "constant", PARE_F32, shape, TAPE_CONSTANT);
    if (tensor == TAPE_NONE) {
        return TAPE_NONE;
    }
    size_t count = tape->tensors[tensor].elements;
    float *copy = pare_arena_alloc(&tape->arena, count + 1, sizeof *copy);
    if (copy == NULL) {
        tape->failed = PARE_LIMIT;
        return TAPE_NONE;
    }
    memcpy(copy, data, count * sizeof *copy);
    tape->tensors[tensor].data = copy;
    return tensor;
}

const tape_tensor *tape_tensor_at(const pare_tape *tape, uint32_t tensor) {
    static const tape_tensor stand_in = {
        .name = "",
        .dtype = PARE_F32,
        .shape = {.rank = PARE_MAX_RANK, .dims = {1, 1, 1, 1, 1, 1, 1, 1}},
        .elements = 1,
        .producer = TAPE_NONE,
    };
    return tensor < tape->tensor_count ? &tape->tensors[tensor] : &stand_in;
}

uint32_t tape_parameter_like(pare_tape *tape, const char *name, const pare_shape *shape, const float *data,
                             bool decays) {
    uint32_t tensor = tape_constant(tape, shape, data);
    if (tensor == TAPE_NONE) {
        return TAPE_NONE;
    }
    tape->tensors[tensor].name = name;
    tape->tensors[tensor].role = TAPE_PARAMETER;
    return add_flat(tape, tensor, decays) ? tensor : TAPE_NONE;
}

/* --- steps ------------------------------------------------------------------- */

pare_status tape_refuse(const pare_node *node, pare_error *error) {
    return pare_node_fail(
        node, error, PARE_UNSUPPORTED,
        "expected an operator with a gradient between the parameters and the loss, found one without");
}

static bool fill_step(pare_tape *tape, tape_step *step, const uint32_t *inputs, const uint32_t *outputs,
                      const void *attrs, size_t attr_bytes) {
    step->inputs = pare_arena_alloc(&tape->arena, (size_t)step->input_count + step->output_count + 1, sizeof *inputs);
    step->attrs = attr_bytes > 0 ? pare_arena_copy_bytes(&tape->arena, attrs, attr_bytes) : NULL;
    if (step->inputs == NULL || (attr_bytes > 0 && step->attrs == NULL)) {
        return false;
    }
    step->outputs = step->inputs + step->input_count;
    memcpy(step->inputs, inputs, step->input_count * sizeof *inputs);
    if (step->output_count > 0) { /* a loss has none, and no array of them */
        memcpy(step->outputs, outputs, step->output_count * sizeof *outputs);
    }
    return true;
}

pare_status tape_record(pare_tape *tape, const tape_step_class *class, const pare_node *node, const uint32_t *inputs,
                        size_t input_count, const uint32_t *outputs, size_t output_count, const void *attrs,
                        size_t attr_bytes, pare_error *error) {
    tape_step step = {
        .class = class, .node = node, .input_count = (uint32_t)input_count, .output_count = (uint32_t)output_count};
    if (tape->failed != PARE_OK ||
        !tape_grow((void **)&tape->steps, tape->step_count, &tape->step_capacity, sizeof step) ||
        !fill_step(tape, &step, inputs, outputs, attrs, attr_bytes)) {
        return pare_fail_memory(error, sizeof step);
    }
    bool wants = false;
    for (size_t i = 0; i < input_count; i++) {
        if (inputs[i] != TAPE_NONE) {
            tape->tensors[inputs[i]].readers++;
            wants |= tape->tensors[inputs[i]].wants_gradient;
        }
    }
    for (size_t i = 0; i < output_count; i++) {
        if (outputs[i] != TAPE_NONE) {
            tape_tensor *tensor = &tape->tensors[outputs[i]];
            tensor->producer = tape->step_count;
            tensor->wants_gradient = wants && tensor->dtype == PARE_F32;
        }
    }
    tape->steps[tape->step_count++] = step;
    return PARE_OK;
}

pare_status tape_reshaped(pare_tape *tape, const pare_node *node, const pare_shape *shape, uint32_t *x,
                          pare_error *error) {
    pare_shape bound;
    if (*x == TAPE_NONE ||
        (pare_shape_bind(shape, tape->batch, &bound) && pare_shape_equal(&tape_tensor_at(tape, *x)->shape, &bound))) {
        return PARE_OK;
    }
    uint32_t from = *x;
    *x = tape_temporary(tape, node, shape);
    return tape_reshape(tape, node, from, *x, error);
}

pare_status tape_transposed(pare_tape *tape, const pare_node *node, const int32_t *permutation, uint32_t *x,
                            pare_error *error) {
    if (*x == TAPE_NONE) {
        return pare_fail_memory(error, sizeof(tape_tensor));
    }
    const pare_shape *from = &tape->tensors[*x].shape;
    pare_shape shape = {.rank = from->rank};
    for (int32_t a = 0; a < shape.rank; a++) {
        shape.dims[a] = from->dims[permutation[a]];
    }
    uint32_t in = *x;
    *x = tape_temporary(tape, node, &shape);
    return *x == TAPE_NONE ? pare_fail_memory(error, sizeof shape)
                           : tape_transpose(tape, node, permutation, in, *x, error);
}

/* --- the graph ----------------------------------------------------------------- */

static bool any_wants_gradient(const pare_tape *tape, const pare_node *node) {
    for (size_t i = 0; i < node->input_count; i++) {
        uint32_t tensor = node->inputs[i] != NULL ? find_link(tape, node->inputs[i]) : TAPE_NONE;
        if (tensor != TAPE_NONE && tape->tensors[tensor].wants_gradient) {
            return true;
        }
    }
    return false;
}

static bool has_outputs(const pare_node *node) {
    for (size_t i = 0; i < node->output_count; i++) {
        if (pare_value_is_read(node->outputs[i])) {
            return true;
        }
    }
    return false;
}

static bool makes_floats(const pare_node *node) {
    for (size_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != NULL && node->outputs[i]->dtype == PARE_F32) {
            return true;
        }
    }
    return false;
}

/* The tape computes in one type of floats. */
static bool makes_other_floats(const pare_node *node) {
    for (size_t i = 0; i < node->output_count; i++) {
        pare_dtype dtype = node->outputs[i] != NULL ? node->outputs[i]->dtype : PARE_F32;
        if (dtype == PARE_F16 || dtype == PARE_BF16 || dtype == PARE_F64) {
            return true;
        }
    }
    return false;
}

static pare_status record_node(pare_tape *tape, const pare_node *node, pare_error *error) {
    if (!has_outputs(node)) {
        return PARE_OK;
    }
    if (makes_other_floats(node) && any_wants_gradient(tape, node)) {
        return tape_refuse(node, error);
    }
    if (!makes_floats(node)) { /* integers and truth values have no gradient */
        return tape_record_fixed(tape, node, error);
    }
    if (node->op->gradient != NULL) {
        return node->op->gradient(tape, node, error);
    }
    if (!any_wants_gradient(tape, node)) {
        return tape_record_fixed(tape, node, error);
    }
    return node->op->quant == PARE_QUANT_MOVE ? tape_record_move(tape, node, error) : tape_refuse(node, error);
}

pare_status tape_record_graph(pare_tape *tape, pare_error *error) {
    const pare_graph *graph = tape->graph;
    for (size_t i = 0; i < graph->input_count; i++) {
        (void)tape_add_input(tape, graph->inputs[i]);
        PARE_TRY(round_value(tape, NULL, graph->inputs[i], error));
    }
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        PARE_TRY(record_node(tape, node, error));
        for (size_t i = 0; i < node->output_count; i++) {
            PARE_TRY(round_value(tape, node, node->outputs[i], error));
        }
        if (tape->failed != PARE_OK) {
            return pare_fail_memory(error, sizeof(tape_step));
        }
    }
    return PARE_OK;
}
