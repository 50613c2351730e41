/* Which of a network's weights are to be zeros. */
#ifndef PARE_WEIGHT_CHOICE_H
#define PARE_WEIGHT_CHOICE_H

#include "pare/prune.h"

typedef struct prune_layer {
    const float *weights;
    size_t count;
} prune_layer;

/* chosen[i]: weight i, the layers' one behind the other, is among the `share` (rounded to a whole number, of all or of
 * each layer) that matters least; of equals the first ones are. */
pare_status prune_choose_weights(const prune_layer *layers, size_t count, pare_sparsity_scope scope, double share,
                                 bool *chosen, pare_error *error);

#endif
