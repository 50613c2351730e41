/* Atoms and what operators say about them: union-find with halving of paths
 * (Tarjan and van Leeuwen 1984). The root is the smallest atom of its class, so that
 * the result does not depend on the order of joins. */
#include "channels/channels_internal.h"

static const channel_value *find_value(const pare_channels *channels, const pare_value *value) {
    size_t low = 0, high = channels->value_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const channel_address *at = &channels->addresses[middle];
        if (at->value == value) {
            return &channels->values[at->ordinal];
        }
        if ((uintptr_t)at->value < (uintptr_t)value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

uint32_t channels_atom(const pare_channels *channels, const pare_value *value, int32_t axis, int64_t index) {
    const channel_value *at = value != NULL ? find_value(channels, value) : NULL;
    if (at == NULL || axis < 0 || axis >= at->shape.rank || at->first[axis] == NO_ATOM || index < 0 ||
        index >= at->shape.dims[axis]) {
        return NO_ATOM;
    }
    return at->first[axis] + (uint32_t)index;
}

uint32_t channels_root(const pare_channels *channels, uint32_t atom) {
    while (channels->parent[atom] != atom) {
        atom = channels->parent[atom];
    }
    return atom;
}

static uint32_t compressed_root(pare_channels *channels, uint32_t atom) {
    uint32_t *parent = channels->parent;
    while (parent[atom] != atom) {
        parent[atom] = parent[parent[atom]];
        atom = parent[atom];
    }
    return atom;
}

/* A port's hold is the network's nature, a node's a limit of the analysis: the former is told. */
static uint32_t stronger(uint32_t a, uint32_t b) {
    if (a == HELD_BY_NONE || b == HELD_BY_NONE) {
        return a > b ? a : b;
    }
    return a < b ? a : b;
}

static void hold_atom(pare_channels *channels, uint32_t atom) {
    if (atom != NO_ATOM) {
        uint32_t root = compressed_root(channels, atom);
        channels->holder[root] = stronger(channels->holder[root], channels->current);
    }
}

static void join_atoms(pare_channels *channels, uint32_t a, uint32_t b) {
    if (a == NO_ATOM || b == NO_ATOM) {
        hold_atom(channels, a);
        hold_atom(channels, b);
        return;
    }
    a = compressed_root(channels, a);
    b = compressed_root(channels, b);
    if (a != b) {
        uint32_t root = a < b ? a : b, other = a < b ? b : a;
        channels->parent[other] = root;
        channels->holder[root] = stronger(channels->holder[root], channels->holder[other]);
        channels->made[root] = channels->made[root] || channels->made[other];
    }
}

void pare_channels_join(pare_channels *channels, const pare_value *a, int32_t a_axis, int64_t i, const pare_value *b,
                        int32_t b_axis, int64_t j) {
    if (a != NULL && b != NULL) {
        join_atoms(channels, channels_atom(channels, a, a_axis, i), channels_atom(channels, b, b_axis, j));
    }
}

/* Atoms of an axis are neighbours: *first that of index 0, NO_ATOM where it has none; its extent, 0 where the axis does
 * not exist. */
static int64_t axis_atoms(const pare_channels *channels, const pare_value *value, int32_t axis, uint32_t *first) {
    const channel_value *at = value != NULL ? find_value(channels, value) : NULL;
    *first = NO_ATOM;
    if (at == NULL || axis < 0 || axis >= at->shape.rank) {
        return 0;
    }
    *first = at->first[axis];
    return at->shape.dims[axis];
}

/* `count` atoms from each on; of an axis without atoms, nothing moves, and of the other it holds. */
static void join_neighbours(pare_channels *channels, uint32_t a, uint32_t b, uint32_t count) {
    for (uint32_t i = 0; (a != NO_ATOM || b != NO_ATOM) && i < count; i++) {
        join_atoms(channels, a != NO_ATOM ? a + i : NO_ATOM, b != NO_ATOM ? b + i : NO_ATOM);
    }
}

void pare_channels_join_axes(pare_channels *channels, const pare_value *a, int32_t a_axis, const pare_value *b,
                             int32_t b_axis) {
    uint32_t first = NO_ATOM, second = NO_ATOM;
    int64_t extent = axis_atoms(channels, a, a_axis, &first);
    if (extent == axis_atoms(channels, b, b_axis, &second) && extent > 0) {
        join_neighbours(channels, first, second, (uint32_t)extent);
    }
}

void pare_channels_join_range(pare_channels *channels, const pare_value *a, int32_t a_axis, int64_t i,
                              const pare_value *b, int32_t b_axis, int64_t j, int64_t count) {
    uint32_t first = NO_ATOM, second = NO_ATOM;
    if (a != NULL && b != NULL && count > 0 && axis_atoms(channels, a, a_axis, &first) >= i + count &&
        axis_atoms(channels, b, b_axis, &second) >= j + count) {
        first = first != NO_ATOM ? first + (uint32_t)i : NO_ATOM;
        second = second != NO_ATOM ? second + (uint32_t)j : NO_ATOM;
        join_neighbours(channels, first, second, (uint32_t)count);
    }
}

bool pare_channels_is_tracked(const pare_channels *channels, const pare_value *value, int32_t axis) {
    uint32_t first = NO_ATOM;
    (void)axis_atoms(channels, value, axis, &first);
    return first != NO_ATOM;
}

void pare_channels_hold(pare_channels *channels, const pare_value *value, int32_t axis) {
    uint32_t first = NO_ATOM;
    int64_t extent = axis_atoms(channels, value, axis, &first);
    for (uint32_t i = 0; first != NO_ATOM && i < (uint32_t)extent; i++) {
        hold_atom(channels, first + i);
    }
}

void pare_channels_hold_from(pare_channels *channels, const pare_value *value, int32_t first) {
    for (int32_t axis = first; value != NULL && axis < value->shape.rank; axis++) {
        pare_channels_hold(channels, value, axis);
    }
}

bool pare_channels_is_held(const pare_channels *channels, const pare_value *value, int32_t axis) {
    uint32_t first = NO_ATOM;
    int64_t extent = axis_atoms(channels, value, axis, &first);
    if (first == NO_ATOM) {
        return true;
    }
    for (uint32_t i = 0; i < (uint32_t)extent; i++) {
        if (channels->holder[channels_root(channels, first + i)] == HELD_BY_NONE) {
            return false;
        }
    }
    return true;
}

static void add_constant(pare_channels *channels, channel_list *list, const pare_value *value, int32_t axis,
                         float initial) {
    const channel_value *at = value != NULL ? find_value(channels, value) : NULL;
    if (at == NULL || value->data == NULL || value->dtype != PARE_F32) {
        return;
    }
    if (list->count == list->capacity) {
        size_t wanted = list->capacity == 0 ? 64 : 2 * list->capacity;
        channel_constant *grown = pare_realloc(list->items, wanted * sizeof *grown);
        if (grown == NULL) {
            channels->out_of_memory = true;
            return;
        }
        list->items = grown;
        list->capacity = wanted;
    }
    list->items[list->count++] = (channel_constant){(size_t)(at - channels->values), axis, initial};
}

void pare_channels_made_by(pare_channels *channels, const pare_value *value, int32_t axis) {
    uint32_t first = NO_ATOM;
    int64_t extent = axis_atoms(channels, value, axis, &first);
    if (first == NO_ATOM || value->data == NULL || value->dtype != PARE_F32) {
        return;
    }
    for (uint32_t i = 0; i < (uint32_t)extent; i++) {
        channels->made[compressed_root(channels, first + i)] = true;
    }
    add_constant(channels, &channels->weights, value, axis, 0.0F);
}

void pare_channels_adjusted_by(pare_channels *channels, const pare_value *value, float initial) {
    add_constant(channels, &channels->parameters, value, 0, initial);
}

int64_t pare_channels_left(const pare_channels *channels, const pare_value *value, int32_t axis, int64_t from,
                           int64_t to) {
    uint32_t first = NO_ATOM;
    (void)axis_atoms(channels, value, axis, &first);
    int64_t left = to - from;
    for (int64_t i = from; first != NO_ATOM && i < to; i++) {
        left -= channels_is_dropped(channels, first + (uint32_t)i);
    }
    return left;
}

bool channels_is_dropped(const pare_channels *channels, uint32_t atom) {
    uint32_t unit = channels->unit_of[atom];
    return unit != NO_UNIT && channels->dropped != NULL && channels->dropped[unit];
}
