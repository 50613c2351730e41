/* Opcodes and their attribute records. Every field of a record is four bytes,
 * so a record is stored as little-endian words in the order of declaration.
 * CONTAINER.md gives the meaning of each field byte by byte. */
#ifndef PARE_OPCODES_H
#define PARE_OPCODES_H

#include <stdint.h>

#include "pare/status.h"
#include "pare/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pare_opcode {
#define PARE_OPCODE(number, name, attrs, in_min, in_max, out_min, out_max) PARE_OP_##name = number,
#include "pare/opcodes.def"
#undef PARE_OPCODE
    PARE_OPCODE_END
} pare_opcode;

/* Element functions y = f(x; alpha, beta), used by UNARY and as the fused
 * activation of CONV, FULLY_CONNECTED and BINARY. */
typedef enum pare_function {
    PARE_FN_IDENTITY = 0,
    PARE_FN_RELU = 1,
    PARE_FN_CLIP = 2,       /* min(max(x, alpha), beta) */
    PARE_FN_LEAKY_RELU = 3, /* x < 0 ? alpha x : x */
    PARE_FN_ELU = 4,        /* x < 0 ? alpha (exp(x) - 1) : x */
    PARE_FN_SELU = 5,       /* beta × (x < 0 ? alpha (exp(x) - 1) : x) */
    PARE_FN_SIGMOID = 6,
    PARE_FN_TANH = 7,
    PARE_FN_HARD_SIGMOID = 8, /* max(0, min(1, alpha x + beta)) */
    PARE_FN_HARD_SWISH = 9,   /* x max(0, min(1, x / 6 + 0.5)) */
    PARE_FN_SILU = 10,        /* x sigmoid(x) */
    PARE_FN_GELU = 11,        /* 0.5 x (1 + erf(x / sqrt 2)) */
    PARE_FN_GELU_TANH = 12,   /* tanh approximation */
    PARE_FN_SOFTPLUS = 13,
    PARE_FN_SOFTSIGN = 14,
    PARE_FN_MISH = 15,
    PARE_FN_EXP = 16,
    PARE_FN_LOG = 17,
    PARE_FN_SQRT = 18,
    PARE_FN_RECIPROCAL = 19,
    PARE_FN_ABS = 20,
    PARE_FN_NEG = 21,
    PARE_FN_ERF = 22,
    PARE_FN_FLOOR = 23,
    PARE_FN_CEIL = 24,
    PARE_FN_ROUND = 25, /* half to even */
    PARE_FN_SIGN = 26,
    PARE_FN_SIN = 27,
    PARE_FN_COS = 28,
    PARE_FN_TAN = 29,
    PARE_FN_THRESHOLDED_RELU = 30, /* x > alpha ? x : 0 */
    PARE_FN_CELU = 31,             /* max(0, x) + min(0, alpha (exp(x / alpha) - 1)) */
    PARE_FN_NOT = 32,
    PARE_FN_END
} pare_function;

typedef enum pare_binary_kind {
    PARE_BINARY_ADD = 0,
    PARE_BINARY_SUB = 1,
    PARE_BINARY_MUL = 2,
    PARE_BINARY_DIV = 3,
    PARE_BINARY_POW = 4,
    PARE_BINARY_MIN = 5,
    PARE_BINARY_MAX = 6,
    PARE_BINARY_PRELU = 7, /* a < 0 ? b a : a */
    PARE_BINARY_EQUAL = 8,
    PARE_BINARY_LESS = 9,
    PARE_BINARY_LESS_EQUAL = 10,
    PARE_BINARY_GREATER = 11,
    PARE_BINARY_GREATER_EQUAL = 12,
    PARE_BINARY_AND = 13,
    PARE_BINARY_OR = 14,
    PARE_BINARY_XOR = 15,
    PARE_BINARY_MOD = 16,
    PARE_BINARY_END
} pare_binary_kind;

typedef enum pare_pool_kind {
    PARE_POOL_MAX = 0,
    PARE_POOL_AVERAGE = 1,
    PARE_POOL_AVERAGE_WITH_PADDING = 2,
    PARE_POOL_END
} pare_pool_kind;

typedef enum pare_reduce_kind {
    PARE_REDUCE_MEAN = 0,
    PARE_REDUCE_SUM = 1,
    PARE_REDUCE_MAX = 2,
    PARE_REDUCE_MIN = 3,
    PARE_REDUCE_PROD = 4,
    PARE_REDUCE_L1 = 5,
    PARE_REDUCE_L2 = 6,
    PARE_REDUCE_SUM_SQUARE = 7,
    PARE_REDUCE_LOG_SUM = 8,
    PARE_REDUCE_LOG_SUM_EXP = 9,
    PARE_REDUCE_END
} pare_reduce_kind;

typedef enum pare_pad_mode {
    PARE_PAD_CONSTANT = 0,
    PARE_PAD_REFLECT = 1,
    PARE_PAD_EDGE = 2,
    PARE_PAD_WRAP = 3,
    PARE_PAD_END
} pare_pad_mode;
typedef enum pare_resize_mode {
    PARE_RESIZE_NEAREST = 0,
    PARE_RESIZE_LINEAR = 1,
    PARE_RESIZE_CUBIC = 2,
    PARE_RESIZE_MODE_END
} pare_resize_mode;
typedef enum pare_resize_coordinate {
    PARE_RESIZE_HALF_PIXEL = 0,
    PARE_RESIZE_PYTORCH_HALF_PIXEL = 1,
    PARE_RESIZE_ALIGN_CORNERS = 2,
    PARE_RESIZE_ASYMMETRIC = 3,
    PARE_RESIZE_COORDINATE_END
} pare_resize_coordinate;
typedef enum pare_resize_rounding {
    PARE_ROUND_PREFER_FLOOR = 0,
    PARE_ROUND_PREFER_CEIL = 1,
    PARE_ROUND_FLOOR = 2,
    PARE_ROUND_CEIL = 3,
    PARE_ROUND_END
} pare_resize_rounding;

/* A fused activation: f(x; alpha, beta). */
typedef struct pare_activation {
    int32_t function; /* pare_function */
    float alpha, beta;
} pare_activation;

typedef struct pare_no_attrs {
    int32_t reserved; /* 0 */
} pare_no_attrs;

/* CONV: x [N,C,H,W], w [O,C/groups,KH,KW], optional bias [O], optional residual
 * [N,O,OH,OW]. y = activation(conv(x, w) + bias + residual). A 1-D convolution
 * is stored with H = KH = 1. Absent optional inputs in the middle are tensor
 * index PARE_NONE.
 *
 * Integer form (x u8, w s8, bias s32 of scale x.scale × w.scale[o], y u8):
 *   a = bias + sum (x - x.zero) w                 exact, 32 bit
 *   without residual: y = clamp(rint((float)a × m[o]) + y.zero), m[o] = (float)((double)x.scale × w.scale[o] / y.scale)
 *   with residual:    t = clamp(rint((float)a × m[o]) + inner_zero), m[o] with inner_scale in place of y.scale, then
 *                     y = the integer ADD of t (inner_scale, inner_zero) and the residual.
 * The activation (IDENTITY, RELU or CLIP only) clamps y in the quantized domain,
 * or t where there is a residual and `inner_activation` says so.
 *
 * CONV_TRANSPOSE: w [C,O/groups,KH,KW]; output_pads as ONNX output_padding. */
typedef struct pare_conv_attrs {
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left, pad_bottom, pad_right;
    int32_t groups;
    int32_t output_pad_h, output_pad_w; /* CONV_TRANSPOSE only */
    pare_activation activation;         /* after the residual */
    pare_activation inner_activation;   /* before the residual */
    float inner_scale;                  /* integer form with residual; else 0 */
    int32_t inner_zero;
} pare_conv_attrs;

/* x [.., K], w [O, K], optional bias [O]: y [.., O] = activation(x wᵀ + bias).
 * Integer form as CONV without residual. */
typedef struct pare_fully_connected_attrs {
    pare_activation activation;
} pare_fully_connected_attrs;

/* Broadcasting as ONNX (numpy). Comparisons give PARE_BOOL. Integer form (ADD,
 * SUB, MUL on u8): all in float, each operation rounded separately,
 *   ADD/SUB: f = (a - a.zero) × ra ± (b - b.zero) × rb, ra = (float)((double)a.scale / y.scale)
 *   MUL:     f = ((a - a.zero) × (b - b.zero)) × r,    r = (float)((double)a.scale × b.scale / y.scale)
 *   y = clamp(rint(f) + y.zero). */
typedef struct pare_binary_attrs {
    int32_t kind; /* pare_binary_kind */
    pare_activation activation;
} pare_binary_attrs;

/* Integer form (u8 → u8): y = table[x]. The table, 256 bytes, is the node's
 * second, constant input: the writer computes it once, as
 * clamp(rint(f((q - x.zero) × x.scale) / y.scale) + y.zero) in double, so that no
 * libm differs between the machines that run the file. */
typedef struct pare_unary_attrs {
    pare_activation function;
} pare_unary_attrs;

/* x [N,C,H,W]. Global pooling is stored with its kernel. `ceil_mode` only fixes
 * the output size; windows are clipped to the padded input. Integer form: MAX
 * with equal x and y quantization is exact; AVERAGE sums (x - x.zero) in 32 bit,
 * then y = clamp(rint((float)sum × m) + y.zero), m = (float)((double)x.scale / y.scale / count). */
typedef struct pare_pool_attrs {
    int32_t kind; /* pare_pool_kind */
    int32_t kernel_h, kernel_w, stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left, pad_bottom, pad_right;
    int32_t ceil_mode;
} pare_pool_attrs;

typedef struct pare_reduce_attrs {
    int32_t kind;      /* pare_reduce_kind */
    int32_t axis_mask; /* bit a set: axis a is reduced */
    int32_t keep_dims;
} pare_reduce_attrs;

typedef struct pare_softmax_attrs {
    int32_t axis;
    int32_t logarithm; /* 1: log-softmax */
} pare_softmax_attrs;

typedef struct pare_axis_attrs {
    int32_t axis; /* >= 0 */
} pare_axis_attrs;

/* One entry an axis: y[i] = x[start + i × step], `count` elements; count < 0 is
 * |count| × batch, for an axis that is taken whole. */
typedef struct pare_slice_attrs {
    int32_t start[PARE_MAX_RANK];
    int32_t step[PARE_MAX_RANK];
    int32_t count[PARE_MAX_RANK];
} pare_slice_attrs;

/* The new shape, with batch dimensions negative as in pare_shape. */
typedef struct pare_shape_attrs {
    int32_t rank;
    int32_t dims[PARE_MAX_RANK];
} pare_shape_attrs;

typedef struct pare_transpose_attrs {
    int32_t permutation[PARE_MAX_RANK]; /* y.dims[i] = x.dims[permutation[i]] */
} pare_transpose_attrs;

typedef struct pare_pad_attrs {
    int32_t mode; /* pare_pad_mode */
    int32_t before[PARE_MAX_RANK];
    int32_t after[PARE_MAX_RANK]; /* both may be negative (crop) */
    float value;
} pare_pad_attrs;

/* x [N,C,H,W], resized over H and W; the output size comes from the output tensor's shape. */
typedef struct pare_resize_attrs {
    int32_t mode;       /* pare_resize_mode */
    int32_t coordinate; /* pare_resize_coordinate */
    int32_t rounding;   /* pare_resize_rounding, for nearest */
    float cubic_a;
    float scale_h, scale_w; /* output / input, as the coordinates use it */
} pare_resize_attrs;

/* x [T,N,I], w [D,4H,I], r [D,4H,H] (gates i, o, f, c as ONNX), optional bias
 * [D,8H], h0 [D,N,H], c0 [D,N,H]; y [T,D,N,H], optional h [D,N,H], c [D,N,H]. */
typedef struct pare_lstm_attrs {
    int32_t hidden;
    int32_t direction; /* 0 forward, 1 reverse, 2 both */
} pare_lstm_attrs;

typedef struct pare_cast_attrs {
    int32_t to; /* pare_dtype */
} pare_cast_attrs;

/* LAYER_NORM: over axes axis .. rank - 1; inputs x, scale, optional bias of
 * those axes' shape. INSTANCE_NORM: x [N,C,..], scale [C], bias [C]. */
typedef struct pare_norm_attrs {
    int32_t axis;
    float epsilon;
} pare_norm_attrs;

typedef struct pare_lrn_attrs {
    int32_t size;
    float alpha, beta, bias;
} pare_lrn_attrs;

typedef struct pare_arg_reduce_attrs {
    int32_t axis;
    int32_t keep_dims;
    int32_t minimum;    /* 1: ArgMin */
    int32_t last_index; /* 1: the last of equals */
} pare_arg_reduce_attrs;

typedef struct pare_opcode_info {
    const char *name; /* "CONV" */
    uint32_t number;
    uint32_t attr_bytes;
    uint32_t min_inputs, max_inputs;
    uint32_t min_outputs, max_outputs;
} pare_opcode_info;

/* NULL for an unknown number. Static. */
const pare_opcode_info *pare_opcode_find(uint32_t number);
/* "relu", …; "unknown" otherwise. Static. */
const char *pare_function_name(int32_t function);

/* Extent of a convolution's or pooling's output along one axis, or -1 where it
 * would be below 1 or arithmetic overflows. All arguments in elements. */
int64_t pare_window_extent(int64_t input, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad_before,
                           int64_t pad_after, bool ceil_mode);
/* Shape that numpy broadcasting gives; batch dimensions combine with equals and 1. False where impossible. */
bool pare_shape_broadcast(const pare_shape *a, const pare_shape *b, pare_shape *result);

#ifdef __cplusplus
}
#endif
#endif
