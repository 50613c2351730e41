/* Rows of x along an axis picked by integers: an embedding where x is a trained table. */
#include <string.h>

#include "train/tape/tape_steps.h"

typedef struct gather_plan {
    size_t outer, extent, inner; /* of x, before the axis, along it and after it */
    size_t picked;               /* indices */
    bool wide;                   /* they have 64 bits */
    tape_place indices;
} gather_plan;

/* The i-th index, counted from the end where it is negative; false where it is out of range. */
static bool index_at(const gather_plan *p, const void *indices, size_t i, size_t *row) {
    int64_t extent = (int64_t)p->extent;
    int64_t index = p->wide ? ((const int64_t *)indices)[i] : ((const int32_t *)indices)[i];
    index = index < 0 ? index + extent : index;
    *row = (size_t)index;
    return index >= 0 && index < extent;
}

/* pointers: x, indices, y */
static pare_status run_forward(void *context, void *const *pointers) {
    const gather_plan *p = context;
    const float *x = pointers[0];
    float *y = pointers[2];
    for (size_t i = 0; i < p->picked; i++) {
        size_t row = 0;
        if (!index_at(p, pointers[1], i, &row)) {
            return PARE_BAD_INPUT;
        }
        for (size_t o = 0; o < p->outer; o++) {
            memcpy(y + (o * p->picked + i) * p->inner, x + (o * p->extent + row) * p->inner, p->inner * sizeof *y);
        }
    }
    return PARE_OK;
}

/* pointers: indices, dy, dx. In the order of the indices, as rows may be picked more than once. */
static pare_status run_backward(void *context, void *const *pointers) {
    const gather_plan *p = context;
    const float *dy = pointers[1];
    float *dx = pointers[2];
    memset(dx, 0, p->outer * p->extent * p->inner * sizeof *dx);
    for (size_t i = 0; i < p->picked; i++) {
        size_t row = 0;
        (void)index_at(p, pointers[0], i, &row);
        for (size_t o = 0; o < p->outer; o++) {
            const float *from = dy + (o * p->picked + i) * p->inner;
            float *to = dx + (o * p->extent + row) * p->inner;
            for (size_t k = 0; k < p->inner; k++) {
                to[k] += from[k];
            }
        }
    }
    return PARE_OK;
}

static pare_status gather_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const tape_tensor *table = tape_tensor_at(tape, step->inputs[0]), *picks = tape_tensor_at(tape, step->inputs[1]);
    int32_t axis = *(const int32_t *)step->attrs;
    gather_plan *plan = tape_make(tape, 1, sizeof *plan);
    tape_place x, y;
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    *plan = (gather_plan){.outer = 1, .extent = (size_t)table->shape.dims[axis], .inner = 1};
    for (int32_t a = 0; a < table->shape.rank; a++) {
        *(a < axis ? &plan->outer : &plan->inner) *= a == axis ? 1 : (size_t)table->shape.dims[a];
    }
    plan->picked = picks->elements;
    plan->wide = picks->dtype == PARE_S64;
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &x, error));
    PARE_TRY(tape_value(tape, step->inputs[1], &plan->indices, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &y, error));
    return tape_emit(tape, step, run_forward, NULL, plan, (const uint32_t[]){x.buffer, plan->indices.buffer, y.buffer},
                     3, error);
}

static pare_status gather_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    gather_plan *plan = step->plan;
    tape_place dy, dx;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], NULL, &dx, error));
    PARE_TRY(tape_emit(tape, step, run_backward, NULL, plan,
                       (const uint32_t[]){plan->indices.buffer, dy.buffer, dx.buffer}, 3, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static const tape_step_class gather_class = {"gathering", false, gather_forward, gather_backward};

pare_status tape_gather(pare_tape *tape, const pare_node *node, int32_t axis, uint32_t x, uint32_t indices, uint32_t y,
                        pare_error *error) {
    return tape_record(tape, &gather_class, node, (const uint32_t[]){x, indices}, 2, &y, 1, &axis, sizeof axis, error);
}
