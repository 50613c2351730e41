#include "train/onednn/tape_onednn.h"

#include <pthread.h>
#include <string.h>

#include "train/tape/tape_internal.h"
#include "train/tape/tape_run.h"

#define MAX_ARGS 12

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;

static void make_engine(void) {
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) {
        engine = NULL;
    } else if (dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) != dnnl_success) {
        stream = NULL;
    }
}

dnnl_engine_t tape_onednn_engine(void) {
    (void)pthread_once(&engine_once, make_engine);
    return stream != NULL ? engine : NULL;
}

const char *tape_instruction_set(void) {
    static const struct {
        dnnl_cpu_isa_t isa;
        const char *name;
    } names[] = {
        {dnnl_cpu_isa_sse41, "sse4.1"},
        {dnnl_cpu_isa_avx, "avx"},
        {dnnl_cpu_isa_avx2, "avx2"},
        {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
        {dnnl_cpu_isa_avx512_core, "avx512_core"},
        {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
        {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
        {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
    };
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].isa == isa) {
            return names[i].name;
        }
    }
    return "other";
}

pare_status tape_onednn_status(const tape_step *step, dnnl_status_t status, const char *what, pare_error *error) {
    if (status == dnnl_success) {
        return PARE_OK;
    }
    pare_status code = status == dnnl_out_of_memory   ? PARE_LIMIT
                       : status == dnnl_unimplemented ? PARE_UNSUPPORTED
                                                      : PARE_INTERNAL;
    if (step != NULL && step->node != NULL) {
        return pare_node_fail(step->node, error, code, "expected oneDNN to make %s, found status %d", what,
                              (int)status);
    }
    return pare_fail(error, code, "expected oneDNN to make %s, found status %d", what, (int)status);
}

/* --- descriptors ---------------------------------------------------------------- */

/* oneDNN has no tensors of rank 0. */
static int as_dims(const pare_shape *shape, dnnl_dims_t dims) {
    dims[0] = 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        dims[i] = shape->dims[i];
    }
    return shape->rank > 0 ? (int)shape->rank : 1;
}

dnnl_memory_desc_t tape_onednn_plain(const pare_shape *shape) {
    dnnl_memory_desc_t desc = {0};
    dnnl_dims_t dims, strides;
    int rank = as_dims(shape, dims);
    strides[rank - 1] = 1;
    for (int i = rank - 1; i > 0; i--) {
        strides[i - 1] = strides[i] * dims[i];
    }
    (void)dnnl_memory_desc_init_by_strides(&desc, rank, dims, dnnl_f32, strides);
    return desc;
}

dnnl_memory_desc_t tape_onednn_any(const pare_shape *shape) {
    dnnl_memory_desc_t desc = {0};
    dnnl_dims_t dims;
    int rank = as_dims(shape, dims);
    (void)dnnl_memory_desc_init_by_tag(&desc, rank, dims, dnnl_f32, dnnl_format_tag_any);
    return desc;
}

dnnl_memory_desc_t tape_onednn_desc(const tape_place *place, const pare_shape *shape) {
    return place->layout != NULL ? place->layout->desc : tape_onednn_plain(shape);
}

pare_status tape_onednn_layout(pare_tape *tape, const dnnl_memory_desc_t *desc, const pare_shape *shape,
                               const tape_layout **layout, pare_error *error) {
    dnnl_memory_desc_t plain = tape_onednn_plain(shape);
    *layout = NULL;
    if (dnnl_memory_desc_equal(desc, &plain)) {
        return PARE_OK;
    }
    tape_layout *made = tape_make(tape, 1, sizeof *made);
    if (made == NULL) {
        return pare_fail_memory(error, sizeof *made);
    }
    made->desc = *desc;
    *layout = made;
    return PARE_OK;
}

pare_status tape_onednn_queried(pare_tape *tape, const_dnnl_primitive_desc_t primitive, dnnl_query_t what, int index,
                                const pare_shape *shape, const tape_layout **layout, pare_error *error) {
    const dnnl_memory_desc_t *desc = dnnl_primitive_desc_query_md(primitive, what, index);
    if (desc == NULL) {
        return pare_fail(error, PARE_INTERNAL, "expected a oneDNN primitive to name its layouts, found none");
    }
    return tape_onednn_layout(tape, desc, shape, layout, error);
}

size_t tape_layout_floats(const tape_layout *layout, const pare_shape *shape) {
    size_t elements = 0;
    if (layout != NULL) {
        return dnnl_memory_desc_get_size(&layout->desc) / sizeof(float);
    }
    return pare_shape_elements(shape, &elements) ? elements : 0;
}

bool tape_layout_equal(const tape_layout *a, const tape_layout *b) {
    return a == b || (a != NULL && b != NULL && dnnl_memory_desc_equal(&a->desc, &b->desc));
}

bool tape_layout_padded(const tape_layout *layout, const pare_shape *shape) {
    size_t elements = 0;
    return layout != NULL && pare_shape_elements(shape, &elements) && tape_layout_floats(layout, shape) != elements;
}

/* --- primitives ------------------------------------------------------------------- */

static void release_primitive_desc(void *object) {
    (void)dnnl_primitive_desc_destroy(object);
}

pare_status tape_onednn_describe(pare_tape *tape, const tape_step *step, const_dnnl_op_desc_t operation,
                                 const_dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *primitive,
                                 pare_error *error) {
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (status == dnnl_success) {
        status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    }
    if (status == dnnl_success) {
        status = dnnl_primitive_desc_create(primitive, operation, attributes, tape_onednn_engine(), forward);
    }
    (void)dnnl_primitive_attr_destroy(attributes);
    PARE_TRY(tape_onednn_status(step, status, "a primitive for training", error));
    return tape_defer(tape, release_primitive_desc, *primitive, error);
}

pare_status tape_onednn_buffer(pare_tape *tape, const dnnl_memory_desc_t *desc, uint32_t *buffer, pare_error *error) {
    pare_status status = PARE_OK;
    *buffer = tape_buffer(tape, dnnl_memory_desc_get_size(desc), error, &status);
    return status;
}

typedef struct execution {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[MAX_ARGS];
    int count;
} execution;

static void release_execution(void *object) {
    execution *e = object;
    for (int i = 0; i < e->count; i++) {
        (void)dnnl_memory_destroy(e->args[i].memory);
    }
    (void)dnnl_primitive_destroy(e->primitive);
}

static pare_status run_execution(void *context, void *const *pointers) {
    (void)pointers;
    const execution *e = context;
    return dnnl_primitive_execute(e->primitive, stream, e->count, e->args) == dnnl_success ? PARE_OK : PARE_INTERNAL;
}

static pare_status bind_execution(void *context, void *const *pointers) {
    const execution *e = context;
    for (int i = 0; i < e->count; i++) {
        if (dnnl_memory_set_data_handle(e->args[i].memory, pointers[i]) != dnnl_success) {
            return PARE_INTERNAL;
        }
    }
    return PARE_OK;
}

static pare_status add_arg(const tape_step *step, execution *e, const tape_onednn_arg *arg, pare_error *error) {
    dnnl_memory_t memory = NULL;
    dnnl_status_t status = dnnl_memory_create(&memory, &arg->desc, tape_onednn_engine(), DNNL_MEMORY_NONE);
    PARE_TRY(tape_onednn_status(step, status, "a memory object", error));
    e->args[e->count++] = (dnnl_exec_arg_t){arg->arg, memory};
    return PARE_OK;
}

pare_status tape_onednn_emit(pare_tape *tape, const tape_step *step, const_dnnl_primitive_desc_t primitive,
                             const tape_onednn_arg *args, size_t count, pare_error *error) {
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(primitive, dnnl_query_scratchpad_md, 0);
    uint32_t buffers[MAX_ARGS];
    execution *e = tape_make(tape, 1, sizeof *e);
    if (e == NULL || count + 1 > MAX_ARGS) {
        return pare_fail_memory(error, sizeof *e);
    }
    PARE_TRY(tape_defer(tape, release_execution, e, error));
    PARE_TRY(tape_onednn_status(step, dnnl_primitive_create(&e->primitive, primitive), "a primitive", error));
    for (size_t i = 0; i < count; i++) {
        PARE_TRY(add_arg(step, e, &args[i], error));
        buffers[i] = args[i].buffer;
    }
    if (scratch != NULL && dnnl_memory_desc_get_size(scratch) > 0) {
        tape_onednn_arg arg = {.arg = DNNL_ARG_SCRATCHPAD, .desc = *scratch};
        PARE_TRY(tape_onednn_buffer(tape, scratch, &arg.buffer, error));
        PARE_TRY(add_arg(step, e, &arg, error));
        buffers[count++] = arg.buffer;
    }
    return tape_emit(tape, step, run_execution, bind_execution, e, buffers, count, error);
}

/* --- reorders ---------------------------------------------------------------------- */

static pare_status run_copy(void *context, void *const *pointers) {
    if (pointers[0] != pointers[1]) {
        memcpy(pointers[1], pointers[0], *(const size_t *)context * sizeof(float));
    }
    return PARE_OK;
}

static pare_status emit_copy(pare_tape *tape, const tape_step *step, const pare_shape *shape, const tape_place *from,
                             const tape_place *to, pare_error *error) {
    size_t *floats = tape_make(tape, 1, sizeof *floats);
    if (floats == NULL) {
        return pare_fail_memory(error, sizeof *floats);
    }
    *floats = tape_layout_floats(from->layout, shape);
    return tape_emit(tape, step, run_copy, NULL, floats, (const uint32_t[]){from->buffer, to->buffer}, 2, error);
}

pare_status tape_onednn_reorder(pare_tape *tape, const tape_step *step, uint32_t from, const dnnl_memory_desc_t *source,
                                uint32_t to, const dnnl_memory_desc_t *target, pare_error *error) {
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_primitive_desc_t reorder = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (status == dnnl_success) {
        status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    }
    if (status == dnnl_success) {
        status = dnnl_reorder_primitive_desc_create(&reorder, source, tape_onednn_engine(), target,
                                                    tape_onednn_engine(), attributes);
    }
    (void)dnnl_primitive_attr_destroy(attributes);
    PARE_TRY(tape_onednn_status(step, status, "a change of layout", error));
    PARE_TRY(tape_defer(tape, release_primitive_desc, reorder, error));
    tape_onednn_arg args[] = {{DNNL_ARG_FROM, from, *source}, {DNNL_ARG_TO, to, *target}};
    return tape_onednn_emit(tape, step, reorder, args, 2, error);
}

pare_status tape_emit_reorder(pare_tape *tape, const tape_step *step, const pare_shape *shape, const tape_place *from,
                              const tape_place *to, pare_error *error) {
    if (tape_layout_equal(from->layout, to->layout)) {
        return emit_copy(tape, step, shape, from, to, error);
    }
    dnnl_memory_desc_t source = tape_onednn_desc(from, shape), target = tape_onednn_desc(to, shape);
    return tape_onednn_reorder(tape, step, from->buffer, &source, to->buffer, &target, error);
}
