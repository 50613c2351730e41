/* Cross-validation: each fold is left out once; mean and deviation of each metric. */
#include "train_folds.h"

#include <math.h>
#include <stdio.h>

#include "report.h"
#include "train_cli.h"
#include "train_report.h"

typedef struct fold_metric {
    const char *name;
    double (*of)(const pare_metrics *metrics);
    bool classification;
} fold_metric;

static double top1_of(const pare_metrics *m) {
    return m->top1;
}
static double top5_of(const pare_metrics *m) {
    return m->top5;
}
static double macro_precision_of(const pare_metrics *m) {
    return m->macro_precision;
}
static double macro_recall_of(const pare_metrics *m) {
    return m->macro_recall;
}
static double macro_f1_of(const pare_metrics *m) {
    return m->macro_f1;
}
static double weighted_f1_of(const pare_metrics *m) {
    return m->weighted_f1;
}
static double log_loss_of(const pare_metrics *m) {
    return m->log_loss;
}
static double mse_of(const pare_metrics *m) {
    return m->mse;
}
static double rmse_of(const pare_metrics *m) {
    return m->rmse;
}
static double mae_of(const pare_metrics *m) {
    return m->mae;
}
static double r2_of(const pare_metrics *m) {
    return m->r2;
}
/* NaN, which is not reported, without labels. */
static double auc_of(const pare_metrics *m) {
    return m->has_auc ? m->auc : (double)NAN;
}

static const fold_metric fold_metrics[] = {
    {"top1", top1_of, true},
    {"top5", top5_of, true},
    {"log_loss", log_loss_of, true},
    {"macro_precision", macro_precision_of, true},
    {"macro_recall", macro_recall_of, true},
    {"macro_f1", macro_f1_of, true},
    {"weighted_f1", weighted_f1_of, true},
    {"mse", mse_of, false},
    {"rmse", rmse_of, false},
    {"mae", mae_of, false},
    {"r2", r2_of, false},
    {"auc", auc_of, false},
};

/* Mean and (n - 1) deviation over the folds. */
static bool put_fold_metric(json_t *object, const fold_metric *metric, const double *values, size_t count) {
    double mean = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        mean += values[i] / (double)count;
    }
    for (size_t i = 0; i < count; i++) {
        squares += (values[i] - mean) * (values[i] - mean);
    }
    double deviation = sqrt(squares / (double)(count - 1));
    if (people_read_stdout()) {
        printf("%-16s %12.6g ± %.4g\n", metric->name, mean, deviation);
    }
    json_t *each = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(each, json_number(values[i]));
    }
    return json_object_set_new(object, metric->name,
                               json_pack("{s:o,s:o,s:o}", "mean", json_number(mean), "deviation",
                                         json_number(deviation), "folds", each)) == 0;
}

pare_status train_folds(const char *path, const pare_distill_options *distill, pare_error *error) {
    double values[sizeof fold_metrics / sizeof fold_metrics[0]][TRAIN_MOST_FOLDS];
    bool classification = false;
    for (int64_t fold = 0; fold < train.folds; fold++) {
        pare_train_result result = {0};
        size_t bytes = 0;
        if (people_read_stdout()) {
            printf("fold %lld of %lld\n", (long long)fold + 1, (long long)train.folds);
        }
        PARE_TRY(train_once(path, distill, fold, &result, &bytes, error));
        classification = result.metrics.task == PARE_TASK_CLASSIFICATION;
        for (size_t m = 0; m < sizeof fold_metrics / sizeof fold_metrics[0]; m++) {
            values[m][fold] = fold_metrics[m].of(&result.metrics);
        }
        pare_metrics_free(&result.metrics);
    }
    json_t *object = json_pack("{s:s,s:s,s:I}", "input", json_text(path), "data", json_text(common.data), "folds",
                               (json_int_t)train.folds);
    for (size_t m = 0; object != NULL && m < sizeof fold_metrics / sizeof fold_metrics[0]; m++) {
        if (fold_metrics[m].classification == classification && !isnan(values[m][0]) &&
            !put_fold_metric(object, &fold_metrics[m], values[m], (size_t)train.folds)) {
            json_decref(object);
            object = NULL;
        }
    }
    if (object == NULL) {
        return pare_fail_memory(error, 0);
    }
    if (!is_first_rank()) {
        json_decref(object);
        return PARE_OK;
    }
    return write_json(object, error);
}
