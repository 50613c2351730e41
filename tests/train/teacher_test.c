/* What the student's losses get to see of a teacher. */
#include <math.h>

#include "loader_files.h"
#include "net_builder.h"
#include "pare/lower.h"
#include "train/tape/tape_loss.h"
#include "train/tape/tape_record.h"
#include "train/tape/tape_run.h"
#include "train/teacher.h"

enum { ROWS = 4, CLASSES = 3 };

static const float inputs[ROWS * CLASSES] = {-3, 0.5f, 2, 0, 0, 0, 7, -7, 1, 4, 3, -90};

/* x [N, 3] through an operator. */
static pare_graph *network(const char *op) {
    net n;
    net_start(&n, 1);
    return net_finish(&n, NET(&n, op, "", net_input(&n, 2, (const int64_t[]){-1, CLASSES})));
}

/* What a student's loss of this kind is given for `inputs`. */
static void answers(const char *op, pare_loss_kind kind, bool container, float *found) {
    pare_error error = {0};
    pare_graph *graph = network(op);
    pare_model *model = NULL;
    pare_preprocess preprocess = {.layout = PARE_ORDER_FLAT};
    pare_dataset *data = open_numbers(inputs, ROWS, CLASSES, NULL);
    pare_shape sample = {1, {CLASSES}}, targets = {2, {ROWS, CLASSES}};
    pare_distill_options distill = {.temperature = 1, .alpha = 1};
    pare_train_options options = {.distill = &distill, .preprocess = &preprocess, .threads = 1};
    pare_teacher *teacher = NULL;
    pare_tape *tape = NULL;
    if (container) {
        assert_ok(pare_graph_lower(graph, &model, &error), &error);
    }
    distill.teacher = container ? NULL : graph;
    distill.teacher_model = model;
    assert_ok(teacher_create(&options, data, &sample, ROWS, &teacher, &error), &error);
    assert_ok(tape_create(graph, ROWS, 1, &tape, &error), &error);
    uint32_t tensor = tape_extra_input(tape, "teacher", PARE_F32, &targets);
    assert_fails(teacher_bind(teacher, tensor, kind, ROWS, CLASSES + 1, &error), PARE_USAGE, &error,
                 "expected a teacher with the student's 4 classes (float32 outputs for each label), found 3 (float32)");
    assert_ok(teacher_bind(teacher, tensor, kind, ROWS, CLASSES, &error), &error);
    assert_ok(tape_allocate(tape, &error), &error);
    pare_batch batch = {.inputs = inputs};
    assert_ok(teacher_feed(teacher, tape, &batch, &error), &error);
    memcpy(found, tape_input_data(tape, tensor), sizeof inputs);
    tape_free(tape);
    teacher_free(teacher);
    pare_model_release(model);
    pare_dataset_close(data);
    pare_graph_free(graph);
}

static void assert_near(const float *found, const float *expected, double tolerance) {
    for (size_t i = 0; i < ROWS * CLASSES; i++) {
        if (!(fabs((double)found[i] - (double)expected[i]) <= tolerance)) {
            fail_msg("answer %zu: expected %g, found %g", i, (double)expected[i], (double)found[i]);
        }
    }
}

/* The student's loss strips its own Softmax or Sigmoid, so the teacher's is undone where it has one. */
static void classifiers_answer_in_logits(void **state) {
    (void)state;
    float found[ROWS * CLASSES], logits[ROWS * CLASSES];
    for (int container = 0; container <= 1; container++) {
        answers("Identity", PARE_LOSS_CROSS_ENTROPY, container, found);
        assert_near(found, inputs, 0);
        answers("Sigmoid", PARE_LOSS_BINARY_CROSS_ENTROPY, container, found);
        memcpy(logits, inputs, sizeof inputs);
        logits[11] = logf(1e-30f); /* as far as float says it */
        assert_near(found, logits, 1e-3);
        answers("Softmax", PARE_LOSS_CROSS_ENTROPY, container, found);
        for (size_t row = 0; row < ROWS; row++) { /* up to a constant */
            float constant = found[row * CLASSES] - inputs[row * CLASSES];
            for (size_t c = 0; c < CLASSES; c++) {
                found[row * CLASSES + c] -= constant;
            }
        }
        found[11] = inputs[11]; /* its probability is below what is told apart */
        assert_near(found, inputs, 1e-4);
    }
}

static void other_losses_imitate_the_outputs(void **state) {
    (void)state;
    float found[ROWS * CLASSES], expected[ROWS * CLASSES];
    for (size_t i = 0; i < ROWS * CLASSES; i++) {
        expected[i] = 1 / (1 + expf(-inputs[i]));
    }
    answers("Sigmoid", PARE_LOSS_MSE, false, found);
    assert_near(found, expected, 1e-6);
    answers("Sigmoid", PARE_LOSS_CROSS_ENTROPY, false, found);
    assert_near(found, expected, 1e-6);
    for (size_t row = 0; row < ROWS; row++) {
        double sum = 0;
        for (size_t c = 0; c < CLASSES; c++) {
            sum += exp((double)inputs[row * CLASSES + c]);
        }
        for (size_t c = 0; c < CLASSES; c++) {
            expected[row * CLASSES + c] = (float)(exp((double)inputs[row * CLASSES + c]) / sum);
        }
    }
    answers("Softmax", PARE_LOSS_MSE, false, found);
    assert_near(found, expected, 1e-6);
}

/* Both sides see the same batches, so what makes them must agree. */
static void row_89_a_teacher_of_other_samples(void **state) {
    (void)state;
    pare_error error = {0};
    pare_graph *graph = network("Identity");
    pare_dataset *data = open_pictures();
    pare_shape sample = {1, {CLASSES}};
    const struct {
        const char *what;
        pare_preprocess preprocess;
    } others[] = {
        {"layout", {.layout = PARE_ORDER_NHWC, .mean = {0.5f}, .mean_count = 1}},
        {"scale", {.scale = 0.5f, .mean = {0.5f}, .mean_count = 1}},
        {"resize", {.resize = 8, .mean = {0.5f}, .mean_count = 1}},
        {"crop", {.crop = 8, .mean = {0.5f}, .mean_count = 1}},
        {"color", {.color = PARE_COLOR_BGR, .mean = {0.5f}, .mean_count = 1}},
        {"mean", {.mean = {0.5f, 0.5f, 0.4f}, .mean_count = 3}},
        {"mean", {.scale = 1}},
        {"std", {.mean = {0.5f}, .mean_count = 1, .std = {2}, .std_count = 1}},
    };
    pare_preprocess student = {.mean = {0.5f, 0.5f, 0.5f}, .mean_count = 3};
    pare_distill_options distill = {.temperature = 1, .teacher = graph};
    pare_train_options options = {.distill = &distill, .preprocess = &student, .threads = 1};
    pare_teacher *teacher = NULL;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char expected[100];
        snprintf(expected, sizeof expected, "found another \"%s\" in its preprocessing", others[i].what);
        distill.teacher_preprocess = &others[i].preprocess;
        assert_fails(teacher_create(&options, data, &sample, ROWS, &teacher, &error), PARE_USAGE, &error, expected);
    }
    /* The same in other words. */
    pare_preprocess same = {.scale = 1, .mean = {0.5f}, .mean_count = 1, .std = {1, 1, 1}, .std_count = 3};
    distill.teacher_preprocess = &same;
    assert_ok(teacher_create(&options, data, &sample, ROWS, &teacher, &error), &error);
    teacher_free(teacher);
    pare_dataset_close(data);
    pare_graph_free(graph);
}

/* More outputs than hints could name, as graph outputs of their own. */
static void a_teacher_of_many_outputs_is_refused(void **state) {
    (void)state;
    pare_error error = {0};
    net n;
    net_start(&n, 1);
    pare_value *x = net_input(&n, 2, (const int64_t[]){-1, CLASSES});
    pare_value *extra[40];
    for (size_t i = 0; i < 40; i++) {
        extra[i] = NET(&n, "Relu", "", x);
    }
    pare_graph *graph = net_finish(&n, NET(&n, "Identity", "", x));
    for (size_t i = 0; i < 40; i++) {
        assert_true(pare_graph_add_output(graph, extra[i]));
    }
    pare_preprocess preprocess = {.layout = PARE_ORDER_FLAT};
    pare_dataset *data = open_numbers(inputs, ROWS, CLASSES, NULL);
    pare_shape sample = {1, {CLASSES}};
    pare_distill_options distill = {.temperature = 1, .alpha = 1, .teacher = graph};
    pare_train_options options = {.distill = &distill, .preprocess = &preprocess, .threads = 1};
    pare_teacher *teacher = NULL;
    assert_fails(teacher_create(&options, data, &sample, ROWS, &teacher, &error), PARE_UNSUPPORTED, &error,
                 "expected a teacher of at most 15 outputs, found 41");
    pare_dataset_close(data);
    pare_graph_free(graph);
}

/* What it says is of no sample: a cache has no place for it. */
static void a_cache_keeps_answers_of_samples(void **state) {
    (void)state;
    pare_error error = {0};
    net n;
    net_start(&n, 1);
    pare_value *x = net_input(&n, 2, (const int64_t[]){-1, CLASSES});
    pare_value *one = NET(&n, "ReduceMean", "keepdims:i=0", x, net_ints(&n, 2, (const int64_t[]){0, 1}));
    pare_graph *graph = net_finish(&n, NET(&n, "Expand", "", one, net_ints(&n, 1, (const int64_t[]){3000})));
    pare_preprocess preprocess = {.layout = PARE_ORDER_FLAT};
    pare_dataset *data = open_numbers(inputs, ROWS, CLASSES, NULL);
    pare_shape sample = {1, {CLASSES}};
    pare_distill_options distill = {.temperature = 1, .alpha = 1, .teacher = graph, .cache = test_path("answers")};
    pare_train_options options = {.distill = &distill, .preprocess = &preprocess, .threads = 1};
    pare_teacher *teacher = NULL;
    assert_fails(teacher_create(&options, data, &sample, ROWS, &teacher, &error), PARE_USAGE, &error,
                 "expected a teacher that says 750 numbers of a sample, found 3000");
    pare_dataset_close(data);
    pare_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classifiers_answer_in_logits),      cmocka_unit_test(other_losses_imitate_the_outputs),
        cmocka_unit_test(row_89_a_teacher_of_other_samples), cmocka_unit_test(a_teacher_of_many_outputs_is_refused),
        cmocka_unit_test(a_cache_keeps_answers_of_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
