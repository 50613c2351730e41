/* Training over several processes, data-parallel: a launcher (mpirun) starts the
 * same program N times, each process (a rank) takes its share of every batch, and
 * all of them make the same step. Rank 0 alone writes files and reports.
 *
 * A program calls pare_ranks_begin before pare_train and pare_ranks_end last. One
 * that does not, or that no launcher started, is rank 0 of 1; nothing of MPI is
 * touched then. All calls come from one thread. */
#ifndef PARE_RANKS_H
#define PARE_RANKS_H

#include <stdbool.h>
#include <stddef.h>

#include "pare/status.h"

/* Joins the ranks that the launcher started (OMPI_COMM_WORLD_SIZE or PMI_SIZE above 1 in the environment); further
 * calls do nothing. PARE_UNSUPPORTED in a build without MPI, where each process would train for itself and all would
 * write the same output; PARE_LIMIT beyond 1024 ranks. */
pare_status pare_ranks_begin(pare_error *error);
/* For a program that is about to exit with `status`, all its messages being out. A failure that the ranks have not
 * agreed upon ends them all (MPI_Abort), since they may be waiting for this one. */
void pare_ranks_end(pare_status status);

size_t pare_ranks_rank(void);  /* from 0 */
size_t pare_ranks_count(void); /* 1: alone */

/* Called by every rank at the same point, with what it has come to: all get PARE_OK, or the status of the lowest rank
 * that failed with its message, which names it ("rank 1 of 4: ...") unless every rank failed. PARE_IO where the others
 * cannot be reached. */
pare_status pare_ranks_agree(pare_status status, pare_error *error);
/* True in the process whose task it is to print an error: rank 0 where the ranks agreed upon it, else the one that has
 * it. */
bool pare_ranks_speaks(void);

#endif
