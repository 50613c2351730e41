/* The analysis: an atom for each index, then each operator's word on its own operands. */
#include <stdlib.h>

#include "channels/channels_internal.h"

static int by_address(const void *a, const void *b) {
    uintptr_t left = (uintptr_t)((const channel_address *)a)->value;
    uintptr_t right = (uintptr_t)((const channel_address *)b)->value;
    return (left > right) - (left < right);
}

static pare_status number_atoms(pare_channels *channels, pare_error *error) {
    const pare_graph *graph = channels->graph;
    uint32_t next = 0;
    for (size_t i = 0; i < graph->value_count; i++) {
        const pare_value *value = graph->values[i];
        channel_value *at = &channels->values[i];
        if (value->quant != NULL) {
            return pare_fail(error, PARE_UNSUPPORTED,
                             "expected a network of floats, found quantization of value \"%s\"", value->name);
        }
        *at = (channel_value){.value = value};
        at->shape = value->has_shape ? value->shape : at->shape;
        for (int32_t a = 0; a < at->shape.rank; a++) {
            int64_t extent = at->shape.dims[a];
            at->first[a] = extent >= 0 && extent <= CHANNELS_LONGEST_AXIS ? next : NO_ATOM;
            next += at->first[a] != NO_ATOM ? (uint32_t)extent : 0;
            if (next > CHANNELS_MOST_ATOMS) {
                return pare_fail(error, PARE_LIMIT,
                                 "expected at most %u indices along all axes of all values, found more",
                                 CHANNELS_MOST_ATOMS);
            }
        }
    }
    channels->atom_count = next;
    return PARE_OK;
}

static pare_status create(const pare_graph *graph, pare_channels *channels, pare_error *error) {
    channels->graph = graph;
    channels->value_count = graph->value_count;
    channels->values = pare_alloc_zero(graph->value_count + 1, sizeof *channels->values);
    channels->addresses = pare_alloc_zero(graph->value_count + 1, sizeof *channels->addresses);
    channels->nodes = pare_alloc_zero(graph->node_count + 1, sizeof(const pare_node *));
    if (channels->values == NULL || channels->addresses == NULL || channels->nodes == NULL) {
        return pare_fail_memory(error, graph->value_count * sizeof *channels->values);
    }
    PARE_TRY(number_atoms(channels, error));
    size_t atoms = (size_t)channels->atom_count + 1;
    channels->parent = pare_alloc_zero(atoms, sizeof *channels->parent);
    channels->holder = pare_alloc_zero(atoms, sizeof *channels->holder);
    channels->made = pare_alloc_zero(atoms, sizeof *channels->made);
    channels->unit_of = pare_alloc_zero(atoms, sizeof *channels->unit_of);
    if (channels->parent == NULL || channels->holder == NULL || channels->made == NULL || channels->unit_of == NULL) {
        return pare_fail_memory(error, atoms * sizeof *channels->parent);
    }
    for (uint32_t i = 0; i < channels->atom_count; i++) {
        channels->parent[i] = i;
    }
    for (size_t i = 0; i < channels->value_count; i++) {
        channels->addresses[i] = (channel_address){channels->values[i].value, i};
    }
    qsort(channels->addresses, channels->value_count, sizeof *channels->addresses, by_address);
    return PARE_OK;
}

static void hold_operands(pare_channels *channels, const pare_node *node) {
    for (size_t i = 0; i < node->input_count; i++) {
        pare_channels_hold_from(channels, node->inputs[i], 0);
    }
    for (size_t i = 0; i < node->output_count; i++) {
        pare_channels_hold_from(channels, node->outputs[i], 0);
    }
}

static void walk(pare_channels *channels) {
    const pare_graph *graph = channels->graph;
    channels->current = HELD_BY_PORT;
    for (size_t i = 0; i < graph->input_count; i++) {
        pare_channels_hold_from(channels, graph->inputs[i], 0);
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        pare_channels_hold_from(channels, graph->outputs[i], 0);
    }
    for (const pare_node *node = graph->first; node != NULL; node = node->next) {
        channels->current = FIRST_NODE + (uint32_t)channels->node_count;
        channels->nodes[channels->node_count++] = node;
        if (node->op->channels != NULL) {
            node->op->channels(channels, node);
        } else {
            hold_operands(channels, node);
        }
    }
}

pare_status pare_channels_find(const pare_graph *graph, pare_channels **channels, pare_error *error) {
    *channels = NULL;
    pare_channels *made = pare_alloc_zero(1, sizeof *made);
    if (made == NULL) {
        return pare_fail_memory(error, sizeof *made);
    }
    pare_status status = create(graph, made, error);
    if (status == PARE_OK) {
        walk(made);
        status = made->out_of_memory ? pare_fail_memory(error, sizeof(channel_constant)) : channels_group(made, error);
    }
    if (status != PARE_OK) {
        pare_channels_free(made);
        return status;
    }
    *channels = made;
    return PARE_OK;
}

void pare_channels_free(pare_channels *channels) {
    if (channels == NULL) {
        return;
    }
    pare_free(channels->values);
    pare_free(channels->addresses);
    pare_free(channels->parent);
    pare_free(channels->holder);
    pare_free(channels->made);
    pare_free(channels->nodes);
    pare_free(channels->weights.items);
    pare_free(channels->parameters.items);
    pare_free(channels->unit_of);
    pare_free(channels->groups);
    pare_free(channels);
}

size_t pare_channels_unit_count(const pare_channels *channels) {
    return channels->unit_count;
}

size_t pare_channels_group_count(const pare_channels *channels) {
    return channels->group_count;
}

const pare_channel_group *pare_channels_group(const pare_channels *channels, size_t index) {
    return &channels->groups[index];
}

size_t pare_channels_unit(const pare_channels *channels, const pare_value *value, int32_t axis, int64_t index) {
    uint32_t atom = channels_atom(channels, value, axis, index);
    uint32_t unit = atom != NO_ATOM ? channels->unit_of[atom] : NO_UNIT;
    return unit != NO_UNIT ? unit : SIZE_MAX;
}

bool pare_channels_weight(const pare_channels *channels, size_t index, const pare_value **value, int32_t *axis) {
    if (index >= channels->weights.count) {
        return false;
    }
    *value = channels->values[channels->weights.items[index].value].value;
    *axis = channels->weights.items[index].axis;
    return true;
}

bool pare_channels_parameter(const pare_channels *channels, size_t index, const pare_value **value, float *initial) {
    if (index >= channels->parameters.count) {
        return false;
    }
    *value = channels->values[channels->parameters.items[index].value].value;
    *initial = channels->parameters.items[index].initial;
    return true;
}
