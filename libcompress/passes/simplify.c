#include "pare/passes.h"

#define FOLD_LIMIT ((size_t)64 << 20)
#define MOST_ROUNDS 16

pare_status pare_simplify(pare_graph *graph, pare_error *error) {
    bool changed = true;
    PARE_TRY(pare_infer_and_fold(graph, error));
    for (int round = 0; changed && round < MOST_ROUNDS; round++) {
        changed = false;
        PARE_TRY(pare_canonicalize(graph, &changed, error));
        PARE_TRY(pare_remove_identities(graph, &changed, error));
        PARE_TRY(pare_remove_dead(graph, &changed, error));
        if (changed) {
            PARE_TRY(pare_fold_constants(graph, FOLD_LIMIT, &changed, error));
        }
    }
    return PARE_OK;
}
