#include "kernels/strided.h"

#define TILE 32

static void remove_axis(strided_copy *c, int32_t axis) {
    for (int32_t i = axis; i + 1 < c->rank; i++) {
        c->extents[i] = c->extents[i + 1];
        c->in_strides[i] = c->in_strides[i + 1];
        c->out_strides[i] = c->out_strides[i + 1];
    }
    c->rank--;
}

void strided_simplify(strided_copy *c) {
    for (int32_t i = c->rank - 1; i >= 0; i--) {
        if (c->extents[i] == 1) {
            remove_axis(c, i);
        }
    }
    for (int32_t i = c->rank - 2; i >= 0; i--) {
        ptrdiff_t inner = (ptrdiff_t)c->extents[i + 1];
        if (c->in_strides[i] == c->in_strides[i + 1] * inner && c->out_strides[i] == c->out_strides[i + 1] * inner) {
            c->extents[i + 1] *= c->extents[i];
            remove_axis(c, i);
        }
    }
    while (c->rank < 2) { /* the loops below want two axes */
        for (int32_t i = c->rank; i > 0; i--) {
            c->extents[i] = c->extents[i - 1];
            c->in_strides[i] = c->in_strides[i - 1];
            c->out_strides[i] = c->out_strides[i - 1];
        }
        c->extents[0] = 1;
        c->in_strides[0] = c->out_strides[0] = 0;
        c->rank++;
    }
}

#define DEFINE_BOX(name, type)                                                                                         \
    static void name(const strided_copy *c, const char *source, char *target, size_t rows, size_t columns) {           \
        const type *in = (const type *)(const void *)source;                                                           \
        type *out = (type *)(void *)target;                                                                            \
        int32_t r = c->rank - 2;                                                                                       \
        ptrdiff_t in_row = c->in_strides[r], in_column = c->in_strides[r + 1];                                         \
        ptrdiff_t out_row = c->out_strides[r], out_column = c->out_strides[r + 1];                                     \
        for (size_t i = 0; i < rows; i++) {                                                                            \
            const type *p = in + (ptrdiff_t)i * in_row;                                                                \
            type *q = out + (ptrdiff_t)i * out_row;                                                                    \
            if (in_column == 1 && out_column == 1) {                                                                   \
                memcpy(q, p, columns * sizeof *q);                                                                     \
            } else if (out_column == 1) {                                                                              \
                for (size_t j = 0; j < columns; j++) {                                                                 \
                    q[j] = p[(ptrdiff_t)j * in_column];                                                                \
                }                                                                                                      \
            } else {                                                                                                   \
                for (size_t j = 0; j < columns; j++) {                                                                 \
                    q[(ptrdiff_t)j * out_column] = p[(ptrdiff_t)j * in_column];                                        \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
DEFINE_BOX(box_8, uint8_t)
DEFINE_BOX(box_16, uint16_t)
DEFINE_BOX(box_32, uint32_t)
DEFINE_BOX(box_64, uint64_t)

static void copy_box(const strided_copy *c, const char *in, char *out, size_t rows, size_t columns) {
    if (c->bytes == 1) {
        box_8(c, in, out, rows, columns);
    } else if (c->bytes == 2) {
        box_16(c, in, out, rows, columns);
    } else if (c->bytes == 4) {
        box_32(c, in, out, rows, columns);
    } else {
        box_64(c, in, out, rows, columns);
    }
}

/* Brings the axis along which the input is contiguous next to the last, so that
 * tiles of both stay in the cache. */
static strided_copy order_for_tiles(const strided_copy *copy, bool *tiled) {
    strided_copy c = *copy;
    int32_t last = c.rank - 1;
    *tiled = false;
    for (int32_t i = 0; i < last; i++) {
        if (c.in_strides[i] == 1 && c.in_strides[last] != 1 && c.extents[i] > 1) {
            size_t extent = c.extents[i];
            ptrdiff_t in_stride = c.in_strides[i];
            ptrdiff_t out_stride = c.out_strides[i];
            for (int32_t k = i; k + 1 < last; k++) {
                c.extents[k] = c.extents[k + 1];
                c.in_strides[k] = c.in_strides[k + 1];
                c.out_strides[k] = c.out_strides[k + 1];
            }
            c.extents[last - 1] = extent;
            c.in_strides[last - 1] = in_stride;
            c.out_strides[last - 1] = out_stride;
            *tiled = true;
            break;
        }
    }
    return c;
}

static void copy_plane(const strided_copy *c, bool tiled, const char *in, char *out, size_t first, size_t last) {
    int32_t r = c->rank - 2;
    ptrdiff_t bytes = (ptrdiff_t)c->bytes;
    size_t columns = c->extents[r + 1];
    in += (ptrdiff_t)first * c->in_strides[r] * bytes;
    out += (ptrdiff_t)first * c->out_strides[r] * bytes;
    if (!tiled) {
        copy_box(c, in, out, last - first, columns);
        return;
    }
    for (size_t j = 0; j < columns; j += TILE) {
        size_t width = columns - j < TILE ? columns - j : TILE;
        copy_box(c, in + (ptrdiff_t)j * c->in_strides[r + 1] * bytes,
                 out + (ptrdiff_t)j * c->out_strides[r + 1] * bytes, last - first, width);
    }
}

void strided_run(const strided_copy *copy, const void *in, void *out, int32_t threads) {
    bool tiled;
    strided_copy c = order_for_tiles(copy, &tiled);
    int32_t r = c.rank - 2;
    size_t planes = 1;
    for (int32_t i = 0; i < r; i++) {
        planes *= c.extents[i];
    }
    size_t rows = c.extents[r];
    size_t total = planes * rows * c.extents[r + 1] * c.bytes;
    if (total == 0) {
        return;
    }
    size_t pieces = (rows + TILE - 1) / TILE;
#pragma omp parallel for num_threads(threads) schedule(static) if (total > 65536)
    for (size_t task = 0; task < planes * pieces; task++) {
        size_t rest = task / pieces;
        size_t first = task % pieces * TILE;
        ptrdiff_t from = c.in_start;
        ptrdiff_t to = c.out_start;
        for (int32_t i = r - 1; i >= 0; i--) {
            from += (ptrdiff_t)(rest % c.extents[i]) * c.in_strides[i];
            to += (ptrdiff_t)(rest % c.extents[i]) * c.out_strides[i];
            rest /= c.extents[i];
        }
        copy_plane(&c, tiled, (const char *)in + from * (ptrdiff_t)c.bytes, (char *)out + to * (ptrdiff_t)c.bytes,
                   first, rows - first < TILE ? rows : first + TILE);
    }
}
