/* How people write the ten digits: strokes as control points in a unit square
 * (x to the right, y down), several styles each. */
#ifndef PARE_GLYPHS_H
#define PARE_GLYPHS_H

#define GLYPH_MOST_POINTS 14
#define GLYPH_MOST_STROKES 3

typedef struct glyph_stroke {
    int count;
    double points[GLYPH_MOST_POINTS][2];
} glyph_stroke;

typedef struct glyph {
    int digit, stroke_count;
    glyph_stroke strokes[GLYPH_MOST_STROKES];
} glyph;

extern const glyph glyphs[];
extern const int glyph_count;

#endif
