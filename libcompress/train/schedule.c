#include <math.h>

#include "pare/optimizer.h"

#define PI 3.14159265358979323846

pare_status pare_schedule_check(const pare_schedule *s, pare_error *error) {
    if (!(s->lr > 0) || !isfinite(s->lr)) {
        return pare_fail(error, PARE_USAGE, "expected a learning rate above 0, found %g", s->lr);
    }
    if (s->kind > PARE_SCHEDULE_ONE_CYCLE || s->total_steps == 0) {
        return pare_fail(error, PARE_USAGE, "expected a known schedule of at least one step, found kind %d, %llu steps",
                         (int)s->kind, (unsigned long long)s->total_steps);
    }
    if (s->warmup_steps >= s->total_steps && s->warmup_steps > 0) {
        return pare_fail(error, PARE_USAGE, "expected a warm-up shorter than the run of %llu steps, found %llu",
                         (unsigned long long)s->total_steps, (unsigned long long)s->warmup_steps);
    }
    if (!(s->final_fraction >= 0 && s->final_fraction <= 1) || !(s->gamma >= 0 && s->gamma <= 1)) {
        return pare_fail(error, PARE_USAGE, "expected a final fraction and a gamma from 0 to 1, found %g and %g",
                         s->final_fraction, s->gamma);
    }
    for (size_t i = 0; i < s->milestone_count; i++) {
        double before = i > 0 ? s->milestones[i - 1] : 0.0;
        if (i >= PARE_MILESTONES_MAX || !(s->milestones[i] > before && s->milestones[i] < 1)) {
            return pare_fail(error, PARE_USAGE,
                             "expected at most %d ascending milestones between 0 and 1, found number %zu",
                             PARE_MILESTONES_MAX, i + 1);
        }
    }
    return PARE_OK;
}

/* From `high` down (or up) to `low` as x goes from 0 to 1. */
static double cosine(double high, double low, double x) {
    return low + (high - low) * 0.5 * (1.0 + cos(PI * x));
}

static double one_cycle(double lr, double x) {
    const double up = 0.3, start = lr / 25.0, end = lr / 1e4;
    return x < up ? cosine(start, lr, x / up) : cosine(lr, end, (x - up) / (1.0 - up));
}

double pare_schedule_lr(const pare_schedule *s, uint64_t step) {
    if (step < s->warmup_steps) {
        return s->lr * (double)(step + 1) / (double)s->warmup_steps;
    }
    uint64_t left = s->total_steps - s->warmup_steps, at = step - s->warmup_steps;
    double x = left > 1 ? (double)(at < left ? at : left - 1) / (double)(left - 1) : 0.0, lr = s->lr;
    switch (s->kind) {
    case PARE_SCHEDULE_STEP:
        for (size_t i = 0; i < s->milestone_count; i++) {
            lr *=
                (double)(step < s->total_steps ? step : s->total_steps - 1) >= s->milestones[i] * (double)s->total_steps
                    ? s->gamma
                    : 1.0;
        }
        return lr;
    case PARE_SCHEDULE_COSINE:
        return cosine(lr, lr * s->final_fraction, left > 1 ? (double)(at < left ? at : left - 1) / (double)left : 0.0);
    case PARE_SCHEDULE_ONE_CYCLE:
        return one_cycle(lr, x);
    default:
        return lr;
    }
}
