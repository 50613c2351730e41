/* Ranks as the processes of an MPI job. */
#include <limits.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "train/ranks.h"

static struct {
    MPI_Comm comm; /* a duplicate of the world whose errors return */
    size_t rank, count;
    bool joined, owns_mpi;
} ranks = {.count = 1};

/* --- joining and leaving --------------------------------------------------------------- */

static pare_status fail(pare_error *error, int code) {
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    (void)MPI_Error_string(code, text, &length);
    return pare_fail(error, PARE_IO, "expected the other ranks to answer, found: %s", text);
}

static pare_status initialize(pare_error *error) {
    int has_mpi = 0, level = MPI_THREAD_SINGLE, code = MPI_Initialized(&has_mpi);
    if (code == MPI_SUCCESS && !has_mpi) {
        /* Threads there are, of OpenMP and of the loader, but this one alone calls MPI. */
        code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
        ranks.owns_mpi = code == MPI_SUCCESS;
    } else if (code == MPI_SUCCESS) {
        code = MPI_Query_thread(&level);
    }
    if (code != MPI_SUCCESS) {
        return fail(error, code);
    }
    return level >= MPI_THREAD_FUNNELED
               ? PARE_OK
               : pare_fail(error, PARE_UNSUPPORTED, "expected an MPI for programs with threads, found one without");
}

pare_status pare_ranks_begin(pare_error *error) {
    int rank = 0, count = 1;
    if (ranks.joined || ranks_launched() == 1) {
        return PARE_OK;
    }
    PARE_TRY(initialize(error));
    int code = MPI_Comm_dup(MPI_COMM_WORLD, &ranks.comm);
    code = code == MPI_SUCCESS ? MPI_Comm_set_errhandler(ranks.comm, MPI_ERRORS_RETURN) : code;
    code = code == MPI_SUCCESS ? MPI_Comm_rank(ranks.comm, &rank) : code;
    code = code == MPI_SUCCESS ? MPI_Comm_size(ranks.comm, &count) : code;
    if (code != MPI_SUCCESS) {
        return fail(error, code);
    }
    ranks.joined = true;
    if (count > RANKS_MOST) {
        return pare_fail(error, PARE_LIMIT, "expected at most %d ranks, found %d", RANKS_MOST, count);
    }
    ranks.rank = (size_t)rank;
    ranks.count = (size_t)count;
    return PARE_OK;
}

void pare_ranks_end(pare_status status) {
    if (ranks.joined && status != PARE_OK && !ranks_agreed()) {
        (void)MPI_Abort(ranks.comm, (int)status);
    }
    if (ranks.owns_mpi) {
        (void)MPI_Finalize();
    }
}

size_t pare_ranks_rank(void) {
    return ranks.rank;
}

size_t pare_ranks_count(void) {
    return ranks.count;
}

/* --- exchanging -------------------------------------------------------------------------- */

pare_status ranks_gather(const void *own, size_t bytes, void *all, pare_error *error) {
    if (ranks.count == 1) {
        memcpy(all, own, bytes);
        return PARE_OK;
    }
    if (bytes > INT_MAX) {
        return pare_fail(error, PARE_LIMIT, "expected at most %d bytes to exchange, found %zu", INT_MAX, bytes);
    }
    int code = MPI_Allgather(own, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, ranks.comm);
    return code == MPI_SUCCESS ? PARE_OK : fail(error, code);
}

pare_status ranks_share(size_t from, void *data, size_t bytes, pare_error *error) {
    const size_t most = (size_t)1 << 30; /* MPI counts in int */
    for (size_t at = 0; ranks.count > 1 && at < bytes; at += most) {
        size_t part = bytes - at < most ? bytes - at : most;
        int code = MPI_Bcast((char *)data + at, (int)part, MPI_BYTE, (int)from, ranks.comm);
        if (code != MPI_SUCCESS) {
            return fail(error, code);
        }
    }
    return PARE_OK;
}

/* --- averaging ----------------------------------------------------------------------------- */

/* Each rank adds up a part of the vector: all send it theirs (a rank sends and receives no more than the vector), and
 * it sends the sums back. Part r begins at r × part. */
typedef struct parts {
    int counts[RANKS_MOST], places[RANKS_MOST];
} parts;

static size_t part_of(size_t count) {
    return (count + ranks.count - 1) / ranks.count;
}

static void divide(size_t count, parts *p) {
    size_t part = part_of(count);
    for (size_t i = 0; i < ranks.count; i++) {
        size_t from = i * part < count ? i * part : count, left = count - from;
        p->places[i] = (int)from;
        p->counts[i] = (int)(left < part ? left : part);
    }
}

pare_status ranks_average_scratch(size_t count, size_t *floats, pare_error *error) {
    *floats = 0;
    if (ranks.count == 1) {
        return PARE_OK;
    }
    if (count > INT_MAX - RANKS_MOST) {
        return pare_fail(error, PARE_LIMIT, "expected at most %d parameters over several ranks, found %zu",
                         INT_MAX - RANKS_MOST, count);
    }
    *floats = part_of(count) * ranks.count;
    return PARE_OK;
}

static void add_up(const float *received, size_t own, float *values) {
    double share = 1.0 / (double)ranks.count;
#pragma omp parallel for schedule(static) if (own > 16384)
    for (size_t i = 0; i < own; i++) {
        double sum = 0;
        for (size_t r = 0; r < ranks.count; r++) {
            sum += (double)received[r * own + i];
        }
        values[i] = (float)(sum * share);
    }
}

pare_status ranks_average(float *values, size_t count, float *scratch, pare_error *error) {
    if (ranks.count == 1) {
        return PARE_OK;
    }
    parts all = {0}, own = {0};
    divide(count, &all);
    int mine = all.counts[ranks.rank];
    for (size_t i = 0; i < ranks.count; i++) {
        own.counts[i] = mine;
        own.places[i] = (int)i * mine;
    }
    int code = MPI_Alltoallv(values, all.counts, all.places, MPI_FLOAT, scratch, own.counts, own.places, MPI_FLOAT,
                             ranks.comm);
    if (code != MPI_SUCCESS) {
        return fail(error, code);
    }
    add_up(scratch, (size_t)mine, values + all.places[ranks.rank]);
    code = MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values, all.counts, all.places, MPI_FLOAT, ranks.comm);
    return code == MPI_SUCCESS ? PARE_OK : fail(error, code);
}
