/* L = sum(y × weights), a step of a tape that also keeps a copy of y. */
#ifndef LINEAR_LOSS_H
#define LINEAR_LOSS_H

#include "train/tape/tape_plan.h"

typedef struct linear_loss {
    size_t count;
    const float *weights;
    float *found; /* y, after a forward pass */
    tape_place gradient;
} linear_loss;

/* `loss` must outlive the tape. */
pare_status linear_loss_record(pare_tape *tape, linear_loss *loss, uint32_t y, pare_error *error);

#endif
