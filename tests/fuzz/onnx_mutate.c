/* libFuzzer's mutators for the ONNX targets. Random bytes seldom leave the
 * lengths of nested messages right, so most inputs would end in the scan; these
 * change one record (a field with its tag) along the schema and mend the lengths
 * of the messages around it. One time in eight the bytes are changed blindly. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "onnx_graft.h"
#include "pare/onnx.h"
#include "pare/op.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2, size_t size2, uint8_t *out,
                                 size_t max_out_size, unsigned seed);

enum { RECORDS = 4096, DEPTH = 12, SCRATCH = 1 << 17, MOST_ELEMENTS = 4096 };
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

typedef struct record {
    const ProtobufCMessageDescriptor *in;
    const ProtobufCFieldDescriptor *field;
    size_t tag, length, at, end; /* tag, length prefix (or content), content, what follows */
    uint32_t wire;
    int parent; /* -1: the model */
} record;

typedef struct records {
    const uint8_t *data;
    size_t size;
    int count;
    record list[RECORDS];
} records;

static records mine, theirs;
static uint8_t piece[SCRATCH], text[SCRATCH];
static uint64_t state;

static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static size_t below(size_t bound) {
    return (size_t)(next() >> 11) % bound;
}

/* --- wire bytes ------------------------------------------------------------ */

static bool read_varint(const uint8_t *data, size_t *at, size_t end, uint64_t *value) {
    *value = 0;
    for (unsigned shift = 0; shift < 70 && *at < end; shift += 7) {
        uint8_t byte = data[(*at)++];
        *value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

static size_t put_varint(uint8_t *to, uint64_t value) {
    size_t bytes = 0;
    for (; value >= 0x80; value >>= 7) {
        to[bytes++] = (uint8_t)(value | 0x80);
    }
    to[bytes++] = (uint8_t)value;
    return bytes;
}

static size_t put_record(uint8_t *to, uint32_t number, uint32_t wire, const uint8_t *content, size_t bytes) {
    size_t used = put_varint(to, (uint64_t)number << 3 | wire);
    if (wire == WIRE_BYTES) {
        used += put_varint(to + used, bytes);
    }
    memmove(to + used, content, bytes);
    return used + bytes;
}

/* Lists the records of a message, each message before its own; stops at what is
 * no message. */
static void list_records(records *all, const ProtobufCMessageDescriptor *type, size_t at, size_t end, int parent,
                         int depth) {
    while (at < end && all->count < RECORDS && depth < DEPTH) {
        record r = {.in = type, .tag = at, .parent = parent};
        uint64_t tag, value = 0;
        if (!read_varint(all->data, &at, end, &tag)) {
            return;
        }
        r.wire = tag & 7;
        r.length = r.at = at;
        if (r.wire == WIRE_VARINT || r.wire == WIRE_BYTES) {
            if (!read_varint(all->data, &at, end, &value)) {
                return;
            }
        } else if (r.wire != WIRE_64 && r.wire != WIRE_32) {
            return;
        }
        size_t bytes = r.wire == WIRE_64 ? 8 : r.wire == WIRE_32 ? 4 : 0;
        if (r.wire == WIRE_BYTES) {
            r.at = at;
            bytes = value < end ? (size_t)value : end;
        }
        if (bytes > end - at) {
            return;
        }
        r.end = at += bytes;
        r.field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
        int index = all->count;
        if (r.field != NULL) {
            all->list[all->count++] = r;
            if (r.field->type == PROTOBUF_C_TYPE_MESSAGE && r.wire == WIRE_BYTES) {
                list_records(all, r.field->descriptor, r.at, r.end, index, depth + 1);
            }
        }
    }
}

static void list_model(records *all, const uint8_t *data, size_t size) {
    all->data = data;
    all->size = size;
    all->count = 0;
    list_records(all, &onnx__model_proto__descriptor, 0, size, -1, 0);
}

/* Replaces [from, to), which lies in record `parent`, by `bytes` of `with`. */
static size_t splice(const records *all, int parent, size_t from, size_t to, const uint8_t *with, size_t bytes,
                     uint8_t *out, size_t max_size) {
    size_t size = all->size - (to - from) + bytes;
    if (size + 8 * DEPTH > max_size) {
        return 0;
    }
    /* The tail first: `out` may be the very bytes that `all` describes. */
    memmove(out, all->data, from);
    memmove(out + from + bytes, all->data + to, all->size - to);
    if (bytes != 0) {
        memcpy(out + from, with, bytes);
    }
    for (int p = parent; p >= 0; p = all->list[p].parent) {
        const record *r = &all->list[p];
        uint8_t length[10];
        size_t content = (r->end - r->at) + size - all->size, old = r->at - r->length;
        size_t wide = put_varint(length, content);
        memmove(out + r->length + wide, out + r->at, size - r->at);
        memcpy(out + r->length, length, wide);
        size = size + wide - old;
    }
    return size;
}

/* --- new contents ---------------------------------------------------------- */

static uint64_t odd_integer(uint64_t old) {
    static const int64_t numbers[] = {0,
                                      1,
                                      -1,
                                      2,
                                      3,
                                      4,
                                      5,
                                      6,
                                      7,
                                      8,
                                      10,
                                      16,
                                      -2,
                                      127,
                                      128,
                                      255,
                                      256,
                                      65535,
                                      1 << 20,
                                      INT32_MAX,
                                      -4,
                                      -8,
                                      64,
                                      1024,
                                      -1024,
                                      65536,
                                      INT32_MIN,
                                      INT64_MAX,
                                      INT64_MIN,
                                      (int64_t)1 << 31,
                                      100,
                                      -100,
                                      (int64_t)1 << 32,
                                      (int64_t)1 << 62};
    switch (below(4)) {
    case 0:
        return old + 1;
    case 1:
        return old - 1;
    default:
        /* Mostly the small ones, which are valid more often. */
        return (uint64_t)numbers[below(2) == 0 ? below(8) : below(sizeof numbers / sizeof *numbers)];
    }
}

static float odd_float(float old) {
    static const float numbers[] = {0,    -0.0F,   1,        -1,        0.5F,        2,   1e-45F, 1e-30F,
                                    1e9F, 3.4e38F, INFINITY, -INFINITY, NAN,         255, -128,   2147483648.0F,
                                    3,    0.1F,    1e-5F,    1e-38F,    16777216.0F, 100};
    return below(4) == 0 ? old * 2 : numbers[below(sizeof numbers / sizeof *numbers)];
}

/* Numbers side by side: one is changed, or one more or less. */
static size_t change_elements(uint8_t *data, size_t size, size_t width, bool real) {
    size_t count = size / width, at = count == 0 ? 0 : below(count) * width;
    uint64_t bits = 0;
    if (count == 0 || below(6) == 0) {
        memmove(data + at + width, data + at, size - at);
        memset(data + at, 0, width);
        return size + width;
    }
    if (below(6) == 0) {
        memmove(data + at, data + at + width, size - at - width);
        return size - width;
    }
    memcpy(&bits, data + at, width);
    if (real && width == 4) {
        float value;
        memcpy(&value, data + at, 4);
        value = odd_float(value);
        memcpy(data + at, &value, 4);
    } else {
        bits = odd_integer(bits);
        memcpy(data + at, &bits, width);
    }
    return size;
}

static size_t change_varints(uint8_t *data, size_t size, size_t max_size) {
    size_t at = 0, from = 0, count = 0;
    uint64_t value = 0;
    while (read_varint(data, &at, size, &value)) {
        count++;
    }
    size_t chosen = count == 0 ? 0 : below(count);
    at = 0;
    value = 0;
    for (size_t i = 0; i <= chosen && count != 0; i++) {
        from = at;
        read_varint(data, &at, size, &value);
    }
    uint8_t number[10];
    size_t wide = below(6) == 0 ? 0 : put_varint(number, odd_integer(value));
    size_t to = below(6) == 0 ? from : at; /* inserted before it */
    if (size + wide > max_size) {
        return size;
    }
    memmove(data + from + wide, data + to, size - to);
    memcpy(data + from, number, wide);
    return size - (to - from) + wide;
}

/* Mostly characters, so that the text may still be a name. */
static size_t change_letters(uint8_t *data, size_t size, size_t max_size) {
    size = LLVMFuzzerMutate(data, size, max_size);
    if (below(16) != 0) {
        for (size_t i = 0; i < size; i++) {
            data[i] = data[i] % 0x80 < 0x20 ? '_' : data[i] & 0x7f;
        }
    }
    return size;
}

/* Any of the records that hold a text: they are value names, most of all. */
static size_t other_text(const records *all, uint8_t *to) {
    for (int tries = 0; tries < 16; tries++) {
        const record *r = &all->list[below((size_t)all->count)];
        if (r->field->type == PROTOBUF_C_TYPE_STRING && r->end - r->at < 256) {
            memcpy(to, all->data + r->at, r->end - r->at);
            return r->end - r->at;
        }
    }
    return 0;
}

static size_t change_text(const records *all, const record *r, uint8_t *data, size_t size, size_t max_size) {
    if (strcmp(r->field->name, "op_type") == 0 && below(8) != 0) {
        size_t count;
        const char *name = pare_op_all(&count)[0]->name;
        name = pare_op_all(&count)[below(count)]->name;
        memcpy(data, name, strlen(name));
        return strlen(name);
    }
    if (below(16) == 0) {
        return 0; /* an absent input or output */
    }
    if (below(2) == 0) {
        return other_text(all, data);
    }
    return change_letters(data, below(2) == 0 ? 0 : size, max_size);
}

/* The content of a record, changed in `text`. */
static size_t change_content(const records *all, const record *r, size_t max_size) {
    size_t size = r->end - r->at;
    max_size = size + 256 < max_size ? size + 256 : max_size;
    memcpy(text, all->data + r->at, size);
    if (r->wire == WIRE_VARINT) {
        uint64_t value = 0;
        size_t at = r->at;
        read_varint(all->data, &at, r->end, &value);
        value = odd_integer(value);
        if (r->field->type != PROTOBUF_C_TYPE_INT64 && below(16) != 0) {
            value = (uint64_t)(int32_t)value;
        }
        return put_varint(text, value);
    }
    if (r->wire == WIRE_32 || r->wire == WIRE_64) {
        float value;
        memcpy(&value, text, 4);
        value = odd_float(value);
        memcpy(text, &value, 4);
        return size;
    }
    switch (r->field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return change_text(all, r, text, size, max_size);
    case PROTOBUF_C_TYPE_BYTES:
        return below(4) == 0 ? change_letters(text, size, max_size)
                             : change_elements(text, size, (size_t)1 << below(4), below(2) == 0);
    case PROTOBUF_C_TYPE_MESSAGE:
        return below(8) == 0 ? LLVMFuzzerMutate(text, size, max_size) : size;
    case PROTOBUF_C_TYPE_FLOAT:
        return change_elements(text, size, 4, true);
    case PROTOBUF_C_TYPE_DOUBLE:
        return change_elements(text, size, 8, false);
    default:
        return change_varints(text, size, max_size);
    }
}

/* --- tensors: shape, type and data belong together ------------------------- */

static size_t element_bytes(int32_t type) {
    size_t bytes = pare_dtype_bytes((pare_dtype)type);
    return bytes == 0 ? 1 : bytes;
}

/* Another shape or type with as many bytes as it takes, the old ones repeated. */
static size_t reshape_tensor(const records *all, const record *r) {
    static const int32_t types[] = {PARE_F32, PARE_S64, PARE_S32, PARE_U8, PARE_S8, PARE_BOOL, PARE_F16, PARE_F64};
    static uint8_t data[MOST_ELEMENTS * 8];
    int64_t dims[PARE_MAX_RANK + 1], elements = 1;
    Onnx__TensorProto *old = onnx__tensor_proto__unpack(NULL, r->end - r->at, all->data + r->at);
    if (old == NULL) {
        return 0;
    }
    Onnx__TensorProto now = ONNX__TENSOR_PROTO__INIT;
    now.name = old->name;
    now.has_data_type = now.has_raw_data = 1;
    now.data_type = below(4) == 0 ? types[below(sizeof types / sizeof *types)] : old->data_type;
    now.n_dims = old->n_dims <= PARE_MAX_RANK && below(3) != 0 ? old->n_dims : below(PARE_MAX_RANK);
    now.dims = dims;
    for (size_t i = 0; i < now.n_dims; i++) {
        dims[i] = i < old->n_dims && below(3) != 0 ? old->dims[i] : (int64_t)below(5);
        if (dims[i] < 0 || dims[i] > MOST_ELEMENTS || elements * dims[i] > MOST_ELEMENTS) {
            dims[i] = 1;
        }
        elements *= dims[i];
    }
    now.raw_data.data = data;
    now.raw_data.len = (size_t)elements * element_bytes(now.data_type);
    const uint8_t *from = old->raw_data.len != 0 ? old->raw_data.data : (const uint8_t *)old->float_data;
    size_t period = old->raw_data.len != 0 ? old->raw_data.len : 4 * old->n_float_data;
    for (size_t i = 0; i < now.raw_data.len; i++) {
        data[i] = period != 0 ? from[i % period] : (uint8_t)(next() >> 16 & 3);
    }
    size_t bytes = onnx__tensor_proto__get_packed_size(&now);
    bytes = bytes <= SCRATCH ? onnx__tensor_proto__pack(&now, text) : 0;
    onnx__tensor_proto__free_unpacked(old, NULL);
    return bytes;
}

/* --- one change ------------------------------------------------------------ */

static size_t change_record(const records *all, uint8_t *out, size_t max_size) {
    int index = (int)below((size_t)all->count);
    const record *r = &all->list[index];
    size_t bytes = r->end - r->tag;
    bool tensor = r->field->descriptor == &onnx__tensor_proto__descriptor;
    if (bytes > SCRATCH / 4) {
        return 0;
    }
    switch (below(8)) {
    case 0: /* gone */
        return splice(all, r->parent, r->tag, r->end, NULL, 0, out, max_size);
    case 1: /* twice */
        if (r->field->label != PROTOBUF_C_LABEL_REPEATED && below(16) != 0) {
            break;
        }
        memcpy(piece, all->data + r->tag, bytes);
        return splice(all, r->parent, r->tag, r->tag, piece, bytes, out, max_size);
    case 2: { /* another of its kind in its place */
        const record *other = &all->list[below((size_t)all->count)];
        bytes = other->end - other->tag;
        if (other->field != r->field || bytes > SCRATCH) {
            break;
        }
        memcpy(piece, all->data + other->tag, bytes);
        return splice(all, r->parent, r->tag, r->end, piece, bytes, out, max_size);
    }
    default:
        break;
    }
    size_t changed = tensor ? reshape_tensor(all, r) : change_content(all, r, max_size);
    bytes = put_record(piece, r->field->id, r->wire, text, changed);
    return splice(all, r->parent, r->tag, r->end, piece, bytes, out, max_size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    next();
    size_t changed = 0;
    /* Several changes at a time: what one breaks, another may mend. */
    for (size_t times = 1 + below(3); times > 0; times--) {
        list_model(&mine, data, size);
        if (mine.count == 0 || below(64) == 0) {
            return LLVMFuzzerMutate(data, size, max_size);
        }
        changed = change_record(&mine, data, max_size);
        size = changed != 0 ? changed : size;
    }
    return size;
}

/* The second model's nodes go behind the first's, or a record of it goes into the
 * place of one of its kind or beside it. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2, size_t size2, uint8_t *out,
                                 size_t max_out_size, unsigned seed) {
    state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    next();
    size_t grafted = below(2) == 0 ? onnx_graft(data1, size1, data2, size2, out, max_out_size, next) : 0;
    if (grafted != 0) {
        return grafted;
    }
    list_model(&mine, data1, size1);
    list_model(&theirs, data2, size2);
    for (int tries = 0; mine.count != 0 && theirs.count != 0 && tries < 32; tries++) {
        const record *from = &theirs.list[below((size_t)theirs.count)];
        const record *at = &mine.list[below((size_t)mine.count)];
        if (from->in != at->in || from->end - from->tag > SCRATCH) {
            continue;
        }
        size_t to = from->field == at->field && below(2) == 0 ? at->end : at->tag;
        return splice(&mine, at->parent, at->tag, to, theirs.data + from->tag, from->end - from->tag, out,
                      max_out_size);
    }
    return 0;
}
