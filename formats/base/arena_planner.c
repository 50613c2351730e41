#include "pare/arena_planner.h"

#include <stdlib.h>
#include <string.h>

#include "pare/checked.h"
#include "pare/memory.h"

/* A record that has its place; kept sorted by offset. */
typedef struct placement {
    size_t begin, end;
    uint32_t first, last;
} placement;

typedef struct ordered {
    size_t bytes;
    size_t index;
} ordered;

static int larger_first(const void *a, const void *b) {
    const ordered *x = a;
    const ordered *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return x->index < y->index ? -1 : 1; /* a total order keeps the plan the same on every libc */
}

static bool reserved_bytes(size_t bytes, size_t *reserved) {
    return pare_add_size(bytes, PARE_ARENA_SLACK, reserved) &&
           pare_round_up_size(*reserved, PARE_ARENA_ALIGNMENT, reserved);
}

/* The lowest of the tightest gaps between placements that live with `record`. */
static size_t best_offset(const placement *placed, size_t count, const pare_usage *record, size_t bytes) {
    size_t previous_end = 0;
    size_t best = SIZE_MAX;
    size_t best_gap = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        if (placed[i].last < record->first || placed[i].first > record->last) {
            continue;
        }
        if (placed[i].begin > previous_end) {
            size_t gap = placed[i].begin - previous_end;
            if (gap >= bytes && gap < best_gap) {
                best_gap = gap;
                best = previous_end;
            }
        }
        if (placed[i].end > previous_end) {
            previous_end = placed[i].end;
        }
    }
    return best == SIZE_MAX ? previous_end : best;
}

static void insert_placement(placement *placed, size_t count, placement new_one) {
    size_t at = count;
    while (at > 0 && placed[at - 1].begin > new_one.begin) {
        at--;
    }
    memmove(&placed[at + 1], &placed[at], (count - at) * sizeof *placed);
    placed[at] = new_one;
}

pare_status pare_arena_plan(pare_usage *records, size_t count, size_t *total, pare_error *error) {
    pare_status status = PARE_OK;
    placement *placed = pare_alloc_zero(count + 1, sizeof *placed);
    ordered *order = pare_alloc_zero(count + 1, sizeof *order);
    *total = 0;
    if (placed == NULL || order == NULL) {
        status = pare_fail_memory(error, count * sizeof *placed);
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        order[i].index = i;
        if (!reserved_bytes(records[i].bytes, &order[i].bytes)) {
            status = pare_fail(error, PARE_LIMIT, "expected activations that fit the address space, found %zu bytes",
                               records[i].bytes);
            goto done;
        }
    }
    qsort(order, count, sizeof *order, larger_first);
    for (size_t i = 0; i < count; i++) {
        pare_usage *record = &records[order[i].index];
        size_t end;
        record->offset = best_offset(placed, i, record, order[i].bytes);
        if (!pare_add_size(record->offset, order[i].bytes, &end)) {
            status = pare_fail(error, PARE_LIMIT, "expected activations that fit the address space, found more");
            goto done;
        }
        insert_placement(placed, i, (placement){record->offset, end, record->first, record->last});
        if (end > *total) {
            *total = end;
        }
    }
done:
    pare_free(placed);
    pare_free(order);
    return status;
}
