/* Prints the SIMD instruction sets that a new thread of this process is told of by CPUID. */
#include <pthread.h>
#include <stdio.h>
#if defined(__x86_64__)
#include <cpuid.h>

static const struct {
    const char *name;
    unsigned subleaf, word, bit; /* of leaf 7; word 0 to 3: EAX to EDX */
} features[] = {
    {"AVX2", 0, 1, 5}, {"AVX-512", 0, 1, 16}, {"AVX-512 VNNI", 0, 2, 11}, {"AVX-VNNI", 1, 0, 4}, {"AMX", 0, 3, 25}};

static void *print(void *separator) {
    const char *between = "";
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        unsigned words[4] = {0};
        __get_cpuid_count(7, features[i].subleaf, &words[0], &words[1], &words[2], &words[3]);
        if ((words[features[i].word] >> features[i].bit & 1) != 0) {
            printf("%s%s", between, features[i].name);
            between = separator;
        }
    }
    printf("%s\n", between[0] == 0 ? "SSE" : "");
    return NULL;
}
#else
static void *print(void *separator) {
    (void)separator;
    puts("not x86-64");
    return NULL;
}
#endif

int main(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, print, ", ") != 0) {
        return 1;
    }
    return pthread_join(thread, NULL);
}
