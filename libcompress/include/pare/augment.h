/* Random changes of samples while training. */
#ifndef PARE_AUGMENT_H
#define PARE_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "pare/status.h"

/* What may happen to a sample, in the order in which it happens but for
 * brightness and contrast, which come first: what a border brings in stays 0.
 * Zero-initialised: nothing. All sizes are in pixels of the model's input. The
 * sample at position i of epoch e is always changed the same way: the random
 * numbers are those of seed(options.seed, e, i), never of a thread. Only noise
 * and mixup apply to samples that are not pictures (pare_sample_info.image). */
typedef struct pare_augment {
    bool flip_horizontal, flip_vertical; /* each with probability 1/2 */
    int32_t crop_padding;                /* pad by so much (zeros of the normalised input), crop back at random */
    int32_t shift;                       /* moves by up to ± so many pixels along each axis, zeros come in */
    double rotation;                     /* up to ± so many degrees (at most 180), bilinear, zeros outside */
    double brightness;                   /* adds up to ± brightness × the sample's deviation */
    double contrast;                     /* multiplies around the sample's mean by 1 ± contrast (at most 1) */
    int32_t cutout;                      /* zeroes a square of this side (DeVries and Taylor 2017) */
    double noise;                        /* adds N(0, noise²) */
    double mixup;                        /* alpha of Beta(alpha, alpha) (Zhang et al. 2018), one lambda a batch */
} pare_augment;
/* PARE_USAGE names a field out of range; pare_loader_create checks more, against the samples. */
pare_status pare_augment_check(const pare_augment *augment, pare_error *error);

#endif
