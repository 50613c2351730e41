#include "pare/memory.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pare/checked.h"

enum { ALIGNMENT = 64 };

/* Lies in the 64 bytes before each block. */
typedef struct block_header {
    size_t bytes;
} block_header;

static atomic_size_t budget = SIZE_MAX;
static atomic_size_t used;
static atomic_size_t peak;
static atomic_size_t calls;
static atomic_bool fault_armed;
static atomic_bool fault_forever;
static atomic_llong fault_left;

static bool fault_strikes(void) {
    if (!atomic_load_explicit(&fault_armed, memory_order_relaxed)) {
        return false;
    }
    long long left = atomic_fetch_sub(&fault_left, 1);
    return left == 1 || (left < 1 && atomic_load(&fault_forever));
}

/* Counts `bytes` against the budget. */
static bool reserve(size_t bytes) {
    size_t before = atomic_load_explicit(&used, memory_order_relaxed);
    size_t after;
    do {
        if (!pare_add_size(before, bytes, &after) || after > atomic_load_explicit(&budget, memory_order_relaxed)) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&used, &before, after, memory_order_relaxed, memory_order_relaxed));
    size_t highest = atomic_load_explicit(&peak, memory_order_relaxed);
    while (after > highest &&
           !atomic_compare_exchange_weak_explicit(&peak, &highest, after, memory_order_relaxed, memory_order_relaxed)) {
    }
    return true;
}

static block_header *header_of(void *block) {
    return (block_header *)(void *)((char *)block - ALIGNMENT);
}

void *pare_alloc(size_t bytes) {
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    size_t with_header;
    if (fault_strikes() || !pare_add_size(bytes, ALIGNMENT, &with_header) || with_header > PTRDIFF_MAX ||
        !reserve(bytes)) {
        return NULL;
    }
    void *memory = NULL;
    if (posix_memalign(&memory, ALIGNMENT, with_header) != 0) {
        atomic_fetch_sub_explicit(&used, bytes, memory_order_relaxed);
        return NULL;
    }
    void *block = (char *)memory + ALIGNMENT;
    header_of(block)->bytes = bytes;
    return block;
}

void *pare_alloc_zero(size_t count, size_t size) {
    size_t bytes;
    if (!pare_mul_size(count, size, &bytes)) {
        bytes = SIZE_MAX; /* refused, and counted like any other */
    }
    void *block = pare_alloc(bytes);
    if (block != NULL) {
        memset(block, 0, bytes);
    }
    return block;
}

void *pare_realloc(void *block, size_t bytes) {
    void *grown = pare_alloc(bytes);
    if (grown != NULL && block != NULL) {
        size_t old = header_of(block)->bytes;
        memcpy(grown, block, old < bytes ? old : bytes);
        pare_free(block);
    }
    return grown;
}

void pare_free(void *block) {
    if (block != NULL) {
        block_header *header = header_of(block);
        atomic_fetch_sub_explicit(&used, header->bytes, memory_order_relaxed);
        free(header);
    }
}

void pare_memory_set_budget(size_t bytes) {
    atomic_store(&budget, bytes);
}

size_t pare_memory_used(void) {
    return atomic_load(&used);
}

size_t pare_memory_peak(void) {
    return atomic_load(&peak);
}

size_t pare_memory_calls(void) {
    return atomic_load(&calls);
}

void pare_memory_fail_at(size_t n, bool forever) {
    atomic_store(&fault_armed, false);
    atomic_store(&fault_forever, forever);
    atomic_store(&fault_left, n > INT64_MAX ? INT64_MAX : (long long)n);
    atomic_store(&fault_armed, n != 0);
}

/* --- arenas --------------------------------------------------------------- */

enum { PIECE_ALIGNMENT = 16, FIRST_CHUNK = 4096, LARGEST_CHUNK = 1 << 20 };

typedef struct pare_arena_chunk {
    struct pare_arena_chunk *next;
    size_t size, filled; /* of the bytes behind this header */
    size_t padding;      /* keeps the header a multiple of 16 bytes */
} pare_arena_chunk;

void pare_arena_init(pare_arena *arena, size_t limit) {
    *arena = (pare_arena){.limit = limit};
}

static pare_arena_chunk *add_chunk(pare_arena *arena, size_t bytes) {
    size_t size = FIRST_CHUNK;
    if (arena->chunks != NULL) {
        size = arena->chunks->size < LARGEST_CHUNK / 2 ? 2 * arena->chunks->size : LARGEST_CHUNK;
    }
    size = size < bytes ? bytes : size;
    size_t whole;
    pare_arena_chunk *chunk = pare_add_size(size, sizeof *chunk, &whole) ? pare_alloc(whole) : NULL;
    if (chunk != NULL) {
        *chunk = (pare_arena_chunk){.next = arena->chunks, .size = size};
        arena->chunks = chunk;
    }
    return chunk;
}

void *pare_arena_alloc(pare_arena *arena, size_t count, size_t size) {
    size_t bytes, rounded, total;
    if (!pare_mul_size(count, size, &bytes) || !pare_round_up_size(bytes == 0 ? 1 : bytes, PIECE_ALIGNMENT, &rounded) ||
        !pare_add_size(arena->used, rounded, &total) || (arena->limit != 0 && total > arena->limit)) {
        return NULL;
    }
    pare_arena_chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->size - chunk->filled < rounded) {
        chunk = add_chunk(arena, rounded);
        if (chunk == NULL) {
            return NULL;
        }
    }
    void *piece = (char *)(chunk + 1) + chunk->filled;
    chunk->filled += rounded;
    arena->used = total;
    memset(piece, 0, rounded);
    return piece;
}

char *pare_arena_copy_bytes(pare_arena *arena, const void *data, size_t bytes) {
    size_t terminated;
    char *copy = pare_add_size(bytes, 1, &terminated) ? pare_arena_alloc(arena, terminated, 1) : NULL;
    if (copy != NULL && bytes != 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

char *pare_arena_copy_string(pare_arena *arena, const char *text) {
    return pare_arena_copy_bytes(arena, text, strlen(text));
}

void pare_arena_free(pare_arena *arena) {
    for (pare_arena_chunk *chunk = arena->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        pare_free(chunk);
    }
    arena->chunks = NULL;
    arena->used = 0;
}
