#include "recipe/weight_init.h"

#include <math.h>

void weight_init_normal(pare_random *random, float *weights, size_t count, double deviation) {
    for (size_t i = 0; i < count; i++) {
        weights[i] = (float)(deviation * pare_random_normal(random));
    }
}

void weight_init_he(pare_random *random, float *weights, size_t count, double fan_in, double slope) {
    weight_init_normal(random, weights, count, sqrt(2.0 / ((1.0 + slope * slope) * fan_in)));
}

void weight_init_glorot(pare_random *random, float *weights, size_t count, double fan_in, double fan_out) {
    double bound = sqrt(6.0 / (fan_in + fan_out));
    for (size_t i = 0; i < count; i++) {
        weights[i] = (float)(bound * (2.0 * pare_random_unit(random) - 1.0));
    }
}
