/* Graph -> ONNX: the model around the nodes. */
#include <stdio.h>
#include <string.h>

#include "ir/onnx_export.h"
#include "pare/onnx_graph.h"
#include "pare/op.h"

void *onnx_make(onnx_writer *writer, size_t count, size_t size) {
    return pare_arena_alloc(&writer->arena, count + 1, size);
}

pare_status onnx_no_memory(onnx_writer *writer) {
    return pare_fail(writer->error, PARE_LIMIT, "expected memory for the ONNX file, found none after %zu bytes",
                     writer->arena.used);
}

bool onnx_append(onnx_writer *writer, onnx_list *list, void *item) {
    if (item != NULL && list->count == list->capacity) {
        size_t capacity = list->capacity * 2 + 16;
        void **grown = onnx_make(writer, capacity, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        if (list->count != 0) {
            memcpy(grown, list->items, list->count * sizeof *grown);
        }
        list->items = grown;
        list->capacity = capacity;
    }
    if (item != NULL) {
        list->items[list->count++] = item;
    }
    return item != NULL;
}

char *onnx_fresh_name(onnx_writer *writer, const char *base, const char *suffix) {
    size_t size = strlen(base) + strlen(suffix) + 24;
    char *name = onnx_make(writer, size, 1);
    if (name == NULL) {
        return NULL;
    }
    snprintf(name, size, "%s%s", base, suffix);
    for (unsigned long n = 1;
         pare_graph_find_value(writer->graph, name) != NULL || pare_name_table_find(writer->names, name) != NULL; n++) {
        snprintf(name, size, "%s%s_%lu", base, suffix, n);
    }
    return pare_name_table_put(writer->names, name, name) ? name : NULL;
}

/* Dimensions of a port: the batch is "N". */
static Onnx__TensorShapeProto *shape_proto(onnx_writer *writer, const pare_shape *shape) {
    Onnx__TensorShapeProto *proto = onnx_make(writer, 1, sizeof *proto);
    Onnx__TensorShapeProto__Dimension *dims = onnx_make(writer, (size_t)shape->rank, sizeof *dims);
    Onnx__TensorShapeProto__Dimension **list = onnx_make(writer, (size_t)shape->rank, sizeof(*list));
    if (proto == NULL || dims == NULL || list == NULL) {
        return NULL;
    }
    onnx__tensor_shape_proto__init(proto);
    for (int32_t d = 0; d < shape->rank; d++) {
        onnx__tensor_shape_proto__dimension__init(&dims[d]);
        list[d] = &dims[d];
        if (shape->dims[d] >= 0) {
            dims[d].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dims[d].dim_value = shape->dims[d];
            continue;
        }
        char *param = onnx_make(writer, 32, 1);
        if (param == NULL) {
            return NULL;
        }
        snprintf(param, 32, shape->dims[d] == -1 ? "N" : "N_times_%lld", -(long long)shape->dims[d]);
        dims[d].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        dims[d].dim_param = param;
    }
    proto->n_dim = (size_t)shape->rank;
    proto->dim = list;
    return proto;
}

static Onnx__ValueInfoProto *value_info(onnx_writer *writer, const pare_value *value) {
    Onnx__ValueInfoProto *info = onnx_make(writer, 1, sizeof *info);
    Onnx__TypeProto *type = onnx_make(writer, 1, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = onnx_make(writer, 1, sizeof *tensor);
    if (info == NULL || type == NULL || tensor == NULL) {
        return NULL;
    }
    onnx__value_info_proto__init(info);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    info->name = (char *)value->name;
    info->type = type;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = (int32_t)(value->dtype != PARE_DTYPE_NONE ? value->dtype : PARE_F32);
    if (value->has_shape && (tensor->shape = shape_proto(writer, &value->shape)) == NULL) {
        return NULL;
    }
    return info;
}

static pare_status export_ports(onnx_writer *writer, pare_value *const *values, size_t count,
                                Onnx__ValueInfoProto ***infos) {
    *infos = onnx_make(writer, count, sizeof(**infos));
    for (size_t i = 0; *infos != NULL && i < count; i++) {
        if (((*infos)[i] = value_info(writer, values[i])) == NULL) {
            return onnx_no_memory(writer);
        }
    }
    return *infos != NULL ? PARE_OK : onnx_no_memory(writer);
}

/* A constant that leaves the graph needs a node behind it: initializers are no outputs. */
static pare_status export_constant_outputs(onnx_writer *writer) {
    for (size_t i = 0; i < writer->graph->output_count; i++) {
        const pare_value *output = writer->graph->outputs[i];
        if (output->data == NULL) {
            continue;
        }
        pare_value constant = *output; /* under another name, so that the node may write this one */
        const char *result = output->name;
        const char *name = onnx_fresh_name(writer, output->name, "_constant");
        if (name == NULL) {
            return onnx_no_memory(writer);
        }
        constant.name = name;
        PARE_TRY(onnx_reader_name(writer, &constant, &name));
        if (onnx_add_node(writer, "Identity", result, &name, 1, &result, 1) == NULL ||
            !pare_name_table_put(writer->emitted, result, (void *)(uintptr_t)output)) {
            return onnx_no_memory(writer);
        }
    }
    return PARE_OK;
}

static pare_status export_graph(onnx_writer *writer, Onnx__GraphProto *proto) {
    const pare_graph *graph = writer->graph;
    onnx__graph_proto__init(proto);
    PARE_TRY(export_ports(writer, graph->inputs, graph->input_count, &proto->input));
    PARE_TRY(export_ports(writer, graph->outputs, graph->output_count, &proto->output));
    proto->n_input = graph->input_count;
    proto->n_output = graph->output_count;
    for (size_t i = 0; i < graph->input_count; i++) {
        PARE_TRY(onnx_export_quantization(writer, graph->inputs[i]));
    }
    PARE_TRY(export_constant_outputs(writer));
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        PARE_TRY(onnx_export_node(writer, node));
    }
    proto->name = (char *)graph->name;
    proto->node = (Onnx__NodeProto **)writer->nodes.items;
    proto->n_node = writer->nodes.count;
    proto->initializer = (Onnx__TensorProto **)writer->initializers.items;
    proto->n_initializer = writer->initializers.count;
    return PARE_OK;
}

static bool add_opset(onnx_writer *writer, onnx_list *list, const char *domain, int64_t version) {
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(((Onnx__OperatorSetIdProto *)list->items[i])->domain, domain) == 0) {
            return true;
        }
    }
    Onnx__OperatorSetIdProto *opset = onnx_make(writer, 1, sizeof *opset);
    if (opset == NULL) {
        return false;
    }
    onnx__operator_set_id_proto__init(opset);
    opset->domain = (char *)domain;
    opset->has_version = 1;
    opset->version = version;
    return onnx_append(writer, list, opset);
}

static pare_status export_opsets(onnx_writer *writer, Onnx__ModelProto *model) {
    onnx_list opsets = {0};
    bool stored = add_opset(writer, &opsets, "", writer->graph->opset);
    for (const pare_node *node = writer->graph->first; stored && node != NULL; node = node->next) {
        stored = add_opset(writer, &opsets, node->op->domain, 1);
    }
    model->opset_import = (Onnx__OperatorSetIdProto **)opsets.items;
    model->n_opset_import = opsets.count;
    return stored ? PARE_OK : onnx_no_memory(writer);
}

static pare_status export_metadata(onnx_writer *writer, Onnx__ModelProto *model) {
    onnx_list entries = {0};
    for (const pare_graph_metadata *at = writer->graph->metadata; at != NULL; at = at->next) {
        Onnx__StringStringEntryProto *entry = onnx_make(writer, 1, sizeof *entry);
        if (entry == NULL) {
            return onnx_no_memory(writer);
        }
        onnx__string_string_entry_proto__init(entry);
        entry->key = (char *)at->key;
        entry->value = (char *)at->value;
        if (!onnx_append(writer, &entries, entry)) {
            return onnx_no_memory(writer);
        }
    }
    model->metadata_props = (Onnx__StringStringEntryProto **)entries.items;
    model->n_metadata_props = entries.count;
    return PARE_OK;
}

static pare_status export_model(onnx_writer *writer, Onnx__ModelProto *model, Onnx__GraphProto *proto) {
    const pare_graph *graph = writer->graph;
    onnx__model_proto__init(model);
    model->has_ir_version = 1;
    model->ir_version = graph->opset >= 21 ? 10 : graph->opset >= 19 ? 9 : 8;
    model->producer_name = graph->producer[0] != '\0' ? (char *)graph->producer : NULL;
    model->doc_string = graph->doc[0] != '\0' ? (char *)graph->doc : NULL;
    model->graph = proto;
    PARE_TRY(export_opsets(writer, model));
    PARE_TRY(export_metadata(writer, model));
    return export_graph(writer, proto);
}

typedef struct onnx_target {
    const char *path; /* or NULL: */
    uint8_t **data;
    size_t *size;
} onnx_target;

static pare_status pack(const Onnx__ModelProto *model, const onnx_target *target, pare_error *error) {
    size_t size = onnx__model_proto__get_packed_size(model);
    if (size > INT32_MAX) {
        return pare_fail(error, PARE_LIMIT, "expected at most %d bytes, found %zu", INT32_MAX, size);
    }
    *target->data = pare_alloc(size);
    if (*target->data == NULL) {
        return pare_fail_memory(error, size);
    }
    *target->size = onnx__model_proto__pack(model, *target->data);
    return PARE_OK;
}

static pare_status write_graph(const pare_graph *graph, const onnx_target *target, pare_error *error) {
    onnx_writer writer = {.graph = graph, .error = error};
    Onnx__ModelProto model;
    Onnx__GraphProto proto;
    pare_arena_init(&writer.arena, (size_t)4 << 30);
    writer.names = pare_name_table_create(&writer.arena);
    writer.emitted = pare_name_table_create(&writer.arena);
    writer.node_names = pare_name_table_create(&writer.arena);
    pare_status status = PARE_OK;
    if (writer.names == NULL || writer.emitted == NULL || writer.node_names == NULL) {
        status = onnx_no_memory(&writer);
    }
    if (status == PARE_OK) {
        status = export_model(&writer, &model, &proto);
    }
    if (status == PARE_OK) {
        status = target->path != NULL ? pare_onnx_save(&model, target->path, 0, error) : pack(&model, target, error);
    }
    pare_arena_free(&writer.arena);
    return status;
}

pare_status pare_graph_save(const pare_graph *graph, const char *path, pare_error *error) {
    onnx_target target = {.path = path};
    return write_graph(graph, &target, error);
}

pare_status pare_graph_to_bytes(const pare_graph *graph, uint8_t **data, size_t *size, pare_error *error) {
    onnx_target target = {.data = data, .size = size};
    *data = NULL;
    *size = 0;
    return write_graph(graph, &target, error);
}
