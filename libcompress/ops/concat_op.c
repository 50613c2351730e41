/* Concat: tensors side by side along one axis. */
#include "op_helpers.h"

#include "train/tape/tape.h"

static pare_status concat_check(const pare_node *node, pare_error *error) {
    return pare_node_attr(node, "axis") != NULL
               ? PARE_OK
               : pare_node_fail(node, error, PARE_BAD_INPUT, "expected attribute axis, found none");
}

static pare_status concat_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    pare_shape y = node->inputs[0]->shape;
    int32_t axis = 0;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", 1), y.rank, &axis, error));
    for (size_t i = 1; i < node->input_count; i++) {
        const pare_value *next = node->inputs[i];
        bool fits = next != NULL && next->shape.rank == y.rank && next->dtype == node->inputs[0]->dtype;
        for (int32_t a = 0; fits && a < y.rank; a++) {
            fits = a == axis ? next->shape.dims[a] >= 0 && y.dims[a] >= 0 : next->shape.dims[a] == y.dims[a];
        }
        if (!fits || !pare_add_i64(y.dims[axis], next->shape.dims[axis], &y.dims[axis])) {
            char left[160], right[160];
            return pare_node_fail(node, error, PARE_BAD_INPUT,
                                  "expected inputs of one type that agree but for axis %d, found %s and %s", (int)axis,
                                  pare_shape_text(&node->inputs[0]->shape, left, sizeof left),
                                  next != NULL ? pare_shape_text(&next->shape, right, sizeof right) : "none");
        }
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status concat_fold(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *y = op_output(node, 0);
    for (size_t i = 0; i < node->input_count; i++) {
        if (y == NULL || !op_may_fold(node->inputs[i])) {
            return PARE_OK;
        }
    }
    int32_t axis = 0;
    int64_t from[PARE_MAX_RANK], to[PARE_MAX_RANK], offset = 0;
    size_t size = pare_dtype_bytes(y->dtype), bytes = op_count(y) * size;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", 1), y->shape.rank, &axis, error));
    char *data = pare_alloc(bytes);
    if (data == NULL) {
        return pare_fail_memory(error, bytes);
    }
    op_strides(&y->shape, to);
    for (size_t i = 0; bytes > 0 && i < node->input_count; i++) {
        const pare_value *x = node->inputs[i];
        op_strides(&x->shape, from);
        op_copy_strided(data + offset * to[axis] * (int64_t)size, to, x->data, from, x->shape.dims, x->shape.rank,
                        size);
        offset += x->shape.dims[axis];
    }
    pare_status status = op_make_constant(graph, node, 0, data, bytes, error);
    pare_free(data);
    return status;
}

/* An integer input on another grid than the output's passes through a table first. */
static pare_status on_grid(pare_lowering *lowering, const pare_node *node, uint32_t out, uint32_t *in,
                           pare_error *error) {
    const pare_model_quant *x = pare_model_builder_tensor(lowering->builder, *in)->quant;
    pare_model_tensor y = *pare_model_builder_tensor(lowering->builder, out);
    pare_shape shape = pare_model_builder_tensor(lowering->builder, *in)->shape;
    uint32_t moved = PARE_NONE;
    if (x->scales[0] == y.quant->scales[0] && x->zero_points[0] == y.quant->zero_points[0]) {
        return PARE_OK;
    }
    PARE_TRY(op_temporary(lowering, node, out, &shape, &moved, error));
    PARE_TRY(op_emit_table(lowering, node, op_identity, *in, moved, error));
    *in = moved;
    return PARE_OK;
}

static pare_status concat_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    pare_axis_attrs attrs = {0};
    uint32_t out = PARE_NONE;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", 1), node->inputs[0]->shape.rank, &attrs.axis, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    uint32_t *inputs = pare_alloc_zero(node->input_count, sizeof *inputs);
    if (inputs == NULL) {
        return pare_fail_memory(error, node->input_count * sizeof *inputs);
    }
    pare_status status = PARE_OK;
    for (size_t i = 0; status == PARE_OK && i < node->input_count; i++) {
        status = pare_lower_input(lowering, node, i, &inputs[i], error);
        if (status == PARE_OK && lowering->integer) {
            status = on_grid(lowering, node, out, &inputs[i], error);
        }
    }
    if (status == PARE_OK) {
        status = pare_lower_emit(lowering, node, PARE_OP_CONCAT, &attrs, inputs, node->input_count, &out, 1, error);
    }
    pare_free(inputs);
    return status;
}

static bool concat_integer(const pare_node *node) {
    for (size_t i = 0; i < node->input_count; i++) {
        if (!op_is_u8(node->inputs[i])) {
            return false;
        }
    }
    return true;
}

static void concat_channels(pare_channels *channels, const pare_node *node) {
    const pare_value *y = op_output(node, 0);
    int32_t axis = 0;
    int64_t offset = 0;
    if (y == NULL || op_axis(node, pare_node_int(node, "axis", 1), y->shape.rank, &axis, NULL) != PARE_OK) {
        return;
    }
    for (size_t i = 0; i < node->input_count; i++) {
        const pare_value *x = node->inputs[i];
        for (int32_t a = 0; a < y->shape.rank; a++) {
            if (a == axis) {
                pare_channels_join_range(channels, x, a, 0, y, a, offset, x->shape.dims[a]);
            } else {
                pare_channels_join_axes(channels, x, a, y, a);
            }
        }
        offset += x->shape.dims[axis];
    }
}

static pare_status concat_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    int32_t axis = 0;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", 1), node->inputs[0]->shape.rank, &axis, error));
    uint32_t *inputs = pare_alloc(node->input_count * sizeof *inputs);
    if (inputs == NULL) {
        return pare_fail_memory(error, node->input_count * sizeof *inputs);
    }
    for (size_t i = 0; i < node->input_count; i++) {
        inputs[i] = tape_input(tape, node, i);
    }
    pare_status status = tape_concat(tape, node, axis, inputs, node->input_count, tape_output(tape, node, 0), error);
    pare_free(inputs);
    return status;
}

PARE_DEFINE_OP(Concat) = {.name = "Concat",
                          .domain = "",
                          .since = 1,
                          .min_inputs = 1,
                          .max_inputs = 65535,
                          .min_outputs = 1,
                          .max_outputs = 1,
                          .quant = PARE_QUANT_JOIN,
                          .weight_input = -1,
                          .bias_input = -1,
                          .check = concat_check,
                          .infer = concat_infer,
                          .fold = concat_fold,
                          .lower = concat_lower,
                          .gradient = concat_gradient,
                          .integer = concat_integer,
                          .channels = concat_channels};
