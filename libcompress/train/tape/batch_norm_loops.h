/* Batch normalization forwards in one pass over the input for the statistics and
 * one for the result, which can take in the sum and the Relu that end a residual
 * block: what memory traffic allows, where oneDNN's primitive makes two and two. */
#ifndef PARE_BATCH_NORM_LOOPS_H
#define PARE_BATCH_NORM_LOOPS_H

#include <stdbool.h>
#include <stddef.h>

/* Memory [samples, channels / block, positions, block]; block is 1, 8 or 16, the last one filled up with zeros. */
typedef struct batch_norm_extent {
    size_t samples, channels, positions, block;
} batch_norm_extent;

/* Doubles of scratch that the statistics need. */
size_t batch_norm_scratch(const batch_norm_extent *extent);
/* mean and variance (of the population) [channels]. The same bits for any number of threads. */
void batch_norm_statistics(const batch_norm_extent *extent, const float *x, float *mean, float *variance,
                           double *scratch);
/* y = (x - mean) / sqrt(variance + epsilon) × scale + shift (+ added, where not NULL); its positive part with `relu`.
 * y may be x or added. `factors` [2 × channels, a whole number of blocks]. */
typedef struct batch_norm_operands {
    const float *mean, *variance, *scale, *shift;
    float epsilon;
    float *factors;
} batch_norm_operands;
void batch_norm_apply(const batch_norm_extent *extent, const batch_norm_operands *operands, const float *x,
                      const float *added, bool relu, float *y);

#endif
