/* DepthToSpace and SpaceToDepth: x [N, C, H, W], blocks of b × b pixels; a
 * reshape to rank 6, a transposition and a reshape back. */
#include "op_helpers.h"

#include <string.h>

static pare_status block_size(const pare_node *node, int64_t *block, pare_error *error) {
    PARE_TRY(op_check_rank(node, 0, 4, 4, error));
    *block = pare_node_int(node, "blocksize", 0);
    if (*block < 1 || *block > 4096) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected a blocksize of 1 to 4096, found %lld",
                              (long long)*block);
    }
    return PARE_OK;
}

static pare_status depth_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    int64_t block = 0;
    PARE_TRY(block_size(node, &block, error));
    pare_shape y = node->inputs[0]->shape;
    if (y.dims[1] % (block * block) != 0) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected channels divisible by %lld, found %lld",
                              (long long)(block * block), (long long)y.dims[1]);
    }
    y.dims[1] /= block * block;
    y.dims[2] *= block;
    y.dims[3] *= block;
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status space_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    int64_t block = 0;
    PARE_TRY(block_size(node, &block, error));
    pare_shape y = node->inputs[0]->shape;
    if (y.dims[2] % block != 0 || y.dims[3] % block != 0) {
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected extents divisible by %lld, found %lld x %lld",
                              (long long)block, (long long)y.dims[2], (long long)y.dims[3]);
    }
    y.dims[1] *= block * block;
    y.dims[2] /= block;
    y.dims[3] /= block;
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status lower_blocks(pare_lowering *lowering, const pare_node *node, const pare_shape *split,
                                const int32_t *permutation, pare_error *error) {
    uint32_t in = PARE_NONE, out = PARE_NONE, wide = PARE_NONE;
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    PARE_TRY(op_reshaped(lowering, node, in, split, &wide, error));
    PARE_TRY(op_transposed(lowering, node, wide, permutation, &wide, error));
    return op_emit_reshape(lowering, node, wide, out, error);
}

static pare_status depth_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    int64_t b = 0;
    PARE_TRY(block_size(node, &b, error));
    const int64_t *x = node->inputs[0]->shape.dims;
    int64_t channels = x[1] / (b * b);
    if (strcmp(pare_node_string(node, "mode", "DCR"), "CRD") == 0) {
        pare_shape split = op_shape(6, (const int64_t[]){x[0], channels, b, b, x[2], x[3]});
        return lower_blocks(lowering, node, &split, (const int32_t[]){0, 1, 4, 2, 5, 3}, error);
    }
    pare_shape split = op_shape(6, (const int64_t[]){x[0], b, b, channels, x[2], x[3]});
    return lower_blocks(lowering, node, &split, (const int32_t[]){0, 3, 4, 1, 5, 2}, error);
}

static pare_status space_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    int64_t b = 0;
    PARE_TRY(block_size(node, &b, error));
    const int64_t *x = node->inputs[0]->shape.dims;
    pare_shape split = op_shape(6, (const int64_t[]){x[0], x[1], x[2] / b, b, x[3] / b, b});
    return lower_blocks(lowering, node, &split, (const int32_t[]){0, 3, 5, 1, 2, 4}, error);
}

/* Channel c of the shallow side is one in every `channels` of the deep one (CRD: b * b in a row). */
static void block_channels(pare_channels *channels, const pare_node *node, const pare_value *deep,
                           const pare_value *shallow, bool in_a_row) {
    int64_t b = 1;
    (void)block_size(node, &b, NULL);
    bool tracked = pare_channels_is_tracked(channels, deep, 1);
    if (!tracked) {
        pare_channels_hold(channels, shallow, 1);
    }
    for (int64_t c = 0; tracked && shallow != NULL && c < deep->shape.dims[1]; c++) {
        pare_channels_join(channels, deep, 1, c, shallow, 1, in_a_row ? c / (b * b) : c % shallow->shape.dims[1]);
    }
    pare_channels_join_axes(channels, deep, 0, shallow, 0);
    pare_channels_hold_from(channels, deep, 2);
    pare_channels_hold_from(channels, shallow, 2);
}

static void depth_channels(pare_channels *channels, const pare_node *node) {
    bool in_a_row = strcmp(pare_node_string(node, "mode", "DCR"), "CRD") == 0;
    block_channels(channels, node, node->inputs[0], op_output(node, 0), in_a_row);
}

static void space_channels(pare_channels *channels, const pare_node *node) {
    block_channels(channels, node, op_output(node, 0), node->inputs[0], false);
}

#define BLOCKS(op_name, prefix)                                                                                        \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = 1, .min_inputs = 1, .max_inputs = 1, .min_outputs = 1,                 \
        .max_outputs = 1, .quant = PARE_QUANT_MOVE, .weight_input = -1, .bias_input = -1, .infer = prefix##_infer,     \
        .lower = prefix##_lower, .channels = prefix##_channels                                                         \
    }

PARE_DEFINE_OP(DepthToSpace) = BLOCKS("DepthToSpace", depth);
PARE_DEFINE_OP(SpaceToDepth) = BLOCKS("SpaceToDepth", space);
