/* Reductions over axes (input 1 or attribute; none: all, or nothing with
 * noop_with_empty_axes), and ArgMax and ArgMin over one. */
#include "op_helpers.h"

#include "train/tape/tape.h"

static pare_status read_axes(const pare_node *node, uint32_t *mask, pare_error *error) {
    int64_t axes[PARE_MAX_RANK];
    size_t count = 0;
    int32_t rank = node->inputs[0]->shape.rank;
    PARE_TRY(op_ints_or_attr(node, 1, "axes", axes, PARE_MAX_RANK, &count, error));
    PARE_TRY(op_axis_mask(node, axes, count, rank, mask, error));
    if (count == 0 && pare_node_int(node, "noop_with_empty_axes", 0) == 0) {
        *mask = (1U << rank) - 1U;
    }
    return PARE_OK;
}

static pare_shape reduced_shape(const pare_shape *x, uint32_t mask, bool keep) {
    pare_shape y = {0};
    for (int32_t a = 0; a < x->rank; a++) {
        if ((mask >> a & 1U) == 0) {
            y.dims[y.rank++] = x->dims[a];
        } else if (keep) {
            y.dims[y.rank++] = 1;
        }
    }
    return y;
}

static pare_status reduce_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    uint32_t mask = 0;
    PARE_TRY(read_axes(node, &mask, error));
    pare_shape y = reduced_shape(&node->inputs[0]->shape, mask, pare_node_int(node, "keepdims", 1) != 0);
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static bool combine(pare_reduce_kind kind, int64_t a, int64_t b, int64_t *y) {
    switch (kind) {
    case PARE_REDUCE_SUM:
        return !op_is_batch_mark(a) && !op_is_batch_mark(b) && pare_add_i64(a, b, y) && !op_is_batch_mark(*y);
    case PARE_REDUCE_PROD:
        if (op_is_batch_mark(a) != op_is_batch_mark(b)) {
            int64_t k = (op_is_batch_mark(a) ? a : b) - PARE_BATCH_MARK, other = op_is_batch_mark(a) ? b : a;
            return other > 0 && pare_mul_i64(k, other, y) && (*y += PARE_BATCH_MARK, op_is_batch_mark(*y));
        }
        return !op_is_batch_mark(a) && pare_mul_i64(a, b, y) && !op_is_batch_mark(*y);
    case PARE_REDUCE_MAX:
        *y = a > b ? a : b;
        return !op_is_batch_mark(a) && !op_is_batch_mark(b);
    case PARE_REDUCE_MIN:
        *y = a < b ? a : b;
        return !op_is_batch_mark(a) && !op_is_batch_mark(b);
    default:
        return false;
    }
}

/* Integers of shape arithmetic: int64, everything to one element. */
static pare_status fold_to_one(pare_graph *graph, pare_node *node, pare_reduce_kind kind, pare_error *error) {
    const pare_value *x = node->inputs[0], *y = op_output(node, 0);
    int64_t result = 0, element = 0;
    bool keeps = kind <= PARE_REDUCE_PROD; /* one element alone is the result */
    if (!keeps || y == NULL || x->dtype != PARE_S64 || !op_may_fold(x) || op_count(y) != 1 || op_count(x) < 1) {
        return PARE_OK;
    }
    (void)op_int_at(x, 0, &result);
    for (size_t i = 1; i < op_count(x); i++) {
        if (!op_int_at(x, i, &element) || !combine(kind, result, element, &result)) {
            return PARE_OK;
        }
    }
    return op_make_constant(graph, node, 0, &result, sizeof result, error);
}

static pare_status lower_reduce(pare_lowering *lowering, const pare_node *node, pare_reduce_kind kind,
                                pare_error *error) {
    uint32_t mask = 0, in = PARE_NONE, out = PARE_NONE;
    PARE_TRY(read_axes(node, &mask, error));
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    if (mask == 0 && kind <= PARE_REDUCE_PROD) {
        return op_emit_reshape(lowering, node, in, out, error);
    }
    pare_reduce_attrs attrs = {(int32_t)kind, (int32_t)mask, pare_node_int(node, "keepdims", 1) != 0};
    pare_dtype dtype = node->inputs[0]->dtype, wide = dtype == PARE_BOOL ? PARE_S32 : op_working_dtype(dtype);
    if (wide == dtype) {
        return pare_lower_emit(lowering, node, PARE_OP_REDUCE, &attrs, &in, 1, &out, 1, error);
    }
    uint32_t reduced = PARE_NONE;
    PARE_TRY(op_cast_to(lowering, node, wide, &in, error));
    PARE_TRY(op_temporary(lowering, node, in, &node->outputs[0]->shape, &reduced, error));
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_REDUCE, &attrs, &in, 1, &reduced, 1, error));
    return op_emit_cast(lowering, node, reduced, dtype, out, error);
}

/* Axes that are reduced keep their extents: a mean over fewer channels is another mean. */
static void unreduced_channels(pare_channels *channels, const pare_node *node, uint32_t mask, bool keep) {
    const pare_value *x = node->inputs[0];
    for (int32_t a = 0, to = 0; a < x->shape.rank; a++) {
        bool reduced = (mask >> a & 1U) != 0;
        if (reduced) {
            pare_channels_hold(channels, x, a);
        } else {
            pare_channels_join_axes(channels, x, a, op_output(node, 0), to);
        }
        to += !reduced || keep;
    }
}

static void reduce_channels(pare_channels *channels, const pare_node *node) {
    uint32_t mask = 0;
    (void)read_axes(node, &mask, NULL);
    unreduced_channels(channels, node, mask, pare_node_int(node, "keepdims", 1) != 0);
}

static pare_status record_reduce(pare_tape *tape, const pare_node *node, pare_reduce_kind kind, pare_error *error) {
    uint32_t mask = 0, x = tape_input(tape, node, 0), y = tape_output(tape, node, 0);
    PARE_TRY(read_axes(node, &mask, error));
    return mask == 0 && kind <= PARE_REDUCE_PROD ? tape_reshape(tape, node, x, y, error)
                                                 : tape_reduce(tape, node, kind, mask, x, y, error);
}

#define KIND(name, kind)                                                                                               \
    static pare_status lower_##name(pare_lowering *lowering, const pare_node *node, pare_error *error) {               \
        return lower_reduce(lowering, node, kind, error);                                                              \
    }                                                                                                                  \
    static pare_status fold_##name(pare_graph *graph, pare_node *node, pare_error *error) {                            \
        return fold_to_one(graph, node, kind, error);                                                                  \
    }                                                                                                                  \
    static pare_status gradient_##name(pare_tape *tape, const pare_node *node, pare_error *error) {                    \
        return record_reduce(tape, node, kind, error);                                                                 \
    }

KIND(mean, PARE_REDUCE_MEAN)
KIND(sum, PARE_REDUCE_SUM)
KIND(max, PARE_REDUCE_MAX)
KIND(min, PARE_REDUCE_MIN)
KIND(prod, PARE_REDUCE_PROD)
KIND(l1, PARE_REDUCE_L1)
KIND(l2, PARE_REDUCE_L2)
KIND(sum_square, PARE_REDUCE_SUM_SQUARE)
KIND(log_sum, PARE_REDUCE_LOG_SUM)
KIND(log_sum_exp, PARE_REDUCE_LOG_SUM_EXP)

#define REDUCE(op_name, of)                                                                                            \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = 1, .min_inputs = 1, .max_inputs = 2, .min_outputs = 1,                 \
        .max_outputs = 1, .quant = PARE_QUANT_FLOAT, .weight_input = -1, .bias_input = -1, .infer = reduce_infer,      \
        .fold = fold_##of, .lower = lower_##of, .gradient = gradient_##of, .channels = reduce_channels                 \
    }

PARE_DEFINE_OP(ReduceMean) = REDUCE("ReduceMean", mean);
PARE_DEFINE_OP(ReduceSum) = REDUCE("ReduceSum", sum);
PARE_DEFINE_OP(ReduceMax) = REDUCE("ReduceMax", max);
PARE_DEFINE_OP(ReduceMin) = REDUCE("ReduceMin", min);
PARE_DEFINE_OP(ReduceProd) = REDUCE("ReduceProd", prod);
PARE_DEFINE_OP(ReduceL1) = REDUCE("ReduceL1", l1);
PARE_DEFINE_OP(ReduceL2) = REDUCE("ReduceL2", l2);
PARE_DEFINE_OP(ReduceSumSquare) = REDUCE("ReduceSumSquare", sum_square);
PARE_DEFINE_OP(ReduceLogSum) = REDUCE("ReduceLogSum", log_sum);
PARE_DEFINE_OP(ReduceLogSumExp) = REDUCE("ReduceLogSumExp", log_sum_exp);

/* --- ArgMax, ArgMin -------------------------------------------------------- */

static pare_status arg_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    int32_t axis = 0;
    const pare_shape *x = &node->inputs[0]->shape;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", 0), x->rank, &axis, error));
    if (x->dims[axis] < 1) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected an axis other than the batch, found %d",
                              (int)axis);
    }
    pare_shape y = reduced_shape(x, 1U << axis, pare_node_int(node, "keepdims", 1) != 0);
    return op_set_output(node, 0, PARE_S64, &y, error);
}

static pare_status lower_arg(pare_lowering *lowering, const pare_node *node, bool minimum, pare_error *error) {
    uint32_t in = PARE_NONE, out = PARE_NONE;
    pare_arg_reduce_attrs attrs = {.keep_dims = pare_node_int(node, "keepdims", 1) != 0,
                                   .minimum = minimum,
                                   .last_index = pare_node_int(node, "select_last_index", 0) != 0};
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", 0), node->inputs[0]->shape.rank, &attrs.axis, error));
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return pare_lower_emit(lowering, node, PARE_OP_ARG_REDUCE, &attrs, &in, 1, &out, 1, error);
}

static pare_status argmax_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    return lower_arg(lowering, node, false, error);
}

static pare_status argmin_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    return lower_arg(lowering, node, true, error);
}

static void arg_channels(pare_channels *channels, const pare_node *node) {
    int32_t axis = 0;
    (void)op_axis(node, pare_node_int(node, "axis", 0), node->inputs[0]->shape.rank, &axis, NULL);
    unreduced_channels(channels, node, 1U << axis, pare_node_int(node, "keepdims", 1) != 0);
}

#define ARG(op_name, lower_rule)                                                                                       \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = 1, .min_inputs = 1, .max_inputs = 1, .min_outputs = 1,                 \
        .max_outputs = 1, .quant = PARE_QUANT_FLOAT, .weight_input = -1, .bias_input = -1, .infer = arg_infer,         \
        .lower = lower_rule, .channels = arg_channels                                                                  \
    }

PARE_DEFINE_OP(ArgMax) = ARG("ArgMax", argmax_lower);
PARE_DEFINE_OP(ArgMin) = ARG("ArgMin", argmin_lower);
