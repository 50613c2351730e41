/* pare-compare: several models in one table, each against the first. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "compare_page.h"
#include "model_file.h"
#include "pare/file.h"
#include "pare/latency.h"
#include "pare/memory.h"
#include "report.h"

#define ROUNDS 41 /* of alternating timed runs */

static const char *html;

static pare_status evaluate_row(compare_row *row, pare_error *error) {
    pare_dataset *dataset = NULL;
    pare_run_options run = {.batch = common.batch,
                            .threads = (int32_t)common.threads,
                            .progress = cli_progress,
                            .progress_context = (void *)row->file.path};
    PARE_TRY(model_file_open(row->file.path, &row->file, error));
    PARE_TRY(model_file_need_preprocess(&row->file, error));
    PARE_TRY(model_file_lower(&row->file, error));
    PARE_TRY(open_dataset(common.data, "data", &dataset, error));
    pare_status status = pare_evaluate(row->file.model, dataset, &row->file.preprocess, &run, &row->metrics, error);
    pare_dataset_close(dataset);
    for (uint32_t n = 0; n < row->file.model->node_count; n++) {
        row->macs += pare_model_node_macs(row->file.model, &row->file.model->nodes[n]);
    }
    return status;
}

/* A B C A B C …: what disturbs the machine disturbs all alike. */
static pare_status time_rows(compare_row *rows, size_t count, pare_error *error) {
    pare_latency_probe *probes[CLI_LIST_MAX] = {NULL};
    double *times = pare_alloc_zero(count * ROUNDS, sizeof *times), ignored;
    pare_status status = times != NULL ? PARE_OK : pare_fail_memory(error, count * ROUNDS * sizeof *times);
    pare_session_options options = {.struct_size = sizeof options, .batch = 1, .threads = (int32_t)common.threads};
    for (size_t i = 0; i < count && status == PARE_OK; i++) {
        status = pare_latency_open(rows[i].file.model, &options, &probes[i], &ignored, error);
        for (int w = 0; w < 3 && status == PARE_OK; w++) {
            status = pare_latency_measure(probes[i], &ignored, error);
        }
    }
    for (size_t round = 0; round < ROUNDS && status == PARE_OK; round++) {
        for (size_t i = 0; i < count && status == PARE_OK; i++) {
            status = pare_latency_measure(probes[i], &times[i * ROUNDS + round], error);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (status == PARE_OK) {
            rows[i].median_ms = pare_quantile(times + i * ROUNDS, ROUNDS, 0.5);
        }
        pare_latency_close(probes[i]);
    }
    pare_free(times);
    return status;
}

static void print_table(const compare_row *rows, size_t count) {
    bool classes = rows[0].metrics.task == PARE_TASK_CLASSIFICATION;
    printf("%-32s %14s %22s %10s %12s %8s %14s %10s %8s\n", "model", classes ? "top-1" : "MSE", "95 % interval",
           "agreement", "bytes", "ratio", "MACs", "ms", "ratio");
    for (size_t i = 0; i < count; i++) {
        const compare_row *r = &rows[i];
        char agreement[32] = "-", value[32], interval[64];
        if (classes) {
            snprintf(value, sizeof value, "%s", percent_text(r->metrics.top1));
            snprintf(interval, sizeof interval, "%s", percent_interval_text(r->metrics.top1_ci95));
        } else {
            snprintf(value, sizeof value, "%.5g", r->metrics.mse);
            snprintf(interval, sizeof interval, "[%.5g, %.5g]", r->metrics.mse_ci95.low, r->metrics.mse_ci95.high);
        }
        if (classes && i > 0) {
            snprintf(agreement, sizeof agreement, "%s", percent_text(r->comparison.agreement));
        }
        printf("%-32s %14s %22s %10s %12s %8.3f %14s %10.4f %8.3f\n", shown(r->file.path, 32), value, interval,
               agreement, count_text(r->file.bytes), (double)r->file.bytes / (double)rows[0].file.bytes,
               count_text(r->macs), r->median_ms, r->median_ms / rows[0].median_ms);
    }
    for (size_t i = 1; i < count && classes; i++) {
        const pare_comparison *c = &rows[i].comparison;
        printf("%s: %+.2f points [%+.2f, %+.2f], %zu fixed, %zu broken, McNemar p = %.3g\n",
               shown(rows[i].file.path, SIZE_MAX), 100.0 * c->difference, 100.0 * c->difference_ci95.low,
               100.0 * c->difference_ci95.high, c->fixed, c->broken, c->mcnemar_p);
    }
}

static json_t *json_rows(const compare_row *rows, size_t count) {
    json_t *models = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *object =
            json_pack("{s:s,s:I,s:I,s:f}", "model", json_text(rows[i].file.path), "file_bytes",
                      (json_int_t)rows[i].file.bytes, "macs", (json_int_t)rows[i].macs, "median_ms", rows[i].median_ms);
        json_add_metrics(object, &rows[i].metrics);
        if (i > 0) {
            json_add_comparison(object, &rows[i].comparison);
        }
        json_array_append_new(models, object);
    }
    return json_pack("{s:s,s:o}", "data", json_text(common.data), "models", models);
}

static pare_status compare(compare_row *rows, size_t count, const char *const *paths, pare_error *error) {
    if (html != NULL) {
        PARE_TRY(check_output(html, paths, count, error));
        if (common.json != NULL && (strcmp(html, common.json) == 0 || pare_file_same(html, common.json))) {
            return pare_fail(error, PARE_USAGE, "--html and --json name the same file %s", html);
        }
    }
    for (size_t i = 0; i < count; i++) {
        rows[i].file.path = paths[i];
        PARE_TRY(evaluate_row(&rows[i], error));
        if (i > 0) {
            PARE_TRY(pare_metrics_compare(&rows[i].metrics, &rows[0].metrics, &rows[i].comparison, error));
        }
    }
    PARE_TRY(time_rows(rows, count, error));
    if (common.json == NULL || strcmp(common.json, "-") != 0) {
        print_table(rows, count);
    }
    if (html != NULL) {
        PARE_TRY(compare_page_write(rows, count, common.data, html, error));
    }
    return write_json(json_rows(rows, count), error);
}

static pare_status run(const cli_list *arguments, pare_error *error) {
    compare_row *rows = pare_alloc_zero(arguments->count, sizeof *rows);
    if (rows == NULL) {
        return pare_fail_memory(error, arguments->count * sizeof *rows);
    }
    pare_status status = compare(rows, arguments->count, arguments->items, error);
    for (size_t i = 0; i < arguments->count; i++) {
        pare_metrics_free(&rows[i].metrics);
        model_file_close(&rows[i].file);
    }
    pare_free(rows);
    return status;
}

int main(int argc, char **argv) {
    static const cli_option options[] = {
        CLI_DATA,       {"html", 0, CLI_TEXT, &html, "FILE", "the same as one self-contained page", 0, 0, NULL},
        CLI_PREPROCESS, CLI_LIMIT,
        CLI_SHUFFLE,    CLI_BATCH,
        CLI_THREADS,    CLI_SHAPE,
        CLI_JSON,       CLI_QUIET,
    };
    static const cli_tool tool = {
        .name = "pare-compare",
        .summary = "accuracy, bytes, MACs and latency of several models, each against the first",
        .usage = "MODEL... --data SPEC [options]",
        .details =
            "Latency is batch 1, the median of alternating runs of all models.\n\nexamples:\n"
            "  pare-compare net.onnx net.int8.onnx net.pare --data idx:images.gz,labels.gz\n"
            "  pare-compare net.onnx net.pare --data cifar10:test_batch.bin --html report.html\n\n" CLI_SPEC_HELP,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_arguments = 1,
        .most_arguments = 16,
        .run = run,
    };
    return cli_main(&tool, argc, argv);
}
