/* Element types and shapes, as every part of Pare names them. */
#ifndef PARE_TENSOR_H
#define PARE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers are those of ONNX TensorProto.DataType and of the container. */
typedef enum pare_dtype {
    PARE_DTYPE_NONE = 0,
    PARE_F32 = 1,
    PARE_U8 = 2,
    PARE_S8 = 3,
    PARE_U16 = 4,
    PARE_S16 = 5,
    PARE_S32 = 6,
    PARE_S64 = 7,
    PARE_BOOL = 9,
    PARE_F16 = 10,
    PARE_F64 = 11,
    PARE_U32 = 12,
    PARE_U64 = 13,
    PARE_BF16 = 16
} pare_dtype;

/* Bytes of one element; 0 for a number that is not listed above. */
size_t pare_dtype_bytes(pare_dtype dtype);
/* "float32", "uint8", …; "unknown" otherwise. Static string. */
const char *pare_dtype_name(pare_dtype dtype);

float pare_f16_to_f32(uint16_t half);
uint16_t pare_f32_to_f16(float value); /* round to nearest even */
float pare_bf16_to_f32(uint16_t bf16);
uint16_t pare_f32_to_bf16(float value); /* round to nearest even */

#define PARE_MAX_RANK 8

/* A shape whose batch dimension may be open: a negative dimension -k stands
 * for k × batch (k is 1 for the batch itself, more after a Reshape that merges
 * it with others). Rank 0 is a scalar. */
typedef struct pare_shape {
    int32_t rank;
    int64_t dims[PARE_MAX_RANK];
} pare_shape;

bool pare_shape_equal(const pare_shape *a, const pare_shape *b);
/* True when some dimension depends on the batch. */
bool pare_shape_has_batch(const pare_shape *shape);
/* Replaces -k by k × batch. False on overflow. */
bool pare_shape_bind(const pare_shape *shape, int64_t batch, pare_shape *bound);
/* Product of a bound shape's dimensions. False on overflow or a negative dimension. */
bool pare_shape_elements(const pare_shape *shape, size_t *elements);
/* Elements × bytes of one. False on overflow. */
bool pare_shape_bytes(const pare_shape *shape, pare_dtype dtype, size_t *bytes);
/* Writes "Nx3x224x224" ("scalar" for rank 0) into `text`; returns `text`. */
const char *pare_shape_text(const pare_shape *shape, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
