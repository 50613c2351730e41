#include "report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "pare/bytes.h"
#include "pare/file.h"

static char *next_text(void) {
    static char texts[8][64];
    static unsigned next;
    return texts[next++ % 8];
}

const char *shown(const char *text, size_t most) {
    static char texts[8][4160];
    static unsigned next;
    char *out = texts[next++ % 8];
    size_t size = most < sizeof texts[0] ? most + 1 : sizeof texts[0];
    return pare_printable(text, strlen(text), out, size);
}

const char *json_text(const char *text) {
    return pare_is_utf8(text, strlen(text)) ? text : shown(text, SIZE_MAX);
}

const char *count_text(uint64_t count) {
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    char *text = next_text(), *out = text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            *out++ = ',';
        }
        *out++ = digits[i];
    }
    *out = '\0';
    return text;
}

const char *size_text(size_t bytes) {
    char *text = next_text();
    if (bytes >= (size_t)1 << 20) {
        snprintf(text, 64, "%s bytes (%.2f MiB)", count_text(bytes), (double)bytes / 1048576.0);
    } else {
        snprintf(text, 64, "%s bytes (%.1f KiB)", count_text(bytes), (double)bytes / 1024.0);
    }
    return text;
}

const char *percent_text(double fraction) {
    char *text = next_text();
    snprintf(text, 64, "%.2f %%", 100.0 * fraction);
    return text;
}

const char *percent_interval_text(pare_interval interval) {
    char *text = next_text();
    snprintf(text, 64, "[%.2f, %.2f] %%", 100.0 * interval.low, 100.0 * interval.high);
    return text;
}

static void print_classes(const pare_metrics *m) {
    printf("\n%8s %10s %10s %10s %10s\n", "class", "samples", "precision", "recall", "F1");
    for (size_t k = 0; k < m->classes; k++) {
        const pare_class_metrics *c = &m->per_class[k];
        printf("%8zu %10zu %10.4f %10.4f %10.4f\n", k, c->support, c->precision, c->recall, c->f1);
    }
    if (m->classes > 20) {
        return; /* the matrix would not fit a terminal; --json has it */
    }
    printf("\nconfusion matrix (row: truth, column: prediction)\n%8s", "");
    for (size_t k = 0; k < m->classes; k++) {
        printf(" %6zu", k);
    }
    for (size_t t = 0; t < m->classes; t++) {
        printf("\n%8zu", t);
        for (size_t p = 0; p < m->classes; p++) {
            printf(" %6u", m->confusion[t * m->classes + p]);
        }
    }
    printf("\n");
}

void print_metrics_summary(const pare_metrics *m) {
    printf("samples            %s\n", count_text(m->samples));
    if (m->task == PARE_TASK_CLASSIFICATION) {
        printf("top-1              %s   95 %% interval %s\n", percent_text(m->top1),
               percent_interval_text(m->top1_ci95));
        printf("top-5              %s   95 %% interval %s\n", percent_text(m->top5),
               percent_interval_text(m->top5_ci95));
        printf("log-loss           %.4f    95 %% interval [%.4f, %.4f]\n", m->log_loss, m->log_loss_ci95.low,
               m->log_loss_ci95.high);
        printf("macro F1           %.4f    95 %% interval [%.4f, %.4f]   precision %.4f, recall %.4f\n", m->macro_f1,
               m->macro_f1_ci95.low, m->macro_f1_ci95.high, m->macro_precision, m->macro_recall);
        printf("weighted F1        %.4f    95 %% interval [%.4f, %.4f]   precision %.4f, recall %.4f\n", m->weighted_f1,
               m->weighted_f1_ci95.low, m->weighted_f1_ci95.high, m->weighted_precision, m->weighted_recall);
        return;
    }
    printf("MSE                %.6g   95 %% interval [%.6g, %.6g]\n", m->mse, m->mse_ci95.low, m->mse_ci95.high);
    printf("RMSE               %.6g   95 %% interval [%.6g, %.6g]\n", m->rmse, m->rmse_ci95.low, m->rmse_ci95.high);
    printf("MAE                %.6g   95 %% interval [%.6g, %.6g]\n", m->mae, m->mae_ci95.low, m->mae_ci95.high);
    if (m->task == PARE_TASK_REGRESSION) {
        printf("R2                 %.4f   95 %% interval [%.4f, %.4f]\n", m->r2, m->r2_ci95.low, m->r2_ci95.high);
    }
    if (m->has_auc) {
        printf("ROC-AUC            %.4f   95 %% interval [%.4f, %.4f]\n", m->auc, m->auc_ci95.low, m->auc_ci95.high);
    }
}

void print_metrics(const pare_metrics *m, bool verbose) {
    print_metrics_summary(m);
    if (m->task == PARE_TASK_CLASSIFICATION && (verbose || m->classes <= 20)) {
        print_classes(m);
    }
}

void print_comparison(const pare_metrics *m, const pare_comparison *c, const char *against) {
    printf("\nagainst %s\n", shown(against, SIZE_MAX));
    if (m->task == PARE_TASK_CLASSIFICATION) {
        printf("agreement          %s   95 %% interval %s\n", percent_text(c->agreement),
               percent_interval_text(c->agreement_ci95));
        printf("flips              %s wrong to right, %s right to wrong; McNemar's exact p = %.4g\n",
               count_text(c->fixed), count_text(c->broken), c->mcnemar_p);
        printf("top-1 difference   %+.2f points   95 %% interval [%+.2f, %+.2f]\n", 100.0 * c->difference,
               100.0 * c->difference_ci95.low, 100.0 * c->difference_ci95.high);
    } else {
        printf("MSE difference     %+.6g   95 %% interval [%+.6g, %+.6g]\n", c->difference, c->difference_ci95.low,
               c->difference_ci95.high);
    }
}

json_t *json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_interval(pare_interval interval) {
    return json_pack("[o,o]", json_number(interval.low), json_number(interval.high));
}

static json_t *json_classes(const pare_metrics *m) {
    json_t *classes = json_array();
    for (size_t k = 0; k < m->classes; k++) {
        const pare_class_metrics *c = &m->per_class[k];
        json_array_append_new(classes, json_pack("{s:I,s:f,s:f,s:f}", "support", (json_int_t)c->support, "precision",
                                                 c->precision, "recall", c->recall, "f1", c->f1));
    }
    return classes;
}

static json_t *json_confusion(const pare_metrics *m) {
    json_t *rows = json_array();
    for (size_t t = 0; t < m->classes; t++) {
        json_t *row = json_array();
        for (size_t p = 0; p < m->classes; p++) {
            json_array_append_new(row, json_integer((json_int_t)m->confusion[t * m->classes + p]));
        }
        json_array_append_new(rows, row);
    }
    return rows;
}

static bool add_with_interval(json_t *object, const char *name, double value, pare_interval interval) {
    char key[64];
    snprintf(key, sizeof key, "%s_ci95", name);
    return json_object_set_new(object, name, json_number(value)) == 0 &&
           json_object_set_new(object, key, json_interval(interval)) == 0;
}

static bool add_number(json_t *object, const char *name, double value) {
    return json_object_set_new(object, name, json_number(value)) == 0;
}

static bool json_add_classification(json_t *o, const pare_metrics *m) {
    return add_with_interval(o, "top1", m->top1, m->top1_ci95) && add_with_interval(o, "top5", m->top5, m->top5_ci95) &&
           add_with_interval(o, "log_loss", m->log_loss, m->log_loss_ci95) &&
           add_number(o, "perplexity", exp(m->log_loss)) &&
           add_with_interval(o, "macro_f1", m->macro_f1, m->macro_f1_ci95) &&
           add_with_interval(o, "weighted_f1", m->weighted_f1, m->weighted_f1_ci95) &&
           add_number(o, "macro_precision", m->macro_precision) && add_number(o, "macro_recall", m->macro_recall) &&
           add_number(o, "weighted_precision", m->weighted_precision) &&
           add_number(o, "weighted_recall", m->weighted_recall) &&
           json_object_set_new(o, "per_class", json_classes(m)) == 0 &&
           json_object_set_new(o, "confusion_matrix", json_confusion(m)) == 0;
}

bool json_add_metrics(json_t *o, const pare_metrics *m) {
    static const char *const tasks[] = {"classification", "regression", "autoencoder"};
    bool good = json_object_set_new(o, "task", json_string(tasks[m->task])) == 0 &&
                json_object_set_new(o, "samples", json_integer((json_int_t)m->samples)) == 0;
    if (m->task == PARE_TASK_CLASSIFICATION) {
        return good && json_add_classification(o, m);
    }
    good = good && add_with_interval(o, "mse", m->mse, m->mse_ci95) &&
           add_with_interval(o, "rmse", m->rmse, m->rmse_ci95) && add_with_interval(o, "mae", m->mae, m->mae_ci95);
    if (m->task == PARE_TASK_REGRESSION) {
        return good && add_with_interval(o, "r2", m->r2, m->r2_ci95);
    }
    return good && (!m->has_auc || add_with_interval(o, "auc", m->auc, m->auc_ci95));
}

bool json_add_comparison(json_t *o, const pare_comparison *c) {
    return add_with_interval(o, "agreement", c->agreement, c->agreement_ci95) &&
           json_object_set_new(o, "wrong_to_right", json_integer((json_int_t)c->fixed)) == 0 &&
           json_object_set_new(o, "right_to_wrong", json_integer((json_int_t)c->broken)) == 0 &&
           add_number(o, "mcnemar_p", c->mcnemar_p) &&
           add_with_interval(o, "difference", c->difference, c->difference_ci95);
}

pare_status write_json(json_t *object, pare_error *error) {
    pare_status status = PARE_OK;
    char *text = NULL;
    if (common.json != NULL) {
        /* A terminal may be reading: C1 controls are escaped too. */
        bool is_stdout = strcmp(common.json, "-") == 0;
        size_t flags = JSON_INDENT(1) | JSON_REAL_PRECISION(12) | (is_stdout ? JSON_ENSURE_ASCII : 0);
        text = object != NULL ? json_dumps(object, flags) : NULL;
        if (text == NULL) {
            status = pare_fail_memory(error, 0);
        } else if (is_stdout) {
            printf("%s\n", text);
        } else {
            status = pare_file_replace(common.json, text, strlen(text), error);
        }
    }
    free(text);
    json_decref(object);
    return status;
}
