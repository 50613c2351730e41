/* What the files of ir/ and passes/ share beyond pare/graph.h. */
#ifndef PARE_GRAPH_INTERNAL_H
#define PARE_GRAPH_INTERNAL_H

#include "ir/name_table.h"
#include "pare/graph.h"

/* The error of a graph function that returned NULL or false. */
pare_status pare_graph_fail_memory(const pare_graph *graph, pare_error *error);
/* As pare_graph_add_constant, but `data` (in the graph's arena) is not copied. */
pare_value *pare_graph_adopt_constant(pare_graph *graph, const char *name, pare_dtype dtype, const pare_shape *shape,
                                      void *data, size_t bytes);
/* Gives a value another name (made unique). */
bool pare_graph_rename(pare_graph *graph, pare_value *value, const char *name);
/* Drops values that nothing produces or reads and that are neither inputs nor
 * outputs. True when there were some. */
bool pare_graph_drop_unused_values(pare_graph *graph);
/* Moves a node before `before` (NULL: to the end). */
void pare_graph_move_node(pare_graph *graph, pare_node *node, pare_node *before);
/* Copies the attributes of one node to another, of another graph perhaps. */
bool pare_node_copy_attrs(pare_graph *graph, pare_node *node, const pare_node *from);
/* A tensor attribute; `tensor` belongs to the graph's arena. */
bool pare_node_set_tensor(pare_graph *graph, pare_node *node, const char *name, pare_value *tensor);
/* A quantization equal to `quant` in `graph`; NULL when out of memory. */
pare_quant *pare_graph_copy_quant(pare_graph *graph, const pare_quant *quant);
/* Same grid; false where either is NULL. */
bool pare_quant_equal(const pare_quant *a, const pare_quant *b);
/* Attribute `name` of kind `kind`, made or overwritten; NULL when out of memory. */
pare_attr *pare_node_put_attr(pare_graph *graph, pare_node *node, const char *name, pare_attr_kind kind);
/* True where each output's shape is known, without open dimensions, and all
 * outputs together take at most `limit` bytes. */
bool pare_node_outputs_fit(const pare_node *node, size_t limit);
/* True when an int64 element stands for a multiple of the batch; *k receives it. */
bool pare_is_batch_mark(int64_t element, int64_t *k);

#endif
