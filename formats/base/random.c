#include "pare/random.h"

#include <math.h>

static uint64_t rotate(uint64_t value, int bits) {
    return value << bits | value >> (64 - bits);
}

void pare_random_seed(pare_random *random, uint64_t seed) {
    for (int i = 0; i < 4; i++) { /* splitmix64 */
        seed += 0x9e3779b97f4a7c15u;
        uint64_t mixed = seed;
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
        random->state[i] = mixed ^ mixed >> 31;
    }
}

uint64_t pare_random_u64(pare_random *random) {
    uint64_t *s = random->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t pare_random_below(pare_random *random, uint64_t bound) {
    uint64_t rejected = (0 - bound) % bound; /* 2^64 mod bound */
    uint64_t value;
    do {
        value = pare_random_u64(random);
    } while (value < rejected);
    return value % bound;
}

double pare_random_unit(pare_random *random) {
    return (double)(pare_random_u64(random) >> 11) * 0x1p-53;
}

double pare_random_normal(pare_random *random) {
    double radius = sqrt(-2 * log(1 - pare_random_unit(random)));
    return radius * cos(6.283185307179586 * pare_random_unit(random));
}

void pare_random_shuffle(pare_random *random, size_t *indices, size_t count) {
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)pare_random_below(random, i);
        size_t swapped = indices[i - 1];
        indices[i - 1] = indices[other];
        indices[other] = swapped;
    }
}
