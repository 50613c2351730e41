/* What tests do to the bytes of a `.pare` file. It knows the layout by itself,
 * from CONTAINER.md, so that it also checks the writer. */
#include <string.h>
#include <zlib.h>

#include "sample_models.h"

static uint64_t load(const uint8_t *at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = bytes; i-- > 0;) {
        value = value << 8 | at[i];
    }
    return value;
}

static void store_crc(uint8_t *at, const uint8_t *data, size_t bytes) {
    uint32_t crc = (uint32_t)crc32_z(0, data, bytes);
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(crc >> (8 * i));
    }
}

enum { HEADER = 64, ENTRY = 40, BUFFER_RECORD = 32, BUFFERS = 7, WEIGHTS = 8 };

static size_t entries(const uint8_t *data, size_t size) {
    uint64_t count = size >= HEADER ? load(data + 16, 4) : 0;
    return count < (size - (count != 0 ? HEADER : 0)) / ENTRY ? (size_t)count
           : size < HEADER                                    ? 0
                                                              : (size - HEADER) / ENTRY;
}

void find_section(const uint8_t *data, size_t size, uint32_t type, size_t *offset, size_t *bytes) {
    *offset = *bytes = 0;
    for (size_t i = 0; i < entries(data, size); i++) {
        const uint8_t *entry = data + HEADER + i * ENTRY;
        uint64_t at = load(entry + 8, 8), stored = load(entry + 16, 8);
        if (load(entry, 4) == type && at <= size && stored <= size - at) {
            *offset = (size_t)at;
            *bytes = (size_t)stored;
            return;
        }
    }
}

static void fix_buffers(uint8_t *data, size_t size) {
    size_t table, table_bytes, weights, weight_bytes;
    find_section(data, size, BUFFERS, &table, &table_bytes);
    find_section(data, size, WEIGHTS, &weights, &weight_bytes);
    for (size_t at = 4; at + BUFFER_RECORD <= table_bytes; at += BUFFER_RECORD) {
        uint8_t *record = data + table + at;
        uint64_t offset = load(record + 16, 8), stored = load(record + 24, 8);
        if (load(record, 4) == 0 && offset <= weight_bytes && stored <= weight_bytes - offset) {
            store_crc(record + 4, data + weights + offset, (size_t)stored);
        }
    }
}

void fix_checksums(uint8_t *data, size_t size) {
    if (size < HEADER) {
        return;
    }
    size_t count = entries(data, size);
    for (size_t i = 0; i < count; i++) {
        uint8_t *entry = data + HEADER + i * ENTRY;
        if (load(entry, 4) == BUFFERS && (load(entry + 4, 4) & 2) == 0) {
            fix_buffers(data, size);
        }
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t *entry = data + HEADER + i * ENTRY;
        uint64_t offset = load(entry + 8, 8), stored = load(entry + 16, 8);
        if (offset <= size && stored <= size - offset) {
            store_crc(entry + 32, data + offset, (size_t)stored);
        }
    }
    store_crc(data + 24, data + HEADER, count * ENTRY);
    store_crc(data + 28, data, 28);
}

static bool quants_equal(const pare_model_quant *a, const pare_model_quant *b) {
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return a->axis == b->axis && a->count == b->count && memcmp(a->scales, b->scales, a->count * sizeof(float)) == 0 &&
           memcmp(a->zero_points, b->zero_points, a->count * sizeof(int32_t)) == 0;
}

static bool tensors_equal(const pare_model *a, const pare_model *b, uint32_t i) {
    const pare_model_tensor *s = &a->tensors[i], *t = &b->tensors[i];
    if (strcmp(s->name, t->name) != 0 || s->dtype != t->dtype || !pare_shape_equal(&s->shape, &t->shape) ||
        s->buffer != t->buffer || !quants_equal(s->quant, t->quant)) {
        return false;
    }
    if (s->buffer == PARE_NONE) {
        return true;
    }
    const pare_model_buffer *m = &a->buffers[s->buffer], *n = &b->buffers[t->buffer];
    return m->bytes == n->bytes && memcmp(m->data, n->data, m->bytes) == 0;
}

static bool words_equal(const uint32_t *a, const uint32_t *b, size_t count) {
    return count == 0 || memcmp(a, b, count * sizeof *a) == 0;
}

static bool nodes_equal(const pare_model_node *a, const pare_model_node *b) {
    return strcmp(a->name, b->name) == 0 && a->opcode == b->opcode && a->input_count == b->input_count &&
           a->output_count == b->output_count && words_equal(a->inputs, b->inputs, a->input_count) &&
           words_equal(a->outputs, b->outputs, a->output_count) &&
           memcmp(a->attrs, b->attrs, pare_opcode_find(a->opcode)->attr_bytes) == 0;
}

bool models_equal(const pare_model *a, const pare_model *b) {
    bool equal = a->tensor_count == b->tensor_count && a->node_count == b->node_count &&
                 a->buffer_count == b->buffer_count && a->input_count == b->input_count &&
                 a->output_count == b->output_count && a->metadata_count == b->metadata_count &&
                 words_equal(a->inputs, b->inputs, a->input_count) &&
                 words_equal(a->outputs, b->outputs, a->output_count);
    for (uint32_t i = 0; equal && i < a->tensor_count; i++) {
        equal = tensors_equal(a, b, i);
    }
    for (uint32_t i = 0; equal && i < a->node_count; i++) {
        equal = nodes_equal(&a->nodes[i], &b->nodes[i]);
    }
    for (uint32_t i = 0; equal && i < a->metadata_count; i++) {
        equal = strcmp(a->metadata[i].key, b->metadata[i].key) == 0 &&
                strcmp(a->metadata[i].value, b->metadata[i].value) == 0;
    }
    return equal;
}
