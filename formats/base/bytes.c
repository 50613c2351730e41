#include "pare/bytes.h"

#include <string.h>

#include "pare/checked.h"
#include "pare/memory.h"

bool pare_read_span(pare_reader *reader, size_t bytes, const uint8_t **span) {
    if (bytes > pare_reader_left(reader)) {
        return false;
    }
    *span = reader->data + reader->position;
    reader->position += bytes;
    return true;
}

static bool read_little(pare_reader *reader, size_t bytes, uint64_t *value) {
    const uint8_t *span;
    if (!pare_read_span(reader, bytes, &span)) {
        return false;
    }
    *value = 0;
    for (size_t i = bytes; i-- > 0;) {
        *value = *value << 8 | span[i];
    }
    return true;
}

bool pare_read_u8(pare_reader *reader, uint8_t *value) {
    uint64_t wide;
    return read_little(reader, 1, &wide) && (*value = (uint8_t)wide, true);
}

bool pare_read_u16(pare_reader *reader, uint16_t *value) {
    uint64_t wide;
    return read_little(reader, 2, &wide) && (*value = (uint16_t)wide, true);
}

bool pare_read_u32(pare_reader *reader, uint32_t *value) {
    uint64_t wide;
    return read_little(reader, 4, &wide) && (*value = (uint32_t)wide, true);
}

bool pare_read_u64(pare_reader *reader, uint64_t *value) {
    return read_little(reader, 8, value);
}

bool pare_read_u32_be(pare_reader *reader, uint32_t *value) {
    uint64_t wide;
    return read_little(reader, 4, &wide) && (*value = __builtin_bswap32((uint32_t)wide), true);
}

bool pare_read_f32(pare_reader *reader, float *value) {
    uint32_t bits;
    return pare_read_u32(reader, &bits) && (memcpy(value, &bits, sizeof bits), true);
}

/* --- growing buffer ------------------------------------------------------- */

static uint8_t *extend(pare_byte_buffer *buffer, size_t bytes) {
    size_t size;
    if (buffer->failed || !pare_add_size(buffer->size, bytes, &size)) {
        buffer->failed = true;
        return NULL;
    }
    if (size > buffer->capacity) {
        size_t capacity = buffer->capacity < SIZE_MAX / 2 ? 2 * buffer->capacity : SIZE_MAX;
        capacity = capacity < size ? size : capacity;
        capacity = capacity < 256 ? 256 : capacity;
        uint8_t *grown = pare_realloc(buffer->data, capacity);
        if (grown == NULL) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = grown;
        buffer->capacity = capacity;
    }
    uint8_t *end = buffer->data + buffer->size;
    buffer->size = size;
    return end;
}

void pare_put_bytes(pare_byte_buffer *buffer, const void *data, size_t bytes) {
    uint8_t *end = bytes == 0 ? NULL : extend(buffer, bytes);
    if (end != NULL) {
        memcpy(end, data, bytes);
    }
}

static void put_little(pare_byte_buffer *buffer, uint64_t value, size_t bytes) {
    uint8_t *end = extend(buffer, bytes);
    for (size_t i = 0; end != NULL && i < bytes; i++) {
        end[i] = (uint8_t)(value >> (8 * i));
    }
}

void pare_put_u8(pare_byte_buffer *buffer, uint8_t value) {
    put_little(buffer, value, 1);
}

void pare_put_u16(pare_byte_buffer *buffer, uint16_t value) {
    put_little(buffer, value, 2);
}

void pare_put_u32(pare_byte_buffer *buffer, uint32_t value) {
    put_little(buffer, value, 4);
}

void pare_put_u64(pare_byte_buffer *buffer, uint64_t value) {
    put_little(buffer, value, 8);
}

void pare_put_f32(pare_byte_buffer *buffer, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    pare_put_u32(buffer, bits);
}

void pare_put_padding(pare_byte_buffer *buffer, size_t alignment) {
    size_t rest = buffer->size % alignment;
    uint8_t *end = rest == 0 ? NULL : extend(buffer, alignment - rest);
    if (end != NULL) {
        memset(end, 0, alignment - rest);
    }
}

void pare_byte_buffer_free(pare_byte_buffer *buffer) {
    pare_free(buffer->data);
    *buffer = (pare_byte_buffer){0};
}

/* --- text ----------------------------------------------------------------- */

/* Length of the well-formed UTF-8 sequence at `text`, 0 where there is none
 * (overlong forms, surrogates and numbers past U+10FFFF are malformed). */
static size_t utf8_length(const uint8_t *text, size_t bytes, uint32_t *code_point) {
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = text[0];
    size_t length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    if (length == 0 || length > bytes) {
        return 0;
    }
    uint32_t code = length == 1 ? first : first & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (text[i] >> 6 != 2) {
            return 0;
        }
        code = code << 6 | (text[i] & 0x3fu);
    }
    *code_point = code;
    return code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : length;
}

bool pare_is_utf8(const char *text, size_t bytes) {
    const uint8_t *data = (const uint8_t *)text;
    for (size_t at = 0; at < bytes;) {
        uint32_t code;
        size_t length = utf8_length(data + at, bytes - at, &code);
        if (length == 0 || code == 0) {
            return false;
        }
        at += length;
    }
    return true;
}

size_t pare_utf8_cut(const char *text, size_t most) {
    size_t bytes = strnlen(text, most + 1);
    if (bytes <= most) {
        return bytes;
    }
    while (most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80) {
        most--; /* text[most] goes on with the character before it */
    }
    return most;
}

const char *pare_printable(const char *text, size_t bytes, char *out, size_t size) {
    const uint8_t *data = (const uint8_t *)text;
    size_t filled = 0;
    for (size_t at = 0; at < bytes && size != 0;) {
        uint32_t code;
        size_t length = utf8_length(data + at, bytes - at, &code);
        /* C0, DEL and C1 controls steer terminals. */
        bool plain = length != 0 && code >= 0x20 && (code < 0x7f || code >= 0xa0);
        size_t written = plain ? length : 1;
        if (filled + written >= size) {
            break;
        }
        if (plain) {
            memcpy(out + filled, data + at, length);
        } else {
            out[filled] = '?';
        }
        filled += written;
        at += length == 0 ? 1 : length;
    }
    if (size != 0) {
        out[filled] = '\0';
    }
    return out;
}
