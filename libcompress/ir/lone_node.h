/* A node as a graph of its own, to be run by the runtime. */
#ifndef PARE_LONE_NODE_H
#define PARE_LONE_NODE_H

#include "pare/graph.h"

/* Adds the node to the empty graph `alone`: its constant inputs share their data,
 * the others become graph inputs in their order, and those outputs that something
 * reads become graph outputs (an operator need not know how to compute the
 * running statistics of BatchNormalization). */
pare_status pare_lone_node(const pare_node *node, pare_graph *alone, pare_error *error);
bool pare_value_is_read(const pare_value *value);

#endif
