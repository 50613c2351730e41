/* A tape: a network at one batch size as a list of steps, each of which can
 * compute its outputs and, backwards, the gradients of its inputs. An operator's
 * `gradient` (pare/op.h) records steps through the functions below; tape_plan.h
 * turns the tape into actions on planned memory. */
#ifndef PARE_TAPE_H
#define PARE_TAPE_H

#include "pare/graph.h"
#include "pare/op.h"
#include "pare/opcodes.h"

#define TAPE_NONE UINT32_MAX

/* How a tensor's floats lie: a descriptor of oneDNN's (train/onednn); NULL stands for plain row-major order. */
typedef struct tape_layout tape_layout;

/* Where floats lie. `owned`: nobody else reads this buffer afterwards, so it may be overwritten. */
typedef struct tape_place {
    uint32_t buffer;
    const tape_layout *layout;
    bool owned;
} tape_place;

typedef enum tape_role {
    TAPE_VALUE = 0, /* computed by a step */
    TAPE_INPUT,     /* of the network */
    TAPE_CONSTANT,  /* the same in every step */
    TAPE_STATE,     /* kept from step to step without a gradient: running statistics */
    TAPE_PARAMETER  /* trained */
} tape_role;

/* Where a batch is spread over several processes, each with a tape of its own. */
typedef struct tape_ranks {
    size_t rank, count; /* count 0 or 1: alone */
    /* all [count × bytes]: the `own` of each rank (train/ranks.h); every rank runs the same actions */
    pare_status (*gather)(const void *own, size_t bytes, void *all, pare_error *error);
} tape_ranks;

#define TAPE_COPIES 4

typedef struct tape_tensor {
    const char *name;
    pare_dtype dtype;
    pare_shape shape; /* bound */
    size_t elements;
    tape_role role;
    bool wants_gradient; /* some parameter lies behind it */
    bool pinned;         /* read from outside the tape after a step */
    uint32_t producer;   /* index of its step, or TAPE_NONE */
    uint32_t readers;    /* steps that take it as an input */
    const void *data;    /* constants: elements, owned by the graph */
    size_t offset;       /* parameters: of the flat vectors */
    /* while planning */
    bool placed;
    tape_place value;
    tape_place copies[TAPE_COPIES]; /* the same in other layouts */
    uint32_t copy_count;
    tape_place *contributions; /* to its gradient */
    uint32_t contribution_count, contribution_capacity;
} tape_tensor;

typedef struct tape_step tape_step;

/* What a kind of step does. Both functions emit actions (tape_plan.h). */
typedef struct tape_step_class {
    const char *name;
    /* Backwards reads the step's own outputs, so nobody may overwrite them. */
    bool keeps_outputs;
    pare_status (*forward)(pare_tape *tape, tape_step *step, pare_error *error);
    /* Called in reverse order where some output has a gradient; adds contributions to the inputs that want one. */
    pare_status (*backward)(pare_tape *tape, tape_step *step, pare_error *error);
} tape_step_class;

struct tape_step {
    const tape_step_class *class;
    const pare_node *node; /* for messages; NULL for a loss */
    uint32_t *inputs, *outputs;
    uint32_t input_count, output_count;
    void *attrs; /* the class's record, owned by the tape */
    void *plan;  /* what forward leaves to backward, likewise */
    /* The step in front does this one's work: forwards, or both ways. */
    enum { TAPE_NOT_ABSORBED = 0, TAPE_ABSORBED_FORWARD, TAPE_ABSORBED } absorbed;
};

/* A parameter or a state in its flat vector, and where it came from. */
typedef struct tape_parameter {
    uint32_t tensor;
    const char *name;
    size_t offset, count;
    bool decays; /* weights, as opposed to biases, normalization, step sizes */
} tape_parameter;

/* --- recording: what operators call ---------------------------------------- */

/* Tensor of input `index` of the node; a constant is one of kind TAPE_CONSTANT. TAPE_NONE where absent or unknown. */
uint32_t tape_input(pare_tape *tape, const pare_node *node, size_t index);
/* The same, but a float constant becomes a parameter. `decays` as in tape_parameter. */
uint32_t tape_weight(pare_tape *tape, const pare_node *node, size_t index, bool decays);
/* ... a state that steps change. */
uint32_t tape_state(pare_tape *tape, const pare_node *node, size_t index);
/* The tensor that the node's output `index` shall be; TAPE_NONE where absent. */
uint32_t tape_output(pare_tape *tape, const pare_node *node, size_t index);
/* A tensor between two steps of one node. */
uint32_t tape_temporary(pare_tape *tape, const pare_node *node, const pare_shape *shape);
/* A constant made for the tape; `data` (floats) is copied. */
uint32_t tape_constant(pare_tape *tape, const pare_shape *shape, const float *data);
/* Valid until the next tensor is made. For TAPE_NONE, as after running out of memory, a stand-in of extents of 1. */
const tape_tensor *tape_tensor_at(const pare_tape *tape, uint32_t tensor);

/* Appends a step; attrs (nullable) is copied. The functions below do so for each kind. */
pare_status tape_record(pare_tape *tape, const tape_step_class *class, const pare_node *node, const uint32_t *inputs,
                        size_t input_count, const uint32_t *outputs, size_t output_count, const void *attrs,
                        size_t attr_bytes, pare_error *error);

/* y = conv(x, w) + bias, x and y with any number of spatial axes; bias may be TAPE_NONE. */
typedef struct tape_conv_attrs {
    int32_t spatial; /* 1 to 3 */
    int64_t stride[3], dilation[3], before[3], after[3], groups;
} tape_conv_attrs;
pare_status tape_conv(pare_tape *tape, const pare_node *node, const tape_conv_attrs *attrs, uint32_t x, uint32_t w,
                      uint32_t bias, uint32_t y, pare_error *error);
/* w [C, O / groups, kernel...] */
pare_status tape_conv_transpose(pare_tape *tape, const pare_node *node, const tape_conv_attrs *attrs, uint32_t x,
                                uint32_t w, uint32_t bias, uint32_t y, pare_error *error);
/* y [N, O] = x [N, K] wᵀ + bias, w [O, K], or [K, O] where `transposed`. */
pare_status tape_inner_product(pare_tape *tape, const pare_node *node, bool transposed, uint32_t x, uint32_t w,
                               uint32_t bias, uint32_t y, pare_error *error);
/* y [.., M, N] = a [.., M, K] b [.., K, N], of one rank, outer axes broadcast. */
pare_status tape_matmul(pare_tape *tape, const pare_node *node, uint32_t a, uint32_t b, uint32_t y, pare_error *error);
/* x [N, C, ..]; scale, bias, and the running mean and variance [C] that `momentum` keeps of the old (ONNX). */
pare_status tape_batch_norm(pare_tape *tape, const pare_node *node, uint32_t x, uint32_t scale, uint32_t bias,
                            uint32_t mean, uint32_t variance, float epsilon, float momentum, uint32_t y,
                            pare_error *error);
/* Layer normalization over the last axis, of K; scale and bias [K] may be TAPE_NONE. */
pare_status tape_normalize(pare_tape *tape, const pare_node *node, uint32_t x, uint32_t scale, uint32_t bias,
                           float epsilon, uint32_t y, pare_error *error);
/* Across the channels of x [N, C, ..]. */
pare_status tape_lrn(pare_tape *tape, const pare_node *node, const pare_lrn_attrs *attrs, uint32_t x, uint32_t y,
                     pare_error *error);
typedef struct tape_pool_attrs {
    int32_t kind; /* pare_pool_kind */
    int32_t spatial;
    int64_t kernel[3], stride[3], dilation[3], before[3], after[3];
} tape_pool_attrs;
pare_status tape_pool(pare_tape *tape, const pare_node *node, const tape_pool_attrs *attrs, uint32_t x, uint32_t y,
                      pare_error *error);
/* y = f(x; alpha, beta) */
pare_status tape_unary(pare_tape *tape, const pare_node *node, pare_activation function, uint32_t x, uint32_t y,
                       pare_error *error);
/* With broadcasting; comparisons and logic have no gradient. */
pare_status tape_binary(pare_tape *tape, const pare_node *node, pare_binary_kind kind, uint32_t a, uint32_t b,
                        uint32_t y, pare_error *error);
/* y = condition ? a : b, with broadcasting. */
pare_status tape_where(pare_tape *tape, const pare_node *node, uint32_t condition, uint32_t a, uint32_t b, uint32_t y,
                       pare_error *error);
pare_status tape_softmax(pare_tape *tape, const pare_node *node, int32_t axis, bool logarithm, uint32_t x, uint32_t y,
                         pare_error *error);
/* Over the axes of `mask`; y may keep them as 1. */
pare_status tape_reduce(pare_tape *tape, const pare_node *node, pare_reduce_kind kind, uint32_t mask, uint32_t x,
                        uint32_t y, pare_error *error);
pare_status tape_concat(pare_tape *tape, const pare_node *node, int32_t axis, const uint32_t *inputs, size_t count,
                        uint32_t y, pare_error *error);
/* The same elements in the same order, another shape. */
pare_status tape_reshape(pare_tape *tape, const pare_node *node, uint32_t x, uint32_t y, pare_error *error);
/* *x with another shape: a new tensor, or *x itself where it has that shape. */
pare_status tape_reshaped(pare_tape *tape, const pare_node *node, const pare_shape *shape, uint32_t *x,
                          pare_error *error);
/* y[i] = x[map[i]], or fill[i] where map[i] < 0; the map (copied) is of one sample where x and y have the batch in
 * front (`samples` of them), or of everything (samples 1). */
pare_status tape_move(pare_tape *tape, const pare_node *node, size_t samples, const int64_t *map, const float *fill,
                      uint32_t x, uint32_t y, pare_error *error);
/* y.dims[i] = x.dims[permutation[i]] */
pare_status tape_transpose(pare_tape *tape, const pare_node *node, const int32_t *permutation, uint32_t x, uint32_t y,
                           pare_error *error);
/* The same of *x into a new tensor. */
pare_status tape_transposed(pare_tape *tape, const pare_node *node, const int32_t *permutation, uint32_t *x,
                            pare_error *error);
/* y = x rows[axis] picked by integer indices that are known only when running. */
pare_status tape_gather(pare_tape *tape, const pare_node *node, int32_t axis, uint32_t x, uint32_t indices, uint32_t y,
                        pare_error *error);
/* Running sums along an axis: without the element itself where exclusive, from the last one where reverse. */
pare_status tape_cumsum(pare_tape *tape, const pare_node *node, int32_t axis, bool exclusive, bool reverse, uint32_t x,
                        uint32_t y, pare_error *error);
/* x and y [N, C, H, W] */
pare_status tape_resize(pare_tape *tape, const pare_node *node, const pare_resize_attrs *attrs, uint32_t x, uint32_t y,
                        pare_error *error);
/* inputs x [T, N, I], w, r, bias, h0, c0; outputs y [T, D, N, H], h, c; TAPE_NONE where absent (pare_lstm_attrs). */
pare_status tape_lstm(pare_tape *tape, const pare_node *node, const pare_lstm_attrs *attrs, const uint32_t *inputs,
                      const uint32_t *outputs, pare_error *error);
/* x times a random mask of 0 and 1 / (1 - ratio), a function of seed and step. */
pare_status tape_dropout(pare_tape *tape, const pare_node *node, float ratio, uint32_t x, uint32_t y,
                         pare_error *error);

/* The node whose gradient is asked for has none; returns PARE_UNSUPPORTED. */
pare_status tape_refuse(const pare_node *node, pare_error *error);

#endif
