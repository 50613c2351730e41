/* Rows 68, 69, 85 and 86 of the bad inputs: what a caller and a model can ask of
 * the runtime beyond what runtime_session_test.c and the kernels' tests hold. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "runtime_network.h"

/* x [N, 4] -> Relu -> y, or two outputs of the same. */
static pare_model *small(int outputs) {
    pare_model_builder *b = start();
    uint32_t x = tensor(b, "x", PARE_F32, (pare_shape)SHAPE(-1, 4), 0, 0, NULL);
    input(b, x);
    for (int i = 0; i < outputs; i++) {
        uint32_t y = tensor(b, i == 0 ? "y" : "z", PARE_F32, (pare_shape)SHAPE(-1, 4), 0, 0, NULL);
        node(b, "relu", PARE_OP_UNARY, &(pare_unary_attrs){{PARE_FN_RELU, 0, 0}}, &x, 1, y);
        output(b, y);
    }
    return finish(b);
}

static void row_85_null_models(void **state) {
    (void)state;
    pare_error error = {0};
    pare_model *model = NULL;
    assert_fails(pare_model_verify(NULL, &error), PARE_USAGE, &error, "found NULL");
    assert_null(pare_model_metadata_find(NULL, "key"));
    assert_null(pare_model_retain(NULL));
    pare_model_release(NULL);
    pare_model_builder_free(NULL);
    assert_false(pare_model_is_container(NULL, 0));
    assert_int_equal(pare_model_from_bytes(NULL, 0, NULL, &model, NULL), PARE_BAD_INPUT);
    assert_int_equal(pare_model_open(NULL, NULL, &model, NULL), PARE_USAGE);
    assert_null(model);
}

static void row_85_unaligned_and_overlapping_outputs(void **state) {
    (void)state;
    pare_model *model = small(2);
    pare_session *session = NULL;
    pare_error error;
    _Alignas(16) char memory[128] = {0};
    assert_ok(pare_session_create(model, NULL, &session, &error), &error);
    pare_input in = {memory, 16};
    static const struct {
        size_t first, second;
        const char *text;
    } wrong[] = {
        {33, 64, "output 0 \"y\": expected a buffer aligned to 4 bytes"},
        {32, 66, "output 1 \"z\": expected a buffer aligned to 4 bytes"},
        {0, 64, "separate buffers, found output 0 over input 0"},
        {12, 64, "separate buffers, found output 0 over input 0"},
        {32, 4, "separate buffers, found output 1 over input 0"},
        {32, 32, "separate buffers, found output 1 over output 0"},
        {32, 44, "separate buffers, found output 1 over output 0"},
        {44, 32, "separate buffers, found output 1 over output 0"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        pare_output_buffer out[2] = {{memory + wrong[i].first, 16}, {memory + wrong[i].second, 16}};
        assert_fails(pare_session_run(session, &in, 1, out, 2, &error), PARE_USAGE, &error, wrong[i].text);
    }
    pare_output_buffer touching[2] = {{memory + 16, 16}, {memory + 32, 16}};
    assert_ok(pare_session_run(session, &in, 1, touching, 2, &error), &error);
    pare_session_free(session);
    pare_model_release(model);
}

static void row_85_batches_that_were_not_planned(void **state) {
    (void)state;
    pare_model *model = small(1);
    pare_session *session = NULL;
    pare_error error;
    float x[12] = {0}, y[12];
    pare_session_options options = {.struct_size = sizeof options, .batch = 2};
    assert_ok(pare_session_create(model, &options, &session, &error), &error);
    for (size_t samples = 0; samples <= 3; samples++) {
        pare_input in = {x, samples * 16};
        pare_output_buffer out = {y, samples * 16};
        pare_status status = pare_session_run(session, &in, 1, &out, 1, &error);
        if (samples == 2) {
            assert_ok(status, &error);
        } else {
            assert_fails(status, PARE_USAGE, &error, "expected 32 bytes (2x4 of float32)");
        }
    }
    pare_session_free(session);
    options.batch = 0; /* as NULL options: one sample */
    assert_ok(pare_session_create(model, &options, &session, &error), &error);
    assert_int_equal(pare_session_input(session, 0).bytes, 16);
    pare_session_free(session);
    options.batch = INT64_MAX;
    assert_fails(pare_session_create(model, &options, &session, &error), PARE_USAGE, &error, "batch of 1 to 65536");
    options.batch = INT64_MIN;
    assert_fails(pare_session_create(model, &options, &session, &error), PARE_USAGE, &error, "batch of 1 to 65536");
    assert_null(session);
    pare_model_release(model);
}

/* Memory that holds no session, as what was one does not. */
static void row_85_a_session_that_was_freed(void **state) {
    (void)state;
    pare_error error = {0};
    _Alignas(64) static unsigned char stale[4096];
    for (int pattern = 0; pattern < 256; pattern += 85) {
        memset(stale, pattern, sizeof stale);
        pare_session *session = (pare_session *)(void *)stale;
        assert_fails(pare_session_run(session, NULL, 0, NULL, 0, &error), PARE_USAGE, &error, "one that was freed");
        assert_int_equal(pare_session_input_count(session), 0);
        assert_int_equal(pare_session_output_count(session), 0);
        assert_null(pare_session_output(session, 0).name);
        assert_null(pare_session_step(session, 0).node);
        assert_int_equal(pare_session_statistics(session).node_count, 0);
        pare_session_set_timing(session, 1);
        pare_session_free(session); /* and is not freed a second time */
    }
}

static void row_85_a_hundred_thousand_cycles(void **state) {
    (void)state;
    pare_model *model = small(1);
    pare_session_options options = {.struct_size = sizeof options, .threads = 1, .reference = 1};
    size_t used = pare_memory_used();
    struct rusage early = {0}, late = {0};
    for (int i = 0; i < 100000; i++) {
        pare_session *session = NULL;
        pare_error error;
        assert_int_equal(pare_session_create(model, &options, &session, &error), PARE_OK);
        pare_session_free(session);
        if (i == 1000) {
            getrusage(RUSAGE_SELF, &early);
        }
    }
    getrusage(RUSAGE_SELF, &late);
    assert_int_equal(pare_memory_used(), used);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which keep freed blocks for a while */
    assert_true(late.ru_maxrss - early.ru_maxrss < 4 * 1024);       /* KiB */
#endif
    pare_model_release(model);
}

/* --- a second thread ------------------------------------------------------ */

typedef struct meeting {
    pare_session *session;
    atomic_int inside, tried;
    pare_status status;
    pare_error error;
} meeting;

static void wait_for(atomic_int *flag) {
    while (atomic_load(flag) == 0) {
        sched_yield();
    }
}

static void hold(void *context, uint32_t index, const char *name, pare_dtype dtype, const pare_shape *shape,
                 const void *data) {
    meeting *m = context;
    (void)index, (void)name, (void)dtype, (void)shape, (void)data;
    atomic_store(&m->inside, 1);
    wait_for(&m->tried);
}

static void *intrude(void *context) {
    meeting *m = context;
    float x[4] = {0}, y[4];
    pare_input in = {x, sizeof x};
    pare_output_buffer out = {y, sizeof y};
    wait_for(&m->inside);
    m->status = pare_session_run(m->session, &in, 1, &out, 1, &m->error);
    atomic_store(&m->tried, 1);
    return NULL;
}

static void row_85_a_second_thread_is_refused(void **state) {
    (void)state;
    pare_model *model = small(1);
    meeting m = {0};
    pare_error error;
    float x[4] = {-1, 2, -3, 4}, y[4];
    pthread_t thread;
    pare_input in = {x, sizeof x};
    pare_output_buffer out = {y, sizeof y};
    pare_session_options options = {
        .struct_size = sizeof options, .threads = 1, .observe = hold, .observe_context = &m};
    assert_ok(pare_session_create(model, &options, &m.session, &error), &error);
    assert_int_equal(pthread_create(&thread, NULL, intrude, &m), 0);
    assert_ok(pare_session_run(m.session, &in, 1, &out, 1, &error), &error);
    pthread_join(thread, NULL);
    assert_fails(m.status, PARE_USAGE, &m.error, "no other thread is running, found it busy");
    assert_true(y[0] == 0.0F && y[1] == 2.0F && y[2] == 0.0F && y[3] == 4.0F);
    pare_session_free(m.session);
    pare_model_release(model);
}

/* --- limits --------------------------------------------------------------- */

/* Constants that a plan computes are bounded together: each costs a node of the file. */
static void row_68_folded_constants_are_bounded(void **state) {
    (void)state;
    pare_error error;
    pare_model_builder *b = start();
    float one = 1;
    uint32_t x = tensor(b, "x", PARE_F32, (pare_shape)SHAPE(-1, 1), 0, 0, NULL);
    uint32_t c = tensor(b, "c", PARE_F32, (pare_shape)SHAPE(1), 0, 0, &one);
    input(b, x);
    for (int i = 0; i < 64; i++) {
        pare_shape_attrs wide = {.rank = 1, .dims = {1 << 20}};
        pare_reduce_attrs sum = {PARE_REDUCE_SUM, 1, 1};
        uint32_t w = tensor(b, "w", PARE_F32, (pare_shape)SHAPE(1 << 20), 0, 0, NULL);
        uint32_t y = tensor(b, "y", PARE_F32, (pare_shape)SHAPE(-1, 1 << 20), 0, 0, NULL);
        uint32_t z = tensor(b, "z", PARE_F32, (pare_shape)SHAPE(-1, 1), 0, 0, NULL);
        sum.axis_mask = 2;
        node(b, "expand", PARE_OP_EXPAND, &wide, &c, 1, w);
        node(b, "add", PARE_OP_BINARY, &(pare_binary_attrs){.kind = PARE_BINARY_ADD}, (uint32_t[]){x, w}, 2, y);
        node(b, "sum", PARE_OP_REDUCE, &sum, &y, 1, z);
        output(b, z);
    }
    pare_model *model = finish(b);
    pare_session *session = NULL;
    size_t used = pare_memory_used();
    pare_session_options options = {
        .struct_size = sizeof options, .threads = 1, .reference = 1, .arena_limit = (uint64_t)32 << 20};
    pare_memory_set_budget(used + ((size_t)128 << 20));
    pare_status status = pare_session_create(model, &options, &session, &error);
    pare_memory_set_budget(SIZE_MAX);
    assert_fails(status, PARE_LIMIT, &error, "folded constants of at most 33554432 bytes");
    assert_null(session);
    assert_int_equal(pare_memory_used(), used);
    pare_model_release(model);
}

static void row_68_ports_are_bounded(void **state) {
    (void)state;
    pare_error error;
    pare_model_builder *b = start();
    float one = 1;
    uint32_t c = tensor(b, "c", PARE_F32, (pare_shape)SHAPE(1), 0, 0, &one);
    uint32_t x = tensor(b, "x", PARE_F32, (pare_shape)SHAPE(1), 0, 0, NULL);
    uint32_t y = tensor(b, "y", PARE_F32, (pare_shape)SHAPE(INT32_MAX), 0, 0, NULL);
    uint32_t z = tensor(b, "z", PARE_F32, (pare_shape)SHAPE(1), 0, 0, NULL);
    pare_shape_attrs wide = {.rank = 1, .dims = {INT32_MAX}};
    input(b, x);
    node(b, "expand", PARE_OP_EXPAND, &wide, &x, 1, y);
    node(b, "add", PARE_OP_BINARY, &(pare_binary_attrs){.kind = PARE_BINARY_ADD}, (uint32_t[]){x, c}, 2, z);
    output(b, y);
    output(b, z);
    pare_model *model = finish(b);
    pare_session *session = NULL;
    size_t used = pare_memory_used();
    pare_memory_set_budget(used + ((size_t)64 << 20));
    pare_status status = pare_session_create(model, NULL, &session, &error);
    pare_memory_set_budget(SIZE_MAX);
    assert_fails(status, PARE_LIMIT, &error, "inputs and outputs of at most 4294967296 bytes");
    assert_int_equal(pare_memory_used(), used);
    pare_model_release(model);
}

/* Every instruction set that is asked for beyond the CPU's own falls back. */
static void row_69_missing_instructions_fall_back(void **state) {
    (void)state;
    pare_model *model = integer_network();
    pare_error error;
    for (int isa = PARE_ISA_BEST; isa <= PARE_ISA_AVX512_VNNI; isa++) {
        pare_session *session = NULL;
        pare_session_options options = {.struct_size = sizeof options, .isa = (pare_isa)isa};
        assert_ok(pare_session_create(model, &options, &session, &error), &error);
        pare_session_free(session);
    }
    pare_model_release(model);
}

/* --- numbers -------------------------------------------------------------- */

static void pool_of_nothing(pare_pool_kind kind, float expected) {
    /* Taps at -1 and 2 of two elements: the window fits, yet holds none. */
    pare_pool_attrs attrs = {.kind = (int32_t)kind,
                             .kernel_h = 1,
                             .kernel_w = 2,
                             .stride_h = 1,
                             .stride_w = 1,
                             .dilation_h = 1,
                             .dilation_w = 3,
                             .pad_left = 1,
                             .pad_right = 1};
    float x[16 * 2], y[16];
    for (int i = 0; i < 32; i++) {
        x[i] = (float)i + 1;
        y[i / 2] = expected;
    }
    case_tensor in = {.dtype = PARE_F32, .shape = SHAPE(1, 16, 1, 2), .data = x};
    case_tensor out = {.dtype = PARE_F32, .shape = SHAPE(1, 16, 1, 1), .data = y};
    case_check(PARE_OP_POOL, &attrs, &in, 1, &out);
}

static void row_86_average_over_no_elements(void **state) {
    (void)state;
    pool_of_nothing(PARE_POOL_AVERAGE, 0.0F);
    pool_of_nothing(PARE_POOL_AVERAGE_WITH_PADDING, 0.0F);
    pool_of_nothing(PARE_POOL_MAX, -INFINITY);
}

static void row_86_softmax_of_infinities(void **state) {
    (void)state;
    pare_softmax_attrs attrs = {.axis = 1};
    float x[4] = {-INFINITY, 0, -INFINITY, 0}, y[4] = {0, 0.5F, 0, 0.5F};
    case_tensor in = {.dtype = PARE_F32, .shape = SHAPE(1, 4), .data = x};
    case_tensor out = {.dtype = PARE_F32, .shape = SHAPE(1, 4), .data = y};
    case_check(PARE_OP_SOFTMAX, &attrs, &in, 1, &out);
    float low[4] = {-3e38F, -3e38F, -3e38F, -3e38F}, even[4] = {0.25F, 0.25F, 0.25F, 0.25F};
    in.data = low;
    out.data = even;
    case_check(PARE_OP_SOFTMAX, &attrs, &in, 1, &out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_68_folded_constants_are_bounded),
        cmocka_unit_test(row_68_ports_are_bounded),
        cmocka_unit_test(row_69_missing_instructions_fall_back),
        cmocka_unit_test(row_85_null_models),
        cmocka_unit_test(row_85_unaligned_and_overlapping_outputs),
        cmocka_unit_test(row_85_batches_that_were_not_planned),
        cmocka_unit_test(row_85_a_session_that_was_freed),
        cmocka_unit_test(row_85_a_hundred_thousand_cycles),
        cmocka_unit_test(row_85_a_second_thread_is_refused),
        cmocka_unit_test(row_86_average_over_no_elements),
        cmocka_unit_test(row_86_softmax_of_infinities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
