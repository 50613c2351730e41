/* Antialiased bilinear resampling as Pillow's Image.resize(BILINEAR) defines it:
 * a triangle filter whose support grows with the reduction, horizontal pass then
 * vertical, each in 22-bit fixed point and rounded to a byte. */
#include <math.h>
#include <string.h>

#include "pare/checked.h"
#include "pare/memory.h"
#include "pare/preprocess.h"

#define FRACTION_BITS 22
#define SIDE_LIMIT (1 << 20)

static bool valid_side(int32_t side) {
    return side > 0 && side <= SIDE_LIMIT;
}

/* One axis: out[i] = sum over k < count[i] of weights[i × taps + k] × in[first[i] + k]. */
typedef struct axis_filter {
    double *real; /* start of the block: the weights of one output before rounding */
    int32_t *first, *count, *weights;
    int32_t taps;
} axis_filter;

static void fill_output(const axis_filter *filter, int32_t i, int32_t in_size, double scale) {
    double *real = filter->real;
    double reach = scale > 1 ? scale : 1;
    double centre = (i + 0.5) * scale, sum = 0;
    int32_t low = (int32_t)(centre - reach + 0.5), high = (int32_t)(centre + reach + 0.5);
    low = low < 0 ? 0 : low;
    high = high > in_size ? in_size : high;
    int32_t count = high - low;
    for (int32_t k = 0; k < count; k++) {
        double distance = fabs((k + low - centre + 0.5) / reach);
        real[k] = distance < 1 ? 1 - distance : 0;
        sum += real[k];
    }
    filter->first[i] = low;
    filter->count[i] = count;
    for (int32_t k = 0; k < count; k++) {
        filter->weights[(size_t)i * (size_t)filter->taps + (size_t)k] =
            (int32_t)(0.5 + real[k] / sum * (1 << FRACTION_BITS));
    }
}

static pare_status make_filter(axis_filter *filter, int32_t in_size, int32_t out_size, pare_error *error) {
    double scale = (double)in_size / out_size;
    filter->taps = (int32_t)ceil(scale > 1 ? scale : 1) * 2 + 1;
    size_t outs = (size_t)out_size, taps = (size_t)filter->taps;
    size_t integers = 2 * outs + outs * taps, bytes = integers * sizeof(int32_t) + taps * sizeof(double);
    /* One block: the doubles first, for their alignment. */
    filter->real = pare_alloc(bytes);
    if (filter->real == NULL) {
        return pare_fail_memory(error, bytes);
    }
    filter->first = (int32_t *)(void *)(filter->real + taps);
    filter->count = filter->first + outs;
    filter->weights = filter->count + outs;
    for (int32_t i = 0; i < out_size; i++) {
        fill_output(filter, i, in_size, scale);
    }
    return PARE_OK;
}

static uint8_t to_byte(int32_t sum) {
    int32_t value = sum >> FRACTION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void resize_rows(const uint8_t *in, int32_t rows, int32_t width, int32_t channels, const axis_filter *filter,
                        uint8_t *out, int32_t out_width) {
    for (int32_t y = 0; y < rows; y++) {
        const uint8_t *row = in + (size_t)y * (size_t)width * (size_t)channels;
        for (int32_t x = 0; x < out_width; x++) {
            const int32_t *weights = filter->weights + (size_t)x * (size_t)filter->taps;
            const uint8_t *first = row + (size_t)filter->first[x] * (size_t)channels;
            for (int32_t c = 0; c < channels; c++) {
                int32_t sum = 1 << (FRACTION_BITS - 1);
                for (int32_t k = 0; k < filter->count[x]; k++) {
                    sum += first[k * channels + c] * weights[k];
                }
                *out++ = to_byte(sum);
            }
        }
    }
}

/* `sums` holds one row. */
static void resize_columns(const uint8_t *in, size_t row_bytes, const axis_filter *filter, uint8_t *out,
                           int32_t out_height, int32_t *sums) {
    for (int32_t y = 0; y < out_height; y++) {
        const int32_t *weights = filter->weights + (size_t)y * (size_t)filter->taps;
        for (size_t x = 0; x < row_bytes; x++) {
            sums[x] = 1 << (FRACTION_BITS - 1);
        }
        for (int32_t k = 0; k < filter->count[y]; k++) {
            const uint8_t *row = in + (size_t)(filter->first[y] + k) * row_bytes;
            for (size_t x = 0; x < row_bytes; x++) {
                sums[x] += row[x] * weights[k];
            }
        }
        for (size_t x = 0; x < row_bytes; x++) {
            *out++ = to_byte(sums[x]);
        }
    }
}

pare_status pare_resize_bilinear(const uint8_t *in, int32_t height, int32_t width, int32_t channels, uint8_t *out,
                                 int32_t out_height, int32_t out_width, pare_error *error) {
    if (!valid_side(height) || !valid_side(width) || !valid_side(out_height) || !valid_side(out_width) ||
        channels <= 0) {
        return pare_fail(error, PARE_USAGE, "expected sizes of 1 to %d to resize, found %d x %d to %d x %d", SIDE_LIMIT,
                         width, height, out_width, out_height);
    }
    size_t row_bytes, between_bytes, sums_bytes;
    if (!pare_mul_size((size_t)out_width, (size_t)channels, &row_bytes) ||
        !pare_mul_size(row_bytes, (size_t)height, &between_bytes) ||
        !pare_mul_size(row_bytes, sizeof(int32_t), &sums_bytes)) {
        return pare_fail_memory(error, SIZE_MAX);
    }
    axis_filter across = {0}, down = {0};
    uint8_t *between = NULL;
    int32_t *sums = NULL;
    pare_status status = make_filter(&across, width, out_width, error);
    if (status == PARE_OK) {
        status = make_filter(&down, height, out_height, error);
    }
    if (status != PARE_OK) {
        goto done;
    }
    between = pare_alloc(between_bytes);
    sums = pare_alloc(sums_bytes);
    if (between == NULL || sums == NULL) {
        status = pare_fail_memory(error, between_bytes + sums_bytes);
        goto done;
    }
    resize_rows(in, height, width, channels, &across, between, out_width);
    resize_columns(between, row_bytes, &down, out, out_height, sums);
done:
    pare_free(across.real);
    pare_free(down.real);
    pare_free(between);
    pare_free(sums);
    return status;
}
