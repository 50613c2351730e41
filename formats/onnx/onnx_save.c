/* Writing a model: streamed, so that weights are never copied as a whole, and
 * beyond protobuf's 2 GiB with the weights beside the model. */
#include "onnx_internal.h"

#include <stdio.h>
#include <string.h>

#include "pare/checked.h"
#include "pare/file.h"

enum { BUFFER_BYTES = 64 * 1024, SMALLEST_EXTERNAL = 1024, DATA_ALIGNMENT = 64, NUMBER_BYTES = 24 };

/* Gathers protobuf-c's small pieces; large ones go straight to the file. */
typedef struct sink {
    ProtobufCBuffer base; /* first: protobuf-c passes a pointer to it */
    pare_output *output;
    pare_status status; /* of the first write that failed */
    pare_error *error;
    size_t filled;
    uint8_t *buffer;
} sink;

static void sink_flush(sink *to) {
    if (to->status == PARE_OK && to->filled != 0) {
        to->status = pare_output_write(to->output, to->buffer, to->filled, to->error);
    }
    to->filled = 0;
}

static void sink_append(ProtobufCBuffer *base, size_t bytes, const uint8_t *data) {
    sink *to = (sink *)base;
    if (bytes > BUFFER_BYTES - to->filled) {
        sink_flush(to);
    }
    if (bytes > BUFFER_BYTES) {
        if (to->status == PARE_OK) {
            to->status = pare_output_write(to->output, data, bytes, to->error);
        }
        return;
    }
    if (bytes != 0) {
        memcpy(to->buffer + to->filled, data, bytes);
        to->filled += bytes;
    }
}

/* Opens `path` and writes all of the message; the caller commits or discards. */
static pare_status write_message(const Onnx__ModelProto *model, const char *path, pare_output **output,
                                 pare_error *error) {
    sink to = {.base = {sink_append}, .error = error, .buffer = pare_alloc(BUFFER_BYTES)};
    if (to.buffer == NULL) {
        return pare_fail_memory(error, BUFFER_BYTES);
    }
    to.status = pare_output_open(path, output, error);
    if (to.status == PARE_OK) {
        to.output = *output;
        onnx__model_proto__pack_to_buffer(model, &to.base);
        sink_flush(&to);
    }
    pare_free(to.buffer);
    return to.status;
}

/* The weights' file of a model in the making. */
typedef struct external_writer {
    pare_arena arena; /* of the changed messages */
    pare_output *output;
    const char *location;
    uint64_t offset;
    pare_error *error;
} external_writer;

static Onnx__StringStringEntryProto *make_entry(external_writer *writer, const char *key, const char *value) {
    Onnx__StringStringEntryProto *entry = pare_arena_alloc(&writer->arena, 1, sizeof *entry);
    if (entry == NULL) {
        return NULL;
    }
    onnx__string_string_entry_proto__init(entry);
    entry->key = pare_arena_copy_string(&writer->arena, key);
    entry->value = pare_arena_copy_string(&writer->arena, value);
    return entry->key != NULL && entry->value != NULL ? entry : NULL;
}

/* A copy of the tensor that says where its data lie. */
static Onnx__TensorProto *refer(external_writer *writer, const Onnx__TensorProto *tensor, size_t bytes) {
    char offset[NUMBER_BYTES], length[NUMBER_BYTES];
    snprintf(offset, sizeof offset, "%llu", (unsigned long long)writer->offset);
    snprintf(length, sizeof length, "%zu", bytes);
    Onnx__TensorProto *copy = pare_arena_alloc(&writer->arena, 1, sizeof *copy);
    Onnx__StringStringEntryProto **entries = pare_arena_alloc(&writer->arena, 3, sizeof(void *));
    if (copy == NULL || entries == NULL) {
        return NULL;
    }
    onnx__tensor_proto__init(copy);
    copy->base.n_unknown_fields = tensor->base.n_unknown_fields;
    copy->base.unknown_fields = tensor->base.unknown_fields;
    copy->n_dims = tensor->n_dims;
    copy->dims = tensor->dims;
    copy->has_data_type = tensor->has_data_type;
    copy->data_type = tensor->data_type;
    copy->name = tensor->name;
    copy->doc_string = tensor->doc_string;
    copy->has_data_location = 1;
    copy->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    copy->n_external_data = 3;
    copy->external_data = entries;
    entries[0] = make_entry(writer, "location", writer->location);
    entries[1] = make_entry(writer, "offset", offset);
    entries[2] = make_entry(writer, "length", length);
    return entries[0] != NULL && entries[1] != NULL && entries[2] != NULL ? copy : NULL;
}

/* Writes the tensor's data; *moved becomes what the model then holds instead.
 * What lies in typed fields is turned into bytes first, one tensor at a time. */
static pare_status move_tensor(external_writer *writer, const Onnx__TensorProto *tensor, Onnx__TensorProto **moved) {
    static const uint8_t zeros[DATA_ALIGNMENT];
    pare_arena scratch;
    const void *data = tensor->raw_data.data;
    size_t bytes = tensor->raw_data.len;
    pare_arena_init(&scratch, SIZE_MAX);
    pare_status status = PARE_OK;
    if (!tensor->has_raw_data) {
        void *converted = NULL;
        status = pare_onnx_tensor_data(NULL, tensor, &scratch, &converted, &bytes, writer->error);
        data = converted;
    }
    const size_t padding = (size_t)(-writer->offset % DATA_ALIGNMENT);
    if (status == PARE_OK) {
        status = pare_output_write(writer->output, zeros, padding, writer->error);
    }
    if (status == PARE_OK) {
        status = pare_output_write(writer->output, data, bytes, writer->error);
    }
    if (status == PARE_OK) {
        writer->offset += padding;
        *moved = refer(writer, tensor, bytes);
        status = *moved != NULL ? PARE_OK : pare_fail_memory(writer->error, sizeof **moved);
        writer->offset += bytes;
    }
    pare_arena_free(&scratch);
    return status;
}

/* Large enough, and not in a form that pare_onnx_tensor_data would widen. */
static bool is_movable(const Onnx__TensorProto *tensor) {
    if (tensor->has_raw_data) {
        return tensor->raw_data.len >= SMALLEST_EXTERNAL;
    }
    pare_shape shape;
    pare_dtype dtype;
    size_t bytes;
    return tensor->data_type != PARE_ONNX_INT4 && tensor->data_type != PARE_ONNX_UINT4 &&
           pare_onnx_tensor_shape(tensor, &shape, &dtype, NULL) == PARE_OK && pare_shape_bytes(&shape, dtype, &bytes) &&
           bytes >= SMALLEST_EXTERNAL;
}

/* A copy of the graph whose large initializers lie in the writer's file. */
static pare_status move_initializers(external_writer *writer, const Onnx__GraphProto *graph, Onnx__GraphProto *copy) {
    *copy = *graph;
    copy->initializer = pare_arena_alloc(&writer->arena, graph->n_initializer, sizeof *copy->initializer);
    if (copy->initializer == NULL) {
        return pare_fail_memory(writer->error, graph->n_initializer * sizeof *copy->initializer);
    }
    for (size_t i = 0; i < graph->n_initializer; i++) {
        copy->initializer[i] = graph->initializer[i];
        if (is_movable(graph->initializer[i])) {
            PARE_TRY(move_tensor(writer, graph->initializer[i], &copy->initializer[i]));
        }
    }
    return PARE_OK;
}

static pare_status size_error(size_t bytes, pare_error *error) {
    return pare_fail(error, PARE_LIMIT, "expected a model of at most %d bytes, found %zu", INT32_MAX, bytes);
}

/* Both files are whole before either becomes visible, the weights first. */
static pare_status save_with_data(const Onnx__ModelProto *model, const char *path, pare_error *error) {
    const size_t length = strlen(path);
    external_writer writer = {.error = error};
    Onnx__ModelProto copy = *model;
    Onnx__GraphProto graph;
    pare_output *output = NULL;
    pare_status status;
    pare_arena_init(&writer.arena, SIZE_MAX);
    char *data_path = pare_arena_alloc(&writer.arena, length + sizeof ".data", 1);
    if (data_path == NULL) {
        status = pare_fail_memory(error, length);
        goto done;
    }
    memcpy(data_path, path, length);
    memcpy(data_path + length, ".data", sizeof ".data");
    const char *slash = strrchr(data_path, '/');
    writer.location = slash != NULL ? slash + 1 : data_path;
    status = pare_output_open(data_path, &writer.output, error);
    if (status == PARE_OK) {
        status = move_initializers(&writer, model->graph, &graph);
    }
    if (status == PARE_OK) {
        copy.graph = &graph;
        const size_t bytes = onnx__model_proto__get_packed_size(&copy);
        status = bytes > INT32_MAX ? size_error(bytes, error) : write_message(&copy, path, &output, error);
    }
    if (status == PARE_OK) {
        pare_output *finished = writer.output;
        writer.output = NULL;
        status = pare_output_commit(finished, error);
    }
    if (status == PARE_OK) {
        pare_output *finished = output;
        output = NULL;
        status = pare_output_commit(finished, error);
    }
done:
    pare_output_discard(output);
    pare_output_discard(writer.output);
    pare_arena_free(&writer.arena);
    return status;
}

/* A reference would point beside the new place. */
static pare_status check_inline(const Onnx__ModelProto *model, pare_error *error) {
    for (size_t i = 0; model->graph != NULL && i < model->graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = model->graph->initializer[i];
        if (tensor->has_data_location && tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
            return pare_fail(error, PARE_USAGE, "tensor \"%s\": expected data within the model, found external data",
                             tensor->name != NULL ? tensor->name : "");
        }
    }
    return PARE_OK;
}

pare_status pare_onnx_save(const Onnx__ModelProto *model, const char *path, size_t external_over, pare_error *error) {
    if (model == NULL || path == NULL) {
        return pare_fail(error, PARE_USAGE, "pare_onnx_save: expected a model and a path, found NULL");
    }
    PARE_TRY(check_inline(model, error));
    const size_t bytes = onnx__model_proto__get_packed_size(model);
    const size_t most = external_over != 0 && external_over < INT32_MAX ? external_over : INT32_MAX;
    if (bytes > most && model->graph != NULL) {
        return save_with_data(model, path, error);
    }
    if (bytes > INT32_MAX) {
        return size_error(bytes, error);
    }
    pare_output *output = NULL;
    pare_status status = write_message(model, path, &output, error);
    if (status != PARE_OK) {
        pare_output_discard(output);
        return status;
    }
    return pare_output_commit(output, error);
}
