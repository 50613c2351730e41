#include "kernels/reference.h"

/* i, o, f = sigmoid, g = tanh of (x wᵀ + h rᵀ + wb + rb); c' = f c + i g; h' = o tanh(c'). */
typedef struct lstm_state {
    size_t steps, batch, inputs, hidden, directions;
    int32_t direction;
    size_t outputs;
    bool bias, h0, c0;
} lstm_state;

static bool present(const pare_site *site, size_t i) {
    return i < site->input_count && site->inputs[i].present;
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_lstm_attrs *attrs = site->attrs;
    for (size_t i = 0; i < site->input_count; i++) {
        if (present(site, i) && site->inputs[i].dtype != PARE_F32) {
            return PARE_UNSUPPORTED;
        }
    }
    PARE_TRY(make_state(state, sizeof(lstm_state), error));
    lstm_state *s = *state;
    want_plain(site);
    s->steps = (size_t)site->inputs[0].shape.dims[0];
    s->batch = (size_t)site->inputs[0].shape.dims[1];
    s->inputs = (size_t)site->inputs[0].shape.dims[2];
    s->hidden = (size_t)attrs->hidden;
    s->direction = attrs->direction;
    s->directions = attrs->direction == 2 ? 2 : 1;
    s->outputs = site->output_count;
    s->bias = present(site, 3);
    s->h0 = present(site, 4);
    s->c0 = present(site, 5);
    /* gates [N,4H], h [N,H], c [N,H] */
    site->scratch_bytes = s->batch * s->hidden * 6 * sizeof(float);
    return PARE_OK;
}

typedef struct lstm_pass {
    const float *w, *r, *bias; /* of this direction */
    float *gates, *h, *c;
} lstm_pass;

static float sigmoid(float x) {
    return (float)(1.0 / (1.0 + exp(-(double)x)));
}

static void compute_gates(const lstm_state *s, const lstm_pass *p, const float *x, int32_t threads) {
    size_t rows = 4 * s->hidden;
#pragma omp parallel for num_threads(threads) schedule(static) if (rows * (s->inputs + s->hidden) * s->batch > 32768)
    for (size_t row = 0; row < rows; row++) {
        float bias = p->bias != NULL ? p->bias[row] + p->bias[rows + row] : 0.0F;
        for (size_t n = 0; n < s->batch; n++) {
            p->gates[n * rows + row] = bias + dot_lanes(x + n * s->inputs, p->w + row * s->inputs, (int64_t)s->inputs) +
                                       dot_lanes(p->h + n * s->hidden, p->r + row * s->hidden, (int64_t)s->hidden);
        }
    }
}

static void advance(const lstm_state *s, const lstm_pass *p, float *y) {
    for (size_t n = 0; n < s->batch; n++) {
        const float *gates = p->gates + n * 4 * s->hidden;
        for (size_t k = 0; k < s->hidden; k++) {
            size_t at = n * s->hidden + k;
            float in = sigmoid(gates[k]);
            float out = sigmoid(gates[s->hidden + k]);
            float forget = sigmoid(gates[2 * s->hidden + k]);
            float cell = (float)tanh((double)gates[3 * s->hidden + k]);
            p->c[at] = forget * p->c[at] + in * cell;
            p->h[at] = out * (float)tanh((double)p->c[at]);
            y[at] = p->h[at];
        }
    }
}

static void run_direction(const lstm_state *s, const pare_call *call, size_t d) {
    size_t state_elements = s->batch * s->hidden;
    bool backward = s->direction == 1 || d == 1;
    lstm_pass p = {.w = (const float *)call->inputs[1] + d * 4 * s->hidden * s->inputs,
                   .r = (const float *)call->inputs[2] + d * 4 * s->hidden * s->hidden,
                   .bias = s->bias ? (const float *)call->inputs[3] + d * 8 * s->hidden : NULL,
                   .gates = call->scratch};
    p.h = p.gates + 4 * state_elements;
    p.c = p.h + state_elements;
    memset(p.h, 0, 2 * state_elements * sizeof(float));
    if (s->h0) {
        memcpy(p.h, (const float *)call->inputs[4] + d * state_elements, state_elements * sizeof(float));
    }
    if (s->c0) {
        memcpy(p.c, (const float *)call->inputs[5] + d * state_elements, state_elements * sizeof(float));
    }
    for (size_t i = 0; i < s->steps; i++) {
        size_t t = backward ? s->steps - 1 - i : i;
        compute_gates(s, &p, (const float *)call->inputs[0] + t * s->batch * s->inputs, call->threads);
        advance(s, &p, (float *)call->outputs[0] + (t * s->directions + d) * state_elements);
    }
    if (s->outputs > 1 && call->outputs[1] != NULL) {
        memcpy((float *)call->outputs[1] + d * state_elements, p.h, state_elements * sizeof(float));
    }
    if (s->outputs > 2 && call->outputs[2] != NULL) {
        memcpy((float *)call->outputs[2] + d * state_elements, p.c, state_elements * sizeof(float));
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const lstm_state *s = state;
    (void)error;
    for (size_t d = 0; d < s->directions; d++) {
        run_direction(s, call, d);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_lstm = {.name = "reference_lstm", .plan = plan, .run = run, .destroy = pare_free};
