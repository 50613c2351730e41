#include <math.h>

#include "kernel.h"

static float sigmoid(float x) {
    return (float)(1.0 / (1.0 + exp(-(double)x)));
}

static float softplus(float x) {
    double v = x;
    return (float)(v > 0.0 ? v + log1p(exp(-v)) : log1p(exp(v)));
}

static float gelu_tanh(float x) {
    double v = x;
    return (float)(0.5 * v * (1.0 + tanh(0.7978845608028654 * (v + 0.044715 * v * v * v))));
}

static float hard(float x) { /* max(0, min(1, x)), NaN kept */
    return x < 0.0F ? 0.0F : x > 1.0F ? 1.0F : x;
}

static float celu(float x, float alpha) {
    return x > 0.0F ? x : (float)((double)alpha * expm1((double)x / (double)alpha));
}

/* Functions that are a formula of libm. */
static float transcendental(int32_t function, float x) {
    double v = x;
    switch (function) {
    case PARE_FN_SIGMOID:
        return sigmoid(x);
    case PARE_FN_TANH:
        return (float)tanh(v);
    case PARE_FN_SILU:
        return (float)(v / (1.0 + exp(-v)));
    case PARE_FN_GELU:
        return (float)(0.5 * v * (1.0 + erf(v * 0.70710678118654752440)));
    case PARE_FN_GELU_TANH:
        return gelu_tanh(x);
    case PARE_FN_SOFTPLUS:
        return softplus(x);
    case PARE_FN_MISH:
        return (float)(v * tanh((double)softplus(x)));
    case PARE_FN_EXP:
        return (float)exp(v);
    case PARE_FN_LOG:
        return (float)log(v);
    case PARE_FN_ERF:
        return (float)erf(v);
    case PARE_FN_SIN:
        return (float)sin(v);
    case PARE_FN_COS:
        return (float)cos(v);
    case PARE_FN_TAN:
        return (float)tan(v);
    default:
        return NAN;
    }
}

static float arithmetic(const pare_activation *f, float x) {
    switch (f->function) {
    case PARE_FN_IDENTITY:
        return x;
    case PARE_FN_RELU:
        return x < 0.0F ? 0.0F : x;
    case PARE_FN_CLIP:
        x = x < f->alpha ? f->alpha : x;
        return x > f->beta ? f->beta : x;
    case PARE_FN_LEAKY_RELU:
        return x < 0.0F ? f->alpha * x : x;
    case PARE_FN_ELU:
        return x < 0.0F ? (float)((double)f->alpha * expm1((double)x)) : x;
    case PARE_FN_SELU:
        return x < 0.0F ? (float)((double)f->beta * (double)f->alpha * expm1((double)x)) : f->beta * x;
    case PARE_FN_HARD_SIGMOID:
        return hard(f->alpha * x + f->beta);
    case PARE_FN_HARD_SWISH:
        return x * hard(x / 6.0F + 0.5F);
    case PARE_FN_SOFTSIGN:
        return x / (1.0F + fabsf(x));
    case PARE_FN_THRESHOLDED_RELU:
        return x > f->alpha ? x : 0.0F;
    case PARE_FN_CELU:
        return celu(x, f->alpha);
    default:
        return NAN;
    }
}

float pare_apply_function(const pare_activation *function, float x) {
    switch (function->function) {
    case PARE_FN_SQRT:
        return sqrtf(x);
    case PARE_FN_RECIPROCAL:
        return 1.0F / x;
    case PARE_FN_ABS:
        return fabsf(x);
    case PARE_FN_NEG:
        return -x;
    case PARE_FN_FLOOR:
        return floorf(x);
    case PARE_FN_CEIL:
        return ceilf(x);
    case PARE_FN_ROUND:
        return rintf(x);
    case PARE_FN_SIGN:
        return x > 0.0F ? 1.0F : x < 0.0F ? -1.0F : x;
    case PARE_FN_NOT:
        return x == 0.0F ? 1.0F : 0.0F;
    case PARE_FN_IDENTITY:
    case PARE_FN_RELU:
    case PARE_FN_CLIP:
    case PARE_FN_LEAKY_RELU:
    case PARE_FN_ELU:
    case PARE_FN_SELU:
    case PARE_FN_HARD_SIGMOID:
    case PARE_FN_HARD_SWISH:
    case PARE_FN_SOFTSIGN:
    case PARE_FN_THRESHOLDED_RELU:
    case PARE_FN_CELU:
        return arithmetic(function, x);
    default:
        return transcendental(function->function, x);
    }
}

void pare_apply_function_all(const pare_activation *function, float *values, size_t count) {
    float low = function->alpha;
    float high = function->beta;
    switch (function->function) {
    case PARE_FN_IDENTITY:
        return;
    case PARE_FN_RELU:
        for (size_t i = 0; i < count; i++) {
            values[i] = values[i] < 0.0F ? 0.0F : values[i];
        }
        return;
    case PARE_FN_CLIP:
        for (size_t i = 0; i < count; i++) {
            float x = values[i] < low ? low : values[i];
            values[i] = x > high ? high : x;
        }
        return;
    default:
        for (size_t i = 0; i < count; i++) {
            values[i] = pare_apply_function(function, values[i]);
        }
    }
}
