/* y.dims[i] = x.dims[permutation[i]]: a reorder between two views of one memory layout. */
#include "train/onednn/tape_onednn.h"

typedef struct transpose_attrs {
    int32_t permutation[PARE_MAX_RANK];
} transpose_attrs;

typedef struct transpose_plan {
    const tape_layout *x;
} transpose_plan;

/* x's floats, their axes numbered as y's. */
static dnnl_memory_desc_t turned(const pare_tape *tape, const tape_step *step, const tape_place *x) {
    const transpose_attrs *attrs = step->attrs;
    const pare_shape *shape = &tape_tensor_at(tape, step->inputs[0])->shape;
    dnnl_memory_desc_t desc = tape_onednn_desc(x, shape), result = desc;
    int to[PARE_MAX_RANK];
    for (int32_t a = 0; a < shape->rank; a++) {
        to[attrs->permutation[a]] = (int)a;
    }
    (void)dnnl_memory_desc_permute_axes(&result, &desc, to);
    return result;
}

static pare_status transpose_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    transpose_plan *plan = tape_make(tape, 1, sizeof *plan);
    tape_place x, y;
    if (plan == NULL) {
        return pare_fail_memory(error, sizeof *plan);
    }
    step->plan = plan;
    PARE_TRY(tape_value(tape, step->inputs[0], &x, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], NULL, &y, error));
    plan->x = x.layout;
    dnnl_memory_desc_t from = turned(tape, step, &x);
    dnnl_memory_desc_t to = tape_onednn_plain(&tape_tensor_at(tape, step->outputs[0])->shape);
    return tape_onednn_reorder(tape, step, x.buffer, &from, y.buffer, &to, error);
}

static pare_status transpose_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const transpose_plan *plan = step->plan;
    tape_place dy, dx;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], NULL, &dy, error));
    PARE_TRY(tape_new_place(tape, step->inputs[0], plan->x, &dx, error));
    dnnl_memory_desc_t from = tape_onednn_plain(&tape_tensor_at(tape, step->outputs[0])->shape);
    dnnl_memory_desc_t to = turned(tape, step, &dx);
    PARE_TRY(tape_onednn_reorder(tape, step, dy.buffer, &from, dx.buffer, &to, error));
    return tape_contribute(tape, step->inputs[0], &dx, error);
}

static const tape_step_class transpose_class = {"transposition", false, transpose_forward, transpose_backward};

pare_status tape_transpose(pare_tape *tape, const pare_node *node, const int32_t *permutation, uint32_t x, uint32_t y,
                           pare_error *error) {
    transpose_attrs attrs = {{0}};
    if (x == TAPE_NONE) { /* out of memory: the permutation may be shorter than the stand-in's rank */
        return pare_fail_memory(error, sizeof attrs);
    }
    int32_t rank = tape_tensor_at(tape, x)->shape.rank;
    for (int32_t a = 0; a < rank; a++) {
        attrs.permutation[a] = permutation[a];
    }
    return rank == 0 ? tape_reshape(tape, node, x, y, error)
                     : tape_record(tape, &transpose_class, node, &x, 1, &y, 1, &attrs, sizeof attrs, error);
}
