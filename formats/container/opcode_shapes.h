/* Shape rules of opcodes, private to the container library: one function an
 * opcode, which checks attributes and input shapes and gives output shapes. */
#ifndef PARE_OPCODE_SHAPES_H
#define PARE_OPCODE_SHAPES_H

#include "pare/model.h"

typedef struct pare_shape_query {
    const void *attrs;
    const pare_model_tensor *const *inputs; /* those that the arity demands are present */
    uint32_t input_count, output_count;
    pare_shape *shapes;
    pare_dtype *dtypes;
    pare_error *error;
} pare_shape_query;

typedef pare_status pare_shape_rule(const pare_shape_query *query);

#define PARE_OPCODE(number, name, attrs, in_min, in_max, out_min, out_max) pare_shape_rule pare_shapes_##name;
#include "pare/opcodes.def"
#undef PARE_OPCODE

/* The input, or NULL where it is absent. */
const pare_model_tensor *pare_query_input(const pare_shape_query *query, uint32_t index);
/* The first output takes this shape and dtype. */
pare_status pare_query_answer(const pare_shape_query *query, const pare_shape *shape, pare_dtype dtype);
/* PARE_BAD_INPUT unless low <= value <= high. */
pare_status pare_query_range(const pare_shape_query *query, const char *what, int64_t value, int64_t low, int64_t high);
/* PARE_BAD_INPUT unless the value is a finite number. */
pare_status pare_query_finite(const pare_shape_query *query, const char *what, float value);
pare_status pare_query_activation(const pare_shape_query *query, const pare_activation *activation);
pare_status pare_query_rank(const pare_shape_query *query, const char *what, const pare_shape *shape, int32_t low,
                            int32_t high);
/* PARE_BAD_INPUT unless an input, where present, has this shape. */
pare_status pare_query_expect(const pare_shape_query *query, const char *what, uint32_t index, const pare_shape *shape);
/* PARE_UNSUPPORTED unless all present inputs have the dtype. */
pare_status pare_query_all(const pare_shape_query *query, pare_dtype dtype);
/* PARE_BAD_INPUT unless the dimension is above 0, that is independent of the batch. */
pare_status pare_query_static(const pare_shape_query *query, const char *what, int64_t dimension);

/* PARE_BAD_INPUT unless the rank is 0 to PARE_MAX_RANK, dimensions are within
 * ±(2^31 - 1), not 0, and their product is below 2^48. */
pare_status pare_shape_check(const pare_shape *shape, pare_error *error);

#endif
