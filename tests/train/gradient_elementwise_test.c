/* Functions of one element, in row-major order and in blocked layouts with
 * padding, over a value that is kept and over one that may be overwritten. */
#include "gradient_check.h"

/* x in both layouts; of the second result another function is an input, so that it may not be overwritten. */
static void apply(gradient_net *g, const char *op, const char *attributes, double low, double high) {
    pare_value *a = gradient_plain(g, 3, (int64_t[]){-1, gradient_pick(g, 1, 5), gradient_pick(g, 1, 7)}, low, high);
    pare_value *b = gradient_blocked(g, gradient_pick(g, 3, 18), 3, 4, low, high);
    gradient_output(g, NET(&g->n, op, attributes, a));
    pare_value *y = NET(&g->n, op, attributes, b);
    gradient_output(g, NET(&g->n, "Add", "", y, NET(&g->n, "Tanh", "", y)));
}

#define CASE(name, op, attributes, low, high)                                                                          \
    static void name(gradient_net *g) {                                                                                \
        apply(g, op, attributes, low, high);                                                                           \
    }

CASE(relu, "Relu", "", -1, 1)
CASE(leaky_relu, "LeakyRelu", "alpha:f=0.2", -1, 1)
CASE(elu, "Elu", "alpha:f=1.3", -2, 1)
CASE(selu, "Selu", "", -2, 1)
CASE(selu_attributes, "Selu", "alpha:f=1.2 gamma:f=0.7", -2, 1)
CASE(celu, "Celu", "alpha:f=0.7", -2, 1)
CASE(thresholded_relu, "ThresholdedRelu", "alpha:f=0.3", -1, 1)
CASE(sigmoid, "Sigmoid", "", -3, 3)
CASE(hyperbolic_tangent, "Tanh", "", -2, 2)
CASE(hard_sigmoid, "HardSigmoid", "alpha:f=0.3 beta:f=0.4", -3, 3)
CASE(hard_swish, "HardSwish", "", -5, 5)
CASE(mish, "Mish", "", -3, 3)
CASE(gelu, "Gelu", "", -3, 3)
CASE(gelu_tanh, "Gelu", "approximate:s=tanh", -3, 3)
CASE(softplus, "Softplus", "", -3, 3)
CASE(softsign, "Softsign", "", -2, 2)
CASE(exponential, "Exp", "", -2, 1)
CASE(logarithm, "Log", "", 0.4, 2)
CASE(square_root, "Sqrt", "", 0.4, 2)
CASE(reciprocal, "Reciprocal", "", 0.6, 2)
CASE(absolute, "Abs", "", -1, 1)
CASE(negative, "Neg", "", -1, 1)
CASE(error_function, "Erf", "", -2, 2)
CASE(sine, "Sin", "", -3, 3)
CASE(cosine, "Cos", "", -3, 3)
CASE(tangent, "Tan", "", -1, 1)
CASE(identity, "Identity", "", -1, 1)

/* Steps of a staircase pass nothing on, beside what passes all. */
static void staircase(gradient_net *g, const char *op) {
    pare_value *x = gradient_blocked(g, 5, 4, 4, -2, 2);
    gradient_output(g, NET(&g->n, "Add", "", x, NET(&g->n, op, "", x)));
}

static void round_down(gradient_net *g) {
    staircase(g, "Floor");
}

static void round_up(gradient_net *g) {
    staircase(g, "Ceil");
}

static void round_even(gradient_net *g) {
    staircase(g, "Round");
}

static void sign(gradient_net *g) {
    staircase(g, "Sign");
}

/* Each reads what only the one before it made, so it may overwrite that. */
static void in_a_row(gradient_net *g) {
    pare_value *x = gradient_blocked(g, 5, 4, 4, -1, 1);
    pare_value *y = NET(&g->n, "Sigmoid", "", NET(&g->n, "Tanh", "", NET(&g->n, "Exp", "", x)));
    gradient_output(g, NET(&g->n, "Relu", "", NET(&g->n, "Neg", "", NET(&g->n, "Identity", "", y))));
    gradient_output(g, NET(&g->n, "Softsign", "", NET(&g->n, "Abs", "", y)));
}

#define LINE(name, of)                                                                                                 \
    { .op = of, .what = #name, .build = name, .parameters = 4 }
static const gradient_case cases[] = {
    LINE(relu, "Relu"),
    LINE(leaky_relu, "LeakyRelu"),
    LINE(elu, "Elu"),
    LINE(selu, "Selu"),
    LINE(selu_attributes, "Selu"),
    LINE(celu, "Celu"),
    LINE(thresholded_relu, "ThresholdedRelu"),
    LINE(sigmoid, "Sigmoid"),
    LINE(hyperbolic_tangent, "Tanh"),
    LINE(hard_sigmoid, "HardSigmoid"),
    LINE(hard_swish, "HardSwish"),
    LINE(mish, "Mish"),
    LINE(gelu, "Gelu"),
    LINE(gelu_tanh, "Gelu"),
    LINE(softplus, "Softplus"),
    LINE(softsign, "Softsign"),
    LINE(exponential, "Exp"),
    LINE(logarithm, "Log"),
    LINE(square_root, "Sqrt"),
    LINE(reciprocal, "Reciprocal"),
    LINE(absolute, "Abs"),
    LINE(negative, "Neg"),
    LINE(error_function, "Erf"),
    LINE(sine, "Sin"),
    LINE(cosine, "Cos"),
    LINE(tangent, "Tan"),
    LINE(identity, "Identity"),
    {.op = "Floor", .what = "passes nothing", .build = round_down, .parameters = 2},
    {.op = "Ceil", .what = "passes nothing", .build = round_up, .parameters = 2},
    {.op = "Round", .what = "passes nothing", .build = round_even, .parameters = 2},
    {.op = "Sign", .what = "passes nothing", .build = sign, .parameters = 2},
    {.op = "Sigmoid", .what = "functions of functions", .build = in_a_row, .parameters = 2},
};

GRADIENT_MAIN(cases)
