/* The meaning of RESIZE: which elements of the input an element of the output is made of. */
#ifndef PARE_OPCODE_RESIZE_H
#define PARE_OPCODE_RESIZE_H

#include <stddef.h>

#include "pare/opcodes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PARE_RESIZE_TAPS 4

/* Source positions of one output position along an axis, and their weights. */
typedef struct pare_resize_taps {
    size_t index[PARE_RESIZE_TAPS];
    float weight[PARE_RESIZE_TAPS];
} pare_resize_taps;

/* Taps that a mode (pare_resize_mode) has: 1, 2 or 4. */
int32_t pare_resize_tap_count(int32_t mode);
/* Fills taps[0 .. out - 1] for an axis of `in` elements (at least 1) that is resized to `out`; `scale` is the
 * attributes' one for it. */
void pare_resize_axis(const pare_resize_attrs *attrs, size_t in, size_t out, float scale, pare_resize_taps *taps);
/* True where x [N,C,H,W] → y is oneDNN's resampling: linear at half-pixel coordinates; nearest as the sample under
 * the output's centre, which for whole factors is what half-pixel and asymmetric-with-floor give. */
bool pare_resize_is_resampling(const pare_resize_attrs *attrs, const pare_shape *x, const pare_shape *y);

#ifdef __cplusplus
}
#endif
#endif
