#include "compare_page.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pare/bytes.h"
#include "pare/file.h"
#include "report.h"

#define CHART_WIDTH 640.0
#define CHART_HEIGHT 320.0
#define MARGIN_LEFT 70.0
#define MARGIN_RIGHT 20.0
#define MARGIN_TOP 16.0
#define MARGIN_BOTTOM 46.0

static const char page_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Pare: models compared</title>\n"
    "<style>\n:root{color-scheme:light dark;--ink:#1c1d1f;--soft:#62666d;--line:#d5d8dc;--dot:#0b63b5;--paper:#fff}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e9eaec;--soft:#9aa0a8;--line:#3c4046;--dot:#6db3f2;--paper:#17191c}"
    "}\n"
    "body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;margin:2rem auto;"
    "padding:0 1rem}\nh1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}.table{overflow-x:auto}\n"
    "table{border-collapse:collapse;width:100%}th,td{padding:.4rem .7rem;border-bottom:1px solid var(--line);"
    "text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:"
    "left}\n"
    "th{color:var(--soft);font-weight:600}svg{width:100%;max-width:44rem;height:auto}svg text{fill:var(--ink);"
    "font:12px system-ui,sans-serif}svg .soft{fill:var(--soft)}svg line{stroke:var(--line)}svg .bar{stroke:var(--dot);"
    "stroke-width:1.5}svg circle{fill:var(--dot)}p.note{color:var(--soft)}\n</style></head><body>\n";

static void put(pare_byte_buffer *out, const char *format, ...) PARE_PRINTF(2, 3);
static void put(pare_byte_buffer *out, const char *format, ...) {
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pare_put_bytes(out, text, length < (int)sizeof text ? (size_t)length : sizeof text - 1);
}

static void put_escaped(pare_byte_buffer *out, const char *text) {
    for (; *text != '\0'; text++) {
        const char *entity = *text == '<'   ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '&' ? "&amp;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        pare_put_bytes(out, entity != NULL ? entity : text, entity != NULL ? strlen(entity) : 1);
    }
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static void put_table(pare_byte_buffer *out, const compare_row *rows, size_t count) {
    bool classes = rows[0].metrics.task == PARE_TASK_CLASSIFICATION;
    put(out,
        "<div class=\"table\"><table><thead><tr><th>model</th><th>%s</th><th>95&nbsp;%% interval</th><th>agreement</th>"
        "<th>McNemar p</th><th>bytes</th><th>of first</th><th>MACs</th><th>ms</th><th>of "
        "first</th></tr></thead><tbody>\n",
        classes ? "top-1" : "MSE");
    for (size_t i = 0; i < count; i++) {
        const compare_row *r = &rows[i];
        put(out, "<tr><td>");
        put_escaped(out, base_name(r->file.path));
        if (classes) {
            put(out, "</td><td>%s</td><td>%s</td>", percent_text(r->metrics.top1),
                percent_interval_text(r->metrics.top1_ci95));
        } else {
            put(out, "</td><td>%.5g</td><td>[%.5g, %.5g]</td>", r->metrics.mse, r->metrics.mse_ci95.low,
                r->metrics.mse_ci95.high);
        }
        if (classes && i > 0) {
            put(out, "<td>%s</td><td>%.3g</td>", percent_text(r->comparison.agreement), r->comparison.mcnemar_p);
        } else {
            put(out, "<td>–</td><td>–</td>");
        }
        put(out, "<td>%s</td><td>%.3f</td><td>%s</td><td>%.4f</td><td>%.3f</td></tr>\n", count_text(r->file.bytes),
            (double)r->file.bytes / (double)rows[0].file.bytes, count_text(r->macs), r->median_ms,
            r->median_ms / rows[0].median_ms);
    }
    put(out, "</tbody></table></div>\n");
}

/* One point a model: x a cost from zero, y the metric with its interval. */
typedef struct chart_point {
    double x, y, low, high;
    const char *label;
} chart_point;

/* 1, 2 or 5 times a power of ten, of which at most five fill the span. */
static double round_step(double span) {
    double unit = pow(10.0, floor(log10(span / 5.0))), share = span / 5.0 / unit;
    return unit * (share <= 1.0 ? 1.0 : share <= 2.0 ? 2.0 : share <= 5.0 ? 5.0 : 10.0);
}

static void put_axes(pare_byte_buffer *out, double x_most, double y_low, double y_high, double y_step,
                     const char *x_label) {
    double x_step = round_step(x_most), bottom = CHART_HEIGHT - MARGIN_BOTTOM;
    double x_scale = (CHART_WIDTH - MARGIN_LEFT - MARGIN_RIGHT) / x_most;
    double y_scale = (CHART_HEIGHT - MARGIN_TOP - MARGIN_BOTTOM) / (y_high - y_low);
    for (int tick = 0; (double)tick * x_step <= x_most * 1.0001; tick++) {
        put(out, "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.6g</text>\n",
            MARGIN_LEFT + (double)tick * x_step * x_scale, bottom + 18.0, (double)tick * x_step);
    }
    for (int tick = 0; y_low + (double)tick * y_step <= y_high + y_step * 0.0001; tick++) {
        double y = bottom - (double)tick * y_step * y_scale;
        put(out,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/><text class=\"soft\" x=\"%.1f\" y=\"%.1f\" "
            "text-anchor=\"end\">%.6g</text>\n",
            MARGIN_LEFT, y, CHART_WIDTH - MARGIN_RIGHT, y, MARGIN_LEFT - 8.0, y + 4.0, y_low + (double)tick * y_step);
    }
    put(out, "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
        (MARGIN_LEFT + CHART_WIDTH - MARGIN_RIGHT) / 2.0, CHART_HEIGHT - 8.0, x_label);
}

static void put_chart(pare_byte_buffer *out, const chart_point *points, size_t count, const char *x_label,
                      const char *y_label) {
    double x_most = 0.0, y_low = INFINITY, y_high = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        x_most = fmax(x_most, points[i].x * 1.15);
        y_low = fmin(y_low, points[i].low);
        y_high = fmax(y_high, points[i].high);
    }
    double y_step = round_step(fmax(y_high - y_low, 1e-6));
    y_low = floor(y_low / y_step) * y_step;
    y_high = ceil(y_high / y_step + 1e-9) * y_step;
    x_most = x_most > 0.0 ? x_most : 1.0;
    put(out, "<h2>%s against %s</h2><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s against %s\">\n",
        y_label, x_label, CHART_WIDTH, CHART_HEIGHT, y_label, x_label);
    put_axes(out, x_most, y_low, y_high, y_step, x_label);
    double plot_width = CHART_WIDTH - MARGIN_LEFT - MARGIN_RIGHT;
    double plot_height = CHART_HEIGHT - MARGIN_TOP - MARGIN_BOTTOM;
    for (size_t i = 0; i < count; i++) {
        double x = MARGIN_LEFT + points[i].x / x_most * plot_width;
        double scale = plot_height / (y_high - y_low), bottom = CHART_HEIGHT - MARGIN_BOTTOM;
        double y = bottom - (points[i].y - y_low) * scale;
        bool left = x > CHART_WIDTH * 0.6;
        put(out,
            "<line class=\"bar\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/><circle cx=\"%.1f\" cy=\"%.1f\" "
            "r=\"5\"/>",
            x, bottom - (points[i].low - y_low) * scale, x, bottom - (points[i].high - y_low) * scale, x, y);
        put(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", left ? x - 9.0 : x + 9.0,
            y + 4.0 + 14.0 * (double)(i % 2), left ? "end" : "start");
        put_escaped(out, points[i].label);
        put(out, "</text>\n");
    }
    put(out, "</svg>\n");
}

pare_status compare_page_write(const compare_row *rows, size_t count, const char *data, const char *path,
                               pare_error *error) {
    pare_byte_buffer out = {0};
    chart_point by_bytes[16], by_time[16];
    bool classes = rows[0].metrics.task == PARE_TASK_CLASSIFICATION;
    for (size_t i = 0; i < count; i++) {
        const pare_metrics *m = &rows[i].metrics;
        by_bytes[i] = classes
                          ? (chart_point){0, 100.0 * m->top1, 100.0 * m->top1_ci95.low, 100.0 * m->top1_ci95.high,
                                          base_name(rows[i].file.path)}
                          : (chart_point){0, m->mse, m->mse_ci95.low, m->mse_ci95.high, base_name(rows[i].file.path)};
        by_time[i] = by_bytes[i];
        by_bytes[i].x = (double)rows[i].file.bytes / 1024.0;
        by_time[i].x = rows[i].median_ms;
    }
    pare_put_bytes(&out, page_head, strlen(page_head));
    put(&out, "<h1>Models compared</h1><p class=\"note\">%s samples of ", count_text(rows[0].metrics.samples));
    put_escaped(&out, data);
    put(&out, "; latency at batch 1 on the machine that made this page.</p>\n");
    put_table(&out, rows, count);
    put_chart(&out, by_bytes, count, "KiB of the file", classes ? "top-1, %" : "MSE");
    put_chart(&out, by_time, count, "milliseconds a sample", classes ? "top-1, %" : "MSE");
    put(&out, "<p class=\"note\">Bars are 95 %% intervals.</p></body></html>\n");
    pare_status status =
        out.failed ? pare_fail_memory(error, out.size) : pare_file_replace(path, out.data, out.size, error);
    pare_byte_buffer_free(&out);
    return status;
}
