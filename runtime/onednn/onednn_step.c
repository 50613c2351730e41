#include <omp.h>
#include <string.h>

#include "onednn_support.h"
#include "pare/checked.h"
#include "pare/memory.h"

#define SCRATCH_ALIGNMENT ((size_t)64)

static dnnl_status_t make_reorder(const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to,
                                  dnnl_primitive_t *reorder) {
    dnnl_engine_t engine = pare_onednn_engine();
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, NULL);
    if (status == dnnl_success) {
        status = dnnl_primitive_create(reorder, desc);
        dnnl_primitive_desc_destroy(desc);
    }
    return status;
}

pare_status pare_onednn_pack(const dnnl_memory_desc_t *from, const void *data, const dnnl_memory_desc_t *to,
                             void **packed, pare_error *error) {
    dnnl_engine_t engine = pare_onednn_engine();
    dnnl_primitive_t reorder = NULL;
    dnnl_memory_t source = NULL, target = NULL;
    dnnl_stream_t stream = NULL;
    size_t bytes = dnnl_memory_desc_get_size(to);
    *packed = NULL;
    PARE_TRY(pare_onednn_headroom(error));
    *packed = pare_alloc(bytes);
    if (*packed == NULL) {
        return pare_fail_memory(error, bytes);
    }
    dnnl_status_t status = make_reorder(from, to, &reorder);
    if (status == dnnl_success) {
        /* oneDNN only reads a source; its interface has no const. */
        status = dnnl_memory_create(&source, from, engine, (void *)(uintptr_t)data);
    }
    if (status == dnnl_success) {
        status = dnnl_memory_create(&target, to, engine, *packed);
    }
    if (status == dnnl_success) {
        status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    }
    if (status == dnnl_success) {
        dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, target}};
        status = dnnl_primitive_execute(reorder, stream, 2, args);
    }
    if (status == dnnl_success) {
        status = dnnl_stream_wait(stream);
    }
    dnnl_stream_destroy(stream);
    dnnl_memory_destroy(target);
    dnnl_memory_destroy(source);
    dnnl_primitive_destroy(reorder);
    if (status != dnnl_success) {
        pare_free(*packed);
        *packed = NULL;
    }
    return pare_onednn_status(status, "packing weights", error);
}

pare_status pare_onednn_step_create(const_dnnl_primitive_desc_t primitive, pare_onednn_step **step, pare_error *error) {
    *step = NULL;
    PARE_TRY(pare_onednn_headroom(error));
    *step = pare_alloc_zero(1, sizeof **step);
    if (*step == NULL) {
        return pare_fail_memory(error, sizeof **step);
    }
    (*step)->threads = omp_get_max_threads();
    dnnl_status_t status = dnnl_primitive_create(&(*step)->primitive, primitive);
    if (status == dnnl_success) {
        status = dnnl_stream_create(&(*step)->stream, pare_onednn_engine(), dnnl_stream_default_flags);
    }
    return pare_onednn_status(status, "creating a primitive", error);
}

pare_status pare_onednn_bind(pare_onednn_step *step, int arg, const dnnl_memory_desc_t *desc, pare_onednn_source source,
                             size_t index, pare_error *error) {
    if (step->count == PARE_ONEDNN_MAX_ARGS) {
        return PARE_UNSUPPORTED;
    }
    dnnl_memory_t memory = NULL;
    dnnl_status_t status = dnnl_memory_create(&memory, desc, pare_onednn_engine(), NULL);
    if (status == dnnl_success) {
        step->exec[step->count] = (dnnl_exec_arg_t){arg, memory};
        step->args[step->count] = (pare_onednn_arg){.source = source, .index = index};
        if (source == PARE_ONEDNN_SCRATCH) {
            step->args[step->count].offset = step->scratch_bytes;
            step->scratch_bytes += (dnnl_memory_desc_get_size(desc) + SCRATCH_ALIGNMENT - 1) & ~(SCRATCH_ALIGNMENT - 1);
        }
        step->count++;
    }
    return pare_onednn_status(status, "creating a memory object", error);
}

pare_status pare_onednn_bind_block(pare_onednn_step *step, int arg, const dnnl_memory_desc_t *desc, void *block,
                                   pare_error *error) {
    pare_status status = pare_onednn_bind(step, arg, desc, PARE_ONEDNN_OWNED, 0, error);
    if (status == PARE_OK) {
        int last = step->count - 1;
        /* No stream: oneDNN then leaves padding as packing wrote it. */
        status = pare_onednn_status(dnnl_memory_set_data_handle_v2(step->exec[last].memory, block, NULL),
                                    "binding constants", error);
        if (status == PARE_OK) {
            step->args[last].block = block;
            step->args[last].bound = block;
            step->packed_bytes += dnnl_memory_desc_get_size(desc);
            return PARE_OK;
        }
    }
    pare_free(block);
    return status;
}

pare_status pare_onednn_bind_constant(pare_onednn_step *step, int arg, const dnnl_memory_desc_t *from, const void *data,
                                      const dnnl_memory_desc_t *to, pare_error *error) {
    void *block = NULL;
    PARE_TRY(pare_onednn_pack(from, data, to, &block, error));
    return pare_onednn_bind_block(step, arg, to, block, error);
}

pare_status pare_onednn_step_finish(pare_onednn_step *step, const_dnnl_primitive_desc_t primitive, pare_site *site,
                                    pare_error *error) {
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(primitive, dnnl_query_scratchpad_md, 0);
    size_t bytes = scratch == NULL ? 0 : dnnl_memory_desc_get_size(scratch);
    if (bytes > 0) {
        PARE_TRY(pare_onednn_bind(step, DNNL_ARG_SCRATCHPAD, scratch, PARE_ONEDNN_SCRATCH, 0, error));
    }
    site->scratch_bytes = step->scratch_bytes;
    site->packed_bytes = step->packed_bytes;
    return PARE_OK;
}

static const void *place_of(const pare_onednn_arg *arg, const pare_call *call) {
    switch (arg->source) {
    case PARE_ONEDNN_INPUT:
        return call->inputs[arg->index];
    case PARE_ONEDNN_OUTPUT:
        return call->outputs[arg->index];
    case PARE_ONEDNN_SCRATCH:
        return (const char *)call->scratch + arg->offset;
    default:
        return arg->block;
    }
}

pare_status pare_onednn_step_run(void *state, const pare_call *call, pare_error *error) {
    pare_onednn_step *step = state;
    dnnl_status_t status = dnnl_success;
    for (int i = 0; i < step->count && status == dnnl_success; i++) {
        const void *place = place_of(&step->args[i], call);
        if (place != step->args[i].bound) {
            step->args[i].bound = place;
            status = dnnl_memory_set_data_handle_v2(step->exec[i].memory, (void *)(uintptr_t)place, NULL);
        }
    }
    if (status == dnnl_success) {
        bool fewer = step->threads != call->threads;
        if (fewer) {
            omp_set_num_threads(step->threads);
        }
        status = dnnl_primitive_execute(step->primitive, step->stream, step->count, step->exec);
        if (fewer) {
            omp_set_num_threads(call->threads);
        }
    }
    if (status != dnnl_success) {
        return pare_fail(error, status == dnnl_out_of_memory ? PARE_LIMIT : PARE_INTERNAL,
                         "expected oneDNN to execute, found status %d", (int)status);
    }
    return PARE_OK;
}

void pare_onednn_step_destroy(void *state) {
    pare_onednn_step *step = state;
    if (step == NULL) {
        return;
    }
    for (int i = 0; i < step->count; i++) {
        dnnl_memory_destroy(step->exec[i].memory);
        pare_free(step->args[i].block);
    }
    dnnl_stream_destroy(step->stream);
    dnnl_primitive_destroy(step->primitive);
    pare_free(step);
}

/* --- planning ------------------------------------------------------------- */

bool pare_onednn_has_input(const pare_site *site, size_t index) {
    return site->input_count > index && site->inputs[index].present;
}

pare_status pare_onednn_describe(const_dnnl_op_desc_t operation, dnnl_post_ops_t operations,
                                 dnnl_primitive_desc_t *primitive, pare_error *error) {
    dnnl_primitive_attr_t attributes = NULL;
    *primitive = NULL;
    dnnl_status_t status = pare_onednn_attributes(&attributes, operations);
    if (status == dnnl_success && pare_onednn_headroom(error) != PARE_OK) {
        dnnl_primitive_attr_destroy(attributes);
        return PARE_LIMIT;
    }
    if (status == dnnl_success) {
        status = dnnl_primitive_desc_create(primitive, operation, attributes, pare_onednn_engine(), NULL);
        dnnl_primitive_attr_destroy(attributes);
    }
    if (status == dnnl_success && pare_onednn_is_reference(*primitive)) {
        dnnl_primitive_desc_destroy(*primitive);
        *primitive = NULL;
        return PARE_UNSUPPORTED;
    }
    return pare_onednn_status(status, "describing a primitive", error);
}

pare_status pare_onednn_plan(pare_site *site, dnnl_primitive_desc_t primitive, pare_onednn_binder bind,
                             const void *context, void **state, pare_error *error) {
    pare_onednn_step *step = NULL;
    pare_status status = pare_onednn_step_create(primitive, &step, error);
    if (status == PARE_OK) {
        status = bind(site, context, primitive, step, error);
    }
    if (status == PARE_OK) {
        status = pare_onednn_step_finish(step, primitive, site, error);
    }
    dnnl_primitive_desc_destroy(primitive);
    if (status != PARE_OK) {
        pare_onednn_step_destroy(step);
        return status;
    }
    *state = step;
    return PARE_OK;
}

pare_status pare_onednn_bind_unary(const pare_site *site, const void *context, const_dnnl_primitive_desc_t primitive,
                                   pare_onednn_step *step, pare_error *error) {
    (void)site;
    (void)context;
    const dnnl_memory_desc_t *x = dnnl_primitive_desc_query_md(primitive, dnnl_query_src_md, 0);
    const dnnl_memory_desc_t *y = dnnl_primitive_desc_query_md(primitive, dnnl_query_dst_md, 0);
    PARE_TRY(pare_onednn_bind(step, DNNL_ARG_SRC, x, PARE_ONEDNN_INPUT, 0, error));
    return pare_onednn_bind(step, DNNL_ARG_DST, y, PARE_ONEDNN_OUTPUT, 0, error);
}

pare_status pare_onednn_bind_weights(const pare_site *site, const dnnl_memory_desc_t *weights,
                                     const_dnnl_primitive_desc_t primitive, pare_onednn_step *step, pare_error *error) {
    PARE_TRY(pare_onednn_bind_constant(step, DNNL_ARG_WEIGHTS, weights, site->inputs[1].constant,
                                       dnnl_primitive_desc_query_md(primitive, dnnl_query_weights_md, 0), error));
    if (!pare_onednn_has_input(site, 2)) {
        return PARE_OK;
    }
    const dnnl_memory_desc_t *bias = dnnl_primitive_desc_query_md(primitive, dnnl_query_weights_md, 1);
    return pare_onednn_bind_constant(step, DNNL_ARG_BIAS, bias, site->inputs[2].constant, bias, error);
}
