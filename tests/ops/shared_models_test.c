/* The shared float networks give what ONNX Runtime gave, with the kernels that
 * ship and with the reference kernels. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pare/lower.h"
#include "pare/npy.h"
#include "pare/onnx_graph.h"
#include "pare/runtime.h"

#define MOST_PORTS 8
/* Of the largest output: sums of floats in another order. */
#define SLACK 2e-4

static const struct {
    const char *name;
    bool large; /* too slow for the reference kernels */
} models[] = {
    {"abalone_mlp", false},
    {"dtln_1", false},
    {"lenet5", false},
    {"mnist_lstm", false},
    {"tiny_kws_dscnn", false},
    {"tiny_ic_resnet8", false},
    {"tiny_ad_autoencoder", false},
    {"silero_vad", false},
    {"stories260k", false},
    {"resnet20", false},
    {"resnet56", true},
    {"tiny_vww_mobilenetv1", false},
    {"super_resolution", true},
    {"squeezenet1.1", true},
    {"mobilenetv1_0.25_128", false},
    {"mobilenetv2", true},
};

typedef struct port_data {
    void *data;
    size_t bytes;
    pare_npy_header header;
} port_data;

static void read_golden(const char *model, const char *kind, const char *port, port_data *found) {
    char relative[512];
    pare_error error = {0};
    snprintf(relative, sizeof relative, "golden/%s/%s_%s.npy", model, kind, port);
    assert_ok(
        pare_npy_read(test_shared_path(relative), (size_t)1 << 30, &found->header, &found->data, &found->bytes, &error),
        &error);
}

static void compare(const char *model, const char *port, const port_data *expected, const float *found, size_t bytes) {
    const float *want = expected->data;
    double largest = 0, worst = 0;
    assert_int_equal(expected->bytes, bytes);
    for (size_t i = 0; i < bytes / sizeof *found; i++) {
        double difference = fabs((double)want[i] - (double)found[i]);
        largest = fmax(largest, fabs((double)want[i]));
        worst = isnan(difference) ? INFINITY : fmax(worst, difference);
    }
    print_message("%s %s: largest output %.4g, largest difference %.3g\n", model, port, largest, worst);
    assert_true(worst <= SLACK * (largest + 1e-3));
}

static void run_model(const char *name, pare_model *model, int32_t reference) {
    pare_error error = {0};
    pare_session *session = NULL;
    port_data inputs[MOST_PORTS] = {{0}}, outputs[MOST_PORTS] = {{0}};
    pare_input in[MOST_PORTS];
    pare_output_buffer out[MOST_PORTS];
    read_golden(name, "input", model->tensors[model->inputs[0]].name, &inputs[0]);
    pare_session_options options = {.struct_size = sizeof options, .threads = 1, .reference = reference};
    bool open = pare_shape_has_batch(&model->tensors[model->inputs[0]].shape);
    options.batch = open ? inputs[0].header.shape.dims[0] : 1;
    assert_ok(pare_session_create(model, &options, &session, &error), &error);
    size_t input_count = pare_session_input_count(session), output_count = pare_session_output_count(session);
    assert_true(input_count <= MOST_PORTS && output_count <= MOST_PORTS);
    for (size_t i = 0; i < input_count; i++) {
        if (i > 0) {
            read_golden(name, "input", pare_session_input(session, i).name, &inputs[i]);
        }
        in[i] = (pare_input){inputs[i].data, inputs[i].bytes};
    }
    for (size_t i = 0; i < output_count; i++) {
        pare_port port = pare_session_output(session, i);
        out[i] = (pare_output_buffer){calloc(1, port.bytes), port.bytes};
    }
    assert_ok(pare_session_run(session, in, input_count, out, output_count, &error), &error);
    for (size_t i = 0; i < output_count; i++) {
        pare_port port = pare_session_output(session, i);
        read_golden(name, "output", port.name, &outputs[i]);
        compare(name, port.name, &outputs[i], out[i].data, port.bytes);
        pare_free(outputs[i].data);
        free(out[i].data);
    }
    for (size_t i = 0; i < input_count; i++) {
        pare_free(inputs[i].data);
    }
    pare_session_free(session);
}

static void gives_the_golden_output(void **state) {
    size_t index = (size_t)(uintptr_t)*state;
    char relative[512];
    pare_error error = {0};
    pare_graph *graph = NULL;
    pare_model *model = NULL;
    if (test_shared() == NULL) {
        skip();
    }
    snprintf(relative, sizeof relative, "models/%s.onnx", models[index].name);
    assert_ok(pare_graph_load(test_shared_path(relative), NULL, &graph, &error), &error);
    assert_ok(pare_graph_lower(graph, &model, &error), &error);
    run_model(models[index].name, model, 0);
    if (!models[index].large) {
        run_model(models[index].name, model, 1);
    }
    pare_model_release(model);
    pare_graph_free(graph);
}

int main(void) {
    enum { COUNT = sizeof models / sizeof models[0] };
    static struct CMUnitTest tests[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        tests[i] = (struct CMUnitTest){models[i].name, gives_the_golden_output, NULL, NULL, (void *)(uintptr_t)i};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
