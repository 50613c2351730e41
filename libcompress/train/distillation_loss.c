/* Losses against a teacher. */
#include "train/loss.h"

#include "train/loss_terms.h"

/* A softmax over some classes: their logarithms of probability are (z - most) × scale - log_total. */
typedef struct softmax_base {
    double most, scale, log_total;
} softmax_base;

/* Of two runs of classes, which may be empty; together they hold one class at least. */
LOSS_CLONES static softmax_base base_of(const float *first, size_t first_count, const float *second,
                                        size_t second_count, double scale) {
    double a = largest_of(first, first_count), b = largest_of(second, second_count), most = a > b ? a : b;
    double total = sum_exp(first, first_count, most, scale) + sum_exp(second, second_count, most, scale);
    return (softmax_base){most, scale, log(total)};
}

/* Σ p (log p - log q) over some classes, q the student's probabilities and p the teacher's; adds towards × q -
 * away × p to the gradient. */
LOSS_CLONES static double divergence(const float *restrict student, softmax_base q_base, const float *restrict teacher,
                                     softmax_base p_base, size_t count, double towards, double away,
                                     float *restrict gradient) {
    double terms[LOSS_CHUNK], sum = 0;
    for (size_t at = 0; at < count; at += LOSS_CHUNK) {
        size_t n = loss_chunk(at, count);
        const float *restrict s = student + at, *restrict t = teacher + at;
        for (size_t i = 0; i < n; i++) {
            double log_q = ((double)s[i] - q_base.most) * q_base.scale - q_base.log_total;
            double log_p = ((double)t[i] - p_base.most) * p_base.scale - p_base.log_total;
            terms[i] = exp_below(log_p) * (log_p - log_q);
        }
        sum += sum_terms(terms, n);
    }
    for (size_t i = 0; gradient != NULL && i < count; i++) {
        double log_q = ((double)student[i] - q_base.most) * q_base.scale - q_base.log_total;
        double log_p = ((double)teacher[i] - p_base.most) * p_base.scale - p_base.log_total;
        gradient[i] += (float)(towards * exp_below(log_q) - away * exp_below(log_p));
    }
    return sum;
}

double pare_loss_distill_logits(const float *student, const float *teacher, size_t samples, size_t classes,
                                float temperature, float weight, float *gradient) {
    double scale = 1.0 / (double)temperature, loss = 0;
    double slope = (double)weight * (double)temperature / (double)samples; /* temperature² × 1 / temperature */
    for (size_t n = 0; n < samples; n++) {
        const float *s = student + n * classes, *t = teacher + n * classes;
        loss += divergence(s, base_of(s, classes, s, 0, scale), t, base_of(t, classes, t, 0, scale), classes, slope,
                           slope, gradient != NULL ? gradient + n * classes : NULL);
    }
    return finite_or_nan((double)temperature * (double)temperature * loss / (double)samples);
}

/* log(1 + exp(x)) without overflow. */
static double softplus(double x) {
    return (x > 0 ? x : 0.0) + log1p(exp(-fabs(x)));
}

/* A row seen as "the label" against "any other class", and the softmax of the others alone. */
typedef struct decoupled_row {
    double log_label, log_others; /* log p, log (1 - p); neither cancels when p is close to 0 or 1 */
    softmax_base base;
} decoupled_row;

static decoupled_row decouple(const float *row, size_t classes, size_t label, double scale) {
    softmax_base base = base_of(row, label, row + label + 1, classes - label - 1, scale);
    double odds = ((double)row[label] - base.most) * scale - base.log_total;
    return (decoupled_row){-softplus(-odds), -softplus(odds), base};
}

/* alpha × TCKD + beta × NCKD of one row of at least two classes, and slope × the derivatives. With q and p the
 * student's and the teacher's probabilities of the label, dTCKD = (q - p) at the label and, since the others' sum
 * moves by what each adds to it, (p - q) × softmax of the others elsewhere. */
static double decoupled_loss(const float *student, const float *teacher, size_t classes, size_t label, double scale,
                             double alpha, double beta, double slope, float *gradient) {
    decoupled_row q = decouple(student, classes, label, scale), p = decouple(teacher, classes, label, scale);
    double q_others = exp(q.log_others), p_others = exp(p.log_others), label_slope = slope * alpha;
    double loss = alpha * (exp(p.log_label) * (p.log_label - q.log_label) + p_others * (p.log_others - q.log_others));
    /* Of q and 1 - q the smaller is the exact one. */
    double moved = q.log_others < q.log_label ? q_others - p_others : exp(p.log_label) - exp(q.log_label);
    double towards = label_slope * moved + slope * beta, away = slope * beta;
    size_t after = label + 1;
    loss += beta * divergence(student, q.base, teacher, p.base, label, towards, away, gradient);
    loss += beta * divergence(student + after, q.base, teacher + after, p.base, classes - after, towards, away,
                              gradient != NULL ? gradient + after : NULL);
    if (gradient != NULL) {
        gradient[label] -= (float)(label_slope * moved);
    }
    return loss;
}

double pare_loss_distill_decoupled(const float *student, const float *teacher, const int *labels, size_t samples,
                                   size_t classes, float temperature, float alpha, float beta, float weight,
                                   float *gradient) {
    double loss = 0;
    size_t labelled = 0;
    for (size_t n = 0; n < samples; n++) {
        labelled += labels[n] >= 0 && (size_t)labels[n] < classes;
    }
    if (labelled == 0 || classes < 2) {
        return 0;
    }
    double slope = (double)weight * (double)temperature / (double)labelled;
    for (size_t n = 0; n < samples; n++) {
        if (labels[n] >= 0 && (size_t)labels[n] < classes) {
            size_t row = n * classes;
            loss += decoupled_loss(student + row, teacher + row, classes, (size_t)labels[n], 1.0 / (double)temperature,
                                   (double)alpha, (double)beta, slope, gradient != NULL ? gradient + row : NULL);
        }
    }
    return finite_or_nan((double)temperature * (double)temperature * loss / (double)labelled);
}

/* A feature map [channels, positions] and a chunk of its attention map: mean squares over the channels. Maps that
 * fit one chunk are computed once. */
typedef struct attention_map {
    const float *values;
    size_t channels, positions;
    size_t held; /* first position of the chunk; SIZE_MAX: none yet */
    double norm; /* of the whole attention map */
    double energy[LOSS_CHUNK];
} attention_map;

LOSS_CLONES static void hold(attention_map *map, size_t first) {
    if (map->held == first) {
        return;
    }
    size_t n = loss_chunk(first, map->positions);
    double share = 1.0 / (double)map->channels, *restrict energy = map->energy;
    map->held = first;
    for (size_t i = 0; i < n; i++) {
        energy[i] = 0;
    }
    for (size_t c = 0; c < map->channels; c++) {
        const float *restrict row = map->values + c * map->positions + first;
        for (size_t i = 0; i < n; i++) {
            energy[i] += (double)row[i] * (double)row[i];
        }
    }
    for (size_t i = 0; i < n; i++) {
        energy[i] *= share;
    }
}

#define SMALLEST_NORM 1e-12

static void look_at(attention_map *map, const float *values, size_t channels, size_t positions) {
    double terms[LOSS_CHUNK], sum = 0;
    map->values = values;
    map->channels = channels;
    map->positions = positions;
    map->held = SIZE_MAX;
    for (size_t at = 0; at < positions; at += LOSS_CHUNK) {
        size_t n = loss_chunk(at, positions);
        hold(map, at);
        for (size_t i = 0; i < n; i++) {
            terms[i] = map->energy[i] * map->energy[i];
        }
        sum += sum_terms(terms, n);
    }
    map->norm = sqrt(sum);
}

/* With a and b the normalized maps, loss = Σ (a - b)² and ∂loss/∂energy = 2 ((a - b) - a Σ (a - b) a) / norm:
 * normalizing takes back what lies along the map. A norm under the smallest is a constant, and takes nothing. */
LOSS_CLONES static void attention_gradient(attention_map *student, attention_map *teacher, double along, double slope,
                                           float *restrict gradient) {
    double s_scale = 1.0 / fmax(student->norm, SMALLEST_NORM), t_scale = 1.0 / fmax(teacher->norm, SMALLEST_NORM);
    double keep = student->norm < SMALLEST_NORM ? 1.0 : 1.0 - along;
    double rate = 4.0 * slope * s_scale / (double)student->channels; /* energy = Σ value² / channels */
    float rates[LOSS_CHUNK];
    for (size_t at = 0; at < student->positions; at += LOSS_CHUNK) {
        size_t n = loss_chunk(at, student->positions);
        hold(student, at);
        hold(teacher, at);
        for (size_t i = 0; i < n; i++) {
            rates[i] = (float)(rate * (keep * student->energy[i] * s_scale - teacher->energy[i] * t_scale));
        }
        for (size_t c = 0; c < student->channels; c++) {
            const float *restrict row = student->values + c * student->positions + at;
            float *restrict to = gradient + c * student->positions + at;
            for (size_t i = 0; i < n; i++) {
                to[i] += rates[i] * row[i];
            }
        }
    }
}

LOSS_CLONES static double attention_distance(attention_map *student, attention_map *teacher, double *along) {
    double s_scale = 1.0 / fmax(student->norm, SMALLEST_NORM), t_scale = 1.0 / fmax(teacher->norm, SMALLEST_NORM);
    double terms[LOSS_CHUNK], along_terms[LOSS_CHUNK], sum = 0;
    *along = 0;
    for (size_t at = 0; at < student->positions; at += LOSS_CHUNK) {
        size_t n = loss_chunk(at, student->positions);
        hold(student, at);
        hold(teacher, at);
        for (size_t i = 0; i < n; i++) {
            double a = student->energy[i] * s_scale, difference = a - teacher->energy[i] * t_scale;
            terms[i] = difference * difference;
            along_terms[i] = difference * a;
        }
        sum += sum_terms(terms, n);
        *along += sum_terms(along_terms, n);
    }
    return sum;
}

double pare_loss_attention(const float *student, size_t student_channels, const float *teacher, size_t teacher_channels,
                           size_t samples, size_t positions, float weight, float *gradient) {
    double loss = 0, count = (double)samples * (double)positions;
    attention_map s, t;
    for (size_t n = 0; n < samples; n++) {
        size_t first = n * student_channels * positions;
        double along;
        look_at(&s, student + first, student_channels, positions);
        look_at(&t, teacher + n * teacher_channels * positions, teacher_channels, positions);
        loss += attention_distance(&s, &t, &along);
        if (gradient != NULL) {
            attention_gradient(&s, &t, along, (double)weight / count, gradient + first);
        }
    }
    return finite_or_nan(loss / count);
}
