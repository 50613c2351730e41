/* The frame of a page, and the axes of its charts. */
#include "pare/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CHART_WIDTH 640.0
#define CHART_HEIGHT 320.0

const double pare_chart_left = 70.0, pare_chart_right = CHART_WIDTH - 20.0;
const double pare_chart_top = 16.0, pare_chart_bottom = CHART_HEIGHT - 46.0;

static const char page_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Pare: ";
static const char page_style[] =
    "</title>\n"
    "<style>\n:root{color-scheme:light dark;--ink:#1c1d1f;--soft:#62666d;--line:#d5d8dc;--dot:#0b63b5;--other:#b4450a;"
    "--paper:#fff}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e9eaec;--soft:#9aa0a8;--line:#3c4046;--dot:#6db3f2;--other:#f2a36d;"
    "--paper:#17191c}}\n"
    "body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;margin:2rem auto;"
    "padding:0 1rem}\nh1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}.table{overflow-x:auto}\n"
    "table{border-collapse:collapse;width:100%}th,td{padding:.4rem .7rem;border-bottom:1px solid var(--line);"
    "text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:"
    "left}\n"
    "th{color:var(--soft);font-weight:600}svg{width:100%;max-width:44rem;height:auto}svg text{fill:var(--ink);"
    "font:12px system-ui,sans-serif}svg .soft{fill:var(--soft)}svg line{stroke:var(--line)}svg .bar{stroke:var(--dot);"
    "stroke-width:1.5}svg circle{fill:var(--dot)}svg polyline{fill:none;stroke:var(--dot);stroke-width:2}"
    "svg circle.other{fill:var(--other)}svg polyline.other{stroke:var(--other);stroke-dasharray:6 3}"
    ".key{color:var(--dot)}.key.other{color:var(--other)}p.note{color:var(--soft)}\n</style></head><body>\n<h1>";

void pare_page_put(pare_byte_buffer *out, const char *format, ...) {
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pare_put_bytes(out, text, length < (int)sizeof text ? (size_t)length : sizeof text - 1);
}

void pare_page_text(pare_byte_buffer *out, const char *text) {
    for (; *text != '\0'; text++) {
        const char *entity = *text == '<'   ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '&' ? "&amp;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        pare_put_bytes(out, entity != NULL ? entity : text, entity != NULL ? strlen(entity) : 1);
    }
}

void pare_page_begin(pare_byte_buffer *out, const char *title) {
    pare_put_bytes(out, page_head, strlen(page_head));
    pare_page_text(out, title);
    pare_put_bytes(out, page_style, strlen(page_style));
    pare_page_text(out, title);
    pare_page_put(out, "</h1>\n");
}

void pare_page_end(pare_byte_buffer *out) {
    pare_page_put(out, "</body></html>\n");
}

double pare_chart_step(double span) {
    double unit = pow(10.0, floor(log10(span / 5.0))), share = span / 5.0 / unit;
    return unit * (share <= 1.0 ? 1.0 : share <= 2.0 ? 2.0 : share <= 5.0 ? 5.0 : 10.0);
}

pare_chart pare_chart_fit(double x_most, double y_low, double y_high) {
    pare_chart chart = {.x_high = x_most > 0.0 ? x_most : 1.0};
    /* Values that are all alike still have an axis whose labels differ. */
    double least = fmax(1e-4 * fmax(fabs(y_low), fabs(y_high)), 1e-12);
    chart.x_step = pare_chart_step(chart.x_high);
    chart.y_step = pare_chart_step(fmax(y_high - y_low, least));
    chart.y_low = floor(y_low / chart.y_step) * chart.y_step;
    chart.y_high = ceil(y_high / chart.y_step + 1e-9) * chart.y_step;
    return chart;
}

double pare_chart_x(const pare_chart *chart, double x) {
    return pare_chart_left + x / chart->x_high * (pare_chart_right - pare_chart_left);
}

double pare_chart_y(const pare_chart *chart, double y) {
    double share = (y - chart->y_low) / (chart->y_high - chart->y_low);
    return pare_chart_bottom - share * (pare_chart_bottom - pare_chart_top);
}

/* 0 where the sum of steps only nearly is. */
static double tick_value(double low, int tick, double step) {
    double value = low + (double)tick * step;
    return fabs(value) < 1e-6 * step ? 0.0 : value;
}

static void put_axes(pare_byte_buffer *out, const pare_chart *chart) {
    for (int tick = 0; (double)tick * chart->x_step <= chart->x_high * 1.0001; tick++) {
        double value = (double)tick * chart->x_step;
        pare_page_put(out, "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.6g</text>\n",
                      pare_chart_x(chart, value), pare_chart_bottom + 18.0, value);
    }
    for (int tick = 0; chart->y_low + (double)tick * chart->y_step <= chart->y_high + chart->y_step * 1e-4; tick++) {
        double value = tick_value(chart->y_low, tick, chart->y_step), y = pare_chart_y(chart, value);
        pare_page_put(
            out,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/><text class=\"soft\" x=\"%.1f\" y=\"%.1f\" "
            "text-anchor=\"end\">%.6g</text>\n",
            pare_chart_left, y, pare_chart_right, y, pare_chart_left - 8.0, y + 4.0, value);
    }
}

void pare_chart_begin(pare_byte_buffer *out, const pare_chart *chart, const char *x_label, const char *y_label) {
    pare_page_put(out, "<h2>");
    pare_page_text(out, y_label);
    pare_page_put(out, " against ");
    pare_page_text(out, x_label);
    pare_page_put(out, "</h2><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", CHART_WIDTH, CHART_HEIGHT);
    pare_page_text(out, y_label);
    pare_page_put(out, " against ");
    pare_page_text(out, x_label);
    pare_page_put(out, "\">\n");
    put_axes(out, chart);
    pare_page_put(out, "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                  (pare_chart_left + pare_chart_right) / 2.0, CHART_HEIGHT - 8.0);
    pare_page_text(out, x_label);
    pare_page_put(out, "</text>\n");
}

void pare_chart_end(pare_byte_buffer *out) {
    pare_page_put(out, "</svg>\n");
}
