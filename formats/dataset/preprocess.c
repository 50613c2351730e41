#include "pare/preprocess.h"

#include <math.h>
#include <string.h>

#include "pare/checked.h"
#include "pare/memory.h"

#define SIDE_LIMIT 16384
#define PIXEL_LIMIT ((int64_t)100000000)
#define CHANNEL_LIMIT 16

void pare_preprocess_scratch_free(pare_preprocess_scratch *scratch) {
    pare_free(scratch->resized);
    pare_free(scratch->cropped);
    memset(scratch, 0, sizeof *scratch);
}

/* Interleaved bytes on their way through the steps. */
typedef struct picture {
    const uint8_t *pixels;
    int32_t height, width, channels;
} picture;

static pare_status reserve(uint8_t **block, size_t *capacity, size_t bytes, pare_error *error) {
    if (*block == NULL || bytes > *capacity) {
        pare_free(*block);
        *capacity = 0;
        *block = pare_alloc(bytes);
        if (*block == NULL) {
            return pare_fail_memory(error, bytes);
        }
        *capacity = bytes;
    }
    return PARE_OK;
}

static size_t picture_bytes(const picture *p) {
    return (size_t)p->height * (size_t)p->width * (size_t)p->channels;
}

/* torchvision's rule: the short side becomes `side`, the long one
 * floor(side × long / short). */
static pare_status resize_short_side(picture *p, int32_t side, pare_preprocess_scratch *scratch, pare_error *error) {
    bool upright = p->height > p->width;
    int64_t small = upright ? p->width : p->height, large = upright ? p->height : p->width;
    int64_t other = side * large / small;
    if (side < 0 || side > SIDE_LIMIT || other * side > PIXEL_LIMIT || other > INT32_MAX) {
        return pare_fail(error, PARE_LIMIT, "expected a resize to at most %d pixels, found %d for a picture of %d x %d",
                         SIDE_LIMIT, side, p->width, p->height);
    }
    if (small == side) {
        return PARE_OK;
    }
    picture out = *p;
    out.height = upright ? (int32_t)other : side;
    out.width = upright ? side : (int32_t)other;
    PARE_TRY(reserve(&scratch->resized, &scratch->resized_bytes, picture_bytes(&out), error));
    out.pixels = scratch->resized;
    PARE_TRY(pare_resize_bilinear(p->pixels, p->height, p->width, p->channels, scratch->resized, out.height, out.width,
                                  error));
    *p = out;
    return PARE_OK;
}

/* Half of the margin, a half rounded to even: torchvision's round((h - crop) / 2.0). */
static int32_t half_margin(int32_t margin) {
    int32_t half = margin / 2;
    return margin % 2 != 0 && half % 2 != 0 ? half + 1 : half;
}

static pare_status crop_centre(picture *p, int32_t side, pare_preprocess_scratch *scratch, pare_error *error) {
    if (side < 0 || side > p->height || side > p->width) {
        return pare_fail(error, PARE_BAD_INPUT, "expected a picture of at least %d x %d to crop, found %d x %d", side,
                         side, p->width, p->height);
    }
    picture out = {NULL, side, side, p->channels};
    PARE_TRY(reserve(&scratch->cropped, &scratch->cropped_bytes, picture_bytes(&out), error));
    size_t row = (size_t)side * (size_t)p->channels, in_row = (size_t)p->width * (size_t)p->channels;
    size_t top = (size_t)half_margin(p->height - side), left = (size_t)half_margin(p->width - side);
    const uint8_t *from = p->pixels + top * in_row + left * (size_t)p->channels;
    for (size_t y = 0; y < (size_t)side; y++) {
        memcpy(scratch->cropped + y * row, from + y * in_row, row);
    }
    out.pixels = scratch->cropped;
    *p = out;
    return PARE_OK;
}

/* Which byte of a pixel an output channel takes; GRAY_MIX is Pillow's luma. */
#define GRAY_MIX (-1)
typedef struct channel_plan {
    int32_t count;
    int32_t source[CHANNEL_LIMIT];
} channel_plan;

static pare_status plan_channels(pare_color color, int32_t channels, channel_plan *plan, pare_error *error) {
    if (channels < 1 || channels > CHANNEL_LIMIT) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected 1 to %d colour channels, found %d", CHANNEL_LIMIT,
                         channels);
    }
    if (color != PARE_COLOR_KEEP && channels != 1 && channels != 3) {
        return pare_fail(error, PARE_BAD_INPUT, "expected 1 or 3 colour channels to convert, found %d", channels);
    }
    plan->count = color == PARE_COLOR_KEEP ? channels : color == PARE_COLOR_GRAY ? 1 : 3;
    for (int32_t c = 0; c < plan->count; c++) {
        plan->source[c] = channels == 1 ? 0 : color == PARE_COLOR_BGR ? 2 - c : c;
    }
    if (color == PARE_COLOR_GRAY && channels == 3) {
        plan->source[0] = GRAY_MIX;
    }
    return PARE_OK;
}

static inline uint8_t pick(const uint8_t *pixel, int32_t source) {
    if (source == GRAY_MIX) {
        return (uint8_t)((pixel[0] * 19595u + pixel[1] * 38470u + pixel[2] * 7471u + 0x8000u) >> 16);
    }
    return pixel[source];
}

/* Per channel (x × scale - mean) / std. */
typedef struct normalizer {
    float scale;
    float mean[CHANNEL_LIMIT], std[CHANNEL_LIMIT];
    bool per_channel; /* else only entry 0 counts */
} normalizer;

static bool listable(int32_t count, int64_t channels) {
    return count == 0 || count == 1 || (count <= CHANNEL_LIMIT && count == channels);
}

static pare_status make_normalizer(const pare_preprocess *p, int64_t channels, normalizer *n, pare_error *error) {
    if (!listable(p->mean_count, channels) || !listable(p->std_count, channels)) {
        return pare_fail(error, PARE_BAD_INPUT,
                         "preprocessing: expected one mean and std, or one for each of %lld channels, found %d and %d",
                         (long long)channels, p->mean_count, p->std_count);
    }
    n->scale = p->scale == 0 ? 1 : p->scale;
    n->per_channel = p->mean_count > 1 || p->std_count > 1;
    for (int32_t c = 0; c < CHANNEL_LIMIT; c++) {
        n->mean[c] = p->mean_count == 0 ? 0 : p->mean[p->mean_count == 1 ? 0 : c % p->mean_count];
        n->std[c] = p->std_count == 0 ? 1 : p->std[p->std_count == 1 ? 0 : c % p->std_count];
        if (!isfinite(n->scale) || !isfinite(n->mean[c]) || !isfinite(n->std[c]) || n->std[c] <= 0) {
            return pare_fail(error, PARE_BAD_INPUT,
                             "preprocessing: expected finite scale and mean and std above 0, found %g, %g and %g",
                             (double)n->scale, (double)n->mean[c], (double)n->std[c]);
        }
    }
    return PARE_OK;
}

static float normalize(const normalizer *n, size_t channel, float value) {
    return (value * n->scale - n->mean[channel]) / n->std[channel];
}

/* The picture's shape as the layout orders it, against the model's. */
static pare_status check_picture(const picture *p, int32_t channels, pare_layout_order layout, const pare_shape *shape,
                                 pare_error *error) {
    char wanted[128];
    size_t elements;
    pare_shape mine = {3, {channels, p->height, p->width}};
    if (layout == PARE_ORDER_NHWC) {
        mine = (pare_shape){3, {p->height, p->width, channels}};
    }
    bool fits = layout == PARE_ORDER_FLAT ? pare_shape_elements(shape, &elements) &&
                                                elements == (size_t)p->height * (size_t)p->width * (size_t)channels
                                          : pare_shape_equal(&mine, shape);
    return fits ? PARE_OK
                : pare_fail(error, PARE_BAD_INPUT,
                            "model expects an input of %s (%s), found a picture of %d x %d pixels, %d channel(s)",
                            pare_shape_text(shape, wanted, sizeof wanted),
                            layout == PARE_ORDER_NCHW   ? "channels, height, width"
                            : layout == PARE_ORDER_NHWC ? "height, width, channels"
                                                        : "flat",
                            p->width, p->height, channels);
}

/* `out` is F32 or, without a normaliser, U8. */
static void store_picture(const picture *p, const channel_plan *plan, bool planar, const normalizer *n, void *out) {
    size_t pixels = (size_t)p->height * (size_t)p->width, channels = (size_t)plan->count;
    for (size_t c = 0; c < channels; c++) {
        float table[256] = {0};
        for (int value = 0; n != NULL && value < 256; value++) {
            table[value] = normalize(n, n->per_channel ? c : 0, (float)value);
        }
        size_t at = planar ? c * pixels : c, step = planar ? 1 : channels;
        const uint8_t *pixel = p->pixels;
        for (size_t i = 0; i < pixels; i++, at += step, pixel += p->channels) {
            uint8_t value = pick(pixel, plan->source[c]);
            if (n != NULL) {
                ((float *)out)[at] = table[value];
            } else {
                ((uint8_t *)out)[at] = value;
            }
        }
    }
}

static pare_status apply_picture(const pare_preprocess *p, const pare_sample *sample, const pare_shape *shape,
                                 pare_dtype dtype, void *out, pare_preprocess_scratch *scratch, pare_error *error) {
    const int64_t *dims = sample->shape.dims;
    if (sample->shape.rank != 3 || dims[0] > INT32_MAX || dims[1] > INT32_MAX || dims[2] > INT32_MAX) {
        return pare_fail(error, PARE_USAGE, "expected a picture of height, width and channels");
    }
    picture now = {sample->data, (int32_t)dims[0], (int32_t)dims[1], (int32_t)dims[2]};
    channel_plan plan = {0};
    normalizer n;
    if (p->resize != 0) {
        PARE_TRY(resize_short_side(&now, p->resize, scratch, error));
    }
    if (p->crop != 0) {
        PARE_TRY(crop_centre(&now, p->crop, scratch, error));
    }
    PARE_TRY(plan_channels(p->color, now.channels, &plan, error));
    PARE_TRY(make_normalizer(p, plan.count, &n, error));
    PARE_TRY(check_picture(&now, plan.count, p->layout, shape, error));
    if (dtype != PARE_F32 && dtype != PARE_U8) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected a model input of float32 or uint8 for pictures, found %s",
                         pare_dtype_name(dtype));
    }
    store_picture(&now, &plan, p->layout == PARE_ORDER_NCHW, dtype == PARE_F32 ? &n : NULL, out);
    return PARE_OK;
}

/* Element `i`'s channel: the first axis of NCHW samples, the last of others. */
static void channel_axis(pare_layout_order layout, const pare_shape *shape, size_t elements, size_t *channels,
                         size_t *run) {
    bool first = layout == PARE_ORDER_NCHW && shape->rank > 1;
    *channels = shape->rank == 0 ? 1 : (size_t)shape->dims[first ? 0 : shape->rank - 1];
    *run = first && *channels > 0 ? elements / *channels : 1;
}

static pare_status not_finite(size_t element, double value, pare_error *error) {
    return pare_fail(error, PARE_BAD_INPUT, "expected finite numbers, found %g at element %zu", value, element);
}

static pare_status store_reals(const pare_preprocess *p, const pare_sample_info *info, const pare_sample *sample,
                               size_t elements, float *out, pare_error *error) {
    size_t channels, run;
    normalizer n;
    channel_axis(p->layout, &sample->shape, elements, &channels, &run);
    PARE_TRY(make_normalizer(p, (int64_t)channels, &n, error));
    for (size_t i = 0; i < elements; i++) {
        float value =
            info->dtype == PARE_S64 ? (float)((const int64_t *)sample->data)[i] : ((const float *)sample->data)[i];
        out[i] = normalize(&n, n.per_channel ? i / run % channels : 0, value);
        if (!isfinite(value) || !isfinite(out[i])) {
            return not_finite(i, (double)value, error);
        }
    }
    return PARE_OK;
}

/* Whole numbers within 0..255 or, for S64, within ±2^53. */
static pare_status store_integers(const pare_sample_info *info, const pare_sample *sample, size_t elements,
                                  pare_dtype dtype, void *out, pare_error *error) {
    double limit = dtype == PARE_U8 ? 255 : 9007199254740992.0;
    for (size_t i = 0; i < elements; i++) {
        if (info->dtype == PARE_S64 && dtype == PARE_S64) {
            ((int64_t *)out)[i] = ((const int64_t *)sample->data)[i];
            continue;
        }
        double value = info->dtype == PARE_S64 ? (double)((const int64_t *)sample->data)[i]
                                               : (double)((const float *)sample->data)[i];
        if (!(value >= (dtype == PARE_U8 ? 0 : -limit) && value <= limit) || value != floor(value)) {
            return pare_fail(error, PARE_BAD_INPUT, "model expects %s, found %g at element %zu", pare_dtype_name(dtype),
                             value, i);
        }
        if (dtype == PARE_U8) {
            ((uint8_t *)out)[i] = (uint8_t)value;
        } else {
            ((int64_t *)out)[i] = (int64_t)value;
        }
    }
    return PARE_OK;
}

pare_status pare_preprocess_apply(const pare_preprocess *preprocess, const pare_sample_info *info,
                                  const pare_sample *sample, const pare_shape *shape, pare_dtype dtype, void *out,
                                  pare_preprocess_scratch *scratch, pare_error *error) {
    if (info->image) {
        return apply_picture(preprocess, sample, shape, dtype, out, scratch, error);
    }
    size_t wanted, found;
    char mine[128], theirs[128];
    bool sizes = pare_shape_elements(shape, &wanted) && pare_shape_elements(&sample->shape, &found);
    if (!sizes || wanted != found ||
        (preprocess->layout != PARE_ORDER_FLAT && !pare_shape_equal(shape, &sample->shape))) {
        return pare_fail(error, PARE_BAD_INPUT, "model expects an input of %s, found a sample of %s",
                         pare_shape_text(shape, theirs, sizeof theirs),
                         pare_shape_text(&sample->shape, mine, sizeof mine));
    }
    if (preprocess->resize != 0 || preprocess->crop != 0) {
        return pare_fail(error, PARE_BAD_INPUT, "preprocessing: expected pictures to resize or crop, found numbers");
    }
    switch (dtype) {
    case PARE_F32:
        return store_reals(preprocess, info, sample, found, out, error);
    case PARE_U8:
    case PARE_S64:
        return store_integers(info, sample, found, dtype, out, error);
    default:
        return pare_fail(error, PARE_UNSUPPORTED, "expected a model input of float32, uint8 or int64, found %s",
                         pare_dtype_name(dtype));
    }
}
