#include "train/data/augment.h"

#include <math.h>
#include <string.h>

#include "pare/checked.h"
#include "pare/memory.h"

#define PIXELS_LIMIT 16384.0
#define REAL_LIMIT 1e6

pare_status pare_augment_check(const pare_augment *augment, pare_error *error) {
    const struct {
        const char *name;
        double value, limit;
    } fields[] = {
        {"crop_padding", augment->crop_padding, PIXELS_LIMIT},
        {"shift", augment->shift, PIXELS_LIMIT},
        {"cutout", augment->cutout, PIXELS_LIMIT},
        {"rotation", augment->rotation, 180},
        {"brightness", augment->brightness, REAL_LIMIT},
        {"contrast", augment->contrast, 1},
        {"noise", augment->noise, REAL_LIMIT},
        {"mixup", augment->mixup, REAL_LIMIT},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!(fields[i].value >= 0 && fields[i].value <= fields[i].limit)) {
            return pare_fail(error, PARE_USAGE, "augmentation: expected %s from 0 to %g, found %g", fields[i].name,
                             fields[i].limit, fields[i].value);
        }
    }
    return PARE_OK;
}

/* The first option that needs pixels, or NULL. */
static const char *pixel_option(const pare_augment *a) {
    return a->flip_horizontal    ? "flip_horizontal"
           : a->flip_vertical    ? "flip_vertical"
           : a->crop_padding > 0 ? "crop_padding"
           : a->shift > 0        ? "shift"
           : a->rotation > 0     ? "rotation"
           : a->cutout > 0       ? "cutout"
           : a->brightness > 0   ? "brightness"
           : a->contrast > 0     ? "contrast"
                                 : NULL;
}

static bool moves_pixels(const pare_augment *a) {
    return a->flip_horizontal || a->flip_vertical || a->crop_padding > 0 || a->shift > 0;
}

static void set_layout(pare_augmenter *a, int64_t planes, int64_t height, int64_t width, int64_t run) {
    a->planes = (size_t)planes;
    a->height = (size_t)height;
    a->width = (size_t)width;
    a->run = (size_t)run;
}

/* A flat input keeps a picture's interleaved pixels: its sides are those of the
 * crop or of the stored pictures. */
static pare_status find_layout(pare_augmenter *a, const pare_preprocess *preprocess, const pare_sample_info *info,
                               const pare_shape *input, pare_error *error) {
    const int64_t *dims = input->dims;
    if (preprocess->layout != PARE_ORDER_FLAT && input->rank == 3) {
        bool planar = preprocess->layout == PARE_ORDER_NCHW;
        set_layout(a, planar ? dims[0] : 1, dims[planar ? 1 : 0], dims[planar ? 2 : 1], planar ? 1 : dims[2]);
        return PARE_OK;
    }
    int64_t height = info->shape.dims[0], width = info->shape.dims[1];
    if (preprocess->crop > 0) {
        height = width = preprocess->crop;
    } else if (preprocess->resize > 0) {
        height = width = 0;
    }
    int64_t pixels = 0, elements = (int64_t)a->elements;
    bool known = pare_mul_i64(height, width, &pixels) && pixels > 0 && elements % pixels == 0;
    if (preprocess->layout != PARE_ORDER_FLAT || !known) {
        char text[128];
        return pare_fail(error, PARE_USAGE,
                         "augmentation: %s needs a known height and width, found a model input of %s without a crop",
                         pixel_option(&a->options), pare_shape_text(input, text, sizeof text));
    }
    set_layout(a, 1, height, width, elements / pixels);
    return PARE_OK;
}

static pare_status check_side(const char *name, int32_t value, const pare_augmenter *a, bool whole, pare_error *error) {
    size_t side = a->height < a->width ? a->height : a->width;
    size_t most = whole ? side : side - 1; /* a picture moved by its side would be gone */
    return (size_t)value <= most
               ? PARE_OK
               : pare_fail(error, PARE_USAGE,
                           "augmentation: expected %s of at most %zu for pictures of %zu x %zu, found %d", name, most,
                           a->width, a->height, (int)value);
}

pare_status pare_augmenter_init(pare_augmenter *augmenter, const pare_augment *options,
                                const pare_preprocess *preprocess, const pare_sample_info *info,
                                const pare_shape *input, pare_dtype dtype, pare_error *error) {
    char text[128];
    const char *pixels = pixel_option(options);
    *augmenter = (pare_augmenter){.options = *options};
    PARE_TRY(pare_augment_check(options, error));
    pare_ziggurat_init(&augmenter->ziggurat);
    if (!pare_shape_elements(input, &augmenter->elements) || augmenter->elements == 0) {
        return pare_fail(error, PARE_USAGE, "expected an input of fixed dimensions above 0, found %s",
                         pare_shape_text(input, text, sizeof text));
    }
    if (dtype != PARE_F32 && (pixels != NULL || options->noise > 0 || options->mixup > 0)) {
        return pare_fail(error, PARE_USAGE, "augmentation: %s needs a model input of float32, found %s",
                         pixels != NULL       ? pixels
                         : options->noise > 0 ? "noise"
                                              : "mixup",
                         pare_dtype_name(dtype));
    }
    if (pixels == NULL) {
        return PARE_OK;
    }
    if (!info->image) {
        return pare_fail(error, PARE_USAGE,
                         "augmentation: %s needs pictures, found samples of %s numbers; only noise and mixup apply",
                         pixels, pare_shape_text(&info->shape, text, sizeof text));
    }
    PARE_TRY(find_layout(augmenter, preprocess, info, input, error));
    PARE_TRY(check_side("crop_padding", options->crop_padding, augmenter, false, error));
    PARE_TRY(check_side("shift", options->shift, augmenter, false, error));
    PARE_TRY(check_side("cutout", options->cutout, augmenter, true, error));
    if (moves_pixels(options) || options->rotation > 0) {
        augmenter->spare = pare_alloc_zero(augmenter->elements, sizeof *augmenter->spare);
        if (augmenter->spare == NULL) {
            return pare_fail_memory(error, augmenter->elements * sizeof *augmenter->spare);
        }
    }
    return PARE_OK;
}

void pare_augmenter_free(pare_augmenter *augmenter) {
    pare_free(augmenter->spare);
    memset(augmenter, 0, sizeof *augmenter);
}

/* Uniform in [-limit, limit). */
static double draw_real(double limit, pare_random *random) {
    return (2 * pare_random_unit(random) - 1) * limit;
}

/* Uniform in -limit, …, limit. */
static int64_t draw_integer(int32_t limit, pare_random *random) {
    return limit == 0 ? 0 : (int64_t)pare_random_below(random, 2 * (uint64_t)limit + 1) - limit;
}

static bool draw_bit(bool wanted, pare_random *random) {
    return wanted && pare_random_u64(random) >> 63 != 0;
}

/* x becomes mean + (x - mean) × factor + offset. */
static void light(const pare_augmenter *a, float *sample, pare_random *random) {
    double sum = 0, squares = 0, count = (double)a->elements;
    for (size_t i = 0; i < a->elements; i++) {
        double value = (double)sample[i];
        sum += value;
        squares += value * value;
    }
    double mean = sum / count, variance = squares / count - mean * mean;
    double factor = a->options.contrast > 0 ? 1 + draw_real(a->options.contrast, random) : 1;
    double offset =
        a->options.brightness > 0 ? draw_real(a->options.brightness, random) * sqrt(variance > 0 ? variance : 0) : 0;
    float scale = (float)factor, bias = (float)(mean - mean * factor + offset);
    for (size_t i = 0; i < a->elements; i++) {
        sample[i] = sample[i] * scale + bias;
    }
}

/* Along one axis: output positions from … to-1 take the input at `source` and on
 * (or back from it), the others 0. */
typedef struct axis_move {
    size_t from, to, source;
    bool reversed;
} axis_move;

/* Flip, then crop at `crop` (negative: in the padding), then shift by `shift`. */
static axis_move plan_axis(size_t size, bool flip, int64_t crop, int64_t shift) {
    int64_t n = (int64_t)size, cropped = shift - crop;
    int64_t from = shift > cropped ? shift : cropped, to = n + (shift < cropped ? shift : cropped);
    from = from < 0 ? 0 : from;
    to = to > n ? n : to;
    if (from >= to) {
        return (axis_move){0, 0, 0, false};
    }
    int64_t source = from - cropped;
    return (axis_move){(size_t)from, (size_t)to, (size_t)(flip ? n - 1 - source : source), flip};
}

static void move_row(const axis_move *x, size_t width, size_t run, const float *in, float *out) {
    size_t pixels = x->to - x->from;
    memset(out, 0, x->from * run * sizeof *out);
    memset(out + x->to * run, 0, (width - x->to) * run * sizeof *out);
    out += x->from * run;
    in += x->source * run;
    if (!x->reversed) {
        memcpy(out, in, pixels * run * sizeof *out);
    } else if (run == 1) {
        for (size_t i = 0; i < pixels; i++) {
            out[i] = in[-(ptrdiff_t)i];
        }
    } else {
        for (size_t i = 0; i < pixels; i++) {
            memcpy(out + i * run, in - (ptrdiff_t)(i * run), run * sizeof *out);
        }
    }
}

static void move(const pare_augmenter *a, float *sample, pare_random *random) {
    const pare_augment *o = &a->options;
    bool across = draw_bit(o->flip_horizontal, random), down = draw_bit(o->flip_vertical, random);
    int64_t top = draw_integer(o->crop_padding, random), left = draw_integer(o->crop_padding, random);
    int64_t lower = draw_integer(o->shift, random), right = draw_integer(o->shift, random);
    axis_move y = plan_axis(a->height, down, top, lower), x = plan_axis(a->width, across, left, right);
    size_t row = a->width * a->run, plane = a->height * row;
    memcpy(a->spare, sample, a->elements * sizeof *sample);
    for (size_t p = 0; p < a->planes; p++) {
        const float *in = a->spare + p * plane;
        float *out = sample + p * plane;
        memset(out, 0, y.from * row * sizeof *out);
        for (size_t i = y.from; i < y.to; i++) {
            size_t step = i - y.from;
            move_row(&x, a->width, a->run, in + (y.reversed ? y.source - step : y.source + step) * row, out + i * row);
        }
        memset(out + y.to * row, 0, (a->height - y.to) * row * sizeof *out);
    }
}

/* The four neighbours of a point and their weights; those outside weigh 0. */
typedef struct taps {
    size_t at[4]; /* pixel numbers */
    float weight[4];
} taps;

/* Along one axis: the lower neighbour, and the weights of it and the next. */
static int64_t find_neighbours(double position, size_t size, double weights[2]) {
    /* Positions lie far above -2^20: a quick floor. */
    int64_t lower = (int64_t)(position + 0x1p20) - ((int64_t)1 << 20);
    double past = position - (double)lower;
    weights[0] = lower >= 0 && lower < (int64_t)size ? 1 - past : 0;
    weights[1] = lower >= -1 && lower + 1 < (int64_t)size ? past : 0;
    return lower;
}

static taps find_taps(double y, double x, size_t height, size_t width) {
    double down[2], across[2];
    int64_t top = find_neighbours(y, height, down), left = find_neighbours(x, width, across);
    taps found;
    for (int corner = 0; corner < 4; corner++) {
        double weight = down[corner / 2] * across[corner % 2];
        int64_t at = (top + corner / 2) * (int64_t)width + left + corner % 2;
        found.at[corner] = weight != 0 ? (size_t)at : 0;
        found.weight[corner] = (float)weight;
    }
    return found;
}

/* About the picture's centre. */
static void rotate(const pare_augmenter *a, float *sample, pare_random *random) {
    double angle = draw_real(a->options.rotation, random) * 0.017453292519943295;
    double cosine = cos(angle), sine = sin(angle);
    double middle_y = ((double)a->height - 1) / 2, middle_x = ((double)a->width - 1) / 2;
    size_t plane = a->height * a->width * a->run;
    float *out = sample;
    memcpy(a->spare, sample, a->elements * sizeof *sample);
    for (size_t y = 0; y < a->height; y++) {
        for (size_t x = 0; x < a->width; x++, out += a->run) {
            double down = (double)y - middle_y, across = (double)x - middle_x;
            taps t = find_taps(middle_y + cosine * down - sine * across, middle_x + cosine * across + sine * down,
                               a->height, a->width);
            for (size_t p = 0; p < a->planes; p++) {
                const float *in = a->spare + p * plane;
                for (size_t c = 0; c < a->run; c++) {
                    out[p * plane + c] =
                        t.weight[0] * in[t.at[0] * a->run + c] + t.weight[1] * in[t.at[1] * a->run + c] +
                        t.weight[2] * in[t.at[2] * a->run + c] + t.weight[3] * in[t.at[3] * a->run + c];
                }
            }
        }
    }
}

/* A square around a random pixel, cut off at the borders (DeVries and Taylor 2017). */
static void cut_out(const pare_augmenter *a, float *sample, pare_random *random) {
    size_t side = (size_t)a->options.cutout, half = side / 2;
    size_t y = (size_t)pare_random_below(random, a->height), x = (size_t)pare_random_below(random, a->width);
    size_t top = y > half ? y - half : 0, left = x > half ? x - half : 0;
    size_t bottom = y + side - half < a->height ? y + side - half : a->height;
    size_t right = x + side - half < a->width ? x + side - half : a->width;
    for (size_t p = 0; p < a->planes; p++) {
        for (size_t i = top; i < bottom; i++) {
            memset(sample + ((p * a->height + i) * a->width + left) * a->run, 0,
                   (right - left) * a->run * sizeof *sample);
        }
    }
}

void pare_augmenter_apply(const pare_augmenter *augmenter, float *sample, pare_random *random) {
    const pare_augment *options = &augmenter->options;
    if (options->brightness > 0 || options->contrast > 0) {
        light(augmenter, sample, random);
    }
    if (moves_pixels(options)) {
        move(augmenter, sample, random);
    }
    if (options->rotation > 0) {
        rotate(augmenter, sample, random);
    }
    if (options->cutout > 0) {
        cut_out(augmenter, sample, random);
    }
    if (options->noise > 0) {
        pare_ziggurat_add(&augmenter->ziggurat, sample, augmenter->elements, options->noise, random);
    }
}

/* Logarithm of a Gamma(alpha, 1) number (Marsaglia and Tsang 2000, with their
 * step from alpha + 1 for alpha below 1): for small alpha the number itself
 * would be 0 in floating point. */
static double log_gamma_number(double alpha, pare_random *random) {
    double boost = 0;
    if (alpha < 1) {
        boost = log(1 - pare_random_unit(random)) / alpha;
        alpha += 1;
    }
    double d = alpha - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double normal = pare_random_normal(random), root = 1 + c * normal;
        double uniform = 1 - pare_random_unit(random);
        if (root > 0) {
            double cube = root * root * root;
            if (log(uniform) < normal * normal / 2 + d - d * cube + d * log(cube)) {
                return boost + log(d * cube);
            }
        }
    }
}

double pare_mixup_lambda(double alpha, pare_random *random) {
    double one = log_gamma_number(alpha, random), other = log_gamma_number(alpha, random);
    return one == other ? 0.5 : 1 / (1 + exp(other - one)); /* equal: perhaps both -infinity */
}

void pare_mixup(float *mixed, const float *other, size_t count, float lambda) {
    float rest = 1 - lambda;
    for (size_t i = 0; i < count; i++) {
        mixed[i] = lambda * mixed[i] + rest * other[i];
    }
}
