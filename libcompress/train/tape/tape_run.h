/* A tape's life: create, record (tape_record.h), add losses, allocate the flat
 * vectors, plan, run, free. */
#ifndef PARE_TAPE_RUN_H
#define PARE_TAPE_RUN_H

#include "train/tape/tape.h"

/* `graph` must outlive the tape; `batch` binds its open dimension. */
pare_status tape_create(pare_graph *graph, int64_t batch, uint64_t seed, pare_tape **tape, pare_error *error);
/* Of the primitives that the tape uses: "avx512_core", ...; static. */
const char *tape_instruction_set(void);
/* Accepts NULL. */
void tape_free(pare_tape *tape);
/* Flat vectors with the graph's numbers in them, and memory for the inputs; after all recording. */
pare_status tape_allocate(pare_tape *tape, pare_error *error);
pare_status tape_plan(pare_tape *tape, pare_error *error);
/* One direction, then the other: values, then gradients into the flat vector. `step` numbers the run for dropout. */
pare_status tape_forward(pare_tape *tape, uint64_t step, pare_error *error);
pare_status tape_backward(pare_tape *tape, pare_error *error);
/* Memory of an input: exactly its bytes. */
void *tape_input_data(pare_tape *tape, uint32_t tensor);
/* Writes the flat vectors back into the graph's constants. */
pare_status tape_store(pare_tape *tape, const float *values, const float *running, pare_error *error);
/* Patterns of node names whose constants stay as they are (not copied); with `batch_norm` running statistics stay,
 * and are what training uses. Before recording. */
void tape_freeze(pare_tape *tape, const char *const *patterns, size_t count, bool batch_norm);
/* The batch is that of one of several processes. Before recording. */
void tape_spread(pare_tape *tape, const tape_ranks *ranks);
/* After a forward pass whose loss is not finite: the first node with an output that is not, NULL where there is none.
 * Runs forwards again, to the end: other ranks may be waiting. */
const pare_node *tape_find_not_finite(pare_tape *tape);

#endif
