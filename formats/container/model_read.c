#include <string.h>
#include <zlib.h>

#include "codec.h"
#include "pare/checked.h"
#include "pare/file.h"
#include "section_read.h"

/* A table of `count` records of at least `least` stored bytes each. */
static pare_status make_table(parser *p, section_type type, uint32_t count, uint64_t most, size_t least, size_t item,
                              void **table) {
    pare_reader *r = &p->sections[type].reader;
    if (count > most) {
        return pare_fail_at(p->error, PARE_LIMIT, p->sections[type].offset, "section %s: %u records, the limit is %llu",
                            section_names[type], count, (unsigned long long)most);
    }
    if (count > pare_reader_left(r) / least) {
        return pare_fail_at(p->error, PARE_BAD_INPUT, p->sections[type].offset,
                            "section %s: %u records do not fit its %zu bytes", section_names[type], count, r->size);
    }
    *table = pare_arena_alloc(&p->storage->arena, (size_t)count + 1, item);
    return *table != NULL ? PARE_OK : pare_fail_memory(p->error, count * item);
}

static pare_status read_string(const parser *p, pare_reader *r, uint32_t most, const char **text) {
    uint32_t at;
    const pare_reader *pool = &p->sections[SECTION_STRINGS].reader;
    if (!pare_read_u32(r, &at) || at >= pool->size) {
        return pare_fail(p->error, PARE_BAD_INPUT, "expected a string within the pool of %zu bytes", pool->size);
    }
    const char *begin = (const char *)pool->data + at;
    size_t length = strnlen(begin, pool->size - at);
    if (length == pool->size - at || !pare_is_utf8(begin, length)) {
        return pare_fail(p->error, PARE_BAD_INPUT, "string at %u: expected UTF-8 that ends within the pool", at);
    }
    if (length > most) {
        return pare_fail(p->error, PARE_LIMIT, "string at %u: %zu bytes, the limit is %u", at, length, most);
    }
    *text = pare_arena_copy_bytes(&p->storage->arena, begin, length);
    return *text != NULL ? PARE_OK : pare_fail_memory(p->error, length);
}

static pare_status read_words(parser *p, section_type type, uint32_t count, uint32_t **words) {
    pare_reader *r = &p->sections[type].reader;
    if (count > pare_reader_left(r) / sizeof **words) {
        return section_truncated(p, type);
    }
    *words = pare_arena_alloc(&p->storage->arena, (size_t)count + 1, sizeof **words);
    if (*words == NULL) {
        return pare_fail_memory(p->error, count * sizeof **words);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!pare_read_u32(r, &(*words)[i])) {
            return section_truncated(p, type);
        }
    }
    return PARE_OK;
}

/* f32(a × b[i]) of two earlier records. */
static pare_status read_product(parser *p, uint32_t count, const float **scales) {
    pare_reader *r = &p->sections[SECTION_QUANTIZATION].reader;
    uint32_t a, b;
    if (!pare_read_u32(r, &a) || !pare_read_u32(r, &b)) {
        return section_truncated(p, SECTION_QUANTIZATION);
    }
    if (a >= p->quant_count || b >= p->quant_count || p->quants[a].count != 1 || p->quants[b].count != count) {
        return pare_fail(p->error, PARE_BAD_INPUT,
                         "quantization %u: expected the product of an earlier scale and %u earlier scales, found "
                         "records %u and %u",
                         p->quant_count, count, a, b);
    }
    p->product_scales += count; /* few bytes must not ask for much memory */
    if (p->product_scales > p->stored_scales) {
        return pare_fail(p->error, PARE_BAD_INPUT, "quantization %u: expected no more products than stored scales",
                         p->quant_count);
    }
    float *products = pare_arena_alloc(&p->storage->arena, count, sizeof *products);
    if (products == NULL) {
        return pare_fail_memory(p->error, count * sizeof *products);
    }
    for (uint32_t i = 0; i < count; i++) {
        products[i] = p->quants[a].scales[0] * p->quants[b].scales[i];
    }
    *scales = products;
    return PARE_OK;
}

/* A float and its word have the same four bytes. */
static pare_status read_scales(parser *p, uint32_t count, uint32_t flags, const float **scales) {
    uint32_t *words;
    if (flags & QUANT_PRODUCT) {
        return read_product(p, count, scales);
    }
    PARE_TRY(read_words(p, SECTION_QUANTIZATION, count, &words));
    p->stored_scales += count;
    *scales = (const float *)(const void *)words;
    return PARE_OK;
}

/* Quantizations have no count of their own: the section is read to its end. */
static pare_status read_quantization(parser *p) {
    pare_reader *r = &p->sections[SECTION_QUANTIZATION].reader;
    uint32_t most = (uint32_t)(r->size / 16) + 1;
    p->quants = pare_arena_alloc(&p->storage->arena, most, sizeof *p->quants);
    if (p->quants == NULL) {
        return pare_fail_memory(p->error, most * sizeof *p->quants);
    }
    while (pare_reader_left(r) > 0) {
        uint32_t axis, count, flags, *points;
        const float *scales = NULL;
        if (!pare_read_u32(r, &axis) || !pare_read_u32(r, &count) || !pare_read_u32(r, &flags) || count == 0) {
            return section_truncated(p, SECTION_QUANTIZATION);
        }
        if (flags & ~QUANT_KNOWN_FLAGS) {
            return pare_fail(p->error, PARE_UNSUPPORTED, "quantization %u: unknown flags 0x%x", p->quant_count, flags);
        }
        PARE_TRY(read_scales(p, count, flags, &scales));
        if (flags & QUANT_ZERO_POINTS) {
            PARE_TRY(read_words(p, SECTION_QUANTIZATION, count, &points));
        } else if ((points = pare_arena_alloc(&p->storage->arena, count, sizeof *points)) == NULL) {
            return pare_fail_memory(p->error, count * sizeof *points);
        }
        p->quants[p->quant_count++] =
            (pare_model_quant){(int32_t)axis, count, scales, (const int32_t *)(const void *)points};
    }
    return PARE_OK;
}

static pare_status read_tensors(parser *p) {
    pare_reader *r = &p->sections[SECTION_TENSORS].reader;
    uint32_t count;
    void *table;
    if (!pare_read_u32(r, &count)) {
        return section_truncated(p, SECTION_TENSORS);
    }
    PARE_TRY(make_table(p, SECTION_TENSORS, count, p->limits.tensors, 16, sizeof(pare_model_tensor), &table));
    pare_model_tensor *tensors = table;
    p->storage->model.tensors = tensors;
    for (uint32_t t = 0; t < count; t++) {
        uint16_t dtype, rank;
        uint32_t quant, dim;
        PARE_TRY(read_string(p, r, p->limits.name_bytes, &tensors[t].name));
        if (!pare_read_u16(r, &dtype) || !pare_read_u16(r, &rank) || !pare_read_u32(r, &tensors[t].buffer) ||
            !pare_read_u32(r, &quant)) {
            return section_truncated(p, SECTION_TENSORS);
        }
        if (rank > PARE_MAX_RANK || (quant != PARE_NONE && quant >= p->quant_count)) {
            return pare_fail(p->error, PARE_BAD_INPUT, "tensor \"%s\": rank %u or quantization %u is out of range",
                             tensors[t].name, rank, quant);
        }
        tensors[t].dtype = (pare_dtype)dtype;
        tensors[t].shape.rank = rank;
        tensors[t].quant = quant != PARE_NONE ? &p->quants[quant] : NULL;
        for (uint16_t i = 0; i < rank; i++) {
            if (!pare_read_u32(r, &dim)) {
                return section_truncated(p, SECTION_TENSORS);
            }
            tensors[t].shape.dims[i] = (int32_t)dim;
        }
        p->storage->model.tensor_count = t + 1;
    }
    return pare_reader_left(r) == 0 ? PARE_OK
                                    : pare_fail(p->error, PARE_BAD_INPUT, "section tensors: bytes behind its end");
}

static pare_status read_node(parser *p, pare_model_node *node) {
    pare_reader *r = &p->sections[SECTION_NODES].reader;
    uint32_t attr_bytes, *inputs, *outputs, *words;
    PARE_TRY(read_string(p, r, p->limits.name_bytes, &node->name));
    if (!pare_read_u32(r, &node->opcode) || !pare_read_u32(r, &node->input_count) ||
        !pare_read_u32(r, &node->output_count) || !pare_read_u32(r, &attr_bytes)) {
        return section_truncated(p, SECTION_NODES);
    }
    const pare_opcode_info *info = pare_opcode_find(node->opcode);
    if (info == NULL) {
        return pare_fail(p->error, PARE_UNSUPPORTED, "node \"%s\": unknown opcode %u", node->name, node->opcode);
    }
    if (attr_bytes != info->attr_bytes) {
        return pare_fail(p->error, PARE_BAD_INPUT, "node \"%s\" (%s): expected attributes of %u bytes, found %u",
                         node->name, info->name, info->attr_bytes, attr_bytes);
    }
    PARE_TRY(read_words(p, SECTION_NODES, node->input_count, &inputs));
    PARE_TRY(read_words(p, SECTION_NODES, node->output_count, &outputs));
    PARE_TRY(read_words(p, SECTION_NODES, attr_bytes / 4, &words));
    node->inputs = inputs;
    node->outputs = outputs;
    node->attrs = words;
    return PARE_OK;
}

static pare_status read_nodes(parser *p) {
    pare_reader *r = &p->sections[SECTION_NODES].reader;
    uint32_t count;
    void *table;
    if (!pare_read_u32(r, &count)) {
        return section_truncated(p, SECTION_NODES);
    }
    PARE_TRY(make_table(p, SECTION_NODES, count, p->limits.nodes, 20, sizeof(pare_model_node), &table));
    p->storage->model.nodes = table;
    for (uint32_t n = 0; n < count; n++) {
        PARE_TRY(read_node(p, (pare_model_node *)table + n));
        p->storage->model.node_count = n + 1;
    }
    return pare_reader_left(r) == 0 ? PARE_OK
                                    : pare_fail(p->error, PARE_BAD_INPUT, "section nodes: bytes behind its end");
}

static pare_status read_ports(parser *p) {
    pare_model *m = &p->storage->model;
    pare_reader *r = &p->sections[SECTION_PORTS].reader;
    uint32_t *inputs, *outputs;
    if (!pare_read_u32(r, &m->input_count) || !pare_read_u32(r, &m->output_count)) {
        return section_truncated(p, SECTION_PORTS);
    }
    PARE_TRY(read_words(p, SECTION_PORTS, m->input_count, &inputs));
    PARE_TRY(read_words(p, SECTION_PORTS, m->output_count, &outputs));
    m->inputs = inputs;
    m->outputs = outputs;
    return pare_reader_left(r) == 0 ? PARE_OK
                                    : pare_fail(p->error, PARE_BAD_INPUT, "section ports: bytes behind its end");
}

static pare_status read_metadata(parser *p) {
    pare_reader *r = &p->sections[SECTION_METADATA].reader;
    uint32_t count;
    void *table;
    if (!pare_read_u32(r, &count)) {
        return section_truncated(p, SECTION_METADATA);
    }
    PARE_TRY(make_table(p, SECTION_METADATA, count, UINT32_MAX, 8, sizeof(pare_model_metadata), &table));
    pare_model_metadata *metadata = table;
    p->storage->model.metadata = metadata;
    for (uint32_t i = 0; i < count; i++) {
        PARE_TRY(read_string(p, r, p->limits.metadata_bytes, &metadata[i].key));
        PARE_TRY(read_string(p, r, p->limits.metadata_bytes, &metadata[i].value));
        p->storage->model.metadata_count = i + 1;
    }
    return pare_reader_left(r) == 0 ? PARE_OK
                                    : pare_fail(p->error, PARE_BAD_INPUT, "section metadata: bytes behind its end");
}

typedef struct buffer_record {
    uint32_t codec, crc;
    uint64_t raw, offset, stored;
} buffer_record;

/* Buffers lie in the table's order, apart by less than the alignment, in zeros:
 * none overlaps another, and no byte is unaccounted for. */
static pare_status check_place(const parser *p, const buffer_record *record, uint64_t *end) {
    static const uint8_t zeros[CONTAINER_ALIGNMENT];
    const pare_reader *weights = &p->sections[SECTION_WEIGHTS].reader;
    if (record->offset < *end || record->offset - *end >= CONTAINER_ALIGNMENT || record->offset > weights->size ||
        record->stored > weights->size - record->offset ||
        (record->codec == PARE_CODEC_RAW && record->offset % CONTAINER_ALIGNMENT != 0) ||
        memcmp(weights->data + *end, zeros, (size_t)(record->offset - *end)) != 0) {
        return pare_fail(p->error, PARE_BAD_INPUT,
                         "expected to lie directly behind byte %llu, within %zu, found %llu bytes at %llu",
                         (unsigned long long)*end, weights->size, (unsigned long long)record->stored,
                         (unsigned long long)record->offset);
    }
    *end = record->offset + record->stored;
    if (record->raw / CONTAINER_MOST_RATIO > record->stored) {
        return pare_fail(p->error, PARE_BAD_INPUT, "%llu stored bytes cannot hold %llu",
                         (unsigned long long)record->stored, (unsigned long long)record->raw);
    }
    return PARE_OK;
}

static pare_status decode_buffer(parser *p, const buffer_record *record, pare_model_buffer *buffer) {
    const pare_reader *weights = &p->sections[SECTION_WEIGHTS].reader;
    const pare_weight_codec *codec = pare_weight_codec_find(record->codec);
    size_t padded;
    if (codec == NULL) {
        return pare_fail(p->error, PARE_UNSUPPORTED, "unknown codec %u", record->codec);
    }
    if (!pare_add_size((size_t)record->raw, BUFFER_SLACK, &padded)) {
        return pare_fail(p->error, PARE_LIMIT, "%llu bytes are too many", (unsigned long long)record->raw);
    }
    uint8_t *data = pare_alloc(padded);
    if (data == NULL) {
        return pare_fail_memory(p->error, padded);
    }
    *buffer = (pare_model_buffer){data, (size_t)record->raw, (pare_codec)record->codec, (size_t)record->stored};
    p->storage->model.buffer_count++; /* from here the model owns it */
    PARE_TRY(codec->decode(weights->data + record->offset, (size_t)record->stored, data, buffer->bytes, p->error));
    memset(data + buffer->bytes, 0, BUFFER_SLACK);
    if (crc32_z(0, data, buffer->bytes) != record->crc) {
        return pare_fail(p->error, PARE_BAD_INPUT, "the checksum of its decoded bytes does not match");
    }
    return PARE_OK;
}

static pare_status read_buffers(parser *p) {
    pare_reader *r = &p->sections[SECTION_BUFFERS].reader;
    uint32_t count;
    void *table;
    uint64_t total = 0, end = 0;
    if (!pare_read_u32(r, &count)) {
        return section_truncated(p, SECTION_BUFFERS);
    }
    PARE_TRY(make_table(p, SECTION_BUFFERS, count, p->limits.tensors, 32, sizeof(pare_model_buffer), &table));
    p->storage->model.buffers = table;
    for (uint32_t b = 0; b < count; b++) {
        buffer_record record;
        if (!pare_read_u32(r, &record.codec) || !pare_read_u32(r, &record.crc) || !pare_read_u64(r, &record.raw) ||
            !pare_read_u64(r, &record.offset) || !pare_read_u64(r, &record.stored)) {
            return section_truncated(p, SECTION_BUFFERS);
        }
        if (record.raw > p->limits.section_bytes || record.raw > p->limits.total_bytes - total) {
            return pare_fail(p->error, PARE_LIMIT, "buffer %u: %llu bytes are over the limit of %zu each, %zu together",
                             b, (unsigned long long)record.raw, p->limits.section_bytes, p->limits.total_bytes);
        }
        total += record.raw;
        pare_status status = check_place(p, &record, &end);
        if (status == PARE_OK) {
            status = decode_buffer(p, &record, (pare_model_buffer *)table + b);
        }
        if (status != PARE_OK) {
            pare_error_prefix(p->error, "buffer %u: ", b);
            return status;
        }
    }
    return pare_reader_left(r) == 0 && end == p->sections[SECTION_WEIGHTS].reader.size
               ? PARE_OK
               : pare_fail(p->error, PARE_BAD_INPUT, "sections buffers and weights: bytes behind their end");
}

static pare_status parse(parser *p) {
    PARE_TRY(sections_read(p));
    PARE_TRY(read_quantization(p));
    PARE_TRY(read_tensors(p));
    PARE_TRY(read_nodes(p));
    PARE_TRY(read_ports(p));
    PARE_TRY(read_metadata(p));
    PARE_TRY(read_buffers(p));
    p->storage->model.skipped_sections = p->skipped;
    return pare_model_verify(&p->storage->model, p->error);
}

pare_status pare_model_from_bytes(const void *data, size_t size, const pare_model_limits *limits, pare_model **model,
                                  pare_error *error) {
    parser p = {.file = {data, size, 0}, .error = error};
    if (model == NULL || (data == NULL && size > 0)) {
        return pare_fail(error, PARE_USAGE,
                         "pare_model_from_bytes: expected bytes and a place for the model, found NULL");
    }
    limits_resolve(&p.limits, limits);
    *model = NULL;
    if (size > p.limits.file_bytes) {
        return pare_fail(error, PARE_LIMIT, "%zu bytes are over the limit of %zu", size, p.limits.file_bytes);
    }
    p.storage = pare_model_storage_create(size * 64 + ((size_t)1 << 26)); /* what tables of such a file can take */
    if (p.storage == NULL) {
        return pare_fail_memory(error, sizeof *p.storage);
    }
    pare_status status = parse(&p);
    sections_free(&p);
    if (status != PARE_OK) {
        pare_model_release(&p.storage->model);
        return status;
    }
    *model = &p.storage->model;
    return PARE_OK;
}

pare_status pare_model_open(const char *path, const pare_model_limits *limits, pare_model **model, pare_error *error) {
    uint8_t *data = NULL;
    size_t size = 0;
    pare_model_limits used;
    if (path == NULL || model == NULL) {
        return pare_fail(error, PARE_USAGE, "pare_model_open: expected a path and a place for the model, found NULL");
    }
    limits_resolve(&used, limits);
    *model = NULL;
    PARE_TRY(pare_file_read(path, used.file_bytes, &data, &size, error));
    pare_status status = pare_model_from_bytes(data, size, limits, model, error);
    pare_free(data);
    if (status != PARE_OK) {
        pare_error_prefix(error, "%s: ", path);
    }
    return status;
}

bool pare_model_is_container(const void *data, size_t size) {
    return data != NULL && size >= 4 && memcmp(data, CONTAINER_MAGIC, 4) == 0;
}

pare_status pare_model_file_layout(const void *data, size_t size, pare_model_layout *layout, pare_error *error) {
    parser p = {.file = {data, size, 0}, .error = error};
    limits_resolve(&p.limits, NULL);
    pare_status status = sections_read(&p);
    if (status == PARE_OK) {
        const section_view *s = p.sections;
        *layout = (pare_model_layout){.strings = s[SECTION_STRINGS].stored,
                                      .tensors = s[SECTION_TENSORS].stored + s[SECTION_PORTS].stored,
                                      .quantization = s[SECTION_QUANTIZATION].stored,
                                      .nodes = s[SECTION_NODES].stored,
                                      .metadata = s[SECTION_METADATA].stored,
                                      .weights = s[SECTION_WEIGHTS].stored + s[SECTION_BUFFERS].stored,
                                      .total = size};
        layout->header = size - layout->strings - layout->tensors - layout->quantization - layout->nodes -
                         layout->metadata - layout->weights;
    }
    sections_free(&p);
    return status;
}
