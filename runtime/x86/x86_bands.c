/* Bands of output rows, and padded copies of the input rows below them. */
#include "x86_gemm.h"

#if defined(__x86_64__)

/* Input coordinates that outputs 0 .. count - 1 reach, before padding is taken away. */
static size_t reach(size_t count, size_t stride, size_t kernel, size_t dilation) {
    return (count - 1) * stride + (kernel - 1) * dilation + 1;
}

static bool needs_copy(const x86_geometry *g, size_t overread) {
    return overread > 0 || g->pad_top > 0 || g->pad_left > 0 ||
           reach(g->out_h, g->stride_h, g->kernel_h, g->dilation_h) > g->in_h ||
           reach(g->out_w, g->stride_w, g->kernel_w, g->dilation_w) > g->in_w;
}

bool pare_x86_bands_plan(x86_bands *bands, size_t overread, size_t budget) {
    const x86_geometry *g = &bands->geometry;
    const size_t limit = (size_t)1 << 31;
    bands->copy = needs_copy(g, overread);
    bands->copy_columns = reach(g->out_w, g->stride_w, g->kernel_w, g->dilation_w);
    size_t columns = bands->copy ? bands->copy_columns : g->in_w;
    if (!pare_mul_size(columns, g->in_c, &bands->row_stride) || bands->row_stride >= limit) {
        return false;
    }
    size_t fixed = reach(1, 1, g->kernel_h, g->dilation_h) * bands->row_stride;
    size_t each = g->stride_h * bands->row_stride;
    bands->rows = budget > fixed ? (budget - fixed) / each + 1 : 1;
    /* Enough pixels that the panel's weights are not read for too few of them. */
    size_t fewest = (48 + g->out_w - 1) / g->out_w;
    bands->rows = bands->rows < fewest ? fewest : bands->rows;
    bands->rows = bands->rows > g->out_h ? g->out_h : bands->rows;
    bands->count = (g->out_h + bands->rows - 1) / bands->rows;
    bands->rows = (g->out_h + bands->count - 1) / bands->count;
    size_t input_rows = reach(bands->rows, g->stride_h, g->kernel_h, g->dilation_h);
    size_t bytes;
    if (!pare_mul_size(input_rows, bands->row_stride, &bytes) || bytes >= limit) {
        return false;
    }
    bands->copy_bytes = bands->copy ? (bytes + overread + 127) / 64 * 64 : 0;
    return true;
}

/* `to` receives `columns` pixels starting at column -pad_left of an input row. */
static void copy_row(const x86_geometry *g, const uint8_t *row, uint8_t *to, size_t columns) {
    size_t left = g->pad_left < columns ? g->pad_left : columns;
    size_t middle = columns - left < g->in_w ? columns - left : g->in_w;
    size_t right = columns - left - middle;
    memset(to, g->pad_value, left * g->in_c);
    to += left * g->in_c;
    memcpy(to, row, middle * g->in_c);
    memset(to + middle * g->in_c, g->pad_value, right * g->in_c);
}

const uint8_t *pare_x86_bands_load(const x86_bands *bands, const uint8_t *input, size_t image, size_t band,
                                   uint8_t *scratch) {
    const x86_geometry *g = &bands->geometry;
    const uint8_t *start = input + image * g->in_h * g->in_w * g->in_c;
    size_t first = band * bands->rows, rows = g->out_h - first < bands->rows ? g->out_h - first : bands->rows;
    if (!bands->copy) {
        return start + first * g->stride_h * bands->row_stride;
    }
    size_t input_rows = reach(rows, g->stride_h, g->kernel_h, g->dilation_h);
    uint8_t *to = scratch;
    bool whole = g->pad_top == 0 && g->pad_left == 0 && bands->copy_columns == g->in_w &&
                 first * g->stride_h + input_rows <= g->in_h;
    if (whole) {
        memcpy(to, start + first * g->stride_h * bands->row_stride, input_rows * bands->row_stride);
        to += input_rows * bands->row_stride;
    }
    for (size_t y = first * g->stride_h; !whole && y < first * g->stride_h + input_rows; y++, to += bands->row_stride) {
        if (y >= g->pad_top && y - g->pad_top < g->in_h) {
            copy_row(g, start + (y - g->pad_top) * g->in_w * g->in_c, to, bands->copy_columns);
        } else {
            memset(to, g->pad_value, bands->row_stride);
        }
    }
    /* What is read past the end is multiplied by zero, but should not be undefined. */
    memset(to, 0, bands->copy_bytes - (size_t)(to - scratch) < 64 ? bands->copy_bytes - (size_t)(to - scratch) : 64);
    return scratch;
}

#endif
