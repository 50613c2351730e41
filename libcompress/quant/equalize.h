/* Cross-layer equalization. Private to quant. */
#ifndef PARE_EQUALIZE_H
#define PARE_EQUALIZE_H

#include "pare/graph.h"

/* Scales channel i of a layer by 1 / s and the next layer's input i by s, with
 * s = sqrt(r1 r2) / r2 (Nagel 2019, "Data-free quantization", eq. 11), for pairs
 * of weighted layers with nothing or a Relu between; repeated until it settles.
 * The network's function is unchanged. */
pare_status equalize_layers(pare_graph *graph, pare_error *error);

#endif
