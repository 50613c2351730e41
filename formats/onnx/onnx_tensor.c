/* Elements of a TensorProto: one of nine places, checked against shape and type. */
#include "onnx_internal.h"

#include <string.h>

#include "pare/checked.h"

/* The dtype in which elements of an ONNX type are handed out. */
static pare_status element_type(const Onnx__TensorProto *tensor, pare_dtype *dtype, pare_error *error) {
    const int32_t type = tensor->has_data_type ? tensor->data_type : 0;
    const char *name = tensor->name != NULL ? tensor->name : "";
    switch (type) {
    case PARE_ONNX_UINT4:
        *dtype = PARE_U8;
        return PARE_OK;
    case PARE_ONNX_INT4:
        *dtype = PARE_S8;
        return PARE_OK;
    case PARE_ONNX_STRING:
        return pare_fail(error, PARE_UNSUPPORTED, "tensor \"%s\": expected numbers, found strings", name);
    case PARE_ONNX_COMPLEX64:
    case PARE_ONNX_COMPLEX128:
        return pare_fail(error, PARE_UNSUPPORTED, "tensor \"%s\": expected real numbers, found complex ones", name);
    default:
        break;
    }
    if (type > 0 && pare_dtype_bytes((pare_dtype)type) != 0) {
        *dtype = (pare_dtype)type;
        return PARE_OK;
    }
    if (type > 0 && type <= PARE_ONNX_LAST_TYPE) {
        return pare_fail(
            error, PARE_UNSUPPORTED,
            "tensor \"%s\": expected a type up to 64 bits that is no 8- or 4-bit float, found data_type %d", name,
            (int)type);
    }
    return pare_fail(error, PARE_BAD_INPUT, "tensor \"%s\": expected a data_type from 1 to %d, found %d", name,
                     PARE_ONNX_LAST_TYPE, (int)type);
}

pare_status pare_onnx_tensor_shape(const Onnx__TensorProto *tensor, pare_shape *shape, pare_dtype *dtype,
                                   pare_error *error) {
    const char *name = tensor->name != NULL ? tensor->name : "";
    PARE_TRY(element_type(tensor, dtype, error));
    if (tensor->n_dims > PARE_MAX_RANK) {
        return pare_fail(error, PARE_LIMIT, "tensor \"%s\": expected at most %d dimensions, found %zu", name,
                         PARE_MAX_RANK, tensor->n_dims);
    }
    *shape = (pare_shape){.rank = (int32_t)tensor->n_dims};
    for (size_t i = 0; i < tensor->n_dims; i++) {
        shape->dims[i] = tensor->dims[i];
        if (tensor->dims[i] < 0) {
            return pare_fail(error, PARE_BAD_INPUT, "tensor \"%s\": expected dimension %zu from 0, found %lld", name, i,
                             (long long)tensor->dims[i]);
        }
        if (tensor->dims[i] > INT32_MAX) {
            return pare_fail(error, PARE_LIMIT, "tensor \"%s\": expected dimension %zu up to %d, found %lld", name, i,
                             INT32_MAX, (long long)tensor->dims[i]);
        }
    }
    size_t bytes;
    if (!pare_shape_bytes(shape, *dtype, &bytes)) {
        return pare_fail(error, PARE_BAD_INPUT, "tensor \"%s\": expected a size of 64 bits, found an overflow", name);
    }
    return PARE_OK;
}

static bool is_nibbles(const Onnx__TensorProto *tensor) {
    return tensor->data_type == PARE_ONNX_UINT4 || tensor->data_type == PARE_ONNX_INT4;
}

bool pare_onnx_stored_bytes(const Onnx__TensorProto *tensor, const pare_shape *shape, pare_dtype dtype, size_t *bytes) {
    if (!pare_shape_bytes(shape, dtype, bytes)) {
        return false;
    }
    if (is_nibbles(tensor)) {
        *bytes = *bytes / 2 + *bytes % 2;
    }
    return true;
}

/* Low half first. Backwards in place: element i comes from byte i / 2 <= i. */
static void unpack_nibbles(uint8_t *data, size_t elements, bool is_signed) {
    for (size_t i = elements; i-- > 0;) {
        const unsigned half = ((unsigned)data[i / 2] >> (i % 2 * 4)) & 15u;
        data[i] = (uint8_t)(is_signed && half >= 8 ? half | 0xf0u : half);
    }
}

static pare_status copy_int32_field(const Onnx__TensorProto *tensor, pare_dtype dtype, uint8_t *out,
                                    pare_error *error) {
    int32_t lowest = 0, highest = UINT8_MAX;
    size_t width = 1;
    if (dtype == PARE_S8 && !is_nibbles(tensor)) {
        lowest = INT8_MIN, highest = INT8_MAX;
    } else if (dtype == PARE_S16) {
        lowest = INT16_MIN, highest = INT16_MAX, width = 2;
    } else if (dtype == PARE_U16 || dtype == PARE_F16 || dtype == PARE_BF16) {
        highest = UINT16_MAX, width = 2;
    } else if (dtype == PARE_S32) {
        lowest = INT32_MIN, highest = INT32_MAX, width = 4;
    }
    for (size_t i = 0; i < tensor->n_int32_data; i++) {
        const int32_t value = tensor->int32_data[i];
        if (value < lowest || value > highest) {
            return pare_fail(error, PARE_BAD_INPUT, "int32_data[%zu]: expected a value from %d to %d, found %d", i,
                             (int)lowest, (int)highest, (int)value);
        }
        memcpy(out + i * width, &value, width); /* little-endian: the low bytes come first */
    }
    return PARE_OK;
}

static pare_status copy_uint64_field(const Onnx__TensorProto *tensor, pare_dtype dtype, uint8_t *out,
                                     pare_error *error) {
    const size_t width = pare_dtype_bytes(dtype);
    for (size_t i = 0; i < tensor->n_uint64_data; i++) {
        const uint64_t value = tensor->uint64_data[i];
        if (width == 4 && value > UINT32_MAX) {
            return pare_fail(error, PARE_BAD_INPUT, "uint64_data[%zu]: expected a value up to %lu, found %llu", i,
                             (unsigned long)UINT32_MAX, (unsigned long long)value);
        }
        memcpy(out + i * width, &value, width);
    }
    return PARE_OK;
}

/* The typed fields; `source` is NULL for those that need a conversion. FIELDS
 * stands for raw_data and for external data. */
enum { FLOATS, INT32S, INT64S, DOUBLES, UINT64S, STRINGS, FIELDS };
typedef struct typed_field {
    const char *name;
    size_t count;
    const void *source;
    size_t width;
} typed_field;

static int field_of(pare_dtype dtype) {
    switch (dtype) {
    case PARE_F32:
        return FLOATS;
    case PARE_S64:
        return INT64S;
    case PARE_F64:
        return DOUBLES;
    case PARE_U32:
    case PARE_U64:
        return UINT64S;
    default:
        return INT32S;
    }
}

static void list_fields(const Onnx__TensorProto *tensor, typed_field fields[FIELDS]) {
    fields[FLOATS] = (typed_field){"float_data", tensor->n_float_data, tensor->float_data, 4};
    fields[INT32S] = (typed_field){"int32_data", tensor->n_int32_data, NULL, 0};
    fields[INT64S] = (typed_field){"int64_data", tensor->n_int64_data, tensor->int64_data, 8};
    fields[DOUBLES] = (typed_field){"double_data", tensor->n_double_data, tensor->double_data, 8};
    fields[UINT64S] = (typed_field){"uint64_data", tensor->n_uint64_data, NULL, 0};
    fields[STRINGS] = (typed_field){"string_data", tensor->n_string_data, NULL, 0};
}

/* Finds the one field that holds the elements. */
static pare_status find_place(const Onnx__TensorProto *tensor, pare_dtype dtype, size_t elements, bool external,
                              int *field, pare_error *error) {
    typed_field fields[FIELDS];
    const bool raw = tensor->has_raw_data && tensor->raw_data.len != 0;
    const char *found = external ? "external data" : raw ? "raw_data" : NULL;
    if (external && raw) {
        return pare_fail(error, PARE_BAD_INPUT,
                         "expected one place for the elements, found external data and raw_data");
    }
    list_fields(tensor, fields);
    *field = FIELDS;
    for (int i = 0; i < FIELDS; i++) {
        if (fields[i].count == 0) {
            continue;
        }
        if (found != NULL) {
            return pare_fail(error, PARE_BAD_INPUT, "expected one place for the elements, found %s and %s", found,
                             fields[i].name);
        }
        found = fields[i].name;
        *field = i;
    }
    if (*field != FIELDS && *field != field_of(dtype)) {
        return pare_fail(error, PARE_BAD_INPUT, "expected %s elements in %s, found %s", pare_dtype_name(dtype),
                         fields[field_of(dtype)].name, found);
    }
    if (found == NULL && elements != 0) {
        return pare_fail(error, PARE_BAD_INPUT, "expected %zu elements, found neither raw_data nor %s", elements,
                         fields[field_of(dtype)].name);
    }
    return PARE_OK;
}

/* Before memory is taken for them: the elements are all there, and no more. */
static pare_status check_place(const Onnx__TensorProto *tensor, pare_dtype dtype, size_t elements, size_t stored,
                               bool *external, int *field, pare_error *error) {
    *external = tensor->has_data_location && tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    if (tensor->segment != NULL) {
        return pare_fail(error, PARE_UNSUPPORTED, "expected a whole tensor, found a segment of one");
    }
    if (!*external && tensor->n_external_data != 0) {
        return pare_fail(error, PARE_BAD_INPUT, "expected data_location EXTERNAL beside external_data, found DEFAULT");
    }
    PARE_TRY(find_place(tensor, dtype, elements, *external, field, error));
    if (*external) {
        return PARE_OK;
    }
    if (*field == FIELDS) {
        const size_t found = tensor->has_raw_data ? tensor->raw_data.len : 0;
        return found == stored
                   ? PARE_OK
                   : pare_fail(error, PARE_BAD_INPUT, "expected %zu bytes of raw_data, found %zu", stored, found);
    }
    typed_field fields[FIELDS];
    list_fields(tensor, fields);
    const size_t expected = is_nibbles(tensor) ? stored : elements;
    if (fields[*field].count != expected) {
        return pare_fail(error, PARE_BAD_INPUT, "expected %zu numbers in %s, found %zu", expected, fields[*field].name,
                         fields[*field].count);
    }
    return PARE_OK;
}

/* Copies what check_place has checked. */
static pare_status copy_elements(const Onnx__TensorProto *tensor, pare_dtype dtype, int field, uint8_t *out,
                                 pare_error *error) {
    if (field == INT32S) {
        return copy_int32_field(tensor, dtype, out, error);
    }
    if (field == UINT64S) {
        return copy_uint64_field(tensor, dtype, out, error);
    }
    if (field == FIELDS) {
        if (tensor->raw_data.len != 0) {
            memcpy(out, tensor->raw_data.data, tensor->raw_data.len);
        }
        return PARE_OK;
    }
    typed_field fields[FIELDS];
    list_fields(tensor, fields);
    memcpy(out, fields[field].source, fields[field].count * fields[field].width);
    return PARE_OK;
}

static pare_status check_bools(const uint8_t *data, size_t count, pare_error *error) {
    for (size_t i = 0; i < count; i++) {
        if (data[i] > 1) {
            return pare_fail(error, PARE_BAD_INPUT, "element %zu: expected a bool of 0 or 1, found %u", i,
                             (unsigned)data[i]);
        }
    }
    return PARE_OK;
}

/* `stored` bytes as they lie in the file, in a block of `bytes`. */
static pare_status load(const pare_onnx_file *file, const Onnx__TensorProto *tensor, pare_dtype dtype, size_t elements,
                        size_t stored, size_t bytes, pare_arena *arena, void **data, pare_error *error) {
    bool external;
    int field = FIELDS;
    PARE_TRY(check_place(tensor, dtype, elements, stored, &external, &field, error));
    if (external) {
        return pare_onnx_external_read(file, tensor, stored, bytes, arena, data, error);
    }
    *data = pare_arena_alloc(arena, bytes, 1);
    return *data == NULL ? pare_fail_memory(error, bytes) : copy_elements(tensor, dtype, field, *data, error);
}

pare_status pare_onnx_tensor_data(const pare_onnx_file *file, const Onnx__TensorProto *tensor, pare_arena *arena,
                                  void **data, size_t *bytes, pare_error *error) {
    pare_shape shape;
    pare_dtype dtype;
    size_t stored, elements;
    PARE_TRY(pare_onnx_tensor_shape(tensor, &shape, &dtype, error));
    if (!pare_onnx_stored_bytes(tensor, &shape, dtype, &stored) || !pare_shape_bytes(&shape, dtype, bytes) ||
        !pare_shape_elements(&shape, &elements)) {
        return pare_fail(error, PARE_INTERNAL, "expected a checked shape, found an overflow");
    }
    pare_status status = load(file, tensor, dtype, elements, stored, *bytes, arena, data, error);
    if (status == PARE_OK && is_nibbles(tensor)) {
        unpack_nibbles(*data, elements, dtype == PARE_S8);
    }
    if (status == PARE_OK && dtype == PARE_BOOL) {
        status = check_bools(*data, elements, error);
    }
    if (status != PARE_OK) {
        pare_error_prefix(error, "tensor \"%s\": ", tensor->name != NULL ? tensor->name : "");
    }
    return status;
}
