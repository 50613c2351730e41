/* Constants and quantization on the way out.
 *
 * A quantized activation x: its producer writes x, then x_quantized =
 * QuantizeLinear(x), and all read x_dequantized = DequantizeLinear(x_quantized).
 * Where x is an output of the graph, the producer writes x_float and the
 * DequantizeLinear x. A quantized constant x is DequantizeLinear(x_quantized). */
#include <string.h>

#include "ir/onnx_export.h"

/* Scale and zero point as initializers, named after the value. */
static pare_status export_scale(onnx_writer *writer, const pare_value *value, const char **scale,
                                const char **zero_point) {
    const pare_quant *quant = value->quant;
    int64_t dims[1] = {(int64_t)quant->count};
    int32_t rank = quant->axis >= 0 ? 1 : 0;
    size_t width = pare_dtype_bytes(quant->dtype);
    uint8_t *zeros = onnx_make(writer, quant->count, width);
    char *scale_name = onnx_fresh_name(writer, value->name, "_scale");
    char *zero_name = onnx_fresh_name(writer, value->name, "_zero_point");
    if (zeros == NULL || scale_name == NULL || zero_name == NULL) {
        return onnx_no_memory(writer);
    }
    for (size_t i = 0; i < quant->count; i++) {
        memcpy(zeros + i * width, &quant->zero_points[i], width); /* little-endian, as the file */
    }
    *scale = scale_name;
    *zero_point = zero_name;
    return onnx_add_initializer(writer, scale_name, PARE_F32, rank, dims, quant->scales,
                                quant->count * sizeof *quant->scales) &&
                   onnx_add_initializer(writer, zero_name, quant->dtype, rank, dims, zeros, quant->count * width)
               ? PARE_OK
               : onnx_no_memory(writer);
}

static pare_status add_linear(onnx_writer *writer, const char *op, const pare_value *value, const char *input,
                              const char *scale, const char *zero_point, const char *output) {
    const char *inputs[3] = {input, scale, zero_point};
    const char *name = onnx_fresh_name(writer, value->name, op[0] == 'Q' ? "_QuantizeLinear" : "_DequantizeLinear");
    Onnx__NodeProto *node = name != NULL ? onnx_add_node(writer, op, name, inputs, 3, &output, 1) : NULL;
    if (node == NULL || (value->quant->axis >= 0 && !onnx_add_int_attr(writer, node, "axis", value->quant->axis))) {
        return onnx_no_memory(writer);
    }
    return PARE_OK;
}

static pare_status export_quantized_constant(onnx_writer *writer, const pare_value *value) {
    const char *scale = NULL, *zero_point = NULL;
    char *integers = onnx_fresh_name(writer, value->name, "_quantized");
    if (integers == NULL || !onnx_add_initializer(writer, integers, value->quant->dtype, value->shape.rank,
                                                  value->shape.dims, value->data, value->data_bytes)) {
        return onnx_no_memory(writer);
    }
    PARE_TRY(export_scale(writer, value, &scale, &zero_point));
    return add_linear(writer, "DequantizeLinear", value, integers, scale, zero_point, value->name);
}

static pare_status export_constant(onnx_writer *writer, const pare_value *value) {
    if (value->quant != NULL) {
        return export_quantized_constant(writer, value);
    }
    if (onnx_has_batch_mark(value)) {
        return onnx_export_batch_constant(writer, value);
    }
    return onnx_add_initializer(writer, value->name, value->dtype, value->shape.rank, value->shape.dims, value->data,
                                value->data_bytes)
               ? PARE_OK
               : onnx_no_memory(writer);
}

/* Names that stand for a value: kept under the value's own name. */
static const char *derived_name(onnx_writer *writer, const pare_value *value, const char *suffix) {
    char *name = pare_name_table_find(writer->emitted, value->name);
    if (name == NULL && (name = onnx_fresh_name(writer, value->name, suffix)) != NULL &&
        !pare_name_table_put(writer->emitted, value->name, name)) {
        return NULL;
    }
    return name;
}

pare_status onnx_reader_name(onnx_writer *writer, const pare_value *value, const char **name) {
    *name = value->name;
    if (value->data != NULL) {
        if (pare_name_table_find(writer->emitted, value->name) != NULL) {
            return PARE_OK;
        }
        if (!pare_name_table_put(writer->emitted, value->name, (void *)(uintptr_t)value)) {
            return onnx_no_memory(writer);
        }
        return export_constant(writer, value);
    }
    if (value->quant != NULL && !value->is_output) {
        *name = derived_name(writer, value, "_dequantized");
    }
    return *name != NULL ? PARE_OK : onnx_no_memory(writer);
}

pare_status onnx_writer_name(onnx_writer *writer, const pare_value *value, const char **name) {
    *name = value->quant != NULL && value->is_output ? derived_name(writer, value, "_float") : value->name;
    return *name != NULL ? PARE_OK : onnx_no_memory(writer);
}

pare_status onnx_export_quantization(onnx_writer *writer, const pare_value *value) {
    const char *scale = NULL, *zero_point = NULL, *from = NULL, *to = NULL;
    if (value->quant == NULL || value->data != NULL) {
        return PARE_OK;
    }
    char *integers = onnx_fresh_name(writer, value->name, "_quantized");
    if (integers == NULL) {
        return onnx_no_memory(writer);
    }
    PARE_TRY(onnx_writer_name(writer, value, &from));
    PARE_TRY(onnx_reader_name(writer, value, &to));
    PARE_TRY(export_scale(writer, value, &scale, &zero_point));
    PARE_TRY(add_linear(writer, "QuantizeLinear", value, from, scale, zero_point, integers));
    return add_linear(writer, "DequantizeLinear", value, integers, scale, zero_point, to);
}
