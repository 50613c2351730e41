#include "histogram.h"

#include <math.h>

void histogram_extend(histogram *h, const float *values, size_t count) {
    float low = h->minimum, high = h->maximum, probe = 0.0F;
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        float x = values[i];
        low = x < low ? x : low;
        high = x > high ? x : high;
        probe += x * 0.0F; /* NaN as soon as one element is not finite */
        sum += (double)x;
    }
    h->minimum = low;
    h->maximum = high;
    h->sum += sum;
    h->count += count;
    h->finite = h->finite && probe == 0.0F;
}

void histogram_fill(histogram *h, const float *values, size_t count) {
    float low = h->minimum;
    float width = h->maximum - low;
    float factor = width > 0.0F ? (float)HISTOGRAM_BINS / width : 0.0F;
    uint64_t zeros = 0;
    for (size_t i = 0; i < count; i++) {
        int bin = (int)((values[i] - low) * factor);
        bin = bin < 0 ? 0 : bin >= HISTOGRAM_BINS ? HISTOGRAM_BINS - 1 : bin;
        h->bins[bin]++;
        zeros += values[i] == 0.0F;
    }
    h->zeros += zeros;
}

static double bin_width(const histogram *h) {
    return ((double)h->maximum - (double)h->minimum) / HISTOGRAM_BINS;
}

static double bin_centre(const histogram *h, int bin) {
    return (double)h->minimum + ((double)bin + 0.5) * bin_width(h);
}

/* Cuts (1 - percentile) of the mass, half on each side; a side that does not
 * pass zero is not cut beyond it. */
static void percentile_range(const histogram *h, double percentile, float *low, float *high) {
    double total = 0.0;
    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        total += (double)h->bins[i];
    }
    bool one_sided = h->minimum >= 0.0F || h->maximum <= 0.0F;
    double cut = total * (1.0 - percentile / 100.0) * (one_sided ? 1.0 : 0.5);
    double mass = 0.0;
    int first = 0, last = HISTOGRAM_BINS - 1;
    while (first < last && mass + (double)h->bins[first] <= cut) {
        mass += (double)h->bins[first++];
    }
    mass = 0.0;
    while (last > first && mass + (double)h->bins[last] <= cut) {
        mass += (double)h->bins[last--];
    }
    *low = h->minimum < 0.0F ? (float)((double)h->minimum + first * bin_width(h)) : h->minimum;
    *high = h->maximum > 0.0F ? (float)((double)h->minimum + (last + 1) * bin_width(h)) : h->maximum;
}

/* Expected squared error of rounding to 255 steps of [low, high], bins as
 * point masses: inside a uniform rounding error, outside the distance. Zeros
 * have no error in any range; counted, they would speak for a too narrow one. */
static double squared_error(const histogram *h, double low, double high) {
    double step = (high - low) / 255.0, error = -(double)h->zeros * step * step / 12.0;
    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        if (h->bins[i] != 0) {
            double x = bin_centre(h, i);
            double outside = x < low ? low - x : x > high ? x - high : 0.0;
            error += (double)h->bins[i] * (outside > 0.0 ? outside * outside : step * step / 12.0);
        }
    }
    return error;
}

/* Squared error of rounding to the grid of `steps` steps that [low, high] gives, 0 on it. */
static double coarse_error(const histogram *h, double low, double high, unsigned steps) {
    double step = (high - low) / (double)steps, error = 0.0;
    if (!(step > 0.0)) {
        return INFINITY;
    }
    double lowest = -rint(-low / step), highest = lowest + (double)steps;
    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        if (h->bins[i] != 0) {
            double x = bin_centre(h, i), level = fmax(lowest, fmin(highest, rint(x / step)));
            error += (double)h->bins[i] * (x - level * step) * (x - level * step);
        }
    }
    return error;
}

/* Of a grid of `steps` steps; 0: of so many that errors are spread evenly. */
static double range_error(const histogram *h, double low, double high, unsigned steps) {
    return steps == 0 ? squared_error(h, low, high) : coarse_error(h, low, high, steps);
}

/* Shrinks both ends together, then each alone, as long as the error falls. */
static void least_error_range(const histogram *h, unsigned steps, float *low, float *high) {
    double full_low = fmin(0.0, (double)h->minimum), full_high = fmax(0.0, (double)h->maximum);
    double best_low = full_low, best_high = full_high, best = range_error(h, full_low, full_high, steps);
    for (int side = 0; side < 3; side++) {
        double from_low = best_low, from_high = best_high;
        for (int step = 1; step < 100; step++) {
            double shrink = 1.0 - (double)step * 0.01;
            double tried_low = side == 2 ? from_low : from_low * shrink;
            double tried_high = side == 1 ? from_high : from_high * shrink;
            double error = range_error(h, tried_low, tried_high, steps);
            if (error < best) {
                best = error;
                best_low = tried_low;
                best_high = tried_high;
            }
        }
    }
    *low = (float)best_low;
    *high = (float)best_high;
}

/* Divergence between the bins [first, last], with what is outside added to the
 * ends, and the same mass spread over `levels` groups of bins (Migacz 2017, "8-bit
 * inference with TensorRT"). */
static double divergence(const double *bins, int first, int last, int levels) {
    double clipped_low = 0.0, clipped_high = 0.0, total = 0.0, result = 0.0;
    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        total += bins[i];
        clipped_low += i < first ? bins[i] : 0.0;
        clipped_high += i > last ? bins[i] : 0.0;
    }
    int width = last - first + 1;
    for (int level = 0; level < levels; level++) {
        int from = first + (int)((int64_t)width * level / levels);
        int to = first + (int)((int64_t)width * (level + 1) / levels);
        double mass = 0.0, filled = 0.0;
        for (int i = from; i < to; i++) {
            mass += bins[i];
            filled += bins[i] > 0.0 ? 1.0 : 0.0;
        }
        for (int i = from; i < to; i++) {
            double p = bins[i] + (i == first ? clipped_low : 0.0) + (i == last ? clipped_high : 0.0);
            double q = bins[i] > 0.0 && filled > 0.0 ? mass / filled : 0.0;
            if (p > 0.0) {
                result += p / total * log(p / fmax(q, 1e-6));
            }
        }
    }
    return result;
}

/* The spike at zero (what a Relu cut off, padding) is exact in every range: it
 * takes its neighbour's count, as in the source, or it would hide the rest. */
static void without_zero_spike(const histogram *h, double *bins) {
    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        bins[i] = (double)h->bins[i];
    }
    double at = -(double)h->minimum / bin_width(h);
    int zero = at < 0.0 ? 0 : at >= HISTOGRAM_BINS ? HISTOGRAM_BINS - 1 : (int)at;
    double before = zero > 0 ? bins[zero - 1] : 0.0, after = zero + 1 < HISTOGRAM_BINS ? bins[zero + 1] : 0.0;
    bins[zero] = fmin(bins[zero], fmax(before, after));
}

/* Tries symmetric thresholds t in steps of eight bins: [max(min, -t), min(max, t)]. */
static void entropy_range(const histogram *h, float *low, float *high) {
    double limit = fmax(fabs((double)h->minimum), fabs((double)h->maximum));
    double width = bin_width(h), best = INFINITY, bins[HISTOGRAM_BINS];
    without_zero_spike(h, bins);
    *low = h->minimum;
    *high = h->maximum;
    for (double t = limit; t >= 128.0 * width; t -= 8.0 * width) {
        double from = fmax((double)h->minimum, -t), to = fmin((double)h->maximum, t);
        int first = (int)floor((from - (double)h->minimum) / width + 0.5);
        int last = (int)floor((to - (double)h->minimum) / width + 0.5) - 1;
        last = last >= HISTOGRAM_BINS ? HISTOGRAM_BINS - 1 : last;
        if (last - first + 1 < 256) {
            break;
        }
        double found = divergence(bins, first, last, 256);
        if (found < best) {
            best = found;
            *low = (float)from;
            *high = (float)to;
        }
    }
}

void histogram_range(const histogram *h, pare_calibration_method method, double percentile, float *low, float *high) {
    *low = h->minimum;
    *high = h->maximum;
    if (h->bins != NULL && h->maximum > h->minimum) {
        switch (method) {
        case PARE_CALIBRATE_MINMAX:
            break;
        case PARE_CALIBRATE_PERCENTILE:
            percentile_range(h, percentile, low, high);
            break;
        case PARE_CALIBRATE_ENTROPY:
            entropy_range(h, low, high);
            break;
        case PARE_CALIBRATE_MSE:
            least_error_range(h, 0, low, high);
            break;
        }
    }
    *low = fminf(*low, 0.0F);
    *high = fmaxf(*high, 0.0F);
}

void histogram_coarse_range(const histogram *h, unsigned steps, float *low, float *high) {
    *low = fminf(h->minimum, 0.0F);
    *high = fmaxf(h->maximum, 0.0F);
    if (h->bins != NULL && h->maximum > h->minimum) {
        least_error_range(h, steps, low, high);
    }
}
