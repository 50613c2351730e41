/* The steps of reading an ONNX file into a graph, each in its own file. */
#ifndef PARE_ONNX_IMPORT_H
#define PARE_ONNX_IMPORT_H

#include "ir/graph_internal.h"
#include "pare/onnx_graph.h"
#include "pare/op.h"

typedef struct onnx_importer {
    const pare_onnx_file *file;
    const Onnx__ModelProto *model;
    const Onnx__GraphProto *proto;
    const pare_shape_binding *bindings;
    size_t binding_count;
    pare_graph *graph;
    int32_t opset;             /* of the file's default domain */
    const char *batch;         /* dim_param that is the batch, or NULL */
    bool unnamed_batch;        /* dims[0] without a name is the batch */
    pare_name_table *produced; /* names of node outputs -> Onnx__NodeProto */
    pare_error *error;
} onnx_importer;

/* Constants, inputs with their shapes. */
pare_status onnx_import_values(onnx_importer *importer);
/* Nodes in order, and Constant nodes as constants. */
pare_status onnx_import_nodes(onnx_importer *importer);
/* The graph's outputs, once the nodes exist. */
pare_status onnx_import_outputs(onnx_importer *importer);
/* A constant in the value list (`listed`) or a loose one, half and double
 * precision as F32. */
pare_status onnx_import_tensor(onnx_importer *importer, const Onnx__TensorProto *tensor, const char *name, bool listed,
                               pare_value **value);
/* Refuses numbers that the graph would take for multiples of the batch (PARE_BATCH_MARK). */
pare_status onnx_check_plain(onnx_importer *importer, const char *name, const int64_t *elements, size_t count);
/* F32 where the file says a wider or narrower float. */
pare_dtype onnx_graph_dtype(pare_dtype dtype);
/* Nodes of opset 7 to 12 get the spelling of opset 13. */
pare_status onnx_upgrade(pare_graph *graph, pare_error *error);
/* Q/DQ and QLinear nodes become values' quantization. */
pare_status onnx_absorb_quantization(pare_graph *graph, pare_error *error);
/* Descriptors of operators that exist at the border only; NULL when it is none. */
const pare_op *onnx_border_op(const char *domain, const char *name);
/* Never NULL. */
static inline const char *onnx_text(const char *text) {
    return text != NULL ? text : "";
}

#endif
