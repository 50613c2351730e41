/* Reductions over axes: y keeps each reduced axis with one element, or drops it. */
#include <math.h>
#include <string.h>

#include "pare/opcodes.h"
#include "train/tape/tape_steps.h"

typedef struct reduce_attrs {
    int32_t kind;
    uint32_t mask;
} reduce_attrs;

typedef struct reduce_plan {
    pare_reduce_kind kind;
    size_t results;      /* elements of y */
    double share;        /* 1, or 1 / elements of one result for means */
    tape_broadcast walk; /* x's rows; b is y */
    tape_place x, y;
    /* [results] doubles: what is added up; PROD: how many factors are 0, which are left out; LOG_SUM_EXP: the largest.
     */
    uint32_t sums, extras;
} reduce_plan;

static void accumulate(pare_reduce_kind kind, double x, double *sum, double *extra) {
    switch (kind) {
    case PARE_REDUCE_MAX:
        *sum = x > *sum || x != x ? x : *sum;
        break;
    case PARE_REDUCE_MIN:
        *sum = x < *sum || x != x ? x : *sum;
        break;
    case PARE_REDUCE_PROD:
        *extra += x == 0;
        *sum *= x == 0 ? 1 : x;
        break;
    case PARE_REDUCE_L1:
        *sum += fabs(x);
        break;
    case PARE_REDUCE_L2:
    case PARE_REDUCE_SUM_SQUARE:
        *sum += x * x;
        break;
    case PARE_REDUCE_LOG_SUM_EXP:
        *sum += exp(x - *extra);
        break;
    default:
        *sum += x;
    }
}

static double start_of(pare_reduce_kind kind) {
    return kind == PARE_REDUCE_PROD  ? 1.0
           : kind == PARE_REDUCE_MAX ? -(double)INFINITY
           : kind == PARE_REDUCE_MIN ? (double)INFINITY
                                     : 0.0;
}

static double finish(const reduce_plan *p, double sum, double extra) {
    switch (p->kind) {
    case PARE_REDUCE_PROD:
        return extra > 0 ? 0 : sum;
    case PARE_REDUCE_L2:
        return sqrt(sum);
    case PARE_REDUCE_LOG_SUM:
        return log(sum);
    case PARE_REDUCE_LOG_SUM_EXP:
        return log(sum) + extra;
    default:
        return sum * p->share;
    }
}

static void reduce_rows(const tape_broadcast *w, pare_reduce_kind kind, const float *x, double *sums, double *extras) {
    for (size_t r = 0; r < w->rows; r++) {
        size_t at_x = 0, at_y = 0;
        tape_broadcast_row(w, r, &at_x, &at_y);
        for (size_t i = 0; i < w->row; i++) {
            size_t to = at_y + i * w->step_b;
            accumulate(kind, (double)x[at_x + i], &sums[to], &extras[to]);
        }
    }
}

static void fill(double *numbers, size_t count, double value) {
    for (size_t i = 0; i < count; i++) {
        numbers[i] = value;
    }
}

/* pointers: x, y, sums, extras */
static pare_status run_forward(void *context, void *const *pointers) {
    const reduce_plan *p = context;
    float *y = pointers[1];
    double *sums = pointers[2], *extras = pointers[3];
    fill(extras, p->results, 0.0);
    if (p->kind == PARE_REDUCE_LOG_SUM_EXP) {
        fill(extras, p->results, start_of(PARE_REDUCE_MAX));
        reduce_rows(&p->walk, PARE_REDUCE_MAX, pointers[0], extras, sums);
        for (size_t i = 0; i < p->results; i++) {
            extras[i] = isfinite(extras[i]) ? extras[i] : 0.0;
        }
    }
    fill(sums, p->results, start_of(p->kind));
    reduce_rows(&p->walk, p->kind, pointers[0], sums, extras);
    for (size_t i = 0; i < p->results; i++) {
        y[i] = (float)finish(p, sums[i], extras[i]);
    }
    return PARE_OK;
}

/* dy/dx of one element. */
static float slope_of(const reduce_plan *p, float x, float y, double sum, double extra) {
    switch (p->kind) {
    case PARE_REDUCE_MAX:
    case PARE_REDUCE_MIN:
        return x == y ? 1.0F / (float)extra : 0.0F; /* equals share it, as in PyTorch's amax */
    case PARE_REDUCE_PROD:
        return extra == 0 ? (float)(sum / (double)x) : extra == 1 && x == 0 ? (float)sum : 0.0F;
    case PARE_REDUCE_L1:
        return (float)(x > 0) - (float)(x < 0);
    case PARE_REDUCE_L2:
        return sum > 0 ? (float)((double)x / sqrt(sum)) : 0.0F; /* at 0, one of the subgradients */
    case PARE_REDUCE_SUM_SQUARE:
        return 2.0F * x;
    case PARE_REDUCE_LOG_SUM:
        return (float)(1.0 / sum);
    case PARE_REDUCE_LOG_SUM_EXP:
        return (float)(exp((double)x - extra) / sum);
    default:
        return (float)p->share;
    }
}

/* How many elements equal each result. */
static void count_equals(const tape_broadcast *w, const float *x, const float *y, double *equals, size_t results) {
    memset(equals, 0, results * sizeof *equals);
    for (size_t r = 0; r < w->rows; r++) {
        size_t at_x = 0, at_y = 0;
        tape_broadcast_row(w, r, &at_x, &at_y);
        for (size_t i = 0; i < w->row; i++) {
            equals[at_y + i * w->step_b] += x[at_x + i] == y[at_y + i * w->step_b];
        }
    }
}

/* pointers: x, y, sums, extras, dy, dx */
static pare_status run_backward(void *context, void *const *pointers) {
    const reduce_plan *p = context;
    const tape_broadcast *w = &p->walk;
    const float *x = pointers[0], *y = pointers[1], *dy = pointers[4];
    const double *sums = pointers[2];
    double *extras = pointers[3];
    float *dx = pointers[5];
    if (p->kind == PARE_REDUCE_MAX || p->kind == PARE_REDUCE_MIN) {
        count_equals(w, x, y, extras, p->results);
    }
#pragma omp parallel for schedule(static) if (w->rows * w->row > 16384)
    for (size_t r = 0; r < w->rows; r++) {
        size_t at_x = 0, at_y = 0;
        tape_broadcast_row(w, r, &at_x, &at_y);
        for (size_t i = 0; i < w->row; i++) {
            size_t from = at_y + i * w->step_b;
            dx[at_x + i] = dy[from] * slope_of(p, x[at_x + i], y[from], sums[from], extras[from]);
        }
    }
    return PARE_OK;
}

static pare_shape kept_shape(const pare_shape *x, uint32_t mask) {
    pare_shape kept = *x;
    for (int32_t a = 0; a < x->rank; a++) {
        kept.dims[a] = (mask >> a & 1U) != 0 ? 1 : x->dims[a];
    }
    return kept;
}

static pare_status reduce_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const reduce_attrs *attrs = step->attrs;
    const tape_tensor *x = tape_tensor_at(tape, step->inputs[0]), *y = tape_tensor_at(tape, step->outputs[0]);
    reduce_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    plan->kind = (pare_reduce_kind)attrs->kind;
    plan->results = y->elements;
    plan->share = plan->kind == PARE_REDUCE_MEAN ? (double)y->elements / (double)x->elements : 1.0;
    pare_shape kept = kept_shape(&x->shape, attrs->mask);
    tape_broadcast_plan(&plan->walk, &x->shape, &kept, &x->shape);
    pare_status status = PARE_OK;
    plan->sums = tape_buffer(tape, plan->results * sizeof(double), error, &status);
    PARE_TRY(status);
    plan->extras = tape_buffer(tape, plan->results * sizeof(double), error, &status);
    PARE_TRY(status);
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &plan->x, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &plan->y, error));
    return tape_emit(tape, step, run_forward, NULL, plan,
                     (const uint32_t[]){plan->x.buffer, plan->y.buffer, plan->sums, plan->extras}, 4, error);
}

static pare_status reduce_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    reduce_plan *plan = step->plan;
    tape_place dy, dx;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], NULL, &dx, error));
    PARE_TRY(tape_emit(
        tape, step, run_backward, NULL, plan,
        (const uint32_t[]){plan->x.buffer, plan->y.buffer, plan->sums, plan->extras, dy.buffer, dx.buffer}, 6, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static const tape_step_class reduce_class = {"reduction", true, reduce_forward, reduce_backward};

pare_status tape_reduce(pare_tape *tape, const pare_node *node, pare_reduce_kind kind, uint32_t mask, uint32_t x,
                        uint32_t y, pare_error *error) {
    reduce_attrs attrs = {(int32_t)kind, mask};
    if (kind >= PARE_REDUCE_END) {
        return tape_refuse(node, error);
    }
    return tape_record(tape, &reduce_class, node, &x, 1, &y, 1, &attrs, sizeof attrs, error);
}
