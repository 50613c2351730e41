#include "statistics.h"

#include <math.h>
#include <stdlib.h>

#include "pare/memory.h"
#include "pare/random.h"

#define Z95 1.959963984540054 /* 97.5 % point of the standard normal */

pare_interval pare_wilson_interval(size_t successes, size_t total) {
    double n = (double)total;
    double p = (double)successes / n;
    double z2 = Z95 * Z95;
    double centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    double half = Z95 / (1.0 + z2 / n) * sqrt(p * (1.0 - p) / n + z2 / (4.0 * n * n));
    /* At the ends the formula gives 0 and 1 but for rounding. */
    double low = successes == 0 ? 0.0 : fmax(0.0, centre - half);
    double high = successes == total ? 1.0 : fmin(1.0, centre + half);
    return (pare_interval){low, high};
}

double pare_mcnemar_exact(size_t only_first, size_t only_second) {
    size_t n = only_first + only_second;
    size_t fewer = only_first < only_second ? only_first : only_second;
    if (n == 0) {
        return 1.0;
    }
    /* P(X <= fewer) for X ~ Binomial(n, 1/2), summed in logarithms. */
    double tail = 0.0;
    for (size_t k = 0; k <= fewer; k++) {
        double log_term =
            lgamma((double)n + 1.0) - lgamma((double)k + 1.0) - lgamma((double)(n - k) + 1.0) - (double)n * log(2.0);
        tail += exp(log_term);
    }
    return fmin(1.0, 2.0 * tail);
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear interpolation between order statistics, of the defined values only. */
static double quantile(const double *sorted, size_t count, double q) {
    double position = q * (double)(count - 1);
    size_t below = (size_t)position;
    size_t above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (position - (double)below) * (sorted[above] - sorted[below]);
}

pare_status bootstrap_interval(const void *data, size_t count, bootstrap_statistic statistic, void *scratch,
                               pare_interval *interval, pare_error *error) {
    uint32_t *picked = pare_alloc_zero(count, sizeof *picked);
    double *found = pare_alloc_zero(PARE_BOOTSTRAP_RESAMPLES, sizeof *found);
    pare_status status = PARE_OK;
    if (picked == NULL || found == NULL) {
        status = pare_fail_memory(error, count * sizeof *picked);
        goto done;
    }
    pare_random random;
    pare_random_seed(&random, 0);
    size_t defined = 0;
    for (size_t r = 0; r < PARE_BOOTSTRAP_RESAMPLES; r++) {
        for (size_t i = 0; i < count; i++) {
            picked[i] = (uint32_t)pare_random_below(&random, count);
        }
        double value = statistic(data, picked, count, scratch);
        if (!isnan(value)) {
            found[defined++] = value;
        }
    }
    if (defined == 0) {
        *interval = (pare_interval){NAN, NAN};
    } else {
        qsort(found, defined, sizeof *found, compare_doubles);
        *interval = (pare_interval){quantile(found, defined, 0.025), quantile(found, defined, 0.975)};
    }
done:
    pare_free(picked);
    pare_free(found);
    return status;
}

double auc_of_ranks(const float *scores, const uint8_t *positive, const uint32_t *weights, const uint32_t *order,
                    size_t count) {
    double negatives_below = 0.0, wins = 0.0, positives = 0.0;
    for (size_t begin = 0; begin < count;) {
        size_t end = begin;
        double tied_positive = 0.0, tied_negative = 0.0;
        while (end < count && scores[order[end]] <= scores[order[begin]]) {
            double weight = weights != NULL ? (double)weights[order[end]] : 1.0;
            if (positive[order[end]]) {
                tied_positive += weight;
            } else {
                tied_negative += weight;
            }
            end++;
        }
        wins += tied_positive * (negatives_below + 0.5 * tied_negative);
        negatives_below += tied_negative;
        positives += tied_positive;
        begin = end;
    }
    return positives > 0.0 && negatives_below > 0.0 ? wins / (positives * negatives_below) : NAN;
}
