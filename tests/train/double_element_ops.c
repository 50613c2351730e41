/* Functions of one element, and of two or more that broadcast. */
#include <math.h>
#include <string.h>

#include "double_ops.h"

/* --- y = f(x) ---------------------------------------------------------------------- */

#define ATTR(name, fallback) ((double)pare_node_float(call->node, name, (float)(fallback)))
#define FUNCTION(name, f)                                                                                              \
    static void run_##name(const double_call *call) {                                                                  \
        for (size_t i = 0; i < call->y[0]->count; i++) {                                                               \
            double x = call->x[0]->data[i];                                                                            \
            call->y[0]->data[i] = f;                                                                                   \
        }                                                                                                              \
    }

static double erf_gelu(double x) {
    return 0.5 * x * (1 + erf(x / sqrt(2.0)));
}

static double tanh_gelu(double x) {
    return 0.5 * x * (1 + tanh(sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

FUNCTION(relu, fmax(x, 0))
FUNCTION(leaky_relu, x < 0 ? ATTR("alpha", 0.01) * x : x)
FUNCTION(elu, x < 0 ? ATTR("alpha", 1) * (exp(x) - 1) : x)
FUNCTION(selu, ATTR("gamma", 1.05070102214813232421875) *
                   (x <= 0 ? ATTR("alpha", 1.67326319217681884765625) * (exp(x) - 1) : x))
FUNCTION(celu, fmax(0, x) + fmin(0, ATTR("alpha", 1) * (exp(x / ATTR("alpha", 1)) - 1)))
FUNCTION(thresholded_relu, x > ATTR("alpha", 1) ? x : 0)
FUNCTION(sigmoid, 1 / (1 + exp(-x)))
FUNCTION(tanh, tanh(x))
FUNCTION(hard_sigmoid, fmax(0, fmin(1, ATTR("alpha", 0.2) * x + ATTR("beta", 0.5))))
FUNCTION(hard_swish, x *fmax(0, fmin(1, x / 6 + 0.5)))
FUNCTION(mish, x *tanh(log(1 + exp(x))))
FUNCTION(gelu, strcmp(pare_node_string(call->node, "approximate", "none"), "tanh") == 0 ? tanh_gelu(x) : erf_gelu(x))
FUNCTION(softplus, log(1 + exp(x)))
FUNCTION(softsign, x / (1 + fabs(x)))
FUNCTION(exp, exp(x))
FUNCTION(log, log(x))
FUNCTION(sqrt, sqrt(x))
FUNCTION(reciprocal, 1 / x)
FUNCTION(abs, fabs(x))
FUNCTION(neg, -x)
FUNCTION(erf, erf(x))
FUNCTION(floor, floor(x))
FUNCTION(ceil, ceil(x))
FUNCTION(round, nearbyint(x))
FUNCTION(sign, (double)(x > 0) - (double)(x < 0))
FUNCTION(sin, sin(x))
FUNCTION(cos, cos(x))
FUNCTION(tan, tan(x))
FUNCTION(not, x == 0)
FUNCTION(identity, x)
FUNCTION(dropout, call->mask != NULL ? call->mask[i] * x : x)

static void run_cast(const double_call *call) {
    for (size_t i = 0; i < call->y[0]->count; i++) {
        double x = call->x[0]->data[i];
        pare_dtype to = call->node->outputs[0]->dtype;
        call->y[0]->data[i] = to == PARE_BOOL ? x != 0 : to == PARE_F32 ? x : trunc(x);
    }
}

/* --- y = f(a, b, ..) ----------------------------------------------------------------- */

/* Left to right over all operands. */
#define OPERATION(name, f)                                                                                             \
    static void run_##name(const double_call *call) {                                                                  \
        double_tensor *y = call->y[0];                                                                                 \
        for (size_t i = 0; i < y->count; i++) {                                                                        \
            double a = call->x[0]->data[double_broadcast_index(&call->x[0]->shape, &y->shape, i)];                     \
            for (size_t k = 1; k < call->x_count; k++) {                                                               \
                double b = call->x[k]->data[double_broadcast_index(&call->x[k]->shape, &y->shape, i)];                 \
                a = f;                                                                                                 \
            }                                                                                                          \
            y->data[i] = a;                                                                                            \
        }                                                                                                              \
    }

OPERATION(add, a + b)
OPERATION(sub, a - b)
OPERATION(mul, a *b)
OPERATION(div, a / b)
OPERATION(pow, pow(a, b))
OPERATION(min, fmin(a, b))
OPERATION(max, fmax(a, b))
OPERATION(prelu, a < 0 ? b * a : a)
OPERATION(less, a < b)
OPERATION(greater, a > b)
OPERATION(equal, a == b)

static void run_mean(const double_call *call) {
    run_add(call);
    for (size_t i = 0; i < call->y[0]->count; i++) {
        call->y[0]->data[i] /= (double)call->x_count;
    }
}

const double_op double_element_ops[] = {{"Relu", run_relu},
                                        {"LeakyRelu", run_leaky_relu},
                                        {"Elu", run_elu},
                                        {"Selu", run_selu},
                                        {"Celu", run_celu},
                                        {"ThresholdedRelu", run_thresholded_relu},
                                        {"Sigmoid", run_sigmoid},
                                        {"Tanh", run_tanh},
                                        {"HardSigmoid", run_hard_sigmoid},
                                        {"HardSwish", run_hard_swish},
                                        {"Mish", run_mish},
                                        {"Gelu", run_gelu},
                                        {"Softplus", run_softplus},
                                        {"Softsign", run_softsign},
                                        {"Exp", run_exp},
                                        {"Log", run_log},
                                        {"Sqrt", run_sqrt},
                                        {"Reciprocal", run_reciprocal},
                                        {"Abs", run_abs},
                                        {"Neg", run_neg},
                                        {"Erf", run_erf},
                                        {"Floor", run_floor},
                                        {"Ceil", run_ceil},
                                        {"Round", run_round},
                                        {"Sign", run_sign},
                                        {"Sin", run_sin},
                                        {"Cos", run_cos},
                                        {"Tan", run_tan},
                                        {"Not", run_not},
                                        {"Identity", run_identity},
                                        {"Dropout", run_dropout},
                                        {"Cast", run_cast},
                                        {"Add", run_add},
                                        {"Sub", run_sub},
                                        {"Mul", run_mul},
                                        {"Div", run_div},
                                        {"Pow", run_pow},
                                        {"Min", run_min},
                                        {"Max", run_max},
                                        {"Sum", run_add},
                                        {"Mean", run_mean},
                                        {"PRelu", run_prelu},
                                        {"Less", run_less},
                                        {"Greater", run_greater},
                                        {"Equal", run_equal},
                                        {NULL, NULL}};
