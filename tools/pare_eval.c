/* pare-eval: the task's metrics on a data set, alone or against another model. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "model_file.h"
#include "report.h"

static const char *against;
static bool reference;
static double most_drop = -1.0;

static pare_status evaluate(const char *path, model_file *file, pare_metrics *metrics, pare_error *error) {
    pare_dataset *dataset = NULL;
    pare_run_options run = {.batch = common.batch,
                            .threads = (int32_t)common.threads,
                            .reference = reference,
                            .progress = cli_progress,
                            .progress_context = (void *)path};
    PARE_TRY(model_file_open(path, file, error));
    PARE_TRY(model_file_need_preprocess(file, error));
    PARE_TRY(open_dataset(common.data, "data", &dataset, error));
    pare_status status = model_file_lower(file, error);
    if (status == PARE_OK) {
        status = pare_evaluate(file->model, dataset, &file->preprocess, &run, metrics, error);
        if (status != PARE_OK) {
            pare_error_prefix(error, "%s: ", path);
        }
    }
    pare_dataset_close(dataset);
    return status;
}

static pare_status report(const char *path, const model_file *file, const pare_metrics *metrics,
                          const pare_metrics *other, pare_error *error) {
    pare_comparison comparison;
    bool json_is_stdout = common.json != NULL && strcmp(common.json, "-") == 0;
    json_t *object = json_pack("{s:s,s:I,s:s}", "model", json_text(path), "file_bytes", (json_int_t)file->bytes, "data",
                               json_text(common.data));
    bool good = object != NULL && json_add_metrics(object, metrics);
    if (!json_is_stdout) {
        printf("%s: %s\n", shown(path, SIZE_MAX), size_text(file->bytes));
        print_metrics(metrics, common.verbose);
    }
    if (other != NULL) {
        PARE_TRY(pare_metrics_compare(metrics, other, &comparison, error));
        if (!json_is_stdout) {
            print_comparison(metrics, &comparison, against);
        }
        good = good && json_object_set_new(object, "against", json_string(json_text(against))) == 0 &&
               json_add_comparison(object, &comparison);
    }
    if (!good) {
        json_decref(object);
        return pare_fail_memory(error, 0);
    }
    PARE_TRY(write_json(object, error));
    if (other != NULL && most_drop >= 0.0 && -100.0 * comparison.difference > most_drop) {
        return pare_fail(error, PARE_QUALITY, "%s: top-1 is %.2f points below %s, allowed are %.2f", path,
                         -100.0 * comparison.difference, against, most_drop);
    }
    return PARE_OK;
}

static pare_status run(const cli_list *arguments, pare_error *error) {
    model_file file = {0}, other_file = {0};
    pare_metrics metrics = {0}, other = {0};
    const char *path = arguments->items[0];
    if (most_drop >= 0.0 && against == NULL) {
        return pare_fail(error, PARE_USAGE, "--max-drop needs --against MODEL");
    }
    if (common.json != NULL && against != NULL) {
        PARE_TRY(check_output(common.json, &against, 1, error));
    }
    pare_status status = evaluate(path, &file, &metrics, error);
    if (status == PARE_OK && against != NULL) {
        status = evaluate(against, &other_file, &other, error);
    }
    if (status == PARE_OK) {
        status = report(path, &file, &metrics, against != NULL ? &other : NULL, error);
    }
    pare_metrics_free(&metrics);
    pare_metrics_free(&other);
    model_file_close(&file);
    model_file_close(&other_file);
    return status;
}

int main(int argc, char **argv) {
    static const cli_option options[] = {
        CLI_DATA,
        {"against", 0, CLI_TEXT, &against, "MODEL", "agreement, flips and McNemar's test against this model", 0, 0,
         NULL},
        {"max-drop", 0, CLI_NUMBER, &most_drop, "POINTS", "exit 7 when top-1 falls by more than this", 0, 100, NULL},
        CLI_PREPROCESS,
        CLI_LIMIT,
        CLI_SHUFFLE,
        CLI_BATCH,
        CLI_THREADS,
        {"reference", 0, CLI_FLAG, &reference, NULL, "run the plain C reference kernels", 0, 0, NULL},
        CLI_SHAPE,
        CLI_JSON,
        CLI_QUIET,
        CLI_VERBOSE,
    };
    static const cli_tool tool = {
        .name = "pare-eval",
        .summary = "measures a model (.onnx or .pare) on a data set",
        .usage = "MODEL --data SPEC [options]",
        .details = "examples:\n"
                   "  pare-eval net.onnx --data idx:t10k-images.gz,t10k-labels.gz\n"
                   "  pare-eval net.pare --against net.onnx --data cifar10:test_batch.bin --json result.json\n"
                   "  pare-eval net.pare --against net.onnx --data images:val --max-drop 0.5\n\n" CLI_SPEC_HELP,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_arguments = 1,
        .most_arguments = 1,
        .run = run,
    };
    return cli_main(&tool, argc, argv);
}
