/* Bad containers, as files: rows 58 to 63, 68, 70 and 71 of the bad-input list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pare/file.h"
#include "pare/memory.h"
#include "sample_models.h"
#include "test.h"

typedef struct file_bytes {
    uint8_t *data;
    size_t size;
} file_bytes;

/* The file of a sample, in a block of its own from malloc. */
static file_bytes file_of(pare_model *model, bool raw) {
    pare_error error = {0};
    pare_write_options options = {.raw = raw};
    file_bytes file = {0};
    uint8_t *data = NULL;
    assert_ok(pare_model_to_bytes(model, &options, &data, &file.size, &error), &error);
    file.data = malloc(file.size + 4096);
    assert_non_null(file.data);
    memcpy(file.data, data, file.size);
    pare_free(data);
    pare_model_release(model);
    return file;
}

static void put32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static void put64(uint8_t *at, uint64_t value) {
    put32(at, (uint32_t)value);
    put32(at + 4, (uint32_t)(value >> 32));
}

static uint8_t *section(const file_bytes *file, uint32_t type) {
    size_t offset, bytes;
    find_section(file->data, file->size, type, &offset, &bytes);
    assert_true(offset != 0);
    return file->data + offset;
}

enum { STRINGS = 1, QUANTIZATION, TENSORS, NODES, PORTS, METADATA, BUFFERS, WEIGHTS, HEADER = 64, ENTRY = 40 };

static void refused_with(const file_bytes *file, const pare_model_limits *limits, pare_status expected,
                         const char *text) {
    size_t before = pare_memory_used();
    pare_error error = {0};
    pare_model *model = NULL;
    assert_fails(pare_model_from_bytes(file->data, file->size, limits, &model, &error), expected, &error, text);
    assert_null(model);
    assert_int_equal(pare_memory_used(), before);
}

/* After recomputing the checksums, so that the content itself is reached. */
static void refused(file_bytes *file, pare_status expected, const char *text) {
    fix_checksums(file->data, file->size);
    refused_with(file, NULL, expected, text);
}

static void row_58_magic_version_flags(void **state) {
    (void)state;
    file_bytes file = file_of(sample_smallest(), true);
    memcpy(file.data, "GGUF", 4);
    refused(&file, PARE_BAD_INPUT, "magic");
    memcpy(file.data, "ERAP", 4);
    refused(&file, PARE_BAD_INPUT, "endianness");
    memcpy(file.data, "PARE", 4);
    put32(file.data + 4, 2);
    refused(&file, PARE_UNSUPPORTED, "version");
    put32(file.data + 4, 0);
    refused(&file, PARE_BAD_INPUT, "version");
    put32(file.data + 4, 1);
    put32(file.data + 20, 4);
    refused(&file, PARE_UNSUPPORTED, "flags");
    put32(file.data + 20, 0);
    put32(file.data + HEADER + 4, 16);
    refused(&file, PARE_UNSUPPORTED, "flags");
    free(file.data);
}

/* Every bit counts: whatever single bit is flipped, the checksums tell. */
static void row_59_flipped_bit_is_noticed(void **state) {
    (void)state;
    for (int raw = 0; raw < 2; raw++) {
        file_bytes file = file_of(sample_smallest(), raw != 0);
        for (size_t bit = 0; bit < 8 * file.size; bit++) {
            file.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            pare_error error = {0};
            pare_model *model = NULL;
            pare_status status = pare_model_from_bytes(file.data, file.size, NULL, &model, &error);
            assert_true(status == PARE_BAD_INPUT || status == PARE_UNSUPPORTED);
            assert_true(error.message[0] != '\0');
            file.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        free(file.data);
    }
}

static void flip_with_right_checksums(pare_model *model, bool raw, size_t step) {
    file_bytes file = file_of(model, raw);
    file_bytes copy = {malloc(file.size), file.size};
    assert_non_null(copy.data);
    size_t before = pare_memory_used();
    for (size_t at = 0; at < file.size; at += step) {
        memcpy(copy.data, file.data, file.size);
        copy.data[at] ^= (uint8_t)(1u << (at % 8));
        fix_checksums(copy.data, copy.size);
        pare_error error = {0};
        pare_model *read = NULL;
        pare_status status = pare_model_from_bytes(copy.data, copy.size, NULL, &read, &error);
        if (status == PARE_OK) {
            assert_ok(pare_model_verify(read, &error), &error);
        } else {
            assert_true(status == PARE_BAD_INPUT || status == PARE_UNSUPPORTED || status == PARE_LIMIT);
            assert_true(error.message[0] != '\0');
        }
        pare_model_release(read);
        assert_int_equal(pare_memory_used(), before);
    }
    free(copy.data);
    free(file.data);
}

static void row_59_flipped_content_with_right_checksums(void **state) {
    (void)state;
    flip_with_right_checksums(sample_smallest(), true, 1);
    flip_with_right_checksums(sample_every_opcode(), true, 1);
    flip_with_right_checksums(sample_every_type(), true, 1);
    flip_with_right_checksums(sample_integer(), true, 3);
    flip_with_right_checksums(sample_integer(), false, 3);
}

static void row_60_truncated_at_every_offset(void **state) {
    (void)state;
    file_bytes file = file_of(sample_smallest(), true);
    for (size_t size = 0; size < file.size; size++) {
        /* An exact-size copy, so that ASan sees a read past its end. */
        file_bytes cut = {malloc(size + (size == 0)), size};
        assert_non_null(cut.data);
        memcpy(cut.data, file.data, size);
        refused_with(&cut, NULL, PARE_BAD_INPUT, "");
        if (size >= HEADER) { /* and with a header that agrees */
            put64(cut.data + 8, size);
            refused(&cut, PARE_BAD_INPUT, "");
        }
        free(cut.data);
    }
    free(file.data);
}

static void row_60_bytes_behind_the_end(void **state) {
    (void)state;
    file_bytes file = file_of(sample_smallest(), true);
    file.data[file.size++] = 0;
    refused(&file, PARE_BAD_INPUT, "expected a file of");
    put64(file.data + 8, file.size);
    refused(&file, PARE_BAD_INPUT, "more bytes");
    free(file.data);
}

static void row_60_section_table(void **state) {
    (void)state;
    file_bytes file = file_of(sample_integer(), true);
    uint8_t kept[HEADER + 8 * ENTRY];
    memcpy(kept, file.data, sizeof kept);
    uint8_t *second = file.data + HEADER + ENTRY;
    put32(file.data + 16, 0);
    refused(&file, PARE_BAD_INPUT, "sections");
    put32(file.data + 16, 65);
    refused(&file, PARE_BAD_INPUT, "sections");
    put32(file.data + 16, 64);
    refused(&file, PARE_BAD_INPUT, "");
    memcpy(file.data, kept, sizeof kept);
    put32(second, STRINGS);
    refused(&file, PARE_BAD_INPUT, "twice");
    memcpy(file.data, kept, sizeof kept);
    put32(second, 77); /* required and unknown */
    refused(&file, PARE_UNSUPPORTED, "unknown required section 77");
    put32(second + 4, 1); /* optional: skipped, but then one is missing */
    refused(&file, PARE_BAD_INPUT, "missing");
    memcpy(file.data, kept, sizeof kept);
    uint64_t offsets[] = {0, 64, 65, UINT64_MAX, UINT64_MAX - 63, 1u << 20, 1};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        put64(second + 8, offsets[i]);
        refused(&file, PARE_BAD_INPUT, "expected to begin at");
    }
    memcpy(file.data, kept, sizeof kept);
    put64(second + 16, UINT64_MAX);
    refused(&file, PARE_BAD_INPUT, "expected to begin at");
    memcpy(file.data, kept, sizeof kept);
    put64(second + 24, 1);
    refused(&file, PARE_BAD_INPUT, "cannot hold");
    free(file.data);
}

static void row_61_packed_section_claims_too_much(void **state) {
    (void)state;
    file_bytes file = file_of(sample_integer(), false);
    uint8_t *entry = file.data + HEADER + (NODES - 1) * ENTRY;
    uint8_t kept[ENTRY];
    memcpy(kept, entry, sizeof kept);
    put64(entry + 24, 1u << 30);
    refused(&file, PARE_BAD_INPUT, "cannot hold");
    put64(entry + 24, (uint64_t)1 << 40);
    refused(&file, PARE_LIMIT, "limit");
    put64(entry + 24, kept[24] + 256u * kept[25] + 1);
    refused(&file, PARE_BAD_INPUT, "zlib");
    put64(entry + 24, kept[24] + 256u * kept[25] - 1);
    refused(&file, PARE_BAD_INPUT, "zlib");
    put64(entry + 24, 0);
    refused(&file, PARE_BAD_INPUT, "zlib");
    memcpy(entry, kept, sizeof kept);
    put64(entry + 16, 0); /* nothing is stored of what is declared */
    refused(&file, PARE_BAD_INPUT, "");
    memcpy(entry, kept, sizeof kept);
    put64(entry + 16, 0);
    put64(entry + 24, 0);
    refused(&file, PARE_BAD_INPUT, "");
    free(file.data);
}

static void row_61_total_of_buffers_is_limited(void **state) {
    (void)state;
    file_bytes file = file_of(sample_integer(), true);
    pare_model_limits small = {.total_bytes = 4000}, one = {.section_bytes = 2500}, whole = {.file_bytes = 1000};
    refused_with(&file, &small, PARE_LIMIT, "limit");
    refused_with(&file, &one, PARE_LIMIT, "limit");
    refused_with(&file, &whole, PARE_LIMIT, "limit");
    free(file.data);
}

static void row_62_counts_beyond_the_bytes(void **state) {
    (void)state;
    file_bytes file = file_of(sample_integer(), true);
    for (uint32_t type = TENSORS; type <= BUFFERS; type++) {
        uint8_t *count = section(&file, type);
        uint8_t kept[4];
        memcpy(kept, count, sizeof kept);
        uint32_t wrong[] = {UINT32_MAX, 0x10000000, 90000, kept[0] + 1u, kept[0] - 1u};
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            put32(count, wrong[i]);
            fix_checksums(file.data, file.size);
            pare_error error = {0};
            pare_model *model = NULL;
            pare_status status = pare_model_from_bytes(file.data, file.size, NULL, &model, &error);
            assert_true(status == PARE_BAD_INPUT || status == PARE_LIMIT);
            assert_true(error.message[0] != '\0');
            assert_null(model);
        }
        memcpy(count, kept, sizeof kept);
    }
    put32(section(&file, QUANTIZATION) + 4, UINT32_MAX);
    refused(&file, PARE_BAD_INPUT, "quantization");
    free(file.data);
}

static void row_62_counts_over_the_limit(void **state) {
    (void)state;
    file_bytes file = file_of(sample_integer(), true);
    pare_model_limits tensors = {.tensors = 3}, nodes = {.nodes = 3}, names = {.name_bytes = 2},
                      metadata = {.metadata_bytes = 5};
    refused_with(&file, &tensors, PARE_LIMIT, "limit");
    refused_with(&file, &nodes, PARE_LIMIT, "limit");
    refused_with(&file, &names, PARE_LIMIT, "limit");
    refused_with(&file, &metadata, PARE_LIMIT, "limit");
    free(file.data);
}

static void row_63_strings(void **state) {
    (void)state;
    file_bytes file = file_of(sample_smallest(), true);
    uint8_t *name = section(&file, TENSORS) + 4;
    put32(name, 100000);
    refused(&file, PARE_BAD_INPUT, "pool");
    put32(name, 1);
    uint8_t *pool = section(&file, STRINGS);
    pool[1] = 0xff;
    refused(&file, PARE_BAD_INPUT, "UTF-8");
    pool[1] = 'y'; /* the second tensor's name */
    refused(&file, PARE_BAD_INPUT, "found it twice");
    free(file.data);
    file = file_of(sample_smallest(), true);
    size_t offset, bytes;
    find_section(file.data, file.size, STRINGS, &offset, &bytes);
    file.data[offset + bytes - 1] = 'a';
    refused(&file, PARE_BAD_INPUT, "ends within the pool");
    free(file.data);
}

static void row_65_buffers_in_the_file(void **state) {
    (void)state;
    file_bytes file = file_of(sample_integer(), true);
    uint8_t *second = section(&file, BUFFERS) + 4 + 32;
    uint8_t kept[32];
    memcpy(kept, second, sizeof kept);
    uint64_t offsets[] = {0, 64, 1u << 30, UINT64_MAX};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        put64(second + 16, offsets[i]);
        refused(&file, PARE_BAD_INPUT, "buffer 1: expected to lie");
    }
    memcpy(second, kept, sizeof kept);
    put64(second + 24, UINT64_MAX);
    refused(&file, PARE_BAD_INPUT, "buffer 1: expected to lie");
    memcpy(second, kept, sizeof kept);
    put64(second + 8, 1u << 29);
    refused(&file, PARE_BAD_INPUT, "cannot hold");
    memcpy(second, kept, sizeof kept);
    put32(second, PARE_CODEC_END);
    refused(&file, PARE_UNSUPPORTED, "codec");
    memcpy(second, kept, sizeof kept);
    put32(section(&file, TENSORS) + 4 + 12, 1000); /* a quantization that is not there */
    refused(&file, PARE_BAD_INPUT, "out of range");
    free(file.data);
}

static void row_67_attributes_of_another_size(void **state) {
    (void)state;
    file_bytes file = file_of(sample_smallest(), true);
    uint8_t *size = section(&file, NODES) + 4 + 16;
    put32(size, 12);
    refused(&file, PARE_BAD_INPUT, "expected attributes of 16 bytes, found 12");
    put32(size, UINT32_MAX);
    refused(&file, PARE_BAD_INPUT, "attributes");
    free(file.data);
}

static void row_66_unknown_opcode(void **state) {
    (void)state;
    file_bytes file = file_of(sample_smallest(), true);
    put32(section(&file, NODES) + 8, 9999);
    refused(&file, PARE_UNSUPPORTED, "unknown opcode 9999");
    free(file.data);
}

static void row_68_nodes_of_too_many_inputs(void **state) {
    (void)state;
    file_bytes file = file_of(sample_smallest(), true);
    put32(section(&file, NODES) + 12, 100000);
    refused(&file, PARE_BAD_INPUT, "");
    free(file.data);
}

static void row_70_file_is_not_needed_after_loading(void **state) {
    (void)state;
    pare_error error = {0};
    pare_model *model = sample_integer(), *read = NULL;
    const char *path = test_path("vanishing.pare");
    assert_ok(pare_model_save(model, NULL, path, &error), &error);
    assert_ok(pare_model_open(path, NULL, &read, &error), &error);
    assert_int_equal(truncate(path, 0), 0);
    assert_true(models_equal(model, read));
    pare_model *none = NULL;
    assert_fails(pare_model_open(path, NULL, &none, &error), PARE_BAD_INPUT, &error, "vanishing.pare");
    assert_fails(pare_model_open(test_folder(), NULL, &none, &error), PARE_BAD_INPUT, &error, "folder");
    assert_fails(pare_model_open(test_path("absent.pare"), NULL, &none, &error), PARE_IO, &error, "absent.pare");
    pare_model_release(read);
    pare_model_release(model);
}

/* A ninth entry shifts everything: the file is put together again by hand. */
static file_bytes with_extra_section(uint32_t type, uint32_t flags) {
    file_bytes file = file_of(sample_smallest(), true);
    size_t first = HEADER + 8 * ENTRY;
    first = (first + 63) / 64 * 64;
    size_t table = (HEADER + 9 * ENTRY + 63) / 64 * 64;
    size_t shift = table - first;
    file_bytes more = {calloc(1, file.size + 512), 0};
    assert_non_null(more.data);
    memcpy(more.data, file.data, HEADER + 8 * ENTRY);
    memcpy(more.data + table, file.data + first, file.size - first);
    for (size_t i = 0; i < 8; i++) {
        uint8_t *entry = more.data + HEADER + i * ENTRY;
        put64(entry + 8, shift + entry[8] + 256u * entry[9]);
    }
    size_t at = (file.size + shift + 63) / 64 * 64;
    uint8_t *entry = more.data + HEADER + 8 * ENTRY;
    put32(entry, type);
    put32(entry + 4, flags);
    put64(entry + 8, at);
    put64(entry + 16, 5);
    put64(entry + 24, 5);
    memcpy(more.data + at, "later", 5);
    more.size = at + 5;
    put64(more.data + 8, more.size);
    put32(more.data + 16, 9);
    free(file.data);
    return more;
}

/* pare-inspect loads the file and says so. */
static void inspect_says(const file_bytes *file, const char *text) {
    static char printed[1 << 14];
    char command[9000];
    pare_error error = {0};
    const char *bin = getenv("PARE_BIN");
    if (bin == NULL) {
        return;
    }
    assert_ok(pare_file_replace(test_path("newer.pare"), file->data, file->size, &error), &error);
    snprintf(command, sizeof command, "'%s/pare-inspect' '%s' 2>&1", bin, test_path("newer.pare"));
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    printed[fread(printed, 1, sizeof printed - 1, pipe)] = '\0';
    assert_int_equal(pclose(pipe), 0);
    assert_non_null(strstr(printed, text));
}

static void row_71_unknown_optional_section_is_skipped(void **state) {
    (void)state;
    file_bytes file = with_extra_section(1234, 1);
    pare_error error = {0};
    pare_model *model = NULL;
    fix_checksums(file.data, file.size);
    assert_ok(pare_model_from_bytes(file.data, file.size, NULL, &model, &error), &error);
    assert_int_equal(model->skipped_sections, 1);
    pare_model_layout layout;
    assert_ok(pare_model_file_layout(file.data, file.size, &layout, &error), &error);
    pare_model_release(model);
    inspect_says(&file, "skipped     1 optional sections");
    free(file.data);
    file = with_extra_section(1234, 0);
    refused(&file, PARE_UNSUPPORTED, "unknown required section 1234");
    free(file.data);
}

static void row_85_null_everywhere(void **state) {
    (void)state;
    pare_error error = {0};
    pare_model *model = NULL;
    uint8_t *data;
    size_t size;
    assert_fails(pare_model_from_bytes(NULL, 8, NULL, &model, &error), PARE_USAGE, &error, "NULL");
    assert_fails(pare_model_from_bytes("PARE", 4, NULL, NULL, &error), PARE_USAGE, &error, "NULL");
    assert_fails(pare_model_open(NULL, NULL, &model, &error), PARE_USAGE, &error, "NULL");
    assert_fails(pare_model_open("x.pare", NULL, NULL, &error), PARE_USAGE, &error, "NULL");
    assert_fails(pare_model_to_bytes(NULL, NULL, &data, &size, &error), PARE_USAGE, &error, "NULL");
    assert_fails(pare_model_save(NULL, NULL, test_path("null.pare"), &error), PARE_USAGE, &error, "NULL");
    assert_false(pare_model_is_container(NULL, 8));
}

static void row_62_products_of_scales(void **state) {
    (void)state;
    pare_error error = {0};
    pare_model *sample = sample_integer(), *model = NULL;
    pare_write_options options = {.raw = true};
    uint8_t *data;
    size_t size, at, bytes, records = 0;
    assert_ok(pare_model_to_bytes(sample, &options, &data, &size, &error), &error);
    find_section(data, size, QUANTIZATION, &at, &bytes);
    for (size_t i = at; i < at + bytes;) {
        uint32_t count, flags;
        memcpy(&count, data + i + 4, 4);
        memcpy(&flags, data + i + 8, 4);
        if (flags & 2) {
            const uint32_t itself = (uint32_t)records;
            records = SIZE_MAX;
            memcpy(data + i + 12, &itself, 4); /* not an earlier record */
            break;
        }
        records++;
        i += 12 + 4 * (size_t)count * (1 + (flags & 1));
    }
    assert_true(records == SIZE_MAX); /* the sample has a product */
    fix_checksums(data, size);
    assert_fails(pare_model_from_bytes(data, size, NULL, &model, &error), PARE_BAD_INPUT, &error, "product");
    pare_free(data);
    pare_model_release(sample);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_85_null_everywhere),
        cmocka_unit_test(row_62_products_of_scales),
        cmocka_unit_test(row_58_magic_version_flags),
        cmocka_unit_test(row_59_flipped_bit_is_noticed),
        cmocka_unit_test(row_59_flipped_content_with_right_checksums),
        cmocka_unit_test(row_60_truncated_at_every_offset),
        cmocka_unit_test(row_60_bytes_behind_the_end),
        cmocka_unit_test(row_60_section_table),
        cmocka_unit_test(row_61_packed_section_claims_too_much),
        cmocka_unit_test(row_61_total_of_buffers_is_limited),
        cmocka_unit_test(row_62_counts_beyond_the_bytes),
        cmocka_unit_test(row_62_counts_over_the_limit),
        cmocka_unit_test(row_63_strings),
        cmocka_unit_test(row_65_buffers_in_the_file),
        cmocka_unit_test(row_66_unknown_opcode),
        cmocka_unit_test(row_67_attributes_of_another_size),
        cmocka_unit_test(row_68_nodes_of_too_many_inputs),
        cmocka_unit_test(row_70_file_is_not_needed_after_loading),
        cmocka_unit_test(row_71_unknown_optional_section_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
