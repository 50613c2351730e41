/* What operators call while they are lowered (pare/lower.h). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/lower_internal.h"
#include "pare/bytes.h"

/* `name` + `suffix`, changed until no value of the graph has it: values keep their names. */
static void derived_name(const pare_lowering *lowering, const char *name, const char *suffix, char *text, size_t size) {
    int kept = (int)pare_utf8_cut(name, 900); /* names stay well-formed, and below the limit of containers */
    snprintf(text, size, "%.*s%s", kept, name, suffix);
    for (unsigned i = 1; pare_graph_find_value(lowering->graph, text) != NULL; i++) {
        snprintf(text, size, "%.*s%s_%u", kept, name, suffix, i);
    }
}

static pare_model_quant model_quant(const pare_quant *quant) {
    return (pare_model_quant){quant->count > 1 ? quant->axis : -1, (uint32_t)quant->count, quant->scales,
                              quant->zero_points};
}

pare_status pare_lower_add_quantized(pare_lowering *lowering, const pare_value *value, const char *suffix,
                                     uint32_t *tensor, pare_error *error) {
    char name[960];
    const char *chosen = value->name;
    if (*suffix != '\0') {
        derived_name(lowering, value->name, suffix, name, sizeof name);
        chosen = name;
    }
    pare_model_quant quant = model_quant(value->quant);
    return pare_model_add_tensor(lowering->builder, chosen, value->quant->dtype, &value->shape, &quant, value->data,
                                 value->data_bytes, tensor, error);
}

static pare_status add_native(pare_lowering *lowering, const pare_value *value, uint32_t *tensor, pare_error *error) {
    if (value->quant != NULL) {
        return pare_lower_add_quantized(lowering, value, value->is_output && value->data == NULL ? ":q" : "", tensor,
                                        error);
    }
    return pare_model_add_tensor(lowering->builder, value->name, value->dtype, &value->shape, NULL, value->data,
                                 value->data_bytes, tensor, error);
}

static pare_status add_real(pare_lowering *lowering, const pare_value *value, pare_lower_slot *slot,
                            pare_error *error) {
    char name[960];
    const char *chosen = value->name;
    if (!value->is_output || value->is_input || value->data != NULL) {
        derived_name(lowering, value->name, ":f", name, sizeof name);
        chosen = name;
    }
    pare_no_attrs none = {0};
    uint32_t real = PARE_NONE;
    PARE_TRY(pare_model_add_tensor(lowering->builder, chosen, PARE_F32, &value->shape, NULL, NULL, 0, &real, error));
    PARE_TRY(pare_model_add_node(lowering->builder, chosen, PARE_OP_DEQUANTIZE, &slot->native, 1, &real, 1, &none, NULL,
                                 error));
    slot->real = real;
    return PARE_OK;
}

pare_status pare_lower_value(pare_lowering *lowering, const pare_value *value, bool integer, uint32_t *tensor,
                             pare_error *error) {
    pare_lower_slot *slot = pare_lower_slot_of(lowering, value);
    if (slot == NULL) {
        return pare_fail(error, PARE_INTERNAL, "expected value \"%s\" in the graph's list, found none", value->name);
    }
    if (slot->native == PARE_NONE) {
        if (value->data == NULL) {
            return pare_fail(error, PARE_INTERNAL,
                             "expected \"%s\" to be computed before it is read, found the reverse", value->name);
        }
        PARE_TRY(add_native(lowering, value, &slot->native, error));
    }
    if (value->quant == NULL || integer) {
        *tensor = slot->native;
        return PARE_OK;
    }
    if (slot->real == PARE_NONE) {
        PARE_TRY(add_real(lowering, value, slot, error));
    }
    *tensor = slot->real;
    return PARE_OK;
}

pare_status pare_lower_input(pare_lowering *lowering, const pare_node *node, size_t index, uint32_t *tensor,
                             pare_error *error) {
    *tensor = PARE_NONE;
    if (index >= node->input_count || node->inputs[index] == NULL) {
        return PARE_OK;
    }
    return pare_lower_value(lowering, node->inputs[index], lowering->integer, tensor, error);
}

static bool same_grid(const pare_quant *a, const pare_quant *b) {
    return a->scales[0] == b->scales[0] && a->zero_points[0] == b->zero_points[0];
}

pare_status pare_lower_output(pare_lowering *lowering, const pare_node *node, size_t index, uint32_t *tensor,
                              pare_error *error) {
    if (index >= node->output_count || node->outputs[index] == NULL) {
        return pare_node_fail(node, error, PARE_INTERNAL, "expected output %zu to be present, found none", index);
    }
    const pare_value *value = node->outputs[index];
    pare_lower_slot *slot = pare_lower_slot_of(lowering, value);
    if (slot->native == PARE_NONE) {
        PARE_TRY(add_native(lowering, value, &slot->native, error));
        if (value->quant != NULL && !lowering->integer) {
            PARE_TRY(pare_lower_temporary(lowering, node, PARE_F32, &value->shape, NULL, &slot->pending, error));
        } else if (lowering->integer && node->op->quant == PARE_QUANT_MOVE &&
                   !same_grid(value->quant, node->inputs[0]->quant)) {
            pare_model_quant quant = model_quant(node->inputs[0]->quant);
            PARE_TRY(pare_lower_temporary(lowering, node, PARE_U8, &value->shape, &quant, &slot->pending, error));
        }
    }
    *tensor = slot->pending != PARE_NONE ? slot->pending : slot->native;
    return PARE_OK;
}

pare_status pare_lower_temporary(pare_lowering *lowering, const pare_node *node, pare_dtype dtype,
                                 const pare_shape *shape, const pare_model_quant *quant, uint32_t *tensor,
                                 pare_error *error) {
    char name[960];
    derived_name(lowering, node->name, ":t", name, sizeof name);
    return pare_model_add_tensor(lowering->builder, name, dtype, shape, quant, NULL, 0, tensor, error);
}

pare_status pare_lower_constant(pare_lowering *lowering, const pare_node *node, pare_dtype dtype,
                                const pare_shape *shape, const pare_model_quant *quant, const void *data, size_t bytes,
                                uint32_t *tensor, pare_error *error) {
    char name[960];
    derived_name(lowering, node->name, ":c", name, sizeof name);
    return pare_model_add_tensor(lowering->builder, name, dtype, shape, quant, data, bytes, tensor, error);
}

pare_status pare_lower_emit(pare_lowering *lowering, const pare_node *node, pare_opcode opcode, const void *attrs,
                            const uint32_t *inputs, size_t input_count, const uint32_t *outputs, size_t output_count,
                            pare_error *error) {
    pare_status status =
        pare_model_add_node(lowering->builder, node->name, (uint32_t)opcode, inputs, (uint32_t)input_count, outputs,
                            (uint32_t)output_count, attrs, NULL, error);
    if (status != PARE_OK) {
        pare_error_prefix(error, "node \"%s\" (%s): ", node->name, node->op->name);
    }
    return status;
}

pare_status pare_lower_requantize(pare_lowering *lowering, const pare_node *node, uint32_t from, uint32_t to,
                                  pare_error *error) {
    const pare_model_quant *x = pare_model_builder_tensor(lowering->builder, from)->quant;
    const pare_model_quant *y = pare_model_builder_tensor(lowering->builder, to)->quant;
    uint8_t table[256];
    for (int32_t q = 0; q < 256; q++) {
        double real = (double)(q - x->zero_points[0]) * (double)x->scales[0];
        double scaled = rint(real / (double)y->scales[0]) + (double)y->zero_points[0];
        table[q] = (uint8_t)(scaled < 0 ? 0 : scaled > 255 ? 255 : scaled);
    }
    pare_unary_attrs attrs = {{PARE_FN_IDENTITY, 0.0F, 0.0F}};
    uint32_t inputs[2] = {from, PARE_NONE};
    pare_shape shape = {.rank = 1, .dims = {256}};
    PARE_TRY(pare_lower_constant(lowering, node, PARE_U8, &shape, NULL, table, sizeof table, &inputs[1], error));
    return pare_lower_emit(lowering, node, PARE_OP_UNARY, &attrs, inputs, 2, &to, 1, error);
}
