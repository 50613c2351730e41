/* The seeds of fuzz_onnx_scan are made here. The test checks that those in the
 * tree are these; with PARE_WRITE_CORPUS set it writes them. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx_builder.h"

typedef struct seed {
    uint8_t bytes[4096];
    size_t size;
} seed;

static void take(seed *out, test_onnx *m) {
    const uint8_t *data = test_onnx_pack(m, &out->size);
    assert_true(out->size <= sizeof out->bytes);
    memcpy(out->bytes, data, out->size);
    test_onnx_free(m);
}

static void make_network(seed *out) {
    test_onnx *m = test_onnx_begin(8, 13);
    test_onnx_input(m, "x", PARE_F32, 4, (int64_t[]){-1, 1, 4, 4});
    test_onnx_initializer_f32(m, "w", 4, (int64_t[]){1, 1, 2, 2}, (float[]){1, -1, 0.5f, 2});
    test_onnx_initializer_f32(m, "s", 0, NULL, (float[]){0.02f});
    test_onnx_initializer_u8(m, "z", 0, NULL, (uint8_t[]){128});
    test_onnx_initializer_i64(m, "shape", 1, (int64_t[]){2}, (int64_t[]){0, -1});
    Onnx__NodeProto *conv = test_onnx_node(m, "Conv", "conv", 2, (const char *[]){"x", "w"}, 1, (const char *[]){"c"});
    test_onnx_attr_ints(m, conv, "pads", 4, (int64_t[]){1, 1, 0, 0});
    test_onnx_attr_string(m, conv, "auto_pad", "NOTSET");
    test_onnx_attr_int(m, conv, "group", 1);
    test_onnx_node(m, "QuantizeLinear", "q", 3, (const char *[]){"c", "s", "z"}, 1, (const char *[]){"cq"});
    test_onnx_node(m, "DequantizeLinear", "dq", 3, (const char *[]){"cq", "s", "z"}, 1, (const char *[]){"cd"});
    Onnx__NodeProto *clip =
        test_onnx_node(m, "Clip", "clip", 3, (const char *[]){"cd", "", "s"}, 1, (const char *[]){"r"});
    test_onnx_attr_float(m, clip, "unused", -0.0f);
    test_onnx_attr_floats(m, clip, "more", 2, (float[]){1, 2});
    test_onnx_node(m, "Reshape", "flat", 2, (const char *[]){"r", "shape"}, 1, (const char *[]){"y"});
    test_onnx_value_info(m, "c", PARE_F32, 4, (int64_t[]){-1, 1, 4, 4});
    test_onnx_output(m, "y", PARE_F32, 2, (int64_t[]){-1, 16});
    test_onnx_opset(m, "com.example", 1);
    take(out, m);
}

static Onnx__TensorProto *typed(test_onnx *m, const char *name, int32_t type, int64_t count) {
    Onnx__TensorProto *tensor = test_onnx_initializer(m, name, PARE_U8, 1, (int64_t[]){0}, NULL);
    tensor->has_raw_data = 0;
    tensor->data_type = type;
    tensor->dims[0] = count;
    return tensor;
}

static void make_typed(seed *out) {
    test_onnx *m = test_onnx_begin(10, 21);
    Onnx__TensorProto *tensor = typed(m, "f", PARE_F32, 2);
    tensor->n_float_data = 2;
    tensor->float_data = (float[]){1, 2};
    tensor = typed(m, "d", PARE_F64, 1);
    tensor->n_double_data = 1;
    tensor->double_data = (double[]){0.1};
    tensor = typed(m, "i64", PARE_S64, 2);
    tensor->n_int64_data = 2;
    tensor->int64_data = (int64_t[]){-1, INT64_MAX};
    tensor = typed(m, "u32", PARE_U32, 1);
    tensor->n_uint64_data = 1;
    tensor->uint64_data = (uint64_t[]){UINT32_MAX};
    tensor = typed(m, "i8", PARE_S8, 2);
    tensor->n_int32_data = 2;
    tensor->int32_data = (int32_t[]){-128, 127};
    tensor = typed(m, "i4", 22, 3);
    tensor->n_int32_data = 2;
    tensor->int32_data = (int32_t[]){0x9f, 0x04};
    tensor = typed(m, "bool", PARE_BOOL, 2);
    tensor->n_int32_data = 2;
    tensor->int32_data = (int32_t[]){0, 1};
    typed(m, "none", PARE_F16, 0);
    take(out, m);
}

static void make_external(seed *out) {
    test_onnx *m = test_onnx_begin(8, 17);
    Onnx__TensorProto *tensor = typed(m, "w", PARE_F32, 4);
    Onnx__StringStringEntryProto entries[3], *list[] = {&entries[0], &entries[1], &entries[2]};
    static char *const texts[][2] = {{"location", "w.bin"}, {"offset", "0"}, {"length", "16"}};
    for (size_t i = 0; i < 3; i++) {
        onnx__string_string_entry_proto__init(&entries[i]);
        entries[i].key = texts[i][0];
        entries[i].value = texts[i][1];
    }
    tensor->n_external_data = 3;
    tensor->external_data = list;
    tensor->has_data_location = 1;
    tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    take(out, m);
}

/* A graph in an attribute of a node of a graph, `levels` times. */
static void make_nested(seed *out, size_t levels) {
    static const uint8_t tags[] = {0x3a, 0x32, 0x2a, 0x0a}; /* model.graph, attribute.g, node.attribute, graph.node */
    uint8_t reversed[sizeof out->bytes];
    size_t size = 0;
    for (size_t level = levels; level-- > 1;) {
        const size_t length = size;
        if (length >= 0x80) {
            reversed[size++] = (uint8_t)(length >> 7);
            reversed[size++] = (uint8_t)((length & 0x7f) | 0x80);
        } else {
            reversed[size++] = (uint8_t)length;
        }
        reversed[size++] = level == 1 ? tags[0] : tags[3 - (level - 2) % 3];
        assert_true(size + 4 < sizeof reversed);
    }
    out->size = size;
    for (size_t i = 0; i < size; i++) {
        out->bytes[i] = reversed[size - 1 - i];
    }
}

static void make_depth_64(seed *out) {
    make_nested(out, 64);
}

static void make_depth_65(seed *out) {
    make_nested(out, 65);
}

static void make_raw(seed *out, const char *bytes, size_t size) {
    memcpy(out->bytes, bytes, size);
    out->size = size;
}

static void make_two_graphs(seed *out) {
    make_raw(out, "\x08\x08\x3a\x00\x42\x02\x10\x11\x3a\x00", 10);
}

static void make_unknown_fields(seed *out) {
    make_raw(out,
             "\x08\x08\x3a\x00\x42\x02\x10\x11\xd2\x0f\x03"
             "abc\xd8\x0f\x01\xfd\xff\xff\xff\x0f"
             "1234",
             26);
}

static void make_group(seed *out) {
    make_raw(out, "\x08\x08\x0b\x0c", 4);
}

static void make_long_varint(seed *out) {
    make_raw(out, "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12);
}

static void make_text(seed *out) {
    make_raw(out, "{\"model\": 1}\n", 13);
}

static void make_empty_nodes(seed *out) {
    out->size = 0;
    make_raw(out, "\x08\x08\x3a\xd0\x0f", 5);
    for (int i = 0; i < 1000; i++) {
        out->bytes[out->size++] = 0x0a;
        out->bytes[out->size++] = 0x00;
    }
    memcpy(out->bytes + out->size, "\x42\x02\x10\x11", 4);
    out->size += 4;
}

static const struct {
    const char *name;
    void (*make)(seed *out);
    pare_status expected;
} seeds[] = {
    {"network", make_network, PARE_OK},
    {"typed_fields", make_typed, PARE_OK},
    {"external", make_external, PARE_OK},
    {"depth_64", make_depth_64, PARE_BAD_INPUT},
    {"depth_65", make_depth_65, PARE_LIMIT},
    {"two_graphs", make_two_graphs, PARE_BAD_INPUT},
    {"unknown_fields", make_unknown_fields, PARE_OK},
    {"group", make_group, PARE_BAD_INPUT},
    {"long_varint", make_long_varint, PARE_BAD_INPUT},
    {"text", make_text, PARE_BAD_INPUT},
    {"empty_nodes", make_empty_nodes, PARE_OK},
};

static const char *seed_path(const char *name) {
    static char path[4096];
    const char *tests = getenv("PARE_TESTS");
    snprintf(path, sizeof path, "%s/fuzz/corpus/onnx_scan/%s", tests != NULL ? tests : "tests", name);
    return path;
}

static void every_seed_is_what_its_name_says(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        seed made = {.size = 0};
        pare_onnx_file file;
        pare_error error = {0};
        seeds[i].make(&made);
        const pare_status status = pare_onnx_from_bytes(made.bytes, made.size, NULL, NULL, &file, &error);
        if (status != seeds[i].expected) {
            fail_msg("%s: expected status %d, found %d: %s", seeds[i].name, (int)seeds[i].expected, (int)status,
                     error.message);
        }
        pare_onnx_close(&file);
    }
}

static void the_seeds_in_the_tree_are_these(void **state) {
    (void)state;
    const bool write = getenv("PARE_WRITE_CORPUS") != NULL;
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        seed made = {.size = 0}, found = {.size = 0};
        seeds[i].make(&made);
        FILE *file = fopen(seed_path(seeds[i].name), write ? "wb" : "rb");
        assert_non_null(file);
        if (write) {
            assert_int_equal(fwrite(made.bytes, 1, made.size, file), made.size);
        } else {
            found.size = fread(found.bytes, 1, sizeof found.bytes, file);
            assert_int_equal(found.size, made.size);
            assert_memory_equal(found.bytes, made.bytes, made.size);
        }
        assert_int_equal(fclose(file), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_seed_is_what_its_name_says),
        cmocka_unit_test(the_seeds_in_the_tree_are_these),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
