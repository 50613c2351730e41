#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "cpu.h"
#include "pare/memory.h"

typedef struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    bool open;
} gate;

static void *wait_at(void *context) {
    gate *g = context;
    pthread_mutex_lock(&g->mutex);
    while (!g->open) {
        pthread_cond_wait(&g->opened, &g->mutex);
    }
    pthread_mutex_unlock(&g->mutex);
    return NULL;
}

/* Starts `count` threads that all live at once, and lets them go again; returns
 * 0 or why one could not be started. */
static int try_out(pthread_t *threads, int32_t count) {
    gate g = {.mutex = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER, .open = false};
    int reason = 0;
    int32_t started = 0;
    while (started < count && reason == 0) {
        reason = pthread_create(&threads[started], NULL, wait_at, &g);
        started += reason == 0;
    }
    pthread_mutex_lock(&g.mutex);
    g.open = true;
    pthread_cond_broadcast(&g.opened);
    pthread_mutex_unlock(&g.mutex);
    for (int32_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    return reason;
}

pare_status pare_threads_start(int32_t threads, pare_error *error) {
    /* OpenMP keeps threads for each thread that uses it, and lets go of those that a smaller region leaves over. */
    static _Thread_local int32_t running = 1;
    if (threads <= running) {
        running = threads;
        return PARE_OK;
    }
    pthread_t *tried = pare_alloc_zero((size_t)threads, sizeof *tried);
    if (tried == NULL) {
        return pare_fail_memory(error, (size_t)threads * sizeof *tried);
    }
    int reason = try_out(tried, threads - 1);
    pare_free(tried);
    if (reason != 0) {
        return pare_fail(error, PARE_LIMIT, "expected the system to start %d threads: %s", (int)threads - 1,
                         strerror(reason));
    }
#pragma omp parallel num_threads(threads)
    { __asm__ volatile("" ::: "memory"); /* a region that the compiler may not drop */ }
    running = threads;
    return PARE_OK;
}
