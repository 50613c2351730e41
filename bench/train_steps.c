/* Training steps on given batches, for comparison with bench/train_peer.py:
 *   bench_train_steps MODEL.onnx BATCHES --batch N [--steps N] [--threads N] [--lr X] [--momentum X] [--warmup N]
 * BATCHES holds, for each step, N float32 samples, then N labels as int32. Prints `step loss milliseconds` for each
 * step (forward, loss, backward, update), then a line of JSON. */
#include <getopt.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "pare/memory.h"
#include "pare/onnx_graph.h"
#include "pare/optimizer.h"
#include "train/tape/tape_internal.h"
#include "train/tape/tape_loss.h"
#include "train/tape/tape_record.h"
#include "train/tape/tape_run.h"

typedef struct settings {
    const char *model, *batches;
    int64_t batch;
    int steps, threads, warmup;
    double lr, momentum;
} settings;

typedef struct bench {
    pare_graph *graph;
    pare_tape *tape;
    pare_optimizer optimizer;
    const double *loss;
    uint32_t input, targets;
    size_t classes;
} bench;

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static bool parse(int argc, char **argv, settings *s) {
    static const struct option options[] = {
        {"batch", required_argument, NULL, 'b'},
        {"steps", required_argument, NULL, 's'},
        {"threads", required_argument, NULL, 't'},
        {"lr", required_argument, NULL, 'l'},
        {"momentum", required_argument, NULL, 'm'},
        {"warmup", required_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    int letter;
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'b':
            s->batch = atoll(optarg);
            break;
        case 's':
            s->steps = atoi(optarg);
            break;
        case 't':
            s->threads = atoi(optarg);
            break;
        case 'l':
            s->lr = atof(optarg);
            break;
        case 'm':
            s->momentum = atof(optarg);
            break;
        case 'w':
            s->warmup = atoi(optarg);
            break;
        default:
            return false;
        }
    }
    if (argc - optind != 2 || s->batch < 1) {
        return false;
    }
    s->model = argv[optind];
    s->batches = argv[optind + 1];
    return true;
}

static pare_status set_up(const settings *s, bench *b, pare_error *error) {
    PARE_TRY(pare_graph_load(s->model, NULL, &b->graph, error));
    PARE_TRY(tape_create(b->graph, s->batch, 0, &b->tape, error));
    PARE_TRY(tape_record_graph(b->tape, error));
    const pare_value *output = b->graph->outputs[0];
    bool softmax = output->producer != NULL && strcmp(output->producer->op->name, "Softmax") == 0;
    uint32_t logits = tape_find(b->tape, softmax ? output->producer->inputs[0] : output);
    b->input = tape_find(b->tape, b->graph->inputs[0]);
    b->classes = tape_tensor_at(b->tape, logits)->elements / (size_t)s->batch;
    pare_shape shape = {.rank = 2, .dims = {s->batch, (int64_t)b->classes}};
    b->targets = tape_extra_input(b->tape, "targets", PARE_F32, &shape);
    tape_loss_attrs attrs = {.kind = TAPE_LOSS_CROSS_ENTROPY, .weight = 1.0F};
    PARE_TRY(tape_record_loss(b->tape, &attrs, logits, b->targets, TAPE_NONE, &b->loss, error));
    PARE_TRY(tape_allocate(b->tape, error));
    PARE_TRY(tape_plan(b->tape, error));
    pare_optimizer_options options = {.kind = PARE_OPTIMIZER_SGD, .momentum = s->momentum};
    return pare_optimizer_create(&options, b->tape->flat_count, &b->optimizer, error);
}

static bool read_batch(FILE *file, const settings *s, bench *b, int32_t *labels) {
    size_t count = tape_tensor_at(b->tape, b->input)->elements, batch = (size_t)s->batch;
    float *targets = tape_input_data(b->tape, b->targets);
    if (fread(tape_input_data(b->tape, b->input), sizeof(float), count, file) != count ||
        fread(labels, sizeof *labels, batch, file) != batch) {
        return false;
    }
    memset(targets, 0, batch * b->classes * sizeof *targets);
    for (size_t i = 0; i < batch; i++) {
        targets[i * b->classes + (size_t)labels[i]] = 1.0F;
    }
    return true;
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static pare_status run(const settings *s, bench *b, FILE *file, pare_error *error) {
    double *times = pare_alloc_zero((size_t)s->steps + 1, sizeof *times), total = 0;
    int32_t *labels = pare_alloc_zero((size_t)s->batch, sizeof *labels);
    pare_parameter_group all = {.count = b->tape->flat_count, .lr_scale = 1.0};
    pare_status status = times != NULL && labels != NULL ? PARE_OK : pare_fail_memory(error, 0);
    int made = 0, counted = 0;
    for (; status == PARE_OK && made < s->steps && read_batch(file, s, b, labels); made++) {
        double start = milliseconds();
        status = tape_forward(b->tape, (uint64_t)made, error);
        if (status == PARE_OK) {
            status = tape_backward(b->tape, error);
        }
        (void)pare_optimizer_update(&b->optimizer, b->tape->values, b->tape->gradients, &all, 1, s->lr);
        double taken = milliseconds() - start;
        printf("%d %.7f %.2f\n", made, *b->loss, taken);
        if (made >= s->warmup) {
            times[counted++] = taken;
            total += taken;
        }
    }
    if (status == PARE_OK && counted > 0) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        qsort(times, (size_t)counted, sizeof *times, compare);
        printf("{\"steps\": %d, \"images_per_second_mean\": %.2f, \"images_per_second_median\": %.2f, "
               "\"peak_rss_bytes\": %lld, \"step_bytes\": %zu}\n",
               made, 1e3 * (double)s->batch * counted / total, 1e3 * (double)s->batch / times[counted / 2],
               (long long)usage.ru_maxrss * 1024, b->tape->block_bytes);
    }
    pare_free(times);
    pare_free(labels);
    return status;
}

int main(int argc, char **argv) {
    settings s = {.steps = 20, .threads = 2, .lr = 0.01, .momentum = 0.9, .warmup = 3};
    bench b = {0};
    pare_error error = {PARE_OK, PARE_NO_OFFSET, ""};
    if (!parse(argc, argv, &s)) {
        fprintf(stderr, "usage: bench_train_steps MODEL.onnx BATCHES --batch N [--steps N] [--threads N] [--lr X] "
                        "[--momentum X] [--warmup N]\n");
        return PARE_USAGE;
    }
    FILE *file = fopen(s.batches, "rb");
    if (file == NULL) {
        perror(s.batches);
        return PARE_IO;
    }
    omp_set_dynamic(0);
    omp_set_num_threads(s.threads);
    pare_status status = set_up(&s, &b, &error);
    if (status == PARE_OK) {
        status = run(&s, &b, file, &error);
    }
    if (status != PARE_OK) {
        fprintf(stderr, "bench_train_steps: %s\n", error.message);
    }
    (void)fclose(file);
    pare_optimizer_free(&b.optimizer);
    tape_free(b.tape);
    pare_graph_free(b.graph);
    return (int)status;
}
