/* Steps that move elements: another shape, or another place for each. */
#include "train/tape/tape_plan.h"

#include <string.h>

#include "train/tape/tape_steps.h"

/* --- another shape --------------------------------------------------------------- */

static pare_status reshape_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_place x;
    bool free_to_write = tape_may_overwrite(tape, step, step->inputs[0]);
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &x, error));
    tape_share_value(tape, step->outputs[0], &x);
    if (!free_to_write) {
        tape_pin(tape, step->outputs[0]); /* whoever overwrites it would overwrite x */
    }
    return PARE_OK;
}

static pare_status reshape_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_place dy;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    return tape_contribute(tape, step->inputs[0], &dy, error);
}

static const tape_step_class reshape_class = {"reshape", false, reshape_forward, reshape_backward};

pare_status tape_reshape(pare_tape *tape, const pare_node *node, uint32_t x, uint32_t y, pare_error *error) {
    return tape_record(tape, &reshape_class, node, &x, 1, &y, 1, NULL, 0, error);
}

/* --- another place ---------------------------------------------------------------- */

typedef struct move_attrs {
    size_t samples, in, out; /* elements of one sample of x and y */
    int64_t *map;
    float *fill;
} move_attrs;

/* pointers: x, y */
static pare_status run_move(void *context, void *const *pointers) {
    const move_attrs *m = context;
    const float *x = pointers[0];
    float *y = pointers[1];
#pragma omp parallel for schedule(static) if (m->samples * m->out > 16384)
    for (size_t n = 0; n < m->samples; n++) {
        for (size_t i = 0; i < m->out; i++) {
            y[n * m->out + i] = m->map[i] >= 0 ? x[n * m->in + (size_t)m->map[i]] : m->fill[i];
        }
    }
    return PARE_OK;
}

/* pointers: dy, dx */
static pare_status run_move_back(void *context, void *const *pointers) {
    const move_attrs *m = context;
    const float *dy = pointers[0];
    float *dx = pointers[1];
#pragma omp parallel for schedule(static) if (m->samples * m->out > 16384)
    for (size_t n = 0; n < m->samples; n++) {
        memset(dx + n * m->in, 0, m->in * sizeof *dx);
        for (size_t i = 0; i < m->out; i++) {
            if (m->map[i] >= 0) {
                dx[n * m->in + (size_t)m->map[i]] += dy[n * m->out + i];
            }
        }
    }
    return PARE_OK;
}

static pare_status move_forward(pare_tape *tape, tape_step *step, pare_error *error);

/* A movement that alone reads this one takes its elements where they come from. */
static bool merge_into_reader(pare_tape *tape, const tape_step *step) {
    const move_attrs *first = step->attrs;
    tape_step *reader = tape_only_reader(tape, step->outputs[0]);
    if (reader == NULL || reader->class->forward != move_forward) {
        return false;
    }
    move_attrs *second = reader->attrs;
    if (second->samples != first->samples) {
        return false;
    }
    for (size_t i = 0; i < second->out; i++) {
        int64_t from = second->map[i];
        if (from >= 0) {
            second->map[i] = first->map[from];
            second->fill[i] = first->fill[from];
        }
    }
    second->in = first->in;
    reader->inputs[0] = step->inputs[0];
    return true;
}

static pare_status move_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_place x, y;
    if (merge_into_reader(tape, step)) {
        return PARE_OK; /* its output is never made, and has no gradient */
    }
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &x, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &y, error));
    return tape_emit(tape, step, run_move, NULL, step->attrs, (const uint32_t[]){x.buffer, y.buffer}, 2, error);
}

static pare_status move_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_place dy, dx;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], NULL, &dx, error));
    PARE_TRY(
        tape_emit(tape, step, run_move_back, NULL, step->attrs, (const uint32_t[]){dy.buffer, dx.buffer}, 2, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static const tape_step_class move_class = {"movement", false, move_forward, move_backward};

pare_status tape_move(pare_tape *tape, const pare_node *node, size_t samples, const int64_t *map, const float *fill,
                      uint32_t x, uint32_t y, pare_error *error) {
    size_t out = tape_tensor_at(tape, y)->elements / samples;
    move_attrs attrs = {samples, tape_tensor_at(tape, x)->elements / samples, out,
                        tape_make(tape, out + 1, sizeof *attrs.map), tape_make(tape, out + 1, sizeof *attrs.fill)};
    if (attrs.map == NULL || attrs.fill == NULL) {
        return pare_fail_memory(error, out * sizeof *attrs.map);
    }
    memcpy(attrs.map, map, out * sizeof *map);
    memcpy(attrs.fill, fill, out * sizeof *fill);
    return tape_record(tape, &move_class, node, &x, 1, &y, 1, &attrs, sizeof attrs, error);
}
