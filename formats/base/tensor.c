#include "pare/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pare/checked.h"

static const struct {
    const char *name;
    uint8_t bytes;
} dtypes[] = {
    [PARE_F32] = {"float32", 4},   [PARE_U8] = {"uint8", 1},    [PARE_S8] = {"int8", 1},    [PARE_U16] = {"uint16", 2},
    [PARE_S16] = {"int16", 2},     [PARE_S32] = {"int32", 4},   [PARE_S64] = {"int64", 8},  [PARE_BOOL] = {"bool", 1},
    [PARE_F16] = {"float16", 2},   [PARE_F64] = {"float64", 8}, [PARE_U32] = {"uint32", 4}, [PARE_U64] = {"uint64", 8},
    [PARE_BF16] = {"bfloat16", 2},
};

static bool dtype_known(pare_dtype dtype) {
    return (size_t)dtype < sizeof dtypes / sizeof dtypes[0] && dtypes[dtype].name != NULL;
}

size_t pare_dtype_bytes(pare_dtype dtype) {
    return dtype_known(dtype) ? dtypes[dtype].bytes : 0;
}

const char *pare_dtype_name(pare_dtype dtype) {
    return dtype_known(dtype) ? dtypes[dtype].name : "unknown";
}

static float bits_to_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t float_to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float pare_f16_to_f32(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 0x1fu;
    uint32_t fraction = half & 0x3ffu;
    if (exponent == 0) { /* zero or subnormal: fraction × 2^-24 is exact */
        float magnitude = (float)fraction * 0x1p-24f;
        return bits_to_float(float_to_bits(magnitude) | sign);
    }
    if (exponent == 31) {
        return bits_to_float(sign | 0x7f800000u | fraction << 13);
    }
    return bits_to_float(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t pare_f32_to_f16(float value) {
    uint32_t bits = float_to_bits(value);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu)); /* a quiet NaN */
    }
    if (magnitude >= 0x47800000u) { /* 65536 and above */
        return (uint16_t)(sign | 0x7c00u);
    }
    uint32_t result, rest, half;
    if (magnitude < 0x38800000u) { /* below 2^-14: subnormal */
        uint32_t shift = 126 - (magnitude >> 23);
        if (shift > 25) {
            return (uint16_t)sign;
        }
        uint32_t fraction = (magnitude & 0x7fffffu) | 0x800000u;
        result = fraction >> shift;
        rest = fraction & ((1u << shift) - 1);
        half = 1u << (shift - 1);
    } else {
        result = (magnitude - 0x38000000u) >> 13;
        rest = magnitude & 0x1fffu;
        half = 0x1000u;
    }
    result += rest > half || (rest == half && (result & 1) != 0); /* a carry into the exponent is right */
    return (uint16_t)(sign | result);
}

float pare_bf16_to_f32(uint16_t bf16) {
    return bits_to_float((uint32_t)bf16 << 16);
}

uint16_t pare_f32_to_bf16(float value) {
    uint32_t bits = float_to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (uint16_t)(bits >> 16 | 0x40u);
    }
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

/* --- shapes --------------------------------------------------------------- */

bool pare_shape_equal(const pare_shape *a, const pare_shape *b) {
    if (a->rank != b->rank) {
        return false;
    }
    for (int32_t i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i]) {
            return false;
        }
    }
    return true;
}

bool pare_shape_has_batch(const pare_shape *shape) {
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0) {
            return true;
        }
    }
    return false;
}

bool pare_shape_bind(const pare_shape *shape, int64_t batch, pare_shape *bound) {
    pare_shape result = *shape;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0 &&
            (shape->dims[i] == INT64_MIN || !pare_mul_i64(-shape->dims[i], batch, &result.dims[i]))) {
            return false;
        }
    }
    *bound = result;
    return true;
}

bool pare_shape_elements(const pare_shape *shape, size_t *elements) {
    size_t product = 1;
    bool empty = false;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0 || (shape->dims[i] != 0 && !pare_mul_size(product, (size_t)shape->dims[i], &product))) {
            return false;
        }
        empty = empty || shape->dims[i] == 0;
    }
    *elements = empty ? 0 : product;
    return true;
}

bool pare_shape_bytes(const pare_shape *shape, pare_dtype dtype, size_t *bytes) {
    size_t elements;
    return pare_shape_elements(shape, &elements) && pare_mul_size(elements, pare_dtype_bytes(dtype), bytes);
}

const char *pare_shape_text(const pare_shape *shape, char *text, size_t size) {
    size_t filled = 0;
    if (size == 0) {
        return text;
    }
    text[0] = '\0';
    if (shape->rank == 0) {
        snprintf(text, size, "scalar");
    }
    for (int32_t i = 0; i < shape->rank && filled < size; i++) {
        const char *separator = i == 0 ? "" : "x";
        int64_t dim = shape->dims[i];
        int length = dim == -1 ? snprintf(text + filled, size - filled, "%sN", separator)
                     : dim < 0 ? snprintf(text + filled, size - filled, "%s%" PRIu64 "N", separator, -(uint64_t)dim)
                               : snprintf(text + filled, size - filled, "%s%" PRId64, separator, dim);
        filled += length < 0 ? 0 : (size_t)length;
    }
    return text;
}
