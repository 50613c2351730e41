/* What the loader's thread does to a preprocessed sample. Private to train/. */
#ifndef PARE_AUGMENTER_H
#define PARE_AUGMENTER_H

#include "pare/random.h"
#include "train/data/loader.h"
#include "train/data/ziggurat.h"

/* The options with the sample's layout: pictures are [planes, height, width,
 * run] floats, where planes or run is the number of channels and the other 1. */
typedef struct pare_augmenter {
    pare_augment options;
    size_t elements; /* of a sample */
    size_t planes, height, width, run;
    pare_ziggurat ziggurat;
    float *spare; /* `elements` floats where pixels move, else NULL */
} pare_augmenter;

/* Checks the options against what the samples are. PARE_USAGE names the field:
 * whatever needs pixels is refused for samples that are not pictures, and
 * everything for tokens (S64). Free also what failed. */
pare_status pare_augmenter_init(pare_augmenter *augmenter, const pare_augment *options,
                                const pare_preprocess *preprocess, const pare_sample_info *info,
                                const pare_shape *input, pare_dtype dtype, pare_error *error);
void pare_augmenter_free(pare_augmenter *augmenter);

/* Changes one sample in place: brightness and contrast, flips, crop, shift,
 * rotation, cutout, noise, in this order, so that what comes in at the borders
 * is 0 whatever the brightness. Each draws from `random` only where it is on. */
void pare_augmenter_apply(const pare_augmenter *augmenter, float *sample, pare_random *random);

/* Draws from Beta(alpha, alpha); alpha > 0. */
double pare_mixup_lambda(double alpha, pare_random *random);
/* mixed = lambda × mixed + (1 - lambda) × other. */
void pare_mixup(float *mixed, const float *other, size_t count, float lambda);

#endif
