/* Post-training quantization: calibrate, choose scales, round weights. */
#ifndef PARE_QUANTIZE_H
#define PARE_QUANTIZE_H

#include "pare/dataset.h"
#include "pare/evaluate.h"
#include "pare/graph.h"
#include "pare/preprocess.h"

typedef enum pare_calibration_method {
    PARE_CALIBRATE_MINMAX = 0,
    PARE_CALIBRATE_PERCENTILE = 1,
    PARE_CALIBRATE_ENTROPY = 2,
    PARE_CALIBRATE_MSE = 3
} pare_calibration_method;

/* What was seen of one value. */
typedef struct pare_range {
    const char *name;
    float low, high;        /* the chosen range */
    float minimum, maximum; /* everything seen */
    double mean;
    uint64_t count;
} pare_range;

typedef struct pare_calibration {
    pare_range *ranges;
    size_t count;
    size_t samples;
} pare_calibration;
void pare_calibration_free(pare_calibration *calibration);

/* Two passes over `dataset`: extremes, then fixed-bin histograms, of each named
 * value. Memory depends on the number of values, not of samples. minmax needs
 * one pass only. PARE_BAD_INPUT when a value is NaN or infinite (named). */
pare_status pare_calibrate(const pare_graph *graph, const char *const *values, size_t value_count,
                           pare_dataset *dataset, const pare_preprocess *preprocess, pare_calibration_method method,
                           double percentile, const pare_run_options *options, pare_calibration *calibration,
                           pare_error *error);

/* The same, where value v will have a grid of steps[v] steps: what has fewer than
 * 255 takes the range of least squared error on its own grid in place of the
 * method's. */
pare_status pare_calibrate_steps(const pare_graph *graph, const char *const *values, const unsigned *steps,
                                 size_t value_count, pare_dataset *dataset, const pare_preprocess *preprocess,
                                 pare_calibration_method method, double percentile, const pare_run_options *options,
                                 pare_calibration *calibration, pare_error *error);

/* What keeps 8-bit weights exact on CPUs without VNNI (CONTAINER.md, "pairs"). */
typedef enum pare_pair_rule {
    PARE_PAIRS_NUDGE = 0,      /* offending pairs are re-rounded: |a| + |b| <= 128 */
    PARE_PAIRS_SEVEN_BITS = 1, /* |w| <= 64 */
    PARE_PAIRS_FREE = 2        /* full range; the exact 16-bit kernel runs where needed */
} pare_pair_rule;

typedef struct pare_quantize_options {
    bool activations_float; /* weights only */
    bool per_tensor;        /* weights: one scale a tensor */
    pare_calibration_method method;
    double percentile; /* 0: 99.999 */
    pare_pair_rule pairs;
    bool unbalanced;            /* leaves channels' ranges as they are (else weight factorization, Meller 2019) */
    bool equalize;              /* cross-layer equalization (Nagel 2019, eq. 11) first */
    bool bias_correction;       /* empirical (Nagel 2019, section 4.2) */
    const char *const *exclude; /* names of nodes that stay in float */
    size_t exclude_count;
    size_t exclude_worst; /* so many more, from measured sensitivity */
} pare_quantize_options;

typedef struct pare_layer_report {
    const char *node, *op;
    double weight_sqnr_db;
    double sensitivity; /* mean squared output error with only this layer quantized, relative; NAN if not measured */
    size_t nudged_pairs, pairs;
    bool excluded;
} pare_layer_report;

typedef struct pare_quantize_report {
    pare_layer_report *layers;
    size_t layer_count;
    size_t samples;
    pare_arena arena; /* owns names and layers */
} pare_quantize_report;
void pare_quantize_report_free(pare_quantize_report *report);

/* Quantizes `graph` in place: folds BatchNormalization, then sets quantization
 * on values and turns weights and biases into integers. `report` may be NULL.
 * PARE_USAGE names an excluded node that does not exist. */
pare_status pare_quantize(pare_graph *graph, pare_dataset *dataset, const pare_preprocess *preprocess,
                          const pare_quantize_options *options, const pare_run_options *run_options,
                          pare_quantize_report *report, pare_error *error);

#endif
