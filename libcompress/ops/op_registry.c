/* The operators that CMake found in this folder, sorted by name. */
#include <string.h>

#include "pare/op.h"

#define PARE_REGISTER(name) extern const pare_op pare_op_##name;
#include "op_registry.inc"
#undef PARE_REGISTER

static const pare_op *const registry[] = {
#define PARE_REGISTER(name) &pare_op_##name,
#include "op_registry.inc"
#undef PARE_REGISTER
};

const pare_op *const *pare_op_all(size_t *count) {
    *count = sizeof registry / sizeof registry[0];
    return registry;
}

const pare_op *pare_op_find(const char *domain, const char *name, int32_t opset) {
    if (domain == NULL || strcmp(domain, "ai.onnx") == 0) {
        domain = "";
    }
    for (size_t i = 0; i < sizeof registry / sizeof registry[0]; i++) {
        const pare_op *op = registry[i];
        if (strcmp(op->name, name) == 0 && strcmp(op->domain, domain) == 0 && opset >= op->since &&
            (op->until == 0 || opset <= op->until)) {
            return op;
        }
    }
    return NULL;
}
