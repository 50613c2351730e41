/* What yields constants: Constant, Shape, Size, ConstantOfShape, Range. */
#include "op_helpers.h"

#include <math.h>
#include <string.h>

#define LARGEST OP_LARGEST_CONSTANT

/* --- Constant --------------------------------------------------------------- */

typedef struct literal {
    pare_dtype dtype;
    pare_shape shape;
    const void *data;
    size_t bytes;
} literal;

static pare_status read_literal(const pare_node *node, literal *found, pare_error *error) {
    const pare_attr *attr = NULL;
    *found = (literal){0};
    if ((attr = pare_node_attr(node, "value")) != NULL && attr->tensor != NULL) {
        *found = (literal){attr->tensor->dtype, attr->tensor->shape, attr->tensor->data, attr->tensor->data_bytes};
    } else if ((attr = pare_node_attr(node, "value_float")) != NULL) {
        *found = (literal){PARE_F32, {.rank = 0}, &attr->f, sizeof attr->f};
    } else if ((attr = pare_node_attr(node, "value_int")) != NULL) {
        *found = (literal){PARE_S64, {.rank = 0}, &attr->i, sizeof attr->i};
    } else if ((attr = pare_node_attr(node, "value_floats")) != NULL) {
        *found = (literal){PARE_F32, {1, {(int64_t)attr->count}}, attr->floats, attr->count * sizeof *attr->floats};
    } else if ((attr = pare_node_attr(node, "value_ints")) != NULL) {
        *found = (literal){PARE_S64, {1, {(int64_t)attr->count}}, attr->ints, attr->count * sizeof *attr->ints};
    }
    return found->dtype != PARE_DTYPE_NONE
               ? PARE_OK
               : pare_node_fail(node, error, PARE_UNSUPPORTED, "expected a value of numbers, found none");
}

static pare_status constant_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    literal found;
    PARE_TRY(read_literal(node, &found, error));
    return op_set_output(node, 0, found.dtype, &found.shape, error);
}

static pare_status constant_fold(pare_graph *graph, pare_node *node, pare_error *error) {
    literal found;
    PARE_TRY(read_literal(node, &found, error));
    return op_make_constant(graph, node, 0, found.data, found.bytes, error);
}

PARE_DEFINE_OP(Constant) = {.name = "Constant",
                            .domain = "",
                            .since = 1,
                            .min_inputs = 0,
                            .max_inputs = 0,
                            .min_outputs = 1,
                            .max_outputs = 1,
                            .weight_input = -1,
                            .bias_input = -1,
                            .infer = constant_infer,
                            .fold = constant_fold};

/* --- Shape, Size ------------------------------------------------------------ */

static int64_t bound(int64_t value, int32_t rank) {
    value = value < 0 ? value + rank : value;
    return value < 0 ? 0 : value > rank ? rank : value;
}

static int64_t marked(int64_t extent) {
    return extent < 0 ? PARE_BATCH_MARK - extent : extent;
}

static pare_status shape_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    int32_t rank = node->inputs[0]->shape.rank;
    int64_t start = bound(pare_node_int(node, "start", 0), rank), end = bound(pare_node_int(node, "end", rank), rank);
    pare_shape y = {.rank = 1, .dims = {end > start ? end - start : 0}};
    return op_set_output(node, 0, PARE_S64, &y, error);
}

static pare_status shape_fold(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    int64_t start = bound(pare_node_int(node, "start", 0), x->rank), extents[PARE_MAX_RANK] = {0};
    if (op_output(node, 0) == NULL) {
        return PARE_OK;
    }
    size_t count = (size_t)node->outputs[0]->shape.dims[0];
    for (size_t i = 0; i < count; i++) {
        extents[i] = marked(x->dims[start + (int64_t)i]);
    }
    return op_make_constant(graph, node, 0, extents, count * sizeof *extents, error);
}

static pare_status size_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    pare_shape scalar = {.rank = 0};
    return op_set_output(node, 0, PARE_S64, &scalar, error);
}

static pare_status size_fold(pare_graph *graph, pare_node *node, pare_error *error) {
    int64_t product = 1;
    bool open = false;
    if (!op_symbolic_elements(&node->inputs[0]->shape, &product, &open) || (open && product > INT32_MAX)) {
        return PARE_OK;
    }
    int64_t size = open ? PARE_BATCH_MARK + product : product;
    return op_make_constant(graph, node, 0, &size, sizeof size, error);
}

#define SHAPE_ONLY(op_name, prefix)                                                                                    \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = 1, .min_inputs = 1, .max_inputs = 1, .min_outputs = 1,                 \
        .max_outputs = 1, .weight_input = -1, .bias_input = -1, .shape_only = true, .infer = prefix##_infer,           \
        .fold = prefix##_fold                                                                                          \
    }

PARE_DEFINE_OP(Shape) = SHAPE_ONLY("Shape", shape);
PARE_DEFINE_OP(Size) = SHAPE_ONLY("Size", size);

/* --- ConstantOfShape -------------------------------------------------------- */

static const float zero_float;

static void fill_value(const pare_node *node, literal *found) {
    const pare_attr *attr = pare_node_attr(node, "value");
    *found = (literal){PARE_F32, {.rank = 0}, &zero_float, sizeof zero_float};
    if (attr != NULL && attr->tensor != NULL && op_count(attr->tensor) == 1) {
        *found = (literal){attr->tensor->dtype, {.rank = 0}, attr->tensor->data, attr->tensor->data_bytes};
    }
}

static pare_status fill_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    int64_t extents[PARE_MAX_RANK];
    size_t count = 0;
    literal found;
    PARE_TRY(op_ints(node, 0, extents, PARE_MAX_RANK, &count, error));
    for (size_t i = 0; i < count; i++) {
        if (extents[i] < 0 && !op_is_batch_mark(extents[i])) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected extents of at least 0, found %lld",
                                  (long long)extents[i]);
        }
        extents[i] = op_is_batch_mark(extents[i]) ? PARE_BATCH_MARK - extents[i] : extents[i];
    }
    pare_shape y = op_shape((int32_t)count, extents);
    fill_value(node, &found);
    return op_set_output(node, 0, found.dtype, &y, error);
}

static pare_status fill_fold(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *y = op_output(node, 0);
    literal found;
    if (y == NULL || pare_shape_has_batch(&y->shape)) {
        return PARE_OK;
    }
    fill_value(node, &found);
    size_t size = pare_dtype_bytes(found.dtype), bytes = op_count(y) * size;
    if (bytes > LARGEST) {
        return PARE_OK;
    }
    char *data = pare_alloc(bytes);
    if (data == NULL) {
        return pare_fail_memory(error, bytes);
    }
    for (size_t i = 0; i < bytes; i += size) {
        memcpy(data + i, found.data, size);
    }
    pare_status status = op_make_constant(graph, node, 0, data, bytes, error);
    pare_free(data);
    return status;
}

/* With an open dimension: one element, expanded. */
static pare_status fill_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    uint32_t in = PARE_NONE, out = PARE_NONE;
    literal found;
    fill_value(node, &found);
    PARE_TRY(pare_lower_constant(lowering, node, found.dtype, &found.shape, NULL, found.data, found.bytes, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    const pare_shape *shape = &node->outputs[0]->shape;
    pare_shape_attrs attrs = {.rank = shape->rank};
    for (int32_t a = 0; a < shape->rank; a++) {
        attrs.dims[a] = (int32_t)shape->dims[a];
    }
    return pare_lower_emit(lowering, node, PARE_OP_EXPAND, &attrs, &in, 1, &out, 1, error);
}

PARE_DEFINE_OP(ConstantOfShape) = {.name = "ConstantOfShape",
                                   .domain = "",
                                   .since = 9,
                                   .min_inputs = 1,
                                   .max_inputs = 1,
                                   .min_outputs = 1,
                                   .max_outputs = 1,
                                   .weight_input = -1,
                                   .bias_input = -1,
                                   .infer = fill_infer,
                                   .fold = fill_fold,
                                   .lower = fill_lower};

/* --- Range: start, limit, delta ---------------------------------------------- */

typedef struct range {
    bool whole; /* integers, which doubles would round */
    int64_t start, delta;
    double real_start, real_delta;
    int64_t count;
} range;

/* Steps of `delta` from `start` that stay before `limit`. */
static uint64_t whole_steps(int64_t start, int64_t limit, int64_t delta) {
    if (delta > 0 ? limit <= start : limit >= start) {
        return 0;
    }
    uint64_t distance = delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    return (distance - 1) / (delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta) + 1;
}

static pare_status read_range(const pare_node *node, range *found, pare_error *error) {
    int64_t whole[3] = {0};
    float real[3] = {0};
    found->whole = !op_is_float(node->inputs[0]->dtype);
    for (size_t i = 0; i < 3; i++) {
        const pare_value *value = node->inputs[i];
        bool known = found->whole ? op_int_at(value, 0, &whole[i]) : op_float_at(value, 0, &real[i]);
        if (value->dtype != node->inputs[0]->dtype) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected inputs of one type, found %s and %s",
                                  pare_dtype_name(node->inputs[0]->dtype), pare_dtype_name(value->dtype));
        }
        if (!known || op_is_batch_mark(whole[i])) {
            return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected input \"%s\" to be constant, found other",
                                  value->name);
        }
    }
    found->start = whole[0], found->delta = whole[2];
    found->real_start = (double)real[0], found->real_delta = (double)real[2];
    double steps = 0;
    if (found->whole ? found->delta == 0 : real[2] == 0) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected a delta other than 0, found 0");
    }
    if (found->whole) {
        steps = (double)whole_steps(whole[0], whole[1], whole[2]);
    } else {
        steps = ceil(((double)real[1] - found->real_start) / found->real_delta);
    }
    if (!(fabs(steps) < (double)(LARGEST / 8))) {
        return pare_node_fail(node, error, PARE_LIMIT, "expected fewer than %zu elements, found %g", LARGEST / 8,
                              steps);
    }
    found->count = steps > 0 ? (int64_t)steps : 0;
    return PARE_OK;
}

static pare_status range_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    range found;
    pare_shape y = {.rank = 1};
    PARE_TRY(read_range(node, &found, error));
    y.dims[0] = found.count;
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status range_fold(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *y = op_output(node, 0);
    range found;
    if (y == NULL || (y->dtype != PARE_S64 && y->dtype != PARE_S32 && y->dtype != PARE_F32)) {
        return PARE_OK;
    }
    PARE_TRY(read_range(node, &found, error));
    size_t bytes = (size_t)found.count * pare_dtype_bytes(y->dtype);
    void *data = pare_alloc(bytes);
    if (data == NULL) {
        return pare_fail_memory(error, bytes);
    }
    bool plain = true;
    for (int64_t i = 0; i < found.count; i++) {
        if (y->dtype == PARE_S64) {
            int64_t element = (int64_t)((uint64_t)found.start + (uint64_t)i * (uint64_t)found.delta);
            ((int64_t *)data)[i] = element;
            plain = plain && !op_is_batch_mark(element);
        } else if (y->dtype == PARE_S32) {
            ((int32_t *)data)[i] = (int32_t)(found.start + i * found.delta);
        } else {
            ((float *)data)[i] = (float)(found.real_start + (double)i * found.real_delta);
        }
    }
    pare_status status = plain ? op_make_constant(graph, node, 0, data, bytes, error) : PARE_OK;
    pare_free(data);
    return status;
}

PARE_DEFINE_OP(Range) = {.name = "Range",
                         .domain = "",
                         .since = 11,
                         .min_inputs = 3,
                         .max_inputs = 3,
                         .min_outputs = 1,
                         .max_outputs = 1,
                         .weight_input = -1,
                         .bias_input = -1,
                         .infer = range_infer,
                         .fold = range_fold};
