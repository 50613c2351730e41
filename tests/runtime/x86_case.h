/* One node with random operands, run by any kernel as the planner would. */
#ifndef PARE_X86_CASE_H
#define PARE_X86_CASE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "test.h"

#define CASE_CHANNELS 4096

typedef struct quant_storage {
    pare_model_quant quant;
    float scales[CASE_CHANNELS];
    int32_t zeros[CASE_CHANNELS];
} quant_storage;

typedef struct x86_case {
    uint32_t opcode;
    union {
        pare_conv_attrs conv;
        pare_fully_connected_attrs fc;
        pare_binary_attrs binary;
        pare_unary_attrs unary;
        pare_pool_attrs pool;
        pare_axis_attrs axis;
        pare_no_attrs none;
    } attrs;
    size_t input_count;
    pare_operand inputs[5];
    bool constant[5];
    void *data[5]; /* PLAIN, exact size */
    pare_operand output;
    quant_storage *quants[6];
} x86_case;

static uint32_t case_state = 12345;
static inline uint32_t case_random(uint32_t below) {
    case_state = case_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(case_state >> 4) * below) >> 28);
}
static inline int32_t case_between(int32_t low, int32_t high) {
    return low + (int32_t)case_random((uint32_t)(high - low + 1));
}
static inline float case_float(float low, float high) {
    return low + (high - low) * (float)case_random(1u << 24) / 16777216.0F;
}

static inline pare_shape case_shape(int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d) {
    return (pare_shape){rank, {a, b, c, d}};
}

/* A per-tensor quantization; `count` > 1 makes one scale a channel with zero points 0. */
static inline void case_quant(x86_case *test, size_t slot, uint32_t count, float low, float high, int32_t zero) {
    quant_storage *s = calloc(1, sizeof *s);
    s->quant = (pare_model_quant){count > 1 ? 0 : -1, count, s->scales, s->zeros};
    for (uint32_t i = 0; i < count; i++) {
        s->scales[i] = case_float(low, high);
        s->zeros[i] = zero;
    }
    test->quants[slot] = s;
    (slot == 5 ? &test->output : &test->inputs[slot])->quant = &s->quant;
}

/* How elements are drawn: all values, only the extremes, or small ones. */
typedef enum case_values { CASE_ALL, CASE_EXTREME, CASE_SMALL } case_values;

static inline void case_input(x86_case *test, size_t slot, pare_dtype dtype, pare_shape shape, bool constant,
                              case_values values) {
    size_t count = 0;
    pare_shape_elements(&shape, &count);
    uint8_t *data = malloc(count * pare_dtype_bytes(dtype) + (count == 0));
    for (size_t i = 0; i < count; i++) {
        if (dtype == PARE_U8) {
            data[i] = values == CASE_EXTREME ? (uint8_t)(case_random(4) > 0 ? 255 : 0) : (uint8_t)case_random(256);
        } else if (dtype == PARE_S8) {
            int32_t most = values == CASE_SMALL ? 64 : 127;
            int32_t extreme = case_random(2) ? 127 : -127;
            ((int8_t *)data)[i] = (int8_t)(values == CASE_EXTREME ? extreme : case_between(-most, most));
        } else if (dtype == PARE_S32) {
            ((int32_t *)(void *)data)[i] = case_between(-20000, 20000);
        } else {
            ((float *)(void *)data)[i] = case_float(-6.0F, 6.0F);
        }
    }
    test->inputs[slot] =
        (pare_operand){.present = true, .dtype = dtype, .shape = shape, .quant = test->inputs[slot].quant};
    test->constant[slot] = constant;
    test->data[slot] = data;
    if (constant) {
        test->inputs[slot].constant = data;
    }
}

static inline void case_free(x86_case *test) {
    for (size_t i = 0; i < 6; i++) {
        free(test->quants[i]);
        if (i < 5) {
            free(test->data[i]);
        }
    }
}

/* Runs `kernel`; the result, PLAIN, is to be freed. NULL when the kernel declines. */
static inline void *case_run(const x86_case *test, const pare_kernel *kernel, pare_isa isa, int32_t threads) {
    pare_model_node node = {.name = "node", .opcode = test->opcode, .attrs = &test->attrs};
    pare_operand inputs[5], output = test->output;
    pare_layout wanted[5] = {PARE_LAYOUT_PLAIN};
    memcpy(inputs, test->inputs, sizeof inputs);
    pare_site site = {.node = &node,
                      .attrs = &test->attrs,
                      .inputs = inputs,
                      .outputs = &output,
                      .input_count = test->input_count,
                      .output_count = 1,
                      .threads = threads,
                      .isa = isa,
                      .wanted = wanted};
    void *state = NULL;
    pare_error error;
    pare_status status = kernel->plan(&site, &state, &error);
    if (status == PARE_UNSUPPORTED) {
        return NULL;
    }
    assert_ok(status, &error);
    const void *addresses[5] = {NULL};
    void *copies[5] = {NULL};
    for (size_t i = 0; i < test->input_count; i++) {
        if (!inputs[i].present) {
            continue;
        }
        addresses[i] = test->data[i];
        if (!pare_layout_same(PARE_LAYOUT_PLAIN, wanted[i], &inputs[i].shape)) {
            size_t bytes = pare_layout_bytes(wanted[i], &inputs[i].shape, inputs[i].dtype);
            copies[i] = pare_alloc(bytes + 64);
            pare_reorder(test->data[i], PARE_LAYOUT_PLAIN, copies[i], wanted[i], &inputs[i].shape, inputs[i].dtype, 1);
            addresses[i] = copies[i];
        }
    }
    size_t bytes = pare_layout_bytes(output.layout, &output.shape, output.dtype);
    void *raw = malloc(bytes + (bytes == 0)), *plain = malloc(bytes + (bytes == 0));
    memset(raw, 0xa5, bytes);
    void *scratch = pare_alloc(site.scratch_bytes);
    pare_call call = {addresses, &raw, scratch, threads};
    assert_ok(kernel->run(state, &call, &error), &error);
    pare_reorder(raw, output.layout, plain, PARE_LAYOUT_PLAIN, &output.shape, output.dtype, 1);
    if (kernel->destroy != NULL) {
        kernel->destroy(state);
    }
    pare_free(scratch);
    free(raw);
    for (size_t i = 0; i < 5; i++) {
        pare_free(copies[i]);
    }
    return plain;
}

/* `kernel` gives the bytes of `reference` at 1 and 2 threads. Returns whether it took the node. */
static inline bool case_agrees(const x86_case *test, const pare_kernel *reference, const pare_kernel *kernel,
                               pare_isa isa, const char *what) {
    size_t bytes = 0;
    pare_shape_bytes(&test->output.shape, test->output.dtype, &bytes);
    uint8_t *expected = case_run(test, reference, PARE_ISA_SCALAR, 1);
    assert_non_null(expected);
    bool taken = false;
    for (int32_t threads = 1; threads <= 2; threads++) {
        uint8_t *found = case_run(test, kernel, isa, threads);
        if (found == NULL) {
            continue;
        }
        taken = true;
        for (size_t i = 0; i < bytes; i++) {
            if (expected[i] != found[i]) {
                fail_msg("%s (%s, %d threads): byte %zu of %zu: expected %d, found %d", what, kernel->name, threads, i,
                         bytes, expected[i], found[i]);
            }
        }
        free(found);
    }
    free(expected);
    return taken;
}

/* The highest instruction set of this machine. */
static inline pare_isa case_isa(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl")) {
        return PARE_ISA_AVX512_VNNI;
    }
    if (__builtin_cpu_supports("avx2")) {
        return PARE_ISA_AVX2;
    }
#endif
    return PARE_ISA_SCALAR;
}

#endif
