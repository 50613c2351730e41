/* Fewer blocks: of each run of repeated blocks the last ones go. Blocks are residual, or,
 * in a network in which no such ones repeat, plain.
 *
 * A residual block lies between a value, its entry, and an Add that merges the entry
 * back; an activation that alone reads the sum belongs to it. Its exit has the entry's
 * shape, so that readers of the exit can read the entry. Blocks whose entry is the exit
 * of the one before form a chain, in which a run is a pattern of one to four blocks
 * (attention and feed-forward, say) that repeats. A plain block is a layer with what
 * follows it up to the next one, of whose values nobody else reads any: a depthwise
 * convolution with its BatchNormalization and activation, say, of which a pattern with a
 * pointwise one repeats. */
#include <math.h>
#include <string.h>

#include "student/student_internal.h"

enum { MOST_NODES = 256, MOST_PENDING = 256, LONGEST_PATTERN = 4, CHAIN_WINDOW = 64 };

typedef struct layer_block {
    pare_value *entry, *exit;
    pare_node **nodes; /* in the graph's order, the Add and its activation last */
    size_t count;
    size_t next; /* the block that begins at the exit; SIZE_MAX: none */
    bool follows;
} layer_block;

typedef struct block_list {
    layer_block *items;
    size_t count;
} block_list;

/* Nodes of a branch, from the Add backwards. */
typedef struct branch_walk {
    const pare_value *entry;
    pare_node *nodes[MOST_NODES];
    size_t count;
    const pare_value *pending[MOST_PENDING];
    size_t pending_count;
    bool reached; /* the entry */
} branch_walk;

/* False where the branch reads what does not come from the entry. */
static bool need_value(branch_walk *walk, const pare_value *value) {
    if (value == NULL || value->data != NULL) {
        return true;
    }
    if (value == walk->entry) {
        walk->reached = true;
        return true;
    }
    for (size_t i = 0; i < walk->pending_count; i++) {
        if (walk->pending[i] == value) {
            return true;
        }
    }
    if (value->producer == NULL || walk->pending_count == MOST_PENDING) {
        return false;
    }
    walk->pending[walk->pending_count++] = value;
    return true;
}

static bool settle_outputs(branch_walk *walk, const pare_node *node) {
    size_t left = 0;
    for (size_t i = 0; i < walk->pending_count; i++) {
        if (walk->pending[i]->producer != node) {
            walk->pending[left++] = walk->pending[i];
        }
    }
    bool some = left != walk->pending_count;
    walk->pending_count = left;
    return some;
}

/* The nodes between the entry and `end` exclusively; false where there is no such branch. */
static bool walk_branch(branch_walk *walk, const pare_node *end, const pare_value *branch) {
    if (!need_value(walk, branch)) {
        return false;
    }
    pare_node *node = end->previous;
    for (size_t steps = 0; walk->pending_count > 0 && node != NULL && steps < MOST_NODES; steps++) {
        if (settle_outputs(walk, node)) {
            walk->nodes[walk->count++] = node;
            for (size_t i = 0; i < node->input_count; i++) {
                if (!need_value(walk, node->inputs[i])) {
                    return false;
                }
            }
        }
        node = node->previous;
    }
    return walk->pending_count == 0 && walk->reached && walk->count > 0;
}

static size_t position(pare_node *const *nodes, size_t count, const pare_node *node) {
    size_t i = 0;
    while (i < count && nodes[i] != node) {
        i++;
    }
    return i;
}

/* True when nobody outside the block reads what is within it. */
static bool is_closed(const layer_block *block) {
    size_t uses[MOST_NODES + 2] = {0};
    for (size_t i = 0; i < block->count; i++) {
        const pare_node *node = block->nodes[i];
        for (size_t k = 0; k < node->input_count; k++) {
            const pare_node *producer = node->inputs[k] != NULL ? node->inputs[k]->producer : NULL;
            size_t at = producer != NULL ? position(block->nodes, block->count, producer) : block->count;
            if (at < block->count) {
                uses[at]++;
            }
        }
    }
    for (size_t i = 0; i < block->count; i++) {
        const pare_node *node = block->nodes[i];
        size_t wanted = 0;
        for (size_t k = 0; k < node->output_count; k++) {
            const pare_value *value = node->outputs[k];
            wanted += value != NULL && value != block->exit ? value->use_count : 0;
        }
        if (wanted != uses[i]) {
            return false;
        }
    }
    return true;
}

static bool same_type(const pare_value *a, const pare_value *b) {
    return a->dtype == b->dtype && a->has_shape && b->has_shape && pare_shape_equal(&a->shape, &b->shape);
}

/* The block that ends in `sum` with the entry at input `side`; count 0 where there is none. */
static pare_status find_block(pare_graph *graph, pare_node *sum, size_t side, layer_block *block, pare_error *error) {
    branch_walk walk = {.entry = sum->inputs[side]};
    pare_value *exit = sum->outputs[0];
    *block = (layer_block){.next = SIZE_MAX};
    if (exit == NULL || walk.entry->data != NULL || sum->inputs[1 - side]->data != NULL ||
        !walk_branch(&walk, sum, sum->inputs[1 - side])) {
        return PARE_OK;
    }
    pare_node *user = pare_graph_only_user(graph, exit);
    bool activated = user != NULL && user->op->function != NULL && user->outputs[0] != NULL;
    exit = activated ? user->outputs[0] : exit;
    if (exit->is_output || !same_type(walk.entry, exit)) {
        return PARE_OK;
    }
    size_t count = walk.count + 1 + activated;
    pare_node **nodes = pare_arena_alloc(&graph->arena, count, sizeof(pare_node *));
    if (nodes == NULL) {
        return pare_fail_memory(error, count * sizeof(pare_node *));
    }
    for (size_t i = 0; i < walk.count; i++) {
        nodes[i] = walk.nodes[walk.count - 1 - i];
    }
    nodes[walk.count] = sum;
    nodes[count - 1] = activated ? user : sum;
    layer_block found = {sum->inputs[side], exit, nodes, count, SIZE_MAX, false};
    if (is_closed(&found)) {
        *block = found;
    }
    return PARE_OK;
}

/* Blocks whose entry is another's exit come behind it. */
static void link_chains(block_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        layer_block *block = &list->items[i];
        for (size_t k = i + 1; block->next == SIZE_MAX && k < list->count && k <= i + CHAIN_WINDOW; k++) {
            if (list->items[k].entry == block->exit && !list->items[k].follows) {
                block->next = k;
                list->items[k].follows = true;
            }
        }
    }
}

static bool is_sum(const pare_node *node) {
    return (node->op->flags & PARE_OP_SUM) != 0 && node->input_count == 2;
}

static pare_status find_residual(pare_graph *graph, pare_node *node, layer_block *block, pare_error *error) {
    *block = (layer_block){.next = SIZE_MAX};
    for (size_t side = 0; is_sum(node) && side < 2 && block->count == 0; side++) {
        PARE_TRY(find_block(graph, node, side, block, error));
    }
    return PARE_OK;
}

/* The only input that is no constant, or NULL. */
static pare_value *only_operand(const pare_node *node) {
    pare_value *operand = NULL;
    for (size_t i = 0; i < node->input_count; i++) {
        pare_value *value = node->inputs[i];
        if (value != NULL && value->data == NULL) {
            if (operand != NULL) {
                return NULL;
            }
            operand = value;
        }
    }
    return operand;
}

/* The block that begins with the layer `node`; count 0 where there is none. */
static pare_status find_plain(pare_graph *graph, pare_node *node, layer_block *block, pare_error *error) {
    pare_node *chain[MOST_NODES];
    size_t count = 0;
    pare_value *entry = pare_node_weights(node) != NULL ? only_operand(node) : NULL, *exit = NULL;
    *block = (layer_block){.next = SIZE_MAX};
    while (entry != NULL && node != NULL && count < MOST_NODES && (count == 0 || pare_node_weights(node) == NULL) &&
           only_operand(node) == (count == 0 ? entry : exit) && node->output_count == 1 &&
           same_type(entry, node->outputs[0]) && !node->outputs[0]->is_output) {
        chain[count++] = node;
        exit = node->outputs[0];
        node = pare_graph_only_user(graph, exit);
    }
    if (count == 0) {
        return PARE_OK;
    }
    pare_node **nodes = pare_arena_alloc(&graph->arena, count, sizeof(pare_node *));
    if (nodes == NULL) {
        return pare_fail_memory(error, count * sizeof(pare_node *));
    }
    memcpy(nodes, chain, count * sizeof(pare_node *));
    *block = (layer_block){entry, exit, nodes, count, SIZE_MAX, false};
    return PARE_OK;
}

typedef pare_status (*block_finder)(pare_graph *graph, pare_node *node, layer_block *block, pare_error *error);

static pare_status find_blocks(pare_graph *graph, block_finder find, block_list *list, pare_error *error) {
    list->count = 0;
    list->items = pare_alloc_zero(graph->node_count + 1, sizeof *list->items);
    if (list->items == NULL) {
        return pare_fail_memory(error, graph->node_count * sizeof *list->items);
    }
    for (pare_node *node = graph->first; node != NULL; node = node->next) {
        layer_block *block = &list->items[list->count];
        PARE_TRY(find(graph, node, block, error));
        list->count += block->count > 0;
    }
    link_chains(list);
    return PARE_OK;
}

/* --- equal structure ------------------------------------------------------------ */

static bool same_attr(const pare_attr *a, const pare_attr *b) {
    if (b == NULL || a->kind != b->kind || a->count != b->count) {
        return false;
    }
    switch (a->kind) {
    case PARE_ATTR_INT:
        return a->i == b->i;
    case PARE_ATTR_FLOAT:
        return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case PARE_ATTR_STRING:
        return strcmp(a->s, b->s) == 0;
    case PARE_ATTR_INTS:
        return a->count == 0 || memcmp(a->ints, b->ints, a->count * sizeof *a->ints) == 0;
    case PARE_ATTR_FLOATS:
        return a->count == 0 || memcmp(a->floats, b->floats, a->count * sizeof *a->floats) == 0;
    case PARE_ATTR_TENSOR:
        return same_type(a->tensor, b->tensor);
    }
    return false;
}

static bool same_attrs(const pare_node *a, const pare_node *b) {
    size_t balance = 0, other = 0;
    for (const pare_attr *attr = a->attrs; attr != NULL; attr = attr->next) {
        if (!same_attr(attr, pare_node_attr(b, attr->name))) {
            return false;
        }
        balance++;
    }
    for (const pare_attr *attr = b->attrs; attr != NULL; attr = attr->next) {
        other++;
    }
    return balance == other;
}

static bool same_operand(const layer_block *a, const pare_value *x, const layer_block *b, const pare_value *y) {
    if (x == NULL || y == NULL) {
        return x == y;
    }
    if (!same_type(x, y) || (x->data == NULL) != (y->data == NULL) || (x == a->entry) != (y == b->entry)) {
        return false;
    }
    return x->data != NULL || x == a->entry ||
           position(a->nodes, a->count, x->producer) == position(b->nodes, b->count, y->producer);
}

static bool same_node(const layer_block *a, const pare_node *x, const layer_block *b, const pare_node *y) {
    if (x->op != y->op || x->input_count != y->input_count || x->output_count != y->output_count || !same_attrs(x, y)) {
        return false;
    }
    for (size_t i = 0; i < x->input_count; i++) {
        if (!same_operand(a, x->inputs[i], b, y->inputs[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < x->output_count; i++) {
        const pare_value *left = x->outputs[i], *right = y->outputs[i];
        if ((left == NULL) != (right == NULL) || (left != NULL && !same_type(left, right))) {
            return false;
        }
    }
    return true;
}

static bool same_structure(const layer_block *a, const layer_block *b) {
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = same_node(a, a->nodes[i], b, b->nodes[i]);
    }
    return same;
}

/* --- runs -------------------------------------------------------------------------- */

static size_t after(const block_list *list, size_t block, size_t steps) {
    for (; block != SIZE_MAX && steps > 0; steps--) {
        block = list->items[block].next;
    }
    return block;
}

/* How often the `length` blocks from `first` on come one behind the other. */
static size_t repeats_of(const block_list *list, size_t first, size_t length) {
    size_t repeats = 1, model = first, block = after(list, first, length), matched = 0;
    while (block != SIZE_MAX && same_structure(&list->items[model], &list->items[block])) {
        model = list->items[model].next;
        block = list->items[block].next;
        matched++;
        repeats += matched % length == 0;
    }
    return repeats;
}

/* Drops the end of the run that begins at `first`; returns the blocks in it, 1 where nothing repeats. */
static size_t shorten_run(pare_graph *graph, const block_list *list, size_t first, double depth, size_t *found,
                          size_t *kept) {
    size_t length = 1, repeats = 1;
    for (size_t l = 1; l <= LONGEST_PATTERN && after(list, first, l) != SIZE_MAX; l++) {
        size_t r = repeats_of(list, first, l);
        if (r > 1 && (repeats == 1 || r * l > repeats * length)) {
            length = l;
            repeats = r;
        }
    }
    if (repeats == 1) {
        return 1;
    }
    double wanted = ceil(depth * (double)repeats - 1e-9); /* 0.1 * 10 is 1 */
    size_t stay = wanted < 1 ? 1 : (size_t)wanted;
    *found += repeats * length;
    *kept += stay * length;
    if (stay < repeats) {
        const layer_block *last = &list->items[after(list, first, repeats * length - 1)];
        const layer_block *last_kept = &list->items[after(list, first, stay * length - 1)];
        pare_graph_replace_uses(graph, last->exit, last_kept->exit);
    }
    return repeats * length;
}

static pare_status drop_blocks(pare_graph *graph, block_finder find, double depth, size_t *found, size_t *kept,
                               pare_error *error) {
    block_list list = {NULL, 0};
    pare_status status = find_blocks(graph, find, &list, error);
    for (size_t i = 0; status == PARE_OK && i < list.count; i++) {
        size_t block = list.items[i].follows ? SIZE_MAX : i; /* a chain begins */
        while (block != SIZE_MAX) {
            block = after(&list, block, shorten_run(graph, &list, block, depth, found, kept));
        }
    }
    pare_free(list.items);
    return status;
}

pare_status student_drop_blocks(pare_graph *graph, double depth, size_t *found, size_t *kept, pare_error *error) {
    *found = *kept = 0;
    PARE_TRY(drop_blocks(graph, find_residual, depth, found, kept, error));
    if (*found == 0) {
        PARE_TRY(drop_blocks(graph, find_plain, depth, found, kept, error));
    }
    return *found == 0 && depth < 1
               ? pare_fail(error, PARE_UNSUPPORTED,
                           "expected blocks of equal structure one behind the other, of which to drop some, found none")
               : PARE_OK;
}
