#include <math.h>
#include <string.h>

#include "pare/metrics.h"
#include "statistics.h"

/* Differences sample by sample, so that the interval is that of a paired test. */
typedef struct paired {
    const pare_metrics *first, *second;
} paired;

static double difference_statistic(const void *data, const uint32_t *picked, size_t count, void *scratch) {
    const paired *pair = data;
    (void)scratch;
    double sum = 0.0;
    for (size_t k = 0; k < count; k++) {
        size_t i = picked != NULL ? picked[k] : k;
        sum += pair->first->correct != NULL ? (double)pair->first->correct[i] - (double)pair->second->correct[i]
                                            : (double)pair->first->errors[i] - (double)pair->second->errors[i];
    }
    return sum / (double)count;
}

pare_status pare_metrics_compare(const pare_metrics *metrics, const pare_metrics *against, pare_comparison *comparison,
                                 pare_error *error) {
    memset(comparison, 0, sizeof *comparison);
    if (metrics->task != against->task || metrics->samples != against->samples) {
        return pare_fail(error, PARE_USAGE, "only evaluations of the same samples compare: %zu and %zu samples",
                         metrics->samples, against->samples);
    }
    comparison->mcnemar_p = NAN;
    comparison->agreement = NAN;
    if (metrics->predicted != NULL) {
        size_t same = 0;
        for (size_t i = 0; i < metrics->samples; i++) {
            same += metrics->predicted[i] == against->predicted[i];
            comparison->fixed += metrics->correct[i] && !against->correct[i];
            comparison->broken += !metrics->correct[i] && against->correct[i];
        }
        comparison->agreement = (double)same / (double)metrics->samples;
        comparison->agreement_ci95 = pare_wilson_interval(same, metrics->samples);
        comparison->mcnemar_p = pare_mcnemar_exact(comparison->fixed, comparison->broken);
    }
    paired pair = {metrics, against};
    comparison->difference = difference_statistic(&pair, NULL, metrics->samples, NULL);
    return bootstrap_interval(&pair, metrics->samples, difference_statistic, NULL, &comparison->difference_ci95, error);
}
