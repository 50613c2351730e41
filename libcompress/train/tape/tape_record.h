/* What records a whole graph, and steps that belong to no operator. */
#ifndef PARE_TAPE_RECORD_H
#define PARE_TAPE_RECORD_H

#include "train/tape/tape.h"

/* Inputs, then every node in order. PARE_UNSUPPORTED names the node without a gradient. */
pare_status tape_record_graph(pare_tape *tape, pare_error *error);
/* Tensor of a graph's value as its readers see it (rounded, in quantization-aware training), but of an input that
 * which is set; or TAPE_NONE. */
uint32_t tape_find(const pare_tape *tape, const pare_value *value);
/* Appends the input; its elements are set before each run. */
uint32_t tape_add_input(pare_tape *tape, const pare_value *value);
/* A parameter that is no constant of the graph (a projection, a step size); `name` must outlive the tape. */
uint32_t tape_parameter_like(pare_tape *tape, const char *name, const pare_shape *shape, const float *data,
                             bool decays);
/* An operator that only moves elements: the map is found by running it on the numbers of its input's elements. */
pare_status tape_record_move(pare_tape *tape, const pare_node *node, pare_error *error);
/* A node that no parameter reaches runs in the runtime, forwards only. */
pare_status tape_record_fixed(pare_tape *tape, const pare_node *node, pare_error *error);

#endif
