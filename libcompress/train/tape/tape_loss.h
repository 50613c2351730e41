/* Losses as the last steps of a tape. */
#ifndef PARE_TAPE_LOSS_H
#define PARE_TAPE_LOSS_H

#include "train/tape/tape.h"

typedef enum tape_loss_kind {
    TAPE_LOSS_CROSS_ENTROPY = 0,
    TAPE_LOSS_MSE,
    TAPE_LOSS_L1,
    TAPE_LOSS_HUBER,
    TAPE_LOSS_BINARY_CROSS_ENTROPY,
    TAPE_LOSS_LOGITS,    /* Hinton */
    TAPE_LOSS_DECOUPLED, /* DKD */
    TAPE_LOSS_ATTENTION
} tape_loss_kind;

typedef struct tape_loss_attrs {
    tape_loss_kind kind;
    float weight; /* of this loss in the sum */
    float delta;  /* Huber */
    float temperature, alpha, beta;
    const double *scale; /* times this, read in each step; NULL: 1 */
} tape_loss_attrs;

/* An input that the graph does not have: targets, a teacher's outputs. `name` must outlive the tape. */
uint32_t tape_extra_input(pare_tape *tape, const char *name, pare_dtype dtype, const pare_shape *shape);
/* outputs against targets [N, ..] of as many elements (attention: of as many positions); each of the N rows is a
 * sample of its own. `extra`: cross-entropy's importance [N], or DKD's labels [N] (S32), else TAPE_NONE. *value receives where the loss stands after a forward pass; it lives as long as the
 * tape. */
pare_status tape_record_loss(pare_tape *tape, const tape_loss_attrs *attrs, uint32_t outputs, uint32_t targets,
                             uint32_t extra, const double **value, pare_error *error);

#endif
