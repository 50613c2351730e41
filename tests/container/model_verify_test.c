/* Models that break one promise each: rows 64 to 67 of the bad-input list. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pare/model.h"
#include "sample_models.h"
#include "test.h"

/* A model whose tables may be changed, over one that stays whole. */
typedef struct copied {
    pare_model model;
    pare_model *original;
    pare_model_tensor *tensors;
    pare_model_node *nodes;
    uint32_t *inputs, *outputs;
} copied;

static void *duplicate(const void *data, size_t bytes) {
    void *copy = malloc(bytes + 1);
    assert_non_null(copy);
    if (bytes > 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

static copied copy_of(pare_model *model) {
    copied c = {.model = *model, .original = model};
    c.tensors = duplicate(model->tensors, model->tensor_count * sizeof *c.tensors);
    c.nodes = duplicate(model->nodes, model->node_count * sizeof *c.nodes);
    c.inputs = duplicate(model->inputs, model->input_count * sizeof *c.inputs);
    c.outputs = duplicate(model->outputs, model->output_count * sizeof *c.outputs);
    c.model.tensors = c.tensors;
    c.model.nodes = c.nodes;
    c.model.inputs = c.inputs;
    c.model.outputs = c.outputs;
    return c;
}

static void drop(copied *c) {
    free(c->tensors);
    free(c->nodes);
    free(c->inputs);
    free(c->outputs);
    pare_model_release(c->original);
}

static void breaks(const copied *c, pare_status expected, const char *text) {
    pare_error error = {0};
    assert_fails(pare_model_verify(&c->model, &error), expected, &error, text);
}

static uint32_t find_node(const copied *c, uint32_t opcode) {
    for (uint32_t i = 0; i < c->model.node_count; i++) {
        if (c->nodes[i].opcode == opcode) {
            return i;
        }
    }
    fail();
    return 0;
}

static uint32_t find_constant(const copied *c, pare_dtype dtype) {
    for (uint32_t i = 0; i < c->model.tensor_count; i++) {
        if (c->tensors[i].buffer != PARE_NONE && c->tensors[i].dtype == dtype) {
            return i;
        }
    }
    fail();
    return 0;
}

static void whole_models_pass(void **state) {
    (void)state;
    pare_model *models[] = {sample_smallest(), sample_every_opcode(), sample_every_type(), sample_integer()};
    for (size_t i = 0; i < 4; i++) {
        copied c = copy_of(models[i]);
        pare_error error = {0};
        assert_ok(pare_model_verify(&c.model, &error), &error);
        drop(&c);
    }
}

static void row_64_shapes_and_types(void **state) {
    (void)state;
    copied c = copy_of(sample_smallest());
    pare_model_tensor kept = c.tensors[0];
    int32_t ranks[] = {-1, 9, INT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        c.tensors[0].shape.rank = ranks[i];
        breaks(&c, PARE_BAD_INPUT, "rank");
    }
    c.tensors[0] = kept;
    int64_t dims[] = {0, (int64_t)1 << 31, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        c.tensors[0].shape.dims[0] = dims[i];
        breaks(&c, PARE_BAD_INPUT, "dimension");
    }
    c.tensors[0] = kept;
    c.tensors[0].shape = (pare_shape){3, {INT32_MAX, INT32_MAX, INT32_MAX}};
    breaks(&c, PARE_LIMIT, "elements");
    c.tensors[0] = kept;
    c.tensors[0].dtype = (pare_dtype)8;
    breaks(&c, PARE_BAD_INPUT, "element type");
    c.tensors[0] = kept;
    c.tensors[1].shape.dims[0] = -2;
    breaks(&c, PARE_BAD_INPUT, "expected float32 of shape N, found float32 of shape 2N");
    c.tensors[1].shape.dims[0] = -1;
    c.tensors[1].dtype = PARE_S32;
    breaks(&c, PARE_BAD_INPUT, "found int32");
    drop(&c);
}

static void row_64_quantization(void **state) {
    (void)state;
    copied c = copy_of(sample_integer());
    uint32_t weights = find_constant(&c, PARE_S8);
    float scales[16];
    int32_t zeros[16] = {0};
    memcpy(scales, c.tensors[weights].quant->scales, sizeof scales);
    pare_model_quant quant = {0, 16, scales, zeros};
    c.tensors[weights].quant = &quant;
    float wrong[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < 4; i++) {
        scales[5] = wrong[i];
        breaks(&c, PARE_BAD_INPUT, "scale above 0");
    }
    scales[5] = 1;
    zeros[3] = 128;
    breaks(&c, PARE_BAD_INPUT, "zero point from -128 to 127, found 128");
    zeros[3] = 1;
    breaks(&c, PARE_UNSUPPORTED, "zero point 0, found 1");
    zeros[3] = 0;
    quant.count = 15;
    breaks(&c, PARE_BAD_INPUT, "one scale");
    quant.count = 16;
    int32_t axes[] = {-2, 4, 1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < 5; i++) {
        quant.axis = axes[i];
        breaks(&c, PARE_BAD_INPUT, "scale");
    }
    quant.axis = 0;
    c.tensors[c.inputs[0]].quant = &quant;
    breaks(&c, PARE_BAD_INPUT, "");
    drop(&c);
}

static void row_65_constants(void **state) {
    (void)state;
    copied c = copy_of(sample_integer());
    uint32_t weights = find_constant(&c, PARE_S8);
    c.tensors[weights].buffer = c.model.buffer_count;
    breaks(&c, PARE_BAD_INPUT, "buffer");
    c.tensors[weights].buffer = 1; /* of another size */
    breaks(&c, PARE_BAD_INPUT, "bytes of data");
    c.tensors[weights].buffer = 0;
    uint32_t kept = c.outputs[0];
    c.outputs[0] = weights;
    breaks(&c, PARE_BAD_INPUT, "model output 0");
    c.outputs[0] = c.inputs[0];
    breaks(&c, PARE_BAD_INPUT, "model output 0");
    c.outputs[0] = c.outputs[1];
    breaks(&c, PARE_BAD_INPUT, "model output 1");
    c.outputs[0] = kept;
    kept = c.inputs[0];
    c.inputs[0] = weights;
    breaks(&c, PARE_BAD_INPUT, "model input 0");
    c.inputs[0] = c.model.tensor_count;
    breaks(&c, PARE_BAD_INPUT, "model input 0");
    c.inputs[0] = kept;
    c.model.output_count = 0;
    breaks(&c, PARE_BAD_INPUT, "at least one model output");
    drop(&c);
    c = copy_of(sample_every_type());
    uint32_t flags = find_constant(&c, PARE_BOOL);
    c.tensors[flags].buffer = c.tensors[find_constant(&c, PARE_U8)].buffer;
    breaks(&c, PARE_BAD_INPUT, "booleans");
    drop(&c);
}

static void row_66_nodes(void **state) {
    (void)state;
    copied c = copy_of(sample_integer());
    uint32_t first = find_node(&c, PARE_OP_CONV);
    pare_model_node kept = c.nodes[first];
    uint32_t inputs[5], outputs[2] = {kept.outputs[0], PARE_NONE};
    memcpy(inputs, kept.inputs, 3 * sizeof *inputs);
    c.nodes[first].inputs = inputs;
    c.nodes[first].outputs = outputs;
    c.nodes[first].opcode = 0;
    breaks(&c, PARE_UNSUPPORTED, "unknown opcode");
    c.nodes[first].opcode = PARE_OPCODE_END;
    breaks(&c, PARE_UNSUPPORTED, "unknown opcode");
    c.nodes[first].opcode = PARE_OP_CONV;
    c.nodes[first].input_count = 1;
    breaks(&c, PARE_BAD_INPUT, "inputs, found 1");
    c.nodes[first].input_count = 3;
    c.nodes[first].output_count = 2;
    breaks(&c, PARE_BAD_INPUT, "outputs, found 2");
    c.nodes[first].output_count = 1;
    inputs[1] = c.model.tensor_count;
    breaks(&c, PARE_BAD_INPUT, "expected a tensor below");
    inputs[1] = PARE_NONE;
    breaks(&c, PARE_BAD_INPUT, "expected input 1, found none");
    inputs[1] = kept.inputs[1];
    inputs[0] = outputs[0]; /* reads itself: a cycle */
    breaks(&c, PARE_BAD_INPUT, "read before");
    inputs[0] = c.nodes[c.model.node_count - 1].outputs[0];
    breaks(&c, PARE_BAD_INPUT, "read before");
    inputs[0] = kept.inputs[0];
    outputs[0] = kept.inputs[1];
    breaks(&c, PARE_BAD_INPUT, "is a constant");
    outputs[0] = c.inputs[0];
    breaks(&c, PARE_BAD_INPUT, "is a model input");
    outputs[0] = kept.inputs[0];
    breaks(&c, PARE_BAD_INPUT, "is written before");
    outputs[0] = PARE_NONE;
    breaks(&c, PARE_BAD_INPUT, "expected a tensor below");
    drop(&c);
}

/* One attribute is changed and must be refused. */
static void attribute(copied *c, uint32_t opcode, size_t word, int32_t value) {
    uint32_t at = find_node(c, opcode);
    const void *kept = c->nodes[at].attrs;
    int32_t *words = duplicate(kept, pare_opcode_find(opcode)->attr_bytes);
    words[word] = value;
    c->nodes[at].attrs = words;
    pare_error error = {0};
    pare_status status = pare_model_verify(&c->model, &error);
    if (status == PARE_OK) {
        print_error("%s accepts %d as word %zu\n", pare_opcode_find(opcode)->name, (int)value, word);
    }
    assert_true(status == PARE_BAD_INPUT || status == PARE_UNSUPPORTED);
    c->nodes[at].attrs = kept;
    free(words);
}

static void row_67_attribute_ranges(void **state) {
    (void)state;
    static const struct {
        uint32_t opcode, word;
        int32_t value;
    } wrong[] = {
        {PARE_OP_CONV, 0, 0},
        {PARE_OP_CONV, 1, -1},
        {PARE_OP_CONV, 2, 0},
        {PARE_OP_CONV, 2, INT32_MAX},
        {PARE_OP_CONV, 4, -1},
        {PARE_OP_CONV, 8, 0},
        {PARE_OP_CONV, 8, 2},
        {PARE_OP_CONV, 8, -3},
        {PARE_OP_CONV, 11, PARE_FN_END},
        {PARE_OP_CONV, 11, -1},
        {PARE_OP_CONV, 12, 0x7fc00000},
        {PARE_OP_CONV_TRANSPOSE, 9, 2},
        {PARE_OP_CONV_TRANSPOSE, 9, -1},
        {PARE_OP_POOL, 0, PARE_POOL_END},
        {PARE_OP_POOL, 1, 0},
        {PARE_OP_POOL, 1, 100},
        {PARE_OP_POOL, 3, 0},
        {PARE_OP_POOL, 7, 3},
        {PARE_OP_POOL, 11, 2},
        {PARE_OP_RESIZE, 0, 3},
        {PARE_OP_RESIZE, 1, -1},
        {PARE_OP_RESIZE, 4, 0},
        {PARE_OP_RESIZE, 4, 0x7fc00000},
        {PARE_OP_CONCAT, 0, 4},
        {PARE_OP_CONCAT, 0, -1},
        {PARE_OP_SLICE, 0, 1},
        {PARE_OP_SLICE, 1, 3},
        {PARE_OP_SLICE, 10, 0},
        {PARE_OP_SLICE, 10, INT32_MIN},
        {PARE_OP_SLICE, 17, 4},
        {PARE_OP_SLICE, 16, 1},
        {PARE_OP_GATHER, 0, 4},
        {PARE_OP_RESHAPE, 0, 9},
        {PARE_OP_RESHAPE, 1, 0},
        {PARE_OP_RESHAPE, 1, -47},
        {PARE_OP_TRANSPOSE, 0, 1},
        {PARE_OP_TRANSPOSE, 0, 4},
        {PARE_OP_PAD, 0, 4},
        {PARE_OP_PAD, 1, 1},
        {PARE_OP_PAD, 3, 8},
        {PARE_OP_PAD, 3, -8},
        {PARE_OP_EXPAND, 0, -1},
        {PARE_OP_EXPAND, 3, 2},
        {PARE_OP_BINARY, 0, 17},
        {PARE_OP_UNARY, 0, 99},
        {PARE_OP_SOFTMAX, 0, 4},
        {PARE_OP_SOFTMAX, 1, 2},
        {PARE_OP_REDUCE, 0, 10},
        {PARE_OP_REDUCE, 1, 16},
        {PARE_OP_REDUCE, 2, 7},
        {PARE_OP_ARG_REDUCE, 0, 4},
        {PARE_OP_CAST, 0, 8},
        {PARE_OP_LAYER_NORM, 0, 4},
        {PARE_OP_LAYER_NORM, 1, -1},
        {PARE_OP_INSTANCE_NORM, 1, 0x7f800000},
        {PARE_OP_LRN, 0, 0},
        {PARE_OP_LSTM, 0, 0},
        {PARE_OP_LSTM, 0, 3},
        {PARE_OP_LSTM, 1, 3},
    };
    copied c = copy_of(sample_every_opcode());
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        attribute(&c, wrong[i].opcode, wrong[i].word, wrong[i].value);
    }
    drop(&c);
}

static void integer_forms(void **state) {
    (void)state;
    copied c = copy_of(sample_integer());
    attribute(&c, PARE_OP_CONV, 11, PARE_FN_TANH);
    attribute(&c, PARE_OP_BINARY, 0, PARE_BINARY_DIV);
    uint32_t conv = find_node(&c, PARE_OP_CONV), pool = find_node(&c, PARE_OP_POOL);
    uint32_t weights = c.nodes[conv].inputs[1], bias = c.nodes[conv].inputs[2], x = c.nodes[conv].inputs[0];
    const pare_model_quant *kept = c.tensors[bias].quant;
    c.tensors[bias].dtype = PARE_F32;
    c.tensors[bias].quant = NULL;
    breaks(&c, PARE_UNSUPPORTED, "expected a bias of type int32");
    c.tensors[bias].dtype = PARE_S32;
    c.tensors[bias].quant = kept;
    c.tensors[weights].dtype = PARE_U8;
    breaks(&c, PARE_UNSUPPORTED, "expected weights of type int8");
    c.tensors[weights].dtype = PARE_S8;
    kept = c.tensors[x].quant;
    c.tensors[x].quant = NULL;
    breaks(&c, PARE_BAD_INPUT, "expected a scale");
    c.tensors[x].quant = kept;
    uint32_t pooled = c.nodes[pool].outputs[0];
    float other = 0.5F;
    int32_t zero = 128;
    pare_model_quant quant = {-1, 1, &other, &zero};
    kept = c.tensors[pooled].quant;
    c.tensors[pooled].quant = &quant;
    breaks(&c, PARE_BAD_INPUT, "same scale and zero point");
    c.tensors[pooled].quant = kept;
    drop(&c);
}

/* Row 86: a sum of products that 32 bits may not hold. */
static void row_86_long_integer_sums(void **state) {
    (void)state;
    for (int64_t length = 66311; length <= 66312; length++) {
        pare_error error = {0};
        pare_model_builder *builder = NULL;
        pare_model *model = NULL;
        float scale = 1;
        int32_t zero = 0;
        pare_model_quant quant = {-1, 1, &scale, &zero};
        int8_t *weights = calloc(1, (size_t)length);
        uint32_t x, w, y;
        assert_non_null(weights);
        assert_ok(pare_model_builder_create(&builder, &error), &error);
        pare_model_add_tensor(builder, "x", PARE_U8, &(pare_shape){2, {-1, length}}, &quant, NULL, 0, &x, &error);
        pare_model_add_tensor(builder, "w", PARE_S8, &(pare_shape){2, {1, length}}, &quant, weights, (size_t)length, &w,
                              &error);
        pare_model_add_tensor(builder, "y", PARE_U8, &(pare_shape){2, {-1, 1}}, &quant, NULL, 0, &y, &error);
        pare_model_add_input(builder, x, &error);
        pare_model_add_output(builder, y, &error);
        pare_fully_connected_attrs attrs = {{PARE_FN_IDENTITY, 0, 0}};
        pare_model_add_node(builder, "fc", PARE_OP_FULLY_CONNECTED, (uint32_t[]){x, w}, 2, &y, 1, &attrs, NULL, &error);
        pare_status status = pare_model_finish(builder, &model, &error);
        if (length == 66311) {
            assert_ok(status, &error);
        } else {
            assert_fails(status, PARE_UNSUPPORTED, &error, "products");
        }
        pare_model_release(model);
        free(weights);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_models_pass),   cmocka_unit_test(row_64_shapes_and_types),
        cmocka_unit_test(row_64_quantization), cmocka_unit_test(row_65_constants),
        cmocka_unit_test(row_66_nodes),        cmocka_unit_test(row_67_attribute_ranges),
        cmocka_unit_test(integer_forms),       cmocka_unit_test(row_86_long_integer_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
