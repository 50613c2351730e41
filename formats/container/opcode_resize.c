#include "pare/opcode_resize.h"

#include <math.h>

/* Where output position `at` lies in the input. */
static double source_position(const pare_resize_attrs *a, int64_t at, int64_t in, int64_t out, float given) {
    double scale = (double)given;
    double exact = (double)out / (double)in;
    if (!(scale > 0.0) || fabs(scale - exact) <= 2.4e-7 * exact) {
        scale = exact; /* `given` is this ratio, rounded to float */
    }
    switch (a->coordinate) {
    case PARE_RESIZE_ALIGN_CORNERS:
        return out > 1 ? (double)at * (double)(in - 1) / (double)(out - 1) : 0.0;
    case PARE_RESIZE_ASYMMETRIC:
        return (double)at / scale;
    case PARE_RESIZE_PYTORCH_HALF_PIXEL:
        return out > 1 ? ((double)at + 0.5) / scale - 0.5 : 0.0;
    default:
        return ((double)at + 0.5) / scale - 0.5;
    }
}

static double round_nearest(int32_t rounding, double x) {
    switch (rounding) {
    case PARE_ROUND_PREFER_CEIL:
        return floor(x + 0.5);
    case PARE_ROUND_FLOOR:
        return floor(x);
    case PARE_ROUND_CEIL:
        return ceil(x);
    default:
        return ceil(x - 0.5);
    }
}

static size_t clamp_index(double index, size_t extent) {
    double most = (double)(extent - 1);
    return (size_t)(index < 0.0 ? 0.0 : index > most ? most : index);
}

/* Keys 1981, "Cubic convolution interpolation", with its coefficient a. */
static double cubic_weight(double distance, double a) {
    double d = fabs(distance);
    if (d <= 1.0) {
        return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
    }
    return d < 2.0 ? ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a : 0.0;
}

static pare_resize_taps taps_at(const pare_resize_attrs *a, double x, size_t extent) {
    pare_resize_taps t = {.weight = {1.0F}};
    double base = floor(x);
    if (a->mode == PARE_RESIZE_NEAREST) {
        t.index[0] = clamp_index(round_nearest(a->rounding, x), extent);
    } else if (a->mode == PARE_RESIZE_LINEAR) {
        t.index[0] = clamp_index(base, extent);
        t.index[1] = clamp_index(base + 1.0, extent);
        t.weight[0] = (float)(1.0 - (x - base));
        t.weight[1] = (float)(x - base);
    } else {
        for (int i = 0; i < 4; i++) {
            t.index[i] = clamp_index(base - 1.0 + i, extent);
            t.weight[i] = (float)cubic_weight(x - (base - 1.0 + i), (double)a->cubic_a);
        }
    }
    return t;
}

int32_t pare_resize_tap_count(int32_t mode) {
    return mode == PARE_RESIZE_NEAREST ? 1 : mode == PARE_RESIZE_LINEAR ? 2 : PARE_RESIZE_TAPS;
}

void pare_resize_axis(const pare_resize_attrs *attrs, size_t in, size_t out, float scale, pare_resize_taps *taps) {
    for (size_t i = 0; i < out; i++) {
        taps[i] = taps_at(attrs, source_position(attrs, (int64_t)i, (int64_t)in, (int64_t)out, scale), in);
    }
}

static bool scale_is_ratio(float scale, int64_t input, int64_t output) {
    return (double)scale * (double)input == (double)output;
}

bool pare_resize_is_resampling(const pare_resize_attrs *attrs, const pare_shape *x, const pare_shape *y) {
    if (!scale_is_ratio(attrs->scale_h, x->dims[2], y->dims[2]) ||
        !scale_is_ratio(attrs->scale_w, x->dims[3], y->dims[3])) {
        return false;
    }
    if (attrs->mode == PARE_RESIZE_LINEAR) {
        return attrs->coordinate == PARE_RESIZE_HALF_PIXEL;
    }
    bool whole = y->dims[2] % x->dims[2] == 0 && y->dims[3] % x->dims[3] == 0;
    return attrs->mode == PARE_RESIZE_NEAREST && whole &&
           ((attrs->coordinate == PARE_RESIZE_HALF_PIXEL &&
             (attrs->rounding == PARE_ROUND_PREFER_FLOOR || attrs->rounding == PARE_ROUND_PREFER_CEIL)) ||
            (attrs->coordinate == PARE_RESIZE_ASYMMETRIC && attrs->rounding == PARE_ROUND_FLOOR));
}
