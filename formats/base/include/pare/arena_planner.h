/* Places buffers with known lifetimes in one block. A pure function: usage
 * records in, offsets out. */
#ifndef PARE_ARENA_PLANNER_H
#define PARE_ARENA_PLANNER_H

#include <stddef.h>
#include <stdint.h>

#include "pare/status.h"

#define PARE_ARENA_ALIGNMENT 64
/* Readable bytes behind each buffer. */
#define PARE_ARENA_SLACK 64

typedef struct pare_usage {
    size_t bytes;
    uint32_t first, last; /* steps at which it is first written and last read, both included */
    size_t offset;        /* the answer; a multiple of PARE_ARENA_ALIGNMENT */
} pare_usage;

/* Greedy by size: largest first, each at the lowest best-fitting gap among those
 * that live at the same time (Pisarchyk and Lee 2020, "Efficient Memory
 * Management for Deep Neural Net Inference", algorithm 3). Records that live at
 * the same time never overlap, slack included. *total receives the bytes needed.
 * PARE_LIMIT on overflow or lack of memory. */
pare_status pare_arena_plan(pare_usage *records, size_t count, size_t *total, pare_error *error);

#endif
