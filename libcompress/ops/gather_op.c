/* Gather: y = x[:axis] × indices × x[axis + 1:]. */
#include "op_helpers.h"

#include <string.h>

#include "train/tape/tape.h"

/* Constant indices are checked here, computed ones by the kernel. */
static pare_status check_indices(const pare_node *node, int64_t extent, pare_error *error) {
    int64_t index = 0;
    for (size_t i = 0; op_int_at(node->inputs[1], i, &index); i++) {
        if ((index < -extent || index >= extent) && !op_is_batch_mark(index)) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected indices in [%lld, %lld), found %lld",
                                  (long long)-extent, (long long)extent, (long long)index);
        }
    }
    return PARE_OK;
}

static pare_status gather_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    const pare_value *x = node->inputs[0], *indices = node->inputs[1];
    int32_t axis = 0;
    PARE_TRY(op_check_rank(node, 0, 1, PARE_MAX_RANK, error));
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", 0), x->shape.rank, &axis, error));
    int32_t rank = x->shape.rank - 1 + indices->shape.rank;
    if (x->shape.dims[axis] < 0 || rank > PARE_MAX_RANK) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED,
                              "expected an axis other than the batch and at most %d dimensions, found other",
                              PARE_MAX_RANK);
    }
    if (indices->dtype != PARE_S64 && indices->dtype != PARE_S32) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected indices of type int32 or int64, found %s",
                              pare_dtype_name(indices->dtype));
    }
    PARE_TRY(check_indices(node, x->shape.dims[axis], error));
    pare_shape y = {.rank = rank};
    for (int32_t a = 0; a < rank; a++) {
        y.dims[a] = a < axis                         ? x->shape.dims[a]
                    : a < axis + indices->shape.rank ? indices->shape.dims[a - axis]
                                                     : x->shape.dims[a - indices->shape.rank + 1];
    }
    return op_set_output(node, 0, x->dtype, &y, error);
}

static pare_status gather_fold(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *x = node->inputs[0], *indices = node->inputs[1], *y = op_output(node, 0);
    if (y == NULL || !op_may_fold(x) || !op_may_fold(indices)) {
        return PARE_OK;
    }
    int32_t axis = 0;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", 0), x->shape.rank, &axis, error));
    size_t size = pare_dtype_bytes(x->dtype), inner = size, bytes = op_count(y) * size;
    for (int32_t a = axis + 1; a < x->shape.rank; a++) {
        inner *= (size_t)x->shape.dims[a];
    }
    int64_t extent = x->shape.dims[axis];
    size_t picked = op_count(indices), rows = picked * inner != 0 ? bytes / (picked * inner) : 0;
    char *data = pare_alloc(bytes);
    if (data == NULL) {
        return pare_fail_memory(error, bytes);
    }
    pare_status status = PARE_OK;
    for (size_t i = 0; status == PARE_OK && i < rows * picked; i++) {
        int64_t index = 0;
        (void)op_int_at(indices, i % picked, &index);
        index = index < 0 ? index + extent : index;
        if (index < 0 || index >= extent) {
            status = pare_node_fail(node, error, PARE_BAD_INPUT, "expected indices in [%lld, %lld), found %lld",
                                    (long long)-extent, (long long)extent, (long long)index);
        } else {
            memcpy(data + i * inner, (const char *)x->data + (i / picked * (size_t)extent + (size_t)index) * inner,
                   inner);
        }
    }
    if (status == PARE_OK) {
        status = op_make_constant(graph, node, 0, data, bytes, error);
    }
    pare_free(data);
    return status;
}

static pare_status gather_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    pare_axis_attrs attrs = {0};
    uint32_t inputs[2], out = PARE_NONE;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", 0), node->inputs[0]->shape.rank, &attrs.axis, error));
    PARE_TRY(pare_lower_input(lowering, node, 0, &inputs[0], error));
    PARE_TRY(pare_lower_input(lowering, node, 1, &inputs[1], error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return pare_lower_emit(lowering, node, PARE_OP_GATHER, &attrs, inputs, 2, &out, 1, error);
}

/* The indices say which elements of the axis are read; the other axes pass. */
static void gather_channels(pare_channels *channels, const pare_node *node) {
    const pare_value *x = node->inputs[0], *indices = node->inputs[1], *y = op_output(node, 0);
    int32_t axis = 0;
    (void)op_axis(node, pare_node_int(node, "axis", 0), x->shape.rank, &axis, NULL);
    for (int32_t a = 0; a < x->shape.rank; a++) {
        if (a == axis) {
            pare_channels_hold(channels, x, a);
            continue;
        }
        pare_channels_join_axes(channels, x, a, y, a < axis ? a : a - 1 + indices->shape.rank);
        pare_channels_made_by(channels, x, a);
    }
    for (int32_t a = 0; a < indices->shape.rank; a++) {
        pare_channels_join_axes(channels, indices, a, y, axis + a);
    }
}

/* A constant table of which computed indices pick is an embedding, and trained. */
static pare_status gather_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    int32_t axis = 0;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", 0), node->inputs[0]->shape.rank, &axis, error));
    return tape_gather(tape, node, axis, tape_weight(tape, node, 0, true), tape_input(tape, node, 1),
                       tape_output(tape, node, 0), error);
}

PARE_DEFINE_OP(Gather) = {.name = "Gather",
                          .domain = "",
                          .since = 1,
                          .min_inputs = 2,
                          .max_inputs = 2,
                          .min_outputs = 1,
                          .max_outputs = 1,
                          .quant = PARE_QUANT_MOVE,
                          .weight_input = -1,
                          .bias_input = -1,
                          .infer = gather_infer,
                          .fold = gather_fold,
                          .lower = gather_lower,
                          .gradient = gather_gradient,
                          .channels = gather_channels};
