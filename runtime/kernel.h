/* What an implementation of an opcode is to the planner. Private to the runtime. */
#ifndef PARE_KERNEL_H
#define PARE_KERNEL_H

#include "pare/memory.h"
#include "pare/model.h"
#include "pare/runtime.h"

/* How a tensor's elements lie in memory. Shapes are always those of the model
 * (channels second). CHANNELS_LAST moves the channel innermost: [N,H,W,C];
 * BLOCK8 and BLOCK16 are [N,ceil(C/b),H,W,b] with zero padding channels, as
 * oneDNN's nChw8c and nChw16c. Layouts other than PLAIN exist for rank 4 only.
 * Every tensor that is not a caller's buffer is followed by 64 readable bytes. */
typedef enum pare_layout {
    PARE_LAYOUT_PLAIN = 0,
    PARE_LAYOUT_CHANNELS_LAST = 1,
    PARE_LAYOUT_BLOCK8 = 2,
    PARE_LAYOUT_BLOCK16 = 3
} pare_layout;

/* Bytes that a bound shape takes in a layout. */
size_t pare_layout_bytes(pare_layout layout, const pare_shape *shape, pare_dtype dtype);
/* True when both layouts place this shape's elements identically (C = 1, or H = W = 1 …). */
bool pare_layout_same(pare_layout a, pare_layout b, const pare_shape *shape);

/* A node's operand, batch bound. */
typedef struct pare_operand {
    bool present;
    pare_dtype dtype;
    pare_shape shape;
    const pare_model_quant *quant;
    const void *constant; /* elements of a constant (PLAIN), else NULL */
    pare_layout layout;   /* inputs: as they lie; outputs: as `plan` chose */
    bool external; /* inputs: lies in a caller's buffer, so no readable bytes follow (only when PLAIN is wanted) */
} pare_operand;

/* A node as its kernels see it. */
typedef struct pare_site {
    const pare_model_node *node;
    const void *attrs;
    pare_operand *inputs, *outputs;
    size_t input_count, output_count;
    int32_t threads;
    pare_isa isa; /* what this CPU has, capped by the options; never BEST */
    /* To be set by `plan`: */
    pare_layout *wanted;  /* one an input, initialised to its present layout: what the kernel needs; the planner
                             inserts reorders where they differ */
    size_t scratch_bytes; /* from the arena while the kernel runs */
    size_t packed_bytes;  /* of weights that `state` owns, for statistics */
    size_t in_place;      /* 1 + index of an input whose memory the output may share; 0: none */
    size_t alias;         /* 1 + index of an input (as wanted) whose bytes are output 0 unchanged: `run` is skipped,
                             but for constants; 0: none */
} pare_site;

typedef struct pare_call {
    const void *const *inputs; /* constants included; NULL where absent */
    void *const *outputs;
    void *scratch; /* 64-byte aligned */
    int32_t threads;
} pare_call;

typedef struct pare_kernel {
    const char *name; /* "onednn_convolution", "reference_convolution" */
    /* PARE_OK: this kernel takes the node: layouts and sizes are set in `site`,
     * *state (owned by the kernel) holds packed weights and whatever run needs.
     * PARE_UNSUPPORTED without a message: the next kernel is asked. Any other
     * status ends planning. All allocation happens here; `run` allocates nothing. */
    pare_status (*plan)(pare_site *site, void **state, pare_error *error);
    pare_status (*run)(void *state, const pare_call *call, pare_error *error);
    void (*destroy)(void *state); /* accepts NULL; may be NULL itself */
} pare_kernel;

/* Implementations of one opcode, best first, ending with NULL; the last is the
 * reference kernel. runtime/kernels.c holds the only table. */
const pare_kernel *const *pare_kernels_for(uint32_t opcode);

/* Layout changes; `from` and `to` as pare_layout. The planner's own kernel. */
void pare_reorder(const void *in, pare_layout from, void *out, pare_layout to, const pare_shape *shape,
                  pare_dtype dtype, int32_t threads);

/* --- shared by integer kernels ------------------------------------------- */

/* clamp(rint(value × scale) + zero): the one definition of requantization.
 * rint is round half to even; NaN gives zero. */
uint8_t pare_requantize(int32_t accumulator, float scale, int32_t zero, int32_t low, int32_t high);
/* Bounds, in the quantized domain of (scale, zero), of IDENTITY, RELU or CLIP.
 * False for another function. */
bool pare_activation_bounds(const pare_activation *activation, float scale, int32_t zero, int32_t *low, int32_t *high);
/* f(x; alpha, beta) in float (double inside where libm's float versions differ). */
float pare_apply_function(const pare_activation *function, float x);
/* values[0..count) = f(values[0..count)); quick for IDENTITY, RELU and CLIP. */
void pare_apply_function_all(const pare_activation *function, float *values, size_t count);
/* PARE_UNSUPPORTED with a message where a sum of (x - zero) × w, w [outputs, taps], plus bias (nullable), or a part
 * of that sum, could leave 32 bits for some u8 x. CONV and FULLY_CONNECTED kernels of integers call it while planning.
 */
pare_status pare_check_accumulator(const int8_t *weights, size_t outputs, size_t taps, const int32_t *bias,
                                   int32_t zero, pare_error *error);

#endif
