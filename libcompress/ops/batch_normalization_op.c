/* BatchNormalization at inference: y = (x - mean) / sqrt(var + epsilon) × scale + bias,
 * by channel (axis 1): a MUL and an ADD, whose factors are computed here where
 * the four operands are constant, else by runtime nodes. */
#include "op_helpers.h"

#include <math.h>

#include "train/tape/tape.h"

/* A root of nothing or less would make weights of NaN or infinity. */
static pare_status check_variance(const pare_node *node, pare_error *error) {
    float epsilon = pare_node_float(node, "epsilon", 1e-5F), variance = 0;
    for (size_t c = 0; op_float_at(node->inputs[4], c, &variance); c++) {
        double sum = (double)variance + (double)epsilon;
        if (!(sum > 0.0) || !isfinite(sum)) {
            return pare_node_fail(node, error, PARE_BAD_INPUT,
                                  "expected variance + epsilon above 0 and finite, found %g + %g for channel %zu",
                                  (double)variance, (double)epsilon, c);
        }
    }
    return PARE_OK;
}

static pare_status batchnorm_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    PARE_TRY(op_check_rank(node, 0, 1, PARE_MAX_RANK, error));
    const pare_shape *x = &node->inputs[0]->shape;
    int64_t channels = x->rank > 1 ? x->dims[1] : 1;
    for (size_t i = 1; i < 5; i++) {
        if (node->inputs[i]->shape.rank != 1 || node->inputs[i]->shape.dims[0] != channels) {
            return pare_node_fail(node, error, PARE_BAD_INPUT,
                                  "expected input \"%s\" to have %lld elements, found other", node->inputs[i]->name,
                                  (long long)channels);
        }
    }
    PARE_TRY(check_variance(node, error));
    for (size_t i = 1; i < node->output_count; i++) {
        const pare_value *value = node->outputs[i];
        if (value != NULL && (value->use_count > 0 || value->is_output)) {
            return pare_node_fail(node, error, PARE_UNSUPPORTED,
                                  "expected inference, found readers of running statistics (\"%s\")", value->name);
        }
        PARE_TRY(op_set_output(node, i, PARE_F32, &node->inputs[1]->shape, error));
    }
    if (pare_node_int(node, "training_mode", 0) != 0) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected training_mode 0, found 1");
    }
    return op_infer_same(graph, node, error);
}

/* scale / sqrt(var + epsilon) and bias - mean × that, as constants. */
static pare_status constant_factors(pare_lowering *lowering, const pare_node *node, const pare_shape *shape,
                                    uint32_t *factor, uint32_t *shift, pare_error *error) {
    size_t channels = op_count(node->inputs[1]);
    float *factors = pare_alloc_zero(2 * channels, sizeof *factors);
    if (factors == NULL) {
        return pare_fail_memory(error, 2 * channels * sizeof *factors);
    }
    float *shifts = factors + channels;
    double epsilon = (double)pare_node_float(node, "epsilon", 1e-5F);
    for (size_t c = 0; c < channels; c++) {
        float scale = 0, bias = 0, mean = 0, variance = 0;
        (void)op_float_at(node->inputs[1], c, &scale);
        (void)op_float_at(node->inputs[2], c, &bias);
        (void)op_float_at(node->inputs[3], c, &mean);
        (void)op_float_at(node->inputs[4], c, &variance);
        double ratio = (double)scale / sqrt((double)variance + epsilon);
        factors[c] = (float)ratio;
        shifts[c] = (float)((double)bias - (double)mean * ratio);
    }
    size_t bytes = channels * sizeof *factors;
    pare_status status = pare_lower_constant(lowering, node, PARE_F32, shape, NULL, factors, bytes, factor, error);
    if (status == PARE_OK) {
        status = pare_lower_constant(lowering, node, PARE_F32, shape, NULL, shifts, bytes, shift, error);
    }
    pare_free(factors);
    return status;
}

static pare_status computed_factors(pare_lowering *lowering, const pare_node *node, const pare_shape *shape,
                                    uint32_t *factor, uint32_t *shift, pare_error *error) {
    uint32_t in[5], step[3], epsilon = PARE_NONE;
    for (size_t i = 1; i < 5; i++) {
        PARE_TRY(pare_lower_input(lowering, node, i, &in[i], error));
        PARE_TRY(op_reshaped(lowering, node, in[i], shape, &in[i], error));
    }
    for (size_t i = 0; i < 3; i++) {
        PARE_TRY(pare_lower_temporary(lowering, node, PARE_F32, shape, NULL, &step[i], error));
    }
    PARE_TRY(pare_lower_temporary(lowering, node, PARE_F32, shape, NULL, factor, error));
    PARE_TRY(pare_lower_temporary(lowering, node, PARE_F32, shape, NULL, shift, error));
    PARE_TRY(op_float_scalar(lowering, node, pare_node_float(node, "epsilon", 1e-5F), &epsilon, error));
    PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_ADD, in[4], epsilon, op_identity, step[0], error));
    PARE_TRY(op_emit_unary(lowering, node, (pare_activation){PARE_FN_SQRT, 0.0F, 0.0F}, step[0], step[1], error));
    PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_DIV, in[1], step[1], op_identity, *factor, error));
    PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_MUL, in[3], *factor, op_identity, step[2], error));
    return op_emit_binary(lowering, node, PARE_BINARY_SUB, in[2], step[2], op_identity, *shift, error);
}

static pare_status batchnorm_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    uint32_t in = PARE_NONE, out = PARE_NONE, factor = PARE_NONE, shift = PARE_NONE, product = PARE_NONE;
    const pare_shape *x = &node->inputs[0]->shape;
    pare_shape shape = {.rank = x->rank > 1 ? x->rank - 1 : 1};
    bool constant = true;
    for (int32_t a = 0; a < shape.rank; a++) {
        shape.dims[a] = a == 0 ? node->inputs[1]->shape.dims[0] : 1;
    }
    for (size_t i = 1; i < 5; i++) {
        constant = constant && op_is_constant(node->inputs[i]);
    }
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    PARE_TRY((constant ? constant_factors : computed_factors)(lowering, node, &shape, &factor, &shift, error));
    PARE_TRY(op_temporary(lowering, node, out, NULL, &product, error));
    PARE_TRY(op_emit_binary(lowering, node, PARE_BINARY_MUL, in, factor, op_identity, product, error));
    return op_emit_binary(lowering, node, PARE_BINARY_ADD, product, shift, op_activation(node), out, error);
}

static pare_status batchnorm_gradient(pare_tape *tape, const pare_node *node, pare_error *error) {
    /* One statement each: the order in which C evaluates arguments is the compiler's, that of parameters is not. */
    uint32_t x = tape_input(tape, node, 0);
    uint32_t scale = tape_weight(tape, node, 1, false);
    uint32_t bias = tape_weight(tape, node, 2, false);
    uint32_t mean = tape_state(tape, node, 3);
    uint32_t variance = tape_state(tape, node, 4);
    return tape_batch_norm(tape, node, x, scale, bias, mean, variance, pare_node_float(node, "epsilon", 1e-5F),
                           pare_node_float(node, "momentum", 0.9F), tape_output(tape, node, 0), error);
}

static void batchnorm_channels(pare_channels *channels, const pare_node *node) {
    static const float initial[5] = {0, 1, 0, 0, 1};
    op_channels_same(channels, node);
    for (size_t i = 1; i < 5; i++) {
        op_channels_parameter(channels, node, i, initial[i]);
    }
}

PARE_DEFINE_OP(BatchNormalization) = {.name = "BatchNormalization",
                                      .domain = "",
                                      .since = 7,
                                      .min_inputs = 5,
                                      .max_inputs = 5,
                                      .min_outputs = 1,
                                      .max_outputs = 5,
                                      .quant = PARE_QUANT_FLOAT,
                                      .weight_input = -1,
                                      .bias_input = -1,
                                      .flags = PARE_OP_ACTIVATES,
                                      .infer = batchnorm_infer,
                                      .lower = batchnorm_lower,
                                      .gradient = batchnorm_gradient,
                                      .channels = batchnorm_channels};
