#include "train/tape/batch_norm_loops.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "train/tape/tape_steps.h"

#define MOST_PARTS 16 /* of the samples: fixed, so that sums do not depend on the threads */
#define RUN 256       /* positions summed in float before a double takes over */
#define PIVOT_ELEMENTS 16

static size_t blocks_of(const batch_norm_extent *e) {
    return (e->channels + e->block - 1) / e->block;
}

static size_t parts_of(const batch_norm_extent *e) {
    return e->samples < MOST_PARTS ? e->samples : MOST_PARTS;
}

size_t batch_norm_scratch(const batch_norm_extent *extent) {
    return parts_of(extent) * blocks_of(extent) * extent->block * 2;
}

/* --- statistics ------------------------------------------------------------------------ */

/* Eight floats at any address. */
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t eight_bits __attribute__((vector_size(32)));
#define AT(pointer, index) (((const eight *)(pointer))[index])

/* Adds the sums of x - pivot and of its square, for each of 8 × `vectors` interleaved channels. */
#define SUM_LANES(name, vectors)                                                                                       \
    TAPE_CLONES static void name(const float *x, size_t positions, const float *pivot, double *sums) {                 \
        for (size_t first = 0; first < positions; first += RUN) {                                                      \
            size_t last = positions - first < RUN ? positions : first + RUN;                                           \
            eight sum[vectors] = {0}, squares[vectors] = {0};                                                          \
            for (size_t p = first; p < last; p++) {                                                                    \
                for (size_t v = 0; v < (vectors); v++) {                                                               \
                    eight d = AT(x, p * (vectors) + v) - AT(pivot, v);                                                 \
                    sum[v] += d;                                                                                       \
                    squares[v] += d * d;                                                                               \
                }                                                                                                      \
            }                                                                                                          \
            for (size_t b = 0; b < 8 * (vectors); b++) {                                                               \
                sums[2 * b] += (double)sum[b / 8][b % 8];                                                              \
                sums[2 * b + 1] += (double)squares[b / 8][b % 8];                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }
SUM_LANES(sum_8, 1)
SUM_LANES(sum_16, 2)

/* One channel in a row: eight positions side by side, the rest one by one. */
static void sum_row(const float *x, size_t positions, const float *pivot, double *sums) {
    float pivots[8];
    double lanes[16] = {0};
    for (size_t i = 0; i < 8; i++) {
        pivots[i] = *pivot;
    }
    sum_8(x, positions / 8, pivots, lanes);
    for (size_t p = positions / 8 * 8; p < positions; p++) {
        double d = (double)(x[p] - *pivot);
        lanes[0] += d;
        lanes[1] += d * d;
    }
    for (size_t i = 0; i < 8; i++) {
        sums[0] += lanes[2 * i];
        sums[1] += lanes[2 * i + 1];
    }
}

/* The mean of a few elements of each channel, near that of all, so that the squares do not cancel; of several, since
 * one may lie far out. */
static void choose_pivot(const batch_norm_extent *e, const float *x, size_t block, float *pivot) {
    size_t blocks = blocks_of(e), plane = e->positions * e->block;
    memset(pivot, 0, e->block * sizeof *pivot);
    for (size_t i = 0; i < PIVOT_ELEMENTS; i++) {
        size_t sample = e->samples * i / PIVOT_ELEMENTS, position = e->positions * i / PIVOT_ELEMENTS;
        const float *row = x + (sample * blocks + block) * plane + position * e->block;
        for (size_t c = 0; c < e->block; c++) {
            pivot[c] += row[c] / PIVOT_ELEMENTS;
        }
    }
}

static void sum_part(const batch_norm_extent *e, const float *x, size_t part, size_t block, double *sums) {
    size_t parts = parts_of(e), blocks = blocks_of(e), plane = e->positions * e->block;
    size_t first = e->samples * part / parts, last = e->samples * (part + 1) / parts;
    float pivot[16];
    choose_pivot(e, x, block, pivot);
    memset(sums, 0, 2 * e->block * sizeof *sums);
    for (size_t n = first; n < last; n++) {
        const float *rows = x + (n * blocks + block) * plane;
        if (e->block == 16) {
            sum_16(rows, e->positions, pivot, sums);
        } else if (e->block == 8) {
            sum_8(rows, e->positions, pivot, sums);
        } else {
            sum_row(rows, e->positions, pivot, sums);
        }
    }
}

void batch_norm_statistics(const batch_norm_extent *extent, const float *x, float *mean, float *variance,
                           double *scratch) {
    size_t parts = parts_of(extent), blocks = blocks_of(extent), lanes = extent->block;
    double count = (double)extent->samples * (double)extent->positions;
#pragma omp parallel for schedule(static) if (extent->samples * blocks * lanes * extent->positions > 16384)
    for (size_t k = 0; k < parts * blocks; k++) {
        sum_part(extent, x, k / blocks, k % blocks, scratch + k * lanes * 2);
    }
    for (size_t c = 0; c < extent->channels; c++) {
        double sum = 0, squares = 0;
        for (size_t part = 0; part < parts; part++) {
            const double *sums = scratch + ((part * blocks + c / lanes) * lanes + c % lanes) * 2;
            sum += sums[0];
            squares += sums[1];
        }
        float pivot[16];
        choose_pivot(extent, x, c / lanes, pivot);
        double shift = sum / count, spread = squares / count - shift * shift;
        mean[c] = (float)((double)pivot[c % lanes] + shift);
        variance[c] = spread < 0 ? 0.0F : (float)spread; /* NaN stays */
    }
}

/* --- the result ---------------------------------------------------------------------------- */

/* 8 × `vectors` interleaved channels, or the rows of one (one vector, its factors eight times). NaN stays. */
#define APPLY_LANES(name, vectors)                                                                                     \
    TAPE_CLONES static void name(const float *x, const float *added, bool relu, const float *factor,                   \
                                 const float *offset, size_t positions, float *y) {                                    \
        for (size_t i = 0; i < positions * (vectors); i++) {                                                           \
            eight value = AT(x, i) * AT(factor, i % (vectors)) + AT(offset, i % (vectors));                            \
            if (added != NULL) {                                                                                       \
                value += AT(added, i);                                                                                 \
            }                                                                                                          \
            eight_bits positive = ~(eight_bits)(value < (eight){0});                                                   \
            ((eight *)y)[i] = relu ? (eight)((eight_bits)value & positive) : value;                                    \
        }                                                                                                              \
    }
APPLY_LANES(apply_8, 1)
APPLY_LANES(apply_16, 2)

static void apply_row(const float *x, const float *added, bool relu, float factor, float offset, size_t positions,
                      float *y) {
    float factors[8], offsets[8];
    for (size_t i = 0; i < 8; i++) {
        factors[i] = factor;
        offsets[i] = offset;
    }
    apply_8(x, added, relu, factors, offsets, positions / 8, y);
    for (size_t p = positions / 8 * 8; p < positions; p++) {
        float value = x[p] * factor + offset + (added != NULL ? added[p] : 0.0F);
        y[p] = relu && value < 0 ? 0.0F : value;
    }
}

void batch_norm_apply(const batch_norm_extent *extent, const batch_norm_operands *operands, const float *x,
                      const float *added, bool relu, float *y) {
    size_t blocks = blocks_of(extent), lanes = extent->block, plane = extent->positions * lanes;
    float *factor = operands->factors, *offset = factor + blocks * lanes;
    memset(factor, 0, 2 * blocks * lanes * sizeof *factor); /* what fills up the last block stays 0 */
    for (size_t c = 0; c < extent->channels; c++) {
        factor[c] = operands->scale[c] / sqrtf(operands->variance[c] + operands->epsilon);
        offset[c] = operands->shift[c] - operands->mean[c] * factor[c];
    }
#pragma omp parallel for schedule(static) if (extent->samples * blocks * plane > 16384)
    for (size_t k = 0; k < extent->samples * blocks; k++) {
        size_t c = k % blocks * lanes;
        const float *more = added != NULL ? added + k * plane : NULL;
        if (lanes == 16) {
            apply_16(x + k * plane, more, relu, factor + c, offset + c, extent->positions, y + k * plane);
        } else if (lanes == 8) {
            apply_8(x + k * plane, more, relu, factor + c, offset + c, extent->positions, y + k * plane);
        } else {
            apply_row(x + k * plane, more, relu, factor[c], offset[c], extent->positions, y + k * plane);
        }
    }
}
