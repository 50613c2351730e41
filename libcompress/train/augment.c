#include "train/augment.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

/* --- what is asked for ---------------------------------------------------------------- */

static pare_status check_range(const char *name, double value, double low, double high, pare_error *error) {
    return value >= low && value <= high
               ? PARE_OK
               : pare_fail(error, PARE_USAGE, "augmentation: expected %s from %g to %g, found %g", name, low, high,
                           value);
}

pare_status pare_augment_check(const pare_augment *a, pare_error *error) {
    PARE_TRY(check_range("crop", a->crop_padding, 0, 4096, error));
    PARE_TRY(check_range("shift", a->shift, 0, 4096, error));
    PARE_TRY(check_range("cutout", a->cutout, 0, 4096, error));
    PARE_TRY(check_range("rotate", a->rotation, 0, 180, error));
    PARE_TRY(check_range("brightness", a->brightness, 0, 100, error));
    PARE_TRY(check_range("contrast", a->contrast, 0, 1, error));
    PARE_TRY(check_range("noise", a->noise, 0, 1e6, error));
    return check_range("mixup", a->mixup, 0, 1e6, error);
}

static bool wants_image(const pare_augment *a) {
    return a->flip_horizontal || a->flip_vertical || a->crop_padding > 0 || a->shift > 0 || a->rotation > 0 ||
           a->cutout > 0;
}

static bool wants_floats(const pare_augment *a) {
    return a->brightness > 0 || a->contrast > 0 || a->noise > 0 || a->mixup > 0;
}

pare_status augment_plane_of(const pare_augment *augment, const pare_shape *shape, pare_dtype dtype,
                             pare_layout_order layout, augment_plane *plane, pare_error *error) {
    char text[160];
    *plane = (augment_plane){0};
    if (!pare_shape_elements(shape, &plane->elements)) {
        return pare_fail(error, PARE_USAGE, "expected samples of a fixed size, found %s",
                         pare_shape_text(shape, text, sizeof text));
    }
    plane->image = shape->rank == 3 && layout != PARE_ORDER_FLAT && dtype == PARE_F32;
    if (dtype != PARE_F32 && (wants_image(augment) || wants_floats(augment))) {
        return pare_fail(error, PARE_USAGE, "augmentation: expected samples of floats, found %s",
                         pare_dtype_name(dtype));
    }
    if (!plane->image && wants_image(augment)) {
        return pare_fail(error, PARE_USAGE,
                         "augmentation: expected images to flip, crop, shift, rotate or cut out of, found samples of "
                         "shape %s",
                         pare_shape_text(shape, text, sizeof text));
    }
    if (plane->image) {
        bool last = layout == PARE_ORDER_NHWC;
        plane->channels = (int32_t)shape->dims[last ? 2 : 0];
        plane->height = (int32_t)shape->dims[last ? 0 : 1];
        plane->width = (int32_t)shape->dims[last ? 1 : 2];
        plane->channel_stride = last ? 1 : (size_t)plane->height * (size_t)plane->width;
        plane->column_stride = last ? (size_t)plane->channels : 1;
        plane->row_stride = plane->column_stride * (size_t)plane->width;
    }
    return PARE_OK;
}

/* --- geometry: each pixel of the result comes from a place in the sample ----------------- */

typedef struct movement {
    bool flip_x, flip_y;
    int32_t dx, dy;      /* the source is so much further */
    double cosine, sine; /* of the rotation around the centre */
} movement;

/* Uniform in -most .. most. */
static int32_t draw_offset(pare_random *random, int32_t most) {
    return most > 0 ? (int32_t)pare_random_below(random, (uint64_t)(2 * most + 1)) - most : 0;
}

static movement draw_movement(const pare_augment *a, pare_random *random) {
    movement m = {.cosine = 1};
    m.flip_x = a->flip_horizontal && pare_random_below(random, 2) == 1;
    m.flip_y = a->flip_vertical && pare_random_below(random, 2) == 1;
    m.dx = draw_offset(random, a->crop_padding) + draw_offset(random, a->shift);
    m.dy = draw_offset(random, a->crop_padding) + draw_offset(random, a->shift);
    if (a->rotation > 0) {
        double angle = (2.0 * pare_random_unit(random) - 1.0) * a->rotation * PI / 180.0;
        m.cosine = cos(angle);
        m.sine = sin(angle);
    }
    return m;
}

static void move_row(const augment_plane *p, const movement *m, const float *from, float *to, int32_t y) {
    int32_t sy = (m->flip_y ? p->height - 1 - y : y) + m->dy;
    for (int32_t c = 0; c < p->channels; c++) {
        float *row = to + (size_t)c * p->channel_stride + (size_t)y * p->row_stride;
        const float *source = from + (size_t)c * p->channel_stride;
        for (int32_t x = 0; x < p->width; x++) {
            int32_t sx = (m->flip_x ? p->width - 1 - x : x) + m->dx;
            bool inside = sy >= 0 && sy < p->height && sx >= 0 && sx < p->width;
            row[(size_t)x * p->column_stride] =
                inside ? source[(size_t)sy * p->row_stride + (size_t)sx * p->column_stride] : 0.0F;
        }
    }
}

static float pixel(const augment_plane *p, const float *channel, int32_t y, int32_t x) {
    bool inside = y >= 0 && y < p->height && x >= 0 && x < p->width;
    return inside ? channel[(size_t)y * p->row_stride + (size_t)x * p->column_stride] : 0.0F;
}

static void turn_row(const augment_plane *p, const movement *m, const float *from, float *to, int32_t y) {
    double middle_x = 0.5 * (p->width - 1), middle_y = 0.5 * (p->height - 1);
    for (int32_t x = 0; x < p->width; x++) {
        double rx = (m->flip_x ? p->width - 1 - x : x) - middle_x, ry = (m->flip_y ? p->height - 1 - y : y) - middle_y;
        double sx = m->cosine * rx - m->sine * ry + middle_x + m->dx;
        double sy = m->sine * rx + m->cosine * ry + middle_y + m->dy;
        int32_t left = (int32_t)floor(sx), top = (int32_t)floor(sy);
        float right = (float)(sx - left), down = (float)(sy - top);
        for (int32_t c = 0; c < p->channels; c++) {
            const float *channel = from + (size_t)c * p->channel_stride;
            float upper = pixel(p, channel, top, left) * (1 - right) + pixel(p, channel, top, left + 1) * right;
            float lower = pixel(p, channel, top + 1, left) * (1 - right) + pixel(p, channel, top + 1, left + 1) * right;
            to[(size_t)c * p->channel_stride + (size_t)y * p->row_stride + (size_t)x * p->column_stride] =
                upper * (1 - down) + lower * down;
        }
    }
}

static void change_geometry(const pare_augment *a, const augment_plane *p, pare_random *random, float *sample,
                            float *scratch) {
    movement m = draw_movement(a, random);
    if (a->rotation <= 0 && !m.flip_x && !m.flip_y && m.dx == 0 && m.dy == 0) {
        return;
    }
    memcpy(scratch, sample, p->elements * sizeof *sample);
    for (int32_t y = 0; y < p->height; y++) {
        if (a->rotation > 0) {
            turn_row(p, &m, scratch, sample, y);
        } else {
            move_row(p, &m, scratch, sample, y);
        }
    }
}

/* --- brightness, contrast, noise, holes ---------------------------------------------------- */

static void change_light(const pare_augment *a, size_t count, pare_random *random, float *sample) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)sample[i];
        squares += (double)sample[i] * (double)sample[i];
    }
    double mean = sum / (double)count, variance = squares / (double)count - mean * mean;
    double deviation = variance > 0 ? sqrt(variance) : 0;
    double factor = a->contrast > 0 ? 1.0 + (2.0 * pare_random_unit(random) - 1.0) * a->contrast : 1.0;
    double offset = a->brightness > 0 ? (2.0 * pare_random_unit(random) - 1.0) * a->brightness * deviation : 0.0;
    float scale = (float)factor, shift = (float)(mean * (1.0 - factor) + offset);
    for (size_t i = 0; i < count; i++) {
        sample[i] = sample[i] * scale + shift;
    }
}

/* A square around a random pixel, cut off at the borders as in the paper. */
static void cut_out(const pare_augment *a, const augment_plane *p, pare_random *random, float *sample) {
    int32_t middle_y = (int32_t)pare_random_below(random, (uint64_t)p->height);
    int32_t middle_x = (int32_t)pare_random_below(random, (uint64_t)p->width);
    int32_t top = middle_y - a->cutout / 2, left = middle_x - a->cutout / 2;
    for (int32_t c = 0; c < p->channels; c++) {
        for (int32_t y = top > 0 ? top : 0; y < top + a->cutout && y < p->height; y++) {
            for (int32_t x = left > 0 ? left : 0; x < left + a->cutout && x < p->width; x++) {
                sample[(size_t)c * p->channel_stride + (size_t)y * p->row_stride + (size_t)x * p->column_stride] = 0;
            }
        }
    }
}

void augment_sample(const pare_augment *augment, const augment_plane *plane, pare_random *random, float *sample,
                    float *scratch) {
    if (plane->image && wants_image(augment)) {
        change_geometry(augment, plane, random, sample, scratch);
    }
    if (augment->brightness > 0 || augment->contrast > 0) {
        change_light(augment, plane->elements, random, sample);
    }
    if (augment->noise > 0) {
        for (size_t i = 0; i < plane->elements; i++) {
            sample[i] += (float)(augment->noise * pare_random_normal(random));
        }
    }
    if (augment->cutout > 0) {
        cut_out(augment, plane, random, sample);
    }
}

/* Gamma(alpha) by Marsaglia and Tsang 2000; below 1 by their boost. */
static double draw_gamma(pare_random *random, double alpha) {
    if (alpha < 1) {
        double u = 1.0 - pare_random_unit(random);
        return draw_gamma(random, alpha + 1) * pow(u, 1 / alpha);
    }
    double d = alpha - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = pare_random_normal(random), v = 1.0 + c * x, u = 1.0 - pare_random_unit(random);
        v = v * v * v;
        if (v > 0 && log(u) < 0.5 * x * x + d - d * v + d * log(v)) {
            return d * v;
        }
    }
}

double augment_beta(pare_random *random, double alpha) {
    double a = draw_gamma(random, alpha), b = draw_gamma(random, alpha);
    return a + b > 0 ? a / (a + b) : 0.5;
}
