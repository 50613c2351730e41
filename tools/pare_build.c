/* pare-build: a fresh network from a recipe. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "model_file.h"
#include "pare/memory.h"
#include "pare/onnx_graph.h"
#include "pare/recipe.h"
#include "report.h"

static cli_list settings;
static const char *fields;

static pare_status print_fields(pare_error *error) {
    char *text = NULL;
    PARE_TRY(pare_recipe_help(strcmp(fields, "all") == 0 ? NULL : fields, &text, error));
    printf("%s", text);
    pare_free(text);
    return PARE_OK;
}

static pare_status print_result(const char *path, const pare_recipe_report *report, pare_error *error) {
    model_file written = {0};
    pare_status status = model_file_open(common.output, &written, error); /* it must load again */
    size_t bytes = written.bytes;
    model_file_close(&written);
    PARE_TRY(status);
    bool json_is_stdout = common.json != NULL && strcmp(common.json, "-") == 0;
    if (!common.quiet && !json_is_stdout) {
        printf("family      %s, seed %lld\nparameters  %s\nMACs        %s a sample\nout         %s: %s\n",
               report->family, (long long)common.seed, count_text(report->parameters), count_text(report->macs),
               shown(common.output, SIZE_MAX), size_text(bytes));
    }
    return write_json(json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I}", "input", json_text(path), "output",
                                json_text(common.output), "family", report->family, "seed", (json_int_t)common.seed,
                                "parameters", (json_int_t)report->parameters, "macs", (json_int_t)report->macs,
                                "output_bytes", (json_int_t)bytes),
                      error);
}

/* What is wrong is in the settings, not in the file. */
static bool builds_without_settings(const char *path) {
    char *recipe = NULL;
    pare_graph *graph = NULL;
    pare_recipe_report report;
    pare_status status = pare_recipe_load(path, NULL, 0, &recipe, NULL);
    if (status == PARE_OK) {
        status = pare_recipe_build(recipe, path, (uint64_t)common.seed, &graph, &report, NULL);
    }
    pare_graph_free(graph);
    pare_free(recipe);
    return status == PARE_OK;
}

static pare_status build(const char *path, pare_error *error) {
    char *recipe = NULL;
    pare_graph *graph = NULL;
    pare_recipe_report report;
    char origin[4200];
    PARE_TRY(check_output(common.output, &path, 1, error));
    PARE_TRY(pare_recipe_load(path, settings.items, settings.count, &recipe, error));
    snprintf(origin, sizeof origin, "%s%s", path, settings.count > 0 ? " with --set" : "");
    pare_status status = pare_recipe_build(recipe, origin, (uint64_t)common.seed, &graph, &report, error);
    if (status == PARE_OK) {
        status = pare_graph_save(graph, common.output, error);
    }
    pare_graph_free(graph);
    pare_free(recipe);
    if (status == PARE_BAD_INPUT && settings.count > 0 && builds_without_settings(path)) {
        return PARE_USAGE;
    }
    PARE_TRY(status);
    return print_result(path, &report, error);
}

static pare_status run(const cli_list *arguments, pare_error *error) {
    if (fields != NULL) {
        return arguments->count == 0
                   ? print_fields(error)
                   : pare_fail(error, PARE_USAGE, "--fields builds nothing: expected no recipe, found \"%.200s\"",
                               arguments->items[0]);
    }
    return arguments->count == 1 ? build(arguments->items[0], error)
                                 : pare_fail(error, PARE_USAGE, "usage: pare-build RECIPE.json -o M.onnx (see --help)");
}

/* The families are those that the library lists. */
static const char *details(void) {
    static char text[4000];
    const char *summary = NULL;
    size_t used = (size_t)snprintf(
        text, sizeof text, "%s",
        "examples:\n"
        "  pare-build models/recipes/resnet20.json -o resnet20.onnx\n"
        "  pare-build resnet20.json --set depth=32 --set dropout=0.1 --seed 7 -o resnet32.onnx\n"
        "  pare-build mlp.json --set 'hidden=[100,50]' --set activation=silu -o mlp.onnx\n"
        "  pare-build --fields resnet\n\n"
        "RECIPE.json is an object: \"family\", the family's fields and, for all, \"description\" (a text\n"
        "that the model keeps) and \"preprocess\" (how samples become inputs):\n"
        "  {\"family\": \"resnet\", \"depth\": 20, \"width\": 16, \"classes\": 10}\n\n"
        "families:\n");
    for (size_t i = 0; pare_recipe_family(i, &summary) != NULL && used < sizeof text; i++) {
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "  %-14s %s\n", pare_recipe_family(i, &summary), summary);
    }
    if (used < sizeof text) {
        snprintf(
            text + used, sizeof text - used, "%s",
            "\nWeights are He-normal before ReLU and its kin, Glorot-uniform elsewhere; biases are 0. Classifiers\n"
            "end in logits, unless \"softmax\" is true. The same recipe and seed give the same bytes.\n");
    }
    return text;
}

int main(int argc, char **argv) {
    static const cli_option options[] = {
        CLI_OUTPUT("the network, ONNX"),
        {"set", 0, CLI_LIST, &settings, "NAME=VALUE", "a field in place of the recipe's; may be given several times", 0,
         0, NULL},
        {"fields", 0, CLI_TEXT, &fields, "FAMILY", "print a family's fields, ranges, defaults (all: every family's)", 0,
         0, NULL},
        CLI_SEED,
        CLI_JSON,
        CLI_QUIET,
    };
    const cli_tool tool = {
        .name = "pare-build",
        .summary = "a fresh network, to be trained, from a recipe",
        .usage = "RECIPE.json -o M.onnx [options]",
        .details = details(),
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_arguments = 0,
        .most_arguments = 1,
        .run = run,
    };
    return cli_main(&tool, argc, argv);
}
