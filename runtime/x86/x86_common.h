/* What the x86 kernels share. */
#ifndef PARE_X86_COMMON_H
#define PARE_X86_COMMON_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernel.h"
#include "pare/checked.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* No "fma": contraction would round once where the definition rounds twice. */
#define X86_AVX2 __attribute__((target("avx2")))
#define X86_VNNI __attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512vnni")))
#define X86_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define X86_UNROLL _Pragma("clang loop unroll(full)")
#else
#define X86_UNROLL _Pragma("GCC unroll 16")
#endif

/* Bounds of a result before its zero point is added: with integer bounds,
 * clamp(rint(f) + zero) = rint(clamp(f, low, high)) + zero, which needs no
 * conversion of out-of-range floats. */
typedef struct x86_range {
    float low, high;
    int32_t zero;
} x86_range;

X86_INLINE int32_t x86_load32(const uint8_t *bytes) {
    int32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* One (scale, zero point) for the whole tensor. */
X86_INLINE bool x86_per_tensor(const pare_operand *operand, pare_dtype dtype) {
    return operand->present && operand->dtype == dtype && operand->quant != NULL && operand->quant->count == 1;
}

/* False when the activation cannot be expressed as bounds. */
X86_INLINE bool x86_range_of(const pare_activation *activation, float scale, int32_t zero, x86_range *range) {
    int32_t low, high;
    if (!pare_activation_bounds(activation, scale, zero, &low, &high) || low > high) {
        return false;
    }
    *range = (x86_range){(float)(low - zero), (float)(high - zero), zero};
    return true;
}

/* Products with a factor below this stay finite, so that no kernel meets a NaN. */
X86_INLINE bool x86_tame(float factor) {
    return fabsf(factor) < 0x1p64f;
}

/* Part `index` of `parts` of `count` items. */
X86_INLINE size_t x86_part(size_t count, size_t parts, size_t index) {
    return count * index / parts;
}

#endif
#endif
