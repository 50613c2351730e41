/* What a pare_metrics_collector holds. Private to metrics. */
#ifndef PARE_COLLECTOR_H
#define PARE_COLLECTOR_H

#include "pare/metrics.h"

/* One scored prediction of a classifier. */
typedef struct scored_class {
    uint32_t truth, predicted;
    float log_loss;
    uint8_t in_top5;
} scored_class;

/* One sample of a regressor or autoencoder: sums over its outputs. */
typedef struct scored_values {
    double squared_error, absolute_error;
    double target_sum, target_square_sum;
    uint8_t positive; /* autoencoder: the label, where there is one */
} scored_values;

struct pare_metrics_collector {
    pare_task task;
    int32_t label_offset;
    size_t count, capacity;
    size_t classes; /* outputs a prediction */
    size_t width;   /* regression, autoencoder: outputs a sample */
    bool labelled;  /* autoencoder */
    scored_class *class_scores;
    scored_values *value_scores;
};

pare_status metrics_of_classes(const struct pare_metrics_collector *collector, pare_metrics *metrics,
                               pare_error *error);
pare_status metrics_of_values(const struct pare_metrics_collector *collector, pare_metrics *metrics, pare_error *error);

#endif
