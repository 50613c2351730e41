/* What the oneDNN kernels share: the engine, memory descriptors of Pare's
 * layouts, and a "step": one primitive with all that running it needs. */
#ifndef PARE_ONEDNN_SUPPORT_H
#define PARE_ONEDNN_SUPPORT_H

#include <oneapi/dnnl/dnnl.h>

#include "kernel.h"

/* Where a step's argument lies when it runs. */
typedef enum pare_onednn_source {
    PARE_ONEDNN_INPUT,
    PARE_ONEDNN_OUTPUT,
    PARE_ONEDNN_SCRATCH,
    PARE_ONEDNN_OWNED
} pare_onednn_source;

#define PARE_ONEDNN_MAX_ARGS 16

typedef struct pare_onednn_arg {
    pare_onednn_source source;
    size_t index;      /* of the call's input or output */
    size_t offset;     /* bytes into the scratch */
    const void *bound; /* what the memory object points to */
    void *block;       /* owned, else NULL */
} pare_onednn_arg;

/* One primitive, ready to execute. Everything is created while planning. */
typedef struct pare_onednn_step {
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t exec[PARE_ONEDNN_MAX_ARGS];
    pare_onednn_arg args[PARE_ONEDNN_MAX_ARGS];
    int count;
    int threads; /* that the primitive was made for */
    size_t packed_bytes;
    size_t scratch_bytes;
} pare_onednn_step;

/* The process's one CPU engine; NULL when it could not be made. */
dnnl_engine_t pare_onednn_engine(void);
/* PARE_LIMIT where little memory is left: oneDNN crashes where it gets none for
 * the code that it generates, so it is not asked then. */
pare_status pare_onednn_headroom(pare_error *error);
/* PARE_LIMIT for lack of memory, PARE_UNSUPPORTED without a message where the
 * library has no implementation, PARE_INTERNAL otherwise. */
pare_status pare_onednn_status(dnnl_status_t status, const char *what, pare_error *error);
/* Primitives are compiled for a number of threads: to be called first by `plan`,
 * with the node's arithmetic operations. One thread where the work is too little
 * to share. */
void pare_onednn_set_threads(const pare_site *site, double operations);
/* Multiplications and additions of weights of this many elements over so many positions. */
double pare_onednn_products(double weights, double positions);
/* Elements of an operand, as a number to estimate with. */
double pare_onednn_elements(const pare_operand *operand);

/* True when every present operand is a non-empty float32 tensor. */
bool pare_onednn_all_float(const pare_site *site);

/* Descriptors: false where the rank or a dimension does not fit. */
bool pare_onednn_plain(dnnl_memory_desc_t *desc, const pare_shape *shape);
bool pare_onednn_layout(dnnl_memory_desc_t *desc, const pare_shape *shape, pare_layout layout);
bool pare_onednn_any(dnnl_memory_desc_t *desc, int rank, const dnnl_dim_t *dims);
bool pare_onednn_tagged(dnnl_memory_desc_t *desc, int rank, const dnnl_dim_t *dims, dnnl_format_tag_t tag);
/* The layout that a descriptor of `shape` is; false where it is none of Pare's. */
bool pare_onednn_layout_of(const dnnl_memory_desc_t *desc, const pare_shape *shape, pare_layout *layout);
/* The block of channels that this CPU's vectors hold. */
pare_layout pare_onednn_natural_block(void);

/* Attributes: user scratchpad, and the post-ops where given (consumed in every case). */
dnnl_status_t pare_onednn_attributes(dnnl_primitive_attr_t *attributes, dnnl_post_ops_t operations);
/* Element function as an algorithm of oneDNN; false where it has none of the same value. */
bool pare_onednn_function(const pare_activation *activation, dnnl_alg_kind_t *algorithm, float *alpha, float *beta);
/* Appends nothing for IDENTITY; false as pare_onednn_function. */
bool pare_onednn_append(dnnl_post_ops_t operations, const pare_activation *activation);
/* True where a primitive is one of the slow generic ones. */
bool pare_onednn_is_reference(const_dnnl_primitive_desc_t primitive);
bool pare_onednn_is_gemm(const_dnnl_primitive_desc_t primitive);
bool pare_onednn_implementation_has(const_dnnl_primitive_desc_t primitive, const char *text);
/* The first implementation whose name has `text` (nullable), or else the first. */
dnnl_status_t pare_onednn_prefer(const_dnnl_op_desc_t operation, const_dnnl_primitive_attr_t attributes,
                                 const char *text, dnnl_primitive_desc_t *primitive);

/* Reorders constants into a new block of pare_alloc. */
pare_status pare_onednn_pack(const dnnl_memory_desc_t *from, const void *data, const dnnl_memory_desc_t *to,
                             void **packed, pare_error *error);

/* A step of this primitive; the descriptor stays the caller's. */
pare_status pare_onednn_step_create(const_dnnl_primitive_desc_t primitive, pare_onednn_step **step, pare_error *error);
pare_status pare_onednn_bind(pare_onednn_step *step, int arg, const dnnl_memory_desc_t *desc, pare_onednn_source source,
                             size_t index, pare_error *error);
/* As bind, of a block that the step frees from now on (also on failure). */
pare_status pare_onednn_bind_block(pare_onednn_step *step, int arg, const dnnl_memory_desc_t *desc, void *block,
                                   pare_error *error);
/* Packs `data` from `from` to `to` and binds the result. */
pare_status pare_onednn_bind_constant(pare_onednn_step *step, int arg, const dnnl_memory_desc_t *from, const void *data,
                                      const dnnl_memory_desc_t *to, pare_error *error);
/* Binds the scratchpad and reports the sizes to the planner. */
pare_status pare_onednn_step_finish(pare_onednn_step *step, const_dnnl_primitive_desc_t primitive, pare_site *site,
                                    pare_error *error);

/* A primitive of an operation descriptor with these post-ops (consumed; may be
 * NULL). PARE_UNSUPPORTED without a message where only a reference one exists. */
pare_status pare_onednn_describe(const_dnnl_op_desc_t operation, dnnl_post_ops_t operations,
                                 dnnl_primitive_desc_t *primitive, pare_error *error);
/* Binds a step's arguments, all but the scratchpad. */
typedef pare_status (*pare_onednn_binder)(const pare_site *site, const void *context,
                                          const_dnnl_primitive_desc_t primitive, pare_onednn_step *step,
                                          pare_error *error);
/* From a primitive descriptor (consumed) to a kernel's state. */
pare_status pare_onednn_plan(pare_site *site, dnnl_primitive_desc_t primitive, pare_onednn_binder bind,
                             const void *context, void **state, pare_error *error);
/* A binder for one source and one destination as the primitive has them. */
pare_status pare_onednn_bind_unary(const pare_site *site, const void *context, const_dnnl_primitive_desc_t primitive,
                                   pare_onednn_step *step, pare_error *error);
/* A convolution-like binder's weights and bias: inputs 1 and 2, constants. */
pare_status pare_onednn_bind_weights(const pare_site *site, const dnnl_memory_desc_t *weights,
                                     const_dnnl_primitive_desc_t primitive, pare_onednn_step *step, pare_error *error);
/* Index + 1 of an optional input below input_count, present. */
bool pare_onednn_has_input(const pare_site *site, size_t index);

/* pare_kernel.run and .destroy of kernels whose state is one step. */
pare_status pare_onednn_step_run(void *state, const pare_call *call, pare_error *error);
void pare_onednn_step_destroy(void *state);

#endif
