/* Command lines: a table of options, one parser, one life cycle. A tool's file
 * fills a cli_tool, and its `run` calls a library and prints. */
#ifndef PARE_CLI_H
#define PARE_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pare/status.h"

typedef enum cli_kind {
    CLI_FLAG,   /* bool */
    CLI_TEXT,   /* const char * */
    CLI_LIST,   /* cli_list: may be given several times */
    CLI_WHOLE,  /* int64_t, low to high */
    CLI_NUMBER, /* double, low to high */
    CLI_CHOICE  /* int: index into choices */
} cli_kind;

#define CLI_LIST_MAX 64
typedef struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t count;
} cli_list;

typedef struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* short form, or 0 */
    cli_kind kind;
    void *target;
    const char *argument; /* shown in --help: "FILE"; NULL for flags */
    const char *help;
    double low, high;
    const char *const *choices; /* NULL-terminated */
} cli_option;

/* Options that most tools share; each tool lists those that it takes. */
typedef struct cli_common {
    const char *output, *data, *calib, *preprocess, *json;
    int64_t limit, shuffle_seed, batch, threads, seed;
    cli_list shapes;
    bool quiet, verbose;
    bool silent; /* set by `run`: its error is told by another process */
    int isa;     /* a pare_isa */
} cli_common;
extern cli_common common;
/* The words of --isa, in the order of pare_isa. */
extern const char *const cli_instruction_sets[];

#define CLI_OUTPUT(text)                                                                                               \
    { "output", 'o', CLI_TEXT, &common.output, "FILE", text, 0, 0, NULL }
#define CLI_DATA                                                                                                       \
    { "data", 0, CLI_TEXT, &common.data, "SPEC", "a labelled data set (see SPEC below)", 0, 0, NULL }
#define CLI_CALIB                                                                                                      \
    { "calib", 0, CLI_TEXT, &common.calib, "SPEC", "data for calibration; labels are not needed", 0, 0, NULL }
#define CLI_PREPROCESS                                                                                                 \
    {                                                                                                                  \
        "preprocess", 0, CLI_TEXT, &common.preprocess, "FILE|JSON", "preprocessing, where the model carries none", 0,  \
            0, NULL                                                                                                    \
    }
#define CLI_JSON                                                                                                       \
    { "json", 0, CLI_TEXT, &common.json, "FILE", "machine-readable result (- is standard output)", 0, 0, NULL }
#define CLI_LIMIT                                                                                                      \
    { "limit", 0, CLI_WHOLE, &common.limit, "N", "use only the first N samples", 1, 1e12, NULL }
#define CLI_SHUFFLE                                                                                                    \
    {                                                                                                                  \
        "shuffle-seed", 0, CLI_WHOLE, &common.shuffle_seed, "S", "with --limit: a seeded sample instead of the first", \
            0, 1e15, NULL                                                                                              \
    }
#define CLI_BATCH                                                                                                      \
    { "batch", 0, CLI_WHOLE, &common.batch, "N", "samples a run (default: by the model's size)", 1, 65536, NULL }
#define CLI_THREADS                                                                                                    \
    { "threads", 0, CLI_WHOLE, &common.threads, "N", "default: the physical cores this process may use", 1, 64, NULL }
#define CLI_SEED                                                                                                       \
    { "seed", 0, CLI_WHOLE, &common.seed, "N", "of everything random (default 0)", 0, 1e15, NULL }
#define CLI_SHAPE                                                                                                      \
    { "shape", 0, CLI_LIST, &common.shapes, "NAME=1x3x224x224", "binds an input's symbolic dimensions", 0, 0, NULL }
#define CLI_ISA                                                                                                        \
    {                                                                                                                  \
        "isa", 0, CLI_CHOICE, &common.isa, NULL, "highest instruction set of Pare's own kernels", 0, 0,                \
            cli_instruction_sets                                                                                       \
    }
#define CLI_QUIET                                                                                                      \
    { "quiet", 'q', CLI_FLAG, &common.quiet, NULL, "print results only, no progress", 0, 0, NULL }
#define CLI_VERBOSE                                                                                                    \
    { "verbose", 'v', CLI_FLAG, &common.verbose, NULL, "print more", 0, 0, NULL }

#define CLI_OPTIONS_MAX 128
typedef struct cli_tool {
    const char *name;    /* "pare-eval" */
    const char *summary; /* one line */
    const char *usage;   /* "MODEL --data SPEC" */
    const char *details; /* examples and notes, printed by --help after the options */
    const cli_option *options;
    size_t option_count;
    size_t least_arguments, most_arguments; /* that are not options */
    pare_status (*run)(const cli_list *arguments, pare_error *error);
} cli_tool;

/* Text for `details`: what a SPEC is. */
#define CLI_SPEC_HELP                                                                                                  \
    "SPEC, a data set:\n"                                                                                              \
    "  idx:IMAGES,LABELS            MNIST family, plain or .gz\n"                                                      \
    "  cifar10:FILE[,FILE...]       CIFAR-10 binary batches, plain or .gz\n"                                           \
    "  npy:X.npy[,Y.npy]            inputs and targets, sample axis first\n"                                           \
    "  images:DIR[?labels=FILE]     DIR/<class>/*.jpg|png, or DIR/*.jpg|png with labels\n"                             \
    "  csv:FILE?target=COLUMN       numeric columns, header row; ?class=COLUMN for labels\n"                           \
    "  a part of it: SPEC#0:1000 (from:to), SPEC#train, SPEC#val\n"

/* For programs that compute for long, called first: threads that wait for each other sleep after some 50 µs, in place
 * of libgomp's milliseconds, which halt everything where other programs want the cores too. libgomp reads its
 * environment before main, so this starts the program again, once. */
void cli_calm_threads(char **argv);
/* Parses, runs, prints the error as "pare-eval: ..." and returns the exit code. */
int cli_main(const cli_tool *tool, int argc, char **argv);

/* PARE_USAGE where a run would write over what it reads (`inputs`: files; `specs`: data sets, each of whose files
 * counts) or two outputs into one file. NULL is none. */
pare_status cli_check_outputs(const char *const *outputs, size_t output_count, const char *const *inputs,
                              size_t input_count, const char *const *specs, size_t spec_count, pare_error *error);

/* True after SIGINT, SIGTERM or SIGHUP. */
bool cli_interrupted(void);
/* A pare_progress that draws a bar on a terminal once something takes over a
 * second, and stops at an interrupt. `context` is the label. */
bool cli_progress(void *context, size_t done, size_t total);

#endif
