#include <string.h>

#include "kernel.h"

#define TILE 512 /* positions that one task moves */

static size_t block_of(pare_layout layout) {
    return layout == PARE_LAYOUT_BLOCK8 ? 8 : layout == PARE_LAYOUT_BLOCK16 ? 16 : 1;
}

static size_t padded_channels(pare_layout layout, size_t channels) {
    size_t block = block_of(layout);
    return (channels + block - 1) / block * block;
}

size_t pare_layout_bytes(pare_layout layout, const pare_shape *shape, pare_dtype dtype) {
    size_t bytes = pare_dtype_bytes(dtype);
    for (int32_t i = 0; i < shape->rank; i++) {
        size_t extent = (size_t)shape->dims[i];
        bytes *= i == 1 && shape->rank == 4 ? padded_channels(layout, extent) : extent;
    }
    return bytes;
}

bool pare_layout_same(pare_layout a, pare_layout b, const pare_shape *shape) {
    if (a == b) {
        return true;
    }
    if (shape->rank != 4) {
        return false;
    }
    size_t channels = (size_t)shape->dims[1];
    bool single = shape->dims[2] * shape->dims[3] == 1;
    if (channels % block_of(a) != 0 || channels % block_of(b) != 0) {
        return false; /* padding channels */
    }
    if (single) {
        return true;
    }
    if (block_of(a) == 1 && block_of(b) == 1) {
        return channels == 1;
    }
    /* One block only is channels last. */
    return (a == PARE_LAYOUT_CHANNELS_LAST && channels == block_of(b)) ||
           (b == PARE_LAYOUT_CHANNELS_LAST && channels == block_of(a));
}

/* Distances in elements between neighbours; channels of one chunk are `channel` apart. */
typedef struct strides {
    size_t sample, position, channel;
} strides;

typedef struct move {
    strides from, to;
    pare_layout from_layout, to_layout;
    size_t channels, positions, chunk;
    size_t padding; /* channels of zeros behind the last */
} move;

static strides strides_of(pare_layout layout, size_t channels, size_t positions) {
    strides s = {padded_channels(layout, channels) * positions, 1, positions};
    if (layout != PARE_LAYOUT_PLAIN) {
        s.position = layout == PARE_LAYOUT_CHANNELS_LAST ? channels : block_of(layout);
        s.channel = 1;
    }
    return s;
}

/* Offset of channel `c`, the first of its chunk, in a sample. */
static size_t chunk_offset(pare_layout layout, size_t c, size_t positions) {
    if (layout == PARE_LAYOUT_CHANNELS_LAST) {
        return c;
    }
    size_t block = block_of(layout);
    return c / block * block * positions + c % block;
}

#define DEFINE_MOVE(type, name)                                                                                        \
    static void name##_chunk(const type *in, strides from, type *out, strides to, size_t channels, size_t padding,     \
                             size_t first, size_t last) {                                                              \
        if (from.channel == 1 && to.channel == 1) {                                                                    \
            for (size_t p = first; p < last; p++) {                                                                    \
                memcpy(out + p * to.position, in + p * from.position, channels * sizeof *out);                         \
            }                                                                                                          \
        } else if (channels == 16) { /* a constant count lets the compiler unroll */                                   \
            for (size_t p = first; p < last; p++) {                                                                    \
                for (size_t c = 0; c < 16; c++) {                                                                      \
                    out[p * to.position + c * to.channel] = in[p * from.position + c * from.channel];                  \
                }                                                                                                      \
            }                                                                                                          \
        } else {                                                                                                       \
            for (size_t c = 0; c < channels; c++) {                                                                    \
                for (size_t p = first; p < last; p++) {                                                                \
                    out[p * to.position + c * to.channel] = in[p * from.position + c * from.channel];                  \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        for (size_t p = first; padding > 0 && p < last; p++) {                                                         \
            memset(out + p * to.position + channels, 0, padding * sizeof *out);                                        \
        }                                                                                                              \
    }                                                                                                                  \
    static void name(const type *in, type *out, const move *m, size_t sample, size_t first, size_t last) {             \
        for (size_t c = 0; c < m->channels; c += m->chunk) {                                                           \
            size_t count = m->channels - c < m->chunk ? m->channels - c : m->chunk;                                    \
            size_t padding = c + count == m->channels ? m->padding : 0;                                                \
            name##_chunk(in + sample * m->from.sample + chunk_offset(m->from_layout, c, m->positions), m->from,        \
                         out + sample * m->to.sample + chunk_offset(m->to_layout, c, m->positions), m->to, count,      \
                         padding, first, last);                                                                        \
        }                                                                                                              \
    }
DEFINE_MOVE(uint8_t, move_8)
DEFINE_MOVE(uint16_t, move_16)
DEFINE_MOVE(uint32_t, move_32)
DEFINE_MOVE(uint64_t, move_64)

static void move_tile(const void *in, void *out, const move *m, size_t bytes, size_t task, size_t tiles) {
    size_t sample = task / tiles;
    size_t first = task % tiles * TILE;
    size_t last = first + TILE < m->positions ? first + TILE : m->positions;
    if (bytes == 1) {
        move_8(in, out, m, sample, first, last);
    } else if (bytes == 2) {
        move_16(in, out, m, sample, first, last);
    } else if (bytes == 4) {
        move_32(in, out, m, sample, first, last);
    } else {
        move_64(in, out, m, sample, first, last);
    }
}

void pare_reorder(const void *in, pare_layout from, void *out, pare_layout to, const pare_shape *shape,
                  pare_dtype dtype, int32_t threads) {
    if (pare_layout_same(from, to, shape)) {
        memcpy(out, in, pare_layout_bytes(from, shape, dtype));
        return;
    }
    size_t channels = (size_t)shape->dims[1];
    size_t positions = (size_t)(shape->dims[2] * shape->dims[3]);
    bool small_block = from == PARE_LAYOUT_BLOCK8 || to == PARE_LAYOUT_BLOCK8;
    move m = {.from = strides_of(from, channels, positions),
              .to = strides_of(to, channels, positions),
              .from_layout = from,
              .to_layout = to,
              .channels = channels,
              .positions = positions,
              .padding = padded_channels(to, channels) - channels,
              .chunk = small_block ? 8 : 16};
    size_t bytes = pare_dtype_bytes(dtype);
    size_t tiles = (positions + TILE - 1) / TILE;
    size_t tasks = (size_t)shape->dims[0] * tiles;
    bool parallel = threads > 1 && tasks > 1 && pare_layout_bytes(to, shape, dtype) > 65536;
    if (!parallel) {
        for (size_t task = 0; task < tasks; task++) {
            move_tile(in, out, &m, bytes, task, tiles);
        }
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t task = 0; task < tasks; task++) {
        move_tile(in, out, &m, bytes, task, tiles);
    }
}
