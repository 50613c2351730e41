/* A last step on a tape that copies a tensor out of every forward pass and hands
 * a given gradient to the way back. */
#ifndef TAPE_PROBE_H
#define TAPE_PROBE_H

#include <string.h>

#include "train/tape/tape_plan.h"

typedef struct tape_probe {
    float *seen;     /* row-major; what was computed */
    float *gradient; /* of the tensor, or NULL */
    size_t count;
} tape_probe;

static pare_status probe_run(void *context, void *const *pointers) {
    const tape_probe *probe = context;
    memcpy(probe->seen, pointers[0], probe->count * sizeof(float));
    return PARE_OK;
}

static pare_status probe_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_probe *probe = *(tape_probe *const *)step->attrs;
    tape_place place;
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &place, error));
    return tape_emit(tape, step, probe_run, NULL, probe, &place.buffer, 1, error);
}

static pare_status probe_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_probe *probe = *(tape_probe *const *)step->attrs;
    pare_status status = PARE_OK;
    if (probe->gradient == NULL || !tape_tensor_at(tape, step->inputs[0])->wants_gradient) {
        return PARE_OK;
    }
    tape_place place = {.layout = NULL, .owned = false};
    place.buffer = tape_external(tape, (void *const *)&probe->gradient, error, &status);
    PARE_TRY(status);
    return tape_contribute(tape, step->inputs[0], &place, error);
}

static const tape_step_class probe_class = {"probe", false, probe_forward, probe_backward};

/* `probe` must outlive the tape. */
static inline pare_status tape_record_probe(pare_tape *tape, uint32_t tensor, tape_probe *probe, pare_error *error) {
    probe->count = tape_tensor_at(tape, tensor)->elements;
    return tape_record(tape, &probe_class, NULL, &tensor, 1, NULL, 0, &probe, sizeof probe, error);
}

#endif
