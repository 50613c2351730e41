#include <math.h>
#include <stdlib.h>

#include "collector.h"
#include "pare/memory.h"
#include "statistics.h"

/* Which number of a set of scored_values a bootstrap is after. */
typedef enum value_kind { VALUE_MSE, VALUE_RMSE, VALUE_MAE, VALUE_R2 } value_kind;

typedef struct value_request {
    value_kind kind;
    size_t width;
} value_request;

static double value_statistic(const void *data, const uint32_t *picked, size_t count, void *scratch) {
    const scored_values *scores = data;
    const value_request *request = scratch;
    double squared = 0.0, absolute = 0.0, sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < count; i++) {
        const scored_values *score = &scores[picked != NULL ? picked[i] : i];
        squared += score->squared_error;
        absolute += score->absolute_error;
        sum += score->target_sum;
        squares += score->target_square_sum;
    }
    double n = (double)count * (double)request->width;
    switch (request->kind) {
    case VALUE_MSE:
        return squared / n;
    case VALUE_RMSE:
        return sqrt(squared / n);
    case VALUE_MAE:
        return absolute / n;
    case VALUE_R2:
        break;
    }
    double spread = squares - sum * sum / n; /* around the mean target */
    return spread > 0.0 ? 1.0 - squared / spread : NAN;
}

static pare_status with_interval(const struct pare_metrics_collector *c, value_kind kind, double *value,
                                 pare_interval *interval, pare_error *error) {
    value_request request = {kind, c->width};
    *value = value_statistic(c->value_scores, NULL, c->count, &request);
    return bootstrap_interval(c->value_scores, c->count, value_statistic, &request, interval, error);
}

/* Reconstruction error as the score of an anomaly. */
typedef struct auc_data {
    const float *scores;
    uint8_t *positive;
    uint32_t *order, *weights;
} auc_data;

static double auc_statistic(const void *data, const uint32_t *picked, size_t count, void *scratch) {
    const auc_data *a = data;
    (void)scratch;
    for (size_t i = 0; i < count; i++) {
        a->weights[i] = 0;
    }
    for (size_t i = 0; i < count; i++) {
        a->weights[picked[i]]++;
    }
    return auc_of_ranks(a->scores, a->positive, a->weights, a->order, count);
}

typedef struct ranked {
    float score;
    uint32_t index;
} ranked;

static int compare_ranked(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    return x->score < y->score ? -1 : x->score > y->score ? 1 : (x->index > y->index) - (x->index < y->index);
}

static pare_status add_auc(const struct pare_metrics_collector *c, pare_metrics *m, pare_error *error) {
    ranked *sorted = pare_alloc_zero(c->count, sizeof *sorted);
    auc_data data = {m->errors, pare_alloc_zero(c->count, 1), pare_alloc_zero(c->count, sizeof(uint32_t)),
                     pare_alloc_zero(c->count, sizeof(uint32_t))};
    pare_status status = PARE_OK;
    if (sorted == NULL || data.positive == NULL || data.order == NULL || data.weights == NULL) {
        status = pare_fail_memory(error, c->count * sizeof *sorted);
        goto done;
    }
    for (size_t i = 0; i < c->count; i++) {
        sorted[i] = (ranked){m->errors[i], (uint32_t)i};
        data.positive[i] = c->value_scores[i].positive;
    }
    qsort(sorted, c->count, sizeof *sorted, compare_ranked);
    for (size_t i = 0; i < c->count; i++) {
        data.order[i] = sorted[i].index;
    }
    m->auc = auc_of_ranks(data.scores, data.positive, NULL, data.order, c->count);
    m->has_auc = !isnan(m->auc); /* labels of one class only: there is no curve */
    if (m->has_auc) {
        status = bootstrap_interval(&data, c->count, auc_statistic, NULL, &m->auc_ci95, error);
    }
done:
    pare_free(sorted);
    pare_free(data.positive);
    pare_free(data.order);
    pare_free(data.weights);
    return status;
}

pare_status metrics_of_values(const struct pare_metrics_collector *c, pare_metrics *m, pare_error *error) {
    m->errors = pare_alloc_zero(c->count, sizeof *m->errors);
    if (m->errors == NULL) {
        return pare_fail_memory(error, c->count * sizeof *m->errors);
    }
    for (size_t i = 0; i < c->count; i++) {
        m->errors[i] = (float)(c->value_scores[i].squared_error / (double)c->width);
    }
    PARE_TRY(with_interval(c, VALUE_MSE, &m->mse, &m->mse_ci95, error));
    PARE_TRY(with_interval(c, VALUE_RMSE, &m->rmse, &m->rmse_ci95, error));
    PARE_TRY(with_interval(c, VALUE_MAE, &m->mae, &m->mae_ci95, error));
    PARE_TRY(with_interval(c, VALUE_R2, &m->r2, &m->r2_ci95, error));
    return c->labelled ? add_auc(c, m, error) : PARE_OK;
}
