/* A tape's memory and its execution. */
#include "train/tape/tape_run.h"

#include <math.h>
#include <string.h>

#include "train/tape/tape_internal.h"

#define TAPE_LIMIT ((size_t)16 << 30)

pare_status tape_create(pare_graph *graph, int64_t batch, uint64_t seed, pare_tape **tape, pare_error *error) {
    pare_tape *t = pare_alloc_zero(1, sizeof *t);
    if (t == NULL) {
        return pare_fail_memory(error, sizeof *t);
    }
    pare_arena_init(&t->arena, TAPE_LIMIT);
    t->graph = graph;
    t->batch = batch;
    t->seed = seed;
    *tape = t;
    return PARE_OK;
}

void tape_free(pare_tape *tape) {
    if (tape == NULL) {
        return;
    }
    for (tape_deferred *deferred = tape->deferred; deferred != NULL; deferred = deferred->next) {
        deferred->release(deferred->object);
    }
    for (uint32_t i = 0; i < tape->tensor_count; i++) {
        pare_free(tape->tensors[i].contributions);
    }
    void *blocks[] = {tape->tensors, tape->steps,  tape->links,     tape->parameters, tape->states, tape->memories,
                      tape->actions, tape->values, tape->gradients, tape->running,    tape->block};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        pare_free(blocks[i]);
    }
    pare_arena_free(&tape->arena);
    pare_free(tape);
}

static void fill(const pare_tape *tape, const tape_parameter *list, uint32_t count, float *flat) {
    for (uint32_t i = 0; i < count; i++) {
        memcpy(flat + list[i].offset, tape->tensors[list[i].tensor].data, list[i].count * sizeof *flat);
    }
}

pare_status tape_allocate(pare_tape *tape, pare_error *error) {
    tape->values = pare_alloc_zero(tape->flat_count + 1, sizeof(float));
    tape->gradients = pare_alloc_zero(tape->flat_count + 1, sizeof(float));
    tape->running = pare_alloc_zero(tape->state_floats + 1, sizeof(float));
    if (tape->values == NULL || tape->gradients == NULL || tape->running == NULL) {
        return pare_fail_memory(error, (2 * tape->flat_count + tape->state_floats) * sizeof(float));
    }
    fill(tape, tape->parameters, tape->parameter_count, tape->values);
    fill(tape, tape->states, tape->state_count, tape->running);
    for (uint32_t i = 0; i < tape->tensor_count; i++) {
        tape_tensor *tensor = &tape->tensors[i];
        size_t bytes = tensor->elements * pare_dtype_bytes(tensor->dtype);
        if (tensor->role == TAPE_INPUT && (tensor->data = pare_arena_alloc(&tape->arena, bytes + 64, 1)) == NULL) {
            return pare_fail_memory(error, bytes);
        }
    }
    return PARE_OK;
}

void *tape_input_data(pare_tape *tape, uint32_t tensor) {
    return (void *)(uintptr_t)tape->tensors[tensor].data;
}

static pare_status run_actions(const pare_tape *tape, uint32_t from, uint32_t to, pare_error *error) {
    for (uint32_t i = from; i < to; i++) {
        const tape_action *action = &tape->actions[i];
        pare_status status = action->run(action->context, action->pointers);
        if (status != PARE_OK) {
            const pare_node *node = action->step != NULL ? action->step->node : NULL;
            return node != NULL ? pare_node_fail(node, error, status, "expected the step to run, found that it failed")
                                : pare_fail(error, status, "expected a training step to run, found that it failed");
        }
    }
    return PARE_OK;
}

pare_status tape_forward(pare_tape *tape, uint64_t step, pare_error *error) {
    tape->step_number = step;
    return run_actions(tape, 0, tape->forward_actions, error);
}

pare_status tape_backward(pare_tape *tape, pare_error *error) {
    return run_actions(tape, tape->forward_actions, tape->action_count, error);
}

void tape_freeze(pare_tape *tape, const char *const *patterns, size_t count, bool batch_norm) {
    tape->freeze = patterns;
    tape->freeze_count = count;
    tape->freeze_batch_norm = batch_norm;
}

void tape_spread(pare_tape *tape, const tape_ranks *ranks) {
    tape->ranks = *ranks;
}

static bool holds_not_finite(const float *data, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(data[i])) {
            return true;
        }
    }
    return false;
}

const pare_node *tape_find_not_finite(pare_tape *tape) {
    const pare_node *found = NULL;
    for (uint32_t i = 0; i < tape->forward_actions; i++) {
        const tape_action *action = &tape->actions[i];
        if (action->run(action->context, action->pointers) != PARE_OK) {
            return NULL;
        }
        for (uint32_t k = 0; found == NULL && k < action->count; k++) {
            const tape_memory *memory = &tape->memories[action->buffers[k]];
            if (memory->is_value && action->step != NULL && action->step->node != NULL &&
                holds_not_finite(action->pointers[k], memory->bytes / sizeof(float))) {
                found = action->step->node;
            }
        }
    }
    return found;
}

static pare_status store_list(pare_tape *tape, const tape_parameter *list, uint32_t count, const float *flat,
                              pare_error *error) {
    for (uint32_t i = 0; i < tape->link_count; i++) {
        tape_tensor *tensor = &tape->tensors[tape->links[i].tensor];
        for (uint32_t k = 0; k < count; k++) {
            if (list[k].tensor != tape->links[i].tensor) {
                continue;
            }
            /* The constant may be shared with the graph it was cloned from, so it gets its own block once. */
            pare_value *value = (pare_value *)(uintptr_t)tape->links[i].value;
            if (value->data == tensor->data) {
                value->data = pare_arena_alloc(&tape->graph->arena, list[k].count + 1, sizeof(float));
                if (value->data == NULL) {
                    value->data = (void *)(uintptr_t)tensor->data;
                    return pare_fail_memory(error, list[k].count * sizeof(float));
                }
            }
            memcpy(value->data, flat + list[k].offset, list[k].count * sizeof(float));
        }
    }
    return PARE_OK;
}

pare_status tape_store(pare_tape *tape, const float *values, const float *running, pare_error *error) {
    PARE_TRY(store_list(tape, tape->parameters, tape->parameter_count, values, error));
    return store_list(tape, tape->states, tape->state_count, running, error);
}
