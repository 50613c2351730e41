#include "train_report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "pare/ranks.h"
#include "step_log.h"
#include "train_cli.h"

bool is_first_rank(void) {
    return pare_ranks_rank() == 0;
}

bool people_read_stdout(void) {
    return is_first_rank() && !common.quiet && (common.json == NULL || strcmp(common.json, "-") != 0);
}

static const char *time_text(double seconds) {
    static char text[32];
    if (seconds < 90) {
        snprintf(text, sizeof text, "%.0f s", seconds);
    } else if (seconds < 5400) {
        snprintf(text, sizeof text, "%.0f min", seconds / 60);
    } else {
        snprintf(text, sizeof text, "%.1f h", seconds / 3600);
    }
    return text;
}

/* --- for people ----------------------------------------------------------------------- */

static void print_epoch(const pare_train_progress *p, bool first) {
    bool classes = p->metrics != NULL && p->metrics->task == PARE_TASK_CLASSIFICATION;
    if (first) {
        printf("%6s %10s %11s %10s %11s %8s\n", "epoch", "rate", "loss",
               classes              ? "top-1"
               : p->metrics != NULL ? "MSE"
                                    : "",
               "samples/s", "time");
    }
    char metric[32] = "";
    const char *mark = p->improved && train.folds == 0 ? "*" : " ";
    if (classes) {
        snprintf(metric, sizeof metric, "%.2f %%%s", 100 * p->metrics->top1, mark);
    } else if (p->metrics != NULL) {
        snprintf(metric, sizeof metric, "%.5g%s", p->metrics->mse, mark);
    }
    printf("%6llu %10.3g %11.5g %10s %11.0f %8s\n", (unsigned long long)p->epoch + 1, p->lr, p->epoch_loss, metric,
           p->samples_per_second, time_text(p->seconds));
    (void)fflush(stdout);
}

static void draw_line(const pare_train_progress *p) {
    static double shown;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    if (common.quiet || isatty(STDERR_FILENO) != 1 || (!p->epoch_ends && seconds - shown < 0.2)) {
        return;
    }
    shown = seconds;
    char line[120];
    snprintf(line, sizeof line, "epoch %llu/%llu  step %llu/%llu  loss %.4g  %.0f samples/s  %s left",
             (unsigned long long)p->epoch + 1, (unsigned long long)p->epochs, (unsigned long long)p->step,
             (unsigned long long)p->steps, p->epoch_loss, p->samples_per_second, time_text(p->seconds_left));
    fprintf(stderr, "\r%-90s%s", p->epoch_ends ? "" : line, p->epoch_ends ? "\r" : "");
}

/* --- the log ------------------------------------------------------------------------------ */

static const pare_train_metric class_metrics[] = {
    {"validation_loss", true}, {"validation_top1", false}, {"validation_macro_f1", false}};
static const pare_train_metric value_metrics[] = {
    {"validation_mse", true}, {"validation_rmse", false}, {"validation_mae", false}, {"validation_r2", false}};

static pare_status open_log(train_report *r, uint64_t resumed_step, pare_error *error) {
    size_t count = !r->validated       ? 0
                   : r->classification ? sizeof class_metrics / sizeof class_metrics[0]
                                       : sizeof value_metrics / sizeof value_metrics[0];
    return pare_train_log_open(r->log_path, r->classification ? class_metrics : value_metrics, count, resumed_step,
                               &r->log, error);
}

static pare_status log_epoch(train_report *r, const pare_train_progress *p) {
    const pare_metrics *m = p->metrics;
    pare_train_row row = {.epoch = p->epoch + 1,
                          .step = p->step,
                          .lr = p->lr,
                          .loss = p->epoch_loss,
                          .images_per_second = p->epoch_samples_per_second,
                          .seconds = p->seconds};
    if (m != NULL && r->classification) {
        row.metrics[0] = m->log_loss;
        row.metrics[1] = m->top1;
        row.metrics[2] = m->macro_f1;
    } else if (m != NULL) {
        row.metrics[0] = m->mse;
        row.metrics[1] = m->rmse;
        row.metrics[2] = m->mae;
        row.metrics[3] = m->r2;
    }
    return pare_train_log_add(r->log, &row, &r->error);
}

/* A row of each log. A file that cannot be gone on with is found at the first step. */
static pare_status log_step(train_report *r, const pare_train_progress *p) {
    bool saved = p->epoch_ends || (r->checkpoint_steps > 0 && p->step % r->checkpoint_steps == 0);
    if (r->log == NULL) {
        PARE_TRY(open_log(r, r->resumed ? p->step - 1 : 0, &r->error));
    }
    PARE_TRY(step_log_add(p, saved, &r->error));
    return p->epoch_ends ? log_epoch(r, p) : PARE_OK;
}

bool train_report_step(void *context, const pare_train_progress *progress) {
    train_report *r = context;
    if (!is_first_rank()) {
        return !cli_interrupted();
    }
    draw_line(progress);
    r->failed = log_step(r, progress);
    if (progress->epoch_ends && people_read_stdout()) {
        print_epoch(progress, !r->printed);
        r->printed = true;
    }
    return r->failed == PARE_OK && !cli_interrupted();
}

pare_status train_report_page(train_report *report, uint64_t steps, const char *path, pare_error *error) {
    if (report->log == NULL) { /* a run that had been finished: its rows are in the file */
        PARE_TRY(open_log(report, steps, error));
    }
    return pare_train_html(report->log, report->title, path, error);
}

void train_report_free(train_report *report) {
    pare_train_log_free(report->log);
}
