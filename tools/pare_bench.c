/* pare-bench: latency and memory of a model on this machine. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "cli.h"
#include "model_file.h"
#include "pare/latency.h"
#include "pare/memory.h"
#include "report.h"

static int64_t iterations, warm_up = 3;
static double seconds = 2.0;
static bool layers;

/* Enough runs for the asked time, 11 to 100,000. */
static size_t choose_iterations(double once_ms) {
    double wanted = 1000.0 * seconds / (once_ms > 1e-3 ? once_ms : 1e-3);
    return wanted < 11.0 ? 11 : wanted > 100000.0 ? 100000 : (size_t)wanted;
}

static pare_status measure_all(pare_latency_probe *probe, double **times, size_t *count, pare_error *error) {
    double once = 0.0;
    for (int64_t i = 0; i < warm_up || i == 0; i++) {
        PARE_TRY(pare_latency_measure(probe, &once, error));
    }
    *count = iterations > 0 ? (size_t)iterations : choose_iterations(once);
    *times = pare_alloc_zero(*count, sizeof **times);
    if (*times == NULL) {
        return pare_fail_memory(error, *count * sizeof **times);
    }
    for (size_t i = 0; i < *count; i++) {
        PARE_TRY(pare_latency_measure(probe, &(*times)[i], error));
        if (!cli_progress((void *)"benchmarking", i + 1, *count)) {
            return pare_fail(error, PARE_INTERRUPTED, "interrupted after %zu of %zu runs", i + 1, *count);
        }
    }
    return PARE_OK;
}

static pare_status print_layers(pare_latency_probe *probe, json_t *steps, pare_error *error) {
    pare_session *session = pare_latency_session(probe);
    size_t count = pare_session_statistics(session).node_count;
    double once;
    pare_session_set_timing(session, 1);
    PARE_TRY(pare_latency_measure(probe, &once, error));
    pare_session_set_timing(session, 0);
    printf("\n%-40s %-32s %12s\n", "node", "kernel", "time");
    for (size_t i = 0; i < count; i++) {
        pare_step_info step = pare_session_step(session, i);
        printf("%-40s %-32s %9.1f us\n", shown(step.node, 40), step.kernel, step.last_microseconds);
        json_array_append_new(steps, json_pack("{s:s,s:s,s:f}", "node", json_text(step.node), "kernel", step.kernel,
                                               "us", step.last_microseconds));
    }
    return PARE_OK;
}

static pare_status report(const model_file *file, pare_latency_probe *probe, double *times, size_t count,
                          double load_ms, pare_error *error) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    size_t peak = (size_t)usage.ru_maxrss * 1024;
    pare_session_stats stats = pare_session_statistics(pare_latency_session(probe));
    double median = pare_quantile(times, count, 0.5), p90 = pare_quantile(times, count, 0.9);
    int64_t batch = common.batch > 0 ? common.batch : 1;
    json_t *steps = json_array();
    if (common.json == NULL || strcmp(common.json, "-") != 0) {
        printf("%s: %s\n", shown(file->path, SIZE_MAX), size_text(file->bytes));
        printf("median             %.4f ms a run of batch %lld, %d thread%s\n", median, (long long)batch, stats.threads,
               stats.threads == 1 ? "" : "s");
        printf("fastest, p90       %.4f ms, %.4f ms over %zu runs\n", pare_quantile(times, count, 0.0), p90, count);
        printf("load               %.3f ms (reading, planning, packing weights)\n", load_ms);
        printf("activations        %s\npacked weights     %s\npeak memory        %s (whole process)\n",
               size_text(stats.arena_bytes), size_text(stats.packed_bytes), size_text(peak));
        printf("steps              %zu, of them %zu changes of layout\nbackend            %s\n", stats.node_count,
               stats.reorder_count, pare_backend());
        if (layers) {
            PARE_TRY(print_layers(probe, steps, error));
        }
    }
    return write_json(json_pack("{s:s,s:I,s:i,s:I,s:f,s:f,s:f,s:f,s:I,s:I,s:I,s:I,s:o}", "model", json_text(file->path),
                                "batch", (json_int_t)batch, "threads", (int)stats.threads, "iterations",
                                (json_int_t)count, "median_ms", median, "p90_ms", p90, "min_ms",
                                pare_quantile(times, count, 0.0), "load_ms", load_ms, "peak_rss_bytes",
                                (json_int_t)peak, "arena_bytes", (json_int_t)stats.arena_bytes, "packed_bytes",
                                (json_int_t)stats.packed_bytes, "file_bytes", (json_int_t)file->bytes, "steps", steps),
                      error);
}

static pare_status run(const cli_list *arguments, pare_error *error) {
    model_file file = {0};
    pare_latency_probe *probe = NULL;
    double *times = NULL, session_ms = 0.0;
    size_t count = 0;
    double began = pare_milliseconds_now();
    pare_status status = model_file_open(arguments->items[0], &file, error);
    if (status == PARE_OK) {
        status = model_file_lower(&file, error);
    }
    if (status == PARE_OK) {
        pare_session_options options = {.struct_size = sizeof options,
                                        .batch = common.batch,
                                        .threads = (int32_t)common.threads,
                                        .isa = (pare_isa)common.isa};
        status = pare_latency_open(file.model, &options, &probe, &session_ms, error);
    }
    double load_ms = pare_milliseconds_now() - began;
    if (status == PARE_OK) {
        status = measure_all(probe, &times, &count, error);
    }
    if (status == PARE_OK) {
        status = report(&file, probe, times, count, load_ms, error);
    }
    pare_free(times);
    pare_latency_close(probe);
    model_file_close(&file);
    return status;
}

int main(int argc, char **argv) {
    static const cli_option options[] = {
        {"iterations", 'n', CLI_WHOLE, &iterations, "N", "timed runs (default: about two seconds' worth)", 1, 1e7,
         NULL},
        {"seconds", 0, CLI_NUMBER, &seconds, "S", "how long, without --iterations (default 2)", 0.001, 3600, NULL},
        {"warm-up", 0, CLI_WHOLE, &warm_up, "N", "runs before (default 3)", 0, 1e6, NULL},
        {"layers", 0, CLI_FLAG, &layers, NULL, "time of each step with its kernel's name", 0, 0, NULL},
        CLI_BATCH,
        CLI_THREADS,
        CLI_ISA,
        CLI_SHAPE,
        CLI_JSON,
        CLI_QUIET,
    };
    static const cli_tool tool = {
        .name = "pare-bench",
        .summary = "latency and memory of a model (.pare or .onnx) on this machine",
        .usage = "MODEL [options]",
        .details = "examples:\n"
                   "  pare-bench net.pare --threads 1\n"
                   "  pare-bench net.pare --batch 8 --iterations 200 --json -\n"
                   "  pare-bench net.pare --layers\n",
        .options = options,
        .option_count = sizeof options / sizeof options[0],
        .least_arguments = 1,
        .most_arguments = 1,
        .run = run,
    };
    return cli_main(&tool, argc, argv);
}
