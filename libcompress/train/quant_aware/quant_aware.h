/* Quantization-aware training: which values and weights become integers and on
 * what grids (the plan), fake quantization of them on a tape, and the quantized
 * network that results. What training simulates is what the runtime computes:
 *
 *     pare_quant_aware_prepare(float network) -> plan
 *     pare_quant_aware_use(plan, tape), record, allocate, plan, train
 *     tape_store, pare_quant_aware_load(plan, tape, values), pare_quant_aware_export(plan, graph)
 *
 * BatchNormalization stays while training and sees convolutions of rounded
 * weights; export folds it, which multiplies an output channel's scale (and
 * turns its integers' signs), never the integers. Activations of b < 8 bits are
 * levels 0 .. 2^b - 1 of the U8 grid of their scale: export puts a Clip in front
 * of it, so that the file is ordinary QDQ ONNX. Weights of b bits are S8 in
 * ±(2^(b - 1) - 1). Biases are multiples of x.step × w.step in training, too; what
 * remains between it and the integers are the roundings of sums of floats, which
 * at a tie may go the other way. */
#ifndef PARE_QUANT_AWARE_PLAN_H
#define PARE_QUANT_AWARE_PLAN_H

#include "pare/quant_aware.h"
#include "pare/quantize.h"
#include "train/tape/tape.h"

typedef struct pare_quant_aware pare_quant_aware;

/* The plan for `graph`, which is in the form that pare_simplify leaves (but for Dropout) and stays as it is: selection
 * and calibration on a clone with BatchNormalization folded backwards. 8-bit grids are those of post-training
 * quantization (percentile 99.999; scales of weights by round_weights); coarser ones begin at the least squared error.
 * Deterministic. PARE_USAGE: bits out of range, a pattern that matches nothing; PARE_UNSUPPORTED: nothing to quantize,
 * or a network that is not simplified; PARE_BAD_INPUT: weights or activations that are not finite. Free with
 * pare_quant_aware_free. */
pare_status pare_quant_aware_prepare(const pare_graph *graph, pare_dataset *calibration,
                                     const pare_preprocess *preprocess, const pare_quant_aware_options *options,
                                     const pare_run_options *run, pare_quant_aware **plan, pare_error *error);
/* Accepts NULL. */
void pare_quant_aware_free(pare_quant_aware *plan);

/* What is recorded on the tape from here on is quantized; the plan must outlive the tape. NULL: nothing. */
void pare_quant_aware_use(const pare_quant_aware *plan, pare_tape *tape);

/* Steps of the plan become those in `values`, a flat vector of a tape that recorded the plan (the weights, an average
 * of them, a checkpoint's); steps that are not trained stay. */
void pare_quant_aware_load(pare_quant_aware *plan, const pare_tape *tape, const float *values);

/* Quantizes `graph`, the one that the plan was prepared for with trained weights and statistics in it (tape_store), or
 * a clone of it. PARE_INTERNAL names what does not fit the plan. */
pare_status pare_quant_aware_export(const pare_quant_aware *plan, pare_graph *graph, pare_error *error);

/* --- recording: tape.c ----------------------------------------------------------- */

/* The tensor `x` of `value`, as readers see it: itself, or rounded where the plan has the value. `node` produced it,
 * or NULL for an input of the network. */
pare_status quant_aware_activation(pare_tape *tape, const pare_node *node, const pare_value *value, uint32_t *x,
                                   pare_error *error);
/* Likewise for input `index` of `node`, where that holds weights or the bias of a layer of the plan; with `frozen` the
 * steps are not trained. A bias behind which there is a BatchNormalization stays: export folds that into it. */
pare_status quant_aware_weight(pare_tape *tape, const pare_node *node, size_t index, bool frozen, uint32_t *w,
                               pare_error *error);
/* Likewise for the bias of a BatchNormalization with these parameters that export folds into a layer of the plan. */
pare_status quant_aware_norm_bias(pare_tape *tape, const pare_node *node, uint32_t scale, uint32_t mean,
                                  uint32_t variance, float epsilon, uint32_t *bias, pare_error *error);

#endif
