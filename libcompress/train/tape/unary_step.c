/* y = f(x; alpha, beta) of each element, in any layout. A line a function: f,
 * then its derivative, given x or (where the step keeps its output in place of
 * its input) y. */
#include "train/tape/tape_plan.h"

#include <math.h>

#include "train/tape/tape_steps.h"

typedef struct element_loop {
    void (*forward)(size_t count, const float *x, float *y, float alpha, float beta);
    void (*backward)(size_t count, const float *xy, const float *dy, float *dx, float alpha, float beta);
    bool from_output; /* the derivative is a function of y */
} element_loop;

#define FUNCTION(name, f, derivative)                                                                                  \
    static void name##_forward(size_t count, const float *x_, float *y_, float alpha, float beta) {                    \
        (void)alpha, (void)beta;                                                                                       \
        TAPE_PARALLEL(count)                                                                                           \
        for (size_t i = 0; i < count; i++) {                                                                           \
            float x = x_[i];                                                                                           \
            y_[i] = f;                                                                                                 \
        }                                                                                                              \
    }                                                                                                                  \
    static void name##_backward(size_t count, const float *v_, const float *dy, float *dx, float alpha, float beta) {  \
        (void)alpha, (void)beta;                                                                                       \
        TAPE_PARALLEL(count)                                                                                           \
        for (size_t i = 0; i < count; i++) {                                                                           \
            float v = v_[i];                                                                                           \
            (void)v;                                                                                                   \
            dx[i] = dy[i] * (derivative);                                                                              \
        }                                                                                                              \
    }

static inline float sigmoid(float x) {
    return 1.0F / (1.0F + expf(-x));
}

static inline float softplus(float x) {
    return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x));
}

static inline float mish_slope(float x) {
    float t = tanhf(softplus(x));
    return t + x * (1.0F - t * t) * sigmoid(x);
}

static inline float gelu_slope(float x) {
    return 0.5F * (1.0F + erff(x * 0.70710678F)) + x * 0.39894228F * expf(-0.5F * x * x);
}

static inline float gelu_tanh(float x) {
    return 0.5F * x * (1.0F + tanhf(0.79788456F * (x + 0.044715F * x * x * x)));
}

static inline float gelu_tanh_slope(float x) {
    float t = tanhf(0.79788456F * (x + 0.044715F * x * x * x));
    return 0.5F * (1.0F + t) + 0.5F * x * (1.0F - t * t) * 0.79788456F * (1.0F + 0.134145F * x * x);
}

FUNCTION(identity, x, 1.0F)
FUNCTION(relu, x<0 ? 0 : x, v> 0 ? 1.0F : 0.0F)
FUNCTION(clip, fminf(fmaxf(x, alpha), beta), v > alpha && v < beta ? 1.0F : 0.0F)
FUNCTION(leaky_relu, x < 0 ? alpha * x : x, v < 0 ? alpha : 1.0F)
FUNCTION(elu, x < 0 ? alpha * expm1f(x) : x, v < 0 ? alpha * expf(v) : 1.0F)
FUNCTION(selu, beta *(x < 0 ? alpha * expm1f(x) : x), v < 0 ? beta * alpha * expf(v) : beta)
FUNCTION(sigmoid, sigmoid(x), v *(1.0F - v))
FUNCTION(hyperbolic_tangent, tanhf(x), 1.0F - v * v)
FUNCTION(hard_sigmoid, fminf(fmaxf(alpha *x + beta, 0.0F), 1.0F), v > 0 && v < 1.0F ? alpha : 0.0F)
FUNCTION(hard_swish, x *fminf(fmaxf(x / 6.0F + 0.5F, 0.0F), 1.0F),
         v <= -3.0F  ? 0.0F
         : v >= 3.0F ? 1.0F
                     : v / 3.0F + 0.5F)
FUNCTION(silu, x *sigmoid(x), sigmoid(v) * (1.0F + v * (1.0F - sigmoid(v))))
FUNCTION(gelu, 0.5F * x * (1.0F + erff(x * 0.70710678F)), gelu_slope(v))
FUNCTION(gelu_by_tanh, gelu_tanh(x), gelu_tanh_slope(v))
FUNCTION(softplus, softplus(x), sigmoid(v))
FUNCTION(softsign, x / (1.0F + fabsf(x)), 1.0F / ((1.0F + fabsf(v)) * (1.0F + fabsf(v))))
FUNCTION(mish, x *tanhf(softplus(x)), mish_slope(v))
FUNCTION(exponential, expf(x), v)
FUNCTION(logarithm, logf(x), 1.0F / v)
FUNCTION(square_root, sqrtf(x), 0.5F / v)
FUNCTION(reciprocal, 1.0F / x, -v *v)
FUNCTION(absolute, fabsf(x), (float)(v > 0) - (float)(v < 0))
FUNCTION(negative, -x, -1.0F)
FUNCTION(error_function, erff(x), 1.12837917F * expf(-v * v))
FUNCTION(round_down, floorf(x), 0.0F)
FUNCTION(round_up, ceilf(x), 0.0F)
FUNCTION(round_even, rintf(x), 0.0F)
FUNCTION(sign, (float)(x > 0) - (float)(x < 0), 0.0F)
FUNCTION(sine, sinf(x), cosf(v))
FUNCTION(cosine, cosf(x), -sinf(v))
FUNCTION(tangent, tanf(x), 1.0F + v * v)
FUNCTION(thresholded_relu, x > alpha ? x : 0, v > alpha ? 1.0F : 0.0F)
FUNCTION(celu, x < 0 ? alpha * expm1f(x / alpha) : x, v < 0 ? expf(v / alpha) : 1.0F)

#define LOOP(name, from_output)                                                                                        \
    { name##_forward, name##_backward, from_output }
static const element_loop loops[PARE_FN_END] = {
    [PARE_FN_IDENTITY] = LOOP(identity, true),
    [PARE_FN_RELU] = LOOP(relu, true),
    [PARE_FN_CLIP] = LOOP(clip, true),
    [PARE_FN_LEAKY_RELU] = LOOP(leaky_relu, false),
    [PARE_FN_ELU] = LOOP(elu, false),
    [PARE_FN_SELU] = LOOP(selu, false),
    [PARE_FN_SIGMOID] = LOOP(sigmoid, true),
    [PARE_FN_TANH] = LOOP(hyperbolic_tangent, true),
    [PARE_FN_HARD_SIGMOID] = LOOP(hard_sigmoid, true),
    [PARE_FN_HARD_SWISH] = LOOP(hard_swish, false),
    [PARE_FN_SILU] = LOOP(silu, false),
    [PARE_FN_GELU] = LOOP(gelu, false),
    [PARE_FN_GELU_TANH] = LOOP(gelu_by_tanh, false),
    [PARE_FN_SOFTPLUS] = LOOP(softplus, false),
    [PARE_FN_SOFTSIGN] = LOOP(softsign, false),
    [PARE_FN_MISH] = LOOP(mish, false),
    [PARE_FN_EXP] = LOOP(exponential, true),
    [PARE_FN_LOG] = LOOP(logarithm, false),
    [PARE_FN_SQRT] = LOOP(square_root, true),
    [PARE_FN_RECIPROCAL] = LOOP(reciprocal, true),
    [PARE_FN_ABS] = LOOP(absolute, false),
    [PARE_FN_NEG] = LOOP(negative, true),
    [PARE_FN_ERF] = LOOP(error_function, false),
    [PARE_FN_FLOOR] = LOOP(round_down, false),
    [PARE_FN_CEIL] = LOOP(round_up, false),
    [PARE_FN_ROUND] = LOOP(round_even, false),
    [PARE_FN_SIGN] = LOOP(sign, false),
    [PARE_FN_SIN] = LOOP(sine, false),
    [PARE_FN_COS] = LOOP(cosine, false),
    [PARE_FN_TAN] = LOOP(tangent, true),
    [PARE_FN_THRESHOLDED_RELU] = LOOP(thresholded_relu, false),
    [PARE_FN_CELU] = LOOP(celu, false),
};

typedef struct unary_plan {
    const element_loop *loop;
    pare_activation function;
    size_t floats;
    tape_place kept; /* x or y, for the way back */
} unary_plan;

/* pointers: x, y */
static pare_status run_forward(void *context, void *const *pointers) {
    const unary_plan *plan = context;
    plan->loop->forward(plan->floats, pointers[0], pointers[1], plan->function.alpha, plan->function.beta);
    return PARE_OK;
}

/* pointers: x or y, dy, dx */
static pare_status run_backward(void *context, void *const *pointers) {
    const unary_plan *plan = context;
    plan->loop->backward(plan->floats, pointers[0], pointers[1], pointers[2], plan->function.alpha,
                         plan->function.beta);
    return PARE_OK;
}

/* oneDNN wants zeros in the padding of a layout, and no NaN may arise there on the way back. */
static bool keeps_padding(const unary_plan *plan) {
    float x = 0.0F, y = 1.0F, one = 0.0F, slope = 1.0F;
    plan->loop->forward(1, &x, &y, plan->function.alpha, plan->function.beta);
    plan->loop->backward(1, plan->loop->from_output ? &y : &x, &one, &slope, plan->function.alpha, plan->function.beta);
    return y == 0.0F && slope == 0.0F;
}

bool tape_absorb_relu(pare_tape *tape, uint32_t tensor, bool both_ways) {
    tape_step *reader = tape_only_reader(tape, tensor);
    if (reader == NULL || reader->class->forward != tape_unary_forward ||
        ((const pare_activation *)reader->attrs)->function != PARE_FN_RELU) {
        return false;
    }
    reader->absorbed = both_ways ? TAPE_ABSORBED : TAPE_ABSORBED_FORWARD;
    return true;
}

pare_status tape_unary_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const pare_shape *shape = &tape_tensor_at(tape, step->inputs[0])->shape;
    unary_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    tape_place x, y;
    PARE_TRY(tape_value(tape, step->inputs[0], &x, error));
    plan->function = *(const pare_activation *)step->attrs;
    plan->loop = &loops[plan->function.function];
    if (step->absorbed != TAPE_NOT_ABSORBED) {
        plan->kept = x;
        plan->floats = tape_layout_floats(x.layout, shape);
        tape_share_value(tape, step->outputs[0], &x);
        return PARE_OK;
    }
    if (tape_layout_padded(x.layout, shape) && !keeps_padding(plan)) {
        PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &x, error));
    }
    if (plan->loop->from_output && tape_may_overwrite(tape, step, step->inputs[0])) {
        tape_share_value(tape, step->outputs[0], &x);
        y = x;
    } else {
        PARE_TRY(tape_new_value(tape, step->outputs[0], x.layout, &y, error));
    }
    plan->kept = plan->loop->from_output ? y : x;
    plan->floats = tape_layout_floats(x.layout, shape);
    return tape_emit(tape, step, run_forward, NULL, plan, (const uint32_t[]){x.buffer, y.buffer}, 2, error);
}

/* pointers: y, the two parts of dy, dx */
static pare_status run_relu_of_sum(void *context, void *const *pointers) {
    const unary_plan *plan = context;
    const float *y = pointers[0], *first = pointers[1], *second = pointers[2];
    float *dx = pointers[3];
    TAPE_PARALLEL(plan->floats)
    for (size_t i = 0; i < plan->floats; i++) {
        float sum = first[i] + second[i];
        dx[i] = y[i] > 0 ? sum : 0.0F;
    }
    return PARE_OK;
}

/* The end of a residual block: its gradient is a sum, which is made on the way. */
static pare_status relu_of_sum(pare_tape *tape, tape_step *step, const tape_place halves[2], pare_error *error) {
    unary_plan *plan = step->plan;
    tape_place dx = halves[0].owned ? halves[0] : halves[1];
    if (!dx.owned) {
        PARE_TRY(tape_new_place(tape, step->inputs[0], plan->kept.layout, &dx, error));
    }
    PARE_TRY(tape_emit(tape, step, run_relu_of_sum, NULL, plan,
                       (const uint32_t[]){plan->kept.buffer, halves[0].buffer, halves[1].buffer, dx.buffer}, 4, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static pare_status unary_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    unary_plan *plan = step->plan;
    tape_place dy, dx, halves[2];
    if (step->absorbed != TAPE_ABSORBED && plan->function.function == PARE_FN_RELU &&
        tape_gradient_halves(tape, step->outputs[0], plan->kept.layout, halves)) {
        return relu_of_sum(tape, step, halves, error);
    }
    if (step->absorbed == TAPE_ABSORBED) {
        PARE_TRY(tape_gradient(tape, step->outputs[0], &dy, error));
        return tape_contribute(tape, step->inputs[0], &dy, error);
    }
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], plan->kept.layout, &dy, error));
    dx = dy;
    if (!dy.owned) {
        PARE_TRY(tape_new_place(tape, step->inputs[0], plan->kept.layout, &dx, error));
    }
    PARE_TRY(tape_emit(tape, step, run_backward, NULL, plan,
                       (const uint32_t[]){plan->kept.buffer, dy.buffer, dx.buffer}, 3, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static const tape_step_class from_input_class = {"function", false, tape_unary_forward, unary_backward};
static const tape_step_class from_output_class = {"function", true, tape_unary_forward, unary_backward};
/* Steps of a staircase: no gradient passes. */
static const tape_step_class flat_class = {"function", false, tape_unary_forward, NULL};

pare_status tape_unary(pare_tape *tape, const pare_node *node, pare_activation function, uint32_t x, uint32_t y,
                       pare_error *error) {
    if (function.function < 0 || function.function >= PARE_FN_END || loops[function.function].forward == NULL) {
        return tape_refuse(node, error);
    }
    bool flat = function.function >= PARE_FN_FLOOR && function.function <= PARE_FN_SIGN;
    return tape_record(tape,
                       flat                                   ? &flat_class
                       : loops[function.function].from_output ? &from_output_class
                                                              : &from_input_class,
                       node, &x, 1, &y, 1, &function, sizeof function, error);
}
