/* pare-quantize: post-training quantization to standard QDQ ONNX. */
#include "pare/quantize.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "model_file.h"
#include "pare/onnx_graph.h"
#include "report.h"

static const char *const weight_types[] = {"int8", NULL};
static const char *const activation_types[] = {"uint8", "float", NULL};
static const char *const methods[] = {"minmax", "percentile", "entropy", "mse", NULL};
static const char *const granularities[] = {"per-channel", "per-tensor", NULL};
static const char *const pair_rules[] = {"nudge", "7bit", "free", NULL};

static int weights, activations, granularity, pairs;
static int method = PARE_CALIBRATE_PERCENTILE;
static double percentile = 99.999;
static cli_list exclude;
static int64_t exclude_worst;
static bool bias_correction, equalize, unbalanced;

static void print_layers(const pare_quantize_report *report) {
    printf("%-32s %-8s %14s %14s %16s\n", "layer", "op", "weights' SQNR", "nudged pairs", "alone, output err");
    for (size_t i = 0; i < report->layer_count; i++) {
        const pare_layer_report *row = &report->layers[i];
        char sqnr[32] = "float", nudged[40] = "-", sensitivity[32] = "-";
        if (!isnan(row->weight_sqnr_db)) {
            snprintf(sqnr, sizeof sqnr, "%.1f dB", row->weight_sqnr_db);
            snprintf(nudged, sizeof nudged, "%zu of %zu", row->nudged_pairs, row->pairs);
        }
        if (!isnan(row->sensitivity)) {
            snprintf(sensitivity, sizeof sensitivity, "%.3g%s", row->sensitivity, row->excluded ? " (excluded)" : "");
        }
        printf("%-32s %-8s %14s %14s %16s\n", shown(row->node, 200), row->op, sqnr, nudged, sensitivity);
    }
}

static json_t *json_layers(const pare_quantize_report *report) {
    json_t *layers = json_array();
    for (size_t i = 0; i < report->layer_count; i++) {
        const pare_layer_report *row = &report->layers[i];
        json_array_append_new(layers,
                              json_pack("{s:s,s:s,s:o,s:o,s:I,s:I,s:b}", "node", json_text(row->node), "op", row->op,
                                        "weight_sqnr_db", json_number(row->weight_sqnr_db), "sensitivity",
                                        json_number(row->sensitivity), "nudged_pairs", (json_int_t)row->nudged_pairs,
                                        "pairs", (json_int_t)row->pairs, "excluded", (int)row->excluded));
    }
    return layers;
}

static pare_status quantize(model_file *file, pare_dataset *dataset, pare_quantize_report *report, pare_error *error) {
    pare_quantize_options options = {.activations_float = activations == 1,
                                     .per_tensor = granularity == 1,
                                     .method = (pare_calibration_method)method,
                                     .percentile = percentile,
                                     .pairs = (pare_pair_rule)pairs,
                                     .equalize = equalize,
                                     .unbalanced = unbalanced,
                                     .bias_correction = bias_correction,
                                     .exclude = exclude.items,
                                     .exclude_count = exclude.count,
                                     .exclude_worst = (size_t)exclude_worst};
    pare_run_options run = {.batch = common.batch,
                            .threads = (int32_t)common.threads,
                            .progress = cli_progress,
                            .progress_context = (void *)"calibrating"};
    PARE_TRY(pare_quantize(file->graph, dataset, &file->preprocess, &options, &run, report, error));
    return pare_graph_save(file->graph, common.output, error);
}

static pare_status print_result(const model_file *file, const pare_quantize_report *report, pare_error *error) {
    model_file written = {0};
    pare_status status = model_file_open(common.output, &written, error); /* it must load again */
    size_t size = written.bytes;
    model_file_close(&written);
    PARE_TRY(status);
    bool json_is_stdout = common.json != NULL && strcmp(common.json, "-") == 0;
    if (!common.quiet && !json_is_stdout) {
        if (common.verbose || exclude_worst > 0) {
            print_layers(report);
        }
        size_t quantized = 0;
        for (size_t i = 0; i < report->layer_count; i++) {
            quantized += isnan(report->layers[i].weight_sqnr_db) ? 0 : 1;
        }
        printf("quantized %zu of %zu layers with weights, calibrated on %zu samples (%s)\n", quantized,
               report->layer_count, report->samples, activations == 1 ? "weights only" : methods[method]);
        printf("in     %s: %s\nout    %s: %s\n", shown(file->path, SIZE_MAX), size_text(file->bytes),
               shown(common.output, SIZE_MAX), size_text(size));
    }
    return write_json(json_pack("{s:s,s:s,s:I,s:I,s:I,s:o}", "input", json_text(file->path), "output",
                                json_text(common.output), "input_bytes", (json_int_t)file->bytes, "output_bytes",
                                (json_int_t)size, "samples", (json_int_t)report->samples, "layers",
                                json_layers(report)),
                      error);
}

static pare_status run(const cli_list *arguments, pare_error *error) {
    model_file file = {0};
    pare_dataset *dataset = NULL;
    pare_quantize_report report;
    memset(&report, 0, sizeof report);
    PARE_TRY(check_output(common.output, arguments->items, 1, error));
    pare_status status = model_file_open(arguments->items[0], &file, error);
    if (status == PARE_OK && file.is_container) {
        status = pare_fail(error, PARE_UNSUPPORTED, "%s: a .pare file is final; quantize the ONNX model it came from",
                           file.path);
    }
    if (status == PARE_OK && activations == 0) {
        status = model_file_need_preprocess(&file, error);
    }
    if (status == PARE_OK && (activations == 0 || common.calib != NULL)) {
        status = open_dataset(common.calib, "calib", &dataset, error);
    }
    if (status == PARE_OK) {
        status = quantize(&file, dataset, &report, error);
    }
    if (status == PARE_OK) {
        status = print_result(&file, &report, error);
    }
    pare_quantize_report_free(&report);
    pare_dataset_close(dataset);
    model_file_close(&file);
    return status;
}

int main(int argc, char **argv) {
    static const cli_option options[] = {
        CLI_OUTPUT("the quantized model, standard QDQ ONNX"),
        CLI_CALIB,
        {"weights", 0, CLI_CHOICE, &weights, NULL, "type of the weights", 0, 0, weight_types},
        {"activations", 0, CLI_CHOICE, &activations, NULL, "float: weights only", 0, 0, activation_types},
        {"method", 0, CLI_CHOICE, &method, NULL, "how ranges are chosen (default percentile)", 0, 0, methods},
        {"percentile", 0, CLI_NUMBER, &percentile, "P", "for --method percentile (default 99.999)", 50, 100, NULL},
        {"granularity", 0, CLI_CHOICE, &granularity, NULL, "scales of the weights", 0, 0, granularities},
        {"pairs", 0, CLI_CHOICE, &pairs, NULL, "keeping sums of two products within 16 bits", 0, 0, pair_rules},
        {"exclude", 0, CLI_LIST, &exclude, "NODE", "stays in float; may be given several times", 0, 0, NULL},
        {"exclude-worst", 0, CLI_WHOLE, &exclude_worst, "N", "the N most sensitive layers stay in float", 0, 10000,
         NULL},
        {"bias-correction", 0, CLI_FLAG, &bias_correction, NULL, "moves biases by the mean error of each channel", 0, 0,
         NULL},
        {"equalize", 0, CLI_FLAG, &equalize, NULL, "cross-layer equalization first", 0, 0, NULL},
        {"no-balance", 0, CLI_FLAG, &unbalanced, NULL, "leaves the ranges of an activation's channels as they are", 0,
         0, NULL},
        CLI_PREPROCESS,
        CLI_LIMIT,
        CLI_SHUFFLE,
        CLI_BATCH,
        CLI_THREADS,
        CLI_SEED,
        CLI_SHAPE,
        CLI_JSON,
        CLI_QUIET,
        CLI_VERBOSE,
    };
    static const cli_tool tool = {
        .name = "pare-quantize",
        .summary = "post-training quantization of an ONNX model to QDQ ONNX",
        .usage = "M.onnx --calib SPEC -o Q.onnx [options]",
        .details = "examples:\n"
                   "  pare-quantize net.onnx --calib cifar10:data_batch_1.bin --limit 512 -o net.int8.onnx\n"
                   "  pare-quantize net.onnx --calib images:train --limit 256 --exclude-worst 2 -o net.int8.onnx -v\n"
                   "  pare-quantize net.onnx --activations float -o net.w8.onnx      (weights only)\n\n"
                   "--pairs: on CPUs without VNNI two u8 x s8 products are summed in 16 bits. \"nudge\" re-rounds the\n"
                   "few pairs of weights that could overflow, \"7bit\" halves every weight's range, \"free\" leaves\n"
                   "them and makes the runtime use a slower exact kernel where it must. Results are exact in each "
                   "case.\n\n" CLI_SPEC_HELP,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_arguments = 1,
        .most_arguments = 1,
        .run = run,
    };
    return cli_main(&tool, argc, argv);
}
