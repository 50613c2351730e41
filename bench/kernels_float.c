/* Speed of the float kernels that a session picks for typical layers:
 *
 *     bench_kernels_float [THREADS [BATCH]]
 *
 * One line a layer: the kernel, its best time, GFLOP/s (two operations a
 * multiply-accumulate; for a single row also GB/s of weights), and what the
 * layout changes around it take. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pare/memory.h"
#include "pare/random.h"
#include "pare/runtime.h"

#define ROUNDS 60

typedef struct layer {
    const char *name;
    int64_t channels, size, outputs;
    int32_t kernel, stride, groups; /* kernel 0: fully connected, `size` rows */
} layer;

static const layer layers[] = {
    {"resnet20 stem", 3, 32, 16, 3, 1, 1},
    {"resnet20 16", 16, 32, 16, 3, 1, 1},
    {"resnet20 32", 32, 16, 32, 3, 1, 1},
    {"resnet20 64", 64, 8, 64, 3, 1, 1},
    {"mobilenetv2 stem", 3, 224, 32, 3, 2, 1},
    {"mobilenetv2 dw 32", 32, 112, 32, 3, 1, 32},
    {"mobilenetv2 dw 96 /2", 96, 112, 96, 3, 2, 96},
    {"mobilenetv2 dw 144", 144, 56, 144, 3, 1, 144},
    {"mobilenetv2 dw 960", 960, 7, 960, 3, 1, 960},
    {"mobilenetv2 expand 24", 24, 56, 144, 1, 1, 1},
    {"mobilenetv2 project 96", 96, 56, 24, 1, 1, 1},
    {"mobilenetv2 project 576", 576, 7, 160, 1, 1, 1},
    {"mobilenetv2 head", 320, 7, 1280, 1, 1, 1},
    {"squeezenet squeeze", 64, 55, 16, 1, 1, 1},
    {"squeezenet expand 3x3", 16, 55, 64, 3, 1, 1},
    {"squeezenet classifier", 512, 13, 1000, 1, 1, 1},
    {"resnet50 3x3 64", 64, 56, 64, 3, 1, 1},
    {"resnet50 3x3 256", 256, 14, 256, 3, 1, 1},
    {"dense 64x64, 1 row", 64, 1, 64, 0, 1, 1},
    {"dense 1280x1000, 1 row", 1280, 1, 1000, 0, 1, 1},
    {"dense 4096x4096, 1 row", 4096, 1, 4096, 0, 1, 1},
    {"dense 640x128, 64 rows", 640, 64, 128, 0, 1, 1},
    {"dense 512x512, 128 rows", 512, 128, 512, 0, 1, 1},
    {"dense 1024x4096, 128 rows", 1024, 128, 4096, 0, 1, 1},
};

static void must(pare_status status, const pare_error *error) {
    if (status != PARE_OK) {
        fprintf(stderr, "%s\n", error->message);
        exit((int)status);
    }
}

static float *values(size_t count) {
    float *made = malloc(count * sizeof *made + 64);
    pare_random random;
    pare_random_seed(&random, 1);
    if (made == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(PARE_LIMIT);
    }
    for (size_t i = 0; i < count; i++) {
        made[i] = (float)(pare_random_unit(&random) - 0.5);
    }
    return made;
}

static uint32_t tensor(pare_model_builder *builder, pare_shape shape, bool constant, pare_error *error) {
    uint32_t index;
    size_t count = 0;
    float *data = NULL;
    if (constant) {
        pare_shape_elements(&shape, &count);
        data = values(count);
    }
    must(pare_model_add_tensor(builder, "t", PARE_F32, &shape, NULL, data, count * sizeof *data, &index, error), error);
    free(data);
    return index;
}

static void add_conv(pare_model_builder *builder, const layer *l, uint32_t *ends, pare_error *error) {
    int64_t kernel = l->kernel, pad = kernel / 2, out = (l->size + 2 * pad - kernel) / l->stride + 1;
    pare_conv_attrs attrs = {.stride_h = l->stride,
                             .stride_w = l->stride,
                             .dilation_h = 1,
                             .dilation_w = 1,
                             .pad_top = (int32_t)pad,
                             .pad_left = (int32_t)pad,
                             .pad_bottom = (int32_t)pad,
                             .pad_right = (int32_t)pad,
                             .groups = l->groups,
                             .activation = {.function = PARE_FN_RELU}};
    pare_shape x = {.rank = 4, .dims = {-1, l->channels, l->size, l->size}};
    pare_shape w = {.rank = 4, .dims = {l->outputs, l->channels / l->groups, kernel, kernel}};
    pare_shape b = {.rank = 1, .dims = {l->outputs}}, y = {.rank = 4, .dims = {-1, l->outputs, out, out}};
    uint32_t inputs[3] = {tensor(builder, x, false, error), tensor(builder, w, true, error),
                          tensor(builder, b, true, error)};
    ends[0] = inputs[0];
    ends[1] = tensor(builder, y, false, error);
    must(pare_model_add_node(builder, "n", PARE_OP_CONV, inputs, 3, ends + 1, 1, &attrs, NULL, error), error);
}

static void add_dense(pare_model_builder *builder, const layer *l, uint32_t *ends, pare_error *error) {
    pare_fully_connected_attrs attrs = {.activation = {.function = PARE_FN_RELU}};
    pare_shape x = {.rank = 3, .dims = {-1, l->size, l->channels}}, w = {.rank = 2, .dims = {l->outputs, l->channels}};
    pare_shape b = {.rank = 1, .dims = {l->outputs}}, y = {.rank = 3, .dims = {-1, l->size, l->outputs}};
    uint32_t inputs[3] = {tensor(builder, x, false, error), tensor(builder, w, true, error),
                          tensor(builder, b, true, error)};
    ends[0] = inputs[0];
    ends[1] = tensor(builder, y, false, error);
    must(pare_model_add_node(builder, "n", PARE_OP_FULLY_CONNECTED, inputs, 3, ends + 1, 1, &attrs, NULL, error),
         error);
}

static double operations(const layer *l) {
    double dense = 2.0 * (double)l->channels * (double)l->outputs;
    if (l->kernel == 0) {
        return dense * (double)l->size;
    }
    int64_t out = (l->size + 2 * (l->kernel / 2) - l->kernel) / l->stride + 1;
    return dense / l->groups * (double)(out * out) * l->kernel * l->kernel;
}

static void measure(const layer *l, int32_t threads, int64_t batch) {
    pare_error error = {0};
    pare_model_builder *builder;
    pare_model *model;
    pare_session *session;
    uint32_t ends[2];
    must(pare_model_builder_create(&builder, &error), &error);
    (l->kernel > 0 ? add_conv : add_dense)(builder, l, ends, &error);
    must(pare_model_add_input(builder, ends[0], &error), &error);
    must(pare_model_add_output(builder, ends[1], &error), &error);
    must(pare_model_finish(builder, &model, &error), &error);
    pare_session_options options = {.struct_size = sizeof options, .batch = batch, .threads = threads};
    must(pare_session_create(model, &options, &session, &error), &error);
    pare_port in = pare_session_input(session, 0), out = pare_session_output(session, 0);
    float *x = values(in.bytes / sizeof *x), *y = values(out.bytes / sizeof *y);
    pare_input input = {x, in.bytes};
    pare_output_buffer output = {y, out.bytes};
    double best = 1e30, reorders = 1e30;
    const char *kernel = "?";
    pare_session_set_timing(session, 1);
    for (int round = 0; round < ROUNDS; round++) {
        double moved = 0.0;
        must(pare_session_run(session, &input, 1, &output, 1, &error), &error);
        for (size_t s = 0; s < pare_session_statistics(session).node_count; s++) {
            pare_step_info step = pare_session_step(session, s);
            if (step.kernel != NULL && strcmp(step.kernel, "reorder") != 0) {
                kernel = step.kernel;
                best = step.last_microseconds < best ? step.last_microseconds : best;
            } else {
                moved += step.last_microseconds;
            }
        }
        reorders = moved < reorders ? moved : reorders;
    }
    printf("%-26s %-24s %9.1f us %8.1f GFLOP/s", l->name, kernel, best, operations(l) * (double)batch / best * 1e-3);
    if (l->kernel == 0 && l->size * batch == 1) {
        printf(" %6.1f GB/s", (double)(l->channels * l->outputs) * sizeof(float) / best * 1e-3);
    }
    printf("   reorders %.1f us\n", reorders);
    free(x);
    free(y);
    pare_session_free(session);
    pare_model_release(model);
}

int main(int argc, char **argv) {
    int32_t threads = argc > 1 ? atoi(argv[1]) : 1;
    int64_t batch = argc > 2 ? atoi(argv[2]) : 1;
    printf("%s, %d thread(s), batch %lld\n", pare_backend(), threads, (long long)batch);
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        measure(&layers[i], threads, batch);
    }
    return 0;
}
