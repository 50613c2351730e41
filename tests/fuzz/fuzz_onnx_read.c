/* Scan, unpack, check, import: what is refused says why, and memory stays under
 * the cap. */
#include <stdint.h>
#include <stdlib.h>

#include "pare/onnx_graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_CAP ((size_t)512 << 20)

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pare_error error = {0};
    pare_onnx_file file = {0};
    pare_graph *graph = NULL;
    pare_memory_set_budget(MEMORY_CAP);
    pare_status status = pare_onnx_from_bytes(data, size, NULL, NULL, &file, &error);
    if (status == PARE_OK) {
        status = pare_graph_from_onnx(&file, NULL, &graph, &error);
    }
    require(status == PARE_OK || error.message[0] != '\0');
    require(status != PARE_INTERNAL);
    if (status == PARE_OK) {
        require(pare_graph_check(graph, &error) == PARE_OK);
    }
    pare_graph_free(graph);
    pare_onnx_close(&file);
    require(pare_memory_used() == 0);
    return 0;
}
