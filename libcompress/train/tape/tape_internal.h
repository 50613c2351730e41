/* The tape's own state. Private to tape*.c and executor.c. */
#ifndef PARE_TAPE_INTERNAL_H
#define PARE_TAPE_INTERNAL_H

#include "train/tape/tape_plan.h"

typedef struct tape_memory {
    size_t bytes;
    uint32_t first, last; /* actions */
    bool used;
    bool is_value;         /* floats that a step computes, not a workspace */
    void *const *external; /* NULL: planned */
    size_t offset;
} tape_memory;

typedef struct tape_action {
    const tape_step *step;
    tape_run run, bind;
    void *context;
    uint32_t *buffers;
    void **pointers;
    uint32_t count;
} tape_action;

typedef struct tape_deferred {
    void (*release)(void *object);
    void *object;
    struct tape_deferred *next;
} tape_deferred;

struct pare_tape {
    pare_arena arena;
    pare_graph *graph; /* not owned */
    int64_t batch;
    tape_tensor *tensors;
    uint32_t tensor_count, tensor_capacity;
    tape_step *steps;
    uint32_t step_count, step_capacity;
    struct tape_link *links; /* value -> tensor */
    uint32_t link_count, link_capacity;
    tape_parameter *parameters, *states;
    uint32_t parameter_count, parameter_capacity, state_count, state_capacity;
    size_t flat_count, state_floats; /* floats of all parameters and states, each padded to 16 */
    tape_memory *memories;
    uint32_t memory_count, memory_capacity;
    tape_action *actions;
    uint32_t action_count, action_capacity;
    uint32_t forward_actions; /* the first so many */
    tape_deferred *deferred;
    const tape_step *planning;           /* the step whose actions are being emitted */
    float *values, *gradients, *running; /* flat vectors of parameters, their gradients, states; owned */
    const char *const *freeze;           /* patterns of node names whose constants are not trained */
    size_t freeze_count;
    const struct pare_quant_aware *quant_aware; /* what is rounded; NULL: nothing. Not owned */
    uint32_t *quant_steps;                      /* tensors of its activations' steps, once they are made */
    uint32_t *quant_weight_steps;               /* likewise of its layers' */
    bool freeze_batch_norm;                     /* running statistics stay, and are what training uses */
    uint64_t step_number;                       /* of the run that is going on */
    uint64_t seed;
    tape_ranks ranks;
    void *block; /* the planned memory */
    size_t block_bytes;
    pare_status failed; /* recording ran out of memory: reported at the end of the node */
};

typedef struct tape_link {
    const pare_value *value;
    uint32_t tensor;
} tape_link;

/* Grows an array of the tape; false when out of memory. */
bool tape_grow(void **items, uint32_t count, uint32_t *capacity, size_t size);

#endif
