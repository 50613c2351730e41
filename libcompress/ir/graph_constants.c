/* Constants and quantization. */
#include <string.h>

#include "ir/graph_internal.h"
#include "pare/checked.h"

bool pare_is_batch_mark(int64_t element, int64_t *k) {
    if (element <= PARE_BATCH_MARK || element > PARE_BATCH_MARK + ((int64_t)1 << 31)) {
        return false;
    }
    *k = element - PARE_BATCH_MARK;
    return true;
}

static void leave_producer(pare_value *value) {
    pare_node *producer = value->producer;
    for (size_t i = 0; producer != NULL && i < producer->output_count; i++) {
        if (producer->outputs[i] == value) {
            producer->outputs[i] = NULL;
        }
    }
    value->producer = NULL;
}

bool pare_graph_make_constant(pare_graph *graph, pare_value *value, const void *data, size_t bytes) {
    void *copy = pare_arena_alloc(&graph->arena, bytes + 1, 1);
    if (copy == NULL) {
        return false;
    }
    if (bytes != 0) {
        memcpy(copy, data, bytes);
    }
    leave_producer(value);
    value->data = copy;
    value->data_bytes = bytes;
    return true;
}

void pare_graph_share_constant(pare_value *value, const pare_value *from) {
    leave_producer(value);
    value->data = from->data;
    value->data_bytes = from->data_bytes;
    value->quant = from->quant;
}

pare_quant *pare_graph_add_quant(pare_graph *graph, pare_dtype dtype, int32_t axis, size_t count, const float *scales,
                                 const int32_t *zero_points) {
    pare_quant *quant = pare_arena_alloc(&graph->arena, 1, sizeof *quant);
    float *scale_copy = pare_arena_alloc(&graph->arena, count, sizeof *scale_copy);
    int32_t *zero_copy = pare_arena_alloc(&graph->arena, count, sizeof *zero_copy);
    if (quant == NULL || scale_copy == NULL || zero_copy == NULL) {
        return NULL;
    }
    memcpy(scale_copy, scales, count * sizeof *scale_copy);
    if (zero_points != NULL) {
        memcpy(zero_copy, zero_points, count * sizeof *zero_copy);
    }
    *quant = (pare_quant){.dtype = dtype, .axis = axis, .count = count, .scales = scale_copy, .zero_points = zero_copy};
    return quant;
}

pare_quant *pare_graph_copy_quant(pare_graph *graph, const pare_quant *quant) {
    return pare_graph_add_quant(graph, quant->dtype, quant->axis, quant->count, quant->scales, quant->zero_points);
}

bool pare_quant_equal(const pare_quant *a, const pare_quant *b) {
    return a != NULL && b != NULL && a->dtype == b->dtype && a->axis == b->axis && a->count == b->count &&
           memcmp(a->scales, b->scales, a->count * sizeof *a->scales) == 0 &&
           memcmp(a->zero_points, b->zero_points, a->count * sizeof *a->zero_points) == 0;
}

size_t pare_value_elements(const pare_value *value) {
    size_t elements = 0;
    if (!value->has_shape || pare_shape_has_batch(&value->shape) || !pare_shape_elements(&value->shape, &elements)) {
        return 0;
    }
    return elements;
}

static double element_as_double(const void *data, pare_dtype dtype, size_t i) {
    switch (dtype) {
    case PARE_F32:
        return (double)((const float *)data)[i];
    case PARE_F64:
        return ((const double *)data)[i];
    case PARE_F16:
        return (double)pare_f16_to_f32(((const uint16_t *)data)[i]);
    case PARE_BF16:
        return (double)pare_bf16_to_f32(((const uint16_t *)data)[i]);
    case PARE_U64:
        return (double)((const uint64_t *)data)[i];
    case PARE_S64:
        return (double)((const int64_t *)data)[i];
    default:
        return 0.0;
    }
}

static int64_t element_as_int(const void *data, pare_dtype dtype, size_t i) {
    switch (dtype) {
    case PARE_U8:
    case PARE_BOOL:
        return ((const uint8_t *)data)[i];
    case PARE_S8:
        return ((const int8_t *)data)[i];
    case PARE_U16:
        return ((const uint16_t *)data)[i];
    case PARE_S16:
        return ((const int16_t *)data)[i];
    case PARE_S32:
        return ((const int32_t *)data)[i];
    case PARE_U32:
        return ((const uint32_t *)data)[i];
    case PARE_S64:
    case PARE_U64:
        return ((const int64_t *)data)[i];
    default: {
        double value = element_as_double(data, dtype, i);
        return value >= -9.2e18 && value <= 9.2e18 ? (int64_t)value : 0;
    }
    }
}

static bool is_float(pare_dtype dtype) {
    return dtype == PARE_F32 || dtype == PARE_F64 || dtype == PARE_F16 || dtype == PARE_BF16;
}

/* Elements between two indices along the quantization's axis, and its length. */
static void quant_stride(const pare_value *value, size_t *stride, size_t *length) {
    const pare_quant *quant = value->quant;
    *stride = 1;
    *length = quant->count;
    if (quant->axis >= 0) {
        for (int32_t d = quant->axis + 1; d < value->shape.rank; d++) {
            *stride *= (size_t)value->shape.dims[d];
        }
    }
}

static bool stored_elements(const pare_value *value, pare_dtype stored, size_t *count) {
    *count = pare_value_elements(value);
    size_t bytes = 0;
    return value->data != NULL && pare_mul_size(*count, pare_dtype_bytes(stored), &bytes) && bytes <= value->data_bytes;
}

const float *pare_value_floats(pare_graph *graph, const pare_value *value, size_t *count) {
    pare_dtype stored = value->quant != NULL ? value->quant->dtype : value->dtype;
    if (!stored_elements(value, stored, count)) {
        return NULL;
    }
    if (stored == PARE_F32) {
        return value->data;
    }
    float *floats = pare_arena_alloc(&graph->arena, *count + 1, sizeof *floats);
    if (floats == NULL) {
        return NULL;
    }
    size_t stride = 1, length = 1;
    if (value->quant != NULL) {
        quant_stride(value, &stride, &length);
    }
    for (size_t i = 0; i < *count; i++) {
        if (is_float(stored)) {
            floats[i] = (float)element_as_double(value->data, stored, i);
        } else if (value->quant == NULL) {
            floats[i] = (float)element_as_int(value->data, stored, i);
        } else {
            size_t channel = value->quant->axis >= 0 ? i / stride % length : 0;
            int64_t centred = element_as_int(value->data, stored, i) - value->quant->zero_points[channel];
            floats[i] = (float)centred * value->quant->scales[channel];
        }
    }
    return floats;
}

const int64_t *pare_value_ints(pare_graph *graph, const pare_value *value, size_t *count) {
    pare_dtype stored = value->quant != NULL ? value->quant->dtype : value->dtype;
    if (!stored_elements(value, stored, count)) {
        return NULL;
    }
    if (stored == PARE_S64) {
        return value->data;
    }
    int64_t *ints = pare_arena_alloc(&graph->arena, *count + 1, sizeof *ints);
    if (ints == NULL) {
        return NULL;
    }
    const float *floats = value->quant != NULL ? pare_value_floats(graph, value, count) : NULL;
    if (value->quant != NULL && floats == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < *count; i++) {
        ints[i] = floats != NULL ? element_as_int(floats, PARE_F32, i) : element_as_int(value->data, stored, i);
    }
    return ints;
}
