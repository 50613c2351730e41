/* The one allocator table through which every allocation of Pare goes, and
 * arenas: one per lifetime. */
#ifndef PARE_MEMORY_H
#define PARE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "pare/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 64-byte aligned, uninitialised; NULL when the system, the byte budget or an
 * injected fault refuses. A size of 0 gives a valid, distinct pointer. */
void *pare_alloc(size_t bytes);
/* As pare_alloc, for count × size bytes (checked), zeroed. */
void *pare_alloc_zero(size_t count, size_t size);
/* Resizes a block (NULL allows); on failure the old block is untouched. */
void *pare_realloc(void *block, size_t bytes);
/* Accepts NULL. */
void pare_free(void *block);

/* Byte budget of all live blocks together; SIZE_MAX (the default) is none. */
void pare_memory_set_budget(size_t bytes);
size_t pare_memory_used(void);
size_t pare_memory_peak(void);
/* Allocations made since the process started (what fault tests count). */
size_t pare_memory_calls(void);
/* Test hook: the n-th allocation from now (1 = next) fails; with `forever`, so
 * does each later one. 0 switches the fault off. */
void pare_memory_fail_at(size_t n, bool forever);

/* An arena hands out zeroed, 16-byte aligned pieces that live until it is
 * freed. `limit` bounds the bytes handed out. Zero-initialise or init. */
typedef struct pare_arena {
    struct pare_arena_chunk *chunks;
    size_t used;
    size_t limit;
} pare_arena;

void pare_arena_init(pare_arena *arena, size_t limit);
/* NULL when over the limit or out of memory. */
void *pare_arena_alloc(pare_arena *arena, size_t count, size_t size);
char *pare_arena_copy_string(pare_arena *arena, const char *text);
/* Copies `bytes` bytes and adds a terminating NUL. */
char *pare_arena_copy_bytes(pare_arena *arena, const void *data, size_t bytes);
void pare_arena_free(pare_arena *arena);

#ifdef __cplusplus
}
#endif
#endif
