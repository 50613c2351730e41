#include "train/onednn/batch_norm_own.h"

#include "train/tape/tape_steps.h"

bool batch_norm_extent_of(const tape_place *x, const pare_shape *shape, batch_norm_extent *extent) {
    size_t positions = 1;
    for (int32_t a = 2; a < shape->rank; a++) {
        positions *= (size_t)shape->dims[a];
    }
    *extent = (batch_norm_extent){(size_t)shape->dims[0], shape->rank > 1 ? (size_t)shape->dims[1] : 1, positions, 1};
    if (x->layout == NULL) {
        return shape->rank > 2 && positions >= 8;
    }
    const dnnl_memory_desc_t *desc = &x->layout->desc;
    const dnnl_blocking_desc_t *blocking = &desc->format_desc.blocking;
    int64_t block = blocking->inner_nblks == 1 ? blocking->inner_blks[0] : 0;
    extent->block = (size_t)block;
    return desc->format_kind == dnnl_blocked && desc->ndims > 2 && desc->offset0 == 0 && (block == 8 || block == 16) &&
           blocking->inner_idxs[0] == 1 && blocking->strides[desc->ndims - 1] == block &&
           blocking->strides[1] == (int64_t)positions * block &&
           blocking->strides[0] == desc->padded_dims[1] * (int64_t)positions;
}

/* pointers: x, mean, variance, scratch */
static pare_status run_statistics(void *context, void *const *pointers) {
    batch_norm_statistics(context, pointers[0], pointers[1], pointers[2], pointers[3]);
    return PARE_OK;
}

pare_status batch_norm_emit_statistics(pare_tape *tape, const tape_step *step, const batch_norm_extent *extent,
                                       const batch_norm_buffers *buffers, pare_error *error) {
    pare_status status = PARE_OK;
    batch_norm_extent *context = tape_make(tape, 1, sizeof *context);
    if (context == NULL) {
        return pare_fail_memory(error, sizeof *context);
    }
    *context = *extent;
    uint32_t scratch = tape_buffer(tape, batch_norm_scratch(extent) * sizeof(double), error, &status);
    PARE_TRY(status);
    return tape_emit(tape, step, run_statistics, NULL, context,
                     (const uint32_t[]){buffers->x, buffers->mean, buffers->variance, scratch}, 4, error);
}

typedef struct residual_context {
    batch_norm_extent extent;
    float epsilon;
    bool relu;
} residual_context;

/* pointers: x, mean, variance, scale, shift, what is added, y, factors */
static pare_status run_residual(void *context, void *const *pointers) {
    const residual_context *r = context;
    batch_norm_operands operands = {pointers[1], pointers[2], pointers[3], pointers[4], r->epsilon, pointers[7]};
    batch_norm_apply(&r->extent, &operands, pointers[0], pointers[5], r->relu, pointers[6]);
    return PARE_OK;
}

pare_status batch_norm_emit_residual(pare_tape *tape, const tape_step *step, const batch_norm_extent *extent,
                                     const tape_place *x, const batch_norm_buffers *buffers, float epsilon, bool *done,
                                     pare_error *error) {
    tape_place added, y;
    tape_step *add = tape_absorb_add(tape, step->outputs[0], x->layout, &added, &y, error);
    *done = add != NULL;
    if (add == NULL) {
        return PARE_OK;
    }
    residual_context *context = tape_make(tape, 1, sizeof *context);
    if (context == NULL) {
        return pare_fail_memory(error, sizeof *context);
    }
    *context = (residual_context){*extent, epsilon, tape_absorb_relu(tape, add->outputs[0], false)};
    size_t lanes = (extent->channels + extent->block - 1) / extent->block * extent->block;
    pare_status status = PARE_OK;
    uint32_t factors = tape_buffer(tape, 2 * lanes * sizeof(float), error, &status);
    PARE_TRY(status);
    return tape_emit(tape, step, run_residual, NULL, context,
                     (const uint32_t[]){buffers->x, buffers->mean, buffers->variance, buffers->scale, buffers->shift,
                                        added.buffer, y.buffer, factors},
                     8, error);
}
