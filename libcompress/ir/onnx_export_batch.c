/* Constants that depend on the batch (PARE_BATCH_MARK): the file computes them
 * from the shape of an input. */
#include <string.h>

#include "ir/onnx_export.h"

/* The input that has the batch, and where. */
static const pare_value *batch_input(const pare_graph *graph, int64_t *axis) {
    for (size_t i = 0; i < graph->input_count; i++) {
        const pare_shape *shape = &graph->inputs[i]->shape;
        for (int32_t d = 0; d < shape->rank; d++) {
            if (shape->dims[d] == -1) {
                *axis = d;
                return graph->inputs[i];
            }
        }
    }
    return NULL;
}

bool onnx_has_batch_mark(const pare_value *value) {
    int64_t k = 0;
    const int64_t *elements = value->data;
    for (size_t i = 0; value->dtype == PARE_S64 && value->quant == NULL && i < value->data_bytes / sizeof *elements;
         i++) {
        if (pare_is_batch_mark(elements[i], &k)) {
            return true;
        }
    }
    return false;
}

/* batch = Shape(input)[axis], of rank `rank`; *name is what holds it. */
static pare_status export_batch(onnx_writer *writer, const pare_value *value, int32_t rank, const char **name) {
    int64_t *axis = onnx_make(writer, 1, sizeof *axis);
    const char *shape = onnx_fresh_name(writer, value->name, "_shape");
    const char *axis_name = onnx_fresh_name(writer, value->name, "_axis");
    *name = onnx_fresh_name(writer, value->name, "_batch");
    if (axis == NULL || shape == NULL || axis_name == NULL || *name == NULL) {
        return onnx_no_memory(writer);
    }
    const pare_value *input = batch_input(writer->graph, axis);
    if (input == NULL) {
        return pare_fail(writer->error, PARE_INTERNAL, "value \"%.200s\": expected an input with a batch, found none",
                         value->name);
    }
    const char *input_name = NULL, *gather[2] = {shape, axis_name};
    const int64_t one = 1;
    /* Behind its DequantizeLinear, as all readers: a second one before it would
     * keep the import from giving the grid to the input. */
    PARE_TRY(onnx_reader_name(writer, input, &input_name));
    return onnx_add_initializer(writer, axis_name, PARE_S64, rank, &one, axis, sizeof *axis) &&
                   onnx_add_node(writer, "Shape", shape, &input_name, 1, &shape, 1) != NULL &&
                   onnx_add_node(writer, "Gather", *name, gather, 2, name, 1) != NULL
               ? PARE_OK
               : onnx_no_memory(writer);
}

/* Plain elements and single batches side by side: Concat, which any reader folds. */
static pare_status export_by_concat(onnx_writer *writer, const pare_value *value, const char *batch) {
    size_t count = value->data_bytes / sizeof(int64_t), pieces = 0;
    const int64_t *elements = value->data;
    const char **names = onnx_make(writer, count, sizeof *names);
    int64_t k = 0;
    if (names == NULL) {
        return onnx_no_memory(writer);
    }
    for (size_t i = 0, end; i < count; i = end) {
        end = i + 1;
        if (pare_is_batch_mark(elements[i], &k)) {
            names[pieces++] = batch;
            continue;
        }
        while (end < count && !pare_is_batch_mark(elements[end], &k)) {
            end++;
        }
        int64_t run = (int64_t)(end - i);
        const char *name = onnx_fresh_name(writer, value->name, "_part");
        if (name == NULL ||
            !onnx_add_initializer(writer, name, PARE_S64, 1, &run, elements + i, (end - i) * sizeof *elements)) {
            return onnx_no_memory(writer);
        }
        names[pieces++] = name;
    }
    Onnx__NodeProto *node = onnx_add_node(writer, "Concat", value->name, names, pieces, &value->name, 1);
    return node != NULL && onnx_add_int_attr(writer, node, "axis", 0) ? PARE_OK : onnx_no_memory(writer);
}

/* base + factor × batch, element by element. */
static pare_status export_by_arithmetic(onnx_writer *writer, const pare_value *value, const char *batch) {
    size_t count = value->data_bytes / sizeof(int64_t);
    const int64_t *elements = value->data;
    int64_t *base = onnx_make(writer, count, sizeof *base), *factor = onnx_make(writer, count, sizeof *factor);
    const char *base_name = onnx_fresh_name(writer, value->name, "_base");
    const char *factor_name = onnx_fresh_name(writer, value->name, "_factor");
    const char *multiple = onnx_fresh_name(writer, value->name, "_multiple");
    if (base == NULL || factor == NULL || base_name == NULL || factor_name == NULL || multiple == NULL) {
        return onnx_no_memory(writer);
    }
    for (size_t i = 0; i < count; i++) {
        base[i] = pare_is_batch_mark(elements[i], &factor[i]) ? 0 : elements[i];
    }
    const char *multiply[2] = {batch, factor_name}, *add[2] = {multiple, base_name};
    return onnx_add_initializer(writer, factor_name, PARE_S64, value->shape.rank, value->shape.dims, factor,
                                value->data_bytes) &&
                   onnx_add_initializer(writer, base_name, PARE_S64, value->shape.rank, value->shape.dims, base,
                                        value->data_bytes) &&
                   onnx_add_node(writer, "Mul", multiple, multiply, 2, &multiple, 1) != NULL &&
                   onnx_add_node(writer, "Add", value->name, add, 2, &value->name, 1) != NULL
               ? PARE_OK
               : onnx_no_memory(writer);
}

pare_status onnx_export_batch_constant(onnx_writer *writer, const pare_value *value) {
    const int64_t *elements = value->data;
    const char *batch = NULL;
    bool single = value->shape.rank == 1;
    for (size_t i = 0; i < value->data_bytes / sizeof *elements; i++) {
        int64_t k = 1;
        single = single && (!pare_is_batch_mark(elements[i], &k) || k == 1);
    }
    PARE_TRY(export_batch(writer, value, value->shape.rank > 0 ? 1 : 0, &batch));
    return single ? export_by_concat(writer, value, batch) : export_by_arithmetic(writer, value, batch);
}
