/* Arithmetic on sizes that come from files: checked before use. */
#ifndef PARE_CHECKED_H
#define PARE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool pare_add_size(size_t a, size_t b, size_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}
static inline bool pare_mul_size(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}
/* `multiple` > 0. */
static inline bool pare_round_up_size(size_t a, size_t multiple, size_t *result) {
    size_t rest = a % multiple;
    return rest == 0 ? (*result = a, true) : pare_add_size(a, multiple - rest, result);
}
static inline bool pare_add_i64(int64_t a, int64_t b, int64_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}
static inline bool pare_mul_i64(int64_t a, int64_t b, int64_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

#endif
