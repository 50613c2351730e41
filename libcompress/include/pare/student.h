/* Students derived from a teacher's graph. */
#ifndef PARE_STUDENT_H
#define PARE_STUDENT_H

#include "pare/graph.h"

typedef struct pare_student_options {
    double width;  /* multiplies channels, (0, 1]; 0 means 1 */
    int32_t round; /* channels are a multiple of this where possible; 0 means 1 */
    double depth;  /* share of repeated blocks kept, (0, 1]; 0 means 1 */
    bool fresh;    /* initialize randomly instead of from the teacher's most important channels */
    uint64_t seed;
} pare_student_options;

typedef struct pare_student_report {
    uint64_t teacher_macs, student_macs, teacher_parameters, student_parameters;
    size_t blocks_found, blocks_kept;
    size_t channel_groups,
        groups_kept_whole; /* sets of channels that must shrink together; those that could not be followed */
} pare_student_report;

/* A new graph; the teacher is not changed. PARE_UNSUPPORTED names the node that cannot be scaled. `report` may be NULL.
 */
pare_status pare_student_derive(const pare_graph *teacher, const pare_student_options *options, pare_graph **student,
                                pare_student_report *report, pare_error *error);

#endif
