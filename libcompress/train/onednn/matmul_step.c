/* y [.., M, N] = a [.., M, K] b [.., K, N], outer axes broadcast. An operand that
 * broadcasts gets the sum of its gradients over the axes along which it is repeated. */
#include "train/onednn/tape_onednn.h"

static const pare_shape *shape_at(const pare_tape *tape, uint32_t tensor) {
    return &tape_tensor_at(tape, tensor)->shape;
}

static dnnl_memory_desc_t turned(const pare_shape *shape) {
    dnnl_memory_desc_t desc = tape_onednn_plain(shape), result = desc;
    int order[PARE_MAX_RANK];
    for (int i = 0; i < shape->rank; i++) {
        order[i] = i;
    }
    order[shape->rank - 2] = shape->rank - 1;
    order[shape->rank - 1] = shape->rank - 2;
    (void)dnnl_memory_desc_permute_axes(&result, &desc, order);
    return result;
}

static pare_status emit_product(pare_tape *tape, const tape_step *step, const tape_onednn_arg *a,
                                const tape_onednn_arg *b, const tape_onednn_arg *y, pare_error *error) {
    dnnl_matmul_desc_t op;
    dnnl_primitive_desc_t primitive = NULL;
    dnnl_status_t status = dnnl_matmul_desc_init(&op, &a->desc, &b->desc, NULL, &y->desc);
    PARE_TRY(tape_onednn_status(step, status, "a matrix product", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, NULL, &primitive, error));
    return tape_onednn_emit(tape, step, primitive, (const tape_onednn_arg[]){*a, *b, *y}, 3, error);
}

static pare_status matmul_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_place a, b, y;
    PARE_TRY(tape_value_as(tape, step->inputs[0], NULL, &a, error));
    PARE_TRY(tape_value_as(tape, step->inputs[1], NULL, &b, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &y, error));
    tape_onednn_arg left = {DNNL_ARG_SRC, a.buffer, tape_onednn_plain(shape_at(tape, step->inputs[0]))};
    tape_onednn_arg right = {DNNL_ARG_WEIGHTS, b.buffer, tape_onednn_plain(shape_at(tape, step->inputs[1]))};
    tape_onednn_arg result = {DNNL_ARG_DST, y.buffer, tape_onednn_plain(shape_at(tape, step->outputs[0]))};
    return emit_product(tape, step, &left, &right, &result, error);
}

/* The sum of what repetitions of the tensor got, `full`, is the tensor's contribution. */
static pare_status contribute_sum(pare_tape *tape, const tape_step *step, uint32_t tensor, const tape_onednn_arg *full,
                                  pare_error *error) {
    dnnl_memory_desc_t desc = tape_onednn_plain(shape_at(tape, tensor));
    dnnl_reduction_desc_t op;
    dnnl_primitive_desc_t primitive = NULL;
    tape_place sum;
    PARE_TRY(tape_new_place(tape, tensor, NULL, &sum, error));
    dnnl_status_t status = dnnl_reduction_desc_init(&op, dnnl_reduction_sum, &full->desc, &desc, 0.0F, 0.0F);
    PARE_TRY(tape_onednn_status(step, status, "a sum over repetitions", error));
    PARE_TRY(tape_onednn_describe(tape, step, &op, NULL, &primitive, error));
    tape_onednn_arg args[2] = {{DNNL_ARG_SRC, full->buffer, full->desc}, {DNNL_ARG_DST, sum.buffer, desc}};
    PARE_TRY(tape_onednn_emit(tape, step, primitive, args, 2, error));
    return tape_contribute(tape, tensor, &sum, error);
}

/* da = dy bᵀ, or db = aᵀ dy. */
static pare_status to_operand(pare_tape *tape, tape_step *step, size_t which, const tape_place *dy, pare_error *error) {
    uint32_t tensor = step->inputs[which], other = step->inputs[1 - which];
    const pare_shape *y = shape_at(tape, step->outputs[0]), *own = shape_at(tape, tensor);
    pare_shape full = *y;
    full.dims[y->rank - 2] = own->dims[y->rank - 2];
    full.dims[y->rank - 1] = own->dims[y->rank - 1];
    tape_place value, gradient;
    tape_onednn_arg result = {.arg = DNNL_ARG_DST, .desc = tape_onednn_plain(&full)};
    bool repeated = !pare_shape_equal(&full, own);
    PARE_TRY(tape_value_as(tape, other, NULL, &value, error));
    if (repeated) {
        PARE_TRY(tape_onednn_buffer(tape, &result.desc, &result.buffer, error));
    } else {
        PARE_TRY(tape_new_place(tape, tensor, NULL, &gradient, error));
        result.buffer = gradient.buffer;
    }
    tape_onednn_arg slope = {which == 0 ? DNNL_ARG_SRC : DNNL_ARG_WEIGHTS, dy->buffer, tape_onednn_plain(y)};
    tape_onednn_arg factor = {which == 0 ? DNNL_ARG_WEIGHTS : DNNL_ARG_SRC, value.buffer,
                              turned(shape_at(tape, other))};
    PARE_TRY(emit_product(tape, step, which == 0 ? &slope : &factor, which == 0 ? &factor : &slope, &result, error));
    return repeated ? contribute_sum(tape, step, tensor, &result, error)
                    : tape_contribute(tape, tensor, &gradient, error);
}

static pare_status matmul_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    tape_place dy;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    for (size_t i = 0; i < 2; i++) {
        if (tape_tensor_at(tape, step->inputs[i])->wants_gradient) {
            PARE_TRY(to_operand(tape, step, i, &dy, error));
        }
    }
    return PARE_OK;
}

static const tape_step_class matmul_class = {"matrix product", false, matmul_forward, matmul_backward};

pare_status tape_matmul(pare_tape *tape, const pare_node *node, uint32_t a, uint32_t b, uint32_t y, pare_error *error) {
    return tape_record(tape, &matmul_class, node, (const uint32_t[]){a, b}, 2, &y, 1, NULL, 0, error);
}
