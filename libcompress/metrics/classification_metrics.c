#include <math.h>
#include <string.h>

#include "collector.h"
#include "pare/memory.h"
#include "statistics.h"

/* Precision, recall and F1 of one class; a ratio without denominator is 0, as
 * is usual. */
static pare_class_metrics class_metrics(uint32_t hits, uint32_t truths, uint32_t predictions) {
    double precision = predictions > 0 ? (double)hits / (double)predictions : 0.0;
    double recall = truths > 0 ? (double)hits / (double)truths : 0.0;
    double f1 = truths + predictions > 0 ? 2.0 * (double)hits / ((double)truths + (double)predictions) : 0.0;
    return (pare_class_metrics){truths, precision, recall, f1};
}

/* Bootstrap scratch: hits, truths, predictions of each class. */
typedef struct f1_counts {
    size_t classes;
    uint32_t *hits, *truths, *predictions;
    bool weighted;
} f1_counts;

/* Mean F1 over the classes that occur (as truth or prediction), or weighted by
 * support. */
static double f1_statistic(const void *data, const uint32_t *picked, size_t count, void *scratch) {
    const scored_class *scores = data;
    f1_counts *c = scratch;
    memset(c->hits, 0, 3 * c->classes * sizeof *c->hits);
    for (size_t i = 0; i < count; i++) {
        const scored_class *score = &scores[picked != NULL ? picked[i] : i];
        c->truths[score->truth]++;
        c->predictions[score->predicted]++;
        c->hits[score->truth] += score->truth == score->predicted;
    }
    double sum = 0.0, weights = 0.0;
    for (size_t k = 0; k < c->classes; k++) {
        if (c->truths[k] + c->predictions[k] > 0) {
            double weight = c->weighted ? (double)c->truths[k] : 1.0;
            sum += weight * class_metrics(c->hits[k], c->truths[k], c->predictions[k]).f1;
            weights += weight;
        }
    }
    return weights > 0.0 ? sum / weights : NAN;
}

static double log_loss_statistic(const void *data, const uint32_t *picked, size_t count, void *scratch) {
    const scored_class *scores = data;
    (void)scratch;
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)scores[picked != NULL ? picked[i] : i].log_loss;
    }
    return sum / (double)count;
}

static void averages(const f1_counts *c, pare_metrics *m) {
    double seen = 0.0, support = 0.0;
    for (size_t k = 0; k < c->classes; k++) {
        pare_class_metrics one = class_metrics(c->hits[k], c->truths[k], c->predictions[k]);
        m->per_class[k] = one;
        if (c->truths[k] + c->predictions[k] > 0) {
            seen += 1.0;
            support += (double)one.support;
            m->macro_precision += one.precision;
            m->macro_recall += one.recall;
            m->weighted_precision += one.precision * (double)one.support;
            m->weighted_recall += one.recall * (double)one.support;
        }
    }
    m->macro_precision /= seen;
    m->macro_recall /= seen;
    m->weighted_precision /= support;
    m->weighted_recall /= support;
}

static pare_status intervals(const struct pare_metrics_collector *c, f1_counts *counts, pare_metrics *m,
                             pare_error *error) {
    counts->weighted = false;
    m->macro_f1 = f1_statistic(c->class_scores, NULL, c->count, counts);
    averages(counts, m);
    counts->weighted = true;
    m->weighted_f1 = f1_statistic(c->class_scores, NULL, c->count, counts);
    m->log_loss = log_loss_statistic(c->class_scores, NULL, c->count, NULL);
    counts->weighted = false;
    PARE_TRY(bootstrap_interval(c->class_scores, c->count, f1_statistic, counts, &m->macro_f1_ci95, error));
    counts->weighted = true;
    PARE_TRY(bootstrap_interval(c->class_scores, c->count, f1_statistic, counts, &m->weighted_f1_ci95, error));
    return bootstrap_interval(c->class_scores, c->count, log_loss_statistic, NULL, &m->log_loss_ci95, error);
}

pare_status metrics_of_classes(const struct pare_metrics_collector *c, pare_metrics *m, pare_error *error) {
    m->classes = c->classes;
    m->per_class = pare_alloc_zero(c->classes, sizeof *m->per_class);
    m->confusion = pare_alloc_zero(c->classes * c->classes, sizeof *m->confusion);
    m->predicted = pare_alloc_zero(c->count, sizeof *m->predicted);
    m->correct = pare_alloc_zero(c->count, sizeof *m->correct);
    uint32_t *counts = pare_alloc_zero(3 * c->classes, sizeof *counts);
    pare_status status;
    if (m->per_class == NULL || m->confusion == NULL || m->predicted == NULL || m->correct == NULL || counts == NULL) {
        status = pare_fail_memory(error, c->classes * c->classes * sizeof *m->confusion);
        goto done;
    }
    size_t hits = 0, hits5 = 0;
    for (size_t i = 0; i < c->count; i++) {
        const scored_class *score = &c->class_scores[i];
        m->confusion[score->truth * c->classes + score->predicted]++;
        m->predicted[i] = score->predicted;
        m->correct[i] = score->truth == score->predicted;
        hits += m->correct[i];
        hits5 += score->in_top5;
    }
    m->top1 = (double)hits / (double)c->count;
    m->top5 = (double)hits5 / (double)c->count;
    m->top1_ci95 = pare_wilson_interval(hits, c->count);
    m->top5_ci95 = pare_wilson_interval(hits5, c->count);
    f1_counts scratch = {c->classes, counts, counts + c->classes, counts + 2 * c->classes, false};
    status = intervals(c, &scratch, m, error);
done:
    pare_free(counts);
    return status;
}
