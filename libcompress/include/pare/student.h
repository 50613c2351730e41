/* Students derived from a teacher's graph. */
#ifndef PARE_STUDENT_H
#define PARE_STUDENT_H

#include "pare/graph.h"

typedef struct pare_student_options {
    double width;  /* multiplies channels, (0, 1]; 0 means 1 */
    double macs;   /* instead of width: the largest width whose student has at most this share of the teacher's
                      multiply-accumulates, (0, 1]; 0 means none */
    int32_t round; /* channels are a multiple of this where possible; 0 means 1 */
    double depth;  /* share of repeated blocks kept, (0, 1]; 0 means 1 */
    bool fresh;    /* initialize randomly instead of from the teacher's most important channels */
    uint64_t seed;
} pare_student_options;

typedef struct pare_student_report {
    double width; /* as given or found */
    uint64_t teacher_macs, student_macs, teacher_parameters, student_parameters;
    size_t blocks_found, blocks_kept; /* repeated blocks that may be dropped */
    size_t channel_groups,
        groups_kept_whole;  /* sets of channels that must shrink together; those that could not be followed */
    const char *stopped_at; /* the first node that kept some whole, or NULL; the student's memory */
} pare_student_report;

/* A new graph; the teacher is not changed and may be freed before the student.
 *
 * Depth: of each run of repeated blocks (residual ones, or where none repeat plain layers with
 * what follows them; of equal structure and shapes, one behind the other) the first
 * ceil(depth × length) stay. Width: of each group of
 * coupled channels (pare/channels.h) max(1, round(width × count)) stay, as a multiple of
 * `round` where the group has that many: those with the largest L1 norm of the weights
 * that produce them, in their order. Channels of graph ports stay.
 *
 * `fresh`: weights from N(0, 2 / fan-in) (He et al. 2015, equation 10), by `seed`;
 * biases 0, scales 1; what is no parameter of an operator stays the teacher's.
 *
 * PARE_USAGE for options out of range; PARE_UNSUPPORTED names what cannot be scaled: a
 * network without channels to drop or without repeated blocks, a quantized one, a share
 * of MACs below what one channel everywhere leaves. `report` may be NULL. */
pare_status pare_student_derive(const pare_graph *teacher, const pare_student_options *options, pare_graph **student,
                                pare_student_report *report, pare_error *error);

#endif
