/* LayerNormalization, InstanceNormalization, GroupNormalization, LRN. */
#include "op_helpers.h"

#include "train/tape/tape.h"

/* --- LayerNormalization ------------------------------------------------------ */

static pare_status layer_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    int32_t axis = 0;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", -1), x->rank, &axis, error));
    pare_shape statistics = *x;
    for (int32_t a = axis; a < x->rank; a++) {
        if (x->dims[a] < 1) {
            return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected fixed axes from %d on, found an open one",
                                  (int)axis);
        }
        statistics.dims[a] = 1;
    }
    pare_shape normalized = op_shape(x->rank - axis, x->dims + axis);
    for (size_t i = 1; i < node->input_count; i++) {
        pare_shape wide;
        if (node->inputs[i] != NULL && (!pare_shape_broadcast(&normalized, &node->inputs[i]->shape, &wide) ||
                                        !pare_shape_equal(&wide, &normalized))) {
            return pare_node_fail(node, error, PARE_BAD_INPUT,
                                  "expected \"%s\" to fit the normalized axes, found other", node->inputs[i]->name);
        }
    }
    PARE_TRY(op_set_output(node, 1, PARE_F32, &statistics, error));
    PARE_TRY(op_set_output(node, 2, PARE_F32, &statistics, error));
    return op_infer_same(graph, node, error);
}

static bool is_read(const pare_node *node, size_t index) {
    const pare_value *value = op_output(node, index);
    return value != NULL && (value->use_count > 0 || value->is_output);
}

/* Mean and 1 / sqrt(variance + epsilon), for those who read them. */
static pare_status layer_statistics(pare_lowering *lowering, const pare_node *node, uint32_t x, int32_t axis,
                                    pare_error *error) {
    pare_reduce_attrs attrs = {PARE_REDUCE_MEAN, ((1 << node->inputs[0]->shape.rank) - 1) & ~((1 << axis) - 1), 1};
    uint32_t mean = PARE_NONE, step[4], epsilon = PARE_NONE, out = PARE_NONE;
    const pare_shape *shape = &node->inputs[0]->shape;
    pare_shape small = *shape;
    for (int32_t a = axis; a < shape->rank; a++) {
        small.dims[a] = 1;
    }
    if (is_read(node, 1)) {
        PARE_TRY(pare_lower_output(lowering, node, 1, &mean, error));
    } else {
        PARE_TRY(pare_lower_temporary(lowering, node, PARE_F32, &small, NULL, &mean, error));
    }
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_REDUCE, &attrs, &x, 1, &mean, 1, error));
    if (!is_read(node, 2)) {
        return PARE_OK;
    }
    for (size_t i = 0; i < 4; i++) {
        PARE_TRY(pare_lower_temporary(lowering, node, PARE_F32, i < 2 ? shape : &small, NULL, &step[i], error));
    }
    PARE_TRY(pare_lower_output(lowering, node, 2, &out, error));
    PARE_TRY(op_float_scalar(lowering, node, pare_node_float(node, "epsilon", 1e-5F), &epsilon, error));
    PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_SUB, x, mean, op_identity, step[0], error));
    PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_MUL, step[0], step[0], op_identity, step[1], error));
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_REDUCE, &attrs, &step[1], 1, &step[2], 1, error));
    PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_ADD, step[2], epsilon,
                            (pare_activation){PARE_FN_SQRT, 0.0F, 0.0F}, step[3], error));
    return op_emit_unary(lowering, node, (pare_activation){PARE_FN_RECIPROCAL, 0.0F, 0.0F}, step[3], out, error);
}

/* The opcode wants operands of exactly the normalized shape. */
static pare_status fitted(pare_lowering *lowering, const pare_node *node, const pare_shape *shape, uint32_t *tensor,
                          pare_error *error) {
    pare_shape have = pare_model_builder_tensor(lowering->builder, *tensor)->shape;
    if (pare_shape_equal(&have, shape)) {
        return PARE_OK;
    }
    pare_shape_attrs attrs = {.rank = shape->rank};
    uint32_t wide = PARE_NONE;
    for (int32_t a = 0; a < shape->rank; a++) {
        attrs.dims[a] = (int32_t)shape->dims[a];
    }
    PARE_TRY(pare_lower_temporary(lowering, node, PARE_F32, shape, NULL, &wide, error));
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_EXPAND, &attrs, tensor, 1, &wide, 1, error));
    *tensor = wide;
    return PARE_OK;
}

static pare_status layer_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    uint32_t inputs[3], out = PARE_NONE;
    pare_norm_attrs attrs = {.epsilon = pare_node_float(node, "epsilon", 1e-5F)};
    const pare_shape *x = &node->inputs[0]->shape;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", -1), x->rank, &attrs.axis, error));
    pare_shape normalized = op_shape(x->rank - attrs.axis, x->dims + attrs.axis);
    for (size_t i = 0; i < 3; i++) {
        PARE_TRY(pare_lower_input(lowering, node, i, &inputs[i], error));
        if (i > 0 && inputs[i] != PARE_NONE) {
            PARE_TRY(fitted(lowering, node, &normalized, &inputs[i], error));
        }
    }
    if (is_read(node, 0)) {
        PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
        PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_LAYER_NORM, &attrs, inputs, inputs[2] != PARE_NONE ? 3 : 2,
                                 &out, 1, error));
    }
    return is_read(node, 1) || is_read(node, 2) ? layer_statistics(lowering, node, inputs[0], attrs.axis, error)
                                                : PARE_OK;
}

/* Means over fewer channels would be others: the normalized axes stay. */
/* Rows of `width` elements to mean 0 and variance 1, in a tensor of x's shape; scale and bias as tape_normalize. */
static pare_status record_normalized(pare_tape *tape, const pare_node *node, int64_t width, uint32_t scale,
                                     uint32_t bias, uint32_t *x, pare_error *error) {
    pare_shape shape = tape_tensor_at(tape, *x)->shape;
    int64_t rows = (int64_t)tape_tensor_at(tape, *x)->elements / width;
    pare_shape flat = op_shape(2, (const int64_t[]){rows, width});
    PARE_TRY(tape_reshaped(tape, node, &flat, x, error));
    uint32_t y = tape_temporary(tape, node, &flat);
    PARE_TRY(tape_normalize(tape, node, *x, scale, bias, pare_node_float(node, "epsilon", 1e-5F), y, error));
    *x = y;
    return tape_reshaped(tape, node, &shape, x, error);
}

/* y = x × scale + bias, both broadcast; either may be TAPE_NONE, not both. */
static pare_status record_affine(pare_tape *tape, const pare_node *node, uint32_t x, uint32_t scale, uint32_t bias,
                                 uint32_t y, pare_error *error) {
    if (scale != TAPE_NONE) {
        pare_shape shape = tape_tensor_at(tape, x)->shape;
        uint32_t product = bias != TAPE_NONE ? tape_temporary(tape, node, &shape) : y;
        PARE_TRY(tape_binary(tape, node, PARE_BINARY_MUL, x, scale, product, error));
        x = product;
    }
    return bias != TAPE_NONE ? tape_binary(tape, node, PARE_BINARY_ADD, x, bias, y, error) : PARE_OK;
}

/* As layer_statistics. */
static pare_status record_statistics(pare_tape *tape, const pare_node *node, uint32_t x, uint32_t mask,
                                     pare_error *error) {
    float epsilon = pare_node_float(node, "epsilon", 1e-5F);
    pare_shape shape = tape_tensor_at(tape, x)->shape, small = shape, scalar = {.rank = 0};
    for (int32_t a = 0; a < shape.rank; a++) {
        small.dims[a] = (mask >> a & 1U) != 0 ? 1 : shape.dims[a];
    }
    uint32_t mean = is_read(node, 1) ? tape_output(tape, node, 1) : tape_temporary(tape, node, &small), step[4];
    PARE_TRY(tape_reduce(tape, node, PARE_REDUCE_MEAN, mask, x, mean, error));
    if (!is_read(node, 2)) {
        return PARE_OK;
    }
    for (size_t i = 0; i < 4; i++) {
        step[i] = tape_temporary(tape, node, i < 2 ? &shape : &small);
    }
    uint32_t deviation = tape_temporary(tape, node, &small), added = tape_constant(tape, &scalar, &epsilon);
    PARE_TRY(tape_binary(tape, node, PARE_BINARY_SUB, x, mean, step[0], error));
    PARE_TRY(tape_binary(tape, node, PARE_BINARY_MUL, step[0], step[0], step[1], error));
    PARE_TRY(tape_reduce(tape, node, PARE_REDUCE_MEAN, mask, step[1], step[2], error));
    PARE_TRY(tape_binary(tape, node, PARE_BINARY_ADD, step[2], added, step[3], error));
    PARE_TRY(tape_unary(tape, node, (pare_activation){PARE_FN_SQRT, 0.0F, 0.0F}, step[3], deviation, error));
    return tape_unary(tape, node, (pare_activation){PARE_FN_RECIPROCAL, 0.0F, 0.0F}, deviation,
                      tape_output(tape, node, 2), error);
}

static pare_status layer_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    uint32_t in = tape_input(tape, node, 0), scale = tape_weight(tape, node, 1, false);
    uint32_t bias = tape_weight(tape, node, 2, false), y = in;
    int32_t axis = 0;
    int64_t width = 1;
    PARE_TRY(op_axis(node, pare_node_int(node, "axis", -1), x->rank, &axis, error));
    uint32_t mask = ((1U << x->rank) - 1U) & ~((1U << axis) - 1U);
    for (int32_t a = axis; a < x->rank; a++) {
        width *= x->dims[a];
    }
    if (is_read(node, 1) || is_read(node, 2)) {
        PARE_TRY(record_statistics(tape, node, in, mask, error));
    }
    if (!is_read(node, 0)) {
        return PARE_OK;
    }
    bool whole =
        op_count(node->inputs[1]) == (size_t)width && (bias == TAPE_NONE || op_count(node->inputs[2]) == (size_t)width);
    if (!whole) {
        PARE_TRY(record_normalized(tape, node, width, TAPE_NONE, TAPE_NONE, &y, error));
        return record_affine(tape, node, y, scale, bias, tape_output(tape, node, 0), error);
    }
    pare_shape row = op_shape(1, &width);
    PARE_TRY(tape_reshaped(tape, node, &row, &scale, error));
    PARE_TRY(tape_reshaped(tape, node, &row, &bias, error));
    PARE_TRY(record_normalized(tape, node, width, scale, bias, &y, error));
    return tape_reshape(tape, node, y, tape_output(tape, node, 0), error);
}

static void layer_channels(pare_channels *channels, const pare_node *node) {
    const pare_value *x = node->inputs[0];
    int32_t axis = 0;
    op_channels_same(channels, node);
    (void)op_axis(node, pare_node_int(node, "axis", -1), x->shape.rank, &axis, NULL);
    pare_channels_hold_from(channels, x, axis);
    for (size_t i = 1; i < 3; i++) {
        const pare_value *operand = op_input(node, i);
        for (int32_t a = 0; operand != NULL && a < operand->shape.rank; a++) {
            pare_channels_join_axes(channels, operand, a, x, x->shape.rank - operand->shape.rank + a);
        }
        pare_channels_adjusted_by(channels, operand, i == 1 ? 1.0F : 0.0F);
        for (int32_t a = 0; a < axis; a++) {
            pare_channels_join_axes(channels, x, a, op_output(node, i), a);
        }
    }
}

PARE_DEFINE_OP(LayerNormalization) = {.name = "LayerNormalization",
                                      .domain = "",
                                      .since = 17,
                                      .min_inputs = 2,
                                      .max_inputs = 3,
                                      .min_outputs = 1,
                                      .max_outputs = 3,
                                      .weight_input = -1,
                                      .bias_input = -1,
                                      .infer = layer_infer,
                                      .lower = layer_lower,
                                      .gradient = layer_gradient,
                                      .channels = layer_channels};

/* --- InstanceNormalization --------------------------------------------------- */

static pare_status instance_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    PARE_TRY(op_check_rank(node, 0, 3, PARE_MAX_RANK, error));
    const pare_shape *x = &node->inputs[0]->shape;
    for (size_t i = 1; i < 3; i++) {
        if (node->inputs[i]->shape.rank != 1 || node->inputs[i]->shape.dims[0] != x->dims[1]) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected \"%s\" to have %lld elements, found other",
                                  node->inputs[i]->name, (long long)x->dims[1]);
        }
    }
    return op_infer_same(graph, node, error);
}

static pare_status instance_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    uint32_t inputs[3], out = PARE_NONE;
    pare_norm_attrs attrs = {.axis = 2, .epsilon = pare_node_float(node, "epsilon", 1e-5F)};
    for (size_t i = 0; i < 3; i++) {
        PARE_TRY(pare_lower_input(lowering, node, i, &inputs[i], error));
    }
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return pare_lower_emit(lowering, node, PARE_OP_INSTANCE_NORM, &attrs, inputs, 3, &out, 1, error);
}

/* A row of numbers as [C, 1..], which broadcasts over [N, C, spatial..] of this rank. */
static pare_status by_channel(pare_tape *tape, const pare_node *node, size_t input, int32_t rank, uint32_t *tensor,
                              pare_error *error) {
    pare_shape shape = {.rank = rank - 1};
    *tensor = tape_weight(tape, node, input, false);
    for (int32_t a = 0; a < shape.rank; a++) {
        shape.dims[a] = a == 0 ? node->inputs[input]->shape.dims[0] : 1;
    }
    return tape_reshaped(tape, node, &shape, tensor, error);
}

static pare_status instance_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    uint32_t y = tape_input(tape, node, 0), scale = TAPE_NONE, bias = TAPE_NONE;
    int64_t width = 1;
    for (int32_t a = 2; a < x->rank; a++) {
        width *= x->dims[a];
    }
    PARE_TRY(by_channel(tape, node, 1, x->rank, &scale, error));
    PARE_TRY(by_channel(tape, node, 2, x->rank, &bias, error));
    PARE_TRY(record_normalized(tape, node, width, TAPE_NONE, TAPE_NONE, &y, error));
    return record_affine(tape, node, y, scale, bias, tape_output(tape, node, 0), error);
}

static void instance_channels(pare_channels *channels, const pare_node *node) {
    op_channels_spatial(channels, node);
    op_channels_parameter(channels, node, 1, 1.0F);
    op_channels_parameter(channels, node, 2, 0.0F);
}

PARE_DEFINE_OP(InstanceNormalization) = {.name = "InstanceNormalization",
                                         .domain = "",
                                         .since = 6,
                                         .min_inputs = 3,
                                         .max_inputs = 3,
                                         .min_outputs = 1,
                                         .max_outputs = 1,
                                         .weight_input = -1,
                                         .bias_input = -1,
                                         .infer = instance_infer,
                                         .lower = instance_lower,
                                         .gradient = instance_gradient,
                                         .channels = instance_channels};

/* --- GroupNormalization: scale and bias by channel (opset 21) or group (18) ---- */

static pare_status group_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    PARE_TRY(op_check_rank(node, 0, 3, PARE_MAX_RANK, error));
    int64_t groups = pare_node_int(node, "num_groups", 0), channels = node->inputs[0]->shape.dims[1];
    if (groups < 1 || channels % groups != 0) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected groups that divide %lld channels, found %lld",
                              (long long)channels, (long long)groups);
    }
    for (size_t i = 1; i < 3; i++) {
        int64_t count = node->inputs[i]->shape.rank == 1 ? node->inputs[i]->shape.dims[0] : -1;
        if (count != channels && count != groups) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected \"%s\" by channel or group, found other",
                                  node->inputs[i]->name);
        }
    }
    return op_infer_same(graph, node, error);
}

/* A [channels] or [groups] operand as [G, C / G, 1..]: broadcasts over [N, G, C / G, spatial]. */
static pare_status by_group(pare_lowering *lowering, const pare_node *node, size_t input, int64_t groups,
                            uint32_t *tensor, pare_error *error) {
    pare_shape shape = op_shape(3, (const int64_t[]){groups, node->inputs[input]->shape.dims[0] / groups, 1});
    PARE_TRY(pare_lower_input(lowering, node, input, tensor, error));
    return op_reshaped(lowering, node, *tensor, &shape, tensor, error);
}

static pare_status group_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    const pare_shape *x = &node->inputs[0]->shape;
    int64_t groups = pare_node_int(node, "num_groups", 1), inner = 1;
    for (int32_t a = 2; a < x->rank; a++) {
        inner *= x->dims[a];
    }
    pare_shape split = op_shape(4, (const int64_t[]){x->dims[0], groups, x->dims[1] / groups, inner});
    pare_shape scalar = {.rank = 1, .dims = {groups}}, one = {.rank = 1, .dims = {1}};
    uint32_t in[3], norm[3] = {PARE_NONE}, unit = PARE_NONE, step[2], out = PARE_NONE, result = PARE_NONE;
    pare_norm_attrs attrs = {.axis = 2, .epsilon = pare_node_float(node, "epsilon", 1e-5F)};
    PARE_TRY(pare_lower_input(lowering, node, 0, &in[0], error));
    PARE_TRY(op_reshaped(lowering, node, in[0], &split, &norm[0], error));
    for (size_t i = 1; i < 3; i++) {
        float value = i == 1 ? 1.0F : 0.0F;
        PARE_TRY(pare_lower_constant(lowering, node, PARE_F32, &one, NULL, &value, sizeof value, &unit, error));
        norm[i] = unit;
        PARE_TRY(fitted(lowering, node, &scalar, &norm[i], error));
        PARE_TRY(by_group(lowering, node, i, groups, &in[i], error));
        PARE_TRY(pare_lower_temporary(lowering, node, PARE_F32, &split, NULL, &step[i - 1], error));
    }
    PARE_TRY(pare_lower_temporary(lowering, node, PARE_F32, &split, NULL, &result, error));
    PARE_TRY(pare_lower_emit(lowering, node, PARE_OP_INSTANCE_NORM, &attrs, norm, 3, &step[0], 1, error));
    PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_MUL, step[0], in[1], op_identity, step[1], error));
    PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_ADD, step[1], in[2], op_identity, result, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return op_emit_reshape(lowering, node, result, out, error);
}

static pare_status group_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    uint32_t y = tape_input(tape, node, 0), out = tape_output(tape, node, 0), affine[2];
    pare_shape x = tape_tensor_at(tape, y)->shape;
    int64_t groups = pare_node_int(node, "num_groups", 1), inner = 1;
    for (int32_t a = 2; a < x.rank; a++) {
        inner *= x.dims[a];
    }
    pare_shape split = op_shape(4, (const int64_t[]){x.dims[0], groups, x.dims[1] / groups, inner});
    for (size_t i = 0; i < 2; i++) { /* as by_group */
        pare_shape shape = op_shape(3, (const int64_t[]){groups, node->inputs[i + 1]->shape.dims[0] / groups, 1});
        affine[i] = tape_weight(tape, node, i + 1, false);
        PARE_TRY(tape_reshaped(tape, node, &shape, &affine[i], error));
    }
    PARE_TRY(record_normalized(tape, node, x.dims[1] / groups * inner, TAPE_NONE, TAPE_NONE, &y, error));
    PARE_TRY(tape_reshaped(tape, node, &split, &y, error));
    uint32_t result = tape_temporary(tape, node, &split);
    PARE_TRY(record_affine(tape, node, y, affine[0], affine[1], result, error));
    return tape_reshape(tape, node, result, out, error);
}

static void group_channels(pare_channels *channels, const pare_node *node) {
    instance_channels(channels, node);
    pare_channels_hold(channels, node->inputs[0], 1);
}

PARE_DEFINE_OP(GroupNormalization) = {.name = "GroupNormalization",
                                      .domain = "",
                                      .since = 18,
                                      .min_inputs = 3,
                                      .max_inputs = 3,
                                      .min_outputs = 1,
                                      .max_outputs = 1,
                                      .weight_input = -1,
                                      .bias_input = -1,
                                      .infer = group_infer,
                                      .lower = group_lower,
                                      .gradient = group_gradient,
                                      .channels = group_channels};

/* --- LRN ---------------------------------------------------------------------- */

static pare_status lrn_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    int64_t size = pare_node_int(node, "size", 0);
    PARE_TRY(op_check_rank(node, 0, 4, 4, error));
    if (size < 1 || size > INT32_MAX) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected a size of at least 1, found %lld",
                              (long long)size);
    }
    return op_infer_same(graph, node, error);
}

static pare_lrn_attrs lrn_attrs(const pare_node *node) {
    return (pare_lrn_attrs){(int32_t)pare_node_int(node, "size", 1), pare_node_float(node, "alpha", 1e-4F),
                            pare_node_float(node, "beta", 0.75F), pare_node_float(node, "bias", 1.0F)};
}

static pare_status lrn_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    uint32_t in = PARE_NONE, out = PARE_NONE;
    pare_lrn_attrs attrs = lrn_attrs(node);
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return pare_lower_emit(lowering, node, PARE_OP_LRN, &attrs, &in, 1, &out, 1, error);
}

static pare_status lrn_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    pare_lrn_attrs attrs = lrn_attrs(node);
    return tape_lrn(tape, node, &attrs, tape_input(tape, node, 0), tape_output(tape, node, 0), error);
}

/* Each channel is divided by its neighbours. */
static void lrn_channels(pare_channels *channels, const pare_node *node) {
    op_channels_same(channels, node);
    pare_channels_hold(channels, node->inputs[0], 1);
}

PARE_DEFINE_OP(LRN) = {.name = "LRN",
                       .domain = "",
                       .since = 1,
                       .min_inputs = 1,
                       .max_inputs = 1,
                       .min_outputs = 1,
                       .max_outputs = 1,
                       .weight_input = -1,
                       .bias_input = -1,
                       .infer = lrn_infer,
                       .lower = lrn_lower,
                       .gradient = lrn_gradient,
                       .channels = lrn_channels};
