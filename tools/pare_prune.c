/* pare-prune: a network without its least important channels, or with its least weights as zeros. */
#include "pare/prune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "model_file.h"
#include "pare/onnx_graph.h"
#include "report.h"

static const char *const importances[] = {"l1", "l2", "batchnorm", "median", "activation", NULL}; /* as the library's */
static pare_prune_target target;
static const char *bytes;
static double most = 0.9;
static int64_t channel_multiple = 1;
static int importance;
static bool local, lamp;
static const char *const scopes[] = {"lamp", "global", "layer", NULL}; /* as pare_sparsity_scope */
static pare_weight_prune_options weights;
static const char *pattern;
static int scope;

/* --- options ------------------------------------------------------------------------------- */

/* "96KiB", "80 kB" without the blank, "98304". */
static pare_status parse_bytes(const char *text, size_t *size, pare_error *error) {
    static const struct {
        const char *unit;
        double factor;
    } units[] = {{"", 1}, {"B", 1}, {"kB", 1e3}, {"KB", 1e3}, {"KiB", 1024}, {"MB", 1e6}, {"MiB", 1024 * 1024}};
    size_t digits = strspn(text, "0123456789.");
    char *end = NULL;
    double number = digits > 0 && digits < 20 ? strtod(text, &end) : 0;
    for (size_t i = 0; end == text + digits && i < sizeof units / sizeof units[0]; i++) {
        double value = number * units[i].factor;
        if (strcmp(end, units[i].unit) == 0 && value >= 1 && value < 0x1p40) {
            *size = (size_t)value;
            return PARE_OK;
        }
    }
    return pare_fail(error, PARE_USAGE, "option --bytes: expected a size as 96KiB, 80kB or 98304, found \"%s\"", text);
}

static pare_status parse_pattern(pare_error *error) {
    int kept = 0, of = 0, used = 0;
    bool good = pattern == NULL ||
                (strspn(pattern, "0123456789:") == strlen(pattern) && strlen(pattern) < 8 &&
                 sscanf(pattern, "%d:%d%n", &kept, &of, &used) == 2 && pattern[used] == '\0' && kept > 0 && kept < of);
    weights.kept = kept;
    weights.of = of;
    return good ? PARE_OK
                : pare_fail(error, PARE_USAGE, "option --pattern: expected N:M with N from 1 to M - 1, found \"%s\"",
                            pattern);
}

static bool prunes_channels(void) {
    return target.ratio > 0 || target.macs > 0 || target.parameters > 0 || bytes != NULL || target.latency_ms > 0;
}

static bool prunes_weights(void) {
    return weights.sparsity > 0 || pattern != NULL;
}

static pare_status check_options(pare_error *error) {
    bool activations = importance == PARE_IMPORTANCE_ACTIVATION;
    if (bytes != NULL) {
        PARE_TRY(parse_bytes(bytes, &target.bytes, error));
    }
    PARE_TRY(parse_pattern(error));
    if (prunes_channels() == prunes_weights() || (weights.sparsity > 0 && pattern != NULL)) {
        return pare_fail(error, PARE_USAGE,
                         "one target is needed: for channels --macs, --parameters, --bytes, --latency-ms, --channels "
                         "or several of them, for weights --sparsity or --pattern");
    }
    if (scope != 0 && weights.sparsity == 0) {
        return pare_fail(error, PARE_USAGE, "--scope belongs to --sparsity, which is not given");
    }
    if (activations != (common.calib != NULL)) {
        return pare_fail(error, PARE_USAGE,
                         activations ? "--importance activation needs --calib SPEC"
                                     : "--calib belongs to --importance activation, which is not given");
    }
    return PARE_OK;
}

/* --- results ---------------------------------------------------------------------------------- */

static double ratio(double part, double whole) {
    return whole > 0 ? part / whole : 1.0;
}

static void print_row(const char *what, const char *before, const char *after, double share) {
    printf("%-12s %24s %24s %7.3f\n", what, before, after, share);
}

static void print_figures(const model_file *file, const pare_prune_report *r, size_t written) {
    const pare_prune_figures *a = &r->before, *b = &r->after;
    printf("%-12s %24s %24s %7s\n", "", "before", "after", "ratio");
    print_row("MACs", count_text(a->macs), count_text(b->macs), ratio((double)b->macs, (double)a->macs));
    print_row("parameters", count_text(a->parameters), count_text(b->parameters),
              ratio((double)b->parameters, (double)a->parameters));
    print_row("ONNX bytes", count_text(file->bytes), count_text(written), ratio((double)written, (double)file->bytes));
    if (target.bytes > 0) {
        print_row(".pare bytes", count_text(a->bytes), count_text(b->bytes), ratio((double)b->bytes, (double)a->bytes));
    }
    if (target.latency_ms > 0) {
        printf("%-12s %21.4f ms %21.4f ms %7.3f\n", "latency", a->latency_ms, b->latency_ms,
               ratio(b->latency_ms, a->latency_ms));
    }
}

static void print_people(const model_file *file, const pare_prune_report *r, size_t written) {
    print_figures(file, r, written);
    printf("\n%-40s %8s %8s\n", "channels made first by", "before", "after");
    for (size_t g = 0; g < r->group_count; g++) {
        const pare_pruned_group *group = &r->groups[g];
        if (group->before > 1 && (group->held_by != NULL || group->after < group->before || common.verbose)) {
            printf("%-40s %8zu %8zu%s%s%s\n", shown(group->node, 40), group->before, group->after,
                   group->held_by != NULL ? "   whole: node \"" : "",
                   group->held_by != NULL ? shown(group->held_by, 100) : "",
                   group->held_by != NULL ? "\" cannot be followed" : "");
        }
    }
    printf("out    %s: %s\n", shown(common.output, SIZE_MAX), size_text(written));
}

static json_t *json_figures(const pare_prune_figures *f, size_t onnx_bytes) {
    json_t *object = json_pack("{s:I,s:I,s:I}", "macs", (json_int_t)f->macs, "parameters", (json_int_t)f->parameters,
                               "onnx_bytes", (json_int_t)onnx_bytes);
    if (object != NULL && target.bytes > 0) {
        json_object_set_new(object, "bytes", json_integer((json_int_t)f->bytes));
    }
    if (object != NULL && target.latency_ms > 0) {
        json_object_set_new(object, "latency_ms", json_real(f->latency_ms));
    }
    return object;
}

static json_t *json_groups(const pare_prune_report *r) {
    json_t *groups = json_array();
    for (size_t g = 0; g < r->group_count; g++) {
        const pare_pruned_group *group = &r->groups[g];
        json_t *held = group->held_by != NULL ? json_string(json_text(group->held_by)) : json_null();
        json_array_append_new(groups,
                              json_pack("{s:s,s:I,s:I,s:o}", "node", json_text(group->node), "before",
                                        (json_int_t)group->before, "after", (json_int_t)group->after, "held_by", held));
    }
    return groups;
}

static pare_status print_result(const model_file *file, const pare_prune_report *r, pare_error *error) {
    model_file written = {0};
    pare_status status = model_file_open(common.output, &written, error); /* it must load again */
    size_t size = written.bytes;
    model_file_close(&written);
    PARE_TRY(status);
    if (!common.quiet && (common.json == NULL || strcmp(common.json, "-") != 0)) {
        print_people(file, r, size);
    }
    return write_json(json_pack("{s:s,s:s,s:s,s:o,s:o,s:o}", "input", json_text(file->path), "output",
                                json_text(common.output), "importance", importances[importance], "before",
                                json_figures(&r->before, file->bytes), "after", json_figures(&r->after, size), "groups",
                                json_groups(r)),
                      error);
}

/* --- the run -------------------------------------------------------------------------------------- */

static pare_status prune(model_file *file, pare_graph **pruned, pare_prune_report *report, pare_error *error) {
    pare_channel_prune_options options = {.importance = (pare_channel_importance)importance,
                                          .target = target,
                                          .local = local,
                                          .lamp = lamp,
                                          .most = most,
                                          .round = (int32_t)channel_multiple,
                                          .threads = (int32_t)common.threads,
                                          .preprocess = &file->preprocess};
    if (common.calib != NULL) {
        PARE_TRY(model_file_need_preprocess(file, error));
        PARE_TRY(open_dataset(common.calib, "calib", &options.data, error));
    }
    pare_status status = pare_prune_channels(file->graph, &options, pruned, report, error);
    pare_dataset_close(options.data);
    if (status != PARE_OK) {
        pare_error_prefix(error, "%s: ", file->path);
        return status;
    }
    return pare_graph_save(*pruned, common.output, error);
}

static pare_status print_weights(const model_file *file, const pare_weight_prune_report *r, pare_error *error) {
    if (!common.quiet && (common.json == NULL || strcmp(common.json, "-") != 0)) {
        double count = (double)r->weights;
        printf("%-12s %24s %24s %7s\n", "", "before", "after", "ratio");
        print_row(".pare bytes", count_text(r->bytes_before), count_text(r->bytes_after),
                  ratio((double)r->bytes_after, (double)r->bytes_before));
        printf("%s weights, of which %s were zeros and %s are\nout    %s\n", count_text(r->weights),
               percent_text((double)r->zeros_before / count), percent_text((double)r->zeros_after / count),
               shown(common.output, SIZE_MAX));
    }
    return write_json(json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I}", "input", json_text(file->path), "output",
                                json_text(common.output), "weights", (json_int_t)r->weights, "zeros_before",
                                (json_int_t)r->zeros_before, "zeros_after", (json_int_t)r->zeros_after, "bytes_before",
                                (json_int_t)r->bytes_before, "bytes_after", (json_int_t)r->bytes_after),
                      error);
}

static pare_status run_weights(const model_file *file, pare_error *error) {
    pare_graph *pruned = NULL;
    pare_weight_prune_report report;
    weights.scope = (pare_sparsity_scope)scope;
    pare_status status = pare_prune_weights(file->graph, &weights, &pruned, &report, error);
    if (status != PARE_OK) {
        pare_error_prefix(error, "%s: ", file->path);
        return status;
    }
    status = pare_graph_save(pruned, common.output, error);
    pare_graph_free(pruned);
    return status == PARE_OK ? print_weights(file, &report, error) : status;
}

static pare_status run_channels(model_file *file, pare_error *error) {
    pare_graph *pruned = NULL;
    pare_prune_report report;
    pare_status status = prune(file, &pruned, &report, error);
    if (status == PARE_OK) {
        status = print_result(file, &report, error);
    }
    pare_graph_free(pruned);
    return status;
}

static pare_status run(const cli_list *arguments, pare_error *error) {
    model_file file = {0};
    PARE_TRY(check_options(error));
    PARE_TRY(check_output(common.output, arguments->items, 1, error));
    pare_status status = model_file_open(arguments->items[0], &file, error);
    if (status == PARE_OK && file.is_container) {
        status = pare_fail(error, PARE_UNSUPPORTED, "%s: a .pare file is final; prune the ONNX model it came from",
                           file.path);
    }
    if (status == PARE_OK) {
        status = prunes_weights() ? run_weights(&file, error) : run_channels(&file, error);
    }
    model_file_close(&file);
    return status;
}

int main(int argc, char **argv) {
    static const cli_option options[] = {
        CLI_OUTPUT("the pruned network, ONNX"),
        {"macs", 0, CLI_NUMBER, &target.macs, "SHARE", "multiply-accumulates left, above 0 and below 1", 1e-6, 0.999999,
         NULL},
        {"parameters", 0, CLI_NUMBER, &target.parameters, "SHARE", "... parameters", 1e-6, 0.999999, NULL},
        {"bytes", 0, CLI_TEXT, &bytes, "SIZE", "... size of the .pare file: 96KiB, 80kB, 98304", 0, 0, NULL},
        {"latency-ms", 0, CLI_NUMBER, &target.latency_ms, "MS",
         "... median latency of one sample, measured on this machine", 1e-6, 1e9, NULL},
        {"channels", 0, CLI_NUMBER, &target.ratio, "SHARE", "at least this share of the channels that may go does",
         1e-6, 0.999999, NULL},
        {"importance", 0, CLI_CHOICE, &importance, NULL, "what a channel is worth (default l1; see below)", 0, 0,
         importances},
        {"local", 0, CLI_FLAG, &local, NULL, "the same share of each group goes; else the network's least important", 0,
         0, NULL},
        {"lamp", 0, CLI_FLAG, &lamp, NULL, "compares layers by LAMP's shares", 0, 0, NULL},
        {"max-ratio", 0, CLI_NUMBER, &most, "R", "of a group at most this share goes (default 0.9)", 1e-6, 1, NULL},
        {"round", 0, CLI_WHOLE, &channel_multiple, "N", "channels stay a multiple of N where possible (default 1)", 1,
         1024, NULL},
        {"sparsity", 0, CLI_NUMBER, &weights.sparsity, "S", "share of the weights that are zeros afterwards", 1e-6,
         0.999999, NULL},
        {"scope", 0, CLI_CHOICE, &scope, NULL, "with --sparsity: all compared by LAMP (default) or size, or each layer",
         0, 0, scopes},
        {"pattern", 0, CLI_TEXT, &pattern, "N:M",
         "of M neighbours along the input channels at most N are not zeros (2:4)", 0, 0, NULL},
        CLI_CALIB,
        CLI_PREPROCESS,
        CLI_LIMIT,
        CLI_SHUFFLE,
        CLI_THREADS,
        CLI_SHAPE,
        CLI_JSON,
        CLI_QUIET,
        CLI_VERBOSE,
    };
    static const cli_tool tool = {
        .name = "pare-prune",
        .summary = "takes out the channels that matter least, or makes weights zeros",
        .usage = "M.onnx -o P.onnx (--macs SHARE | --bytes SIZE | --sparsity S | ...) [options]",
        .details =
            "examples:\n"
            "  pare-prune resnet56.onnx --macs 0.48 --importance l2 --round 4 -o p.onnx\n"
            "  pare-prune net.onnx --latency-ms 3 -o p.onnx\n"
            "  pare-prune net.onnx --bytes 96KiB --importance activation --calib images:some -o p.onnx\n"
            "  pare-prune net.onnx --sparsity 0.8 -o s.onnx\n"
            "  pare-train s.onnx --data images:train --keep-zeros --epochs 5 -o t.onnx\n"
            "  pare-distill p.onnx --teacher net.onnx --data cifar10:data.bin --epochs 20 -o q.onnx  (afterwards)\n\n"
            "Channels that hang together (through additions, concatenations, depthwise convolutions, attention\n"
            "heads and so on) go together, and as few go as the targets ask for. What is left runs in any ONNX\n"
            "runtime. Pruning costs accuracy, which training gives back: pare-train, pare-distill.\n"
            "Zeros make the .pare smaller, not the network: pare-train --sparsity makes them gradually.\n\n"
            "importance, each layer's numbers over their mean:\n"
            "  l1, l2       norms of the weights that produce a channel and that read it\n"
            "  batchnorm    size of BatchNormalization's scale\n"
            "  median       distance to the layer's other filters: what others resemble goes (FPGM)\n"
            "  activation   root mean square of what it computes, over --calib\n",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_arguments = 1,
        .most_arguments = 1,
        .run = run,
    };
    return cli_main(&tool, argc, argv);
}
