/* Integer kernels for x86-64 with AVX2 or AVX-512 VNNI. Private to the runtime.
 *
 * All compute exactly what pare/opcodes.h defines, so that their bytes equal the
 * reference kernels'. The instruction set is chosen at planning by site->isa. */
#ifndef PARE_X86_KERNELS_H
#define PARE_X86_KERNELS_H

#include "kernel.h"

#if defined(__x86_64__)

extern const pare_kernel pare_x86_conv_vnni;      /* avx512_vnni_conv */
extern const pare_kernel pare_x86_conv_maddubs;   /* avx2_conv_maddubs: no block of weights can saturate */
extern const pare_kernel pare_x86_conv_exact;     /* avx2_conv_exact: some blocks are widened to 16 bits */
extern const pare_kernel pare_x86_depthwise_vnni; /* avx512_vnni_depthwise */
extern const pare_kernel pare_x86_depthwise_avx2; /* avx2_depthwise */
extern const pare_kernel pare_x86_fc_vnni;        /* avx512_vnni_fully_connected */
extern const pare_kernel pare_x86_fc_maddubs;     /* avx2_fully_connected_maddubs */
extern const pare_kernel pare_x86_fc_exact;       /* avx2_fully_connected_exact */
extern const pare_kernel pare_x86_binary;         /* avx2_binary: equal shapes */
extern const pare_kernel pare_x86_unary;          /* avx2_unary */
extern const pare_kernel pare_x86_quantize;       /* avx2_quantize: three planes to channels last */

#endif
#endif
