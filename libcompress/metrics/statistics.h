/* Intervals and tests that several metrics share. Private to metrics. */
#ifndef PARE_STATISTICS_H
#define PARE_STATISTICS_H

#include "pare/metrics.h"

/* A statistic of the samples whose indices are picked[0..count). */
typedef double (*bootstrap_statistic)(const void *data, const uint32_t *picked, size_t count, void *scratch);

/* Percentile bootstrap (Efron 1979), 95 %, PARE_BOOTSTRAP_RESAMPLES seeded
 * resamples of `count` samples. `scratch` is handed to the statistic.
 * PARE_LIMIT when memory runs out. */
#define PARE_BOOTSTRAP_RESAMPLES 1000
pare_status bootstrap_interval(const void *data, size_t count, bootstrap_statistic statistic, void *scratch,
                               pare_interval *interval, pare_error *error);

/* Area under the ROC curve by ranks (Mann and Whitney 1947), ties at half.
 * `order` sorts the scores ascending. NAN when one class is missing. */
double auc_of_ranks(const float *scores, const uint8_t *positive, const uint32_t *weights, const uint32_t *order,
                    size_t count);

#endif
