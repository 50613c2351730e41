/* Operators that select elements by a condition: Trilu, Hardmax, OneHot,
 * Shrink, IsNaN, IsInf. Each is a few comparisons and a WHERE. */
#include "op_helpers.h"

#include <math.h>

#include "train/tape/tape_record.h"

static pare_status emit_where(pare_lowering *lowering, const pare_node *node, uint32_t condition, uint32_t a,
                              uint32_t b, uint32_t out, pare_error *error) {
    pare_no_attrs none = {0};
    return pare_lower_emit(lowering, node, PARE_OP_WHERE, &none, (const uint32_t[]){condition, a, b}, 3, &out, 1,
                           error);
}

/* A comparison into a temporary of output 0's shape. */
static pare_status compared(pare_lowering *lowering, const pare_node *node, pare_binary_kind kind, uint32_t a,
                            uint32_t b, uint32_t *mask, pare_error *error) {
    PARE_TRY(pare_lower_temporary(lowering, node, PARE_BOOL, &node->outputs[0]->shape, NULL, mask, error));
    return op_emit_binary(lowering, node, kind, a, b, op_identity, *mask, error);
}

/* What lowering makes up for a node, in bytes: a small file must not ask for gigabytes. */
static pare_status check_made_up(const pare_node *node, int64_t elements, size_t size, pare_error *error) {
    return elements <= (int64_t)(OP_LARGEST_CONSTANT / size)
               ? PARE_OK
               : pare_node_fail(node, error, PARE_LIMIT, "expected at most %zu elements, found %lld",
                                OP_LARGEST_CONSTANT / size, (long long)elements);
}

/* 0, 1, 2, ... count - 1 along one axis of a shape of ones. */
static pare_status counting(pare_lowering *lowering, const pare_node *node, int32_t rank, int32_t axis, int64_t count,
                            uint32_t *tensor, pare_error *error) {
    pare_shape shape = {.rank = rank};
    for (int32_t a = 0; a < rank; a++) {
        shape.dims[a] = a == axis ? count : 1;
    }
    PARE_TRY(check_made_up(node, count, sizeof(int64_t), error));
    int64_t *numbers = pare_alloc_zero((size_t)count, sizeof *numbers);
    if (numbers == NULL) {
        return pare_fail_memory(error, (size_t)count * sizeof *numbers);
    }
    for (int64_t i = 0; i < count; i++) {
        numbers[i] = i;
    }
    pare_status status = pare_lower_constant(lowering, node, PARE_S64, &shape, NULL, numbers,
                                             (size_t)count * sizeof *numbers, tensor, error);
    pare_free(numbers);
    return status;
}

/* --- Trilu: keeps one side of diagonal k ---------------------------------------- */

static pare_status trilu_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    PARE_TRY(op_check_rank(node, 0, 2, PARE_MAX_RANK, error));
    if (x->dims[x->rank - 1] < 1 || x->dims[x->rank - 2] < 1) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected fixed rows and columns, found open or none");
    }
    return op_infer_same(graph, node, error);
}

static pare_status trilu_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    int64_t rows = x->dims[x->rank - 2], columns = x->dims[x->rank - 1], diagonal = 0;
    uint32_t in = PARE_NONE, out = PARE_NONE, mask = PARE_NONE, zero = PARE_NONE;
    pare_shape plane = op_shape(2, (const int64_t[]){rows, columns}), scalar = {.rank = 0};
    const uint64_t nothing = 0;
    size_t count = 0;
    if (op_input(node, 1) != NULL && !op_int_at(node->inputs[1], 0, &diagonal)) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED,
                              "expected a constant diagonal, found one that is computed");
    }
    PARE_TRY(check_made_up(node, rows * columns, 1, error));
    bool upper = pare_node_int(node, "upper", 1) != 0;
    uint8_t *keep = pare_shape_elements(&plane, &count) ? pare_alloc_zero(count, 1) : NULL;
    if (keep == NULL) {
        return pare_fail_memory(error, count);
    }
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < columns; c++) {
            keep[r * columns + c] = upper ? c - r >= diagonal : c - r <= diagonal;
        }
    }
    pare_status status = pare_lower_constant(lowering, node, PARE_BOOL, &plane, NULL, keep, count, &mask, error);
    pare_free(keep);
    PARE_TRY(status);
    pare_dtype dtype = node->inputs[0]->dtype;
    PARE_TRY(
        pare_lower_constant(lowering, node, dtype, &scalar, NULL, &nothing, pare_dtype_bytes(dtype), &zero, error));
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return emit_where(lowering, node, mask, in, zero, out, error);
}

/* --- Hardmax: 1 at the first largest element ------------------------------------- */

static pare_status hardmax_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    int32_t axis = 0;
    const pare_shape *x = &node->inputs[0]->shape;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", -1), x->rank, &axis, error));
    if (x->dims[axis] < 1) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected a fixed axis, found an open one");
    }
    return op_infer_same(graph, node, error);
}

static pare_status hardmax_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    pare_shape reduced = *x;
    pare_arg_reduce_attrs attrs = {.keep_dims = 1};
    uint32_t in = PARE_NONE, out = PARE_NONE, first = PARE_NONE, numbers = PARE_NONE, mask = PARE_NONE;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", -1), x->rank, &attrs.axis, error));
    reduced.dims[attrs.axis] = 1;
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_temporary(lowering, node, PARE_S64, &reduced, NULL, &first, error));
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_ARG_REDUCE, &attrs, &in, 1, &first, 1, error));
    PARE_TRY(counting(lowering, node, x->rank, attrs.axis, x->dims[attrs.axis], &numbers, error));
    PARE_TRY(compared(lowering, node, PARE_BINARY_EQUAL, first, numbers, &mask, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return op_emit_cast(lowering, node, mask, node->outputs[0]->dtype, out, error);
}

/* --- OneHot: indices, depth, values (off, on) -------------------------------------- */

static pare_status one_hot_plan(const pare_node *node, int32_t *axis, int64_t *depth, pare_error *error) {
    float real = 0;
    if (!op_int_at(node->inputs[1], 0, depth)) {
        if (!op_float_at(node->inputs[1], 0, &real)) {
            return pare_node_fail(node, error, PARE_UNSUPPORTED,
                                  "expected a constant depth, found one that is computed");
        }
        *depth = real >= 1.0F && real < 2147483648.0F ? (int64_t)real : 0;
    }
    int32_t rank = node->inputs[0]->shape.rank + 1;
    if (*depth < 1 || *depth > INT32_MAX || rank > PARE_MAX_RANK || op_count(node->inputs[2]) != 2) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected a depth of at least 1 and two values, found %lld",
                              (long long)*depth);
    }
    return op_axis(node, pare_node_int(node, "axis", -1), rank, axis, error);
}

static pare_status one_hot_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    int32_t axis = 0;
    int64_t depth = 0;
    PARE_TRY(one_hot_plan(node, &axis, &depth, error));
    const pare_shape *x = &node->inputs[0]->shape;
    pare_shape y = {.rank = x->rank + 1};
    for (int32_t a = 0; a < y.rank; a++) {
        y.dims[a] = a == axis ? depth : x->dims[a < axis ? a : a - 1];
    }
    return op_set_output(node, 0, node->inputs[2]->dtype, &y, error);
}

static pare_status one_value(pare_lowering *lowering, const pare_node *node, uint32_t values, int32_t index,
                             uint32_t *tensor, pare_error *error) {
    pare_slice_attrs attrs = {{index}, {1}, {1}};
    pare_shape one = {.rank = 1, .dims = {1}};
    PARE_TRY(op_temporary(lowering, node, values, &one, tensor, error));
    return pare_lower_emit(lowering, node, PARE_OP_SLICE, &attrs, &values, 1, tensor, 1, error);
}

static pare_status one_hot_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    int32_t axis = 0;
    int64_t depth = 0;
    uint32_t indices = PARE_NONE, values = PARE_NONE, off = PARE_NONE, on = PARE_NONE, numbers = PARE_NONE;
    uint32_t below = PARE_NONE, either = PARE_NONE, mask[2], out = PARE_NONE, span = PARE_NONE;
    PARE_TRY(one_hot_plan(node, &axis, &depth, error));
    pare_shape split = node->outputs[0]->shape, scalar = {.rank = 0};
    split.dims[axis] = 1;
    PARE_TRY(pare_lower_input(lowering, node, 0, &indices, error));
    PARE_TRY(pare_lower_input(lowering, node, 2, &values, error));
    PARE_TRY(op_cast_to(lowering, node, PARE_S64, &indices, error));
    PARE_TRY(op_reshaped(lowering, node, indices, &split, &indices, error));
    /* An index below 0 counts from the end: it equals i or i - depth. */
    PARE_TRY(counting(lowering, node, split.rank, axis, depth, &numbers, error));
    PARE_TRY(pare_lower_constant(lowering, node, PARE_S64, &scalar, NULL, &depth, sizeof depth, &span, error));
    PARE_TRY(op_temporary(lowering, node, indices, NULL, &below, error));
    PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_ADD, indices, span, op_identity, below, error));
    PARE_TRY(compared(lowering, node, PARE_BINARY_EQUAL, indices, numbers, &mask[0], error));
    PARE_TRY(compared(lowering, node, PARE_BINARY_EQUAL, below, numbers, &mask[1], error));
    PARE_TRY(compared(lowering, node, PARE_BINARY_OR, mask[0], mask[1], &either, error));
    PARE_TRY(one_value(lowering, node, values, 0, &off, error));
    PARE_TRY(one_value(lowering, node, values, 1, &on, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return emit_where(lowering, node, either, on, off, out, error);
}

/* --- Shrink: x < -lambd: x + bias; x > lambd: x - bias; else 0 ----------------------- */

static pare_status shrink_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    float lambda = pare_node_float(node, "lambd", 0.5F), bias = pare_node_float(node, "bias", 0.0F);
    const float numbers[4] = {-lambda, lambda, bias, 0.0F};
    uint32_t in = PARE_NONE, out = PARE_NONE, constant[4], mask[2], side[2], low = PARE_NONE;
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    for (size_t i = 0; i < 4; i++) {
        PARE_TRY(op_float_scalar(lowering, node, numbers[i], &constant[i], error));
    }
    for (size_t i = 0; i < 2; i++) {
        PARE_TRY(compared(lowering, node, i == 0 ? PARE_BINARY_LESS : PARE_BINARY_GREATER, in, constant[i], &mask[i],
                          error));
        PARE_TRY(op_temporary(lowering, node, in, NULL, &side[i], error));
        PARE_TRY(op_emit_binary(lowering, node, i == 0 ? PARE_BINARY_ADD : PARE_BINARY_SUB, in, constant[2],
                                op_identity, side[i], error));
    }
    PARE_TRY(op_temporary(lowering, node, in, NULL, &low, error));
    PARE_TRY(emit_where(lowering, node, mask[0], side[0], constant[3], low, error));
    return emit_where(lowering, node, mask[1], side[1], low, out, error);
}

/* x outside ±lambda, else 0, is u = t(x) - t(-x), where t passes what is above lambda; y = u - bias × sign(u). */
static pare_status shrink_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    const pare_shape *shape = &node->outputs[0]->shape, scalar = {.rank = 0};
    float lambda = pare_node_float(node, "lambd", 0.5F), bias = pare_node_float(node, "bias", 0.0F);
    const pare_activation beyond = {PARE_FN_THRESHOLDED_RELU, lambda, 0.0F}, negative = {PARE_FN_NEG, 0.0F, 0.0F};
    uint32_t x = tape_input(tape, node, 0), y = tape_output(tape, node, 0), step[6];
    if (lambda < 0.0F) { /* the two sides overlap */
        return tape_refuse(node, error);
    }
    for (size_t i = 0; i < 6; i++) {
        step[i] = tape_temporary(tape, node, shape);
    }
    uint32_t kept = bias == 0.0F ? y : step[3];
    PARE_TRY(tape_unary(tape, node, beyond, x, step[0], error));
    PARE_TRY(tape_unary(tape, node, negative, x, step[1], error));
    PARE_TRY(tape_unary(tape, node, beyond, step[1], step[2], error));
    PARE_TRY(tape_binary(tape, node, PARE_BINARY_SUB, step[0], step[2], kept, error));
    if (bias == 0.0F) {
        return PARE_OK;
    }
    PARE_TRY(tape_unary(tape, node, (pare_activation){PARE_FN_SIGN, 0.0F, 0.0F}, kept, step[4], error));
    PARE_TRY(tape_binary(tape, node, PARE_BINARY_MUL, step[4], tape_constant(tape, &scalar, &bias), step[5], error));
    return tape_binary(tape, node, PARE_BINARY_SUB, kept, step[5], y, error);
}

/* --- IsNaN, IsInf --------------------------------------------------------------------- */

static pare_status predicate_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    return op_set_output(node, 0, PARE_BOOL, &node->inputs[0]->shape, error);
}

static pare_status is_nan_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    uint32_t in = PARE_NONE, out = PARE_NONE, same = PARE_NONE;
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    PARE_TRY(compared(lowering, node, PARE_BINARY_EQUAL, in, in, &same, error));
    return op_emit_unary(lowering, node, (pare_activation){PARE_FN_NOT, 0.0F, 0.0F}, same, out, error);
}

static pare_status is_inf_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    bool positive = pare_node_int(node, "detect_positive", 1) != 0;
    bool negative = pare_node_int(node, "detect_negative", 1) != 0;
    uint32_t in = PARE_NONE, out = PARE_NONE, size = PARE_NONE, bound = PARE_NONE;
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    if (!positive && !negative) {
        return op_emit_binary(lowering, node, PARE_BINARY_LESS, in, in, op_identity, out, error);
    }
    if (positive && negative) {
        PARE_TRY(op_temporary(lowering, node, in, NULL, &size, error));
        PARE_TRY(op_emit_unary(lowering, node, (pare_activation){PARE_FN_ABS, 0.0F, 0.0F}, in, size, error));
        in = size;
    }
    PARE_TRY(op_float_scalar(lowering, node, positive ? INFINITY : -INFINITY, &bound, error));
    return op_emit_binary(lowering, node, PARE_BINARY_EQUAL, in, bound, op_identity, out, error);
}

#define SELECT(op_name, opset, fewest, most, infer_rule, lower_rule, slope)                                            \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = opset, .min_inputs = fewest, .max_inputs = most, .min_outputs = 1,     \
        .max_outputs = 1, .weight_input = -1, .bias_input = -1, .infer = infer_rule, .lower = lower_rule,              \
        .gradient = slope                                                                                              \
    }

/* Trilu moves what it keeps to where it was. */
PARE_DEFINE_OP(Trilu) = SELECT("Trilu", 14, 1, 2, trilu_infer, trilu_lower, tape_record_move);
PARE_DEFINE_OP(Hardmax) = SELECT("Hardmax", 13, 1, 1, hardmax_infer, hardmax_lower, NULL);
PARE_DEFINE_OP(OneHot) = SELECT("OneHot", 9, 3, 3, one_hot_infer, one_hot_lower, NULL);
PARE_DEFINE_OP(Shrink) = SELECT("Shrink", 9, 1, 1, op_infer_same, shrink_lower, shrink_gradient);
PARE_DEFINE_OP(IsNaN) = SELECT("IsNaN", 9, 1, 1, predicate_infer, is_nan_lower, NULL);
PARE_DEFINE_OP(IsInf) = SELECT("IsInf", 10, 1, 1, predicate_infer, is_inf_lower, NULL);
