/* Resizing x [N, C, H, W] over H and W. Every element of y is a weighted sum of a few
 * of x's: backwards, each of those gets its weight of the gradient. What oneDNN's
 * resampling computes as well runs there (train/onednn/resampling_step.c). */
#include <string.h>

#include "pare/opcode_resize.h"
#include "train/tape/tape_steps.h"

typedef struct resize_plan {
    size_t planes, height, width, out_h, out_w;
    int32_t taps;
    pare_resize_taps *rows, *columns;
} resize_plan;

/* pointers: x, y */
static pare_status run_forward(void *context, void *const *pointers) {
    const resize_plan *p = context;
#pragma omp parallel for schedule(static) if (p->planes * p->out_h * p->out_w > 16384)
    for (size_t task = 0; task < p->planes * p->out_h; task++) {
        const float *plane = (const float *)pointers[0] + task / p->out_h * p->height * p->width;
        const pare_resize_taps *r = &p->rows[task % p->out_h];
        float *y = (float *)pointers[1] + task * p->out_w;
        memset(y, 0, p->out_w * sizeof *y);
        for (int32_t v = 0; v < p->taps; v++) {
            const float *line = plane + r->index[v] * p->width;
            for (size_t i = 0; i < p->out_w; i++) {
                float sum = 0.0F;
                for (int32_t h = 0; h < p->taps; h++) {
                    sum += p->columns[i].weight[h] * line[p->columns[i].index[h]];
                }
                y[i] += r->weight[v] * sum;
            }
        }
    }
    return PARE_OK;
}

/* pointers: dy, dx. A plane's elements share places, so one thread does it. */
static pare_status run_backward(void *context, void *const *pointers) {
    const resize_plan *p = context;
#pragma omp parallel for schedule(static) if (p->planes * p->out_h * p->out_w > 16384)
    for (size_t plane = 0; plane < p->planes; plane++) {
        const float *dy = (const float *)pointers[0] + plane * p->out_h * p->out_w;
        float *dx = (float *)pointers[1] + plane * p->height * p->width;
        memset(dx, 0, p->height * p->width * sizeof *dx);
        for (size_t row = 0; row < p->out_h; row++, dy += p->out_w) {
            for (int32_t v = 0; v < p->taps; v++) {
                float weight = p->rows[row].weight[v], *line = dx + p->rows[row].index[v] * p->width;
                for (size_t i = 0; i < p->out_w; i++) {
                    for (int32_t h = 0; h < p->taps; h++) {
                        line[p->columns[i].index[h]] += weight * p->columns[i].weight[h] * dy[i];
                    }
                }
            }
        }
    }
    return PARE_OK;
}

static pare_status resize_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const pare_resize_attrs *attrs = step->attrs;
    const pare_shape *x = &tape_tensor_at(tape, step->inputs[0])->shape;
    const pare_shape *y = &tape_tensor_at(tape, step->outputs[0])->shape;
    resize_plan *plan = tape_make(tape, 1, sizeof *plan);
    tape_place in, out;
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    *plan = (resize_plan){.planes = (size_t)(x->dims[0] * x->dims[1]),
                          .height = (size_t)x->dims[2],
                          .width = (size_t)x->dims[3],
                          .out_h = (size_t)y->dims[2],
                          .out_w = (size_t)y->dims[3],
                          .taps = pare_resize_tap_count(attrs->mode)};
    plan->rows = tape_make(tape, plan->out_h, sizeof *plan->rows);
    plan->columns = tape_make(tape, plan->out_w, sizeof *plan->columns);
    if (plan->rows == NULL || plan->columns == NULL) {
        return pare_fail_memory(error, (plan->out_h + plan->out_w) * sizeof *plan->rows);
    }
    pare_resize_axis(attrs, plan->height, plan->out_h, attrs->scale_h, plan->rows);
    pare_resize_axis(attrs, plan->width, plan->out_w, attrs->scale_w, plan->columns);
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &in, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &out, error));
    return tape_emit(tape, step, run_forward, NULL, plan, (const uint32_t[]){in.buffer, out.buffer}, 2, error);
}

static pare_status resize_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_place dy, dx;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], NULL, &dx, error));
    PARE_TRY(tape_emit(tape, step, run_backward, NULL, step->plan, (const uint32_t[]){dy.buffer, dx.buffer}, 2, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static const tape_step_class resize_class = {"resizing", false, resize_forward, resize_backward};

pare_status tape_resize(pare_tape *tape, const pare_node *node, const pare_resize_attrs *attrs, uint32_t x, uint32_t y,
                        pare_error *error) {
    const tape_step_class *resampling = tape_resampling_class();
    bool fits = resampling != NULL &&
                pare_resize_is_resampling(attrs, &tape_tensor_at(tape, x)->shape, &tape_tensor_at(tape, y)->shape);
    return tape_record(tape, fits ? resampling : &resize_class, node, &x, 1, &y, 1, attrs, sizeof *attrs, error);
}
