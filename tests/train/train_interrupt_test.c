/* An interrupt while the validation set is measured: what was trained is saved, and resuming measures it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loader_files.h"
#include "net_builder.h"
#include "pare/train.h"
#include "test.h"

enum { SAMPLES = 40, FEATURES = 6, EPOCHS = 4 };

static char checkpoint[4096];

static pare_graph *network(void) {
    net n;
    net_start(&n, 5);
    pare_value *x = net_input(&n, 2, (int64_t[]){-1, FEATURES});
    return net_finish(&n, net_gemm(&n, NET(&n, "Relu", "", net_gemm(&n, x, 8)), 1));
}

static pare_dataset *open_set(void) {
    float x[SAMPLES * FEATURES], y[SAMPLES];
    pare_random random;
    pare_random_seed(&random, 6);
    for (size_t i = 0; i < SAMPLES; i++) {
        y[i] = 0;
        for (size_t f = 0; f < FEATURES; f++) {
            x[i * FEATURES + f] = (float)pare_random_normal(&random);
            y[i] += x[i * FEATURES + f];
        }
    }
    return open_numbers(x, SAMPLES, FEATURES, y);
}

/* Stops at one of the validations; the others go on. */
typedef struct stopper {
    int before, validations, epochs;
} stopper;
static stopper stop;

static bool go_on(void *context, size_t done, size_t total) {
    assert_string_equal(context, "validating");
    assert_true(done <= total);
    return stop.before-- != 0;
}

static bool count_epochs(void *context, const pare_train_progress *progress) {
    stopper *s = context;
    s->epochs += progress->epoch_ends;
    return true;
}

static pare_status train(pare_graph *graph, const char *resume, pare_error *error) {
    static const pare_preprocess plain = {.layout = PARE_ORDER_FLAT, .scale = 1, .task = PARE_TASK_REGRESSION};
    pare_train_options options = {.preprocess = &plain,
                                  .optimizer = {.kind = PARE_OPTIMIZER_SGD, .momentum = 0.9},
                                  .schedule = {.lr = 0.01},
                                  .epochs = EPOCHS,
                                  .batch = 8,
                                  .threads = 1,
                                  .checkpoint = checkpoint,
                                  .resume = resume,
                                  .report = count_epochs,
                                  .report_context = &stop,
                                  .progress = go_on};
    pare_dataset *set = open_set(), *validation = open_set();
    pare_status status = pare_train(graph, set, validation, &options, NULL, error);
    pare_dataset_close(set);
    pare_dataset_close(validation);
    return status;
}

static void assert_same_weights(const pare_graph *a, const pare_graph *b) {
    assert_int_equal(a->value_count, b->value_count);
    for (size_t i = 0; i < a->value_count; i++) {
        const pare_value *v = a->values[i], *w = b->values[i];
        assert_int_equal(v->data_bytes, w->data_bytes);
        assert_true(v->data_bytes == 0 || memcmp(v->data, w->data, v->data_bytes) == 0);
    }
}

static void a_validation_that_is_interrupted_is_made_up_for(void **state) {
    (void)state;
    pare_error error = {0};
    pare_graph *whole = network();
    snprintf(checkpoint, sizeof checkpoint, "%s", test_path("run.ckpt"));
    stop = (stopper){.before = -1};
    assert_ok(train(whole, NULL, &error), &error);
    for (int at = 0; at <= EPOCHS; at++) { /* the last one is that of the result */
        pare_graph *first = network(), *second = network();
        stop = (stopper){.before = at};
        assert_fails(train(first, NULL, &error), PARE_INTERRUPTED, &error, "go on with --resume");
        assert_int_equal(stop.epochs, at);
        stop = (stopper){.before = -1};
        assert_ok(train(second, checkpoint, &error), &error);
        assert_int_equal(stop.epochs, EPOCHS - at);
        assert_same_weights(whole, second);
        pare_graph_free(first);
        pare_graph_free(second);
    }
    pare_graph_free(whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_validation_that_is_interrupted_is_made_up_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
