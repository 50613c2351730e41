#include "sensitivity.h"

#include <string.h>

#include "apply.h"
#include "pare/lower.h"
#include "pare/memory.h"
#include "selection.h"

/* Outputs of a run, one after the other. */
typedef struct output_record {
    float *values;
    size_t count, capacity;
} output_record;

static pare_status record(void *context, const float *inputs, size_t inputs_per_sample, const float *outputs,
                          size_t outputs_per_sample, const int64_t *classes, const float *values,
                          size_t targets_per_sample, size_t count, pare_error *error) {
    output_record *r = context;
    (void)inputs;
    (void)inputs_per_sample;
    (void)classes;
    (void)values;
    (void)targets_per_sample;
    size_t more = count * outputs_per_sample;
    if (r->count + more > r->capacity) {
        size_t capacity = (r->count + more) * 2;
        float *grown = pare_realloc(r->values, capacity * sizeof *grown);
        if (grown == NULL) {
            return pare_fail_memory(error, capacity * sizeof *grown);
        }
        r->values = grown;
        r->capacity = capacity;
    }
    memcpy(r->values + r->count, outputs, more * sizeof *outputs);
    r->count += more;
    return PARE_OK;
}

static pare_status run_graph(const pare_graph *graph, pare_dataset *dataset, const pare_preprocess *preprocess,
                             const pare_run_options *options, output_record *outputs, pare_error *error) {
    pare_model *model = NULL;
    pare_run_options run = *options;
    run.progress = NULL;
    PARE_TRY(pare_graph_lower(graph, &model, error));
    outputs->count = 0;
    pare_status status = pare_run_dataset(model, dataset, preprocess, &run, record, outputs, error);
    pare_model_release(model);
    return status;
}

static bool is_other_node(const void *context, const pare_node *node) {
    return strcmp(node->name, context) != 0;
}

static pare_status quantize_one(const pare_graph *graph, const char *node, const pare_calibration *calibration,
                                const pare_quantize_options *options, pare_graph **copy, pare_error *error) {
    quant_selection selection;
    PARE_TRY(pare_graph_clone(graph, copy, error));
    PARE_TRY(selection_make(*copy, is_other_node, node, &selection, error));
    /* A layer's output was not calibrated where a Relu after it absorbs it. */
    for (size_t n = 0; n < selection.node_count; n++) {
        pare_value *output = selection.nodes[n]->outputs[0];
        pare_node *user = pare_graph_only_user(*copy, output);
        if (range_find(calibration, output->name) == NULL && user != NULL) {
            selection.nodes[selection.node_count++] = user;
            break;
        }
    }
    pare_status status = apply_activations(*copy, &selection, calibration, error);
    if (status == PARE_OK) {
        status = apply_weights(*copy, &selection, options, NULL, error);
    }
    selection_free(&selection);
    return status;
}

static double relative_error(const output_record *expected, const output_record *found) {
    double signal = 0.0, noise = 0.0;
    for (size_t i = 0; i < expected->count; i++) {
        double x = (double)expected->values[i], d = (double)found->values[i] - x;
        signal += x * x;
        noise += d * d;
    }
    return signal > 0.0 ? noise / signal : noise;
}

pare_status measure_sensitivity(const pare_graph *graph, const pare_calibration *calibration,
                                const pare_quantize_options *options, pare_dataset *dataset,
                                const pare_preprocess *preprocess, const pare_run_options *run_options,
                                pare_quantize_report *report, pare_error *error) {
    output_record expected = {0}, found = {0};
    pare_status status = run_graph(graph, dataset, preprocess, run_options, &expected, error);
    for (size_t i = 0; status == PARE_OK && i < report->layer_count; i++) {
        pare_graph *copy = NULL;
        status = quantize_one(graph, report->layers[i].node, calibration, options, &copy, error);
        if (status == PARE_OK) {
            status = run_graph(copy, dataset, preprocess, run_options, &found, error);
        }
        if (status == PARE_OK) {
            report->layers[i].sensitivity = relative_error(&expected, &found);
        }
        pare_graph_free(copy);
        if (status == PARE_OK && run_options->progress != NULL &&
            !run_options->progress(run_options->progress_context, i + 1, report->layer_count)) {
            status = pare_fail(error, PARE_INTERRUPTED, "interrupted while measuring sensitivity");
        }
    }
    pare_free(expected.values);
    pare_free(found.values);
    return status;
}
