/* What calibration keeps of one value: extremes, mean, and a histogram of fixed
 * size. Private to calib. */
#ifndef PARE_HISTOGRAM_H
#define PARE_HISTOGRAM_H

#include "pare/quantize.h"

#define HISTOGRAM_BINS 2048

typedef struct histogram {
    float minimum, maximum; /* of the first pass; the bins cover them evenly */
    double sum;
    uint64_t count;
    bool finite;    /* false once a NaN or infinity was seen */
    uint64_t *bins; /* [HISTOGRAM_BINS], NULL during the first pass */
    uint64_t zeros; /* second pass: elements that are exactly 0, as a Relu leaves them */
} histogram;

/* First pass: extremes, sum, count. */
void histogram_extend(histogram *h, const float *values, size_t count);
/* Second pass. */
void histogram_fill(histogram *h, const float *values, size_t count);

/* The range that a method chooses. It lies within the extremes and contains 0. */
void histogram_range(const histogram *h, pare_calibration_method method, double percentile, float *low, float *high);
/* The range whose grid of so many steps, with 0 on it, gives the least squared
 * error of the bins' centres; for grids that are too coarse to count on errors
 * being spread evenly, as PARE_CALIBRATE_MSE does. */
void histogram_coarse_range(const histogram *h, unsigned steps, float *low, float *high);

#endif
