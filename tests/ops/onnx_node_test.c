/* The ONNX backend node tests whose operators Pare knows, from file to
 * reference kernels. A case that Pare refuses must be in the list of
 * onnx_node_refused.h with its reason, and a case listed by its full name must be refused. */
#include "test.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "onnx_node_refused.h"
#include "pare/lower.h"
#include "pare/onnx_graph.h"
#include "pare/op.h"
#include "pare/runtime.h"

#define MOST_PORTS 16

typedef struct tensor_data {
    pare_dtype dtype;
    pare_shape shape;
    void *data;
    size_t bytes, count;
} tensor_data;

typedef struct node_case {
    const char *folder;
    Onnx__ModelProto *model;
    Onnx__TensorProto *protos[MOST_PORTS];
    tensor_data inputs[MOST_PORTS];
    size_t input_count;
    bool constant[MOST_PORTS];
    pare_arena arena;
} node_case;

static char root[4096];

static uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (file == NULL || fstat(fileno(file), &status) != 0) {
        if (file != NULL) {
            fclose(file);
        }
        return NULL;
    }
    *size = (size_t)status.st_size;
    uint8_t *data = malloc(*size + 1);
    if (data != NULL && fread(data, 1, *size, file) != *size) {
        free(data);
        data = NULL;
    }
    fclose(file);
    return data;
}

/* --- reading a case --------------------------------------------------------- */

static bool read_tensor(node_case *test, const char *kind, size_t index, Onnx__TensorProto **proto, tensor_data *found,
                        pare_error *error) {
    char path[8192];
    size_t size = 0;
    pare_onnx_file none = {0};
    snprintf(path, sizeof path, "%s/%s/test_data_set_0/%s_%zu.pb", root, test->folder, kind, index);
    uint8_t *bytes = read_file(path, &size);
    if (bytes == NULL) {
        return false;
    }
    *proto = onnx__tensor_proto__unpack(NULL, size, bytes);
    free(bytes);
    if (*proto == NULL || pare_onnx_tensor_shape(*proto, &found->shape, &found->dtype, error) != PARE_OK ||
        pare_onnx_tensor_data(&none, *proto, &test->arena, &found->data, &found->bytes, error) != PARE_OK) {
        return false;
    }
    return pare_shape_elements(&found->shape, &found->count);
}

/* The suite stores bfloat16 as uint16. */
static void mend_bf16(const Onnx__ValueInfoProto *port, tensor_data *tensor) {
    if (tensor->dtype == PARE_U16 && port->type != NULL && port->type->tensor_type != NULL &&
        port->type->tensor_type->elem_type == PARE_BF16) {
        tensor->dtype = PARE_BF16;
    }
}

static bool read_case(node_case *test, const char *folder) {
    char path[8192];
    size_t size = 0;
    pare_error error;
    *test = (node_case){.folder = folder};
    pare_arena_init(&test->arena, (size_t)1 << 30);
    snprintf(path, sizeof path, "%s/%s/model.onnx", root, folder);
    uint8_t *bytes = read_file(path, &size);
    test->model = bytes != NULL ? onnx__model_proto__unpack(NULL, size, bytes) : NULL;
    free(bytes);
    if (test->model == NULL || test->model->graph == NULL || test->model->graph->n_input > MOST_PORTS) {
        return false;
    }
    for (test->input_count = 0; test->input_count < test->model->graph->n_input; test->input_count++) {
        size_t i = test->input_count;
        if (!read_tensor(test, "input", i, &test->protos[i], &test->inputs[i], &error)) {
            return false;
        }
        mend_bf16(test->model->graph->input[i], &test->inputs[i]);
        if (test->inputs[i].dtype == PARE_BF16) {
            test->protos[i]->data_type = PARE_BF16;
        }
    }
    return true;
}

static void free_case(node_case *test) {
    for (size_t i = 0; i < MOST_PORTS; i++) {
        if (test->protos[i] != NULL) {
            onnx__tensor_proto__free_unpacked(test->protos[i], NULL);
        }
    }
    if (test->model != NULL) {
        onnx__model_proto__free_unpacked(test->model, NULL);
    }
    pare_arena_free(&test->arena);
}

static bool operators_known(const node_case *test, char *missing, size_t size) {
    static const char *const border[] = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"};
    const Onnx__GraphProto *graph = test->model->graph;
    int64_t opset = test->model->n_opset_import > 0 ? test->model->opset_import[0]->version : 0;
    if (opset < 7 || opset > 22) {
        snprintf(missing, size, "(opset %d)", (int)opset);
        return false;
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        const char *name = graph->node[i]->op_type;
        bool found = pare_op_find(graph->node[i]->domain, name, opset < 13 ? 13 : (int32_t)opset) != NULL;
        for (size_t b = 0; b < sizeof border / sizeof border[0]; b++) {
            found = found || strcmp(border[b], name) == 0;
        }
        if (!found) {
            snprintf(missing, size, "%s", name);
            return false;
        }
    }
    return true;
}

/* --- running a case ---------------------------------------------------------- */

/* The model's bytes with some inputs turned into initializers: node tests feed
 * what networks hold as constants (shapes, axes, bounds). */
static uint8_t *with_constants(node_case *test, size_t *size) {
    Onnx__GraphProto *graph = test->model->graph;
    Onnx__TensorProto **initializers = graph->initializer, *grown[64 + MOST_PORTS];
    Onnx__ValueInfoProto **ports = graph->input, *kept[MOST_PORTS];
    size_t initializer_count = graph->n_initializer, port_count = graph->n_input, kept_count = 0, grown_count = 0;
    char *names[MOST_PORTS];
    for (; grown_count < initializer_count && grown_count < 64; grown_count++) {
        grown[grown_count] = initializers[grown_count];
    }
    for (size_t i = 0; i < test->input_count; i++) {
        names[i] = test->protos[i]->name;
        if (test->constant[i]) {
            test->protos[i]->name = ports[i]->name;
            grown[grown_count++] = test->protos[i];
        } else {
            kept[kept_count++] = ports[i];
        }
    }
    graph->initializer = grown;
    graph->n_initializer = grown_count;
    graph->input = kept;
    graph->n_input = kept_count;
    *size = onnx__model_proto__get_packed_size(test->model);
    uint8_t *bytes = malloc(*size);
    if (bytes != NULL) {
        onnx__model_proto__pack(test->model, bytes);
    }
    for (size_t i = 0; i < test->input_count; i++) {
        test->protos[i]->name = names[i];
    }
    graph->initializer = initializers;
    graph->n_initializer = initializer_count;
    graph->input = ports;
    graph->n_input = port_count;
    return bytes;
}

static double element(pare_dtype dtype, const void *data, size_t i) {
    switch (dtype) {
    case PARE_F32:
        return (double)((const float *)data)[i];
    case PARE_F64:
        return ((const double *)data)[i];
    case PARE_F16:
        return (double)pare_f16_to_f32(((const uint16_t *)data)[i]);
    case PARE_BF16:
        return (double)pare_bf16_to_f32(((const uint16_t *)data)[i]);
    case PARE_S64:
        return (double)((const int64_t *)data)[i];
    case PARE_S32:
        return (double)((const int32_t *)data)[i];
    case PARE_S16:
        return (double)((const int16_t *)data)[i];
    case PARE_S8:
        return (double)((const int8_t *)data)[i];
    case PARE_U16:
        return (double)((const uint16_t *)data)[i];
    case PARE_U32:
        return (double)((const uint32_t *)data)[i];
    case PARE_U64:
        return (double)((const uint64_t *)data)[i];
    default:
        return (double)((const uint8_t *)data)[i];
    }
}

/* Half and double precision run as float: their inputs are converted. */
static pare_input as_port(node_case *test, const tensor_data *tensor, pare_port port) {
    if (tensor->dtype == port.dtype) {
        return (pare_input){tensor->data, tensor->bytes};
    }
    float *reals = pare_arena_alloc(&test->arena, tensor->count + 1, sizeof *reals);
    for (size_t i = 0; reals != NULL && i < tensor->count; i++) {
        reals[i] = (float)element(tensor->dtype, tensor->data, i);
    }
    return (pare_input){reals, tensor->count * sizeof *reals};
}

static pare_status compare(node_case *test, size_t index, pare_port port, const void *found, pare_error *error) {
    Onnx__TensorProto *proto = NULL;
    tensor_data expected = {0};
    bool read = read_tensor(test, "output", index, &proto, &expected, error);
    pare_status status = PARE_OK;
    if (read && index < test->model->graph->n_output) {
        mend_bf16(test->model->graph->output[index], &expected);
    }
    if (!read) {
        status = pare_fail(error, PARE_INTERNAL, "expected a readable output %zu, found none", index);
    } else if (!pare_shape_equal(&expected.shape, &port.shape)) {
        char left[160], right[160];
        status = pare_fail(error, PARE_INTERNAL, "output %zu: expected shape %s, found %s", index,
                           pare_shape_text(&expected.shape, left, sizeof left),
                           pare_shape_text(&port.shape, right, sizeof right));
    }
    double slack = expected.dtype == PARE_F16 || expected.dtype == PARE_BF16 ? 1e-2 : 1e-3;
    for (size_t i = 0; status == PARE_OK && i < expected.count; i++) {
        double want = element(expected.dtype, expected.data, i), have = element(port.dtype, found, i);
        if (!(want == have || (isnan(want) && isnan(have)) || fabs(want - have) <= 1e-5 + slack * fabs(want))) {
            status =
                pare_fail(error, PARE_INTERNAL, "output %zu[%zu]: expected %.9g, found %.9g", index, i, want, have);
        }
    }
    if (proto != NULL) {
        onnx__tensor_proto__free_unpacked(proto, NULL);
    }
    return status;
}

static pare_status run_session(node_case *test, pare_session *session, pare_error *error) {
    pare_input inputs[MOST_PORTS];
    pare_output_buffer outputs[MOST_PORTS];
    size_t given = 0, count = pare_session_output_count(session);
    for (size_t i = 0; i < test->input_count; i++) {
        if (!test->constant[i]) {
            if (given >= pare_session_input_count(session)) {
                return pare_fail(error, PARE_INTERNAL, "expected input %zu in the session, found fewer", i);
            }
            inputs[given] = as_port(test, &test->inputs[i], pare_session_input(session, given));
            given++;
        }
    }
    for (size_t i = 0; i < count; i++) {
        size_t bytes = pare_session_output(session, i).bytes;
        outputs[i] = (pare_output_buffer){pare_arena_alloc(&test->arena, bytes + 1, 1), bytes};
    }
    PARE_TRY(pare_session_run(session, inputs, given, outputs, count, error));
    for (size_t i = 0; i < count; i++) {
        PARE_TRY(compare(test, i, pare_session_output(session, i), outputs[i].data, error));
    }
    return PARE_OK;
}

static pare_status run_bytes(node_case *test, const uint8_t *bytes, size_t size, pare_error *error) {
    pare_onnx_file file = {0};
    pare_graph *graph = NULL;
    pare_model *model = NULL;
    pare_session *session = NULL;
    pare_session_options options = {
        .struct_size = sizeof options, .threads = 1, .reference = 1, .isa = PARE_ISA_SCALAR};
    pare_status status = pare_onnx_from_bytes(bytes, size, NULL, NULL, &file, error);
    if (status == PARE_OK) {
        status = pare_graph_from_onnx(&file, NULL, &graph, error);
    }
    if (status == PARE_OK) {
        status = pare_graph_lower(graph, &model, error);
    }
    if (status == PARE_OK) {
        status = pare_session_create(model, &options, &session, error);
    }
    if (status == PARE_OK) {
        status = run_session(test, session, error);
    }
    pare_session_free(session);
    pare_model_release(model);
    pare_graph_free(graph);
    pare_onnx_close(&file);
    return status;
}

/* Tries with nothing constant, then integers and truth values but for the first
 * input, then all but the first, then all. */
static pare_status run_case(node_case *test, pare_error *error) {
    pare_status status = PARE_UNSUPPORTED;
    for (int attempt = 0; attempt < 4 && (status == PARE_UNSUPPORTED || status == PARE_BAD_INPUT); attempt++) {
        size_t size = 0;
        for (size_t i = 0; i < test->input_count; i++) {
            bool real = test->inputs[i].dtype == PARE_F32, empty = test->inputs[i].count == 0;
            test->constant[i] = empty || attempt == 3 || (attempt > 0 && i > 0 && (attempt == 2 || !real));
        }
        uint8_t *bytes = with_constants(test, &size);
        status = bytes != NULL ? run_bytes(test, bytes, size, error) : PARE_LIMIT;
        free(bytes);
    }
    return status;
}

/* --- the list ---------------------------------------------------------------- */

static const char *refused_because(const char *folder, bool passing) {
    for (size_t i = 0; i < sizeof refused_cases / sizeof refused_cases[0]; i++) {
        size_t length = strlen(refused_cases[i].name);
        bool prefix = length > 0 && refused_cases[i].name[length - 1] == '*';
        if (prefix && passing) {
            continue;
        }
        if (prefix ? strncmp(folder, refused_cases[i].name, length - 1) == 0
                   : strcmp(folder, refused_cases[i].name) == 0) {
            return refused_cases[i].reason;
        }
    }
    return NULL;
}

static bool find_root(void) {
    const char *data = getenv("PARE_DATA");
    char command[8192];
    struct stat status;
    if (data != NULL) {
        snprintf(root, sizeof root, "%s/onnx-node", data);
        return stat(root, &status) == 0;
    }
    if (test_shared() == NULL) {
        return false;
    }
    snprintf(command, sizeof command, "'%s/unpack'", test_shared());
    FILE *pipe = popen(command, "r");
    if (pipe == NULL || fgets(root, (int)sizeof root - 16, pipe) == NULL) {
        root[0] = '\0';
    }
    if (pipe != NULL) {
        pclose(pipe);
    }
    root[strcspn(root, "\n")] = '\0';
    strcat(root, "/onnx-node");
    return stat(root, &status) == 0;
}

static size_t passed, refused, unknown, broken;

static void check_folder(const char *folder) {
    static node_case test;
    pare_error error = {0};
    char missing[128];
    if (!read_case(&test, folder) || !operators_known(&test, missing, sizeof missing)) {
        unknown++;
        free_case(&test);
        return;
    }
    pare_status status = run_case(&test, &error);
    const char *reason = refused_because(folder, status == PARE_OK);
    if (status == PARE_OK && reason == NULL) {
        passed++;
    } else if (status != PARE_OK && reason != NULL) {
        refused++;
    } else {
        broken++;
        print_error("%s: %s\n", folder, status == PARE_OK ? "passes, but is listed as refused" : error.message);
    }
    free_case(&test);
}

static void node_tests_give_what_onnx_gives(void **state) {
    (void)state;
    struct dirent **names = NULL;
    if (!find_root()) {
        skip();
    }
    int count = scandir(root, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (strncmp(names[i]->d_name, "test_", 5) == 0) {
            check_folder(names[i]->d_name);
        }
        free(names[i]);
    }
    free(names);
    print_message("%zu pass, %zu refused with a reason, %zu with operators that Pare does not have, %zu broken\n",
                  passed, refused, unknown, broken);
    assert_true(passed > 0);
    assert_int_equal(broken, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(node_tests_give_what_onnx_gives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
