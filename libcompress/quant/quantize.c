/* Post-training quantization, in the order in which it happens. */
#include "pare/quantize.h"

#include <math.h>
#include <string.h>

#include "apply.h"
#include "balance.h"
#include "bias_correction.h"
#include "equalize.h"
#include "pare/memory.h"
#include "pare/passes.h"
#include "selection.h"
#include "sensitivity.h"

/* Samples for what costs a run of the network for each layer. */
#define SAMPLES_PER_LAYER 64

typedef struct exclusion {
    const pare_quantize_options *options;
    const pare_quantize_report *report; /* rows found to be the worst */
} exclusion;

static bool is_excluded(const void *context, const pare_node *node) {
    const exclusion *e = context;
    for (size_t i = 0; i < e->options->exclude_count; i++) {
        if (strcmp(e->options->exclude[i], node->name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < e->report->layer_count; i++) {
        if (e->report->layers[i].excluded && strcmp(e->report->layers[i].node, node->name) == 0) {
            return true;
        }
    }
    return false;
}

static pare_status check_exclusions(const pare_graph *graph, const pare_quantize_options *options, pare_error *error) {
    for (size_t i = 0; i < options->exclude_count; i++) {
        bool found = false;
        for (const pare_node *node = graph->first; node != NULL; node = node->next) {
            found = found || strcmp(node->name, options->exclude[i]) == 0;
        }
        if (!found) {
            return pare_fail(error, PARE_USAGE, "no node is named \"%s\" (to be excluded)", options->exclude[i]);
        }
    }
    return PARE_OK;
}

static pare_status make_report(const pare_graph *graph, pare_quantize_report *report, pare_error *error) {
    memset(report, 0, sizeof *report);
    pare_arena_init(&report->arena, SIZE_MAX);
    report->layers = pare_arena_alloc(&report->arena, graph->node_count + 1, sizeof *report->layers);
    if (report->layers == NULL) {
        return pare_fail_memory(error, graph->node_count * sizeof *report->layers);
    }
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        if (weights_of(node) != NULL && node->op->integer != NULL) {
            pare_layer_report *row = &report->layers[report->layer_count++];
            *row = (pare_layer_report){.node = pare_arena_copy_string(&report->arena, node->name),
                                       .op = node->op->name,
                                       .weight_sqnr_db = (double)NAN,
                                       .sensitivity = (double)NAN};
            if (row->node == NULL) {
                return pare_fail_memory(error, strlen(node->name) + 1);
            }
        }
    }
    return PARE_OK;
}

/* The named exclusions first, then the layers whose quantization alone disturbs the output most. */
static void exclude_worst(pare_quantize_report *report, size_t count) {
    for (size_t k = 0; k < count; k++) {
        pare_layer_report *worst = NULL;
        for (size_t i = 0; i < report->layer_count; i++) {
            pare_layer_report *row = &report->layers[i];
            if (!row->excluded && !isnan(row->sensitivity) &&
                (worst == NULL || row->sensitivity > worst->sensitivity)) {
                worst = row;
            }
        }
        if (worst != NULL) {
            worst->excluded = true;
        }
    }
}

typedef struct quantization {
    pare_graph *graph;
    pare_dataset *dataset;
    const pare_preprocess *preprocess;
    const pare_quantize_options *options;
    const pare_run_options *run;
    pare_quantize_report *report;
    quant_selection selection;
    pare_calibration calibration;
} quantization;

static pare_status calibrate_selection(quantization *q, pare_error *error) {
    const char **names = pare_alloc_zero(q->selection.value_count, sizeof *names);
    if (names == NULL) {
        return pare_fail_memory(error, q->selection.value_count * sizeof *names);
    }
    for (size_t i = 0; i < q->selection.value_count; i++) {
        names[i] = q->selection.values[i]->name;
    }
    double percentile = q->options->percentile > 0.0 ? q->options->percentile : 99.999;
    pare_status status = pare_calibrate(q->graph, names, q->selection.value_count, q->dataset, q->preprocess,
                                        q->options->method, percentile, q->run, &q->calibration, error);
    pare_free(names);
    return status;
}

/* Opens the first samples of the calibration set a second time. */
static pare_status open_few(const quantization *q, pare_dataset **few, pare_error *error) {
    PARE_TRY(pare_dataset_open(pare_dataset_spec(q->dataset), few, error));
    size_t count = pare_dataset_count(q->dataset);
    pare_status status =
        pare_dataset_limit(*few, count < SAMPLES_PER_LAYER ? count : SAMPLES_PER_LAYER, false, 0, error);
    if (status != PARE_OK) {
        pare_dataset_close(*few);
        *few = NULL;
    }
    return status;
}

static pare_status choose_worst(quantization *q, const exclusion *excluded, pare_error *error) {
    pare_dataset *few = NULL;
    PARE_TRY(open_few(q, &few, error));
    pare_status status =
        measure_sensitivity(q->graph, &q->calibration, q->options, few, q->preprocess, q->run, q->report, error);
    pare_dataset_close(few);
    if (status == PARE_OK) {
        exclude_worst(q->report, q->options->exclude_worst);
        selection_free(&q->selection);
        pare_calibration_free(&q->calibration);
        status = selection_make(q->graph, is_excluded, excluded, &q->selection, error);
    }
    return status == PARE_OK ? calibrate_selection(q, error) : status;
}

static pare_status correct(quantization *q, const pare_graph *original, pare_error *error) {
    pare_dataset *few = NULL;
    PARE_TRY(open_few(q, &few, error));
    pare_status status = correct_biases(q->graph, original, &q->selection, few, q->preprocess, q->run, error);
    pare_dataset_close(few);
    return status;
}

static pare_status quantize_activations(quantization *q, pare_error *error) {
    exclusion excluded = {q->options, q->report};
    pare_graph *original = NULL;
    pare_status status = selection_make(q->graph, is_excluded, &excluded, &q->selection, error);
    if (status == PARE_OK && q->selection.node_count == 0) {
        status =
            pare_fail(error, PARE_UNSUPPORTED, "nothing to quantize: no node has constant weights and an integer form");
    }
    if (status == PARE_OK && !q->options->unbalanced && !q->options->per_tensor) {
        status = balance_channels(q->graph, &q->selection, q->dataset, q->preprocess, q->run, error);
    }
    if (status == PARE_OK) {
        status = calibrate_selection(q, error);
    }
    if (status == PARE_OK && q->options->exclude_worst > 0) {
        status = choose_worst(q, &excluded, error);
    }
    if (status == PARE_OK && q->options->bias_correction) {
        status = pare_graph_clone(q->graph, &original, error);
    }
    if (status == PARE_OK) {
        ranges_join(&q->selection, &q->calibration);
        q->report->samples = q->calibration.samples;
        status = apply_activations(q->graph, &q->selection, &q->calibration, error);
    }
    if (status == PARE_OK) {
        status = apply_weights(q->graph, &q->selection, q->options, q->report, error);
    }
    if (status == PARE_OK && q->options->bias_correction) {
        status = correct(q, original, error);
    }
    pare_graph_free(original);
    selection_free(&q->selection);
    pare_calibration_free(&q->calibration);
    return status;
}

static pare_status prepare(pare_graph *graph, const pare_quantize_options *options, pare_error *error) {
    bool changed = false;
    PARE_TRY(pare_fold_batchnorm(graph, &changed, error));
    PARE_TRY(pare_simplify(graph, error));
    PARE_TRY(pare_graph_check_finite(graph, error));
    PARE_TRY(check_exclusions(graph, options, error));
    return options->equalize ? equalize_layers(graph, error) : PARE_OK;
}

/* Weights only: every weighted node that is not excluded by name. */
static pare_status quantize_weights_only(quantization *q, pare_error *error) {
    exclusion excluded = {q->options, q->report};
    PARE_TRY(selection_make(q->graph, is_excluded, &excluded, &q->selection, error));
    pare_status status = apply_weights(q->graph, &q->selection, q->options, q->report, error);
    selection_free(&q->selection);
    return status;
}

pare_status pare_quantize(pare_graph *graph, pare_dataset *dataset, const pare_preprocess *preprocess,
                          const pare_quantize_options *options, const pare_run_options *run_options,
                          pare_quantize_report *report, pare_error *error) {
    pare_quantize_report own;
    memset(&own, 0, sizeof own);
    quantization q = {.graph = graph,
                      .dataset = dataset,
                      .preprocess = preprocess,
                      .options = options,
                      .run = run_options,
                      .report = report != NULL ? report : &own};
    PARE_TRY(prepare(graph, options, error));
    pare_status status = make_report(graph, q.report, error);
    if (status == PARE_OK) {
        status = options->activations_float ? quantize_weights_only(&q, error) : quantize_activations(&q, error);
    }
    bool changed = false;
    if (status == PARE_OK) {
        status = pare_remove_dead(graph, &changed, error); /* the float weights */
    }
    pare_quantize_report_free(&own);
    return status;
}

void pare_quantize_report_free(pare_quantize_report *report) {
    if (report != NULL) {
        pare_arena_free(&report->arena);
        memset(report, 0, sizeof *report);
    }
}
