#include "pare/optimizer.h"

#include <float.h>
#include <math.h>

#include "pare/memory.h"

/* --- options ---------------------------------------------------------------------------------- */

/* Not NaN, and representable as the float that the loops use. */
static pare_status check_not_negative(const char *name, double value, pare_error *error) {
    return value >= 0 && value <= (double)FLT_MAX
               ? PARE_OK
               : pare_fail(error, PARE_USAGE, "%s: expected a finite number of at least 0, found %g", name, value);
}

static pare_status check_below_one(const char *name, double value, pare_error *error) {
    return value >= 0 && value < 1
               ? PARE_OK
               : pare_fail(error, PARE_USAGE, "%s: expected at least 0 and below 1, found %g", name, value);
}

static pare_status check_options(const pare_optimizer_options *o, pare_error *error) {
    if (o->kind == PARE_OPTIMIZER_SGD) {
        PARE_TRY(check_below_one("momentum", o->momentum, error));
        if (o->nesterov && o->momentum == 0) {
            return pare_fail(error, PARE_USAGE, "nesterov: expected a momentum above 0, found 0");
        }
    } else if (o->kind == PARE_OPTIMIZER_ADAM || o->kind == PARE_OPTIMIZER_ADAMW) {
        PARE_TRY(check_below_one("beta1", o->beta1, error));
        PARE_TRY(check_below_one("beta2", o->beta2, error));
        if (!(o->epsilon >= (double)FLT_MIN && o->epsilon <= 1)) {
            return pare_fail(error, PARE_USAGE, "epsilon: expected %g to 1, found %g", (double)FLT_MIN, o->epsilon);
        }
        if (o->nesterov) {
            return pare_fail(error, PARE_USAGE, "nesterov: expected SGD, found %s",
                             o->kind == PARE_OPTIMIZER_ADAM ? "Adam" : "AdamW");
        }
    } else {
        return pare_fail(error, PARE_USAGE, "optimizer: expected SGD (0), Adam (1) or AdamW (2), found %d",
                         (int)o->kind);
    }
    PARE_TRY(check_not_negative("weight decay", o->weight_decay, error));
    PARE_TRY(check_not_negative("l1", o->l1, error));
    return check_not_negative("clip norm", o->clip_norm, error);
}

pare_status pare_optimizer_create(const pare_optimizer_options *options, size_t count, pare_optimizer *optimizer,
                                  pare_error *error) {
    *optimizer = (pare_optimizer){0};
    PARE_TRY(check_options(options, error));
    size_t each = options->kind == PARE_OPTIMIZER_SGD ? 1 : 2;
    optimizer->moments = pare_alloc_zero(count, each * sizeof(float));
    if (optimizer->moments == NULL) {
        return pare_fail_memory(error, count > SIZE_MAX / 8 ? SIZE_MAX : count * each * sizeof(float));
    }
    optimizer->options = *options;
    optimizer->count = count;
    optimizer->moments_count = each * count;
    return PARE_OK;
}

void pare_optimizer_free(pare_optimizer *optimizer) {
    pare_free(optimizer->moments);
    *optimizer = (pare_optimizer){0};
}

/* --- loops over elements ---------------------------------------------------------------------- */

/* Sums side by side, so that it vectorizes without reordering. */
static double norm_of(const float *restrict g, size_t count) {
    double lanes[8] = {0};
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        for (size_t k = 0; k < 8; k++) {
            lanes[k] += (double)g[i + k] * (double)g[i + k];
        }
    }
    for (size_t k = 0; i < count; i++, k++) {
        lanes[k] += (double)g[i] * (double)g[i];
    }
    return sqrt(((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7])));
}

/* What one group's update multiplies with. The gradient proper is cut × g + l2 × w + l1 × sign(w), formed in
 * registers: clipping and decay cost no passes over memory of their own. */
typedef struct update_rates {
    float cut, l2, l1, lr;
    float momentum;
    bool nesterov;
    float beta1, rest1, beta2, rest2, epsilon; /* rest = 1 - beta, rounded once */
    float root;                                /* 1 / √(1 - beta2^step) */
    float keep;                                /* AdamW: 1 - lr × weight decay */
    bool keeps_zeros;
} update_rates;

/* 0 for a weight that stays 0, with its moments; else 1. */
static inline float alive(const update_rates *r, float w) {
    return r->keeps_zeros && w == 0 ? 0.0F : 1.0F;
}

static inline float whole_gradient(const update_rates *r, float g, float w) {
    float towards_zero = (w > 0 ? r->l1 : 0.0F) - (w < 0 ? r->l1 : 0.0F);
    return r->cut * g + r->l2 * w + towards_zero;
}

static void step_sgd(update_rates r, float *restrict w, const float *restrict g, float *restrict v, size_t count) {
    if (r.nesterov) {
        for (size_t i = 0; i < count; i++) {
            float d = whole_gradient(&r, g[i], w[i]) * alive(&r, w[i]);
            v[i] = r.momentum * v[i] + d;
            w[i] -= r.lr * (d + r.momentum * v[i]);
        }
        return;
    }
    for (size_t i = 0; i < count; i++) {
        v[i] = r.momentum * v[i] + whole_gradient(&r, g[i], w[i]) * alive(&r, w[i]);
        w[i] -= r.lr * v[i];
    }
}

static void step_adam(update_rates r, float *restrict w, const float *restrict g, float *restrict first,
                      float *restrict second, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float d = whole_gradient(&r, g[i], w[i]) * alive(&r, w[i]);
        first[i] = r.beta1 * first[i] + r.rest1 * d;
        second[i] = r.beta2 * second[i] + r.rest2 * d * d;
        w[i] = r.keep * w[i] - r.lr * first[i] / (sqrtf(second[i]) * r.root + r.epsilon);
    }
}

/* --- an update -------------------------------------------------------------------------------- */

static update_rates rates_of(const pare_optimizer *optimizer, const pare_parameter_group *group, double lr,
                             double norm) {
    const pare_optimizer_options *o = &optimizer->options;
    bool adam = o->kind != PARE_OPTIMIZER_SGD, decoupled = o->kind == PARE_OPTIMIZER_ADAMW;
    double rate = lr * group->lr_scale, steps = (double)(optimizer->step + 1);
    double decay = group->decays ? o->weight_decay : 0.0;
    return (update_rates){
        .cut = o->clip_norm > 0 && norm > o->clip_norm ? (float)(o->clip_norm / norm) : 1.0F,
        .l2 = decoupled ? 0.0F : (float)decay,
        .l1 = group->decays ? (float)o->l1 : 0.0F,
        .lr = (float)(adam ? rate / (1.0 - pow(o->beta1, steps)) : rate),
        .momentum = (float)o->momentum,
        .nesterov = o->nesterov,
        .beta1 = (float)o->beta1,
        .rest1 = (float)(1.0 - o->beta1),
        .beta2 = (float)o->beta2,
        .rest2 = (float)(1.0 - o->beta2),
        .epsilon = (float)o->epsilon,
        .root = (float)(1.0 / sqrt(1.0 - pow(o->beta2, steps))),
        .keep = decoupled ? (float)(1.0 - rate * decay) : 1.0F,
        .keeps_zeros = group->keeps_zeros,
    };
}

double pare_optimizer_update(pare_optimizer *optimizer, float *values, const float *gradients,
                             const pare_parameter_group *groups, size_t group_count, double lr) {
    double norm = norm_of(gradients, optimizer->count);
    if (!isfinite(norm)) {
        return norm;
    }
    for (size_t k = 0; k < group_count; k++) {
        size_t at = groups[k].first, n = groups[k].count;
        update_rates rates = rates_of(optimizer, &groups[k], lr, norm);
        float *w = values + at, *m = optimizer->moments + at;
        if (optimizer->options.kind == PARE_OPTIMIZER_SGD) {
            step_sgd(rates, w, gradients + at, m, n);
        } else {
            step_adam(rates, w, gradients + at, m, m + optimizer->count, n);
        }
    }
    optimizer->step++;
    return norm;
}

/* In the form that stays where it is when average = values: decay and 1 - decay, each rounded to float, add up to
 * 1 - 2e-8, which at a decay of 0.9999 would shrink the weights by 2e-4. */
void pare_ema_update(float *restrict average, const float *restrict values, size_t count, double decay) {
    float share = (float)(1.0 - decay);
    for (size_t i = 0; i < count; i++) {
        average[i] += share * (values[i] - average[i]);
    }
}
