/* Losses against a teacher. */
#include <math.h>

#include "train/loss.h"

static double log_sum_exp_scaled(const float *row, size_t count, double scale) {
    double most = (double)row[0] * scale, sum = 0;
    for (size_t i = 1; i < count; i++) {
        double x = (double)row[i] * scale;
        most = x > most ? x : most;
    }
    for (size_t i = 0; i < count; i++) {
        sum += exp((double)row[i] * scale - most);
    }
    return most + log(sum);
}

double pare_loss_distill_logits(const float *student, const float *teacher, size_t samples, size_t classes,
                                float temperature, float weight, float *gradient) {
    double scale = 1.0 / (double)temperature, t2 = (double)temperature * (double)temperature, loss = 0;
    double slope = (double)weight * (double)temperature / (double)samples;
    for (size_t n = 0; n < samples; n++) {
        const float *s = student + n * classes, *t = teacher + n * classes;
        double ls = log_sum_exp_scaled(s, classes, scale), lt = log_sum_exp_scaled(t, classes, scale);
        for (size_t c = 0; c < classes; c++) {
            double log_q = (double)s[c] * scale - ls, log_p = (double)t[c] * scale - lt, p = exp(log_p);
            loss += p * (log_p - log_q);
            if (gradient != NULL) {
                gradient[n * classes + c] += (float)(slope * (exp(log_q) - p));
            }
        }
    }
    return t2 * loss / (double)samples;
}

/* Probability of the label, and the logarithm of the mass of all others, of one row. */
typedef struct decoupled_row {
    double log_target, log_others; /* log p_t, log (1 - p_t) */
    double others;                 /* log-sum-exp of the other classes' logits */
} decoupled_row;

static decoupled_row decouple(const float *row, size_t classes, size_t label, double scale) {
    double most = -INFINITY, sum = 0;
    for (size_t c = 0; c < classes; c++) {
        double x = (double)row[c] * scale;
        most = c != label && x > most ? x : most;
    }
    for (size_t c = 0; c < classes; c++) {
        sum += c != label ? exp((double)row[c] * scale - most) : 0.0;
    }
    double others = most + log(sum), target = (double)row[label] * scale;
    double high = target > others ? target : others, low = target > others ? others : target;
    double all = high + log1p(exp(low - high));
    return (decoupled_row){target - all, others - all, others};
}

double pare_loss_distill_decoupled(const float *student, const float *teacher, const int *labels, size_t samples,
                                   size_t classes, float temperature, float alpha, float beta, float weight,
                                   float *gradient) {
    double scale = 1.0 / (double)temperature, t2 = (double)temperature * (double)temperature, loss = 0;
    double slope = (double)weight * (double)temperature / (double)samples;
    for (size_t n = 0; n < samples; n++) {
        const float *s = student + n * classes, *t = teacher + n * classes;
        size_t label = (size_t)labels[n];
        decoupled_row q = decouple(s, classes, label, scale), p = decouple(t, classes, label, scale);
        double pt = exp(p.log_target), qt = exp(q.log_target), po = exp(p.log_others), qo = exp(q.log_others);
        double target_loss = pt * (p.log_target - q.log_target) + (po > 0 ? po * (p.log_others - q.log_others) : 0);
        double other_loss = 0;
        for (size_t c = 0; c < classes; c++) {
            if (c == label) {
                if (gradient != NULL) { /* d/dz_t of the binary divergence: q_t - p_t */
                    gradient[n * classes + c] += (float)(slope * (double)alpha * (qt - pt));
                }
                continue;
            }
            double log_q = (double)s[c] * scale - q.others, log_p = (double)t[c] * scale - p.others;
            other_loss += exp(log_p) * (log_p - log_q);
            if (gradient != NULL) {
                double target_part = (qo - po) * exp(log_q), other_part = exp(log_q) - exp(log_p);
                gradient[n * classes + c] += (float)(slope * ((double)alpha * target_part + (double)beta * other_part));
            }
        }
        loss += (double)alpha * target_loss + (double)beta * other_loss;
    }
    return t2 * loss / (double)samples;
}

/* Mean square over the channels at one position. */
static double energy(const float *values, size_t channels, size_t positions, size_t at) {
    double sum = 0;
    for (size_t c = 0; c < channels; c++) {
        double v = (double)values[c * positions + at];
        sum += v * v;
    }
    return sum / (double)channels;
}

static double map_norm(const float *values, size_t channels, size_t positions) {
    double sum = 0;
    for (size_t i = 0; i < positions; i++) {
        double e = energy(values, channels, positions, i);
        sum += e * e;
    }
    return sqrt(sum);
}

#define SMALLEST_NORM 1e-12

double pare_loss_attention(const float *student, size_t student_channels, const float *teacher, size_t teacher_channels,
                           size_t samples, size_t positions, float weight, float *gradient) {
    double loss = 0, divisor = (double)samples * (double)positions;
    for (size_t n = 0; n < samples; n++) {
        const float *s = student + n * student_channels * positions, *t = teacher + n * teacher_channels * positions;
        double ns = map_norm(s, student_channels, positions), nt = map_norm(t, teacher_channels, positions);
        ns = ns < SMALLEST_NORM ? SMALLEST_NORM : ns;
        nt = nt < SMALLEST_NORM ? SMALLEST_NORM : nt;
        double along = 0; /* sum of difference × normalized map: what normalizing takes back */
        for (size_t i = 0; i < positions; i++) {
            double a = energy(s, student_channels, positions, i) / ns;
            double difference = a - energy(t, teacher_channels, positions, i) / nt;
            loss += difference * difference;
            along += difference * a;
        }
        for (size_t i = 0; gradient != NULL && i < positions; i++) {
            double a = energy(s, student_channels, positions, i) / ns;
            double difference = a - energy(t, teacher_channels, positions, i) / nt;
            double to_energy = 2.0 * (double)weight / divisor * (difference - along * a) / ns;
            for (size_t c = 0; c < student_channels; c++) {
                size_t at = c * positions + i;
                gradient[n * student_channels * positions + at] +=
                    (float)(to_energy * 2.0 / (double)student_channels * (double)s[at]);
            }
        }
    }
    return loss / divisor;
}
