#include "compare_page.h"

#include <math.h>
#include <string.h>

#include "pare/bytes.h"
#include "pare/file.h"
#include "pare/page.h"
#include "report.h"

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static void put_table(pare_byte_buffer *out, const compare_row *rows, size_t count) {
    bool classes = rows[0].metrics.task == PARE_TASK_CLASSIFICATION;
    pare_page_put(
        out,
        "<div class=\"table\"><table><thead><tr><th>model</th><th>%s</th><th>95&nbsp;%% interval</th><th>agreement</th>"
        "<th>McNemar p</th><th>bytes</th><th>of first</th><th>MACs</th><th>ms</th><th>of "
        "first</th></tr></thead><tbody>\n",
        classes ? "top-1" : "MSE");
    for (size_t i = 0; i < count; i++) {
        const compare_row *r = &rows[i];
        pare_page_put(out, "<tr><td>");
        pare_page_text(out, base_name(r->file.path));
        if (classes) {
            pare_page_put(out, "</td><td>%s</td><td>%s</td>", percent_text(r->metrics.top1),
                          percent_interval_text(r->metrics.top1_ci95));
        } else {
            pare_page_put(out, "</td><td>%.5g</td><td>[%.5g, %.5g]</td>", r->metrics.mse, r->metrics.mse_ci95.low,
                          r->metrics.mse_ci95.high);
        }
        if (classes && i > 0) {
            pare_page_put(out, "<td>%s</td><td>%.3g</td>", percent_text(r->comparison.agreement),
                          r->comparison.mcnemar_p);
        } else {
            pare_page_put(out, "<td>–</td><td>–</td>");
        }
        pare_page_put(out, "<td>%s</td><td>%.3f</td><td>%s</td><td>%.4f</td><td>%.3f</td></tr>\n",
                      count_text(r->file.bytes), (double)r->file.bytes / (double)rows[0].file.bytes,
                      count_text(r->macs), r->median_ms, r->median_ms / rows[0].median_ms);
    }
    pare_page_put(out, "</tbody></table></div>\n");
}

/* One point a model: x a cost from zero, y the metric with its interval. */
typedef struct chart_point {
    double x, y, low, high;
    const char *label;
} chart_point;

static void put_chart(pare_byte_buffer *out, const chart_point *points, size_t count, const char *x_label,
                      const char *y_label) {
    double x_most = 0.0, y_low = INFINITY, y_high = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        x_most = fmax(x_most, points[i].x * 1.15);
        y_low = fmin(y_low, points[i].low);
        y_high = fmax(y_high, points[i].high);
    }
    pare_chart chart = pare_chart_fit(x_most, y_low, y_high);
    double middle = pare_chart_left + 0.6 * (pare_chart_right - pare_chart_left);
    pare_chart_begin(out, &chart, x_label, y_label);
    for (size_t i = 0; i < count; i++) {
        double x = pare_chart_x(&chart, points[i].x), y = pare_chart_y(&chart, points[i].y);
        bool left = x > middle;
        pare_page_put(
            out,
            "<line class=\"bar\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/><circle cx=\"%.1f\" cy=\"%.1f\" "
            "r=\"5\"/>",
            x, pare_chart_y(&chart, points[i].low), x, pare_chart_y(&chart, points[i].high), x, y);
        pare_page_put(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", left ? x - 9.0 : x + 9.0,
                      y + 4.0 + 14.0 * (double)(i % 2), left ? "end" : "start");
        pare_page_text(out, points[i].label);
        pare_page_put(out, "</text>\n");
    }
    pare_chart_end(out);
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
    pare_page_begin(&out, "Models compared");
    pare_page_put(&out, "<p class=\"note\">%s samples of ", count_text(rows[0].metrics.samples));
    pare_page_text(&out, data);
    pare_page_put(&out, "; latency at batch 1 on the machine that made this page.</p>\n");
    put_table(&out, rows, count);
    put_chart(&out, by_bytes, count, "KiB of the file", classes ? "top-1, %" : "MSE");
    put_chart(&out, by_time, count, "milliseconds a sample", classes ? "top-1, %" : "MSE");
    pare_page_put(&out, "<p class=\"note\">Bars are 95 %% intervals.</p>\n");
    pare_page_end(&out);
    pare_status status =
        out.failed ? pare_fail_memory(error, out.size) : pare_file_replace(path, out.data, out.size, error);
    pare_byte_buffer_free(&out);
    return status;
}
