/* The parts of batch normalization's forward pass that are Pare's own loops (tape/batch_norm_loops.h), as actions. */
#ifndef PARE_BATCH_NORM_OWN_H
#define PARE_BATCH_NORM_OWN_H

#include "train/onednn/tape_onednn.h"
#include "train/tape/batch_norm_loops.h"

/* False for layouts, and shapes, that are left to oneDNN's statistics. */
bool batch_norm_extent_of(const tape_place *x, const pare_shape *shape, batch_norm_extent *extent);

typedef struct batch_norm_buffers {
    uint32_t x, mean, variance, scale, shift;
} batch_norm_buffers;

/* Mean and variance of x. */
pare_status batch_norm_emit_statistics(pare_tape *tape, const tape_step *step, const batch_norm_extent *extent,
                                       const batch_norm_buffers *buffers, pare_error *error);
/* Where an Add alone reads the step's output, and its other operand is there in the same layout: computes the sum, and
 * the Relu that alone reads that. *done tells. */
pare_status batch_norm_emit_residual(pare_tape *tape, const tape_step *step, const batch_norm_extent *extent,
                                     const tape_place *x, const batch_norm_buffers *buffers, float epsilon, bool *done,
                                     pare_error *error);

#endif
