/* LSTM (Hochreiter and Schmidhuber 1997; gates i, o, f, g as ONNX orders them) with
 * backpropagation through time, as the equations are written, by oneDNN's sgemm:
 *   i, o, f = sigmoid, g = tanh of (x wᵀ + h rᵀ + both biases); c' = f c + i g; h' = o tanh(c')
 * x [T, N, I], w [D, 4H, I], r [D, 4H, H], b [D, 8H], h0 and c0 [D, N, H]; y [T, D, N, H], y_h and y_c [D, N, H]. */
#include <math.h>
#include <string.h>

#include "train/onednn/tape_onednn.h"
#include "train/tape/tape_steps.h"

enum { IN_X = 0, IN_W, IN_R, IN_B, IN_H, IN_C, IN_COUNT };
enum { OUT_Y = 0, OUT_H, OUT_C, OUT_COUNT };
/* What both directions keep: gates [D, T, N, 4H], states [D, T + 1, N, H], the first or (reversed) last of which is the
 * initial one. */
enum { KEPT_GATES = 0, KEPT_H, KEPT_C, KEPT_COUNT };
/* Pointers: inputs, outputs (or their gradients), what is kept; backwards also the inputs' gradients, then dh and dc.
 */
enum {
    AT_OUTPUTS = IN_COUNT,
    AT_KEPT = AT_OUTPUTS + OUT_COUNT,
    AT_SLOPES = AT_KEPT + KEPT_COUNT,
    AT_DH = AT_SLOPES + IN_COUNT,
    AT_DC,
    AT_COUNT
};

typedef struct lstm_plan {
    size_t steps, batch, inputs, hidden, directions;
    bool reverse; /* the first direction */
    uint32_t kept[KEPT_COUNT];
    uint32_t buffers[AT_COUNT];
    bool forward_has[AT_COUNT], backward_has[AT_COUNT];
} lstm_plan;

/* c [m, n] = a b + beta c; a [m, k] or, turned, [k, m]; b [k, n] or, turned, [n, k]. */
static bool multiply(bool turn_a, bool turn_b, size_t m, size_t n, size_t k, const float *a, const float *b, float beta,
                     float *c) {
    return dnnl_sgemm(turn_a ? 'T' : 'N', turn_b ? 'T' : 'N', (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1.0F, a,
                      (dnnl_dim_t)(turn_a ? m : k), b, (dnnl_dim_t)(turn_b ? k : n), beta, c,
                      (dnnl_dim_t)n) == dnnl_success;
}

static float *at(void *const *pointers, const bool *has, size_t index, size_t offset) {
    return has[index] ? (float *)pointers[index] + offset : NULL;
}

/* One direction's view of the arrays; NULL where absent. */
typedef struct lstm_pass {
    bool reverse;
    size_t first_y, step_y; /* where its states of time t are in y */
    const float *x, *w, *r, *b;
    float *gates, *h, *c;
} lstm_pass;

static lstm_pass pass_of(const lstm_plan *p, size_t d, void *const *pointers, const bool *has) {
    size_t state = p->batch * p->hidden;
    return (lstm_pass){.reverse = p->reverse || d == 1,
                       .first_y = d * state,
                       .step_y = p->directions * state,
                       .x = pointers[IN_X],
                       .w = at(pointers, has, IN_W, d * 4 * p->hidden * p->inputs),
                       .r = at(pointers, has, IN_R, d * 4 * p->hidden * p->hidden),
                       .b = at(pointers, has, IN_B, d * 8 * p->hidden),
                       .gates = at(pointers, has, AT_KEPT + KEPT_GATES, d * p->steps * 4 * state),
                       .h = at(pointers, has, AT_KEPT + KEPT_H, d * (p->steps + 1) * state),
                       .c = at(pointers, has, AT_KEPT + KEPT_C, d * (p->steps + 1) * state)};
}

/* The s-th step's time, and where the states before and after it are. */
static void moment_of(const lstm_plan *p, const lstm_pass *pass, size_t s, size_t *t, size_t *before, size_t *after) {
    *t = pass->reverse ? p->steps - 1 - s : s;
    *before = pass->reverse ? *t + 1 : *t;
    *after = pass->reverse ? *t : *t + 1;
}

static inline float sigmoid(float x) {
    return 1.0F / (1.0F + expf(-x));
}

/* --- forwards ------------------------------------------------------------------ */

static void advance(const lstm_plan *p, const lstm_pass *pass, float *gates, const float *c, float *next_c, float *h) {
    size_t hidden = p->hidden, rows = 4 * hidden;
#pragma omp parallel for schedule(static) if (p->batch * hidden > 1024)
    for (size_t n = 0; n < p->batch; n++) {
        float *g = gates + n * rows;
        for (size_t k = 0; pass->b != NULL && k < rows; k++) {
            g[k] += pass->b[k] + pass->b[rows + k];
        }
        for (size_t k = 0; k < hidden; k++) {
            size_t i = n * hidden + k;
            g[k] = sigmoid(g[k]);
            g[hidden + k] = sigmoid(g[hidden + k]);
            g[2 * hidden + k] = sigmoid(g[2 * hidden + k]);
            g[3 * hidden + k] = tanhf(g[3 * hidden + k]);
            next_c[i] = g[2 * hidden + k] * c[i] + g[k] * g[3 * hidden + k];
            h[i] = g[hidden + k] * tanhf(next_c[i]);
        }
    }
}

static void set_state(float *state, const float *given, size_t count) {
    if (given != NULL) {
        memcpy(state, given, count * sizeof *state);
    } else {
        memset(state, 0, count * sizeof *state);
    }
}

static pare_status run_forward(void *context, void *const *pointers) {
    const lstm_plan *p = context;
    const bool *has = p->forward_has;
    size_t state = p->batch * p->hidden, rows = 4 * p->hidden, t = 0, before = 0, after = 0;
    for (size_t d = 0; d < p->directions; d++) {
        lstm_pass pass = pass_of(p, d, pointers, has);
        moment_of(p, &pass, 0, &t, &before, &after);
        set_state(pass.h + before * state, at(pointers, has, IN_H, d * state), state);
        set_state(pass.c + before * state, at(pointers, has, IN_C, d * state), state);
        bool fine = multiply(false, true, p->steps * p->batch, rows, p->inputs, pass.x, pass.w, 0.0F, pass.gates);
        for (size_t s = 0; fine && s < p->steps; s++) {
            moment_of(p, &pass, s, &t, &before, &after);
            float *gates = pass.gates + t * 4 * state, *h = pass.h + after * state;
            fine = multiply(false, true, p->batch, rows, p->hidden, pass.h + before * state, pass.r, 1.0F, gates);
            advance(p, &pass, gates, pass.c + before * state, pass.c + after * state, h);
            if (has[AT_OUTPUTS + OUT_Y]) {
                memcpy((float *)pointers[AT_OUTPUTS + OUT_Y] + pass.first_y + t * pass.step_y, h, state * sizeof *h);
            }
        }
        if (!fine) {
            return PARE_INTERNAL;
        }
        for (size_t i = OUT_H; i <= OUT_C; i++) {
            if (has[AT_OUTPUTS + i]) {
                memcpy((float *)pointers[AT_OUTPUTS + i] + d * state, (i == OUT_H ? pass.h : pass.c) + after * state,
                       state * sizeof(float));
            }
        }
    }
    return PARE_OK;
}

/* --- backwards ------------------------------------------------------------------- */

/* From dh and dc after a step to the gradients of its gates' sums, in their place, and dc before it. */
static void retreat(const lstm_plan *p, const float *dy, float *gates, const float *c, const float *next_c,
                    const float *dh, float *dc) {
    size_t hidden = p->hidden;
#pragma omp parallel for schedule(static) if (p->batch * hidden > 1024)
    for (size_t n = 0; n < p->batch; n++) {
        float *g = gates + n * 4 * hidden;
        for (size_t k = 0; k < hidden; k++) {
            size_t at_state = n * hidden + k;
            float in = g[k], out = g[hidden + k], forget = g[2 * hidden + k], cell = g[3 * hidden + k];
            float slope = dh[at_state] + (dy != NULL ? dy[at_state] : 0.0F), bent = tanhf(next_c[at_state]);
            float to_cell = dc[at_state] + slope * out * (1.0F - bent * bent);
            g[k] = to_cell * cell * in * (1.0F - in);
            g[hidden + k] = slope * bent * out * (1.0F - out);
            g[2 * hidden + k] = to_cell * c[at_state] * forget * (1.0F - forget);
            g[3 * hidden + k] = to_cell * in * (1.0F - cell * cell);
            dc[at_state] = to_cell * forget;
        }
    }
}

/* Both biases are added to the same sums. */
static void sum_biases(const lstm_plan *p, const float *gates, float *db) {
    size_t rows = 4 * p->hidden;
    for (size_t k = 0; k < rows; k++) {
        double sum = 0;
        for (size_t i = 0; i < p->steps * p->batch; i++) {
            sum += (double)gates[i * rows + k];
        }
        db[k] = db[rows + k] = (float)sum;
    }
}

/* The gradients of x and the weights from those of all gates. */
static bool to_weights(const lstm_plan *p, const lstm_pass *pass, size_t d, void *const *pointers) {
    const bool *has = p->backward_has;
    size_t samples = p->steps * p->batch, rows = 4 * p->hidden, state = p->batch * p->hidden;
    float *dx = at(pointers, has, AT_SLOPES + IN_X, 0);
    float *dw = at(pointers, has, AT_SLOPES + IN_W, d * rows * p->inputs);
    float *dr = at(pointers, has, AT_SLOPES + IN_R, d * rows * p->hidden);
    float *db = at(pointers, has, AT_SLOPES + IN_B, d * 2 * rows);
    const float *before = pass->h + (pass->reverse ? state : 0); /* the states that each step began with */
    if (db != NULL) {
        sum_biases(p, pass->gates, db);
    }
    return (dx == NULL ||
            multiply(false, false, samples, p->inputs, rows, pass->gates, pass->w, d > 0 ? 1.0F : 0.0F, dx)) &&
           (dw == NULL || multiply(true, false, rows, p->inputs, samples, pass->gates, pass->x, 0.0F, dw)) &&
           (dr == NULL || multiply(true, false, rows, p->hidden, samples, pass->gates, before, 0.0F, dr));
}

static pare_status run_backward(void *context, void *const *pointers) {
    const lstm_plan *p = context;
    const bool *has = p->backward_has;
    size_t state = p->batch * p->hidden, rows = 4 * p->hidden, t = 0, before = 0, after = 0;
    float *dh = pointers[AT_DH], *dc = pointers[AT_DC];
    for (size_t d = 0; d < p->directions; d++) {
        lstm_pass pass = pass_of(p, d, pointers, has);
        bool fine = true;
        set_state(dh, at(pointers, has, AT_OUTPUTS + OUT_H, d * state), state);
        set_state(dc, at(pointers, has, AT_OUTPUTS + OUT_C, d * state), state);
        for (size_t s = p->steps; fine && s-- > 0;) {
            moment_of(p, &pass, s, &t, &before, &after);
            float *gates = pass.gates + t * 4 * state;
            retreat(p, at(pointers, has, AT_OUTPUTS + OUT_Y, pass.first_y + t * pass.step_y), gates,
                    pass.c + before * state, pass.c + after * state, dh, dc);
            fine = multiply(false, false, p->batch, p->hidden, rows, gates, pass.r, 0.0F, dh);
        }
        if (!fine || !to_weights(p, &pass, d, pointers)) {
            return PARE_INTERNAL;
        }
        for (size_t i = IN_H; i <= IN_C; i++) {
            if (has[AT_SLOPES + i]) {
                memcpy((float *)pointers[AT_SLOPES + i] + d * state, i == IN_H ? dh : dc, state * sizeof(float));
            }
        }
    }
    return PARE_OK;
}

/* --- planning ---------------------------------------------------------------------- */

static pare_status keep(pare_tape *tape, lstm_plan *plan, pare_error *error) {
    size_t state = plan->directions * plan->batch * plan->hidden * sizeof(float);
    pare_status status = PARE_OK;
    for (size_t i = 0; i < KEPT_COUNT; i++) {
        size_t bytes = i == KEPT_GATES ? 4 * plan->steps * state : (plan->steps + 1) * state;
        plan->kept[i] = tape_buffer(tape, bytes, error, &status);
        PARE_TRY(status);
        plan->buffers[AT_KEPT + i] = plan->kept[i];
        plan->forward_has[AT_KEPT + i] = plan->backward_has[AT_KEPT + i] = true;
    }
    return PARE_OK;
}

static pare_status lstm_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const pare_lstm_attrs *attrs = step->attrs;
    const pare_shape *x = &tape_tensor_at(tape, step->inputs[IN_X])->shape;
    lstm_plan *plan = tape_make(tape, 1, sizeof *plan);
    tape_place place;
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    *plan = (lstm_plan){.steps = (size_t)x->dims[0],
                        .batch = (size_t)x->dims[1],
                        .inputs = (size_t)x->dims[2],
                        .hidden = (size_t)attrs->hidden,
                        .directions = attrs->direction == 2 ? 2 : 1,
                        .reverse = attrs->direction == 1};
    PARE_TRY(keep(tape, plan, error));
    for (size_t i = 0; i < IN_COUNT + OUT_COUNT; i++) { /* what is absent has a buffer that nobody looks at */
        uint32_t tensor = i < IN_COUNT ? step->inputs[i] : step->outputs[i - AT_OUTPUTS];
        plan->buffers[i] = plan->kept[KEPT_GATES];
        plan->forward_has[i] = tensor != TAPE_NONE;
        plan->backward_has[i] = i < IN_COUNT && tensor != TAPE_NONE;
        if (tensor != TAPE_NONE) {
            PARE_TRY(i < IN_COUNT ? tape_value_as(tape, tensor, NULL, &place, error)
                                  : tape_new_value(tape, tensor, NULL, &place, error));
            plan->buffers[i] = place.buffer;
        }
    }
    return tape_emit(tape, step, run_forward, NULL, plan, plan->buffers, AT_SLOPES, error);
}

static pare_status lstm_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    lstm_plan *plan = step->plan;
    tape_place place, slopes[IN_COUNT] = {{0}};
    pare_status status = PARE_OK;
    for (size_t i = 0; i < OUT_COUNT; i++) {
        plan->buffers[AT_OUTPUTS + i] = plan->kept[KEPT_GATES];
        plan->backward_has[AT_OUTPUTS + i] = tape_has_gradient(tape, step->outputs[i]);
        if (plan->backward_has[AT_OUTPUTS + i]) {
            PARE_TRY(tape_gradient_as(tape, step->outputs[i], NULL, &place, error));
            plan->buffers[AT_OUTPUTS + i] = place.buffer;
        }
    }
    for (size_t i = 0; i < IN_COUNT; i++) {
        bool wanted = step->inputs[i] != TAPE_NONE && tape_tensor_at(tape, step->inputs[i])->wants_gradient;
        plan->buffers[AT_SLOPES + i] = plan->kept[KEPT_GATES];
        plan->backward_has[AT_SLOPES + i] = wanted;
        if (wanted) {
            PARE_TRY(tape_new_place(tape, step->inputs[i], NULL, &slopes[i], error));
            plan->buffers[AT_SLOPES + i] = slopes[i].buffer;
        }
    }
    for (size_t i = AT_DH; i <= AT_DC; i++) {
        plan->buffers[i] = tape_buffer(tape, plan->batch * plan->hidden * sizeof(float), error, &status);
        PARE_TRY(status);
    }
    PARE_TRY(tape_emit(tape, step, run_backward, NULL, plan, plan->buffers, AT_COUNT, error));
    for (size_t i = 0; i < IN_COUNT; i++) {
        if (plan->backward_has[AT_SLOPES + i]) {
            PARE_TRY(tape_contribute(tape, step->inputs[i], &slopes[i], error));
        }
    }
    return PARE_OK;
}

static const tape_step_class lstm_class = {"LSTM", false, lstm_forward, lstm_backward};

pare_status tape_lstm(pare_tape *tape, const pare_node *node, const pare_lstm_attrs *attrs, const uint32_t *inputs,
                      const uint32_t *outputs, pare_error *error) {
    return tape_record(tape, &lstm_class, node, inputs, IN_COUNT, outputs, OUT_COUNT, attrs, sizeof *attrs, error);
}
