#include "onnx_graft.h"

#include <stdio.h>
#include <string.h>

#include "pare/onnx.h"

enum { MOST_NODES = 6, MOST_ITEMS = 4096, MEMORY = 8 << 20 };

/* Both models live here until the next call. */
static char memory[MEMORY];
static size_t used;

static void *take(void *data, size_t size) {
    (void)data;
    size_t rounded = (size + 15) & ~(size_t)15;
    if (size > MEMORY || rounded > MEMORY - used) {
        return NULL;
    }
    used += rounded;
    return memory + used - rounded;
}

static void give(void *data, void *block) {
    (void)data;
    (void)block;
}

static ProtobufCAllocator allocator = {take, give, NULL};

typedef struct graft {
    Onnx__GraphProto *mine, *theirs;
    unsigned mark; /* of the new names */
    uint64_t (*random)(void);
} graft;

static size_t below(const graft *g, size_t bound) {
    return (size_t)(g->random() >> 11) % bound;
}

static char *new_name(const graft *g, const char *old) {
    char text[80];
    snprintf(text, sizeof text, "%.40s_%u", old, g->mark);
    char *name = take(NULL, strlen(text) + 1);
    if (name != NULL) {
        memcpy(name, text, strlen(text) + 1);
    }
    return name;
}

static bool append(void ***list, size_t *count, void *item) {
    void **grown = *count < MOST_ITEMS && item != NULL ? take(NULL, (*count + 1) * sizeof *grown) : NULL;
    if (grown == NULL) {
        return false;
    }
    if (*count != 0) {
        memcpy(grown, *list, *count * sizeof *grown);
    }
    grown[(*count)++] = item;
    *list = grown;
    return true;
}

/* A result of the first model, most often its last, or one of its inputs. */
static char *my_value(const graft *g) {
    const Onnx__GraphProto *mine = g->mine;
    if (mine->n_output != 0 && below(g, 4) != 0) {
        return mine->output[below(g, mine->n_output)]->name;
    }
    if (mine->n_node != 0 && below(g, 2) == 0) {
        const Onnx__NodeProto *node = mine->node[below(g, mine->n_node)];
        return node->n_output != 0 ? node->output[below(g, node->n_output)] : NULL;
    }
    return mine->n_input != 0 ? mine->input[below(g, mine->n_input)]->name : NULL;
}

static bool produces(const Onnx__NodeProto *node, const char *name) {
    for (size_t i = 0; i < node->n_output; i++) {
        if (strcmp(node->output[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* What stands for the second model's value `name`, of a node before `index`. */
static char *translate(graft *g, char *name, size_t index) {
    if (name[0] == '\0') {
        return name;
    }
    for (size_t i = 0; i < index; i++) {
        if (produces(g->theirs->node[i], name)) {
            return new_name(g, name);
        }
    }
    for (size_t i = 0; i < g->theirs->n_initializer; i++) {
        Onnx__TensorProto *tensor = g->theirs->initializer[i];
        if (tensor->name == NULL || strcmp(tensor->name, name) != 0) {
            continue;
        }
        Onnx__TensorProto *copy = take(NULL, sizeof *copy);
        if (copy == NULL) {
            return NULL;
        }
        *copy = *tensor;
        copy->name = new_name(g, name);
        for (size_t k = 0; copy->name != NULL && k < g->mine->n_initializer; k++) {
            if (g->mine->initializer[k]->name != NULL && strcmp(g->mine->initializer[k]->name, copy->name) == 0) {
                return copy->name;
            }
        }
        return append((void ***)&g->mine->initializer, &g->mine->n_initializer, copy) ? copy->name : NULL;
    }
    return my_value(g);
}

static bool graft_node(graft *g, size_t index) {
    Onnx__NodeProto *node = take(NULL, sizeof *node), *from = g->theirs->node[index];
    if (node == NULL) {
        return false;
    }
    *node = *from;
    node->input = take(NULL, (node->n_input + 1) * sizeof *node->input);
    node->output = take(NULL, (node->n_output + 1) * sizeof *node->output);
    if (node->input == NULL || node->output == NULL) {
        return false;
    }
    for (size_t i = 0; i < node->n_input; i++) {
        node->input[i] = translate(g, from->input[i], index);
        if (node->input[i] == NULL) {
            return false;
        }
    }
    for (size_t i = 0; i < node->n_output; i++) {
        node->output[i] = from->output[i][0] == '\0' ? from->output[i] : new_name(g, from->output[i]);
        if (node->output[i] == NULL) {
            return false;
        }
    }
    return append((void ***)&g->mine->node, &g->mine->n_node, node);
}

/* The first model's result becomes the last node's, or both are results. */
static bool move_output(graft *g) {
    const Onnx__NodeProto *last = g->mine->node[g->mine->n_node - 1];
    if (last->n_output == 0 || g->mine->n_output == 0) {
        return false;
    }
    Onnx__ValueInfoProto *result = take(NULL, sizeof *result);
    if (result == NULL) {
        return false;
    }
    *result = *g->mine->output[0];
    result->name = last->output[below(g, last->n_output)];
    if (below(g, 4) == 0) {
        return append((void ***)&g->mine->output, &g->mine->n_output, result);
    }
    g->mine->output[below(g, g->mine->n_output)] = result;
    return true;
}

size_t onnx_graft(const uint8_t *data1, size_t size1, const uint8_t *data2, size_t size2, uint8_t *out, size_t max_size,
                  uint64_t (*random)(void)) {
    used = 0;
    Onnx__ModelProto *mine = onnx__model_proto__unpack(&allocator, size1, data1);
    Onnx__ModelProto *theirs = onnx__model_proto__unpack(&allocator, size2, data2);
    if (mine == NULL || theirs == NULL || mine->graph == NULL || theirs->graph == NULL || theirs->graph->n_node == 0) {
        return 0;
    }
    graft g = {mine->graph, theirs->graph, (unsigned)(random() >> 40), random};
    size_t count = theirs->graph->n_node < MOST_NODES ? theirs->graph->n_node : MOST_NODES;
    for (size_t i = 0; i < count; i++) {
        if (!graft_node(&g, i)) {
            return 0;
        }
    }
    if (!move_output(&g) || onnx__model_proto__get_packed_size(mine) > max_size) {
        return 0;
    }
    return onnx__model_proto__pack(mine, out);
}
