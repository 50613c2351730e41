/* Cast to the type of attribute `to`; CastLike to that of input 1. */
#include "op_helpers.h"

#include "train/tape/tape_record.h"

static pare_dtype target(const pare_node *node) {
    const pare_value *like = op_input(node, 1);
    return like != NULL ? like->dtype : (pare_dtype)pare_node_int(node, "to", 0);
}

static pare_status cast_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    if (op_input(node, 1) == NULL && pare_node_attr(node, "to") == NULL) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected attribute to, found none");
    }
    if (pare_dtype_bytes(target(node)) == 0) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected a number type that Pare knows, found type %lld",
                              (long long)target(node));
    }
    return op_set_output(node, 0, target(node), &node->inputs[0]->shape, error);
}

/* Integers to int64, int32, bool or float: what shape arithmetic does. */
static pare_status cast_fold(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *x = node->inputs[0], *y = op_output(node, 0);
    int64_t results[1024];
    if (y == NULL || !op_may_fold(x) || op_count(x) > 1024) {
        return PARE_OK;
    }
    if (x->dtype == y->dtype) {
        return op_fold_copy(graph, node, error);
    }
    size_t count = op_count(x);
    for (size_t i = 0; i < count; i++) {
        int64_t element = 0;
        if (!op_int_at(x, i, &element) || op_is_batch_mark(element)) {
            return PARE_OK;
        }
        if (y->dtype == PARE_S64) {
            results[i] = element;
        } else if (y->dtype == PARE_S32) {
            ((int32_t *)results)[i] = (int32_t)element;
        } else if (y->dtype == PARE_BOOL) {
            ((uint8_t *)results)[i] = element != 0;
        } else if (y->dtype == PARE_F32) {
            ((float *)results)[i] = (float)element;
        } else {
            return PARE_OK;
        }
    }
    return op_make_constant(graph, node, 0, results, count * pare_dtype_bytes(y->dtype), error);
}

static pare_status cast_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    uint32_t in = PARE_NONE, out = PARE_NONE;
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return op_emit_cast(lowering, node, in, target(node), out, error);
}

/* What is float already; numbers of another type have no gradient, so nothing is lost in the runtime. */
static pare_status cast_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    return node->inputs[0]->dtype == PARE_F32
               ? tape_reshape(tape, node, tape_input(tape, node, 0), tape_output(tape, node, 0), error)
               : tape_record_fixed(tape, node, error);
}

#define CAST(op_name, opset, inputs)                                                                                   \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = opset, .min_inputs = inputs, .max_inputs = inputs, .min_outputs = 1,   \
        .max_outputs = 1, .weight_input = -1, .bias_input = -1, .infer = cast_infer, .fold = cast_fold,                \
        .lower = cast_lower, .gradient = cast_gradient, .channels = op_channels_same                                   \
    }

PARE_DEFINE_OP(Cast) = CAST("Cast", 1, 1);
PARE_DEFINE_OP(CastLike) = CAST("CastLike", 15, 2);
