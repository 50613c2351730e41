/* Files of every container version load for ever, and raw ones are written again
 * byte for byte (stored codecs may pack differently with another zlib). The files
 * in tests/golden are never made anew: PARE_WRITE_GOLDEN=1 adds missing ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pare/file.h"
#include "pare/memory.h"
#include "sample_models.h"
#include "test.h"

static const char *golden(const char *name, bool raw) {
    static char path[4096];
    const char *tests = getenv("PARE_TESTS");
    snprintf(path, sizeof path, "%s/golden/v1/%s_%s.pare", tests != NULL ? tests : "tests", name,
             raw ? "raw" : "coded");
    return path;
}

static void check(const char *name, pare_model *(*make)(void), bool raw) {
    pare_error error = {0};
    pare_model *made = make(), *read = NULL;
    pare_write_options options = {.raw = raw};
    const char *path = golden(name, raw);
    FILE *present = fopen(path, "rb");
    if (present == NULL && getenv("PARE_WRITE_GOLDEN") != NULL) {
        assert_ok(pare_model_save(made, &options, path, &error), &error);
    } else if (present != NULL) {
        fclose(present);
    }
    assert_ok(pare_model_open(path, NULL, &read, &error), &error);
    assert_true(models_equal(made, read));
    if (raw) {
        uint8_t *stored = NULL, *written = NULL;
        size_t stored_size = 0, written_size = 0;
        assert_ok(pare_file_read(path, SIZE_MAX, &stored, &stored_size, &error), &error);
        assert_ok(pare_model_to_bytes(read, &options, &written, &written_size, &error), &error);
        assert_int_equal(stored_size, written_size);
        assert_memory_equal(stored, written, stored_size);
        pare_free(stored);
        pare_free(written);
    }
    pare_model_release(made);
    pare_model_release(read);
}

static void version_1_loads(void **state) {
    (void)state;
    for (int raw = 0; raw < 2; raw++) {
        check("smallest", sample_smallest, raw != 0);
        check("every_opcode", sample_every_opcode, raw != 0);
        check("every_type", sample_every_type, raw != 0);
        check("integer", sample_integer, raw != 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(version_1_loads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
