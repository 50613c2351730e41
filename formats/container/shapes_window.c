/* Shape rules of opcodes that slide or scale a window over [N,C,H,W]. */
#include <inttypes.h>
#include <math.h>

#include "opcode_shapes.h"

static pare_status image(const pare_shape_query *query, const pare_shape *shape) {
    PARE_TRY(pare_query_rank(query, "the input", shape, 4, 4));
    for (int32_t i = 1; i < 4; i++) {
        PARE_TRY(pare_query_static(query, "channels, height and width", shape->dims[i]));
    }
    return PARE_OK;
}

static pare_status each_in(const pare_shape_query *query, const char *what, const int32_t *values, int count,
                           int64_t low) {
    for (int i = 0; i < count; i++) {
        PARE_TRY(pare_query_range(query, what, values[i], low, INT32_MAX));
    }
    return PARE_OK;
}

static pare_status conv_attributes(const pare_shape_query *query, const pare_conv_attrs *conv) {
    int32_t positive[] = {conv->stride_h, conv->stride_w, conv->dilation_h, conv->dilation_w, conv->groups};
    int32_t pads[] = {conv->pad_top, conv->pad_left, conv->pad_bottom, conv->pad_right};
    PARE_TRY(each_in(query, "strides, dilations and groups", positive, 5, 1));
    PARE_TRY(each_in(query, "padding", pads, 4, 0));
    PARE_TRY(pare_query_activation(query, &conv->activation));
    PARE_TRY(pare_query_activation(query, &conv->inner_activation));
    return pare_query_finite(query, "inner scale", conv->inner_scale);
}

static pare_status extent_failure(const pare_shape_query *query, const char *axis, int64_t input, int64_t kernel) {
    return pare_fail(query->error, PARE_BAD_INPUT,
                     "expected a kernel %s that fits the padded input, found kernel %" PRId64 " over %" PRId64, axis,
                     kernel, input);
}

static pare_status float_or_u8(const pare_shape_query *query, pare_dtype dtype) {
    return dtype == PARE_F32 || dtype == PARE_U8
               ? PARE_OK
               : pare_fail(query->error, PARE_UNSUPPORTED, "expected an input of type float32 or uint8, found %s",
                           pare_dtype_name(dtype));
}

pare_status pare_shapes_CONV(const pare_shape_query *query) {
    const pare_conv_attrs *conv = query->attrs;
    const pare_shape *x = &query->inputs[0]->shape;
    const pare_shape *w = &query->inputs[1]->shape;
    PARE_TRY(float_or_u8(query, query->inputs[0]->dtype));
    PARE_TRY(image(query, x));
    PARE_TRY(pare_query_rank(query, "the weights", w, 4, 4));
    PARE_TRY(conv_attributes(query, conv));
    for (int i = 0; i < 4; i++) {
        PARE_TRY(pare_query_static(query, "weights", w->dims[i]));
    }
    if (w->dims[1] * conv->groups != x->dims[1] || w->dims[0] % conv->groups != 0) {
        return pare_fail(query->error, PARE_BAD_INPUT,
                         "expected weights for %" PRId64 " channels in %d groups, found %" PRId64 "x%" PRId64,
                         x->dims[1], (int)conv->groups, w->dims[0], w->dims[1]);
    }
    int64_t h = pare_window_extent(x->dims[2], w->dims[2], conv->stride_h, conv->dilation_h, conv->pad_top,
                                   conv->pad_bottom, false);
    int64_t width = pare_window_extent(x->dims[3], w->dims[3], conv->stride_w, conv->dilation_w, conv->pad_left,
                                       conv->pad_right, false);
    if (h < 1) {
        return extent_failure(query, "height", x->dims[2], w->dims[2]);
    }
    if (width < 1) {
        return extent_failure(query, "width", x->dims[3], w->dims[3]);
    }
    pare_shape y = {4, {x->dims[0], w->dims[0], h, width}};
    PARE_TRY(pare_query_expect(query, "the bias", 2, &(pare_shape){1, {w->dims[0]}}));
    PARE_TRY(pare_query_expect(query, "the residual", 3, &y));
    return pare_query_answer(query, &y, query->inputs[0]->dtype);
}

static int64_t transposed_extent(int64_t input, int64_t kernel, int64_t stride, int64_t dilation, int64_t pads,
                                 int64_t output_pad) {
    /* Each factor is below 2^31, so that no product overflows. */
    return stride * (input - 1) + dilation * (kernel - 1) + 1 + output_pad - pads;
}

pare_status pare_shapes_CONV_TRANSPOSE(const pare_shape_query *query) {
    const pare_conv_attrs *conv = query->attrs;
    const pare_shape *x = &query->inputs[0]->shape;
    const pare_shape *w = &query->inputs[1]->shape;
    PARE_TRY(pare_query_all(query, PARE_F32));
    PARE_TRY(image(query, x));
    PARE_TRY(pare_query_rank(query, "the weights", w, 4, 4));
    PARE_TRY(conv_attributes(query, conv));
    for (int i = 0; i < 4; i++) {
        PARE_TRY(pare_query_static(query, "weights", w->dims[i]));
    }
    int64_t most_h = conv->stride_h > conv->dilation_h ? conv->stride_h : conv->dilation_h;
    int64_t most_w = conv->stride_w > conv->dilation_w ? conv->stride_w : conv->dilation_w;
    PARE_TRY(pare_query_range(query, "output padding", conv->output_pad_h, 0, most_h - 1));
    PARE_TRY(pare_query_range(query, "output padding", conv->output_pad_w, 0, most_w - 1));
    if (w->dims[0] != x->dims[1] || x->dims[1] % conv->groups != 0) {
        return pare_fail(query->error, PARE_BAD_INPUT,
                         "expected weights for %" PRId64 " channels in %d groups, found %" PRId64, x->dims[1],
                         (int)conv->groups, w->dims[0]);
    }
    int64_t h = transposed_extent(x->dims[2], w->dims[2], conv->stride_h, conv->dilation_h,
                                  (int64_t)conv->pad_top + conv->pad_bottom, conv->output_pad_h);
    int64_t width = transposed_extent(x->dims[3], w->dims[3], conv->stride_w, conv->dilation_w,
                                      (int64_t)conv->pad_left + conv->pad_right, conv->output_pad_w);
    PARE_TRY(pare_query_range(query, "an output height", h, 1, INT32_MAX));
    PARE_TRY(pare_query_range(query, "an output width", width, 1, INT32_MAX));
    pare_shape y = {4, {x->dims[0], w->dims[1] * conv->groups, h, width}};
    PARE_TRY(pare_query_expect(query, "the bias", 2, &(pare_shape){1, {y.dims[1]}}));
    return pare_query_answer(query, &y, PARE_F32);
}

pare_status pare_shapes_POOL(const pare_shape_query *query) {
    const pare_pool_attrs *pool = query->attrs;
    const pare_shape *x = &query->inputs[0]->shape;
    int32_t positive[] = {pool->kernel_h, pool->kernel_w,   pool->stride_h,
                          pool->stride_w, pool->dilation_h, pool->dilation_w};
    PARE_TRY(float_or_u8(query, query->inputs[0]->dtype));
    PARE_TRY(image(query, x));
    PARE_TRY(pare_query_range(query, "a kind of pooling", pool->kind, 0, PARE_POOL_END - 1));
    PARE_TRY(pare_query_range(query, "ceil mode", pool->ceil_mode, 0, 1));
    PARE_TRY(each_in(query, "kernel, strides and dilations", positive, 6, 1));
    /* A window that lies in the padding alone would have no elements. */
    int64_t most_h = (int64_t)(pool->kernel_h - 1) * pool->dilation_h;
    int64_t most_w = (int64_t)(pool->kernel_w - 1) * pool->dilation_w;
    PARE_TRY(pare_query_range(query, "padding above", pool->pad_top, 0, most_h));
    PARE_TRY(pare_query_range(query, "padding below", pool->pad_bottom, 0, most_h));
    PARE_TRY(pare_query_range(query, "padding at the left", pool->pad_left, 0, most_w));
    PARE_TRY(pare_query_range(query, "padding at the right", pool->pad_right, 0, most_w));
    int64_t h = pare_window_extent(x->dims[2], pool->kernel_h, pool->stride_h, pool->dilation_h, pool->pad_top,
                                   pool->pad_bottom, pool->ceil_mode != 0);
    int64_t width = pare_window_extent(x->dims[3], pool->kernel_w, pool->stride_w, pool->dilation_w, pool->pad_left,
                                       pool->pad_right, pool->ceil_mode != 0);
    if (h < 1) {
        return extent_failure(query, "height", x->dims[2], pool->kernel_h);
    }
    if (width < 1) {
        return extent_failure(query, "width", x->dims[3], pool->kernel_w);
    }
    return pare_query_answer(query, &(pare_shape){4, {x->dims[0], x->dims[1], h, width}}, query->inputs[0]->dtype);
}

pare_status pare_shapes_RESIZE(const pare_shape_query *query) {
    const pare_resize_attrs *resize = query->attrs;
    const pare_shape *x = &query->inputs[0]->shape;
    const pare_shape *y = &query->shapes[0]; /* as the caller wants it */
    PARE_TRY(image(query, x));
    PARE_TRY(pare_query_range(query, "a resize mode", resize->mode, 0, PARE_RESIZE_MODE_END - 1));
    PARE_TRY(pare_query_range(query, "a resize coordinate", resize->coordinate, 0, PARE_RESIZE_COORDINATE_END - 1));
    PARE_TRY(pare_query_range(query, "a resize rounding", resize->rounding, 0, PARE_ROUND_END - 1));
    PARE_TRY(pare_query_finite(query, "cubic coefficient", resize->cubic_a));
    if (!(resize->scale_h > 0 && resize->scale_w > 0) || isinf(resize->scale_h) || isinf(resize->scale_w)) {
        return pare_fail(query->error, PARE_BAD_INPUT, "expected finite scales above 0, found %g and %g",
                         (double)resize->scale_h, (double)resize->scale_w);
    }
    if (y->rank != 4 || y->dims[0] != x->dims[0] || y->dims[1] != x->dims[1] || y->dims[2] < 1 || y->dims[3] < 1) {
        char found[200];
        return pare_fail(query->error, PARE_BAD_INPUT, "expected an output of the input's batch and channels, found %s",
                         pare_shape_check(y, NULL) == PARE_OK ? pare_shape_text(y, found, sizeof found) : "no shape");
    }
    query->dtypes[0] = query->inputs[0]->dtype;
    return PARE_OK;
}
