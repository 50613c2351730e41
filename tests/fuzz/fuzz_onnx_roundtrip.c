/* What is accepted is written, read again, and equal. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "onnx_samples.h"
#include "pare/onnx_graph.h"
#include "pare/op.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_CAP ((size_t)96 << 20) /* what takes more costs time, not insight */
#define MUCH_FOLDED ((size_t)64 << 20)

static void require(bool holds, const char *why) {
    if (!holds) {
        fprintf(stderr, "round trip: %s\n", why);
        abort();
    }
}

static void print_nodes(const char *which, const pare_graph *graph) {
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        fprintf(stderr, "%s: %s \"%s\"\n", which, node->op->name, node->name);
    }
}

static pare_status import(const uint8_t *data, size_t size, pare_graph **graph, pare_error *error) {
    pare_onnx_file file = {0};
    *graph = NULL;
    pare_status status = pare_onnx_from_bytes(data, size, NULL, NULL, &file, error);
    if (status == PARE_OK) {
        status = pare_graph_from_onnx(&file, NULL, graph, error);
    }
    pare_onnx_close(&file);
    return status;
}

static void check_round_trip(const pare_graph *graph) {
    pare_error error = {0};
    uint8_t *packed = NULL;
    size_t size = 0;
    pare_graph *again = NULL;
    pare_status status = pare_graph_to_bytes(graph, &packed, &size, &error);
    if (status == PARE_OK) {
        status = import(packed, size, &again, &error);
    }
    require(status == PARE_OK || status == PARE_LIMIT, error.message);
    /* Near the limit on folding the second import has room for more, for what the
     * first has folded is then the file's own. */
    if (status == PARE_OK && graph->folded_bytes < MUCH_FOLDED) {
        const char *difference = graph_difference(graph, again);
        if (difference != NULL) {
            print_nodes("written", graph);
            print_nodes("read", again);
        }
        require(difference == NULL, difference);
    }
    pare_graph_free(again);
    pare_free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pare_error error = {0};
    pare_graph *graph = NULL;
    pare_memory_set_budget(MEMORY_CAP);
    if (import(data, size, &graph, &error) == PARE_OK) {
        check_round_trip(graph);
    }
    pare_graph_free(graph);
    require(pare_memory_used() == 0, "memory is left");
    return 0;
}
