/* What the planning of convolutions shares. */
#ifndef PARE_X86_CONV_H
#define PARE_X86_CONV_H

#include "x86_gemm.h"

#if defined(__x86_64__)

/* False for shapes that are not two-dimensional convolutions, or empty. */
bool pare_x86_conv_geometry(const pare_site *site, x86_geometry *geometry);

#endif
#endif
