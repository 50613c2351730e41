#include "collector.h"

#include <math.h>
#include <string.h>

#include "pare/checked.h"
#include "pare/memory.h"

pare_status pare_metrics_begin(const pare_preprocess *preprocess, pare_metrics_collector **collector,
                               pare_error *error) {
    pare_metrics_collector *made = pare_alloc_zero(1, sizeof *made);
    if (made == NULL) {
        return pare_fail_memory(error, sizeof *made);
    }
    made->task = preprocess->task;
    made->label_offset = preprocess->label_offset;
    *collector = made;
    return PARE_OK;
}

void pare_metrics_discard(pare_metrics_collector *collector) {
    if (collector != NULL) {
        pare_free(collector->class_scores);
        pare_free(collector->value_scores);
        pare_free(collector);
    }
}

static pare_status reserve(pare_metrics_collector *c, size_t more, pare_error *error) {
    size_t needed;
    if (!pare_add_size(c->count, more, &needed) || needed > UINT32_MAX) {
        return pare_fail(error, PARE_LIMIT, "more than %u predictions", UINT32_MAX);
    }
    if (needed <= c->capacity) {
        return PARE_OK;
    }
    size_t capacity = needed * 2;
    bool classes = c->task == PARE_TASK_CLASSIFICATION;
    size_t item = classes ? sizeof(scored_class) : sizeof(scored_values);
    void *grown = pare_realloc(classes ? (void *)c->class_scores : (void *)c->value_scores, capacity * item);
    if (grown == NULL) {
        return pare_fail_memory(error, capacity * item);
    }
    if (classes) {
        c->class_scores = grown;
    } else {
        c->value_scores = grown;
    }
    c->capacity = capacity;
    return PARE_OK;
}

/* Outputs may be logits or, after a Softmax, probabilities. */
static bool is_distribution(const float *outputs, size_t classes) {
    double sum = 0.0;
    for (size_t i = 0; i < classes; i++) {
        if (!(outputs[i] >= 0.0F && outputs[i] <= 1.0F)) {
            return false;
        }
        sum += (double)outputs[i];
    }
    return fabs(sum - 1.0) < 1e-3;
}

static double log_loss_of(const float *outputs, size_t classes, size_t truth) {
    if (is_distribution(outputs, classes)) {
        return -log(fmax((double)outputs[truth], 1e-15));
    }
    double largest = -INFINITY, sum = 0.0;
    for (size_t i = 0; i < classes; i++) {
        largest = fmax(largest, (double)outputs[i]);
    }
    for (size_t i = 0; i < classes; i++) {
        sum += exp((double)outputs[i] - largest);
    }
    return log(sum) + largest - (double)outputs[truth];
}

/* Ties go to the lower index, as arg max in numpy. */
static scored_class score_row(const float *outputs, size_t classes, size_t truth) {
    size_t best = 0, ahead = 0;
    for (size_t i = 0; i < classes; i++) {
        best = outputs[i] > outputs[best] ? i : best;
        ahead += outputs[i] > outputs[truth] || (i < truth && outputs[i] >= outputs[truth]);
    }
    return (scored_class){(uint32_t)truth, (uint32_t)best, (float)log_loss_of(outputs, classes, truth), ahead < 5};
}

/* A single output is the logit of class 1. */
static scored_class score_logit(float output, size_t truth) {
    bool probability = output >= 0.0F && output <= 1.0F;
    double x = (double)output;
    double p = probability ? x : 1.0 / (1.0 + exp(-x));
    p = truth == 1 ? p : 1.0 - p;
    return (scored_class){(uint32_t)truth, probability ? output > 0.5F : output > 0.0F, (float)-log(fmax(p, 1e-15)), 1};
}

static pare_status add_classes(pare_metrics_collector *c, const float *outputs, size_t outputs_per_sample,
                               const int64_t *classes, size_t targets, size_t count, pare_error *error) {
    if (classes == NULL || targets == 0) {
        return pare_fail(error, PARE_BAD_INPUT, "classification needs class labels, but the data set has none");
    }
    if (outputs_per_sample % targets != 0) {
        return pare_fail(error, PARE_BAD_INPUT, "expected outputs for %zu positions a sample, found %zu numbers",
                         targets, outputs_per_sample);
    }
    size_t width = outputs_per_sample / targets;
    c->classes = width == 1 ? 2 : width;
    PARE_TRY(reserve(c, count * targets, error));
    for (size_t i = 0; i < count * targets; i++) {
        if (classes[i] < 0) {
            continue; /* a position that is not to be scored */
        }
        int64_t truth = classes[i] + c->label_offset;
        if (truth < 0 || truth >= (int64_t)c->classes) {
            return pare_fail(error, PARE_BAD_INPUT,
                             "label %lld (with label_offset %d) is outside the model's %zu classes",
                             (long long)classes[i], c->label_offset, c->classes);
        }
        c->class_scores[c->count++] =
            width == 1 ? score_logit(outputs[i], (size_t)truth) : score_row(outputs + i * width, width, (size_t)truth);
    }
    return PARE_OK;
}

static scored_values score_values(const float *outputs, const float *targets, size_t width) {
    scored_values score = {0};
    for (size_t i = 0; i < width; i++) {
        double target = (double)targets[i], difference = (double)outputs[i] - target;
        score.squared_error += difference * difference;
        score.absolute_error += fabs(difference);
        score.target_sum += target;
        score.target_square_sum += target * target;
    }
    return score;
}

static pare_status add_values(pare_metrics_collector *c, const float *outputs, const float *targets, size_t width,
                              const int64_t *classes, size_t count, pare_error *error) {
    PARE_TRY(reserve(c, count, error));
    c->width = width;
    c->labelled = c->task == PARE_TASK_AUTOENCODER && classes != NULL;
    for (size_t i = 0; i < count; i++) {
        scored_values score = score_values(outputs + i * width, targets + i * width, width);
        score.positive = c->labelled && classes[i] != 0;
        c->value_scores[c->count++] = score;
    }
    return PARE_OK;
}

pare_status pare_metrics_add(void *collector, const float *inputs, size_t inputs_per_sample, const float *outputs,
                             size_t outputs_per_sample, const int64_t *classes, const float *values,
                             size_t targets_per_sample, size_t count, pare_error *error) {
    pare_metrics_collector *c = collector;
    if (c->task == PARE_TASK_CLASSIFICATION) {
        return add_classes(c, outputs, outputs_per_sample, classes, targets_per_sample, count, error);
    }
    if (c->task == PARE_TASK_AUTOENCODER) {
        if (inputs == NULL || inputs_per_sample != outputs_per_sample) {
            return pare_fail(error, PARE_BAD_INPUT,
                             "an autoencoder's output must have the input's %zu numbers, found %zu", inputs_per_sample,
                             outputs_per_sample);
        }
        return add_values(c, outputs, inputs, outputs_per_sample, classes, count, error);
    }
    if (values == NULL || targets_per_sample != outputs_per_sample) {
        return pare_fail(error, PARE_BAD_INPUT, "regression needs %zu target numbers a sample, the data set has %zu",
                         outputs_per_sample, values == NULL ? (size_t)0 : targets_per_sample);
    }
    return add_values(c, outputs, values, outputs_per_sample, NULL, count, error);
}

pare_status pare_metrics_end(pare_metrics_collector *collector, pare_metrics *metrics, pare_error *error) {
    memset(metrics, 0, sizeof *metrics);
    metrics->task = collector->task;
    metrics->samples = collector->count;
    pare_status status;
    if (collector->count == 0) {
        status = pare_fail(error, PARE_BAD_INPUT, "no sample was scored: the data set (or the part of it) is empty");
    } else if (collector->task == PARE_TASK_CLASSIFICATION) {
        status = metrics_of_classes(collector, metrics, error);
    } else {
        status = metrics_of_values(collector, metrics, error);
    }
    if (status != PARE_OK) {
        pare_metrics_free(metrics);
    }
    pare_metrics_discard(collector);
    return status;
}

void pare_metrics_free(pare_metrics *metrics) {
    if (metrics != NULL) {
        pare_free(metrics->per_class);
        pare_free(metrics->confusion);
        pare_free(metrics->predicted);
        pare_free(metrics->correct);
        pare_free(metrics->errors);
        memset(metrics, 0, sizeof *metrics);
    }
}
