/* Fresh networks from a recipe: JSON that names a family and its hyperparameters. */
#ifndef PARE_RECIPE_H
#define PARE_RECIPE_H

#include "pare/graph.h"

/* Builds and initializes (seeded) the network that `json` describes; `origin` names it in messages. PARE_BAD_INPUT
 * names an unknown field, a wrong type or a number out of range, and what was expected. The caller frees *graph. */
pare_status pare_recipe_build(const char *json, const char *origin, uint64_t seed, pare_graph **graph,
                              pare_error *error);
/* The families, each with its fields, defaults and ranges, as text for --help. Static. */
const char *pare_recipe_help(void);

#endif
