/* Float kernels on oneDNN, for the table in runtime/kernels.c. Each takes
 * float32 operands only and gives PARE_UNSUPPORTED, without a message, where
 * oneDNN has no fast equivalent of the opcode's definition. */
#ifndef PARE_ONEDNN_KERNELS_H
#define PARE_ONEDNN_KERNELS_H

#include "kernel.h"

extern const pare_kernel pare_onednn_convolution;
extern const pare_kernel pare_onednn_deconvolution;
extern const pare_kernel pare_onednn_fully_connected;
extern const pare_kernel pare_onednn_matmul;
extern const pare_kernel pare_onednn_pool;
extern const pare_kernel pare_onednn_softmax;
extern const pare_kernel pare_onednn_layer_norm;
extern const pare_kernel pare_onednn_lrn;
extern const pare_kernel pare_onednn_binary;
extern const pare_kernel pare_onednn_unary;
extern const pare_kernel pare_onednn_resize;
extern const pare_kernel pare_onednn_concat;
extern const pare_kernel pare_onednn_lstm;

/* "oneDNN 2.6.3": the library that is loaded. Static. */
const char *pare_onednn_version(void);

#endif
