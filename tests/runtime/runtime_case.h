/* One-node models built in memory, run on the reference kernels and on the best
 * ones, and compared with what is expected. */
#ifndef RUNTIME_CASE_H
#define RUNTIME_CASE_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pare/memory.h"
#include "pare/random.h"
#include "pare/runtime.h"
#include "test.h"

#define CASE_MOST 8

typedef struct case_tensor {
    pare_dtype dtype;
    pare_shape shape;
    const void *data; /* an input's elements, or what the output should be; NULL: absent */
    int constant;
    float scale; /* per-tensor quantization where not 0 */
    int32_t zero;
    const float *scales; /* per channel of axis 0 */
} case_tensor;

#define SHAPE(...)                                                                                                     \
    {                                                                                                                  \
        .rank = (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dims = { __VA_ARGS__ }                 \
    }

static inline size_t case_bytes(const case_tensor *t) {
    size_t bytes = 0;
    assert_true(pare_shape_bytes(&t->shape, t->dtype, &bytes));
    return bytes;
}

static inline uint32_t case_add(pare_model_builder *builder, const char *name, const case_tensor *t, int constant) {
    float scales[64];
    int32_t zeros[64] = {0};
    pare_model_quant quant = {.axis = -1, .count = 1, .scales = &t->scale, .zero_points = &t->zero};
    if (t->scales != NULL) {
        quant.axis = 0;
        quant.count = (uint32_t)t->shape.dims[0];
        memcpy(scales, t->scales, quant.count * sizeof(float));
        quant.scales = scales;
        quant.zero_points = zeros;
    }
    uint32_t index = 0;
    pare_error error;
    assert_ok(pare_model_add_tensor(builder, name, t->dtype, &t->shape,
                                    t->scale != 0.0F || t->scales != NULL ? &quant : NULL, constant ? t->data : NULL,
                                    constant ? case_bytes(t) : 0, &index, &error),
              &error);
    return index;
}

static inline pare_model *case_model(uint32_t opcode, const void *attrs, const case_tensor *inputs, uint32_t count,
                                     const case_tensor *outputs, uint32_t output_count) {
    pare_model_builder *builder = NULL;
    pare_model *model = NULL;
    pare_error error;
    uint32_t in[CASE_MOST];
    uint32_t out[CASE_MOST];
    assert_ok(pare_model_builder_create(&builder, &error), &error);
    for (uint32_t i = 0; i < count; i++) {
        in[i] = PARE_NONE;
        if (inputs[i].data != NULL) {
            in[i] = case_add(builder, "x", &inputs[i], inputs[i].constant);
            if (!inputs[i].constant) {
                assert_ok(pare_model_add_input(builder, in[i], &error), &error);
            }
        }
    }
    for (uint32_t i = 0; i < output_count; i++) {
        out[i] = case_add(builder, "y", &outputs[i], 0);
    }
    assert_ok(pare_model_add_node(builder, "node", opcode, in, count, out, output_count, attrs, NULL, &error), &error);
    for (uint32_t i = 0; i < output_count; i++) {
        assert_ok(pare_model_add_output(builder, out[i], &error), &error);
    }
    assert_ok(pare_model_finish(builder, &model, &error), &error);
    return model;
}

static inline pare_status case_run(pare_model *model, int reference, pare_isa isa, int32_t threads,
                                   const case_tensor *inputs, uint32_t count, const case_tensor *outputs,
                                   uint32_t output_count, void *const *results, pare_error *error) {
    pare_session_options options = {
        .struct_size = sizeof options, .reference = reference, .isa = isa, .threads = threads};
    pare_session *session = NULL;
    pare_input in[CASE_MOST];
    pare_output_buffer out[CASE_MOST];
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (inputs[i].data != NULL && !inputs[i].constant) {
            in[used++] = (pare_input){inputs[i].data, case_bytes(&inputs[i])};
        }
    }
    for (uint32_t i = 0; i < output_count; i++) {
        out[i] = (pare_output_buffer){results[i], case_bytes(&outputs[i])};
    }
    pare_status status = pare_session_create(model, &options, &session, error);
    if (status == PARE_OK) {
        status = pare_session_run(session, in, used, out, output_count, error);
    }
    pare_session_free(session);
    return status;
}

static inline void case_compare(const case_tensor *expected, const void *found, double tolerance) {
    size_t bytes = case_bytes(expected);
    if (expected->dtype != PARE_F32) {
        for (size_t i = 0; i < bytes; i++) {
            if (((const uint8_t *)expected->data)[i] != ((const uint8_t *)found)[i]) {
                print_error("byte %zu: expected %u, found %u\n", i, ((const uint8_t *)expected->data)[i],
                            ((const uint8_t *)found)[i]);
                fail();
            }
        }
        return;
    }
    for (size_t i = 0; i < bytes / sizeof(float); i++) {
        double e = (double)((const float *)expected->data)[i];
        double f = (double)((const float *)found)[i];
        bool equal = e == f || (isnan(e) && isnan(f)) || fabs(e - f) <= tolerance * (1.0 + fabs(e));
        if (!equal) {
            print_error("element %zu: expected %.9g, found %.9g\n", i, e, f);
            fail();
        }
    }
}

/* Runs with one and three threads, on reference and best kernels. */
static inline void case_check_all(uint32_t opcode, const void *attrs, const case_tensor *inputs, uint32_t count,
                                  const case_tensor *outputs, uint32_t output_count, double tolerance) {
    pare_model *model = case_model(opcode, attrs, inputs, count, outputs, output_count);
    for (int variant = 0; variant < 4; variant++) {
        void *results[CASE_MOST];
        pare_error error;
        for (uint32_t i = 0; i < output_count; i++) {
            results[i] = pare_alloc(case_bytes(&outputs[i]));
            assert_non_null(results[i]);
            memset(results[i], 0xA5, case_bytes(&outputs[i]));
        }
        assert_ok(case_run(model, variant < 2, PARE_ISA_BEST, variant % 2 ? 3 : 1, inputs, count, outputs, output_count,
                           results, &error),
                  &error);
        for (uint32_t i = 0; i < output_count; i++) {
            case_compare(&outputs[i], results[i], tolerance);
            pare_free(results[i]);
        }
    }
    pare_model_release(model);
}

static inline void case_check(uint32_t opcode, const void *attrs, const case_tensor *inputs, uint32_t count,
                              const case_tensor *output) {
    case_check_all(opcode, attrs, inputs, count, output, 1, 2e-5);
}

static inline float *random_floats(pare_random *random, size_t count) {
    float *values = pare_alloc((count + 1) * sizeof(float));
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)(pare_random_unit(random) * 2.0 - 1.0);
    }
    return values;
}

static inline uint8_t *random_bytes(pare_random *random, size_t count) {
    uint8_t *values = pare_alloc(count + 1);
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) {
        values[i] = (uint8_t)pare_random_u64(random);
    }
    return values;
}

#endif
