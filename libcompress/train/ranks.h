/* What the ranks of a run exchange. Every function is called by all ranks in the
 * same order. Sums run in the order of the ranks, so each rank gets the same bits,
 * and the same from run to run, whatever MPI's algorithms. Alone, all of it is free.
 * Implemented in train/mpi, or in train/no_mpi for a build without MPI. */
#ifndef PARE_TRAIN_RANKS_H
#define PARE_TRAIN_RANKS_H

#include <stddef.h>

#include "pare/ranks.h"

#define RANKS_MOST 1024

/* all [count × bytes]: the `own` of each rank, in order. For small things. PARE_IO: the ranks are lost. */
pare_status ranks_gather(const void *own, size_t bytes, void *all, pare_error *error);
/* The bytes of rank `from` become those of all. */
pare_status ranks_share(size_t from, void *data, size_t bytes, pare_error *error);
/* Floats that ranks_average needs beside `count` values; PARE_LIMIT where MPI cannot count them. */
pare_status ranks_average_scratch(size_t count, size_t *floats, pare_error *error);
/* Each value becomes the mean of all ranks', added up in double and rounded once. */
pare_status ranks_average(float *values, size_t count, float *scratch, pare_error *error);

/* ranks.c: how many processes the launcher started; 1 without one. */
size_t ranks_launched(void);
/* Remembers that the ranks agreed upon a failure; whether they did. For the two implementations. */
void ranks_note_agreed(void);
bool ranks_agreed(void);

#endif
