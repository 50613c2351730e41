/* Layer normalization (Ba, Kiros and Hinton 2016): each row of x [.., K] to mean 0
 * and variance 1, then times scale [K] plus bias [K], each of which may be absent. */
#include "train/onednn/tape_onednn.h"

enum { NORM_X = 0, NORM_SCALE, NORM_BIAS, NORM_INPUTS };

typedef struct normalize_plan {
    dnnl_primitive_desc_t forward;
    tape_place x;
    uint32_t mean, variance;
    dnnl_memory_desc_t rows, statistics, weights; /* [rows, K], [rows], [K] */
    unsigned flags;
} normalize_plan;

static bool wants(const pare_tape *tape, uint32_t tensor) {
    return tensor != TAPE_NONE && tape_tensor_at(tape, tensor)->wants_gradient;
}

static void describe(const pare_tape *tape, const tape_step *step, normalize_plan *plan) {
    const tape_tensor *x = tape_tensor_at(tape, step->inputs[NORM_X]);
    int64_t width = x->shape.dims[x->shape.rank - 1], rows = (int64_t)x->elements / width;
    plan->rows = tape_onednn_plain(&(pare_shape){.rank = 2, .dims = {rows, width}});
    plan->statistics = tape_onednn_plain(&(pare_shape){.rank = 1, .dims = {rows}});
    plan->weights = tape_onednn_plain(&(pare_shape){.rank = 1, .dims = {width}});
    plan->flags = step->inputs[NORM_SCALE] != TAPE_NONE ? (unsigned)dnnl_use_scale : 0U;
    plan->flags |= step->inputs[NORM_BIAS] != TAPE_NONE ? (unsigned)dnnl_use_shift : 0U;
}

/* The arguments that both directions share. (oneDNN 2.6 counts the shift among the inputs of the way back.) */
static pare_status common_args(pare_tape *tape, const tape_step *step, const normalize_plan *plan,
                               tape_onednn_arg *args, size_t *count, pare_error *error) {
    static const int names[NORM_INPUTS] = {0, DNNL_ARG_SCALE, DNNL_ARG_SHIFT};
    args[0] = (tape_onednn_arg){DNNL_ARG_SRC, plan->x.buffer, plan->rows};
    args[1] = (tape_onednn_arg){DNNL_ARG_MEAN, plan->mean, plan->statistics};
    args[2] = (tape_onednn_arg){DNNL_ARG_VARIANCE, plan->variance, plan->statistics};
    *count = 3;
    for (size_t i = NORM_SCALE; i <= NORM_BIAS; i++) {
        if (step->inputs[i] != TAPE_NONE) {
            tape_place weights;
            PARE_TRY(tape_value_as(tape, step->inputs[i], NULL, &weights, error));
            args[(*count)++] = (tape_onednn_arg){names[i], weights.buffer, plan->weights};
        }
    }
    return PARE_OK;
}

static pare_status normalize_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    normalize_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    describe(tape, step, plan);
    dnnl_layer_normalization_desc_t op;
    dnnl_status_t status = dnnl_layer_normalization_forward_desc_init(
        &op, dnnl_forward_training, &plan->rows, &plan->statistics, *(const float *)step->attrs, plan->flags);
    PARE_TRY(tape_onednn_status(step, status, "a layer normalization", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, NULL, &plan->forward, error));
    tape_place y;
    tape_onednn_arg args[6];
    size_t count = 0;
    PARE_TRY(tape_value_as(tape, step->inputs[NORM_X], NULL, &plan->x, error));
    PARE_TRY(tape_onednn_buffer(tape, &plan->statistics, &plan->mean, error));
    PARE_TRY(tape_onednn_buffer(tape, &plan->statistics, &plan->variance, error));
    PARE_TRY(common_args(tape, step, plan, args, &count, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &y, error));
    args[count++] = (tape_onednn_arg){DNNL_ARG_DST, y.buffer, plan->rows};
    return tape_onednn_emit(tape, step, plan->forward, args, count, error);
}

/* Where the gradient of scale or bias goes, in the order of the inputs. */
static pare_status weight_args(pare_tape *tape, const tape_step *step, const normalize_plan *plan, tape_place *weights,
                               tape_onednn_arg *args, size_t *count, pare_error *error) {
    static const int names[NORM_INPUTS] = {0, DNNL_ARG_DIFF_SCALE, DNNL_ARG_DIFF_SHIFT};
    for (size_t i = NORM_SCALE; i <= NORM_BIAS; i++) {
        if (step->inputs[i] != TAPE_NONE) {
            PARE_TRY(tape_new_place(tape, step->inputs[i], NULL, &weights[i], error));
            args[(*count)++] = (tape_onednn_arg){names[i], weights[i].buffer, plan->weights};
        }
    }
    return PARE_OK;
}

static pare_status normalize_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const normalize_plan *plan = step->plan;
    dnnl_layer_normalization_desc_t op;
    dnnl_primitive_desc_t primitive = NULL;
    tape_place dy, places[NORM_INPUTS];
    tape_onednn_arg args[10];
    size_t count = 0;
    dnnl_status_t status = dnnl_layer_normalization_backward_desc_init(
        &op, plan->flags != 0 ? dnnl_backward : dnnl_backward_data, &plan->rows, &plan->rows, &plan->statistics,
        *(const float *)step->attrs, plan->flags);
    PARE_TRY(tape_onednn_status(step, status, "a layer normalization's gradient", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, plan->forward, &primitive, error));
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    PARE_TRY(tape_new_place(tape, step->inputs[NORM_X], NULL, &places[NORM_X], error));
    PARE_TRY(common_args(tape, step, plan, args, &count, error));
    args[count++] = (tape_onednn_arg){DNNL_ARG_DIFF_DST, dy.buffer, plan->rows};
    args[count++] = (tape_onednn_arg){DNNL_ARG_DIFF_SRC, places[NORM_X].buffer, plan->rows};
    PARE_TRY(weight_args(tape, step, plan, places, args, &count, error));
    PARE_TRY(tape_onednn_emit(tape, step, primitive, args, count, error));
    for (size_t i = 0; i < NORM_INPUTS; i++) {
        if (wants(tape, step->inputs[i])) {
            PARE_TRY(tape_contribute(tape, step->inputs[i], &places[i], error));
        }
    }
    return PARE_OK;
}

static const tape_step_class normalize_class = {"layer normalization", false, normalize_forward, normalize_backward};

pare_status tape_normalize(pare_tape *tape, const pare_node *node, uint32_t x, uint32_t scale, uint32_t bias,
                           float epsilon, uint32_t y, pare_error *error) {
    return tape_record(tape, &normalize_class, node, (const uint32_t[]){x, scale, bias}, NORM_INPUTS, &y, 1, &epsilon,
                       sizeof epsilon, error);
}
