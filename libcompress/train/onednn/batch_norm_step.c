/* Batch normalization (Ioffe and Szegedy 2015) over axis 1, with the batch's
 * statistics while training (those of all ranks' parts of it), or with the running ones where it is frozen. A
 * Relu that alone reads the result runs inside the primitive. */
#include "train/onednn/batch_norm_own.h"
#include "train/onednn/batch_norm_ranks.h"
#include "train/quant_aware/quant_aware.h"
#include "train/tape/tape_internal.h"
#include "train/tape/tape_steps.h"

typedef struct batch_norm_attrs {
    float epsilon, momentum;
    bool frozen;
} batch_norm_attrs;

/* Inputs of the step. */
enum { BN_X = 0, BN_SCALE, BN_BIAS, BN_MEAN, BN_VARIANCE, BN_INPUTS };

typedef struct batch_norm_plan {
    dnnl_primitive_desc_t forward, hint; /* what runs; what the way back is told of */
    tape_place x;
    batch_norm_extent extent;
    uint32_t mean, variance, workspace;
    bool fused;
    bool spread; /* over several ranks */
    bool own;    /* the statistics are those of batch_norm_loops.h */
} batch_norm_plan;

static batch_norm_part part_of(const pare_tape *tape, const tape_step *step, const batch_norm_plan *plan) {
    const batch_norm_attrs *attrs = step->attrs;
    return (batch_norm_part){plan->x,
                             &tape_tensor_at(tape, step->inputs[BN_X])->shape,
                             tape_tensor_at(tape, step->inputs[BN_SCALE])->elements,
                             plan->mean,
                             plan->variance,
                             attrs->epsilon};
}

typedef struct running_context {
    size_t channels;
    float keep;     /* momentum of the running statistics */
    float unbiased; /* n / (n - 1): PyTorch's running variance, which inference wants */
} running_context;

/* pointers: running mean, running variance, the batch's mean and variance. */
static pare_status run_running(void *context, void *const *pointers) {
    const running_context *r = context;
    float *mean = pointers[0], *variance = pointers[1];
    const float *batch_mean = pointers[2], *batch_variance = pointers[3];
    for (size_t c = 0; c < r->channels; c++) {
        mean[c] = r->keep * mean[c] + (1.0F - r->keep) * batch_mean[c];
        variance[c] = r->keep * variance[c] + (1.0F - r->keep) * r->unbiased * batch_variance[c];
    }
    return PARE_OK;
}

static pare_status emit_running(pare_tape *tape, const tape_step *step, const batch_norm_plan *plan,
                                pare_error *error) {
    const batch_norm_attrs *attrs = step->attrs;
    const tape_tensor *x = tape_tensor_at(tape, step->inputs[BN_X]);
    running_context *r = tape_make(tape, 1, sizeof *r);
    if (r == NULL) {
        return pare_fail_memory(error, sizeof *r);
    }
    tape_place mean, variance;
    size_t channels = tape_tensor_at(tape, step->inputs[BN_SCALE])->elements, samples = x->elements / channels;
    samples *= plan->spread ? tape->ranks.count : 1;
    *r = (running_context){channels, attrs->momentum, samples > 1 ? (float)samples / (float)(samples - 1) : 1.0F};
    PARE_TRY(tape_value_as(tape, step->inputs[BN_MEAN], NULL, &mean, error));
    PARE_TRY(tape_value_as(tape, step->inputs[BN_VARIANCE], NULL, &variance, error));
    return tape_emit(tape, step, run_running, NULL, r,
                     (const uint32_t[]){mean.buffer, variance.buffer, plan->mean, plan->variance}, 4, error);
}

/* `given`: the primitive does not compute the statistics. */
static unsigned flags_of(const batch_norm_plan *plan, bool given) {
    unsigned flags = dnnl_use_scale | dnnl_use_shift | (given ? dnnl_use_global_stats : 0U);
    return flags | (plan->fused ? dnnl_fuse_norm_relu : 0U);
}

/* Statistics: the running ones where frozen, else two buffers of the plan. */
static pare_status place_statistics(pare_tape *tape, const tape_step *step, batch_norm_plan *plan, pare_error *error) {
    const batch_norm_attrs *attrs = step->attrs;
    tape_place place;
    size_t bytes = tape_tensor_at(tape, step->inputs[BN_SCALE])->elements * sizeof(float);
    pare_status status = PARE_OK;
    if (attrs->frozen) {
        PARE_TRY(tape_value_as(tape, step->inputs[BN_MEAN], NULL, &place, error));
        plan->mean = place.buffer;
        PARE_TRY(tape_value_as(tape, step->inputs[BN_VARIANCE], NULL, &place, error));
        plan->variance = place.buffer;
        return PARE_OK;
    }
    plan->mean = tape_buffer(tape, bytes, error, &status);
    PARE_TRY(status);
    plan->variance = tape_buffer(tape, bytes, error, &status);
    return status;
}

/* The arguments that both directions share. */
static pare_status common_args(pare_tape *tape, const tape_step *step, const batch_norm_plan *plan,
                               tape_onednn_arg *args, size_t *count, pare_error *error) {
    const pare_shape *x = &tape_tensor_at(tape, step->inputs[BN_X])->shape;
    dnnl_memory_desc_t channels = tape_onednn_plain(&tape_tensor_at(tape, step->inputs[BN_SCALE])->shape);
    tape_place scale, shift;
    PARE_TRY(tape_value_as(tape, step->inputs[BN_SCALE], NULL, &scale, error));
    PARE_TRY(tape_value_as(tape, step->inputs[BN_BIAS], NULL, &shift, error));
    args[0] = (tape_onednn_arg){DNNL_ARG_SRC, plan->x.buffer, tape_onednn_desc(&plan->x, x)};
    args[1] = (tape_onednn_arg){DNNL_ARG_MEAN, plan->mean, channels};
    args[2] = (tape_onednn_arg){DNNL_ARG_VARIANCE, plan->variance, channels};
    args[3] = (tape_onednn_arg){DNNL_ARG_SCALE, scale.buffer, channels};
    args[4] = (tape_onednn_arg){DNNL_ARG_SHIFT, shift.buffer, channels}; /* backwards, oneDNN 2.6 counts it too */
    *count = 5;
    if (plan->fused) {
        args[(*count)++] = (tape_onednn_arg){DNNL_ARG_WORKSPACE, plan->workspace,
                                             *dnnl_primitive_desc_query_md(plan->forward, dnnl_query_workspace_md, 0)};
    }
    return PARE_OK;
}

/* The statistics, and where the step ends a residual block (*done) all of it. */
static pare_status own_forward(pare_tape *tape, const tape_step *step, const batch_norm_plan *plan, bool *done,
                               pare_error *error) {
    const batch_norm_attrs *attrs = step->attrs;
    tape_place scale, shift;
    PARE_TRY(tape_value_as(tape, step->inputs[BN_SCALE], NULL, &scale, error));
    PARE_TRY(tape_value_as(tape, step->inputs[BN_BIAS], NULL, &shift, error));
    batch_norm_buffers buffers = {plan->x.buffer, plan->mean, plan->variance, scale.buffer, shift.buffer};
    PARE_TRY(batch_norm_emit_statistics(tape, step, &plan->extent, &buffers, error));
    return plan->fused
               ? PARE_OK
               : batch_norm_emit_residual(tape, step, &plan->extent, &plan->x, &buffers, attrs->epsilon, done, error);
}

static pare_status describe_forward(pare_tape *tape, const tape_step *step, const batch_norm_plan *plan, bool given,
                                    dnnl_primitive_desc_t *primitive, pare_error *error) {
    const batch_norm_attrs *attrs = step->attrs;
    dnnl_memory_desc_t desc = tape_onednn_desc(&plan->x, &tape_tensor_at(tape, step->inputs[BN_X])->shape);
    dnnl_batch_normalization_desc_t op;
    dnnl_status_t status = dnnl_batch_normalization_forward_desc_init(&op, dnnl_forward_training, &desc, attrs->epsilon,
                                                                      flags_of(plan, given));
    PARE_TRY(tape_onednn_status(step, status, "batch normalization", error));
    return tape_onednn_describe(tape, step, &op, NULL, primitive, error);
}

static pare_status batch_norm_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    const batch_norm_attrs *attrs = step->attrs;
    const pare_shape *shape = &tape_tensor_at(tape, step->inputs[BN_X])->shape;
    batch_norm_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    plan->fused = tape_absorb_relu(tape, step->outputs[0], true);
    plan->spread = !attrs->frozen && tape->ranks.count > 1;
    PARE_TRY(tape_value(tape, step->inputs[BN_X], &plan->x, error));
    plan->own = !attrs->frozen && !plan->spread && batch_norm_extent_of(&plan->x, shape, &plan->extent);
    bool given = attrs->frozen || plan->spread;
    PARE_TRY(describe_forward(tape, step, plan, given, &plan->hint, error));
    PARE_TRY(describe_forward(tape, step, plan, given || plan->own, &plan->forward, error));
    if (plan->fused) {
        PARE_TRY(tape_onednn_buffer(tape, dnnl_primitive_desc_query_md(plan->forward, dnnl_query_workspace_md, 0),
                                    &plan->workspace, error));
    }
    tape_place y;
    PARE_TRY(place_statistics(tape, step, plan, error));
    if (plan->own) {
        bool done = false;
        PARE_TRY(own_forward(tape, step, plan, &done, error));
        if (done) {
            return emit_running(tape, step, plan, error);
        }
    }
    PARE_TRY(tape_new_value(tape, step->outputs[0], plan->x.layout, &y, error));
    if (plan->spread) {
        batch_norm_part part = part_of(tape, step, plan);
        PARE_TRY(batch_norm_ranks_statistics(tape, step, &part, &y, error));
    }
    tape_onednn_arg args[8];
    size_t count = 0;
    PARE_TRY(common_args(tape, step, plan, args, &count, error));
    args[count++] = (tape_onednn_arg){DNNL_ARG_DST, y.buffer, args[0].desc};
    PARE_TRY(tape_onednn_emit(tape, step, plan->forward, args, count, error));
    return attrs->frozen ? PARE_OK : emit_running(tape, step, plan, error);
}

static pare_status contribute_if_wanted(pare_tape *tape, uint32_t tensor, const tape_place *place, pare_error *error) {
    return tape_tensor_at(tape, tensor)->wants_gradient ? tape_contribute(tape, tensor, place, error) : PARE_OK;
}

static pare_status batch_norm_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const batch_norm_attrs *attrs = step->attrs;
    const batch_norm_plan *plan = step->plan;
    const pare_shape *shape = &tape_tensor_at(tape, step->inputs[BN_X])->shape;
    dnnl_memory_desc_t desc = tape_onednn_desc(&plan->x, shape);
    dnnl_batch_normalization_desc_t op;
    dnnl_primitive_desc_t primitive = NULL;
    dnnl_status_t status = dnnl_batch_normalization_backward_desc_init(&op, dnnl_backward, &desc, &desc, attrs->epsilon,
                                                                       flags_of(plan, attrs->frozen || plan->spread));
    PARE_TRY(tape_onednn_status(step, status, "batch normalization's gradient", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, plan->hint, &primitive, error));
    tape_place dy, dx, dscale, dbias;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], plan->x.layout, &dy, error));
    PARE_TRY(tape_new_place(tape, step->inputs[BN_SCALE], NULL, &dscale, error));
    PARE_TRY(tape_new_place(tape, step->inputs[BN_BIAS], NULL, &dbias, error));
    if (dy.owned) {
        dx = dy;
    } else {
        PARE_TRY(tape_new_place(tape, step->inputs[BN_X], plan->x.layout, &dx, error));
    }
    tape_onednn_arg args[10];
    size_t count = 0;
    PARE_TRY(common_args(tape, step, plan, args, &count, error));
    args[count++] = (tape_onednn_arg){DNNL_ARG_DIFF_DST, dy.buffer, desc};
    args[count++] = (tape_onednn_arg){DNNL_ARG_DIFF_SRC, dx.buffer, desc};
    args[count++] = (tape_onednn_arg){DNNL_ARG_DIFF_SCALE, dscale.buffer, args[1].desc};
    args[count++] = (tape_onednn_arg){DNNL_ARG_DIFF_SHIFT, dbias.buffer, args[1].desc};
    PARE_TRY(tape_onednn_emit(tape, step, primitive, args, count, error));
    if (plan->spread) {
        batch_norm_part part = part_of(tape, step, plan);
        PARE_TRY(batch_norm_ranks_correct(tape, step, &part, args[3].buffer, dscale.buffer, dbias.buffer, &dx, error));
    }
    PARE_TRY(contribute_if_wanted(tape, step->inputs[BN_X], &dx, error));
    PARE_TRY(contribute_if_wanted(tape, step->inputs[BN_SCALE], &dscale, error));
    return contribute_if_wanted(tape, step->inputs[BN_BIAS], &dbias, error);
}

static const tape_step_class batch_norm_class = {"batch normalization", false, batch_norm_forward, batch_norm_backward};

pare_status tape_batch_norm(pare_tape *tape, const pare_node *node, uint32_t x, uint32_t scale, uint32_t bias,
                            uint32_t mean, uint32_t variance, float epsilon, float momentum, uint32_t y,
                            pare_error *error) {
    batch_norm_attrs attrs = {epsilon, momentum, tape_tensor_at(tape, mean)->role != TAPE_STATE};
    PARE_TRY(quant_aware_norm_bias(tape, node, scale, mean, variance, epsilon, &bias, error));
    return tape_record(tape, &batch_norm_class, node, (const uint32_t[]){x, scale, bias, mean, variance}, BN_INPUTS, &y,
                       1, &attrs, sizeof attrs, error);
}
