/* pare-student: a smaller network from a teacher's. */
#include "pare/student.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "model_file.h"
#include "pare/onnx_graph.h"
#include "report.h"

static double width = -1, depth = 1, macs = -1; /* negative: not given */
static int64_t channel_multiple = 1;
static bool fresh;

static double ratio(uint64_t part, uint64_t whole) {
    return whole > 0 ? (double)part / (double)whole : 1.0;
}

static void print_row(const char *what, uint64_t teacher, uint64_t student) {
    printf("%-12s %16s %16s %9.3f\n", what, count_text(teacher), count_text(student), ratio(student, teacher));
}

static void print_people(const model_file *file, const pare_student_report *report, size_t bytes) {
    printf("%-12s %16s %16s %9s\n", "", "teacher", "student", "ratio");
    print_row("MACs", report->teacher_macs, report->student_macs);
    print_row("parameters", report->teacher_parameters, report->student_parameters);
    print_row("bytes", file->bytes, bytes);
    printf("width %g: %zu groups of channels%s", report->width, report->channel_groups,
           report->groups_kept_whole > 0 ? "" : "\n");
    if (report->groups_kept_whole > 0) {
        printf(", %zu kept whole (the first by node \"%s\")\n", report->groups_kept_whole,
               shown(report->stopped_at, 200));
    }
    if (report->blocks_found > 0) {
        printf("depth %g: %zu of %zu repeated blocks\n", depth, report->blocks_kept, report->blocks_found);
    }
    printf("out    %s: %s, %s\n", shown(common.output, SIZE_MAX), size_text(bytes),
           fresh ? "fresh weights" : "the teacher's most important channels");
}

static json_t *json_part(uint64_t part_macs, uint64_t parameters, size_t bytes) {
    return json_pack("{s:I,s:I,s:I}", "macs", (json_int_t)part_macs, "parameters", (json_int_t)parameters, "bytes",
                     (json_int_t)bytes);
}

static pare_status print_result(const model_file *file, const pare_student_report *report, pare_error *error) {
    model_file written = {0};
    pare_status status = model_file_open(common.output, &written, error); /* it must load again */
    size_t bytes = written.bytes;
    model_file_close(&written);
    PARE_TRY(status);
    bool json_is_stdout = common.json != NULL && strcmp(common.json, "-") == 0;
    if (!common.quiet && !json_is_stdout) {
        print_people(file, report, bytes);
    }
    json_t *object =
        json_pack("{s:s,s:s,s:f,s:f,s:b,s:o,s:o,s:I,s:I,s:I,s:I}", "input", json_text(file->path), "output",
                  json_text(common.output), "width", report->width, "depth", depth, "fresh", (int)fresh, "teacher",
                  json_part(report->teacher_macs, report->teacher_parameters, file->bytes), "student",
                  json_part(report->student_macs, report->student_parameters, bytes), "blocks_found",
                  (json_int_t)report->blocks_found, "blocks_kept", (json_int_t)report->blocks_kept, "channel_groups",
                  (json_int_t)report->channel_groups, "groups_kept_whole", (json_int_t)report->groups_kept_whole);
    if (object != NULL) {
        json_object_set_new(object, "macs_ratio", json_real(ratio(report->student_macs, report->teacher_macs)));
        json_object_set_new(object, "stopped_at",
                            report->stopped_at != NULL ? json_string(json_text(report->stopped_at)) : json_null());
    }
    return write_json(object, error);
}

static pare_status derive(const model_file *file, pare_graph **student, pare_student_report *report,
                          pare_error *error) {
    pare_student_options options = {.width = width > 0 ? width : 0,
                                    .macs = macs > 0 ? macs : 0,
                                    .round = (int32_t)channel_multiple,
                                    .depth = depth,
                                    .fresh = fresh,
                                    .seed = (uint64_t)common.seed};
    pare_status status = pare_student_derive(file->graph, &options, student, report, error);
    if (status != PARE_OK) {
        pare_error_prefix(error, "%s: ", file->path);
        return status;
    }
    return pare_graph_save(*student, common.output, error);
}

static pare_status check_numbers(pare_error *error) {
    if (width == 0 || depth == 0 || macs == 0) {
        return pare_fail(error, PARE_USAGE, "%s wants a number above 0 and at most 1, found 0",
                         width == 0   ? "--width"
                         : depth == 0 ? "--depth"
                                      : "--macs");
    }
    if (width > 0 && macs > 0) {
        return pare_fail(error, PARE_USAGE, "--width and --macs exclude each other: --macs finds the width");
    }
    return PARE_OK;
}

static pare_status run(const cli_list *arguments, pare_error *error) {
    model_file file = {0};
    pare_graph *student = NULL;
    pare_student_report report;
    PARE_TRY(check_numbers(error));
    PARE_TRY(check_output(common.output, arguments->items, 1, error));
    pare_status status = model_file_open(arguments->items[0], &file, error);
    if (status == PARE_OK && file.is_container) {
        status = pare_fail(error, PARE_UNSUPPORTED,
                           "%s: a .pare file is final; derive from the ONNX model it came from", file.path);
    }
    if (status == PARE_OK) {
        status = derive(&file, &student, &report, error);
    }
    if (status == PARE_OK) {
        status = print_result(&file, &report, error);
    }
    pare_graph_free(student);
    model_file_close(&file);
    return status;
}

int main(int argc, char **argv) {
    static const cli_option options[] = {
        CLI_OUTPUT("the student, ONNX"),
        {"width", 0, CLI_NUMBER, &width, "W", "multiplies channels, above 0 to 1 (default 1)", 0, 1, NULL},
        {"depth", 0, CLI_NUMBER, &depth, "D", "share of repeated blocks that stay, above 0 to 1 (default 1)", 0, 1,
         NULL},
        {"macs", 0, CLI_NUMBER, &macs, "SHARE", "finds the largest width with this share of the teacher's MACs", 0, 1,
         NULL},
        {"round", 0, CLI_WHOLE, &channel_multiple, "N", "channels are a multiple of N where possible (default 1)", 1,
         1024, NULL},
        {"fresh", 0, CLI_FLAG, &fresh, NULL, "random weights (He) instead of the teacher's", 0, 0, NULL},
        CLI_PREPROCESS,
        CLI_SEED,
        CLI_SHAPE,
        CLI_JSON,
        CLI_QUIET,
    };
    static const cli_tool tool = {
        .name = "pare-student",
        .summary = "a student for distillation: the teacher's network with fewer channels and blocks",
        .usage = "TEACHER.onnx -o S.onnx [options]",
        .details = "examples:\n"
                   "  pare-student resnet20.onnx --width 0.5 --round 4 -o half.onnx\n"
                   "  pare-student resnet56.onnx --depth 0.34 -o shallow.onnx\n"
                   "  pare-student resnet56.onnx --depth 0.34 --macs 0.1 --fresh --seed 1 -o small.onnx\n\n"
                   "Channels that belong together (through additions, concatenations, depthwise convolutions and so\n"
                   "on) shrink together. Those stay whose weights have the largest L1 norm. Of each run of equal\n"
                   "blocks the first stay: residual ones or, where none repeat, layers with what follows each.\n"
                   "Inputs and outputs keep their shapes.\n",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_arguments = 1,
        .most_arguments = 1,
        .run = run,
    };
    return cli_main(&tool, argc, argv);
}
