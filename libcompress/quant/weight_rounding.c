#include "weight_rounding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PAIR_LIMIT 128 /* 255 × 128 = 32,640 fits 16 bits */
#define SCALE_STEPS 41 /* 1.00, 1.025, …, 2.00: at twice the scale no pair offends */

weight_view weight_view_of(const pare_shape *shape, int channel_axis) {
    size_t taps = 1;
    for (int i = 2; i < shape->rank; i++) {
        taps *= (size_t)shape->dims[i];
    }
    size_t first = (size_t)shape->dims[0], second = shape->rank > 1 ? (size_t)shape->dims[1] : 1;
    if (channel_axis == 1) {
        return (weight_view){second, first, 1, 1, second, 1};
    }
    return (weight_view){first, second, taps, second * taps, taps, 1};
}

static int clamp_round(float value, int limit) {
    float rounded = rintf(value);
    return rounded > (float)limit ? limit : rounded < (float)-limit ? -limit : (int)rounded;
}

static int towards_zero(int value, int steps) {
    return value > 0 ? value - steps : value + steps;
}

/* Lowers |a| + |b| to the limit, one step at a time, each time where the
 * squared error grows least. */
static void nudge_pair(float a, float b, int *qa, int *qb) {
    while (abs(*qa) + abs(*qb) > PAIR_LIMIT) {
        float over_a = fabsf(a) - (float)abs(*qa), over_b = fabsf(b) - (float)abs(*qb);
        bool lower_a = *qb == 0 || (*qa != 0 && over_a <= over_b);
        if (lower_a) {
            *qa = towards_zero(*qa, 1);
        } else {
            *qb = towards_zero(*qb, 1);
        }
    }
}

/* Rounds one channel at a given scale; `out` may be NULL to learn the error only. */
static double round_channel(const float *weights, const weight_view *v, float scale, int limit, bool nudge, int8_t *out,
                            size_t *nudged) {
    double noise = 0.0;
    float inverse = 1.0F / scale;
    for (size_t t = 0; t < v->taps; t++) {
        for (size_t k = 0; k < v->reduction; k += 2) {
            size_t at = k * v->k_stride + t * v->tap_stride;
            bool pair = k + 1 < v->reduction;
            float a = weights[at] * inverse, b = pair ? weights[at + v->k_stride] * inverse : 0.0F;
            int qa = clamp_round(a, limit), qb = clamp_round(b, limit);
            if (nudge && abs(qa) + abs(qb) > PAIR_LIMIT) {
                nudge_pair(a, b, &qa, &qb);
                *nudged += 1;
            }
            double ea = ((double)a - qa) * (double)scale, eb = ((double)b - qb) * (double)scale;
            noise += ea * ea + eb * eb;
            if (out != NULL) {
                out[at] = (int8_t)qa;
                if (pair) {
                    out[at + v->k_stride] = (int8_t)qb;
                }
            }
        }
    }
    return noise;
}

static float largest(const float *weights, const weight_view *v) {
    float most = 0.0F;
    for (size_t t = 0; t < v->taps; t++) {
        for (size_t k = 0; k < v->reduction; k++) {
            most = fmaxf(most, fabsf(weights[k * v->k_stride + t * v->tap_stride]));
        }
    }
    return most;
}

/* Rounded up to the 8 significant bits of bfloat16: no better scale lies between,
 * and a container stores half the bytes. */
static float coarse(float scale) {
    uint32_t bits;
    memcpy(&bits, &scale, sizeof bits);
    bits = (bits + 0xFFFFu) & 0xFFFF0000u;
    memcpy(&scale, &bits, sizeof bits);
    return scale;
}

/* The scale for the channels [first, first + count), which share it. */
static float choose_scale(const float *weights, const weight_view *v, size_t first, size_t count, int limit, bool nudge,
                          const float *least_scales) {
    float most = 0.0F, floor_scale = 0.0F;
    for (size_t o = first; o < first + count; o++) {
        floor_scale = least_scales != NULL ? fmaxf(floor_scale, least_scales[o]) : 0.0F;
        most = fmaxf(most, largest(weights + o * v->channel_stride, v));
    }
    float base = coarse(most > 0.0F ? fmaxf(most / (float)limit, floor_scale) : fmaxf(1.0F, floor_scale));
    float best = base > 0.0F && isfinite(1.0F / base) ? base : 1.0F; /* denormal weights round to 0 */
    double least = INFINITY;
    for (int step = 0; nudge && step < SCALE_STEPS && isfinite(1.0F / base); step++) {
        float scale = coarse(base * (1.0F + 0.025F * (float)step));
        size_t nudged = 0;
        double noise = 0.0;
        for (size_t o = first; o < first + count; o++) {
            noise += round_channel(weights + o * v->channel_stride, v, scale, limit, true, NULL, &nudged);
        }
        if (noise < least) {
            least = noise;
            best = scale;
        }
        if (nudged == 0) {
            break; /* larger scales only round more coarsely */
        }
    }
    return best;
}

int weight_limit(int bits, pare_pair_rule rule) {
    return bits == 8 && rule == PARE_PAIRS_SEVEN_BITS ? 64 : (1 << (bits - 1)) - 1;
}

/* A depthwise channel has no neighbour to share a 16-bit sum with. */
static bool may_nudge(const weight_view *view, pare_pair_rule rule) {
    return rule == PARE_PAIRS_NUDGE && view->reduction > 1;
}

void round_weights_channel(const float *weights, const weight_view *view, size_t o, float scale, int bits,
                           pare_pair_rule rule, int8_t *rounded) {
    size_t nudged = 0;
    (void)round_channel(weights + o * view->channel_stride, view, scale, weight_limit(bits, rule),
                        may_nudge(view, rule), rounded + o * view->channel_stride, &nudged);
}

float fit_weights_channel(const float *weights, const weight_view *view, size_t o, int bits, pare_pair_rule rule) {
    const float *channel = weights + o * view->channel_stride;
    int limit = weight_limit(bits, rule);
    float base = largest(channel, view) / (float)limit, best = 1.0F;
    double least = INFINITY;
    for (int step = 100; step > 0; step--) {
        float scale = base * (float)step * 0.01F;
        size_t nudged = 0;
        if (!(scale > 0.0F) || !isfinite(1.0F / scale)) {
            break; /* denormal weights round to 0 */
        }
        double noise = round_channel(channel, view, scale, limit, may_nudge(view, rule), NULL, &nudged);
        if (noise < least) {
            least = noise;
            best = scale;
        }
    }
    return best;
}

void round_weights(const float *weights, const weight_view *view, bool per_tensor, pare_pair_rule rule,
                   const float *least_scales, int8_t *rounded, float *scales, rounding_result *result) {
    int limit = weight_limit(8, rule);
    bool nudge = may_nudge(view, rule);
    memset(result, 0, sizeof *result);
    if (per_tensor) {
        scales[0] = choose_scale(weights, view, 0, view->channels, limit, nudge, least_scales);
    }
    for (size_t o = 0; o < view->channels; o++) {
        const float *channel = weights + o * view->channel_stride;
        if (!per_tensor) {
            scales[o] = choose_scale(weights, view, o, 1, limit, nudge, least_scales);
        }
        float scale = scales[per_tensor ? 0 : o];
        result->noise +=
            round_channel(channel, view, scale, limit, nudge, rounded + o * view->channel_stride, &result->nudged);
        for (size_t t = 0; t < view->taps; t++) {
            for (size_t k = 0; k < view->reduction; k++) {
                double w = (double)channel[k * view->k_stride + t * view->tap_stride];
                result->signal += w * w;
            }
        }
    }
    result->pairs = view->channels * view->taps * (view->reduction / 2);
}
