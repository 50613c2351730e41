/* Batch normalization over the batch of all ranks: what is added around the
 * primitives, which see one rank's part. */
#ifndef PARE_BATCH_NORM_RANKS_H
#define PARE_BATCH_NORM_RANKS_H

#include "train/onednn/tape_onednn.h"

/* What both directions work on: x [N, C, ..], N of this rank, and the buffers of the mean and variance [C]. */
typedef struct batch_norm_part {
    tape_place x;
    const pare_shape *shape;
    size_t channels;
    uint32_t mean, variance;
    float epsilon;
} batch_norm_part;

/* Forwards: emits the mean and the (biased) variance over all ranks' parts. `y` is memory in x's layout that is
 * written over. */
pare_status batch_norm_ranks_statistics(pare_tape *tape, const tape_step *step, const batch_norm_part *part,
                                        const tape_place *y, pare_error *error);
/* Backwards, after the primitive that took the statistics for constants: adds to `dx` what they depend on x.
 * `scale`, `dscale`, `dshift`: buffers [C]; the latter two are this rank's sums and stay so, as the gradients of
 * all parameters are averaged after the step. */
pare_status batch_norm_ranks_correct(pare_tape *tape, const tape_step *step, const batch_norm_part *part,
                                     uint32_t scale, uint32_t dscale, uint32_t dshift, const tape_place *dx,
                                     pare_error *error);

#endif
