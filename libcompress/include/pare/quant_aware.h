/* Options of quantization-aware training (train.h). */
#ifndef PARE_QUANT_AWARE_H
#define PARE_QUANT_AWARE_H

#include <stddef.h>
#include <stdint.h>

#include "pare/quantize.h"

typedef struct pare_quant_aware_options {
    int32_t weight_bits, activation_bits; /* 2 to 8 */
    int32_t first_last_bits;              /* weights and inputs of layers with none before or behind them, and
                                             everything behind the last: 2 to 8; 0: as all others */
    const char *const *exclude;           /* patterns (fnmatch) of names of nodes that stay in float */
    size_t exclude_count;
    pare_pair_rule pairs; /* of 8-bit weights */
} pare_quant_aware_options;

#endif
