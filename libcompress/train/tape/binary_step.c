/* y = f(a, b) with broadcasting. Operands of one shape keep their layout. */
#include "train/tape/tape_plan.h"

#include <math.h>
#include <string.h>

#include "train/tape/tape_steps.h"

/* One kind: the result, and its derivatives by a and by b times dy. */
typedef struct binary_loop {
    void (*forward)(size_t count, const float *a, size_t a_step, const float *b, size_t b_step, float *y);
    void (*to_a)(size_t count, const float *a, size_t a_step, const float *b, size_t b_step, const float *dy,
                 float *da);
    void (*to_b)(size_t count, const float *a, size_t a_step, const float *b, size_t b_step, const float *dy,
                 float *db);
    bool linear; /* the derivatives need neither a nor b */
} binary_loop;

#define BODY(target, expression)                                                                                       \
    if (a_step == 1 && b_step == 1) {                                                                                  \
        for (size_t i = 0; i < count; i++) {                                                                           \
            float a = a_[i], b = b_[i];                                                                                \
            (void)a, (void)b;                                                                                          \
            target[i] = expression;                                                                                    \
        }                                                                                                              \
    } else {                                                                                                           \
        for (size_t i = 0; i < count; i++) {                                                                           \
            float a = a_[i * a_step], b = b_[i * b_step];                                                              \
            (void)a, (void)b;                                                                                          \
            target[i] = expression;                                                                                    \
        }                                                                                                              \
    }
#define KIND(name, f, by_a, by_b)                                                                                      \
    static void name##_forward(size_t count, const float *a_, size_t a_step, const float *b_, size_t b_step,           \
                               float *y) {                                                                             \
        BODY(y, f)                                                                                                     \
    }                                                                                                                  \
    static void name##_to_a(size_t count, const float *a_, size_t a_step, const float *b_, size_t b_step,              \
                            const float *dy, float *da) {                                                              \
        BODY(da, dy[i] * (by_a))                                                                                       \
    }                                                                                                                  \
    static void name##_to_b(size_t count, const float *a_, size_t a_step, const float *b_, size_t b_step,              \
                            const float *dy, float *db) {                                                              \
        BODY(db, dy[i] * (by_b))                                                                                       \
    }

/* d/db of a^b where a is not positive: 0, as for the power that a constant exponent usually is. */
static inline float log_or_zero(float a) {
    return a > 0 ? logf(a) : 0.0F;
}

KIND(add, a + b, 1.0F, 1.0F)
KIND(sub, a - b, 1.0F, -1.0F)
KIND(mul, a *b, b, a)
KIND(div, a / b, 1.0F / b, -a / (b * b))
KIND(power, powf(a, b), b == 0 ? 0.0F : b * powf(a, b - 1.0F), powf(a, b) * log_or_zero(a))
KIND(smaller, a < b ? a : b, a < b ? 1.0F : a == b ? 0.5F : 0.0F, b < a ? 1.0F : a == b ? 0.5F : 0.0F)
KIND(larger, a > b ? a : b, a > b ? 1.0F : a == b ? 0.5F : 0.0F, b > a ? 1.0F : a == b ? 0.5F : 0.0F)
KIND(remainder, fmodf(a, b), 1.0F, -truncf(a / b))
KIND(prelu, a < 0 ? b * a : a, a < 0 ? b : 1.0F, a < 0 ? a : 0.0F)

#define LOOP(name, linear)                                                                                             \
    { name##_forward, name##_to_a, name##_to_b, linear }
static const binary_loop loops[PARE_BINARY_END] = {
    [PARE_BINARY_ADD] = LOOP(add, true),        [PARE_BINARY_SUB] = LOOP(sub, true),
    [PARE_BINARY_MUL] = LOOP(mul, false),       [PARE_BINARY_DIV] = LOOP(div, false),
    [PARE_BINARY_POW] = LOOP(power, false),     [PARE_BINARY_MIN] = LOOP(smaller, false),
    [PARE_BINARY_MAX] = LOOP(larger, false),    [PARE_BINARY_PRELU] = LOOP(prelu, false),
    [PARE_BINARY_MOD] = LOOP(remainder, false),
};

typedef struct binary_plan {
    const binary_loop *loop;
    bool relu; /* of the sum, by the same loop */
    tape_place a, b;
    tape_broadcast walk;
} binary_plan;

typedef struct binary_context {
    const binary_plan *plan;
    bool to_b;
    size_t total; /* floats of the operand whose gradient this is */
} binary_context;

#define ROW_CHUNK 512

/* Elements of the row from the i-th on, at most a chunk. */
static size_t chunk_of(const tape_broadcast *w, size_t i) {
    return w->row - i < ROW_CHUNK ? w->row - i : ROW_CHUNK;
}

/* pointers: a, b, y */
static pare_status run_forward(void *context, void *const *pointers) {
    const binary_plan *plan = context;
    const tape_broadcast *w = &plan->walk;
    const float *a = pointers[0], *b = pointers[1];
    float *y = pointers[2];
    size_t chunks = (w->row + ROW_CHUNK - 1) / ROW_CHUNK;
#pragma omp parallel for schedule(static) if (w->rows * w->row > 16384)
    for (size_t k = 0; k < w->rows * chunks; k++) {
        size_t r = k / chunks, i = k % chunks * ROW_CHUNK, at_a = 0, at_b = 0;
        tape_broadcast_row(w, r, &at_a, &at_b);
        size_t count = chunk_of(w, i);
        float *to = y + r * w->row + i;
        plan->loop->forward(count, a + at_a + i * w->step_a, w->step_a, b + at_b + i * w->step_b, w->step_b, to);
        for (size_t j = 0; plan->relu && j < count; j++) {
            to[j] = to[j] < 0 ? 0.0F : to[j]; /* NaN stays */
        }
    }
    return PARE_OK;
}

/* Sums a row of gradients into the operand, whose elements the row's are, or whose one element they share. */
static void add_row(size_t count, const float *row, float *sum, size_t step) {
    if (step == 1) {
        for (size_t i = 0; i < count; i++) {
            sum[i] += row[i];
        }
        return;
    }
    double total = 0;
    for (size_t i = 0; i < count; i++) {
        total += (double)row[i];
    }
    sum[0] += (float)total;
}

/* pointers: a, b, dy, the gradient. In a fixed order: one thread where rows share elements. */
static pare_status run_backward(void *context, void *const *pointers) {
    const binary_context *c = context;
    const binary_plan *plan = c->plan;
    const tape_broadcast *w = &plan->walk;
    const float *a = pointers[0], *b = pointers[1], *dy = pointers[2];
    float *gradient = pointers[3];
    void (*slope)(size_t, const float *, size_t, const float *, size_t, const float *, float *) =
        c->to_b ? plan->loop->to_b : plan->loop->to_a;
    if (c->total == w->rows * w->row) {
        size_t chunks = (w->row + ROW_CHUNK - 1) / ROW_CHUNK;
#pragma omp parallel for schedule(static) if (c->total > 16384)
        for (size_t k = 0; k < w->rows * chunks; k++) {
            size_t r = k / chunks, i = k % chunks * ROW_CHUNK, at_a = 0, at_b = 0;
            tape_broadcast_row(w, r, &at_a, &at_b);
            slope(chunk_of(w, i), a + at_a + i * w->step_a, w->step_a, b + at_b + i * w->step_b, w->step_b,
                  dy + r * w->row + i, gradient + r * w->row + i);
        }
        return PARE_OK;
    }
    memset(gradient, 0, c->total * sizeof *gradient);
    for (size_t r = 0; r < w->rows; r++) {
        size_t at_a = 0, at_b = 0, step = c->to_b ? w->step_b : w->step_a;
        tape_broadcast_row(w, r, &at_a, &at_b);
        float *sum = gradient + (c->to_b ? at_b : at_a);
        for (size_t i = 0; i < w->row; i += ROW_CHUNK) {
            float row[ROW_CHUNK];
            size_t count = chunk_of(w, i);
            slope(count, a + at_a + i * w->step_a, w->step_a, b + at_b + i * w->step_b, w->step_b, dy + r * w->row + i,
                  row);
            add_row(count, row, sum + i * step, step);
        }
    }
    return PARE_OK;
}

static pare_status place_operands(pare_tape *tape, const tape_step *step, binary_plan *plan, pare_error *error) {
    const pare_shape *a = &tape_tensor_at(tape, step->inputs[0])->shape;
    const pare_shape *b = &tape_tensor_at(tape, step->inputs[1])->shape;
    const pare_shape *y = &tape_tensor_at(tape, step->outputs[0])->shape;
    const tape_layout *layout = NULL;
    if (pare_shape_equal(a, b)) {
        /* One row of everything. A padding of zeros must stay one: sums and products do that. */
        PARE_TRY(tape_value(tape, step->inputs[0], &plan->a, error));
        int32_t kind = *(const int32_t *)step->attrs;
        bool zeros = kind == PARE_BINARY_ADD || kind == PARE_BINARY_SUB || kind == PARE_BINARY_MUL;
        layout = zeros || !tape_layout_padded(plan->a.layout, a) ? plan->a.layout : NULL;
    }
    PARE_TRY(tape_value_as(tape, step->inputs[0], layout, &plan->a, error));
    PARE_TRY(tape_value_as(tape, step->inputs[1], layout, &plan->b, error));
    if (pare_shape_equal(a, b)) {
        tape_broadcast_flat(&plan->walk, tape_layout_floats(layout, a));
    } else {
        tape_broadcast_plan(&plan->walk, a, b, y);
    }
    return PARE_OK;
}

static pare_status binary_forward(pare_tape *tape, tape_step *step, pare_error *error);

tape_step *tape_absorb_add(pare_tape *tape, uint32_t tensor, const tape_layout *layout, tape_place *added,
                           tape_place *sum, pare_error *error) {
    tape_step *add = tape_only_reader(tape, tensor);
    if (add == NULL || add->class->forward != binary_forward || *(const int32_t *)add->attrs != PARE_BINARY_ADD) {
        return NULL;
    }
    uint32_t other = add->inputs[add->inputs[0] == tensor ? 1 : 0];
    const tape_tensor *left = tape_tensor_at(tape, tensor), *right = tape_tensor_at(tape, other);
    if (!right->placed || !pare_shape_equal(&left->shape, &right->shape) ||
        !tape_layout_equal(right->value.layout, layout)) {
        return NULL;
    }
    *added = right->value;
    if (tape_may_overwrite(tape, add, other)) {
        *sum = *added;
        tape_share_value(tape, add->outputs[0], sum);
    } else if (tape_new_value(tape, add->outputs[0], layout, sum, error) != PARE_OK) {
        return NULL;
    }
    add->absorbed = TAPE_ABSORBED_FORWARD;
    return add;
}

/* What the way back needs of a sum that another step made. */
static pare_status plan_absorbed(pare_tape *tape, const tape_step *step, binary_plan *plan, pare_error *error) {
    PARE_TRY(tape_value(tape, step->outputs[0], &plan->a, error));
    plan->b = plan->a;
    tape_broadcast_flat(&plan->walk,
                        tape_layout_floats(plan->a.layout, &tape_tensor_at(tape, step->outputs[0])->shape));
    return PARE_OK;
}

static pare_status binary_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    binary_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    plan->loop = &loops[*(const int32_t *)step->attrs];
    if (step->absorbed != TAPE_NOT_ABSORBED) {
        return plan_absorbed(tape, step, plan, error);
    }
    plan->relu = plan->loop->linear && tape_absorb_relu(tape, step->outputs[0], false);
    PARE_TRY(place_operands(tape, step, plan, error));
    const pare_shape *shape = &tape_tensor_at(tape, step->outputs[0])->shape;
    tape_place y;
    bool over_a = pare_shape_equal(&tape_tensor_at(tape, step->inputs[0])->shape, shape) &&
                  tape_may_overwrite(tape, step, step->inputs[0]);
    bool over_b = pare_shape_equal(&tape_tensor_at(tape, step->inputs[1])->shape, shape) &&
                  tape_may_overwrite(tape, step, step->inputs[1]);
    if (plan->loop->linear && (over_a || over_b)) {
        y = over_a ? plan->a : plan->b;
        tape_share_value(tape, step->outputs[0], &y);
    } else {
        PARE_TRY(tape_new_value(tape, step->outputs[0], plan->a.layout, &y, error));
    }
    return tape_emit(tape, step, run_forward, NULL, plan, (const uint32_t[]){plan->a.buffer, plan->b.buffer, y.buffer},
                     3, error);
}

static pare_status to_operand(pare_tape *tape, tape_step *step, size_t which, tape_place dy, pare_error *error) {
    const binary_plan *plan = step->plan;
    const tape_tensor *operand = tape_tensor_at(tape, step->inputs[which]);
    int32_t kind = *(const int32_t *)step->attrs;
    tape_place gradient;
    if (pare_shape_equal(&operand->shape, &tape_tensor_at(tape, step->outputs[0])->shape) &&
        (kind == PARE_BINARY_ADD || (kind == PARE_BINARY_SUB && which == 0))) {
        dy.owned = false;
        return tape_contribute(tape, step->inputs[which], &dy, error);
    }
    binary_context *context = tape_make(tape, 1, sizeof *context);
    if (context == NULL) {
        return pare_fail_memory(error, sizeof *context);
    }
    PARE_TRY(tape_new_place(tape, step->inputs[which], plan->a.layout, &gradient, error));
    *context = (binary_context){plan, which == 1, tape_layout_floats(plan->a.layout, &operand->shape)};
    /* A linear kind's operands may have been overwritten: dy stands for what is not read. */
    uint32_t a = plan->loop->linear ? dy.buffer : plan->a.buffer, b = plan->loop->linear ? dy.buffer : plan->b.buffer;
    PARE_TRY(tape_emit(tape, step, run_backward, NULL, context, (const uint32_t[]){a, b, dy.buffer, gradient.buffer}, 4,
                       error));
    return tape_contribute(tape, step->inputs[which], &gradient, error);
}

static pare_status binary_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const binary_plan *plan = step->plan;
    tape_place dy;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], plan->a.layout, &dy, error));
    for (size_t i = 0; i < 2; i++) {
        if (tape_tensor_at(tape, step->inputs[i])->wants_gradient) {
            PARE_TRY(to_operand(tape, step, i, dy, error));
        }
    }
    return PARE_OK;
}

static const tape_step_class binary_class = {"binary", false, binary_forward, binary_backward};

pare_status tape_binary(pare_tape *tape, const pare_node *node, pare_binary_kind kind, uint32_t a, uint32_t b,
                        uint32_t y, pare_error *error) {
    int32_t attr = (int32_t)kind;
    if (kind >= PARE_BINARY_END || loops[kind].forward == NULL) {
        return tape_refuse(node, error);
    }
    return tape_record(tape, &binary_class, node, (const uint32_t[]){a, b}, 2, &y, 1, &attr, sizeof attr, error);
}
