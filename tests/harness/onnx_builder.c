#include "onnx_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Plain calloc, so that injected faults and counts of pare_alloc see only the
 * code under test. */
typedef struct block {
    struct block *next;
    max_align_t bytes[];
} block;

struct test_onnx {
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    block *blocks;
};

void *test_onnx_bytes(test_onnx *m, size_t bytes) {
    block *made = calloc(1, sizeof *made + bytes);
    if (made == NULL) {
        fprintf(stderr, "onnx_builder: out of memory\n");
        exit(1);
    }
    made->next = m->blocks;
    m->blocks = made;
    return made->bytes;
}

static void *copy_bytes(test_onnx *m, const void *data, size_t bytes) {
    void *copy = test_onnx_bytes(m, bytes + 1);
    if (bytes != 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

char *test_onnx_string(test_onnx *m, const char *text) {
    return text == NULL ? NULL : copy_bytes(m, text, strlen(text));
}

/* A new array of pointers, one longer; the old one stays until the end. */
static void *append(test_onnx *m, void *list, size_t *count, void *item) {
    void **grown = test_onnx_bytes(m, (*count + 1) * sizeof *grown);
    if (*count != 0) {
        memcpy(grown, list, *count * sizeof *grown);
    }
    grown[(*count)++] = item;
    return grown;
}

test_onnx *test_onnx_begin(int64_t ir, int64_t opset) {
    test_onnx *m = calloc(1, sizeof *m);
    if (m == NULL) {
        fprintf(stderr, "onnx_builder: out of memory\n");
        exit(1);
    }
    onnx__model_proto__init(&m->model);
    onnx__graph_proto__init(&m->graph);
    m->model.has_ir_version = 1;
    m->model.ir_version = ir;
    m->model.producer_name = test_onnx_string(m, "pare-test");
    m->model.graph = &m->graph;
    m->graph.name = test_onnx_string(m, "test");
    test_onnx_opset(m, "", opset);
    return m;
}

void test_onnx_free(test_onnx *m) {
    while (m != NULL && m->blocks != NULL) {
        block *next = m->blocks->next;
        free(m->blocks);
        m->blocks = next;
    }
    free(m);
}

Onnx__ModelProto *test_onnx_proto(test_onnx *m) {
    return &m->model;
}

void test_onnx_opset(test_onnx *m, const char *domain, int64_t version) {
    Onnx__OperatorSetIdProto *set = test_onnx_bytes(m, sizeof *set);
    onnx__operator_set_id_proto__init(set);
    set->domain = test_onnx_string(m, domain);
    set->has_version = 1;
    set->version = version;
    m->model.opset_import = append(m, m->model.opset_import, &m->model.n_opset_import, set);
}

static Onnx__TensorShapeProto *make_shape(test_onnx *m, int rank, const int64_t *dims) {
    Onnx__TensorShapeProto *shape = test_onnx_bytes(m, sizeof *shape);
    onnx__tensor_shape_proto__init(shape);
    for (int i = 0; i < rank; i++) {
        Onnx__TensorShapeProto__Dimension *dim = test_onnx_bytes(m, sizeof *dim);
        onnx__tensor_shape_proto__dimension__init(dim);
        if (dims[i] >= 0) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = dims[i];
        } else {
            char name[32] = "N";
            if (dims[i] != -1) {
                snprintf(name, sizeof name, "D%lld", -(long long)dims[i]);
            }
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim->dim_param = test_onnx_string(m, name);
        }
        shape->dim = append(m, shape->dim, &shape->n_dim, dim);
    }
    return shape;
}

static Onnx__ValueInfoProto *make_value(test_onnx *m, const char *name, pare_dtype dtype, int rank,
                                        const int64_t *dims) {
    Onnx__ValueInfoProto *value = test_onnx_bytes(m, sizeof *value);
    onnx__value_info_proto__init(value);
    value->name = test_onnx_string(m, name);
    value->type = test_onnx_bytes(m, sizeof *value->type);
    onnx__type_proto__init(value->type);
    Onnx__TypeProto__Tensor *tensor = test_onnx_bytes(m, sizeof *tensor);
    onnx__type_proto__tensor__init(tensor);
    tensor->has_elem_type = 1;
    tensor->elem_type = (int32_t)dtype;
    tensor->shape = make_shape(m, rank, dims);
    value->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    value->type->tensor_type = tensor;
    return value;
}

void test_onnx_input(test_onnx *m, const char *name, pare_dtype dtype, int rank, const int64_t *dims) {
    m->graph.input = append(m, m->graph.input, &m->graph.n_input, make_value(m, name, dtype, rank, dims));
}

void test_onnx_output(test_onnx *m, const char *name, pare_dtype dtype, int rank, const int64_t *dims) {
    m->graph.output = append(m, m->graph.output, &m->graph.n_output, make_value(m, name, dtype, rank, dims));
}

void test_onnx_value_info(test_onnx *m, const char *name, pare_dtype dtype, int rank, const int64_t *dims) {
    m->graph.value_info =
        append(m, m->graph.value_info, &m->graph.n_value_info, make_value(m, name, dtype, rank, dims));
}

static Onnx__TensorProto *make_tensor(test_onnx *m, const char *name, pare_dtype dtype, int rank, const int64_t *dims,
                                      const void *data) {
    Onnx__TensorProto *tensor = test_onnx_bytes(m, sizeof *tensor);
    onnx__tensor_proto__init(tensor);
    tensor->name = test_onnx_string(m, name);
    tensor->has_data_type = 1;
    tensor->data_type = (int32_t)dtype;
    tensor->n_dims = (size_t)rank;
    tensor->dims = copy_bytes(m, dims, (size_t)rank * sizeof *dims);
    size_t bytes = pare_dtype_bytes(dtype);
    for (int i = 0; i < rank; i++) {
        bytes *= (size_t)dims[i];
    }
    tensor->has_raw_data = 1;
    tensor->raw_data.len = bytes;
    tensor->raw_data.data = copy_bytes(m, data, bytes);
    return tensor;
}

Onnx__TensorProto *test_onnx_initializer(test_onnx *m, const char *name, pare_dtype dtype, int rank,
                                         const int64_t *dims, const void *data) {
    Onnx__TensorProto *tensor = make_tensor(m, name, dtype, rank, dims, data);
    m->graph.initializer = append(m, m->graph.initializer, &m->graph.n_initializer, tensor);
    return tensor;
}

void test_onnx_initializer_f32(test_onnx *m, const char *name, int rank, const int64_t *dims, const float *data) {
    test_onnx_initializer(m, name, PARE_F32, rank, dims, data);
}

void test_onnx_initializer_i64(test_onnx *m, const char *name, int rank, const int64_t *dims, const int64_t *data) {
    test_onnx_initializer(m, name, PARE_S64, rank, dims, data);
}

void test_onnx_initializer_s32(test_onnx *m, const char *name, int rank, const int64_t *dims, const int32_t *data) {
    test_onnx_initializer(m, name, PARE_S32, rank, dims, data);
}

void test_onnx_initializer_s8(test_onnx *m, const char *name, int rank, const int64_t *dims, const int8_t *data) {
    test_onnx_initializer(m, name, PARE_S8, rank, dims, data);
}

void test_onnx_initializer_u8(test_onnx *m, const char *name, int rank, const int64_t *dims, const uint8_t *data) {
    test_onnx_initializer(m, name, PARE_U8, rank, dims, data);
}

static char **copy_names(test_onnx *m, size_t count, const char *const *names) {
    char **copy = test_onnx_bytes(m, (count + 1) * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = test_onnx_string(m, names[i] != NULL ? names[i] : "");
    }
    return copy;
}

Onnx__NodeProto *test_onnx_node(test_onnx *m, const char *op_type, const char *name, size_t inputs,
                                const char *const *input, size_t outputs, const char *const *output) {
    Onnx__NodeProto *node = test_onnx_bytes(m, sizeof *node);
    onnx__node_proto__init(node);
    node->op_type = test_onnx_string(m, op_type);
    node->name = test_onnx_string(m, name);
    node->n_input = inputs;
    node->input = copy_names(m, inputs, input);
    node->n_output = outputs;
    node->output = copy_names(m, outputs, output);
    m->graph.node = append(m, m->graph.node, &m->graph.n_node, node);
    return node;
}

void test_onnx_domain(test_onnx *m, Onnx__NodeProto *node, const char *domain) {
    node->domain = test_onnx_string(m, domain);
}

static Onnx__AttributeProto *add_attribute(test_onnx *m, Onnx__NodeProto *node, const char *name,
                                           Onnx__AttributeProto__AttributeType type) {
    Onnx__AttributeProto *attribute = test_onnx_bytes(m, sizeof *attribute);
    onnx__attribute_proto__init(attribute);
    attribute->name = test_onnx_string(m, name);
    attribute->has_type = 1;
    attribute->type = type;
    node->attribute = append(m, node->attribute, &node->n_attribute, attribute);
    return attribute;
}

void test_onnx_attr_int(test_onnx *m, Onnx__NodeProto *node, const char *name, int64_t value) {
    Onnx__AttributeProto *attribute = add_attribute(m, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    attribute->has_i = 1;
    attribute->i = value;
}

void test_onnx_attr_float(test_onnx *m, Onnx__NodeProto *node, const char *name, float value) {
    Onnx__AttributeProto *attribute = add_attribute(m, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    attribute->has_f = 1;
    attribute->f = value;
}

void test_onnx_attr_string(test_onnx *m, Onnx__NodeProto *node, const char *name, const char *value) {
    Onnx__AttributeProto *attribute = add_attribute(m, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    attribute->has_s = 1;
    attribute->s.len = strlen(value);
    attribute->s.data = copy_bytes(m, value, attribute->s.len);
}

void test_onnx_attr_ints(test_onnx *m, Onnx__NodeProto *node, const char *name, size_t count, const int64_t *values) {
    Onnx__AttributeProto *attribute = add_attribute(m, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    attribute->n_ints = count;
    attribute->ints = copy_bytes(m, values, count * sizeof *values);
}

void test_onnx_attr_floats(test_onnx *m, Onnx__NodeProto *node, const char *name, size_t count, const float *values) {
    Onnx__AttributeProto *attribute = add_attribute(m, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS);
    attribute->n_floats = count;
    attribute->floats = copy_bytes(m, values, count * sizeof *values);
}

void test_onnx_attr_tensor(test_onnx *m, Onnx__NodeProto *node, const char *name, pare_dtype dtype, int rank,
                           const int64_t *dims, const void *data) {
    Onnx__AttributeProto *attribute = add_attribute(m, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR);
    attribute->t = make_tensor(m, NULL, dtype, rank, dims, data);
}

const uint8_t *test_onnx_pack(test_onnx *m, size_t *size) {
    size_t bytes = onnx__model_proto__get_packed_size(&m->model);
    uint8_t *data = test_onnx_bytes(m, bytes);
    *size = onnx__model_proto__pack(&m->model, data);
    return data;
}

void test_onnx_save(test_onnx *m, const char *path) {
    size_t size;
    const uint8_t *data = test_onnx_pack(m, &size);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

pare_status test_onnx_open(test_onnx *m, pare_onnx_file *file, pare_error *error) {
    size_t size;
    const uint8_t *data = test_onnx_pack(m, &size);
    return pare_onnx_from_bytes(data, size, NULL, NULL, file, error);
}
