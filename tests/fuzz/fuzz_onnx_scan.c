/* Scan, unpack, every tensor, and back: what is accepted is accepted again and
 * unchanged; what is refused says why. */
#include <stdint.h>
#include <stdlib.h>

#include "pare/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        abort();
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
        require(status == PARE_OK ? elements != NULL : error.message[0] != '\0');
        pare_arena_free(&arena);
    }
}

static void pack_and_read_again(const Onnx__ModelProto *model) {
    const size_t bytes = onnx__model_proto__get_packed_size(model);
    uint8_t *packed = malloc(bytes + 1);
    pare_onnx_file again;
    pare_error error = {0};
    require(packed != NULL);
    require(onnx__model_proto__pack(model, packed) == bytes);
    require(pare_onnx_from_bytes(packed, bytes, NULL, NULL, &again, &error) == PARE_OK);
    require(onnx__model_proto__get_packed_size(again.proto) == bytes);
    pare_onnx_close(&again);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pare_error error = {0};
    pare_onnx_file file;
    const pare_status scanned = pare_onnx_scan(data, size, NULL, &error);
    require(scanned == PARE_OK || error.message[0] != '\0');
    error = (pare_error){0};
    const pare_status opened = pare_onnx_from_bytes(data, size, NULL, NULL, &file, &error);
    require(opened == PARE_OK ? scanned == PARE_OK : error.message[0] != '\0');
    require(opened != PARE_INTERNAL);
    if (opened == PARE_OK) {
        read_tensors(&file);
        pack_and_read_again(file.proto);
    }
    pare_onnx_close(&file);
    require(pare_memory_used() == 0);
    return 0;
}
