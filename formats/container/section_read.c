#include "section_read.h"

#include <string.h>
#include <zlib.h>

#include "codec.h"

const char *const section_names[SECTION_END] = {"",      "strings",  "quantization", "tensors", "nodes",
                                                "ports", "metadata", "buffers",      "weights"};

pare_status section_truncated(const parser *p, section_type type) {
    const section_view *s = &p->sections[type];
    return pare_fail_at(p->error, PARE_BAD_INPUT, s->offset + s->reader.position,
                        "section %s: expected more bytes, found its end", section_names[type]);
}

static pare_status read_header(parser *p, uint32_t *section_count, uint32_t *table_crc) {
    static const uint8_t zeros[CONTAINER_ALIGNMENT];
    uint32_t version, flags, header_crc;
    uint64_t size;
    const uint8_t *magic;
    pare_reader *r = &p->file;
    if (!pare_read_span(r, 4, &magic) || memcmp(magic, CONTAINER_MAGIC, 4) != 0) {
        bool swapped = r->size >= 4 && memcmp(r->data, "ERAP", 4) == 0;
        return pare_fail_at(p->error, PARE_BAD_INPUT, 0, "expected a .pare file (magic \"PARE\"), found %s",
                            swapped ? "its bytes in the other endianness" : "something else");
    }
    if (!pare_read_u32(r, &version) || !pare_read_u64(r, &size) || !pare_read_u32(r, section_count) ||
        !pare_read_u32(r, &flags) || !pare_read_u32(r, table_crc) || !pare_read_u32(r, &header_crc) ||
        r->size < CONTAINER_HEADER_BYTES) {
        return pare_fail_at(p->error, PARE_BAD_INPUT, r->position, "expected a header of %u bytes, found %zu",
                            CONTAINER_HEADER_BYTES, r->size);
    }
    if (version == 0 || version > CONTAINER_VERSION) {
        return pare_fail_at(p->error, version == 0 ? PARE_BAD_INPUT : PARE_UNSUPPORTED, 4,
                            "expected container version 1 to %u, found %u", CONTAINER_VERSION, version);
    }
    if (header_crc != crc32_z(0, r->data, 28) || memcmp(r->data + 32, zeros, CONTAINER_HEADER_BYTES - 32) != 0) {
        return pare_fail_at(p->error, PARE_BAD_INPUT, 28, "the header's checksum does not match");
    }
    if (flags != 0) {
        return pare_fail_at(p->error, PARE_UNSUPPORTED, 20, "unknown required flags 0x%x", flags);
    }
    if (size != r->size) {
        return pare_fail_at(p->error, PARE_BAD_INPUT, 8, "expected a file of %llu bytes, found %zu",
                            (unsigned long long)size, r->size);
    }
    if (*section_count == 0 || *section_count > CONTAINER_MOST_SECTIONS) {
        return pare_fail_at(p->error, PARE_BAD_INPUT, 16, "expected 1 to %u sections, found %u",
                            CONTAINER_MOST_SECTIONS, *section_count);
    }
    r->position = CONTAINER_HEADER_BYTES;
    return PARE_OK;
}

typedef struct section_entry {
    uint32_t type, flags, crc;
    uint64_t offset, stored, raw;
} section_entry;

static pare_status check_entry(parser *p, const section_entry *e, uint64_t *end) {
    uint64_t at = p->file.position - CONTAINER_ENTRY_BYTES;
    const char *name = e->type < SECTION_END ? section_names[e->type] : "of a newer writer";
    if (e->offset % CONTAINER_ALIGNMENT != 0 || e->offset < *end || e->offset - *end >= CONTAINER_ALIGNMENT ||
        e->offset > p->file.size || e->stored > p->file.size - e->offset) {
        return pare_fail_at(p->error, PARE_BAD_INPUT, at,
                            "section %s: expected to begin at the next multiple of %u after %llu and to end within "
                            "the file, found offset %llu and %llu bytes",
                            name, CONTAINER_ALIGNMENT, (unsigned long long)*end, (unsigned long long)e->offset,
                            (unsigned long long)e->stored);
    }
    static const uint8_t zeros[CONTAINER_ALIGNMENT];
    if (memcmp(p->file.data + *end, zeros, (size_t)(e->offset - *end)) != 0) {
        return pare_fail_at(p->error, PARE_BAD_INPUT, *end, "section %s: expected zeros in front of it", name);
    }
    *end = e->offset + e->stored;
    if (e->flags & ~SECTION_KNOWN_FLAGS) {
        return pare_fail_at(p->error, PARE_UNSUPPORTED, at, "section %s: unknown flags 0x%x", name, e->flags);
    }
    if (e->crc != crc32_z(0, p->file.data + e->offset, (size_t)e->stored)) {
        return pare_fail_at(p->error, PARE_BAD_INPUT, e->offset, "section %s: its checksum does not match", name);
    }
    if (e->type == 0 || e->type >= SECTION_END) {
        p->skipped++;
        return e->flags & SECTION_OPTIONAL
                   ? PARE_OK
                   : pare_fail_at(p->error, PARE_UNSUPPORTED, at, "unknown required section %u", e->type);
    }
    if (p->sections[e->type].present) {
        return pare_fail_at(p->error, PARE_BAD_INPUT, at, "section %s: found twice", name);
    }
    if (e->raw > p->limits.section_bytes && e->type != SECTION_WEIGHTS) {
        return pare_fail_at(p->error, PARE_LIMIT, at, "section %s: %llu bytes are over the limit of %zu", name,
                            (unsigned long long)e->raw, p->limits.section_bytes);
    }
    bool packed = (e->flags & SECTION_ZLIB) != 0;
    if ((packed && e->type == SECTION_WEIGHTS) || (!packed && e->raw != e->stored) ||
        (packed && e->raw / CONTAINER_MOST_RATIO > e->stored)) {
        return pare_fail_at(p->error, PARE_BAD_INPUT, at, "section %s: %llu stored bytes cannot hold %llu", name,
                            (unsigned long long)e->stored, (unsigned long long)e->raw);
    }
    return PARE_OK;
}

static pare_status open_section(parser *p, const section_entry *e) {
    section_view *s = &p->sections[e->type];
    const uint8_t *stored = p->file.data + e->offset;
    *s = (section_view){.present = true, .offset = e->offset, .stored = e->stored};
    s->reader = (pare_reader){stored, (size_t)e->stored, 0};
    if (e->flags & SECTION_ZLIB) {
        s->unpacked = pare_alloc((size_t)e->raw);
        if (s->unpacked == NULL) {
            return pare_fail_memory(p->error, (size_t)e->raw);
        }
        pare_status status = pare_zlib_unpack(stored, (size_t)e->stored, s->unpacked, (size_t)e->raw, p->error);
        if (status != PARE_OK) {
            pare_error_prefix(p->error, "section %s: ", section_names[e->type]);
            return status;
        }
        s->reader = (pare_reader){s->unpacked, (size_t)e->raw, 0};
    }
    return PARE_OK;
}

pare_status sections_read(parser *p) {
    uint32_t count, table_crc, reserved;
    PARE_TRY(read_header(p, &count, &table_crc));
    size_t table_bytes = count * CONTAINER_ENTRY_BYTES;
    if (pare_reader_left(&p->file) < table_bytes ||
        table_crc != crc32_z(0, p->file.data + CONTAINER_HEADER_BYTES, table_bytes)) {
        return pare_fail_at(p->error, PARE_BAD_INPUT, CONTAINER_HEADER_BYTES,
                            "the section table is cut off or its checksum does not match");
    }
    uint64_t end = CONTAINER_HEADER_BYTES + table_bytes;
    for (uint32_t i = 0; i < count; i++) {
        section_entry e = {0};
        bool whole = pare_read_u32(&p->file, &e.type) && pare_read_u32(&p->file, &e.flags) &&
                     pare_read_u64(&p->file, &e.offset) && pare_read_u64(&p->file, &e.stored) &&
                     pare_read_u64(&p->file, &e.raw) && pare_read_u32(&p->file, &e.crc) &&
                     pare_read_u32(&p->file, &reserved);
        if (!whole) {
            return pare_fail(p->error, PARE_INTERNAL, "the section table was measured wrongly");
        }
        if (reserved != 0) {
            return pare_fail_at(p->error, PARE_UNSUPPORTED, p->file.position - 4, "section table: expected 0, found %u",
                                reserved);
        }
        PARE_TRY(check_entry(p, &e, &end));
        if (e.type > 0 && e.type < SECTION_END) {
            PARE_TRY(open_section(p, &e));
        }
    }
    if (end != p->file.size) {
        return pare_fail_at(p->error, PARE_BAD_INPUT, end, "expected the end of the file, found %llu more bytes",
                            (unsigned long long)(p->file.size - end));
    }
    for (uint32_t type = 1; type < SECTION_END; type++) {
        if (!p->sections[type].present) {
            return pare_fail(p->error, PARE_BAD_INPUT, "section %s is missing", section_names[type]);
        }
    }
    return PARE_OK;
}

void sections_free(parser *p) {
    for (uint32_t type = 1; type < SECTION_END; type++) {
        pare_free(p->sections[type].unpacked);
    }
}

void limits_resolve(pare_model_limits *out, const pare_model_limits *given) {
    static const pare_model_limits defaults = {.file_bytes = ((size_t)1 << 31) - 1,
                                               .section_bytes = (size_t)1 << 30,
                                               .total_bytes = (size_t)1 << 32,
                                               .nodes = 100000,
                                               .tensors = 200000,
                                               .name_bytes = 1024,
                                               .metadata_bytes = 1u << 20};
    *out = defaults;
    if (given != NULL) {
        out->file_bytes = given->file_bytes != 0 ? given->file_bytes : defaults.file_bytes;
        out->section_bytes = given->section_bytes != 0 ? given->section_bytes : defaults.section_bytes;
        out->total_bytes = given->total_bytes != 0 ? given->total_bytes : defaults.total_bytes;
        out->nodes = given->nodes != 0 ? given->nodes : defaults.nodes;
        out->tensors = given->tensors != 0 ? given->tensors : defaults.tensors;
        out->name_bytes = given->name_bytes != 0 ? given->name_bytes : defaults.name_bytes;
        out->metadata_bytes = given->metadata_bytes != 0 ? given->metadata_bytes : defaults.metadata_bytes;
    }
}
