/* The steps of writing a graph as ONNX. Messages live in the writer's arena;
 * tensors point to the graph's data. */
#ifndef PARE_ONNX_EXPORT_H
#define PARE_ONNX_EXPORT_H

#include "ir/graph_internal.h"
#include "pare/onnx.h"

typedef struct onnx_list {
    void **items;
    size_t count, capacity;
} onnx_list;

typedef struct onnx_writer {
    const pare_graph *graph;
    pare_arena arena;
    onnx_list nodes, initializers;
    pare_name_table *names;   /* every name that the file uses beyond the graph's values */
    pare_name_table *emitted; /* constants that are written */
    pare_name_table *node_names;
    pare_error *error;
} onnx_writer;

/* Zeroed memory; NULL when out of memory. */
void *onnx_make(onnx_writer *writer, size_t count, size_t size);
pare_status onnx_no_memory(onnx_writer *writer);
bool onnx_append(onnx_writer *writer, onnx_list *list, void *item);
/* A value name that is free: `base` + `suffix`, numbered where taken. */
char *onnx_fresh_name(onnx_writer *writer, const char *base, const char *suffix);
/* Appends a node; names are not copied. NULL when out of memory. */
Onnx__NodeProto *onnx_add_node(onnx_writer *writer, const char *op, const char *name, const char *const *inputs,
                               size_t input_count, const char *const *outputs, size_t output_count);
bool onnx_add_int_attr(onnx_writer *writer, Onnx__NodeProto *node, const char *name, int64_t value);
/* An initializer whose bytes are `data` (not copied). */
bool onnx_add_initializer(onnx_writer *writer, const char *name, pare_dtype dtype, int32_t rank, const int64_t *dims,
                          const void *data, size_t bytes);
bool onnx_fill_tensor(onnx_writer *writer, Onnx__TensorProto *tensor, const char *name, pare_dtype dtype, int32_t rank,
                      const int64_t *dims, const void *data, size_t bytes);

/* The name under which nodes read a value; writes a constant on its first use. */
pare_status onnx_reader_name(onnx_writer *writer, const pare_value *value, const char **name);
/* The name under which a node writes a value. */
pare_status onnx_writer_name(onnx_writer *writer, const pare_value *value, const char **name);
/* The Q/DQ pair behind a quantized activation that was just written. */
pare_status onnx_export_quantization(onnx_writer *writer, const pare_value *value);
/* True when elements of a constant stand for multiples of the batch. */
bool onnx_has_batch_mark(const pare_value *value);
pare_status onnx_export_batch_constant(onnx_writer *writer, const pare_value *value);
/* One node with its attributes. */
pare_status onnx_export_node(onnx_writer *writer, const pare_node *node);

#endif
