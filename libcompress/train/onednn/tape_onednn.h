/* oneDNN primitives as actions of a tape. */
#ifndef PARE_TAPE_ONEDNN_H
#define PARE_TAPE_ONEDNN_H

#include <oneapi/dnnl/dnnl.h>

#include "train/tape/tape_plan.h"

struct tape_layout {
    dnnl_memory_desc_t desc;
};

/* The process's CPU engine; NULL when it could not be made. */
dnnl_engine_t tape_onednn_engine(void);
/* PARE_OK, PARE_LIMIT or PARE_INTERNAL, with the node's name. */
pare_status tape_onednn_status(const tape_step *step, dnnl_status_t status, const char *what, pare_error *error);

/* Descriptors of a tensor's floats: row-major, or whatever the primitive likes best. */
dnnl_memory_desc_t tape_onednn_plain(const pare_shape *shape);
dnnl_memory_desc_t tape_onednn_any(const pare_shape *shape);
/* That of a place. */
dnnl_memory_desc_t tape_onednn_desc(const tape_place *place, const pare_shape *shape);
/* The layout that a descriptor is: NULL where it is row-major; *layout lives as long as the tape. */
pare_status tape_onednn_layout(pare_tape *tape, const dnnl_memory_desc_t *desc, const pare_shape *shape,
                               const tape_layout **layout, pare_error *error);
/* Of a primitive: PARE_INTERNAL where it has none such. */
pare_status tape_onednn_queried(pare_tape *tape, const_dnnl_primitive_desc_t primitive, dnnl_query_t what, int index,
                                const pare_shape *shape, const tape_layout **layout, pare_error *error);

/* A primitive of `operation` that keeps its scratchpad in planned memory; released with the tape. */
pare_status tape_onednn_describe(pare_tape *tape, const tape_step *step, const_dnnl_op_desc_t operation,
                                 const_dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *primitive,
                                 pare_error *error);

typedef struct tape_onednn_arg {
    int arg; /* DNNL_ARG_... */
    uint32_t buffer;
    dnnl_memory_desc_t desc;
} tape_onednn_arg;
/* Emits the execution of a primitive. */
pare_status tape_onednn_emit(pare_tape *tape, const tape_step *step, const_dnnl_primitive_desc_t primitive,
                             const tape_onednn_arg *args, size_t count, pare_error *error);
/* Emits a change of layout between buffers of these descriptors. */
pare_status tape_onednn_reorder(pare_tape *tape, const tape_step *step, uint32_t from, const dnnl_memory_desc_t *source,
                                uint32_t to, const dnnl_memory_desc_t *target, pare_error *error);
/* A buffer of a queried descriptor's size (a workspace). */
pare_status tape_onednn_buffer(pare_tape *tape, const dnnl_memory_desc_t *desc, uint32_t *buffer, pare_error *error);

#endif
