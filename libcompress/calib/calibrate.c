/* Two passes over the data: extremes, then histograms. Activations are seen
 * through the runtime's observe callback and never stored. */
#include <math.h>
#include <string.h>

#include "histogram.h"
#include "pare/checked.h"
#include "pare/lower.h"
#include "pare/memory.h"
#include "pare/quantize.h"

typedef struct observer {
    histogram *histograms;
    uint32_t *slot_of_tensor; /* PARE_NONE: not asked for */
    uint32_t tensor_count;
    bool filling;
} observer;

static void observe(void *context, uint32_t tensor, const char *name, pare_dtype dtype, const pare_shape *shape,
                    const void *data) {
    observer *o = context;
    size_t count;
    (void)name;
    if (tensor >= o->tensor_count || o->slot_of_tensor[tensor] == PARE_NONE || dtype != PARE_F32 ||
        !pare_shape_elements(shape, &count)) {
        return;
    }
    histogram *h = &o->histograms[o->slot_of_tensor[tensor]];
    if (o->filling) {
        histogram_fill(h, data, count);
    } else {
        histogram_extend(h, data, count);
    }
}

static pare_status find_tensors(observer *o, const pare_model *model, const char *const *values, size_t value_count,
                                pare_error *error) {
    o->tensor_count = model->tensor_count;
    o->slot_of_tensor = pare_alloc_zero(model->tensor_count, sizeof *o->slot_of_tensor);
    if (o->slot_of_tensor == NULL) {
        return pare_fail_memory(error, model->tensor_count * sizeof *o->slot_of_tensor);
    }
    for (uint32_t t = 0; t < model->tensor_count; t++) {
        o->slot_of_tensor[t] = PARE_NONE;
        for (size_t v = 0; v < value_count; v++) {
            if (strcmp(model->tensors[t].name, values[v]) == 0) {
                o->slot_of_tensor[t] = (uint32_t)v;
                break;
            }
        }
    }
    return PARE_OK;
}

/* The largest batch up to the asked one that divides the set, so that no padded
 * sample is observed. */
static int64_t dividing_batch(size_t samples, int64_t batch) {
    int64_t limit = batch > 0 ? batch : 4;
    while (limit > 1 && samples % (size_t)limit != 0) {
        limit--;
    }
    return limit;
}

static pare_status check_seen(const histogram *histograms, const char *const *values, size_t value_count,
                              pare_error *error) {
    for (size_t v = 0; v < value_count; v++) {
        if (histograms[v].count == 0) {
            return pare_fail(error, PARE_INTERNAL, "calibration never saw value \"%s\"", values[v]);
        }
        if (!histograms[v].finite) {
            return pare_fail(error, PARE_BAD_INPUT, "calibration: value \"%s\" is NaN or infinite on this data",
                             values[v]);
        }
    }
    return PARE_OK;
}

static bool is_coarse(const unsigned *steps, size_t value) {
    return steps != NULL && steps[value] < 255;
}

/* Extremes are not enough. */
static bool needs_histograms(pare_calibration_method method, const unsigned *steps, size_t value_count) {
    bool needed = method != PARE_CALIBRATE_MINMAX;
    for (size_t v = 0; v < value_count; v++) {
        needed = needed || is_coarse(steps, v);
    }
    return needed;
}

static pare_status summarize(const histogram *histograms, const char *const *values, const unsigned *steps,
                             size_t value_count, pare_calibration_method method, double percentile,
                             pare_calibration *calibration, pare_error *error) {
    calibration->ranges = pare_alloc_zero(value_count, sizeof *calibration->ranges);
    if (calibration->ranges == NULL) {
        return pare_fail_memory(error, value_count * sizeof *calibration->ranges);
    }
    calibration->count = value_count;
    for (size_t v = 0; v < value_count; v++) {
        const histogram *h = &histograms[v];
        pare_range *range = &calibration->ranges[v];
        *range = (pare_range){.name = values[v],
                              .minimum = h->minimum,
                              .maximum = h->maximum,
                              .mean = h->sum / (double)h->count,
                              .count = h->count};
        if (is_coarse(steps, v)) {
            histogram_coarse_range(h, steps[v], &range->low, &range->high);
        } else {
            histogram_range(h, method, percentile, &range->low, &range->high);
        }
    }
    return PARE_OK;
}

pare_status pare_calibrate_steps(const pare_graph *graph, const char *const *values, const unsigned *steps,
                                 size_t value_count, pare_dataset *dataset, const pare_preprocess *preprocess,
                                 pare_calibration_method method, double percentile, const pare_run_options *options,
                                 pare_calibration *calibration, pare_error *error) {
    memset(calibration, 0, sizeof *calibration);
    observer o = {.histograms = pare_alloc_zero(value_count, sizeof *o.histograms)};
    uint64_t *bins = NULL;
    pare_model *model = NULL;
    pare_run_options run = *options;
    /* Fused values would not be seen: a residual sum swallows its convolution's output. */
    pare_status status = pare_graph_lower_with(graph, &(pare_lower_options){.keep_values = true}, &model, error);
    if (status == PARE_OK && o.histograms == NULL) {
        status = pare_fail_memory(error, value_count * sizeof *o.histograms);
    }
    if (status != PARE_OK || (status = find_tensors(&o, model, values, value_count, error)) != PARE_OK) {
        goto done;
    }
    for (size_t v = 0; v < value_count; v++) {
        o.histograms[v] = (histogram){.minimum = INFINITY, .maximum = -INFINITY, .finite = true};
    }
    run.batch = dividing_batch(pare_dataset_count(dataset), options->batch);
    run.observe = observe;
    run.observe_context = &o;
    status = pare_run_dataset(model, dataset, preprocess, &run, NULL, NULL, error);
    if (status != PARE_OK || (status = check_seen(o.histograms, values, value_count, error)) != PARE_OK) {
        goto done;
    }
    if (needs_histograms(method, steps, value_count)) {
        bins = pare_alloc_zero(value_count, HISTOGRAM_BINS * sizeof *bins);
        if (bins == NULL) {
            status = pare_fail_memory(error, value_count * HISTOGRAM_BINS * sizeof *bins);
            goto done;
        }
        for (size_t v = 0; v < value_count; v++) {
            o.histograms[v].bins = bins + v * HISTOGRAM_BINS;
        }
        o.filling = true;
        status = pare_run_dataset(model, dataset, preprocess, &run, NULL, NULL, error);
    }
    if (status == PARE_OK) {
        status = summarize(o.histograms, values, steps, value_count, method, percentile, calibration, error);
        calibration->samples = pare_dataset_count(dataset);
    }
done:
    pare_model_release(model);
    pare_free(o.histograms);
    pare_free(o.slot_of_tensor);
    pare_free(bins);
    return status;
}

pare_status pare_calibrate(const pare_graph *graph, const char *const *values, size_t value_count,
                           pare_dataset *dataset, const pare_preprocess *preprocess, pare_calibration_method method,
                           double percentile, const pare_run_options *options, pare_calibration *calibration,
                           pare_error *error) {
    return pare_calibrate_steps(graph, values, NULL, value_count, dataset, preprocess, method, percentile, options,
                                calibration, error);
}

void pare_calibration_free(pare_calibration *calibration) {
    if (calibration != NULL) {
        pare_free(calibration->ranges);
        memset(calibration, 0, sizeof *calibration);
    }
}
