/* Labels and outputs of more than one number a sample: what training reads as one row, and what it refuses. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_builder.h"
#include "pare/dataset.h"
#include "pare/npy.h"
#include "pare/random.h"
#include "pare/train.h"
#include "test.h"

enum { SAMPLES = 24, POSITIONS = 5, FEATURES = 6, CLASSES = 3, STEPS = 9 };

/* --- data: inputs [SAMPLES, POSITIONS, FEATURES] with targets of one kind each ------------------------ */

static const char *write_array(const char *name, pare_dtype dtype, const pare_shape *shape, const void *data) {
    pare_error error = {0};
    assert_ok(pare_npy_write(test_path(name), dtype, shape, data, &error), &error);
    return test_path(name);
}

static const char *input_path(void) {
    static float data[SAMPLES * POSITIONS * FEATURES];
    pare_random random;
    pare_random_seed(&random, 3);
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++) {
        data[i] = (float)pare_random_normal(&random);
    }
    return write_array("x.npy", PARE_F32, &(pare_shape){3, {SAMPLES, POSITIONS, FEATURES}}, data);
}

static int64_t label(size_t index, int64_t classes) {
    return (int64_t)(index * index + index / 3) % classes;
}

/* `count` labels a sample, as integers or as floats. */
static pare_dataset *open_labels(size_t count, int64_t classes, bool integers) {
    int64_t whole[SAMPLES * POSITIONS];
    float real[SAMPLES * POSITIONS];
    char spec[2000];
    pare_dataset *set = NULL;
    pare_error error = {0};
    for (size_t i = 0; i < SAMPLES * count; i++) {
        whole[i] = label(i, classes);
        real[i] = (float)whole[i];
    }
    pare_shape shape = {2, {SAMPLES, (int64_t)count}};
    snprintf(spec, sizeof spec, "npy:%s", input_path());
    size_t used = strlen(spec);
    snprintf(spec + used, sizeof spec - used, ",%s",
             write_array("y.npy", integers ? PARE_S64 : PARE_F32, &shape, integers ? (void *)whole : (void *)real));
    assert_ok(pare_dataset_open(spec, &set, &error), &error);
    return set;
}

/* --- training ------------------------------------------------------------------------------------------- */

typedef struct curve {
    double losses[STEPS];
    size_t count;
} curve;

static bool note(void *context, const pare_train_progress *progress) {
    curve *c = context;
    if (!progress->epoch_ends) {
        c->losses[c->count++] = progress->loss;
    }
    return true;
}

static const pare_preprocess plain = {.layout = PARE_ORDER_FLAT, .scale = 1, .task = PARE_TASK_CLASSIFICATION};

static pare_status train(pare_graph *graph, pare_dataset *set, pare_loss_kind kind, curve *found, pare_error *error) {
    pare_train_options options = {.preprocess = &plain,
                                  .loss = {.kind = kind},
                                  .optimizer = {.kind = PARE_OPTIMIZER_SGD},
                                  .schedule = {.lr = 0.5},
                                  .epochs = 3,
                                  .max_steps = STEPS,
                                  .batch = 8,
                                  .threads = 1,
                                  .report = note,
                                  .report_context = found};
    pare_status status = pare_train(graph, set, NULL, &options, NULL, error);
    pare_graph_free(graph);
    pare_dataset_close(set);
    return status;
}

static void assert_same(const curve *a, const curve *b) {
    assert_int_equal(a->count, STEPS);
    assert_int_equal(b->count, STEPS);
    for (size_t i = 0; i < STEPS; i++) {
        assert_true(isfinite(a->losses[i]) && a->losses[i] > 0);
        assert_true(fabs(a->losses[i] - b->losses[i]) <= 1e-5 * a->losses[i]);
    }
}

/* x [N, T, F] to logits of each position: [N, T, C], or the same rows as [N × T, C]. */
static pare_graph *tagger(bool rows) {
    net n;
    net_start(&n, 8);
    pare_value *x = net_input(&n, 3, (int64_t[]){-1, POSITIONS, FEATURES});
    pare_value *y = NET(&n, "MatMul", "", x, net_random(&n, 2, (int64_t[]){FEATURES, CLASSES}, -1, 1));
    return net_finish(&n, rows ? NET(&n, "Reshape", "", y, net_ints(&n, 2, (int64_t[]){-1, CLASSES})) : y);
}

static void a_label_at_each_position_is_a_row(void **state) {
    (void)state;
    pare_error error = {0};
    curve cube = {.count = 0}, rows = {.count = 0};
    assert_ok(train(tagger(false), open_labels(POSITIONS, CLASSES, true), PARE_LOSS_BY_TASK, &cube, &error), &error);
    assert_ok(train(tagger(true), open_labels(POSITIONS, CLASSES, true), PARE_LOSS_BY_TASK, &rows, &error), &error);
    assert_same(&cube, &rows);
    assert_true(cube.losses[0] < 3); /* log 3 for a guess */
}

/* One logit for each position. */
static pare_graph *flagger(void) {
    net n;
    net_start(&n, 9);
    pare_value *x = net_input(&n, 3, (int64_t[]){-1, POSITIONS, FEATURES});
    pare_value *y = NET(&n, "MatMul", "", x, net_random(&n, 2, (int64_t[]){FEATURES, 1}, -1, 1));
    return net_finish(&n, NET(&n, "Flatten", "axis:i=1", y));
}

static void a_flag_for_each_output_is_that_number(void **state) {
    (void)state;
    pare_error error = {0};
    curve whole = {.count = 0}, real = {.count = 0};
    assert_ok(train(flagger(), open_labels(POSITIONS, 2, true), PARE_LOSS_BY_TASK, &whole, &error), &error);
    assert_ok(train(flagger(), open_labels(POSITIONS, 2, false), PARE_LOSS_BINARY_CROSS_ENTROPY, &real, &error),
              &error);
    assert_same(&whole, &real);
    assert_fails(train(flagger(), open_labels(POSITIONS, 3, true), PARE_LOSS_BY_TASK, &whole, &error), PARE_BAD_INPUT,
                 &error, "is one of the network's 2");
    assert_fails(train(flagger(), open_labels(2, 2, true), PARE_LOSS_BINARY_CROSS_ENTROPY, &whole, &error), PARE_USAGE,
                 &error, "one (0 or 1) for each of the network's 5 outputs, found 2");
}

/* An output that does not say which sample it is of. */
static void an_output_without_a_batch_is_refused(void **state) {
    (void)state;
    pare_error error = {0};
    curve unused = {.count = 0};
    net n;
    net_start(&n, 1);
    pare_value *x = net_input(&n, 3, (int64_t[]){-1, POSITIONS, FEATURES});
    pare_value *y = NET(&n, "MatMul", "", x, net_random(&n, 2, (int64_t[]){FEATURES, CLASSES}, -1, 1));
    pare_value *mean = NET(&n, "ReduceMean", "keepdims:i=0", y, net_ints(&n, 2, (int64_t[]){0, 1}));
    assert_fails(train(net_finish(&n, mean), open_labels(1, CLASSES, true), PARE_LOSS_CROSS_ENTROPY, &unused, &error),
                 PARE_UNSUPPORTED, &error, "expected an output whose first dimension is the batch");
}

/* An autoencoder's data has no classes. */
static void an_autoencoder_has_no_cross_entropy(void **state) {
    (void)state;
    pare_error error = {0};
    pare_preprocess own = plain;
    own.task = PARE_TASK_AUTOENCODER;
    pare_train_options options = {.preprocess = &own,
                                  .loss = {.kind = PARE_LOSS_CROSS_ENTROPY},
                                  .schedule = {.lr = 0.1},
                                  .epochs = 1,
                                  .batch = 8,
                                  .threads = 1};
    char spec[2000];
    pare_dataset *set = NULL;
    snprintf(spec, sizeof spec, "npy:%s", input_path());
    assert_ok(pare_dataset_open(spec, &set, &error), &error);
    pare_graph *graph = tagger(false);
    assert_fails(pare_train(graph, set, NULL, &options, NULL, &error), PARE_USAGE, &error, "expected class labels");
    pare_graph_free(graph);
    pare_dataset_close(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_label_at_each_position_is_a_row),
        cmocka_unit_test(a_flag_for_each_output_is_that_number),
        cmocka_unit_test(an_output_without_a_batch_is_refused),
        cmocka_unit_test(an_autoencoder_has_no_cross_entropy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
