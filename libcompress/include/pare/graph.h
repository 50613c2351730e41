/* pare_graph: the only mutable form of a network, and the only one that passes
 * touch. Values carry their quantization as data; QuantizeLinear and
 * DequantizeLinear exist only at the ONNX border. */
#ifndef PARE_GRAPH_H
#define PARE_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "pare/memory.h"
#include "pare/status.h"
#include "pare/tensor.h"

/* In an int64 constant, PARE_BATCH_MARK + k stands for k × batch: what Shape
 * folds to where a dimension is open. Elements in [PARE_BATCH_MARK + 1,
 * PARE_BATCH_MARK + 2^31] are such multiples; all others are plain numbers. */
#define PARE_BATCH_MARK (INT64_MIN / 2)

typedef struct pare_graph pare_graph;
typedef struct pare_node pare_node;
typedef struct pare_value pare_value;
typedef struct pare_op pare_op; /* pare/op.h */

/* real = scale × (q - zero_point); axis -1: one pair, else one for each index
 * along `axis`. Activations are U8; weights S8 (zero point 0 unless the file of
 * another tool says otherwise); biases S32. */
typedef struct pare_quant {
    pare_dtype dtype;
    int32_t axis;
    size_t count;
    float *scales;
    int32_t *zero_points;
} pare_quant;

/* A tensor that flows. Its dtype and data are those of the real-valued network
 * (F32), except: a constant whose `quant` is set stores the integers
 * (quant->dtype) in `data`. An activation whose `quant` is set is rounded to
 * that grid for everyone who reads it. */
struct pare_value {
    const char *name; /* unique in the graph, not empty */
    pare_dtype dtype; /* of the real-valued network: F32 also where quant is set */
    pare_shape shape; /* batch open, as pare_shape says */
    bool has_shape;   /* false until inferred */
    pare_quant *quant;
    void *data; /* constants: elements, row-major; else NULL */
    size_t data_bytes;
    pare_node *producer; /* NULL for inputs and constants */
    size_t use_count;    /* inputs of nodes, and graph outputs, that name it */
    bool is_input, is_output;
};

typedef enum pare_attr_kind {
    PARE_ATTR_INT = 1,
    PARE_ATTR_FLOAT = 2,
    PARE_ATTR_STRING = 3,
    PARE_ATTR_INTS = 4,
    PARE_ATTR_FLOATS = 5,
    PARE_ATTR_TENSOR = 6 /* a constant value outside the value list */
} pare_attr_kind;

typedef struct pare_attr {
    const char *name;
    pare_attr_kind kind;
    int64_t i;
    float f;
    const char *s;
    int64_t *ints;
    float *floats;
    size_t count; /* of ints, floats, or bytes of s */
    pare_value *tensor;
    struct pare_attr *next;
} pare_attr;

/* An ONNX operator's instance. Input pointers are NULL where an optional input
 * is absent; output pointers where an optional output is, or where the output
 * has become a constant. */
struct pare_node {
    const pare_op *op;
    const char *name; /* unique, made up where the file has none */
    int32_t opset;    /* of the file, for the operator's domain */
    pare_value **inputs, **outputs;
    size_t input_count, output_count;
    pare_attr *attrs;
    pare_node *previous, *next; /* execution order */
};

typedef struct pare_graph_metadata {
    const char *key, *value;
    struct pare_graph_metadata *next;
} pare_graph_metadata;

struct pare_graph {
    pare_arena arena; /* owns everything below */
    const char *name;
    const char *producer; /* kept from the file */
    const char *doc;      /* likewise */
    int64_t ir_version;
    int32_t opset;           /* of the default domain */
    pare_node *first, *last; /* topologically ordered */
    size_t node_count;
    pare_value **values; /* every live value */
    size_t value_count, value_capacity;
    pare_value **inputs, **outputs;
    size_t input_count, output_count;
    pare_graph_metadata *metadata;
    struct pare_name_table *names; /* value names */
    struct pare_name_table *node_names;
    uint64_t next_suffix;
    size_t folded_bytes; /* of the arena that constant folding took, in all */
    bool for_training;   /* to the passes, a Dropout that drops something and a bias of zeros are no identity */
};

/* Freed with pare_graph_free; `limit` bounds its arena in bytes (0: 16 GiB). */
pare_status pare_graph_create(size_t limit, pare_graph **graph, pare_error *error);
/* Accepts NULL. */
void pare_graph_free(pare_graph *graph);
/* A deep copy; constants' data is shared read-only with the original, which
 * must outlive the copy. */
pare_status pare_graph_clone(const pare_graph *graph, pare_graph **copy, pare_error *error);

/* Every function below that returns a pointer returns NULL when out of memory
 * and leaves the graph valid. */

/* A value without producer; `name` is made unique by a suffix where taken. */
pare_value *pare_graph_add_value(pare_graph *graph, const char *name, pare_dtype dtype, const pare_shape *shape);
/* A constant that copies `bytes` bytes of `data` (zeros when NULL). */
pare_value *pare_graph_add_constant(pare_graph *graph, const char *name, pare_dtype dtype, const pare_shape *shape,
                                    const void *data, size_t bytes);
/* A value that is a graph input, appended to the list of inputs. */
pare_value *pare_graph_add_input(pare_graph *graph, const char *name, pare_dtype dtype, const pare_shape *shape);
/* Appends a value to the graph's outputs. False when out of memory. */
bool pare_graph_add_output(pare_graph *graph, pare_value *value);
pare_value *pare_graph_find_value(const pare_graph *graph, const char *name);
/* Inserts a node before `before` (NULL: at the end). Inputs may hold NULLs;
 * outputs become produced by it. */
pare_node *pare_graph_insert_node(pare_graph *graph, pare_node *before, const pare_op *op, const char *name,
                                  pare_value *const *inputs, size_t input_count, pare_value *const *outputs,
                                  size_t output_count);
/* Unlinks the node; its outputs stay as values without producer. */
void pare_graph_remove_node(pare_graph *graph, pare_node *node);
void pare_graph_set_input(pare_graph *graph, pare_node *node, size_t index, pare_value *value);
/* Appends inputs (NULL) until there are `count`. False when out of memory. */
bool pare_graph_grow_inputs(pare_graph *graph, pare_node *node, size_t count);
/* Every reader of `from`, graph outputs included, reads `to` instead. When
 * `from` is a graph output, `to` takes over its name; but where `to` has no
 * producer or is an output itself, the graph output stays `from`. */
void pare_graph_replace_uses(pare_graph *graph, pare_value *from, pare_value *to);
/* The only node that reads `value`, or NULL where it has several readers or is
 * a graph output. */
pare_node *pare_graph_only_user(const pare_graph *graph, const pare_value *value);
/* Turns a produced value into a constant: `data` is copied, the producer
 * loses the output (the node stays until dead-code elimination). */
bool pare_graph_make_constant(pare_graph *graph, pare_value *value, const void *data, size_t bytes);
/* Likewise, with the elements and the quantization of the constant `from`, which
 * are shared. */
void pare_graph_share_constant(pare_value *value, const pare_value *from);
/* A per-tensor (count 1) or per-axis quantization, owned by the graph. */
pare_quant *pare_graph_add_quant(pare_graph *graph, pare_dtype dtype, int32_t axis, size_t count, const float *scales,
                                 const int32_t *zero_points);
bool pare_graph_set_metadata(pare_graph *graph, const char *key, const char *value);
const char *pare_graph_metadata_find(const pare_graph *graph, const char *key);

/* --- attributes ---------------------------------------------------------- */
const pare_attr *pare_node_attr(const pare_node *node, const char *name);
int64_t pare_node_int(const pare_node *node, const char *name, int64_t fallback);
float pare_node_float(const pare_node *node, const char *name, float fallback);
const char *pare_node_string(const pare_node *node, const char *name, const char *fallback);
/* Count of an ints attribute, *ints its elements; 0 where it is absent. */
size_t pare_node_ints(const pare_node *node, const char *name, const int64_t **ints);
bool pare_node_set_int(pare_graph *graph, pare_node *node, const char *name, int64_t value);
bool pare_node_set_float(pare_graph *graph, pare_node *node, const char *name, float value);
bool pare_node_set_string(pare_graph *graph, pare_node *node, const char *name, const char *value);
bool pare_node_set_ints(pare_graph *graph, pare_node *node, const char *name, const int64_t *ints, size_t count);
bool pare_node_set_floats(pare_graph *graph, pare_node *node, const char *name, const float *floats, size_t count);
void pare_node_remove_attr(pare_node *node, const char *name);

/* --- constants ----------------------------------------------------------- */
/* Elements of a constant as floats / integers, dequantized where `quant` is
 * set, into the graph's arena; NULL when it is not a constant or out of memory. */
const float *pare_value_floats(pare_graph *graph, const pare_value *value, size_t *count);
const int64_t *pare_value_ints(pare_graph *graph, const pare_value *value, size_t *count);
/* Elements of a value's bound shape; 0 for a batch-open shape. */
size_t pare_value_elements(const pare_value *value);

/* Multiply-accumulates for a batch of one. */
uint64_t pare_graph_macs(const pare_graph *graph);
/* Elements of the constants of floats that something reads. */
uint64_t pare_graph_parameters(const pare_graph *graph);
/* A clone shares constants with what it was cloned from; after this it may outlive that. PARE_LIMIT. */
pare_status pare_graph_own_constants(pare_graph *graph, pare_error *error);

/* Checks what every pass must keep: links both ways, order, unique names, use
 * counts, arities. PARE_INTERNAL names what is broken. */
pare_status pare_graph_check(const pare_graph *graph, pare_error *error);
/* PARE_BAD_INPUT where a constant weight or bias is NaN or infinite: what has no
 * grid to be rounded to. */
pare_status pare_graph_check_finite(const pare_graph *graph, pare_error *error);

/* "node "conv1" (Conv, opset 13): " in front of the error's message; returns its code. */
pare_status pare_node_fail(const pare_node *node, pare_error *error, pare_status code, const char *format, ...)
    PARE_PRINTF(4, 5);

#endif
