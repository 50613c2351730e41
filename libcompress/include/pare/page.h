/* Pages of results: one HTML file, no network, no script, light and dark. */
#ifndef PARE_PAGE_H
#define PARE_PAGE_H

#include "pare/bytes.h"
#include "pare/status.h"

/* Up to the headline, `title` (any text); ended by pare_page_end. Memory that runs out is noted in the buffer. */
void pare_page_begin(pare_byte_buffer *out, const char *title);
void pare_page_end(pare_byte_buffer *out);
/* Markup, at most 1,199 bytes. */
void pare_page_put(pare_byte_buffer *out, const char *format, ...) PARE_PRINTF(2, 3);
/* Text that may hold anything. */
void pare_page_text(pare_byte_buffer *out, const char *text);

/* A chart from x = 0. Positions in it are in units of the drawing, 640 × 320. */
typedef struct pare_chart {
    double x_high, x_step, y_low, y_high, y_step;
} pare_chart;

/* 1, 2 or 5 times a power of ten, of which at most five fill `span` > 0. */
double pare_chart_step(double span);
/* A chart of round numbers that holds x from 0 to x_most and y from y_low to y_high (all finite). */
pare_chart pare_chart_fit(double x_most, double y_low, double y_high);
/* Headline "y_label against x_label", axes; what is drawn follows, then pare_chart_end. The labels may hold anything.
 */
void pare_chart_begin(pare_byte_buffer *out, const pare_chart *chart, const char *x_label, const char *y_label);
void pare_chart_end(pare_byte_buffer *out);
double pare_chart_x(const pare_chart *chart, double x);
double pare_chart_y(const pare_chart *chart, double y);
extern const double pare_chart_left, pare_chart_right, pare_chart_top, pare_chart_bottom;

#endif
