/* Walking two operands that broadcast to one output, rows at a time. */
#ifndef PARE_BROADCAST_H
#define PARE_BROADCAST_H

#include "kernels/reference.h"

/* Extents of the output, neighbours merged where both operands allow; strides in
 * elements, 0 where an operand repeats. The last axis is the row. */
typedef struct broadcast {
    int32_t rank; /* at least 1 */
    size_t extents[PARE_MAX_RANK];
    size_t strides[3][PARE_MAX_RANK];
    size_t rows, row; /* number of rows, elements of one */
} broadcast;

/* Layout in which all operands can be walked together, so that none is reordered
 * without need: that of the largest, when the others broadcast in it; else PLAIN.
 * Sets `wanted` and the output's layout. */
pare_layout broadcast_layout(pare_site *site, size_t operands);
/* Of operands 0..count) (at most 3) against output 0, as `wanted` and the output's layout say. */
void broadcast_prepare(const pare_site *site, size_t operands, broadcast *walk);
/* Element offsets of an operand's row. */
size_t broadcast_offset(const broadcast *walk, size_t operand, size_t row);

#endif
