/* The integer matrix product behind CONV and FULLY_CONNECTED.
 *
 * The input lies channels-last. Each output pixel is a row; its K values are
 * read in steps of four bytes at offsets that all rows share, which holds as
 * soon as padding is explicit: bands of the input are copied into scratch with
 * their padding, and where there is none the input is read where it lies. That
 * replaces the indirection buffer of Dukhan, "The Indirect Convolution
 * Algorithm" (2019) by a copy of 1/(KH KW O) of the work.
 *
 * Weights are packed in panels of 8 or 16 (AVX2), 16 to 64 (AVX-512) output
 * channels; within a panel step by step, for each channel four bytes. */
#ifndef PARE_X86_GEMM_H
#define PARE_X86_GEMM_H

#include "x86_common.h"

#if defined(__x86_64__)

typedef struct x86_panel {
    const int8_t *weights;
    const uint32_t *steps; /* byte offsets of each step's four values: the plain ones, then the widened ones */
    size_t plain;          /* steps that vpmaddubsw (or vpdpbusd) multiplies */
    size_t widened;        /* AVX2: steps whose pairs could saturate, multiplied in 16 bits */
    size_t group_offset;   /* of the group's first input channel */
    size_t first, count;   /* output channels */
    size_t vectors;        /* registers that hold them */
} x86_panel;

/* From accumulators to bytes. */
typedef struct x86_epilogue {
    const int32_t *bias; /* by output channel, zero point correction included */
    const float *scale;  /* m[o] */
    x86_range range;
    bool fits;     /* every product with m[o] rounds within 32 bits, so clamping may follow packing */
    bool residual; /* then `range` is that of the inner value, and: */
    float ra, rb;
    int32_t residual_zero;
    x86_range sum;
} x86_epilogue;

/* `row_count` rows of a panel. */
typedef struct x86_tile {
    const uint8_t *base;         /* group offset included */
    const uint32_t *row_offsets; /* [row_count] */
    size_t row_count;
    const x86_panel *panel;
    const x86_epilogue *epilogue;
    uint8_t *out; /* first row, first channel of the panel */
    const uint8_t *residual;
    size_t out_stride;
} x86_tile;

typedef void (*x86_tile_function)(const x86_tile *tile);

void pare_x86_rows_vnni(const x86_tile *tile);
void pare_x86_rows_avx2(const x86_tile *tile);

/* Geometry of a product; FULLY_CONNECTED is a 1 × 1 convolution. */
typedef struct x86_geometry {
    size_t images, in_h, in_w, in_c;
    size_t out_h, out_w, out_c;
    size_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    size_t pad_top, pad_left;
    size_t groups;
    uint8_t pad_value;
} x86_geometry;

/* Bands of output rows and the padded copies of the input rows they need. */
typedef struct x86_bands {
    x86_geometry geometry;
    bool copy;           /* false: the input is read where it lies */
    size_t rows, count;  /* output rows of a band, bands of an image */
    size_t row_stride;   /* bytes between input rows as the kernel reads them */
    size_t copy_columns; /* pixels of a copied row */
    size_t copy_bytes;   /* of one copied band, slack included */
} x86_bands;

/* `overread`: bytes past a pixel's or run's last that the kernel may read.
 * False when offsets would not fit 31 bits. */
bool pare_x86_bands_plan(x86_bands *bands, size_t overread, size_t budget);
/* Where the kernel finds output row `band * rows` of an image: in the input, or in `scratch` after copying. */
const uint8_t *pare_x86_bands_load(const x86_bands *bands, const uint8_t *input, size_t image, size_t band,
                                   uint8_t *scratch);

typedef struct x86_gemm {
    x86_bands bands;
    x86_epilogue epilogue;
    x86_panel *panels;
    size_t panel_count;
    size_t chunks; /* parts of the panels that are work items of their own */
    uint32_t *row_offsets;
    void *block; /* all tables and weights */
    size_t block_bytes;
    x86_tile_function rows;
    size_t threads; /* useful ones */
} x86_gemm;

typedef enum x86_gemm_kind { X86_GEMM_VNNI, X86_GEMM_AVX2 } x86_gemm_kind;

/* `weights` [O, C/groups, KH, KW], `bias` nullable. On PARE_OK *gemm is to be
 * freed by the caller; its epilogue's ranges are still to be set.
 * PARE_UNSUPPORTED without `may_widen` where a step needs 16 bits. */
pare_status pare_x86_gemm_create(const x86_geometry *geometry, x86_gemm_kind kind, const int8_t *weights,
                                 const int32_t *bias, int32_t input_zero, int32_t threads, bool may_widen,
                                 x86_gemm **gemm, pare_error *error);
void pare_x86_gemm_free(void *gemm);
size_t pare_x86_gemm_scratch(const x86_gemm *gemm);
void pare_x86_gemm_run(const x86_gemm *gemm, const uint8_t *input, const uint8_t *residual, uint8_t *output,
                       void *scratch, int32_t threads);
/* m[o] of the epilogue; false when one is not finite and tame. */
bool pare_x86_gemm_scales(x86_gemm *gemm, float input_scale, const pare_model_quant *weights, float output_scale);
/* The quantization of weights that the kernels take: s8, symmetric, one scale or one for each of `count` channels. */
bool pare_x86_weights_fit(const pare_operand *weights, const pare_operand *bias, size_t count);

#endif
#endif
