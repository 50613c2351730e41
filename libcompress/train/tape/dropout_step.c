/* Dropout (Srivastava et al. 2014), scaled while training. The mask is a function
 * of the run's seed, the number of the training step and the element, so it is
 * never stored: the way back draws it again. The elements of several ranks are
 * counted on, so that each has the mask that its samples have where one process
 * trains on the whole batch (if oneDNN lays both out alike, the batch outermost). */
#include "train/tape/tape_internal.h"
#include "train/tape/tape_plan.h"
#include "train/tape/tape_steps.h"

typedef struct dropout_attrs {
    const pare_tape *tape;
    float ratio;
    uint32_t stream; /* tells the dropouts of a network apart */
    size_t floats;
    const tape_layout *layout;
} dropout_attrs;

/* SplitMix64's finalizer (Steele et al. 2014): 64 well mixed bits of a counter. */
static inline uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

/* pointers: from, to */
static pare_status run_dropout(void *context, void *const *pointers) {
    const dropout_attrs *d = context;
    const float *from = pointers[0];
    float *to = pointers[1];
    float scale = 1.0F / (1.0F - d->ratio);
    uint64_t key = mix(mix(d->tape->seed + d->stream) + d->tape->step_number);
    size_t first = d->tape->ranks.rank * d->floats;
    uint64_t threshold = (uint64_t)((double)d->ratio * 4294967296.0);
#pragma omp parallel for schedule(static) if (d->floats > 16384)
    for (size_t i = 0; i < d->floats; i++) {
        to[i] = (mix(key + first + i) >> 32) < threshold ? 0.0F : from[i] * scale;
    }
    return PARE_OK;
}

static pare_status dropout_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    dropout_attrs *attrs = step->attrs;
    tape_place x, y;
    PARE_TRY(tape_value(tape, step->inputs[0], &x, error));
    attrs->layout = x.layout;
    attrs->floats = tape_layout_floats(x.layout, &tape_tensor_at(tape, step->inputs[0])->shape);
    if (tape_may_overwrite(tape, step, step->inputs[0])) {
        y = x;
        tape_share_value(tape, step->outputs[0], &x);
    } else {
        PARE_TRY(tape_new_value(tape, step->outputs[0], x.layout, &y, error));
    }
    return tape_emit(tape, step, run_dropout, NULL, attrs, (const uint32_t[]){x.buffer, y.buffer}, 2, error);
}

static pare_status dropout_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const dropout_attrs *attrs = step->attrs;
    tape_place dy, dx;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], attrs->layout, &dy, error));
    dx = dy;
    if (!dy.owned) {
        PARE_TRY(tape_new_place(tape, step->inputs[0], attrs->layout, &dx, error));
    }
    PARE_TRY(tape_emit(tape, step, run_dropout, NULL, step->attrs, (const uint32_t[]){dy.buffer, dx.buffer}, 2, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static const tape_step_class dropout_class = {"dropout", false, dropout_forward, dropout_backward};

pare_status tape_dropout(pare_tape *tape, const pare_node *node, float ratio, uint32_t x, uint32_t y,
                         pare_error *error) {
    dropout_attrs attrs = {.tape = tape, .ratio = ratio, .stream = tape->step_count};
    return tape_record(tape, &dropout_class, node, &x, 1, &y, 1, &attrs, sizeof attrs, error);
}
