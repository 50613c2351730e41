/* Operators that apply one function to each element: y = f(x; alpha, beta). A
 * line below each function declares the operator. */
#include "op_helpers.h"

#include <string.h>

#include "train/tape/tape.h"

static pare_status lower_function(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    pare_activation function;
    uint32_t in = PARE_NONE, out = PARE_NONE;
    if (!node->op->function(node, &function)) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected attributes that Pare knows, found others");
    }
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return lowering->integer ? op_emit_table(lowering, node, function, in, out, error)
                             : op_emit_unary(lowering, node, function, in, out, error);
}

static pare_status function_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    pare_activation function;
    if (!node->op->function(node, &function)) {
        return tape_refuse(node, error);
    }
    return tape_unary(tape, node, function, tape_input(tape, node, 0), tape_output(tape, node, 0), error);
}

/* --- fold: signs of integers, truth values ---------------------------------- */

static bool whole_function(int32_t function, pare_dtype dtype, int64_t x, int64_t *y) {
    bool truth = dtype == PARE_BOOL;
    *y = function == PARE_FN_NEG ? -x : function == PARE_FN_ABS ? (x < 0 ? -x : x) : (x > 0) - (x < 0);
    *y = truth ? x == 0 : *y;
    return truth ? function == PARE_FN_NOT
                 : function == PARE_FN_NEG || function == PARE_FN_ABS || function == PARE_FN_SIGN;
}

static pare_status fold_function(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *x = node->inputs[0];
    pare_activation function;
    int64_t results[256];
    if (op_output(node, 0) == NULL || (x->dtype != PARE_S64 && x->dtype != PARE_BOOL) || !op_may_fold(x) ||
        op_count(x) > 256 || !node->op->function(node, &function)) {
        return PARE_OK;
    }
    size_t count = op_count(x);
    for (size_t i = 0; i < count; i++) {
        int64_t element = 0, result = 0;
        if (!op_int_at(x, i, &element) || element < INT32_MIN ||
            !whole_function(function.function, x->dtype, element, &result)) {
            return PARE_OK; /* multiples of the batch stay, too */
        }
        if (x->dtype == PARE_BOOL) {
            ((uint8_t *)results)[i] = (uint8_t)result;
        } else {
            results[i] = result;
        }
    }
    return op_make_constant(graph, node, 0, results, count * pare_dtype_bytes(x->dtype), error);
}

/* --- the functions ------------------------------------------------------------ */

#define FUNCTION(name, code, first, second)                                                                            \
    static bool name(const pare_node *node, pare_activation *function) {                                               \
        (void)node;                                                                                                    \
        *function = (pare_activation){code, first, second};                                                            \
        return true;                                                                                                   \
    }
#define ATTR(name, fallback) pare_node_float(node, name, fallback)

FUNCTION(relu, PARE_FN_RELU, 0.0F, 0.0F)
FUNCTION(leaky_relu, PARE_FN_LEAKY_RELU, ATTR("alpha", 0.01F), 0.0F)
FUNCTION(elu, PARE_FN_ELU, ATTR("alpha", 1.0F), 0.0F)
FUNCTION(selu, PARE_FN_SELU, ATTR("alpha", 1.67326319217681884765625F), ATTR("gamma", 1.05070102214813232421875F))
FUNCTION(celu, PARE_FN_CELU, ATTR("alpha", 1.0F), 0.0F)
FUNCTION(thresholded_relu, PARE_FN_THRESHOLDED_RELU, ATTR("alpha", 1.0F), 0.0F)
FUNCTION(sigmoid, PARE_FN_SIGMOID, 0.0F, 0.0F)
FUNCTION(hyperbolic_tangent, PARE_FN_TANH, 0.0F, 0.0F)
FUNCTION(hard_sigmoid, PARE_FN_HARD_SIGMOID, ATTR("alpha", 0.2F), ATTR("beta", 0.5F))
FUNCTION(hard_swish, PARE_FN_HARD_SWISH, 0.0F, 0.0F)
FUNCTION(mish, PARE_FN_MISH, 0.0F, 0.0F)
FUNCTION(gelu, strcmp(pare_node_string(node, "approximate", "none"), "tanh") == 0 ? PARE_FN_GELU_TANH : PARE_FN_GELU,
         0.0F, 0.0F)
FUNCTION(softplus, PARE_FN_SOFTPLUS, 0.0F, 0.0F)
FUNCTION(softsign, PARE_FN_SOFTSIGN, 0.0F, 0.0F)
FUNCTION(exponential, PARE_FN_EXP, 0.0F, 0.0F)
FUNCTION(logarithm, PARE_FN_LOG, 0.0F, 0.0F)
FUNCTION(square_root, PARE_FN_SQRT, 0.0F, 0.0F)
FUNCTION(reciprocal, PARE_FN_RECIPROCAL, 0.0F, 0.0F)
FUNCTION(absolute, PARE_FN_ABS, 0.0F, 0.0F)
FUNCTION(negative, PARE_FN_NEG, 0.0F, 0.0F)
FUNCTION(error_function, PARE_FN_ERF, 0.0F, 0.0F)
FUNCTION(floor_function, PARE_FN_FLOOR, 0.0F, 0.0F)
FUNCTION(ceil_function, PARE_FN_CEIL, 0.0F, 0.0F)
FUNCTION(round_function, PARE_FN_ROUND, 0.0F, 0.0F)
FUNCTION(sign_function, PARE_FN_SIGN, 0.0F, 0.0F)
FUNCTION(sine, PARE_FN_SIN, 0.0F, 0.0F)
FUNCTION(cosine, PARE_FN_COS, 0.0F, 0.0F)
FUNCTION(tangent, PARE_FN_TAN, 0.0F, 0.0F)
FUNCTION(logical_not, PARE_FN_NOT, 0.0F, 0.0F)

#define UNARY(op_name, opset, of)                                                                                      \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = opset, .min_inputs = 1, .max_inputs = 1, .min_outputs = 1,             \
        .max_outputs = 1, .quant = PARE_QUANT_TABLE, .weight_input = -1, .bias_input = -1, .infer = op_infer_same,     \
        .fold = fold_function, .lower = lower_function, .function = of, .gradient = function_gradient,                 \
        .channels = op_channels_same                                                                                   \
    }

PARE_DEFINE_OP(Relu) = {.name = "Relu",
                        .domain = "",
                        .since = 1,
                        .min_inputs = 1,
                        .max_inputs = 1,
                        .min_outputs = 1,
                        .max_outputs = 1,
                        .quant = PARE_QUANT_TABLE,
                        .weight_input = -1,
                        .bias_input = -1,
                        .clamp = true,
                        .infer = op_infer_same,
                        .lower = lower_function,
                        .function = relu,
                        .gradient = function_gradient,
                        .channels = op_channels_same};
PARE_DEFINE_OP(LeakyRelu) = UNARY("LeakyRelu", 1, leaky_relu);
PARE_DEFINE_OP(Elu) = UNARY("Elu", 1, elu);
PARE_DEFINE_OP(Selu) = UNARY("Selu", 1, selu);
PARE_DEFINE_OP(Celu) = UNARY("Celu", 12, celu);
PARE_DEFINE_OP(ThresholdedRelu) = UNARY("ThresholdedRelu", 10, thresholded_relu);
PARE_DEFINE_OP(Sigmoid) = UNARY("Sigmoid", 1, sigmoid);
PARE_DEFINE_OP(Tanh) = UNARY("Tanh", 1, hyperbolic_tangent);
PARE_DEFINE_OP(HardSigmoid) = UNARY("HardSigmoid", 1, hard_sigmoid);
PARE_DEFINE_OP(HardSwish) = UNARY("HardSwish", 14, hard_swish);
PARE_DEFINE_OP(Mish) = UNARY("Mish", 18, mish);
PARE_DEFINE_OP(Gelu) = UNARY("Gelu", 20, gelu);
PARE_DEFINE_OP(Softplus) = UNARY("Softplus", 1, softplus);
PARE_DEFINE_OP(Softsign) = UNARY("Softsign", 1, softsign);
PARE_DEFINE_OP(Exp) = UNARY("Exp", 1, exponential);
PARE_DEFINE_OP(Log) = UNARY("Log", 1, logarithm);
PARE_DEFINE_OP(Sqrt) = UNARY("Sqrt", 1, square_root);
PARE_DEFINE_OP(Reciprocal) = UNARY("Reciprocal", 1, reciprocal);
PARE_DEFINE_OP(Abs) = UNARY("Abs", 1, absolute);
PARE_DEFINE_OP(Neg) = UNARY("Neg", 1, negative);
PARE_DEFINE_OP(Erf) = UNARY("Erf", 9, error_function);
PARE_DEFINE_OP(Floor) = UNARY("Floor", 1, floor_function);
PARE_DEFINE_OP(Ceil) = UNARY("Ceil", 1, ceil_function);
PARE_DEFINE_OP(Round) = UNARY("Round", 11, round_function);
PARE_DEFINE_OP(Sign) = UNARY("Sign", 9, sign_function);
PARE_DEFINE_OP(Sin) = UNARY("Sin", 7, sine);
PARE_DEFINE_OP(Cos) = UNARY("Cos", 7, cosine);
PARE_DEFINE_OP(Tan) = UNARY("Tan", 7, tangent);
/* Of truth values, so without a gradient. */
PARE_DEFINE_OP(Not) = {.name = "Not",
                       .domain = "",
                       .since = 1,
                       .min_inputs = 1,
                       .max_inputs = 1,
                       .min_outputs = 1,
                       .max_outputs = 1,
                       .quant = PARE_QUANT_TABLE,
                       .weight_input = -1,
                       .bias_input = -1,
                       .infer = op_infer_same,
                       .fold = fold_function,
                       .lower = lower_function,
                       .function = logical_not,
                       .channels = op_channels_same};
