/* The input is a recipe's text. What is accepted makes a sound graph, which becomes an
 * ONNX file that is read again; what is refused says why; memory does not grow beyond
 * the budget, and nothing stays allocated. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pare/bytes.h"
#include "pare/memory.h"
#include "pare/onnx_graph.h"
#include "pare/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY_CAP = 8 << 20 };

static void require(bool holds, const char *why) {
    if (!holds) {
        fprintf(stderr, "recipe: %s\n", why);
        abort();
    }
}

static void read_again(const pare_graph *graph) {
    pare_error error = {0};
    pare_onnx_file file = {0};
    pare_graph *again = NULL;
    uint8_t *bytes = NULL;
    size_t size = 0;
    require(pare_graph_check(graph, &error) == PARE_OK, error.message);
    pare_status status = pare_graph_to_bytes(graph, &bytes, &size, &error);
    if (status == PARE_OK) {
        status = pare_onnx_from_bytes(bytes, size, NULL, NULL, &file, &error);
    }
    if (status == PARE_OK) {
        status = pare_graph_from_onnx(&file, &(pare_import_options){.no_simplify = true}, &again, &error);
    }
    require(status == PARE_OK || status == PARE_LIMIT, error.message);
    require(status != PARE_OK || again->node_count == graph->node_count, "another graph from the file");
    pare_graph_free(again);
    pare_onnx_close(&file);
    pare_free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pare_error error = {0};
    pare_graph *graph = NULL;
    char *text = malloc(size + 1);
    require(text != NULL, "no memory for the input");
    memcpy(text, data, size);
    text[size] = '\0';
    pare_memory_set_budget(MEMORY_CAP);
    pare_status status = pare_recipe_build(text, "fuzz.json", 1, &graph, NULL, &error);
    require((status == PARE_OK) == (graph != NULL), "a graph after a failure, or none after success");
    if (status == PARE_OK) {
        read_again(graph);
    } else {
        require(status == PARE_BAD_INPUT || status == PARE_UNSUPPORTED || status == PARE_LIMIT, error.message);
        require(strncmp(error.message, "fuzz.json: ", 11) == 0, error.message);
        require(pare_is_utf8(error.message, strlen(error.message)), "a message that cannot be printed");
    }
    pare_graph_free(graph);
    free(text);
    require(pare_memory_used() == 0, "memory is left");
    return 0;
}
