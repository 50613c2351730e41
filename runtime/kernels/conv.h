/* What the float and the integer convolution share. */
#ifndef PARE_CONV_H
#define PARE_CONV_H

#include "kernels/reference.h"

/* Positions along one axis of the output whose tap falls inside the input. */
typedef struct conv_range {
    int64_t first, last; /* last excluded */
} conv_range;

typedef struct conv_state conv_state;
struct conv_state {
    pare_status (*run)(const conv_state *state, const pare_call *call, pare_error *error);
    pare_conv_attrs attrs;
    int64_t batch, channels, height, width; /* of x */
    int64_t outputs, kernel_h, kernel_w, out_h, out_w;
    int64_t group_channels, group_outputs;
    conv_range *columns; /* one a kernel column */
    /* Integer form */
    int16_t *weights; /* [O][KH][KW][C/groups]; depthwise [KH][KW][C] */
    float *factors;   /* m[o] */
    int32_t x_zero, y_zero, residual_zero;
    int32_t low, high;             /* of y */
    int32_t inner_low, inner_high; /* of t */
    float inner_ratio, residual_ratio;
    bool depthwise, bias, residual;
};

pare_status pare_reference_conv_float(const conv_state *state, const pare_call *call, pare_error *error);
/* Takes [u8, s8] operands; `state` has its geometry. */
pare_status pare_reference_conv_prepare_integer(const pare_site *site, conv_state *state, pare_error *error);
pare_status pare_reference_conv_integer(const conv_state *state, const pare_call *call, pare_error *error);

#endif
