/* Running sums along an axis; the gradient's run the other way. */
#include "train/tape/tape_steps.h"

typedef struct cumsum_attrs {
    int32_t axis;
    bool exclusive, reverse;
} cumsum_attrs;

typedef struct cumsum_plan {
    size_t outer, extent, inner;
    bool exclusive, reverse;
} cumsum_plan;

/* pointers: from, to */
static pare_status run_sums(void *context, void *const *pointers) {
    const cumsum_plan *p = context;
    const float *from = pointers[0];
    float *to = pointers[1];
#pragma omp parallel for schedule(static) if (p->outer * p->extent * p->inner > 16384)
    for (size_t line = 0; line < p->outer * p->inner; line++) {
        size_t first = line / p->inner * p->extent * p->inner + line % p->inner;
        double sum = 0;
        for (size_t k = 0; k < p->extent; k++) {
            size_t at = first + (p->reverse ? p->extent - 1 - k : k) * p->inner;
            double x = (double)from[at];
            to[at] = (float)(p->exclusive ? sum : sum + x);
            sum += x;
        }
    }
    return PARE_OK;
}

static pare_status emit_sums(pare_tape *tape, const tape_step *step, bool backwards, const tape_place *from,
                             const tape_place *to, pare_error *error) {
    const cumsum_attrs *attrs = step->attrs;
    const pare_shape *x = &tape_tensor_at(tape, step->inputs[0])->shape;
    cumsum_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    *plan = (cumsum_plan){1, (size_t)x->dims[attrs->axis], 1, attrs->exclusive, attrs->reverse != backwards};
    for (int32_t a = 0; a < x->rank; a++) {
        *(a < attrs->axis ? &plan->outer : &plan->inner) *= a == attrs->axis ? 1 : (size_t)x->dims[a];
    }
    return tape_emit(tape, step, run_sums, NULL, plan, (const uint32_t[]){from->buffer, to->buffer}, 2, error);
}

static pare_status cumsum_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_place x, y;
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &x, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &y, error));
    return emit_sums(tape, step, false, &x, &y, error);
}

static pare_status cumsum_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_place dy, dx;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], NULL, &dx, error));
    PARE_TRY(emit_sums(tape, step, true, &dy, &dx, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static const tape_step_class cumsum_class = {"running sum", false, cumsum_forward, cumsum_backward};

pare_status tape_cumsum(pare_tape *tape, const pare_node *node, int32_t axis, bool exclusive, bool reverse, uint32_t x,
                        uint32_t y, pare_error *error) {
    cumsum_attrs attrs = {axis, exclusive, reverse};
    return tape_record(tape, &cumsum_class, node, &x, 1, &y, 1, &attrs, sizeof attrs, error);
}
