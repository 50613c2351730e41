/* The shared networks: half their width runs; those that cannot be scaled say which node. */
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pare/lower.h"
#include "pare/onnx_graph.h"
#include "pare/random.h"
#include "pare/runtime.h"
#include "pare/student.h"

#define MOST_PORTS 8

static const struct {
    const char *name;
    const char *refused; /* text in the message; NULL: derives */
    size_t blocks;       /* repeated ones */
} models[] = {
    {"abalone_mlp", NULL, 0},
    {"dtln_1", "LSTM", 0}, /* all its channels are those of states that come in and go out */
    {"lenet5", NULL, 0},
    {"mnist_lstm", NULL, 0},
    {"tiny_kws_dscnn", NULL, 8},
    {"tiny_ic_resnet8", NULL, 0},
    {"tiny_ad_autoencoder", NULL, 6},
    {"tiny_vww_mobilenetv1", NULL, 10},
    {"silero_vad", NULL, 0},
    {"stories260k", NULL, 10},
    {"resnet20", NULL, 7},
    {"resnet56", NULL, 25},
    {"super_resolution", NULL, 0},
    {"squeezenet1.1", NULL, 0},
    {"mobilenetv1_0.25_128", NULL, 10},
    {"mobilenetv2", NULL, 9},
};

static void *random_elements(const pare_port *port, pare_random *random) {
    size_t size = pare_dtype_bytes(port->dtype), count = port->bytes / size;
    void *data = calloc(1, port->bytes);
    assert_non_null(data);
    for (size_t i = 0; i < count && port->dtype == PARE_F32; i++) {
        ((float *)data)[i] = (float)pare_random_unit(random);
    }
    return data;
}

static void run(const char *name, const pare_graph *student) {
    pare_error error = {0};
    pare_model *model = NULL;
    pare_session *session = NULL;
    pare_input in[MOST_PORTS];
    pare_output_buffer out[MOST_PORTS];
    pare_random random;
    pare_session_options options = {.struct_size = sizeof options, .batch = 1, .threads = 1};
    pare_random_seed(&random, 1);
    assert_ok(pare_graph_lower(student, &model, &error), &error);
    assert_ok(pare_session_create(model, &options, &session, &error), &error);
    size_t inputs = pare_session_input_count(session), outputs = pare_session_output_count(session);
    assert_true(inputs <= MOST_PORTS && outputs <= MOST_PORTS);
    for (size_t i = 0; i < inputs; i++) {
        pare_port port = pare_session_input(session, i);
        in[i] = (pare_input){random_elements(&port, &random), port.bytes};
    }
    for (size_t i = 0; i < outputs; i++) {
        pare_port port = pare_session_output(session, i);
        out[i] = (pare_output_buffer){calloc(1, port.bytes), port.bytes};
    }
    assert_ok(pare_session_run(session, in, inputs, out, outputs, &error), &error);
    for (size_t i = 0; i < outputs; i++) {
        pare_port port = pare_session_output(session, i);
        for (size_t e = 0; port.dtype == PARE_F32 && e < port.bytes / sizeof(float); e++) {
            if (!isfinite(((const float *)out[i].data)[e])) {
                fail_msg("%s: output %s[%zu] is not finite", name, port.name, e);
            }
        }
        free(out[i].data);
    }
    for (size_t i = 0; i < inputs; i++) {
        free((void *)(uintptr_t)in[i].data);
    }
    pare_session_free(session);
    pare_model_release(model);
}

static void same_ports(const pare_graph *teacher, const pare_graph *student) {
    assert_int_equal(teacher->input_count, student->input_count);
    assert_int_equal(teacher->output_count, student->output_count);
    for (size_t i = 0; i < teacher->input_count; i++) {
        assert_string_equal(teacher->inputs[i]->name, student->inputs[i]->name);
        assert_true(pare_shape_equal(&teacher->inputs[i]->shape, &student->inputs[i]->shape));
    }
    for (size_t i = 0; i < teacher->output_count; i++) {
        assert_string_equal(teacher->outputs[i]->name, student->outputs[i]->name);
        assert_true(pare_shape_equal(&teacher->outputs[i]->shape, &student->outputs[i]->shape));
    }
}

/* Through a file and back, as pare-student's caller gets it. */
static pare_graph *reloaded(pare_graph *student) {
    pare_error error = {0};
    pare_graph *again = NULL;
    const char *path = test_path("student.onnx");
    assert_ok(pare_graph_save(student, path, &error), &error);
    assert_ok(pare_graph_load(path, NULL, &again, &error), &error);
    pare_graph_free(student);
    return again;
}

static void half_the_width_runs(void **state) {
    size_t index = (size_t)(uintptr_t)*state;
    const char *name = models[index].name;
    char relative[512];
    pare_error error = {0};
    pare_graph *teacher = NULL, *student = NULL;
    pare_student_options options = {.width = 0.5, .depth = models[index].blocks > 0 ? 0.5 : 1};
    pare_student_report report;
    if (test_shared() == NULL) {
        skip();
    }
    snprintf(relative, sizeof relative, "models/%s.onnx", name);
    assert_ok(pare_graph_load(test_shared_path(relative), NULL, &teacher, &error), &error);
    pare_status status = pare_student_derive(teacher, &options, &student, &report, &error);
    if (models[index].refused != NULL) {
        assert_fails(status, PARE_UNSUPPORTED, &error, models[index].refused);
        pare_graph_free(teacher);
        return;
    }
    assert_ok(status, &error);
    print_message("%s: MACs %.3f, parameters %.3f, groups %zu (%zu whole), blocks %zu of %zu\n", name,
                  (double)report.student_macs / (double)report.teacher_macs,
                  (double)report.student_parameters / (double)report.teacher_parameters, report.channel_groups,
                  report.groups_kept_whole, report.blocks_kept, report.blocks_found);
    assert_int_equal(report.blocks_found, models[index].blocks);
    assert_true(report.student_macs < report.teacher_macs * 6 / 10);
    same_ports(teacher, student);
    pare_graph_free(teacher);
    student = reloaded(student);
    run(name, student);
    pare_graph_free(student);
}

int main(void) {
    enum { COUNT = sizeof models / sizeof models[0] };
    static struct CMUnitTest tests[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        tests[i] = (struct CMUnitTest){models[i].name, half_the_width_runs, NULL, NULL, (void *)(uintptr_t)i};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
