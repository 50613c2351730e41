/* Nodes, attributes, initializers. */
#include <stdio.h>
#include <string.h>

#include "ir/onnx_export.h"
#include "pare/op.h"

bool onnx_fill_tensor(onnx_writer *writer, Onnx__TensorProto *tensor, const char *name, pare_dtype dtype, int32_t rank,
                      const int64_t *dims, const void *data, size_t bytes) {
    onnx__tensor_proto__init(tensor);
    tensor->dims = onnx_make(writer, (size_t)rank, sizeof *tensor->dims);
    if (tensor->dims == NULL) {
        return false;
    }
    if (rank > 0) {
        memcpy(tensor->dims, dims, (size_t)rank * sizeof *tensor->dims);
    }
    tensor->n_dims = (size_t)rank;
    tensor->has_data_type = 1;
    tensor->data_type = (int32_t)dtype;
    tensor->name = (char *)name;
    tensor->has_raw_data = 1;
    tensor->raw_data.data = (uint8_t *)data;
    tensor->raw_data.len = bytes;
    return true;
}

bool onnx_add_initializer(onnx_writer *writer, const char *name, pare_dtype dtype, int32_t rank, const int64_t *dims,
                          const void *data, size_t bytes) {
    Onnx__TensorProto *tensor = onnx_make(writer, 1, sizeof *tensor);
    return tensor != NULL && onnx_fill_tensor(writer, tensor, name, dtype, rank, dims, data, bytes) &&
           onnx_append(writer, &writer->initializers, tensor);
}

static char *fresh_node_name(onnx_writer *writer, const char *base) {
    size_t size = strlen(base) + 24;
    char *name = onnx_make(writer, size, 1);
    if (name == NULL) {
        return NULL;
    }
    snprintf(name, size, "%s", base);
    for (unsigned long n = 1; pare_name_table_find(writer->graph->node_names, name) != NULL ||
                              pare_name_table_find(writer->node_names, name) != NULL;
         n++) {
        snprintf(name, size, "%s_%lu", base, n);
    }
    return pare_name_table_put(writer->node_names, name, name) ? name : NULL;
}

static Onnx__NodeProto *append_node(onnx_writer *writer, const char *op, const char *name, char **inputs,
                                    size_t input_count, char **outputs, size_t output_count) {
    Onnx__NodeProto *node = onnx_make(writer, 1, sizeof *node);
    if (node == NULL || inputs == NULL || outputs == NULL) {
        return NULL;
    }
    onnx__node_proto__init(node);
    node->op_type = (char *)op;
    node->name = (char *)name;
    node->input = inputs;
    node->n_input = input_count;
    node->output = outputs;
    node->n_output = output_count;
    return onnx_append(writer, &writer->nodes, node) ? node : NULL;
}

static char **copy_names(onnx_writer *writer, const char *const *names, size_t count) {
    char **copy = onnx_make(writer, count, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = (char *)names[i];
    }
    return copy;
}

Onnx__NodeProto *onnx_add_node(onnx_writer *writer, const char *op, const char *name, const char *const *inputs,
                               size_t input_count, const char *const *outputs, size_t output_count) {
    const char *unique = fresh_node_name(writer, name);
    return unique != NULL ? append_node(writer, op, unique, copy_names(writer, inputs, input_count), input_count,
                                        copy_names(writer, outputs, output_count), output_count)
                          : NULL;
}

/* Attributes are few: the list grows by copying. */
static Onnx__AttributeProto *add_attr(onnx_writer *writer, Onnx__NodeProto *node, const char *name,
                                      Onnx__AttributeProto__AttributeType type) {
    Onnx__AttributeProto *attr = onnx_make(writer, 1, sizeof *attr);
    Onnx__AttributeProto **list = onnx_make(writer, node->n_attribute + 1, sizeof *list);
    if (attr == NULL || list == NULL) {
        return NULL;
    }
    if (node->n_attribute != 0) {
        memcpy(list, node->attribute, node->n_attribute * sizeof(*list));
    }
    onnx__attribute_proto__init(attr);
    attr->name = (char *)name;
    attr->has_type = 1;
    attr->type = type;
    list[node->n_attribute++] = attr;
    node->attribute = list;
    return attr;
}

bool onnx_add_int_attr(onnx_writer *writer, Onnx__NodeProto *node, const char *name, int64_t value) {
    Onnx__AttributeProto *attr = add_attr(writer, node, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (attr != NULL) {
        attr->has_i = 1;
        attr->i = value;
    }
    return attr != NULL;
}

/* What was joined by commas on the way in. */
static bool export_strings(onnx_writer *writer, Onnx__NodeProto *node, const pare_attr *from) {
    Onnx__AttributeProto *attr = add_attr(writer, node, from->name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS);
    size_t count = 1;
    for (const char *at = from->s; *at != '\0'; at++) {
        count += *at == ',';
    }
    ProtobufCBinaryData *strings = onnx_make(writer, count, sizeof *strings);
    if (attr == NULL || strings == NULL) {
        return false;
    }
    const char *start = from->s;
    for (size_t i = 0; i < count; i++) {
        size_t length = strcspn(start, ",");
        strings[i] = (ProtobufCBinaryData){.len = length, .data = (uint8_t *)start};
        start += length + (start[length] == ',');
    }
    attr->n_strings = count;
    attr->strings = strings;
    return true;
}

static bool export_plain(onnx_writer *writer, Onnx__NodeProto *node, const pare_attr *from) {
    static const Onnx__AttributeProto__AttributeType types[] = {
        [PARE_ATTR_INT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT,
        [PARE_ATTR_FLOAT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT,
        [PARE_ATTR_STRING] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING,
        [PARE_ATTR_INTS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS,
        [PARE_ATTR_FLOATS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS,
        [PARE_ATTR_TENSOR] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR,
    };
    Onnx__AttributeProto *attr = add_attr(writer, node, from->name, types[from->kind]);
    if (attr == NULL) {
        return false;
    }
    attr->has_i = from->kind == PARE_ATTR_INT;
    attr->i = attr->has_i ? from->i : 0;
    attr->has_f = from->kind == PARE_ATTR_FLOAT;
    attr->f = attr->has_f ? from->f : 0.0F;
    if (from->kind == PARE_ATTR_STRING) {
        attr->has_s = 1;
        attr->s = (ProtobufCBinaryData){.len = strlen(from->s), .data = (uint8_t *)from->s};
    } else if (from->kind == PARE_ATTR_INTS) {
        attr->n_ints = from->count;
        attr->ints = from->ints;
    } else if (from->kind == PARE_ATTR_FLOATS) {
        attr->n_floats = from->count;
        attr->floats = from->floats;
    } else if (from->kind == PARE_ATTR_TENSOR) {
        const pare_value *tensor = from->tensor;
        attr->t = onnx_make(writer, 1, sizeof *attr->t);
        return attr->t != NULL && onnx_fill_tensor(writer, attr->t, "", tensor->dtype, tensor->shape.rank,
                                                   tensor->shape.dims, tensor->data, tensor->data_bytes);
    }
    return true;
}

static pare_status export_attrs(onnx_writer *writer, const pare_node *node, Onnx__NodeProto *proto) {
    for (const pare_attr *attr = node->attrs; attr != NULL; attr = attr->next) {
        if (strncmp(attr->name, "pare_", 5) == 0) {
            return pare_node_fail(node, writer->error, PARE_INTERNAL,
                                  "expected a graph without fused nodes, found attribute \"%.100s\"", attr->name);
        }
        bool strings = attr->kind == PARE_ATTR_STRING && strcmp(attr->name, "activations") == 0;
        if (!(strings ? export_strings(writer, proto, attr) : export_plain(writer, proto, attr))) {
            return onnx_no_memory(writer);
        }
    }
    return PARE_OK;
}

pare_status onnx_export_node(onnx_writer *writer, const pare_node *node) {
    const char **inputs = onnx_make(writer, node->input_count, sizeof *inputs);
    const char **outputs = onnx_make(writer, node->output_count, sizeof *outputs);
    if (inputs == NULL || outputs == NULL) {
        return onnx_no_memory(writer);
    }
    size_t input_count = 0, output_count = 0;
    for (size_t i = 0; i < node->input_count; i++) {
        inputs[i] = "";
        if (node->inputs[i] != NULL) {
            PARE_TRY(onnx_reader_name(writer, node->inputs[i], &inputs[i]));
            input_count = i + 1;
        }
    }
    for (size_t i = 0; i < node->output_count; i++) {
        outputs[i] = "";
        if (node->outputs[i] != NULL) {
            PARE_TRY(onnx_writer_name(writer, node->outputs[i], &outputs[i]));
            output_count = i + 1;
        }
    }
    if (output_count == 0) {
        return PARE_OK; /* all its outputs have become constants */
    }
    Onnx__NodeProto *proto =
        append_node(writer, node->op->name, node->name, (char **)inputs, input_count, (char **)outputs, output_count);
    if (proto == NULL) {
        return onnx_no_memory(writer);
    }
    proto->domain = node->op->domain[0] != '\0' ? (char *)node->op->domain : NULL;
    PARE_TRY(export_attrs(writer, node, proto));
    for (size_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] != NULL) {
            PARE_TRY(onnx_export_quantization(writer, node->outputs[i]));
        }
    }
    return PARE_OK;
}
