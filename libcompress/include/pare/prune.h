/* Pruning. Channels that matter least are taken out of a network, with all that hangs together with them
 * (pare/channels.h), so that what is left is smaller and faster in any runtime; or single weights become zeros. */
#ifndef PARE_PRUNE_H
#define PARE_PRUNE_H

#include "pare/evaluate.h"
#include "pare/graph.h"

/* What a channel is worth. A unit (channels.h) that several layers produce or read has a number from each; a layer's
 * numbers are divided by their mean, and the unit's is the mean over its layers. */
typedef enum pare_channel_importance {
    PARE_IMPORTANCE_L1 = 0,    /* norms of the weights that produce it and of those that read it (Li et al. 2017,
                                  "Pruning filters for efficient ConvNets", 3.1; coupled as in Fang et al. 2023,
                                  "DepGraph", eq. 4) */
    PARE_IMPORTANCE_L2,        /* likewise, Euclidean */
    PARE_IMPORTANCE_BATCHNORM, /* |scale| of BatchNormalization (Liu et al. 2017, "Network slimming", 3) */
    PARE_IMPORTANCE_MEDIAN,    /* sum of the distances to the layer's other filters (He et al. 2019, FPGM, eq. 5) */
    PARE_IMPORTANCE_ACTIVATION /* root mean square of what it computes on a data set, without labels (as
                                  Molchanov et al. 2017, 2.2, "activation", has its mean) */
} pare_channel_importance;

/* What the pruned network is to have at most; 0: no such target. At least one is needed. */
typedef struct pare_prune_target {
    double ratio;            /* share of all channels that may go that do go, (0, 1) */
    double macs, parameters; /* shares of the network's, (0, 1) */
    size_t bytes;            /* of the .pare file */
    double latency_ms;       /* median of runs with a batch of one, measured on this machine */
} pare_prune_target;

typedef struct pare_channel_prune_options {
    pare_channel_importance importance;
    pare_prune_target target;
    bool local; /* the same share of each group goes; else the least important of the network */
    bool lamp; /* scores squared, over the sum of those that are not smaller in the group (Lee et al. 2021, LAMP, eq. 1)
                */
    double most;        /* of a group at most this share goes, (0, 1]; 0 means 0.9 */
    int32_t round;      /* groups keep a multiple of this where they have that many; 0 means 1 */
    int32_t threads;    /* for latency and activations; 0: the physical cores */
    pare_dataset *data; /* for activations */
    const pare_preprocess *preprocess;
    pare_progress progress; /* while data are run; may be NULL */
} pare_channel_prune_options;

typedef struct pare_pruned_group {
    const char *node;     /* that produces its channels first, owned by the pruned graph */
    size_t before, after; /* channels */
    const char *held_by;  /* the node whose channels cannot be followed: it stays whole; else NULL */
} pare_pruned_group;

typedef struct pare_prune_figures {
    uint64_t macs, parameters;
    size_t bytes;      /* of the .pare; 0: not asked for */
    double latency_ms; /* likewise */
} pare_prune_figures;

typedef struct pare_prune_report {
    pare_prune_figures before, after;
    pare_pruned_group *groups; /* in the graph's arena */
    size_t group_count;
} pare_prune_report;

/* *pruned: a new graph without the least important channels: as few of them go as the targets ask for. Channels of
 * graph ports stay, and what an operator keeps from being followed. PARE_USAGE: options out of range, a data set that
 * is missing; PARE_UNSUPPORTED: nothing to prune, or a target below what is left when all goes that may. `report` may
 * be NULL. Deterministic, but for a latency. */
pare_status pare_prune_channels(const pare_graph *graph, const pare_channel_prune_options *options, pare_graph **pruned,
                                pare_prune_report *report, pare_error *error);

/* Which weights are compared when some become zeros. */
typedef enum pare_sparsity_scope {
    PARE_SPARSITY_LAMP = 0, /* all, by their squares over the sum of those in their layer that are not smaller (Lee et
                               al. 2021, eq. 1) */
    PARE_SPARSITY_GLOBAL,   /* all, by magnitude */
    PARE_SPARSITY_LAYER     /* those of each layer, by magnitude */
} pare_sparsity_scope;

typedef struct pare_weight_prune_options {
    double sparsity; /* share of the weights to be zeros, [0, 1) */
    pare_sparsity_scope scope;
    int32_t kept, of; /* instead: of each `of` neighbours along the input channels of a layer at most `kept` are not
                         zeros (Mishra et al. 2021, 2:4); 0: no such pattern */
} pare_weight_prune_options;

typedef struct pare_weight_prune_report {
    size_t weights, zeros_before, zeros_after; /* of layers with weights; not of biases and normalization */
    size_t bytes_before, bytes_after;          /* of the .pare file */
} pare_weight_prune_report;

/* *pruned: a copy whose weights of least magnitude are zeros. Shapes stay, and so does the time of dense kernels; the
 * coded file shrinks. PARE_USAGE: options out of range; PARE_UNSUPPORTED: no layer has constant float weights. `report`
 * may be NULL. */
pare_status pare_prune_weights(const pare_graph *graph, const pare_weight_prune_options *options, pare_graph **pruned,
                               pare_weight_prune_report *report, pare_error *error);

#endif
