/* Which channels of a network hang together, and how to take some of them out.
 *
 * Every index along every axis of every value is an atom. Each operator says in
 * its descriptor (pare_op.channels) which atoms of its operands are one and the
 * same channel: channel c of a Conv's output and row c of its weights, element c
 * of both operands of an Add. Atoms that are joined, directly or not, form a unit:
 * the smallest part that can be removed. Units that lie along the same axes of the
 * same values are interchangeable and form a group ("the 64 channels between conv3
 * and conv4", "the residual stream of stage 2").
 *
 * Removing a unit slices every constant that it runs through and lets operators
 * correct attributes and operands that hold extents (pare_op.resized). Where what a
 * removed unit feeds is 0, the outputs stay as they were but for rounding. */
#ifndef PARE_CHANNELS_H
#define PARE_CHANNELS_H

#include "pare/graph.h"

typedef struct pare_channels pare_channels;

typedef struct pare_channel_group {
    size_t first, count; /* units [first, first + count), in the order of their indices */
    size_t width; /* channels that a unit makes up on an activation's axis: 1 but for grouped Conv and the like */
    bool free;    /* units may be removed */
    const pare_node *holder; /* when not free: the node whose channels cannot be followed; NULL: a graph port */
} pare_channel_group;

/* --- for compression --------------------------------------------------------- */

/* Analyses a graph whose shapes are inferred. The result refers to the graph,
 * which must stay as it is until pare_channels_remove. PARE_UNSUPPORTED for a
 * quantized graph, PARE_LIMIT for one with over 2^26 indices. */
pare_status pare_channels_find(const pare_graph *graph, pare_channels **channels, pare_error *error);
/* Accepts NULL. */
void pare_channels_free(pare_channels *channels);
size_t pare_channels_unit_count(const pare_channels *channels);
size_t pare_channels_group_count(const pare_channels *channels);
/* Groups come in the order in which their values entered the graph. */
const pare_channel_group *pare_channels_group(const pare_channels *channels, size_t index);
/* Units that make up a multiple of `round` channels (below 2: of one); 1 where the group has fewer. */
size_t pare_channel_group_step(const pare_channel_group *group, int32_t round);
/* scores[unit]: L1 norm of the weights that produce the unit's channels, each
 * layer's divided by its mean over that layer's channels, summed over the layers (L1
 * as in Li et al. 2017, "Pruning Filters for Efficient ConvNets", section 3.1). */
pare_status pare_channels_score(const pare_channels *channels, double *scores, pare_error *error);
/* Removes the units with dropped[unit] from the analysed graph and infers its
 * shapes. Units of groups that are not free must stay. At most once; a graph for
 * which it failed is good for pare_graph_free only. */
pare_status pare_channels_remove(pare_channels *channels, pare_graph *graph, const bool *dropped, pare_error *error);

/* Constants that produce channels, one by one until it returns false: `axis` is that
 * of the output channels. */
bool pare_channels_weight(const pare_channels *channels, size_t index, const pare_value **value, int32_t *axis);
/* The unit that index `index` of an axis belongs to, SIZE_MAX for none. */
size_t pare_channels_unit(const pare_channels *channels, const pare_value *value, int32_t axis, int64_t index);
/* Constants that scale or shift channels which weights produce, and the number with which
 * training starts them. */
bool pare_channels_parameter(const pare_channels *channels, size_t index, const pare_value **value, float *initial);

/* --- for operators: pare_op.channels ----------------------------------------- */
/* Values may be NULL (absent operands): nothing happens. */

/* Index i of an axis of `a` and index j of an axis of `b` are one channel. */
void pare_channels_join(pare_channels *channels, const pare_value *a, int32_t a_axis, int64_t i, const pare_value *b,
                        int32_t b_axis, int64_t j);
/* `count` indices of both from i and j on, which must be there. */
void pare_channels_join_range(pare_channels *channels, const pare_value *a, int32_t a_axis, int64_t i,
                              const pare_value *b, int32_t b_axis, int64_t j, int64_t count);
/* False for an axis that is longer than 2^20 or depends on the batch: it keeps its extent,
 * and what is joined with it does, too. Loops over single indices should ask first. */
bool pare_channels_is_tracked(const pare_channels *channels, const pare_value *value, int32_t axis);
/* All indices of two axes of equal extent, in order; axes of other extents (1, which
 * broadcasts) have nothing in common. */
void pare_channels_join_axes(pare_channels *channels, const pare_value *a, int32_t a_axis, const pare_value *b,
                             int32_t b_axis);
/* The axis keeps its extent. */
void pare_channels_hold(pare_channels *channels, const pare_value *value, int32_t axis);
/* All axes from `first` on keep theirs. */
void pare_channels_hold_from(pare_channels *channels, const pare_value *value, int32_t first);
/* True where an axis is known to keep its extent (by the nodes so far). */
bool pare_channels_is_held(const pare_channels *channels, const pare_value *value, int32_t axis);
/* `value`, where a constant, holds weights that produce the channels of `axis`. */
void pare_channels_made_by(pare_channels *channels, const pare_value *value, int32_t axis);
/* `value`, where a constant, scales or shifts channels; training starts it with `initial`. */
void pare_channels_adjusted_by(pare_channels *channels, const pare_value *value, float initial);

/* --- for operators: pare_op.resized ------------------------------------------ */
/* Indices in [from, to) of an axis, as it was analysed, that stay. */
int64_t pare_channels_left(const pare_channels *channels, const pare_value *value, int32_t axis, int64_t from,
                           int64_t to);

#endif
