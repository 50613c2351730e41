/* Scan, unpack, every tensor, and back: what the scan lets pass unpacks within the
 * documented memory, what is accepted is accepted again and unchanged, and what is
 * refused says why. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pare/bytes.h"
#include "pare/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Beyond 4 × file + 64 MiB: the last chunks of arenas, and tensors, one at a time. */
#define SPARE ((size_t)4 << 20)

static void require(bool holds, const char *why) {
    if (!holds) {
        fprintf(stderr, "onnx_scan: %s\n", why);
        abort();
    }
}

static void check_outcome(pare_status status, const pare_error *error) {
    if (status != PARE_OK) {
        require(status == PARE_BAD_INPUT || status == PARE_UNSUPPORTED || status == PARE_LIMIT, error->message);
        require(error->code == status && error->message[0] != '\0', "a failure without a message");
        require(pare_is_utf8(error->message, strlen(error->message)), "a message that cannot be printed");
        require(strncmp(error->message, "out of memory", 13) != 0, error->message);
        require(strcmp(error->message, "expected an ONNX model, found bytes that do not unpack") != 0,
                "scanned, but does not unpack");
    }
}

static void read_tensors(const pare_onnx_file *file) {
    const Onnx__GraphProto *graph = file->proto->graph;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        pare_arena arena;
        pare_error error = {0};
        void *elements = NULL;
        size_t bytes = 0;
        pare_arena_init(&arena, (size_t)64 << 20);
        const pare_status status =
            pare_onnx_tensor_data(file, graph->initializer[i], &arena, &elements, &bytes, &error);
        check_outcome(status, &error);
        require(status != PARE_OK || elements != NULL, "a tensor without elements");
        pare_arena_free(&arena);
    }
}

static void pack_and_read_again(const Onnx__ModelProto *model) {
    const size_t bytes = onnx__model_proto__get_packed_size(model);
    uint8_t *packed = malloc(bytes + 1);
    pare_onnx_file again;
    pare_error error = {0};
    require(packed != NULL, "no memory to pack");
    require(onnx__model_proto__pack(model, packed) == bytes, "another size when packed");
    require(pare_onnx_from_bytes(packed, bytes, NULL, NULL, &again, &error) == PARE_OK, error.message);
    require(onnx__model_proto__get_packed_size(again.proto) == bytes, "another size when packed again");
    pare_onnx_close(&again);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pare_error error = {0};
    pare_onnx_file file;
    pare_memory_set_budget(2 * (4 * size + ((size_t)64 << 20)) + SPARE); /* two models are open at once */
    const pare_status scanned = pare_onnx_scan(data, size, NULL, &error);
    check_outcome(scanned, &error);
    error = (pare_error){0};
    const pare_status opened = pare_onnx_from_bytes(data, size, NULL, NULL, &file, &error);
    check_outcome(opened, &error);
    require(opened != PARE_OK || scanned == PARE_OK, "opened, but does not scan");
    if (opened == PARE_OK) {
        read_tensors(&file);
        pack_and_read_again(file.proto);
    }
    pare_onnx_close(&file);
    require(pare_memory_used() == 0, "memory is left");
    return 0;
}
