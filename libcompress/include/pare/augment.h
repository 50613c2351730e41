/* Random changes of samples while training. */
#ifndef PARE_AUGMENT_H
#define PARE_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "pare/status.h"

/* What may happen to a sample. Zero-initialised: nothing. All sizes are in
 * pixels of the model's input, probabilities in [0, 1]. The sample at a
 * position of an epoch is always changed the same way: the random numbers depend
 * on seed, epoch and position, never on a thread. */
typedef struct pare_augment {
    bool flip_horizontal, flip_vertical; /* each with probability 1/2 */
    int32_t crop_padding;                /* pad by so much (zeros of the normalised input), crop back at random */
    int32_t shift;                       /* moves by up to so many pixels, zeros come in */
    double rotation;                     /* up to ± so many degrees, bilinear, zeros outside */
    double brightness, contrast; /* adds up to ± brightness × the input's deviation; multiplies around the sample's mean
                                    by 1 ± contrast */
    int32_t cutout;              /* zeroes a square of this side (DeVries and Taylor 2017) */
    double noise;                /* adds N(0, noise²) */
    double mixup;                /* alpha of Beta(alpha, alpha) (Zhang et al. 2018), one lambda a batch */
} pare_augment;
/* PARE_USAGE names a field out of range. */
pare_status pare_augment_check(const pare_augment *augment, pare_error *error);

#endif
