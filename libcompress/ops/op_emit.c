/* Emission of the runtime nodes that many operators lower to. */
#include "op_helpers.h"

#include <math.h>
#include <string.h>

static pare_activation read_activation(const pare_node *node, const char *function, const char *alpha,
                                       const char *beta) {
    return (pare_activation){(int32_t)pare_node_int(node, function, PARE_FN_IDENTITY),
                             pare_node_float(node, alpha, 0.0F), pare_node_float(node, beta, 0.0F)};
}

pare_activation op_activation(const pare_node *node) {
    return read_activation(node, "pare_activation", "pare_alpha", "pare_beta");
}

pare_activation op_inner_activation(const pare_node *node) {
    return read_activation(node, "pare_inner_activation", "pare_inner_alpha", "pare_inner_beta");
}

static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

static double softplus(double x) {
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

/* The functions with parameters or more than one term. */
static double apply_activation(int32_t function, double x, double alpha, double beta) {
    switch (function) {
    case PARE_FN_RELU:
        return x > 0 ? x : 0;
    case PARE_FN_CLIP:
        return clamp(x, alpha, beta);
    case PARE_FN_LEAKY_RELU:
        return x < 0 ? alpha * x : x;
    case PARE_FN_ELU:
        return x < 0 ? alpha * expm1(x) : x;
    case PARE_FN_SELU:
        return beta * (x < 0 ? alpha * expm1(x) : x);
    case PARE_FN_HARD_SIGMOID:
        return clamp(alpha * x + beta, 0, 1);
    case PARE_FN_HARD_SWISH:
        return x * clamp(x / 6 + 0.5, 0, 1);
    case PARE_FN_SILU:
        return x * sigmoid(x);
    case PARE_FN_GELU:
        return 0.5 * x * (1 + erf(x * M_SQRT1_2));
    case PARE_FN_GELU_TANH:
        return 0.5 * x * (1 + tanh(0.5 * M_2_SQRTPI * M_SQRT2 * (x + 0.044715 * x * x * x)));
    case PARE_FN_SOFTSIGN:
        return x / (1 + fabs(x));
    case PARE_FN_MISH:
        return x * tanh(softplus(x));
    case PARE_FN_THRESHOLDED_RELU:
        return x > alpha ? x : 0;
    case PARE_FN_CELU:
        return (x > 0 ? x : 0) + (x < 0 ? alpha * expm1(x / alpha) : 0);
    default:
        return x;
    }
}

double op_apply(const pare_activation *function, double x) {
    static double (*const plain[PARE_FN_END])(double) = {
        [PARE_FN_SIGMOID] = sigmoid, [PARE_FN_TANH] = tanh, [PARE_FN_SOFTPLUS] = softplus, [PARE_FN_EXP] = exp,
        [PARE_FN_LOG] = log,         [PARE_FN_SQRT] = sqrt, [PARE_FN_ABS] = fabs,          [PARE_FN_ERF] = erf,
        [PARE_FN_FLOOR] = floor,     [PARE_FN_CEIL] = ceil, [PARE_FN_ROUND] = rint,        [PARE_FN_SIN] = sin,
        [PARE_FN_COS] = cos,         [PARE_FN_TAN] = tan,
    };
    int32_t which = function->function;
    if (which >= 0 && which < PARE_FN_END && plain[which] != NULL) {
        return plain[which](x);
    }
    switch (which) {
    case PARE_FN_RECIPROCAL:
        return 1 / x;
    case PARE_FN_NEG:
        return -x;
    case PARE_FN_SIGN:
        return x > 0 ? 1 : x < 0 ? -1 : 0;
    case PARE_FN_NOT:
        return x == 0 ? 1 : 0;
    default:
        return apply_activation(which, x, (double)function->alpha, (double)function->beta);
    }
}

pare_status op_temporary(pare_lowering *lowering, const pare_node *node, uint32_t like, const pare_shape *shape,
                         uint32_t *tensor, pare_error *error) {
    pare_model_tensor model = *pare_model_builder_tensor(lowering->builder, like);
    return pare_lower_temporary(lowering, node, model.dtype, shape != NULL ? shape : &model.shape, model.quant, tensor,
                                error);
}

pare_status op_emit_reshape(pare_lowering *lowering, const pare_node *node, uint32_t in, uint32_t out,
                            pare_error *error) {
    const pare_shape *shape = &pare_model_builder_tensor(lowering->builder, out)->shape;
    pare_shape_attrs attrs = {.rank = shape->rank};
    for (int32_t a = 0; a < shape->rank; a++) {
        attrs.dims[a] = (int32_t)shape->dims[a];
    }
    return pare_lower_emit(lowering, node, PARE_OP_RESHAPE, &attrs, &in, 1, &out, 1, error);
}

pare_status op_reshaped(pare_lowering *lowering, const pare_node *node, uint32_t in, const pare_shape *shape,
                        uint32_t *out, pare_error *error) {
    if (pare_shape_equal(&pare_model_builder_tensor(lowering->builder, in)->shape, shape)) {
        *out = in;
        return PARE_OK;
    }
    PARE_TRY(op_temporary(lowering, node, in, shape, out, error));
    return op_emit_reshape(lowering, node, in, *out, error);
}

pare_status op_emit_transpose(pare_lowering *lowering, const pare_node *node, uint32_t in, const int32_t *permutation,
                              uint32_t out, pare_error *error) {
    pare_transpose_attrs attrs = {{0}};
    int32_t rank = pare_model_builder_tensor(lowering->builder, in)->shape.rank;
    for (int32_t a = 0; a < rank; a++) {
        attrs.permutation[a] = permutation[a];
    }
    return pare_lower_emit(lowering, node, PARE_OP_TRANSPOSE, &attrs, &in, 1, &out, 1, error);
}

pare_status op_transposed(pare_lowering *lowering, const pare_node *node, uint32_t in, const int32_t *permutation,
                          uint32_t *out, pare_error *error) {
    pare_shape from = pare_model_builder_tensor(lowering->builder, in)->shape;
    pare_shape to = from;
    for (int32_t a = 0; a < from.rank; a++) {
        to.dims[a] = from.dims[permutation[a]];
    }
    PARE_TRY(op_temporary(lowering, node, in, &to, out, error));
    return op_emit_transpose(lowering, node, in, permutation, *out, error);
}

pare_status op_emit_unary(pare_lowering *lowering, const pare_node *node, pare_activation function, uint32_t in,
                          uint32_t out, pare_error *error) {
    pare_unary_attrs attrs = {function};
    return pare_lower_emit(lowering, node, PARE_OP_UNARY, &attrs, &in, 1, &out, 1, error);
}

pare_status op_emit_binary(pare_lowering *lowering, const pare_node *node, pare_binary_kind kind, uint32_t a,
                           uint32_t b, pare_activation activation, uint32_t out, pare_error *error) {
    pare_binary_attrs attrs = {(int32_t)kind, activation};
    return pare_lower_emit(lowering, node, PARE_OP_BINARY, &attrs, (const uint32_t[]){a, b}, 2, &out, 1, error);
}

pare_status op_emit_table(pare_lowering *lowering, const pare_node *node, pare_activation function, uint32_t in,
                          uint32_t out, pare_error *error) {
    const pare_model_quant *x = pare_model_builder_tensor(lowering->builder, in)->quant;
    const pare_model_quant *y = pare_model_builder_tensor(lowering->builder, out)->quant;
    if (x == NULL || y == NULL) {
        return pare_node_fail(node, error, PARE_INTERNAL, "expected quantized tensors for a table, found others");
    }
    uint8_t table[256];
    for (int32_t q = 0; q < 256; q++) {
        double real = op_apply(&function, (double)(q - x->zero_points[0]) * (double)x->scales[0]);
        double scaled = rint(real / (double)y->scales[0]) + (double)y->zero_points[0];
        table[q] = isnan(scaled) ? (uint8_t)y->zero_points[0] : (uint8_t)clamp(scaled, 0, 255);
    }
    uint32_t inputs[2] = {in, PARE_NONE};
    pare_shape shape = {.rank = 1, .dims = {256}};
    PARE_TRY(pare_lower_constant(lowering, node, PARE_U8, &shape, NULL, table, sizeof table, &inputs[1], error));
    pare_unary_attrs attrs = {function};
    return pare_lower_emit(lowering, node, PARE_OP_UNARY, &attrs, inputs, 2, &out, 1, error);
}

pare_status op_emit_cast(pare_lowering *lowering, const pare_node *node, uint32_t in, pare_dtype to, uint32_t out,
                         pare_error *error) {
    pare_cast_attrs attrs = {(int32_t)to};
    return pare_lower_emit(lowering, node, PARE_OP_CAST, &attrs, &in, 1, &out, 1, error);
}

pare_dtype op_working_dtype(pare_dtype dtype) {
    switch (dtype) {
    case PARE_F16:
    case PARE_BF16:
    case PARE_F64:
        return PARE_F32;
    case PARE_U8:
    case PARE_S8:
    case PARE_U16:
    case PARE_S16:
        return PARE_S32;
    case PARE_U32:
    case PARE_U64:
        return PARE_S64;
    default:
        return dtype;
    }
}

pare_status op_cast_to(pare_lowering *lowering, const pare_node *node, pare_dtype to, uint32_t *tensor,
                       pare_error *error) {
    pare_model_tensor from = *pare_model_builder_tensor(lowering->builder, *tensor);
    uint32_t in = *tensor;
    if (from.dtype == to) {
        return PARE_OK;
    }
    PARE_TRY(pare_lower_temporary(lowering, node, to, &from.shape, NULL, tensor, error));
    return op_emit_cast(lowering, node, in, to, *tensor, error);
}

pare_status op_float_scalar(pare_lowering *lowering, const pare_node *node, float value, uint32_t *tensor,
                            pare_error *error) {
    pare_shape scalar = {.rank = 0};
    return pare_lower_constant(lowering, node, PARE_F32, &scalar, NULL, &value, sizeof value, tensor, error);
}

/* Swaps the last two axes of `source` (of shape [.., rows, columns]). */
static void swap_last(void *to, const void *from, size_t count, size_t rows, size_t columns, size_t size) {
    size_t plane = rows * columns;
    for (size_t i = 0; i < count; i++) {
        size_t base = i / plane * plane;
        size_t row = i % plane / columns;
        size_t column = i % columns;
        memcpy((char *)to + (base + column * rows + row) * size, (const char *)from + i * size, size);
    }
}

static int32_t moved_axis(int32_t axis, int32_t rank, bool transpose) {
    if (!transpose || axis < rank - 2) {
        return axis;
    }
    return axis == rank - 1 ? rank - 2 : rank - 1;
}

pare_status op_weight(pare_lowering *lowering, const pare_node *node, size_t input, const pare_shape *shape,
                      bool transpose, uint32_t *tensor, pare_error *error) {
    const pare_value *value = node->inputs[input];
    int32_t rank = value->shape.rank;
    if (!transpose && pare_shape_equal(&value->shape, shape)) {
        return pare_lower_input(lowering, node, input, tensor, error);
    }
    const pare_quant *quant = value->quant;
    pare_dtype dtype = quant != NULL ? quant->dtype : value->dtype;
    const void *data = value->data;
    void *swapped = NULL;
    pare_status status = PARE_OK;
    if (transpose) {
        swapped = pare_alloc(value->data_bytes);
        if (swapped == NULL) {
            return pare_fail_memory(error, value->data_bytes);
        }
        swap_last(swapped, data, op_count(value), (size_t)value->shape.dims[rank - 2],
                  (size_t)value->shape.dims[rank - 1], pare_dtype_bytes(dtype));
        data = swapped;
    }
    pare_model_quant model = {.axis = -1};
    if (quant != NULL) {
        /* Only trailing axes are inserted or swapped, so that a leading quantized axis stays. */
        int32_t axis = quant->count > 1 ? moved_axis(quant->axis, rank, transpose) : -1;
        model = (pare_model_quant){axis, (uint32_t)quant->count, quant->scales, quant->zero_points};
    }
    status = pare_lower_constant(lowering, node, dtype, shape, quant != NULL ? &model : NULL, data, value->data_bytes,
                                 tensor, error);
    if (status == PARE_OK && quant != NULL && !lowering->integer) {
        pare_no_attrs none = {0};
        uint32_t stored = *tensor;
        status = pare_lower_temporary(lowering, node, PARE_F32, shape, NULL, tensor, error);
        if (status == PARE_OK) {
            status = pare_lower_emit(lowering, node, PARE_OP_DEQUANTIZE, &none, &stored, 1, tensor, 1, error);
        }
    }
    pare_free(swapped);
    return status;
}

/* The bias in the accumulator's grid, x.scale × w.scale[o]. */
static void integer_bias(const pare_value *bias, size_t count, float factor, const float *scales, int32_t *integers) {
    size_t present = op_count(bias);
    const pare_quant *quant = bias->quant;
    for (size_t o = 0; o < count; o++) {
        size_t index = present == 1 ? 0 : o;
        if (quant != NULL && quant->dtype == PARE_S32 && factor == 1.0F) {
            size_t pair = quant->count > 1 ? index : 0;
            if (quant->scales[pair] == scales[o] && quant->zero_points[pair] == 0) {
                integers[o] = ((const int32_t *)bias->data)[index];
                continue;
            }
        }
        float real = 0.0F;
        (void)op_float_at(bias, index, &real);
        double scaled = rint((double)real * (double)factor / (double)scales[o]);
        integers[o] = isnan(scaled) ? 0 : (int32_t)clamp(scaled, INT32_MIN, INT32_MAX);
    }
}

static pare_status lower_integer_bias(pare_lowering *lowering, const pare_node *node, const pare_value *bias,
                                      size_t count, float factor, const pare_value *x, const pare_value *w,
                                      uint32_t *tensor, pare_error *error) {
    pare_status status = PARE_LIMIT;
    float *scales = pare_alloc_zero(count, sizeof *scales);
    int32_t *zeros = pare_alloc_zero(count, sizeof *zeros);
    int32_t *integers = pare_alloc_zero(count, sizeof *integers);
    if (scales == NULL || zeros == NULL || integers == NULL) {
        status = pare_fail_memory(error, count * sizeof *scales);
        goto done;
    }
    for (size_t o = 0; o < count; o++) {
        scales[o] = x->quant->scales[0] * w->quant->scales[w->quant->count > 1 ? o : 0];
    }
    integer_bias(bias, count, factor, scales, integers);
    bool one = w->quant->count == 1;
    pare_model_quant quant = {one ? -1 : 0, one ? 1 : (uint32_t)count, scales, zeros};
    pare_shape shape = {.rank = 1, .dims = {(int64_t)count}};
    status = pare_lower_constant(lowering, node, PARE_S32, &shape, &quant, integers, count * sizeof *integers, tensor,
                                 error);
done:
    pare_free(scales);
    pare_free(zeros);
    pare_free(integers);
    return status;
}

pare_status op_bias(pare_lowering *lowering, const pare_node *node, size_t input, size_t count, float factor,
                    const pare_value *x, const pare_value *w, uint32_t *tensor, pare_error *error) {
    const pare_value *bias = op_input(node, input);
    if (bias == NULL) {
        *tensor = PARE_NONE;
        return PARE_OK;
    }
    if (lowering->integer) {
        return lower_integer_bias(lowering, node, bias, count, factor, x, w, tensor, error);
    }
    if (factor == 1.0F && bias->shape.rank == 1 && bias->shape.dims[0] == (int64_t)count) {
        return pare_lower_input(lowering, node, input, tensor, error);
    }
    float *reals = pare_alloc_zero(count, sizeof *reals);
    if (reals == NULL) {
        return pare_fail_memory(error, count * sizeof *reals);
    }
    size_t present = op_count(bias);
    for (size_t o = 0; o < count; o++) {
        (void)op_float_at(bias, present == 1 ? 0 : o, &reals[o]);
        reals[o] *= factor;
    }
    pare_shape shape = {.rank = 1, .dims = {(int64_t)count}};
    pare_status status =
        pare_lower_constant(lowering, node, PARE_F32, &shape, NULL, reals, count * sizeof *reals, tensor, error);
    pare_free(reals);
    return status;
}
