/* Small random models run twice: by the reference kernels and by the best ones. */
#ifndef PARE_ONEDNN_CASE_H
#define PARE_ONEDNN_CASE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#include "pare/memory.h"
#include "pare/random.h"
#include "pare/runtime.h"

#define SHAPE(...)                                                                                                     \
    (pare_shape) {                                                                                                     \
        .rank = (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dims = { __VA_ARGS__ }                 \
    }

typedef struct net {
    pare_model_builder *builder;
    pare_random random;
    pare_error error;
    const char *expected; /* a kernel that must appear in the plan; NULL: any */
    const char *unwanted; /* one that must not; NULL: none */
    double tolerance;     /* of the largest magnitude of an output */
    size_t reorders;      /* of the last comparison */
} net;

static inline void net_begin(net *n, uint64_t seed) {
    memset(n, 0, sizeof *n);
    n->tolerance = 1e-5;
    pare_random_seed(&n->random, seed);
    assert_ok(pare_model_builder_create(&n->builder, &n->error), &n->error);
}

static inline float *net_values(net *n, size_t count, float scale) {
    float *values = malloc((count + 1) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) {
        values[i] = scale * (float)(2.0 * pare_random_unit(&n->random) - 1.0);
    }
    return values;
}

static inline uint32_t net_input(net *n, pare_shape shape) {
    uint32_t index;
    assert_ok(pare_model_add_tensor(n->builder, "x", PARE_F32, &shape, NULL, NULL, 0, &index, &n->error), &n->error);
    assert_ok(pare_model_add_input(n->builder, index, &n->error), &n->error);
    return index;
}

static inline uint32_t net_constant(net *n, pare_shape shape, float scale) {
    size_t count;
    uint32_t index;
    assert_true(pare_shape_elements(&shape, &count));
    float *values = net_values(n, count, scale);
    assert_ok(pare_model_add_tensor(n->builder, "w", PARE_F32, &shape, NULL, values, count * sizeof *values, &index,
                                    &n->error),
              &n->error);
    free(values);
    return index;
}

/* Adds a node and its outputs; gives the first. */
static inline uint32_t net_node(net *n, uint32_t opcode, const void *attrs, const uint32_t *inputs, uint32_t count,
                                uint32_t output_count, uint32_t *outputs) {
    const pare_model_tensor *tensors[8];
    pare_shape shapes[4];
    pare_dtype dtypes[4];
    uint32_t made[4];
    for (uint32_t i = 0; i < count; i++) {
        tensors[i] = inputs[i] == PARE_NONE ? NULL : pare_model_builder_tensor(n->builder, inputs[i]);
    }
    assert_ok(pare_opcode_shapes(opcode, attrs, tensors, count, shapes, dtypes, output_count, &n->error), &n->error);
    for (uint32_t i = 0; i < output_count; i++) {
        assert_ok(pare_model_add_tensor(n->builder, "y", dtypes[i], &shapes[i], NULL, NULL, 0, &made[i], &n->error),
                  &n->error);
    }
    assert_ok(
        pare_model_add_node(n->builder, "node", opcode, inputs, count, made, output_count, attrs, NULL, &n->error),
        &n->error);
    if (outputs != NULL) {
        memcpy(outputs, made, output_count * sizeof *made);
    }
    return made[0];
}

static inline uint32_t net_unary_node(net *n, uint32_t opcode, const void *attrs, uint32_t x) {
    return net_node(n, opcode, attrs, &x, 1, 1, NULL);
}

static inline void net_output(net *n, uint32_t tensor) {
    assert_ok(pare_model_add_output(n->builder, tensor, &n->error), &n->error);
}

/* --- running ---------------------------------------------------------------- */

static inline bool net_has_kernel(const pare_session *session, const char *name) {
    size_t count = pare_session_statistics(session).node_count;
    for (size_t i = 0; i < count; i++) {
        const char *kernel = pare_session_step(session, i).kernel;
        if (kernel != NULL && strcmp(kernel, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Runs twice, so that what the first run leaves behind shows. */
static inline void net_run(net *n, pare_session *session, float *const *in, float **out) {
    pare_input inputs[4];
    pare_output_buffer outputs[4];
    size_t input_count = pare_session_input_count(session), output_count = pare_session_output_count(session);
    for (size_t i = 0; i < input_count; i++) {
        inputs[i] = (pare_input){in[i], pare_session_input(session, i).bytes};
    }
    for (size_t i = 0; i < output_count; i++) {
        size_t bytes = pare_session_output(session, i).bytes;
        out[i] = malloc(bytes + 1);
        assert_non_null(out[i]);
        memset(out[i], 0x7F, bytes);
        outputs[i] = (pare_output_buffer){out[i], bytes};
    }
    for (int round = 0; round < 2; round++) {
        assert_ok(pare_session_run(session, inputs, input_count, outputs, output_count, &n->error), &n->error);
    }
}

static inline void net_check(const net *n, const pare_session *session, size_t index, const float *found,
                             const float *expected) {
    size_t count = pare_session_output(session, index).bytes / sizeof(float);
    double largest = 0.0;
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)expected[i]));
    }
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)found[i] - (double)expected[i]);
        if (!(difference <= n->tolerance * fmax(largest, 1e-3))) {
            fail_msg("output %zu[%zu of %zu]: expected %.9g, found %.9g (largest %.3g)", index, i, count,
                     (double)expected[i], (double)found[i], largest);
        }
    }
}

static inline void net_compare(net *n, pare_model *model, int64_t batch, int32_t threads) {
    pare_session_options options = {.struct_size = sizeof options, .batch = batch, .threads = threads, .reference = 1};
    pare_session *reference, *best;
    assert_ok(pare_session_create(model, &options, &reference, &n->error), &n->error);
    options.reference = 0;
    assert_ok(pare_session_create(model, &options, &best, &n->error), &n->error);
    float *in[4], *expected[4], *found[4];
    size_t inputs = pare_session_input_count(best), outputs = pare_session_output_count(best);
    for (size_t i = 0; i < inputs; i++) {
        in[i] = net_values(n, pare_session_input(best, i).bytes / sizeof(float), 2.0f);
    }
    net_run(n, reference, in, expected);
    net_run(n, best, in, found);
    n->reorders = pare_session_statistics(best).reorder_count;
    for (size_t i = 0; i < outputs; i++) {
        net_check(n, best, i, found[i], expected[i]);
        free(found[i]);
        free(expected[i]);
    }
    for (size_t i = 0; i < inputs; i++) {
        free(in[i]);
    }
    if (n->expected != NULL && !net_has_kernel(best, n->expected)) {
        fail_msg("expected kernel %s in the plan, found none", n->expected);
    }
    if (n->unwanted != NULL && net_has_kernel(best, n->unwanted)) {
        fail_msg("expected no kernel %s in the plan, found it", n->unwanted);
    }
    pare_session_free(best);
    pare_session_free(reference);
}

/* Batches of 1 and 5 on 1 and 2 threads. */
static inline void net_finish(net *n) {
    pare_model *model;
    assert_ok(pare_model_finish(n->builder, &model, &n->error), &n->error);
    for (int32_t threads = 1; threads <= 2; threads++) {
        for (int64_t batch = 1; batch <= 5; batch += 4) {
            net_compare(n, model, batch, threads);
        }
    }
    pare_model_release(model);
}

/* True where the runtime is built without oneDNN: the caller exits with 77. */
static inline bool net_skip(void) {
    return strcmp(pare_backend(), "none") == 0;
}

#endif
