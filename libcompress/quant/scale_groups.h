/* Channels whose scale may change without changing the network: what writes them
 * is multiplied, what reads them divided. Private to quant. */
#ifndef PARE_SCALE_GROUPS_H
#define PARE_SCALE_GROUPS_H

#include "pare/graph.h"

/* A layer that writes or reads the channels. */
typedef struct scale_end {
    pare_node *node;
    const pare_value *value; /* its output or its input */
    bool depthwise;          /* reading: each channel meets weights of its own */
    float *weights;          /* the graph's own: [channels][inner] writing, [outer][channels][inner] reading */
    float *bias;             /* writing; may be NULL */
    size_t outer, inner;
} scale_end;

/* Activations tied together by sums, clamps and pooling, with every layer that
 * writes or reads them. All have the same channels. */
typedef struct scale_group {
    size_t channels;
    int axis;     /* of the values, that counts the channels */
    bool bounded; /* a Clip from 0 to some bound is among them; every other clamp is a Relu */
    scale_end *writers, *readers;
    size_t writer_count, reader_count;
} scale_group;

/* The groups of which at least one layer writes and one reads, in the order of
 * their first writers. The arena owns them; the layers' constants become the
 * graph's own copies, so that scaling touches no one else. */
pare_status scale_groups_find(pare_graph *graph, pare_arena *arena, scale_group **groups, size_t *count,
                              pare_error *error);

/* Multiplies the values of a channel by `factor` > 0. */
void scale_group_apply(const scale_group *group, size_t channel, float factor);

#endif
