/* Fake quantization where a network is recorded, and the way back of the learned
 * steps into the plan. */
#include <string.h>

#include "train/quant_aware/quant_aware_internal.h"
#include "train/tape/tape_internal.h"
#include "train/tape/tape_record.h"

void pare_quant_aware_use(const pare_quant_aware *plan, pare_tape *tape) {
    tape->quant_aware = plan;
}

/* The step that all activations of a grid read: made by the first of them. */
static uint32_t step_of(pare_tape *tape, const quant_grid *grid) {
    size_t index = (size_t)(grid - tape->quant_aware->grids);
    if (tape->quant_steps == NULL) {
        tape->quant_steps = tape_make(tape, tape->quant_aware->grid_count, sizeof *tape->quant_steps);
        if (tape->quant_steps == NULL) {
            return TAPE_NONE;
        }
        memset(tape->quant_steps, 0xFF, tape->quant_aware->grid_count * sizeof *tape->quant_steps);
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

pare_status quant_aware_weight(pare_tape *tape, const pare_node *node, size_t index, bool frozen, uint32_t *w,
                               pare_error *error) {
    const quant_layer *layer = tape->quant_aware != NULL ? quant_aware_layer(tape->quant_aware, node->name) : NULL;
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
    if (steps == TAPE_NONE || y == TAPE_NONE) {
        return pare_fail_memory(error, sizeof(tape_tensor));
    }
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
