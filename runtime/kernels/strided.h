/* Copying a box of elements between two places with any strides: what SLICE,
 * TRANSPOSE, PAD and EXPAND are. */
#ifndef PARE_STRIDED_H
#define PARE_STRIDED_H

#include "kernels/reference.h"

typedef struct strided_copy {
    int32_t rank;
    size_t extents[PARE_MAX_RANK];
    ptrdiff_t in_strides[PARE_MAX_RANK], out_strides[PARE_MAX_RANK]; /* in elements */
    ptrdiff_t in_start, out_start;
    size_t bytes; /* of an element: 1, 2, 4 or 8 */
} strided_copy;

/* Merges axes that lie side by side in both. Call once, when the fields are set. */
void strided_simplify(strided_copy *copy);
void strided_run(const strided_copy *copy, const void *in, void *out, int32_t threads);

#endif
