/* How people write digits: pen strokes in a unit box, y downwards. */
#ifndef PARE_DIGIT_STYLES_H
#define PARE_DIGIT_STYLES_H

#include <stddef.h>

#define STROKE_POINTS 14
#define STYLE_STROKES 3

/* A smooth curve through its points; a point given twice is a corner. */
typedef struct digit_stroke {
    size_t count;
    float points[STROKE_POINTS][2];
} digit_stroke;

typedef struct digit_style {
    int digit;
    size_t count;
    digit_stroke strokes[STYLE_STROKES];
} digit_style;

/* All styles, those of a digit side by side. */
extern const digit_style DIGIT_STYLES[];
extern const size_t DIGIT_STYLE_COUNT;

#endif
