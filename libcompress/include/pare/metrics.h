/* Metrics with their uncertainty. */
#ifndef PARE_METRICS_H
#define PARE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "pare/preprocess.h"
#include "pare/status.h"

typedef struct pare_interval {
    double low, high;
} pare_interval;

/* Wilson's score interval for a proportion (Wilson 1927, eq. as in Brown, Cai
 * and DasGupta 2001), 95 %. total > 0. */
pare_interval pare_wilson_interval(size_t successes, size_t total);
/* Two-sided exact McNemar test (McNemar 1947; binomial tail): `only_first` and
 * `only_second` count the samples that just one of two models got right. */
double pare_mcnemar_exact(size_t only_first, size_t only_second);

typedef struct pare_class_metrics {
    size_t support;
    double precision, recall, f1;
} pare_class_metrics;

typedef struct pare_metrics {
    pare_task task;
    size_t samples; /* predictions scored: samples, or positions where targets are sequences */
    /* classification */
    size_t classes;
    double top1, top5, log_loss;
    pare_interval top1_ci95, top5_ci95, log_loss_ci95;
    double macro_precision, macro_recall, macro_f1;
    double weighted_precision, weighted_recall, weighted_f1;
    pare_interval macro_f1_ci95, weighted_f1_ci95;
    pare_class_metrics *per_class; /* [classes] */
    uint32_t *confusion;           /* [classes × classes]: row truth, column prediction */
    /* regression and autoencoder */
    double mse, rmse, mae, r2;
    pare_interval mse_ci95, rmse_ci95, mae_ci95, r2_ci95;
    bool has_auc;
    double auc;
    pare_interval auc_ci95;
    /* predictions, kept for paired comparison: arg max a sample (classification) */
    uint32_t *predicted;
    uint8_t *correct;
    float *errors; /* squared error a sample (regression, autoencoder) */
} pare_metrics;
void pare_metrics_free(pare_metrics *metrics);

/* Collects batches; bootstrap intervals (Efron 1979, percentile, 1,000
 * resamples, seeded) where there is no closed form. */
typedef struct pare_metrics_collector pare_metrics_collector;
pare_status pare_metrics_begin(const pare_preprocess *preprocess, pare_metrics_collector **collector,
                               pare_error *error);
/* As pare_batch_sink, `context` being the collector. Class targets below 0 are
 * skipped; those outside the outputs are PARE_BAD_INPUT. */
pare_status pare_metrics_add(void *collector, const float *inputs, size_t inputs_per_sample, const float *outputs,
                             size_t outputs_per_sample, const int64_t *classes, const float *values,
                             size_t targets_per_sample, size_t count, pare_error *error);
/* Frees the collector in every case. PARE_BAD_INPUT when nothing was added. */
pare_status pare_metrics_end(pare_metrics_collector *collector, pare_metrics *metrics, pare_error *error);
void pare_metrics_discard(pare_metrics_collector *collector);

typedef struct pare_comparison {
    double agreement; /* same arg max */
    pare_interval agreement_ci95;
    size_t fixed, broken; /* wrong → right and right → wrong, from the second model to the first */
    double mcnemar_p;
    double difference; /* top-1 (or MSE) of the first minus that of the second */
    pare_interval difference_ci95;
} pare_comparison;
/* Paired comparison of two evaluations of the same samples. */
pare_status pare_metrics_compare(const pare_metrics *metrics, const pare_metrics *against, pare_comparison *comparison,
                                 pare_error *error);

#endif
