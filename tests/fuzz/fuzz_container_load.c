/* Any bytes as a `.pare` file, with the checksums recomputed so that the content
 * is reached. What loads is verified, is written, and is read again as it was. */
#include <stdlib.h>
#include <string.h>

#include "pare/memory.h"
#include "pare/model.h"
#include "sample_models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(pare_model *model) {
    uint8_t *written = NULL;
    size_t written_size = 0;
    pare_model *again = NULL;
    pare_error error = {0};
    pare_write_options raw = {.raw = true};
    if (pare_model_verify(model, &error) != PARE_OK) {
        abort();
    }
    pare_status status = pare_model_to_bytes(model, &raw, &written, &written_size, &error);
    if (status == PARE_OK) {
        status = pare_model_from_bytes(written, written_size, NULL, &again, &error);
        if (status != PARE_LIMIT && (status != PARE_OK || !models_equal(model, again))) {
            abort();
        }
    } else if (status != PARE_LIMIT) {
        abort();
    }
    pare_model_release(again);
    pare_free(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pare_model *model = NULL;
    pare_error error = {0};
    uint8_t *copy = malloc(size + (size == 0));
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, data, size);
    fix_checksums(copy, size);
    size_t before = pare_memory_used();
    pare_memory_set_budget(before + ((size_t)1 << 28));
    if (pare_model_from_bytes(copy, size, NULL, &model, &error) == PARE_OK) {
        round_trip(model);
    } else if (model != NULL || error.message[0] == '\0') {
        abort();
    }
    pare_model_release(model);
    if (pare_memory_used() != before) {
        abort();
    }
    free(copy);
    return 0;
}
