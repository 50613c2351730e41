#include "graph_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pare/lower.h"
#include "pare/op.h"
#include "test.h"

static const struct {
    const char *name;
    pare_dtype dtype;
} types[] = {{"f32", PARE_F32}, {"i64", PARE_S64}, {"i32", PARE_S32}, {"u8", PARE_U8}, {"bool", PARE_BOOL}};

static void store(text_value *value, size_t index, double number) {
    value->numbers[index] = number;
    switch (value->dtype) {
    case PARE_F32:
        ((float *)(void *)value->bytes)[index] = (float)number;
        break;
    case PARE_S64:
        break; /* below */
    case PARE_S32:
        ((int32_t *)(void *)value->bytes)[index] = (int32_t)number;
        break;
    default:
        value->bytes[index] = (uint8_t)number;
    }
}

static void parse_shape(const char *text, pare_shape *shape) {
    *shape = (pare_shape){0};
    if (strcmp(text, "scalar") == 0) {
        return;
    }
    for (const char *at = text; *at != '\0';) {
        char *end = NULL;
        if (*at == 'N') {
            shape->dims[shape->rank++] = -1;
            end = (char *)(uintptr_t)at + 1;
        } else {
            shape->dims[shape->rank++] = strtol(at, &end, 10);
        }
        at = *end == 'x' ? end + 1 : end;
    }
}

bool text_value_parse(const char *text, text_value *value) {
    char type[16], shape[64];
    int used = 0;
    memset(value, 0, sizeof *value);
    if (text[0] == '\0') {
        return false;
    }
    if (strncmp(text, "const ", 6) == 0) {
        value->constant = true;
        text += 6;
    }
    bool bare = !value->constant && strchr(text, '=') == NULL; /* only a type and a shape */
    if (sscanf(text, "%15s %63s =%n", type, shape, &used) != 2 || (used == 0 && !bare)) {
        fail_msg("malformed value \"%s\"", text);
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        value->dtype = strcmp(types[i].name, type) == 0 ? types[i].dtype : value->dtype;
    }
    parse_shape(shape, &value->shape);
    if (bare) {
        return true;
    }
    char *end = NULL;
    for (const char *at = text + used;; at = end) {
        double number = strtod(at, &end);
        if (end == at) {
            break;
        }
        store(value, value->count, number);
        if (value->dtype == PARE_S64) { /* a double would round the ends of the range */
            ((int64_t *)(void *)value->bytes)[value->count] = strtoll(at, NULL, 10);
        }
        value->count++;
    }
    size_t expected = 1;
    for (int32_t a = 0; a < value->shape.rank; a++) {
        expected *= (size_t)llabs(value->shape.dims[a]);
    }
    if (value->count != expected || value->dtype == PARE_DTYPE_NONE) {
        fail_msg("\"%.60s\": expected %zu numbers, found %zu", text, expected, value->count);
    }
    return true;
}

static void add_attribute(pare_graph *graph, pare_node *node, char *text) {
    char *colon = strchr(text, ':');
    if (colon == NULL || colon[1] == '\0' || colon[2] != '=') {
        fail_msg("malformed attribute \"%s\"", text);
        return;
    }
    *colon = '\0';
    char *value = colon + 3, *end = NULL;
    int64_t ints[64];
    float floats[64];
    size_t count = 0;
    for (char *at = value; *at != '\0' && strchr("IF", colon[1]) != NULL; at = *end == ',' ? end + 1 : end) {
        floats[count] = strtof(at, &end);
        ints[count++] = strtoll(at, NULL, 10);
    }
    bool ok = colon[1] == 'i'   ? pare_node_set_int(graph, node, text, strtoll(value, NULL, 10))
              : colon[1] == 'f' ? pare_node_set_float(graph, node, text, strtof(value, NULL))
              : colon[1] == 's' ? pare_node_set_string(graph, node, text, value)
              : colon[1] == 'I' ? pare_node_set_ints(graph, node, text, ints, count)
                                : pare_node_set_floats(graph, node, text, floats, count);
    assert_true(ok);
}

pare_node *graph_add(pare_graph *graph, const char *op, const char *attributes, pare_value *const *inputs,
                     size_t input_count, pare_value *const *outputs, size_t output_count) {
    char copy[512], *state = NULL;
    const pare_op *found = pare_op_find("", op, graph->opset);
    if (found == NULL) {
        fail_msg("no operator %s at opset %d", op, (int)graph->opset);
        return NULL;
    }
    pare_node *node = pare_graph_insert_node(graph, NULL, found, NULL, inputs, input_count, outputs, output_count);
    assert_non_null(node);
    snprintf(copy, sizeof copy, "%s", attributes);
    for (char *word = strtok_r(copy, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state)) {
        add_attribute(graph, node, word);
    }
    return node;
}

pare_status graph_case_build(const graph_case *test, pare_graph **graph, pare_error *error) {
    pare_value *inputs[8] = {NULL}, *outputs[4] = {NULL};
    size_t input_count = 0, output_count = 0;
    static text_value value;
    assert_ok(pare_graph_create(0, graph, error), error);
    (*graph)->opset = test->opset;
    for (; input_count < 8 && test->inputs[input_count] != NULL; input_count++) {
        char name[16];
        snprintf(name, sizeof name, "x%zu", input_count);
        if (text_value_parse(test->inputs[input_count], &value)) {
            inputs[input_count] = value.constant
                                      ? pare_graph_add_constant(*graph, name, value.dtype, &value.shape, value.bytes,
                                                                value.count * pare_dtype_bytes(value.dtype))
                                      : pare_graph_add_input(*graph, name, value.dtype, &value.shape);
            assert_non_null(inputs[input_count]);
        }
    }
    for (; output_count < 4 && test->outputs[output_count] != NULL; output_count++) {
        char name[16];
        snprintf(name, sizeof name, "y%zu", output_count);
        if (test->outputs[output_count][0] != '\0') {
            outputs[output_count] = pare_graph_add_value(*graph, name, PARE_F32, NULL);
            assert_non_null(outputs[output_count]);
        }
    }
    graph_add(*graph, test->op, test->attributes, inputs, input_count, outputs, output_count);
    for (size_t i = 0; i < output_count; i++) {
        assert_true(outputs[i] == NULL || pare_graph_add_output(*graph, outputs[i]));
    }
    return pare_graph_infer(*graph, error);
}

pare_status graph_run(const pare_graph *graph, int64_t batch, const pare_input *inputs, size_t input_count,
                      const pare_output_buffer *outputs, size_t output_count, pare_error *error) {
    pare_model *model = NULL;
    pare_session *session = NULL;
    pare_session_options options = {
        .struct_size = sizeof options, .batch = batch, .threads = 1, .reference = 1, .isa = PARE_ISA_SCALAR};
    pare_status status = pare_graph_lower(graph, &model, error);
    if (status == PARE_OK) {
        status = pare_session_create(model, &options, &session, error);
    }
    if (status == PARE_OK) {
        status = pare_session_run(session, inputs, input_count, outputs, output_count, error);
    }
    pare_session_free(session);
    pare_model_release(model);
    return status;
}

static double loaded(const text_value *like, const uint8_t *bytes, size_t index) {
    switch (like->dtype) {
    case PARE_F32:
        return (double)((const float *)(const void *)bytes)[index];
    case PARE_S64:
        return (double)((const int64_t *)(const void *)bytes)[index];
    case PARE_S32:
        return (double)((const int32_t *)(const void *)bytes)[index];
    default:
        return bytes[index];
    }
}

static void compare(const graph_case *test, size_t output, const text_value *expected, const uint8_t *found) {
    double tolerance = test->tolerance > 0 ? test->tolerance : 1e-5;
    for (size_t i = 0; i < expected->count; i++) {
        double want = expected->numbers[i], have = loaded(expected, found, i);
        if (!(fabs(want - have) <= tolerance * (1 + fabs(want)) || (isnan(want) && isnan(have)) || want == have)) {
            fail_msg("%s (%s) output %zu[%zu]: expected %.9g, found %.9g", test->op, test->attributes, output, i, want,
                     have);
        }
    }
}

void graph_case_check(const graph_case *test) {
    static text_value inputs[8], expected[4];
    static uint8_t results[4][4096 * 8];
    pare_input in[8];
    pare_output_buffer out[4];
    size_t in_count = 0, out_count = 0, named[4] = {0};
    pare_graph *graph = NULL;
    pare_error error = {0};
    pare_status status = graph_case_build(test, &graph, &error);
    if (status != PARE_OK) {
        fail_msg("%s (%s): %s", test->op, test->attributes, error.message);
    }
    for (size_t i = 0; i < 8 && test->inputs[i] != NULL; i++) {
        if (text_value_parse(test->inputs[i], &inputs[i]) && !inputs[i].constant) {
            in[in_count++] = (pare_input){inputs[i].bytes, inputs[i].count * pare_dtype_bytes(inputs[i].dtype)};
        }
    }
    for (size_t i = 0; i < 4 && test->outputs[i] != NULL; i++) {
        if (text_value_parse(test->outputs[i], &expected[out_count])) {
            const pare_value *value = graph->outputs[out_count];
            if (!pare_shape_equal(&value->shape, &expected[out_count].shape) ||
                value->dtype != expected[out_count].dtype) {
                char text[160];
                fail_msg("%s (%s): output %zu has shape %s, type %s", test->op, test->attributes, i,
                         pare_shape_text(&value->shape, text, sizeof text), pare_dtype_name(value->dtype));
            }
            out[out_count] = (pare_output_buffer){results[out_count], expected[out_count].count *
                                                                          pare_dtype_bytes(expected[out_count].dtype)};
            named[out_count++] = i;
        }
    }
    status = graph_run(graph, 1, in, in_count, out, out_count, &error);
    if (status != PARE_OK) {
        fail_msg("%s (%s): %s", test->op, test->attributes, error.message);
    }
    for (size_t i = 0; i < out_count; i++) {
        compare(test, named[i], &expected[i], results[i]);
    }
    pare_graph_free(graph);
}
