#include "kernels/strided.h"

typedef struct pad_state {
    strided_copy copy;
    int32_t rank, mode;
    size_t in[PARE_MAX_RANK], out[PARE_MAX_RANK]; /* extents as they lie */
    int64_t before[PARE_MAX_RANK];
    size_t bytes, out_elements;
    uint64_t fill; /* the element's bits */
    /* Blocked layouts: pieces of `piece` channels are copied one by one. */
    size_t piece, pieces, block, channel_before;
    size_t positions_in, positions_out;
} pad_state;

/* --- planning ------------------------------------------------------------- */

static bool fill_bits(const pare_operand *operand, float value, uint64_t *bits) {
    if (operand->dtype == PARE_F32) {
        uint32_t word;
        memcpy(&word, &value, sizeof word);
        *bits = word;
        return true;
    }
    if (operand->quant != NULL) {
        bool byte = operand->dtype == PARE_U8 || operand->dtype == PARE_S8;
        float low = operand->dtype == PARE_U8 ? 0.0F : -128.0F;
        if (!byte || operand->quant->count != 1) {
            return false;
        }
        float zero = (float)operand->quant->zero_points[0];
        float level = round_clamped(value / operand->quant->scales[0], low - zero, low + 255.0F - zero);
        *bits = (uint8_t)((int32_t)level + operand->quant->zero_points[0]);
        return true;
    }
    switch (operand->dtype) {
    case PARE_F64: {
        double wide = value;
        memcpy(bits, &wide, sizeof *bits);
        return true;
    }
    case PARE_F16:
        *bits = pare_f32_to_f16(value);
        return true;
    case PARE_BF16:
        *bits = pare_f32_to_bf16(value);
        return true;
    default: /* integers: two's complement, of which the store takes the low bytes */
        *bits = value > -9e18F && value < 9e18F ? (uint64_t)(int64_t)value : 0;
        return true;
    }
}

static size_t block_of(pare_layout layout) {
    return layout == PARE_LAYOUT_BLOCK8 ? 8 : layout == PARE_LAYOUT_BLOCK16 ? 16 : 1;
}

/* Channels that move together within blocks: a power of two that divides all that matters; 1: none. */
static size_t piece_of(const pare_site *site, const pare_pad_attrs *attrs, size_t block) {
    int64_t channels = site->inputs[0].shape.dims[1];
    int64_t after = site->outputs[0].shape.dims[1];
    int64_t piece = (int64_t)block;
    if (attrs->before[1] < 0 || attrs->after[1] < 0 || (attrs->value != 0.0F && after % piece != 0)) {
        return 1;
    }
    while (piece > 1 && (channels % piece != 0 || attrs->before[1] % piece != 0)) {
        piece /= 2;
    }
    return piece < 4 ? 1 : (size_t)piece;
}

static pare_layout choose_layout(const pare_site *site, const pare_pad_attrs *attrs, pad_state *s) {
    pare_layout layout = site->inputs[0].layout;
    s->block = block_of(layout);
    if (layout == PARE_LAYOUT_PLAIN || attrs->mode != PARE_PAD_CONSTANT) {
        s->block = 1;
        return PARE_LAYOUT_PLAIN;
    }
    if (s->block > 1) {
        s->piece = piece_of(site, attrs, s->block);
        if (s->piece == 1 || site->inputs[0].dtype != PARE_F32) {
            s->block = 1;
            return PARE_LAYOUT_PLAIN;
        }
    }
    return layout;
}

static void set_axes(pad_state *s, const pare_site *site, const pare_pad_attrs *attrs, pare_layout layout) {
    static const int32_t last_order[4] = {0, 2, 3, 1};
    const pare_shape *x = &site->inputs[0].shape;
    const pare_shape *y = &site->outputs[0].shape;
    s->rank = x->rank;
    for (int32_t i = 0; i < x->rank; i++) {
        int32_t axis = layout == PARE_LAYOUT_CHANNELS_LAST ? last_order[i] : i;
        s->in[i] = (size_t)x->dims[axis];
        s->out[i] = (size_t)y->dims[axis];
        s->before[i] = attrs->before[axis];
    }
}

/* What both boxes have in common along an axis. */
static void overlap(int64_t before, size_t in, size_t out, size_t *count, ptrdiff_t *from, ptrdiff_t *to) {
    int64_t first = before > 0 ? before : 0;
    int64_t last = before + (int64_t)in < (int64_t)out ? before + (int64_t)in : (int64_t)out;
    *count = last > first ? (size_t)(last - first) : 0;
    *from = first - before;
    *to = first;
}

static void set_copy(pad_state *s) {
    strided_copy *c = &s->copy;
    ptrdiff_t in_stride = 1;
    ptrdiff_t out_stride = 1;
    c->rank = s->rank;
    c->bytes = s->bytes;
    for (int32_t i = s->rank - 1; i >= 0; i--) {
        ptrdiff_t from;
        ptrdiff_t to;
        overlap(s->before[i], s->in[i], s->out[i], &c->extents[i], &from, &to);
        c->in_strides[i] = in_stride;
        c->out_strides[i] = out_stride;
        c->in_start += from * in_stride;
        c->out_start += to * out_stride;
        in_stride *= (ptrdiff_t)s->in[i];
        out_stride *= (ptrdiff_t)s->out[i];
    }
    strided_simplify(c);
}

/* One piece of channels: samples, rows, columns, channels of the piece. */
static void set_blocked_copy(pad_state *s) {
    strided_copy *c = &s->copy;
    size_t blocks_in = (s->in[1] + s->block - 1) / s->block;
    size_t blocks_out = (s->out[1] + s->block - 1) / s->block;
    static const int32_t axes[3] = {0, 2, 3};
    ptrdiff_t block = (ptrdiff_t)s->block;
    s->positions_in = s->in[2] * s->in[3];
    s->positions_out = s->out[2] * s->out[3];
    ptrdiff_t in_strides[3] = {(ptrdiff_t)(blocks_in * s->positions_in) * block, (ptrdiff_t)s->in[3] * block, block};
    ptrdiff_t out_strides[3] = {(ptrdiff_t)(blocks_out * s->positions_out) * block, (ptrdiff_t)s->out[3] * block,
                                block};
    c->rank = 4;
    c->bytes = s->bytes;
    for (int32_t i = 0; i < 3; i++) {
        ptrdiff_t from;
        ptrdiff_t to;
        overlap(s->before[axes[i]], s->in[axes[i]], s->out[axes[i]], &c->extents[i], &from, &to);
        c->in_strides[i] = in_strides[i];
        c->out_strides[i] = out_strides[i];
        c->in_start += from * in_strides[i];
        c->out_start += to * out_strides[i];
    }
    c->extents[3] = s->piece;
    c->in_strides[3] = c->out_strides[3] = 1;
    strided_simplify(c);
    s->pieces = s->in[1] / s->piece;
    s->channel_before = (size_t)s->before[1];
}

static pare_status plan(pare_site *site, void **state, pare_error *error) {
    const pare_pad_attrs *attrs = site->attrs;
    uint64_t fill;
    if (site->inputs[0].dtype != site->outputs[0].dtype || !fill_bits(&site->inputs[0], attrs->value, &fill)) {
        return PARE_UNSUPPORTED;
    }
    for (int32_t i = 0; attrs->mode != PARE_PAD_CONSTANT && i < site->inputs[0].shape.rank; i++) {
        if (site->inputs[0].shape.dims[i] == 0) {
            return pare_fail(error, PARE_UNSUPPORTED, "expected elements to repeat, found axis %d empty", i);
        }
    }
    PARE_TRY(make_state(state, sizeof(pad_state), error));
    pad_state *s = *state;
    pare_layout layout = choose_layout(site, attrs, s);
    site->wanted[0] = site->outputs[0].layout = layout;
    s->mode = attrs->mode;
    s->fill = fill;
    s->bytes = pare_dtype_bytes(site->inputs[0].dtype);
    s->out_elements = stored_elements(&site->outputs[0]);
    set_axes(s, site, attrs, layout);
    if (s->block > 1) {
        set_blocked_copy(s);
    } else {
        set_copy(s);
    }
    return PARE_OK;
}

/* --- running -------------------------------------------------------------- */

static void fill(const pad_state *s, void *out) {
    if (s->fill == 0 || s->bytes == 1) {
        memset(out, (int)(s->fill & 0xFF), s->out_elements * s->bytes);
    } else if (s->bytes == 2) {
        for (size_t i = 0; i < s->out_elements; i++) {
            ((uint16_t *)out)[i] = (uint16_t)s->fill;
        }
    } else if (s->bytes == 4) {
        for (size_t i = 0; i < s->out_elements; i++) {
            ((uint32_t *)out)[i] = (uint32_t)s->fill;
        }
    } else {
        for (size_t i = 0; i < s->out_elements; i++) {
            ((uint64_t *)out)[i] = s->fill;
        }
    }
}

static size_t source_index(int32_t mode, int64_t position, int64_t extent) {
    if (mode == PARE_PAD_EDGE || extent == 1) {
        return (size_t)(position < 0 ? 0 : position >= extent ? extent - 1 : position);
    }
    int64_t period = mode == PARE_PAD_WRAP ? extent : 2 * (extent - 1);
    int64_t folded = position % period;
    folded = folded < 0 ? folded + period : folded;
    return (size_t)(folded >= extent ? period - folded : folded);
}

/* Every element finds its own source: REFLECT, EDGE and WRAP. */
static void copy_mapped(const pad_state *s, const char *in, char *out) {
    size_t row = s->rank > 0 ? s->out[s->rank - 1] : 1;
    size_t rows = row == 0 ? 0 : s->out_elements / row;
    for (size_t r = 0; r < rows; r++) {
        size_t rest = r;
        size_t offset = 0;
        size_t stride = s->rank > 0 ? s->in[s->rank - 1] : 1;
        for (int32_t i = s->rank - 2; i >= 0; i--) {
            offset += source_index(s->mode, (int64_t)(rest % s->out[i]) - s->before[i], (int64_t)s->in[i]) * stride;
            stride *= s->in[i];
            rest /= s->out[i];
        }
        for (size_t j = 0; j < row; j++) {
            size_t from = offset;
            if (s->rank > 0) {
                from += source_index(s->mode, (int64_t)j - s->before[s->rank - 1], (int64_t)s->in[s->rank - 1]);
            }
            memcpy(out + (r * row + j) * s->bytes, in + from * s->bytes, s->bytes);
        }
    }
}

static pare_status run(void *state, const pare_call *call, pare_error *error) {
    const pad_state *s = state;
    const char *in = call->inputs[0];
    char *out = call->outputs[0];
    (void)error;
    if (s->mode != PARE_PAD_CONSTANT) {
        copy_mapped(s, in, out);
        return PARE_OK;
    }
    fill(s, out);
    if (s->block == 1) {
        strided_run(&s->copy, in, out, call->threads);
        return PARE_OK;
    }
    for (size_t p = 0; p < s->pieces; p++) {
        size_t from = p * s->piece;
        size_t to = from + s->channel_before;
        from = from / s->block * s->block * s->positions_in + from % s->block;
        to = to / s->block * s->block * s->positions_out + to % s->block;
        strided_run(&s->copy, in + from * s->bytes, out + to * s->bytes, call->threads);
    }
    return PARE_OK;
}

const pare_kernel pare_reference_pad = {.name = "reference_pad", .plan = plan, .run = run, .destroy = pare_free};
