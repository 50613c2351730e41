#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pare/bytes.h"
#include "pare/file.h"
#include "pare/runtime.h"

cli_common common = {.shuffle_seed = -1};
const char *const cli_instruction_sets[] = {"best", "scalar", "avx2", "avx512-vnni", NULL};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
    (void)signal_number;
    interrupted = 1;
}

static void print_option(const cli_option *o) {
    char left[80];
    int used = o->letter != 0 ? snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name)
                              : snprintf(left, sizeof left, "      --%s", o->name);
    if (o->kind == CLI_CHOICE) {
        used += snprintf(left + used, sizeof left - (size_t)used, " ");
        for (size_t i = 0; o->choices[i] != NULL && used < 78; i++) {
            used += snprintf(left + used, sizeof left - (size_t)used, "%s%s", i > 0 ? "|" : "", o->choices[i]);
        }
    } else if (o->argument != NULL) {
        used += snprintf(left + used, sizeof left - (size_t)used, " %s", o->argument);
    }
    if (used > 33) {
        printf("%s\n%34s%s\n", left, "", o->help);
    } else {
        printf("%-34s%s\n", left, o->help);
    }
}

static void print_help(const cli_tool *tool) {
    printf("%s: %s\n\nusage: %s %s\n\noptions:\n", tool->name, tool->summary, tool->name, tool->usage);
    for (size_t i = 0; i < tool->option_count; i++) {
        print_option(&tool->options[i]);
    }
    printf("  -h, --help                      this text\n      --version                   print the version\n");
    if (tool->details != NULL) {
        printf("\n%s", tool->details);
    }
    printf("\nexit codes: 0 ok, 1 internal, 2 usage, 3 bad input, 4 I/O, 5 unsupported,\n"
           "6 out of memory or limit, 7 quality gate missed, 130 interrupted\n");
}

static pare_status parse_number(const cli_option *o, const char *text, double *value, pare_error *error) {
    char *end = NULL;
    errno = 0;
    /* strtod would take blanks, hexadecimal, "nan" and "inf". */
    bool plain = text[0] != '\0' && strspn(text, "0123456789+-.eE") == strlen(text);
    *value = plain ? strtod(text, &end) : 0.0;
    bool whole = o->kind == CLI_NUMBER || (strspn(text, "0123456789") == strlen(text));
    if (!plain || *end != '\0' || errno == ERANGE || !whole || !(*value >= o->low && *value <= o->high)) {
        return pare_fail(error, PARE_USAGE, "option --%s: expected a%s number from %.15g to %.15g, found \"%s\"",
                         o->name, o->kind == CLI_WHOLE ? " whole" : "", o->low, o->high, text);
    }
    return PARE_OK;
}

static pare_status parse_choice(const cli_option *o, const char *text, pare_error *error) {
    char known[300];
    size_t used = 0;
    for (int i = 0; o->choices[i] != NULL; i++) {
        if (strcmp(o->choices[i], text) == 0) {
            *(int *)o->target = i;
            return PARE_OK;
        }
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", o->choices[i]);
    }
    return pare_fail(error, PARE_USAGE, "option --%s: expected one of %s, found \"%s\"", o->name, known, text);
}

static pare_status store(const cli_option *o, const char *text, pare_error *error) {
    double number;
    cli_list *list;
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)o->target = true;
        return PARE_OK;
    case CLI_TEXT:
        *(const char **)o->target = text;
        return text[0] != '\0' ? PARE_OK : pare_fail(error, PARE_USAGE, "option --%s: its value is empty", o->name);
    case CLI_LIST:
        list = o->target;
        if (list->count == CLI_LIST_MAX) {
            return pare_fail(error, PARE_USAGE, "option --%s: at most %d times", o->name, CLI_LIST_MAX);
        }
        list->items[list->count++] = text;
        return PARE_OK;
    case CLI_WHOLE:
        PARE_TRY(parse_number(o, text, &number, error));
        *(int64_t *)o->target = (int64_t)number;
        return PARE_OK;
    case CLI_NUMBER:
        PARE_TRY(parse_number(o, text, &number, error));
        *(double *)o->target = number;
        return PARE_OK;
    case CLI_CHOICE:
        return parse_choice(o, text, error);
    }
    return PARE_INTERNAL;
}

static const cli_option *find_option(const cli_tool *tool, const char *name, size_t length) {
    for (size_t i = 0; i < tool->option_count; i++) {
        const cli_option *o = &tool->options[i];
        if ((strlen(o->name) == length && strncmp(o->name, name, length) == 0) ||
            (length == 1 && o->letter != 0 && o->letter == name[0])) {
            return o;
        }
    }
    return NULL;
}

/* Handles argv[*at], which begins with a dash, and its value. */
static pare_status parse_option(const cli_tool *tool, int argc, char **argv, int *at, bool *seen, pare_error *error) {
    const char *word = argv[*at];
    bool is_long = word[1] == '-';
    const char *name = word + (is_long ? 2 : 1);
    const char *equals = is_long ? strchr(name, '=') : NULL;
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const cli_option *o = length == 1 && is_long ? NULL : find_option(tool, name, length);
    if (o == NULL) {
        return pare_fail(error, PARE_USAGE, "unknown option %s (see %s --help)", word, tool->name);
    }
    if (seen[o - tool->options] && o->kind != CLI_LIST && o->kind != CLI_FLAG) {
        return pare_fail(error, PARE_USAGE, "option --%s is given twice", o->name);
    }
    seen[o - tool->options] = true;
    if (o->kind == CLI_FLAG) {
        return equals == NULL ? store(o, "", error)
                              : pare_fail(error, PARE_USAGE, "option --%s takes no value", o->name);
    }
    if (equals != NULL) {
        return store(o, equals + 1, error);
    }
    if (*at + 1 >= argc) {
        return pare_fail(error, PARE_USAGE, "option --%s needs a value: %s", o->name,
                         o->argument != NULL ? o->argument : "see --help");
    }
    return store(o, argv[++*at], error);
}

static pare_status parse(const cli_tool *tool, int argc, char **argv, cli_list *arguments, pare_error *error) {
    bool seen[CLI_OPTIONS_MAX] = {false};
    bool only_arguments = false;
    if (tool->option_count > CLI_OPTIONS_MAX) {
        return pare_fail(error, PARE_INTERNAL, "expected at most %d options, found %zu", CLI_OPTIONS_MAX,
                         tool->option_count);
    }
    for (int i = 1; i < argc; i++) {
        if (!only_arguments && strcmp(argv[i], "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && argv[i][0] == '-' && argv[i][1] != '\0') {
            PARE_TRY(parse_option(tool, argc, argv, &i, seen, error));
        } else if (arguments->count == tool->most_arguments) {
            return pare_fail(error, PARE_USAGE, "unexpected argument \"%s\"; usage: %s %s", argv[i], tool->name,
                             tool->usage);
        } else {
            arguments->items[arguments->count++] = argv[i];
        }
    }
    if (arguments->count < tool->least_arguments) {
        return pare_fail(error, PARE_USAGE, "usage: %s %s (see --help)", tool->name, tool->usage);
    }
    return PARE_OK;
}

/* True when a SPEC names this very file. */
static bool spec_names(const char *spec, const char *path) {
    const char *at = spec != NULL ? strchr(spec, ':') : NULL;
    while (at != NULL && *at != '\0') {
        char name[4096];
        size_t length = strcspn(++at, ",?#");
        if (length < sizeof name) {
            memcpy(name, at, length);
            name[length] = '\0';
            if (pare_file_same(name, path)) {
                return true;
            }
        }
        at += length;
        if (*at != ',') {
            return false;
        }
    }
    return false;
}

static bool is_taken(const char *output, const char *const *inputs, size_t input_count, const char *const *specs,
                     size_t spec_count) {
    for (size_t i = 0; i < input_count; i++) {
        if (inputs[i] != NULL && (strcmp(inputs[i], output) == 0 || pare_file_same(inputs[i], output))) {
            return true;
        }
    }
    for (size_t i = 0; i < spec_count; i++) {
        if (spec_names(specs[i], output)) {
            return true;
        }
    }
    return false;
}

pare_status cli_check_outputs(const char *const *outputs, size_t output_count, const char *const *inputs,
                              size_t input_count, const char *const *specs, size_t spec_count, pare_error *error) {
    for (size_t o = 0; o < output_count; o++) {
        if (outputs[o] == NULL) {
            continue;
        }
        if (is_taken(outputs[o], inputs, input_count, specs, spec_count)) {
            return pare_fail(error, PARE_USAGE, "the output %s is the input: choose another name", outputs[o]);
        }
        if (is_taken(outputs[o], outputs, o, NULL, 0)) {
            return pare_fail(error, PARE_USAGE, "two outputs name the same file %s", outputs[o]);
        }
    }
    return PARE_OK;
}

/* What the user hands in is never written over, by whichever option. */
static pare_status check_targets(const cli_list *arguments, pare_error *error) {
    const char *inputs[CLI_LIST_MAX + 1] = {common.preprocess}, *const specs[] = {common.data, common.calib};
    const char *json = common.json != NULL && strcmp(common.json, "-") != 0 ? common.json : NULL;
    const char *const outputs[] = {common.output, json};
    memcpy(inputs + 1, arguments->items, arguments->count * sizeof arguments->items[0]);
    return cli_check_outputs(outputs, 2, inputs, arguments->count + 1, specs, 2, error);
}

/* A stream that the caller closed must not become the number of a file that is
 * opened later: what is printed would go into that file. Opened the wrong way
 * round, it still reports that nothing can be read or written. */
static void occupy_closed_streams(void) {
    for (int stream = 0; stream < 3; stream++) {
        if (fcntl(stream, F_GETFD) < 0 && errno == EBADF) {
            int opened = open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
            if (opened >= 0 && opened != stream) {
                close(opened);
            }
        }
    }
}

static bool asks(int argc, char **argv, const char *option, const char *letter) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], option) == 0 || (letter != NULL && strcmp(argv[i], letter) == 0)) {
            return true;
        }
    }
    return false;
}

void cli_calm_threads(char **argv) {
    if (getenv("GOMP_SPINCOUNT") == NULL && getenv("OMP_WAIT_POLICY") == NULL &&
        setenv("GOMP_SPINCOUNT", "20000", 1) == 0) {
        (void)execv("/proc/self/exe", argv); /* where that fails, all goes on as it is */
    }
}

int cli_main(const cli_tool *tool, int argc, char **argv) {
    occupy_closed_streams();
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) { /* as nohup wants it */
        sigaction(SIGHUP, &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN); /* a closed pipe or a full disk is an error that is reported */
    signal(SIGXFSZ, SIG_IGN);
    pare_error error = {PARE_OK, PARE_NO_OFFSET, ""};
    pare_status status = PARE_OK;
    cli_list arguments = {.count = 0};
    if (asks(argc, argv, "--help", "-h")) {
        print_help(tool);
    } else if (asks(argc, argv, "--version", NULL)) {
        printf("%s %s (%s)\n", tool->name, pare_version(), pare_backend());
    } else {
        status = parse(tool, argc, argv, &arguments, &error);
        if (status == PARE_OK) {
            status = check_targets(&arguments, &error);
        }
        if (status == PARE_OK) {
            status = tool->run(&arguments, &error);
        }
    }
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == PARE_OK) {
        status = pare_fail(&error, PARE_IO, "cannot write to standard output: %s", strerror(errno));
    }
    if (status != PARE_OK && !common.silent) {
        fprintf(stderr, "%s: %s\n", tool->name, error.message[0] != '\0' ? error.message : pare_status_name(status));
    }
    return (int)status;
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

bool cli_interrupted(void) {
    return interrupted;
}

bool cli_progress(void *context, size_t done, size_t total) {
    static double began, shown;
    static const char *label;
    static size_t last;
    double now = seconds_now();
    if (label != context || done < last) {
        label = context;
        began = now;
        shown = 0.0;
    }
    last = done;
    bool visible = !common.quiet && isatty(STDERR_FILENO) == 1;
    if (visible && now - began > 1.0 && (now - shown > 0.1 || done == total)) {
        shown = now;
        double left = (now - began) * ((double)total / (double)done - 1.0);
        char text[80];
        pare_printable(label, strlen(label), text, sizeof text);
        fprintf(stderr, "\r%s %3.0f %% (%zu of %zu, %.0f s left)  ", text, 100.0 * (double)done / (double)total, done,
                total, left);
        if (done == total) {
            fprintf(stderr, "\r%70s\r", "");
        }
    }
    return !interrupted;
}
