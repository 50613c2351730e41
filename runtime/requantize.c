#include <math.h>

#include "kernel.h"

uint8_t pare_requantize(int32_t accumulator, float scale, int32_t zero, int32_t low, int32_t high) {
    float value = (float)accumulator * scale;
    if (isnan(value)) {
        value = 0.0F;
    }
    /* The bounds are integers, so clamping before rounding gives the same number and keeps it small enough for the
     * conversion. */
    float lowest = (float)(low - zero);
    float highest = (float)(high - zero);
    value = value < lowest ? lowest : value;
    value = value > highest ? highest : value;
    return (uint8_t)((int32_t)rintf(value) + zero);
}

static int32_t quantized_bound(float value, float scale, int32_t zero) {
    double level = rint((double)value / (double)scale) + (double)zero;
    if (!(level > 0.0)) { /* NaN too */
        return 0;
    }
    return level > 255.0 ? 255 : (int32_t)level;
}

bool pare_activation_bounds(const pare_activation *activation, float scale, int32_t zero, int32_t *low, int32_t *high) {
    *low = 0;
    *high = 255;
    switch (activation->function) {
    case PARE_FN_IDENTITY:
        return true;
    case PARE_FN_RELU:
        *low = zero;
        return true;
    case PARE_FN_CLIP:
        *low = quantized_bound(activation->alpha, scale, zero);
        *high = isnan(activation->beta) ? 255 : quantized_bound(activation->beta, scale, zero);
        if (*low > *high) {
            *low = *high; /* min(max(x, alpha), beta) is beta then */
        }
        return true;
    default:
        return false;
    }
}

pare_status pare_check_accumulator(const int8_t *weights, size_t outputs, size_t taps, const int32_t *bias,
                                   int32_t zero, pare_error *error) {
    int64_t most = 255 - zero;
    int64_t least = -(int64_t)zero;
    for (size_t o = 0; o < outputs; o++) {
        int64_t positive = 0;
        int64_t negative = 0;
        for (size_t t = 0; t < taps; t++) {
            int64_t w = weights[o * taps + t];
            positive += w > 0 ? w : 0;
            negative += w < 0 ? w : 0;
        }
        int64_t start = bias != NULL ? bias[o] : 0;
        int64_t high = (start > 0 ? start : 0) + positive * most + negative * least;
        int64_t low = (start < 0 ? start : 0) + positive * least + negative * most;
        if (high > INT32_MAX || low < INT32_MIN) {
            return pare_fail(error, PARE_UNSUPPORTED,
                             "expected sums of %zu products that fit 32 bits, found output channel %zu that can reach "
                             "%lld",
                             taps, o, (long long)(high > INT32_MAX ? high : low));
        }
    }
    return PARE_OK;
}
