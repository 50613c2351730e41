/* Builds small ONNX models for tests, in memory and on disk:
 *
 *     test_onnx *m = test_onnx_begin(8, 17);
 *     test_onnx_input(m, "x", PARE_F32, 4, (int64_t[]){-1, 3, 8, 8});
 *     test_onnx_initializer_f32(m, "w", 4, (int64_t[]){4, 3, 3, 3}, weights);
 *     Onnx__NodeProto *conv = test_onnx_node(m, "Conv", "conv1", 2, (const char *[]){"x", "w"}, 1,
 *                                            (const char *[]){"y"});
 *     test_onnx_attr_ints(m, conv, "pads", 4, (int64_t[]){1, 1, 1, 1});
 *     test_onnx_output(m, "y", PARE_F32, 4, (int64_t[]){-1, 4, 8, 8});
 *     test_onnx_save(m, test_path("conv.onnx"));
 *     test_onnx_free(m);
 *
 * Everything is copied in. Running out of memory ends the test program. Nothing
 * is checked: broken models are also built with it. */
#ifndef PARE_TEST_ONNX_BUILDER_H
#define PARE_TEST_ONNX_BUILDER_H

#include <stddef.h>
#include <stdint.h>

#include "pare/onnx.h"

typedef struct test_onnx test_onnx;

/* A model with an empty graph named "test"; opset is that of the default domain. */
test_onnx *test_onnx_begin(int64_t ir, int64_t opset);
/* Accepts NULL. */
void test_onnx_free(test_onnx *m);
/* The message itself, for what has no helper; memory from test_onnx_bytes. */
Onnx__ModelProto *test_onnx_proto(test_onnx *m);
/* Zeroed memory that lives as long as the model. */
void *test_onnx_bytes(test_onnx *m, size_t bytes);
char *test_onnx_string(test_onnx *m, const char *text);
/* One more opset import. */
void test_onnx_opset(test_onnx *m, const char *domain, int64_t version);

/* A dimension of -1 is the symbolic "N", -k the symbolic "D<k>". */
void test_onnx_input(test_onnx *m, const char *name, pare_dtype dtype, int rank, const int64_t *dims);
void test_onnx_output(test_onnx *m, const char *name, pare_dtype dtype, int rank, const int64_t *dims);
void test_onnx_value_info(test_onnx *m, const char *name, pare_dtype dtype, int rank, const int64_t *dims);

/* `data` holds the product of `dims` elements; stored as raw_data. */
Onnx__TensorProto *test_onnx_initializer(test_onnx *m, const char *name, pare_dtype dtype, int rank,
                                         const int64_t *dims, const void *data);
void test_onnx_initializer_f32(test_onnx *m, const char *name, int rank, const int64_t *dims, const float *data);
void test_onnx_initializer_i64(test_onnx *m, const char *name, int rank, const int64_t *dims, const int64_t *data);
void test_onnx_initializer_s32(test_onnx *m, const char *name, int rank, const int64_t *dims, const int32_t *data);
void test_onnx_initializer_s8(test_onnx *m, const char *name, int rank, const int64_t *dims, const int8_t *data);
void test_onnx_initializer_u8(test_onnx *m, const char *name, int rank, const int64_t *dims, const uint8_t *data);

/* An input or output name of NULL or "" is an omitted optional one. */
Onnx__NodeProto *test_onnx_node(test_onnx *m, const char *op_type, const char *name, size_t inputs,
                                const char *const *input, size_t outputs, const char *const *output);
void test_onnx_domain(test_onnx *m, Onnx__NodeProto *node, const char *domain);
void test_onnx_attr_int(test_onnx *m, Onnx__NodeProto *node, const char *name, int64_t value);
void test_onnx_attr_float(test_onnx *m, Onnx__NodeProto *node, const char *name, float value);
void test_onnx_attr_string(test_onnx *m, Onnx__NodeProto *node, const char *name, const char *value);
void test_onnx_attr_ints(test_onnx *m, Onnx__NodeProto *node, const char *name, size_t count, const int64_t *values);
void test_onnx_attr_floats(test_onnx *m, Onnx__NodeProto *node, const char *name, size_t count, const float *values);
void test_onnx_attr_tensor(test_onnx *m, Onnx__NodeProto *node, const char *name, pare_dtype dtype, int rank,
                           const int64_t *dims, const void *data);

/* The serialised model; freed with the model. */
const uint8_t *test_onnx_pack(test_onnx *m, size_t *size);
/* Writes it; ends the test program when that fails. */
void test_onnx_save(test_onnx *m, const char *path);
/* Packs and reads back through pare_onnx_from_bytes (no external data). */
pare_status test_onnx_open(test_onnx *m, pare_onnx_file *file, pare_error *error);

#endif
