/* pare-distill: trains a student with a teacher beside it. */
#include <string.h>

#include "model_file.h"
#include "pare/lower.h"
#include "train_cli.h"

static const char *teacher_path, *cache;
static double temperature = 4, alpha = 0.9, dkd_alpha = 1, dkd_beta = 8, hint_weight = 1, attention_weight = 1000,
              until;
static int method;
static const char *const methods[] = {"logits", "decoupled", NULL};
static cli_list hints, attentions;

/* S_NODE=T_NODE */
static pare_status parse_hint(const char *text, bool attention, char *memory, size_t size, pare_hint *hint,
                              pare_error *error) {
    size_t length = strlen(text);
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text || equals[1] == '\0' || length >= size) {
        return pare_fail(error, PARE_USAGE, "option --%s: expected S_NODE=T_NODE, found \"%s\"",
                         attention ? "attention" : "hint", text);
    }
    memcpy(memory, text, length + 1);
    memory[equals - text] = '\0';
    *hint = (pare_hint){.student = memory,
                        .teacher = memory + (equals - text) + 1,
                        .attention = attention,
                        .weight = attention ? attention_weight : hint_weight};
    return PARE_OK;
}

#define NAME_BYTES 2100

static pare_status parse_hints(pare_hint *list, size_t *count, char (*names)[NAME_BYTES], pare_error *error) {
    *count = 0;
    for (int attention = 0; attention <= 1; attention++) {
        const cli_list *given = attention ? &attentions : &hints;
        for (size_t i = 0; i < given->count; i++, (*count)++) {
            PARE_TRY(parse_hint(given->items[i], attention, names[*count], NAME_BYTES, &list[*count], error));
        }
    }
    return PARE_OK;
}

static pare_status run(const cli_list *arguments, pare_error *error) {
    static pare_hint list[2 * CLI_LIST_MAX];
    static char names[2 * CLI_LIST_MAX][NAME_BYTES];
    model_file teacher = {0};
    pare_distill_options options = {.temperature = temperature,
                                    .alpha = alpha,
                                    .until = until,
                                    .decoupled = method == 1,
                                    .dkd_alpha = dkd_alpha,
                                    .dkd_beta = dkd_beta,
                                    .hints = list,
                                    .cache = cache};
    pare_status status =
        teacher_path != NULL ? PARE_OK : pare_fail(error, PARE_USAGE, "option --teacher MODEL is needed");
    if (status == PARE_OK) {
        status = parse_hints(list, &options.hint_count, names, error);
    }
    if (status == PARE_OK) {
        status = model_file_open(teacher_path, &teacher, error);
    }
    if (status == PARE_OK) {
        status = train_hash_model(teacher_path, teacher.graph, &options.teacher_hash, error);
    }
    if (status == PARE_OK) {
        options.teacher = teacher.graph;
        options.teacher_model = teacher.model;
        options.teacher_preprocess = teacher.preprocess_json != NULL ? &teacher.preprocess : NULL;
    }
    status = train_run(arguments->items[0], &options, teacher_path, status, error);
    model_file_close(&teacher);
    return status;
}

int main(int argc, char **argv) {
    static const cli_option options[] = {
        {"teacher", 0, CLI_TEXT, &teacher_path, "MODEL", "whose answers the student learns (.onnx or .pare)", 0, 0,
         NULL},
        {"temperature", 0, CLI_NUMBER, &temperature, "T", "softens both answers, above 0 (default 4)", 0, 1e6, NULL},
        {"alpha", 0, CLI_NUMBER, &alpha, "A", "the teacher's share of the loss, the labels have the rest (default 0.9)",
         0, 1, NULL},
        {"teacher-until", 0, CLI_NUMBER, &until, "F",
         "what is of the teacher in the loss fades out until this share of the run (default: it does not)", 0.001, 1,
         NULL},
        {"method", 0, CLI_CHOICE, &method, NULL, "Hinton's loss (default), or decoupled (DKD)", 0, 0, methods},
        {"dkd-alpha", 0, CLI_NUMBER, &dkd_alpha, "W", "decoupled: weight of the target class (default 1)", 0, 1e6,
         NULL},
        {"dkd-beta", 0, CLI_NUMBER, &dkd_beta, "W", "decoupled: weight of the other classes (default 8)", 0, 1e6, NULL},
        {"hint", 0, CLI_LIST, &hints, "S_NODE=T_NODE", "what a node computes imitates the teacher's (FitNets)", 0, 0,
         NULL},
        {"hint-weight", 0, CLI_NUMBER, &hint_weight, "W", "of the hints in the loss (default 1)", 0, 1e9, NULL},
        {"attention", 0, CLI_LIST, &attentions, "S_NODE=T_NODE", "... only where it is active (attention transfer)", 0,
         0, NULL},
        {"attention-weight", 0, CLI_NUMBER, &attention_weight, "W", "of these (default 1000)", 0, 1e9, NULL},
        {"teacher-cache", 0, CLI_TEXT, &cache, "FILE", "keeps the teacher's answers; not with --augment", 0, 0, NULL},
        TRAIN_OPTIONS,
    };
    static const cli_tool tool = {
        .name = "pare-distill",
        .summary = "trains a student with a teacher; the data set may do without labels",
        .usage = "S.onnx --teacher T.onnx --data SPEC [--val SPEC] -o D.onnx [options]",
        .details =
            "examples:\n"
            "  pare-student resnet56.onnx --depth 0.12 -o s.onnx\n"
            "  pare-distill s.onnx --teacher resnet56.onnx --data cifar10:data_batch_1.bin --val "
            "cifar10:test_batch.bin \\\n"
            "      --epochs 20 --lr 0.05 --augment flip,crop=4 -o d.onnx\n"
            "  pare-distill s.onnx --teacher t.onnx --data npy:x.npy --hint block2.relu=layer2.relu -o d.onnx\n\n"
            "--hint and --attention name nodes (pare-inspect lists them) or what they compute; both\n"
            "sides must agree in all extents but the channels, and the teacher be an ONNX file.\n\n" TRAIN_RANKS_HELP
                TRAIN_AUGMENT_HELP CLI_SPEC_HELP,
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_arguments = 1,
        .most_arguments = 1,
        .run = run,
    };
    cli_calm_threads(argv);
    return train_end(cli_main(&tool, argc, argv));
}
