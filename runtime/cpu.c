#include "cpu.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define MOST_THREADS 64

pare_isa pare_cpu_isa(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")) {
        return PARE_ISA_AVX512_VNNI;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return PARE_ISA_AVX2;
    }
#endif
    return PARE_ISA_SCALAR;
}

/* The lowest numbered processor of the core that `cpu` belongs to; -1 where the system does not say. */
static int first_sibling(int cpu) {
    char path[96];
    int first = -1;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return -1;
    }
    if (fscanf(file, "%d", &first) != 1) {
        first = -1;
    }
    fclose(file);
    return first;
}

int32_t pare_default_threads(void) {
    cpu_set_t allowed;
    cpu_set_t cores;
    CPU_ZERO(&cores);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        return online < 1 ? 1 : online > MOST_THREADS ? MOST_THREADS : (int32_t)online;
    }
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed)) {
            int core = first_sibling((int)cpu);
            CPU_SET(core >= 0 && core < CPU_SETSIZE ? (size_t)core : cpu, &cores);
        }
    }
    int count = CPU_COUNT(&cores);
    return count < 1 ? 1 : count > MOST_THREADS ? MOST_THREADS : count;
}
