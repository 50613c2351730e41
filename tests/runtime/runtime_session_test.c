/* Sessions: the API's rows of BADINPUT, plans of several nodes, batches and threads. */
#include <pthread.h>
#include <stdlib.h>

#include "runtime_network.h"

static void integers_do_not_depend_on_batch_threads_or_cpu(void **state) {
    (void)state;
    pare_model *model = integer_network();
    pare_random random;
    pare_random_seed(&random, 29);
    float *x = random_floats(&random, MOST * X);
    results *expected = pare_alloc_zero(1, sizeof *expected);
    results *found = pare_alloc_zero(1, sizeof *found);
    pare_session_options options = {.struct_size = sizeof options, .batch = MOST, .threads = 1, .reference = 1};
    run_network(model, &options, x, MOST, expected);
    for (int32_t threads = 1; threads <= 4; threads++) {
        for (int isa = PARE_ISA_BEST; isa <= PARE_ISA_AVX512_VNNI; isa++) {
            for (int64_t batch = 1; batch <= MOST; batch += 3) {
                options = (pare_session_options){
                    .struct_size = sizeof options, .batch = batch, .threads = threads, .isa = (pare_isa)isa};
                memset(found, 0, sizeof *found);
                run_network(model, &options, x, (size_t)batch, found);
                assert_memory_equal(found->y, expected->y, (size_t)batch * Y * sizeof(float));
                assert_memory_equal(found->h, expected->h, (size_t)batch * H);
            }
        }
    }
    int varied = 0;
    for (size_t i = 1; i < MOST * H; i++) {
        varied += expected->h[i] != expected->h[0];
    }
    assert_true(varied > H); /* the network does compute something */
    pare_free(x);
    pare_free(expected);
    pare_free(found);
    pare_model_release(model);
}

/* --- the API -------------------------------------------------------------- */

static pare_model *tiny(void) {
    pare_model_builder *b = start();
    uint32_t x = tensor(b, "x", PARE_F32, (pare_shape)SHAPE(-1, 4), 0, 0, NULL);
    uint32_t y = tensor(b, "y", PARE_F32, (pare_shape)SHAPE(-1, 4), 0, 0, NULL);
    input(b, x);
    node(b, "relu", PARE_OP_UNARY, &(pare_unary_attrs){{PARE_FN_RELU, 0, 0}}, &x, 1, y);
    output(b, y);
    return finish(b);
}

static void row_85_null_everywhere(void **state) {
    (void)state;
    pare_model *model = tiny();
    pare_session *session = NULL;
    pare_error error;
    assert_fails(pare_session_create(NULL, NULL, &session, &error), PARE_USAGE, &error, "found NULL");
    assert_fails(pare_session_create(model, NULL, NULL, &error), PARE_USAGE, &error, "found NULL");
    assert_fails(pare_session_run(NULL, NULL, 0, NULL, 0, &error), PARE_USAGE, &error, "found NULL");
    assert_int_equal(pare_session_create(NULL, NULL, NULL, NULL), PARE_USAGE);
    pare_session_free(NULL);
    pare_session_set_timing(NULL, 1);
    assert_int_equal(pare_session_input_count(NULL), 0);
    assert_int_equal(pare_session_output_count(NULL), 0);
    assert_null(pare_session_input(NULL, 0).name);
    assert_null(pare_session_output(NULL, 0).name);
    assert_null(pare_session_step(NULL, 0).node);
    assert_int_equal(pare_session_statistics(NULL).node_count, 0);
    assert_ok(pare_session_create(model, NULL, &session, &error), &error);
    assert_fails(pare_session_run(session, NULL, 1, NULL, 1, &error), PARE_USAGE, &error, "found NULL");
    float x[4] = {0};
    pare_input in = {NULL, sizeof x};
    pare_output_buffer out = {x, sizeof x};
    assert_fails(pare_session_run(session, &in, 1, &out, 1, &error), PARE_USAGE, &error, "found NULL");
    assert_null(pare_session_input(session, 1).name);
    assert_null(pare_session_step(session, 99).node);
    pare_session_free(session);
    pare_model_release(model);
}

static void row_85_wrong_buffers(void **state) {
    (void)state;
    pare_model *model = tiny();
    pare_session *session = NULL;
    pare_error error;
    _Alignas(8) char memory[64] = {0};
    assert_ok(pare_session_create(model, NULL, &session, &error), &error);
    pare_input in[2] = {{memory, 16}, {memory, 16}};
    pare_output_buffer out = {memory + 16, 16};
    assert_fails(pare_session_run(session, in, 2, &out, 1, &error), PARE_USAGE, &error, "expected 1 inputs");
    assert_fails(pare_session_run(session, in, 1, &out, 0, &error), PARE_USAGE, &error, "1 outputs, found 1 and 0");
    in[0].bytes = 12;
    assert_fails(pare_session_run(session, in, 1, &out, 1, &error), PARE_USAGE, &error, "expected 16 bytes");
    in[0] = (pare_input){memory + 33, 16};
    assert_fails(pare_session_run(session, in, 1, &out, 1, &error), PARE_USAGE, &error, "aligned to 4 bytes");
    in[0] = (pare_input){memory + 28, 16};
    assert_fails(pare_session_run(session, in, 1, &out, 1, &error), PARE_USAGE, &error, "separate buffers");
    in[0] = (pare_input){memory + 32, 16};
    assert_ok(pare_session_run(session, in, 1, &out, 1, &error), &error);
    pare_session_free(session);
    pare_model_release(model);
}

static void row_85_options(void **state) {
    (void)state;
    pare_model *model = tiny();
    pare_session *session = NULL;
    pare_error error;
    struct {
        pare_session_options known;
        uint64_t newer;
    } options = {.known = {.struct_size = sizeof options}};
    assert_ok(pare_session_create(model, &options.known, &session, &error), &error);
    pare_session_free(session);
    options.newer = 1;
    assert_fails(pare_session_create(model, &options.known, &session, &error), PARE_USAGE, &error, "newer struct");
    options.known.struct_size = 0;
    assert_fails(pare_session_create(model, &options.known, &session, &error), PARE_USAGE, &error, "struct_size");
    options.known = (pare_session_options){.struct_size = offsetof(pare_session_options, threads), .batch = 3};
    options.known.threads = -7; /* outside of the smaller struct, so not read */
    assert_ok(pare_session_create(model, &options.known, &session, &error), &error);
    assert_int_equal(pare_session_input(session, 0).shape.dims[0], 3);
    pare_session_free(session);
    options.known = (pare_session_options){.struct_size = sizeof options.known, .batch = 65537};
    assert_fails(pare_session_create(model, &options.known, &session, &error), PARE_USAGE, &error, "batch");
    options.known.batch = -1;
    assert_fails(pare_session_create(model, &options.known, &session, &error), PARE_USAGE, &error, "batch");
    options.known.batch = 1;
    options.known.threads = 1000000000;
    assert_fails(pare_session_create(model, &options.known, &session, &error), PARE_USAGE, &error, "threads");
    options.known.threads = 1;
    options.known.isa = (pare_isa)9;
    assert_fails(pare_session_create(model, &options.known, &session, &error), PARE_USAGE, &error, "instruction set");
    pare_model_release(model);
}

static void row_85_model_released_while_a_session_lives(void **state) {
    (void)state;
    pare_model *model = tiny();
    pare_session *session = NULL;
    pare_error error;
    float x[] = {-1, 2, -INFINITY, INFINITY};
    float y[4];
    assert_ok(pare_session_create(model, NULL, &session, &error), &error);
    pare_model_release(model);
    pare_input in = {x, sizeof x};
    pare_output_buffer out = {y, sizeof y};
    assert_ok(pare_session_run(session, &in, 1, &out, 1, &error), &error);
    assert_true(y[0] == 0.0F && y[1] == 2.0F && y[2] == 0.0F && isinf(y[3]));
    pare_session_free(session);
}

static void row_85_many_cycles_leak_nothing(void **state) {
    (void)state;
    pare_model *model = integer_network();
    pare_error error;
    size_t before = pare_memory_used();
    for (int i = 0; i < 300; i++) {
        pare_session *session = NULL;
        assert_ok(pare_session_create(model, NULL, &session, &error), &error);
        pare_session_free(session);
    }
    assert_int_equal(pare_memory_used(), before);
    pare_model_release(model);
}

static void allocation_failures_are_clean(void **state) {
    (void)state;
    pare_model *model = integer_network();
    size_t before = pare_memory_used();
    pare_status status = PARE_LIMIT;
    size_t n = 1;
    for (; status != PARE_OK; n++) {
        pare_session *session = NULL;
        pare_error error;
        pare_memory_fail_at(n, n % 2);
        status = pare_session_create(model, NULL, &session, &error);
        pare_memory_fail_at(0, false);
        assert_true(status == PARE_OK || status == PARE_LIMIT);
        pare_session_free(session);
        assert_int_equal(pare_memory_used(), before);
        assert_true(n < 10000);
    }
    assert_true(n > 10);
    pare_model_release(model);
}

static void row_68_arena_limit_is_kept(void **state) {
    (void)state;
    pare_model *model = integer_network();
    pare_session *session = NULL;
    pare_error error;
    pare_session_options options = {.struct_size = sizeof options, .batch = 64, .arena_limit = 100000};
    assert_fails(pare_session_create(model, &options, &session, &error), PARE_LIMIT, &error, "at most 100000 bytes");
    pare_model_release(model);
}

typedef struct seen {
    int count;
    size_t bytes;
    char names[200];
} seen;

static void note(void *context, uint32_t index, const char *name, pare_dtype dtype, const pare_shape *shape,
                 const void *data) {
    seen *s = context;
    size_t bytes = 0;
    (void)index;
    assert_true(pare_shape_bytes(shape, dtype, &bytes));
    assert_non_null(data);
    s->count++;
    s->bytes += bytes;
    strncat(s->names, name, sizeof s->names - strlen(s->names) - 2);
    strcat(s->names, " ");
}

static void observe_and_timing(void **state) {
    (void)state;
    pare_model *model = integer_network();
    pare_random random;
    pare_random_seed(&random, 37);
    float *x = random_floats(&random, 2 * X);
    seen s = {0};
    results *r = pare_alloc_zero(1, sizeof *r);
    pare_session *session = NULL;
    pare_error error;
    pare_session_options options = {.struct_size = sizeof options, .batch = 2, .observe = note, .observe_context = &s};
    assert_ok(pare_session_create(model, &options, &session, &error), &error);
    pare_input in = {x, 2 * X * sizeof(float)};
    pare_output_buffer out[] = {{r->y, 2 * Y * sizeof(float)}, {r->h, 2 * H}};
    pare_session_set_timing(session, 1);
    assert_ok(pare_session_run(session, &in, 1, out, 2, &error), &error);
    assert_string_equal(s.names, "x q h1 h2 p f yq y ");
    pare_session_stats stats = pare_session_statistics(session);
    double total = 0.0;
    for (size_t i = 0; i < stats.node_count; i++) {
        pare_step_info step = pare_session_step(session, i);
        assert_non_null(step.node);
        assert_non_null(step.kernel);
        total += step.last_microseconds;
    }
    assert_true(total > 0.0);
    assert_true(stats.arena_bytes > 0 && stats.packed_bytes > 0);
    assert_int_equal(stats.threads, pare_default_threads());
    assert_true(stats.reorder_count <= 2); /* h2 to the caller, and no more than one besides */
    pare_session_free(session);
    pare_free(x);
    pare_free(r);
    pare_model_release(model);
}

/* --- threads -------------------------------------------------------------- */

typedef struct worker {
    pare_model *model;
    const float *x;
    const results *expected;
    int failures;
} worker;

static void *work(void *context) {
    worker *w = context;
    pare_session *session = NULL;
    results *r = malloc(sizeof *r);
    pare_session_options options = {.struct_size = sizeof options, .threads = 1};
    if (r == NULL || pare_session_create(w->model, &options, &session, NULL) != PARE_OK) {
        w->failures++;
    }
    for (int i = 0; r != NULL && session != NULL && i < 20; i++) {
        size_t sample = (size_t)i % MOST;
        pare_input in = {w->x + sample * X, X * sizeof(float)};
        pare_output_buffer out[] = {{r->y, Y * sizeof(float)}, {r->h, H}};
        if (pare_session_run(session, &in, 1, out, 2, NULL) != PARE_OK ||
            memcmp(r->y, w->expected->y + sample * Y, Y * sizeof(float)) != 0) {
            w->failures++;
        }
    }
    pare_session_free(session);
    free(r);
    return NULL;
}

static void row_85_sixteen_threads_share_a_model(void **state) {
    (void)state;
    pare_model *model = integer_network();
    pare_random random;
    pare_random_seed(&random, 41);
    float *x = random_floats(&random, MOST * X);
    results *expected = pare_alloc_zero(1, sizeof *expected);
    pare_session_options options = {.struct_size = sizeof options, .batch = MOST};
    run_network(model, &options, x, MOST, expected);
    pthread_t threads[16];
    worker workers[16];
    for (int i = 0; i < 16; i++) {
        workers[i] = (worker){model, x, expected, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 16; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    pare_free(x);
    pare_free(expected);
    pare_model_release(model);
}

typedef struct nested {
    pare_session *session;
    pare_status status;
    char message[200];
} nested;

static void run_again(void *context, uint32_t index, const char *name, pare_dtype dtype, const pare_shape *shape,
                      const void *data) {
    nested *n = context;
    float x[4] = {0}, y[4];
    pare_input in = {x, sizeof x};
    pare_output_buffer out = {y, sizeof y};
    pare_error error = {0};
    (void)index, (void)name, (void)dtype, (void)shape, (void)data;
    n->status = pare_session_run(n->session, &in, 1, &out, 1, &error);
    snprintf(n->message, sizeof n->message, "%.150s", error.message);
}

static void row_85_a_busy_session_is_refused(void **state) {
    (void)state;
    pare_model *model = tiny();
    nested n = {0};
    pare_error error;
    float x[4] = {0}, y[4];
    pare_input in = {x, sizeof x};
    pare_output_buffer out = {y, sizeof y};
    pare_session_options options = {.struct_size = sizeof options, .observe = run_again, .observe_context = &n};
    assert_ok(pare_session_create(model, &options, &n.session, &error), &error);
    assert_ok(pare_session_run(n.session, &in, 1, &out, 1, &error), &error);
    assert_int_equal(n.status, PARE_USAGE);
    assert_non_null(strstr(n.message, "busy"));
    pare_session_free(n.session);
    pare_model_release(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_do_not_depend_on_batch_threads_or_cpu),
        cmocka_unit_test(row_85_null_everywhere),
        cmocka_unit_test(row_85_wrong_buffers),
        cmocka_unit_test(row_85_options),
        cmocka_unit_test(row_85_model_released_while_a_session_lives),
        cmocka_unit_test(row_85_many_cycles_leak_nothing),
        cmocka_unit_test(allocation_failures_are_clean),
        cmocka_unit_test(row_68_arena_limit_is_kept),
        cmocka_unit_test(observe_and_timing),
        cmocka_unit_test(row_85_sixteen_threads_share_a_model),
        cmocka_unit_test(row_85_a_busy_session_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
