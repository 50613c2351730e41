#include <string.h>

#include "train/tape/tape_steps.h"

void tape_broadcast_strides(const pare_shape *operand, const pare_shape *y, size_t *strides) {
    size_t stride = 1;
    for (int32_t i = 0; i < y->rank; i++) {
        int32_t axis = y->rank - 1 - i, own = operand->rank - 1 - i;
        bool spans = own >= 0 && operand->dims[own] != 1;
        strides[axis] = spans ? stride : 0;
        stride *= own >= 0 ? (size_t)operand->dims[own] : 1;
    }
}

void tape_broadcast_plan(tape_broadcast *walk, const pare_shape *a, const pare_shape *b, const pare_shape *y) {
    size_t strides_a[PARE_MAX_RANK] = {0}, strides_b[PARE_MAX_RANK] = {0};
    tape_broadcast_strides(a, y, strides_a);
    tape_broadcast_strides(b, y, strides_b);
    /* Axes that both operands run through without a break become one, from the last to the first. */
    size_t dims[PARE_MAX_RANK + 1] = {1}, merged_a[PARE_MAX_RANK + 1] = {0}, merged_b[PARE_MAX_RANK + 1] = {0};
    int32_t count = 0;
    for (int32_t axis = y->rank - 1; axis >= 0; axis--) {
        size_t extent = (size_t)y->dims[axis];
        if (extent == 1) {
            continue;
        }
        if (count > 0 && strides_a[axis] == merged_a[count - 1] * dims[count - 1] &&
            strides_b[axis] == merged_b[count - 1] * dims[count - 1]) {
            dims[count - 1] *= extent;
            continue;
        }
        dims[count] = extent;
        merged_a[count] = strides_a[axis];
        merged_b[count++] = strides_b[axis];
    }
    *walk = (tape_broadcast){.rows = 1, .row = dims[0], .step_a = merged_a[0], .step_b = merged_b[0]};
    for (int32_t i = 1; i < count; i++) {
        walk->rows *= dims[i];
        walk->dims[i - 1] = dims[i];
        walk->stride_a[i - 1] = merged_a[i];
        walk->stride_b[i - 1] = merged_b[i];
        walk->rank = i;
    }
}

void tape_broadcast_flat(tape_broadcast *walk, size_t count) {
    *walk = (tape_broadcast){.rows = 1, .row = count, .step_a = 1, .step_b = 1};
}

void tape_broadcast_row(const tape_broadcast *walk, size_t r, size_t *at_a, size_t *at_b) {
    *at_a = *at_b = 0;
    for (int32_t i = 0; i < walk->rank; i++) {
        size_t index = r % walk->dims[i];
        r /= walk->dims[i];
        *at_a += index * walk->stride_a[i];
        *at_b += index * walk->stride_b[i];
    }
}
