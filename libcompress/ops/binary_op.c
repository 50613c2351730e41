/* Operators on two tensors that broadcast, and the chains of them that the
 * variadic operators (Sum, Mean, Min, Max) are. */
#include "op_helpers.h"

#include <math.h>
#include <string.h>

#include "train/tape/tape.h"

/* --- infer ---------------------------------------------------------------- */

static pare_status infer_as(const pare_node *node, pare_dtype dtype, pare_error *error) {
    pare_shape shape = node->inputs[0]->shape;
    for (size_t i = 1; i < node->input_count; i++) {
        pare_shape wider;
        if (node->inputs[i] == NULL || !pare_shape_broadcast(&shape, &node->inputs[i]->shape, &wider)) {
            char left[160], right[160];
            return pare_node_fail(
                node, error, PARE_BAD_INPUT, "expected shapes that broadcast, found %s and %s",
                pare_shape_text(&shape, left, sizeof left),
                node->inputs[i] != NULL ? pare_shape_text(&node->inputs[i]->shape, right, sizeof right) : "none");
        }
        shape = wider;
    }
    return op_set_output(node, 0, dtype, &shape, error);
}

static pare_status infer_binary(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    return infer_as(node, node->inputs[0]->dtype, error);
}

static pare_status infer_comparison(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    return infer_as(node, PARE_BOOL, error);
}

static pare_status check_same_type(const pare_node *node, pare_error *error) {
    for (size_t i = 1; i < node->input_count; i++) {
        if (node->inputs[i] != NULL && node->inputs[i]->dtype != node->inputs[0]->dtype) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected operands of one type, found %s and %s",
                                  pare_dtype_name(node->inputs[0]->dtype), pare_dtype_name(node->inputs[i]->dtype));
        }
    }
    return PARE_OK;
}

/* --- fold: integers, batch multiples included -------------------------------- */

static int64_t modulo(int64_t a, int64_t b, bool sign_of_dividend) {
    int64_t rest = a % b;
    return !sign_of_dividend && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static bool integer_arithmetic(pare_binary_kind kind, int64_t a, int64_t b, bool fmod_rule, int64_t *y) {
    switch (kind) {
    case PARE_BINARY_ADD:
        return pare_add_i64(a, b, y);
    case PARE_BINARY_SUB:
        return !__builtin_sub_overflow(a, b, y);
    case PARE_BINARY_MUL:
        return pare_mul_i64(a, b, y);
    case PARE_BINARY_DIV:
        return b != 0 && b != -1 ? (*y = a / b, true) : b == -1 && !__builtin_sub_overflow((int64_t)0, a, y);
    case PARE_BINARY_MOD:
        return b != 0 && b != -1 ? (*y = modulo(a, b, fmod_rule), true) : false;
    case PARE_BINARY_MIN:
        *y = a < b ? a : b;
        return true;
    case PARE_BINARY_MAX:
        *y = a > b ? a : b;
        return true;
    default:
        return false;
    }
}

static bool integer_comparison(pare_binary_kind kind, int64_t a, int64_t b, int64_t *y) {
    switch (kind) {
    case PARE_BINARY_EQUAL:
        *y = a == b;
        return true;
    case PARE_BINARY_LESS:
        *y = a < b;
        return true;
    case PARE_BINARY_LESS_EQUAL:
        *y = a <= b;
        return true;
    case PARE_BINARY_GREATER:
        *y = a > b;
        return true;
    case PARE_BINARY_GREATER_EQUAL:
        *y = a >= b;
        return true;
    case PARE_BINARY_AND:
        *y = a && b;
        return true;
    case PARE_BINARY_OR:
        *y = a || b;
        return true;
    case PARE_BINARY_XOR:
        *y = !a != !b;
        return true;
    default:
        return false;
    }
}

/* k × batch keeps its meaning under multiplication and exact division alone, but
 * for the zeros with which the exporter fills up. */
static bool on_batch_multiple(pare_binary_kind kind, int64_t a, int64_t b, int64_t *y) {
    if (op_is_batch_mark(a) && op_is_batch_mark(b)) {
        int64_t ka = a - PARE_BATCH_MARK, kb = b - PARE_BATCH_MARK;
        *y = kind == PARE_BINARY_DIV ? ka / kb : a == b;
        return kind == PARE_BINARY_DIV ? ka % kb == 0 : kind == PARE_BINARY_EQUAL && a == b;
    }
    if (op_is_batch_mark(b)) {
        if (kind != PARE_BINARY_MUL && kind != PARE_BINARY_ADD) {
            return false;
        }
        int64_t swap = a;
        a = b;
        b = swap;
    }
    int64_t k = a - PARE_BATCH_MARK, scaled = 0;
    if (b == 0 && kind == PARE_BINARY_MUL) {
        *y = 0;
        return true;
    }
    if (b == 0 && (kind == PARE_BINARY_ADD || kind == PARE_BINARY_SUB)) {
        *y = a;
    } else if (kind == PARE_BINARY_MUL && b > 0 && pare_mul_i64(k, b, &scaled)) {
        *y = PARE_BATCH_MARK + scaled;
    } else if (kind == PARE_BINARY_DIV && b > 0 && k % b == 0) {
        *y = PARE_BATCH_MARK + k / b;
    } else {
        return false;
    }
    return op_is_batch_mark(*y);
}

static bool fold_element(const pare_node *node, pare_binary_kind kind, int64_t a, int64_t b, int64_t *y) {
    if (op_is_batch_mark(a) || op_is_batch_mark(b)) {
        return on_batch_multiple(kind, a, b, y);
    }
    if (integer_arithmetic(kind, a, b, pare_node_int(node, "fmod", 0) != 0, y)) {
        return !op_is_batch_mark(*y); /* a plain number that would be taken for one */
    }
    return integer_comparison(kind, a, b, y);
}

static bool store_int(void *data, pare_dtype dtype, size_t index, int64_t y) {
    switch (dtype) {
    case PARE_S64:
        ((int64_t *)data)[index] = y;
        return true;
    case PARE_S32:
        ((int32_t *)data)[index] = (int32_t)y;
        return y >= INT32_MIN && y <= INT32_MAX;
    case PARE_BOOL:
        ((uint8_t *)data)[index] = y != 0;
        return true;
    default:
        return false;
    }
}

/* Index into an operand that broadcasts to `shape`. */
static size_t broadcast_index(const pare_shape *shape, const pare_shape *operand, size_t index) {
    size_t result = 0, stride = 1;
    for (int32_t a = shape->rank - 1, b = operand->rank - 1; b >= 0; a--, b--) {
        size_t extent = (size_t)shape->dims[a];
        if (operand->dims[b] != 1) {
            result += index % extent * stride;
        }
        stride *= (size_t)operand->dims[b];
        index /= extent;
    }
    return result;
}

static pare_status fold_integers(pare_graph *graph, pare_node *node, pare_binary_kind kind, pare_error *error) {
    const pare_value *out = node->outputs[0];
    if (out == NULL || node->input_count != 2 || !op_may_fold(node->inputs[0]) || !op_may_fold(node->inputs[1]) ||
        op_is_float(node->inputs[0]->dtype) || op_is_float(node->inputs[1]->dtype) || op_count(out) > 4096) {
        return PARE_OK;
    }
    int64_t results[4096] = {0};
    size_t count = op_count(out);
    for (size_t i = 0; i < count; i++) {
        int64_t a = 0, b = 0, y = 0;
        if (!op_int_at(node->inputs[0], broadcast_index(&out->shape, &node->inputs[0]->shape, i), &a) ||
            !op_int_at(node->inputs[1], broadcast_index(&out->shape, &node->inputs[1]->shape, i), &b) ||
            !fold_element(node, kind, a, b, &y) || !store_int(results, out->dtype, i, y)) {
            return PARE_OK;
        }
    }
    return op_make_constant(graph, node, 0, results, count * pare_dtype_bytes(out->dtype), error);
}

/* --- lower ---------------------------------------------------------------- */

/* Elements that no kernel computes on (8 and 16 bits, unsigned) pass through wider ones. */
static pare_dtype working_dtype(const pare_lowering *lowering, const pare_node *node) {
    pare_dtype dtype = node->inputs[0]->dtype;
    return lowering->integer ? PARE_U8 : op_working_dtype(dtype);
}

static pare_status widened_input(pare_lowering *lowering, const pare_node *node, size_t index, uint32_t *tensor,
                                 pare_error *error) {
    PARE_TRY(pare_lower_input(lowering, node, index, tensor, error));
    return lowering->integer ? PARE_OK : op_cast_to(lowering, node, working_dtype(lowering, node), tensor, error);
}

/* Where to compute output 0: itself, or a wider temporary that `narrow` casts. */
static pare_status widened_output(pare_lowering *lowering, const pare_node *node, uint32_t *out, uint32_t *wide,
                                  pare_error *error) {
    const pare_value *value = node->outputs[0];
    PARE_TRY(pare_lower_output(lowering, node, 0, out, error));
    *wide = *out;
    if (lowering->integer || op_working_dtype(value->dtype) == value->dtype) {
        return PARE_OK;
    }
    return pare_lower_temporary(lowering, node, op_working_dtype(value->dtype), &value->shape, NULL, wide, error);
}

static pare_status narrow(pare_lowering *lowering, const pare_node *node, uint32_t wide, uint32_t out,
                          pare_error *error) {
    return wide == out ? PARE_OK : op_emit_cast(lowering, node, wide, node->outputs[0]->dtype, out, error);
}

/* The remainder of integers with the dividend's sign: a - b (a / b), truncated. */
static pare_status lower_remainder(pare_lowering *lowering, const pare_node *node, uint32_t a, uint32_t b,
                                   uint32_t wide, pare_error *error) {
    uint32_t quotient = PARE_NONE, whole = PARE_NONE;
    PARE_TRY(op_temporary(lowering, node, wide, NULL, &quotient, error));
    PARE_TRY(op_temporary(lowering, node, wide, NULL, &whole, error));
    PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_DIV, a, b, op_identity, quotient, error));
    PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_MUL, quotient, b, op_identity, whole, error));
    return op_emit_binary(lowering, node, PARE_BINARY_SUB, a, whole, op_identity, wide, error);
}

static pare_status lower_pair(pare_lowering *lowering, const pare_node *node, pare_binary_kind kind,
                              pare_error *error) {
    uint32_t a = PARE_NONE, b = PARE_NONE, out = PARE_NONE, wide = PARE_NONE;
    PARE_TRY(widened_input(lowering, node, 0, &a, error));
    PARE_TRY(widened_input(lowering, node, 1, &b, error));
    PARE_TRY(widened_output(lowering, node, &out, &wide, error));
    if (kind == PARE_BINARY_MOD && pare_node_int(node, "fmod", 0) != 0 && !op_is_float(node->inputs[0]->dtype)) {
        PARE_TRY(lower_remainder(lowering, node, a, b, wide, error));
    } else {
        PARE_TRY(op_emit_binary(lowering, node, kind, a, b, op_activation(node), wide, error));
    }
    return narrow(lowering, node, wide, out, error);
}

/* ((x0 + x1) + x2) + ...; `mean` divides by their number. */
static pare_status lower_chain(pare_lowering *lowering, const pare_node *node, pare_binary_kind kind, bool mean,
                               pare_error *error) {
    uint32_t sum = PARE_NONE, next = PARE_NONE, out = PARE_NONE, target = PARE_NONE, divisor = PARE_NONE;
    uint32_t last = PARE_NONE;
    if (node->input_count == 1) {
        PARE_TRY(pare_lower_input(lowering, node, 0, &sum, error));
        PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
        return op_emit_reshape(lowering, node, sum, out, error);
    }
    PARE_TRY(widened_input(lowering, node, 0, &sum, error));
    PARE_TRY(widened_output(lowering, node, &last, &out, error));
    pare_shape shape = node->inputs[0]->shape;
    for (size_t i = 1; i < node->input_count; i++) {
        (void)pare_shape_broadcast(&shape, &node->inputs[i]->shape, &shape);
        target = out;
        if (mean || i + 1 < node->input_count) {
            PARE_TRY(op_temporary(lowering, node, out, &shape, &target, error));
        }
        PARE_TRY(widened_input(lowering, node, i, &next, error));
        PARE_TRY(op_emit_binary(lowering, node, kind, sum, next, op_identity, target, error));
        sum = target;
    }
    if (mean) {
        PARE_TRY(op_float_scalar(lowering, node, (float)node->input_count, &divisor, error));
        PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_DIV, sum, divisor, op_identity, out, error));
    }
    return narrow(lowering, node, out, last, error);
}

/* --- integer: both operands and the result u8 ------------------------------ */

static bool integer_pair(const pare_node *node) {
    int32_t function = op_activation(node).function;
    return op_is_u8(node->inputs[0]) && op_is_u8(node->inputs[1]) && op_is_u8(node->outputs[0]) &&
           (function == PARE_FN_IDENTITY || function == PARE_FN_RELU || function == PARE_FN_CLIP);
}

/* --- gradient ----------------------------------------------------------------- */

/* An operand; a constant of several numbers is trained where it meets something that is trained. */
static uint32_t operand(pare_tape *tape, const pare_node *node, size_t index) {
    bool trained = false;
    for (size_t i = 0; i < node->input_count; i++) {
        uint32_t other = i != index && !op_is_constant(node->inputs[i]) ? tape_input(tape, node, i) : TAPE_NONE;
        trained |= other != TAPE_NONE && tape_tensor_at(tape, other)->wants_gradient;
    }
    return trained && op_is_constant(node->inputs[index]) && op_count(node->inputs[index]) > 1
               ? tape_weight(tape, node, index, false)
               : tape_input(tape, node, index);
}

static pare_status pair_gradient(pare_tape *tape, const pare_node *node, pare_binary_kind kind, pare_error *error) {
    uint32_t a = operand(tape, node, 0), b = operand(tape, node, 1);
    return tape_binary(tape, node, kind, a, b, tape_output(tape, node, 0), error);
}

/* The slope is trained also where it is one number. */
static pare_status gradient_prelu(pare_tape *tape, const pare_node *node, pare_error *error) {
    return tape_binary(tape, node, PARE_BINARY_PRELU, operand(tape, node, 0), tape_weight(tape, node, 1, false),
                       tape_output(tape, node, 0), error);
}

/* The exponent may have a type of its own: integers become floats, and are part of the formula. */
static pare_status gradient_pow(pare_tape *tape, const pare_node *node, pare_error *error) {
    const pare_value *exponent = node->inputs[1];
    if (exponent->dtype == PARE_F32) {
        return pair_gradient(tape, node, PARE_BINARY_POW, error);
    }
    size_t count = op_count(exponent);
    if (!op_is_constant(exponent)) {
        return tape_refuse(node, error);
    }
    float *floats = pare_alloc_zero(count + 1, sizeof *floats);
    if (floats == NULL) {
        return pare_fail_memory(error, count * sizeof *floats);
    }
    for (size_t i = 0; i < count; i++) {
        (void)op_float_at(exponent, i, &floats[i]);
    }
    uint32_t b = tape_constant(tape, &exponent->shape, floats);
    pare_free(floats);
    return tape_binary(tape, node, PARE_BINARY_POW, operand(tape, node, 0), b, tape_output(tape, node, 0), error);
}

static pare_status chain_gradient(pare_tape *tape, const pare_node *node, pare_binary_kind kind, bool mean,
                                  pare_error *error) {
    uint32_t sum = operand(tape, node, 0), out = tape_output(tape, node, 0);
    if (node->input_count == 1) {
        return tape_reshape(tape, node, sum, out, error);
    }
    pare_shape shape = node->inputs[0]->shape;
    for (size_t i = 1; i < node->input_count; i++) {
        (void)pare_shape_broadcast(&shape, &node->inputs[i]->shape, &shape);
        bool last = !mean && i + 1 == node->input_count;
        uint32_t next = operand(tape, node, i), target = last ? out : tape_temporary(tape, node, &shape);
        PARE_TRY(tape_binary(tape, node, kind, sum, next, target, error));
        sum = target;
    }
    if (mean) {
        float share = 1.0F / (float)node->input_count;
        pare_shape scalar = {.rank = 0};
        return tape_binary(tape, node, PARE_BINARY_MUL, sum, tape_constant(tape, &scalar, &share), out, error);
    }
    return PARE_OK;
}

/* --- channels ---------------------------------------------------------------- */

/* A constant along one axis beside what weights produce is a bias, or a scale by channel; one number is a part of the
 * formula, and a table over several axes (positions, rotations) one of the design. */
static bool is_vector(const pare_value *value) {
    size_t count = op_count(value);
    bool found = false;
    for (int32_t a = 0; a < value->shape.rank; a++) {
        found = found || (count > 1 && value->shape.dims[a] == (int64_t)count);
    }
    return found;
}

static void broadcast_channels(pare_channels *channels, const pare_node *node) {
    bool sum = (node->op->flags & PARE_OP_SUM) != 0, product = (node->op->flags & PARE_OP_PRODUCT) != 0;
    op_channels_broadcast(channels, node);
    for (size_t i = 0; (sum || product) && i < node->input_count; i++) {
        if (is_vector(node->inputs[i])) {
            pare_channels_adjusted_by(channels, node->inputs[i], sum ? 0.0F : 1.0F);
        }
    }
}

/* The slope starts at 1/4 (He et al. 2015, "Delving Deep into Rectifiers", section 2.1). */
static void prelu_channels(pare_channels *channels, const pare_node *node) {
    op_channels_broadcast(channels, node);
    pare_channels_adjusted_by(channels, node->inputs[1], 0.25F);
}

#define KIND(name, kind)                                                                                               \
    static pare_status lower_##name(pare_lowering *lowering, const pare_node *node, pare_error *error) {               \
        return lower_pair(lowering, node, kind, error);                                                                \
    }                                                                                                                  \
    static pare_status fold_##name(pare_graph *graph, pare_node *node, pare_error *error) {                            \
        return fold_integers(graph, node, kind, error);                                                                \
    }
#define SLOPE(name, kind)                                                                                              \
    static pare_status gradient_##name(pare_tape *tape, const pare_node *node, pare_error *error) {                    \
        return pair_gradient(tape, node, kind, error);                                                                 \
    }
#define CHAIN(name, kind, mean)                                                                                        \
    static pare_status lower_##name(pare_lowering *lowering, const pare_node *node, pare_error *error) {               \
        return lower_chain(lowering, node, kind, mean, error);                                                         \
    }                                                                                                                  \
    static pare_status fold_##name(pare_graph *graph, pare_node *node, pare_error *error) {                            \
        return mean ? PARE_OK : fold_integers(graph, node, kind, error);                                               \
    }                                                                                                                  \
    static pare_status gradient_##name(pare_tape *tape, const pare_node *node, pare_error *error) {                    \
        return chain_gradient(tape, node, kind, mean, error);                                                          \
    }

KIND(add, PARE_BINARY_ADD)
KIND(sub, PARE_BINARY_SUB)
KIND(mul, PARE_BINARY_MUL)
KIND(div, PARE_BINARY_DIV)
KIND(pow, PARE_BINARY_POW)
KIND(prelu, PARE_BINARY_PRELU)
KIND(equal, PARE_BINARY_EQUAL)
KIND(less, PARE_BINARY_LESS)
KIND(less_equal, PARE_BINARY_LESS_EQUAL)
KIND(greater, PARE_BINARY_GREATER)
KIND(greater_equal, PARE_BINARY_GREATER_EQUAL)
KIND(and, PARE_BINARY_AND)
KIND(or, PARE_BINARY_OR)
KIND(xor, PARE_BINARY_XOR)
KIND(mod, PARE_BINARY_MOD)
SLOPE(add, PARE_BINARY_ADD)
SLOPE(sub, PARE_BINARY_SUB)
SLOPE(mul, PARE_BINARY_MUL)
SLOPE(div, PARE_BINARY_DIV)
SLOPE(mod, PARE_BINARY_MOD)
CHAIN(min, PARE_BINARY_MIN, false)
CHAIN(max, PARE_BINARY_MAX, false)
CHAIN(sum, PARE_BINARY_ADD, false)
CHAIN(mean, PARE_BINARY_ADD, true)

#define BINARY(op_name, opset, most, type_check, infer_rule, rule, flag_bits, of, folding, integer_rule, slope,        \
               channel_rule)                                                                                           \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = opset, .min_inputs = (most) == 2 ? 2 : 1, .max_inputs = most,          \
        .min_outputs = 1, .max_outputs = 1, .quant = rule, .weight_input = -1, .bias_input = -1, .flags = flag_bits,   \
        .check = type_check, .infer = infer_rule, .fold = folding, .lower = lower_##of, .integer = integer_rule,       \
        .gradient = slope, .channels = channel_rule                                                                    \
    }
#define ARITHMETIC(op_name, opset, flag_bits, of)                                                                      \
    BINARY(op_name, opset, 2, check_same_type, infer_binary, PARE_QUANT_ARITHMETIC, flag_bits, of, fold_##of,          \
           integer_pair, gradient_##of, broadcast_channels)
#define REAL(op_name, opset, of, slope)                                                                                \
    BINARY(op_name, opset, 2, check_same_type, infer_binary, PARE_QUANT_FLOAT, PARE_OP_ACTIVATES, of, fold_##of, NULL, \
           slope, broadcast_channels)
#define COMPARISON(op_name, opset, of)                                                                                 \
    BINARY(op_name, opset, 2, check_same_type, infer_comparison, PARE_QUANT_FLOAT, 0, of, fold_##of, NULL, NULL,       \
           broadcast_channels)
#define VARIADIC(op_name, opset, of, folding)                                                                          \
    BINARY(op_name, opset, 65535, check_same_type, infer_binary, PARE_QUANT_FLOAT, 0, of, folding, NULL,               \
           gradient_##of, broadcast_channels)

PARE_DEFINE_OP(Add) = ARITHMETIC("Add", 7, PARE_OP_ACTIVATES | PARE_OP_SUM, add);
PARE_DEFINE_OP(Sub) = ARITHMETIC("Sub", 7, PARE_OP_ACTIVATES, sub);
PARE_DEFINE_OP(Mul) = ARITHMETIC("Mul", 7, PARE_OP_ACTIVATES | PARE_OP_PRODUCT, mul);
PARE_DEFINE_OP(Div) = REAL("Div", 7, div, gradient_div);
PARE_DEFINE_OP(Pow) = BINARY("Pow", 7, 2, NULL, infer_binary, PARE_QUANT_FLOAT, 0, pow, fold_pow, NULL, gradient_pow,
                             broadcast_channels);
PARE_DEFINE_OP(PRelu) = BINARY("PRelu", 7, 2, NULL, infer_binary, PARE_QUANT_FLOAT, 0, prelu, fold_prelu, NULL,
                               gradient_prelu, prelu_channels);
PARE_DEFINE_OP(Mod) = REAL("Mod", 10, mod, gradient_mod);
PARE_DEFINE_OP(Equal) = COMPARISON("Equal", 7, equal);
PARE_DEFINE_OP(Less) = COMPARISON("Less", 7, less);
PARE_DEFINE_OP(LessOrEqual) = COMPARISON("LessOrEqual", 12, less_equal);
PARE_DEFINE_OP(Greater) = COMPARISON("Greater", 7, greater);
PARE_DEFINE_OP(GreaterOrEqual) = COMPARISON("GreaterOrEqual", 12, greater_equal);
PARE_DEFINE_OP(And) = COMPARISON("And", 7, and);
PARE_DEFINE_OP(Or) = COMPARISON("Or", 7, or);
PARE_DEFINE_OP(Xor) = COMPARISON("Xor", 7, xor);
PARE_DEFINE_OP(Min) = VARIADIC("Min", 6, min, fold_min);
PARE_DEFINE_OP(Max) = VARIADIC("Max", 6, max, fold_max);
PARE_DEFINE_OP(Sum) = VARIADIC("Sum", 6, sum, fold_sum);
PARE_DEFINE_OP(Mean) = VARIADIC("Mean", 6, mean, fold_mean);
