/* Scan, unpack, check, import, lower: what is refused says why, what is accepted
 * stays so on the next step, and memory stays under the cap. Tensors may lie in
 * weights.bin beside the model, 4 KiB of small numbers. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pare/bytes.h"
#include "pare/lower.h"
#include "pare/onnx_graph.h"
#include "test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_CAP ((size_t)96 << 20) /* what takes more costs time, not insight */

static void require(bool holds, const char *why) {
    if (!holds) {
        fprintf(stderr, "onnx_read: %s\n", why);
        abort();
    }
}

static void check_outcome(pare_status status, const pare_error *error) {
    if (status != PARE_OK) {
        require(status == PARE_BAD_INPUT || status == PARE_UNSUPPORTED || status == PARE_LIMIT || status == PARE_IO,
                error->message);
        require(error->code == status, "the status is not the error's");
        require(error->message[0] != '\0', "an empty message");
        require(pare_is_utf8(error->message, strlen(error->message)), "a message that cannot be printed");
    }
}

static const char *folder_of_weights(void) {
    static bool written;
    if (!written) {
        FILE *file = fopen(test_path("weights.bin"), "wb");
        require(file != NULL, "no weights.bin");
        for (int i = 0; i < 4096; i++) {
            fputc(i % 8 == 0 ? i / 8 % 4 : 0, file);
        }
        require(fclose(file) == 0, "no weights.bin");
        written = true;
    }
    return test_folder();
}

/* A graph need not lower; the model that it lowers to is valid. */
static void check_lowering(const pare_graph *graph, bool keep_values) {
    pare_lower_options options = {.keep_values = keep_values};
    pare_model *model = NULL;
    pare_error error = {0};
    pare_status status = pare_graph_lower_with(graph, &options, &model, &error);
    check_outcome(status, &error);
    if (status == PARE_OK) {
        status = pare_model_verify(model, &error);
        require(status == PARE_OK, error.message);
    }
    pare_model_release(model);
}

static pare_status check_import(const pare_onnx_file *file, bool no_simplify) {
    pare_import_options options = {.no_simplify = no_simplify};
    pare_graph *graph = NULL;
    pare_error error = {0};
    pare_status status = pare_graph_from_onnx(file, &options, &graph, &error);
    check_outcome(status, &error);
    if (status == PARE_OK) {
        require(pare_graph_check(graph, &error) == PARE_OK, error.message);
        check_lowering(graph, no_simplify);
    }
    pare_graph_free(graph);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pare_error error = {0};
    pare_onnx_file file = {0};
    pare_memory_set_budget(MEMORY_CAP);
    pare_status status = pare_onnx_from_bytes(data, size, folder_of_weights(), NULL, &file, &error);
    check_outcome(status, &error);
    if (status == PARE_OK) {
        pare_status plain = check_import(&file, true), simplified = check_import(&file, false);
        require(plain != PARE_OK || simplified == PARE_OK || simplified == PARE_LIMIT,
                "what is accepted as it is must be accepted simplified");
    }
    pare_onnx_close(&file);
    require(pare_memory_used() == 0, "memory is left");
    return 0;
}
