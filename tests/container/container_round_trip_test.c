/* What is written is read again, whatever its opcodes, types and codecs. */
#include <string.h>

#include "pare/file.h"
#include "pare/memory.h"
#include "pare/model.h"
#include "sample_models.h"
#include "test.h"

static void check_round_trip(pare_model *model, bool raw, bool codec_seen[PARE_CODEC_END]) {
    pare_error error = {0};
    pare_write_options options = {.raw = raw};
    uint8_t *data = NULL, *again = NULL;
    size_t size = 0, again_size = 0;
    pare_model *read = NULL;
    assert_ok(pare_model_to_bytes(model, &options, &data, &size, &error), &error);
    assert_true(pare_model_is_container(data, size));
    assert_ok(pare_model_from_bytes(data, size, NULL, &read, &error), &error);
    assert_true(models_equal(model, read));
    for (uint32_t b = 0; b < read->buffer_count; b++) {
        static const uint8_t zeros[64];
        assert_int_equal((uintptr_t)read->buffers[b].data % 64, 0);
        assert_memory_equal((const uint8_t *)read->buffers[b].data + read->buffers[b].bytes, zeros, 64);
        assert_true(!raw || read->buffers[b].codec == PARE_CODEC_RAW);
        assert_true(read->buffers[b].stored_bytes <= read->buffers[b].bytes);
        codec_seen[read->buffers[b].codec] = true;
    }
    assert_ok(pare_model_to_bytes(read, &options, &again, &again_size, &error), &error);
    assert_int_equal(size, again_size);
    assert_memory_equal(data, again, size);
    pare_model_layout layout;
    assert_ok(pare_model_file_layout(data, size, &layout, &error), &error);
    assert_int_equal(layout.total, size);
    assert_int_equal(layout.header + layout.strings + layout.tensors + layout.quantization + layout.nodes +
                         layout.metadata + layout.weights,
                     size);
    pare_free(data);
    pare_free(again);
    pare_model_release(read);
}

static void round_trip_both(pare_model *model, bool codec_seen[PARE_CODEC_END]) {
    check_round_trip(model, true, codec_seen);
    check_round_trip(model, false, codec_seen);
    pare_model_release(model);
}

static void every_opcode_returns(void **state) {
    (void)state;
    bool seen[PARE_OPCODE_END] = {false}, codecs[PARE_CODEC_END] = {false};
    pare_model *model = sample_every_opcode();
    for (uint32_t i = 0; i < model->node_count; i++) {
        seen[model->nodes[i].opcode] = true;
    }
    for (uint32_t opcode = 1; opcode < PARE_OPCODE_END; opcode++) {
        if (!seen[opcode]) {
            print_error("no node of opcode %u\n", opcode);
        }
        assert_true(seen[opcode]);
    }
    round_trip_both(model, codecs);
}

static void every_type_returns(void **state) {
    (void)state;
    bool codecs[PARE_CODEC_END] = {false};
    round_trip_both(sample_every_type(), codecs);
}

static void integer_forms_return_in_several_codecs(void **state) {
    (void)state;
    bool codecs[PARE_CODEC_END] = {false};
    round_trip_both(sample_integer(), codecs);
    assert_true(codecs[PARE_CODEC_RAW] && codecs[PARE_CODEC_ENTROPY]);
}

static void smallest_returns(void **state) {
    (void)state;
    bool codecs[PARE_CODEC_END] = {false};
    round_trip_both(sample_smallest(), codecs);
}

static void file_on_disk_returns(void **state) {
    (void)state;
    pare_error error = {0};
    pare_model *model = sample_integer(), *read = NULL;
    const char *path = test_path("sample.pare");
    assert_ok(pare_model_save(model, NULL, path, &error), &error);
    assert_ok(pare_model_open(path, NULL, &read, &error), &error);
    assert_true(models_equal(model, read));
    assert_string_equal(pare_model_metadata_find(read, "pare.preprocess"), "{\"scale\":0.5}");
    assert_null(pare_model_metadata_find(read, "absent"));
    pare_model_release(model);
    pare_model_release(read);
}

static void references_are_counted(void **state) {
    (void)state;
    size_t before = pare_memory_used();
    pare_model *model = sample_smallest();
    assert_ptr_equal(pare_model_retain(model), model);
    pare_model_release(model);
    assert_int_equal(model->node_count, 1);
    pare_model_release(model);
    pare_model_release(NULL);
    assert_int_equal(pare_memory_used(), before);
}

/* F1 and F2: each allocation of writing and reading fails once, or from there on. */
static void failing_allocations_leave_nothing(void **state) {
    (void)state;
    pare_model *model = sample_integer();
    size_t before = pare_memory_used();
    for (int forever = 0; forever < 2; forever++) {
        pare_status status = PARE_LIMIT;
        for (size_t n = 1; status != PARE_OK; n++) {
            uint8_t *data = NULL;
            size_t size = 0;
            pare_model *read = NULL;
            pare_error error = {0};
            pare_memory_fail_at(n, forever != 0);
            status = pare_model_to_bytes(model, NULL, &data, &size, &error);
            if (status == PARE_OK) {
                status = pare_model_from_bytes(data, size, NULL, &read, &error);
                pare_free(data);
            }
            pare_memory_fail_at(0, false);
            if (status != PARE_OK) {
                assert_int_equal(status, PARE_LIMIT);
                assert_true(error.message[0] != '\0');
                assert_null(read);
            }
            pare_model_release(read);
            assert_int_equal(pare_memory_used(), before);
            assert_true(n < 5000);
        }
    }
    pare_model_release(model);
}

static void names_that_are_taken_get_a_number(void **state) {
    (void)state;
    pare_model *model = sample_integer();
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            assert_string_not_equal(model->tensors[i].name, model->tensors[j].name);
        }
    }
    pare_model_release(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_opcode_returns),
        cmocka_unit_test(every_type_returns),
        cmocka_unit_test(integer_forms_return_in_several_codecs),
        cmocka_unit_test(smallest_returns),
        cmocka_unit_test(file_on_disk_returns),
        cmocka_unit_test(references_are_counted),
        cmocka_unit_test(failing_allocations_leave_nothing),
        cmocka_unit_test(names_that_are_taken_get_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
