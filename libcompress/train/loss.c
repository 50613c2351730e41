#include "train/loss.h"

#include <math.h>

/* log of the sum of exp of a row, in double; the largest goes ahead so that nothing overflows. */
static double log_sum_exp(const float *row, size_t count) {
    double most = (double)row[0], sum = 0;
    for (size_t i = 1; i < count; i++) {
        most = (double)row[i] > most ? (double)row[i] : most;
    }
    for (size_t i = 0; i < count; i++) {
        sum += exp((double)row[i] - most);
    }
    return most + log(sum);
}

static double sum_of(const float *numbers, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)numbers[i];
    }
    return sum;
}

double pare_loss_cross_entropy(const float *logits, const float *targets, const float *importance, size_t samples,
                               size_t classes, float weight, float *gradient) {
    double divisor = importance != NULL ? sum_of(importance, samples) : (double)samples, loss = 0;
    if (divisor == 0) {
        return 0; /* nothing has a label */
    }
    for (size_t n = 0; n < samples; n++) {
        const float *x = logits + n * classes, *t = targets + n * classes;
        double share = (importance != NULL ? (double)importance[n] : 1.0) / divisor;
        double normalizer = log_sum_exp(x, classes), mass = sum_of(t, classes);
        for (size_t c = 0; c < classes; c++) {
            double log_p = (double)x[c] - normalizer;
            loss -= t[c] != 0 ? share * (double)t[c] * log_p : 0.0;
            if (gradient != NULL) {
                gradient[n * classes + c] += (float)((double)weight * share * (mass * exp(log_p) - (double)t[c]));
            }
        }
    }
    return loss;
}

double pare_loss_mse(const float *outputs, const float *targets, size_t samples, size_t width, float weight,
                     float *gradient) {
    size_t count = samples * width;
    double loss = 0;
    float slope = (float)(2.0 * (double)weight / (double)count);
    for (size_t i = 0; i < count; i++) {
        double difference = (double)outputs[i] - (double)targets[i];
        loss += difference * difference;
    }
    for (size_t i = 0; gradient != NULL && i < count; i++) {
        gradient[i] += slope * (outputs[i] - targets[i]);
    }
    return loss / (double)count;
}

double pare_loss_l1(const float *outputs, const float *targets, size_t samples, size_t width, float weight,
                    float *gradient) {
    size_t count = samples * width;
    double loss = 0;
    float slope = weight / (float)count;
    for (size_t i = 0; i < count; i++) {
        float difference = outputs[i] - targets[i];
        loss += fabs((double)difference);
        if (gradient != NULL) {
            gradient[i] += difference > 0 ? slope : difference < 0 ? -slope : 0.0F;
        }
    }
    return loss / (double)count;
}

double pare_loss_huber(const float *outputs, const float *targets, size_t samples, size_t width, float delta,
                       float weight, float *gradient) {
    size_t count = samples * width;
    double loss = 0, limit = (double)delta, slope = (double)weight / (double)count;
    for (size_t i = 0; i < count; i++) {
        double difference = (double)outputs[i] - (double)targets[i], size = fabs(difference);
        loss += size <= limit ? 0.5 * difference * difference : limit * (size - 0.5 * limit);
        if (gradient != NULL) {
            double cut = size <= limit ? difference : copysign(limit, difference);
            gradient[i] += (float)(slope * (isnan(difference) ? difference : cut));
        }
    }
    return loss / (double)count;
}

/* max(x, 0) - x t + log(1 + exp(-|x|)) never overflows. */
double pare_loss_binary_cross_entropy(const float *logits, const float *targets, size_t samples, size_t width,
                                      float weight, float *gradient) {
    size_t count = samples * width;
    double loss = 0, slope = (double)weight / (double)count;
    for (size_t i = 0; i < count; i++) {
        double x = (double)logits[i], t = (double)targets[i], small = exp(-fabs(x));
        loss += (x > 0 ? x : 0) - x * t + log1p(small) + (isnan(x) ? x : 0);
        if (gradient != NULL) {
            double p = x >= 0 ? 1.0 / (1.0 + small) : small / (1.0 + small);
            gradient[i] += (float)(slope * (p - t));
        }
    }
    return loss / (double)count;
}
