#include <string.h>
#include <zlib.h>

#include "codec.h"
#include "container.h"
#include "pare/file.h"
#include "pare/memory.h"
#include "pare/model.h"

/* Sections are collected one by one and put together at the end. */
typedef struct section {
    pare_byte_buffer bytes;
    uint32_t flags;
    size_t raw_bytes;
} section;

typedef struct writer {
    const pare_model *model;
    bool raw;
    section sections[SECTION_END];
    uint32_t quant_count;
    uint64_t stored_scales, product_scales;
} writer;

/* Offset of a string that is appended to the pool; 0 is the empty string. */
static uint32_t put_string(writer *w, const char *text) {
    pare_byte_buffer *pool = &w->sections[SECTION_STRINGS].bytes;
    uint32_t offset = (uint32_t)pool->size;
    if (text == NULL || text[0] == '\0') {
        return 0;
    }
    pare_put_bytes(pool, text, strlen(text) + 1);
    return offset;
}

/* Record of each tensor's quantization, and the operands whose product a bias's scales are. */
typedef struct quant_plan {
    uint32_t record; /* PARE_NONE: none, or not yet written */
    uint32_t input, weights;
} quant_plan;

/* NULL when out of memory. */
static quant_plan *plan_quants(const pare_model *model) {
    quant_plan *plan = pare_alloc_zero(model->tensor_count, sizeof *plan);
    for (uint32_t t = 0; plan != NULL && t < model->tensor_count; t++) {
        plan[t] = (quant_plan){PARE_NONE, PARE_NONE, PARE_NONE};
    }
    for (uint32_t n = 0; plan != NULL && n < model->node_count; n++) {
        const pare_model_node *node = &model->nodes[n];
        bool biased = node->opcode == PARE_OP_CONV || node->opcode == PARE_OP_FULLY_CONNECTED ||
                      node->opcode == PARE_OP_CONV_TRANSPOSE;
        if (biased && node->input_count > 2 && node->inputs[2] != PARE_NONE) {
            plan[node->inputs[2]].input = node->inputs[0];
            plan[node->inputs[2]].weights = node->inputs[1];
        }
    }
    return plan;
}

/* True where every scale is the product that the reader would compute. */
static bool is_product(const writer *w, const quant_plan *plan, uint32_t tensor) {
    const pare_model_tensor *tensors = w->model->tensors;
    const pare_model_quant *quant = tensors[tensor].quant;
    uint32_t x = plan[tensor].input, y = plan[tensor].weights;
    if (x == PARE_NONE || plan[x].record == PARE_NONE || plan[y].record == PARE_NONE || tensors[x].quant->count != 1 ||
        tensors[y].quant->count != quant->count || w->product_scales + quant->count > w->stored_scales) {
        return false;
    }
    for (uint32_t i = 0; i < quant->count; i++) {
        if (quant->scales[i] != tensors[x].quant->scales[0] * tensors[y].quant->scales[i]) {
            return false;
        }
    }
    return true;
}

static void put_quant(writer *w, quant_plan *plan, uint32_t tensor) {
    pare_byte_buffer *out = &w->sections[SECTION_QUANTIZATION].bytes;
    const pare_model_quant *quant = w->model->tensors[tensor].quant;
    bool zeros = false, product = is_product(w, plan, tensor);
    for (uint32_t i = 0; i < quant->count; i++) {
        zeros = zeros || quant->zero_points[i] != 0;
    }
    pare_put_u32(out, (uint32_t)quant->axis);
    pare_put_u32(out, quant->count);
    pare_put_u32(out, (zeros ? QUANT_ZERO_POINTS : 0) | (product ? QUANT_PRODUCT : 0));
    if (product) {
        pare_put_u32(out, plan[plan[tensor].input].record);
        pare_put_u32(out, plan[plan[tensor].weights].record);
    }
    for (uint32_t i = 0; !product && i < quant->count; i++) {
        pare_put_f32(out, quant->scales[i]);
    }
    for (uint32_t i = 0; zeros && i < quant->count; i++) {
        pare_put_u32(out, (uint32_t)quant->zero_points[i]);
    }
    *(product ? &w->product_scales : &w->stored_scales) += quant->count;
    plan[tensor].record = w->quant_count++;
}

static void put_tensors(writer *w) {
    pare_byte_buffer *out = &w->sections[SECTION_TENSORS].bytes;
    quant_plan *plan = plan_quants(w->model);
    out->failed = out->failed || plan == NULL;
    pare_put_u32(out, w->model->tensor_count);
    for (uint32_t t = 0; plan != NULL && t < w->model->tensor_count; t++) {
        const pare_model_tensor *tensor = &w->model->tensors[t];
        pare_put_u32(out, put_string(w, tensor->name));
        pare_put_u16(out, (uint16_t)tensor->dtype);
        pare_put_u16(out, (uint16_t)tensor->shape.rank);
        pare_put_u32(out, tensor->buffer);
        pare_put_u32(out, tensor->quant != NULL ? w->quant_count : PARE_NONE);
        for (int32_t i = 0; i < tensor->shape.rank; i++) {
            pare_put_u32(out, (uint32_t)(int32_t)tensor->shape.dims[i]);
        }
        if (tensor->quant != NULL) {
            put_quant(w, plan, t);
        }
    }
    pare_free(plan);
}

static void put_nodes(writer *w) {
    pare_byte_buffer *out = &w->sections[SECTION_NODES].bytes;
    pare_put_u32(out, w->model->node_count);
    for (uint32_t n = 0; n < w->model->node_count; n++) {
        const pare_model_node *node = &w->model->nodes[n];
        uint32_t attr_bytes = pare_opcode_find(node->opcode)->attr_bytes;
        pare_put_u32(out, put_string(w, node->name));
        pare_put_u32(out, node->opcode);
        pare_put_u32(out, node->input_count);
        pare_put_u32(out, node->output_count);
        pare_put_u32(out, attr_bytes);
        for (uint32_t i = 0; i < node->input_count; i++) {
            pare_put_u32(out, node->inputs[i]);
        }
        for (uint32_t i = 0; i < node->output_count; i++) {
            pare_put_u32(out, node->outputs[i]);
        }
        for (uint32_t i = 0; i < attr_bytes; i += 4) {
            uint32_t word;
            memcpy(&word, (const uint8_t *)node->attrs + i, sizeof word);
            pare_put_u32(out, word);
        }
    }
}

static void put_ports(writer *w) {
    pare_byte_buffer *out = &w->sections[SECTION_PORTS].bytes;
    pare_put_u32(out, w->model->input_count);
    pare_put_u32(out, w->model->output_count);
    for (uint32_t i = 0; i < w->model->input_count; i++) {
        pare_put_u32(out, w->model->inputs[i]);
    }
    for (uint32_t i = 0; i < w->model->output_count; i++) {
        pare_put_u32(out, w->model->outputs[i]);
    }
}

static void put_metadata(writer *w) {
    pare_byte_buffer *out = &w->sections[SECTION_METADATA].bytes;
    pare_put_u32(out, w->model->metadata_count);
    for (uint32_t i = 0; i < w->model->metadata_count; i++) {
        pare_put_u32(out, put_string(w, w->model->metadata[i].key));
        pare_put_u32(out, put_string(w, w->model->metadata[i].value));
    }
}

/* Element width of each buffer: that of the first tensor that uses it. NULL when out of memory. */
static size_t *buffer_widths(const pare_model *model) {
    size_t *widths = pare_alloc_zero(model->buffer_count, sizeof *widths);
    for (uint32_t t = 0; widths != NULL && t < model->tensor_count; t++) {
        const pare_model_tensor *tensor = &model->tensors[t];
        if (tensor->buffer != PARE_NONE && widths[tensor->buffer] == 0) {
            widths[tensor->buffer] = pare_dtype_bytes(tensor->dtype);
        }
    }
    for (uint32_t b = 0; widths != NULL && b < model->buffer_count; b++) {
        widths[b] = widths[b] == 0 ? 1 : widths[b];
    }
    return widths;
}

/* The smallest stored form; raw where none is smaller. */
static pare_codec choose_codec(const writer *w, uint32_t index, size_t width, pare_byte_buffer *best) {
    const pare_model_buffer *buffer = &w->model->buffers[index];
    pare_codec chosen = PARE_CODEC_RAW;
    for (uint32_t number = PARE_CODEC_RAW + 1; number < PARE_CODEC_END && !w->raw; number++) {
        pare_byte_buffer trial = {0};
        size_t limit = chosen == PARE_CODEC_RAW ? buffer->bytes : best->size;
        bool applies = pare_weight_codec_find(number)->encode(buffer->data, buffer->bytes, width, &trial);
        /* Running out of memory must not silently change the file. */
        if (trial.failed) {
            pare_byte_buffer_free(&trial);
            best->failed = true;
            break;
        }
        if (applies && trial.size < limit && buffer->bytes / CONTAINER_MOST_RATIO <= trial.size) {
            pare_byte_buffer_free(best);
            *best = trial;
            chosen = (pare_codec)number;
        } else {
            pare_byte_buffer_free(&trial);
        }
    }
    return chosen;
}

static void put_buffers(writer *w) {
    pare_byte_buffer *table = &w->sections[SECTION_BUFFERS].bytes, *out = &w->sections[SECTION_WEIGHTS].bytes;
    size_t *widths = buffer_widths(w->model);
    table->failed = table->failed || widths == NULL;
    pare_put_u32(table, w->model->buffer_count);
    for (uint32_t b = 0; widths != NULL && !out->failed && b < w->model->buffer_count; b++) {
        const pare_model_buffer *buffer = &w->model->buffers[b];
        pare_byte_buffer coded = {0};
        pare_codec codec = choose_codec(w, b, widths[b], &coded);
        out->failed = out->failed || coded.failed;
        bool raw = codec == PARE_CODEC_RAW;
        if (raw) {
            pare_put_padding(out, CONTAINER_ALIGNMENT);
        }
        pare_put_u32(table, (uint32_t)codec);
        pare_put_u32(table, (uint32_t)crc32_z(0, buffer->data, buffer->bytes));
        pare_put_u64(table, buffer->bytes);
        pare_put_u64(table, out->size);
        pare_put_u64(table, raw ? buffer->bytes : coded.size);
        pare_put_bytes(out, raw ? buffer->data : coded.data, raw ? buffer->bytes : coded.size);
        pare_byte_buffer_free(&coded);
    }
    pare_free(widths);
}

/* The graph's tables are small integers and names: zlib where it helps. */
static void pack_section(section *s) {
    pare_byte_buffer packed = {0};
    s->raw_bytes = s->bytes.size;
    if (pare_zlib_pack(s->bytes.data, s->bytes.size, &packed) && !packed.failed && packed.size < s->bytes.size) {
        pare_byte_buffer_free(&s->bytes);
        s->bytes = packed;
        s->flags |= SECTION_ZLIB;
    } else {
        s->bytes.failed = s->bytes.failed || packed.failed;
        pare_byte_buffer_free(&packed);
    }
}

static void put_file(const writer *w, pare_byte_buffer *out) {
    pare_byte_buffer table = {0};
    size_t at = CONTAINER_HEADER_BYTES + (SECTION_END - 1) * CONTAINER_ENTRY_BYTES;
    for (uint32_t type = 1; type < SECTION_END; type++) {
        const section *s = &w->sections[type];
        at = (at + CONTAINER_ALIGNMENT - 1) / CONTAINER_ALIGNMENT * CONTAINER_ALIGNMENT;
        pare_put_u32(&table, type);
        pare_put_u32(&table, s->flags);
        pare_put_u64(&table, at);
        pare_put_u64(&table, s->bytes.size);
        pare_put_u64(&table, s->raw_bytes);
        pare_put_u32(&table, (uint32_t)crc32_z(0, s->bytes.data, s->bytes.size));
        pare_put_u32(&table, 0);
        at += s->bytes.size;
    }
    pare_put_bytes(out, CONTAINER_MAGIC, 4);
    pare_put_u32(out, CONTAINER_VERSION);
    pare_put_u64(out, at);
    pare_put_u32(out, SECTION_END - 1);
    pare_put_u32(out, 0);
    pare_put_u32(out, (uint32_t)crc32_z(0, table.data, table.size));
    pare_put_u32(out, (uint32_t)crc32_z(0, out->data, out->size));
    pare_put_padding(out, CONTAINER_HEADER_BYTES);
    pare_put_bytes(out, table.data, table.size);
    for (uint32_t type = 1; type < SECTION_END; type++) {
        pare_put_padding(out, CONTAINER_ALIGNMENT);
        pare_put_bytes(out, w->sections[type].bytes.data, w->sections[type].bytes.size);
    }
    out->failed = out->failed || table.failed;
    pare_byte_buffer_free(&table);
}

pare_status pare_model_to_bytes(const pare_model *model, const pare_write_options *options, uint8_t **data,
                                size_t *size, pare_error *error) {
    writer w = {.model = model, .raw = options != NULL && options->raw};
    pare_byte_buffer out = {0};
    bool failed = false;
    if (model == NULL || data == NULL || size == NULL) {
        return pare_fail(error, PARE_USAGE, "pare_model_to_bytes: expected a model and places for bytes, found NULL");
    }
    pare_put_u8(&w.sections[SECTION_STRINGS].bytes, 0);
    put_tensors(&w);
    put_nodes(&w);
    put_ports(&w);
    put_metadata(&w);
    put_buffers(&w);
    for (uint32_t type = 1; type < SECTION_END; type++) {
        w.sections[type].raw_bytes = w.sections[type].bytes.size;
        if (type != SECTION_WEIGHTS && !w.raw && !w.sections[type].bytes.failed) {
            pack_section(&w.sections[type]);
        }
        failed = failed || w.sections[type].bytes.failed;
    }
    if (w.sections[SECTION_STRINGS].raw_bytes > UINT32_MAX) {
        failed = true;
    }
    put_file(&w, &out);
    for (uint32_t type = 1; type < SECTION_END; type++) {
        pare_byte_buffer_free(&w.sections[type].bytes);
    }
    if (failed || out.failed) {
        pare_byte_buffer_free(&out);
        return pare_fail_memory(error, out.capacity);
    }
    *data = out.data;
    *size = out.size;
    return PARE_OK;
}

pare_status pare_model_save(const pare_model *model, const pare_write_options *options, const char *path,
                            pare_error *error) {
    uint8_t *data = NULL;
    size_t size = 0;
    if (path == NULL) {
        return pare_fail(error, PARE_USAGE, "pare_model_save: expected a path, found NULL");
    }
    PARE_TRY(pare_model_to_bytes(model, options, &data, &size, error));
    pare_status status = pare_file_replace(path, data, size, error);
    pare_free(data);
    return status;
}
