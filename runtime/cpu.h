/* What this process may use of the machine. */
#ifndef PARE_CPU_H
#define PARE_CPU_H

#include <stdint.h>

#include "pare/runtime.h"

/* The best instruction set of Pare's kernels that this CPU has. */
pare_isa pare_cpu_isa(void);

/* Starts the threads of OpenMP that the calling thread will use. libgomp ends the
 * process where it cannot; here that is PARE_LIMIT. Free once they run. */
pare_status pare_threads_start(int32_t threads, pare_error *error);

#endif
