/* What both implementations of ranks share: agreeing, and asking the environment. */
#include "train/ranks.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool agreed;

void ranks_note_agreed(void) {
    agreed = true;
}

bool ranks_agreed(void) {
    return agreed;
}

bool pare_ranks_speaks(void) {
    return pare_ranks_rank() == 0 || !agreed;
}

size_t ranks_launched(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = getenv(names[i]);
        char *end = NULL;
        unsigned long long count = text != NULL ? strtoull(text, &end, 10) : 0;
        if (count > 0 && *end == '\0') {
            return (size_t)count;
        }
    }
    return 1;
}

/* The first failure, in the order of the ranks, and how many there are. */
static size_t first_failure(const int32_t *all, size_t count, size_t *failures) {
    size_t first = count;
    *failures = 0;
    for (size_t i = count; i-- > 0;) {
        if (all[i] != PARE_OK) {
            first = i;
            ++*failures;
        }
    }
    return first;
}

pare_status pare_ranks_agree(pare_status status, pare_error *error) {
    size_t count = pare_ranks_count(), failures = 0;
    int32_t own = (int32_t)status, all[RANKS_MOST];
    if (count == 1) {
        return status;
    }
    PARE_TRY(ranks_gather(&own, sizeof own, all, error));
    size_t first = first_failure(all, count, &failures);
    if (failures == 0) {
        return PARE_OK;
    }
    pare_error told = {.code = (pare_status)all[first], .offset = PARE_NO_OFFSET};
    if (first == pare_ranks_rank() && error != NULL) {
        told = *error;
    }
    PARE_TRY(ranks_share(first, &told, sizeof told, error));
    ranks_note_agreed();
    if (error != NULL) {
        *error = told;
        if (failures < count) {
            pare_error_prefix(error, "rank %zu of %zu: ", first, count);
        }
    }
    return (pare_status)all[first];
}
