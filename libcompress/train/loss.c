/* Losses against targets. Terms are computed in double, a chunk at a time, in
 * loops without branches; loss_terms.h adds them up. */
#include "train/loss.h"

#include "train/loss_terms.h"

/* One row: Σ t (log Σ exp(x) - x), and slope × its derivative, (Σ t) softmax(x) - t. Logits are taken from the
 * largest down, where neither the exponentials overflow nor the terms cancel. */
LOSS_CLONES static double cross_entropy_row(const float *restrict x, const float *restrict t, size_t classes,
                                            double slope, float *restrict gradient) {
    double terms[LOSS_CHUNK], masses[LOSS_CHUNK], most = largest_of(x, classes), loss = 0, mass = 0;
    double total = sum_exp(x, classes, most, 1.0), log_total = log(total);
    for (size_t at = 0; at < classes; at += LOSS_CHUNK) {
        size_t n = loss_chunk(at, classes);
        for (size_t i = 0; i < n; i++) {
            masses[i] = (double)t[at + i];
            terms[i] = masses[i] * (log_total - ((double)x[at + i] - most));
        }
        loss += sum_terms(terms, n);
        mass += sum_terms(masses, n);
    }
    double rate = mass / total;
    for (size_t i = 0; gradient != NULL && i < classes; i++) {
        gradient[i] += (float)(slope * (rate * exp_below((double)x[i] - most) - (double)t[i]));
    }
    return loss;
}

double pare_loss_cross_entropy(const float *logits, const float *targets, const float *importance, size_t samples,
                               size_t classes, float weight, float *gradient) {
    double divisor = (double)samples, loss = 0;
    if (importance != NULL) {
        divisor = 0;
        for (size_t n = 0; n < samples; n++) {
            divisor += (double)importance[n];
        }
        if (divisor == 0) {
            return 0;
        }
    }
    for (size_t n = 0; n < samples; n++) {
        double share = (importance != NULL ? (double)importance[n] : 1.0) / divisor;
        loss += share * cross_entropy_row(logits + n * classes, targets + n * classes, classes, (double)weight * share,
                                          gradient != NULL ? gradient + n * classes : NULL);
    }
    return finite_or_nan(loss);
}

/* At most LOSS_CHUNK elements: the sum of their losses, and slope × the derivatives added to the gradient. */
typedef double (*element_loss)(const float *restrict x, const float *restrict t, size_t count, double slope,
                               double parameter, float *restrict gradient);

static double mean_of(element_loss loss, const float *outputs, const float *targets, size_t count, float weight,
                      double parameter, float *gradient) {
    float unwanted[LOSS_CHUNK] = {0}; /* spares each loop a second form */
    double sum = 0, slope = (double)weight / (double)count;
    for (size_t at = 0; at < count; at += LOSS_CHUNK) {
        sum += loss(outputs + at, targets + at, loss_chunk(at, count), slope, parameter,
                    gradient != NULL ? gradient + at : unwanted);
    }
    return finite_or_nan(sum / (double)count);
}

LOSS_CLONES static double mse_chunk(const float *restrict x, const float *restrict t, size_t count, double slope,
                                    double parameter, float *restrict gradient) {
    double terms[LOSS_CHUNK], twice = 2.0 * slope;
    (void)parameter;
    for (size_t i = 0; i < count; i++) {
        double difference = (double)x[i] - (double)t[i];
        terms[i] = difference * difference;
        gradient[i] += (float)(twice * difference);
    }
    return sum_terms(terms, count);
}

LOSS_CLONES static double l1_chunk(const float *restrict x, const float *restrict t, size_t count, double slope,
                                   double parameter, float *restrict gradient) {
    double terms[LOSS_CHUNK];
    (void)parameter;
    for (size_t i = 0; i < count; i++) {
        double difference = (double)x[i] - (double)t[i];
        terms[i] = fabs(difference);
        gradient[i] += (float)((difference > 0 ? slope : 0.0) - (difference < 0 ? slope : 0.0));
    }
    return sum_terms(terms, count);
}

/* With c = min(|d|, delta), both branches are c (|d| - c / 2). */
LOSS_CLONES static double huber_chunk(const float *restrict x, const float *restrict t, size_t count, double slope,
                                      double delta, float *restrict gradient) {
    double terms[LOSS_CHUNK];
    for (size_t i = 0; i < count; i++) {
        double difference = (double)x[i] - (double)t[i], size = fabs(difference), cut = size < delta ? size : delta;
        terms[i] = cut * (size - 0.5 * cut);
        gradient[i] += (float)(slope * (difference < 0 ? -cut : cut));
    }
    return sum_terms(terms, count);
}

/* With e = exp(-|x|) and `far` the target's distance from the side that x is on, the loss is |x| far + log(1 + e)
 * and its derivative ± (far - (1 - far) e) / (1 + e): nothing overflows, nothing cancels. The logarithms of a chunk
 * are two, of products. */
LOSS_CLONES static double binary_cross_entropy_chunk(const float *restrict x, const float *restrict t, size_t count,
                                                     double slope, double parameter, float *restrict gradient) {
    double terms[LOSS_CHUNK], factors[LOSS_CHUNK];
    (void)parameter;
    for (size_t i = 0; i < count; i++) {
        double logit = (double)x[i], target = (double)t[i], size = fabs(logit), e = exp_below(-size);
        double far = logit < 0 ? target : 1.0 - target, towards = (far - (1.0 - far) * e) / (1.0 + e);
        terms[i] = size * far;
        factors[i] = 1.0 + e;
        gradient[i] += (float)(slope * (logit < 0 ? -towards : towards));
    }
    return sum_terms(terms, count) + sum_logarithms(factors, count);
}

double pare_loss_mse(const float *outputs, const float *targets, size_t samples, size_t width, float weight,
                     float *gradient) {
    return mean_of(mse_chunk, outputs, targets, samples * width, weight, 0, gradient);
}

double pare_loss_l1(const float *outputs, const float *targets, size_t samples, size_t width, float weight,
                    float *gradient) {
    return mean_of(l1_chunk, outputs, targets, samples * width, weight, 0, gradient);
}

double pare_loss_huber(const float *outputs, const float *targets, size_t samples, size_t width, float delta,
                       float weight, float *gradient) {
    return mean_of(huber_chunk, outputs, targets, samples * width, weight, (double)delta, gradient);
}

double pare_loss_binary_cross_entropy(const float *logits, const float *targets, size_t samples, size_t width,
                                      float weight, float *gradient) {
    return mean_of(binary_cross_entropy_chunk, logits, targets, samples * width, weight, 0, gradient);
}
