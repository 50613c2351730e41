/* Tensors side by side along an axis: a copy of each into its part of y, backwards out
 * of it. y lies as oneDNN would concatenate the inputs as they lie, where each of them
 * takes whole blocks of that layout; else all are in row-major order. */
#include "train/onednn/tape_onednn.h"

typedef struct concat_plan {
    const tape_layout *y;
    dnnl_memory_desc_t *parts; /* of y, one an input */
    const tape_layout **x;
} concat_plan;

/* The inputs' parts of y in this layout; false where a part would cut blocks. */
static bool find_parts(const pare_tape *tape, const tape_step *step, const dnnl_memory_desc_t *y, concat_plan *plan) {
    int32_t axis = *(const int32_t *)step->attrs;
    dnnl_dims_t offsets = {0};
    for (uint32_t i = 0; i < step->input_count; i++) {
        dnnl_memory_desc_t own = tape_onednn_plain(&tape_tensor_at(tape, step->inputs[i])->shape);
        if (dnnl_memory_desc_init_submemory(&plan->parts[i], y, own.dims, offsets) != dnnl_success) {
            return false;
        }
        offsets[axis] += own.dims[axis];
    }
    return true;
}

static void release_primitive_desc(void *object) {
    (void)dnnl_primitive_desc_destroy(object);
}

/* The layout of y that oneDNN proposes; row-major where it proposes none that serves. */
static pare_status choose_layout(pare_tape *tape, tape_step *step, concat_plan *plan, pare_error *error) {
    const pare_shape *y = &tape_tensor_at(tape, step->outputs[0])->shape;
    dnnl_memory_desc_t *sources = tape_make(tape, step->input_count, sizeof *sources), plain = tape_onednn_plain(y);
    dnnl_primitive_desc_t concat = NULL;
    bool padded = false;
    if (sources == NULL) {
        return pare_fail_memory(error, step->input_count * sizeof *sources);
    }
    for (uint32_t i = 0; i < step->input_count; i++) {
        const pare_shape *x = &tape_tensor_at(tape, step->inputs[i])->shape;
        tape_place place;
        PARE_TRY(tape_value(tape, step->inputs[i], &place, error));
        padded |= tape_layout_padded(place.layout, x);
        plan->x[i] = place.layout;
        sources[i] = tape_onednn_desc(&place, x);
    }
    if (!padded &&
        dnnl_concat_primitive_desc_create(&concat, NULL, (int)step->input_count, *(const int32_t *)step->attrs, sources,
                                          NULL, tape_onednn_engine()) == dnnl_success) {
        PARE_TRY(tape_defer(tape, release_primitive_desc, concat, error));
        const dnnl_memory_desc_t *proposed = dnnl_primitive_desc_query_md(concat, dnnl_query_dst_md, 0);
        if (proposed != NULL && find_parts(tape, step, proposed, plan)) {
            PARE_TRY(tape_onednn_layout(tape, proposed, y, &plan->y, error));
            if (!tape_layout_padded(plan->y, y)) {
                return PARE_OK;
            }
        }
    }
    plan->y = NULL;
    return find_parts(tape, step, &plain, plan)
               ? PARE_OK
               : tape_onednn_status(step, dnnl_invalid_arguments, "a part of a concatenation", error);
}

static pare_status concat_forward(pare_tape *tape, tape_step *step, pare_error *error) {
    concat_plan *plan = tape_make(tape, 1, sizeof *plan);
    if (plan == NULL || (plan->parts = tape_make(tape, step->input_count, sizeof *plan->parts)) == NULL ||
        (plan->x = tape_make(tape, step->input_count, sizeof *plan->x)) == NULL) {
        return pare_fail_memory(error, step->input_count * sizeof *plan->parts);
    }
    step->plan = plan;
    tape_place x, y;
    PARE_TRY(choose_layout(tape, step, plan, error));
    PARE_TRY(tape_new_value(tape, step->outputs[0], plan->y, &y, error));
    for (uint32_t i = 0; i < step->input_count; i++) {
        PARE_TRY(tape_value(tape, step->inputs[i], &x, error));
        dnnl_memory_desc_t source = tape_onednn_desc(&x, &tape_tensor_at(tape, step->inputs[i])->shape);
        PARE_TRY(tape_onednn_reorder(tape, step, x.buffer, &source, y.buffer, &plan->parts[i], error));
    }
    return PARE_OK;
}

static pare_status concat_backward(pare_tape *tape, tape_step *step, pare_error *error) {
    const concat_plan *plan = step->plan;
    tape_place dy, dx;
    PARE_TRY(tape_gradient_as(tape, step->outputs[0], plan->y, &dy, error));
    for (uint32_t i = 0; i < step->input_count; i++) {
        if (!tape_tensor_at(tape, step->inputs[i])->wants_gradient) {
            continue;
        }
        PARE_TRY(tape_new_place(tape, step->inputs[i], plan->x[i], &dx, error));
        dnnl_memory_desc_t target = tape_onednn_desc(&dx, &tape_tensor_at(tape, step->inputs[i])->shape);
        PARE_TRY(tape_onednn_reorder(tape, step, dy.buffer, &plan->parts[i], dx.buffer, &target, error));
        PARE_TRY(tape_contribute(tape, step->inputs[i], &dx, error));
    }
    return PARE_OK;
}

static const tape_step_class concat_class = {"concatenation", false, concat_forward, concat_backward};

pare_status tape_concat(pare_tape *tape, const pare_node *node, int32_t axis, const uint32_t *inputs, size_t count,
                        uint32_t y, pare_error *error) {
    return tape_record(tape, &concat_class, node, inputs, count, &y, 1, &axis, sizeof axis, error);
}
