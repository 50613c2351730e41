/* Bounded little-endian reading and growing writing of bytes. */
#ifndef PARE_BYTES_H
#define PARE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* File bytes are touched only through this: a read past the end returns false
 * and leaves the position where it was. Does not own `data`. */
typedef struct pare_reader {
    const uint8_t *data;
    size_t size;
    size_t position;
} pare_reader;

bool pare_read_u8(pare_reader *reader, uint8_t *value);
bool pare_read_u16(pare_reader *reader, uint16_t *value);
bool pare_read_u32(pare_reader *reader, uint32_t *value);
bool pare_read_u64(pare_reader *reader, uint64_t *value);
bool pare_read_u32_be(pare_reader *reader, uint32_t *value);
bool pare_read_f32(pare_reader *reader, float *value);
/* Points into the reader's data. */
bool pare_read_span(pare_reader *reader, size_t bytes, const uint8_t **span);
static inline size_t pare_reader_left(const pare_reader *reader) {
    return reader->size - reader->position;
}

/* A growing buffer; `failed` becomes and stays true when memory runs out, so a
 * caller may check once at the end. Release with pare_buffer_free. */
typedef struct pare_byte_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool failed;
} pare_byte_buffer;

void pare_put_bytes(pare_byte_buffer *buffer, const void *data, size_t bytes);
void pare_put_u8(pare_byte_buffer *buffer, uint8_t value);
void pare_put_u16(pare_byte_buffer *buffer, uint16_t value);
void pare_put_u32(pare_byte_buffer *buffer, uint32_t value);
void pare_put_u64(pare_byte_buffer *buffer, uint64_t value);
void pare_put_f32(pare_byte_buffer *buffer, float value);
/* Zero bytes up to the next multiple of `alignment`. */
void pare_put_padding(pare_byte_buffer *buffer, size_t alignment);
void pare_byte_buffer_free(pare_byte_buffer *buffer);

/* True when the bytes are well-formed UTF-8 without NUL. */
bool pare_is_utf8(const char *text, size_t bytes);
/* The bytes of `text`, or as many of them up to `most` as end with a whole character. */
size_t pare_utf8_cut(const char *text, size_t most);
/* Copies at most size - 1 bytes; control characters and malformed UTF-8 become
 * '?'. Always terminates. Returns `out`. */
const char *pare_printable(const char *text, size_t bytes, char *out, size_t size);

#endif
