#include "pare/optimizer.h"

#include <math.h>

#include "pare/memory.h"

static pare_status check_number(const char *name, double value, double low, double high, pare_error *error) {
    return value >= low && value <= high
               ? PARE_OK
               : pare_fail(error, PARE_USAGE, "expected %s from %g to %g, found %g", name, low, high, value);
}

pare_status pare_optimizer_create(const pare_optimizer_options *o, size_t count, pare_optimizer *optimizer,
                                  pare_error *error) {
    const double largest = 1e30, below_one = 1.0 - 1e-12;
    bool sgd = o->kind == PARE_OPTIMIZER_SGD;
    PARE_TRY(check_number("momentum", o->momentum, 0, 1, error));
    PARE_TRY(check_number("weight decay", o->weight_decay, 0, largest, error));
    PARE_TRY(check_number("l1", o->l1, 0, largest, error));
    PARE_TRY(check_number("the norm to clip to", o->clip_norm, 0, largest, error));
    if (!sgd) {
        PARE_TRY(check_number("beta1", o->beta1, 0, below_one, error));
        PARE_TRY(check_number("beta2", o->beta2, 0, below_one, error));
        PARE_TRY(check_number("epsilon", o->epsilon, 1e-30, 1, error));
    }
    if (o->nesterov && o->momentum == 0) {
        return pare_fail(error, PARE_USAGE, "expected a momentum above 0 for Nesterov's, found 0");
    }
    *optimizer = (pare_optimizer){.options = *o, .count = count, .moments_count = sgd ? count : 2 * count};
    optimizer->moments = pare_alloc_zero(optimizer->moments_count + 1, sizeof(float));
    return optimizer->moments != NULL ? PARE_OK : pare_fail_memory(error, optimizer->moments_count * sizeof(float));
}

void pare_optimizer_free(pare_optimizer *optimizer) {
    pare_free(optimizer->moments);
    optimizer->moments = NULL;
}

/* Four sums side by side, added up in a fixed order: vectorizes, and is the same on every machine. */
static double squared_norm(const float *values, size_t count) {
    double sums[4] = {0};
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        for (size_t k = 0; k < 4; k++) {
            sums[k] += (double)values[i + k] * (double)values[i + k];
        }
    }
    for (; i < count; i++) {
        sums[0] += (double)values[i] * (double)values[i];
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static void add_decay(const pare_optimizer_options *o, const float *restrict w, float *restrict g, size_t count) {
    float l1 = (float)o->l1, l2 = o->kind == PARE_OPTIMIZER_ADAMW ? 0.0F : (float)o->weight_decay;
    if (l2 > 0) {
        for (size_t i = 0; i < count; i++) {
            g[i] += l2 * w[i];
        }
    }
    if (l1 > 0) {
        for (size_t i = 0; i < count; i++) {
            g[i] += l1 * ((float)(w[i] > 0) - (float)(w[i] < 0));
        }
    }
}

static void step_sgd(const pare_optimizer_options *o, float *restrict w, const float *restrict g, float *restrict v,
                     size_t count, float lr) {
    float momentum = (float)o->momentum;
    if (o->nesterov) {
        for (size_t i = 0; i < count; i++) {
            v[i] = momentum * v[i] + g[i];
            w[i] -= lr * (g[i] + momentum * v[i]);
        }
        return;
    }
    for (size_t i = 0; i < count; i++) {
        v[i] = momentum * v[i] + g[i];
        w[i] -= lr * v[i];
    }
}

static void step_adam(const pare_optimizer *p, float *restrict w, const float *restrict g, float *restrict first,
                      float *restrict second, size_t count, double lr, bool decays) {
    const pare_optimizer_options *o = &p->options;
    double steps = (double)(p->step + 1);
    float beta1 = (float)o->beta1, beta2 = (float)o->beta2, epsilon = (float)o->epsilon;
    float rate = (float)(lr / (1.0 - pow(o->beta1, steps)));
    float root = (float)(1.0 / sqrt(1.0 - pow(o->beta2, steps)));
    float keep = o->kind == PARE_OPTIMIZER_ADAMW && decays ? (float)(1.0 - lr * o->weight_decay) : 1.0F;
    for (size_t i = 0; i < count; i++) {
        first[i] = beta1 * first[i] + (1.0F - beta1) * g[i];
        second[i] = beta2 * second[i] + (1.0F - beta2) * g[i] * g[i];
        w[i] = keep * w[i] - rate * first[i] / (sqrtf(second[i]) * root + epsilon);
    }
}

double pare_optimizer_update(pare_optimizer *optimizer, float *values, float *gradients,
                             const pare_parameter_group *groups, size_t group_count, double lr) {
    const pare_optimizer_options *o = &optimizer->options;
    double norm = sqrt(squared_norm(gradients, optimizer->count));
    if (!isfinite(norm)) {
        return norm;
    }
    if (o->clip_norm > 0 && norm > o->clip_norm) {
        float cut = (float)(o->clip_norm / norm);
        for (size_t i = 0; i < optimizer->count; i++) {
            gradients[i] *= cut;
        }
    }
    for (size_t k = 0; k < group_count; k++) {
        const pare_parameter_group *group = &groups[k];
        float *w = values + group->first, *g = gradients + group->first, *m = optimizer->moments + group->first;
        double rate = lr * group->lr_scale;
        if (group->decays) {
            add_decay(o, w, g, group->count);
        }
        if (o->kind == PARE_OPTIMIZER_SGD) {
            step_sgd(o, w, g, m, group->count, (float)rate);
        } else {
            step_adam(optimizer, w, g, m, m + optimizer->count, group->count, rate, group->decays);
        }
    }
    optimizer->step++;
    return norm;
}

void pare_ema_update(float *average, const float *values, size_t count, double decay) {
    float keep = (float)decay;
    for (size_t i = 0; i < count; i++) {
        average[i] = keep * average[i] + (1.0F - keep) * values[i];
    }
}
