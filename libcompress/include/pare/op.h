/* The operator descriptor: all that generic code knows about an ONNX operator.
 * One file a operator (or a family that shares its code) in libcompress/ops,
 * read in the order check, infer, fold, lower, channels, and ending with the const
 * descriptor(s). CMake generates the registry from PARE_DEFINE_OP lines. */
#ifndef PARE_OP_H
#define PARE_OP_H

#include "pare/graph.h"
#include "pare/model.h"

typedef struct pare_lowering pare_lowering; /* pare/lower.h */
typedef struct pare_tape pare_tape;         /* train/tape/tape.h */
typedef struct pare_channels pare_channels; /* pare/channels.h */

/* How the quantizer treats a node's activations. */
typedef enum pare_quant_rule {
    PARE_QUANT_FLOAT = 0,  /* stays in float */
    PARE_QUANT_WEIGHTED,   /* weights × activations: Conv, Gemm, MatMul with a constant */
    PARE_QUANT_ARITHMETIC, /* integer form with its own output range: Add, Mul, average pooling */
    PARE_QUANT_JOIN,       /* elements of several inputs side by side: all share one quantization (Concat) */
    PARE_QUANT_TABLE,      /* function of one element: a table of 256 */
    PARE_QUANT_MOVE        /* moves or selects elements: output keeps the input's quantization */
} pare_quant_rule;

/* What passes and quantization need to know about an operator. */
enum {
    PARE_OP_ACTIVATES = 1, /* lowers to an opcode that can apply an element function to its result */
    PARE_OP_RESIDUAL = 2,  /* ... and add a tensor of the output's shape (input 3) before that */
    PARE_OP_SUM = 4,       /* y = a + b */
    PARE_OP_PRODUCT = 8,   /* y = a * b */
    PARE_OP_POOLS = 16     /* channel c of y is the largest or the mean of some of channel c of x */
};

struct pare_op {
    const char *name;
    const char *domain;   /* "" for ONNX */
    int32_t since, until; /* opset versions that the file implements; until 0: the newest */
    uint8_t min_inputs, min_outputs;
    uint16_t max_inputs, max_outputs;
    pare_quant_rule quant;
    int8_t weight_input;        /* index of the input that holds weights when constant; -1: none */
    int8_t bias_input;          /* likewise; -1: none */
    int8_t weight_channel_axis; /* of weight_input: output channels (Gemm: before transB is applied, see check) */
    uint8_t flags;              /* PARE_OP_... */
    bool clamp;                 /* min(max(x, a), b): the requantization before it can do it (Relu, Clip) */
    bool shape_only;            /* reads shapes, not elements (Shape, Size, ConstantOfShape) */

    /* Attributes and constant operands are in range. NULL: nothing to check. */
    pare_status (*check)(const pare_node *node, pare_error *error);
    /* Sets each output's dtype and shape. Inputs have theirs. */
    pare_status (*infer)(pare_graph *graph, pare_node *node, pare_error *error);
    /* Makes outputs constant where that needs no arithmetic on floats (shapes,
     * integers, movement of integers); a node it cannot fold is left as it is.
     * NULL: folding runs the lowered node when all inputs are constant. */
    pare_status (*fold)(pare_graph *graph, pare_node *node, pare_error *error);
    /* Adds the runtime nodes that compute the outputs. NULL: the operator must be
     * folded away, and is reported where it cannot be. */
    pare_status (*lower)(pare_lowering *lowering, const pare_node *node, pare_error *error);
    /* True when this very node has an integer form (u8 in and out), given that
     * its values carry quantization. NULL: never (PARE_QUANT_MOVE: always). */
    bool (*integer)(const pare_node *node);
    /* True when the node is y = f(x; alpha, beta) of the elements of input 0
     * alone: *function receives f. NULL: never. */
    bool (*function)(const pare_node *node, pare_activation *function);
    /* Records the steps that compute the outputs and, backwards, the gradients of
     * the inputs. NULL: an operator of PARE_QUANT_MOVE has the gradient of the
     * movement; any other has none. */
    pare_status (*gradient)(pare_tape *tape, const pare_node *node, pare_error *error);
    /* Multiply-accumulates for a batch of one. NULL: none. */
    uint64_t (*macs)(const pare_node *node);
    /* Joins the channels of inputs and outputs that belong together, holds the axes
     * that must keep their extents. NULL: all axes of all operands keep theirs. */
    void (*channels)(pare_channels *channels, const pare_node *node);
    /* Corrects attributes and integer operands that hold extents, before channels go;
     * shapes are still the old ones. NULL: there are none. */
    pare_status (*resized)(const pare_channels *channels, pare_graph *graph, pare_node *node, pare_error *error);
};

/* Declares the const descriptor `pare_op_NAME`; ends each op file, one a name.
 * The generated registry collects every line that begins with it. */
#define PARE_DEFINE_OP(name) const pare_op pare_op_##name

/* The descriptor for an operator at an opset, or NULL. */
const pare_op *pare_op_find(const char *domain, const char *name, int32_t opset);
/* All descriptors, sorted by name; *count receives their number. */
const pare_op *const *pare_op_all(size_t *count);

/* Infers every value's shape and type in order. Checks each node first. */
pare_status pare_graph_infer(pare_graph *graph, pare_error *error);

/* The node's constant weights (op->weight_input), or NULL. */
pare_value *pare_node_weights(const pare_node *node);

#endif
