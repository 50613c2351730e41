/* The plan of a session: which kernel runs each node, where each value lies,
 * and in which order everything happens. Private to the runtime. */
#ifndef PARE_PLAN_H
#define PARE_PLAN_H

#include "kernel.h"

#define PARE_LAYOUTS 4

typedef enum pare_value_kind {
    PARE_VALUE_UNDEFINED = 0,
    PARE_VALUE_CONSTANT, /* of the model, or computed while planning */
    PARE_VALUE_INPUT,    /* in the caller's buffer */
    PARE_VALUE_OUTPUT,   /* in the caller's buffer */
    PARE_VALUE_ARENA
} pare_value_kind;

/* One piece of data: a tensor of the model (the first tensor_count values, same
 * index), a copy of it in another layout, or a caller's output. */
typedef struct pare_value {
    pare_value_kind kind;
    uint32_t tensor; /* of the model */
    uint32_t parent; /* a value whose memory this one shares, or itself */
    uint32_t port;   /* of INPUT and OUTPUT */
    pare_dtype dtype;
    pare_shape shape; /* bound */
    pare_layout layout;
    size_t bytes;
    uint32_t copies[PARE_LAYOUTS]; /* the value that holds it in another layout, or PARE_NONE */
    uint32_t first, last;          /* steps of its memory's life; of a parent only */
    size_t offset;                 /* in the arena */
    void *address;                 /* where it is; of callers' buffers set by run */
    void *owned;                   /* a computed constant */
} pare_value;

typedef enum pare_step_kind { PARE_STEP_KERNEL, PARE_STEP_REORDER, PARE_STEP_ALIAS } pare_step_kind;

typedef struct pare_step {
    pare_step_kind kind;
    const pare_model_node *node; /* NULL: the copy into a caller's output */
    const pare_kernel *kernel;
    void *state;
    uint32_t *inputs, *outputs; /* values or PARE_NONE */
    uint32_t input_count, output_count;
    uint32_t in_place, alias; /* as in pare_site */
    size_t scratch_bytes, scratch_offset;
    const void **input_addresses;
    void **output_addresses;
    double microseconds;
} pare_step;

typedef struct pare_plan {
    pare_model *model;
    int64_t batch;
    int32_t threads;
    bool reference;
    pare_isa isa;
    uint64_t arena_limit;
    pare_arena memory; /* of everything small */
    pare_value *values;
    size_t value_count, value_capacity;
    pare_step *steps;
    size_t step_count, step_capacity;
    size_t reorder_count, packed_bytes, folded_bytes;
    uint8_t *arena;
    size_t arena_bytes;
} pare_plan;

/* Fills a plan whose first six fields are set. On failure the plan holds what
 * was built so far; pare_plan_free releases it. */
pare_status pare_plan_build(pare_plan *plan, pare_error *error);
/* Accepts a zeroed or half-built plan. Does not release the model. */
void pare_plan_free(pare_plan *plan);

/* Places values and allocates the arena (plan_memory.c); a part of building. */
pare_status pare_plan_place(pare_plan *plan, pare_error *error);
/* The value whose memory `value` uses. */
uint32_t pare_plan_root(const pare_plan *plan, uint32_t value);

/* Computes a node whose inputs are all constants (plan_fold.c); a part of
 * building. `site` is ready but for what `plan` sets. */
pare_status pare_plan_fold(pare_plan *plan, pare_site *site, pare_error *error);
/* Asks kernel by kernel (the last only, when `reference`). */
pare_status pare_plan_choose(pare_site *site, bool reference, const pare_kernel **kernel, void **state,
                             pare_error *error);

/* "CONV"; "?" for an unknown number. */
const char *pare_opcode_label(uint32_t opcode);

#endif
