#include "digit_render.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979
#define STEPS 12 /* straight pieces between two points of a stroke */
#define TRACE_POINTS (STYLE_STROKES * (STROKE_POINTS + 1) * STEPS)
#define FIELD 7 /* control points of the elastic field along a side */
#define GLYPH_HEIGHT 20.0
#define GLYPH_WIDTH 17.0

/* The pen's way, in pixels. */
typedef struct trace {
    size_t count;
    double x[TRACE_POINTS], y[TRACE_POINTS], radius[TRACE_POINTS];
    double ink[TRACE_POINTS]; /* 0 where the pen is lifted to get here */
} trace;

static double between(pare_random *random, double low, double high) {
    return low + (high - low) * pare_random_unit(random);
}

/* Catmull and Rom 1974: a curve through b and c. */
static double spline(double a, double b, double c, double d, double t) {
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

/* Points of the unit box; each of the style's points is moved a little. */
static void trace_stroke(const digit_stroke *stroke, double shake, pare_random *random, trace *out) {
    double x[STROKE_POINTS], y[STROKE_POINTS], dx = 0, dy = 0;
    for (size_t i = 0; i < stroke->count; i++) {
        const float *p = stroke->points[i], *before = stroke->points[i > 0 ? i - 1 : 0];
        /* Both halves of a corner move together. */
        if (i == 0 || p[0] < before[0] || p[0] > before[0] || p[1] < before[1] || p[1] > before[1]) {
            dx = shake * pare_random_normal(random);
            dy = shake * pare_random_normal(random);
        }
        x[i] = (double)p[0] + dx;
        y[i] = (double)p[1] + dy;
    }
    /* The pen may stop early or run on. */
    size_t last = stroke->count - 1;
    double end = between(random, -0.12, 0.1);
    x[last] += end * (x[last] - x[last - 1]);
    y[last] += end * (y[last] - y[last - 1]);
    for (size_t i = 0; i < last; i++) {
        size_t a = i > 0 ? i - 1 : 0, d = i + 2 <= last ? i + 2 : last;
        for (int step = i == 0 ? 0 : 1; step <= STEPS; step++) {
            double t = (double)step / STEPS;
            out->x[out->count] = spline(x[a], x[i], x[i + 1], x[d], t);
            out->y[out->count] = spline(y[a], y[i], y[i + 1], y[d], t);
            out->ink[out->count] = i == 0 && step == 0 ? 0 : 1;
            out->count++;
        }
    }
}

/* Size, slant, rotation and place; from the unit box to pixels. */
static void place(trace *t, pare_random *random) {
    double angle = 0.16 * pare_random_normal(random), shear = 0.18 * pare_random_normal(random) - 0.12;
    double width = GLYPH_WIDTH * between(random, 0.68, 1.18), height = GLYPH_HEIGHT * between(random, 0.8, 1.1);
    double cosine = cos(angle), sine = sin(angle);
    double mean_x = 0, mean_y = 0;
    for (size_t i = 0; i < t->count; i++) {
        double v = (t->y[i] - 0.5) * height, u = (t->x[i] - 0.5) * width + shear * v;
        t->x[i] = cosine * u - sine * v;
        t->y[i] = sine * u + cosine * v;
        mean_x += t->x[i] / (double)t->count;
        mean_y += t->y[i] / (double)t->count;
    }
    double at_x = DIGIT_SIDE / 2.0 + 1.1 * pare_random_normal(random) - mean_x * 0.8;
    double at_y = DIGIT_SIDE / 2.0 + 1.1 * pare_random_normal(random) - mean_y * 0.8;
    for (size_t i = 0; i < t->count; i++) {
        t->x[i] += at_x;
        t->y[i] += at_y;
    }
}

/* A coarse grid of normal displacements, interpolated smoothly, stands for the
 * Gaussian-filtered field of the paper; it moves the trace, not the pixels. */
static void distort(trace *t, double strength, pare_random *random) {
    double field[2][FIELD][FIELD];
    for (int axis = 0; axis < 2; axis++) {
        for (int i = 0; i < FIELD * FIELD; i++) {
            field[axis][i / FIELD][i % FIELD] = strength * pare_random_normal(random);
        }
    }
    for (size_t i = 0; i < t->count; i++) {
        double move[2];
        double u = fmin(fmax(t->x[i] / DIGIT_SIDE, 0), 0.999) * (FIELD - 1);
        double v = fmin(fmax(t->y[i] / DIGIT_SIDE, 0), 0.999) * (FIELD - 1);
        int column = (int)u, row = (int)v;
        double a = u - column, b = v - row;
        a = a * a * (3 - 2 * a);
        b = b * b * (3 - 2 * b);
        for (int axis = 0; axis < 2; axis++) {
            const double(*f)[FIELD] = (const double(*)[FIELD])field[axis];
            move[axis] = (1 - b) * ((1 - a) * f[row][column] + a * f[row][column + 1]) +
                         b * ((1 - a) * f[row + 1][column] + a * f[row + 1][column + 1]);
        }
        t->x[i] += move[0];
        t->y[i] += move[1];
    }
}

static void choose_pen(trace *t, pare_random *random) {
    double radius = between(random, 0.55, 1.75), swing = between(random, 0, 0.3);
    double phase = between(random, 0, 2 * PI), speed = between(random, 0.03, 0.12);
    for (size_t i = 0; i < t->count; i++) {
        t->radius[i] = radius * (1 + swing * sin(phase + speed * (double)i));
    }
}

/* Distance of (x, y) from the piece i - 1 … i, less the pen's radius there. */
static double outside(const trace *t, size_t i, double x, double y) {
    double dx = t->x[i] - t->x[i - 1], dy = t->y[i] - t->y[i - 1];
    double length = dx * dx + dy * dy, along = 0;
    if (length > 0) {
        along = ((x - t->x[i - 1]) * dx + (y - t->y[i - 1]) * dy) / length;
        along = fmin(fmax(along, 0), 1);
    }
    double px = x - t->x[i - 1] - along * dx, py = y - t->y[i - 1] - along * dy;
    return sqrt(px * px + py * py) - t->radius[i];
}

/* The part of each pixel that ink covers, from the distance to the trace. */
static void draw(const trace *t, double *canvas) {
    for (size_t i = 1; i < t->count; i++) {
        if (t->ink[i] <= 0) {
            continue;
        }
        double reach = t->radius[i] + 1;
        int left = (int)fmax(fmin(t->x[i], t->x[i - 1]) - reach, 0);
        int top = (int)fmax(fmin(t->y[i], t->y[i - 1]) - reach, 0);
        int right = (int)fmin(fmax(t->x[i], t->x[i - 1]) + reach, DIGIT_SIDE - 1);
        int bottom = (int)fmin(fmax(t->y[i], t->y[i - 1]) + reach, DIGIT_SIDE - 1);
        for (int y = top; y <= bottom; y++) {
            for (int x = left; x <= right; x++) {
                double covered = fmin(fmax(0.5 - outside(t, i, x + 0.5, y + 0.5), 0), 1);
                double *pixel = &canvas[y * DIGIT_SIDE + x];
                *pixel = fmax(*pixel, covered);
            }
        }
    }
}

/* Three-tap blur along one axis; `side` weight each, at most 1/3. */
static void blur(double *canvas, int step, int stride, double side) {
    for (int line = 0; line < DIGIT_SIDE; line++) {
        double before = 0;
        for (int i = 0; i < DIGIT_SIDE; i++) {
            double *pixel = &canvas[line * stride + i * step];
            double now = *pixel, after = i + 1 < DIGIT_SIDE ? pixel[step] : 0;
            *pixel = (1 - 2 * side) * now + side * (before + after);
            before = now;
        }
    }
}

static const digit_style *choose_style(int digit, pare_random *random) {
    size_t first = 0, count = 0;
    for (size_t i = 0; i < DIGIT_STYLE_COUNT; i++) {
        if (DIGIT_STYLES[i].digit == digit) {
            first = count == 0 ? i : first;
            count++;
        }
    }
    return &DIGIT_STYLES[first + pare_random_below(random, count)];
}

void digit_render(int digit, pare_random *random, uint8_t pixels[DIGIT_SIDE * DIGIT_SIDE]) {
    const digit_style *style = choose_style(digit, random);
    trace t;
    double canvas[DIGIT_SIDE * DIGIT_SIDE] = {0};
    double shake = between(random, 0.01, 0.06);
    t.count = 0;
    for (size_t i = 0; i < style->count; i++) {
        trace_stroke(&style->strokes[i], shake, random, &t);
    }
    place(&t, random);
    distort(&t, between(random, 0.3, 1.5), random);
    choose_pen(&t, random);
    draw(&t, canvas);
    double side = between(random, 0.04, 0.16), ink = between(random, 0.75, 1), noise = between(random, 0, 0.05);
    blur(canvas, 1, DIGIT_SIDE, side);
    blur(canvas, DIGIT_SIDE, 1, side);
    for (int i = 0; i < DIGIT_SIDE * DIGIT_SIDE; i++) {
        double value = canvas[i] * ink + noise * pare_random_normal(random) * (canvas[i] > 0.02 ? 1 : 0.3);
        pixels[i] = (uint8_t)(255 * fmin(fmax(value, 0), 1) + 0.5);
    }
}
