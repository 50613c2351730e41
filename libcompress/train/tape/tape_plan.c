/* Planning: steps emit actions forwards, then backwards; buffers get lifetimes
 * and offsets; actions get their pointers. */
#include "train/tape/tape_plan.h"

#include <string.h>

#include "pare/arena_planner.h"
#include "train/tape/tape_internal.h"
#include "train/tape/tape_run.h"
#include "train/tape/tape_steps.h"

/* --- memory ----------------------------------------------------------------- */

static uint32_t add_memory(pare_tape *tape, size_t bytes, void *const *external, pare_error *error,
                           pare_status *status) {
    if (!tape_grow((void **)&tape->memories, tape->memory_count, &tape->memory_capacity, sizeof *tape->memories)) {
        *status = pare_fail_memory(error, sizeof *tape->memories);
        return TAPE_NONE;
    }
    tape->memories[tape->memory_count] = (tape_memory){.bytes = bytes, .external = external};
    *status = PARE_OK;
    return tape->memory_count++;
}

uint32_t tape_buffer(pare_tape *tape, size_t bytes, pare_error *error, pare_status *status) {
    return add_memory(tape, bytes, NULL, error, status);
}

uint32_t tape_external(pare_tape *tape, void *const *address, pare_error *error, pare_status *status) {
    return add_memory(tape, 0, address, error, status);
}

void *tape_make(pare_tape *tape, size_t count, size_t size) {
    return pare_arena_alloc(&tape->arena, count, size);
}

pare_status tape_defer(pare_tape *tape, void (*release)(void *object), void *object, pare_error *error) {
    tape_deferred *deferred = tape_make(tape, 1, sizeof *deferred);
    if (deferred == NULL) {
        release(object);
        return pare_fail_memory(error, sizeof *deferred);
    }
    *deferred = (tape_deferred){release, object, tape->deferred};
    tape->deferred = deferred;
    return PARE_OK;
}

pare_status tape_emit(pare_tape *tape, const tape_step *step, tape_run run, tape_run bind, void *context,
                      const uint32_t *buffers, size_t count, pare_error *error) {
    tape_action action = {.step = step, .run = run, .bind = bind, .context = context, .count = (uint32_t)count};
    action.buffers = pare_arena_alloc(&tape->arena, count + 1, sizeof *buffers);
    action.pointers = pare_arena_alloc(&tape->arena, count + 1, sizeof(void *));
    if (action.buffers == NULL || action.pointers == NULL ||
        !tape_grow((void **)&tape->actions, tape->action_count, &tape->action_capacity, sizeof action)) {
        return pare_fail_memory(error, sizeof action);
    }
    memcpy(action.buffers, buffers, count * sizeof *buffers);
    for (size_t i = 0; i < count; i++) {
        tape_memory *memory = &tape->memories[buffers[i]];
        memory->first = memory->used ? memory->first : tape->action_count;
        memory->last = tape->action_count;
        memory->used = true;
    }
    tape->actions[tape->action_count++] = action;
    return PARE_OK;
}

/* --- values ------------------------------------------------------------------- */

/* Memory outside the plan that begins at `data`. */
static pare_status external_at(pare_tape *tape, void *data, uint32_t *buffer, pare_error *error) {
    pare_status status = PARE_OK;
    void **address = tape_make(tape, 1, sizeof *address);
    if (address == NULL) {
        return pare_fail_memory(error, sizeof *address);
    }
    *address = data;
    *buffer = tape_external(tape, address, error, &status);
    return status;
}

/* What no step computes lies outside the plan. */
static pare_status place_source(pare_tape *tape, tape_tensor *tensor, pare_error *error) {
    void *data = tensor->role == TAPE_PARAMETER ? (void *)(tape->values + tensor->offset)
                 : tensor->role == TAPE_STATE   ? (void *)(tape->running + tensor->offset)
                                                : (void *)(uintptr_t)tensor->data;
    if (tensor->role == TAPE_VALUE || data == NULL) {
        return pare_fail(error, PARE_INTERNAL, "expected tensor \"%s\" to be computed before it is read", tensor->name);
    }
    tensor->placed = true;
    tensor->value = (tape_place){.layout = NULL, .owned = false};
    return external_at(tape, data, &tensor->value.buffer, error);
}

pare_status tape_value(pare_tape *tape, uint32_t tensor, tape_place *place, pare_error *error) {
    tape_tensor *t = &tape->tensors[tensor];
    if (!t->placed) {
        PARE_TRY(place_source(tape, t, error));
    }
    *place = t->value;
    return PARE_OK;
}

pare_status tape_convert(pare_tape *tape, uint32_t tensor, const tape_place *from, const tape_layout *layout,
                         tape_place *to, pare_error *error) {
    PARE_TRY(tape_new_place(tape, tensor, layout, to, error));
    return tape_emit_reorder(tape, tape->planning, &tape->tensors[tensor].shape, from, to, error);
}

pare_status tape_value_as(pare_tape *tape, uint32_t tensor, const tape_layout *layout, tape_place *place,
                          pare_error *error) {
    PARE_TRY(tape_value(tape, tensor, place, error));
    tape_tensor *t = &tape->tensors[tensor];
    if (tape_layout_equal(place->layout, layout)) {
        return PARE_OK;
    }
    for (uint32_t i = 0; i < t->copy_count; i++) {
        if (tape_layout_equal(t->copies[i].layout, layout)) {
            *place = t->copies[i];
            return PARE_OK;
        }
    }
    pare_status status = PARE_OK;
    size_t bytes = tape_layout_floats(layout, &t->shape) * sizeof(float);
    *place = (tape_place){tape_buffer(tape, bytes, error, &status), layout, false};
    PARE_TRY(status);
    PARE_TRY(tape_emit_reorder(tape, tape->planning, &t->shape, &t->value, place, error));
    if (t->copy_count < TAPE_COPIES) {
        t->copies[t->copy_count++] = *place;
    }
    return PARE_OK;
}

pare_status tape_new_value(pare_tape *tape, uint32_t tensor, const tape_layout *layout, tape_place *place,
                           pare_error *error) {
    tape_tensor *t = &tape->tensors[tensor];
    pare_status status = PARE_OK;
    size_t bytes = t->dtype == PARE_F32 ? tape_layout_floats(layout, &t->shape) * sizeof(float)
                                        : t->elements * pare_dtype_bytes(t->dtype);
    *place = (tape_place){tape_buffer(tape, bytes, error, &status), layout, false};
    t->placed = true;
    t->value = *place;
    if (status == PARE_OK) {
        tape->memories[place->buffer].is_value = t->dtype == PARE_F32;
    }
    return status;
}

void tape_share_value(pare_tape *tape, uint32_t tensor, const tape_place *place) {
    tape->tensors[tensor].placed = true;
    tape->tensors[tensor].value = (tape_place){place->buffer, place->layout, false};
}

bool tape_may_overwrite(const pare_tape *tape, const tape_step *step, uint32_t tensor) {
    const tape_tensor *t = &tape->tensors[tensor];
    (void)step;
    return t->role == TAPE_VALUE && t->readers == 1 && !t->pinned && t->copy_count == 0 && t->producer != TAPE_NONE &&
           !tape->steps[t->producer].class->keeps_outputs;
}

void tape_pin(pare_tape *tape, uint32_t tensor) {
    tape->tensors[tensor].pinned = true;
}

tape_step *tape_only_reader(pare_tape *tape, uint32_t tensor) {
    const tape_tensor *t = &tape->tensors[tensor];
    if (t->readers != 1 || t->pinned) {
        return NULL;
    }
    for (uint32_t i = t->producer != TAPE_NONE ? t->producer + 1 : 0; i < tape->step_count; i++) {
        for (uint32_t k = 0; k < tape->steps[i].input_count; k++) {
            if (tape->steps[i].inputs[k] == tensor) {
                return &tape->steps[i];
            }
        }
    }
    return NULL;
}

/* --- gradients ------------------------------------------------------------------ */

bool tape_has_gradient(const pare_tape *tape, uint32_t tensor) {
    return tensor != TAPE_NONE && tape->tensors[tensor].contribution_count > 0;
}

pare_status tape_new_place(pare_tape *tape, uint32_t tensor, const tape_layout *layout, tape_place *place,
                           pare_error *error) {
    const tape_tensor *t = &tape->tensors[tensor];
    pare_status status = PARE_OK;
    *place = (tape_place){tape_buffer(tape, tape_layout_floats(layout, &t->shape) * sizeof(float), error, &status),
                          layout, true};
    return status;
}

pare_status tape_contribute(pare_tape *tape, uint32_t tensor, const tape_place *place, pare_error *error) {
    tape_tensor *t = &tape->tensors[tensor];
    if (!tape_grow((void **)&t->contributions, t->contribution_count, &t->contribution_capacity,
                   sizeof *t->contributions)) {
        return pare_fail_memory(error, sizeof *t->contributions);
    }
    t->contributions[t->contribution_count++] = *place;
    return PARE_OK;
}

typedef struct sum_context {
    size_t floats, inputs;
} sum_context;

/* pointers: the result, then what is added up (the result may be among them). */
static pare_status run_sum(void *context, void *const *pointers) {
    const sum_context *sum = context;
    float *out = pointers[0];
    const float *first = pointers[1], *second = pointers[2];
    TAPE_PARALLEL(sum->floats)
    for (size_t i = 0; i < sum->floats; i++) {
        out[i] = first[i] + second[i];
    }
    for (size_t k = 2; k < sum->inputs; k++) {
        const float *next = pointers[k + 1];
        TAPE_PARALLEL(sum->floats)
        for (size_t i = 0; i < sum->floats; i++) {
            out[i] += next[i];
        }
    }
    return PARE_OK;
}

/* Adds contributions up, in place where one of the first two may be overwritten. */
static pare_status emit_sum(pare_tape *tape, uint32_t tensor, tape_place *total, pare_error *error) {
    tape_tensor *t = &tape->tensors[tensor];
    size_t count = t->contribution_count;
    uint32_t *buffers = tape_make(tape, count + 1, sizeof *buffers);
    sum_context *context = tape_make(tape, 1, sizeof *context);
    if (buffers == NULL || context == NULL) {
        return pare_fail_memory(error, (count + 1) * sizeof *buffers);
    }
    const tape_layout *layout = t->contributions[0].layout;
    for (size_t i = 0; i < count; i++) {
        tape_place *place = &t->contributions[i];
        if (!tape_layout_equal(place->layout, layout)) {
            tape_place converted;
            PARE_TRY(tape_convert(tape, tensor, place, layout, &converted, error));
            *place = converted;
        }
        buffers[i + 1] = place->buffer;
    }
    if (t->contributions[0].owned || t->contributions[1].owned) {
        *total = t->contributions[t->contributions[0].owned ? 0 : 1];
    } else {
        PARE_TRY(tape_new_place(tape, tensor, layout, total, error));
    }
    buffers[0] = total->buffer;
    *context = (sum_context){tape_layout_floats(layout, &t->shape), count};
    return tape_emit(tape, tape->planning, run_sum, NULL, context, buffers, count + 1, error);
}

pare_status tape_gradient(pare_tape *tape, uint32_t tensor, tape_place *place, pare_error *error) {
    tape_tensor *t = &tape->tensors[tensor];
    if (t->contribution_count > 1) {
        tape_place total;
        PARE_TRY(emit_sum(tape, tensor, &total, error));
        t->contributions[0] = total;
        t->contribution_count = 1;
    }
    *place = t->contributions[0];
    return PARE_OK;
}

bool tape_gradient_halves(const pare_tape *tape, uint32_t tensor, const tape_layout *layout, tape_place halves[2]) {
    const tape_tensor *t = &tape->tensors[tensor];
    if (t->contribution_count != 2 || !tape_layout_equal(t->contributions[0].layout, layout) ||
        !tape_layout_equal(t->contributions[1].layout, layout)) {
        return false;
    }
    halves[0] = t->contributions[0];
    halves[1] = t->contributions[1];
    return true;
}

pare_status tape_gradient_as(pare_tape *tape, uint32_t tensor, const tape_layout *layout, tape_place *place,
                             pare_error *error) {
    PARE_TRY(tape_gradient(tape, tensor, place, error));
    if (tape_layout_equal(place->layout, layout)) {
        return PARE_OK;
    }
    tape_place from = *place;
    PARE_TRY(tape_convert(tape, tensor, &from, layout, place, error));
    tape->tensors[tensor].contributions[0] = *place;
    return PARE_OK;
}

/* --- the flat gradient ------------------------------------------------------------ */

static pare_status run_zero(void *context, void *const *pointers) {
    memset(pointers[0], 0, *(const size_t *)context * sizeof(float));
    return PARE_OK;
}

/* The parameter's gradient ends in its part of the flat vector. */
static pare_status collect(pare_tape *tape, const tape_parameter *parameter, pare_error *error) {
    tape_place place, to = {.layout = NULL, .owned = false};
    PARE_TRY(external_at(tape, tape->gradients + parameter->offset, &to.buffer, error));
    if (!tape_has_gradient(tape, parameter->tensor)) {
        size_t *count = tape_make(tape, 1, sizeof *count);
        if (count == NULL) {
            return pare_fail_memory(error, sizeof *count);
        }
        *count = parameter->count;
        return tape_emit(tape, NULL, run_zero, NULL, count, &to.buffer, 1, error);
    }
    PARE_TRY(tape_gradient(tape, parameter->tensor, &place, error));
    return tape_emit_reorder(tape, NULL, &tape->tensors[parameter->tensor].shape, &place, &to, error);
}

/* --- the whole ----------------------------------------------------------------------- */

static pare_status plan_steps(pare_tape *tape, pare_error *error) {
    for (uint32_t i = 0; i < tape->step_count; i++) {
        tape->planning = &tape->steps[i];
        PARE_TRY(tape->steps[i].class->forward(tape, &tape->steps[i], error));
    }
    tape->forward_actions = tape->action_count;
    for (uint32_t i = tape->step_count; i-- > 0;) {
        tape_step *step = &tape->steps[i];
        bool needed = step->output_count == 0; /* a loss */
        for (uint32_t k = 0; k < step->output_count; k++) {
            needed |= tape_has_gradient(tape, step->outputs[k]);
        }
        tape->planning = step;
        if (needed && step->class->backward != NULL) {
            PARE_TRY(step->class->backward(tape, step, error));
        }
    }
    tape->planning = NULL;
    for (uint32_t i = 0; i < tape->parameter_count; i++) {
        PARE_TRY(collect(tape, &tape->parameters[i], error));
    }
    return PARE_OK;
}

static pare_status place_memory(pare_tape *tape, pare_error *error) {
    pare_usage *records = pare_alloc_zero(tape->memory_count + 1u, sizeof *records);
    uint32_t count = 0;
    if (records == NULL) {
        return pare_fail_memory(error, tape->memory_count * sizeof *records);
    }
    for (uint32_t i = 0; i < tape->memory_count; i++) {
        const tape_memory *memory = &tape->memories[i];
        if (memory->external == NULL && memory->used) {
            records[count++] = (pare_usage){.bytes = memory->bytes, .first = memory->first, .last = memory->last};
        }
    }
    pare_status status = pare_arena_plan(records, count, &tape->block_bytes, error);
    for (uint32_t i = 0, next = 0; status == PARE_OK && i < tape->memory_count; i++) {
        if (tape->memories[i].external == NULL && tape->memories[i].used) {
            tape->memories[i].offset = records[next++].offset;
        }
    }
    pare_free(records);
    if (status == PARE_OK && (tape->block = pare_alloc(tape->block_bytes + 1)) == NULL) {
        status = pare_fail_memory(error, tape->block_bytes);
    }
    return status;
}

static pare_status bind_actions(pare_tape *tape, pare_error *error) {
    for (uint32_t i = 0; i < tape->action_count; i++) {
        tape_action *action = &tape->actions[i];
        for (uint32_t k = 0; k < action->count; k++) {
            const tape_memory *memory = &tape->memories[action->buffers[k]];
            action->pointers[k] = memory->external != NULL ? *memory->external : (char *)tape->block + memory->offset;
        }
        pare_status status = action->bind != NULL ? action->bind(action->context, action->pointers) : PARE_OK;
        if (status != PARE_OK) {
            return pare_fail(error, status, "expected oneDNN to take the memory of a step, found that it does not");
        }
    }
    return PARE_OK;
}

pare_status tape_plan(pare_tape *tape, pare_error *error) {
    PARE_TRY(plan_steps(tape, error));
    PARE_TRY(place_memory(tape, error));
    return bind_actions(tape, error);
}
