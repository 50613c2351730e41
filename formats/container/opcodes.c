#include "pare/opcodes.h"

#include "pare/checked.h"

static const pare_opcode_info infos[] = {
#define PARE_OPCODE(number, name, attrs, in_min, in_max, out_min, out_max)                                             \
    [number] = {#name, number, (uint32_t)sizeof(attrs), in_min, in_max, out_min, out_max},
#include "pare/opcodes.def"
#undef PARE_OPCODE
};

/* A record is stored as words: no attribute record may hold padding or part of a word. */
#define PARE_OPCODE(number, name, attrs, in_min, in_max, out_min, out_max)                                             \
    _Static_assert(sizeof(attrs) % 4 == 0 && _Alignof(attrs) == 4, #name);
#include "pare/opcodes.def"
#undef PARE_OPCODE

const pare_opcode_info *pare_opcode_find(uint32_t number) {
    return number < sizeof infos / sizeof infos[0] && infos[number].name != NULL ? &infos[number] : NULL;
}

const char *pare_function_name(int32_t function) {
    static const char *const names[PARE_FN_END] = {
        "identity",
        "relu",
        "clip",
        "leaky_relu",
        "elu",
        "selu",
        "sigmoid",
        "tanh",
        "hard_sigmoid",
        "hard_swish",
        "silu",
        "gelu",
        "gelu_tanh",
        "softplus",
        "softsign",
        "mish",
        "exp",
        "log",
        "sqrt",
        "reciprocal",
        "abs",
        "neg",
        "erf",
        "floor",
        "ceil",
        "round",
        "sign",
        "sin",
        "cos",
        "tan",
        "thresholded_relu",
        "celu",
        "not",
    };
    return function >= 0 && function < PARE_FN_END ? names[function] : "unknown";
}

int64_t pare_window_extent(int64_t input, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad_before,
                           int64_t pad_after, bool ceil_mode) {
    int64_t padded, window;
    if (input < 1 || kernel < 1 || stride < 1 || dilation < 1 || pad_before < 0 || pad_after < 0 ||
        !pare_add_i64(input, pad_before, &padded) || !pare_add_i64(padded, pad_after, &padded) ||
        !pare_mul_i64(kernel - 1, dilation, &window) || !pare_add_i64(window, 1, &window)) {
        return -1;
    }
    if (padded < window) {
        return -1;
    }
    int64_t span = padded - window;
    int64_t extent = span / stride + 1;
    /* A window that ceil_mode adds must still begin inside the input or the padding before it. */
    if (ceil_mode && span % stride != 0 && extent <= (input + pad_before - 1) / stride) {
        extent++;
    }
    return extent;
}

bool pare_shape_broadcast(const pare_shape *a, const pare_shape *b, pare_shape *result) {
    pare_shape broadcast = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int32_t i = 0; i < broadcast.rank; i++) {
        int32_t at_a = i - (broadcast.rank - a->rank);
        int32_t at_b = i - (broadcast.rank - b->rank);
        int64_t of_a = at_a < 0 ? 1 : a->dims[at_a];
        int64_t of_b = at_b < 0 ? 1 : b->dims[at_b];
        if (of_a != of_b && of_a != 1 && of_b != 1) {
            return false;
        }
        broadcast.dims[i] = of_a == 1 ? of_b : of_a;
    }
    *result = broadcast;
    return true;
}
