#include "op_helpers.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define BATCH_MARK_SPAN ((int64_t)1 << 31)

bool op_is_constant(const pare_value *value) {
    return value != NULL && value->data != NULL;
}

size_t op_count(const pare_value *value) {
    size_t count = 0;
    return pare_shape_elements(&value->shape, &count) ? count : 0;
}

pare_value *op_input(const pare_node *node, size_t index) {
    return index < node->input_count ? node->inputs[index] : NULL;
}

pare_value *op_output(const pare_node *node, size_t index) {
    return index < node->output_count ? node->outputs[index] : NULL;
}

bool op_is_float(pare_dtype dtype) {
    return dtype == PARE_F32 || dtype == PARE_F16 || dtype == PARE_F64 || dtype == PARE_BF16;
}

static pare_dtype stored_dtype(const pare_value *value) {
    return value->quant != NULL ? value->quant->dtype : value->dtype;
}

static bool stored_int(const void *data, pare_dtype dtype, size_t index, int64_t *element) {
    switch (dtype) {
    case PARE_S64:
        *element = ((const int64_t *)data)[index];
        return true;
    case PARE_S32:
        *element = ((const int32_t *)data)[index];
        return true;
    case PARE_S16:
        *element = ((const int16_t *)data)[index];
        return true;
    case PARE_S8:
        *element = ((const int8_t *)data)[index];
        return true;
    case PARE_U8:
    case PARE_BOOL:
        *element = ((const uint8_t *)data)[index];
        return true;
    case PARE_U16:
        *element = ((const uint16_t *)data)[index];
        return true;
    case PARE_U32:
        *element = ((const uint32_t *)data)[index];
        return true;
    case PARE_U64:
        *element = (int64_t)((const uint64_t *)data)[index];
        return *element >= 0; /* no int64 beyond */
    default:
        return false;
    }
}

bool op_int_at(const pare_value *value, size_t index, int64_t *element) {
    return op_is_constant(value) && index < op_count(value) && value->quant == NULL &&
           stored_int(value->data, value->dtype, index, element);
}

/* Which of the quantization's pairs belongs to element `index`. */
static size_t quant_index(const pare_value *value, size_t index) {
    const pare_quant *quant = value->quant;
    if (quant->axis < 0 || quant->axis >= value->shape.rank || quant->count < 2) {
        return 0;
    }
    size_t inner = 1;
    for (int32_t a = quant->axis + 1; a < value->shape.rank; a++) {
        inner *= (size_t)value->shape.dims[a];
    }
    return index / inner % quant->count;
}

bool op_float_at(const pare_value *value, size_t index, float *element) {
    if (!op_is_constant(value) || index >= op_count(value)) {
        return false;
    }
    int64_t integer = 0;
    switch (stored_dtype(value)) {
    case PARE_F32:
        *element = ((const float *)value->data)[index];
        return true;
    case PARE_F64:
        *element = (float)((const double *)value->data)[index];
        return true;
    case PARE_F16:
        *element = pare_f16_to_f32(((const uint16_t *)value->data)[index]);
        return true;
    case PARE_BF16:
        *element = pare_bf16_to_f32(((const uint16_t *)value->data)[index]);
        return true;
    default:
        if (!stored_int(value->data, stored_dtype(value), index, &integer)) {
            return false;
        }
    }
    if (value->quant == NULL) {
        *element = (float)integer;
    } else {
        size_t pair = quant_index(value, index);
        *element = (float)(integer - value->quant->zero_points[pair]) * value->quant->scales[pair];
    }
    return true;
}

pare_status op_ints(const pare_node *node, size_t input, int64_t *ints, size_t capacity, size_t *count,
                    pare_error *error) {
    const pare_value *value = op_input(node, input);
    *count = 0;
    if (value == NULL) {
        return PARE_OK;
    }
    if (!op_is_constant(value)) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED,
                              "expected input %zu (\"%s\") to be constant, found one that is computed", input,
                              value->name);
    }
    size_t elements = op_count(value);
    if (value->shape.rank > 1 || elements > capacity) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected at most %zu elements in input \"%s\", found %zu",
                              capacity, value->name, elements);
    }
    for (size_t i = 0; i < elements; i++) {
        if (!op_int_at(value, i, &ints[i])) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected integers in input \"%s\", found %s",
                                  value->name, pare_dtype_name(value->dtype));
        }
    }
    *count = elements;
    return PARE_OK;
}

pare_status op_ints_or_attr(const pare_node *node, size_t input, const char *attr, int64_t *ints, size_t capacity,
                            size_t *count, pare_error *error) {
    if (op_input(node, input) != NULL) {
        return op_ints(node, input, ints, capacity, count, error);
    }
    const int64_t *listed = NULL;
    *count = pare_node_ints(node, attr, &listed);
    if (*count > capacity) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected at most %zu elements in attribute %s, found %zu",
                              capacity, attr, *count);
    }
    if (*count > 0) {
        memcpy(ints, listed, *count * sizeof *ints);
    }
    return PARE_OK;
}

pare_status op_axis(const pare_node *node, int64_t axis, int32_t rank, int32_t *normalized, pare_error *error) {
    if (axis < -(int64_t)rank || axis >= rank) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected an axis in [%d, %d), found %lld", (int)-rank,
                              (int)rank, (long long)axis);
    }
    *normalized = (int32_t)(axis < 0 ? axis + rank : axis);
    return PARE_OK;
}

pare_status op_axis_mask(const pare_node *node, const int64_t *axes, size_t count, int32_t rank, uint32_t *mask,
                         pare_error *error) {
    *mask = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t axis = 0;
        PARE_TRY(op_axis(node, axes[i], rank, &axis, error));
        if ((*mask >> axis & 1U) != 0) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected each axis once, found %d twice", (int)axis);
        }
        *mask |= 1U << axis;
    }
    return PARE_OK;
}

bool op_symbolic_elements(const pare_shape *shape, int64_t *product, bool *open) {
    *product = 1;
    *open = false;
    for (int32_t a = 0; a < shape->rank; a++) {
        int64_t extent = shape->dims[a];
        if (extent < 0) {
            if (*open || extent < -INT32_MAX) {
                return false;
            }
            *open = true;
            extent = -extent;
        }
        if (!pare_mul_i64(*product, extent, product)) {
            return false;
        }
    }
    return true;
}

pare_status op_set_output(const pare_node *node, size_t index, pare_dtype dtype, const pare_shape *shape,
                          pare_error *error) {
    pare_value *value = op_output(node, index);
    if (value == NULL) {
        return PARE_OK;
    }
    if (shape->rank < 0 || shape->rank > PARE_MAX_RANK) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected an output of at most %d dimensions, found %d",
                              PARE_MAX_RANK, (int)shape->rank);
    }
    int64_t product = 1;
    bool open = false;
    bool fits = op_symbolic_elements(shape, &product, &open) && product <= INT64_MAX / 16;
    for (int32_t a = 0; a < shape->rank; a++) {
        fits = fits && shape->dims[a] <= INT32_MAX && shape->dims[a] >= -INT32_MAX;
    }
    if (!fits) {
        return pare_node_fail(node, error, PARE_LIMIT,
                              "expected an output with one open dimension at most and extents below 2^31, found other");
    }
    value->dtype = dtype;
    value->shape = *shape;
    value->has_shape = true;
    return PARE_OK;
}

pare_status op_infer_same(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    return op_set_output(node, 0, node->inputs[0]->dtype, &node->inputs[0]->shape, error);
}

pare_status op_check_rank(const pare_node *node, size_t input, int32_t low, int32_t high, pare_error *error) {
    const pare_value *value = node->inputs[input];
    if (value->shape.rank < low || value->shape.rank > high) {
        char text[160];
        bool deep = value->shape.rank > high && high < 5;
        return pare_node_fail(node, error, deep ? PARE_UNSUPPORTED : PARE_BAD_INPUT,
                              "expected input \"%s\" to have %d to %d dimensions, found %s", value->name, (int)low,
                              (int)high, pare_shape_text(&value->shape, text, sizeof text));
    }
    return PARE_OK;
}

pare_shape op_shape(int32_t rank, const int64_t *dims) {
    pare_shape shape = {.rank = rank};
    for (int32_t a = 0; a < rank && a < PARE_MAX_RANK; a++) {
        shape.dims[a] = dims[a];
    }
    return shape;
}

pare_shape op_shape_2d(const pare_shape *shape) {
    if (shape->rank != 3) {
        return *shape;
    }
    return op_shape(4, (const int64_t[]){shape->dims[0], shape->dims[1], 1, shape->dims[2]});
}

static pare_status window_attr(const pare_node *node, const char *name, size_t expected, int64_t low, int64_t fallback,
                               int64_t *values, pare_error *error) {
    const int64_t *listed = NULL;
    size_t count = pare_node_ints(node, name, &listed);
    if (count != 0 && count != expected) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected %zu elements in attribute %s, found %zu", expected,
                              name, count);
    }
    for (size_t i = 0; i < expected; i++) {
        values[i] = count == 0 ? fallback : listed[i];
        if (values[i] < low || values[i] > INT32_MAX) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected %s from %lld to %d, found %lld", name,
                                  (long long)low, INT32_MAX, (long long)values[i]);
        }
    }
    return PARE_OK;
}

/* SAME_UPPER and SAME_LOWER: output = ceil(input / stride). */
static void window_same(op_window *window, int32_t axis, int64_t input, bool upper) {
    int64_t stride = window->stride[axis];
    int64_t output = (input + stride - 1) / stride;
    int64_t total = (output - 1) * stride + (window->kernel[axis] - 1) * window->dilation[axis] + 1 - input;
    total = total < 0 ? 0 : total;
    window->before[axis] = upper ? total / 2 : total - total / 2;
    window->after[axis] = total - window->before[axis];
}

pare_status op_auto_pad_read(const pare_node *node, op_auto_pad *mode, pare_error *error) {
    static const char *const words[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    const char *found = pare_node_string(node, "auto_pad", "");
    for (int i = 0; i < 4; i++) {
        if (found[0] == '\0' || strcmp(found, words[i]) == 0) {
            *mode = (op_auto_pad)i;
            return PARE_OK;
        }
    }
    return pare_node_fail(node, error, PARE_BAD_INPUT,
                          "expected auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER, found %.40s", found);
}

pare_status op_auto_pad_agrees(const pare_node *node, op_auto_pad mode, int64_t before, int64_t after,
                               const op_window *window, int32_t axis, pare_error *error) {
    bool agrees = mode == OP_PAD_EXPLICIT || (before == 0 && after == 0) ||
                  (before == window->before[axis] && after == window->after[axis]);
    return agrees ? PARE_OK
                  : pare_node_fail(node, error, PARE_BAD_INPUT,
                                   "expected pads or auto_pad %s, found both: %lld and %lld instead of %lld and %lld",
                                   pare_node_string(node, "auto_pad", ""), (long long)before, (long long)after,
                                   (long long)window->before[axis], (long long)window->after[axis]);
}

pare_status op_window_read(const pare_node *node, const pare_shape *x, const int64_t *kernel, bool ceil_mode,
                           op_window *window, pare_error *error) {
    int32_t spatial = x->rank - 2;
    *window = (op_window){.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}, .extent = {1, 1}, .spatial = spatial};
    int32_t first = 2 - spatial;
    size_t count = (size_t)spatial;
    int64_t pads[4] = {0};
    PARE_TRY(window_attr(node, "strides", count, 1, 1, window->stride + first, error));
    PARE_TRY(window_attr(node, "dilations", count, 1, 1, window->dilation + first, error));
    PARE_TRY(window_attr(node, "pads", 2 * count, 0, 0, pads, error));
    op_auto_pad mode = OP_PAD_EXPLICIT;
    PARE_TRY(op_auto_pad_read(node, &mode, error));
    bool same = mode == OP_PAD_SAME_UPPER || mode == OP_PAD_SAME_LOWER;
    for (int32_t i = 0; i < spatial; i++) {
        int32_t axis = first + i;
        int64_t input = x->dims[2 + i];
        window->kernel[axis] = kernel[i];
        if (kernel[i] < 1 || kernel[i] > INT32_MAX || input < 1) {
            return pare_node_fail(node, error, input < 0 ? PARE_UNSUPPORTED : PARE_BAD_INPUT,
                                  "expected positive, fixed spatial extents and kernel, found %lld and %lld",
                                  (long long)input, (long long)kernel[i]);
        }
        if (same) {
            window_same(window, axis, input, mode == OP_PAD_SAME_UPPER);
        } else if (mode == OP_PAD_EXPLICIT) {
            window->before[axis] = pads[i];
            window->after[axis] = pads[spatial + i];
        }
        PARE_TRY(op_auto_pad_agrees(node, mode, pads[i], pads[spatial + i], window, axis, error));
        window->extent[axis] =
            pare_window_extent(input, window->kernel[axis], window->stride[axis], window->dilation[axis],
                               window->before[axis], window->after[axis], ceil_mode && !same);
        if (window->extent[axis] < 1) {
            return pare_node_fail(node, error, PARE_BAD_INPUT,
                                  "expected a window that fits its padded input, found kernel %lld over %lld elements",
                                  (long long)kernel[i], (long long)input);
        }
    }
    return PARE_OK;
}

void op_strides(const pare_shape *shape, int64_t *strides) {
    int64_t stride = 1;
    for (int32_t a = shape->rank - 1; a >= 0; a--) {
        strides[a] = stride;
        /* Beside a dimension of 0 the others may overflow: then nothing is strided over. */
        stride = (int64_t)((uint64_t)stride * (uint64_t)shape->dims[a]);
    }
}

static void copy_strided(char *to, const int64_t *to_strides, const char *from, const int64_t *from_strides,
                         const int64_t *dims, int32_t rank, size_t size) {
    if (rank == 0) {
        memcpy(to, from, size);
        return;
    }
    for (int64_t i = 0; i < dims[0]; i++) {
        copy_strided(to + i * to_strides[0] * (int64_t)size, to_strides + 1, from + i * from_strides[0] * (int64_t)size,
                     from_strides + 1, dims + 1, rank - 1, size);
    }
}

void op_copy_strided(void *to, const int64_t *to_strides, const void *from, const int64_t *from_strides,
                     const int64_t *dims, int32_t rank, size_t size) {
    for (int32_t a = 0; a < rank; a++) {
        if (dims[a] == 0) {
            return; /* rather than walk the other dimensions, which may be large */
        }
    }
    copy_strided(to, to_strides, from, from_strides, dims, rank, size);
}

bool op_may_fold(const pare_value *value) {
    if (!op_is_constant(value) || value->quant != NULL) {
        return false;
    }
    size_t count = op_count(value);
    return op_is_float(value->dtype) ? count <= 1024 : count <= (size_t)1 << 24;
}

pare_status op_make_constant(pare_graph *graph, const pare_node *node, size_t output, const void *data, size_t bytes,
                             pare_error *error) {
    pare_value *value = op_output(node, output);
    if (value == NULL || value->data != NULL || value->quant != NULL) {
        return PARE_OK;
    }
    return pare_graph_make_constant(graph, value, data, bytes) ? PARE_OK : pare_fail_memory(error, bytes);
}

pare_status op_fold_copy(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *x = node->inputs[0];
    pare_value *y = op_output(node, 0);
    (void)graph, (void)error;
    /* One grid for each channel would be lost with the axis. */
    if (y != NULL && y->data == NULL && y->quant == NULL && op_is_constant(x) &&
        (x->quant == NULL || pare_shape_equal(&x->shape, &y->shape))) {
        pare_graph_share_constant(y, x);
    }
    return PARE_OK;
}

bool op_is_batch_mark(int64_t element) {
    return element > PARE_BATCH_MARK && element <= PARE_BATCH_MARK + BATCH_MARK_SPAN;
}

bool op_is_u8(const pare_value *value) {
    return value != NULL && value->quant != NULL && value->quant->dtype == PARE_U8 && value->quant->count == 1;
}

bool op_is_integer_weight(const pare_value *value, int32_t axis) {
    if (!op_is_constant(value) || value->quant == NULL || value->quant->dtype != PARE_S8) {
        return false;
    }
    for (size_t i = 0; i < value->quant->count; i++) {
        if (value->quant->zero_points[i] != 0) {
            return false;
        }
    }
    return value->quant->count == 1 || value->quant->axis == axis;
}
