/* What operator files share: constants, axes, windows, and the emission of the
 * common runtime nodes. Private to libcompress/ops. */
#ifndef PARE_OP_HELPERS_H
#define PARE_OP_HELPERS_H

#include "pare/channels.h"
#include "pare/checked.h"
#include "pare/graph.h"
#include "pare/lower.h"
#include "pare/op.h"

/* --- constants ----------------------------------------------------------- */
bool op_is_constant(const pare_value *value);
/* Elements of a constant or of a bound shape; 0 for an open one. */
size_t op_count(const pare_value *value);
/* Element of an integer constant / of a numeric constant (dequantized); false when it is none or out of range. */
bool op_int_at(const pare_value *value, size_t index, int64_t *element);
bool op_float_at(const pare_value *value, size_t index, float *element);
bool op_is_float(pare_dtype dtype);
/* A 1-D (or scalar) integer operand that must be constant, at most `capacity`
 * elements; *count is 0 where the input is absent. */
pare_status op_ints(const pare_node *node, size_t input, int64_t *ints, size_t capacity, size_t *count,
                    pare_error *error);
/* The same from input `input`, or else from the attribute. */
pare_status op_ints_or_attr(const pare_node *node, size_t input, const char *attr, int64_t *ints, size_t capacity,
                            size_t *count, pare_error *error);
/* Input `index`, or NULL where absent. */
pare_value *op_input(const pare_node *node, size_t index);
pare_value *op_output(const pare_node *node, size_t index);

/* --- shapes -------------------------------------------------------------- */
/* Normalizes an axis in [-rank, rank). */
pare_status op_axis(const pare_node *node, int64_t axis, int32_t rank, int32_t *normalized, pare_error *error);
/* Bit mask of axes; each once. */
pare_status op_axis_mask(const pare_node *node, const int64_t *axes, size_t count, int32_t rank, uint32_t *mask,
                         pare_error *error);
/* Sets an output's type and shape (nothing where the output is absent), after
 * checking that extents and their product stay within limits. */
pare_status op_set_output(const pare_node *node, size_t index, pare_dtype dtype, const pare_shape *shape,
                          pare_error *error);
/* One spelling of "y is like x". */
pare_status op_infer_same(pare_graph *graph, pare_node *node, pare_error *error);
/* shape = product × (batch where *open); false for two open dimensions or overflow. */
bool op_symbolic_elements(const pare_shape *shape, int64_t *product, bool *open);
/* `rank` must lie in [low, high]. */
pare_status op_check_rank(const pare_node *node, size_t input, int32_t low, int32_t high, pare_error *error);
/* Shape with `rank` dimensions copied from an array. */
pare_shape op_shape(int32_t rank, const int64_t *dims);

/* Bytes of one constant that an operator makes. */
#define OP_LARGEST_CONSTANT ((size_t)64 << 20)

/* --- windows of convolutions and pools, brought to two dimensions ---------- */
typedef struct op_window {
    int64_t kernel[2], stride[2], dilation[2], before[2], after[2], extent[2];
    int32_t spatial; /* 1 or 2, of the node; the first axis is a dummy where it is 1 */
} op_window;
typedef enum op_auto_pad {
    OP_PAD_EXPLICIT = 0, /* by the attribute pads */
    OP_PAD_VALID,
    OP_PAD_SAME_UPPER,
    OP_PAD_SAME_LOWER
} op_auto_pad;
/* PARE_BAD_INPUT for a word that ONNX does not define. */
pare_status op_auto_pad_read(const pare_node *node, op_auto_pad *mode, pare_error *error);
/* Where auto_pad decides, pads must be zeros (as exporters write) or agree. */
pare_status op_auto_pad_agrees(const pare_node *node, op_auto_pad mode, int64_t before, int64_t after,
                               const op_window *window, int32_t axis, pare_error *error);
/* Reads strides, dilations, pads, auto_pad; `kernel` gives the kernel's extents.
 * x is [N, C, spatial...]. */
pare_status op_window_read(const pare_node *node, const pare_shape *x, const int64_t *kernel, bool ceil_mode,
                           op_window *window, pare_error *error);
/* [N,C,L] as [N,C,1,L]; rank 4 unchanged. */
pare_shape op_shape_2d(const pare_shape *shape);

/* --- folding ------------------------------------------------------------- */
/* Copies a strided block of elements of `size` bytes. Strides in elements. */
void op_copy_strided(void *to, const int64_t *to_strides, const void *from, const int64_t *from_strides,
                     const int64_t *dims, int32_t rank, size_t size);
void op_strides(const pare_shape *shape, int64_t *strides);
/* True when moving this constant at once is cheap and exact: a small one, or integers. */
bool op_may_fold(const pare_value *value);
pare_status op_make_constant(pare_graph *graph, const pare_node *node, size_t output, const void *data, size_t bytes,
                             pare_error *error);
/* Output 0 becomes a constant that shares the elements of constant input 0. */
pare_status op_fold_copy(pare_graph *graph, pare_node *node, pare_error *error);
bool op_is_batch_mark(int64_t element);

/* --- channels ------------------------------------------------------------ */
/* y is like x, axis by axis. */
void op_channels_same(pare_channels *channels, const pare_node *node);
/* Each input broadcasts to the output. */
void op_channels_broadcast(pare_channels *channels, const pare_node *node);
/* Axes 0 and 1 pass; the others keep their extents. */
void op_channels_spatial(pare_channels *channels, const pare_node *node);
/* Input `index`, one element a channel (axis 1 of x), which training starts with `initial`. */
void op_channels_parameter(pare_channels *channels, const pare_node *node, size_t index, float initial);
/* Writes an integer operand (input `input`, -1: none) or attribute anew. */
pare_status op_set_ints(pare_graph *graph, pare_node *node, int input, const char *attr, const int64_t *ints,
                        size_t count, pare_error *error);

/* --- lowering ------------------------------------------------------------ */
/* `pare_activation`, `pare_alpha`, `pare_beta` of a fused node (prefix "pare"), or identity. */
pare_activation op_activation(const pare_node *node);
pare_activation op_inner_activation(const pare_node *node);
/* f in double: what tables are made of. */
double op_apply(const pare_activation *function, double x);

pare_status op_temporary(pare_lowering *lowering, const pare_node *node, uint32_t like, const pare_shape *shape,
                         uint32_t *tensor, pare_error *error);
pare_status op_emit_reshape(pare_lowering *lowering, const pare_node *node, uint32_t in, uint32_t out,
                            pare_error *error);
/* `in` seen with another shape. */
pare_status op_reshaped(pare_lowering *lowering, const pare_node *node, uint32_t in, const pare_shape *shape,
                        uint32_t *out, pare_error *error);
pare_status op_emit_transpose(pare_lowering *lowering, const pare_node *node, uint32_t in, const int32_t *permutation,
                              uint32_t out, pare_error *error);
pare_status op_transposed(pare_lowering *lowering, const pare_node *node, uint32_t in, const int32_t *permutation,
                          uint32_t *out, pare_error *error);
pare_status op_emit_unary(pare_lowering *lowering, const pare_node *node, pare_activation function, uint32_t in,
                          uint32_t out, pare_error *error);
pare_status op_emit_binary(pare_lowering *lowering, const pare_node *node, pare_binary_kind kind, uint32_t a,
                           uint32_t b, pare_activation activation, uint32_t out, pare_error *error);
/* y = table[x] between two u8 tensors. */
pare_status op_emit_table(pare_lowering *lowering, const pare_node *node, pare_activation function, uint32_t in,
                          uint32_t out, pare_error *error);
pare_status op_emit_cast(pare_lowering *lowering, const pare_node *node, uint32_t in, pare_dtype to, uint32_t out,
                         pare_error *error);
/* The type that kernels compute elements of `dtype` in: itself, or a wider one. */
pare_dtype op_working_dtype(pare_dtype dtype);
/* `in` as elements of another type; itself where it is that already. */
pare_status op_cast_to(pare_lowering *lowering, const pare_node *node, pare_dtype to, uint32_t *tensor,
                       pare_error *error);
pare_status op_float_scalar(pare_lowering *lowering, const pare_node *node, float value, uint32_t *tensor,
                            pare_error *error);
/* Constant weights with another shape, their last two axes swapped on request,
 * as integers in integer mode, else as floats (behind a DEQUANTIZE). */
pare_status op_weight(pare_lowering *lowering, const pare_node *node, size_t input, const pare_shape *shape,
                      bool transpose, uint32_t *tensor, pare_error *error);
/* Constant bias [count] (broadcast from what is there, times `factor`), s32 in
 * integer mode, where its scales are x.scale × w.scale. */
pare_status op_bias(pare_lowering *lowering, const pare_node *node, size_t input, size_t count, float factor,
                    const pare_value *x, const pare_value *w, uint32_t *tensor, pare_error *error);
/* x: u8, one scale. */
bool op_is_u8(const pare_value *value);
/* w: constant s8 with zero points 0, one scale or one along `axis`. */
bool op_is_integer_weight(const pare_value *value, int32_t axis);

static const pare_activation op_identity = {PARE_FN_IDENTITY, 0.0F, 0.0F};

#endif
