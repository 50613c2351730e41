/* Fusion on the clone that is lowered: an element function, and the sum with a
 * residual, move into the node before them as attributes `pare_*` (see
 * pare_conv_attrs). A value that is a graph output or has other readers stays.
 *
 * Where values carry quantization the result must stay exactly what the
 * unfused graph means: an activation moves only where the value between has no
 * grid of its own or the same one, and it clamps; a residual sum keeps the
 * convolution's grid as pare_inner_scale and pare_inner_zero. */
#include <string.h>

#include "ir/graph_internal.h"
#include "pare/lower.h"
#include "pare/op.h"
#include "pare/passes.h"

typedef struct attr_names {
    const char *function, *alpha, *beta;
} attr_names;

static const attr_names outer = {"pare_activation", "pare_alpha", "pare_beta"};
static const attr_names inner = {"pare_inner_activation", "pare_inner_alpha", "pare_inner_beta"};

static pare_activation get_function(const pare_node *node, const attr_names *names) {
    return (pare_activation){(int32_t)pare_node_int(node, names->function, PARE_FN_IDENTITY),
                             pare_node_float(node, names->alpha, 0.0F), pare_node_float(node, names->beta, 0.0F)};
}

static bool set_function(pare_graph *graph, pare_node *node, const attr_names *names, pare_activation function) {
    return pare_node_set_int(graph, node, names->function, function.function) &&
           pare_node_set_float(graph, node, names->alpha, function.alpha) &&
           pare_node_set_float(graph, node, names->beta, function.beta);
}

static bool same_grid(const pare_quant *a, const pare_quant *b) {
    return a->dtype == b->dtype && a->count == 1 && b->count == 1 && a->scales[0] == b->scales[0] &&
           a->zero_points[0] == b->zero_points[0];
}

static bool clamps(pare_activation function) {
    return function.function == PARE_FN_IDENTITY || function.function == PARE_FN_RELU ||
           function.function == PARE_FN_CLIP;
}

/* `node` produces the only output of `last` instead of its own; `last` goes. */
static void take_over(pare_graph *graph, pare_node *node, pare_node *last) {
    pare_value *old = node->outputs[0], *result = last->outputs[0];
    pare_graph_remove_node(graph, last);
    old->producer = NULL;
    node->outputs[0] = result;
    result->producer = node;
}

/* --- activations ------------------------------------------------------------ */

/* x × sigmoid(x), where nothing else reads x: the Mul. */
static pare_node *silu_product(const pare_graph *graph, const pare_value *x, pare_node **sigmoid) {
    if (x->is_output || x->use_count != 2) {
        return NULL;
    }
    for (pare_node *node = x->producer->next; node != NULL; node = node->next) {
        pare_activation function;
        if (node->op->function == NULL || node->inputs[0] != x || !node->op->function(node, &function) ||
            function.function != PARE_FN_SIGMOID) {
            continue;
        }
        pare_node *product = pare_graph_only_user(graph, node->outputs[0]);
        const pare_value *gate = node->outputs[0];
        if (product != NULL && (product->op->flags & PARE_OP_PRODUCT) != 0 &&
            ((product->inputs[0] == x && product->inputs[1] == gate) ||
             (product->inputs[1] == x && product->inputs[0] == gate))) {
            *sigmoid = node;
            return product;
        }
        return NULL;
    }
    return NULL;
}

static bool fuse_silu(pare_graph *graph, pare_node *node) {
    pare_node *sigmoid = NULL;
    pare_node *product = silu_product(graph, node->outputs[0], &sigmoid);
    if (product == NULL || node->outputs[0]->quant != NULL || sigmoid->outputs[0]->quant != NULL) {
        return true;
    }
    if (!set_function(graph, node, &outer, (pare_activation){PARE_FN_SILU, 0.0F, 0.0F})) {
        return false;
    }
    pare_graph_move_node(graph, node, product);
    take_over(graph, node, product);
    pare_graph_remove_node(graph, sigmoid);
    return true;
}

/* False when out of memory. */
static bool fuse_activation(pare_graph *graph, pare_node *node) {
    if ((node->op->flags & PARE_OP_ACTIVATES) == 0 || node->output_count < 1 || node->outputs[0] == NULL ||
        node->outputs[0]->dtype != PARE_F32 || get_function(node, &outer).function != PARE_FN_IDENTITY) {
        return true;
    }
    const pare_value *between = node->outputs[0];
    pare_node *user = pare_graph_only_user(graph, between);
    pare_activation function;
    if (user == NULL) {
        return fuse_silu(graph, node);
    }
    if (user->op->function == NULL || user->inputs[0] != between || user->output_count != 1 ||
        user->outputs[0] == NULL || !user->op->function(user, &function)) {
        return true;
    }
    const pare_value *result = user->outputs[0];
    if (between->quant != NULL &&
        (result->quant == NULL || !same_grid(between->quant, result->quant) || !clamps(function))) {
        return true;
    }
    if (between->quant == NULL && result->quant != NULL && !clamps(function)) {
        return true; /* an integer node could not apply it, and would run in float */
    }
    if (!set_function(graph, node, &outer, function)) {
        return false;
    }
    take_over(graph, node, user);
    return true;
}

/* --- residuals --------------------------------------------------------------- */

static bool all_or_none_quantized(const pare_value *a, const pare_value *b, const pare_value *c) {
    return (a->quant != NULL) == (b->quant != NULL) && (b->quant != NULL) == (c->quant != NULL);
}

/* The sum that `node`'s output goes into, where the other operand can become its residual. */
static pare_node *residual_sum(const pare_graph *graph, const pare_node *node, pare_value **residual) {
    if ((node->op->flags & PARE_OP_RESIDUAL) == 0 || node->output_count != 1 || node->outputs[0] == NULL ||
        node->outputs[0]->dtype != PARE_F32 || node->input_count > 3) {
        return NULL;
    }
    const pare_value *y = node->outputs[0];
    pare_node *sum = pare_graph_only_user(graph, y);
    if (sum == NULL || (sum->op->flags & PARE_OP_SUM) == 0 || sum->outputs[0] == NULL ||
        sum->inputs[0] == sum->inputs[1]) {
        return NULL;
    }
    pare_value *other = sum->inputs[0] == y ? sum->inputs[1] : sum->inputs[0];
    if (other->data != NULL || !pare_shape_equal(&other->shape, &y->shape) ||
        !all_or_none_quantized(y, other, sum->outputs[0])) {
        return NULL;
    }
    if (y->quant != NULL && !(pare_node_is_integer(node) && pare_node_is_integer(sum))) {
        return NULL;
    }
    *residual = other;
    return sum;
}

/* Where both operands could take the other as residual, the one that runs later
 * does: the earlier one's result is then just one of its inputs. */
static bool runs_later_candidate(const pare_graph *graph, const pare_node *node, const pare_value *residual) {
    const pare_node *producer = residual->producer;
    pare_value *unused = NULL;
    if (producer == NULL || residual_sum(graph, producer, &unused) == NULL) {
        return false;
    }
    for (const pare_node *next = node->next; next != NULL; next = next->next) {
        if (next == producer) {
            return true;
        }
    }
    return false;
}

static bool fuse_residual(pare_graph *graph, pare_node *node) {
    pare_value *residual = NULL;
    pare_node *sum = residual_sum(graph, node, &residual);
    if (sum == NULL || runs_later_candidate(graph, node, residual)) {
        return true;
    }
    const pare_quant *grid = node->outputs[0]->quant;
    bool ok = pare_graph_grow_inputs(graph, node, 4) && set_function(graph, node, &inner, get_function(node, &outer)) &&
              set_function(graph, node, &outer, get_function(sum, &outer));
    if (ok && grid != NULL) {
        ok = pare_node_set_float(graph, node, "pare_inner_scale", grid->scales[0]) &&
             pare_node_set_int(graph, node, "pare_inner_zero", grid->zero_points[0]);
    }
    if (!ok) {
        return false;
    }
    pare_graph_set_input(graph, node, 3, residual);
    pare_graph_move_node(graph, node, sum);
    take_over(graph, node, sum);
    return true;
}

/* Visits each node once, also where a step moves it behind others or removes those after it. */
static pare_status for_each_node(pare_graph *graph, bool (*step)(pare_graph *, pare_node *), pare_error *error) {
    pare_node *node = graph->first;
    while (node != NULL) {
        pare_node *before = node->previous;
        if (!step(graph, node)) {
            return pare_graph_fail_memory(graph, error);
        }
        pare_node *here = before != NULL ? before->next : graph->first;
        node = here == node ? node->next : here;
    }
    return PARE_OK;
}

pare_status pare_fuse(pare_graph *graph, pare_error *error) {
    PARE_TRY(for_each_node(graph, fuse_activation, error));
    return for_each_node(graph, fuse_residual, error);
}
