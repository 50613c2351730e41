/* y = condition ? a : b, all three broadcast. */
#include <string.h>

#include "train/tape/tape_steps.h"

/* Inputs of the step. */
enum { WHERE_CONDITION = 0, WHERE_A, WHERE_B, WHERE_INPUTS };

typedef struct where_plan {
    int32_t rank;
    size_t rows, row; /* y's last axis, and how often it comes */
    size_t dims[PARE_MAX_RANK], strides[WHERE_INPUTS][PARE_MAX_RANK];
    tape_place inputs[WHERE_INPUTS];
} where_plan;

typedef struct where_context {
    const where_plan *plan;
    size_t which;    /* WHERE_A or WHERE_B */
    size_t elements; /* of it */
} where_context;

static void plan_walk(const pare_tape *tape, const tape_step *step, where_plan *plan) {
    pare_shape y = tape_tensor_at(tape, step->outputs[0])->shape;
    if (y.rank == 0) {
        y = (pare_shape){.rank = 1, .dims = {1}};
    }
    plan->rank = y.rank - 1;
    plan->row = (size_t)y.dims[plan->rank];
    plan->rows = 1;
    for (int32_t a = 0; a < plan->rank; a++) {
        plan->dims[a] = (size_t)y.dims[a];
        plan->rows *= plan->dims[a];
    }
    for (size_t i = 0; i < WHERE_INPUTS; i++) {
        tape_broadcast_strides(&tape_tensor_at(tape, step->inputs[i])->shape, &y, plan->strides[i]);
    }
}

/* First elements of row `r` in the three inputs. */
static void row_at(const where_plan *p, size_t r, size_t *at) {
    memset(at, 0, WHERE_INPUTS * sizeof *at);
    for (int32_t a = p->rank - 1; a >= 0; a--) {
        size_t index = r % p->dims[a];
        r /= p->dims[a];
        for (size_t i = 0; i < WHERE_INPUTS; i++) {
            at[i] += index * p->strides[i][a];
        }
    }
}

/* pointers: condition, a, b, y */
static pare_status run_forward(void *context, void *const *pointers) {
    const where_plan *p = context;
    const uint8_t *condition = pointers[0];
    const float *a = pointers[1], *b = pointers[2];
    float *y = pointers[3];
    const size_t step[WHERE_INPUTS] = {p->strides[0][p->rank], p->strides[1][p->rank], p->strides[2][p->rank]};
#pragma omp parallel for schedule(static) if (p->rows * p->row > 16384)
    for (size_t r = 0; r < p->rows; r++) {
        size_t at[WHERE_INPUTS];
        row_at(p, r, at);
        for (size_t i = 0; i < p->row; i++) {
            y[r * p->row + i] = condition[at[0] + i * step[0]] != 0 ? a[at[1] + i * step[1]] : b[at[2] + i * step[2]];
        }
    }
    return PARE_OK;
}

/* pointers: condition, dy, the gradient. One thread, as elements may share a place. */
static pare_status run_backward(void *context, void *const *pointers) {
    const where_context *c = context;
    const where_plan *p = c->plan;
    const uint8_t *condition = pointers[0];
    const float *dy = pointers[1];
    float *gradient = pointers[2];
    size_t step = p->strides[c->which][p->rank], condition_step = p->strides[WHERE_CONDITION][p->rank];
    memset(gradient, 0, c->elements * sizeof *gradient);
    for (size_t r = 0; r < p->rows; r++) {
        size_t at[WHERE_INPUTS];
        double sum = 0;
        row_at(p, r, at);
        for (size_t i = 0; i < p->row; i++) {
            bool chosen = (condition[at[0] + i * condition_step] != 0) == (c->which == WHERE_A);
            float slope = chosen ? dy[r * p->row + i] : 0.0F;
            if (step == 0) {
                sum += (double)slope;
            } else {
                gradient[at[c->which] + i * step] += slope;
            }
        }
        gradient[at[c->which]] += (float)sum;
    }
    return PARE_OK;
}

static pare_status where_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    where_plan *plan = tape_make(tape, 1, sizeof *plan);
    tape_place y;
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    plan_walk(tape, step, plan);
    for (size_t i = 0; i < WHERE_INPUTS; i++) {
        PARE_TRY(tape_value_as(tape, step->inputs[i], NULL, &plan->inputs[i], error));
    }
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &y, error));
    return tape_emit(
        tape, step, run_forward, NULL, plan,
        (const uint32_t[]){plan->inputs[0].buffer, plan->inputs[1].buffer, plan->inputs[2].buffer, y.buffer}, 4, error);
}

static pare_status where_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const where_plan *plan = step->plan;
    tape_place dy, gradient;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    for (size_t i = WHERE_A; i <= WHERE_B; i++) {
        const tape_tensor *operand = tape_tensor_at(tape, step->inputs[i]);
        if (!operand->wants_gradient) {
            continue;
        }
        where_context *context = tape_make(tape, 1, sizeof *context);
        if (context == NULL) {
            return pare_fail_memory(error, sizeof *context);
        }
        *context = (where_context){plan, i, operand->elements};
        PARE_TRY(tape_new_place(tape, step->inputs[i], NULL, &gradient, error));
        PARE_TRY(tape_emit(tape, step, run_backward, NULL, context,
                           (const uint32_t[]){plan->inputs[0].buffer, dy.buffer, gradient.buffer}, 3, error));
        PARE_TRY(tape_contribute(tape, step->inputs[i], &gradient, error));
    }
    return PARE_OK;
}

static const tape_step_class where_class = {"choice", false, where_forward, where_backward};

pare_status tape_where(pare_tape *tape, const pare_node *node, uint32_t condition, uint32_t a, uint32_t b, uint32_t y,
                       pare_error *error) {
    return tape_record(tape, &where_class, node, (const uint32_t[]){condition, a, b}, WHERE_INPUTS, &y, 1, NULL, 0,
                       error);
}
