/* Type and quantization rules of nodes. Private to the container library. */
#ifndef PARE_VERIFY_TYPES_H
#define PARE_VERIFY_TYPES_H

#include "pare/model.h"

/* One node, whose indices, attributes and shapes have been checked. */
pare_status pare_verify_types(const pare_model *model, const pare_model_node *node, pare_error *error);

#endif
