/* Depthwise convolutions, channels last: each register holds one pixel of 32 or
 * 64 channels; the taps of each channel are brought side by side by unpacking,
 * which interleaves within 128-bit lanes. Tables follow that order: with `lanes`
 * 32-bit lanes, element d of vector j is channel 16 (d / 4) + 4 j + d % 4 of its
 * block of 4 × lanes, and packing the four results restores the plain order.
 *
 * Where few channels would leave most of a register empty and pixels are read
 * without stride, neighbouring pixels share it: they count as more channels. */
#ifndef PARE_X86_DEPTHWISE_H
#define PARE_X86_DEPTHWISE_H

#include "x86_gemm.h"

#if defined(__x86_64__)

typedef struct x86_depthwise_block {
    size_t first, count;   /* channels */
    size_t lanes;          /* 16: a block of 64; 8: of 32 */
    const int32_t *bias;   /* [4][lanes] */
    const float *scale;    /* [4][lanes] */
    const int8_t *weights; /* VNNI: [steps][4][lanes][4 taps] s8; AVX2: [steps][4][lanes][2 taps] s16 */
} x86_depthwise_block;

/* One row of output pixels of one block. */
typedef struct x86_depthwise_row {
    const uint8_t *in; /* first tap of the first pixel, block's first channel */
    uint8_t *out;
    size_t pixels, in_stride, out_stride;
    size_t last;             /* bytes of the last pixel to store */
    bool slide;              /* VNNI: 3 × 3 with a step for each column, pixels one column apart */
    bool fits;               /* products with the scale round within 32 bits, so clamping may follow packing */
    const uint32_t *offsets; /* of the taps, four (VNNI) or two (AVX2) a step */
    size_t steps;
    const x86_depthwise_block *block;
    const x86_range *range;
} x86_depthwise_row;

typedef void (*x86_depthwise_function)(const x86_depthwise_row *row);

void pare_x86_depthwise_row_vnni(const x86_depthwise_row *row);
void pare_x86_depthwise_row_avx2(const x86_depthwise_row *row);

#endif
#endif
