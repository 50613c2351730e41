#include <float.h>
#include <inttypes.h>
#include <math.h>

#include "pare/optimizer.h"

#define PI 3.14159265358979323846
#define ONE_CYCLE_RISE 0.3 /* of the course */
#define ONE_CYCLE_START (1.0 / 25.0)
#define ONE_CYCLE_END 1e-4

static pare_status check_milestones(const pare_schedule *s, pare_error *error) {
    if (s->milestone_count < 1 || s->milestone_count > PARE_MILESTONES_MAX) {
        return pare_fail(error, PARE_USAGE, "milestones: expected 1 to %d, found %zu", PARE_MILESTONES_MAX,
                         s->milestone_count);
    }
    for (size_t i = 0; i < s->milestone_count; i++) {
        double before = i > 0 ? s->milestones[i - 1] : 0.0;
        if (!(s->milestones[i] > before && s->milestones[i] < 1)) {
            return pare_fail(error, PARE_USAGE, "milestones: expected number %zu above %g and below 1, found %g", i + 1,
                             before, s->milestones[i]);
        }
    }
    return PARE_OK;
}

pare_status pare_schedule_check(const pare_schedule *s, pare_error *error) {
    if (!(s->lr > 0 && s->lr <= (double)FLT_MAX)) {
        return pare_fail(error, PARE_USAGE, "learning rate: expected a finite number above 0, found %g", s->lr);
    }
    if (s->total_steps == 0) {
        return pare_fail(error, PARE_USAGE, "total steps: expected at least 1, found 0");
    }
    if (s->warmup_steps >= s->total_steps) {
        return pare_fail(error, PARE_USAGE, "warm-up: expected fewer than the run's %" PRIu64 " steps, found %" PRIu64,
                         s->total_steps, s->warmup_steps);
    }
    switch (s->kind) {
    case PARE_SCHEDULE_CONSTANT:
    case PARE_SCHEDULE_ONE_CYCLE:
        return PARE_OK;
    case PARE_SCHEDULE_STEP:
        if (!(s->gamma > 0 && s->gamma <= 1)) {
            return pare_fail(error, PARE_USAGE, "gamma: expected above 0 and at most 1, found %g", s->gamma);
        }
        return check_milestones(s, error);
    case PARE_SCHEDULE_COSINE:
        return s->final_fraction >= 0 && s->final_fraction <= 1
                   ? PARE_OK
                   : pare_fail(error, PARE_USAGE, "final fraction: expected 0 to 1, found %g", s->final_fraction);
    }
    return pare_fail(error, PARE_USAGE,
                     "schedule: expected constant (0), step (1), cosine (2) or one-cycle (3), "
                     "found %d",
                     (int)s->kind);
}

/* From `from` to `to` as x goes from 0 to 1. */
static double half_cosine(double from, double to, double x) {
    return to + (from - to) * 0.5 * (1.0 + cos(PI * x));
}

static double stepped(const pare_schedule *s, uint64_t step) {
    double lr = s->lr;
    for (size_t i = 0; i < s->milestone_count; i++) {
        /* the nearest whole step: 0.55 × 100 is a little over 55 in binary */
        lr *= (double)step >= round(s->milestones[i] * (double)s->total_steps) ? s->gamma : 1.0;
    }
    return lr;
}

static double one_cycle(const pare_schedule *s, uint64_t step) {
    double course = (double)(s->total_steps - 1), x = course > 0 ? (double)step / course : 0.0; /* ends on the lowest */
    double rise = s->warmup_steps > 0 && course > 0 ? (double)s->warmup_steps / course : ONE_CYCLE_RISE;
    return x < rise ? half_cosine(s->lr * ONE_CYCLE_START, s->lr, x / rise)
                    : half_cosine(s->lr, s->lr * ONE_CYCLE_END, rise < 1.0 ? (x - rise) / (1.0 - rise) : 1.0);
}

double pare_schedule_lr(const pare_schedule *s, uint64_t step) {
    uint64_t now = step < s->total_steps ? step : s->total_steps - 1;
    if (now < s->warmup_steps && s->kind != PARE_SCHEDULE_ONE_CYCLE) {
        return s->lr * (double)(now + 1) / (double)s->warmup_steps;
    }
    switch (s->kind) {
    case PARE_SCHEDULE_STEP:
        return stepped(s, now);
    case PARE_SCHEDULE_COSINE:
        return half_cosine(s->lr, s->lr * s->final_fraction,
                           (double)(now - s->warmup_steps) / (double)(s->total_steps - s->warmup_steps));
    case PARE_SCHEDULE_ONE_CYCLE:
        return one_cycle(s, now);
    case PARE_SCHEDULE_CONSTANT:
        break;
    }
    return s->lr;
}
