/* Fake quantization on a tape: values are rounded to a grid and stay floats, so
 * that training sees what the integers of the quantized network will be.
 *
 * With v = x / s, y = s × clamp(rint(v), low, high), rint half to even, the
 * division in binary32: the runtime's QUANTIZE, then DEQUANTIZE. Gradients are
 * those of learned step sizes (Esser et al. 2020, "Learned step size
 * quantization", eq. 1 to 3): dy/dx is 1 where low < v < high, else 0; dy/ds is
 * rint(v) - v there, low or high outside; the gradient of s is scaled by
 * 1 / sqrt(N × Q), Q the larger of -low and high. */
#ifndef PARE_FAKE_QUANT_H
#define PARE_FAKE_QUANT_H

#include "quant/weight_rounding.h"
#include "train/tape/tape.h"

/* Step sizes are read as at least so much of what they began with: training may push one through 0. */
#define FAKE_QUANT_LEAST (1.0F / 256.0F)
/* The step that a parameter's value means. */
float fake_quant_step(float value, float least);

typedef struct fake_quant_attrs {
    float low, high; /* levels: -zero point, steps - zero point */
    float least;     /* the step is not below */
} fake_quant_attrs;
/* x of any shape and layout, step [1]; N are the elements of one sample. */
pare_status tape_fake_quant(pare_tape *tape, const pare_node *node, const fake_quant_attrs *attrs, uint32_t x,
                            uint32_t step, uint32_t y, pare_error *error);

typedef struct fake_quant_weight_attrs {
    weight_view view;
    int32_t bits;
    pare_pair_rule rule; /* of 8-bit weights, whose pairs are nudged as post-training quantization does */
    const float *least;  /* [channels], must outlive the tape */
} fake_quant_weight_attrs;
/* w [elements], steps [channels], symmetric; N are the weights of one channel. */
pare_status tape_fake_quant_weights(pare_tape *tape, const pare_node *node, const fake_quant_weight_attrs *attrs,
                                    uint32_t w, uint32_t steps, uint32_t y, pare_error *error);

typedef struct fake_quant_bias_attrs {
    double epsilon;       /* of the BatchNormalization; 0 without one */
    float least_x;        /* as in fake_quant_attrs */
    const float *least_w; /* as in fake_quant_weight_attrs */
} fake_quant_bias_attrs;
/* bias [channels]: the layer's own, where nothing is folded into it (the rest is TAPE_NONE), else that of the
 * BatchNormalization with its scale, running mean and variance, and the layer's own bias or TAPE_NONE. */
typedef struct fake_quant_bias_inputs {
    uint32_t bias, x_step, w_steps, scale, mean, variance, own_bias;
} fake_quant_bias_inputs;
/* y [channels]: the bias with which training computes what the integers will: a multiple of x.step × w.step. */
pare_status tape_fake_quant_bias(pare_tape *tape, const pare_node *node, const fake_quant_bias_attrs *attrs,
                                 const fake_quant_bias_inputs *inputs, uint32_t y, pare_error *error);

#endif
