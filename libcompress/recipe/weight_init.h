/* Initial weights by the literature. Each fills `count` floats from the generator, in order. */
#ifndef PARE_WEIGHT_INIT_H
#define PARE_WEIGHT_INIT_H

#include <stddef.h>

#include "pare/random.h"

/* Normal, variance 2 / ((1 + slope²) fan_in) (He 2015, eq. 10 and 15): keeps the activations' variance through a ReLU
 * whose negative side has `slope`. */
void weight_init_he(pare_random *random, float *weights, size_t count, double fan_in, double slope);
/* Uniform, variance 2 / (fan_in + fan_out) (Glorot 2010, eq. 16): for tanh, sigmoid, and no activation at all. */
void weight_init_glorot(pare_random *random, float *weights, size_t count, double fan_in, double fan_out);
/* Normal with this deviation. */
void weight_init_normal(pare_random *random, float *weights, size_t count, double deviation);

#endif
