/* A build without MPI: one rank. */
#include <stdint.h>
#include <string.h>

#include "train/ranks.h"

pare_status pare_ranks_begin(pare_error *error) {
    size_t count = ranks_launched();
    return count == 1 ? PARE_OK
                      : pare_fail(error, PARE_UNSUPPORTED,
                                  "expected a build with MPI (-DPARE_MPI=ON) to train in %zu processes, found one "
                                  "without",
                                  count);
}

void pare_ranks_end(pare_status status) {
    (void)status;
}

size_t pare_ranks_rank(void) {
    return 0;
}

size_t pare_ranks_count(void) {
    return 1;
}

pare_status ranks_gather(const void *own, size_t bytes, void *all, pare_error *error) {
    (void)error;
    memcpy(all, own, bytes);
    return PARE_OK;
}

pare_status ranks_share(size_t from, void *data, size_t bytes, pare_error *error) {
    (void)from, (void)data, (void)bytes, (void)error;
    return PARE_OK;
}

pare_status ranks_average_scratch(size_t count, size_t *floats, pare_error *error) {
    (void)count, (void)error;
    *floats = 0;
    return PARE_OK;
}

pare_status ranks_average(float *values, size_t count, float *scratch, pare_error *error) {
    (void)values, (void)count, (void)scratch, (void)error;
    return PARE_OK;
}
