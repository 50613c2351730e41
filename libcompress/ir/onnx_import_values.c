/* Initializers, inputs and their symbolic dimensions. */
#include <string.h>

#include "ir/onnx_import.h"

pare_dtype onnx_graph_dtype(pare_dtype dtype) {
    return dtype == PARE_F16 || dtype == PARE_BF16 || dtype == PARE_F64 ? PARE_F32 : dtype;
}

static float *narrow(pare_arena *arena, pare_dtype dtype, const void *data, size_t count) {
    float *floats = pare_arena_alloc(arena, count + 1, sizeof *floats);
    for (size_t i = 0; floats != NULL && i < count; i++) {
        floats[i] = dtype == PARE_F64   ? (float)((const double *)data)[i]
                    : dtype == PARE_F16 ? pare_f16_to_f32(((const uint16_t *)data)[i])
                                        : pare_bf16_to_f32(((const uint16_t *)data)[i]);
    }
    return floats;
}

/* A constant outside the value list. */
static pare_value *loose_constant(pare_graph *graph, pare_dtype dtype, const pare_shape *shape, void *data,
                                  size_t bytes) {
    pare_value *value = pare_arena_alloc(&graph->arena, 1, sizeof *value);
    if (value != NULL) {
        *value = (pare_value){
            .name = "", .dtype = dtype, .shape = *shape, .has_shape = true, .data = data, .data_bytes = bytes};
    }
    return value;
}

pare_status onnx_check_plain(onnx_importer *importer, const char *name, const int64_t *elements, size_t count) {
    int64_t k = 0;
    for (size_t i = 0; i < count; i++) {
        if (pare_is_batch_mark(elements[i], &k)) {
            return pare_fail(importer->error, PARE_UNSUPPORTED,
                             "tensor \"%.200s\": expected int64 elements outside of [-2^62 + 1, -2^62 + 2^31], found "
                             "%lld",
                             name, (long long)elements[i]);
        }
    }
    return PARE_OK;
}

pare_status onnx_import_tensor(onnx_importer *importer, const Onnx__TensorProto *tensor, const char *name, bool listed,
                               pare_value **value) {
    pare_graph *graph = importer->graph;
    pare_shape shape;
    pare_dtype dtype;
    void *data = NULL;
    size_t bytes = 0;
    pare_status status = pare_onnx_tensor_shape(tensor, &shape, &dtype, importer->error);
    if (status == PARE_OK) {
        status = pare_onnx_tensor_data(importer->file, tensor, &graph->arena, &data, &bytes, importer->error);
    }
    if (status != PARE_OK) {
        return status;
    }
    if (dtype == PARE_S64) {
        PARE_TRY(onnx_check_plain(importer, onnx_text(tensor->name), data, bytes / sizeof(int64_t)));
    }
    pare_dtype kept = onnx_graph_dtype(dtype);
    if (kept != dtype) {
        size_t count = bytes / pare_dtype_bytes(dtype);
        data = narrow(&graph->arena, dtype, data, count);
        bytes = count * sizeof(float);
        if (data == NULL) {
            return pare_graph_fail_memory(graph, importer->error);
        }
    }
    if (bytes == 0) {
        data = pare_arena_alloc(&graph->arena, 1, 1); /* a constant without elements still has data */
    }
    *value = listed ? pare_graph_adopt_constant(graph, name, kept, &shape, data, bytes)
                    : loose_constant(graph, kept, &shape, data, bytes);
    return *value != NULL ? PARE_OK : pare_graph_fail_memory(graph, importer->error);
}

static pare_status import_initializer(onnx_importer *importer, const Onnx__TensorProto *tensor) {
    const char *name = onnx_text(tensor->name);
    pare_value *value = NULL;
    if (name[0] == '\0') {
        return pare_fail(importer->error, PARE_BAD_INPUT, "expected initializers with names, found one without");
    }
    if (pare_graph_find_value(importer->graph, name) != NULL ||
        pare_name_table_find(importer->produced, name) != NULL) {
        return pare_fail(importer->error, PARE_BAD_INPUT,
                         "expected unique value names, found initializer \"%.200s\" defined twice", name);
    }
    pare_status status = onnx_import_tensor(importer, tensor, name, true, &value);
    if (status != PARE_OK && importer->error != NULL && strstr(importer->error->message, name) == NULL) {
        pare_error_prefix(importer->error, "initializer \"%.200s\": ", name);
    }
    return status;
}

static const pare_shape_binding *binding_of(const onnx_importer *importer, const char *name) {
    for (size_t i = 0; i < importer->binding_count; i++) {
        if (strcmp(importer->bindings[i].name, name) == 0) {
            return &importer->bindings[i];
        }
    }
    return NULL;
}

static const Onnx__TypeProto__Tensor *tensor_type(const Onnx__ValueInfoProto *info) {
    return info->type != NULL && info->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ? info->type->tensor_type
                                                                                               : NULL;
}

static const char *dim_param(const Onnx__TensorShapeProto__Dimension *dim) {
    return dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM ? onnx_text(dim->dim_param) : "";
}

static bool is_symbolic(const Onnx__TensorShapeProto__Dimension *dim) {
    return dim->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
}

/* The batch: the symbolic dimension that heads the first input with any, or its only one. */
static void find_batch(onnx_importer *importer) {
    for (size_t i = 0; i < importer->proto->n_input; i++) {
        const Onnx__ValueInfoProto *info = importer->proto->input[i];
        if (pare_graph_find_value(importer->graph, onnx_text(info->name)) != NULL) {
            continue; /* an initializer with a default */
        }
        const Onnx__TypeProto__Tensor *type = tensor_type(info);
        const Onnx__TensorShapeProto *shape = type != NULL ? type->shape : NULL;
        size_t symbolic = 0, first = 0;
        for (size_t d = 0; shape != NULL && d < shape->n_dim; d++) {
            if (is_symbolic(shape->dim[d]) && symbolic++ == 0) {
                first = d;
            }
        }
        if (symbolic == 0) {
            continue;
        }
        if ((first == 0 || symbolic == 1) && binding_of(importer, onnx_text(info->name)) == NULL) {
            const char *param = dim_param(shape->dim[first]);
            importer->batch = param[0] != '\0' ? param : NULL;
            importer->unnamed_batch = param[0] == '\0';
        }
        return;
    }
}

/* A dim_param that some binding gives a value. */
static bool bound_elsewhere(const onnx_importer *importer, const char *param, int64_t *extent) {
    for (size_t i = 0; i < importer->proto->n_input; i++) {
        const Onnx__ValueInfoProto *info = importer->proto->input[i];
        const Onnx__TypeProto__Tensor *type = tensor_type(info);
        const pare_shape_binding *binding = binding_of(importer, onnx_text(info->name));
        if (binding == NULL || type == NULL || type->shape == NULL ||
            type->shape->n_dim != (size_t)binding->shape.rank) {
            continue;
        }
        for (size_t d = 0; d < type->shape->n_dim; d++) {
            if (strcmp(dim_param(type->shape->dim[d]), param) == 0) {
                *extent = binding->shape.dims[d];
                return true;
            }
        }
    }
    return false;
}

static pare_status bind_dim(onnx_importer *importer, const char *name, size_t index,
                            const Onnx__TensorShapeProto__Dimension *dim, int64_t *extent) {
    const pare_shape_binding *binding = binding_of(importer, name);
    const char *param = dim_param(dim);
    int64_t other = 0;
    if (!is_symbolic(dim)) {
        if (dim->dim_value <= 0 || dim->dim_value > INT32_MAX) {
            return pare_fail(importer->error, PARE_BAD_INPUT,
                             "input \"%.200s\": expected dimension %zu between 1 and 2147483647, found %lld", name,
                             index, (long long)dim->dim_value);
        }
        *extent = dim->dim_value;
        if (binding != NULL && binding->shape.dims[index] != dim->dim_value) {
            return pare_fail(importer->error, PARE_USAGE,
                             "input \"%.200s\": expected --shape to keep dimension %zu = %lld, found %lld", name, index,
                             (long long)dim->dim_value, (long long)binding->shape.dims[index]);
        }
        return PARE_OK;
    }
    bool shared = param[0] != '\0' && bound_elsewhere(importer, param, &other);
    if (binding != NULL) {
        *extent = binding->shape.dims[index];
        if (shared && other != *extent) {
            return pare_fail(importer->error, PARE_USAGE,
                             "input \"%.200s\": expected one value for the dimension \"%.100s\", found --shape with "
                             "%lld and %lld",
                             name, param, (long long)other, (long long)*extent);
        }
        return PARE_OK;
    }
    if (shared) {
        *extent = other;
        return PARE_OK;
    }
    if ((importer->batch != NULL && strcmp(param, importer->batch) == 0) ||
        (importer->unnamed_batch && index == 0 && param[0] == '\0')) {
        *extent = -1;
        return PARE_OK;
    }
    return pare_fail(importer->error, PARE_UNSUPPORTED,
                     "input \"%.200s\": expected a known size for dimension %zu, found the symbol \"%.100s\"; bind it "
                     "with --shape %.200s=1x3x224x224 (with this input's sizes)",
                     name, index, param[0] != '\0' ? param : "?", name);
}

static pare_status input_shape(onnx_importer *importer, const char *name, const Onnx__TypeProto__Tensor *type,
                               pare_shape *shape) {
    const pare_shape_binding *binding = binding_of(importer, name);
    if (type->shape == NULL) {
        if (binding == NULL) {
            return pare_fail(importer->error, PARE_UNSUPPORTED,
                             "input \"%.200s\": expected a shape, found none; give it with --shape %.200s=1x3x224x224 "
                             "(with this input's sizes)",
                             name, name);
        }
        *shape = binding->shape;
        return PARE_OK;
    }
    if (type->shape->n_dim > PARE_MAX_RANK) {
        return pare_fail(importer->error, PARE_BAD_INPUT, "input \"%.200s\": expected rank 0 to %d, found %zu", name,
                         PARE_MAX_RANK, type->shape->n_dim);
    }
    shape->rank = (int32_t)type->shape->n_dim;
    if (binding != NULL && binding->shape.rank != shape->rank) {
        return pare_fail(importer->error, PARE_USAGE, "input \"%.200s\": expected --shape with %d dimensions, found %d",
                         name, (int)shape->rank, (int)binding->shape.rank);
    }
    for (size_t d = 0; d < type->shape->n_dim; d++) {
        PARE_TRY(bind_dim(importer, name, d, type->shape->dim[d], &shape->dims[d]));
    }
    return PARE_OK;
}

static pare_status check_extent(onnx_importer *importer, const char *name, const pare_shape *shape) {
    pare_shape one;
    size_t bytes = 0;
    if (!pare_shape_bind(shape, 1, &one) || !pare_shape_bytes(&one, PARE_F32, &bytes) ||
        bytes > (size_t)INT32_MAX * 4) {
        return pare_fail(importer->error, PARE_BAD_INPUT,
                         "input \"%.200s\": expected at most 2147483647 elements, found a larger shape", name);
    }
    return PARE_OK;
}

static pare_status import_input(onnx_importer *importer, const Onnx__ValueInfoProto *info) {
    const char *name = onnx_text(info->name);
    const Onnx__TypeProto__Tensor *type = tensor_type(info);
    const pare_value *existing = name[0] != '\0' ? pare_graph_find_value(importer->graph, name) : NULL;
    pare_shape shape = {0};
    if (existing != NULL && existing->data != NULL) {
        return PARE_OK; /* an initializer that is also listed as input: a constant */
    }
    if (name[0] == '\0' || existing != NULL || pare_name_table_find(importer->produced, name) != NULL) {
        return pare_fail(importer->error, PARE_BAD_INPUT, "expected inputs with unique names, found \"%.200s\" %s",
                         name, name[0] == '\0' ? "(no name)" : "defined twice");
    }
    pare_dtype dtype = type != NULL ? (pare_dtype)type->elem_type : PARE_DTYPE_NONE;
    if (type == NULL || pare_dtype_bytes(dtype) == 0) {
        return pare_fail(importer->error, PARE_UNSUPPORTED,
                         "input \"%.200s\": expected a tensor of numbers, found %s %d", name,
                         type == NULL ? "another kind of value" : "element type", (int)dtype);
    }
    PARE_TRY(input_shape(importer, name, type, &shape));
    PARE_TRY(check_extent(importer, name, &shape));
    return pare_graph_add_input(importer->graph, name, onnx_graph_dtype(dtype), &shape) != NULL
               ? PARE_OK
               : pare_graph_fail_memory(importer->graph, importer->error);
}

static pare_status check_bindings(onnx_importer *importer) {
    for (size_t i = 0; i < importer->binding_count; i++) {
        const pare_shape_binding *binding = &importer->bindings[i];
        const pare_value *value = pare_graph_find_value(importer->graph, binding->name);
        if (value == NULL || !value->is_input) {
            return pare_fail(importer->error, PARE_USAGE, "expected --shape to name an input, found \"%.200s\"",
                             binding->name);
        }
        for (int32_t d = 0; d < binding->shape.rank; d++) {
            if (binding->shape.dims[d] == 0 || binding->shape.dims[d] < -1) {
                return pare_fail(importer->error, PARE_USAGE,
                                 "expected positive sizes in --shape, found %lld for \"%.200s\"",
                                 (long long)binding->shape.dims[d], binding->name);
            }
        }
    }
    return PARE_OK;
}

pare_status onnx_import_values(onnx_importer *importer) {
    for (size_t i = 0; i < importer->proto->n_initializer; i++) {
        PARE_TRY(import_initializer(importer, importer->proto->initializer[i]));
    }
    find_batch(importer);
    for (size_t i = 0; i < importer->proto->n_input; i++) {
        PARE_TRY(import_input(importer, importer->proto->input[i]));
    }
    return check_bindings(importer);
}

pare_status onnx_import_outputs(onnx_importer *importer) {
    const Onnx__GraphProto *proto = importer->proto;
    if (proto->n_output == 0) {
        return pare_fail(importer->error, PARE_BAD_INPUT, "expected a graph with outputs, found none");
    }
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = onnx_text(proto->output[i]->name);
        pare_value *value = pare_graph_find_value(importer->graph, name);
        if (value == NULL) {
            return pare_fail(importer->error, PARE_BAD_INPUT,
                             "output \"%.200s\": expected a node that produces it, found none", name);
        }
        if (value->is_output) {
            return pare_fail(importer->error, PARE_BAD_INPUT,
                             "expected outputs with unique names, found \"%.200s\" twice", name);
        }
        if (value->producer == NULL && value->is_input) {
            return pare_fail(importer->error, PARE_UNSUPPORTED,
                             "output \"%.200s\": expected the result of a node, found an input of the graph", name);
        }
        if (!pare_graph_add_output(importer->graph, value)) {
            return pare_graph_fail_memory(importer->graph, importer->error);
        }
    }
    return PARE_OK;
}
