/* Expand (broadcast to a shape) and Tile (repeat along axes). */
#include "op_helpers.h"

static pare_status emit_expand(pare_lowering *lowering, const pare_node *node, uint32_t in, uint32_t out,
                               pare_error *error) {
    const pare_shape *shape = &pare_model_builder_tensor(lowering->builder, out)->shape;
    pare_shape_attrs attrs = {.rank = shape->rank};
    for (int32_t a = 0; a < shape->rank; a++) {
        attrs.dims[a] = (int32_t)shape->dims[a];
    }
    return pare_lower_emit(lowering, node, PARE_OP_EXPAND, &attrs, &in, 1, &out, 1, error);
}

/* Copies x over y, which each element of x repeats into: y's index modulo x's extent. */
static pare_status fold_repeated(pare_graph *graph, pare_node *node, pare_error *error) {
    const pare_value *x = node->inputs[0], *y = op_output(node, 0);
    if (y == NULL || !op_may_fold(x) || pare_shape_has_batch(&y->shape) || op_count(y) > (size_t)1 << 22) {
        return PARE_OK;
    }
    size_t size = pare_dtype_bytes(x->dtype), count = op_count(y);
    char *data = pare_alloc(count * size);
    if (data == NULL) {
        return pare_fail_memory(error, count * size);
    }
    for (size_t i = 0; i < count; i++) {
        size_t rest = i, from = 0, stride = 1;
        for (int32_t a = y->shape.rank - 1, b = x->shape.rank - 1; b >= 0; a--, b--) {
            size_t extent = (size_t)x->shape.dims[b];
            from += rest % (size_t)y->shape.dims[a] % extent * stride;
            rest /= (size_t)y->shape.dims[a];
            stride *= extent;
        }
        for (size_t byte = 0; byte < size; byte++) {
            data[i * size + byte] = ((const char *)x->data)[from * size + byte];
        }
    }
    pare_status status = op_make_constant(graph, node, 0, data, count * size, error);
    pare_free(data);
    return status;
}

/* --- Expand ----------------------------------------------------------------- */

static pare_status expand_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    int64_t extents[PARE_MAX_RANK];
    size_t count = 0;
    pare_shape y;
    PARE_TRY(op_ints(node, 1, extents, PARE_MAX_RANK, &count, error));
    for (size_t i = 0; i < count; i++) {
        if (extents[i] < 0 && !op_is_batch_mark(extents[i])) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected extents of at least 0, found %lld",
                                  (long long)extents[i]);
        }
        extents[i] = op_is_batch_mark(extents[i]) ? PARE_BATCH_MARK - extents[i] : extents[i];
    }
    pare_shape target = op_shape((int32_t)count, extents);
    if (!pare_shape_broadcast(&node->inputs[0]->shape, &target, &y)) {
        char left[160], right[160];
        return pare_node_fail(node, error, PARE_BAD_INPUT, "expected a shape that %s broadcasts to, found %s",
                              pare_shape_text(&node->inputs[0]->shape, left, sizeof left),
                              pare_shape_text(&target, right, sizeof right));
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

static pare_status expand_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    uint32_t in = PARE_NONE, out = PARE_NONE;
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    return emit_expand(lowering, node, in, out, error);
}

static void expand_channels(pare_channels *channels, const pare_node *node) {
    const pare_value *x = node->inputs[0], *y = op_output(node, 0);
    int32_t missing = y != NULL ? y->shape.rank - x->shape.rank : 0;
    for (int32_t a = 0; a < x->shape.rank; a++) {
        pare_channels_join_axes(channels, x, a, y, missing + a);
    }
}

static pare_status expand_resized(const pare_channels *channels, pare_graph *graph, pare_node *node,
                                  pare_error *error) {
    const pare_value *y = op_output(node, 0);
    int64_t extents[PARE_MAX_RANK];
    size_t count = 0;
    bool changed = false;
    PARE_TRY(op_ints(node, 1, extents, PARE_MAX_RANK, &count, error));
    for (size_t i = 0; y != NULL && i < count; i++) {
        int32_t axis = y->shape.rank - (int32_t)count + (int32_t)i;
        if (extents[i] > 1 && extents[i] == y->shape.dims[axis]) {
            extents[i] = pare_channels_left(channels, y, axis, 0, y->shape.dims[axis]);
            changed = changed || extents[i] != y->shape.dims[axis];
        }
    }
    return changed ? op_set_ints(graph, node, 1, "", extents, count, error) : PARE_OK;
}

/* --- Tile ------------------------------------------------------------------- */

static pare_status read_repeats(const pare_node *node, int64_t *repeats, pare_error *error) {
    size_t count = 0;
    int32_t rank = node->inputs[0]->shape.rank;
    PARE_TRY(op_ints(node, 1, repeats, PARE_MAX_RANK, &count, error));
    for (size_t i = 0; i < count; i++) {
        if (repeats[i] < 0 || repeats[i] > INT32_MAX) {
            return pare_node_fail(node, error, PARE_BAD_INPUT, "expected repeats of at least 0, found %lld",
                                  (long long)repeats[i]);
        }
    }
    return count == (size_t)rank
               ? PARE_OK
               : pare_node_fail(node, error, PARE_BAD_INPUT, "expected %d repeats, found %zu", (int)rank, count);
}

static pare_status tile_infer(pare_graph *graph, pare_node *node, pare_error *error) {
    (void)graph;
    int64_t repeats[PARE_MAX_RANK];
    PARE_TRY(read_repeats(node, repeats, error));
    pare_shape y = node->inputs[0]->shape;
    for (int32_t a = 0; a < y.rank; a++) {
        if (!pare_mul_i64(y.dims[a], repeats[a], &y.dims[a])) {
            return pare_node_fail(node, error, PARE_LIMIT, "expected extents below 2^31, found more");
        }
    }
    return op_set_output(node, 0, node->inputs[0]->dtype, &y, error);
}

/* One axis: [.., d, ..] as [.., 1, d, ..], expanded to [.., r, d, ..], seen as [.., r d, ..]. */
static pare_status tile_axis(pare_lowering *lowering, const pare_node *node, int32_t axis, int64_t repeats,
                             uint32_t *tensor, pare_error *error) {
    pare_shape x = pare_model_builder_tensor(lowering->builder, *tensor)->shape, split = x, y = x;
    uint32_t wide = PARE_NONE;
    if (x.rank + 1 > PARE_MAX_RANK) {
        return pare_node_fail(node, error, PARE_UNSUPPORTED, "expected fewer than %d dimensions, found %d",
                              PARE_MAX_RANK, (int)x.rank);
    }
    split.rank++;
    for (int32_t a = x.rank; a > axis; a--) {
        split.dims[a] = split.dims[a - 1];
    }
    split.dims[axis] = 1;
    y.dims[axis] *= repeats;
    PARE_TRY(op_reshaped(lowering, node, *tensor, &split, tensor, error));
    split.dims[axis] = repeats;
    PARE_TRY(op_temporary(lowering, node, *tensor, &split, &wide, error));
    PARE_TRY(emit_expand(lowering, node, *tensor, wide, error));
    return op_reshaped(lowering, node, wide, &y, tensor, error);
}

static pare_status tile_lower(pare_lowering *lowering, const pare_node *node, pare_error *error) {
    int64_t repeats[PARE_MAX_RANK];
    uint32_t in = PARE_NONE, out = PARE_NONE;
    PARE_TRY(read_repeats(node, repeats, error));
    PARE_TRY(pare_lower_input(lowering, node, 0, &in, error));
    PARE_TRY(pare_lower_output(lowering, node, 0, &out, error));
    for (int32_t a = 0; a < node->inputs[0]->shape.rank; a++) {
        if (repeats[a] != 1) {
            PARE_TRY(tile_axis(lowering, node, a, repeats[a], &in, error));
        }
    }
    return op_emit_reshape(lowering, node, in, out, error);
}

#define REPEAT(op_name, opset, prefix, channel_rule, resize_rule)                                                      \
    {                                                                                                                  \
        .name = op_name, .domain = "", .since = opset, .min_inputs = 2, .max_inputs = 2, .min_outputs = 1,             \
        .max_outputs = 1, .quant = PARE_QUANT_MOVE, .weight_input = -1, .bias_input = -1, .infer = prefix##_infer,     \
        .fold = fold_repeated, .lower = prefix##_lower, .channels = channel_rule, .resized = resize_rule               \
    }

PARE_DEFINE_OP(Expand) = REPEAT("Expand", 8, expand, expand_channels, expand_resized);
PARE_DEFINE_OP(Tile) = REPEAT("Tile", 6, tile, NULL, NULL);
