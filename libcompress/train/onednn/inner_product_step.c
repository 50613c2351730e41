/* Fully connected: y [N, O] = x [N, K] wᵀ + bias. */
#include "train/onednn/tape_onednn.h"

typedef struct inner_product_attrs {
    bool transposed; /* w is stored as [K, O] */
} inner_product_attrs;

typedef struct inner_product_plan {
    dnnl_primitive_desc_t forward;
    tape_place x;
} inner_product_plan;

/* The stored weights seen as [O, K]. */
static dnnl_memory_desc_t stored_weights(const pare_tape *tape, const tape_step *step) {
    const inner_product_attrs *attrs = step->attrs;
    dnnl_memory_desc_t desc = tape_onednn_plain(&tape_tensor_at(tape, step->inputs[1])->shape), turned = desc;
    if (attrs->transposed) {
        (void)dnnl_memory_desc_permute_axes(&turned, &desc, (const int[]){1, 0});
    }
    return turned;
}

static dnnl_memory_desc_t any_weights(const dnnl_memory_desc_t *stored) {
    dnnl_memory_desc_t any = {0};
    (void)dnnl_memory_desc_init_by_tag(&any, 2, stored->dims, dnnl_f32, dnnl_format_tag_any);
    return any;
}

static bool wants(const pare_tape *tape, uint32_t tensor) {
    return tensor != TAPE_NONE && tape_tensor_at(tape, tensor)->wants_gradient;
}

static dnnl_memory_desc_t plain_of(const pare_tape *tape, uint32_t tensor) {
    return tape_onednn_plain(&tape_tensor_at(tape, tensor)->shape);
}

/* The weights in the primitive's layout. */
static pare_status weights_for(pare_tape *tape, tape_step *step, const_dnnl_primitive_desc_t primitive,
                               tape_onednn_arg *arg, pare_error *error) {
    const dnnl_memory_desc_t *wanted = dnnl_primitive_desc_query_md(primitive, dnnl_query_weights_md, 0);
    dnnl_memory_desc_t stored = stored_weights(tape, step);
    tape_place place;
    PARE_TRY(tape_value_as(tape, step->inputs[1], NULL, &place, error));
    *arg = (tape_onednn_arg){DNNL_ARG_WEIGHTS, place.buffer, stored};
    if (dnnl_memory_desc_equal(wanted, &stored)) {
        return PARE_OK;
    }
    PARE_TRY(tape_onednn_buffer(tape, wanted, &arg->buffer, error));
    arg->desc = *wanted;
    return tape_onednn_reorder(tape, step, place.buffer, &stored, arg->buffer, wanted, error);
}

static pare_status inner_product_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    dnnl_memory_desc_t x = plain_of(tape, step->inputs[0]), y = plain_of(tape, step->outputs[0]);
    dnnl_memory_desc_t stored = stored_weights(tape, step), w = any_weights(&stored), bias;
    bool has_bias = step->inputs[2] != TAPE_NONE;
    inner_product_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    if (has_bias) {
        bias = plain_of(tape, step->inputs[2]);
    }
    dnnl_inner_product_desc_t op;
    dnnl_status_t status =
        dnnl_inner_product_forward_desc_init(&op, dnnl_forward_training, &x, &w, has_bias ? &bias : NULL, &y);
    PARE_TRY(tape_onednn_status(step, status, "an inner product", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, NULL, &plan->forward, error));
    tape_place out, added;
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &plan->x, error));
    tape_onednn_arg args[4] = {{DNNL_ARG_SRC, plan->x.buffer, x}};
    PARE_TRY(weights_for(tape, step, plan->forward, &args[1], error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &out, error));
    args[2] = (tape_onednn_arg){DNNL_ARG_DST, out.buffer, y};
    if (has_bias) {
        PARE_TRY(tape_value_as(tape, step->inputs[2], NULL, &added, error));
        args[3] = (tape_onednn_arg){DNNL_ARG_BIAS, added.buffer, bias};
    }
    return tape_onednn_emit(tape, step, plan->forward, args, has_bias ? 4 : 3, error);
}

static pare_status backward_data(pare_tape *tape, tape_step *step, const tape_place *dy, pare_error *error) {
    const inner_product_plan *plan = step->plan;
    dnnl_memory_desc_t x = plain_of(tape, step->inputs[0]), y = plain_of(tape, step->outputs[0]);
    dnnl_memory_desc_t stored = stored_weights(tape, step), w = any_weights(&stored);
    dnnl_inner_product_desc_t op;
    dnnl_primitive_desc_t primitive = NULL;
    tape_place dx;
    dnnl_status_t status = dnnl_inner_product_backward_data_desc_init(&op, &x, &w, &y);
    PARE_TRY(tape_onednn_status(step, status, "an inner product's gradient", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, plan->forward, &primitive, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], NULL, &dx, error));
    tape_onednn_arg args[3] = {{DNNL_ARG_DIFF_DST, dy->buffer, y}, {DNNL_ARG_DIFF_SRC, dx.buffer, x}};
    PARE_TRY(weights_for(tape, step, primitive, &args[2], error));
    PARE_TRY(tape_onednn_emit(tape, step, primitive, args, 3, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

/* The gradient of the weights, in the order in which they are stored. */
static pare_status store_weights(pare_tape *tape, tape_step *step, const tape_onednn_arg *made, pare_error *error) {
    dnnl_memory_desc_t stored = stored_weights(tape, step);
    tape_place dw = {made->buffer, NULL, true};
    if (!dnnl_memory_desc_equal(&made->desc, &stored)) {
        PARE_TRY(tape_new_place(tape, step->inputs[1], NULL, &dw, error));
        PARE_TRY(tape_onednn_reorder(tape, step, made->buffer, &made->desc, dw.buffer, &stored, error));
    }
    return tape_contribute(tape, step->inputs[1], &dw, error);
}

static pare_status backward_weights(pare_tape *tape, tape_step *step, const tape_place *dy, pare_error *error) {
    const inner_product_plan *plan = step->plan;
    dnnl_memory_desc_t x = plain_of(tape, step->inputs[0]), y = plain_of(tape, step->outputs[0]);
    dnnl_memory_desc_t stored = stored_weights(tape, step), w = any_weights(&stored), bias;
    bool has_bias = wants(tape, step->inputs[2]);
    if (has_bias) {
        bias = plain_of(tape, step->inputs[2]);
    }
    dnnl_inner_product_desc_t op;
    dnnl_primitive_desc_t primitive = NULL;
    dnnl_status_t status = dnnl_inner_product_backward_weights_desc_init(&op, &x, &w, has_bias ? &bias : NULL, &y);
    PARE_TRY(tape_onednn_status(step, status, "an inner product's gradient", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, plan->forward, &primitive, error));
    tape_onednn_arg args[4] = {{DNNL_ARG_SRC, plan->x.buffer, x}, {DNNL_ARG_DIFF_DST, dy->buffer, y}};
    args[2] = (tape_onednn_arg){.arg = DNNL_ARG_DIFF_WEIGHTS,
                                .desc = *dnnl_primitive_desc_query_md(primitive, dnnl_query_diff_weights_md, 0)};
    PARE_TRY(tape_onednn_buffer(tape, &args[2].desc, &args[2].buffer, error));
    tape_place db;
    if (has_bias) {
        PARE_TRY(tape_new_place(tape, step->inputs[2], NULL, &db, error));
        args[3] = (tape_onednn_arg){DNNL_ARG_DIFF_BIAS, db.buffer, bias};
    }
    PARE_TRY(tape_onednn_emit(tape, step, primitive, args, has_bias ? 4 : 3, error));
    if (has_bias) {
        PARE_TRY(tape_contribute(tape, step->inputs[2], &db, error));
    }
    return store_weights(tape, step, &args[2], error);
}

static pare_status inner_product_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_place dy;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    if (wants(tape, step->inputs[1]) || wants(tape, step->inputs[2])) {
        PARE_TRY(backward_weights(tape, step, &dy, error));
    }
    return wants(tape, step->inputs[0]) ? backward_data(tape, step, &dy, error) : PARE_OK;
}

static const tape_step_class inner_product_class = {"inner product", false, inner_product_forward,
                                                    inner_product_backward};

pare_status tape_inner_product(pare_tape *tape, const pare_node *node, bool transposed, uint32_t x, uint32_t w,
                               uint32_t bias, uint32_t y, pare_error *error) {
    inner_product_attrs attrs = {transposed};
    return tape_record(tape, &inner_product_class, node, (const uint32_t[]){x, w, bias}, 3, &y, 1, &attrs, sizeof attrs,
                       error);
}
