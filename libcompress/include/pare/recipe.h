/* Fresh networks from a recipe: JSON that names a family and its hyperparameters,
 *
 *     { "family": "resnet", "depth": 20, "width": 16, "classes": 10,
 *       "description": "...", "preprocess": { "layout": "NCHW", ... } }
 *
 * `description` becomes the model's doc_string and `preprocess` (CLI.md's record) its metadata `pare.preprocess`; the
 * other fields are the family's. Limits: 1 MiB of text, 2^28 weights. */
#ifndef PARE_RECIPE_H
#define PARE_RECIPE_H

#include "pare/graph.h"

/* Builds and initializes (seeded) the network that `json` describes; `origin` names it in messages. Input "input" with
 * an open batch, output "logits" (classifiers, without Softmax) or "output"; float32, opset 13 or what the operators
 * need up to 17. Dropout is a Dropout node without training_mode: the identity, until a trainer reads its ratio.
 * PARE_BAD_INPUT names an unknown field, a wrong type or a number out of range, and what was expected; PARE_LIMIT where
 * the network has too many weights. The caller frees *graph (NULL after a failure). */
pare_status pare_recipe_build(const char *json, const char *origin, uint64_t seed, pare_graph **graph,
                              pare_error *error);
/* Text for people: `family` (NULL: every family) with its fields, their defaults and ranges, and an example. The caller
 * frees *text with pare_free. PARE_USAGE for a family that there is not. */
pare_status pare_recipe_help(const char *family, char **text, pare_error *error);
/* The name and one-line summary of family `index`; NULL after the last. Static. */
const char *pare_recipe_family(size_t index, const char **summary);

#endif
