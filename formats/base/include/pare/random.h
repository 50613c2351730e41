/* A small seeded generator: the same numbers on every machine. */
#ifndef PARE_RANDOM_H
#define PARE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* xoshiro256** (Blackman and Vigna 2018), seeded by splitmix64. The state is
 * plain integers, so it can be saved. */
typedef struct pare_random {
    uint64_t state[4];
} pare_random;

void pare_random_seed(pare_random *random, uint64_t seed);
uint64_t pare_random_u64(pare_random *random);
/* Uniform in [0, bound), without bias; bound > 0. */
uint64_t pare_random_below(pare_random *random, uint64_t bound);
/* Uniform in [0, 1). */
double pare_random_unit(pare_random *random);
/* Standard normal (Box and Muller 1958). */
double pare_random_normal(pare_random *random);
/* Fisher–Yates shuffle of indices[0..count). */
void pare_random_shuffle(pare_random *random, size_t *indices, size_t count);

#endif
