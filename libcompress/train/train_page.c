/* The page of a training run: its curves and its log. */
#include <inttypes.h>
#include <math.h>

#include "pare/file.h"
#include "pare/page.h"
#include "train/train_log_internal.h"

/* Values beyond have no place in a chart that shows the others. */
#define DRAWN_MOST 1e30
enum { MARKED_ROWS = 60, CURVES = 2 };

/* A value of a row: of column `metric`, or one that every row has. */
typedef enum curve_value { CURVE_RATE, CURVE_LOSS, CURVE_METRIC } curve_value;
typedef struct curve {
    curve_value value;
    size_t metric;
    const char *name;
} curve;

/* The second curve of a chart has another colour, and dashes for who sees no colours. */
static const char *const marks[CURVES] = {"", " class=\"other\""};
static const char *const keys[CURVES] = {"<span class=\"key\">━━</span> ", ", <span class=\"key other\">╍╍</span> "};

static double value_of(const pare_train_row *row, const curve *c) {
    return c->value == CURVE_RATE ? row->lr : c->value == CURVE_LOSS ? row->loss : row->metrics[c->metric];
}

static bool drawn(double value) {
    return fabs(value) < DRAWN_MOST;
}

/* A line through each run of values; dots too where they are few. */
static void put_curve(pare_byte_buffer *out, const pare_train_log *log, const pare_chart *chart, const curve *c,
                      const char *mark) {
    bool open = false;
    for (size_t i = 0; i < log->row_count; i++) {
        double value = value_of(&log->rows[i], c);
        if (drawn(value) && !open) {
            pare_page_put(out, "<polyline%s points=\"", mark);
        }
        if (drawn(value)) {
            pare_page_put(out, "%.1f,%.1f ", pare_chart_x(chart, (double)log->rows[i].epoch),
                          pare_chart_y(chart, value));
        } else if (open) {
            pare_page_put(out, "\"/>\n");
        }
        open = drawn(value);
    }
    if (open) {
        pare_page_put(out, "\"/>\n");
    }
    for (size_t i = 0; i < log->row_count && log->row_count <= MARKED_ROWS; i++) {
        double value = value_of(&log->rows[i], c);
        if (drawn(value)) {
            pare_page_put(out, "<circle%s cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n", mark,
                          pare_chart_x(chart, (double)log->rows[i].epoch), pare_chart_y(chart, value));
        }
    }
}

static void put_chart(pare_byte_buffer *out, const pare_train_log *log, const curve *curves, size_t count,
                      const char *label) {
    double low = INFINITY, high = -INFINITY, epochs = (double)log->rows[log->row_count - 1].epoch;
    for (size_t i = 0; i < log->row_count * count; i++) {
        double value = value_of(&log->rows[i / count], &curves[i % count]);
        if (drawn(value)) {
            low = fmin(low, value);
            high = fmax(high, value);
        }
    }
    if (low > high) {
        return; /* nothing to draw */
    }
    pare_chart chart = pare_chart_fit(epochs, low, high);
    chart.x_step = fmax(chart.x_step, 1.0); /* epochs are whole */
    pare_chart_begin(out, &chart, "epoch", label);
    for (size_t i = 0; i < count; i++) {
        put_curve(out, log, &chart, &curves[i], marks[i]);
    }
    pare_chart_end(out);
    if (count > 1) {
        pare_page_put(out, "<p class=\"note\">");
        for (size_t i = 0; i < count; i++) {
            pare_page_put(out, "%s", keys[i]);
            pare_page_text(out, curves[i].name);
        }
        pare_page_put(out, "</p>\n");
    }
}

static void put_charts(pare_byte_buffer *out, const pare_train_log *log) {
    curve losses[CURVES] = {{CURVE_LOSS, 0, "training_loss"}};
    size_t count = 1, beside = SIZE_MAX;
    for (size_t i = 0; i < log->metric_count && count < CURVES; i++) {
        if (log->metrics[i].loss) {
            losses[count++] = (curve){CURVE_METRIC, i, log->metrics[i].name};
            beside = i;
        }
    }
    put_chart(out, log, losses, count, "loss");
    for (size_t i = 0; i < log->metric_count; i++) {
        if (i != beside) {
            curve metric = {CURVE_METRIC, i, log->metrics[i].name};
            put_chart(out, log, &metric, 1, metric.name);
        }
    }
    curve rate = {CURVE_RATE, 0, "learning rate"};
    put_chart(out, log, &rate, 1, rate.name);
}

static void put_table(pare_byte_buffer *out, const pare_train_log *log) {
    pare_page_put(out, "<h2>Epochs</h2><div class=\"table\"><table><thead><tr><th>epoch</th><th>step</th>"
                       "<th>learning rate</th><th>training_loss</th>");
    for (size_t i = 0; i < log->metric_count; i++) {
        pare_page_put(out, "<th>");
        pare_page_text(out, log->metrics[i].name);
        pare_page_put(out, "</th>");
    }
    pare_page_put(out, "<th>images/s</th><th>seconds</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < log->row_count; i++) {
        const pare_train_row *row = &log->rows[i];
        pare_page_put(out, "<tr><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%.4g</td><td>%.5g</td>", row->epoch,
                      row->step, row->lr, row->loss);
        for (size_t m = 0; m < log->metric_count; m++) {
            if (isnan(row->metrics[m])) {
                pare_page_put(out, "<td>–</td>");
            } else {
                pare_page_put(out, "<td>%.5g</td>", row->metrics[m]);
            }
        }
        pare_page_put(out, "<td>%.0f</td><td>%.1f</td></tr>\n", row->images_per_second, row->seconds);
    }
    pare_page_put(out, "</tbody></table></div>\n");
}

pare_status pare_train_html(const pare_train_log *log, const char *title, const char *path, pare_error *error) {
    pare_byte_buffer out = {0};
    locale_t before = uselocale(log->locale);
    pare_page_begin(&out, title);
    if (log->row_count > 0) {
        const pare_train_row *last = &log->rows[log->row_count - 1];
        double seconds = 0;
        for (size_t i = 0; i < log->row_count; i++) {
            seconds += log->rows[i].seconds;
        }
        pare_page_put(&out, "<p class=\"note\">%" PRIu64 " epochs, %" PRIu64 " steps, %.1f seconds.</p>\n", last->epoch,
                      last->step, seconds);
        put_charts(&out, log);
        put_table(&out, log);
    } else {
        pare_page_put(&out, "<p class=\"note\">No epoch has ended.</p>\n");
    }
    pare_page_end(&out);
    uselocale(before);
    pare_status status =
        out.failed ? pare_fail_memory(error, out.size) : pare_file_replace(path, out.data, out.size, error);
    pare_byte_buffer_free(&out);
    return status;
}
