/* Shape rules of element-wise opcodes, reductions and normalizations. */
#include <math.h>

#include "opcode_shapes.h"

static pare_status keep(const pare_shape_query *query) {
    return pare_query_answer(query, &query->inputs[0]->shape, query->inputs[0]->dtype);
}

static bool is_comparison(int32_t kind) {
    return kind >= PARE_BINARY_EQUAL && kind <= PARE_BINARY_GREATER_EQUAL;
}

pare_status pare_shapes_BINARY(const pare_shape_query *query) {
    const pare_binary_attrs *attrs = query->attrs;
    const pare_model_tensor *a = query->inputs[0];
    const pare_model_tensor *b = query->inputs[1];
    PARE_TRY(pare_query_range(query, "a kind of binary operation", attrs->kind, 0, PARE_BINARY_END - 1));
    PARE_TRY(pare_query_activation(query, &attrs->activation));
    if (a->dtype != b->dtype) {
        return pare_fail(query->error, PARE_BAD_INPUT, "expected inputs of one type, found %s and %s",
                         pare_dtype_name(a->dtype), pare_dtype_name(b->dtype));
    }
    pare_shape y;
    if (!pare_shape_broadcast(&a->shape, &b->shape, &y)) {
        char left[200], right[200];
        return pare_fail(query->error, PARE_BAD_INPUT, "expected shapes that broadcast together, found %s and %s",
                         pare_shape_text(&a->shape, left, sizeof left),
                         pare_shape_text(&b->shape, right, sizeof right));
    }
    return pare_query_answer(query, &y, is_comparison(attrs->kind) ? PARE_BOOL : a->dtype);
}

pare_status pare_shapes_UNARY(const pare_shape_query *query) {
    const pare_unary_attrs *attrs = query->attrs;
    const pare_model_tensor *table = pare_query_input(query, 1);
    PARE_TRY(pare_query_activation(query, &attrs->function));
    PARE_TRY(pare_query_expect(query, "the table", 1, &(pare_shape){1, {256}}));
    if ((query->inputs[0]->dtype == PARE_U8) != (table != NULL)) {
        return pare_fail(query->error, PARE_BAD_INPUT, "expected a table for an input of type uint8 and no other");
    }
    if (table != NULL && (table->dtype != PARE_U8 || table->buffer == PARE_NONE)) {
        return pare_fail(query->error, PARE_BAD_INPUT, "expected a constant table of type uint8");
    }
    return keep(query);
}

pare_status pare_shapes_REDUCE(const pare_shape_query *query) {
    const pare_reduce_attrs *attrs = query->attrs;
    const pare_shape *x = &query->inputs[0]->shape;
    PARE_TRY(pare_query_range(query, "a kind of reduction", attrs->kind, 0, PARE_REDUCE_END - 1));
    PARE_TRY(pare_query_range(query, "a mask of axes", attrs->axis_mask, 0, (1 << x->rank) - 1));
    PARE_TRY(pare_query_range(query, "keep_dims", attrs->keep_dims, 0, 1));
    pare_shape y = {.rank = 0};
    for (int32_t i = 0; i < x->rank; i++) {
        bool reduced = (attrs->axis_mask >> i & 1) != 0;
        if (!reduced || attrs->keep_dims != 0) {
            y.dims[y.rank++] = reduced ? 1 : x->dims[i];
        }
    }
    return pare_query_answer(query, &y, query->inputs[0]->dtype);
}

pare_status pare_shapes_ARG_REDUCE(const pare_shape_query *query) {
    const pare_arg_reduce_attrs *attrs = query->attrs;
    const pare_shape *x = &query->inputs[0]->shape;
    PARE_TRY(pare_query_range(query, "an axis", attrs->axis, 0, x->rank - 1));
    PARE_TRY(pare_query_range(query, "keep_dims", attrs->keep_dims, 0, 1));
    PARE_TRY(pare_query_range(query, "minimum", attrs->minimum, 0, 1));
    PARE_TRY(pare_query_range(query, "last_index", attrs->last_index, 0, 1));
    pare_shape y = {.rank = 0};
    for (int32_t i = 0; i < x->rank; i++) {
        if (i != attrs->axis || attrs->keep_dims != 0) {
            y.dims[y.rank++] = i == attrs->axis ? 1 : x->dims[i];
        }
    }
    return pare_query_answer(query, &y, PARE_S64);
}

pare_status pare_shapes_SOFTMAX(const pare_shape_query *query) {
    const pare_softmax_attrs *attrs = query->attrs;
    PARE_TRY(pare_query_all(query, PARE_F32));
    PARE_TRY(pare_query_range(query, "an axis", attrs->axis, 0, query->inputs[0]->shape.rank - 1));
    PARE_TRY(pare_query_range(query, "logarithm", attrs->logarithm, 0, 1));
    return keep(query);
}

pare_status pare_shapes_QUANTIZE(const pare_shape_query *query) {
    PARE_TRY(pare_query_all(query, PARE_F32));
    if (query->dtypes[0] != PARE_U8 && query->dtypes[0] != PARE_S8) {
        return pare_fail(query->error, PARE_UNSUPPORTED, "expected an output of type uint8 or int8, found %s",
                         pare_dtype_name(query->dtypes[0]));
    }
    query->shapes[0] = query->inputs[0]->shape;
    return PARE_OK;
}

pare_status pare_shapes_DEQUANTIZE(const pare_shape_query *query) {
    const pare_model_tensor *x = query->inputs[0];
    if ((x->dtype != PARE_U8 && x->dtype != PARE_S8 && x->dtype != PARE_S32) || x->quant == NULL) {
        return pare_fail(query->error, PARE_BAD_INPUT,
                         "expected a quantized input of type uint8, int8 or int32, found %s",
                         pare_dtype_name(x->dtype));
    }
    return pare_query_answer(query, &x->shape, PARE_F32);
}

pare_status pare_shapes_CAST(const pare_shape_query *query) {
    const pare_cast_attrs *attrs = query->attrs;
    if (pare_dtype_bytes((pare_dtype)attrs->to) == 0) {
        return pare_fail(query->error, PARE_BAD_INPUT, "expected a known element type, found number %d",
                         (int)attrs->to);
    }
    return pare_query_answer(query, &query->inputs[0]->shape, (pare_dtype)attrs->to);
}

static pare_status epsilon_in_range(const pare_shape_query *query, float epsilon) {
    return epsilon >= 0 && isfinite(epsilon)
               ? PARE_OK
               : pare_fail(query->error, PARE_BAD_INPUT, "expected a finite epsilon of at least 0, found %g",
                           (double)epsilon);
}

pare_status pare_shapes_LAYER_NORM(const pare_shape_query *query) {
    const pare_norm_attrs *attrs = query->attrs;
    const pare_shape *x = &query->inputs[0]->shape;
    PARE_TRY(pare_query_all(query, PARE_F32));
    PARE_TRY(pare_query_range(query, "an axis", attrs->axis, 0, x->rank - 1));
    PARE_TRY(epsilon_in_range(query, attrs->epsilon));
    pare_shape normalized = {.rank = x->rank - attrs->axis};
    for (int32_t i = 0; i < normalized.rank; i++) {
        normalized.dims[i] = x->dims[attrs->axis + i];
        PARE_TRY(pare_query_static(query, "a normalized axis", normalized.dims[i]));
    }
    PARE_TRY(pare_query_expect(query, "the scale", 1, &normalized));
    PARE_TRY(pare_query_expect(query, "the bias", 2, &normalized));
    return keep(query);
}

pare_status pare_shapes_INSTANCE_NORM(const pare_shape_query *query) {
    const pare_norm_attrs *attrs = query->attrs;
    const pare_shape *x = &query->inputs[0]->shape;
    PARE_TRY(pare_query_all(query, PARE_F32));
    PARE_TRY(pare_query_rank(query, "the input", x, 3, PARE_MAX_RANK));
    PARE_TRY(epsilon_in_range(query, attrs->epsilon));
    for (int32_t i = 1; i < x->rank; i++) {
        PARE_TRY(pare_query_static(query, "a normalized axis", x->dims[i]));
    }
    PARE_TRY(pare_query_expect(query, "the scale", 1, &(pare_shape){1, {x->dims[1]}}));
    PARE_TRY(pare_query_expect(query, "the bias", 2, &(pare_shape){1, {x->dims[1]}}));
    return keep(query);
}

pare_status pare_shapes_LRN(const pare_shape_query *query) {
    const pare_lrn_attrs *attrs = query->attrs;
    PARE_TRY(pare_query_all(query, PARE_F32));
    PARE_TRY(pare_query_rank(query, "the input", &query->inputs[0]->shape, 2, PARE_MAX_RANK));
    PARE_TRY(pare_query_range(query, "a size", attrs->size, 1, INT32_MAX));
    PARE_TRY(pare_query_finite(query, "alpha", attrs->alpha));
    PARE_TRY(pare_query_finite(query, "beta", attrs->beta));
    PARE_TRY(pare_query_finite(query, "bias", attrs->bias));
    return keep(query);
}
