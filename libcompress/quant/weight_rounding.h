/* From float weights to 8-bit integers. Private to quant. */
#ifndef PARE_WEIGHT_ROUNDING_H
#define PARE_WEIGHT_ROUNDING_H

#include "pare/quantize.h"

/* Weights seen as [channels][pairs of reduction indices]: element (o, k, t) of
 * output channel o, reduction index k (input channel) and tap t lies at
 * o × channel_stride + k × k_stride + t × tap_stride. */
typedef struct weight_view {
    size_t channels, reduction, taps;
    size_t channel_stride, k_stride, tap_stride;
} weight_view;

/* Views a Conv's [O,I,..], Gemm's [O,K] (channel axis 0) or MatMul's [K,N] (axis 1). */
weight_view weight_view_of(const pare_shape *shape, int channel_axis);

typedef struct rounding_result {
    double signal, noise; /* sums of squares */
    size_t pairs, nudged;
} rounding_result;

/* Rounds to s8, symmetric, with one scale for each channel (scales[channels]) or
 * one for all (per_tensor: scales[1]). PARE_PAIRS_NUDGE searches, for each
 * scale, the multiple of max|w| / 127 that gives the least squared error after
 * offending pairs were lowered to |a| + |b| = 128. No scale is below
 * least_scales[channel] (NULL: no bound). */
void round_weights(const float *weights, const weight_view *view, bool per_tensor, pare_pair_rule rule,
                   const float *least_scales, int8_t *rounded, float *scales, rounding_result *result);

/* Integers of `bits` bits reach so far on both sides: ±(2^(bits - 1) - 1), and ±64 for 8 bits of PARE_PAIRS_SEVEN_BITS.
 */
int weight_limit(int bits, pare_pair_rule rule);
/* Rounds channel `o` at a given scale (> 0, of finite reciprocal): what round_weights does at the scale that it chose.
 * `rounded` is the whole tensor. Weights of fewer than 8 bits are never nudged, as their pairs cannot offend. */
void round_weights_channel(const float *weights, const weight_view *view, size_t o, float scale, int bits,
                           pare_pair_rule rule, int8_t *rounded);
/* The scale for channel `o` that gives the least squared error among the hundredths of max|w| / limit; 1 for a channel
 * of zeros. */
float fit_weights_channel(const float *weights, const weight_view *view, size_t o, int bits, pare_pair_rule rule);

#endif
