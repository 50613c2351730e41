/* Fake quantization where a network is recorded, and the way back of the learned
 * steps into the plan. */
#include <string.h>

#include "ir/graph_internal.h"
#include "quant/apply.h"
#include "train/quant_aware/quant_aware_internal.h"
#include "train/tape/tape_internal.h"
#include "train/tape/tape_record.h"

void pare_quant_aware_use(const pare_quant_aware *plan, pare_tape *tape) {
    tape->quant_aware = plan;
}

/* *list [count], each TAPE_NONE at first. */
static bool make_list(pare_tape *tape, uint32_t **list, size_t count) {
    if (*list == NULL) {
        *list = tape_make(tape, count + 1, sizeof **list);
        if (*list != NULL) {
            memset(*list, 0xFF, (count + 1) * sizeof **list);
        }
    }
    return *list != NULL;
}

/* The step that all activations of a grid read: made by the first of them. */
static uint32_t step_of(pare_tape *tape, const quant_grid *grid) {
    size_t index = (size_t)(grid - tape->quant_aware->grids);
    if (!make_list(tape, &tape->quant_steps, tape->quant_aware->grid_count)) {
        return TAPE_NONE;
    }
    if (tape->quant_steps[index] == TAPE_NONE) {
        pare_shape one = {.rank = 1, .dims = {1}};
        tape->quant_steps[index] = grid->trained ? tape_parameter_like(tape, grid->name, &one, &grid->step, false)
                                                 : tape_constant(tape, &one, &grid->step);
    }
    return tape->quant_steps[index];
}

pare_status quant_aware_activation(pare_tape *tape, const pare_node *node, const pare_value *value, uint32_t *x,
                                   pare_error *error) {
    const quant_grid *grid = tape->quant_aware != NULL ? quant_aware_grid(tape->quant_aware, value->name) : NULL;
    if (grid == NULL || *x == TAPE_NONE) {
        return PARE_OK;
    }
    float steps = (float)((1 << grid->bits) - 1), zero = (float)grid->zero_point;
    fake_quant_attrs attrs = {.low = -zero, .high = steps - zero, .least = grid->least};
    pare_shape shape = tape->tensors[*x].shape;
    uint32_t step = step_of(tape, grid), y = tape_temporary(tape, node, &shape);
    if (step == TAPE_NONE || y == TAPE_NONE) {
        return pare_fail_memory(error, sizeof(tape_tensor));
    }
    uint32_t from = *x;
    *x = y;
    return tape_fake_quant(tape, node, &attrs, from, step, y, error);
}

/* The BatchNormalization that export folds into the layer, or NULL. */
static const pare_node *norm_behind(const pare_tape *tape, const pare_node *layer) {
    const pare_value *y = layer->outputs[0];
    const pare_node *user = y->is_output ? NULL : pare_graph_only_user(tape->graph, y);
    return user != NULL && strcmp(user->op->name, "BatchNormalization") == 0 ? user : NULL;
}

/* Rounds *bias, which is added to what the layer computes; the rest of `in` is filled in. */
static pare_status round_bias(pare_tape *tape, const pare_node *node, const pare_node *layer,
                              fake_quant_bias_inputs *in, double epsilon, uint32_t *bias, pare_error *error) {
    const pare_quant_aware *plan = tape->quant_aware;
    const quant_layer *weights = quant_aware_layer(plan, layer->name);
    const quant_grid *x = quant_aware_grid(plan, layer->inputs[0]->name);
    pare_shape shape = tape->tensors[*bias].shape;
    bool vector = shape.rank == 1 && weights != NULL && shape.dims[0] == (int64_t)weights->channels;
    if (x == NULL || !vector || tape->quant_weight_steps == NULL) {
        return PARE_OK;
    }
    fake_quant_bias_attrs attrs = {.epsilon = epsilon, .least_x = x->least, .least_w = weights->least};
    in->bias = *bias;
    in->x_step = step_of(tape, x);
    in->w_steps = tape->quant_weight_steps[weights - plan->layers];
    uint32_t y = tape_temporary(tape, node, &shape);
    if (in->x_step == TAPE_NONE || in->w_steps == TAPE_NONE || y == TAPE_NONE) {
        return pare_fail_memory(error, sizeof(tape_tensor));
    }
    *bias = y;
    return tape_fake_quant_bias(tape, node, &attrs, in, y, error);
}

pare_status quant_aware_norm_bias(pare_tape *tape, const pare_node *node, uint32_t scale, uint32_t mean,
                                  uint32_t variance, float epsilon, uint32_t *bias, pare_error *error) {
    const pare_node *layer = node->inputs[0]->producer;
    if (tape->quant_aware == NULL || layer == NULL || *bias == TAPE_NONE || norm_behind(tape, layer) != node ||
        quant_aware_layer(tape->quant_aware, layer->name) == NULL) {
        return PARE_OK;
    }
    const pare_value *own = vector_bias(layer, quant_aware_layer(tape->quant_aware, layer->name)->channels);
    fake_quant_bias_inputs in = {.scale = scale,
                                 .mean = mean,
                                 .variance = variance,
                                 .own_bias = own != NULL ? tape_find(tape, own) : TAPE_NONE};
    return round_bias(tape, node, layer, &in, (double)epsilon, bias, error);
}

static pare_status own_bias(pare_tape *tape, const pare_node *node, uint32_t *bias, pare_error *error) {
    fake_quant_bias_inputs in = {.scale = TAPE_NONE, .mean = TAPE_NONE, .variance = TAPE_NONE, .own_bias = TAPE_NONE};
    return norm_behind(tape, node) != NULL ? PARE_OK : round_bias(tape, node, node, &in, 0.0, bias, error);
}

pare_status quant_aware_weight(pare_tape *tape, const pare_node *node, size_t index, bool frozen, uint32_t *w,
                               pare_error *error) {
    const quant_layer *layer = tape->quant_aware != NULL ? quant_aware_layer(tape->quant_aware, node->name) : NULL;
    if (layer != NULL && *w != TAPE_NONE && (int)index == node->op->bias_input) {
        return own_bias(tape, node, w, error);
    }
    if (layer == NULL || *w == TAPE_NONE || (int)index != node->op->weight_input) {
        return PARE_OK;
    }
    pare_shape shape = tape->tensors[*w].shape, row = {.rank = 1, .dims = {(int64_t)layer->channels}};
    fake_quant_weight_attrs attrs = {.view = weight_view_of(&shape, node->op->weight_channel_axis),
                                     .bits = layer->bits,
                                     .rule = tape->quant_aware->pairs,
                                     .least = layer->least};
    uint32_t steps = frozen ? tape_constant(tape, &row, layer->steps)
                            : tape_parameter_like(tape, layer->name, &row, layer->steps, false);
    uint32_t from = *w, y = tape_temporary(tape, node, &shape);
    if (steps == TAPE_NONE || y == TAPE_NONE ||
        !make_list(tape, &tape->quant_weight_steps, tape->quant_aware->layer_count)) {
        return pare_fail_memory(error, sizeof(tape_tensor));
    }
    tape->quant_weight_steps[layer - tape->quant_aware->layers] = steps;
    *w = y;
    return tape_fake_quant_weights(tape, node, &attrs, from, steps, y, error);
}

/* --- and back ------------------------------------------------------------------------ */

static const float *learned(const pare_tape *tape, const float *values, const char *name, size_t count) {
    for (uint32_t i = 0; i < tape->parameter_count; i++) {
        const tape_parameter *parameter = &tape->parameters[i];
        if (parameter->count == count && strcmp(parameter->name, name) == 0) {
            return values + parameter->offset;
        }
    }
    return NULL;
}

void pare_quant_aware_load(pare_quant_aware *plan, const pare_tape *tape, const float *values) {
    for (size_t i = 0; i < plan->grid_count; i++) {
        const float *step = learned(tape, values, plan->grids[i].name, 1);
        if (step != NULL) {
            plan->grids[i].step = *step;
        }
    }
    for (size_t i = 0; i < plan->layer_count; i++) {
        const quant_layer *layer = &plan->layers[i];
        const float *steps = learned(tape, values, layer->name, layer->channels);
        if (steps != NULL) {
            memcpy(layer->steps, steps, layer->channels * sizeof *steps);
        }
    }
}
