/* Shape rules of opcodes that move elements without changing them. */
#include <inttypes.h>

#include "opcode_shapes.h"

static pare_status same_dtype(const pare_shape_query *query, uint32_t first) {
    for (uint32_t i = first + 1; i < query->input_count; i++) {
        if (query->inputs[i]->dtype != query->inputs[first]->dtype) {
            return pare_fail(query->error, PARE_BAD_INPUT, "expected inputs of one type, found %s and %s",
                             pare_dtype_name(query->inputs[first]->dtype), pare_dtype_name(query->inputs[i]->dtype));
        }
    }
    return PARE_OK;
}

pare_status pare_shapes_CONCAT(const pare_shape_query *query) {
    const pare_axis_attrs *attrs = query->attrs;
    for (uint32_t i = 0; i < query->input_count; i++) {
        if (query->inputs[i] == NULL) {
            return pare_fail(query->error, PARE_BAD_INPUT, "expected input %u, found none", i);
        }
    }
    PARE_TRY(same_dtype(query, 0));
    pare_shape y = query->inputs[0]->shape;
    PARE_TRY(pare_query_range(query, "an axis", attrs->axis, 0, y.rank - 1));
    for (uint32_t i = 1; i < query->input_count; i++) {
        pare_shape other = query->inputs[i]->shape;
        int64_t added = attrs->axis < other.rank ? other.dims[attrs->axis] : 0;
        int64_t *along = &y.dims[attrs->axis];
        other.dims[attrs->axis] = *along;
        /* Below 65,536 inputs of 2^31 elements: the sum cannot overflow. */
        if (!pare_shape_equal(&y, &other) || (added < 0) != (*along < 0)) {
            char expected[200], found[200];
            return pare_fail(query->error, PARE_BAD_INPUT,
                             "expected inputs that agree with %s but on axis %d, found %s",
                             pare_shape_text(&query->inputs[0]->shape, expected, sizeof expected), (int)attrs->axis,
                             pare_shape_text(&query->inputs[i]->shape, found, sizeof found));
        }
        *along += added;
    }
    return pare_query_answer(query, &y, query->inputs[0]->dtype);
}

pare_status pare_shapes_SLICE(const pare_shape_query *query) {
    const pare_slice_attrs *slice = query->attrs;
    pare_shape y = query->inputs[0]->shape;
    for (int32_t i = 0; i < y.rank; i++) {
        int64_t dim = y.dims[i], start = slice->start[i], step = slice->step[i], count = slice->count[i];
        if (dim < 0) {
            if (count != dim || start != 0 || step != 1) {
                return pare_fail(query->error, PARE_UNSUPPORTED, "expected axis %d, the batch, to be taken whole",
                                 (int)i);
            }
            continue;
        }
        PARE_TRY(pare_query_range(query, "a slice's start", start, 0, dim - 1));
        PARE_TRY(pare_query_range(query, "a slice's count", count, 1, dim));
        if (step == 0) {
            return pare_fail(query->error, PARE_BAD_INPUT, "expected a slice's step other than 0");
        }
        PARE_TRY(pare_query_range(query, "a slice's last index", start + (count - 1) * step, 0, dim - 1));
        y.dims[i] = count;
    }
    return pare_query_answer(query, &y, query->inputs[0]->dtype);
}

pare_status pare_shapes_GATHER(const pare_shape_query *query) {
    const pare_axis_attrs *attrs = query->attrs;
    const pare_shape *x = &query->inputs[0]->shape;
    const pare_shape *indices = &query->inputs[1]->shape;
    pare_dtype type = query->inputs[1]->dtype;
    if (type != PARE_S32 && type != PARE_S64) {
        return pare_fail(query->error, PARE_UNSUPPORTED, "expected indices of type int32 or int64, found %s",
                         pare_dtype_name(type));
    }
    PARE_TRY(pare_query_range(query, "an axis", attrs->axis, 0, x->rank - 1));
    PARE_TRY(pare_query_range(query, "a rank", (int64_t)x->rank - 1 + indices->rank, 0, PARE_MAX_RANK));
    pare_shape y = {.rank = 0};
    for (int32_t i = 0; i < x->rank; i++) {
        for (int32_t j = 0; i == attrs->axis && j < indices->rank; j++) {
            y.dims[y.rank++] = indices->dims[j];
        }
        if (i != attrs->axis) {
            y.dims[y.rank++] = x->dims[i];
        }
    }
    return pare_query_answer(query, &y, query->inputs[0]->dtype);
}

static pare_status stored_shape(const pare_shape_query *query, pare_shape *shape) {
    const pare_shape_attrs *attrs = query->attrs;
    PARE_TRY(pare_query_range(query, "a rank", attrs->rank, 0, PARE_MAX_RANK));
    *shape = (pare_shape){.rank = attrs->rank};
    for (int32_t i = 0; i < attrs->rank; i++) {
        shape->dims[i] = attrs->dims[i];
    }
    return pare_shape_check(shape, query->error);
}

/* Elements as factor × batch^power; pare_shape_check has bounded the factor. */
static int64_t symbolic_elements(const pare_shape *shape, int *power) {
    int64_t factor = 1;
    *power = 0;
    for (int32_t i = 0; i < shape->rank; i++) {
        factor *= shape->dims[i] < 0 ? -shape->dims[i] : shape->dims[i];
        *power += shape->dims[i] < 0;
    }
    return factor;
}

pare_status pare_shapes_RESHAPE(const pare_shape_query *query) {
    const pare_shape *x = &query->inputs[0]->shape;
    pare_shape y;
    PARE_TRY(stored_shape(query, &y));
    int power_x, power_y;
    if (symbolic_elements(x, &power_x) != symbolic_elements(&y, &power_y) || power_x != power_y) {
        char from[200], to[200];
        return pare_fail(query->error, PARE_BAD_INPUT, "expected shapes of as many elements, found %s and %s",
                         pare_shape_text(x, from, sizeof from), pare_shape_text(&y, to, sizeof to));
    }
    return pare_query_answer(query, &y, query->inputs[0]->dtype);
}

pare_status pare_shapes_EXPAND(const pare_shape_query *query) {
    const pare_shape *x = &query->inputs[0]->shape;
    pare_shape target, y;
    PARE_TRY(stored_shape(query, &target));
    if (!pare_shape_broadcast(x, &target, &y)) {
        char from[200], to[200];
        return pare_fail(query->error, PARE_BAD_INPUT, "expected a shape that broadcasts to %s, found %s",
                         pare_shape_text(&target, to, sizeof to), pare_shape_text(x, from, sizeof from));
    }
    return pare_query_answer(query, &y, query->inputs[0]->dtype);
}

pare_status pare_shapes_TRANSPOSE(const pare_shape_query *query) {
    const pare_transpose_attrs *attrs = query->attrs;
    const pare_shape *x = &query->inputs[0]->shape;
    pare_shape y = {.rank = x->rank};
    uint32_t seen = 0;
    for (int32_t i = 0; i < x->rank; i++) {
        PARE_TRY(pare_query_range(query, "an axis", attrs->permutation[i], 0, x->rank - 1));
        y.dims[i] = x->dims[attrs->permutation[i]];
        seen |= 1u << attrs->permutation[i];
    }
    if (seen != (1u << x->rank) - 1) {
        return pare_fail(query->error, PARE_BAD_INPUT, "expected a permutation, found an axis twice");
    }
    return pare_query_answer(query, &y, query->inputs[0]->dtype);
}

pare_status pare_shapes_PAD(const pare_shape_query *query) {
    const pare_pad_attrs *pad = query->attrs;
    pare_shape y = query->inputs[0]->shape;
    PARE_TRY(pare_query_range(query, "a padding mode", pad->mode, 0, PARE_PAD_END - 1));
    for (int32_t i = 0; i < y.rank; i++) {
        int64_t dim = y.dims[i], before = pad->before[i], after = pad->after[i];
        if (before == 0 && after == 0) {
            continue;
        }
        PARE_TRY(pare_query_static(query, "a padded axis", dim));
        int64_t kept = dim + (before < 0 ? before : 0) + (after < 0 ? after : 0);
        PARE_TRY(pare_query_range(query, "a size after cropping", kept, 1, INT32_MAX));
        /* Reflection and wrapping take what lies inside. */
        int64_t most = pad->mode == PARE_PAD_REFLECT ? kept - 1 : pad->mode == PARE_PAD_WRAP ? kept : INT32_MAX;
        PARE_TRY(pare_query_range(query, "padding", before, INT32_MIN, most));
        PARE_TRY(pare_query_range(query, "padding", after, INT32_MIN, most));
        y.dims[i] = dim + before + after;
    }
    return pare_query_answer(query, &y, query->inputs[0]->dtype);
}

pare_status pare_shapes_WHERE(const pare_shape_query *query) {
    if (query->inputs[0]->dtype != PARE_BOOL) {
        return pare_fail(query->error, PARE_BAD_INPUT, "expected a condition of type bool, found %s",
                         pare_dtype_name(query->inputs[0]->dtype));
    }
    PARE_TRY(same_dtype(query, 1));
    pare_shape y = query->inputs[0]->shape;
    for (uint32_t i = 1; i < 3; i++) {
        if (!pare_shape_broadcast(&y, &query->inputs[i]->shape, &y)) {
            return pare_fail(query->error, PARE_BAD_INPUT, "expected shapes that broadcast together");
        }
    }
    return pare_query_answer(query, &y, query->inputs[1]->dtype);
}
