#include "opcode_shapes.h"

#include <inttypes.h>
#include <math.h>

#include "pare/checked.h"

const pare_model_tensor *pare_query_input(const pare_shape_query *query, uint32_t index) {
    return index < query->input_count ? query->inputs[index] : NULL;
}

pare_status pare_query_answer(const pare_shape_query *query, const pare_shape *shape, pare_dtype dtype) {
    query->shapes[0] = *shape;
    query->dtypes[0] = dtype;
    return PARE_OK;
}

pare_status pare_query_range(const pare_shape_query *query, const char *what, int64_t value, int64_t low,
                             int64_t high) {
    if (value < low || value > high) {
        return pare_fail(query->error, PARE_BAD_INPUT, "expected %s from %" PRId64 " to %" PRId64 ", found %" PRId64,
                         what, low, high, value);
    }
    return PARE_OK;
}

pare_status pare_query_finite(const pare_shape_query *query, const char *what, float value) {
    return isfinite(value)
               ? PARE_OK
               : pare_fail(query->error, PARE_BAD_INPUT, "expected a finite %s, found %g", what, (double)value);
}

pare_status pare_query_activation(const pare_shape_query *query, const pare_activation *activation) {
    PARE_TRY(pare_query_range(query, "an element function", activation->function, 0, PARE_FN_END - 1));
    if (isnan(activation->alpha) || isnan(activation->beta)) {
        return pare_fail(query->error, PARE_BAD_INPUT, "expected numbers as parameters of %s, found NaN",
                         pare_function_name(activation->function));
    }
    return PARE_OK;
}

pare_status pare_query_rank(const pare_shape_query *query, const char *what, const pare_shape *shape, int32_t low,
                            int32_t high) {
    if (shape->rank < low || shape->rank > high) {
        return pare_fail(query->error, PARE_BAD_INPUT, "expected rank %d to %d for %s, found %d", (int)low, (int)high,
                         what, (int)shape->rank);
    }
    return PARE_OK;
}

pare_status pare_query_expect(const pare_shape_query *query, const char *what, uint32_t index,
                              const pare_shape *shape) {
    const pare_model_tensor *input = pare_query_input(query, index);
    if (input != NULL && !pare_shape_equal(&input->shape, shape)) {
        char expected[200], found[200];
        return pare_fail(query->error, PARE_BAD_INPUT, "expected shape %s for %s, found %s",
                         pare_shape_text(shape, expected, sizeof expected), what,
                         pare_shape_text(&input->shape, found, sizeof found));
    }
    return PARE_OK;
}

pare_status pare_query_all(const pare_shape_query *query, pare_dtype dtype) {
    for (uint32_t i = 0; i < query->input_count; i++) {
        if (query->inputs[i] != NULL && query->inputs[i]->dtype != dtype) {
            return pare_fail(query->error, PARE_UNSUPPORTED, "expected input %u of type %s, found %s", i,
                             pare_dtype_name(dtype), pare_dtype_name(query->inputs[i]->dtype));
        }
    }
    return PARE_OK;
}

pare_status pare_query_static(const pare_shape_query *query, const char *what, int64_t dimension) {
    return dimension > 0
               ? PARE_OK
               : pare_fail(query->error, PARE_UNSUPPORTED, "expected %s that does not depend on the batch", what);
}

pare_status pare_shape_check(const pare_shape *shape, pare_error *error) {
    if (shape->rank < 0 || shape->rank > PARE_MAX_RANK) {
        return pare_fail(error, PARE_BAD_INPUT, "expected rank 0 to %d, found %d", PARE_MAX_RANK, (int)shape->rank);
    }
    int64_t product = 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        int64_t dim = shape->dims[i];
        if (dim == 0 || dim > INT32_MAX || dim < -INT32_MAX) {
            return pare_fail(error, PARE_BAD_INPUT, "expected dimension %d not 0 and at most 2^31 - 1, found %" PRId64,
                             (int)i, dim);
        }
        if (!pare_mul_i64(product, dim < 0 ? -dim : dim, &product) || product >= (int64_t)1 << 48) {
            return pare_fail(error, PARE_LIMIT, "expected a shape of fewer than 2^48 elements");
        }
    }
    return PARE_OK;
}

pare_status pare_opcode_shapes(uint32_t opcode, const void *attrs, const pare_model_tensor *const *inputs,
                               uint32_t input_count, pare_shape *shapes, pare_dtype *dtypes, uint32_t output_count,
                               pare_error *error) {
    static pare_shape_rule *const rules[] = {
#define PARE_OPCODE(number, name, record, in_min, in_max, out_min, out_max) [number] = pare_shapes_##name,
#include "pare/opcodes.def"
#undef PARE_OPCODE
    };
    const pare_opcode_info *info = pare_opcode_find(opcode);
    if (info == NULL) {
        return pare_fail(error, PARE_UNSUPPORTED, "unknown opcode %u", opcode);
    }
    if (input_count < info->min_inputs || input_count > info->max_inputs) {
        return pare_fail(error, PARE_BAD_INPUT, "expected %u to %u inputs, found %u", info->min_inputs,
                         info->max_inputs, input_count);
    }
    if (output_count < info->min_outputs || output_count > info->max_outputs) {
        return pare_fail(error, PARE_BAD_INPUT, "expected %u to %u outputs, found %u", info->min_outputs,
                         info->max_outputs, output_count);
    }
    for (uint32_t i = 0; i < input_count; i++) {
        if (inputs[i] == NULL && i < info->min_inputs) {
            return pare_fail(error, PARE_BAD_INPUT, "expected input %u, found none", i);
        }
        if (inputs[i] != NULL) {
            PARE_TRY(pare_shape_check(&inputs[i]->shape, error));
        }
    }
    pare_shape_query query = {attrs, inputs, input_count, output_count, shapes, dtypes, error};
    PARE_TRY(rules[opcode](&query));
    for (uint32_t i = 0; i < output_count; i++) {
        PARE_TRY(pare_shape_check(&shapes[i], error));
    }
    return PARE_OK;
}
