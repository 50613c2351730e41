/* pare-emit: an ONNX model becomes the compact binary that the runtime executes. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "model_file.h"
#include "pare/file.h"
#include "pare/memory.h"
#include "report.h"

static bool raw;

static pare_status emit(const char *path, const model_file *file, pare_error *error) {
    uint8_t *data = NULL;
    size_t size = 0;
    PARE_TRY(pare_model_to_bytes(file->model, &(pare_write_options){.raw = raw}, &data, &size, error));
    pare_status status = pare_file_replace(common.output, data, size, error);
    pare_free(data);
    PARE_TRY(status);
    double ratio = (double)size / (double)file->bytes;
    if (!common.quiet && (common.json == NULL || strcmp(common.json, "-") != 0)) {
        printf("in     %s: %s\nout    %s: %s\nratio  %.4f (%.2f times smaller)\n", shown(path, SIZE_MAX),
               size_text(file->bytes), shown(common.output, SIZE_MAX), size_text(size), ratio, 1.0 / ratio);
    }
    return write_json(json_pack("{s:s,s:s,s:I,s:I,s:f}", "input", json_text(path), "output", json_text(common.output),
                                "input_bytes", (json_int_t)file->bytes, "output_bytes", (json_int_t)size, "ratio",
                                ratio),
                      error);
}

static pare_status run(const cli_list *arguments, pare_error *error) {
    const char *path = arguments->items[0];
    model_file file = {0};
    PARE_TRY(check_output(common.output, arguments->items, 1, error));
    pare_status status = model_file_open(path, &file, error);
    if (status == PARE_OK) {
        status = model_file_lower(&file, error);
    }
    if (status == PARE_OK) {
        status = emit(path, &file, error);
    }
    model_file_close(&file);
    return status;
}

int main(int argc, char **argv) {
    static const cli_option options[] = {
        CLI_OUTPUT("the .pare file"),
        {"raw", 0, CLI_FLAG, &raw, NULL, "store weights as they are (default: the smallest lossless codec)", 0, 0,
         NULL},
        CLI_PREPROCESS,
        CLI_SHAPE,
        CLI_JSON,
        CLI_QUIET,
        CLI_VERBOSE,
    };
    static const cli_tool tool = {
        .name = "pare-emit",
        .summary = "writes a model as one compact .pare binary",
        .usage = "MODEL -o M.pare [options]",
        .details = "examples:\n"
                   "  pare-emit net.int8.onnx -o net.pare\n"
                   "  pare-emit net.onnx -o net.pare --shape tokens=1x128 --json -\n",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_arguments = 1,
        .most_arguments = 1,
        .run = run,
    };
    return cli_main(&tool, argc, argv);
}
