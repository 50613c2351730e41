/* Verifies what pare_model promises, so that whoever executes a model need not. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "opcode_shapes.h"
#include "pare/bytes.h"
#include "pare/memory.h"
#include "string_table.h"
#include "verify_types.h"

/* What a tensor is, as nodes are walked in order. */
enum { UNDEFINED, CONSTANT, INPUT, PRODUCED, OUTPUT };

static pare_status zero_points_in_range(const pare_model_tensor *tensor, pare_error *error) {
    int64_t low, high;
    switch (tensor->dtype) {
    case PARE_U8:
        low = 0, high = UINT8_MAX;
        break;
    case PARE_S8:
        low = INT8_MIN, high = INT8_MAX;
        break;
    case PARE_U16:
        low = 0, high = UINT16_MAX;
        break;
    case PARE_S16:
        low = INT16_MIN, high = INT16_MAX;
        break;
    case PARE_S32:
        low = INT32_MIN, high = INT32_MAX;
        break;
    default:
        return pare_fail(error, PARE_BAD_INPUT, "expected a quantized tensor of 8, 16 or 32-bit integers, found %s",
                         pare_dtype_name(tensor->dtype));
    }
    for (uint32_t i = 0; i < tensor->quant->count; i++) {
        int32_t zero = tensor->quant->zero_points[i];
        if (zero < low || zero > high) {
            return pare_fail(error, PARE_BAD_INPUT,
                             "expected a zero point from %" PRId64 " to %" PRId64 ", found %" PRId32, low, high, zero);
        }
    }
    return PARE_OK;
}

static pare_status verify_quant(const pare_model_tensor *tensor, pare_error *error) {
    const pare_model_quant *quant = tensor->quant;
    if (quant->axis == -1 ? quant->count != 1
                          : quant->axis < 0 || quant->axis >= tensor->shape.rank ||
                                tensor->shape.dims[quant->axis] != (int64_t)quant->count) {
        return pare_fail(error, PARE_BAD_INPUT,
                         "expected one scale for the tensor or for each index of an axis, found %" PRIu32
                         " for axis %" PRId32,
                         quant->count, quant->axis);
    }
    for (uint32_t i = 0; i < quant->count; i++) {
        if (!(quant->scales[i] > 0) || isinf(quant->scales[i])) {
            return pare_fail(error, PARE_BAD_INPUT, "expected a finite scale above 0, found %g",
                             (double)quant->scales[i]);
        }
    }
    return zero_points_in_range(tensor, error);
}

static pare_status verify_constant(const pare_model *model, const pare_model_tensor *tensor, pare_error *error) {
    size_t expected;
    if (tensor->buffer >= model->buffer_count) {
        return pare_fail(error, PARE_BAD_INPUT, "expected a buffer below %" PRIu32 ", found %" PRIu32,
                         model->buffer_count, tensor->buffer);
    }
    const pare_model_buffer *buffer = &model->buffers[tensor->buffer];
    if (!pare_shape_bytes(&tensor->shape, tensor->dtype, &expected)) {
        return pare_fail(error, PARE_BAD_INPUT, "expected a constant whose shape does not depend on the batch");
    }
    if (expected != buffer->bytes) {
        return pare_fail(error, PARE_BAD_INPUT, "expected %zu bytes of data, found %zu", expected, buffer->bytes);
    }
    for (size_t i = 0; tensor->dtype == PARE_BOOL && i < expected; i++) {
        if (((const uint8_t *)buffer->data)[i] > 1) {
            return pare_fail(error, PARE_BAD_INPUT, "expected booleans of 0 or 1, found %u",
                             ((const uint8_t *)buffer->data)[i]);
        }
    }
    return PARE_OK;
}

static pare_status verify_tensor(const pare_model *model, const pare_model_tensor *tensor, pare_error *error) {
    if (pare_dtype_bytes(tensor->dtype) == 0) {
        return pare_fail(error, PARE_BAD_INPUT, "expected a known element type, found number %d", (int)tensor->dtype);
    }
    PARE_TRY(pare_shape_check(&tensor->shape, error));
    if (tensor->quant != NULL) {
        PARE_TRY(verify_quant(tensor, error));
    }
    return tensor->buffer == PARE_NONE ? PARE_OK : verify_constant(model, tensor, error);
}

static pare_status verify_tensors(const pare_model *model, uint8_t *state, pare_error *error) {
    pare_string_table names = {0};
    pare_status status = PARE_OK;
    for (uint32_t i = 0; status == PARE_OK && i < model->tensor_count; i++) {
        const pare_model_tensor *tensor = &model->tensors[i];
        if (!pare_is_utf8(tensor->name, strlen(tensor->name))) {
            status = pare_fail(error, PARE_BAD_INPUT, "expected a name in UTF-8");
        } else if (pare_string_table_find(&names, tensor->name) != UINT32_MAX) {
            status = pare_fail(error, PARE_BAD_INPUT, "expected a name of its own, found it twice");
        } else if (!pare_string_table_add(&names, tensor->name, i)) {
            status = pare_fail_memory(error, names.capacity);
        } else {
            status = verify_tensor(model, tensor, error);
        }
        state[i] = tensor->buffer == PARE_NONE ? UNDEFINED : CONSTANT;
        if (status != PARE_OK) {
            pare_error_prefix(error, "tensor %" PRIu32 " \"%.200s\": ", i, tensor->name);
        }
    }
    pare_string_table_free(&names);
    return status;
}

static pare_status verify_inputs(const pare_model *model, uint8_t *state, pare_error *error) {
    for (uint32_t i = 0; i < model->input_count; i++) {
        uint32_t tensor = model->inputs[i];
        if (tensor >= model->tensor_count || state[tensor] != UNDEFINED) {
            return pare_fail(error, PARE_BAD_INPUT,
                             "model input %" PRIu32 ": expected a tensor below %" PRIu32
                             " that is no constant and no other input, found %" PRIu32,
                             i, model->tensor_count, tensor);
        }
        state[tensor] = INPUT;
    }
    return PARE_OK;
}

static pare_status verify_outputs(const pare_model *model, uint8_t *state, pare_error *error) {
    if (model->output_count == 0) {
        return pare_fail(error, PARE_BAD_INPUT, "expected at least one model output, found none");
    }
    for (uint32_t i = 0; i < model->output_count; i++) {
        uint32_t tensor = model->outputs[i];
        if (tensor >= model->tensor_count || state[tensor] != PRODUCED) {
            return pare_fail(error, PARE_BAD_INPUT,
                             "model output %" PRIu32 ": expected a tensor below %" PRIu32
                             " that a node produces and that is no other output, found %" PRIu32,
                             i, model->tensor_count, tensor);
        }
        state[tensor] = OUTPUT;
    }
    return PARE_OK;
}

/* Resolves the inputs into `inputs`. */
static pare_status verify_reads(const pare_model *model, const pare_model_node *node, const uint8_t *state,
                                const pare_model_tensor **inputs, pare_error *error) {
    for (uint32_t i = 0; i < node->input_count; i++) {
        uint32_t tensor = node->inputs[i];
        if (tensor == PARE_NONE) {
            inputs[i] = NULL;
            continue;
        }
        if (tensor >= model->tensor_count) {
            return pare_fail(error, PARE_BAD_INPUT,
                             "input %" PRIu32 ": expected a tensor below %" PRIu32 ", found %" PRIu32, i,
                             model->tensor_count, tensor);
        }
        inputs[i] = &model->tensors[tensor];
        if (state[tensor] == UNDEFINED) {
            return pare_fail(error, PARE_BAD_INPUT,
                             "input %" PRIu32 ": tensor \"%.200s\" is read before any node has written it", i,
                             inputs[i]->name);
        }
    }
    return PARE_OK;
}

static pare_status verify_writes(const pare_model *model, const pare_model_node *node, uint8_t *state,
                                 pare_error *error) {
    for (uint32_t i = 0; i < node->output_count; i++) {
        uint32_t tensor = node->outputs[i];
        if (tensor == PARE_NONE && i > 0) {
            continue;
        }
        if (tensor >= model->tensor_count) {
            return pare_fail(error, PARE_BAD_INPUT,
                             "output %" PRIu32 ": expected a tensor below %" PRIu32 ", found %" PRIu32, i,
                             model->tensor_count, tensor);
        }
        if (state[tensor] != UNDEFINED) {
            static const char *const kinds[] = {"", "a constant", "a model input", "written before", "an output"};
            return pare_fail(error, PARE_BAD_INPUT, "output %" PRIu32 ": tensor \"%.200s\" is %s", i,
                             model->tensors[tensor].name, kinds[state[tensor]]);
        }
        state[tensor] = PRODUCED;
    }
    return PARE_OK;
}

/* The outputs' stored shapes and types are those that the opcode gives. */
static pare_status verify_shapes(const pare_model *model, const pare_model_node *node,
                                 const pare_model_tensor *const *inputs, pare_error *error) {
    enum { MOST_OUTPUTS = 8 };
    pare_shape shapes[MOST_OUTPUTS];
    pare_dtype dtypes[MOST_OUTPUTS];
    if (node->output_count > MOST_OUTPUTS) {
        return pare_fail(error, PARE_BAD_INPUT, "expected at most %d outputs, found %" PRIu32, MOST_OUTPUTS,
                         node->output_count);
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        bool present = node->outputs[i] != PARE_NONE;
        shapes[i] = present ? model->tensors[node->outputs[i]].shape : (pare_shape){0};
        dtypes[i] = present ? model->tensors[node->outputs[i]].dtype : PARE_DTYPE_NONE;
    }
    PARE_TRY(pare_opcode_shapes(node->opcode, node->attrs, inputs, node->input_count, shapes, dtypes,
                                node->output_count, error));
    for (uint32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] == PARE_NONE) {
            continue;
        }
        const pare_model_tensor *output = &model->tensors[node->outputs[i]];
        if (!pare_shape_equal(&shapes[i], &output->shape) || dtypes[i] != output->dtype) {
            char expected[200], found[200];
            return pare_fail(error, PARE_BAD_INPUT, "output %" PRIu32 ": expected %s of shape %s, found %s of shape %s",
                             i, pare_dtype_name(dtypes[i]), pare_shape_text(&shapes[i], expected, sizeof expected),
                             pare_dtype_name(output->dtype), pare_shape_text(&output->shape, found, sizeof found));
        }
    }
    return PARE_OK;
}

static pare_status verify_node(const pare_model *model, const pare_model_node *node, uint8_t *state,
                               const pare_model_tensor **inputs, pare_error *error) {
    if (pare_opcode_find(node->opcode) == NULL) {
        return pare_fail(error, PARE_UNSUPPORTED, "unknown opcode %" PRIu32, node->opcode);
    }
    if (node->attrs == NULL || !pare_is_utf8(node->name, strlen(node->name))) {
        return pare_fail(error, PARE_BAD_INPUT, "expected an attribute record and a name in UTF-8");
    }
    PARE_TRY(verify_reads(model, node, state, inputs, error));
    PARE_TRY(verify_writes(model, node, state, error));
    PARE_TRY(verify_shapes(model, node, inputs, error));
    return pare_verify_types(model, node, error);
}

static pare_status verify_nodes(const pare_model *model, uint8_t *state, pare_error *error) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < model->node_count; i++) {
        most = model->nodes[i].input_count > most ? model->nodes[i].input_count : most;
    }
    const pare_model_tensor **inputs = pare_alloc_zero(most, sizeof(pare_model_tensor *));
    if (inputs == NULL) {
        return pare_fail_memory(error, most * sizeof(pare_model_tensor *));
    }
    pare_status status = PARE_OK;
    for (uint32_t i = 0; status == PARE_OK && i < model->node_count; i++) {
        const pare_model_node *node = &model->nodes[i];
        status = verify_node(model, node, state, inputs, error);
        if (status != PARE_OK) {
            const pare_opcode_info *info = pare_opcode_find(node->opcode);
            pare_error_prefix(error, "node %" PRIu32 " \"%.200s\" (%s): ", i, node->name,
                              info == NULL ? "?" : info->name);
        }
    }
    pare_free(inputs);
    return status;
}

pare_status pare_model_verify(const pare_model *model, pare_error *error) {
    if (model == NULL) {
        return pare_fail(error, PARE_USAGE, "expected a model, found NULL");
    }
    uint8_t *state = pare_alloc_zero(model->tensor_count, 1);
    if (state == NULL) {
        return pare_fail_memory(error, model->tensor_count);
    }
    pare_status status = verify_tensors(model, state, error);
    if (status == PARE_OK) {
        status = verify_inputs(model, state, error);
    }
    if (status == PARE_OK) {
        status = verify_nodes(model, state, error);
    }
    if (status == PARE_OK) {
        status = verify_outputs(model, state, error);
    }
    for (uint32_t i = 0; status == PARE_OK && i < model->metadata_count; i++) {
        const pare_model_metadata *entry = &model->metadata[i];
        if (!pare_is_utf8(entry->key, strlen(entry->key)) || !pare_is_utf8(entry->value, strlen(entry->value))) {
            status = pare_fail(error, PARE_BAD_INPUT, "metadata %" PRIu32 ": expected UTF-8", i);
        }
    }
    pare_free(state);
    return status;
}
