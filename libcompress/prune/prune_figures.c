/* What a pruned network amounts to. */
#include "pare/latency.h"
#include "pare/lower.h"
#include "pare/memory.h"
#include "prune/prune_internal.h"

enum { WARM_UP_RUNS = 3, TIMED_RUNS = 25 };

pare_status prune_file_bytes(pare_model *model, size_t *bytes, pare_error *error) {
    uint8_t *data = NULL;
    PARE_TRY(pare_model_to_bytes(model, NULL, &data, bytes, error));
    pare_free(data);
    return PARE_OK;
}

static pare_status measure_latency(pare_model *model, int32_t threads, double *median, pare_error *error) {
    pare_session_options options = {.struct_size = sizeof options, .batch = 1, .threads = threads};
    pare_latency_probe *probe = NULL;
    double planning, times[TIMED_RUNS];
    PARE_TRY(pare_latency_open(model, &options, &probe, &planning, error));
    pare_status status = PARE_OK;
    for (int i = -WARM_UP_RUNS; status == PARE_OK && i < TIMED_RUNS; i++) {
        status = pare_latency_measure(probe, &times[i < 0 ? 0 : i], error);
    }
    pare_latency_close(probe);
    *median = status == PARE_OK ? pare_quantile(times, TIMED_RUNS, 0.5) : 0;
    return status;
}

pare_status prune_measure(const pare_graph *graph, const pare_channel_prune_options *options,
                          pare_prune_figures *figures, pare_error *error) {
    const pare_prune_target *target = &options->target;
    pare_model *model = NULL;
    *figures = (pare_prune_figures){.macs = pare_graph_macs(graph), .parameters = pare_graph_parameters(graph)};
    if (target->bytes == 0 && target->latency_ms == 0) {
        return PARE_OK;
    }
    PARE_TRY(pare_graph_lower(graph, &model, error));
    pare_status status = target->bytes > 0 ? prune_file_bytes(model, &figures->bytes, error) : PARE_OK;
    if (status == PARE_OK && target->latency_ms > 0) {
        status = measure_latency(model, options->threads, &figures->latency_ms, error);
    }
    pare_model_release(model);
    return status;
}
