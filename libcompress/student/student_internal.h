/* The steps of deriving a student. Private to libcompress/student. */
#ifndef PARE_STUDENT_INTERNAL_H
#define PARE_STUDENT_INTERNAL_H

#include "pare/channels.h"
#include "pare/op.h"
#include "pare/student.h"

/* Drops repeated blocks in place; dead nodes stay. *found and *kept count repeated blocks. */
pare_status student_drop_blocks(pare_graph *graph, double depth, size_t *found, size_t *kept, pare_error *error);

/* The analysis of a graph with its channels ranked. */
typedef struct student_channels {
    pare_channels *channels;
    uint32_t *rank; /* by unit: place in its group, 0 the most important */
    bool *dropped;  /* by unit */
} student_channels;

pare_status student_rank_channels(const pare_graph *graph, student_channels *ranked, pare_error *error);
void student_free_channels(student_channels *ranked);
/* Marks in `dropped` what a width leaves out. True where that is something. */
bool student_choose_channels(student_channels *ranked, double width, int32_t round);

/* The weights and parameters of an analysed graph, drawn anew. */
pare_status student_initialize(pare_graph *graph, uint64_t seed, pare_error *error);

#endif
