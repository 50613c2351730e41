#include "model_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pare/bytes.h"
#include "pare/file.h"
#include "pare/lower.h"
#include "pare/memory.h"
#include "pare/onnx_graph.h"

#define PREPROCESS_KEY "pare.preprocess"
#define JSON_LIMIT ((size_t)1 << 20)

static pare_status read_text(model_file *file, const char *path, const char **text, pare_error *error) {
    uint8_t *data = NULL;
    size_t size;
    PARE_TRY(pare_file_read(path, JSON_LIMIT, &data, &size, error));
    *text = pare_arena_copy_bytes(&file->memory, data, size);
    pare_free(data);
    return *text != NULL ? PARE_OK : pare_fail_memory(error, size);
}

/* MODEL-without-extension.json, or NULL where there is none. */
static const char *sidecar_path(model_file *file) {
    size_t length = strlen(file->path);
    const char *dot = strrchr(file->path, '.'), *slash = strrchr(file->path, '/');
    if (dot != NULL && (slash == NULL || dot > slash)) {
        length = (size_t)(dot - file->path);
    }
    char *path = pare_arena_alloc(&file->memory, length + 6, 1);
    if (path == NULL) {
        return NULL;
    }
    memcpy(path, file->path, length);
    memcpy(path + length, ".json", 6);
    struct stat status;
    return stat(path, &status) == 0 ? path : NULL;
}

static pare_status find_preprocess(model_file *file, pare_error *error) {
    const char *origin = file->path;
    file->preprocess_json = file->is_container ? pare_model_metadata_find(file->model, PREPROCESS_KEY)
                                               : pare_graph_metadata_find(file->graph, PREPROCESS_KEY);
    if (file->preprocess_json == NULL && common.preprocess != NULL) {
        origin = common.preprocess[strspn(common.preprocess, " \t\r\n")] == '{' ? "--preprocess" : common.preprocess;
        if (origin != common.preprocess) {
            file->preprocess_json = common.preprocess;
        } else {
            PARE_TRY(read_text(file, common.preprocess, &file->preprocess_json, error));
        }
    }
    const char *sidecar = file->preprocess_json == NULL ? sidecar_path(file) : NULL;
    if (sidecar != NULL) {
        origin = sidecar;
        PARE_TRY(read_text(file, sidecar, &file->preprocess_json, error));
    }
    if (file->preprocess_json == NULL) {
        return PARE_OK;
    }
    PARE_TRY(pare_preprocess_parse(file->preprocess_json, origin, &file->preprocess, error));
    /* Said once, it travels with every model that is made from this one. */
    if (file->graph != NULL && !pare_graph_set_metadata(file->graph, PREPROCESS_KEY, file->preprocess_json)) {
        return pare_fail_memory(error, strlen(file->preprocess_json));
    }
    return PARE_OK;
}

/* NAME=1x3x224x224 */
static pare_status parse_shape(const char *text, pare_arena *arena, pare_shape_binding *binding, pare_error *error) {
    const char *equals = strrchr(text, '=');
    const char *at = equals != NULL ? equals + 1 : "";
    memset(binding, 0, sizeof *binding);
    binding->name = equals != NULL ? pare_arena_copy_bytes(arena, text, (size_t)(equals - text)) : NULL;
    bool good = binding->name != NULL && *at != '\0';
    while (good && *at != '\0') {
        char *end;
        errno = 0;
        bool batch = *at == 'N';
        long value = batch ? -1 : strtol(at, &end, 10);
        end = batch ? (char *)at + 1 : end;
        good = end != at && errno == 0 && (batch || (value > 0 && value <= INT32_MAX)) &&
               binding->shape.rank < PARE_MAX_RANK && (*end == 'x' || *end == '\0') && (*end != 'x' || end[1] != '\0');
        if (good) {
            binding->shape.dims[binding->shape.rank++] = value;
            at = *end == 'x' ? end + 1 : end;
        }
    }
    return good ? PARE_OK
                : pare_fail(error, PARE_USAGE, "option --shape: expected NAME=1x3x224x224, found \"%s\"", text);
}

static pare_status load_graph(model_file *file, bool training, pare_error *error) {
    pare_shape_binding bindings[CLI_LIST_MAX];
    for (size_t i = 0; i < common.shapes.count; i++) {
        PARE_TRY(parse_shape(common.shapes.items[i], &file->memory, &bindings[i], error));
    }
    pare_import_options options = {
        .bindings = bindings, .binding_count = common.shapes.count, .for_training = training};
    return pare_graph_load(file->path, &options, &file->graph, error);
}

static pare_status prefix_path(pare_status status, const char *path, pare_error *error) {
    char start[200]; /* as a message shows it */
    pare_printable(path, strlen(path), start, sizeof start);
    if (status != PARE_OK && strstr(error->message, start) == NULL) {
        pare_error_prefix(error, "%s: ", path);
    }
    return status;
}

static pare_status open_as(const char *path, bool training, model_file *file, pare_error *error) {
    memset(file, 0, sizeof *file);
    file->path = path;
    pare_arena_init(&file->memory, SIZE_MAX);
    int descriptor;
    uint64_t size;
    uint8_t head[16] = {0};
    PARE_TRY(prefix_path(pare_file_open(path, &descriptor, &size, error), path, error));
    size_t head_bytes = size < sizeof head ? (size_t)size : sizeof head;
    pare_status status = pare_file_read_at(descriptor, path, 0, head, head_bytes, error);
    close(descriptor);
    PARE_TRY(prefix_path(status, path, error));
    file->bytes = (size_t)size;
    file->is_container = pare_model_is_container(head, head_bytes);
    status = file->is_container ? pare_model_open(path, NULL, &file->model, error) : load_graph(file, training, error);
    if (status == PARE_OK) {
        status = find_preprocess(file, error);
    }
    return prefix_path(status, path, error);
}

pare_status model_file_open(const char *path, model_file *file, pare_error *error) {
    return open_as(path, false, file, error);
}

pare_status model_file_open_for_training(const char *path, model_file *file, pare_error *error) {
    return open_as(path, true, file, error);
}

pare_status model_file_lower(model_file *file, pare_error *error) {
    return file->model != NULL ? PARE_OK
                               : prefix_path(pare_graph_lower(file->graph, &file->model, error), file->path, error);
}

void model_file_close(model_file *file) {
    pare_graph_free(file->graph);
    pare_model_release(file->model);
    pare_arena_free(&file->memory);
    memset(file, 0, sizeof *file);
}

pare_status model_file_need_preprocess(const model_file *file, pare_error *error) {
    if (file->preprocess_json != NULL) {
        return PARE_OK;
    }
    return pare_fail(error, PARE_USAGE,
                     "%s: no preprocessing: the model carries none and there is no sidecar file; give --preprocess "
                     "FILE|JSON",
                     file->path);
}

pare_status open_dataset(const char *spec, const char *option, pare_dataset **dataset, pare_error *error) {
    if (spec == NULL) {
        return pare_fail(error, PARE_USAGE, "option --%s SPEC is needed", option);
    }
    PARE_TRY(pare_dataset_open(spec, dataset, error));
    if (common.limit == 0 && common.shuffle_seed < 0) {
        return PARE_OK;
    }
    bool shuffle = common.shuffle_seed >= 0;
    return pare_dataset_limit(*dataset, (size_t)common.limit, shuffle, shuffle ? (uint64_t)common.shuffle_seed : 0,
                              error);
}

pare_status check_output(const char *output, const char *const *inputs, size_t input_count, pare_error *error) {
    if (output == NULL) {
        return pare_fail(error, PARE_USAGE, "option --output FILE is needed");
    }
    for (size_t i = 0; i < input_count; i++) {
        if (inputs[i] != NULL && (strcmp(output, inputs[i]) == 0 || pare_file_same(output, inputs[i]))) {
            return pare_fail(error, PARE_USAGE, "the output %s is the input: choose another name", output);
        }
    }
    return PARE_OK;
}
