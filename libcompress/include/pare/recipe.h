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

typedef struct pare_recipe_report {
    const char *family;  /* static */
    uint64_t parameters; /* that are trained: without the running means and variances of batch normalizations */
    uint64_t macs;       /* of one sample */
} pare_recipe_report;

/* The text of a recipe's file with `count` settings "NAME=VALUE" put in, each in the place of the file's field or as a
 * new one; a VALUE is JSON, and what is no JSON a text ("activation=relu6"). The caller frees *json with pare_free.
 * PARE_USAGE for a malformed or repeated setting, PARE_BAD_INPUT for a file that is no JSON object. */
pare_status pare_recipe_load(const char *path, const char *const *settings, size_t count, char **json,
                             pare_error *error);

/* Builds and initializes (seeded) the network that `json` describes; `origin` names it in messages. Input "input" with
 * an open batch; output "logits" or "probabilities" (classifiers, without and with "softmax") or "output"; float32,
 * opset 13 or what the operators need up to 17. The graph is one to be trained: BatchNormalization nodes, and Dropout
 * nodes without training_mode (the identity, until a trainer reads the ratio). Weights are He-normal (He 2015) before
 * ReLU and its smooth kin, Glorot-uniform (Glorot 2010) before tanh, sigmoid and no activation and in attention, normal
 * with deviation 0.02 in embeddings; biases are 0. The same text and seed give the same graph.
 * PARE_BAD_INPUT names an unknown field, a wrong type or a number out of range, and what was expected; PARE_LIMIT where
 * the network has too many weights. `report` may be NULL. The caller frees *graph (NULL after a failure). */
pare_status pare_recipe_build(const char *json, const char *origin, uint64_t seed, pare_graph **graph,
                              pare_recipe_report *report, pare_error *error);
/* Text for people: `family` (NULL: every family) with its fields, their defaults and ranges, and an example. The caller
 * frees *text with pare_free. PARE_USAGE for a family that there is not. */
pare_status pare_recipe_help(const char *family, char **text, pare_error *error);
/* The name and one-line summary of family `index`; NULL after the last. Static. */
const char *pare_recipe_family(size_t index, const char **summary);

#endif
