/* The wire walk: each test is named after its row of bad inputs. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "onnx_builder.h"
#include "pare/bytes.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
/* Field numbers of onnx.proto. */
enum { MODEL_IR = 1, MODEL_PRODUCER = 2, MODEL_GRAPH = 7, MODEL_METADATA = 14 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_TENSOR = 5, GRAPH_INPUT = 11 };

static void put_varint(pare_byte_buffer *out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
        pare_put_u8(out, (uint8_t)(value | 0x80));
    }
    pare_put_u8(out, (uint8_t)value);
}

static void put_tag(pare_byte_buffer *out, uint32_t field, uint32_t wire) {
    put_varint(out, (uint64_t)field << 3 | wire);
}

static void put_field(pare_byte_buffer *out, uint32_t field, const void *data, size_t bytes) {
    put_tag(out, field, BYTES);
    put_varint(out, bytes);
    pare_put_bytes(out, data, bytes);
}

/* Scans an exact-size copy, so that a read past the end is seen, and frees. */
static pare_status scan_exact(pare_byte_buffer *out, const pare_onnx_limits *limits, pare_error *error) {
    assert_false(out->failed);
    uint8_t *copy = malloc(out->size + (out->size == 0));
    assert_non_null(copy);
    if (out->size != 0) {
        memcpy(copy, out->data, out->size);
    }
    const pare_status status = pare_onnx_scan(copy, out->size, limits, error);
    free(copy);
    pare_byte_buffer_free(out);
    return status;
}

/* Scans a model whose graph is `graph`, which it frees. */
static pare_status scan_graph(pare_byte_buffer *graph, const pare_onnx_limits *limits, pare_error *error) {
    pare_byte_buffer model = {0};
    put_field(&model, MODEL_GRAPH, graph->data, graph->size);
    pare_byte_buffer_free(graph);
    return scan_exact(&model, limits, error);
}

static void valid_models_pass(void **state) {
    (void)state;
    test_onnx *m = test_onnx_begin(8, 17);
    test_onnx_input(m, "x", PARE_F32, 2, (int64_t[]){-1, 3});
    test_onnx_initializer_f32(m, "w", 2, (int64_t[]){3, 1}, (float[]){1, 2, 3});
    Onnx__NodeProto *node = test_onnx_node(m, "MatMul", "mm", 2, (const char *[]){"x", "w"}, 1, (const char *[]){"y"});
    test_onnx_attr_ints(m, node, "numbers", 3, (int64_t[]){-1, INT64_MAX, INT64_MIN});
    size_t size;
    const uint8_t *data = test_onnx_pack(m, &size);
    pare_error error = {0};
    assert_ok(pare_onnx_scan(data, size, NULL, &error), &error);
    assert_true(pare_onnx_is_plausible(data, size));
    test_onnx_free(m);
}

static void row_09_varint_of_eleven_bytes(void **state) {
    (void)state;
    pare_error error = {0};
    pare_byte_buffer out = {0};
    put_tag(&out, MODEL_IR, VARINT);
    for (int i = 0; i < 10; i++) {
        pare_put_u8(&out, 0x80);
    }
    pare_put_u8(&out, 0);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "expected a number of");
    assert_int_equal(error.offset, 1);

    /* Ten bytes that hold more than 64 bits. */
    put_tag(&out, MODEL_IR, VARINT);
    for (int i = 0; i < 9; i++) {
        pare_put_u8(&out, 0xff);
    }
    pare_put_u8(&out, 2);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "64 bits");

    put_tag(&out, MODEL_IR, VARINT);
    put_varint(&out, UINT64_MAX);
    assert_ok(scan_exact(&out, NULL, &error), &error);
}

static void row_10_length_past_end(void **state) {
    (void)state;
    pare_error error = {0};
    pare_byte_buffer out = {0};
    put_tag(&out, MODEL_PRODUCER, BYTES);
    put_varint(&out, 4);
    pare_put_bytes(&out, "abc", 3);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "a length of 4");

    /* Within the file, but past the end of the message that holds it. */
    pare_byte_buffer graph = {0};
    put_tag(&graph, GRAPH_NAME, BYTES);
    put_varint(&graph, 4);
    put_field(&out, MODEL_GRAPH, graph.data, graph.size);
    put_field(&out, MODEL_PRODUCER, "abcdef", 6);
    pare_byte_buffer_free(&graph);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "GraphProto.name");

    /* A 32-bit field cut short. */
    put_tag(&out, 99, FIXED32);
    pare_put_u16(&out, 0);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "a length of 4");
}

static void row_11_huge_length(void **state) {
    (void)state;
    const uint64_t lengths[] = {UINT64_C(1) << 31, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        pare_error error = {0};
        pare_byte_buffer out = {0};
        put_tag(&out, MODEL_GRAPH, BYTES);
        put_varint(&out, lengths[i]);
        pare_put_u64(&out, 0);
        assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "length");
    }
}

static void row_12_wire_type_mismatch(void **state) {
    (void)state;
    pare_error error = {0};
    pare_byte_buffer out = {0};
    put_field(&out, MODEL_IR, "abc", 3);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "ModelProto.ir_version: expected wire type 0");
    put_tag(&out, MODEL_GRAPH, VARINT);
    put_varint(&out, 1);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "ModelProto.graph: expected wire type 2");
    put_tag(&out, MODEL_IR, FIXED64);
    pare_put_u64(&out, 1);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "found 1");
    put_tag(&out, MODEL_IR, 6);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "wire type from 0 to 5, found 6");

    /* Packed floats whose bytes are no multiple of four. */
    pare_byte_buffer tensor = {0}, graph = {0};
    put_field(&tensor, 4, "abcde", 5);
    put_field(&graph, GRAPH_TENSOR, tensor.data, tensor.size);
    pare_byte_buffer_free(&tensor);
    assert_fails(scan_graph(&graph, NULL, &error), PARE_BAD_INPUT, &error, "packed elements of 4 bytes");

    /* A packed number that runs out. */
    put_field(&tensor, 7, "\x01\x80", 2);
    put_field(&graph, GRAPH_TENSOR, tensor.data, tensor.size);
    pare_byte_buffer_free(&tensor);
    assert_fails(scan_graph(&graph, NULL, &error), PARE_BAD_INPUT, &error, "whole packed number");

    /* A 32-bit field that would be cut to another data_type. */
    put_tag(&tensor, 2, VARINT);
    put_varint(&tensor, (UINT64_C(1) << 32) + 1);
    put_field(&graph, GRAPH_TENSOR, tensor.data, tensor.size);
    pare_byte_buffer_free(&tensor);
    assert_fails(scan_graph(&graph, NULL, &error), PARE_BAD_INPUT, &error, "number of 32 bits");
}

static void row_13_groups(void **state) {
    (void)state;
    for (uint32_t wire = 3; wire <= 4; wire++) {
        pare_error error = {0};
        pare_byte_buffer out = {0};
        put_tag(&out, 50, wire);
        assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "expected no group");
    }
}

static void row_14_tag_zero_and_largest(void **state) {
    (void)state;
    pare_error error = {0};
    pare_byte_buffer out = {0};
    put_tag(&out, 0, VARINT);
    put_varint(&out, 1);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "field number");
    put_varint(&out, UINT64_C(1) << 32 | 1 << 3);
    put_varint(&out, 1);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "field number");
    put_tag(&out, (1u << 29) - 1, VARINT); /* unknown, but a number that may be */
    put_varint(&out, 1);
    assert_ok(scan_exact(&out, NULL, &error), &error);
}

/* Bytes that grow towards the front, for nesting. */
typedef struct reverse {
    uint8_t *data;
    size_t capacity, start;
} reverse;

static void wrap(reverse *out, uint32_t field) {
    uint8_t head[16];
    pare_byte_buffer text = {0};
    put_tag(&text, field, BYTES);
    put_varint(&text, out->capacity - out->start);
    assert_true(text.size <= sizeof head && text.size <= out->start);
    out->start -= text.size;
    memcpy(out->data + out->start, text.data, text.size);
    pare_byte_buffer_free(&text);
}

/* Graph in attribute in node in graph, or sequences of sequences; the model
 * itself is the first level. */
static pare_status scan_nested(size_t levels, bool graphs, const pare_onnx_limits *limits, pare_error *error) {
    static const uint32_t graph_path[] = {1, 5, 6}; /* node, attribute, g */
    static const uint32_t type_path[] = {4, 1};     /* sequence_type, elem_type */
    const size_t period = graphs ? 3 : 2;
    const size_t head = graphs ? 2 : 4; /* model, graph (, input, type) */
    reverse out = {.capacity = 8 * levels + 64};
    out.start = out.capacity;
    out.data = malloc(out.capacity);
    assert_non_null(out.data);
    for (size_t i = levels - head; i-- > 0;) {
        wrap(&out, graphs ? graph_path[i % period] : type_path[i % period]);
    }
    if (!graphs) {
        wrap(&out, 2);
        wrap(&out, GRAPH_INPUT);
    }
    wrap(&out, MODEL_GRAPH);
    const pare_status status = pare_onnx_scan(out.data + out.start, out.capacity - out.start, limits, error);
    free(out.data);
    return status;
}

static void row_15_nesting_depth(void **state) {
    (void)state;
    for (int graphs = 0; graphs < 2; graphs++) {
        pare_error error = {0};
        assert_ok(scan_nested(64, graphs, NULL, &error), &error);
        assert_fails(scan_nested(65, graphs, NULL, &error), PARE_LIMIT, &error, "nested at most 64");
        assert_fails(scan_nested(10000, graphs, NULL, &error), PARE_LIMIT, &error, "nested at most 64");
        assert_fails(scan_nested(1000000, graphs, NULL, &error), PARE_LIMIT, &error, "nested at most 64");
        const pare_onnx_limits deep = {.depth = UINT32_MAX};
        assert_fails(scan_nested(1000000, graphs, &deep, &error), PARE_LIMIT, &error, "nested at most");
        const pare_onnx_limits shallow = {.depth = 5};
        assert_ok(scan_nested(5, graphs, &shallow, &error), &error);
        assert_fails(scan_nested(6, graphs, &shallow, &error), PARE_LIMIT, &error, "nested at most 5");
    }
}

static void put_empties(pare_byte_buffer *out, uint32_t field, size_t count) {
    for (size_t i = 0; i < count; i++) {
        put_field(out, field, "", 0);
    }
}

static void row_16_amplification(void **state) {
    (void)state;
    pare_error error = {0};
    pare_byte_buffer out = {0};
    put_empties(&out, GRAPH_NODE, 100000);
    assert_ok(scan_graph(&out, NULL, &error), &error);
    put_empties(&out, GRAPH_NODE, 100001);
    assert_fails(scan_graph(&out, NULL, &error), PARE_LIMIT, &error, "at most 100000 nodes");
    put_empties(&out, GRAPH_TENSOR, 200001);
    assert_fails(scan_graph(&out, NULL, &error), PARE_LIMIT, &error, "at most 200000 tensors");
    put_empties(&out, MODEL_METADATA, 100000);
    assert_fails(scan_exact(&out, NULL, &error), PARE_LIMIT, &error, "bytes of metadata");
    const pare_onnx_limits limits = {.nodes = 3};
    put_empties(&out, GRAPH_NODE, 4);
    assert_fails(scan_graph(&out, &limits, &error), PARE_LIMIT, &error, "at most 3 nodes");
    const pare_onnx_limits small = {.file_bytes = 10};
    put_empties(&out, GRAPH_NODE, 10);
    assert_fails(scan_graph(&out, &small, &error), PARE_LIMIT, &error, "at most 10 bytes");
}

/* What has no count of its own meets the byte budget of unpacking. */
static void row_16_amplification_of_values_meets_the_budget(void **state) {
    (void)state;
    pare_error error = {0};
    pare_byte_buffer graph = {0}, model = {0};
    put_empties(&graph, GRAPH_INPUT, 2000000);
    put_field(&model, MODEL_GRAPH, graph.data, graph.size);
    pare_byte_buffer_free(&graph);
    assert_false(model.failed);
    pare_onnx_file file;
    const size_t used = pare_memory_used();
    assert_fails(pare_onnx_from_bytes(model.data, model.size, NULL, NULL, &file, &error), PARE_LIMIT, &error,
                 "expected to unpack the model within");
    assert_int_equal(pare_memory_used(), used);
    assert_null(file.proto);
    pare_byte_buffer_free(&model);
}

static void row_17_duplicate_singular_field(void **state) {
    (void)state;
    pare_error error = {0};
    pare_byte_buffer out = {0};
    put_field(&out, MODEL_GRAPH, "", 0);
    put_field(&out, MODEL_GRAPH, "", 0);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error,
                 "ModelProto.graph: expected it once, found it again");
    assert_int_equal(error.offset, 2);
    put_tag(&out, MODEL_IR, VARINT);
    put_varint(&out, 8);
    put_tag(&out, MODEL_IR, VARINT);
    put_varint(&out, 9);
    assert_fails(scan_exact(&out, NULL, &error), PARE_BAD_INPUT, &error, "ModelProto.ir_version: expected it once");
    /* Two members of one oneof: TypeProto.tensor_type and .sequence_type. */
    pare_byte_buffer graph = {0};
    put_field(&graph, GRAPH_INPUT, "\x12\x04\x0a\x00\x22\x00", 6);
    assert_fails(scan_graph(&graph, NULL, &error), PARE_BAD_INPUT, &error, "alternative");
}

static void row_18_unknown_fields(void **state) {
    (void)state;
    pare_error error = {0};
    pare_byte_buffer out = {0};
    put_empties(&out, 1000, 200000);
    assert_ok(scan_exact(&out, NULL, &error), &error);
    put_empties(&out, 1000, 1000000);
    assert_fails(scan_exact(&out, NULL, &error), PARE_LIMIT, &error, "at most 200000 unknown fields");
}

static pare_status scan_producer(const char *text, size_t bytes, pare_error *error) {
    pare_byte_buffer out = {0};
    put_field(&out, MODEL_PRODUCER, text, bytes);
    return scan_exact(&out, NULL, error);
}

static void row_19_strings(void **state) {
    (void)state;
    pare_error error = {0};
    char *name = malloc(1 << 20);
    assert_non_null(name);
    memset(name, 'a', 1 << 20);
    assert_ok(scan_producer(name, 1024, &error), &error);
    assert_fails(scan_producer(name, 1025, &error), PARE_LIMIT, &error, "name of at most 1024 bytes, found 1025");
    assert_fails(scan_producer(name, 1 << 20, &error), PARE_LIMIT, &error, "found 1048576");
    /* doc_string is no name. */
    pare_byte_buffer out = {0};
    put_field(&out, 6, name, 5000);
    assert_ok(scan_exact(&out, NULL, &error), &error);
    free(name);

    assert_fails(scan_producer("a\0b", 3, &error), PARE_BAD_INPUT, &error, "without NUL");
    assert_fails(scan_producer("\xff\xfe", 2, &error), PARE_BAD_INPUT, &error, "UTF-8");
    assert_fails(scan_producer("\xc0\x80", 2, &error), PARE_BAD_INPUT, &error, "UTF-8");
    assert_ok(scan_producer("\xc3\xa4", 2, &error), &error);
    /* Control characters are not wrong, only never printed as they are. */
    assert_ok(scan_producer("\x1b[2J", 4, &error), &error);
}

/* Strings and bytes whose content would be a bad message are not walked. */
static void strings_and_bytes_are_not_read_as_messages(void **state) {
    (void)state;
    pare_error error = {0};
    pare_byte_buffer tensor = {0}, graph = {0};
    put_field(&tensor, 9, "\xff\xff\xff\xff\x00\x03", 6); /* raw_data */
    put_field(&graph, GRAPH_TENSOR, tensor.data, tensor.size);
    put_field(&graph, GRAPH_NAME, "\x03\x04", 2);
    pare_byte_buffer_free(&tensor);
    assert_ok(scan_graph(&graph, NULL, &error), &error);
}

static void plausible_first_fields(void **state) {
    (void)state;
    assert_true(pare_onnx_is_plausible((const uint8_t *)"\x08\x07", 2));
    assert_false(pare_onnx_is_plausible((const uint8_t *)"", 0));
    assert_false(pare_onnx_is_plausible(NULL, 0));
    assert_false(pare_onnx_is_plausible((const uint8_t *)"{\"a\": 1}", 8));
    assert_false(pare_onnx_is_plausible((const uint8_t *)"readme of a long text", 21));
    assert_false(pare_onnx_is_plausible((const uint8_t *)"\x89PNG\r\n\x1a\n", 8));
    assert_false(pare_onnx_is_plausible((const uint8_t *)"PARE\x01\x00\x00\x00", 8));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_models_pass),
        cmocka_unit_test(row_09_varint_of_eleven_bytes),
        cmocka_unit_test(row_10_length_past_end),
        cmocka_unit_test(row_11_huge_length),
        cmocka_unit_test(row_12_wire_type_mismatch),
        cmocka_unit_test(row_13_groups),
        cmocka_unit_test(row_14_tag_zero_and_largest),
        cmocka_unit_test(row_15_nesting_depth),
        cmocka_unit_test(row_16_amplification),
        cmocka_unit_test(row_16_amplification_of_values_meets_the_budget),
        cmocka_unit_test(row_17_duplicate_singular_field),
        cmocka_unit_test(row_18_unknown_fields),
        cmocka_unit_test(row_19_strings),
        cmocka_unit_test(strings_and_bytes_are_not_read_as_messages),
        cmocka_unit_test(plausible_first_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
