/* Augmentation of one sample. Private to the loader. */
#ifndef PARE_AUGMENT_SAMPLE_H
#define PARE_AUGMENT_SAMPLE_H

#include "pare/augment.h"
#include "pare/preprocess.h"
#include "pare/random.h"
#include "pare/tensor.h"

/* Where the pixels of a sample lie. */
typedef struct augment_plane {
    bool image; /* else only noise is possible */
    size_t elements;
    int32_t channels, height, width;
    size_t channel_stride, row_stride, column_stride;
} augment_plane;

/* PARE_USAGE when something is asked for that these samples do not have. */
pare_status augment_plane_of(const pare_augment *augment, const pare_shape *shape, pare_dtype dtype,
                             pare_layout_order layout, augment_plane *plane, pare_error *error);
/* Changes `sample` [elements] in place; `scratch` is as large. */
void augment_sample(const pare_augment *augment, const augment_plane *plane, pare_random *random, float *sample,
                    float *scratch);
/* Beta(alpha, alpha), alpha > 0. */
double augment_beta(pare_random *random, double alpha);

#endif
