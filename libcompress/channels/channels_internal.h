/* The state of an analysis. Private to libcompress/channels. */
#ifndef PARE_CHANNELS_INTERNAL_H
#define PARE_CHANNELS_INTERNAL_H

#include "pare/channels.h"
#include "pare/op.h"

/* An axis that is longer, or depends on the batch, has no atoms: it is held. */
#define CHANNELS_LONGEST_AXIS ((int64_t)1 << 20)
#define CHANNELS_MOST_ATOMS ((uint32_t)1 << 26)
#define NO_ATOM UINT32_MAX
#define NO_UNIT UINT32_MAX

/* Who holds an atom: nobody, a graph port, or node number holder - FIRST_NODE. */
enum { HELD_BY_NONE = 0, HELD_BY_PORT = 1, FIRST_NODE = 2 };

typedef struct channel_value {
    const pare_value *value;
    uint32_t first[PARE_MAX_RANK]; /* atom of index 0 of each axis */
    pare_shape shape;              /* as analysed */
} channel_value;

typedef struct channel_address {
    const pare_value *value;
    size_t ordinal; /* in pare_channels.values */
} channel_address;

/* A constant in a role: weights along `axis`, or a parameter that starts at `initial`. */
typedef struct channel_constant {
    size_t value; /* ordinal */
    int32_t axis;
    float initial;
} channel_constant;

typedef struct channel_list {
    channel_constant *items;
    size_t count, capacity;
} channel_list;

struct pare_channels {
    const pare_graph *graph;
    channel_value *values; /* in the graph's order */
    size_t value_count;
    channel_address *addresses; /* sorted: for look-up alone */
    uint32_t atom_count;
    uint32_t *parent; /* union-find; a root is its class's smallest atom */
    uint32_t *holder; /* at roots */
    bool *made;       /* at roots: some weights produce it */
    const pare_node **nodes;
    size_t node_count;
    uint32_t current; /* holder number of the node whose callback runs */
    channel_list weights, parameters;
    bool out_of_memory; /* in a callback */
    uint32_t *unit_of;  /* by atom, once grouped: unit or NO_UNIT */
    pare_channel_group *groups;
    size_t group_count, unit_count;
    const bool *dropped; /* by unit, while pare_channels_remove runs */
};

/* Atom of an index, NO_ATOM where there is none. */
uint32_t channels_atom(const pare_channels *channels, const pare_value *value, int32_t axis, int64_t index);
/* Root of an atom's class; does not compress paths. */
uint32_t channels_root(const pare_channels *channels, uint32_t atom);
/* Forms units and groups. */
pare_status channels_group(pare_channels *channels, pare_error *error);
/* True when the index of the atom goes. */
bool channels_is_dropped(const pare_channels *channels, uint32_t atom);

#endif
