#include <stdio.h>
#include <string.h>

#include "model_storage.h"
#include "pare/checked.h"
#include "section_read.h"
#include "string_table.h"

/* A table that grows by doubling inside the arena. */
typedef struct growing {
    void *items;
    uint32_t count, capacity;
} growing;

struct pare_model_builder {
    model_storage *storage;
    growing tensors, nodes, buffers, inputs, outputs, metadata;
    pare_string_table names; /* of tensors */
    size_t bytes;            /* of all buffers */
};

static void *grow(pare_model_builder *b, growing *table, size_t item) {
    if (table->count == table->capacity) {
        uint32_t capacity = table->capacity == 0 ? 16 : table->capacity * 2;
        void *items = pare_arena_alloc(&b->storage->arena, capacity, item);
        if (items == NULL) {
            return NULL;
        }
        if (table->count > 0) {
            memcpy(items, table->items, table->count * item);
        }
        table->items = items;
        table->capacity = capacity;
    }
    return (uint8_t *)table->items + item * table->count++;
}

pare_status pare_model_builder_create(pare_model_builder **builder, pare_error *error) {
    pare_model_builder *b = pare_alloc_zero(1, sizeof *b);
    model_storage *storage = pare_model_storage_create(SIZE_MAX);
    if (b == NULL || storage == NULL) {
        pare_free(b);
        pare_free(storage);
        return pare_fail_memory(error, sizeof *b + sizeof *storage);
    }
    b->storage = storage;
    *builder = b;
    return PARE_OK;
}

/* Hands the tables that exist so far to the model, so that one destructor knows them. */
static void attach(pare_model_builder *b) {
    pare_model *m = &b->storage->model;
    m->tensors = b->tensors.items;
    m->nodes = b->nodes.items;
    m->buffers = b->buffers.items;
    m->inputs = b->inputs.items;
    m->outputs = b->outputs.items;
    m->metadata = b->metadata.items;
    m->tensor_count = b->tensors.count;
    m->node_count = b->nodes.count;
    m->buffer_count = b->buffers.count;
    m->input_count = b->inputs.count;
    m->output_count = b->outputs.count;
    m->metadata_count = b->metadata.count;
}

void pare_model_builder_free(pare_model_builder *builder) {
    if (builder != NULL) {
        attach(builder);
        pare_model_release(&builder->storage->model);
        pare_string_table_free(&builder->names);
        pare_free(builder);
    }
}

/* What a reader with the default limits would refuse is not built. */
static pare_status check_name(const char *kind, const char *name, pare_error *error) {
    pare_model_limits limits;
    limits_resolve(&limits, NULL);
    return strlen(name) <= limits.name_bytes
               ? PARE_OK
               : pare_fail(error, PARE_LIMIT, "%s \"%.100s\"…: expected a name of at most %u bytes, found %zu", kind,
                           name, limits.name_bytes, strlen(name));
}

/* The name itself, or with the first free ":2", ":3", … */
static const char *unique_name(pare_model_builder *b, const char *name) {
    size_t length = strlen(name) + 24;
    char *copy = pare_arena_alloc(&b->storage->arena, length, 1);
    if (copy != NULL) {
        snprintf(copy, length, "%s", name);
        for (unsigned suffix = 2; pare_string_table_find(&b->names, copy) != UINT32_MAX; suffix++) {
            snprintf(copy, length, "%s:%u", name, suffix);
        }
    }
    return copy;
}

static const pare_model_quant *copy_quant(pare_model_builder *b, const pare_model_quant *quant) {
    pare_model_quant *copy = pare_arena_alloc(&b->storage->arena, 1, sizeof *copy);
    void *scales =
        copy != NULL ? pare_arena_copy_bytes(&b->storage->arena, quant->scales, quant->count * sizeof(float)) : NULL;
    void *zeros = scales != NULL
                      ? pare_arena_copy_bytes(&b->storage->arena, quant->zero_points, quant->count * sizeof(int32_t))
                      : NULL;
    if (zeros == NULL) {
        return NULL;
    }
    *copy = (pare_model_quant){quant->axis, quant->count, scales, zeros};
    return copy;
}

static pare_status add_buffer(pare_model_builder *b, const void *data, size_t bytes, uint32_t *index,
                              pare_error *error) {
    size_t padded, total;
    pare_model_limits limits;
    limits_resolve(&limits, NULL);
    if (!pare_add_size(b->bytes, bytes, &total) || total > limits.total_bytes) {
        return pare_fail(error, PARE_LIMIT, "expected constants of at most %zu bytes in all, found %zu more than %zu",
                         limits.total_bytes, bytes, b->bytes);
    }
    b->bytes = total;
    uint8_t *copy = pare_add_size(bytes, BUFFER_SLACK, &padded) ? pare_alloc(padded) : NULL;
    pare_model_buffer *buffer = copy != NULL ? grow(b, &b->buffers, sizeof *buffer) : NULL;
    if (buffer == NULL) {
        pare_free(copy);
        return pare_fail_memory(error, bytes);
    }
    memcpy(copy, data, bytes);
    memset(copy + bytes, 0, BUFFER_SLACK);
    *buffer = (pare_model_buffer){copy, bytes, PARE_CODEC_RAW, 0};
    *index = b->buffers.count - 1;
    return PARE_OK;
}

pare_status pare_model_add_tensor(pare_model_builder *b, const char *name, pare_dtype dtype, const pare_shape *shape,
                                  const pare_model_quant *quant, const void *data, size_t bytes, uint32_t *index,
                                  pare_error *error) {
    pare_model_tensor tensor = {.dtype = dtype, .shape = *shape, .buffer = PARE_NONE};
    PARE_TRY(check_name("tensor", name, error));
    if ((tensor.name = unique_name(b, name)) == NULL ||
        (quant != NULL && (tensor.quant = copy_quant(b, quant)) == NULL)) {
        return pare_fail_memory(error, strlen(name));
    }
    if (data != NULL) {
        PARE_TRY(add_buffer(b, data, bytes, &tensor.buffer, error));
    }
    pare_model_tensor *added = grow(b, &b->tensors, sizeof *added);
    if (added == NULL) {
        return pare_fail_memory(error, sizeof *added);
    }
    *added = tensor;
    if (!pare_string_table_add(&b->names, tensor.name, b->tensors.count - 1)) {
        return pare_fail_memory(error, sizeof *added);
    }
    if (index != NULL) {
        *index = b->tensors.count - 1;
    }
    return PARE_OK;
}

pare_status pare_model_add_node(pare_model_builder *b, const char *name, uint32_t opcode, const uint32_t *inputs,
                                uint32_t input_count, const uint32_t *outputs, uint32_t output_count, const void *attrs,
                                uint32_t *index, pare_error *error) {
    const pare_opcode_info *info = pare_opcode_find(opcode);
    if (info == NULL) {
        return pare_fail(error, PARE_UNSUPPORTED, "node \"%s\": unknown opcode %u", name, opcode);
    }
    PARE_TRY(check_name("node", name, error));
    pare_arena *arena = &b->storage->arena;
    pare_model_node node = {.name = pare_arena_copy_string(arena, name),
                            .opcode = opcode,
                            .input_count = input_count,
                            .output_count = output_count,
                            .inputs = (void *)pare_arena_copy_bytes(arena, inputs, input_count * sizeof *inputs),
                            .outputs = (void *)pare_arena_copy_bytes(arena, outputs, output_count * sizeof *outputs),
                            .attrs = pare_arena_copy_bytes(arena, attrs, info->attr_bytes)};
    pare_model_node *added = grow(b, &b->nodes, sizeof *added);
    if (node.name == NULL || node.inputs == NULL || node.outputs == NULL || node.attrs == NULL || added == NULL) {
        return pare_fail_memory(error, sizeof node);
    }
    *added = node;
    if (index != NULL) {
        *index = b->nodes.count - 1;
    }
    return PARE_OK;
}

static pare_status add_index(pare_model_builder *b, growing *table, uint32_t tensor, pare_error *error) {
    uint32_t *added = grow(b, table, sizeof *added);
    if (added == NULL) {
        return pare_fail_memory(error, sizeof *added);
    }
    *added = tensor;
    return PARE_OK;
}

pare_status pare_model_add_input(pare_model_builder *b, uint32_t tensor, pare_error *error) {
    return add_index(b, &b->inputs, tensor, error);
}

pare_status pare_model_add_output(pare_model_builder *b, uint32_t tensor, pare_error *error) {
    return add_index(b, &b->outputs, tensor, error);
}

pare_status pare_model_add_metadata(pare_model_builder *b, const char *key, const char *value, pare_error *error) {
    pare_model_metadata *added = grow(b, &b->metadata, sizeof *added);
    if (added == NULL) {
        return pare_fail_memory(error, sizeof *added);
    }
    added->key = pare_arena_copy_string(&b->storage->arena, key);
    added->value = pare_arena_copy_string(&b->storage->arena, value);
    if (added->key == NULL || added->value == NULL) {
        b->metadata.count--;
        return pare_fail_memory(error, strlen(value));
    }
    return PARE_OK;
}

const pare_model_tensor *pare_model_builder_tensor(const pare_model_builder *b, uint32_t index) {
    const pare_model_tensor *tensors = b->tensors.items;
    return index < b->tensors.count ? &tensors[index] : NULL;
}

pare_status pare_model_finish(pare_model_builder *builder, pare_model **model, pare_error *error) {
    attach(builder);
    pare_status status = pare_model_verify(&builder->storage->model, error);
    if (status == PARE_OK) {
        *model = pare_model_retain(&builder->storage->model);
    }
    pare_model_builder_free(builder);
    return status;
}
