/* The wire bytes of a model, walked along the schema before protobuf-c sees
 * them: what it would silently merge, truncate or build by the million is
 * refused here, with the byte offset. */
#include "onnx_internal.h"

#include <string.h>

#include "pare/bytes.h"

/* Frames of the walk (and of protobuf-c's) must fit a small stack. */
#define DEPTH_CEILING 256
/* What an entry costs besides its text. */
#define METADATA_ENTRY_BYTES 16
/* The bit of `seen` that all members of a oneof share; no message has 64 fields. */
#define ONEOF_BIT 63

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_GROUP = 3, WIRE_END_GROUP = 4, WIRE_32 = 5 };

typedef struct scan {
    const uint8_t *data;
    pare_onnx_limits limits;
    uint32_t nodes;
    uint32_t tensors;
    uint32_t unknown;
    size_t metadata;
    pare_error *error;
} scan;

/* A field's bytes: [at, end) is its content, `tag_at` where its tag starts. */
typedef struct field {
    const ProtobufCMessageDescriptor *message;
    const ProtobufCFieldDescriptor *known; /* NULL when the schema lacks it */
    uint32_t number;
    uint32_t wire;
    uint64_t value; /* of a varint */
    size_t tag_at;
    size_t at;
    size_t end;
} field;

static pare_status scan_message(scan *s, const ProtobufCMessageDescriptor *type, size_t at, size_t end, uint32_t depth);

pare_onnx_limits pare_onnx_limits_resolve(const pare_onnx_limits *limits, size_t size) {
    pare_onnx_limits out = limits != NULL ? *limits : (pare_onnx_limits){0};
    out.file_bytes = out.file_bytes != 0 ? out.file_bytes : INT32_MAX;
    out.depth = out.depth != 0 ? out.depth : 64;
    out.depth = out.depth < DEPTH_CEILING ? out.depth : DEPTH_CEILING;
    out.nodes = out.nodes != 0 ? out.nodes : 100000;
    out.tensors = out.tensors != 0 ? out.tensors : 200000;
    out.name_bytes = out.name_bytes != 0 ? out.name_bytes : 1024;
    out.metadata_bytes = out.metadata_bytes != 0 ? out.metadata_bytes : 1u << 20;
    out.unknown_fields = out.unknown_fields != 0 ? out.unknown_fields : 200000;
    if (out.unpack_bytes == 0) {
        const size_t spare = (size_t)64 << 20;
        out.unpack_bytes = size < (SIZE_MAX - spare) / 4 ? 4 * size + spare : SIZE_MAX;
    }
    return out;
}

static const char *field_name(const field *f) {
    return f->known != NULL ? f->known->name : "(unknown field)";
}

/* A varint within [*at, end), of at most `most` bytes. */
static pare_status read_varint(scan *s, const char *what, size_t *at, size_t end, size_t most, uint64_t *value) {
    const size_t start = *at;
    uint64_t result = 0;
    for (size_t i = 0; i < most; i++) {
        if (start + i >= end) {
            return pare_fail_at(s->error, PARE_BAD_INPUT, start, "expected a whole %s, found the end of the message",
                                what);
        }
        const uint8_t byte = s->data[start + i];
        if (i == 9 && byte > 1) {
            return pare_fail_at(s->error, PARE_BAD_INPUT, start, "expected a %s of 64 bits, found a longer number",
                                what);
        }
        result |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *at = start + i + 1;
            *value = result;
            return PARE_OK;
        }
    }
    return pare_fail_at(s->error, PARE_BAD_INPUT, start, "expected a %s of at most %zu bytes, found a longer one", what,
                        most);
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type, uint32_t number,
                                                  unsigned *index) {
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (type->fields[i].id == number) {
            *index = i;
            return &type->fields[i];
        }
    }
    return NULL;
}

static uint32_t wire_of(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32;
    default:
        return WIRE_VARINT;
    }
}

/* An int32 is written as its 64-bit sign extension; what fits neither that nor
 * 32 bits would be cut silently. */
static pare_status check_int32(scan *s, const field *f, uint64_t value, size_t at) {
    const bool narrow = f->known->type == PROTOBUF_C_TYPE_INT32 || f->known->type == PROTOBUF_C_TYPE_ENUM;
    if (narrow && value > UINT32_MAX && value < UINT64_C(0xffffffff80000000)) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, at, "%s.%s: expected a number of 32 bits, found %lld",
                            f->message->short_name, field_name(f), (long long)value);
    }
    return PARE_OK;
}

static pare_status scan_packed(scan *s, const field *f, uint32_t wire) {
    const size_t bytes = f->end - f->at;
    const size_t element = wire == WIRE_64 ? 8 : 4;
    if (wire != WIRE_VARINT) {
        return bytes % element == 0 ? PARE_OK
                                    : pare_fail_at(s->error, PARE_BAD_INPUT, f->at,
                                                   "%s.%s: expected packed elements of %zu bytes, found %zu bytes",
                                                   f->message->short_name, field_name(f), element, bytes);
    }
    size_t at = f->at;
    while (at < f->end) {
        const size_t start = at;
        uint64_t value;
        PARE_TRY(read_varint(s, "packed number", &at, f->end, 10, &value));
        PARE_TRY(check_int32(s, f, value, start));
    }
    return PARE_OK;
}

/* Texts that are not names may be long: they are read by people, or are paths. */
static bool is_free_text(const field *f) {
    return strcmp(f->known->name, "doc_string") == 0 ||
           (f->message == &onnx__string_string_entry_proto__descriptor && strcmp(f->known->name, "value") == 0);
}

/* protobuf-c hands out C strings, in which "a\0b" and "a\0c" would collide. */
static pare_status scan_string(scan *s, const field *f) {
    const size_t bytes = f->end - f->at;
    if (bytes > s->limits.name_bytes && !is_free_text(f)) {
        return pare_fail_at(s->error, PARE_LIMIT, f->at, "%s.%s: expected a name of at most %u bytes, found %zu",
                            f->message->short_name, field_name(f), (unsigned)s->limits.name_bytes, bytes);
    }
    if (!pare_is_utf8((const char *)s->data + f->at, bytes)) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, f->at,
                            "%s.%s: expected UTF-8 text without NUL, found other bytes", f->message->short_name,
                            field_name(f));
    }
    return PARE_OK;
}

static pare_status count_one(scan *s, const field *f, uint32_t *count, uint32_t limit, const char *what) {
    if (*count >= limit) {
        return pare_fail_at(s->error, PARE_LIMIT, f->tag_at, "expected at most %u %s, found more", (unsigned)limit,
                            what);
    }
    ++*count;
    return PARE_OK;
}

static pare_status count_message(scan *s, const field *f) {
    if (f->known->descriptor == &onnx__node_proto__descriptor) {
        return count_one(s, f, &s->nodes, s->limits.nodes, "nodes");
    }
    if (f->known->descriptor == &onnx__tensor_proto__descriptor) {
        return count_one(s, f, &s->tensors, s->limits.tensors, "tensors");
    }
    if (f->message == &onnx__model_proto__descriptor &&
        f->known->descriptor == &onnx__string_string_entry_proto__descriptor) {
        s->metadata += f->end - f->at + METADATA_ENTRY_BYTES;
        if (s->metadata > s->limits.metadata_bytes) {
            return pare_fail_at(s->error, PARE_LIMIT, f->tag_at, "expected at most %u bytes of metadata, found more",
                                (unsigned)s->limits.metadata_bytes);
        }
    }
    return PARE_OK;
}

static pare_status read_tag(scan *s, size_t *at, size_t end, field *f) {
    uint64_t tag;
    f->tag_at = *at;
    PARE_TRY(read_varint(s, "field tag", at, end, 5, &tag));
    f->number = (uint32_t)(tag >> 3);
    f->wire = (uint32_t)(tag & 7);
    const char *in = f->message->short_name;
    if (tag > UINT32_MAX || f->number == 0) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, f->tag_at,
                            "%s: expected a field number from 1 to 536870911, found %llu", in,
                            (unsigned long long)(tag >> 3));
    }
    if (f->wire == WIRE_GROUP || f->wire == WIRE_END_GROUP) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, f->tag_at, "%s: expected no group, found field %u as one", in,
                            (unsigned)f->number);
    }
    if (f->wire > WIRE_32) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, f->tag_at, "%s: expected a wire type from 0 to 5, found %u", in,
                            (unsigned)f->wire);
    }
    return PARE_OK;
}

/* Finds where the field's content ends and moves *at there. */
static pare_status read_content(scan *s, size_t *at, size_t end, field *f) {
    uint64_t length = f->wire == WIRE_64 ? 8 : 4;
    if (f->wire == WIRE_VARINT) {
        f->at = *at;
        PARE_TRY(read_varint(s, "number", at, end, 10, &f->value));
        f->end = *at;
        return PARE_OK;
    }
    if (f->wire == WIRE_BYTES) {
        PARE_TRY(read_varint(s, "length", at, end, 5, &length));
    }
    if (length > end - *at) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, f->tag_at,
                            "%s.%s: expected at most the %zu bytes that are left, found a length of %llu",
                            f->message->short_name, field_name(f), end - *at, (unsigned long long)length);
    }
    f->at = *at;
    f->end = *at + (size_t)length;
    *at = f->end;
    return PARE_OK;
}

/* Wire types match, and singular fields come once. */
static pare_status check_known(scan *s, const field *f, unsigned index, uint64_t *seen) {
    const uint32_t wanted = wire_of(f->known->type);
    const bool repeated = f->known->label == PROTOBUF_C_LABEL_REPEATED;
    if (f->wire != wanted && !(repeated && f->wire == WIRE_BYTES)) {
        return pare_fail_at(s->error, PARE_BAD_INPUT, f->tag_at, "%s.%s: expected wire type %u, found %u",
                            f->message->short_name, field_name(f), (unsigned)wanted, (unsigned)f->wire);
    }
    if (!repeated) {
        const bool oneof = (f->known->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
        const uint64_t bit = (uint64_t)1 << (oneof ? ONEOF_BIT : index);
        if ((*seen & bit) != 0) {
            return pare_fail_at(s->error, PARE_BAD_INPUT, f->tag_at, "%s.%s: expected it once, found it again%s",
                                f->message->short_name, field_name(f), oneof ? " (or an alternative to it)" : "");
        }
        *seen |= bit;
    }
    return PARE_OK;
}

static pare_status scan_field(scan *s, const field *f, uint32_t depth) {
    const uint32_t wanted = wire_of(f->known->type);
    if (wanted != f->wire) {
        return scan_packed(s, f, wanted);
    }
    switch (f->known->type) {
    case PROTOBUF_C_TYPE_STRING:
        return scan_string(s, f);
    case PROTOBUF_C_TYPE_MESSAGE:
        PARE_TRY(count_message(s, f));
        return scan_message(s, f->known->descriptor, f->at, f->end, depth + 1);
    default:
        return f->wire == WIRE_VARINT ? check_int32(s, f, f->value, f->at) : PARE_OK;
    }
}

static pare_status scan_message(scan *s, const ProtobufCMessageDescriptor *type, size_t at, size_t end,
                                uint32_t depth) {
    if (depth > s->limits.depth) {
        return pare_fail_at(s->error, PARE_LIMIT, at, "expected messages nested at most %u deep, found more",
                            (unsigned)s->limits.depth);
    }
    uint64_t seen = 0;
    while (at < end) {
        field f = {.message = type};
        unsigned index = 0;
        PARE_TRY(read_tag(s, &at, end, &f));
        f.known = find_field(type, f.number, &index);
        PARE_TRY(read_content(s, &at, end, &f));
        if (f.known == NULL) {
            PARE_TRY(count_one(s, &f, &s->unknown, s->limits.unknown_fields, "unknown fields"));
            continue;
        }
        PARE_TRY(check_known(s, &f, index, &seen));
        PARE_TRY(scan_field(s, &f, depth));
    }
    return PARE_OK;
}

pare_status pare_onnx_scan(const uint8_t *data, size_t size, const pare_onnx_limits *limits, pare_error *error) {
    scan s = {.data = data, .limits = pare_onnx_limits_resolve(limits, size), .error = error};
    if (data == NULL && size != 0) {
        return pare_fail(error, PARE_USAGE, "pare_onnx_scan: expected bytes, found NULL");
    }
    if (size > s.limits.file_bytes) {
        return pare_fail(error, PARE_LIMIT, "expected at most %zu bytes, found %zu", s.limits.file_bytes, size);
    }
    return scan_message(&s, &onnx__model_proto__descriptor, 0, size, 1);
}

/* The first field must be one of ModelProto's, whole, and, as a message, start
 * with a field of that message. */
bool pare_onnx_is_plausible(const uint8_t *data, size_t size) {
    scan s = {.data = data};
    field f = {.message = &onnx__model_proto__descriptor};
    size_t at = 0;
    for (int level = 0; level < 2; level++) {
        unsigned index;
        if (data == NULL || read_tag(&s, &at, size, &f) != PARE_OK) {
            return false;
        }
        f.known = find_field(f.message, f.number, &index);
        if (f.known == NULL || wire_of(f.known->type) != f.wire || read_content(&s, &at, size, &f) != PARE_OK) {
            return false;
        }
        if (f.known->type == PROTOBUF_C_TYPE_STRING) {
            return pare_is_utf8((const char *)data + f.at, f.end - f.at);
        }
        if (f.known->type != PROTOBUF_C_TYPE_MESSAGE || f.at == f.end) {
            return true;
        }
        f.message = f.known->descriptor;
        at = f.at;
        size = f.end;
    }
    return true;
}
