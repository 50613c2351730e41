/* pare-run: executes a model on tensors in .npy files. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "model_file.h"
#include "pare/memory.h"
#include "pare/npy.h"
#include "pare/runtime.h"
#include "report.h"

#define NPY_LIMIT ((size_t)4 << 30)
#define MOST_PORTS CLI_LIST_MAX

static cli_list inputs, outputs;
static bool reference;

typedef struct run_state {
    model_file file;
    pare_session *session;
    size_t input_count, output_count;
    void *arrays[MOST_PORTS];
    size_t array_bytes[MOST_PORTS];
    pare_npy_header headers[MOST_PORTS];
    void *results[MOST_PORTS];
} run_state;

/* Splits `[NAME=]FILE`; the port it names, or -1. */
static int find_port(const pare_model *model, const uint32_t *ports, uint32_t count, const char *text,
                     const char **path) {
    for (uint32_t i = 0; i < count; i++) {
        const char *name = model->tensors[ports[i]].name;
        size_t length = strlen(name);
        if (strncmp(text, name, length) == 0 && text[length] == '=') {
            *path = text + length + 1;
            return (int)i;
        }
    }
    *path = text;
    return count == 1 ? 0 : -1;
}

static pare_status list_names(const pare_model *model, const uint32_t *ports, uint32_t count, const char *option,
                              const char *text, pare_error *error) {
    char names[400] = "";
    for (uint32_t i = 0; i < count && strlen(names) < 300; i++) {
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%.60s", i > 0 ? ", " : "",
                 model->tensors[ports[i]].name);
    }
    return pare_fail(error, PARE_USAGE, "--%s %s: expected NAME=FILE with one of the names %s", option, text, names);
}

static pare_status read_inputs(run_state *s, pare_error *error) {
    const pare_model *model = s->file.model;
    for (size_t i = 0; i < inputs.count; i++) {
        const char *path;
        int port = find_port(model, model->inputs, model->input_count, inputs.items[i], &path);
        if (port < 0 || port >= MOST_PORTS) {
            return list_names(model, model->inputs, model->input_count, "input", inputs.items[i], error);
        }
        if (s->arrays[port] != NULL) {
            return pare_fail(error, PARE_USAGE, "--input %s: that input is given twice", inputs.items[i]);
        }
        PARE_TRY(pare_npy_read(path, NPY_LIMIT, &s->headers[port], &s->arrays[port], &s->array_bytes[port], error));
    }
    for (uint32_t i = 0; i < model->input_count; i++) {
        if (i >= MOST_PORTS || s->arrays[i] == NULL) {
            return pare_fail(error, PARE_USAGE, "input \"%s\" has no --input", model->tensors[model->inputs[i]].name);
        }
    }
    return PARE_OK;
}

/* The batch that makes the arrays fit the model's shapes, from the first open dimension. */
static pare_status find_batch(const run_state *s, int64_t *batch, pare_error *error) {
    const pare_model *model = s->file.model;
    *batch = 1;
    for (uint32_t i = 0; i < model->input_count; i++) {
        const pare_model_tensor *tensor = &model->tensors[model->inputs[i]];
        const pare_shape *found = &s->headers[i].shape;
        char expected_text[100], found_text[100];
        for (int d = 0; d < tensor->shape.rank && d < found->rank; d++) {
            if (tensor->shape.dims[d] == -1) {
                *batch = found->dims[d];
                break;
            }
        }
        pare_shape bound;
        if (!pare_shape_bind(&tensor->shape, *batch, &bound) || !pare_shape_equal(&bound, found) ||
            s->headers[i].dtype != tensor->dtype) {
            return pare_fail(
                error, PARE_BAD_INPUT, "input \"%s\": expected %s %s, found %s %s", tensor->name,
                pare_dtype_name(tensor->dtype), pare_shape_text(&tensor->shape, expected_text, sizeof expected_text),
                pare_dtype_name(s->headers[i].dtype), pare_shape_text(found, found_text, sizeof found_text));
        }
    }
    return PARE_OK;
}

static pare_status execute(run_state *s, pare_error *error) {
    pare_session_options options = {.struct_size = sizeof options,
                                    .threads = (int32_t)common.threads,
                                    .reference = reference,
                                    .isa = (pare_isa)common.isa};
    pare_input in[MOST_PORTS];
    pare_output_buffer out[MOST_PORTS];
    PARE_TRY(find_batch(s, &options.batch, error));
    PARE_TRY(pare_session_create(s->file.model, &options, &s->session, error));
    s->input_count = pare_session_input_count(s->session);
    s->output_count = pare_session_output_count(s->session);
    if (s->output_count > MOST_PORTS) {
        return pare_fail(error, PARE_UNSUPPORTED, "more than %d outputs", MOST_PORTS);
    }
    for (size_t i = 0; i < s->input_count; i++) {
        in[i] = (pare_input){s->arrays[i], s->array_bytes[i]};
    }
    for (size_t i = 0; i < s->output_count; i++) {
        size_t bytes = pare_session_output(s->session, i).bytes;
        s->results[i] = pare_alloc(bytes);
        if (s->results[i] == NULL) {
            return pare_fail_memory(error, bytes);
        }
        out[i] = (pare_output_buffer){s->results[i], bytes};
    }
    return pare_session_run(s->session, in, s->input_count, out, s->output_count, error);
}

static pare_status write_outputs(const run_state *s, pare_error *error) {
    const pare_model *model = s->file.model;
    for (size_t i = 0; i < outputs.count; i++) {
        const char *path;
        int port = find_port(model, model->outputs, model->output_count, outputs.items[i], &path);
        if (port < 0) {
            return list_names(model, model->outputs, model->output_count, "output", outputs.items[i], error);
        }
        PARE_TRY(check_output(path, inputs.items, inputs.count, error));
        PARE_TRY(check_output(path, &s->file.path, 1, error));
        pare_port result = pare_session_output(s->session, (size_t)port);
        PARE_TRY(pare_npy_write(path, result.dtype, &result.shape, s->results[port], error));
        char text[100];
        if (!common.quiet) {
            printf("%s: %s %s -> %s\n", shown(result.name, 200), pare_dtype_name(result.dtype),
                   pare_shape_text(&result.shape, text, sizeof text), shown(path, SIZE_MAX));
        }
    }
    return PARE_OK;
}

static pare_status run(const cli_list *arguments, pare_error *error) {
    run_state s = {0};
    pare_status status = inputs.count == 0 || outputs.count == 0
                             ? pare_fail(error, PARE_USAGE, "at least one --input and one --output are needed")
                             : model_file_open(arguments->items[0], &s.file, error);
    if (status == PARE_OK) {
        status = model_file_lower(&s.file, error);
    }
    if (status == PARE_OK) {
        status = read_inputs(&s, error);
    }
    if (status == PARE_OK) {
        status = execute(&s, error);
    }
    if (status == PARE_OK) {
        status = write_outputs(&s, error);
    }
    for (size_t i = 0; i < MOST_PORTS; i++) {
        pare_free(s.arrays[i]);
        pare_free(s.results[i]);
    }
    pare_session_free(s.session);
    model_file_close(&s.file);
    return status;
}

int main(int argc, char **argv) {
    static const cli_option options[] = {
        {"input", 'i', CLI_LIST, &inputs, "[NAME=]X.npy", "a tensor as the network takes it (preprocessed)", 0, 0,
         NULL},
        {"output", 'o', CLI_LIST, &outputs, "[NAME=]Y.npy", "where an output goes", 0, 0, NULL},
        CLI_THREADS,
        {"reference", 0, CLI_FLAG, &reference, NULL, "run the plain C reference kernels", 0, 0, NULL},
        CLI_ISA,
        CLI_SHAPE,
        CLI_QUIET,
    };
    static const cli_tool tool = {
        .name = "pare-run",
        .summary = "executes a model (.pare or .onnx) once on .npy tensors",
        .usage = "MODEL --input [NAME=]X.npy -o [NAME=]Y.npy",
        .details =
            "examples:\n"
            "  pare-run net.pare --input x.npy -o y.npy\n"
            "  pare-run vad.pare --input input=x.npy --input h=h.npy --input c=c.npy -o prob=p.npy -o hn=h1.npy\n\n"
            "The batch is taken from the arrays.\n",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_arguments = 1,
        .most_arguments = 1,
        .run = run,
    };
    return cli_main(&tool, argc, argv);
}
