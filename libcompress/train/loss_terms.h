/* What the losses share: sums in double in an order that depends on the length
 * alone, and an exponential that the compiler can vectorize (a call of libm's
 * keeps a whole loop scalar). Private to the losses. */
#ifndef PARE_LOSS_TERMS_H
#define PARE_LOSS_TERMS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Elements whose terms are held at a time: few enough for the first cache, and the positions of a 32 × 32 map. */
#define LOSS_CHUNK 1024
#define LOSS_LANES 8

/* Leaf loops are built once more for AVX2. -ffp-contract=off keeps multiplications and additions apart, so both
 * give the same bits. The sanitizers cannot start up with functions that are chosen at load time. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define LOSS_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define LOSS_CLONES
#endif

static inline size_t loss_chunk(size_t at, size_t count) {
    return count - at < LOSS_CHUNK ? count - at : LOSS_CHUNK;
}

/* Σ terms: lanes side by side, then a tree, so that it vectorizes without reordering. */
static inline double sum_terms(const double *terms, size_t count) {
    double lanes[LOSS_LANES] = {0};
    size_t i = 0;
    for (; i + LOSS_LANES <= count; i += LOSS_LANES) {
        for (size_t k = 0; k < LOSS_LANES; k++) {
            lanes[k] += terms[i + k];
        }
    }
    for (size_t k = 0; i < count; i++, k++) {
        lanes[k] += terms[i];
    }
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

/* Σ log factors, as logarithms of products: factors from 1 to 2, of which no more than 1024 / 2 come together. */
static inline double sum_logarithms(const double *factors, size_t count) {
    double lanes[LOSS_LANES] = {1, 1, 1, 1, 1, 1, 1, 1};
    size_t i = 0;
    for (; i + LOSS_LANES <= count; i += LOSS_LANES) {
        for (size_t k = 0; k < LOSS_LANES; k++) {
            lanes[k] *= factors[i + k];
        }
    }
    for (size_t k = 0; i < count; i++, k++) {
        lanes[k] *= factors[i];
    }
    return log((lanes[0] * lanes[1]) * (lanes[2] * lanes[3])) + log((lanes[4] * lanes[5]) * (lanes[6] * lanes[7]));
}

/* exp(x) for x <= 0 within 2 units in the last place; 0 below -708, exactly 1 at 0, NaN for NaN and -infinity (what
 * is not finite must show in the loss). x = k ln 2 + r with |r| <= ln 2 / 2, the Taylor series of r to degree 13,
 * and k added to the exponent's bits. Adding 1.5 × 2^52 rounds to an integer and leaves it in the low bits. */
static inline double exp_below(double x) {
    const double shifter = 0x1.8p52, ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
    double shifted = x * 0x1.71547652b82fep0 + shifter, k = shifted - shifter;
    double r = (x - k * ln2_high) - k * ln2_low;
    double p = 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    uint64_t bits, power;
    memcpy(&bits, &p, sizeof bits);
    memcpy(&power, &shifted, sizeof power);
    bits += power << 52;
    memcpy(&p, &bits, sizeof p);
    return x >= -708.0 ? p : x - x;
}

/* The largest of a row, NaN aside; -infinity of none. */
static inline double largest_of(const float *row, size_t count) {
    float lanes[LOSS_LANES], most = -INFINITY;
    size_t i = 0;
    for (size_t k = 0; k < LOSS_LANES; k++) {
        lanes[k] = -INFINITY;
    }
    for (; i + LOSS_LANES <= count; i += LOSS_LANES) {
        for (size_t k = 0; k < LOSS_LANES; k++) {
            lanes[k] = row[i + k] > lanes[k] ? row[i + k] : lanes[k];
        }
    }
    for (size_t k = 0; i < count; i++, k++) {
        lanes[k] = row[i] > lanes[k] ? row[i] : lanes[k];
    }
    for (size_t k = 0; k < LOSS_LANES; k++) {
        most = lanes[k] > most ? lanes[k] : most;
    }
    return (double)most;
}

/* Σ exp((row - most) × scale); scale > 0, no element is above `most`. */
static inline double sum_exp(const float *restrict row, size_t count, double most, double scale) {
    double terms[LOSS_CHUNK], sum = 0;
    for (size_t at = 0; at < count; at += LOSS_CHUNK) {
        size_t n = loss_chunk(at, count);
        for (size_t i = 0; i < n; i++) {
            terms[i] = exp_below(((double)row[at + i] - most) * scale);
        }
        sum += sum_terms(terms, n);
    }
    return sum;
}

/* A loss that is not finite is NaN: callers have one thing to test, and infinities of opposite sign cannot hide. */
static inline double finite_or_nan(double loss) {
    return isfinite(loss) ? loss : (double)NAN;
}

#endif
