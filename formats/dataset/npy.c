/* NumPy's format (numpy/lib/format): "\x93NUMPY", major, minor, header length
 * (u16 in version 1, u32 later), a Python dict literal, then the elements. */
#include "pare/npy.h"

#include <stdio.h>
#include <string.h>

#include "pare/bytes.h"
#include "pare/checked.h"
#include "pare/file.h"
#include "pare/memory.h"

#define NPY_HEADER_LIMIT ((size_t)64 << 10)
#define NPY_MAGIC_BYTES 6
static const uint8_t NPY_MAGIC[NPY_MAGIC_BYTES] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

static const struct {
    char code[3];
    pare_dtype dtype;
} TYPES[] = {
    {"f2", PARE_F16}, {"f4", PARE_F32}, {"f8", PARE_F64}, {"i1", PARE_S8},  {"i2", PARE_S16}, {"i4", PARE_S32},
    {"i8", PARE_S64}, {"u1", PARE_U8},  {"u2", PARE_U16}, {"u4", PARE_U32}, {"u8", PARE_U64}, {"b1", PARE_BOOL},
};

/* Where the dict literal is being read; positions count from the file's start. */
typedef struct literal {
    const char *text;
    size_t at, end;
    pare_error *error;
} literal;

static pare_status bad(literal *l, const char *expected) {
    return pare_fail_at(l->error, PARE_BAD_INPUT, l->at, "npy header at byte %zu: expected %s", l->at, expected);
}

static void skip_blanks(literal *l) {
    while (l->at < l->end && (l->text[l->at] == ' ' || l->text[l->at] == '\n' || l->text[l->at] == '\t')) {
        l->at++;
    }
}

static bool take(literal *l, char wanted) {
    skip_blanks(l);
    if (l->at < l->end && l->text[l->at] == wanted) {
        l->at++;
        return true;
    }
    return false;
}

static bool take_word(literal *l, const char *word) {
    skip_blanks(l);
    size_t length = strlen(word);
    if (l->end - l->at < length || memcmp(l->text + l->at, word, length) != 0) {
        return false;
    }
    l->at += length;
    return true;
}

/* A quoted text without escapes, shorter than `size`. */
static pare_status take_string(literal *l, char *out, size_t size) {
    char quote = take(l, '\'') ? '\'' : '"';
    if (quote == '"' && !take(l, '"')) {
        return bad(l, "a quoted text (structured types are not supported)");
    }
    size_t length = 0;
    while (l->at < l->end && l->text[l->at] != quote && l->text[l->at] != '\\' && length + 1 < size) {
        out[length++] = l->text[l->at++];
    }
    out[length] = '\0';
    if (l->at == l->end || l->text[l->at] != quote) {
        return bad(l, "the end of a short text");
    }
    l->at++;
    return PARE_OK;
}

static pare_status parse_descr(literal *l, pare_npy_header *header) {
    char descr[16];
    PARE_TRY(take_string(l, descr, sizeof descr));
    if (strchr(descr, 'O') != NULL) {
        return pare_fail(l->error, PARE_UNSUPPORTED,
                         "npy: expected numbers, found Python objects (%s), which are never unpickled", descr);
    }
    bool marked = descr[0] == '<' || descr[0] == '>' || descr[0] == '|' || descr[0] == '=';
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        if (strcmp(descr + marked, TYPES[i].code) == 0) {
            header->dtype = TYPES[i].dtype;
            header->big_endian = descr[0] == '>';
            return PARE_OK;
        }
    }
    return pare_fail(l->error, PARE_UNSUPPORTED, "npy: expected a type such as <f4, <i8 or |u1, found \"%s\"", descr);
}

static pare_status parse_shape(literal *l, pare_npy_header *header) {
    if (!take(l, '(')) {
        return bad(l, "'(' of the shape");
    }
    pare_shape *shape = &header->shape;
    for (shape->rank = 0; !take(l, ')');) {
        if (l->at >= l->end || l->text[l->at] < '0' || l->text[l->at] > '9') {
            return bad(l, "a dimension of 0 or more");
        }
        if (shape->rank == PARE_MAX_RANK) {
            return pare_fail(l->error, PARE_LIMIT, "npy: expected rank %d at most, found more dimensions",
                             PARE_MAX_RANK);
        }
        int64_t dim = 0;
        for (; l->at < l->end && l->text[l->at] >= '0' && l->text[l->at] <= '9'; l->at++) {
            if (!pare_mul_i64(dim, 10, &dim) || !pare_add_i64(dim, l->text[l->at] - '0', &dim)) {
                return bad(l, "a dimension below 2^63");
            }
        }
        shape->dims[shape->rank++] = dim;
        if (!take(l, ',')) {
            return take(l, ')') ? PARE_OK : bad(l, "',' or ')' in the shape");
        }
    }
    return PARE_OK;
}

static pare_status parse_entry(literal *l, pare_npy_header *header, unsigned *seen) {
    static const char *const KEYS[] = {"descr", "fortran_order", "shape"};
    char key[20];
    PARE_TRY(take_string(l, key, sizeof key));
    unsigned which = 0;
    while (which < 3 && strcmp(key, KEYS[which]) != 0) {
        which++;
    }
    if (which == 3 || (*seen & 1u << which) != 0) {
        return bad(l, "each of descr, fortran_order and shape once, and nothing else");
    }
    *seen |= 1u << which;
    if (!take(l, ':')) {
        return bad(l, "':'");
    }
    if (which == 0) {
        return parse_descr(l, header);
    }
    if (which == 2) {
        return parse_shape(l, header);
    }
    if (take_word(l, "True")) {
        return pare_fail(l->error, PARE_UNSUPPORTED,
                         "npy: expected C order, found fortran_order (save numpy.ascontiguousarray of it)");
    }
    return take_word(l, "False") ? PARE_OK : bad(l, "True or False");
}

static pare_status parse_dict(literal *l, pare_npy_header *header) {
    unsigned seen = 0;
    if (!take(l, '{')) {
        return bad(l, "'{'");
    }
    while (!take(l, '}')) {
        PARE_TRY(parse_entry(l, header, &seen));
        if (!take(l, ',')) {
            if (!take(l, '}')) {
                return bad(l, "',' or '}'");
            }
            break;
        }
    }
    skip_blanks(l);
    if (l->at != l->end) {
        return bad(l, "nothing after the '}'");
    }
    return seen == 7 ? PARE_OK : bad(l, "descr, fortran_order and shape");
}

/* Finds the dict's place: [*from, *to) of the file. */
static pare_status find_header(const uint8_t *data, size_t size, size_t *from, size_t *to, pare_error *error) {
    pare_reader reader = {data, size, 0};
    const uint8_t *magic;
    uint8_t major, minor;
    if (!pare_read_span(&reader, NPY_MAGIC_BYTES, &magic) || memcmp(magic, NPY_MAGIC, NPY_MAGIC_BYTES) != 0 ||
        !pare_read_u8(&reader, &major) || !pare_read_u8(&reader, &minor)) {
        return pare_fail_at(error, PARE_BAD_INPUT, 0, "expected a .npy file (\\x93NUMPY), found another beginning");
    }
    if (major < 1 || major > 3) {
        return pare_fail_at(error, PARE_UNSUPPORTED, 6, "npy: expected version 1, 2 or 3, found %u.%u", major, minor);
    }
    uint16_t short_length = 0;
    uint32_t length = 0;
    bool complete = major == 1 ? pare_read_u16(&reader, &short_length) : pare_read_u32(&reader, &length);
    length += short_length;
    if (complete && length > NPY_HEADER_LIMIT) {
        return pare_fail_at(error, PARE_LIMIT, 8, "npy: expected a header of at most %zu bytes, found %u",
                            NPY_HEADER_LIMIT, length);
    }
    if (!complete || pare_reader_left(&reader) < length) {
        return pare_fail_at(error, PARE_BAD_INPUT, 8, "npy: header of %u bytes reaches past the end of the file",
                            length);
    }
    *from = reader.position;
    *to = *from + length;
    return PARE_OK;
}

pare_status pare_npy_parse(const void *data, size_t size, uint64_t file_bytes, pare_npy_header *header,
                           pare_error *error) {
    memset(header, 0, sizeof *header);
    literal l = {data, 0, 0, error};
    PARE_TRY(find_header(data, size, &l.at, &l.end, error));
    for (size_t i = l.at; i < l.end; i++) {
        uint8_t byte = (uint8_t)l.text[i];
        if (byte >= 0x80 || byte == 0) {
            return pare_fail_at(error, PARE_BAD_INPUT, i, "npy: expected an ASCII header, found byte 0x%02x", byte);
        }
    }
    header->data_offset = l.end;
    PARE_TRY(parse_dict(&l, header));
    size_t bytes;
    if (!pare_shape_bytes(&header->shape, header->dtype, &bytes)) {
        return pare_fail(error, PARE_BAD_INPUT, "npy: shape times type overflows");
    }
    if (file_bytes < header->data_offset || bytes != file_bytes - header->data_offset) {
        char text[128];
        return pare_fail_at(
            error, PARE_BAD_INPUT, header->data_offset, "npy: expected %zu bytes of data for %s %s, found %llu", bytes,
            pare_dtype_name(header->dtype), pare_shape_text(&header->shape, text, sizeof text),
            (unsigned long long)(file_bytes < header->data_offset ? 0 : file_bytes - header->data_offset));
    }
    return PARE_OK;
}

static void swap_elements(uint8_t *data, size_t bytes, size_t element) {
    for (size_t at = 0; at < bytes; at += element) {
        for (size_t low = 0, high = element - 1; low < high; low++, high--) {
            uint8_t kept = data[at + low];
            data[at + low] = data[at + high];
            data[at + high] = kept;
        }
    }
}

pare_status pare_npy_read(const char *path, size_t limit, pare_npy_header *header, void **data, size_t *bytes,
                          pare_error *error) {
    uint8_t *file = NULL;
    size_t size = 0;
    *data = NULL;
    PARE_TRY(pare_file_read(path, limit, &file, &size, error));
    pare_status status = pare_npy_parse(file, size, size, header, error);
    if (status != PARE_OK) {
        pare_error_prefix(error, "%s: ", path);
        pare_free(file);
        return status;
    }
    *bytes = size - (size_t)header->data_offset;
    memmove(file, file + header->data_offset, *bytes);
    if (header->big_endian) {
        swap_elements(file, *bytes, pare_dtype_bytes(header->dtype));
        header->big_endian = false;
    }
    *data = file;
    return PARE_OK;
}

/* The dict and its padding: data starts at a multiple of 64, as NumPy writes. */
static pare_status write_header(pare_byte_buffer *out, const char *code, size_t element, const pare_shape *shape) {
    char dict[512];
    int length = snprintf(dict, sizeof dict, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                          element == 1 ? '|' : '<', code);
    for (int32_t i = 0; i < shape->rank; i++) {
        length += snprintf(dict + length, sizeof dict - (size_t)length, "%s%lld%s", i > 0 ? " " : "",
                           (long long)shape->dims[i], i + 1 < shape->rank || shape->rank == 1 ? "," : "");
    }
    length += snprintf(dict + length, sizeof dict - (size_t)length, "), }");
    size_t prefix = NPY_MAGIC_BYTES + 4;
    size_t total = (prefix + (size_t)length + 1 + 63) / 64 * 64;
    pare_put_bytes(out, NPY_MAGIC, NPY_MAGIC_BYTES);
    pare_put_u8(out, 1);
    pare_put_u8(out, 0);
    pare_put_u16(out, (uint16_t)(total - prefix));
    pare_put_bytes(out, dict, (size_t)length);
    while (!out->failed && out->size + 1 < total) {
        pare_put_u8(out, ' ');
    }
    pare_put_u8(out, '\n');
    return out->failed ? PARE_LIMIT : PARE_OK;
}

pare_status pare_npy_write(const char *path, pare_dtype dtype, const pare_shape *shape, const void *data,
                           pare_error *error) {
    const char *code = NULL;
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++) {
        code = TYPES[i].dtype == dtype ? TYPES[i].code : code;
    }
    size_t bytes;
    if (code == NULL) {
        return pare_fail(error, PARE_UNSUPPORTED, "%s: .npy has no type for %s", path, pare_dtype_name(dtype));
    }
    if (shape->rank < 0 || shape->rank > PARE_MAX_RANK || !pare_shape_bytes(shape, dtype, &bytes)) {
        return pare_fail(error, PARE_USAGE, "%s: expected a bound shape that fits memory", path);
    }
    pare_byte_buffer header = {0};
    pare_output *output = NULL;
    pare_status status = write_header(&header, code, pare_dtype_bytes(dtype), shape);
    if (status != PARE_OK) {
        pare_fail_memory(error, 512);
        goto done;
    }
    status = pare_output_open(path, &output, error);
    if (status == PARE_OK) {
        status = pare_output_write(output, header.data, header.size, error);
    }
    if (status == PARE_OK && bytes > 0) {
        status = pare_output_write(output, data, bytes, error);
    }
    if (status == PARE_OK) {
        status = pare_output_commit(output, error);
        output = NULL;
    }
done:
    pare_output_discard(output);
    pare_byte_buffer_free(&header);
    return status;
}
