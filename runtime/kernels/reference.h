/* The plain C reference kernels, one file an opcode, and what they share. */
#ifndef PARE_REFERENCE_H
#define PARE_REFERENCE_H

#include <math.h>
#include <string.h>

#include "kernel.h"

/* A leaf loop that the compiler may build once more for AVX2. Multiplications
 * and additions stay separate (-ffp-contract=off), so both give the same bits. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&               \
    !defined(__SANITIZE_THREAD__)
#define REFERENCE_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define REFERENCE_CLONES
#endif

extern const pare_kernel pare_reference_conv, pare_reference_conv_transpose, pare_reference_fully_connected,
    pare_reference_matmul, pare_reference_binary, pare_reference_unary, pare_reference_pool, pare_reference_reduce,
    pare_reference_softmax, pare_reference_concat, pare_reference_slice, pare_reference_gather, pare_reference_reshape,
    pare_reference_transpose, pare_reference_pad, pare_reference_resize, pare_reference_quantize,
    pare_reference_dequantize, pare_reference_lstm, pare_reference_expand, pare_reference_cast,
    pare_reference_layer_norm, pare_reference_instance_norm, pare_reference_lrn, pare_reference_where,
    pare_reference_arg_reduce;

/* Elements of a bound shape, which the planner has checked. */
static inline size_t shape_elements(const pare_shape *shape) {
    size_t count = 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        count *= (size_t)shape->dims[i];
    }
    return count;
}

/* Product of dims[from..to). */
static inline size_t shape_product(const pare_shape *shape, int32_t from, int32_t to) {
    size_t count = 1;
    for (int32_t i = from; i < to; i++) {
        count *= (size_t)shape->dims[i];
    }
    return count;
}

/* Row-major distances in elements. */
static inline void shape_strides(const pare_shape *shape, size_t strides[PARE_MAX_RANK]) {
    size_t stride = 1;
    for (int32_t i = shape->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= (size_t)shape->dims[i];
    }
}

/* Asks for every input as PLAIN. */
static inline void want_plain(pare_site *site) {
    for (size_t i = 0; i < site->input_count; i++) {
        site->wanted[i] = PARE_LAYOUT_PLAIN;
    }
}

/* The one scale and zero point of a per-tensor quantized operand. */
static inline bool single_quant(const pare_operand *operand, float *scale, int32_t *zero) {
    if (!operand->present || operand->quant == NULL || operand->quant->count != 1) {
        return false;
    }
    *scale = operand->quant->scales[0];
    *zero = operand->quant->zero_points[0];
    return true;
}

/* Elements in memory, padding channels included. */
static inline size_t stored_elements(const pare_operand *operand) {
    size_t bytes = pare_dtype_bytes(operand->dtype);
    return bytes == 0 ? 0 : pare_layout_bytes(operand->layout, &operand->shape, operand->dtype) / bytes;
}

/* The extents as they lie in memory, slowest first; returns how many (at most rank + 1). */
static inline int32_t layout_extents(pare_layout layout, const pare_shape *shape, size_t extents[PARE_MAX_RANK]) {
    for (int32_t i = 0; i < shape->rank; i++) {
        extents[i] = (size_t)shape->dims[i];
    }
    if (layout == PARE_LAYOUT_PLAIN || shape->rank != 4) {
        return shape->rank;
    }
    size_t channels = extents[1];
    extents[1] = extents[2];
    extents[2] = extents[3];
    extents[3] = channels;
    if (layout == PARE_LAYOUT_CHANNELS_LAST) {
        return 4;
    }
    size_t block = layout == PARE_LAYOUT_BLOCK8 ? 8 : 16;
    extents[3] = extents[2];
    extents[2] = extents[1];
    extents[1] = (channels + block - 1) / block;
    extents[4] = block;
    return 5;
}

/* A zeroed state, or the usual failure. */
static inline pare_status make_state(void **state, size_t bytes, pare_error *error) {
    *state = pare_alloc_zero(1, bytes);
    return *state != NULL ? PARE_OK : pare_fail_memory(error, bytes);
}

/* rint(f) clamped to [low, high], for |f| of any size: bounds are integers, so
 * clamping first changes nothing; NaN gives 0. Adding and taking away 1.5 × 2^23
 * rounds half to even, and vectorises. */
static inline float round_clamped(float f, float low, float high) {
    f = f == f ? f : 0.0F;
    f = f < low ? low : f;
    f = f > high ? high : f;
    return (f + 12582912.0F) - 12582912.0F;
}

/* Sixteen partial sums, then added pairwise: the order does not depend on rows, threads or CPU. */
static inline float dot_lanes(const float *restrict a, const float *restrict b, int64_t count) {
    float lanes[16] = {0};
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
        for (int l = 0; l < 16; l++) {
            lanes[l] += a[i + l] * b[i + l];
        }
    }
    for (int l = 0; i < count; i++, l++) {
        lanes[l] += a[i] * b[i];
    }
    for (int half = 16 / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) {
            lanes[l] += lanes[l + half];
        }
    }
    return lanes[0];
}

#endif
